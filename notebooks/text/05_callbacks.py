# %% [markdown]
# # 05 · Callbacks
#
# Small helpers that watch a training run: they save the best model, slow down, stop, draw, and bring a run back to life
# after the power was cut.
#
# You will be able to
# - keep the best model of a run on disk, and say what is in the file,
# - predict, from the patience you set, when a run stops,
# - choose patiences and rates that do not work against each other,
# - write a callback of your own,
# - resume a run that was killed, and prove that nothing was lost.
#
# **Needs** notebook 02 (`compile`, `fit`, validation), or the same knowledge.
# **Time** 50 minutes to read, 40 for the exercises; under 60 seconds to run on two CPU cores.

# %%
import sys
from pathlib import Path

# A checkout's own helpers win over an unrelated package of the same name.
for folder in (Path.cwd(), *Path.cwd().parents):
    if (folder / "helpers" / "runtime.py").is_file():
        sys.path.insert(0, str(folder))
        break
try:
    from helpers.runtime import start
except ImportError as error:
    raise ImportError(
        "The course's helpers are not installed here; the public package `helpers` is another. "
        "In the course's folder run `make lab`, or `pip install .` (tf-vision-course)."
    ) from error
course = start(seed=0)

# %%
import json
import shutil
import subprocess
import sys
import warnings
from textwrap import shorten

import keras
import numpy as np
import tensorflow as tf
from IPython.display import display
from keras import callbacks

from helpers import data, models, plots, runtime
from helpers.exercises import ex05_callbacks as exercises

fashion = data.fashion()
x_all, y_all = fashion.arrays("train")
# Few pictures: the network soon knows them by heart, and that is the point.
FEW = course.pick(quick=300, full=2000)
x_few, y_few = x_all[:FEW], y_all[:FEW]
validation = fashion.arrays("val")

# %% [markdown]
# Everything that this notebook writes goes into one folder, emptied first. And the pictures keep their order
# (`shuffle=False`), so that two runs can be compared bit by bit.

# %%
folder = runtime.output_folder("05_callbacks")
shutil.rmtree(folder)
folder.mkdir()


def fresh(rate=1e-3):
    """Return the network of notebook 02 with the first weights of seed 0, compiled."""
    keras.utils.set_random_seed(0)
    model = models.dense_classifier()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


# %%
def fit(model, epochs, *watchers):
    """Train on the few pictures with some callbacks; return the history."""
    settings = {"batch_size": 25, "validation_data": validation, "shuffle": False, "verbose": 0}
    return model.fit(x_few, y_few, epochs=epochs, callbacks=list(watchers), **settings).history


def same(first, second):
    """Whether two models hold the same weights.

    In every bit where the device promises that, else nearly.
    """
    pairs = zip(first.get_weights(), second.get_weights())
    return all(
        np.array_equal(a, b) if course.deterministic else np.allclose(a, b, atol=1e-3)
        for a, b in pairs
    )


# %% [markdown]
# ## 1 · When a callback is called
#
# A **callback** is an object with methods of fixed names. `fit` calls them at fixed moments: when training begins, when
# an epoch begins, after each batch, and so on. This one only keeps a diary. How many lines will two epochs of two
# batches make?


# %%
class Diary(callbacks.Callback):
    """Write down what is called, and what `fit` tells us."""

    def on_train_begin(self, logs=None):
        print("training begins")

    def on_epoch_begin(self, epoch, logs=None):
        print(f"  epoch {epoch} begins")

    def on_train_batch_end(self, batch, logs=None):
        print(f"    batch {batch} ends, logs hold {sorted(logs)}")

    def on_epoch_end(self, epoch, logs=None):
        print(f"  epoch {epoch} ends, logs hold {sorted(logs)}")

    def on_train_end(self, logs=None):
        print("training ends")


settings = {"batch_size": 50, "epochs": 2, "validation_data": validation, "verbose": 0}
run = fresh().fit(x_few[:100], y_few[:100], callbacks=[Diary()], **settings)

# %% [markdown]
# Two things to keep. Callbacks count epochs from 0. And what was measured on the validation pictures comes at the end
# of an epoch only.
#
# ## 2 · ModelCheckpoint: keep the best
#
# A run may break off after hours, and its last epoch is not always its best. So save while you train. A **checkpoint**
# is a model saved in the middle of a run. The file's name may hold the epoch and anything from the logs.

