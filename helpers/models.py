"""Model builders. Every model takes images in 0..255 and does its own preprocessing inside."""

from __future__ import annotations

import functools
import math
import socket
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from helpers import checks
from helpers.runtime import course_path, kaggle_input, keras_home

if TYPE_CHECKING:
    import keras

SERVER_PATIENCE = 20.0  # seconds that the server of the ImageNet weights may keep silent

# Width and stride of each depthwise separable block of `small_backbone`. With the stem they
# halve the image four times.
SMALL_BACKBONE_BLOCKS = (
    (32, 1),
    (48, 2),
    (48, 1),
    (96, 2),
    (96, 1),
    (192, 2),
    (192, 1),
)


# The published backbones, and Keras' names for the files of their ImageNet weights. The weights
# of 224 pixels serve any image size.
BACKBONES = {
    "MobileNetV2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_224_no_top.h5",
    "MobileNetV3Small": "weights_mobilenet_v3_small_224_{alpha}_float_no_top_v2.h5",
    "VGG16": "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "ResNet50": "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "DenseNet121": "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
}


def dense_classifier(
    num_classes: int = 10,
    input_shape: tuple[int, ...] = (28, 28),
    *,
    logits: bool = True,
) -> keras.Model:
    """Build the classifier of dense layers only: 784-100-30-10, 81,840 parameters.

    Explained in notebook 02.

    Parameters
    ----------
    num_classes
        2 or more.
    input_shape
        shape of one image, such as ``(28, 28)`` or ``(28, 28, 1)``.
    logits
        True gives raw scores, for a loss with ``from_logits=True``; False gives probabilities.

    Returns
    -------
    keras.Model
        Maps uint8 or float images (batch, *input_shape) to float32 (batch, num_classes). Not
        compiled; weights are drawn from Keras' global seed.

    Raises
    ------
    ValueError
        For fewer than two classes.
    """
    from keras import Input, Model, layers

    inputs = Input(input_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescaling")(inputs)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(100, activation="relu", name="hidden_1")(x)
    x = layers.Dense(30, activation="relu", name="hidden_2")(x)
    outputs = _logits(x, num_classes)
    if not logits:
        outputs = layers.Softmax(dtype="float32", name="probabilities")(outputs)
    return Model(inputs, outputs, name="dense_classifier")


def small_cnn(
    num_classes: int,
    image_size: int = 180,
    *,
    dropout: float = 0.0,
    augmentation: keras.layers.Layer | None = None,
) -> keras.Model:
    """Build the three-block CNN that learns from scratch. Explained in notebook 06.

    Three times a 3x3 convolution (16, 32, 64 filters, ReLU) and a halving of the size, then 128
    dense units: 3,989,285 parameters at 180x180 with 5 classes, nearly all of them in the first
    dense layer.

    Parameters
    ----------
    num_classes
        2 or more.
    image_size
        height and width in pixels, 8 or more.
    dropout
        rate of the dropout after the last block, from 0 to 1; 0 leaves the layer out.
    augmentation
        a layer for images in 0..255 that acts in training only, put first. Explained in
        notebook 07.

    Returns
    -------
    keras.Model
        Maps uint8 or float images (batch, height, width, 3) to float32 logits (batch,
        num_classes). Not compiled; weights are drawn from Keras' global seed.

    Raises
    ------
    ValueError
        For fewer than two classes, an image too small or a rate out of range.
    """
    from keras import Input, Model, layers

    side = checks.check_count("image_size", image_size, 8)
    inputs = Input((side, side, 3), name="image")
    x = inputs
    if augmentation is not None:
        x = augmentation(x)
    x = layers.Rescaling(1 / 255, name="rescaling")(x)
    for block, filters in enumerate((16, 32, 64), start=1):
        convolve = layers.Conv2D(
            filters, 3, padding="same", activation="relu", name=f"conv_{block}"
        )
        x = convolve(x)
        x = layers.MaxPooling2D(name=f"pool_{block}")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(128, activation="relu", name="hidden")(x)
    return Model(inputs, _logits(x, num_classes), name="small_cnn")


def transfer_classifier(
    backbone: str,
    num_classes: int,
    image_size: int | None,
    weights: str | Path | None = "auto",
    *,
    alpha: float = 1.0,
    dropout: float = 0.2,
) -> keras.Model:
    """Put a new head on a pretrained backbone, frozen. Explained in notebook 10.

    The backbone's own preprocessing is inside, so every backbone takes the same images. Its
    batch normalisation runs in inference mode, in training too, because its layers are frozen:
    ``training=False`` in the call is not enough, since ``fit`` of Keras 3 overrides it. Train
    the head first (average pooling, dropout, one dense layer), then call `unfreeze`.

    Parameters
    ----------
    backbone
        ``"bundled"`` (`small_backbone`) or a key of `BACKBONES`, such as ``"MobileNetV2"``.
    num_classes
        2 or more.
    image_size
        height and width in pixels, 32 or more; ``None`` takes images of any such sides, so that
        a model can be trained on crops and judged on whole images. It pads like a model of one
        size where both sides are multiples of 32.
    weights
        ``"imagenet"``, ``"bundled"`` (only for the bundled backbone), the path of a weights
        file, ``None`` (random), or ``"auto"``: whichever of the first two fits. ImageNet
        weights are taken from ``$KERAS_HOME/models`` or a data set attached on Kaggle, under
        the file name that Keras gives them; else Keras downloads them.
    alpha
        width of the two MobileNets, relative to the published network.
    dropout
        rate of the head's dropout, from 0 to 1.

    Returns
    -------
    keras.Model
        Maps uint8 or float images (batch, height, width, 3) to float32 logits (batch,
        num_classes). Not compiled; the head is drawn from Keras' global seed.

    Raises
    ------
    ValueError
        For an unknown backbone or width, weights that do not exist or do not fit, an image too
        small, fewer than two classes or a rate out of range.
    ConnectionError
        If ImageNet weights are neither on this machine nor can be downloaded. A server that is
        silent for `SERVER_PATIENCE` counts as out of reach.
    """
    from keras import Input, Model, layers

    shape = (image_size, image_size, 3)
    base = _build_backbone(backbone, shape, weights, alpha)
    base.trainable = False
    inputs = Input(shape, name="image")
    x = _preprocess(inputs, backbone)
    x = base(x, training=False)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return Model(inputs, _logits(x, num_classes), name=f"{backbone}_classifier")


def unfreeze(model: keras.Model, last: float = 1.0) -> int:
    """Let the last layers of a transfer classifier's backbone learn. Explained in notebook 10.

    Batch normalisation layers stay frozen, so they keep their moving statistics and their
    scale. Compile the model again afterwards, with a low learning rate: Keras reads what is
    trainable when a model is compiled.

    Parameters
    ----------
    model
        from `transfer_classifier`, or the same loaded from a file. Changed in place.
    last
        fraction of the backbone's layers, counted from its output and rounded up: from 0, which
        freezes all of them, to 1.

    Returns
    -------
    int
        How many parameters of the backbone will learn.

    Raises
    ------
    ValueError
        If `model` has no backbone, or `last` is out of range.
    """
    import keras

    checks.check_number("last", last, 0.0, 1.0)
    backbones = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    if not backbones:
        raise ValueError(
            f"{model.name} has no backbone inside; unfreeze takes a model of "
            "transfer_classifier."
        )
    base = backbones[0]
    total = len(base.layers)
    first = total - math.ceil(last * total)
    base.trainable = True
    for position, layer in enumerate(base.layers):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = position >= first and not is_norm
    return sum(math.prod(weight.shape) for weight in base.trainable_weights)


def small_backbone(
    input_shape: tuple = (None, None, 3), weights: str | Path | None = None
) -> keras.Model:
    """Build the small convolutional backbone whose weights come with the course.

    A stem and seven depthwise separable blocks, each convolution followed by batch
    normalisation and a ReLU; blocks that keep size and width add their input to their output.
    There is no top: add pooling and a dense layer. Notebook 10 fine-tunes it.

    Parameters
    ----------
    input_shape
        Height, width and the three colour channels of one image. Height and width may be
        ``None``: any size.
    weights
        A ``.weights.h5`` file to load, such as the course's ``data/backbone.weights.h5``;
        ``None`` draws fresh weights from Keras' global seed.

    Returns
    -------
    keras.Model
        Maps float or uint8 images of shape (batch, height, width, 3) to float features of shape
        (batch, height / 16, width / 16, 192), both sizes rounded up. About 85,000 parameters.

    References
    ----------
    Howard et al. 2017, "MobileNets", arXiv:1704.04861, table 1 (narrower and shallower here).
    """
    from keras import Input, Model, layers

    def normalised(x, convolution):
        x = convolution(x)
        x = layers.BatchNormalization(name=f"{convolution.name}_bn")(x)
        return layers.ReLU(name=f"{convolution.name}_relu")(x)

    plain = {"padding": "same", "use_bias": False}
    inputs = Input(input_shape, name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    stem = layers.Conv2D(16, 3, 2, name="stem", **plain)
    x = normalised(x, stem)
    for block, (width, stride) in enumerate(SMALL_BACKBONE_BLOCKS, start=1):
        depthwise = layers.DepthwiseConv2D(3, stride, name=f"depthwise_{block}", **plain)
        pointwise = layers.Conv2D(width, 1, name=f"pointwise_{block}", **plain)
        shortcut = x
        x = normalised(x, depthwise)
        x = normalised(x, pointwise)
        if shortcut.shape == x.shape:
            x = layers.Add(name=f"add_{block}")([x, shortcut])
    return _load(Model(inputs, x, name="small_backbone"), weights)


def _logits(x, num_classes):
    """Add the last layer, in float32 under any precision: float16 loses small differences."""
    from keras import layers

    checks.check_count("num_classes", num_classes, 2)
    return layers.Dense(num_classes, dtype="float32", name="logits")(x)


def _preprocess(x, backbone):
    """Turn RGB in 0..255 into what a backbone was trained on, with layers that save."""
    from keras import layers, ops

    if backbone == "MobileNetV2":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocessing")(x)
    if backbone == "DenseNet121":
        mean = [123.675, 116.28, 103.53]
        variance = [58.395**2, 57.12**2, 57.375**2]
    elif backbone in ("ResNet50", "VGG16"):
        x = ops.flip(x, axis=-1)  # RGB to BGR
        mean = [103.939, 116.779, 123.68]
        variance = [1.0, 1.0, 1.0]
    else:
        return x  # the network rescales by itself
    normalise = layers.Normalization(mean=mean, variance=variance, name="preprocessing")
    return normalise(x)


def _build_backbone(backbone, shape, weights, alpha):
    import keras

    names = ["bundled", *BACKBONES]
    if backbone not in names:
        raise ValueError(f"backbone is {backbone!r}; choose one of {names}.")
    options = {"include_top": False, "input_shape": shape}
    if backbone.startswith("MobileNet"):
        options["alpha"] = alpha
    elif alpha != 1.0:
        raise ValueError(f"alpha is {alpha!r}; {backbone} comes in one width: leave alpha out.")
    if backbone == "bundled":
        if weights in ("auto", "bundled"):
            weights = course_path("data", "backbone.weights.h5")
        return small_backbone(shape, weights)
    build = functools.partial(getattr(keras.applications, backbone), **options)
    if weights in ("auto", "imagenet"):
        name = BACKBONES[backbone].format(alpha=float(alpha))
        weights = _file_at_hand(name)
        if weights is None:
            return _download(build, name)
    return _load(build(weights=None), weights)


def _load(base, file):
    """Give the backbone the weights of a file; None leaves it as it is."""
    if file is None:
        return base
    try:
        base.load_weights(Path(file).expanduser())
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(
            f"weights is {str(file)!r}, which does not hold the weights of {base.name}: "
            f"{error} Give the path of a file that does (delete one whose download broke off), "
            '"auto" for the weights that the backbone comes with, or None for random ones.'
        ) from error
    return base


def _file_at_hand(name):
    """Return a file of Keras' cache or of a data set attached on Kaggle, or None.

    Keras would find its cache by itself, but neither a read-only one nor one that was named
    after Keras was imported.
    """
    cached = keras_home() / "models" / name
    for file in [cached, *kaggle_input(name)]:
        if file.is_file():
            return file
    return None


def _download(build, name):
    """Let Keras download the ImageNet weights, or say what else can be done."""
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SERVER_PATIENCE)
    try:
        with warnings.catch_warnings():
            # Keras warns that weights of 224 pixels are used for another image size.
            warnings.filterwarnings("ignore", message="`input_shape` is undefined")
            return build(weights="imagenet")
    except ValueError as error:  # there are none of this width, or the file is damaged
        raise ValueError(f"{name}: {error}") from error
    except Exception as error:  # Keras raises the bare class when a download fails
        raise ConnectionError(
            f"The ImageNet weights {name} are not in {keras_home() / 'models'} and could not "
            f"be downloaded ({error}). Go online and try again; or put the file there under "
            "that name, or on Kaggle attach it as a data set; or use the course's own "
            'backbone: transfer_classifier("bundled", ...); or weights=None for random ones.'
        ) from error
    finally:
        socket.setdefaulttimeout(patience)
