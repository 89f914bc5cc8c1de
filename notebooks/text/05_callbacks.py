# %% [markdown]
# # 05 · Callbacks
#
# A **callback** is an object that `fit` calls at fixed moments of the training. Callbacks save the best model, lower
# the learning rate, stop a run, write a log, and resume a run that was interrupted.
#
# You will be able to
# - keep the best model of a run on disk, and say what is in the file,
# - predict after which epoch `EarlyStopping` stops a run,
# - choose the settings of several callbacks so that each can do its work,
# - write a callback of your own,
# - resume a run that was killed, and check that it ends with the same weights.
#
# **Needs** notebook 02: `compile`, `fit`, validation.
# **Time** 70 minutes to read, 40 for the exercises; under 60 seconds to run on two CPU cores.

# %%
import sys
from pathlib import Path

# If this folder has its own helpers, use them, and not another package of the same name.
for folder in (Path.cwd(), *Path.cwd().parents):
    if (folder / "helpers" / "runtime.py").is_file():
        sys.path.insert(0, str(folder))
        break
try:
    from helpers.runtime import start
except ImportError as error:
    raise ImportError(
        "The course's helpers are not installed here. A public package `helpers` is not ours. "
        "In the course's folder run `make lab`, or `pip install .` (tf-vision-course)."
    ) from error
course = start(seed=0)

# %%
import shutil
import subprocess
import sys
import warnings
import zipfile
from textwrap import fill

import h5py
import keras
import numpy as np
import tensorflow as tf
from keras import callbacks

from helpers import data, models, plots, runtime
from helpers.exercises import ex05_callbacks as exercises

# A small model: float32 and repeatable results, in the full profile, too.
keras.config.set_dtype_policy("float32")
tf.config.experimental.enable_op_determinism()
fashion = data.fashion()
x_all, y_all = fashion.arrays("train")
# With few images the network overfits after some epochs. That is wanted here.
x_few = x_all[:300]
y_few = y_all[:300]
validation = fashion.arrays("val")

# %% [markdown]
# **Overfitting** means: the network fits the training images better and better, but not new images. The training
# loss falls while the validation loss rises.
#
# All files of this notebook go into one folder, which the next cell empties. `new_model` builds a model. Its `rate`
# is the learning rate: a larger rate makes longer steps of the optimizer. `train` trains a model. `shuffle=False`
# keeps the images in the same order in every epoch, so that two runs can be compared.

# %%
folder = runtime.output_folder("05_callbacks")
shutil.rmtree(folder)
folder.mkdir()


def new_model(rate=1e-3):
    """Return the classifier of notebook 02, compiled, with the initial weights of seed 0."""
    keras.utils.set_random_seed(0)
    model = models.dense_classifier()
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


# %%
BATCH = 25


def train(model, epochs, callback_list=()):
    """Train on the few images, always in the same order; return the history."""
    run = model.fit(
        x_few,
        y_few,
        batch_size=BATCH,
        epochs=epochs,
        validation_data=validation,
        shuffle=False,
        verbose=0,
        callbacks=list(callback_list),
    )
    return run.history


def files_in(path):
    """Return the names of the files in a folder, sorted."""
    return sorted(file.name for file in path.iterdir())


# %% [markdown]
# Later we compare the weights of two models. In the quick profile, two runs with the same seed end with exactly the
# same weights. `TOLERANCE` is the largest difference that we accept. In the full profile, which may use a GPU, it is
# 0.001.

# %%
TOLERANCE = course.pick(quick=0.0, full=1e-3)


def difference(first, second):
    """Compare each weight of two models; return the largest difference."""
    differences = []
    for a, b in zip(first.get_weights(), second.get_weights()):
        differences.append(np.max(np.abs(a - b)))
    return float(max(differences))


# %% [markdown]
# ## 1 · When a callback is called
#
# A callback is an object of a class that inherits from `keras.callbacks.Callback`. Its methods have fixed names. `fit`
# calls them at fixed moments: when the training begins, when an epoch begins, after each batch, and so on. It hands
# over the **logs**: a dictionary of the losses and metrics measured so far.
#
# The callback below prints a line at each call. We train for two epochs of two batches. How many lines will it print?


# %%
class Diary(callbacks.Callback):
    """Print what is called, and which values the logs hold."""

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


# %%
run = new_model().fit(
    x_few[:100],
    y_few[:100],
    batch_size=50,
    epochs=2,
    validation_data=validation,
    verbose=0,
    callbacks=[Diary()],
)

# %% [markdown]
# Ten lines: two for the training, and four for each epoch. `fit` counts epochs and batches from 0 when it calls a
# method. The logs of a batch hold no `val_...` values: the validation images are used after the last batch of an
# epoch. The [guide](https://keras.io/guides/writing_your_own_callbacks/) lists all methods.
#
# ## 2 · ModelCheckpoint: keep the best
#
# A run may be interrupted after hours, and its last epoch is not always its best. So we save the model during the
# training. A **checkpoint** is a model saved in the middle of a run. `ModelCheckpoint` writes one at the end of each
# epoch.
#
# - `monitor` is the name of a value in the logs. The default is `"val_loss"`.
# - With `save_best_only=True` the callback saves only if this value is better than in all epochs before: lower for a
#   loss, higher for an accuracy. The logs must hold the value.
# - The file's name may contain the epoch and values from the logs. `{epoch:02d}` is the epoch, counted from 1, in at
#   least two digits. `{val_loss:.2f}` is the loss with two decimals. A name without such parts is used for all
#   epochs: each file overwrites the one before.

