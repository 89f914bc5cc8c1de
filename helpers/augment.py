"""Augmentation three ways: layers for a model, steps for a pipeline, one fast affine transform.

Flip, rotation, zoom and shift are all affine: each maps a pixel of the result to the place in
the image where its value comes from, and four such maps in a row are one. `random_affine` draws
that one map for every image (`sample_affines`) and reads each pixel once (`warp`), where three
Keras layers read and blur the batch three times. Explained in notebook 07.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from helpers import checks, compiling, seeding

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def keras_stack(
    rotation: float = 0.1,
    zoom: float = 0.1,
    seed: int = 0,
) -> keras.Sequential:
    """Return Keras' RandomFlip, RandomRotation and RandomZoom in a row. See notebook 07.

    Put it first in a model, where it acts in training only. For `rotation` and `zoom` see
    `sample_affines`; images are mirrored left and right with chance one half.
    """
    import keras

    return keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal", seed=seed),
            keras.layers.RandomRotation(rotation, seed=seed + 1),
            keras.layers.RandomZoom(zoom, seed=seed + 2),
        ],
        name="augmentation",
    )


def random_crop(
    images: Any,
    height: int,
    width: int,
    seed: Any,
) -> tf.Tensor:
    """Cut from each image of a batch a window of its own, uniform over the places it fits in.

    Explained in notebook 07.

    Raises
    ------
    ValueError
        The window does not fit, or is as large as the image: then every crop is the whole image
        and nothing is random.
    """
    import tensorflow as tf

    images = checks.check_images(images)
    size = images.shape[1:3]
    if size.is_fully_defined():
        too_large = height > size[0] or width > size[1]
        if too_large or size == (height, width):
            raise ValueError(
                f"a crop of {height} x {width} from images of shape {images.shape} cannot be "
                "random: crop to a smaller size, or resize the images to a larger one first"
            )
    shape = tf.shape(images)
    places = seeding.uniform(seed, [shape[0], 2])
    room = shape[1:3] - [height, width] + 1
    start = tf.cast(places * tf.cast(room, "float64"), "int32")
    rows = start[:, :1] + tf.range(height)
    columns = start[:, 1:] + tf.range(width)
    bands = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(bands, columns, axis=2, batch_dims=1)


def affine(
    height: Any,
    width: Any,
    *,
    angle: Any = 0.0,
    zoom: Any = 1.0,
    shift_y: Any = 0.0,
    shift_x: Any = 0.0,
    mirror_x: Any = False,
) -> tf.Tensor:
    """One map per image: mirror, turn, zoom and shift it about its centre, in this order.

    The map leads from a pixel (x, y) of the result back to a place in the image: [x', y'] = map
    @ [x, y, 1]. Explained in notebook 07.

    Parameters
    ----------
    height, width
        Size of the images in pixels.
    angle
        Radians, counter-clockwise.
    zoom
        Above 0; above 1 the image shrinks and more is seen, as in Keras' RandomZoom.
    shift_y, shift_x
        Pixels, down and to the right.
    mirror_x
        Swap left and right.

    Each may be a number, or [batch] of them.

    Returns
    -------
    tf.Tensor
        [batch, 2, 3] float32; the first six numbers of a row of `transforms` in
        `ImageProjectiveTransformV3`.
    """
    import tensorflow as tf

    def each(value):
        return tf.reshape(tf.cast(value, "float64"), [-1, 1, 1])

    cosine = tf.cos(each(angle))
    sine = tf.sin(each(angle))
    turn = tf.concat([cosine, -sine, sine, cosine], axis=1)
    mirror = 1 - each(mirror_x) * [[2.0], [0.0]]
    linear = mirror * each(zoom) * tf.reshape(turn, [-1, 2, 2])
    centre = tf.cast([[width - 1], [height - 1]], "float64") / 2
    shift = tf.concat([each(shift_x), each(shift_y)], axis=1)
    start = centre - linear @ (centre + shift)
    # If only the shift differs from image to image, there is one linear part for all of them.
    linear += tf.zeros_like(start)
    return tf.cast(tf.concat([linear, start], axis=2), "float32")


def sample_affines(
    images: tf.Tensor,
    seed: Any,
    *,
    rotation: float = 0.1,
    zoom: float = 0.1,
    shift: float = 0.0,
) -> tf.Tensor:
    """Draw one affine map per image. Explained in notebook 07.

    Each image is mirrored left and right with chance one half.

    Parameters
    ----------
    images
        [batch, height, width, channels]; only the shape matters.
    seed
        Pair of integers.
    rotation
        Share of a full turn, in [0, 0.5]: 0.1 turns by up to 36 degrees either way.
    zoom
        In [0, 1): 0.1 shrinks or enlarges by up to a tenth.
    shift
        Share of height and of width, in [0, 1]: 0.1 shifts by up to a tenth either way.

    Returns
    -------
    tf.Tensor
        [batch, 2, 3] float32, as from `affine`.
    """
    import tensorflow as tf

    _check_ranges(rotation, zoom, shift)
    count, height, width, _ = tf.unstack(tf.shape(images))
    numbers = seeding.uniform(seed, [6, count])
    turn, size, down, right = tf.unstack(2 * numbers[:4] - 1)
    return affine(
        height,
        width,
        angle=turn * rotation * 2 * math.pi,
        zoom=1 + size * zoom,
        shift_y=down * shift * tf.cast(height, "float64"),
        shift_x=right * shift * tf.cast(width, "float64"),
        mirror_x=numbers[5] < 0.5,
    )


def warp(
    images: Any,
    affines: Any,
) -> tf.Tensor:
    """Read each pixel of the result from where its image's map points to. See notebook 07.

    The value is interpolated linearly between four pixels; outside the image lies its mirror
    image. Equal to `tf.raw_ops.ImageProjectiveTransformV3` (bilinear, reflect) up to rounding,
    and several times faster.

    Parameters
    ----------
    images
        [batch, height, width, channels], uint8 (the result is rounded) or floating (it is
        computed in float32).
    affines
        [batch, 2, 3], as from `affine`.

    Returns
    -------
    tf.Tensor
        Shape and dtype of `images`.
    """
    import tensorflow as tf

    images = checks.check_images(images)
    warped = _warp(images, tf.cast(affines, "float32"))
    # A function that was compiled for several shapes does not say which it returns.
    warped.set_shape(images.shape)
    return warped


@compiling.compiled
def _warp(images, affines):
    import tensorflow as tf

    batch, height, width, channels = tf.unstack(tf.shape(images))
    column = tf.range(width, dtype="float32")
    row = tf.range(height, dtype="float32")[:, None]

    def source(axis, size):
        along_x, along_y, start = tf.unstack(affines[:, axis, :, None, None], axis=1)
        return _reflect(along_x * column + along_y * row + start, size)

    x = source(0, width)
    y = source(1, height)
    left = tf.floor(x)
    top = tf.floor(y)
    pixels = tf.reshape(images, [-1, channels])
    first = tf.range(batch)[:, None, None] * height

    def read(down, right):
        row = tf.minimum(tf.cast(top, "int32") + down, height - 1)
        column = tf.minimum(tf.cast(left, "int32") + right, width - 1)
        values = tf.gather(pixels, (first + row) * width + column)
        return tf.cast(values, "float32")

    def blend(one, other, share):
        share = share[..., None]
        return one * (1 - share) + other * share

    upper = blend(read(0, 0), read(0, 1), x - left)
    lower = blend(read(1, 0), read(1, 1), x - left)
    values = blend(upper, lower, y - top)
    if images.dtype == "uint8":
        values = tf.round(values)
    return tf.cast(values, images.dtype)


def _reflect(place, size):
    """Bring a coordinate back to [0, size - 1], mirrored at the pixels' outer edges."""
    import tensorflow as tf

    size = tf.cast(size, "float32")
    edge = place + 0.5
    periods = tf.round(edge * (0.5 / size))
    place = tf.abs(edge - 2 * size * periods) - 0.5
    return tf.clip_by_value(place, 0, size - 1)


