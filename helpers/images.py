"""One split of a data set of images, and the way from encoded bytes to pixels.

Photographs of any shape become squares in one way everywhere: the centre square, resized
bilinearly. A JPEG at least twice as large as wanted is scaled down by 2, 4 or 8 while it is
decoded, which costs less and aliases less.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SPLITS = ("train", "val", "test")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
SHUFFLE_BUFFER = 2048  # images to draw from when not all of them can be held in memory
SCALES = (1, 2, 4, 8)  # what the JPEG decoder can divide height and width by


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one split, in a fixed order, wherever they are.

    Attributes
    ----------
    ids : one name for each image.
    labels : int64 [N], or ``None`` if nobody knows them.
    rows : (shuffle, seed) -> a dataset with an element for each image.
    load : (size, *element) -> uint8 image [size, size, 3], and its label or id.
    """

    ids: list[str]
    labels: np.ndarray | None
    rows: Callable
    load: Callable


def in_memory(ids, labels, values, load) -> Split:
    """Return a split with rows of (value, label), few enough to be shuffled fully."""
    import tensorflow as tf

    def rows(shuffle, seed):
        dataset = tf.data.Dataset.from_tensor_slices((values, labels))
        if shuffle:
            dataset = dataset.shuffle(len(ids), seed)
        return dataset

    return Split(ids, labels, rows, load)


def is_sound(encoded: bytes) -> bool:
    """Return whether a JPEG or PNG can be decoded to its end. Pixels are made coarsely only."""
    import tensorflow as tf

    try:
        tf.io.decode_jpeg(encoded, channels=3, ratio=SCALES[-1])  # reads PNG, too
    except tf.errors.InvalidArgumentError:
        return False
    return True


def decode_square(encoded, size: int):
    """Return the centre square of a JPEG or PNG, resized: uint8 [size, size, 3]."""
    import tensorflow as tf

    def jpeg_scale():
        shape = tf.io.extract_jpeg_shape(encoded)
        side = tf.reduce_min(shape[:2])
        factor = side // size
        large_enough = factor >= SCALES[1:]
        return tf.math.count_nonzero(large_enough, dtype=tf.int32)

    def first_scale():
        return tf.constant(0)

    decode = functools.partial(tf.io.decode_jpeg, encoded, channels=3)
    branches = [functools.partial(decode, ratio=ratio) for ratio in SCALES]
    scale = tf.cond(tf.io.is_jpeg(encoded), jpeg_scale, first_scale)
    image = tf.switch_case(scale, branches)
    height_and_width = tf.shape(image)[:2]
    side = tf.reduce_min(height_and_width)
    square = tf.image.resize_with_crop_or_pad(image, side, side)
    resized = tf.image.resize(square, [size, size])
    rounded = resized + 0.5  # The cast cuts off.
    return tf.cast(rounded, tf.uint8)
