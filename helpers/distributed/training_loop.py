"""A training loop for one device, several, or several machines, that can be killed and taken up again.

`Model.fit` of Keras 3 trains on the devices of one machine. Past that, TensorFlow's
`MultiWorkerMirroredStrategy` needs a loop of one's own, and this is one: the same callbacks in
the same order, the compiled loss, metrics and optimizer. Explained in notebook 11.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers import checks

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

UNLIKE_ONE_DEVICE = ("clipnorm", "clipvalue", "global_clipnorm", "gradient_accumulation_steps")


def fit(
    model: keras.Model,
    dataset: tf.data.Dataset | Callable[[int, tf.distribute.InputContext], tf.data.Dataset],
    *,
    epochs: int,
    validation_data: tf.data.Dataset | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoint: str | Path | None = None,
    save_every: int | None = None,
) -> keras.callbacks.History:
    """Train a compiled model under the strategy in whose scope it was made, as `Model.fit` does on one device.

    The gradient is that of the mean loss over the *global* batch, however unequal the shares of
    the replicas: the last batch may even have fewer images than there are replicas. Batch
    normalisation sees a replica's own share; its moving statistics are averaged over the
    replicas after each step. Dropout draws differently on every replica.

    With several workers, all make the same call, and all run all callbacks, on the same logs. A
    callback that writes files is for the chief: ``[ModelCheckpoint(...)] if is_chief(strategy)
    else []``.

    Parameters
    ----------
    model
        Made and compiled inside ``strategy.scope()``.
    dataset
        Batches ``(x, y)`` or ``(x, y, sample_weight)``: either a dataset of global batches, of
        which every worker reads all and keeps its rows; or a function ``(epoch, context)`` that
        returns this worker's share of each global batch, `context` saying which worker that is,
        so that a worker reads only what it needs. A run that was interrupted sees the batches
        of one that was not if their order depends on nothing but the epoch.
    epochs
        Counted from the beginning of the whole run.
    validation_data
        A dataset of global batches, judged after every epoch.
    callbacks
        As for `Model.fit`. Their own memory is not in the checkpoint: taken up, they begin
        anew.
    checkpoint
        A file on a disk that all workers see. The chief writes weights, optimizer, metrics and
        the place in the run to it at the end of every epoch, all or nothing. If it exists when
        training begins, the run goes on from there; a run that ended well has removed it.
    save_every
        Write it after every so many steps of an epoch, too.

    Returns
    -------
    keras.callbacks.History
        Of the epochs that ended in this call.

    Raises
    ------
    ValueError
        For a model that is not compiled, an optimizer whose clipping or accumulation acts on
        each replica's gradient before they are summed, a checkpoint of another model, or
        workers with unequal or unknown numbers of batches.
    """
    import keras

    checks.check_count("epochs", epochs, 1)
    run = _Run(
        model,
        checkpoint,
        None if save_every is None else checks.check_count("save_every", save_every, 1),
    )
    whole = None if callable(dataset) else run.split(dataset, run.first, run.count)
    held_out = (
        None if validation_data is None else run.split(validation_data, run.first, run.count)
    )
    begin, done = run.place()  # epochs, and steps of the next one
    if begin >= epochs:
        raise ValueError(
            f"{checkpoint} is a run that has gone through {begin} epochs already; {epochs} "
            "were asked for."
        )
    watchers, logs = None, {}
    for epoch in range(begin, epochs):
        batches = (
            run.split(dataset(epoch, run.context), 0, run.local) if whole is None else whole
        )
        steps = run.length(batches)
        rest = iter(batches.skip(done) if done else batches)
        if watchers is None:
            first = next(rest, None)
            run.prepare(first, batches)
            rest = itertools.chain([first], rest)
            watchers = keras.callbacks.CallbackList(
                list(callbacks),
                add_history=True,
                model=model,
                verbose=0,
                epochs=epochs,
                steps=steps,
            )
            model.stop_training = False
            watchers.on_train_begin()
        if not done:
            model.reset_metrics()
        watchers.on_epoch_begin(epoch)
        for step, batch in enumerate(map(run.dealt, rest), done):
            watchers.on_train_batch_begin(step)
            watchers.on_train_batch_end(step, run.train(*batch))
            if model.stop_training:
                break
            if run.save_every and (step + 1) % run.save_every == 0 and step + 1 < steps:
                run.save(epoch, step + 1)
        done = 0
        logs = run.logs()
        if held_out is not None:
            logs.update(
                {f"val_{name}": value for name, value in run.judge(held_out, watchers).items()}
            )
        watchers.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
        if epoch + 1 < epochs:
            run.save(epoch + 1, 0)
    model.optimizer.finalize_variable_values(model.trainable_weights)
    watchers.on_train_end(logs)
    run.clear()
    return model.history


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process is the one that writes files: the first worker, or the only one."""
    return _workers(strategy)[1] == 0


