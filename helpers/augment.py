"""Augmentation three ways: Keras layers for a model, `tf.image` steps for a pipeline, and one fast affine transform.

Flip, rotation, zoom and shift are all affine: each maps a pixel of the result to the place in
the image where its value comes from, and four such maps in a row are one. `random_affine` draws
that one map for every image (`sample_affines`) and reads each pixel once (`warp`), where three
Keras layers read and blur the batch three times. See notebook 07.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from helpers import checks, compiling, seeding

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

FLIPS = ("none", "horizontal", "vertical", "horizontal_and_vertical")
FILLS = ("reflect", "nearest", "constant")


def keras_stack(
    flip: str = "horizontal",
    rotation: float = 0.1,
    zoom: float = 0.1,
    seed: int = 0,
    fill: str = "reflect",
) -> keras.Sequential:
    """Keras' RandomFlip, RandomRotation and RandomZoom in a row: to put first in a model, or to map over batches.

    As layers they act in training only. For the parameters see `sample_affines`; `rotation=0`
    leaves the layer out, and so do `flip="none"` and `zoom=0`.
    """
    import keras

    _check_factors(flip, rotation, zoom, 0.0, fill)
    layers: list[keras.layers.Layer] = []
    if flip != "none":
        layers.append(keras.layers.RandomFlip(flip, seed=seed))
    if rotation:
        layers.append(keras.layers.RandomRotation(rotation, fill_mode=fill, seed=seed + 1))
    if zoom:
        layers.append(keras.layers.RandomZoom(zoom, fill_mode=fill, seed=seed + 2))
    return keras.Sequential(layers, name="augmentation")


def random_flip(images: Any, seed: Any, flip: str = "horizontal") -> tf.Tensor:
    """Mirror each image of a batch with chance one half, by `tf.image`; "horizontal" swaps left and right."""
    import tensorflow as tf

    _check_factors(flip, 0.0, 0.0, 0.0, "reflect")
    images = checks.check_images(images)
    left_right, up_down = seeding.split(seed, 2)
    if "horizontal" in flip:
        images = tf.where(_coins(images, left_right), tf.image.flip_left_right(images), images)
    if "vertical" in flip:
        images = tf.where(_coins(images, up_down), tf.image.flip_up_down(images), images)
    return images


def random_crop(images: Any, height: int, width: int, seed: Any) -> tf.Tensor:
    """Cut from each image of a batch a window of its own, uniform over the places where it fits.

    Raises
    ------
    ValueError
        The window does not fit, or is as large as the image: then every crop is the whole image
        and nothing is random.
    """
    import tensorflow as tf

    images = checks.check_images(images)
    full = images.shape[1:3]
    if full.is_fully_defined() and (
        height > full[0] or width > full[1] or full.as_list() == [height, width]
    ):
        raise ValueError(
            f"a crop of {height}x{width} from images of {full[0]}x{full[1]} cannot be random: "
            "crop to a smaller size, or resize the images to a larger one first"
        )
    shape = tf.shape(images)
    room = tf.cast(shape[1:3] - [height, width] + 1, tf.float64)
    start = tf.cast(seeding.uniform(seed, tf.stack([shape[0], 2])) * room, tf.int32)
    rows = tf.gather(images, start[:, :1] + tf.range(height), axis=1, batch_dims=1)
    return tf.gather(rows, start[:, 1:] + tf.range(width), axis=2, batch_dims=1)


def affine(
    height: int | tf.Tensor,
    width: int | tf.Tensor,
    *,
    angle: Any = 0.0,
    zoom: Any = 1.0,
    shift_y: Any = 0.0,
    shift_x: Any = 0.0,
    mirror_y: Any = False,
    mirror_x: Any = False,
) -> tf.Tensor:
    """One map per image for mirroring, turning, zooming and shifting it about its centre, in this order.

    The map leads from a pixel (x, y) of the result back to a place in the image: [x', y'] = map
    @ [x, y, 1].

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
    mirror_y, mirror_x
        Swap top and bottom, left and right.

    Each may be a number, or [batch] of them.

    Returns
    -------
    tf.Tensor
        [batch, 2, 3] float32; the first six numbers of a row of `transforms` in
        `ImageProjectiveTransformV3`.
    """
    import tensorflow as tf

    def column(value: Any) -> tf.Tensor:
        return tf.reshape(tf.cast(value, tf.float64), [-1])

    middle_y, middle_x = (column(height) - 1) / 2, (column(width) - 1) / 2
    sign_y, sign_x = 1 - 2 * column(mirror_y), 1 - 2 * column(mirror_x)
    cosine, sine = column(zoom) * tf.cos(column(angle)), column(zoom) * tf.sin(column(angle))
    from_y, from_x = middle_y + column(shift_y), middle_x + column(shift_x)

    def row(along_x: tf.Tensor, along_y: tf.Tensor, middle: tf.Tensor) -> tf.Tensor:
        start = middle - along_x * from_x - along_y * from_y
        return tf.stack([along_x + 0 * start, along_y + 0 * start, start], axis=-1)

    rows = (
        row(sign_x * cosine, -sign_x * sine, middle_x),
        row(sign_y * sine, sign_y * cosine, middle_y),
    )
    return tf.cast(tf.stack(rows, axis=1), tf.float32)


def sample_affines(
    count: int | tf.Tensor,
    height: int | tf.Tensor,
    width: int | tf.Tensor,
    seed: Any,
    *,
    flip: str = "horizontal",
    rotation: float = 0.1,
    zoom: float = 0.1,
    shift: float = 0.0,
) -> tf.Tensor:
    """Draw one affine map per image.

    Parameters
    ----------
    count, height, width
        Number of images, and their size in pixels.
    seed
        Pair of integers.
    flip
        "none", "horizontal", "vertical" or "horizontal_and_vertical", each way with chance one
        half.
    rotation
        Share of a full turn, in [0, 0.5]: 0.1 turns by up to 36 degrees either way.
    zoom
        In [0, 1): 0.1 shrinks or enlarges by up to a tenth.
    shift
        Share of height and of width, in [0, 1]: 0.1 shifts by up to a tenth either way.

    Returns
    -------
    tf.Tensor
        [count, 2, 3] float32, as from `affine`.
    """
    import tensorflow as tf

    _check_factors(flip, rotation, zoom, shift, "reflect")
    draws = tf.unstack(seeding.uniform(seed, [6, count]))
    turn, size, down, right = (2 * draw - 1 for draw in draws[:4])
    return affine(
        height,
        width,
        angle=turn * rotation * 2 * math.pi,
        zoom=1 + size * zoom,
        shift_y=down * shift * tf.cast(height, tf.float64),
        shift_x=right * shift * tf.cast(width, tf.float64),
        mirror_y=(draws[4] < 0.5) & ("vertical" in flip),
        mirror_x=(draws[5] < 0.5) & ("horizontal" in flip),
    )


def warp(
    images: Any, affines: Any, fill: str = "reflect", fill_value: float = 0.0
) -> tf.Tensor:
    """Read each pixel of the result from where its image's map points to, between four pixels linearly.

    Equal to `tf.raw_ops.ImageProjectiveTransformV3` (bilinear) up to rounding, and several
    times faster.

    Parameters
    ----------
    images
        [batch, height, width, channels], uint8 (the result is rounded) or floating.
    affines
        [batch, 2, 3], as from `affine`.
    fill
        What lies outside the image: its mirror image ("reflect"), its edge ("nearest") or
        `fill_value` ("constant").

    Returns
    -------
    tf.Tensor
        Like `images`.
    """
    import tensorflow as tf

    images = checks.check_images(images)
    _check_factors("none", 0.0, 0.0, 0.0, fill)
    return compiling.like(
        _warp(images, tf.cast(affines, tf.float32), fill, float(fill_value)), images
    )


@compiling.compiled
def _warp(images, affines, fill, fill_value):
    import tensorflow as tf

    shape = tf.shape(images)
    batch, height, width = shape[0], shape[1], shape[2]
    wide = tf.float64 if images.dtype == tf.float64 else tf.float32
    x, y = tf.range(width, dtype=tf.float32), tf.range(height, dtype=tf.float32)[:, None]
    to_x, to_y = (affines[:, i, :, None, None] for i in range(2))
    x, y = (
        _fold(to[:, 0] * x + to[:, 1] * y + to[:, 2], n, fill)
        for to, n in ((to_x, width), (to_y, height))
    )
    left, top = tf.floor(x), tf.floor(y)
    across, down = (tf.cast(share, wide)[..., None] for share in (x - left, y - top))
    left, top = tf.cast(left, tf.int32), tf.cast(top, tf.int32)
    pixels = tf.reshape(images, [-1, shape[3]])
    first = (tf.range(batch) * height * width)[:, None, None]

    def tap(row, column):
        inside_row, inside_column = (
            tf.clip_by_value(row, 0, height - 1),
            tf.clip_by_value(column, 0, width - 1),
        )
        value = tf.cast(tf.gather(pixels, first + inside_row * width + inside_column), wide)
        if fill != "constant":
            return value
        inside = (inside_row == row) & (inside_column == column)
        return tf.where(inside[..., None], value, tf.cast(fill_value, wide))

    upper = tap(top, left) * (1 - across) + tap(top, left + 1) * across
    lower = tap(top + 1, left) * (1 - across) + tap(top + 1, left + 1) * across
    value = upper * (1 - down) + lower * down
    return tf.cast(tf.round(value) if images.dtype == tf.uint8 else value, images.dtype)


def _fold(place, size, fill):
    """Bring a coordinate back to [0, size - 1], unless what lies outside is a constant."""
    import tensorflow as tf

    size = tf.cast(size, tf.float32)
    if (
        fill == "reflect"
    ):  # a triangle wave of period 2 size, with its folds on the pixels' outer edges
        place += 0.5
        place = tf.abs(place - 2 * size * tf.round(place * (0.5 / size))) - 0.5
    return place if fill == "constant" else tf.clip_by_value(place, 0.0, size - 1)


@compiling.as_written
def random_affine(
    images: Any,
    seed: Any,
    *,
    flip: str = "horizontal",
    rotation: float = 0.1,
    zoom: float = 0.1,
    shift: float = 0.0,
    fill: str = "reflect",
) -> tf.Tensor:
    """Flip, rotate, zoom and shift each image of a batch at random, in one step; see `sample_affines` and `warp`."""
    import tensorflow as tf

    images = checks.check_images(images)
    count, height, width = tf.unstack(tf.shape(images)[:3])
    affines = sample_affines(
        count, height, width, seed, flip=flip, rotation=rotation, zoom=zoom, shift=shift
    )
    return warp(images, affines, fill)


class RandomAffine(seeding.SeededMap):
    """`random_affine` as a step of a pipeline, on batches of images, or of (images, labels, ...).

    `dataset.batch(32).map(RandomAffine(seed=7))` changes every batch, in every epoch, anew;
    labels pass unchanged.

    Parameters
    ----------
    flip, rotation, zoom, shift, fill
        As in `sample_affines` and `warp`.
    seed
        Integer; see `helpers.seeding.SeededMap`.
    """

    def __init__(
        self,
        flip: str = "horizontal",
        rotation: float = 0.1,
        zoom: float = 0.1,
        shift: float = 0.0,
        fill: str = "reflect",
        seed: int = 0,
    ):
        super().__init__(seed)
        _check_factors(flip, rotation, zoom, shift, fill)
        self.options = {
            "flip": flip,
            "rotation": rotation,
            "zoom": zoom,
            "shift": shift,
            "fill": fill,
        }

    def transform(self, seed: tf.Tensor, images: tf.Tensor, *others: tf.Tensor) -> Any:
        """Change one batch with the given seed."""
        images = random_affine(images, seed, **self.options)
        return (images, *others) if others else images


class RandomCrop(seeding.SeededMap):
    """`random_crop` as a step of a pipeline, on batches of images, or of (images, labels, ...). See notebook 10.

    Parameters
    ----------
    height, width
        Size of the window in pixels, smaller than the images.
    seed
        Integer; see `helpers.seeding.SeededMap`.
    """

    def __init__(self, height: int, width: int, seed: int = 0):
        super().__init__(seed)
        self.height, self.width = (
            checks.check_count("height", height, 1),
            checks.check_count("width", width, 1),
        )

    def transform(self, seed: tf.Tensor, images: tf.Tensor, *others: tf.Tensor) -> Any:
        """Crop one batch with the given seed."""
        images = random_crop(images, self.height, self.width, seed)
        return (images, *others) if others else images


class Changed(NamedTuple):
    """Share of pixel values that an augmentation changed, in training and in inference, in [0, 1]."""

    training: float
    inference: float


def changed(augmentation: Any, images: Any) -> Changed:
    """Run a layer or model with `training=True` and with `training=False`, and count the values it changed."""
    import numpy as np

    before = np.asarray(images)
    after = [np.asarray(augmentation(before, training=training)) for training in (True, False)]
    return Changed(*(float(np.mean(before.astype(values.dtype) != values)) for values in after))


def assert_training_only(augmentation: Any, images: Any) -> Changed:
    """Prove that an augmentation acts in training and not in inference; return what `changed` found.

    Raises
    ------
    AssertionError
        It changed nothing in training, or something in inference.
    """
    found = changed(augmentation, images)
    if found.training == 0:
        raise AssertionError("the augmentation changed no pixel in training: it does nothing")
    if found.inference > 0:
        raise AssertionError(
            f"the augmentation changed {found.inference:.1%} of the values in inference"
        )
    return found


def _coins(images, seed):
    import tensorflow as tf

    return (seeding.uniform(seed, tf.shape(images)[:1]) < 0.5)[:, None, None, None]


def _check_factors(flip, rotation, zoom, shift, fill):
    if flip not in FLIPS:
        raise ValueError(f"flip must be one of {FLIPS}, got {flip!r}")
    if fill not in FILLS:
        raise ValueError(f"fill must be one of {FILLS}, got {fill!r}")
    checks.check_number("rotation", rotation, 0.0, 0.5)
    checks.check_number("zoom", zoom, 0.0, 0.99)
    checks.check_number("shift", shift, 0.0, 1.0)
