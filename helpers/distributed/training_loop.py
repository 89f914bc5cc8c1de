"""A training loop for one device, several, or several machines, that can be killed and resumed.

`Model.fit` of Keras 3 trains on the devices of one machine. Past that, TensorFlow's
`MultiWorkerMirroredStrategy` needs a loop of one's own, and this is one: the same callbacks in
the same order, the compiled loss, metrics and optimizer. Explained in notebook 11.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from helpers.distributed import checkpoint as checkpoints
from helpers.distributed.replicas import Replicas

if TYPE_CHECKING:
    from keras import Model
    from keras.callbacks import History
    from tensorflow.data import Dataset

UNLIKE_ONE_DEVICE = ("clipnorm", "clipvalue", "global_clipnorm", "gradient_accumulation_steps")


def fit(
    model: Model,
    dataset: Dataset | Callable,
    *,
    epochs: int,
    validation_data: Dataset | None = None,
    callbacks: Sequence = (),
    checkpoint: str | Path | None = None,
    save_every: int | None = None,
) -> History:
    """Train a compiled model under the strategy it was made in, as `Model.fit` on one device.

    The gradient is that of the mean loss over the *global* batch, however unequal the numbers
    of rows that the replicas have: the last batch may even have fewer rows than there are
    replicas. Batch normalisation sees a replica's own rows; its moving statistics are averaged
    over the replicas after each step. Dropout draws differently on every replica.

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
        returns this worker's rows of each global batch, `context` saying which worker that is,
        so that a worker reads only what it needs. A run that was interrupted sees the batches
        of one that was not if their order depends on nothing but the epoch.
    epochs
        Counted from the beginning of the whole run.
    validation_data
        A dataset of global batches, judged after every epoch.
    callbacks
        As for `Model.fit`. What they have noted is not in the checkpoint: in a run that is
        resumed they begin anew.
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

    _check_compiled(model)
    replicas = Replicas(model.distribute_strategy)
    file = checkpoint and Path(checkpoint)
    is_chief = replicas.first == 0
    if validation_data is not None:
        validation_data = replicas.deal(validation_data, replicas.count)

    def batches_of(epoch):
        if callable(dataset):
            return replicas.deal(dataset(epoch, replicas.context), replicas.local)
        return replicas.deal(dataset, replicas.count)

    def save(epoch, step):
        if not file:
            return
        # On all workers: to read a metric is to add up what each of them has counted.
        values = [np.asarray(variable) for variable in variables]
        if is_chief:
            checkpoints.save(file, epoch, step, values)

    first_epoch, first_step, values = checkpoints.load(file)
    if epochs <= first_epoch:
        raise ValueError(
            f"epochs must be more than {first_epoch}, the number of those that the run has "
            f"gone through already; got {epochs}."
        )
    # Layers, the optimizer and metrics may get their variables from the first batch only.
    batches = batches_of(first_epoch)
    steps = replicas.steps(batches)
    iterator = iter(batches.skip(first_step))
    first_batch = next(iterator, None)
    if first_batch is None:
        raise ValueError("The dataset has no batches.")
    remaining = itertools.chain([first_batch], iterator)
    _make_variables(model, first_batch)
    variables = [
        *model.variables,
        *model.optimizer.variables,
        *model.metrics_variables,
    ]
    if values:
        checkpoints.restore(file, variables, values)
    _shift_seeds(model, 1)
    train_step = _compiled(_train_replica, model, replicas, batches)
    test_step = _compiled(_loss_of, model, replicas, batches)

    callback_list = keras.callbacks.CallbackList(
        callbacks,
        add_history=True,
        model=model,
        epochs=epochs,
        steps=steps,
        verbose=0,
    )
    model.stop_training = False
    callback_list.on_train_begin()
    for epoch in range(first_epoch, epochs):
        if epoch > first_epoch:
            save(epoch, 0)
            first_step = 0
            remaining = batches_of(epoch)
            replicas.steps(remaining)
        if first_step == 0:
            model.reset_metrics()
        callback_list.on_epoch_begin(epoch)
        for step, batch in enumerate(remaining, first_step):
            if save_every and step > first_step and step % save_every == 0:
                save(epoch, step)
            callback_list.on_train_batch_begin(step)
            logs = train_step(batch)
            callback_list.on_train_batch_end(step, logs)
            if model.stop_training:
                break
        logs = _logs(model)
        if validation_data is not None:
            judged = _evaluate(model, test_step, validation_data, callback_list)
            logs |= {f"val_{name}": value for name, value in judged.items()}
        callback_list.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    _shift_seeds(model, -1)
    model.optimizer.finalize_variable_values(model.trainable_weights)
    callback_list.on_train_end(logs)
    if file and is_chief:
        file.unlink(missing_ok=True)
    return model.history