# %%
# About 4 seconds.
EPOCHS = 20
all_bests = callbacks.ModelCheckpoint(
    folder / "bests" / "{epoch:02d}-{val_loss:.2f}.keras",
    save_best_only=True,
)
best = callbacks.ModelCheckpoint(folder / "best.keras", save_best_only=True)
model = new_model(rate=4e-3)
history = train(model, EPOCHS, [all_bests, best])

# %%
val_losses = history["val_loss"]
best_epoch = int(np.argmin(val_losses)) + 1
plots.lines(
    range(1, EPOCHS + 1),
    {"training loss": history["loss"], "validation loss": val_losses},
    "epoch",
    "loss",
    f"The validation loss is lowest in epoch {best_epoch} of {EPOCHS}, not in the last",
    points={"lowest": ([best_epoch], [min(val_losses)])},
)

# %% [markdown]
# A **new best** is a value better than all before. The folder `bests` holds a file for each new best.

# %%
saved_epochs = []
for name in files_in(folder / "bests"):
    saved_epochs.append(int(name[:2]))
print("saved in epochs", saved_epochs)
assert saved_epochs[-1] == best_epoch < EPOCHS

# %% [markdown]
# Our `.keras` file is a [zip archive](https://keras.io/guides/serialization_and_saving/) of three files: the version
# of Keras and the date, the **configuration** (layers, loss, optimizer), and the weights. The file of the weights
# also holds the **optimizer state**: what the optimizer remembers between two steps.
# [Adam](https://arxiv.org/abs/1412.6980) remembers the number of steps and, for each weight, two means: the mean of
# its past gradients, and the mean of the squares of these gradients. In both means, later gradients count more.

# %%
with zipfile.ZipFile(folder / "best.keras") as archive:
    print(archive.namelist())
    with h5py.File(archive.open("model.weights.h5")) as weights_file:
        print("in the file of the weights:", sorted(weights_file))

loaded = keras.models.load_model(folder / "best.keras")
best_loss, best_accuracy = loaded.evaluate(*validation, verbose=0)
print(f"lowest of the run: loss {min(val_losses):.2f}")
print(f"best.keras:        loss {best_loss:.2f}")
assert np.isclose(best_loss, min(val_losses), atol=1e-3)

steps = int(loaded.optimizer.iterations)
print("steps that its optimizer remembers:", steps)
assert steps == best_epoch * len(x_few) // BATCH

# %% [markdown]
# ### A common mistake: to save only the weights, and continue the training later
#
# We train for two epochs and save twice: the whole model in one file, only the weights in another. Then we load both
# files. All three models now have the same weights.

# %%
uninterrupted = new_model()
train(uninterrupted, epochs=2)
uninterrupted.save(folder / "half.keras")
uninterrupted.save_weights(folder / "half.weights.h5")

from_model = keras.models.load_model(folder / "half.keras")
from_weights = new_model()
# Keep the warning for later.
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", UserWarning)
    from_weights.load_weights(folder / "half.weights.h5")
assert difference(from_model, uninterrupted) == 0
assert difference(from_weights, uninterrupted) == 0

# %% [markdown]
# Now each of the three trains for two more epochs. Which of the two loaded models ends with the weights of the
# uninterrupted one?

# %%
# About 3 seconds.
for model in (uninterrupted, from_model, from_weights):
    train(model, epochs=2)
from_model_differs = difference(from_model, uninterrupted)
from_weights_differs = difference(from_weights, uninterrupted)
print(f"from the whole model: weights differ by up to {from_model_differs:.4f}")
print(f"from weights only:    weights differ by up to {from_weights_differs:.4f}")
assert from_model_differs <= TOLERANCE < from_weights_differs

# %% [markdown]
# Why? `load_weights` gave a warning, which we kept in `caught`:

# %%
print(fill(str(caught[0].message), width=96))
tensors = len(uninterrupted.trainable_variables)
new_optimizer = new_model().optimizer
print("a new optimizer:", [variable.name for variable in new_optimizer.variables])
trained = len(uninterrupted.optimizer.variables)
print(f"one that has trained {tensors} weight tensors: 2 + 2 * {tensors} = {trained} variables")
assert trained == 2 + 2 * tensors

# %% [markdown]
# The weights file does hold the optimizer state. But Adam creates its means at the first step of training. Until
# then it has no variables for them, and the saved state is skipped. Load the whole model instead.
#
# ### Exercise 1 · Keep the most accurate
#
# Write `keep_most_accurate(path)`. It returns a callback. The callback keeps, in the file `path` (which ends in
# `.keras`), the whole model of the epoch with the highest accuracy on the validation images.
#
# Run the cell below yours to check your answer. `exercises.checkpoint.hint()` gives a hint. Each time you ask, it
# says more. `exercises.checkpoint.solution()` shows a right answer.


# %%
def keep_most_accurate(path):
    # your code
    ...


# %%
exercises.checkpoint.check(keep_most_accurate)

# %% [markdown]
# ## 3 · EarlyStopping: know when to stop
#
# `EarlyStopping` counts the epochs since the last improvement of the monitored value. **Patience** is the number of
# epochs without an improvement after which it stops the run. In the run of section 2, the validation loss was lowest
# in epoch 13. Now we repeat this run with a patience of 4. After which epoch will it stop?

# %%
stopper = callbacks.EarlyStopping(monitor="val_loss", patience=4)
stopped = new_model(rate=4e-3)
stopped_history = train(stopped, EPOCHS, [stopper])
stop_epoch = len(stopped_history["loss"])
lowest_epoch = int(np.argmin(stopped_history["val_loss"])) + 1
print(f"stopped after epoch {stop_epoch}, lowest so far in epoch {lowest_epoch}")
print(f"without EarlyStopping the lowest loss came in epoch {best_epoch}")
assert stop_epoch == lowest_epoch + 4

