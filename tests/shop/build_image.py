"""Writes a docker archive that holds one static binary under several image names.

    python build_image.py ARCHIVE BINARY NAME [NAME …]

No container tool is needed; ``kind load image-archive`` and ``docker load`` take the result.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path


def add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def main() -> None:
    archive, binary, *names = sys.argv[1:]
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        add(tar, "shop", Path(binary).read_bytes(), 0o755)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": {"Entrypoint": ["/shop"], "User": "65534:65534"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    tags = [f"docker.io/{name}" for name in names]
    manifest = json.dumps([{"Config": config_name, "RepoTags": tags, "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(archive, "w") as tar:
        add(tar, "layer.tar", layer.getvalue())
        add(tar, config_name, config)
        add(tar, "manifest.json", manifest)


if __name__ == "__main__":
    main()
