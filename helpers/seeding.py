"""Seeded draws: the same pair of integers draws the same numbers eagerly, in a graph, in `tf.data` and under XLA.

The generator (Philox) is named instead of left to the device, and the numbers are made from its
bits here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf


def as_seed(seed: Any) -> tf.Tensor:
    """Return the seed as a tensor of two integers, or say what is wrong with it."""
    import tensorflow as tf

    pair = tf.convert_to_tensor(seed)
    if not pair.dtype.is_integer or not pair.shape.is_compatible_with([2]):
        raise ValueError(
            f"seed must be a pair of integers such as (7, 0); got {pair.dtype.name} of shape "
            f"{tuple(pair.shape)}"
        )
    return pair if pair.dtype in (tf.int32, tf.int64) else tf.cast(pair, tf.int64)


def split(seed: Any, count: int) -> list[tf.Tensor]:
    """Draw `count` independent seeds from one."""
    import tensorflow as tf

    bits = tf.random.stateless_uniform(
        [count, 2], as_seed(seed), None, None, tf.int32, alg="philox"
    )
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


class SeededMap:
    """A random step of a `tf.data` pipeline that takes a new seed for every batch.

    A subclass gives `transform(seed, *batch)`. Two ways to use an object, both fresh in every
    batch and every epoch:

    - `dataset.map(step)`: the seed comes from a counter kept in the object. Run after run the
      draws are the same as long as the map is sequential: no `num_parallel_calls`, for which
      parallel calls would race for the counter, or
      `tf.config.experimental.enable_op_determinism()`, which keeps them in order.
    - `step.apply(dataset, num_parallel_calls=tf.data.AUTOTUNE)`: the seeds are zipped to the
      batches, so that the same batch gets the same seed however many calls run at once.

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

    def apply(
        self, dataset: tf.data.Dataset, num_parallel_calls: int | None = None
    ) -> tf.data.Dataset:
        """Return `dataset` (of batches) with this step mapped over it, the seeds fixed by the batch's place."""
        import tensorflow as tf

        seeds = tf.data.Dataset.random(seed=self.seed, rerandomize_each_iteration=True).batch(
            2, drop_remainder=True
        )

        def step(batch: Any, seed: tf.Tensor) -> Any:
            return self.transform(seed, *(batch if isinstance(batch, tuple) else (batch,)))

        return tf.data.Dataset.zip((dataset, seeds)).map(
            step, num_parallel_calls=num_parallel_calls
        )
