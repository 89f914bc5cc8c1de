"""Augmentation: random steps for a pipeline, and the fast affine transform that they use.

Flip, rotation, zoom and shift are all affine: each maps a pixel of the result to the place in
the image where its value comes from, and four such maps in a row are one. `RandomAffine` draws
that one map for every image and reads each pixel once (`warp`), where three Keras layers read
and blur the batch three times. Explained in notebook 07.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from helpers import checks, compiling, seeding

if TYPE_CHECKING:
    import tensorflow as tf


def random_crop(
    images,
    height: int,
    width: int,
    seed,
) -> tf.Tensor:
    """Cut from each image of a batch a window of its own, uniform over the places it fits in.

    `seed` is a pair of integers. Explained in notebook 07.

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
        fits = height <= size[0] and width <= size[1]
        if not fits or size == (height, width):
            raise ValueError(
                f"a crop of {height} x {width} from images of shape {images.shape} cannot be "
                "random: crop to a smaller size, or resize the images to a larger one first"
            )
    shape = tf.shape(images)
    places = seeding.uniform(seed, [shape[0], 2])
    room = shape[1:3] - [height, width] + 1
    room = tf.cast(room, "float64")
    start = tf.cast(places * room, "int32")
    rows = start[:, :1] + tf.range(height)
    columns = start[:, 1:] + tf.range(width)
    bands = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(bands, columns, axis=2, batch_dims=1)


def affine(
    height,
    width,
    *,
    angle=0.0,
    zoom=1.0,
    shift_y=0.0,
    shift_x=0.0,
    mirror_x=False,
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
    turn = tf.reshape(turn, [-1, 2, 2])
    linear = mirror * each(zoom) * turn
    last_pixel = tf.cast([[width - 1], [height - 1]], "float64")
    centre = last_pixel / 2
    shift = tf.concat([each(shift_x), each(shift_y)], axis=1)
    start = centre - linear @ (centre + shift)
    # If only the shift differs from image to image, there is one linear part for all of them.
    linear += tf.zeros_like(start)
    maps = tf.concat([linear, start], axis=2)
    return tf.cast(maps, "float32")


def warp(images, affines) -> tf.Tensor:
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
    columns = tf.range(width, dtype="float32")
    rows = tf.range(height, dtype="float32")[:, None]

    def source(axis, size):
        numbers = affines[:, axis, :, None, None]
        along_x, along_y, start = tf.unstack(numbers, axis=1)
        place = along_x * columns + along_y * rows + start
        return _reflect(place, size)

    x = source(0, width)
    y = source(1, height)
    top = tf.floor(y)
    left = tf.floor(x)
    pixels = tf.reshape(images, [-1, channels])
    first = tf.range(batch)[:, None, None] * height
    values = 0.0
    for row in (top, top + 1):
        for column in (left, left + 1):
            nearness_y = 1 - tf.abs(y - row)
            nearness_x = 1 - tf.abs(x - column)
            share = nearness_y * nearness_x
            down = tf.cast(row, "int32")
            down = tf.minimum(down, height - 1)
            right = tf.cast(column, "int32")
            right = tf.minimum(right, width - 1)
            place = (first + down) * width + right
            pixel = tf.gather(pixels, place)
            pixel = tf.cast(pixel, "float32")
            values += share[..., None] * pixel
    if images.dtype == "uint8":
        values = tf.round(values)
    return tf.cast(values, images.dtype)


def _reflect(place, size):
    """Bring a coordinate back to [0, size - 1], mirrored at the pixels' outer edges."""
    import tensorflow as tf

    size = tf.cast(size, "float32")
    edge = place + 0.5
    period = 2 * size
    edge -= period * tf.round(edge / period)
    place = tf.abs(edge) - 0.5
    return tf.clip_by_value(place, 0, size - 1)


class _ImageMap(seeding.SeededMap):
    """A step that changes images, and passes on unchanged what comes with them."""

    def transform(self, seed, images, *others):
        images = self.change(images, seed)
        return (images, *others) if others else images


class RandomAffine(_ImageMap):
    """Flip, rotate, zoom and shift each image of a batch at random, in one step.

    A step of a pipeline, for batches of images or (images, labels, ...):
    `dataset.batch(32).map(RandomAffine(seed=7))` changes every batch, in every epoch, anew;
    labels pass unchanged. Images are mirrored left and right with chance one half. Explained in
    notebook 07.

    Parameters
    ----------
    rotation
        Share of a full turn, in [0, 0.5]: 0.1 turns by up to 36 degrees either way.
    zoom
        In [0, 0.99]: 0.1 shrinks or enlarges by up to a tenth.
    shift
        Share of height and of width, in [0, 1]: 0.1 shifts by up to a tenth either way.
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
        self.rotation = checks.check_number("rotation", rotation, 0, 0.5)
        self.zoom = checks.check_number("zoom", zoom, 0, 0.99)
        self.shift = checks.check_number("shift", shift, 0, 1)

    @compiling.without_autograph
    def change(self, images, seed) -> tf.Tensor:
        """Change a batch of images at random; the same pair of integers draws the same."""
        images = checks.check_images(images)
        return warp(images, self.sample(images, seed))

    def sample(self, images, seed) -> tf.Tensor:
        """Draw one map for each image of a batch, [batch, 2, 3] float32, as from `affine`."""
        import tensorflow as tf

        count, height, width, _ = tf.unstack(tf.shape(images))
        numbers = seeding.uniform(seed, [6, count])
        turn, size, down, right = tf.unstack(2 * numbers[:4] - 1)
        farthest = self.shift * tf.cast([height, width], "float64")
        return affine(
            height,
            width,
            angle=turn * self.rotation * 2 * math.pi,
            zoom=1 + size * self.zoom,
            shift_y=down * farthest[0],
            shift_x=right * farthest[1],
            mirror_x=numbers[5] < 0.5,
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

    def __init__(self, height: int, width: int, seed: int = 0):
        super().__init__(seed)
        self.height = height
        self.width = width

    def change(self, images, seed) -> tf.Tensor:
        """Crop a batch of images; the same pair of integers draws the same windows."""
        return random_crop(images, self.height, self.width, seed)
