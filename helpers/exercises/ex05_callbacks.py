"""The exercises of notebook 05."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import callbacks

from helpers.checking.engine import Exercise

NOTEBOOK = "05_callbacks"


def tiny():
    """Return a model of one weight and one bias, compiled, with its metrics in place."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    # Too small for a graph.
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["accuracy"], run_eagerly=True)
    model.test_on_batch(np.zeros((1, 1)), np.zeros((1, 1)))
    return model


def rehearse(model, epochs, *watchers):
    """Play the logs of epochs to callbacks; return each epoch's learning rate.

    In each epoch the model's bias is the epoch's number.
    """
    model.stop_training = False
    stage = callbacks.CallbackList(list(watchers), model=model)
    rates = []
    stage.on_train_begin()
    for epoch, logs in enumerate(epochs):
        stage.on_epoch_begin(epoch)
        rates.append(float(model.optimizer.learning_rate))
        model.layers[-1].bias.assign([epoch])
        stage.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    stage.on_train_end()
    return rates


def bias(model):
    return int(model.layers[-1].bias[0])


# Exercise 1


def keep_most_accurate(path):
    return callbacks.ModelCheckpoint(
        path, monitor="val_accuracy", mode="max", save_best_only=True
    )


def observe_checkpoint(answer):
    names = ("val_accuracy", "val_loss", "accuracy", "loss")
    rows = (
        (0.6, 0.4, 0.5, 0.9),  # lowest val_loss
        (0.5, 0.5, 0.6, 0.8),  # lowest val_accuracy
        (0.9, 0.7, 0.7, 0.7),  # highest val_accuracy
        (0.8, 0.8, 0.9, 0.6),  # highest accuracy
        (0.7, 0.9, 0.8, 0.5),  # highest val_loss
        (0.65, 0.6, 0.85, 0.4),  # last
    )
    epochs = [dict(zip(names, row)) for row in rows]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "kept.keras")
        callback = answer(path)
        is_one = isinstance(callback, callbacks.Callback)
        yield "what keep_most_accurate returns", "a callback" if is_one else callback
        if is_one:
            yield (
                "whether the logs hold what is watched",
                getattr(callback, "monitor", "val_accuracy") in names,
            )
            model = tiny()
            rehearse(model, epochs, callback)
            yield (
                "the files in the folder after six epochs",
                sorted(file.name for file in Path(folder).iterdir()),
            )
            if path.exists():
                model.load_weights(path)
                yield "the epoch (from 0) whose model is in the file", bias(model)


checkpoint = Exercise(
    notebook=NOTEBOOK,
    number=1,
    title="Keep the most accurate",
    objective="keep the best model of a run on disk, and say what is in the file",
    reference=keep_most_accurate,
    observe=observe_checkpoint,
    hints=(
        "Which callback of section 2 writes a model to a file? It has to know three things "
        "besides the path.",
        "What is watched, which direction is better, and whether a worse epoch may overwrite "
        "the file.",
        "The arguments are called `monitor`, `mode` and `save_best_only`.",
    ),
)


@checkpoint.right
def direction_found_by_keras(path):
    return callbacks.ModelCheckpoint(str(path), "val_accuracy", save_best_only=True)


@checkpoint.right
def of_my_own(path):
    class Keep(callbacks.Callback):
        best = -1.0

        def on_epoch_end(self, epoch, logs=None):
            if logs["val_accuracy"] > self.best:
                self.best = logs["val_accuracy"]
                self.model.save(path)

    return Keep()


