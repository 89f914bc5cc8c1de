"""The replicas of a model, and how the rows of a batch are dealt to them.

Explained in notebook 11.
"""

from __future__ import annotations


def is_chief(strategy) -> bool:
    """Return whether this process writes the files: the first worker, or the only one."""
    return Replicas(strategy).first == 0


class Replicas:
    """The copies of a model that train together: `count` on all workers, `local` on this one.

    This worker's first one is number `first`; `context` says which worker it is, of how many.
    """

    def __init__(self, strategy):
        import tensorflow as tf

        def note(context):
            self.context = context
            return tf.data.Dataset.range(1)

        strategy.distribute_datasets_from_function(note)
        self.strategy = strategy
        self.count = strategy.num_replicas_in_sync
        self.local = self.count // self.context.num_input_pipelines
        self.first = self.local * self.context.input_pipeline_id

    def deal(self, dataset, hands):
        """Deal the rows of each batch like cards: one to each of `hands` replicas in turn.

        These are all replicas (`count`) if a batch holds the rows of all workers, and `local`
        ones if it holds this worker's. The dataset returned has a tuple for each batch, with an
        item for each replica of this worker: the number of rows that it gets, and the rows.
        """
        import tensorflow as tf

        first = self.first % hands

        def rows_of(place, batch):
            images = tf.nest.flatten(batch)[0]
            size = tf.shape(images)[0]
            # A replica that gets no row computes on one of another's, which counts for nothing.
            end = tf.maximum(size, place + 1)
            rows = tf.range(place, end, hands)
            count = tf.math.count_nonzero(rows < size)
            dealt = tf.nest.map_structure(
                lambda values: tf.gather(values, rows % size),
                batch,
            )
            return count, dealt

        def deal(*batch):
            places = range(first, first + self.local)
            return tuple(rows_of(place, batch) for place in places)

        return dataset.map(deal).prefetch(tf.data.AUTOTUNE)

    def steps(self, dataset):
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
