"""TensorFlow.js graph models to ONNX, with numpy and onnx alone; only the operations that our weights need.

The graph keeps its shapes and its channels-last layout: a convolution becomes transpose, convolution, transpose, and
ONNX Runtime removes the pairs. An operation that is not in the table is refused, never guessed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.errors import ConversionError

OPSET = 13
_IR_VERSION = 8  # the oldest that holds opset 13; newer runtimes read it
_TO_CHANNELS_FIRST, _TO_CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
_DTYPES = {"float32": np.float32, "int32": np.int32, "bool": np.bool_}
Array = NDArray[Any]
Node = Mapping[str, Any]


def convert(graph: bytes, weights: bytes) -> onnx.ModelProto:
    """The ONNX model of a tfjs graph model (`model.json` and its one shard). Raises ConversionError."""
    try:
        document = json.loads(graph)
        nodes = document["modelTopology"]["node"]
        outputs = [name.partition(":")[0] for name in document["signature"]["outputs"]]
        return _Converter(nodes, _constants(document["weightsManifest"], weights)).convert(outputs)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ConversionError(f"not a tfjs graph model that we read: {type(error).__name__}: {error}") from error


def convert_files(graph: Path, weights: Path) -> onnx.ModelProto:
    """`convert` of two files. Raises OSError, ConversionError."""
    return convert(graph.read_bytes(), weights.read_bytes())


def _constants(groups: list[Any], weights: bytes) -> dict[str, Array]:
    """Named constants out of the shard; half floats become floats."""
    constants: dict[str, Array] = {}
    offset = 0
    for group in groups:
        for spec in group["weights"]:
            count = int(np.prod(spec["shape"], dtype=np.int64))
            packed = spec.get("quantization")
            if packed and packed["dtype"] != "float16":
                raise ConversionError(f"{spec['name']}: quantization to {packed['dtype']} is not read")
            stored = np.dtype(np.float16 if packed else _DTYPES[spec["dtype"]])
            values = np.frombuffer(weights, stored, count, offset)
            constants[spec["name"]] = values.astype(_DTYPES[spec["dtype"]]).reshape(spec["shape"])
            offset += count * stored.itemsize
    if offset != len(weights):
        raise ConversionError(f"the weights are {len(weights)} bytes, the graph names {offset}")
    return constants


def _key(name: str) -> tuple[str, int]:
    base, _, index = name.partition(":")
    return base, int(index or 0)


def _attribute(node: Node, key: str, default: Any = None) -> Any:
    """A node's attribute as a Python value; strings come in base64."""
    value = node.get("attr", {}).get(key)
    if value is None:
        return default
    if "list" in value:
        return [int(i) for i in value["list"].get("i", [])]
    if "s" in value:
        return base64.b64decode(value["s"]).decode()
    if "shape" in value:
        return [int(dim["size"]) for dim in value["shape"].get("dim", [])]
    return next(iter(value.values()))


class _Converter:
    """One conversion. A tensor is known by its constant value (`fixed`) or by its name in the new graph (`made`)."""

    def __init__(self, nodes: list[Node], constants: dict[str, Array]) -> None:
        self._nodes = {node["name"]: node for node in nodes}
        self._constants = constants
        self._fixed: dict[tuple[str, int], Array] = {}
        self._made: dict[tuple[str, int], str] = {}
        self._graph: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []

    def convert(self, outputs: list[str]) -> onnx.ModelProto:
        for node in self._in_order(outputs):
            self._node(node)
        results = []
        for name in sorted(outputs):
            self._graph.append(helper.make_node("Identity", [self._tensor(name)], [f"out:{name}"]))
            results.append(helper.make_tensor_value_info(f"out:{name}", TensorProto.FLOAT, None))
        graph = helper.make_graph(self._graph, "tfjs", self._inputs, results, self._initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)

    def _in_order(self, outputs: list[str]) -> list[Node]:
        """What the outputs need, inputs before users, without recursion."""
        order: list[Node] = []
        seen: set[str] = set()
        done: set[str] = set()
        stack = list(outputs)
        while stack:
            name = stack[-1]
            needs = [_key(i)[0] for i in self._nodes[name].get("input", [])]
            missing = [need for need in needs if need not in done]
            if name in done:
                stack.pop()
            elif not missing:
                done.add(name)
                order.append(self._nodes[name])
                stack.pop()
            elif name in seen:
                raise ConversionError(f"the graph has a cycle at {name}")
            else:
                seen.add(name)
                stack += missing
        return order

    def _node(self, node: Node) -> None:
        name, op, inputs = node["name"], node["op"], [_key(i) for i in node.get("input", [])]
        if op == "Const":
            self._fixed[name, 0] = self._constants[name]
        elif op == "Placeholder":
            self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, _attribute(node, "shape")))
            self._made[name, 0] = name
        elif op in _FOLDS and all(i in self._fixed for i in inputs):
            self._fixed[name, 0] = _FOLDS[op](*(self._fixed[i] for i in inputs))
        elif op in _OPERATIONS:
            for index, made in enumerate(_OPERATIONS[op](self, node)):
                self._made[name, index] = made
        else:
            raise ConversionError(f"operation {op} at {name} is not in the table")

    # ---- what the operations below use

    def fixed(self, node: Node, index: int) -> Array:
        """Input `index` of a node, which must be constant."""
        key = _key(node["input"][index])
        if key not in self._fixed:
            raise ConversionError(f"{node['op']} at {node['name']}: input {index} is not constant")
        return self._fixed[key]

    def input(self, node: Node, index: int) -> str:
        """The name of input `index` of a node in the new graph."""
        return self._tensor(node["input"][index])

    def _tensor(self, name: str) -> str:
        key = _key(name)
        if key not in self._made:
            self._made[key] = self.constant(self._fixed[key])
        return self._made[key]

    def constant(self, value: Array) -> str:
        """A constant of the new graph."""
        name = f"c{len(self._initializers)}"
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, op: str, inputs: list[str], count: int = 1, **attributes: Any) -> list[str]:
        """A node of the new graph; its outputs."""
        outputs = [f"n{len(self._graph)}.{i}" for i in range(count)]
        self._graph.append(helper.make_node(op, inputs, outputs, **attributes))
        return outputs

    def channels_first(self, op: str, inputs: list[str], **attributes: Any) -> list[str]:
        """An operation that ONNX knows channels-first, on a channels-last tensor."""
        (turned,) = self.add("Transpose", inputs[:1], perm=_TO_CHANNELS_FIRST)
        (result,) = self.add(op, [turned, *inputs[1:]], **attributes)
        return self.add("Transpose", [result], perm=_TO_CHANNELS_LAST)