# %%
trail = callbacks.ModelCheckpoint(
    folder / "trail" / "{epoch:02d}-{val_loss:.2f}.keras", save_best_only=True
)
best = callbacks.ModelCheckpoint(folder / "best.keras", monitor="val_loss", save_best_only=True)
last = callbacks.ModelCheckpoint(folder / "last.keras")
EPOCHS = 20
model = fresh(rate=4e-3)
history = fit(model, EPOCHS, trail, best, last)

best_epoch = int(np.argmin(history["val_loss"])) + 1
plots.lines(
    range(1, EPOCHS + 1),
    {"val_loss": history["val_loss"]},
    "epoch",
    "val_loss",
    "The last is not the best",
    points={"lowest": ([best_epoch], [min(history["val_loss"])])},
)

# %%
saved = sorted((folder / "trail").iterdir())
print(
    f"{len(saved)} files, one for each new best of {EPOCHS} epochs; "
    f"{saved[0].stat().st_size / 1e6:.1f} MB each"
)
print(
    "files count epochs from 1:",
    saved[0].name[:2],
    "to",
    saved[-1].name[:2],
    "| lowest in epoch",
    best_epoch,
)
assert int(saved[-1].name[:2]) == best_epoch < EPOCHS
assert len(saved) == len(set(np.minimum.accumulate(history["val_loss"]))), "each new best once"

# %% [markdown]
# Is the best model really in the file? Load it and measure.


# %%
loaded = keras.models.load_model(folder / "best.keras")
loss, accuracy = loaded.evaluate(*validation, verbose=0)
assert np.isclose(loss, min(history["val_loss"]), atol=1e-3)
assert same(keras.models.load_model(folder / "last.keras"), model)
assert not same(loaded, model)
print("best.keras holds the model of epoch", best_epoch, "and last.keras the one in memory")

# %% [markdown]
# ### The notes said: `period=1`, `.hdf5`, `val_acc`
#
# The notes that this course grew from (*the notes* from here on) were written for an older Keras. What became of their
# settings?


# %%
def complaint(function):
    """Return the error a call raises, in one line."""
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {shorten(str(error), 90)}"
    return "no complaint"


old = {
    "period=1": lambda: callbacks.ModelCheckpoint("a.keras", period=1),
    ".hdf5": lambda: callbacks.ModelCheckpoint(
        "weights.{epoch:02d}.hdf5", save_weights_only=True
    ),
    "val_acc": lambda: fit(fresh(), 1, callbacks.EarlyStopping(monitor="val_acc")),
}
for name, use in old.items():
    print(f"{name:9} {complaint(use)}")
    assert complaint(use) != "no complaint"

# %% [markdown]
# Today: `save_freq="epoch"` is the default (an integer there counts *batches*), a whole model ends in `.keras`, weights
# alone end in `.weights.h5`, and the accuracy on the validation part is called `val_accuracy`.
#
# ### The notes said: saving weights only is usually better
#
# Let us train for two epochs, save both ways, and train two more from each file. The judge is a run of four epochs in
# one go. Guess who agrees with it.

# %%
straight, half = fresh(), fresh()
fit(straight, 4)
fit(half, 2)
half.save(folder / "half.keras")
half.save_weights(folder / "half.weights.h5")

from_model = keras.models.load_model(folder / "half.keras")
from_weights = fresh()  # weights need a model to go into, built and compiled by your own code
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from_weights.load_weights(folder / "half.weights.h5")
assert same(from_model, half), "this file holds the weights"
assert same(from_weights, half), "and so does this one"
for model in (from_model, from_weights):
    fit(model, 2)
print("whole model, then two epochs: equal to the straight run:", same(from_model, straight))
print("weights only, then two epochs: equal to the straight run:", same(from_weights, straight))
print("warning:", shorten(str(caught[0].message), 75) if caught else "none")

# %% [markdown]
# The whole model brings its structure, its loss, and the optimizer with its memory: Adam keeps two running means for
# each weight. The weights file has them, too, but a fresh optimizer has no place for them yet, so they are skipped,
# with a warning that scrolls by. To go on training, save the whole model. To ship weights to code that builds the model
# itself, weights are enough.

# %%
assert same(from_model, straight)
assert not same(from_weights, straight)

