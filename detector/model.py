"""InceptionResNetV2-BiLSTM.

The backbone is Keras's InceptionResNetV2 (Szegedy et al., "Inception-v4,
Inception-ResNet and the Impact of Residual Connections on Learning", 2016),
cut at a layer of one's choice. The head reads the backbone's feature map as a
sequence, in one of two ways:

* ``sequence="rows"``: one face; the sequence is the 8 rows of its map, so a face
  yields 8 predictions;
* ``sequence="frames"``: a window of 8 faces of one person; the sequence is time.

Importing this module does not import TensorFlow; building a model does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

SEQUENCES = ("rows", "frames")
SEQUENCE_LENGTH = 8
"""Rows of a map, or faces of a window; also the predictions of one pass."""

GRID = {"rows": 8, "frames": 4}
"""Cells per side the map is averaged to, by reading."""

SEED_CUT = "block8_1_ac"
"""The seed's "up to Inception-ResNet1-C"."""

FULL_CUT = "conv_7b_ac"
"""The end of the network, as in the seed's notebook."""

_AUTOMATIC_NAME = re.compile(r"^(conv2d|batch_normalization|activation)(?:_(\d+))?$")


def build_model(
    sequence: str = "rows",
    backbone_cut: str = SEED_CUT,
    image_size: int = 300,
    weights: str | None = None,
    *,
    dense_layers: int = 2,
    dense_units: int = 128,
    lstm_units: tuple[int, int] = (128, 64),
    top_units: int = 64,
    dropout: float = 0.5,
    lstm_dropout: float = 0.2,
) -> keras.Model:
    """Build the network.

    Args:
        sequence: ``"rows"`` or ``"frames"``.
        backbone_cut: name of the InceptionResNetV2 layer whose output is the map.
        image_size: side of the input in pixels; the map must be at least as large as
            the grid the head reads (8×8 for rows, 4×4 for frames).
        weights: ``None`` (random), ``"imagenet"`` (downloaded by Keras), or a path to
            ``.npz`` arrays keyed ``layer/variable`` for some of the backbone's layers.
        dense_layers: how many Dense layers of ``dense_units`` stand before the BiLSTMs.
        lstm_units: units of the two BiLSTMs, for each direction.
        top_units: units of the Dense layer after them.
        dropout: of the Dense layers.
        lstm_dropout: input and recurrent dropout of the BiLSTMs.

    Returns:
        A model with the layers ``backbone`` and ``head``. Rows: input
        (n, size, size, 3), frames: (n, 8, size, size, 3), both ``float32`` in −1…1;
        output (n, 8, 2), a softmax over (FAKE, REAL) for each step.

    Raises:
        ValueError: an unknown sequence or cut, or an image too small for the cut.

    Example::

        model = build_model("rows", "block35_10_ac", image_size=160)
        model(np.zeros((1, 160, 160, 3), "float32")).shape   # (1, 8, 2)
    """
    import keras

    if sequence not in SEQUENCES:
        raise ValueError(f"sequence must be one of {SEQUENCES}, got {sequence!r}")
    backbone = build_backbone(backbone_cut, image_size, weights)
    map_shape = backbone.output.shape[1:]
    grid = GRID[sequence]
    if min(map_shape[0], map_shape[1]) < grid:
        raise ValueError(
            f"image_size {image_size} gives a {map_shape[0]}×{map_shape[1]} map at "
            f"{backbone_cut!r}; the head for {sequence!r} needs at least {grid}×{grid}"
        )
    head = _build_head(
        sequence, map_shape, dense_layers, dense_units, lstm_units, top_units, dropout, lstm_dropout
    )
    if sequence == "rows":
        images = keras.Input((image_size, image_size, 3), name="faces")
        return keras.Model(images, head(backbone(images)), name="framevote_rows")
    images = keras.Input((SEQUENCE_LENGTH, image_size, image_size, 3), name="windows")
    # Time is folded into the batch: TimeDistributed would unroll the backbone 8 times.
    folded = keras.ops.reshape(images, (-1, image_size, image_size, 3))
    maps = backbone(folded)
    unfolded = keras.ops.reshape(maps, (-1, SEQUENCE_LENGTH, *map_shape))
    return keras.Model(images, head(unfolded), name="framevote_frames")


def build_backbone(cut: str, image_size: int, weights: str | None = None) -> keras.Model:
    """InceptionResNetV2 up to the layer ``cut``; arguments as ``build_model``.

    The returned model carries ``canonical_names``: layer ▸ the name a fresh process
    would have given it. Keras numbers unnamed layers per process, so its own names
    cannot key a weights file.
    """
    import keras

    full = keras.applications.InceptionResNetV2(
        include_top=False,
        weights="imagenet" if weights == "imagenet" else None,
        input_shape=(image_size, image_size, 3),
    )
    names = _canonical_names(full)
    by_name = {name: layer for layer, name in names.items()}
    if cut not in by_name:
        raise ValueError(f"InceptionResNetV2 has no layer {cut!r}")
    backbone = keras.Model(full.inputs, by_name[cut].output, name="backbone")
    backbone.canonical_names = {layer: names[layer] for layer in backbone.layers}
    if weights not in (None, "imagenet"):
        with np.load(str(weights), allow_pickle=False) as arrays:
            load_backbone_arrays(backbone, dict(arrays))
    return backbone