# %% [markdown]
# It stopped after epoch 10, not after 17. Epoch 6 was the best so far, and none of the next four was better. The
# callback cannot know that epoch 13 would have been better. A patience of 4 was too short here.
#
# ### A common mistake: to expect the best weights after the stop
#
# The run above left `restore_best_weights` at its default, `False`. Which weights does the model hold now?

# %%
lowest_loss = min(stopped_history["val_loss"])
loss_now, accuracy_now = stopped.evaluate(*validation, verbose=0)
print(f"lowest of the run:       loss {lowest_loss:.2f}")
print(f"the model after the run: loss {loss_now:.2f}")
assert np.isclose(loss_now, stopped_history["val_loss"][-1], atol=1e-3)
assert loss_now > lowest_loss

# %% [markdown]
# It holds the last weights, four epochs after the best. With `restore_best_weights=True` it gets the best weights back:

# %%
restoring = callbacks.EarlyStopping(patience=4, restore_best_weights=True)
restored = new_model(rate=4e-3)
restored_history = train(restored, EPOCHS, [restoring])
restored_loss, restored_accuracy = restored.evaluate(*validation, verbose=0)
print(f"the restored model:      loss {restored_loss:.2f}")
assert np.isclose(restored_loss, min(restored_history["val_loss"]), atol=1e-3)

# %% [markdown]
# ### Simulate a run, without training
#
# The callbacks of sections 3 to 5 need no images. They need the number of the epoch, the logs and the model. So we
# can call them ourselves, and give them a list of losses that we made up. `fit` calls many methods. These callbacks
# use only four of them, and `simulate` calls these four, in the order of `fit`. In the code, the object `calls`
# stands for the whole list of callbacks: the line `calls.on_epoch_begin(epoch)` runs `on_epoch_begin(epoch)` of each
# callback in the list. `simulate` returns a list of learning rates: one for each epoch that was run.