# %% [markdown]
# ### Exercise 1 · Keep the most accurate
#
# Write `keep_most_accurate(path)`. It returns a callback that keeps, in the file `path` (it ends in `.keras`), the
# whole model of the epoch with the highest accuracy on the validation pictures.
#
# The cell below yours says what it makes of your answer. Stuck? `exercises.checkpoint.hint()` gives a hint, and a
# plainer one each time you ask. `exercises.checkpoint.solution()` shows a right answer.


# %%
def keep_most_accurate(path):
    # your code
    ...


# %%
exercises.checkpoint.check(keep_most_accurate)

# %% [markdown]
# ## 3 · EarlyStopping: know when to stop
#
# When the validation loss stops falling, more epochs only learn the training pictures by heart. `EarlyStopping` counts
# the epochs since the last improvement. **Patience** is how many of these it bears. Our run was best in some epoch;
# with a patience of 4, when will it stop?

# %%
stopper = callbacks.EarlyStopping(monitor="val_loss", patience=4)
stopped = fresh(rate=4e-3)
stopped_history = fit(stopped, EPOCHS, stopper)
epochs_run = len(stopped_history["loss"])
lowest = int(np.argmin(stopped_history["val_loss"])) + 1
print("epochs run, minus the epoch of the lowest val_loss:", epochs_run - lowest)
assert epochs_run - lowest == 4

# %% [markdown]
# ### The notes said: `restore_best_weights=False`
#
# They copied the default. Which weights does the model hold now?

# %%
restoring = fresh(rate=4e-3)
fit(
    restoring,
    EPOCHS,
    callbacks.EarlyStopping(monitor="val_loss", patience=4, restore_best_weights=True),
)

losses = {"lowest of the run": min(stopped_history["val_loss"])}
for name, model in (
    ("restore_best_weights=False", stopped),
    ("restore_best_weights=True", restoring),
):
    losses[name] = model.evaluate(*validation, verbose=0)[0]
assert np.isclose(losses["restore_best_weights=True"], losses["lowest of the run"], atol=1e-3)
assert np.isclose(
    losses["restore_best_weights=False"], stopped_history["val_loss"][-1], atol=1e-3
)
assert losses["restore_best_weights=False"] > losses["lowest of the run"]
print(
    "False leaves the last weights, four epochs past the best; True brings the best ones back"
)

# %% [markdown]
# ### A rehearsal, without training
#
# Callbacks look at the logs and at the model, nothing else. So we can play them a validation loss that we made up,
# epoch by epoch, through the same `CallbackList` that `fit` uses. It takes milliseconds. What comes back is the
# learning rate that each epoch would have been trained with.


# %%
def rehearse(val_losses, *watchers):
    """Play a validation loss to real callbacks.

    Return the learning rate of each epoch that would have run.
    """
    model = fresh()
    model.stop_training = False
    stage = callbacks.CallbackList(list(watchers), model=model)
    rates = []
    stage.on_train_begin()
    for epoch, value in enumerate(val_losses):
        stage.on_epoch_begin(epoch)
        rates.append(round(float(model.optimizer.learning_rate.numpy()), 9))
        stage.on_epoch_end(epoch, {"val_loss": value})
        if model.stop_training:
            break
    stage.on_train_end()
    return rates


for patience in (0, 1, 2, 3):
    ran = len(rehearse([3, 2, 1, 2, 2, 2, 2, 2], callbacks.EarlyStopping(patience=patience)))
    print(f"patience {patience}: stops after epoch {ran}; the best was epoch 3")

# %% [markdown]
# So the rule is: it stops after `patience` epochs without a new best. And 0 does the same as 1.
#
# ### Exercise 2 · Predict the stop
#
# Write `epochs_run(val_losses, patience)` without Keras: how many epochs does `EarlyStopping(patience=patience)` let
# run? `patience` is 1 or more. An improvement is a value *below* the best so far.


# %%
def epochs_run(val_losses, patience):
    # your code
    ...


# %%
exercises.stop.check(epochs_run)

# %% [markdown]
# ## 4 · ReduceLROnPlateau: slow down
#
# ### The notes said: LR is the error
#
# They read the name as *reduce the error when it is on a plateau*. No callback can do that. LR is the **learning
# rate**, the length of the optimizer's steps. On a plateau long steps may jump over the valley; so it makes them
# shorter, by a `factor`, after `patience` epochs without a new best.