@compiling.without_autograph
def random_affine(
    images: Any,
    seed: Any,
    *,
    rotation: float = 0.1,
    zoom: float = 0.1,
    shift: float = 0.0,
) -> tf.Tensor:
    """Flip, rotate, zoom and shift each image of a batch at random, in one step.

    For the parameters see `sample_affines` and `warp`. Explained in notebook 07.
    """
    images = checks.check_images(images)
    affines = sample_affines(
        images,
        seed,
        rotation=rotation,
        zoom=zoom,
        shift=shift,
    )
    return warp(images, affines)


class _ImageMap(seeding.SeededMap):
    """A step that changes images, and passes on unchanged what comes with them."""

    def transform(self, seed, images, *others):
        images = self.change(images, seed=seed)
        return (images, *others) if others else images


class RandomAffine(_ImageMap):
    """`random_affine` as a step of a pipeline, for batches of images or (images, labels, ...).

    `dataset.batch(32).map(RandomAffine(seed=7))` changes every batch, in every epoch, anew;
    labels pass unchanged. Explained in notebook 07.

    Parameters
    ----------
    rotation, zoom, shift
        As in `sample_affines`.
    seed
        Integer; see `helpers.seeding.SeededMap`.
    """

    def __init__(
        self,
        rotation: float = 0.1,
        zoom: float = 0.1,
        shift: float = 0.0,
        seed: int = 0,
    ):
        super().__init__(seed)
        _check_ranges(rotation, zoom, shift)
        self.change = functools.partial(
            random_affine,
            rotation=rotation,
            zoom=zoom,
            shift=shift,
        )


class RandomCrop(_ImageMap):
    """`random_crop` as a step of a pipeline, for batches of images or (images, labels, ...).

    Explained in notebook 10.

    Parameters
    ----------
    height, width
        Size of the window in pixels, smaller than the images.
    seed
        Integer; see `helpers.seeding.SeededMap`.
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int = 0,
    ):
        super().__init__(seed)
        self.change = functools.partial(
            random_crop,
            height=checks.check_count("height", height, 1),
            width=checks.check_count("width", width, 1),
        )


class Changed(NamedTuple):
    """Share of values that an augmentation changed in training and in inference, in [0, 1]."""

    training: float
    inference: float


def changed(
    augmentation: Any,
    images: Any,
) -> Changed:
    """Run a layer or model with `training=True` and `training=False`; count what it changed.

    Explained in notebook 07.
    """
    import numpy as np

    images = np.asarray(images)

    def share(training):
        after = np.asarray(augmentation(images, training=training))
        return float(np.mean(images.astype(after.dtype) != after))

    return Changed(
        training=share(True),
        inference=share(False),
    )


def _check_ranges(rotation, zoom, shift):
    checks.check_number("rotation", rotation, 0, 0.5)
    checks.check_number("zoom", zoom, 0, 0.99)
    checks.check_number("shift", shift, 0, 1)