checkpoint.wrong(
    "Your file holds the epoch of the lowest loss: that is what the callback watches unless "
    "it is told otherwise. What is the accuracy on the validation images called in the "
    "logs?",
    "monitor left at val_loss",
)(lambda path: callbacks.ModelCheckpoint(path, save_best_only=True))
checkpoint.wrong(
    "Your file holds the last epoch. Every epoch overwrote it, the better ones, too: which "
    "argument forbids that?",
    "last instead of best",
)(lambda path: callbacks.ModelCheckpoint(path, monitor="val_accuracy", mode="max"))
checkpoint.wrong(
    "Your file holds the least accurate epoch. Less is better for a loss: what about an "
    "accuracy?",
    "monitor in the wrong direction",
)(
    lambda path: callbacks.ModelCheckpoint(
        path, monitor="val_accuracy", mode="min", save_best_only=True
    )
)
checkpoint.wrong(
    "Your file holds the epoch with the largest loss: more is better now, but what is being "
    "watched?",
    "direction without monitor",
)(lambda path: callbacks.ModelCheckpoint(path, mode="max", save_best_only=True))
checkpoint.wrong(
    "You watch the accuracy on the training images. The network may overfit to them: which "
    "images are new to it?",
    "training accuracy monitored",
)(
    lambda path: callbacks.ModelCheckpoint(
        path, monitor="accuracy", mode="max", save_best_only=True
    )
)
checkpoint.wrong(
    "What you watch is not in the logs, so no epoch is known to be the best. In older "
    "versions of Keras the name was shorter: look at what the diary of section 1 printed.",
    "old name of the metric",
)(
    lambda path: callbacks.ModelCheckpoint(
        path, monitor="val_acc", mode="max", save_best_only=True
    )
)
checkpoint.wrong(
    "You asked for the weights alone, and the path ends in `.keras`, as a whole model does. "
    "What does a file have to hold, so that training can go on from it?",
    "weights only",
)(
    lambda path: callbacks.ModelCheckpoint(
        path, monitor="val_accuracy", mode="max", save_best_only=True, save_weights_only=True
    )
)
checkpoint.wrong(
    "You returned the callback in a list. `fit` takes a list, but here the callback itself "
    "is asked for.",
    "callback in a list",
)(lambda path: [keep_most_accurate(path)])


# Exercise 2


def epochs_run(val_losses, patience):
    best = val_losses[0]
    wait = 0
    for epoch, value in enumerate(val_losses[1:], start=2):
        if value < best:
            best = value
            wait = 0
        else:
            wait += 1
            if wait == patience:
                return epoch
    return len(val_losses)


def observe_stop(answer):
    runs = (
        ([3, 2, 1], 2),
        ([1, 2, 3, 4, 5], 2),
        ([5, 6, 4, 5, 3, 4, 4, 4], 2),
        ([5, 1, 3, 2, 3, 2, 3, 2], 3),
        ([3, 2, 2, 2, 2, 2], 3),
        ([4, 3, 3, 3, 1, 2, 2], 2),
        ([4, 5, 3], 1),
        ([3, 2, 4, 4], 3),
    )
    for losses, patience in runs:
        yield f"epochs_run({losses}, {patience})", answer(list(losses), patience)


stop = Exercise(
    notebook=NOTEBOOK,
    number=2,
    title="Predict the stop",
    objective="predict after which epoch `EarlyStopping` stops a run",
    reference=epochs_run,
    observe=observe_stop,
    hints=(
        "Go through the epochs and keep two numbers: the best loss so far, and how long ago "
        "it was.",
        "What happens to the two when a value is below the best? And what if it is not?",
        "It stops in the epoch in which the count of epochs without an improvement reaches "
        "the patience. If this never happens, all epochs run.",
    ),
)


@stop.right
def by_slices(val_losses, patience):
    for epoch in range(patience + 1, len(val_losses) + 1):
        if min(val_losses[:epoch]) == min(val_losses[: epoch - patience]):
            return epoch
    return len(val_losses)


def stopper(better=lambda value, best, last: value < best, starts_anew=True, late=0):
    """Return an answer with other rules.

    They say what counts as better, whether that ends the waiting, and how late it stops.
    """

    def answer(val_losses, patience):
        best = val_losses[0]
        wait = 0
        for epoch in range(2, len(val_losses) + 1):
            value = val_losses[epoch - 1]
            last = val_losses[epoch - 2]
            if better(value, best, last):
                best = value
                if starts_anew:
                    wait = 0
            else:
                wait += 1
                if wait >= patience + late:
                    return epoch
        return len(val_losses)

    return answer