# %%
def tiny_model(rate=1e-3):
    """Return a compiled model of two parameters."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(learning_rate=rate), loss="mse")
    return model


def simulate(values, callback_list, model=None, name="val_loss"):
    """Call the callbacks with a given value in each epoch; return the learning rates."""
    if model is None:
        model = tiny_model()
    model.stop_training = False
    calls = callbacks.CallbackList(callback_list, model=model)
    rates = []
    calls.on_train_begin()
    for epoch, value in enumerate(values):
        calls.on_epoch_begin(epoch)
        # 0.001 as float32 is 0.0010000000475: we round.
        rates.append(round(float(model.optimizer.learning_rate), 9))
        calls.on_epoch_end(epoch, {name: value})
        if model.stop_training:
            break
    calls.on_train_end()
    return rates


# %% [markdown]
# In this list the lowest value is the third. When does the run stop, for a patience of 0, 1, 2 and 3?

# %%
losses = [3.0, 2.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0]
stops = []
for patience in (0, 1, 2, 3):
    stopper = callbacks.EarlyStopping(patience=patience)
    ran = len(simulate(losses, [stopper]))
    stops.append(ran)
    print(f"patience {patience}: stops after epoch {ran}")
assert stops == [4, 4, 5, 6]

# %% [markdown]
# The rule: the run stops after `patience` epochs in a row without a new best. A patience of 0 acts
# like a patience of 1.
#
# ### Exercise 2 · Predict the stop
#
# Write `epochs_run(val_losses, patience)` without Keras: how many epochs does `EarlyStopping(patience=patience)` let
# run? `patience` is 1 or more. An improvement is a value *below* the lowest so far.


# %%
def epochs_run(val_losses, patience):
    # your code
    ...


# %%
exercises.stop.check(epochs_run)

# %% [markdown]
# ## 4 · ReduceLROnPlateau: slow down
#
# A **plateau** is a number of epochs in a row without a new best. After `patience` such epochs `ReduceLROnPlateau`
# multiplies the learning rate by `factor`. For this callback a loss is a new best if it is lower by more than 0.0001
# (`min_delta`, see *For reference*).
#
# LR in the name is the learning rate. In a simulation the callback cannot change the losses: they are given.

# %%
# 17 epochs. The lowest loss is the fifth.
plateau = [1.0, 0.8, 0.7, 0.65, 0.6] + [0.62, 0.61, 0.63, 0.62] * 3
reduce = callbacks.ReduceLROnPlateau(factor=0.5, patience=3)
rates = simulate(plateau, [reduce])
print("learning rates of epochs 6 to 12:", rates[5:12])
assert rates[5:12] == [1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 5e-4, 2.5e-4]

# %% [markdown]
# The best epoch is the fifth. Epochs 6, 7 and 8 bring no new best. So the rate is halved at the end of epoch 8, and
# epoch 9 is the first that trains with the lower rate. Then the callback counts from 0 again.
#
# ### Three callbacks in one `fit`
#
# Here `ReduceLROnPlateau` has a patience of 5, `EarlyStopping` a patience of 7. With `verbose=1` each prints a line
# when it acts.

# %%
# About 5 seconds.
checkpoint = callbacks.ModelCheckpoint(
    folder / "three" / "{epoch:02d}.weights.h5",
    save_best_only=True,
    save_weights_only=True,
)
reduce = callbacks.ReduceLROnPlateau(factor=0.3, patience=5, verbose=1)
stopper = callbacks.EarlyStopping(patience=7, verbose=1)
three = new_model(rate=4e-3)
three_history = train(three, 40, [checkpoint, reduce, stopper])

# %% [markdown]
# Who acted when? The names of the files tell when the checkpoint was saved. The history holds the rate of each
# epoch.

# %%
saved = []
for name in files_in(folder / "three"):
    saved.append(int(name[:2]))
rates = three_history["learning_rate"]
stop = len(rates)
# The number of epochs with a higher rate than the last epoch. The cut came after them.
cut = int(np.sum(np.greater(rates, rates[-1])))
print("best epoch", saved[-1])
print("rate cut after epoch", cut)
print("stop after epoch", stop)
assert cut == saved[-1] + 5
assert stop == saved[-1] + 7

# %%
acts = {
    "checkpoint is saved": saved,
    "learning rate is cut": [cut],
    "lower rate is in use": list(range(cut + 1, stop + 1)),
    "run is stopped": [stop],
}
epochs = range(1, stop + 1)
fig, [[above], [below]] = plots.figure(2, 1, (7.2, 4.2))
above.plot(epochs, three_history["val_loss"], ".-")
above.set(ylabel="validation loss", xticks=epochs, xlim=(0, stop + 1))
for name, when in acts.items():
    below.plot(when, [name] * len(when), "o")
below.set(xlabel="epoch", xticks=epochs, xlim=(0, stop + 1))
below.invert_yaxis()
plots.describe(
    fig,
    "Cut 5 epochs after the best epoch, stop 7 epochs after it",
    f"Above the validation loss, lowest in epoch {saved[-1]}. Below, the epochs: {acts}",
)

# %% [markdown]
# The order follows from the patiences: first the cut, two epochs later the stop. Only two epochs trained with the
# lower rate, and neither was a new best. This one run does not show whether more epochs with the lower rate would
# have helped.
#
# ### A common mistake: a stop that comes before the cut
#
# On the list `plateau`, `EarlyStopping` has a patience of 5. We give `ReduceLROnPlateau` a patience of 2, 5 and 7.
# In which of the three simulations do epochs train with a lower rate?

# %%
counts = []
for patience in (2, 5, 7):
    reduce = callbacks.ReduceLROnPlateau(factor=0.5, patience=patience)
    stopper = callbacks.EarlyStopping(patience=5)
    model = tiny_model()
    rates = simulate(plateau, [reduce, stopper], model)
    lower = sum(np.less(rates, rates[0]))
    counts.append(lower)
    last = float(model.optimizer.learning_rate)
    print(f"patience {patience}: {lower} epochs with a lower rate, after the run {last:.5f}")
assert counts == [3, 0, 0]

# %% [markdown]
# With equal patiences the rate *is* cut, but at the end of the last epoch. No epoch trains with it. So give
# `ReduceLROnPlateau` the shorter patience, and leave some epochs between the cut and the stop.
#
# ### Exercise 3 · Slow down twice, then stop
#
# Write `watchers()`. It returns a list of callbacks. On the list `plateau` above, these callbacks halve the rate
# exactly twice, train with each of the three rates, stop the run before all 17 epochs have run, and leave the best
# weights in the model. There is more than one right answer.


# %%
def watchers():
    # your code
    ...


# %%
exercises.patiences.check(watchers)

# %% [markdown]
# ## 5 · LearningRateScheduler: set the rate by a plan
#
# `LearningRateScheduler` takes a function. At the beginning of each epoch it calls the function with two arguments:
# the epoch, counted from 0, and the current learning rate. The result, a float, is the new rate.


# %%
def halve_every_third(epoch, rate):
    if epoch > 0 and epoch % 3 == 0:
        return rate / 2
    return rate


scheduler = callbacks.LearningRateScheduler(halve_every_third)
rates = simulate([1.0] * 7, [scheduler])
print(rates)
assert rates == [1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 5e-4, 2.5e-4]

# %% [markdown]
# A function with one parameter is called with the epoch alone. Give it no second parameter for another purpose (see
# *For reference*).
#
# ### Two callbacks that set the rate
#
# On the list `plateau` of section 4, `ReduceLROnPlateau` cuts the rate. Now we add a scheduler that returns 0.001 in
# every epoch. Which rates are used?

# %%
scheduler = callbacks.LearningRateScheduler(lambda epoch: 1e-3)
reduce = callbacks.ReduceLROnPlateau(factor=0.5, patience=3)
rates_alone = simulate(plateau, [reduce])
rates_both = simulate(plateau, [scheduler, reduce])
print("rates without the scheduler:", sorted(set(rates_alone)))
print("rates with the scheduler:   ", sorted(set(rates_both)))
assert len(set(rates_alone)) == 4
assert set(rates_both) == {1e-3}

# %% [markdown]
# Only 0.001. `ReduceLROnPlateau` sets the rate when an epoch ends, the scheduler when the next epoch begins. So this
# scheduler undoes each cut.
#
# If the optimizer has a schedule object (notebook 09) in place of a rate, neither callback can set the rate: see
# *For reference*.
#
# ## 6 · TensorBoard: a log to look at
#
# The callback `TensorBoard` writes **event files**: in this run one for the training, one for the validation. The
# program TensorBoard draws them in a browser. Both the callback and the program need the package `tensorboard`.
# `make lab` installs it. Elsewhere, run `pip install tensorboard` before the next cell.

# %%
train(new_model(), epochs=6, callback_list=[callbacks.TensorBoard(folder / "logs")])
event_files = sorted((folder / "logs").rglob("events*"))
for file in event_files:
    print(file.parent.name, file.name.split(".")[0])

# %% [markdown]
# To open the log, run `tensorboard --logdir notebooks/outputs/05_callbacks/logs` in a terminal, and open the address
# that it prints. Ctrl+C stops it. In Colab or Kaggle, follow this
# [guide](https://www.tensorflow.org/tensorboard/tensorboard_in_notebooks). Give each run a folder of its own: for
# TensorBoard, one folder is [one
# run](https://github.com/tensorflow/tensorboard#runs-comparing-different-executions-of-your-model).
#
# ## 7 · One of your own
#
# We want the loss of every single batch. The logs of `on_train_batch_end` hold a value named `loss`. The callback
# below keeps it.


# %%
class BatchLosses(callbacks.Callback):
    """Keep the loss that the logs hold after each batch of an epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))


