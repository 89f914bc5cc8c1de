"""Checks of arguments: each returns what it was given, or says what is wrong with it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def check_number(
    name: str,
    value,
    minimum: float,
    maximum: float = math.inf,
    *,
    above: bool = False,
) -> float:
    """Return `value` as a float if it is finite and in [minimum, maximum].

    With `above` the minimum itself is refused.

    Raises
    ------
    TypeError
        `value` is no plain number.
    ValueError
        `value` is outside the range, or not finite.
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a plain number, got {value!r}") from error
    too_low = number <= minimum if above else number < minimum
    if too_low or number > maximum or not math.isfinite(number):
        accepted = f"{'above' if above else 'at least'} {minimum:g}"
        if maximum < math.inf:
            accepted += f" and at most {maximum:g}"
        raise ValueError(f"{name} must be finite, {accepted}; got {value!r}")
    return number


def check_count(name: str, value, minimum: int) -> int:
    """Return `value` as an int if it is a whole number, at least `minimum`.

    The errors are those of `check_number`, and a TypeError for a fraction.
    """
    number = check_number(name, value, minimum)
    if not number.is_integer():
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    return int(value)


def check_images(images) -> tf.Tensor:
    """Return a batch of images [batch, height, width, channels] as a tensor.

    Raises
    ------
    TypeError
        The images are neither uint8 nor floating.
    ValueError
        The images have another rank.
    """
    import tensorflow as tf

    images = tf.convert_to_tensor(images)
    if not images.dtype.is_floating and images.dtype != "uint8":
        raise TypeError(
            f"images must be uint8 or floating; got {images.dtype.name}: use tf.cast first"
        )
    if images.shape.rank not in (4, None):
        raise ValueError(
            "images must be a batch [batch, height, width, channels]; got shape "
            f"{images.shape}: put this step after Dataset.batch, or add a first axis "
            "with images[None]"
        )
    return tf.ensure_shape(images, [None] * 4)


def check_labels(labels) -> tf.Tensor:
    """Return labels [batch, classes], one-hot or soft, as a tensor.

    Raises
    ------
    TypeError
        The labels are not floating.
    ValueError
        The labels have another rank.
    """
    import tensorflow as tf

    labels = tf.convert_to_tensor(labels)
    if not labels.dtype.is_floating:
        raise TypeError(
            f"labels must be floating, one-hot or soft; got {labels.dtype.name}: "
            "use tf.one_hot(labels, num_classes)"
        )
    if labels.shape.rank not in (2, None):
        raise ValueError(
            f"labels must be [batch, classes]; got shape {labels.shape}: use tf.one_hot"
        )
    return labels


def check_batch(images, labels) -> tuple[tf.Tensor, tf.Tensor]:
    """Return images and labels of one batch as tensors.

    The errors are those of `check_images` and `check_labels`, and a ValueError if the two are
    known to differ in number.
    """
    images = check_images(images)
    labels = check_labels(labels)
    if not images.shape[:1].is_compatible_with(labels.shape[:1]):
        raise ValueError(
            "images and labels must be of one batch; "
            f"got images {images.shape} and labels {labels.shape}"
        )
    return images, labels
