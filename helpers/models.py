"""Model builders. Every model takes images in 0..255 and does its own preprocessing inside."""

from __future__ import annotations

import math
import socket
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from helpers import checks
from helpers.runtime import course_path, kaggle_input, keras_home

if TYPE_CHECKING:
    import keras

# Width and stride of each depthwise separable block of `small_backbone`: four halvings with the
# stem.
SMALL_BACKBONE_BLOCKS = ((32, 1), (48, 2), (48, 1), (96, 2), (96, 1), (192, 2), (192, 1))

# The heads of `transfer_classifier`: the layers before the logits, and the dropout rate unless
# told otherwise.
HEADS = {
    "pool": (("pool", "dropout"), 0.2),
    "pool-dense-dense": (("pool", "dense_256", "dropout", "dense_128"), 0.5),
    "pool-norm-dense": (("pool", "norm", "dense_256", "dropout"), 0.5),
    "norm-pool": (("norm", "dropout", "pool"), 0.2),
}

# Mean and standard deviation of ImageNet's red, green and blue.
IMAGENET_MEAN = (123.68, 116.779, 103.939)
TORCH_MEAN, TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

WEIGHTS_SITE = "https://storage.googleapis.com/tensorflow/keras-applications"
PATIENCE = 5.0  # seconds that the site may keep silent


@dataclass(frozen=True)
class Backbone:
    """What `transfer_classifier` must know of a network in ``keras.applications``.

    Attributes
    ----------
    preprocessing
        the scale it was trained with: ``"tf"`` (-1..1), ``"torch"`` (0..1, then standardised
        per channel), ``"caffe"`` (BGR, mean subtracted) or ``"inside"`` (the network rescales
        by itself).
    weights
        folder and file of the ImageNet weights without the top; ``{alpha}`` and ``{size}`` are
        filled in.
    md5
        checksum of that file, where its publisher names one.
    alphas
        the widths that ImageNet weights exist for.
    sizes
        the image sizes they exist for; any other size takes the last.
    """

    preprocessing: str
    weights: str
    md5: str | None = None
    alphas: tuple[float, ...] = (1.0,)
    sizes: tuple[int, ...] = (224,)


BACKBONES = {
    "MobileNetV2": Backbone(
        "tf",
        "mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{size}_no_top.h5",
        alphas=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
        sizes=(96, 128, 160, 192, 224),
    ),
    "MobileNetV3Small": Backbone(
        "inside",
        "mobilenet_v3/weights_mobilenet_v3_small_224_{alpha}_float_no_top_v2.h5",
        alphas=(0.75, 1.0),
    ),
    "VGG16": Backbone(
        "caffe",
        "vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "6d6bbae143d832006294945121d1f1fc",
    ),
    "ResNet50": Backbone(
        "caffe",
        "resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    "DenseNet121": Backbone(
        "torch",
        "densenet/densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "30ee3e1110167f948a6b9946edeeb738",
    ),
}