# %%
recorder = BatchLosses()
one_epoch = train(new_model(), epochs=1, callback_list=[recorder])
reported = recorder.losses
of_the_epoch = one_epoch["loss"][0]
print(f"after the last batch of epoch 1: loss {reported[-1]:.3f}")
print(f"epoch 1 as a whole:              loss {of_the_epoch:.3f}")
assert np.isclose(reported[-1], of_the_epoch, atol=1e-5)

# %% [markdown]
# The value after the last batch is the loss of the whole epoch. So it is not the loss of one batch. It is a
# **running mean**: the mean over all images since the epoch began. (*For reference* checks this for the second
# batch.)
#
# All our batches have the same size. So after n batches, the sum of their losses is n times the running mean. The
# sum after n batches minus the sum after n - 1 batches is the loss of batch n.

# %%
batch_losses = []
sum_before = 0.0
for number, mean in enumerate(reported, start=1):
    sum_now = number * mean
    batch_losses.append(sum_now - sum_before)
    sum_before = sum_now
plots.lines(
    range(1, len(reported) + 1),
    {"running mean, in the logs": reported, "loss of the batch": batch_losses},
    "batch of epoch 1",
    "loss",
    "The running mean in the logs changes less than the loss of a batch",
)

# %% [markdown]
# ### Exercise 4 · Good enough
#
# Complete `StopWhenGood`. The training stops as soon as `val_accuracy` is at least `goal`. To stop it, set
# `self.model.stop_training` to `True`. Two more things are asked. Without validation images there is no `val_accuracy`
# in the logs: then do nothing. And if another callback has already stopped the run, leave it stopped.


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
# ## 8 · BackupAndRestore: resume an interrupted run
#
# `BackupAndRestore` writes a backup after each epoch: the weights, the optimizer state, and the number of finished
# epochs. If `fit` is called again with the same folder, it continues from there.
#
# We test it on a run that is really killed. A second Python process loads our best model and trains. It ends itself
# after the eighth batch of the third epoch. [`os._exit`](https://docs.python.org/3/library/os.html#os._exit) ends a
# process at once, without any cleanup.

# %%
SCRIPT = """
import os
import sys
import keras
import numpy as np
import tensorflow as tf

class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 2 and batch == 7:
            os._exit(9)

folder = sys.argv[1]
tf.config.experimental.enable_op_determinism()
model = keras.models.load_model(folder + "/best.keras")
images = np.load(folder + "/images.npz")
backup = keras.callbacks.BackupAndRestore(folder + "/backup")
model.fit(images["x"], images["y"], batch_size=25, epochs=4,
          shuffle=False, verbose=0, callbacks=[backup, Kill()])
"""

# %%
# About 6 seconds, most of them to start TensorFlow in the second process.
script = folder / "train.py"
script.write_text(SCRIPT, encoding="utf-8")
np.savez(folder / "images.npz", x=x_few, y=y_few)
process = subprocess.run([sys.executable, script, folder], capture_output=True, text=True)
print("exit code", process.returncode)
assert process.returncode == 9, process.stderr

print("in the backup:", files_in(folder / "backup"))
progress = (folder / "backup" / "training_metadata.json").read_text()
print("finished:", progress)
assert '"epoch": 2,' in progress

# %% [markdown]
# Two epochs are in the backup. The eight batches of the third epoch are lost. Now we resume the run here. Then we
# train the same four epochs without an interruption, and compare the weights. How many epochs will the history of
# the resumed run have?

# %%
(folder / "backup" / "notes.txt").write_text("A file of our own in the same folder.")
resumed = keras.models.load_model(folder / "best.keras")
backup = callbacks.BackupAndRestore(folder / "backup")
resumed_history = train(resumed, 4, [backup])

uninterrupted = keras.models.load_model(folder / "best.keras")
train(uninterrupted, 4)

resumed_epochs = len(resumed_history["loss"])
differ = difference(resumed, uninterrupted)
print("epochs in the history of the resumed run:", resumed_epochs)
print(f"the weights differ by up to {differ:.4f}")
assert resumed_epochs == 2
assert differ <= TOLERANCE
assert not (folder / "backup").exists()

# %% [markdown]
# The resumed run trained in epochs 3 and 4 only, and its weights are the same. After a run that ended well,
# `BackupAndRestore` deletes its whole folder, with our `notes.txt` in it. So give it a folder of its own. The next
# run with this folder starts from the beginning.
#
# ### What is not in the backup
#
# - **The order of the images.** A dataset that shuffles with a seed begins with its first order again.
# - **The random state of layers.** A layer such as `Dropout` (notebook 03) with a seed draws its first random
#   numbers again.
# - **The memory of the other callbacks.** A new callback does not know the interrupted run.
#
# Our run had a fixed order and no such layer. *For reference* shows the first two. Because of the third, you may
# lose your best model. A new `ModelCheckpoint` does not know the best value of the interrupted run. It saves the
# first model that it sees. Below, a model of two parameters with a loss of 9.9 overwrites our classifier.

# %%
copy = folder / "copy.keras"
parameters = []
for threshold in (None, best_loss):
    shutil.copy(folder / "best.keras", copy)
    checkpoint = callbacks.ModelCheckpoint(
        copy, save_best_only=True, initial_value_threshold=threshold
    )
    simulate([9.9], [checkpoint])
    kept = keras.models.load_model(copy, compile=False)
    parameters.append(kept.count_params())
print(f"without the threshold: copy.keras has {parameters[0]} parameters")
print(f"with the threshold:    copy.keras has {parameters[1]} parameters")
assert parameters == [2, loaded.count_params()]

