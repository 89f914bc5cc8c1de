"""The replicas of a model, and how the rows of a batch are dealt to them.

Explained in notebook 11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorflow import Tensor
    from tensorflow.data import Dataset
    from tensorflow.distribute import InputContext, Strategy


def is_chief(strategy: Strategy) -> bool:
    """Return whether this process writes the files: the first worker, or the only one."""
    return input_context(strategy).input_pipeline_id == 0


def input_context(strategy: Strategy) -> InputContext:
    """Return which worker this is, of how many."""
    import tensorflow as tf

    contexts = []

    def note(context: InputContext) -> Dataset:
        contexts.append(context)
        return tf.data.Dataset.range(1)

    strategy.distribute_datasets_from_function(note)
    return contexts[0]


class Replicas:
    """The copies of a model that train together: `count` on all workers, `local` on this one.

    This worker's first one is number `first`; `context` says which worker it is, of how many.
    """

    def __init__(self, strategy: Strategy):
        self.strategy = strategy
        self.context = input_context(strategy)
        self.count = strategy.num_replicas_in_sync
        self.local = self.count // self.context.num_input_pipelines
        self.first = self.local * self.context.input_pipeline_id

    def deal_global(self, dataset: Dataset) -> Dataset:
        """Deal batches that hold the rows of all workers; see `_deal`."""
        places = range(self.first, self.first + self.local)
        return _deal(dataset, places, self.count)

    def deal_own(self, dataset: Dataset) -> Dataset:
        """Deal batches that hold the rows of this worker only; see `_deal`."""
        return _deal(dataset, range(self.local), self.local)

    def steps(self, dataset: Dataset) -> int | None:
        """Return the number of batches. One worker may have an unknown one: ``None`` then.

        Raises
        ------
        ValueError
            If workers have different or unknown numbers: some would wait for others for ever.
        """
        own = dataset.cardinality()[None]
        on_each = self.strategy.experimental_distribute_values_from_function(
            lambda context: own
        )
        gathered = self.strategy.gather(on_each, axis=0)
        numbers = gathered.numpy().tolist()
        if min(numbers) == max(numbers) >= 0:
            return numbers[0]
        if self.context.num_input_pipelines == 1:
            return None
        raise ValueError(
            f"The workers have {numbers} batches (-1: endless, -2: unknown). They need the "
            "same number, known beforehand: drop a last batch that is not full, or tell the "
            "number with assert_cardinality."
        )


def _deal(dataset: Dataset, places: range, hands: int) -> Dataset:
    """Deal the rows of each batch like cards: one to each of `hands` replicas in turn.

    For each batch, the dataset returned has a tuple with an item for each of `places`: the
    number of rows that this replica gets, and the rows.
    """
    import tensorflow as tf

    def rows_of(place: int, batch: tuple) -> tuple[Tensor, tuple]:
        images = tf.nest.flatten(batch)[0]
        size = tf.shape(images)[0]
        count = tf.size(tf.range(place, size, hands))
        # A replica that gets no row computes on one of another's, which counts for nothing.
        end = tf.maximum(size, place + 1)
        rows = tf.range(place, end, hands) % size
        dealt = tf.nest.map_structure(
            lambda values: tf.gather(values, rows),
            batch,
        )
        return count, dealt

    def deal(*batch: Any) -> tuple:
        return tuple(rows_of(place, batch) for place in places)

    automatic = tf.data.AUTOTUNE
    dealt = dataset.map(
        deal,
        num_parallel_calls=automatic,
        deterministic=True,
    )
    return dealt.prefetch(automatic)
