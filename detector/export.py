"""A trained network as an ONNX graph, which ONNX Runtime computes faster than TensorFlow does.

The graph is that of ``model.build_model`` in inference: no dropout, batch statistics fixed and
multiplied into the convolutions before them, and so are the residual blocks' scales. ONNX
Runtime orders channels before rows and columns, so pictures are turned once, at the entrance.

Needs TensorFlow for nothing but the model it is given, which has to be loaded by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from detector.model import GRID, SEQUENCE_LENGTH

if TYPE_CHECKING:
    import keras

OPSET = 17
IR_VERSION = 8
INPUT, OUTPUT = "pictures", "predictions"

Floats = npt.NDArray[np.float32]

NOTHING = np.zeros((), np.float32)


class Graph:
    """An ONNX graph that grows node by node; tensors go by their names."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operation: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; the name of its output, or a list of names if there are several."""
        names = [f"{operation}_{len(self._nodes)}_{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(operation, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, values: npt.ArrayLike, dtype: type = np.float32) -> str:
        """The name of a tensor with these values."""
        name = f"constant_{len(self._constants)}"
        array: npt.NDArray[Any] = np.asarray(values, dtype=dtype, order="C")
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def convolve(
        self, x: str, kernel: Floats, bias: Floats | None = None, **attributes: Any
    ) -> str:
        """A convolution; ``kernel`` as Keras has it: rows, columns, channels in, channels out."""
        inputs = [x, self.constant(kernel.transpose(3, 2, 0, 1))]
        if bias is not None:
            inputs.append(self.constant(bias))
        return str(self.add("Conv", *inputs, **attributes))

    def reshape(self, x: str, *shape: int) -> str:
        """0 keeps a size, -1 is what is left, as in ONNX."""
        return str(self.add("Reshape", x, self.constant(shape, np.int64)))

    def serialized(
        self,
        takes: tuple[str, Sequence[int | str | None]],
        gives: Sequence[tuple[str, str, Sequence[int | str | None]]],
    ) -> bytes:
        """The finished graph.

        Args:
            takes: name and shape of the input, ``float32``.
            gives: the tensor, the name it gets, and its shape, for each output.
        """
        for tensor, name, _shape in gives:
            self._nodes.append(helper.make_node("Identity", [tensor], [name]))
        graph = helper.make_graph(
            self._nodes,
            "framevote",
            [helper.make_tensor_value_info(takes[0], TensorProto.FLOAT, takes[1])],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for _, n, shape in gives],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def to_onnx(model: keras.Model, sequence: str) -> bytes:
    """The graph of a model that ``build_model`` built.

    Args:
        model: rows or frames, as ``sequence`` says, with its weights.

    Returns:
        An ONNX file. Input ``pictures``: ``float32``, of the model's input shape; output
        ``predictions``: ``float32``, (n, 8, 2), as the model's.

    Raises:
        ValueError: a layer that no InceptionResNetV2 has.
    """
    graph = Graph()
    backbone, head = model.get_layer("backbone"), model.get_layer("head")
    size = backbone.inputs[0].shape[1]
    shape: list[int | str | None] = ["n", size, size, 3]
    pictures = INPUT
    if sequence == "frames":
        shape.insert(1, SEQUENCE_LENGTH)
        pictures = graph.reshape(pictures, -1, size, size, 3)
    maps = _add_backbone(graph, backbone, graph.add("Transpose", pictures, perm=[0, 3, 1, 2]))
    answers = _add_head(graph, head, maps, backbone.outputs[0].shape[1:3], GRID[sequence])
    return graph.serialized((INPUT, shape), [(answers, OUTPUT, ["n", SEQUENCE_LENGTH, 2])])


def _add_backbone(graph: Graph, backbone: keras.Model, pictures: str) -> str:
    import keras

    names = {id(backbone.inputs[0]): pictures}
    after: dict[int, tuple[Floats, Floats]] = {}
    for layer in backbone.layers:
        if type(layer).__name__ == "CustomScaleLayer":
            after[id(layer.input[1])] = np.asarray(layer.scale, np.float32), NOTHING
        elif type(layer).__name__ == "BatchNormalization":
            after[id(layer.input)] = _normalization(layer)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        sources = layer.input if isinstance(layer.input, list) else [layer.input]
        inputs = [names[id(source)] for source in sources]
        names[id(layer.output)] = _add_layer(
            graph, layer, inputs, after.pop(id(layer.output), None)
        )
    return names[id(backbone.outputs[0])]


def _add_layer(
    graph: Graph, layer: Any, inputs: list[str], after: tuple[Floats, Floats] | None
) -> str:
    """``after``: a factor and a summand of each channel, which the layer's answer gets."""
    kind = type(layer).__name__
    weights = [np.asarray(weight) for weight in layer.weights]
    if kind == "Conv2D" and layer.activation.__name__ == "linear":
        bias = weights[1] if layer.use_bias else np.zeros(layer.filters, np.float32)
        factor, summand = after or (np.ones((), np.float32), NOTHING)
        return graph.convolve(
            inputs[0],
            weights[0] * factor,
            bias * factor + summand,
            strides=list(layer.strides),
            pads=_pads(layer.padding, layer.kernel_size, layer.strides),
        )
    if after:
        raise ValueError(
            f"{layer.name} ({kind}) is scaled or normalized; expected a convolution there"
        )
    if kind == "BatchNormalization":  # In the convolution before it already.
        return inputs[0]
    if kind == "Activation" and layer.activation.__name__ == "relu":
        return str(graph.add("Relu", inputs[0]))
    if kind in ("MaxPooling2D", "AveragePooling2D"):
        return str(
            graph.add(
                kind.removesuffix("ing2D"),
                inputs[0],
                kernel_shape=list(layer.pool_size),
                strides=list(layer.strides),
                pads=_pads(layer.padding, layer.pool_size, layer.strides),
            )
        )
    if kind == "Concatenate":
        return str(graph.add("Concat", *inputs, axis=1))
    if kind == "CustomScaleLayer":  # The scale is in the convolution already.
        return str(graph.add("Add", *inputs))
    raise ValueError(f"cannot export {layer.name}, a {kind}")


def _pads(padding: str, window: Sequence[int], strides: Sequence[int]) -> list[int]:
    """As Keras pads; with a stride it depends on the picture, and nothing here needs that."""
    if padding == "valid":
        return [0, 0, 0, 0]
    if set(strides) != {1} or not all(side % 2 for side in window):
        raise ValueError(f"cannot export padding {padding!r} of {window} with strides {strides}")
    return [side // 2 for side in window] * 2


def _normalization(layer: Any) -> tuple[Floats, Floats]:
    """Factor and summand of each channel."""
    mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    factor = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        factor = factor * np.asarray(layer.gamma)
    summand = -mean * factor
    if layer.center:
        summand = summand + np.asarray(layer.beta)
    return factor.astype(np.float32), summand.astype(np.float32)


def _add_head(graph: Graph, head: keras.Model, x: str, side: tuple[int, int], grid: int) -> str:
    layers = {layer.name: layer for layer in head.layers}
    if side != (grid, grid):
        # Averages over parts of rows and columns are products with a matrix from each side.
        x = graph.add("MatMul", x, graph.constant(_cell_shares(side[1], grid).T))
        x = graph.add("MatMul", graph.constant(_cell_shares(side[0], grid)), x)
    for name in sorted(name for name in layers if name.startswith("cell_dense_")):
        kernel, bias = (np.asarray(weight) for weight in layers[name].weights)
        x = graph.convolve(x, kernel[None, None], bias)
    x = graph.add("Transpose", x, perm=[0, 2, 3, 1])
    x = graph.reshape(x, -1, *layers["flatten_steps"].target_shape)
    x = graph.add("Transpose", x, perm=[1, 0, 2])  # ONNX counts steps before the batch.
    for name in sorted(name for name in layers if name.startswith("bilstm_")):
        x = _add_bilstm(graph, layers[name], x)
    x = graph.add("Relu", _add_dense(graph, layers["top_dense"], x))
    x = graph.add("Softmax", _add_dense(graph, layers["classes"], x), axis=-1)
    return str(graph.add("Transpose", x, perm=[1, 0, 2]))


def _cell_shares(side: int, grid: int) -> Floats:
    """(grid, side): which share each row of a map has in each cell's average, as Keras cuts."""
    shares = np.zeros((grid, side), np.float32)
    for cell in range(grid):
        start, end = cell * side // grid, -(-(cell + 1) * side // grid)
        shares[cell, start:end] = 1 / (end - start)
    return shares


def _add_bilstm(graph: Graph, layer: Any, x: str) -> str:
    """Keras orders the gates input, forget, cell, output; ONNX input, output, forget, cell."""
    inputs, recurrences, biases = [], [], []
    for direction in (layer.forward_layer, layer.backward_layer):
        kernel, recurrent, bias = (np.asarray(weight) for weight in direction.weights)
        inputs.append(_gates(kernel.T))
        recurrences.append(_gates(recurrent.T))
        biases.append(np.concatenate([_gates(bias), np.zeros_like(bias)]))
    units = layer.forward_layer.units
    parts = [graph.constant(np.stack(part)) for part in (inputs, recurrences, biases)]
    y = graph.add("LSTM", x, *parts, hidden_size=units, direction="bidirectional")
    y = graph.add("Transpose", y, perm=[0, 2, 1, 3])  # From steps, directions, batch, units.
    return graph.reshape(y, 0, 0, 2 * units)


def _gates(stacked: npt.NDArray[Any]) -> npt.NDArray[Any]:
    i, f, c, o = np.split(stacked, 4)
    return np.concatenate([i, o, f, c])


def _add_dense(graph: Graph, layer: Any, x: str) -> str:
    kernel, bias = (np.asarray(weight) for weight in layer.weights)
    return str(
        graph.add("Add", graph.add("MatMul", x, graph.constant(kernel)), graph.constant(bias))
    )