def dense_classifier(
    num_classes: int = 10,
    input_shape: tuple[int, ...] = (28, 28),
    hidden: tuple[int, ...] = (100, 30),
    *,
    logits: bool = True,
) -> keras.Model:
    """Build the classifier of dense layers only: 784-100-30-10, 81,840 parameters. Explained in notebook 02.

    Parameters
    ----------
    num_classes
        number of classes, 2 or more.
    input_shape
        shape of one image, such as ``(28, 28)`` or ``(28, 28, 1)``.
    hidden
        units of each hidden layer, with ReLU.
    logits
        True gives raw scores, for a loss with ``from_logits=True``; False gives probabilities
        (softmax).

    Returns
    -------
    keras.Model
        Maps uint8 or float images (batch, *input_shape) in 0..255 to float32 (batch,
        num_classes). Not compiled; weights are drawn from Keras' global seed.

    Raises
    ------
    ValueError
        For fewer than two classes or a size that is not positive.
    """
    from keras import Input, Model, layers

    checks.check_count("num_classes", num_classes, 2)
    if not input_shape or any(size < 1 for size in (*input_shape, *hidden)):
        raise ValueError(
            f"input_shape={input_shape!r} and hidden={hidden!r} must hold sizes of 1 or more."
        )
    inputs = Input(input_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescaling")(inputs)
    x = layers.Flatten(name="flatten")(x)
    for number, units in enumerate(hidden, start=1):
        x = layers.Dense(units, activation="relu", name=f"hidden_{number}")(x)
    return Model(inputs, _outputs(x, num_classes, logits), name="dense_classifier")


def small_cnn(
    num_classes: int,
    image_size: int | tuple[int, int] = 180,
    *,
    dropout: float = 0.0,
    augmentation: keras.layers.Layer | None = None,
    logits: bool = True,
) -> keras.Model:
    """Build the three-block CNN that learns from scratch. Explained in notebook 06.

    Three times a 3x3 convolution (16, 32, 64 filters, ReLU) and a halving of the size, then 128
    dense units: 3,989,285 parameters at 180x180 with 5 classes, nearly all of them in the first
    dense layer.

    Parameters
    ----------
    num_classes
        number of classes, 2 or more.
    image_size
        height and width in pixels (one number for a square), 8 or more.
    dropout
        rate of the dropout after the last block, from 0 to 0.99; 0 leaves the layer out.
    augmentation
        a layer for images in 0..255 that acts in training only, put first. Explained in
        notebook 07.
    logits
        True gives raw scores, for a loss with ``from_logits=True``; False gives probabilities
        (softmax).

    Returns
    -------
    keras.Model
        Maps uint8 or float images (batch, height, width, 3) in 0..255 to float32 (batch,
        num_classes). Not compiled; weights are drawn from Keras' global seed.

    Raises
    ------
    ValueError
        For fewer than two classes, an image too small or a rate out of range.
    """
    from keras import Input, Model, layers

    checks.check_count("num_classes", num_classes, 2)
    checks.check_number("dropout", dropout, 0.0, 0.99)
    inputs = Input((*_height_width(image_size, minimum=8), 3), name="image")
    x = inputs if augmentation is None else augmentation(inputs)
    x = layers.Rescaling(1 / 255, name="rescaling")(x)
    for block, filters in enumerate((16, 32, 64), start=1):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv_{block}")(
            x
        )
        x = layers.MaxPooling2D(name=f"pool_{block}")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(128, activation="relu", name="hidden")(x)
    return Model(inputs, _outputs(x, num_classes, logits), name="small_cnn")