stop.wrong(
    "You stop one epoch too late. With a patience of 2, the second epoch in a row without an "
    "improvement is the last. Compare with what the simulation printed for a patience of 2.",
    "one epoch too late",
)(stopper(late=1))
stop.wrong(
    "You count all epochs without an improvement. But only those since the last one count: "
    "what does an improvement do to the count?",
    "waiting never starts anew",
)(stopper(starts_anew=False))
stop.wrong(
    "You compare with the epoch before. After a high loss, a slightly lower one looks like "
    "an improvement: what should it be compared with?",
    "compared with the epoch before",
)(stopper(lambda value, best, last: value < last))
stop.wrong(
    "You take an equal value for an improvement. Has the loss become lower, if it is what it "
    "was before?",
    "equal taken for better",
)(stopper(lambda value, best, last: value <= best))


def counted_from_0(val_losses, patience):
    count = epochs_run(val_losses, patience)
    if count < len(val_losses):
        count -= 1
    return count


stop.wrong(
    "Your result is one too small wherever it stops early: you returned the number that "
    "Keras gives the epoch, counted from 0. How many epochs have run by then?",
    "number of the epoch instead of the count",
)(counted_from_0)


@stop.wrong(
    "You took the lowest loss of the whole list and added the patience. But a run does not "
    "know the losses of later epochs: it may have stopped before the lowest came."
)
def lowest_of_the_whole_run(val_losses, patience):
    best_epoch = val_losses.index(min(val_losses)) + 1
    return min(best_epoch + patience, len(val_losses))


@stop.wrong(
    "You returned the best epoch. But the run goes on after it: how many epochs without an "
    "improvement does it wait for?"
)
def best_epoch_instead_of_the_last(val_losses, patience):
    seen = val_losses[: epochs_run(val_losses, patience)]
    return seen.index(min(seen)) + 1


# Exercise 3


def watchers():
    cut = callbacks.ReduceLROnPlateau(factor=0.5, patience=3)
    return [cut, callbacks.EarlyStopping(patience=8, restore_best_weights=True)]


def observe_watchers(answer):
    plateau = [1.0, 0.8, 0.7, 0.65, 0.6] + [0.62, 0.61, 0.63, 0.62] * 3
    made = answer()
    are_callbacks = isinstance(made, list | tuple) and all(
        isinstance(one, callbacks.Callback) for one in made
    )
    yield "what watchers returns", "a list of callbacks" if are_callbacks else made
    if are_callbacks:
        model = tiny()
        rates = rehearse(model, [{"val_loss": loss} for loss in plateau], *made)
        yield (
            "the rates that epochs were trained with, as parts of the first",
            list(dict.fromkeys(np.divide(rates, 0.1))),
        )
        yield "whether the run stops before all 17 epochs have run", len(rates) < 17
        yield "the epoch (from 1) whose weights are left in the model", bias(model) + 1


patiences = Exercise(
    notebook=NOTEBOOK,
    number=3,
    title="Slow down twice, then stop",
    objective="choose the settings of several callbacks so that each can do its work",
    reference=watchers,
    observe=observe_watchers,
    hints=(
        "Two callbacks. In which epoch does each begin to count, and after how many epochs "
        "does it act?",
        "The best epoch is the fifth. Write down when each cut comes for a patience of your "
        "choice, and when the stop.",
        "After the second cut at least one epoch must run with the new rate, and there must be "
        "no third cut.",
    ),
)


@patiences.right
def with_a_rest_between_the_cuts():
    cut = callbacks.ReduceLROnPlateau(factor=0.5, patience=2, cooldown=1)
    return [callbacks.EarlyStopping(patience=6, restore_best_weights=True), cut]