# %% [markdown]
# `initial_value_threshold` tells a new `ModelCheckpoint` the old best value.
#
# ### Exercise 5 · A run that can be killed
#
# Write `train_to(model, pairs, backup, epochs, *watchers)`. It trains `model` on `pairs`, a dataset of batches, to the
# end of epoch `epochs`. It gives the callbacks `watchers` to `fit`, too. If a call is interrupted, the same call with a
# new model and the same folder `backup` must continue the run. After a run that ended well the folder is gone.


# %%
def train_to(model, pairs, backup, epochs, *watchers):
    # your code
    ...


# %%
exercises.resume.check(train_to)

# %% [markdown]
# ## For reference
#
# Most examples change one argument and show the effect. All arguments are listed on the [pages of the
# callbacks](https://keras.io/api/callbacks/).
#
# ### EarlyStopping
#
# `min_delta=d`: an improvement counts only if it is larger than d.


# %%
def stops_after(values, **arguments):
    """Return how many epochs `EarlyStopping` lets run, with a patience of 3."""
    stopper = callbacks.EarlyStopping(patience=3, **arguments)
    return len(simulate(values, [stopper]))


slow = [1.0, 0.9, 0.8, 0.799, 0.798, 0.797, 0.796]
any_counts = stops_after(slow, min_delta=0)
large_counts = stops_after(slow, min_delta=0.01)
print("epochs with min_delta=0:   ", any_counts)
print("epochs with min_delta=0.01:", large_counts)
assert any_counts == 7
assert large_counts == 6

# %% [markdown]
# `baseline`: a value that the loss should beat. Only an improvement that is also better than the baseline sets the
# count back to 0. Below, no loss is lower than the baseline 0.5, so the count is never set back. But the run stops
# only in an epoch without an improvement. In the first list this is epoch 4, with a loss of 0.85. The second list has
# no such epoch.

# %%
bumpy = [1.0, 0.9, 0.8, 0.85, 0.7, 0.6, 0.5]
falling = [1.0, 0.9, 0.8, 0.75, 0.7, 0.6, 0.5]
without = stops_after(bumpy)
with_bump = stops_after(bumpy, baseline=0.5)
with_fall = stops_after(falling, baseline=0.5)
print("epochs without a baseline:", without)
print("with baseline=0.5:", with_bump)
print("with baseline=0.5 and a loss that falls in each epoch:", with_fall)
assert without == 7
assert with_bump == 4
assert with_fall == 7

# %% [markdown]
# `start_from_epoch=n`: the callback ignores the losses of the first n epochs. Below, the loss 1.0 of the first epoch
# is ignored in the second run, so it is not the best.

# %%
rising_first = [1.0, 1.2, 1.4, 1.6, 1.5, 1.1, 0.9, 0.8]
from_first = stops_after(rising_first)
from_fifth = stops_after(rising_first, start_from_epoch=4)
print("epochs run, no epoch ignored:", from_first)
print("epochs run, first four epochs ignored:", from_fifth)
assert from_first == 4
assert from_fifth == 8

# %% [markdown]
# `mode`: `"min"` if less is better, `"max"` if more is better. `"auto"`, the default, knows that less is better for
# a loss. For another name it looks for a metric of this name in the compiled model. If it cannot find the direction,
# it raises an error. All three callbacks with a `monitor` have this argument.


# %%
def error_message(function):
    """Call a function that must fail; return its error in words."""
    try:
        function()
    except Exception as error:
        return fill(f"{type(error).__name__}: {error}", width=96)
    raise AssertionError("no error")


accuracies = [0.1, 0.3, 0.5, 0.6, 0.7]
ran = {}
for mode in ("max", "min"):
    stopper = callbacks.EarlyStopping(monitor="val_score", mode=mode, patience=3)
    ran[mode] = len(simulate(accuracies, [stopper], name="val_score"))
    print(f"mode {mode}: {ran[mode]} of 5 epochs")
assert ran == {"max": 5, "min": 4}

stopper = callbacks.EarlyStopping(monitor="val_score")
print(error_message(lambda: simulate(accuracies, [stopper], name="val_score")))

# %% [markdown]
# ### ReduceLROnPlateau
#
# `cooldown=n`, for n of 1 or more: after each cut, n - 1 epochs are not counted. So `cooldown=1` changes nothing.


# %%
def rates_with(**arguments):
    """Return the learning rates of twelve epochs with the same loss."""
    reduce = callbacks.ReduceLROnPlateau(factor=0.5, patience=2, **arguments)
    return simulate([1.0] * 12, [reduce])


distances = []
for cooldown in range(4):
    rates = rates_with(cooldown=cooldown)
    distance = rates.count(5e-4)
    distances.append(distance)
    print(f"cooldown={cooldown}: {distance} epochs between the first two cuts")
assert distances == [2, 2, 3, 4]

# %% [markdown]
# `min_lr`: the rate is not cut below this value.

# %%
limited = rates_with(min_lr=4e-4)
print("min_lr=0:     ", rates_with()[:8])
print("min_lr=0.0004:", limited[:8])
assert min(limited) == 4e-4

# %% [markdown]
# `min_delta`: as above, but the default is 0.0001. For `EarlyStopping` it is 0: any improvement counts. What happens
# if the loss falls by 0.00001 in each epoch?

# %%
slow = [1.0]
for step in range(14):
    slow.append(0.6 - 0.00001 * step)
reduce = callbacks.ReduceLROnPlateau(factor=0.5, patience=5)
stopper = callbacks.EarlyStopping(patience=5)
rates = simulate(slow, [reduce, stopper])
print("epochs given:", len(slow))
print("epochs run:  ", len(rates))
print("first rate:", rates[0])
print("last rate: ", rates[-1])
assert len(rates) == len(slow)
assert rates[-1] < rates[0]