def transfer_classifier(
    backbone: str,
    num_classes: int,
    image_size: int | tuple[int, int] | None,
    weights: str | Path | None = "auto",
    *,
    alpha: float = 1.0,
    head: str = "pool",
    dropout: float | None = None,
    logits: bool = True,
) -> keras.Model:
    """Put a new head on a pretrained backbone, frozen. Explained in notebook 10.

    The backbone's own preprocessing is inside, so every backbone takes the same images. Its
    batch normalisation runs in inference mode, in training too, because its layers are frozen:
    ``training=False`` in the call is not enough, since ``fit`` of Keras 3 overrides it. Train
    the head first, then call `unfreeze`, which leaves those layers frozen.

    Parameters
    ----------
    backbone
        ``"bundled"`` (`small_backbone`), ``"MobileNetV2"``, ``"MobileNetV3Small"``,
        ``"VGG16"``, ``"ResNet50"`` or ``"DenseNet121"``.
    num_classes
        number of classes, 2 or more.
    image_size
        height and width in pixels (one number for a square), 32 or more; ``None`` takes images
        of any such size, so that a model can be trained on crops and judged on whole images. It
        pads like a model of one size where both sides are multiples of 32.
    weights
        ``"imagenet"`` (taken from ``$KERAS_HOME/models``, else downloaded), ``"bundled"`` (only
        for the bundled backbone), the path of a weights file, ``None`` (random), or ``"auto"``:
        whichever of the first two fits.
    alpha
        width of the two MobileNets, relative to the published network.
    head
        the layers between the backbone and the classes: ``"pool"`` (average pooling, dropout),
        ``"pool-dense-dense"`` (average pooling, 256 ReLU units, dropout, 128 ReLU units),
        ``"pool-norm-dense"`` (average pooling, batch normalisation, 256 ReLU units, dropout) or
        ``"norm-pool"`` (batch normalisation, dropout, average pooling). Nothing ever follows
        the logits but a softmax.
    dropout
        rate from 0 to 0.99; ``None`` takes the head's own (see `HEADS`).
    logits
        True gives raw scores, for a loss with ``from_logits=True``; False gives probabilities
        (softmax).

    Returns
    -------
    keras.Model
        Maps uint8 or float images (batch, height, width, 3) in 0..255 to float32 (batch,
        num_classes). Not compiled; the head is drawn from Keras' global seed.

    Raises
    ------
    ValueError
        For an unknown backbone, head or width, weights that do not exist or do not fit, an
        image too small, fewer than two classes or a rate out of range.
    ConnectionError
        If ImageNet weights are neither on this machine nor can be downloaded. It never waits
        long to find out.
    """
    from keras import Input, Model

    checks.check_count("num_classes", num_classes, 2)
    if head not in HEADS:
        raise ValueError(f"head is {head!r}; choose one of {', '.join(map(repr, HEADS))}.")
    parts, usual_rate = HEADS[head]
    rate = usual_rate if dropout is None else dropout
    checks.check_number("dropout", rate, 0.0, 0.99)
    size = (None, None) if image_size is None else _height_width(image_size, minimum=32)
    base = _build_backbone(backbone, size, weights, alpha)
    base.trainable = False
    inputs = Input((*size, 3), name="image")
    x = _preprocess(
        inputs, BACKBONES[backbone].preprocessing if backbone in BACKBONES else "inside"
    )
    x = base(x, training=False)
    for part in parts:
        x = _head_layer(part, rate)(x)
    return Model(inputs, _outputs(x, num_classes, logits), name=f"{backbone}_classifier")