@patiences.right
def by_a_plan():
    def rule(epoch):
        if epoch > 6:
            return 0.025
        return 0.05 if epoch > 4 else 0.1

    stop = callbacks.EarlyStopping(
        "val_loss", patience=4, mode="min", restore_best_weights=True
    )
    return (callbacks.LearningRateScheduler(rule), stop)


def both(cut, stop, factor=0.5, restore=True, **settings):
    """Return an answer made of two patiences."""
    return lambda: [
        callbacks.ReduceLROnPlateau(factor=factor, patience=cut, **settings),
        callbacks.EarlyStopping(patience=stop, restore_best_weights=restore, **settings),
    ]


patiences.wrong(
    "Every epoch was trained with the first rate. The callback with the shorter patience acts "
    "first. If the stop comes first, or with the cut, no epoch trains with a lower rate.",
    "plateau patience as long as the stop's",
)(both(7, 7))
patiences.wrong(
    "The run never stopped, and the rate was cut again and again. How many epochs are there "
    "after the best one, and what would end the run before they are over?",
    "nothing stops the run",
)(both(3, 30))
patiences.wrong(
    "Epochs were trained with one lower rate only. The second cut did not come, or came at "
    "the end of the last epoch: compare the two patiences.",
    "one cut only",
)(both(3, 5))
patiences.wrong(
    "The rate was cut more than twice before the stop. Count the epochs between two cuts, "
    "and those up to the stop.",
    "one cut too many",
)(both(2, 9))
patiences.wrong(
    "You have two cuts, but each leaves a tenth of the rate. This is the default: "
    "which argument changes it?",
    "factor left at a tenth",
)(both(3, 8, factor=0.1))
patiences.wrong(
    "The rates and the stop are right. But the model is left with the weights of the last "
    "epoch: what did section 3 say of the default?",
    "last weights instead of best",
)(both(3, 8, restore=False))
patiences.wrong(
    "Nothing happened in seventeen epochs. The simulation gives a val_loss and nothing else: "
    "what do yours watch?",
    "something else monitored",
)(both(3, 8, monitor="loss"))


# Exercise 4


class StopWhenGood(callbacks.Callback):
    def __init__(self, goal):
        super().__init__()
        self.goal = goal

    def on_epoch_end(self, epoch, logs=None):
        if "val_accuracy" in logs and logs["val_accuracy"] >= self.goal:
            self.model.stop_training = True


def observe_good(answer):
    def stops(logs, goal=0.8, already=False):
        model = keras.Sequential()
        watcher = answer(goal)
        model.stop_training = already
        watcher.set_model(model)
        watcher.on_epoch_end(0, logs)
        return model.stop_training

    yield (
        "whether a goal of 0.8 stops at val_accuracy 0.9",
        stops({"accuracy": 0.5, "val_accuracy": 0.9}),
    )
    yield (
        "whether a goal of 0.8 stops at val_accuracy 0.5",
        stops({"accuracy": 0.9, "val_accuracy": 0.5}),
    )
    yield (
        "whether a goal of 0.8 stops at val_accuracy 0.8",
        stops({"accuracy": 0.5, "val_accuracy": 0.8}),
    )
    yield (
        "whether a goal of 0.6 stops at val_accuracy 0.7",
        stops({"accuracy": 0.5, "val_accuracy": 0.7}, goal=0.6),
    )
    yield (
        "whether a model that another callback has stopped stays so, at val_accuracy 0.5",
        stops({"accuracy": 0.5, "val_accuracy": 0.5}, already=True),
    )
    yield (
        "whether a goal of 0.8 stops a run without validation",
        stops({"accuracy": 0.9, "loss": 0.9}),
    )


good = Exercise(
    notebook=NOTEBOOK,
    number=4,
    title="Good enough",
    objective="write a callback of your own",
    reference=StopWhenGood,
    observe=observe_good,
    hints=(
        "`logs` is a dictionary. Ask first whether the name you need is in it.",
        "If it is there, compare its value with `self.goal`. Only if it is good enough, "
        "something is to be done.",
        "`fit` looks at the `stop_training` of the model after each epoch: "
        "`self.model.stop_training`.",
    ),
)


