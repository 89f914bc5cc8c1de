"""CutMix for batches of images with soft labels, in the steps of notebook 08.

`cutmix` draws `random_numbers`, makes of them how much of each image stays (`sample_lambda`),
a box in it (`sample_centres`, `boxes_at`) and the image to paste from (`partners`), pastes
(`paste`), and mixes the labels by the area that was pasted (`pasted_share`, `mix_labels`).

All but the first step is one function compiled with XLA, which reads and writes the pixels in a
single pass. Where XLA is missing, and when called one by one, the steps give the same.

Source: Yun et al. 2019, https://arxiv.org/abs/1905.04899, equations 1 and 2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from helpers import checks, compiling, seeding

if TYPE_CHECKING:
    import tensorflow as tf


class RandomNumbers(NamedTuple):
    """The random numbers of a batch: six for each image, uniform in (0, 1).

    `radius` and `angle` are for lambda, `row` and `column` for the centre of the box, `coin`
    says whether the image is mixed, and the images sorted by `order` are the partners.
    """

    radius: Any
    angle: Any
    row: Any
    column: Any
    coin: Any
    order: Any


def random_numbers(
    count,
    seed,
) -> RandomNumbers:
    """Draw the numbers for `count` images, each [count] float64. Explained in notebook 08.

    `seed` is a pair of integers; the same pair draws the same.
    """
    import tensorflow as tf

    table = seeding.uniform(seed, [6, count])
    return RandomNumbers(*tf.unstack(table))


def sample_lambda(
    numbers: RandomNumbers,
    alpha=1.0,
    probability=1.0,
) -> tf.Tensor:
    """Return the share of its own image that each example keeps, from Beta(alpha, alpha).

    One formula serves every alpha: if T has Student's t distribution with 2 alpha degrees of
    freedom, then (1 + T / sqrt(2 alpha + T^2)) / 2 is Beta(alpha, alpha), and T comes from two
    uniform numbers (Bailey 1994, https://doi.org/10.2307/2153537). It holds for a tiny alpha
    too, where a ratio of gamma draws is 0 / 0. Explained in notebook 08.

    Parameters
    ----------
    numbers
        From `random_numbers`.
    alpha
        Above 0. Small: nearly all of one image. 1: uniform. Large: nearly half and half.
    probability
        Chance in [0, 1] that an image is mixed at all. Lambda is 1 for the others.

    Returns
    -------
    tf.Tensor
        [batch] float32 in [0, 1].
    """
    import tensorflow as tf

    if not tf.is_tensor(alpha):
        checks.check_number("alpha", alpha, 0, above=True)
    cosine = tf.cos(2 * math.pi * numbers.angle)
    # The spread is 1 + T^2 / (2 alpha). Where a tiny alpha makes it infinite, the smaller
    # share is 0, as it should be.
    exponent = -tf.math.log(numbers.radius) / alpha
    spread = 1 + tf.math.expm1(exponent) * cosine**2
    smaller = 0.5 / (spread * (1 + tf.sqrt(1 - 1 / spread)))
    lam = tf.where(cosine > 0, 1 - smaller, smaller)
    lam = tf.where(numbers.coin < probability, lam, 1)
    return tf.cast(lam, "float32")


def sample_centres(
    numbers: RandomNumbers,
    height,
    width,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the centres of the boxes, uniform over an image of height x width pixels.

    Returns
    -------
    tuple of tf.Tensor
        Rows and columns, each [batch] int32. Explained in notebook 08.
    """
    import tensorflow as tf

    row = numbers.row * tf.cast(height, "float64")
    column = numbers.column * tf.cast(width, "float64")
    return tf.cast(row, "int32"), tf.cast(column, "int32")


def boxes_at(
    lam,
    row,
    column,
    height,
    width,
) -> tf.Tensor:
    """Boxes about given centres that cover a share 1 - lambda, clipped at the image's edges.

    A box is sqrt(1 - lambda) of the image in height and in width (equation 2 of the paper),
    rounded down to pixels. Explained in notebook 08.

    Parameters
    ----------
    lam
        [batch] floats in [0, 1].
    row, column
        [batch] integers: the centre.
    height, width
        Size of the image in pixels.

    Returns
    -------
    tf.Tensor
        [batch, 4] int32: top, left, bottom, right in pixels. Bottom and right are just outside,
        as in a slice.
    """
    import tensorflow as tf

    side = tf.sqrt(1 - tf.cast(lam, "float32"))
    size = tf.cast([height, width], "float32")
    box_size = tf.cast(side[:, None] * size, "int32")
    centre = tf.stack([row, column], axis=1)
    start = tf.cast(centre, "int32") - box_size // 2
    boxes = tf.concat([start, start + box_size], axis=1)
    return tf.clip_by_value(
        boxes,
        clip_value_min=0,
        clip_value_max=[height, width, height, width],
    )


def partners(numbers: RandomNumbers) -> tf.Tensor:
    """Return which image each image is mixed with: a permutation of 0 ... batch - 1.

    One image on average, however many there are, is its own partner. Explained in notebook 08.

    Returns
    -------
    tf.Tensor
        [batch] int32.
    """
    import tensorflow as tf

    return tf.argsort(numbers.order)


def paste(
    images,
    boxes,
    partner,
) -> tf.Tensor:
    """Paste into each image, inside its box, the pixels of its partner. See notebook 08.

    Parameters
    ----------
    images
        [batch, height, width, channels], uint8 or floating.
    boxes
        [batch, 4] integers: top, left, bottom, right in pixels.
    partner
        [batch] integers: index of the image to paste from.

    Returns
    -------
    tf.Tensor
        Shape and dtype of `images`.
    """
    import tensorflow as tf

    images = checks.check_images(images)
    boxes = tf.cast(boxes, "int32")
    partner = tf.cast(partner, "int32")
    batch, height, width, channels = tf.unstack(tf.shape(images))
    top, left, bottom, right = tf.split(boxes, 4, axis=1)

    # A row that crosses the box is paired with the partner's row, any other with itself, so
    # that the partner is read only where it is needed.
    row = tf.range(height)
    crosses = (row >= top) & (row < bottom)
    own = tf.range(batch)[:, None]
    source = tf.where(crosses, partner[:, None], own)

    # Columns and channels are one long axis, so that XLA makes of the last step one loop of
    # vector instructions. It would work out `inside` anew for every value of the images; what
    # a branch returns it keeps in memory.
    length = width * channels
    column = tf.range(length)
    first = left * channels
    end = right * channels
    inside = tf.cond(
        tf.reduce_any(first < end),
        lambda: (column >= first) & (column < end),
        lambda: tf.zeros([batch, length], "bool"),
    )

    rows = tf.reshape(images, [batch * height, length])
    mixed = tf.where(
        inside[:, None],
        tf.gather(rows, source * height + row),
        tf.reshape(images, [batch, height, length]),
    )
    return tf.reshape(mixed, tf.shape(images))


def pasted_share(
    boxes,
    height,
    width,
) -> tf.Tensor:
    """Count the share of an image's pixels inside each box. Explained in notebook 08.

    Returns
    -------
    tf.Tensor
        [batch] float64, exact for every size.
    """
    import tensorflow as tf

    boxes = tf.cast(boxes, "float64")
    top, left, bottom, right = tf.unstack(boxes, axis=1)
    pixels = tf.cast(height * width, "float64")
    area = (bottom - top) * (right - left)
    return area / pixels


def mix_labels(
    labels,
    share,
    partner,
) -> tf.Tensor:
    """Mix the labels: (1 - share) of its own and share of the partner's (equation 1).

    Parameters
    ----------
    labels
        [batch, classes], floating: one-hot or already soft.
    share
        [batch]: weight of the partner, in [0, 1].
    partner
        [batch] integers: index of the partner.

    Returns
    -------
    tf.Tensor
        Like `labels`. Rows that summed to 1 sum to 1. Explained in notebook 08.
    """
    import tensorflow as tf

    labels = checks.check_labels(labels)
    own = tf.cast(labels, "float64")
    other = tf.gather(own, partner)
    weight = tf.cast(share, "float64")[:, None]
    mixed = own + weight * (other - own)
    if labels.dtype.size == 2:
        # From float64 to a half type in one step some processors round once, others twice.
        mixed = tf.cast(mixed, "float32")
    return tf.cast(mixed, labels.dtype)


@compiling.without_autograph
def cutmix(
    images,
    labels,
    seed,
    *,
    alpha: float = 1.0,
    probability: float = 1.0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix a batch by CutMix, each image with a box and a partner of its own. See notebook 08.

    Parameters
    ----------
    images
        [batch, height, width, channels], uint8, float16, bfloat16, float32 or float64; any
        size.
    labels
        [batch, classes], floating: one-hot or already soft.
    seed
        Pair of integers, as in `tf.random.stateless_uniform`. The same seed gives the same
        batch eagerly, in `tf.function`, in `Dataset.map` and under XLA.
    alpha
        Above 0: lambda is drawn from Beta(alpha, alpha).
    probability
        Chance in [0, 1] that an image is mixed at all, drawn for each image.

    Returns
    -------
    tuple of tf.Tensor
        Images and labels, of the same shapes and dtypes. A label's weights are the exact shares
        of pixels.

    Raises
    ------
    TypeError
        Integer labels, or images of another dtype.
    ValueError
        Wrong rank, batches of different size, or an option outside its range.
    """
    import tensorflow as tf

    images, labels = checks.check_batch(images, labels)
    alpha = checks.check_number("alpha", alpha, 0, above=True)
    probability = checks.check_number("probability", probability, 0, 1)
    # As tensors, so that a new value is no reason to compile anew.
    alpha = tf.constant(alpha, "float64")
    probability = tf.constant(probability, "float64")
    numbers = random_numbers(tf.shape(images)[0], seed)
    mixed, mixed_labels = _mix(
        images,
        labels,
        numbers,
        alpha,
        probability,
    )
    # A function that was compiled for several shapes does not say which it returns.
    mixed.set_shape(images.shape)
    mixed_labels.set_shape(labels.shape)
    return mixed, mixed_labels


@compiling.compiled
def _mix(
    images,
    labels,
    numbers,
    alpha,
    probability,
):
    import tensorflow as tf

    _, height, width, _ = tf.unstack(tf.shape(images))
    lam = sample_lambda(numbers, alpha, probability)
    row, column = sample_centres(numbers, height, width)
    boxes = boxes_at(lam, row, column, height, width)
    partner = partners(numbers)
    mixed = paste(images, boxes, partner)
    share = pasted_share(boxes, height, width)
    return mixed, mix_labels(labels, share, partner)


class CutMix(seeding.SeededMap):
    """`cutmix` as a step of a pipeline, mixing every batch of every epoch anew.

    `dataset.batch(32).map(CutMix(alpha=1.0, probability=0.5, seed=7))`; see
    `helpers.seeding.SeededMap` for what parallel calls do. Explained in notebook 08.

    Parameters
    ----------
    alpha, probability
        As in `cutmix`.
    seed
        Integer; an object made with the same seed draws the same again.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        probability: float = 1.0,
        seed: int = 0,
    ):
        super().__init__(seed)
        self.alpha = checks.check_number("alpha", alpha, 0, above=True)
        self.probability = checks.check_number("probability", probability, 0, 1)

    def transform(
        self,
        seed: tf.Tensor,
        images: tf.Tensor,
        labels: tf.Tensor,
    ):
        """Mix one batch with the given seed."""
        return cutmix(
            images,
            labels,
            seed,
            alpha=self.alpha,
            probability=self.probability,
        )
