"""Random numbers from explicit seeds: the same seed gives the same numbers on every device."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def uniform(seed, shape) -> tf.Tensor:
    """Draw float64 numbers uniformly from (0, 1): the middles of 2**32 equal cells.

    The generator, Philox, is named here and not left to the device, and its bits become
    numbers without rounding. So one seed draws the same everywhere: eagerly, in a graph, in a
    pipeline and under XLA.

    Parameters
    ----------
    seed
        Pair of integers; a ValueError says what else was given.
    shape
        Of the result.
    """
    import tensorflow as tf

    pair = tf.convert_to_tensor(seed)
    if not pair.dtype.is_integer or not pair.shape.is_compatible_with([2]):
        raise ValueError(
            "seed must be a pair of integers such as (7, 0); "
            f"got {pair.dtype.name} of shape {pair.shape}"
        )
    bits = tf.random.stateless_uniform(
        shape,
        tf.cast(pair, "int64"),
        minval=None,
        maxval=None,
        dtype="uint32",
        alg="philox",
    )
    return (tf.cast(bits, "float64") + 0.5) / 2**32


class SeededMap:
    """A random step of a `tf.data` pipeline that takes a new seed for every batch.

    A subclass gives `transform(seed, *batch)`. Two ways to use an object, both fresh in every
    batch and every epoch:

    - `dataset.map(step)`: the seed comes from a counter kept in the object. Run after run the
      draws are the same as long as the map is sequential. With `num_parallel_calls` the calls
      race for the counter, unless `tf.config.experimental.enable_op_determinism()` keeps them
      in order.
    - `step.apply(dataset, num_parallel_calls=tf.data.AUTOTUNE)`: the seeds are zipped to the
      batches, so that the same batch gets the same seed however many calls run at once.

    Parameters
    ----------
    seed
        An integer. Two objects with the same seed draw the same.
    """

    def __init__(self, seed: int):
        import tensorflow as tf

        self.seed = operator.index(seed)  # refuses all but integers
        self._generator = tf.random.Generator.from_seed(self.seed, alg="philox")

    def __call__(self, *batch):
        import tensorflow as tf

        seed = self._generator.uniform_full_int([2], tf.int32)
        return self.transform(seed, *batch)

    def apply(
        self,
        dataset: tf.data.Dataset,
        num_parallel_calls: int | None = None,
    ) -> tf.data.Dataset:
        """Return `dataset`, of batches, with this step mapped over it, seeded by place."""
        import tensorflow as tf

        numbers = tf.data.Dataset.random(seed=self.seed, rerandomize_each_iteration=True)
        seeds = numbers.batch(2, drop_remainder=True)

        def step(seed, batch):
            parts = batch if isinstance(batch, tuple) else (batch,)
            return self.transform(seed, *parts)

        pairs = tf.data.Dataset.zip((seeds, dataset))
        return pairs.map(step, num_parallel_calls=num_parallel_calls)