@good.right
class WithDefault(callbacks.Callback):
    def __init__(self, goal):
        super().__init__()
        self.goal = goal

    def on_epoch_end(self, epoch, logs=None):
        accuracy = logs.get("val_accuracy", -1.0)
        if accuracy >= self.goal:
            self.model.stop_training = True


def stopper_if(
    enough,
    stop=lambda self: setattr(self.model, "stop_training", True),
    otherwise=lambda self: None,
):
    """Return a class that does one thing or another, by a condition on (logs, goal)."""

    class Made(callbacks.Callback):
        def __init__(self, goal):
            super().__init__()
            self.goal = goal

        def on_epoch_end(self, epoch, logs=None):
            if enough(logs, self.goal):
                stop(self)
            else:
                otherwise(self)

    return Made


def reached(logs, goal):
    return logs.get("val_accuracy", -1.0) >= goal


good.wrong(
    "You look at the accuracy on the training images, to which the network may overfit. "
    "Which name in the logs belongs to the validation images?",
    "training accuracy",
)(stopper_if(lambda logs, goal: logs["accuracy"] >= goal))
good.wrong(
    "Exactly the goal is good enough: read the words *at least* once more.",
    "more than the goal asked for",
)(stopper_if(lambda logs, goal: logs.get("val_accuracy", -1.0) > goal))
good.wrong(
    "You stop when it is not good enough. An accuracy is no loss: which direction is better?",
    "monitor in the wrong direction",
)(stopper_if(lambda logs, goal: logs.get("val_accuracy", 2.0) <= goal))
good.wrong(
    "Somebody trains without validation images, and your callback breaks the run: a "
    "dictionary has no value for a name that is not in it.",
    "missing name looked up",
)(stopper_if(lambda logs, goal: logs["val_accuracy"] >= goal))
good.wrong(
    "Without validation images `get` gives None, and None cannot be compared with a "
    "number. What should happen then?",
    "None compared with the goal",
)(stopper_if(lambda logs, goal: logs.get("val_accuracy") >= goal))
good.wrong(
    "You stop a run that has no validation images. What did you put in the place of the "
    "missing accuracy, and is it at least the goal?",
    "missing accuracy taken for good",
)(stopper_if(lambda logs, goal: logs.get("val_accuracy", 1.0) >= goal))
good.wrong(
    "You also write False where it is not good enough. Then a run that another callback has "
    "just stopped goes on: when should you set `stop_training` at all?",
    "stop of another callback undone",
)(stopper_if(reached, otherwise=lambda self: setattr(self.model, "stop_training", False)))
good.wrong(
    "No run stops. Perhaps you set `stop_training` of the callback itself. Of which object "
    "does `fit` read it?",
    "switch of the callback instead of the model's",
)(stopper_if(reached, stop=lambda self: setattr(self, "stop_training", True)))


# Exercise 5


def train_to(model, pairs, backup, epochs, *watchers):
    resume = callbacks.BackupAndRestore(backup)
    model.fit(pairs, epochs=epochs, callbacks=[resume, *watchers], verbose=0)


class PowerCut(BaseException):
    """No `Exception`, as KeyboardInterrupt is none."""


class Cut(callbacks.Callback):
    """Write down the epochs that begin; break off after the first batch of epoch `stop`."""

    def __init__(self, stop=None):
        super().__init__()
        self.stop = stop
        self.begun = []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(epoch)

    def on_train_batch_end(self, batch, logs=None):
        if self.begun[-1] == self.stop:
            raise PowerCut