# %%
plateau = [1.0, 0.8, 0.7, 0.65, 0.6] + [0.62, 0.61, 0.63, 0.62] * 3
rates = rehearse(plateau, callbacks.ReduceLROnPlateau(factor=0.5, patience=3))
print("rate of epoch 1:", rates[0], "| of epoch 17:", rates[-1])
plots.lines(
    range(1, 18),
    {"learning rate": rates},
    "epoch",
    "learning rate",
    "Halved after three epochs without a new best",
)

# %%
assert rates[7:9] == [1e-3, 5e-4], "epochs 6, 7 and 8 brought nothing new: epoch 9 is slower"
assert len(set(rates)) == 4, "and again, every three epochs"

# %% [markdown]
# ### Two patiences in one run
#
# The notes use both callbacks together, the plateau's patience at 5, the stop's at 7. That works. Which of the three
# pairs below do not?


# %%
def watch(cut_patience, stop_patience, val_losses):
    """Rehearse both callbacks; return the epochs in which something happened."""
    cut = callbacks.ReduceLROnPlateau(factor=0.5, patience=cut_patience)
    rates = rehearse(val_losses, cut, callbacks.EarlyStopping(patience=stop_patience))
    cuts = [epoch for epoch in range(1, len(rates)) if rates[epoch] < rates[epoch - 1]]
    return {"rate cut, in use from the next": cuts, "stop": [len(rates)]}


pairs = [(2, 5), (5, 5), (7, 5)]
panels = {pair: watch(*pair, plateau) for pair in pairs}
for (cut, stop), events in panels.items():
    points = {}
    for event, epochs in events.items():
        points[event] = (epochs, [plateau[epoch - 1] for epoch in epochs])
    figure = plots.lines(
        range(1, len(plateau) + 1),
        {"val_loss": plateau},
        "epoch",
        "val_loss",
        f"The rate is cut after {cut} epochs without a new best, the run stopped after {stop}",
        points=points,
    )
    display(figure)

# %% [markdown]
# With equal patience the rate *is* cut, at the end of the very epoch that ends the run: nobody trains with it. Give the
# plateau the shorter patience, by a good deal: a lower rate needs a few epochs to show what it can do.

# %%
cuts = [panel["rate cut, in use from the next"] for panel in panels.values()]
assert len(cuts[0]) >= 1
assert cuts[1] == cuts[2] == []
assert len({panel["stop"][0] for panel in panels.values()}) == 1, (
    "the cuts do not delay the stop"
)

# %% [markdown]
# There is an exception, hidden in the defaults. `ReduceLROnPlateau` wants an improvement of more than
# `min_delta=0.0001`; `EarlyStopping` is content with any. A loss that creeps down by less than that is a plateau to the
# one and progress to the other.

# %%
creeping = [1.0, 0.8, 0.7] + [0.6 - 0.00001 * step for step in range(12)]
crept = watch(5, 5, creeping)
print("equal patiences, creeping loss:", crept)
assert crept["rate cut, in use from the next"]
assert crept["stop"] == [15]

# %% [markdown]
# ## 5 · LearningRateScheduler: set the rate by a plan
#
# It takes a function of the epoch (from 0) and, if the function has room for it, of the present rate. Here is a trap in
# the words *if it has room*. This ramp climbs from 0.01 in steps of a tenth. Or does it?


# %%
def ramp(epoch, start=0.01):
    return start * (epoch + 1) / 10


wanted = [ramp(epoch) for epoch in range(5)]
got = rehearse([1.0] * 5, callbacks.LearningRateScheduler(ramp))
print("wanted", wanted)
print("got   ", [f"{rate:.0e}" for rate in got])
assert got[0] == 1e-4, "the present rate, 0.001 at first, was put into start"
assert got[4] < got[0], "and then each result into the next start"
assert np.allclose(
    rehearse([1.0] * 5, callbacks.LearningRateScheduler(lambda epoch: ramp(epoch))), wanted
)

# %% [markdown]
# Keras called `ramp(epoch, rate)`, and the rate landed in `start`. Notebook 09 writes schedules that know nothing of
# the present rate.
#
# And two callbacks that both set the rate do not share it: whoever speaks last before an epoch wins. The scheduler
# speaks when an epoch begins, the plateau when it ends.

# %%
both = rehearse(
    plateau,
    callbacks.LearningRateScheduler(lambda epoch: 1e-3),
    callbacks.ReduceLROnPlateau(patience=3),
)
print("rates used:", sorted(set(both)))
assert set(both) == {1e-3}, "every cut was undone before the next epoch began"

