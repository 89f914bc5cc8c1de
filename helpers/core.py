"""What `cutmix` and `augment` share: checked batches, seeded draws, functions compiled where that is possible.

Every draw comes from an integer pair, the seed. The same pair draws the same numbers in eager code, in a graph, in a
`tf.data` pipeline and under XLA, because the generator (Philox) is named instead of left to the device, and the
numbers are made from its bits here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

IMAGE_DTYPES = ("uint8", "float16", "bfloat16", "float32", "float64")


def check_number(name: str, value: Any, minimum: float, maximum: float = math.inf, *, above: bool = False) -> float:
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
        low, high = f"{'above' if above else 'at least'} {minimum:g}", f" and at most {maximum:g}"
        raise ValueError(f"{name} must be finite, {low}{high if maximum < math.inf else ''}; got {value!r}")
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
        raise TypeError(f"images must be one of {', '.join(IMAGE_DTYPES)}; got {images.dtype.name}: use tf.cast first")
    if images.shape.rank not in (4, None):
        raise ValueError(
            f"images must be a batch [batch, height, width, channels]; got shape {tuple(images.shape)}: "
            "put this step after Dataset.batch, or add a first axis with images[None]"
        )
    return tf.ensure_shape(images, [None] * 4) if images.shape.rank is None else images


def check_batch(images: Any, labels: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Return images as `check_images` does, and labels [batch, classes], floating, or say what is wrong with them."""
    images, labels = check_images(images), check_labels(labels)
    if not images.shape[:1].is_compatible_with(labels.shape[:1]):
        raise ValueError(f"images and labels must be of one batch; got {images.shape[0]} and {labels.shape[0]}")
    return images, labels


def check_labels(labels: Any) -> tf.Tensor:
    """Return labels [batch, classes], one-hot or soft, as a tensor, or say what is wrong with them."""
    import tensorflow as tf

    labels = tf.convert_to_tensor(labels)
    if not labels.dtype.is_floating:
        raise TypeError(
            f"labels must be floating, one-hot or soft; got {labels.dtype.name}: use tf.one_hot(labels, num_classes)"
        )
    if labels.shape.rank not in (2, None):
        raise ValueError(f"labels must be [batch, classes]; got shape {tuple(labels.shape)}: use tf.one_hot")
    return labels


def check_output(given: tf.DType, dtype: Any, scale: float | None) -> tuple[tf.DType, float | None]:
    """Return the dtype that images of dtype `given` become when cast to `dtype` and multiplied by `scale`, and that."""
    import tensorflow as tf

    if scale is not None:
        scale = check_number("scale", scale, 0.0, above=True)
    if dtype is None:
        dtype = given if scale is None or given.is_floating else tf.float32
    dtype = tf.as_dtype(dtype)
    if not dtype.is_floating and (scale is not None or dtype != given):
        raise ValueError(f"dtype must be floating when images are cast or scaled, got {dtype.name}")
    return dtype, scale


def cast_and_scale(images: tf.Tensor, dtype: tf.DType, scale: float | None) -> tf.Tensor:
    """Multiply, in float32 or wider, and cast; both from `check_output`."""
    import tensorflow as tf

    if scale is not None:
        images = tf.cast(images, tf.float64 if dtype == tf.float64 else tf.float32) * scale
    return narrow(images, dtype)


def narrow(values: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Cast, from float64 to a half type by way of float32: in one step some processors round once, others twice."""
    import tensorflow as tf

    return tf.cast(tf.cast(values, tf.float32) if values.dtype == tf.float64 and dtype.size == 2 else values, dtype)


def sizes(tensor: tf.Tensor) -> list[Any]:
    """Return the sizes of the axes: the numbers where they are known, which keeps graphs small, else tensors."""
    import tensorflow as tf

    return tensor.shape.as_list() if tensor.shape.is_fully_defined() else tf.unstack(tf.shape(tensor))


def shaped(result: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
    """Return the result, with what is known of the given tensor's shape: a compiled function may have forgotten it."""
    result.set_shape(given.shape)
    return result


def as_seed(seed: Any) -> tf.Tensor:
    """Return the seed as a tensor of two integers, or say what is wrong with it."""
    import tensorflow as tf

    pair = tf.convert_to_tensor(seed)
    if not pair.dtype.is_integer or not pair.shape.is_compatible_with([2]):
        raise ValueError(
            f"seed must be a pair of integers such as (7, 0); got {pair.dtype.name} of shape {tuple(pair.shape)}"
        )
    return pair if pair.dtype in (tf.int32, tf.int64) else tf.cast(pair, tf.int64)


def split(seed: Any, count: int) -> list[tf.Tensor]:
    """Draw `count` independent seeds from one."""
    import tensorflow as tf

    bits = tf.random.stateless_uniform([count, 2], as_seed(seed), None, None, tf.int32, alg="philox")
    return tf.unstack(bits)


def uniform(seed: Any, shape: Any) -> tf.Tensor:
    """Draw float64 numbers uniformly from (0, 1), both ends excluded: the middles of 2**32 equal cells."""
    return to_unit(random_bits(seed, shape))


def random_bits(seed: Any, shape: Any) -> tf.Tensor:
    """Draw uint32 numbers, every bit a fair coin: `tf.random.stateless_uniform` in the two operations it is made of."""
    import tensorflow as tf

    state = tf.raw_ops.StatelessRandomGetKeyCounter(seed=as_seed(seed))
    philox = tf.random.Algorithm.PHILOX.value
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=shape, key=state.key, counter=state.counter, alg=philox, dtype=tf.uint32
    )


