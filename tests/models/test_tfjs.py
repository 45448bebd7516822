"""The converter gives the numbers of the operation's definition, and refuses whatever it has not been shown to."""

import base64
import json

import numpy as np
import pytest

from models import tfjs
from models.errors import ConversionError
from models.sessions import open_session

PICTURE = np.random.default_rng(1).normal(size=(1, 6, 8, 3)).astype(np.float32)  # batch, height, width, channels


def text(value: str) -> dict:
    return {"s": base64.b64encode(value.encode()).decode()}


def ints(*values: int) -> dict:
    return {"list": {"i": [str(value) for value in values]}}


def model(nodes: list[dict], constants: dict[str, np.ndarray], outputs=("out",), **changes) -> tuple[bytes, bytes]:
    """A graph with one input `x` of PICTURE's shape; half floats are marked as packed."""
    shape = {"shape": {"dim": [{"size": str(n)} for n in PICTURE.shape]}}
    specs, data = [], b""
    for name, value in constants.items():
        spec = {"name": name, "shape": list(value.shape), "dtype": "int32" if value.dtype == np.int32 else "float32"}
        if value.dtype == np.float16:
            spec["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        specs.append(spec)
        data += value.tobytes()
    document = {
        "modelTopology": {
            "node": [
                {"name": "x", "op": "Placeholder", "attr": {"shape": shape}},
                *({"name": name, "op": "Const"} for name in constants),
                *nodes,
            ]
        },
        "signature": {"outputs": {f"{name}:0": {} for name in outputs}},
        "weightsManifest": [{"paths": ["w.bin"], "weights": specs}],
        **changes,
    }
    return json.dumps(document).encode(), data


def run(nodes, constants, outputs=("out",)) -> list[np.ndarray]:
    session = open_session(tfjs.convert(*model(nodes, constants, outputs)).SerializeToString())
    return session.run([f"out:{name}" for name in outputs], {"x": PICTURE})


def node(op: str, *inputs: str, name: str = "out", **attributes) -> dict:
    return {"name": name, "op": op, "input": list(inputs), "attr": attributes}


VALID = {"padding": text("VALID"), "data_format": text("NHWC"), "explicit_paddings": {"list": {}}}
KERNEL = np.random.default_rng(2).normal(size=(3, 2, 3, 4)).astype(np.float16)


def convolved(strides: tuple[int, int], dilations: tuple[int, int]) -> np.ndarray:
    """The definition, in loops: sum over the window of picture times kernel."""
    kernel = KERNEL.astype(np.float64)
    high = (PICTURE.shape[1] - (kernel.shape[0] - 1) * dilations[0] - 1) // strides[0] + 1
    wide = (PICTURE.shape[2] - (kernel.shape[1] - 1) * dilations[1] - 1) // strides[1] + 1
    out = np.zeros((1, high, wide, kernel.shape[3]))
    for y in range(high):
        for x in range(wide):
            for i in range(kernel.shape[0]):
                for j in range(kernel.shape[1]):
                    seen = PICTURE[0, y * strides[0] + i * dilations[0], x * strides[1] + j * dilations[1]]
                    out[0, y, x] += seen.astype(np.float64) @ kernel[i, j]
    return out


@pytest.mark.parametrize(
    ("strides", "dilations"),
    [((1, 1), (1, 1)), ((2, 1), (1, 1)), ((2, 2), (1, 1)), ((1, 1), (2, 3))],  # plain, uneven, usual, with holes
)
def test_convolution(strides, dilations):
    nodes = [node("Conv2D", "x", "k", strides=ints(1, *strides, 1), dilations=ints(1, *dilations, 1), **VALID)]
    np.testing.assert_allclose(run(nodes, {"k": KERNEL})[0], convolved(strides, dilations), atol=1e-4)


def test_max_pool():
    out = run([node("MaxPool", "x", ksize=ints(1, 3, 3, 1), strides=ints(1, 2, 2, 1), **VALID)], {})[0]
    expected = [[PICTURE[0, y : y + 3, x : x + 3].max(axis=(0, 1)) for x in (0, 2, 4)] for y in (0, 2)]
    np.testing.assert_array_equal(out[0], expected)


def test_resize_takes_half_pixel_centres():
    """Each new pixel lies at (i + 0.5) / scale - 0.5 of the old, between its two neighbours, clamped at the edge."""
    sizes = {"s": np.array([12, 16], np.int32)}
    flags = {"half_pixel_centers": {"b": True}, "align_corners": {"b": False}}
    out = run([node("ResizeBilinear", "x", "s", **flags)], sizes)[0]

    def along(axis: int, picture: np.ndarray) -> np.ndarray:
        n = picture.shape[axis]
        places = np.clip((np.arange(2 * n) + 0.5) / 2 - 0.5, 0, n - 1)
        low = np.floor(places).astype(int)
        part = (places - low).reshape([-1 if a == axis else 1 for a in range(4)])
        high = np.minimum(low + 1, n - 1)
        return picture.take(low, axis) * (1 - part) + picture.take(high, axis) * part

    np.testing.assert_allclose(out, along(2, along(1, PICTURE.astype(np.float64))), atol=1e-5)


PADS = np.array([[0, 0], [1, 2], [3, 0], [0, 0]], np.int32)


@pytest.mark.parametrize(
    ("nodes", "constants", "expected"),
    [
        # Zeros around, more on one side than on the other
        ([node("Pad", "x", "p")], {"p": PADS}, np.pad(PICTURE, PADS)),
        # The same with a value, as before a pool
        (
            [node("PadV2", "x", "p", "v")],
            {"p": PADS, "v": np.array(-9, np.float32)},
            np.pad(PICTURE, PADS, constant_values=-9),
        ),
        # A constant that is added channel by channel
        ([node("AddV2", "x", "b")], {"b": np.array([1, 2, 3], np.float32)}, PICTURE + np.array([1, 2, 3], np.float32)),
        ([node("Add", "x", "x")], {}, PICTURE * 2),
        # Below zero a tenth is left
        ([node("LeakyRelu", "x", alpha={"f": 0.1})], {}, np.where(PICTURE > 0, PICTURE, PICTURE * 0.1)),
        ([node("Sigmoid", "x")], {}, 1 / (1 + np.exp(-PICTURE))),
        ([node("Transpose", "x", "p")], {"p": np.array([0, 3, 1, 2], np.int32)}, PICTURE.transpose(0, 3, 1, 2)),
        ([node("Reshape", "x", "s")], {"s": np.array([1, 48, 3], np.int32)}, PICTURE.reshape(1, 48, 3)),
        # Along an axis counted from the end
        (
            [node("ConcatV2", "x", "x", "a")],
            {"a": np.array(-1, np.int32)},
            np.concatenate([PICTURE, PICTURE], -1),
        ),
        # A second output of a node
        (
            [node("SplitV", "x", "n", "a", name="cut"), node("Identity", "cut:1")],
            {"n": np.array([1, 2], np.int32), "a": np.array(3, np.int32)},
            PICTURE[..., 1:],
        ),
        # A shape that is computed from constants: zeros but for one place, plus another constant
        (
            [
                node("SparseToDense", "i", "n", "v", "z", name="dense"),
                node("AddV2", "dense", "rest", name="shape"),
                node("Reshape", "x", "shape"),
            ],
            {
                "i": np.array([[1]], np.int32),
                "n": np.array([3], np.int32),
                "v": np.array([48], np.int32),
                "z": np.array(0, np.int32),
                "rest": np.array([1, 0, 3], np.int32),
            },
            PICTURE.reshape(1, 48, 3),
        ),
    ],
)
def test_operations_give_the_numbers_of_their_definition(nodes, constants, expected):
    np.testing.assert_allclose(run(nodes, constants)[0], expected, atol=1e-6)


def test_every_output_of_the_signature_is_there():
    first, second = run([node("Add", "x", "x", name="a"), node("Sigmoid", "x", name="b")], {}, ("a", "b"))
    np.testing.assert_array_equal(first, PICTURE * 2)
    assert second.shape == PICTURE.shape


SAME = {**VALID, "padding": text("SAME")}
CONV = {"strides": ints(1, 1, 1, 1), "dilations": ints(1, 1, 1, 1)}


@pytest.mark.parametrize(
    ("nodes", "constants", "says"),
    [
        ([node("Softmax", "x")], {}, "operation Softmax at out is not in the table"),
        ([node("Conv2D", "x", "k", **CONV, **SAME)], {"k": KERNEL}, "only VALID"),  # padding rules differ by size
        ([node("Conv2D", "x", "k", **CONV, **{**VALID, "data_format": text("NCHW")})], {"k": KERNEL}, "channels last"),
        ([node("Conv2D", "x", "x", **CONV, **VALID)], {}, "input 1 is not constant"),
        ([node("MaxPool", "x", ksize=ints(2, 3, 3, 1), strides=ints(1, 2, 2, 1), **VALID)], {}, "ksize"),
        (
            [node("ResizeBilinear", "x", "s", align_corners={"b": True}, half_pixel_centers={"b": False})],
            {"s": np.array([12, 16], np.int32)},
            "half-pixel",
        ),
        ([node("Add", "x", "y", name="out"), node("Add", "x", "out", name="y")], {}, "cycle"),
        ([node("Add", "x", "gone")], {}, "gone"),  # an input that nobody makes
        ([], {}, "out"),  # an output that nobody makes
    ],
)
def test_what_is_not_known_is_refused_never_guessed(nodes, constants, says):
    with pytest.raises(ConversionError, match=says):
        tfjs.convert(*model(nodes, constants))


@pytest.mark.parametrize(
    ("graph", "weights", "says"),
    [
        (b"{", b"", "not a tfjs graph"),  # torn
        (b"{}", b"", "not a tfjs graph"),  # empty
        (b"[1]", b"", "not a tfjs graph"),  # another document
        (model([node("Add", "x", "b")], {"b": np.zeros(3, np.float32)})[0], b"\0" * 11, "not a tfjs graph"),  # short
        (model([node("Add", "x", "b")], {"b": np.zeros(3, np.float32)})[0], b"\0" * 13, "the graph names 12"),  # long
    ],
)
def test_a_file_that_is_torn_or_no_graph_is_refused(graph, weights, says):
    with pytest.raises(ConversionError, match=says):
        tfjs.convert(graph, weights)


def test_weights_packed_in_another_way_are_refused():
    graph, weights = model([node("Add", "x", "b")], {"b": np.zeros(3, np.float16)})
    with pytest.raises(ConversionError, match="uint8"):
        tfjs.convert(graph.replace(b'"dtype": "float16"', b'"dtype": "uint8"'), weights)