# %% [markdown]
# ### Neither works with a schedule object
#
# An optimizer may also be given a **schedule**: an object that computes the rate from the step (notebook 09). Then the
# rate is not a number that a callback could set.

# %%
planned = fresh(
    rate=keras.optimizers.schedules.ExponentialDecay(1e-3, decay_steps=10, decay_rate=0.9)
)
for setter in (
    callbacks.LearningRateScheduler(lambda epoch: 1e-3),
    callbacks.ReduceLROnPlateau(patience=1, min_delta=9.0),
):
    said = complaint(lambda setter=setter: fit(planned, 3, setter))
    print(f"{type(setter).__name__:22} {said}")
    assert said.startswith("TypeError")

# %% [markdown]
# ### Exercise 3 · Slow down twice, then stop
#
# Write `watchers()`. Return a list of callbacks that, on the plateau above, halve the rate exactly twice, train with
# each of the three rates, stop before epoch 17, and leave the best weights in the model. There is more than one answer.


# %%
def watchers():
    # your code
    ...


# %%
exercises.patiences.check(watchers)

# %% [markdown]
# ## 6 · TensorBoard: a log to look at
#
# The callback writes **event files**. TensorBoard is a program that draws them, in a browser, while the run goes on.

# %%
fit(
    fresh(),
    6,
    callbacks.LearningRateScheduler(lambda epoch: 1e-3 / (1 + epoch)),
    callbacks.TensorBoard(folder / "logs"),
)
events = sorted((folder / "logs").rglob("events*"))
print([f"{file.parent.name}/{file.name.split('.')[0]}..." for file in events])

# %% [markdown]
# To open it:
#
# - **JupyterLab, or any terminal:** *File, New, Terminal*, then `tensorboard --logdir
#   notebooks/outputs/05_callbacks/logs` and open the address it prints. Stop it with Ctrl+C.
# - **Colab, Kaggle:** a cell with `%load_ext tensorboard`, then `%tensorboard --logdir` and the folder. This starts a
#   server that goes on running behind the notebook; shut the session down to end it.
#
# Give each run a folder of its own. Two runs in one folder are drawn as one line that jumps back and forth.
#
# There is no magic in an event file. It is a TFRecord file (notebook 10) of messages, and we can read it back.