def _workers(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """Return the number of workers, and this one's place among them."""
    cluster = getattr(strategy, "cluster_resolver", None)
    spec = cluster.cluster_spec().as_dict() if cluster else {}
    tasks = [
        (job, task) for job in ("chief", "worker") for task in range(len(spec.get(job, ())))
    ]
    return (len(tasks), tasks.index((cluster.task_type, cluster.task_id))) if tasks else (1, 0)


class _Run:
    """A model, the replicas it is trained by, and the file that its state is kept in."""

    def __init__(self, model: keras.Model, file: str | Path | None, save_every: int | None):
        import tensorflow as tf

        if not model.compiled or model.optimizer is None:
            raise ValueError(
                f"{model.name} is not compiled: call compile() inside the strategy's scope "
                "first."
            )
        self.model, self.save_every = model, save_every
        self.file = None if file is None else Path(file)
        self.part = None if file is None else self.file.with_name(self.file.name + ".part")
        self.strategy = model.distribute_strategy
        self.workers, worker = _workers(self.strategy)
        self.chief = worker == 0
        self.count = self.strategy.num_replicas_in_sync
        self.local = self.count // self.workers
        self.first = worker * self.local
        self.context = tf.distribute.InputContext(self.workers, worker, self.count)
        inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        acting = [name for name in UNLIKE_ONE_DEVICE if getattr(inner, name, None)]
        if acting and self.count > 1:
            raise ValueError(
                f"The optimizer has {acting[0]}, which Keras applies to each replica's "
                f"gradient before they are summed: {self.count} replicas would not train as "
                "one device does. Leave it out."
            )
        self.train = self.test = None

    # The data: a batch becomes one part for each replica of this worker, with the number of its
    # rows that count.

    def split(self, dataset: tf.data.Dataset, first: int, count: int) -> tf.data.Dataset:
        """Deal the rows of each batch out like cards: replica `first` of `count` gets every `count`-th row."""
        import tensorflow as tf

        def deal(*batch: Any) -> tuple:
            size = tf.shape(tf.nest.flatten(batch)[0])[0]
            if count == 1:
                return ((size, batch),)
            return tuple(part(batch, size, first + replica) for replica in range(self.local))

        def part(batch: tuple, size: tf.Tensor, place: int) -> tuple:
            rows = tf.range(place, size, count)
            # A replica that is left without a row takes one of another's, which then counts for
            # nothing.
            some = tf.cond(
                tf.size(rows) > 0, lambda: rows, lambda: tf.reshape(place % size, [1])
            )
            return tf.size(rows), tf.nest.map_structure(
                lambda values: tf.gather(values, some), batch
            )

        return dataset.map(
            deal, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        ).prefetch(tf.data.AUTOTUNE)

    def dealt(self, parts: tuple) -> Any:
        """Return the parts of a batch as values that differ from replica to replica."""
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: parts[context.replica_id_in_sync_group - self.first]
        )

    def length(self, parts: tf.data.Dataset) -> int | None:
        """Return the number of batches, the same for all workers; None where one worker may not know it."""
        lengths = mine = parts.cardinality()[None]
        if self.workers > 1:
            each = self.strategy.experimental_distribute_values_from_function(lambda _: mine)
            lengths = self.strategy.gather(each, axis=0)
        known = min(lengths.numpy()) >= 0
        if min(lengths.numpy()) != max(lengths.numpy()) or not (
            known or (self.workers == 1 and not self.save_every)
        ):
            raise ValueError(
                f"The workers have {lengths.numpy().tolist()} batches (-1: endless, -2: "
                "unknown). Several workers need "
                "the same number, known beforehand, and save_every needs to know it, too: "
                "drop a last batch that is not full, or tell the number with "
                "assert_cardinality."
            )
        return int(lengths[0]) if known else None

    # The model: everything that a first step would make is made before it.

    def prepare(self, first: tuple | None, parts: tf.data.Dataset) -> None:
        """Make variables and compiled steps from a batch of `parts`, and take up the checkpoint if there is one."""
        import keras

        if first is None:
            raise ValueError("The dataset has no batches.")
        x, y, weight = keras.utils.unpack_x_y_sample_weight(first[0][1])
        with self.strategy.scope():
            guess = self.model(x, training=False)
            self.model.optimizer.build(self.model.trainable_variables)
            with keras.StatelessScope():  # makes the metrics' variables, and counts nothing
                self.model.compute_metrics(x, y, guess, weight)
        self.restore()
        self._own_seeds()
        self.train = self._compiled(self._train_step, parts)

    def _compiled(
        self, step: Callable[..., None], parts: tf.data.Dataset
    ) -> Callable[..., dict[str, Any]]:
        import tensorflow as tf

        # One trace for shares of every size. A worker that had to trace again alone would wait
        # for the others for ever.
        spec = self.strategy.distribute_datasets_from_function(
            lambda _: parts.map(lambda *each: each[0])
        ).element_spec

        @tf.function(input_signature=list(spec), autograph=False)
        def compiled(*part: Any) -> dict[str, Any]:
            self.strategy.run(step, part)
            # Out here, where the replicas' counts are added up.
            return self.model.get_metrics_result()

        return compiled

    def _train_step(self, size: tf.Tensor, batch: tuple) -> None:
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(size, tf.float32))
        with tf.GradientTape() as tape:
            loss = self._loss(size, batch, training=True)
            # The mean over a share becomes its part of the mean over the global batch; the
            # optimizer adds the parts up.
            part = self.model.optimizer.scale_loss(loss * tf.cast(size, tf.float32) / total)
        variables = self.model.trainable_variables
        self.model.optimizer.apply(tape.gradient(part, variables), variables)
        self._agree(context)

    def _test_step(self, size: tf.Tensor, batch: tuple) -> None:
        self._loss(size, batch, training=False)

    def _loss(self, size: tf.Tensor, batch: tuple, training: bool) -> tf.Tensor:
        """Return the mean loss of a replica's share, and tell the metrics."""
        import keras
        import tensorflow as tf

        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        guess = self.model(x, training=training)
        # Keras divides losses by the number of replicas, taking all shares as equal. Undone by
        # what it makes of a 1.
        one = keras.losses.MeanAbsoluteError()([[1.0]], [[0.0]])
        loss = self.model.compute_loss(x, y, guess, weight, training=training) / one
        self.model.metrics[0].update_state(loss, sample_weight=size)
        if self.count > 1:
            y, guess, weight = tf.nest.map_structure(
                lambda values: values if values is None else values[:size], (y, guess, weight)
            )
        self.model.compute_metrics(x, y, guess, weight)
        return loss

    def judge(
        self, parts: tf.data.Dataset, watchers: keras.callbacks.CallbackList
    ) -> dict[str, Any]:
        """Return the metrics over a dataset, calling callbacks as `Model.evaluate` does."""
        self.test = self.test or self._compiled(self._test_step, parts)
        watchers.on_test_begin()
        self.model.reset_metrics()
        for step, batch in enumerate(map(self.dealt, parts)):
            watchers.on_test_batch_begin(step)
            watchers.on_test_batch_end(step, self.test(*batch))
        watchers.on_test_end(self.logs())
        return self.logs()

    def logs(self) -> dict[str, Any]:
        values = {
            name: np.asarray(value) for name, value in self.model.get_metrics_result().items()
        }
        return {name: value if value.ndim else float(value) for name, value in values.items()}

    # What a replica has of its own: the state of its dropout, and moving statistics.

    def _own_seeds(self) -> None:
        import tensorflow as tf

        weights = {id(weight) for weight in self.model.weights}
        seeds = [
            state for state in self.model.non_trainable_variables if id(state) not in weights
        ]

        def apart() -> None:
            context = tf.distribute.get_replica_context()
            place = tf.cast(context.replica_id_in_sync_group, tf.float64)
            for (
                state
            ) in seeds:  # a seed and a counter: the first replica's, and for each another seed
                firsts = tf.cast(tf.convert_to_tensor(state), tf.float64) * tf.cast(
                    place == 0, tf.float64
                )
                shared = context.all_reduce(tf.distribute.ReduceOp.SUM, firsts)
                state.assign(tf.cast(shared + tf.stack([place, 0]), state.dtype))

        if self.count > 1 and seeds:
            tf.function(lambda: self.strategy.run(apart), autograph=False)()

    def _agree(self, context: tf.distribute.ReplicaContext) -> None:
        """Average what layers count in training, such as moving means, over the replicas."""
        import tensorflow as tf

        counted = [
            weight
            for weight in _counted(self.model)
            if weight.dtype.startswith(("float", "bfloat"))
        ]
        if self.count == 1 or not counted:
            return
        # In float64 the sum of equal numbers is exact, so that what is equal stays as it is.
        values = [tf.cast(tf.convert_to_tensor(weight), tf.float64) for weight in counted]
        for weight, mean in zip(
            counted, context.all_reduce(tf.distribute.ReduceOp.MEAN, values), strict=True
        ):
            weight.assign(tf.cast(mean, weight.dtype))

    # The checkpoint: one file, in place all at once.

    def _state(self) -> list[Any]:
        return [
            *self.model.variables,
            *self.model.optimizer.variables,
            *self.model.metrics_variables,
        ]

    def save(self, epoch: int, step: int) -> None:
        if self.file is None:
            return
        # All workers: metrics are added up to be read.
        values = [np.asarray(variable) for variable in self._state()]
        if not self.chief:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.part.open("wb") as part:
            np.savez(part, [epoch, step], *values)
            part.flush()
            os.fsync(part.fileno())
        self.part.replace(self.file)

    def place(self) -> tuple[int, int]:
        """Return the epoch and the step to go on with."""
        if self.file is None or not self.file.exists():
            return 0, 0
        with np.load(self.file) as stored:
            return tuple(stored[stored.files[0]].tolist())

    def restore(self) -> None:
        """Put the model back as it was saved."""
        if self.file is None or not self.file.exists():
            return
        with np.load(self.file) as stored:
            values, state = [stored[name] for name in stored.files[1:]], self._state()
        if [value.shape for value in values] != [tuple(variable.shape) for variable in state]:
            raise ValueError(
                f"{self.file} is the checkpoint of another model. Delete it, or name another "
                "file."
            )
        for variable, value in zip(state, values, strict=True):
            variable.assign(value)

    def clear(self) -> None:
        if self.file is not None and self.chief:
            self.file.unlink(missing_ok=True)
            self.part.unlink(missing_ok=True)


def _counted(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Return the variables that are no parameters of all layers that learn: those of frozen ones do not change."""
    inner = getattr(layer, "layers", None)
    if inner is not None:
        return [weight for each in inner for weight in _counted(each)]
    return list(layer.non_trainable_weights) if layer.trainable else []
