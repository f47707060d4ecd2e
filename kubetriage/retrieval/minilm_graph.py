"""The BERT encoder as an ONNX graph, from safetensors weights. Runs once per machine or image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OPSET, IR = 18, 9
MASKED = -10_000.0  # added to the attention scores of padding


class _Builder:
    """Nodes and constants of a graph under construction; operations return their output's name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any) -> str:
        import numpy  # noqa: PLC0415 - see module docstring
        from onnx import numpy_helper  # noqa: PLC0415 - see module docstring

        self.constants.append(numpy_helper.from_array(numpy.ascontiguousarray(value), name))
        return name

    def op(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        from onnx import helper  # noqa: PLC0415 - see module docstring

        out = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out


def build_graph(weights: Path) -> bytes:
    """The serialized model: input_ids, attention_mask (int64, [b, s]) → sentence_embedding [b, hidden]."""
    import numpy  # noqa: PLC0415 - see module docstring
    import onnx  # noqa: PLC0415 - see module docstring
    from onnx import TensorProto, helper  # noqa: PLC0415 - see module docstring
    from safetensors.numpy import load_file  # noqa: PLC0415 - see module docstring

    config = json.loads((weights / "config.json").read_text())
    tensors = load_file(weights / "model.safetensors")
    hidden, heads, layers = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
    build = _Builder()
    _constants(build, numpy, hidden, heads)
    x = _embeddings(build, tensors)
    mask = build.op("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    wide = build.op("Reshape", [mask, "mask_shape"])
    bias = build.op("Mul", [build.op("Sub", ["one_f", wide]), "masked"])
    for index in range(layers):
        x = _layer(build, tensors, f"encoder.layer.{index}.", x, bias)
    weighted = build.op("Unsqueeze", [mask, "axis_last"])
    total = build.op("ReduceSum", [build.op("Mul", [x, weighted]), "axis_1"], keepdims=0)
    mean = build.op("Div", [total, build.op("ReduceSum", [weighted, "axis_1"], keepdims=0)])
    unit = build.op("Div", [mean, build.op("ReduceL2", [mean, "axis_last"], keepdims=1)])
    build.nodes.append(helper.make_node("Identity", [unit], ["sentence_embedding"]))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "s"]) for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["b", hidden])]
    graph = helper.make_graph(build.nodes, "minilm", inputs, outputs, build.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def _constants(build: _Builder, numpy: Any, hidden: int, heads: int) -> None:
    integers = {
        "axis_1": [1], "axis_last": [-1], "mask_shape": [0, 1, 1, -1], "split": [0, 0, heads, hidden // heads],
        "join": [0, 0, hidden], "zero": [0], "one": [1],
    }  # fmt: skip
    for name, value in integers.items():
        build.constant(name, numpy.array(value, numpy.int64))
    floats = {
        "scale": 1 / numpy.sqrt(hidden // heads), "root2": numpy.sqrt(2), "one_f": 1.0, "half": 0.5, "masked": MASKED,
    }  # fmt: skip
    for name, value in floats.items():
        build.constant(name, numpy.array(value, numpy.float32))


def _embeddings(build: _Builder, tensors: Any) -> str:
    length = build.op("Gather", [build.op("Shape", ["input_ids"]), "one"], axis=0)
    kinds = tensors["embeddings.token_type_embeddings.weight"][0]
    places = build.constant("places", tensors["embeddings.position_embeddings.weight"] + kinds)
    place = build.op("Slice", [places, "zero", length, "zero", "one"])
    words = build.constant("words", tensors["embeddings.word_embeddings.weight"])
    word = build.op("Gather", [words, "input_ids"], axis=0)
    return _norm(build, tensors, build.op("Add", [word, place]), "embeddings.LayerNorm")


def _layer(build: _Builder, tensors: Any, prefix: str, x: str, bias: str) -> str:
    def part(name: str, order: list[int]) -> str:
        projected = _linear(build, tensors, x, f"{prefix}attention.self.{name}")
        return build.op("Transpose", [build.op("Reshape", [projected, "split"])], perm=order)

    query, key, value = part("query", [0, 2, 1, 3]), part("key", [0, 2, 3, 1]), part("value", [0, 2, 1, 3])
    scores = build.op("Add", [build.op("Mul", [build.op("MatMul", [query, key]), "scale"]), bias])
    mixed = build.op("MatMul", [build.op("Softmax", [scores], axis=-1), value])
    context = build.op("Reshape", [build.op("Transpose", [mixed], perm=[0, 2, 1, 3]), "join"])
    attended = _linear(build, tensors, context, f"{prefix}attention.output.dense")
    x = _norm(build, tensors, build.op("Add", [attended, x]), f"{prefix}attention.output.LayerNorm")
    inner = _linear(build, tensors, x, f"{prefix}intermediate.dense")
    error = build.op("Add", [build.op("Erf", [build.op("Div", [inner, "root2"])]), "one_f"])
    gelu = build.op("Mul", [build.op("Mul", [inner, "half"]), error])
    outer = _linear(build, tensors, gelu, f"{prefix}output.dense")
    return _norm(build, tensors, build.op("Add", [outer, x]), f"{prefix}output.LayerNorm")


def _linear(build: _Builder, tensors: Any, x: str, name: str) -> str:
    weight = build.constant(f"{name}.w", tensors[f"{name}.weight"].T)
    return build.op("Add", [build.op("MatMul", [x, weight]), build.constant(f"{name}.b", tensors[f"{name}.bias"])])


def _norm(build: _Builder, tensors: Any, x: str, name: str) -> str:
    scale = build.constant(f"{name}.w", tensors[f"{name}.weight"])
    shift = build.constant(f"{name}.b", tensors[f"{name}.bias"])
    return build.op("LayerNormalization", [x, scale, shift], axis=-1, epsilon=1e-12)
