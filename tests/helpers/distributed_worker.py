"""What the tests of the loop train, here and in processes of their own.

``python distributed_worker.py FOLDER`` trains on one device, and on two virtual ones.
``python distributed_worker.py FOLDER --kill`` trains as one of several workers; the second one
kills itself in the middle, once.
"""

import json
import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from helpers import distributed, runtime, schedules

X = np.random.default_rng(0).random((45, 8)).astype("float32")
Y = (X.sum(axis=1) > 4).astype("int64")
VAL = 33  # rows of the validation part: their last batch has a single row
EPOCHS = 3


def network(seed=0, *, plain=False, **options):
    """A model with all that has a state: batch normalisation, dropout, a schedule, metrics."""
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.BatchNormalization(), keras.layers.Dropout(0.3)]
    layers = [
        keras.layers.Dense(8, "relu", kernel_regularizer="l2"),
        *([] if plain else layers),
        keras.layers.Dense(2),
    ]
    model = keras.Sequential([keras.Input((8,)), *layers])
    top = keras.metrics.SparseTopKCategoricalAccuracy(1, name="top")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = schedules.WarmupCosine(0.1, 2, 16)
    optimizer = (
        keras.optimizers.SGD(rate, momentum=0.9) if plain else keras.optimizers.Adam(rate)
    )
    model.compile(
        **{
            "optimizer": optimizer,
            "loss": loss,
            "metrics": ["accuracy", top],
            "jit_compile": False,
            **options,
        }
    )
    return model


def batches(seed=None, size=8, rows=45):
    """Batches of 8; the last one of 45 has 5."""
    pairs = tf.data.Dataset.from_tensor_slices((X[:rows], Y[:rows]))
    return (pairs if seed is None else pairs.shuffle(rows, seed)).batch(size)


def by_epoch(epoch, context):
    """This worker's rows of batches of 8, in an order that depends on the epoch alone."""
    rows = tf.data.Dataset.from_tensor_slices((X[:44], Y[:44])).shuffle(44, seed=epoch)
    count, place = context.num_input_pipelines, context.input_pipeline_id
    return rows.shard(count, place).batch(8 // count)


class Seeds(keras.callbacks.Callback):
    """Note the seeds that dropout has in training, one for each replica of this process."""

    def __init__(self, strategy):
        super().__init__()
        self.strategy = strategy
        self.seeds = []

    def on_train_batch_end(self, batch, logs=None):
        for layer in self.model.layers:
            if isinstance(layer, keras.layers.Dropout):
                state = layer.seed_generator.state.value
                values = self.strategy.experimental_local_results(state)
                self.seeds = [int(value[0]) for value in values]


def train(strategy, folder, name, dataset, callbacks=(), **options):
    """Train under a strategy; write down the history, the seeds, and all variables.

    The variables are those of each replica of this process.
    """
    with strategy.scope():
        model = network(plain=name == "plain")
    validation = batches(size=8, rows=VAL)
    rates, seeds = schedules.RecordLearningRate(), Seeds(strategy)
    history = distributed.fit(
        model,
        dataset,
        epochs=EPOCHS,
        validation_data=validation,
        callbacks=[*callbacks, rates, seeds],
        **options,
    )
    replicas = [
        strategy.experimental_local_results(variable.value)
        for variable in [*model.variables, *model.optimizer.variables]
    ]
    for place in range(len(replicas[0])):
        np.savez(folder / f"{name}-{place}.npz", *[values[place] for values in replicas])
    (folder / f"{name}.json").write_text(json.dumps({**history.history, "rates": rates.rates}))
    (folder / f"{name}-seeds.json").write_text(json.dumps(seeds.seeds))


class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == 9:
            os.kill(os.getpid(), signal.SIGKILL)


def refused(how, *arguments, **named):
    try:
        how(*arguments, **named)
    except ValueError as error:
        return str(error)
    return "nothing was refused"


def virtual_devices(folder):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    for count in (1, 2):
        strategy = runtime.strategy([f"CPU:{number}" for number in range(count)])
        assert strategy.num_replicas_in_sync == count
        place = folder / str(count)
        place.mkdir()
        train(strategy, place, "plain", batches(seed=1))
    train(strategy, place, "all", by_epoch)
    with strategy.scope():
        clipped = network(optimizer=keras.optimizers.SGD(clipnorm=1.0))
    assert "has clipnorm" in refused(distributed.fit, clipped, batches(), epochs=1)


def worker(folder):
    strategy = runtime.strategy()
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    assert strategy.num_replicas_in_sync == runtime.cluster_size() == 2
    assert distributed.is_chief(strategy) == (index == 0)
    place, killed = folder / str(index), folder / "killed"
    if not killed.exists():
        place.mkdir()
        train(strategy, place, "plain", batches(seed=1))
        train(strategy, place, "all", by_epoch)
        with strategy.scope():
            model = network()
        assert "The workers have [1, 2] batches" in refused(
            distributed.fit, model, batches().take(1 + index), epochs=1
        )
    callbacks = []
    if index == 1 and not killed.exists():
        killed.touch()
        callbacks = [Kill()]
    train(
        strategy,
        place,
        "again",
        by_epoch,
        callbacks,
        checkpoint=folder / "run.npz",
        save_every=2,
    )


if __name__ == "__main__":
    runtime.start()
    (worker if "--kill" in sys.argv else virtual_devices)(Path(sys.argv[1]))