# %%
def read_scalars(file):
    """Return the scalars of one event file: name -> values in the order of their steps."""
    scalars = {}
    for record in tf.data.TFRecordDataset(str(file)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            number = tf.make_ndarray(value.tensor)
            if number.ndim == 0 and number.dtype == np.float32:
                scalars.setdefault(value.tag, []).append((event.step, float(number)))
    return {name: [number for _, number in sorted(pairs)] for name, pairs in scalars.items()}


written = {file.parent.name: read_scalars(file) for file in events}
for part, scalars in written.items():
    print(part, sorted(scalars))

# %%
curves = {part: scalars["epoch_loss"] for part, scalars in written.items()}
plots.lines(range(1, 7), curves, "epoch", "loss", "Read back from the event files")

# %%
assert np.allclose(
    written["train"]["epoch_learning_rate"], [1e-3 / (1 + epoch) for epoch in range(6)]
)
assert [len(values) for values in curves.values()] == [6, 6]

# %% [markdown]
# ## 7 · One of your own
#
# We want the loss of every single batch. `on_train_batch_end` gets a loss in its logs. So this is easy?


# %%
class BatchLosses(callbacks.Callback):
    """Keep the loss that `fit` reports after each batch, epoch by epoch."""

    def on_train_begin(self, logs=None):
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append([])

    def on_train_batch_end(self, batch, logs=None):
        self.epochs[-1].append(float(logs["loss"]))


listener = BatchLosses()
history = fit(fresh(), 2, listener)
reported = listener.epochs[0]
assert np.isclose(reported[-1], history["loss"][0], atol=1e-5)
print("the last batch of epoch 1 reports exactly the loss of the whole epoch")

# %% [markdown]
# That cannot be the loss of one batch. What `fit` reports is the *mean* of all batches since the epoch began (all our
# batches are of one size). From two running means the batch itself can be had back: n times the n-th mean, minus n - 1
# times the one before.

# %%
n = np.arange(1, len(reported) + 1)
own = n * np.array(reported) - (n - 1) * np.array([0.0, *reported[:-1]])
curves = {"reported": reported, "of the batch itself": own.tolist()}
plots.lines(n, curves, "batch of epoch 1", "loss", "What is reported is a running mean")

# %%
first_batch = fresh().evaluate(x_few[:25], y_few[:25], batch_size=25, verbose=0)[0]
assert np.isclose(own[0], first_batch, rtol=1e-2), (
    "before the first step, the batch's loss is the fresh model's"
)
assert np.isclose(own.mean(), reported[-1], atol=1e-4)
assert np.ptp(np.diff(own)) > np.ptp(np.diff(reported)), (
    "single batches jump, their running mean is smooth"
)

# %% [markdown]
# ### Exercise 4 · Good enough
#
# Complete `StopWhenGood`: training stops as soon as `val_accuracy` is at least `goal`. Set `self.model.stop_training`
# to `True` for that. If somebody trains without validation pictures, there is no `val_accuracy`: then it does nothing.
# And it leaves a stop alone that another callback has asked for.


# %%
class StopWhenGood(callbacks.Callback):
    def __init__(self, goal):
        super().__init__()
        self.goal = goal

    def on_epoch_end(self, epoch, logs=None):
        # your code
        ...


# %%
exercises.good.check(StopWhenGood)

# %% [markdown]
# ## 8 · The power is cut
#
# `BackupAndRestore` writes the weights, the optimizer's memory and the number of the epoch after each epoch. When `fit`
# is called again with the same folder, it goes on from there. We try it the hard way. A second Python process loads our
# best model, trains on, and dies in the middle of its third epoch. It gets no chance to tidy up.

# %%
SCRIPT = """
import os, sys
import keras
import numpy as np
import tensorflow as tf

class PowerCut(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 2 and batch == 7:
            os._exit(1)  # the process is gone, as if by the plug

folder = sys.argv[1]
tf.config.experimental.enable_op_determinism()
model = keras.models.load_model(folder + "/best.keras")
saved = np.load(folder + "/pictures.npz")
print(model.evaluate(saved["x_val"], saved["y_val"], verbose=0)[0], flush=True)
watchers = [keras.callbacks.BackupAndRestore(folder + "/backup"), PowerCut()]
settings = {"batch_size": 25, "epochs": 4, "shuffle": False, "verbose": 0}
model.fit(saved["x"], saved["y"], callbacks=watchers, **settings)
"""

# %%
(folder / "train.py").write_text(SCRIPT, encoding="utf-8")
np.savez(folder / "pictures.npz", x=x_few, y=y_few, x_val=validation[0], y_val=validation[1])
process = subprocess.run(
    [sys.executable, folder / "train.py", folder], capture_output=True, text=True
)

in_process = float(process.stdout)
here = keras.models.load_model(folder / "best.keras").evaluate(*validation, verbose=0)[0]
print("the fresh process measured the same loss for best.keras:", abs(in_process - here) < 1e-3)
print(
    "exit code",
    process.returncode,
    "| it left",
    sorted(file.name for file in (folder / "backup").iterdir()),
)
print(
    "epochs that were finished:",
    json.loads((folder / "backup" / "training_metadata.json").read_text())["epoch"],
)
assert abs(in_process - here) < 1e-3
assert process.returncode == 1

# %% [markdown]
# Two epochs are safe, and seven batches of the third are lost. Now we resume here, and run the same four epochs once
# more without any interruption. How many epochs will the resumed run's history have? Will the weights agree?


# %%
def carry_on(*watchers):
    """Load the best model and train it to the end of epoch 4."""
    model = keras.models.load_model(folder / "best.keras")
    run = model.fit(
        x_few,
        y_few,
        batch_size=25,
        epochs=4,
        shuffle=False,
        verbose=0,
        callbacks=list(watchers),
    )
    return model, run.history


resumed, resumed_history = carry_on(callbacks.BackupAndRestore(folder / "backup"))
uninterrupted, whole_history = carry_on()
print(
    "epochs in the history:",
    len(resumed_history["loss"]),
    "resumed,",
    len(whole_history["loss"]),
    "uninterrupted",
)
print("weights equal:", same(resumed, uninterrupted))

# %%
assert len(resumed_history["loss"]) == 2
assert len(whole_history["loss"]) == 4
assert same(resumed, uninterrupted)
assert int(resumed.optimizer.iterations.numpy()) == int(
    uninterrupted.optimizer.iterations.numpy()
)
assert not (folder / "backup").exists(), "a run that ends well clears its backup away"

# %% [markdown]
# The last line matters: the next run in the same folder starts afresh, as it should.
#
# What is *not* in the backup?
#
# - **The order of the pictures.** We kept it fixed. A dataset that shuffles anew in each epoch starts over with its
#   first order, so the resumed run sees other batches. It is as good a run, but not the same one.
# - **The memory of the other callbacks.** `EarlyStopping` starts counting from 0. `ModelCheckpoint` has forgotten its
#   best, and overwrites the file with the first model it sees, unless you give it `initial_value_threshold`.
# - **The part of an epoch** since the last backup. With `save_freq=100` it saves every 100 batches, but it resumes at
#   the *beginning* of the epoch it was in: the first batches of it are trained on twice.
#
# Here is the second of these, at work.

# %%
forgetful = callbacks.ModelCheckpoint(folder / "copy.keras", save_best_only=True)
shutil.copy(folder / "best.keras", folder / "copy.keras")
rehearse([9.9], forgetful)  # a terrible first epoch after the restart
overwritten = keras.models.load_model(folder / "copy.keras", compile=False)
print("the best model was overwritten:", not same(overwritten, loaded))

shutil.copy(folder / "best.keras", folder / "copy.keras")
rehearse(
    [9.9],
    callbacks.ModelCheckpoint(
        folder / "copy.keras", save_best_only=True, initial_value_threshold=loss
    ),
)
assert not same(overwritten, loaded)
assert same(keras.models.load_model(folder / "copy.keras", compile=False), loaded), (
    "with the old best as a threshold it is kept"
)

# %% [markdown]
# ### Exercise 5 · A run that can be killed
#
# Write `train_to(model, pairs, backup, epochs, *watchers)`. It trains `model` on `pairs`, a dataset of batches, to the
# end of epoch `epochs`, and hands the callbacks `watchers` on. If a call is interrupted, the same call with a fresh
# model and the same folder `backup` must take up the run. After a run that ended well the folder is gone.


# %%
def train_to(model, pairs, backup, epochs, *watchers):
    # your code
    ...


# %%
exercises.resume.check(train_to)

# %% [markdown]
# ## What is on the disk now
#
# Each callback left what it was asked to leave. What is not in a file is gone when the kernel is.

# %%
wrote = {
    "trail": "ModelCheckpoint: a file for each new best",
    "best.keras": "ModelCheckpoint: the best, overwritten by a better one",
    "last.keras": "ModelCheckpoint: the last, overwritten in each epoch",
    "logs": "TensorBoard: event files",
    "backup": "BackupAndRestore: cleared when the run ended well",
}
for name, what in wrote.items():
    print(f"{name:11} {what:55} {'on the disk' if (folder / name).exists() else 'gone'}")
print(f"{'nothing':11} EarlyStopping, ReduceLROnPlateau, LearningRateScheduler")
assert [name for name in wrote if not (folder / name).exists()] == ["backup"]

# %% [markdown]
# ## Summary
#
# - `ModelCheckpoint(save_best_only=True)` keeps the best epoch; `.keras` holds structure, loss and the optimizer's
#   memory.
# - `EarlyStopping` stops after `patience` epochs without a new best, and keeps the last weights unless told to restore.
# - `ReduceLROnPlateau` needs the shorter patience; a schedule object and a callback cannot both set the rate.
# - The loss in a batch's logs is a running mean; event files can be read back.
# - `BackupAndRestore` resumes at the epoch after the last finished one, to the bit, if the data come in the same order.
#
# **Next** notebook 06 reads pictures from disk, fast, and trains the first convolutional network.
#
# ## References
#
# - Prechelt (1998), *Early Stopping - But When?* [doi:10.1007/3-540-49430-8_3](https://doi.org/10.1007/3-540-49430-8_3)
# - Kingma, Ba (2015), *Adam* [arXiv:1412.6980](https://arxiv.org/abs/1412.6980)
# - Keras API: [callbacks](https://keras.io/api/callbacks/); guide: [write your
#   own](https://keras.io/guides/writing_your_own_callbacks/)
# - TensorBoard: [get started](https://www.tensorflow.org/tensorboard/get_started)
