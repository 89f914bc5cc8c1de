"""Checks of arguments: each returns what it was given, or says what is wrong with it and what is accepted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

IMAGE_DTYPES = ("uint8", "float16", "bfloat16", "float32", "float64")


def check_number(
    name: str, value: Any, minimum: float, maximum: float = math.inf, *, above: bool = False
) -> float:
    """Return `value` as a float if it is finite and in [minimum, maximum], or (minimum, maximum] with `above`.

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
    low_enough = number > minimum if above else number >= minimum
    if not (math.isfinite(number) and low_enough and number <= maximum):
        low, high = (
            f"{'above' if above else 'at least'} {minimum:g}",
            f" and at most {maximum:g}",
        )
        raise ValueError(
            f"{name} must be finite, {low}{high if maximum < math.inf else ''}; got {value!r}"
        )
    return number


def check_count(name: str, value: Any, minimum: int) -> int:
    """Return `value` as an int if it is a whole number, at least `minimum`; the errors are `check_number`'s."""
    number = check_number(name, value, minimum)
    if number != int(number):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    return int(value)


def check_images(images: Any) -> tf.Tensor:
    """Return a batch of images [batch, height, width, channels] as a tensor, or say what is wrong with it."""
    import tensorflow as tf

    images = tf.convert_to_tensor(images)
    if images.dtype.name not in IMAGE_DTYPES:
        raise TypeError(
            f"images must be one of {', '.join(IMAGE_DTYPES)}; got {images.dtype.name}: use "
            "tf.cast first"
        )
    if images.shape.rank not in (4, None):
        raise ValueError(
            "images must be a batch [batch, height, width, channels]; got shape "
            f"{tuple(images.shape)}: "
            "put this step after Dataset.batch, or add a first axis with images[None]"
        )
    return tf.ensure_shape(images, [None] * 4) if images.shape.rank is None else images


def check_batch(images: Any, labels: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Return images as `check_images` does, and labels [batch, classes], floating, or say what is wrong with them."""
    images, labels = check_images(images), check_labels(labels)
    if not images.shape[:1].is_compatible_with(labels.shape[:1]):
        raise ValueError(
            f"images and labels must be of one batch; got {images.shape[0]} and "
            f"{labels.shape[0]}"
        )
    return images, labels


def check_labels(labels: Any) -> tf.Tensor:
    """Return labels [batch, classes], one-hot or soft, as a tensor, or say what is wrong with them."""
    import tensorflow as tf

    labels = tf.convert_to_tensor(labels)
    if not labels.dtype.is_floating:
        raise TypeError(
            f"labels must be floating, one-hot or soft; got {labels.dtype.name}: use "
            "tf.one_hot(labels, num_classes)"
        )
    if labels.shape.rank not in (2, None):
        raise ValueError(
            f"labels must be [batch, classes]; got shape {tuple(labels.shape)}: use tf.one_hot"
        )
    return labels


def check_output(
    given: tf.DType, dtype: Any, scale: float | None
) -> tuple[tf.DType, float | None]:
    """Return the dtype that images of dtype `given` become when cast to `dtype` and multiplied by `scale`, and that."""
    import tensorflow as tf

    if scale is not None:
        scale = check_number("scale", scale, 0.0, above=True)
    if dtype is None:
        dtype = given if scale is None or given.is_floating else tf.float32
    dtype = tf.as_dtype(dtype)
    if not dtype.is_floating and (scale is not None or dtype != given):
        raise ValueError(
            f"dtype must be floating when images are cast or scaled, got {dtype.name}"
        )
    return dtype, scale