def _sparse_to_dense(indices: Array, shape: Array, values: Array, default: Array) -> Array:
    dense = np.full(tuple(shape), default, values.dtype)
    dense[tuple(indices.reshape(-1, dense.ndim).T)] = values
    return dense


_FOLDS: dict[str, Callable[..., Array]] = {"AddV2": np.add, "SparseToDense": _sparse_to_dense}


def _same(op: str) -> Callable[[_Converter, Node], list[str]]:
    """The same operation under ONNX's name, all inputs tensors."""
    return lambda c, node: c.add(op, [c.input(node, i) for i in range(len(node["input"]))])


def _window(node: Node, name: str) -> list[int]:
    """The two middle numbers of a channels-last attribute."""
    values = _attribute(node, name)
    if len(values) != 4 or values[0] != 1 or values[3] != 1:
        raise ConversionError(f"{node['op']} at {node['name']}: {name} {values} is not read")
    return list(values[1:3])


def _only_valid(node: Node) -> None:
    if _attribute(node, "padding") != "VALID" or _attribute(node, "data_format", "NHWC") != "NHWC":
        raise ConversionError(f"{node['op']} at {node['name']}: only VALID padding, channels last, is read")


def _conv(c: _Converter, node: Node) -> list[str]:
    _only_valid(node)
    kernel = c.constant(c.fixed(node, 1).transpose(3, 2, 0, 1))
    return c.channels_first(
        "Conv",
        [c.input(node, 0), kernel],
        strides=_window(node, "strides"),
        dilations=_window(node, "dilations"),
    )


def _max_pool(c: _Converter, node: Node) -> list[str]:
    _only_valid(node)
    return c.channels_first(
        "MaxPool", [c.input(node, 0)], kernel_shape=_window(node, "ksize"), strides=_window(node, "strides")
    )


def _pad(c: _Converter, node: Node) -> list[str]:
    inputs = [c.input(node, 0), c.constant(c.fixed(node, 1).T.ravel().astype(np.int64))]
    if node["op"] == "PadV2":
        inputs.append(c.constant(c.fixed(node, 2).astype(np.float32).reshape(())))
    return c.add("Pad", inputs)


def _resize(c: _Converter, node: Node) -> list[str]:
    if _attribute(node, "align_corners") or not _attribute(node, "half_pixel_centers"):
        raise ConversionError(f"ResizeBilinear at {node['name']}: only half-pixel centres are read")
    (turned,) = c.add("Transpose", [c.input(node, 0)], perm=_TO_CHANNELS_FIRST)
    (shape,) = c.add("Shape", [turned])
    zero, two = c.constant(np.array([0], np.int64)), c.constant(np.array([2], np.int64))
    (kept,) = c.add("Slice", [shape, zero, two])
    (size,) = c.add("Concat", [kept, c.constant(c.fixed(node, 1).astype(np.int64))], axis=0)
    (scaled,) = c.add("Resize", [turned, "", "", size], mode="linear", coordinate_transformation_mode="half_pixel")
    return c.add("Transpose", [scaled], perm=_TO_CHANNELS_LAST)


def _split(c: _Converter, node: Node) -> list[str]:
    sizes = c.fixed(node, 1).astype(np.int64)
    return c.add("Split", [c.input(node, 0), c.constant(sizes)], len(sizes), axis=int(c.fixed(node, 2)))


def _concat(c: _Converter, node: Node) -> list[str]:
    last = len(node["input"]) - 1
    return c.add("Concat", [c.input(node, i) for i in range(last)], axis=int(c.fixed(node, last)))


def _reshape(c: _Converter, node: Node) -> list[str]:
    return c.add("Reshape", [c.input(node, 0), c.constant(c.fixed(node, 1).astype(np.int64))])


def _transpose(c: _Converter, node: Node) -> list[str]:
    return c.add("Transpose", [c.input(node, 0)], perm=[int(i) for i in c.fixed(node, 1)])


def _leaky_relu(c: _Converter, node: Node) -> list[str]:
    return c.add("LeakyRelu", [c.input(node, 0)], alpha=float(_attribute(node, "alpha", 0.2)))


_OPERATIONS: dict[str, Callable[[_Converter, Node], list[str]]] = {
    "Add": _same("Add"),
    "AddV2": _same("Add"),
    "ConcatV2": _concat,
    "Conv2D": _conv,
    "Identity": _same("Identity"),
    "LeakyRelu": _leaky_relu,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "PadV2": _pad,
    "Reshape": _reshape,
    "ResizeBilinear": _resize,
    "Sigmoid": _same("Sigmoid"),
    "SplitV": _split,
    "Transpose": _transpose,
}