# %% [markdown]
# In five epochs the loss falls by 0.00005, less than `min_delta`. For `ReduceLROnPlateau` this is a plateau, and it
# cuts the rate. For `EarlyStopping` each epoch is a new best, and it does not stop the run.

# %% [markdown]
# ### A common mistake: a schedule object and a callback that sets the rate
#
# An optimizer may be given a **schedule** in place of a number: an object that computes the rate from the number of
# steps. Can a callback set the rate then?

# %%
schedule = keras.optimizers.schedules.ExponentialDecay(
    initial_learning_rate=1e-3,
    decay_steps=10,
    decay_rate=0.9,
)
scheduled = tiny_model(rate=schedule)
print(error_message(lambda: simulate([1.0], [scheduler], scheduled)))

reduce = callbacks.ReduceLROnPlateau(patience=3)
simulate([1.0, 1.0, 1.0], [reduce], scheduled)
print("three epochs without an error")
print(error_message(lambda: simulate([1.0, 1.0, 1.0, 1.0], [reduce], scheduled)))

# %% [markdown]
# No. `LearningRateScheduler` raises an error in the first epoch. `ReduceLROnPlateau` raises it only when it first
# cuts the rate, here after the fourth epoch. In a long run that may be hours later. Use either a schedule or one of
# the two callbacks.

# %% [markdown]
# ### A common mistake: a second parameter with a default
#
# This function for `LearningRateScheduler` should give 0.001, 0.002, 0.003, and so on. What does the run use?


# %%
def ramp(epoch, start=0.01):
    return start * (epoch + 1) / 10


wanted = [ramp(epoch) for epoch in range(5)]
got = simulate([1.0] * 5, [callbacks.LearningRateScheduler(ramp)])
print("wanted", wanted)
print("got   ", [f"{rate:.1e}" for rate in got])
assert np.allclose(got[:2], [1e-3 * 1 / 10, 1e-4 * 2 / 10])

# %% [markdown]
# Keras calls `ramp(epoch, rate)`. So the current rate, at first 0.001, takes the place of `start`. Each result is
# the `start` of the next epoch. Write a function with one parameter instead.


# %%
def ramp_of_epoch(epoch):
    return 0.001 * (epoch + 1)


got = simulate([1.0] * 5, [callbacks.LearningRateScheduler(ramp_of_epoch)])
print("got   ", got)
assert np.allclose(got, wanted)

# %% [markdown]
# ### A common mistake: an old call of `ModelCheckpoint`
#
# Older code has `ModelCheckpoint("weights.{epoch:02d}-{val_loss:.2f}.hdf5", save_weights_only=True, period=1)`. Two
# parts of this call do not work in Keras 3. Which two?

# %%
old_name = "weights.{epoch:02d}-{val_loss:.2f}.hdf5"
print(error_message(lambda: callbacks.ModelCheckpoint(old_name, period=1)))
print(error_message(lambda: callbacks.ModelCheckpoint(old_name, save_weights_only=True)))
new_checkpoint = callbacks.ModelCheckpoint(
    folder / "weights.{epoch:02d}-{val_loss:.2f}.weights.h5",
    save_weights_only=True,
    save_freq="epoch",
)

# %% [markdown]
# `period` and `.hdf5`. Leave `period` out, or write `save_freq="epoch"`: it is the default. For weights alone, the
# name must end in `.weights.h5`. For a whole model, let it end in `.keras`.
#
# ### ModelCheckpoint
#
# `save_weights_only`: a weights file has no configuration, so `load_model` cannot read it. To continue a training
# from it, call `optimizer.build` first: then the optimizer state is loaded, too.

# %%
weights_file = folder / "half.weights.h5"
message = error_message(lambda: keras.models.load_model(weights_file))
print(message[:45])
assert "No model config found" in message

repaired = new_model()
repaired.optimizer.build(repaired.trainable_variables)
repaired.load_weights(weights_file)
train(repaired, epochs=2)
repaired_differs = difference(repaired, from_model)
print(f"built first: weights differ by up to {repaired_differs:.4f}")
assert repaired_differs <= TOLERANCE

# %% [markdown]
# `save_freq` as an integer: a file after this many batches. Here are two epochs of six batches. We call the methods
# by hand.

# %%
checkpoint = callbacks.ModelCheckpoint(
    folder / "batches" / "epoch {epoch} batch {batch}.weights.h5",
    save_freq=4,
    save_weights_only=True,
)
checkpoint.set_model(tiny_model())
for epoch in range(2):
    checkpoint.on_epoch_begin(epoch)
    for batch in range(6):
        checkpoint.on_train_batch_end(batch, {"loss": 1.0})
written = files_in(folder / "batches")
print(written)
assert len(written) == 3

# %% [markdown]
# ### BackupAndRestore
#
# `save_freq` as an integer: a backup after this many batches. The weights in the backup have then already learned
# from some batches of the epoch. But a resumed run begins at the start of this epoch. So these batches are used a
# second time. Here are two epochs of four batches, with a backup after each batch. The run is interrupted after the
# seventh: eleven steps are made, not eight. `delete_checkpoint=False` keeps the backup after a run that ended well.