def _check_compiled(model):
    """Raise `ValueError` for a model that cannot be trained, or not as on one device."""
    if not model.compiled:
        raise ValueError(
            f"{model.name} is not compiled: call compile() inside the strategy's scope first."
        )
    if model.distribute_strategy.num_replicas_in_sync == 1:
        return
    # Where the loss is scaled for float16, the optimizer with the options is an inner one.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    for name in UNLIKE_ONE_DEVICE:
        if getattr(optimizer, name, None):
            raise ValueError(
                f"The optimizer has {name}, which Keras applies to each replica's gradient "
                "before they are summed: several replicas would not train as one device does. "
                "Leave it out."
            )


def _make_variables(model, batch):
    """Make all variables that a first step would make, from a batch that was dealt."""
    import keras

    _, rows = batch[0]
    x, y, weight = keras.utils.unpack_x_y_sample_weight(rows)
    with model.distribute_strategy.scope():
        predictions = model(x, training=False)
        model.optimizer.build(model.trainable_variables)
        with keras.StatelessScope():  # makes the metrics' variables, and counts nothing
            model.compute_metrics(x, y, predictions, weight)


def _shift_seeds(model, by):
    """Add `by` times a replica's number to its seeds, so that dropout differs between them.

    Before training by 1. Afterwards by -1: what is saved or trained on has one seed again.
    """
    import tensorflow as tf

    weights = set(map(id, model.weights))

    def shift():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        for variable in model.non_trainable_variables:
            if id(variable) not in weights:  # a seed and a counter
                difference = tf.stack([by * number, 0])
                variable.assign_add(tf.cast(difference, variable.dtype))

    model.distribute_strategy.run(tf.function(shift, autograph=False))


def _compiled(replica_step, model, replicas, batches):
    """Return a function that takes such a batch, runs a step on all replicas, returns metrics.

    It has a signature, so that one trace serves batches of every size. A worker that had to
    trace again alone would wait for the others for ever.
    """
    import tensorflow as tf

    def on_own_rows(batch):
        context = tf.distribute.get_replica_context()
        number = tf.get_static_value(context.replica_id_in_sync_group)
        count, rows = batch[number - replicas.first]
        replica_step(model, count, rows)

    def step(batch):
        replicas.strategy.run(on_own_rows, (batch,))
        return model.get_metrics_result()  # adds the replicas' counts up

    return tf.function(step, input_signature=[batches.element_spec], autograph=False)


def _train_replica(model, count, rows):
    import tensorflow as tf

    own = tf.cast(count, tf.float32)
    in_all = tf.distribute.get_replica_context().all_reduce("SUM", own)
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = _loss_of(model, count, rows, training=True)
        # The optimizer adds the replicas' gradients up: the mean over these rows becomes its
        # part of the mean over the global batch.
        scaled = model.optimizer.scale_loss(loss * (own / in_all))
    gradients = tape.gradient(scaled, variables)
    model.optimizer.apply(gradients, variables)
    _average_statistics(model)


def _loss_of(model, count, rows, training=False):
    """Return the mean loss over a replica's rows, and update the metrics."""
    import keras
    import tensorflow as tf

    x, y, weight = keras.utils.unpack_x_y_sample_weight(rows)
    predictions = model(x, training=training)
    loss = model.compute_loss(x, y, predictions, weight, training=training)
    # Keras divides losses by the number of replicas, as if all had as many rows. This one would
    # be 1, so it shows by what.
    divided_one = keras.losses.MeanAbsoluteError()([[1.0]], [[0.0]])
    loss /= divided_one
    model.metrics[0].update_state(loss, sample_weight=count)
    y, predictions, weight = tf.nest.map_structure(
        lambda values: None if values is None else values[:count],
        (y, predictions, weight),
    )
    model.compute_metrics(x, y, predictions, weight)
    return loss


def _average_statistics(model):
    """Average what layers count in training, such as moving means, over the replicas."""
    import tensorflow as tf

    statistics = list(_statistics(model))
    if not statistics:
        return
    # In float64 the sum of equal numbers is exact, so that what is equal stays as it is.
    values = [tf.cast(statistic, tf.float64) for statistic in statistics]
    means = tf.distribute.get_replica_context().all_reduce("MEAN", values)
    for statistic, mean in zip(statistics, means):
        statistic.assign(tf.cast(mean, statistic.dtype))


def _statistics(layer):
    """Yield the variables that a layer changes by itself in training: no frozen one does."""
    if hasattr(layer, "layers"):
        for inner in layer.layers:
            yield from _statistics(inner)
    elif layer.trainable:
        yield from layer.non_trainable_weights


def _evaluate(model, test_step, batches, callback_list):
    """Return the metrics over a dataset, calling callbacks as `Model.evaluate` does."""
    model.reset_metrics()
    callback_list.on_test_begin()
    for step, batch in enumerate(batches):
        callback_list.on_test_batch_begin(step)
        logs = test_step(batch)
        callback_list.on_test_batch_end(step, logs)
    logs = _logs(model)
    callback_list.on_test_end(logs)
    return logs


def _logs(model):
    """Return the metrics so far as numbers; those of several numbers as lists."""
    results = model.get_metrics_result()
    return {name: np.asarray(value).tolist() for name, value in results.items()}