def to_unit(bits: tf.Tensor) -> tf.Tensor:
    """Turn uint32 numbers into float64 in (0, 1), exactly, so that it makes no difference where it is compiled."""
    import tensorflow as tf

    return (tf.cast(bits, tf.float64) + 0.5) * 2.0**-32


@functools.cache
def xla_works() -> bool:
    """Whether this TensorFlow can compile with XLA here: tried once, on one addition."""
    import tensorflow as tf

    def compile_and_run() -> bool:
        try:
            return int(tf.function(lambda number: number + 1, jit_compile=True)(tf.constant(1))) == 2
        except (tf.errors.OpError, NotImplementedError, ValueError):
            return False

    # The first call may come while a pipeline is traced, where nothing runs at once. A thread of its own is eager.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(compile_and_run).result()


def compiled(function: Callable) -> Callable:
    """Run `function` compiled with XLA, or as it stands where XLA is missing. The plain one is `.__wrapped__`."""

    @functools.cache
    def build() -> Callable:
        import tensorflow as tf

        return tf.function(function, jit_compile=True, reduce_retracing=True, autograph=False)

    @functools.wraps(function)
    def call(*args):
        return build()(*args) if xla_works() else function(*args)

    return call


def as_written(function: Callable) -> Callable:
    """Keep AutoGraph from rewriting a function that holds nothing to rewrite: it is traced faster as it stands."""

    @functools.wraps(function)
    def call(*args, **options):
        import tensorflow as tf

        return tf.autograph.experimental.do_not_convert(function)(*args, **options)

    return call


class SeededMap:
    """A random step of a `tf.data` pipeline that takes a new seed for every batch.

    A subclass gives `transform(seed, *batch)`. Two ways to use an object, both fresh in every batch and every epoch:

    - `dataset.map(step)`: the seed comes from a counter kept in the object. Run after run the draws are the same as
      long as the map is sequential: no `num_parallel_calls`, for which parallel calls would race for the counter, or
      `tf.config.experimental.enable_op_determinism()`, which keeps them in order.
    - `step.apply(dataset, num_parallel_calls=tf.data.AUTOTUNE)`: the seeds are zipped to the batches, so that the
      same batch gets the same seed however many calls run at once.

    Parameters
    ----------
    seed
        An integer. Two objects with the same seed draw the same.
    """

    def __init__(self, seed: int):
        import tensorflow as tf

        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise TypeError(f"seed must be an integer, got {seed!r}")
        self.seed = int(seed)
        self._generator = tf.random.Generator.from_seed(self.seed, alg="philox")

    def __call__(self, *batch: tf.Tensor) -> Any:
        import tensorflow as tf

        return self.transform(self._generator.uniform_full_int([2], tf.int32), *batch)

    def apply(self, dataset: tf.data.Dataset, num_parallel_calls: int | None = None) -> tf.data.Dataset:
        """Return `dataset` (of batches) with this step mapped over it, the seeds fixed by the batch's place."""
        import tensorflow as tf

        seeds = tf.data.Dataset.random(seed=self.seed, rerandomize_each_iteration=True).batch(2, drop_remainder=True)

        def step(batch: Any, seed: tf.Tensor) -> Any:
            return self.transform(seed, *(batch if isinstance(batch, tuple) else (batch,)))

        return tf.data.Dataset.zip((dataset, seeds)).map(step, num_parallel_calls=num_parallel_calls)