def load_backbone_arrays(backbone: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Set the backbone's variables that ``arrays`` names (``layer/variable``).

    Raises:
        ValueError: a key the backbone does not have, or an array of another shape.
    """
    variables = {
        f"{name}/{variable.name}": variable
        for layer, name in backbone.canonical_names.items()
        for variable in layer.weights
    }
    for key, array in arrays.items():
        if key not in variables:
            raise ValueError(f"the backbone has no variable {key!r}")
        if tuple(variables[key].shape) != array.shape:
            raise ValueError(
                f"{key!r} has shape {array.shape}, expected {tuple(variables[key].shape)}"
            )
        variables[key].assign(array)


def freeze_through(backbone: keras.Model, last_frozen: str | None) -> None:
    """Freeze the backbone's layers from the input up to and including ``last_frozen``.

    ``None`` freezes nothing. Frozen BatchNormalization runs in inference mode (Keras).

    Raises:
        ValueError: no such layer in this backbone.
    """
    by_name = {name: layer for layer, name in backbone.canonical_names.items()}
    for layer in backbone.layers:
        layer.trainable = True
    if last_frozen is None:
        return
    if last_frozen not in by_name:
        raise ValueError(f"the backbone has no layer {last_frozen!r}")
    import keras

    stem = keras.Model(backbone.inputs, by_name[last_frozen].output)
    for layer in stem.layers:
        layer.trainable = False


def freeze_all_but_last(backbone: keras.Model, count: int) -> None:
    """Freeze all backbone layers but the last ``count`` (the seed: 4); 0 freezes all."""
    if count < 0:
        raise ValueError(f"count must not be negative, got {count}")
    first_trainable = len(backbone.layers) - count
    for position, layer in enumerate(backbone.layers):
        layer.trainable = position >= first_trainable


def quiet_residuals(backbone: keras.Model) -> None:
    """Zero the last convolution of each residual block.

    Each block then starts as the identity, so a warm-started stem is not drowned by
    random blocks behind it (Goyal et al., "Accurate, Large Minibatch SGD", 2017).
    """
    for layer, name in backbone.canonical_names.items():
        if re.fullmatch(r"block\d+_\d+_conv", name):
            for variable in layer.weights:
                variable.assign(np.zeros(variable.shape, np.float32))


def named_variables(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Every weight of a built model with a name that is the same in each process."""
    import keras

    backbone, head = model.get_layer("backbone"), model.get_layer("head")
    for layer, name in backbone.canonical_names.items():
        for variable in layer.weights:
            yield f"backbone/{name}/{variable.name}", variable
    for layer in head.layers:
        if isinstance(layer, keras.layers.Bidirectional):
            for direction in ("forward", "backward"):
                for variable in getattr(layer, f"{direction}_layer").weights:
                    yield f"head/{layer.name}/{direction}/{variable.name}", variable
        else:
            for variable in layer.weights:
                yield f"head/{layer.name}/{variable.name}", variable


def _build_head(
    sequence: str,
    map_shape: tuple[int, int, int],
    dense_layers: int,
    dense_units: int,
    lstm_units: tuple[int, int],
    top_units: int,
    dropout: float,
    lstm_dropout: float,
) -> keras.Model:
    """The sequence head; a Dense layer works on the last axis, so on each step alike."""
    import keras
    from keras import layers

    grid = GRID[sequence]
    pool = layers.AdaptiveAveragePooling2D((grid, grid), name="cells")
    channels = map_shape[-1]
    if sequence == "rows":
        inputs = keras.Input(map_shape, name="map")
        x = inputs if map_shape[:2] == (grid, grid) else pool(inputs)
    else:
        inputs = keras.Input((SEQUENCE_LENGTH, *map_shape), name="maps")
        x = keras.ops.reshape(inputs, (-1, *map_shape))
        x = x if map_shape[:2] == (grid, grid) else pool(x)
        x = keras.ops.reshape(x, (-1, SEQUENCE_LENGTH, grid, grid, channels))
    for number in range(1, dense_layers + 1):
        x = layers.Dense(dense_units, name=f"cell_dense_{number}")(x)
    x = layers.Dropout(dropout, name="cell_dropout")(x)
    cells = grid if sequence == "rows" else grid * grid
    features = dense_units if dense_layers else channels
    x = layers.Reshape((SEQUENCE_LENGTH, cells * features), name="flatten_steps")(x)
    for number, units in enumerate(lstm_units, start=1):
        lstm = layers.LSTM(
            units,
            return_sequences=True,
            dropout=lstm_dropout,
            recurrent_dropout=lstm_dropout,
        )
        x = layers.Bidirectional(lstm, name=f"bilstm_{number}")(x)
    x = layers.Dense(top_units, activation="relu", name="top_dense")(x)
    x = layers.Dropout(dropout, name="top_dropout")(x)
    # float32 under mixed precision too: a softmax in half precision saturates.
    x = layers.Dense(2, activation="softmax", dtype="float32", name="classes")(x)
    return keras.Model(inputs, x, name="head")


def _canonical_names(model: keras.Model) -> dict[Any, str]:
    """Layer ▸ name in a fresh process, by order of creation within each automatic kind."""
    numbered: dict[str, list[tuple[int, Any]]] = {}
    names: dict[Any, str] = {}
    for layer in model.layers:
        match = _AUTOMATIC_NAME.match(layer.name)
        if match:
            numbered.setdefault(match[1], []).append((int(match[2] or 0), layer))
        else:
            names[layer] = layer.name
    for kind, entries in numbered.items():
        for rank, (_, layer) in enumerate(sorted(entries, key=lambda entry: entry[0])):
            names[layer] = kind if rank == 0 else f"{kind}_{rank}"
    return names
