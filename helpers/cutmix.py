"""CutMix and MixUp for batches, in small steps that notebook 08 builds up one by one.

A batch is mixed in five steps: draw how much of each image to keep (`sample_lambda`), place a
box (`sample_boxes`), choose each image's partner (`partners`), paste the partner's pixels into
the box (`paste`), and mix the labels by the share of pixels that were pasted (`pasted_share`,
`mix_labels`). `cutmix` is these five in a row.

Only the random numbers are drawn one operation at a time. All that is made of them is one
function compiled with XLA, the pixels a single pass that reads two images and writes one. Where
XLA is missing the same operations run uncompiled and give the same bits.

Sources: CutMix, Yun et al. 2019, https://arxiv.org/abs/1905.04899, equations 1 and 2;
MixUp, Zhang et al. 2018, https://arxiv.org/abs/1710.09412, equation 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from helpers import checks, compiling, seeding

if TYPE_CHECKING:
    import tensorflow as tf

BOXES = ("paper", "notes")


def sample_lambda(count: int | tf.Tensor, seed: Any, alpha: float = 1.0) -> tf.Tensor:
    """Draw the share of its own image that each example keeps, from Beta(alpha, alpha).

    One formula serves every alpha: if T has Student's t distribution with 2 alpha degrees of
    freedom, then (1 + T / sqrt(2 alpha + T^2)) / 2 is Beta(alpha, alpha), and T comes from two
    uniform numbers (Bailey 1994, https://doi.org/10.2307/2153537). It holds for a tiny alpha
    too, where a ratio of gamma draws is 0 / 0.

    Parameters
    ----------
    count
        Number of draws.
    seed
        Pair of integers; the same pair draws the same.
    alpha
        Above 0. Small: nearly all of one image. 1: uniform. Large: nearly half and half.

    Returns
    -------
    tf.Tensor
        [count] float32 in [0, 1].
    """
    import tensorflow as tf

    alpha = checks.check_number("alpha", alpha, 0.0, above=True)
    return _beta(*tf.unstack(seeding.uniform(seed, [2, count])), alpha)


def _beta(radius, angle, alpha):
    import tensorflow as tf

    cosine = tf.cos(2 * math.pi * angle)
    # 1 + T^2 / (2 alpha): infinite where alpha is tiny, and then the smaller share is 0, as it
    # should be.
    spread = 1 + tf.math.expm1(-tf.math.log(radius) / alpha) * cosine**2
    smaller = 0.5 / (spread * (1 + tf.sqrt(1 - 1 / spread)))
    return tf.cast(tf.where(cosine > 0, 1 - smaller, smaller), tf.float32)


def boxes_at(
    lam: Any, centre_y: Any, centre_x: Any, height: Any, width: Any, box: str = "paper"
) -> tf.Tensor:
    """Boxes about given centres, large enough to cut away a share 1 - lambda, clipped to the image.

    A box is sqrt(1 - lambda) of the image in height and in width (equation 2 of the paper),
    rounded down to pixels. The notes' box goes half of that, rounded down, to both sides of the
    centre, and so loses a pixel of an odd size.

    Parameters
    ----------
    lam
        [batch] floats in [0, 1].
    centre_y, centre_x
        [batch] integers: row and column of the centre.
    height, width
        Size of the image in pixels.
    box
        "paper" or "notes".

    Returns
    -------
    tf.Tensor
        [batch, 4] int32: top, left, bottom, right in pixels. Bottom and right are just outside,
        as in a slice.
    """
    import tensorflow as tf

    return _boxes(
        lam,
        tf.cast(tf.stack([centre_y, centre_x], axis=1), tf.int32),
        _size(height, width),
        _check_box(box),
    )


def _boxes(lam, centre, size, box):
    import tensorflow as tf

    ratio = tf.sqrt(1 - tf.cast(lam, tf.float32))
    cut = tf.cast(tf.expand_dims(ratio, 1) * tf.cast(size, tf.float32), tf.int32)
    half = cut // 2
    start = centre - half
    end = centre + half if box == "notes" else start + cut
    return tf.clip_by_value(tf.concat([start, end], axis=1), 0, tf.tile(size, [2]))


def sample_boxes(lam: Any, height: Any, width: Any, seed: Any, box: str = "paper") -> tf.Tensor:
    """Draw one box for each lambda, as `boxes_at` makes them, about a random centre.

    The paper's centre is uniform over the image, the notes' over its middle three quarters.
    """
    import tensorflow as tf

    lam, size = tf.convert_to_tensor(lam), _size(height, width)
    places = seeding.uniform(seed, tf.stack([tf.size(lam), 2]))
    return _boxes(lam, _centres(places, size, _check_box(box)), size, box)


def _centres(places, size, box):
    import tensorflow as tf

    low, high = (size // 8, size * 7 // 8) if box == "notes" else (0, size)
    return low + tf.cast(places * tf.cast(tf.maximum(high - low, 1), tf.float64), tf.int32)


def partners(count: int | tf.Tensor, seed: Any, derangement: bool = False) -> tf.Tensor:
    """Draw which image each image is mixed with: a permutation of 0 ... count - 1, [count] int32.

    A plain permutation leaves one image on average with itself. With `derangement` none is: the
    images stand in one random ring and each takes the next. (A batch of one has no other image,
    and takes itself.)
    """
    return _partners(seeding.uniform(seed, [count]), derangement)


def _partners(draws, derangement):
    import tensorflow as tf

    order = tf.argsort(draws)
    return (
        tf.scatter_nd(order[:, None], tf.roll(order, -1, axis=0), tf.shape(order))
        if derangement
        else order
    )


def paste(
    images: Any, boxes: Any, partner: Any, *, dtype: Any = None, scale: float | None = None
) -> tf.Tensor:
    """Paste into each image, inside its box, the pixels of its partner.

    Parameters
    ----------
    images
        [batch, height, width, channels], uint8 or floating.
    boxes
        [batch, 4] int32: top, left, bottom, right in pixels.
    partner
        [batch] int32: index of the image to paste from.
    dtype, scale
        Cast the result and multiply it in the same pass: `dtype="float32", scale=1 / 255` costs
        hardly more than that cast alone. With `scale` and no `dtype`, uint8 images become
        float32.

    Returns
    -------
    tf.Tensor
        Of the images' shape; of `dtype`, or else of theirs.
    """
    images = checks.check_images(images)
    return compiling.like(
        _paste_compiled(
            images, boxes, partner, *checks.check_output(images.dtype, dtype, scale)
        ),
        images,
    )


def _paste(images, boxes, partner, dtype, scale):
    import tensorflow as tf

    batch, height, width, channels = _sizes(images)
    top, left, bottom, right = tf.split(boxes, 4, axis=1)
    row, column = tf.range(height), tf.range(width * channels)
    # A row that crosses the box is paired with the partner's, any other with itself: no second
    # look at memory.
    own, partner = tf.expand_dims(tf.range(batch), 1), tf.expand_dims(partner, 1)
    pair = tf.where((row >= top) & (row < bottom), partner, own) * height + row
    # Columns times channels are one long axis, so that XLA makes of all this one loop of vector
    # instructions. It would work out anew for every value of the images what lies inside; what
    # a branch returns it keeps in memory.
    inside = tf.cond(
        tf.reduce_any(left < right),
        lambda: (column >= left * channels) & (column < right * channels),
        lambda: tf.zeros([batch, width * channels], tf.bool),
    )
    rows = tf.reshape(images, [batch * height, width * channels])
    mixed = tf.where(
        tf.expand_dims(inside, 1),
        _cast_and_scale(tf.gather(rows, pair), dtype, scale),
        _cast_and_scale(tf.reshape(rows, [batch, height, width * channels]), dtype, scale),
    )
    return tf.reshape(mixed, [batch, height, width, channels])


_paste_compiled = compiling.compiled(_paste)


def pasted_share(boxes: Any, height: Any, width: Any) -> tf.Tensor:
    """Share of the image's pixels inside each box, [batch] float64: counted, so exact for odd sizes too."""
    import tensorflow as tf

    top, left, bottom, right = tf.unstack(tf.cast(boxes, tf.float64), axis=1)
    return (
        (bottom - top)
        * (right - left)
        / (tf.cast(height, tf.float64) * tf.cast(width, tf.float64))
    )


def mix_labels(labels: Any, share: Any, partner: Any) -> tf.Tensor:
    """Mix the labels: (1 - share) of its own and share of the partner's (equation 1 of the paper).

    Parameters
    ----------
    labels
        [batch, classes], floating: one-hot or already soft.
    share
        [batch]: weight of the partner, in [0, 1].
    partner
        [batch] int32.

    Returns
    -------
    tf.Tensor
        Like `labels`. Rows that summed to 1 sum to 1.
    """
    import tensorflow as tf

    labels = checks.check_labels(labels)
    # Wide arithmetic, one rounding at the end: float16 labels are as good as their dtype
    # allows.
    own, weight = tf.cast(labels, tf.float64), tf.expand_dims(tf.cast(share, tf.float64), 1)
    return _narrow(own + weight * (tf.gather(own, partner) - own), labels.dtype)


@compiling.as_written
def cutmix(
    images: Any,
    labels: Any,
    seed: Any,
    *,
    alpha: float = 1.0,
    probability: float = 1.0,
    box: str = "paper",
    derangement: bool = False,
    dtype: Any = None,
    scale: float | None = None,
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
        batch: eagerly, in `tf.function`, in `Dataset.map` and under XLA.
    alpha
        Above 0: lambda is drawn from Beta(alpha, alpha).
    probability
        Chance in [0, 1] that an image is mixed at all, drawn for each image.
    box, derangement, dtype, scale
        As in `sample_boxes`, `partners` and `paste`.

    Returns
    -------
    tuple of tf.Tensor
        Images and labels, of the same shapes. A label's weights are the exact shares of pixels.

    Raises
    ------
    TypeError
        Integer labels, or images of another dtype.
    ValueError
        Wrong rank, batches of different size, or an option outside its range.
    """
    images, labels = checks.check_batch(images, labels)
    options = _check_chances(alpha, probability), _check_box(box), derangement
    mixed = _cutmix(
        images,
        labels,
        _draw(images, seed),
        *options,
        *checks.check_output(images.dtype, dtype, scale),
    )
    return compiling.like(mixed[0], images), compiling.like(mixed[1], labels)


@compiling.compiled
def _cutmix(images, labels, draws, chances, box, derangement, dtype, scale):
    import tensorflow as tf

    radius, angle, y, x, coin, order = tf.unstack(seeding.to_unit(draws))
    _, height, width, _ = _sizes(images)
    size = tf.stack([height, width])
    boxes = _boxes(
        _kept(radius, angle, coin, chances),
        _centres(tf.stack([y, x], axis=1), size, box),
        size,
        box,
    )
    partner = _partners(order, derangement)
    share = pasted_share(boxes, height, width)
    return _paste(images, boxes, partner, dtype, scale), mix_labels(labels, share, partner)


def _blend(images, share, partner, dtype, scale):
    """Each image and its partner, weighted; uint8 is rounded."""
    import tensorflow as tf

    # In float64 both products are exact (24 and 17 bits), so that a fused multiply-add changes
    # nothing.
    own, weight = tf.cast(images, tf.float64), tf.cast(share, tf.float64)[:, None, None, None]
    mixed = own * (1 - weight) + tf.gather(own, partner) * weight
    mixed = tf.round(mixed) if images.dtype == tf.uint8 else mixed
    return _cast_and_scale(_narrow(mixed, images.dtype), dtype, scale)


@compiling.as_written
def mixup(
    images: Any,
    labels: Any,
    seed: Any,
    *,
    alpha: float = 1.0,
    probability: float = 1.0,
    derangement: bool = False,
    dtype: Any = None,
    scale: float | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix a batch by MixUp: whole images blended, labels likewise. See notebook 08 and, for the parameters, `cutmix`.

    Lambda is rounded to a multiple of 2**-16, so that pixels and labels have exactly the same
    weights.
    """
    images, labels = checks.check_batch(images, labels)
    options = _check_chances(alpha, probability), derangement
    mixed = _mixup(
        images,
        labels,
        _draw(images, seed),
        *options,
        *checks.check_output(images.dtype, dtype, scale),
    )
    return compiling.like(mixed[0], images), compiling.like(mixed[1], labels)


@compiling.compiled
def _mixup(images, labels, draws, chances, derangement, dtype, scale):
    import tensorflow as tf

    radius, angle, _, _, coin, order = tf.unstack(seeding.to_unit(draws))
    share = 1 - tf.round(_kept(radius, angle, coin, chances) * 2.0**16) * 2.0**-16
    partner = _partners(order, derangement)
    return _blend(images, share, partner, dtype, scale), mix_labels(labels, share, partner)


class CutMix(seeding.SeededMap):
    """`cutmix` as a step of a pipeline: `dataset.batch(32).map(CutMix(alpha=1.0, probability=0.5, seed=7))`.

    Every batch, in every epoch, is mixed anew. `dataset.map(step)` and `step.apply(dataset)`
    differ in what parallel calls do; see `helpers.seeding.SeededMap`. Called on a batch,
    (images, labels), it mixes that.

    Parameters
    ----------
    alpha, probability, **options
        As in `cutmix`.
    seed
        Integer; an object made with the same seed draws the same again.
    """

    _mix = staticmethod(cutmix)

    def __init__(
        self, alpha: float = 1.0, probability: float = 1.0, seed: int = 0, **options: Any
    ):
        import tensorflow as tf

        super().__init__(seed)
        self.options = {"alpha": alpha, "probability": probability, **options}
        # One pixel is mixed on paper, so that a bad option is an error here and not in the
        # middle of a pipeline.
        with tf.Graph().as_default():
            self._mix([[[[0.0]]]], [[1.0]], (0, 0), **self.options)

    def transform(
        self, seed: tf.Tensor, images: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Mix one batch with the given seed."""
        return self._mix(images, labels, seed, **self.options)


class MixUp(CutMix):
    """`mixup` as a step of a pipeline; see `CutMix`."""

    _mix = staticmethod(mixup)


def _draw(images, seed):
    """Six random numbers per image, [6, batch]: two for lambda, two for the box, is it mixed, and with whom."""
    import tensorflow as tf

    return seeding.random_bits(
        seed, [6, tf.shape(images)[0] if images.shape[0] is None else images.shape[0]]
    )


def _kept(radius, angle, coin, chances):
    """Lambda of each image: Beta(alpha, alpha), or 1 for those left alone."""
    import tensorflow as tf

    alpha, probability = tf.unstack(chances)
    return tf.where(coin < probability, _beta(radius, angle, alpha), 1.0)


def _size(height, width):
    import tensorflow as tf

    return tf.cast(tf.stack([height, width]), tf.int32)


def _check_chances(alpha, probability):
    """Alpha and probability as tensors: a new value is a new input to the compiled function, not a new function."""
    import tensorflow as tf

    alpha = checks.check_number("alpha", alpha, 0.0, above=True)
    return tf.constant(
        [alpha, checks.check_number("probability", probability, 0.0, 1.0)], tf.float64
    )


def _check_box(box):
    if box not in BOXES:
        raise ValueError(f"box must be one of {BOXES}, got {box!r}")
    return box


def _cast_and_scale(images: tf.Tensor, dtype: tf.DType, scale: float | None) -> tf.Tensor:
    """Multiply, in float32 or wider, and cast; both from `check_output`."""
    import tensorflow as tf

    if scale is not None:
        images = tf.cast(images, tf.float64 if dtype == tf.float64 else tf.float32) * scale
    return _narrow(images, dtype)


def _narrow(values: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Cast, from float64 to a half type by way of float32: in one step some processors round once, others twice."""
    import tensorflow as tf

    return tf.cast(
        tf.cast(values, tf.float32)
        if values.dtype == tf.float64 and dtype.size == 2
        else values,
        dtype,
    )


def _sizes(tensor: tf.Tensor) -> list[Any]:
    """Return the sizes of the axes: the numbers where they are known, which keeps graphs small, else tensors."""
    import tensorflow as tf

    return (
        tensor.shape.as_list()
        if tensor.shape.is_fully_defined()
        else tf.unstack(tf.shape(tensor))
    )