class Halving(keras.Model):
    """A model of one number: a step halves it and adds the batch.

    That is cheap, and each batch and its place can be told from the number.
    """

    def __init__(self):
        super().__init__()
        self.number = self.add_weight(shape=(), initializer="zeros")
        self.built = True
        self.compile("sgd", run_eagerly=True)

    def train_step(self, data):
        self.number.assign(self.number / 2 + data)
        return {"loss": 0.0}


def observe_resume(answer):
    # Two batches, always in the same order.
    pairs = tf.data.Dataset.from_tensor_slices([1.0, 3.0])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        backup = Path(folder, "backup")
        first = Cut(stop=1)
        second = Cut()
        model = Halving()
        with contextlib.suppress(PowerCut):
            answer(Halving(), pairs, backup, 2, first)
        yield "the epochs (from 0) that begin before the power is cut", first.begun
        answer(model, pairs, backup, 2, second)
        yield "the epochs that begin when it is called again with a fresh model", second.begun
        yield "the weight in the end", model.number.numpy()
        yield "whether a backup is left after a run that ended well", backup.exists()


resume = Exercise(
    notebook=NOTEBOOK,
    number=5,
    title="A run that can be killed",
    objective="resume a run that was killed, and check that it ends with the same weights",
    reference=train_to,
    observe=observe_resume,
    hints=(
        "One callback of section 8 does it all: it writes after each epoch, and reads when "
        "`fit` begins.",
        "It only needs a folder. Which folder does the function get? And which other "
        "callbacks belong in the list?",
        "`epochs` is the epoch to train to, counted from the beginning of the first run, not "
        "the number still missing.",
    ),
)


@resume.right
def watchers_first(model, pairs, backup, epochs, *watchers):
    watchers = list(watchers)
    watchers.append(keras.callbacks.BackupAndRestore(str(backup), save_freq="epoch"))
    return model.fit(pairs, verbose=0, epochs=epochs, callbacks=watchers).history


def training(epochs=lambda epochs: epochs, **settings):
    """Return an answer that sets the backup up in another way."""

    def answer(model, pairs, backup, upto, *watchers):
        back = callbacks.BackupAndRestore(backup, **settings)
        model.fit(pairs, epochs=epochs(upto), callbacks=[back, *watchers], verbose=0)

    return answer


@resume.wrong(
    "The second call started from the beginning: nothing was in the folder `backup`. Which "
    "callback writes there?"
)
def no_backup(model, pairs, backup, epochs, *watchers):
    model.fit(pairs, epochs=epochs, callbacks=list(watchers), verbose=0)


@resume.wrong(
    "Your backup works, but the callbacks in `watchers` are not called. Which argument of "
    "`fit` takes them?"
)
def watchers_not_handed_on(model, pairs, backup, epochs, *watchers):
    model.fit(pairs, epochs=epochs, callbacks=[callbacks.BackupAndRestore(backup)], verbose=0)


@resume.wrong(
    "The weights came back, but not the number of the epoch: the second call trained all "
    "epochs once more, from these weights. Which callback also saves how many have finished?"
)
def epoch_forgotten(model, pairs, backup, epochs, *watchers):
    file = backup / "kept.weights.h5"
    if file.exists():
        model.load_weights(file)
    backup.mkdir(exist_ok=True)
    keeper = callbacks.ModelCheckpoint(file, save_weights_only=True)
    model.fit(pairs, epochs=epochs, callbacks=[keeper, *watchers], verbose=0)


resume.wrong(
    "You save after every batch. But a run is taken up at the beginning of an epoch, so the "
    "batches saved last are trained on twice: look at the weight.",
    "saved in the middle of an epoch",
)(training(save_freq=1))
resume.wrong(
    "It resumes, but the backup is still there after a run that ended well. The next run with "
    "this folder would train no epoch: what does the default of `delete_checkpoint` do?",
    "backup kept for ever",
)(training(delete_checkpoint=False))
resume.wrong(
    "You train one epoch too many. Epochs are counted from 0, and `epochs` of them are asked "
    "for: which number has the last one?",
    "one epoch too many",
)(training(lambda epochs: epochs + 1))