def unfreeze(model: keras.Model, last: int | float | None = None) -> int:
    """Let the last layers of a transfer classifier's backbone learn. Explained in notebook 10.

    Batch normalisation layers stay frozen, so they keep their moving statistics and their
    scale. Compile the model again afterwards, with a low learning rate: Keras reads what is
    trainable when a model is compiled.

    Parameters
    ----------
    model
        from `transfer_classifier`, or the same loaded from a file. Changed in place.
    last
        how much of the backbone, counted from its output: a number of layers (int, 0 freezes
        all of it), a fraction of its layers (float, over 0 and up to 1), or ``None`` for all.

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

    base = next((layer for layer in model.layers if isinstance(layer, keras.Model)), None)
    if base is None:
        raise ValueError(
            f"{model.name} has no backbone inside; unfreeze takes a model of "
            "transfer_classifier."
        )
    total = len(base.layers)
    share = isinstance(last, float)
    if isinstance(last, bool) or (
        last is not None and not (0 < last <= 1 if share else 0 <= last <= total)
    ):
        raise ValueError(
            f"last is {last!r}; {base.name} has {total} layers: give an integer from 0 to "
            f"{total}, a fraction over 0 "
            "and up to 1, or None for all."
        )
    count = total if last is None else math.ceil(last * total) if share else last
    base.trainable = True
    for position, layer in enumerate(base.layers):
        layer.trainable = position >= total - count and not isinstance(
            layer, keras.layers.BatchNormalization
        )
    return sum(math.prod(weight.shape) for weight in base.trainable_weights)


def small_backbone(
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    weights: str | Path | None = None,
    name: str = "small_backbone",
) -> keras.Model:
    """Build the small convolutional backbone whose weights come with the course.

    A stem and seven depthwise separable blocks, each convolution followed by batch
    normalisation and a ReLU; blocks that keep size and width add their input to their output.
    There is no top: add pooling and a dense layer. Notebook 10 fine-tunes it.

    Parameters
    ----------
    input_shape
        Height, width and the three colour channels of one image. Height and width may be
        ``None``: any size of 32 or more.
    weights
        A ``.weights.h5`` file to load, such as the course's ``data/backbone.weights.h5``;
        ``None`` draws fresh weights from Keras' global seed.
    name
        Name of the model.

    Returns
    -------
    keras.Model
        Maps float or uint8 images of shape (batch, height, width, 3) in 0..255 to float
        features of shape (batch, height / 16, width / 16, 192), both sizes rounded up. About
        85,000 parameters.

    Raises
    ------
    ValueError
        If `input_shape` is not (height, width, 3) with sizes of 32 or more.

    References
    ----------
    Howard et al. 2017, "MobileNets", arXiv:1704.04861, table 1 (narrower and shallower here).
    """
    from keras import Input, Model, layers

    sizes = tuple(input_shape)
    if (
        len(sizes) != 3
        or sizes[2] != 3
        or any(size is not None and size < 32 for size in sizes[:2])
    ):
        raise ValueError(
            f"small_backbone got input_shape={input_shape!r}; it takes (height, width, 3) "
            "with height and width of 32 "
            "or more, or None for any size. Resize the images or convert them to RGB first."
        )

    def normalise(x, layer_name):
        x = layers.BatchNormalization(name=f"{layer_name}_bn")(x)
        return layers.ReLU(name=f"{layer_name}_relu")(x)

    inputs = Input(sizes, name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = normalise(x, "stem")
    for block, (width, stride) in enumerate(SMALL_BACKBONE_BLOCKS, start=1):
        shortcut = x
        x = layers.DepthwiseConv2D(
            3, strides=stride, padding="same", use_bias=False, name=f"depthwise_{block}"
        )(x)
        x = normalise(x, f"depthwise_{block}")
        x = layers.Conv2D(width, 1, use_bias=False, name=f"pointwise_{block}")(x)
        x = normalise(x, f"pointwise_{block}")
        if x.shape[-1] == shortcut.shape[-1] and stride == 1:
            x = layers.Add(name=f"add_{block}")([x, shortcut])
    model = Model(inputs, x, name=name)
    if weights is not None:
        model.load_weights(weights)
    return model


def _outputs(x, num_classes: int, logits: bool):
    """Add the last layer, in float32 whatever the precision of the rest: a softmax in float16 loses small classes."""
    from keras import layers

    x = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return x if logits else layers.Softmax(dtype="float32", name="probabilities")(x)


def _head_layer(part: str, rate: float) -> keras.layers.Layer:
    from keras import layers

    if part.startswith("dense"):
        return layers.Dense(int(part.removeprefix("dense_")), activation="relu", name=part)
    if part == "dropout":
        return layers.Dropout(rate, name=part)
    return (
        layers.BatchNormalization(name=part)
        if part == "norm"
        else layers.GlobalAveragePooling2D(name=part)
    )


def _preprocess(x, mode: str):
    """Turn RGB in 0..255 into what a backbone was trained on, as ``keras.applications`` does, with layers that save."""
    from keras import layers, ops

    if mode == "tf":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocessing")(x)
    if mode == "torch":
        scale = [1 / (255 * std) for std in TORCH_STD]
        offset = [-mean / std for mean, std in zip(TORCH_MEAN, TORCH_STD, strict=True)]
        return layers.Rescaling(scale, offset=offset, name="preprocessing")(x)
    if mode == "caffe":
        x = layers.Rescaling(
            1.0, offset=[-mean for mean in IMAGENET_MEAN], name="preprocessing"
        )(x)
        return ops.flip(x, axis=-1)  # RGB to BGR
    return x


def _build_backbone(
    backbone: str, size: tuple[int | None, int | None], weights: str | Path | None, alpha: float
) -> keras.Model:
    import keras

    if backbone != "bundled" and backbone not in BACKBONES:
        raise ValueError(
            f"backbone is {backbone!r}; choose one of "
            f"{', '.join(map(repr, ('bundled', *BACKBONES)))}."
        )
    own = "bundled" if backbone == "bundled" else "imagenet"
    choices = f'give "{own}", the path of a weights file, or None for random weights'
    weights = own if weights == "auto" else weights
    if weights in ("bundled", "imagenet") and weights != own:
        raise ValueError(
            f"weights is {weights!r}, which backbone {backbone!r} does not have; {choices}."
        )
    alphas = BACKBONES[backbone].alphas if backbone in BACKBONES else (1.0,)
    if alpha not in alphas:
        raise ValueError(
            f"alpha is {alpha!r}; {backbone} comes in {', '.join(map(str, alphas))}."
        )
    if weights == "bundled":
        file = course_path("data", "backbone.weights.h5")
    elif weights == "imagenet":
        file = _imagenet_file(backbone, size, alpha)
    else:
        file = None if weights is None else Path(weights).expanduser()
    if file is not None and not file.is_file():
        raise ValueError(f"weights is {str(weights)!r}, which is no file; {choices}.")
    if backbone == "bundled":
        base = small_backbone((*size, 3))
    else:
        width = {"alpha": alpha} if len(alphas) > 1 else {}
        base = getattr(keras.applications, backbone)(
            include_top=False, weights=None, input_shape=(*size, 3), **width
        )
    if file is not None:
        try:
            base.load_weights(file)
        except (ValueError, OSError, KeyError) as error:
            raise ValueError(
                f"{file} does not hold the weights of {backbone} (alpha={alpha}). If it was "
                "downloaded, delete it and "
                "download it again."
            ) from error
    return base


def _imagenet_file(backbone: str, size: tuple[int | None, int | None], alpha: float) -> Path:
    """Return the weights file from Keras' cache or a data set attached on Kaggle, else download it into the cache."""
    spec = BACKBONES[backbone]
    fitting = size[0] if size[0] == size[1] and size[0] in spec.sizes else spec.sizes[-1]
    home = keras_home()
    # The weights of another image size fit too; the cached ones beat a download.
    urls = [
        f"{WEIGHTS_SITE}/{spec.weights.format(alpha=float(alpha), size=s)}"
        for s in (fitting, spec.sizes[-1])
    ]
    cached = [home / "models" / Path(url).name for url in urls]
    # Looked for only where needed.
    attached = (file for url in urls for file in kaggle_input(Path(url).name))
    found = next((file for file in chain(cached, attached) if file.is_file()), None)
    return found or _download(urls[0], spec.md5, home)