# %%
class Interrupt(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == 7:
            raise KeyboardInterrupt


shutil.rmtree(folder / "often", ignore_errors=True)  # of an earlier run of this cell
x_tiny = np.ones((4, 1))
backup = callbacks.BackupAndRestore(
    folder / "often",
    save_freq=1,
    delete_checkpoint=False,
)
settings = {"batch_size": 1, "epochs": 2, "verbose": 0}
try:
    tiny_model().fit(x_tiny, x_tiny, callbacks=[backup, Interrupt()], **settings)
except KeyboardInterrupt:
    print("interrupted")
model = tiny_model()
run = model.fit(x_tiny, x_tiny, callbacks=[backup], **settings)
steps = int(model.optimizer.iterations)
print("steps in all:", steps)
assert steps == 7 + 4
print("kept after the run:", files_in(folder / "often"))

# %% [markdown]
# Two things that are not in the backup. **The order of the images**: this dataset makes a new order in each epoch.
# After a restart it begins with its first order again. So the resumed run gets other batches than the uninterrupted
# one.


# %%
def shuffled():
    return tf.data.Dataset.range(6).shuffle(buffer_size=6, seed=1)


numbers = shuffled()
epoch_1 = [int(number) for number in numbers]
epoch_2 = [int(number) for number in numbers]
restarted = shuffled()
after_restart = [int(number) for number in restarted]
print("epoch 1      ", epoch_1)
print("epoch 2      ", epoch_2)
print("after restart", after_restart)
assert after_restart == epoch_1
assert epoch_2 != epoch_1

# %% [markdown]
# **The random state of layers**: the position in the sequence of random numbers is not saved. So this layer draws
# its first numbers again.


# %%
def random_model():
    dropout = keras.layers.Dropout(0.5, seed=1)
    return keras.Sequential([keras.Input((4,)), dropout])


ones = np.ones((1, 4))
model = random_model()
first = model(ones, training=True).numpy()
second = model(ones, training=True).numpy()
model.save_weights(folder / "random.weights.h5")
restarted = random_model()
restarted.load_weights(folder / "random.weights.h5")
third = restarted(ones, training=True).numpy()
print("before saving", first, second)
print("after loading", third)
assert np.array_equal(first, third)
assert not np.array_equal(first, second)

# %% [markdown]
# ### One callback object in two runs
#
# What happens if the same objects are given to a second `fit`? The second run below starts with a high loss. Its loss
# falls in every epoch, but it stays above the best loss of the first run, 1.0.

# %%
first_run = [3.0, 1.0, 2.0, 2.0]
second_run = [6.5, 5.5, 4.5, 3.5, 2.5]
stopper = callbacks.EarlyStopping(patience=2)
checkpoint = callbacks.ModelCheckpoint(
    folder / "twice" / "{val_loss}.keras",
    save_best_only=True,
)
reduce = callbacks.ReduceLROnPlateau(factor=0.5, patience=2)
model = tiny_model()
rates_1 = simulate(first_run, [stopper, checkpoint, reduce], model)
rates_2 = simulate(second_run, [stopper, checkpoint, reduce], model)

print("epochs run:", len(rates_1), "and", len(rates_2))
print("best value of ModelCheckpoint:", checkpoint.best)
print("its files:", files_in(folder / "twice"))
print("learning rate of the first epoch:", rates_1[0], "and", rates_2[0])

# %%
keras_version = [int(part) for part in keras.__version__.split(".")[:2]]
if keras_version >= [3, 15]:
    assert len(rates_2) == 5
assert checkpoint.best == 1.0
assert files_in(folder / "twice") == ["1.0.keras", "3.0.keras"]
assert rates_2[0] == 5e-4

# %% [markdown]
# - `EarlyStopping` forgets its best value when a run begins. In earlier versions, Keras 3.14 for example, it kept
#   the best value, 1.0, and stopped the second run after two epochs ([issue
#   20256](https://github.com/keras-team/keras/issues/20256)).
# - `ModelCheckpoint` keeps its best value. It saved nothing in the second run.
# - The lowered rate belongs to the optimizer, not to `ReduceLROnPlateau`. So the second run starts with the lower
#   rate.
#
# So create new callbacks for each run. Also create a new model, or set `model.optimizer.learning_rate` back.
#
# ### The loss of the second batch, computed directly
#
# A new model makes one step on the first batch. Then we compute its loss on the second batch.

# %%
model = new_model()
model.train_on_batch(x_few[:25], y_few[:25])
logits = model(x_few[25:50])
loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
direct = loss_function(y_few[25:50], logits)
print(f"second batch, computed directly: loss {direct:.3f}")
print(f"second batch, from the logs:     loss {batch_losses[1]:.3f}")
print(f"running mean after two batches:  loss {reported[1]:.3f}")
assert np.isclose(batch_losses[1], direct, rtol=1e-2)

# %% [markdown]
# ## Summary
#
# - `ModelCheckpoint(save_best_only=True)` keeps the best epoch. A `.keras` file holds configuration, weights and
#   optimizer state.
# - `EarlyStopping` stops after `patience` epochs in a row without a new best. It keeps the last weights unless
#   `restore_best_weights=True`.
# - `ReduceLROnPlateau` needs a shorter patience than the stop. A schedule object and a callback cannot both set the
#   rate.
# - The loss in the logs of a batch is a running mean over the epoch.
# - `BackupAndRestore` continues after the last finished epoch. The order of shuffled images, the random state of layers
#   and the memory of other callbacks are not in the backup.
#
# **Next** notebook 06 reads images from disk, fast, and trains the first convolutional network.
#
# ## References
#
# - Prechelt (1998), *Early Stopping - But When?* [doi:10.1007/3-540-49430-8_3](https://doi.org/10.1007/3-540-49430-8_3)
# - Kingma, Ba (2015), *Adam* [arXiv:1412.6980](https://arxiv.org/abs/1412.6980)
# - Keras API: [callbacks](https://keras.io/api/callbacks/); guide: [write your
#   own](https://keras.io/guides/writing_your_own_callbacks/)
# - TensorBoard: [get started](https://www.tensorflow.org/tensorboard/get_started)