def _download(url: str, md5: str | None, home: Path) -> Path:
    import keras

    name, folder = Path(url).name, home / "models"
    advice = (
        f"The ImageNet weights {name} are not in {folder} and could not be downloaded. Go online and try again; or "
        f"fetch {url} elsewhere and put it there under that name, or on Kaggle attach it as a data set; or use the "
        'course\'s own backbone: transfer_classifier("bundled", ...); or weights=None for random weights.'
    )
    if not _reachable(url):
        raise ConnectionError(advice)
    timeout = socket.getdefaulttimeout()
    # A connection that stalls half-way ends in an error, too.
    socket.setdefaulttimeout(4 * PATIENCE)
    try:
        home.mkdir(parents=True, exist_ok=True)
        return Path(
            keras.utils.get_file(
                name, url, file_hash=md5, cache_dir=home, cache_subdir="models"
            )
        )
    except Exception as error:  # Keras raises the bare class when a download fails
        raise ConnectionError(advice) from error
    finally:
        socket.setdefaulttimeout(timeout)


def _reachable(url: str) -> bool:
    """Return whether the site answers in time. A thread asks, because looking up a name knows no time limit."""
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(
                urllib.request.Request(url, method="HEAD"), timeout=PATIENCE
            ).close()
        except urllib.error.HTTPError:
            pass  # it refuses this request, but it is there; the download will say why
        except OSError:
            return
        answered.set()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return answered.is_set()


def _height_width(image_size: int | tuple[int, int], minimum: int) -> tuple[int, int]:
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2 or any(not isinstance(side, int) or side < minimum for side in size):
        raise ValueError(
            f"image_size is {image_size!r}; give one side or (height, width) of {minimum} "
            "pixels or more."
        )
    return size
