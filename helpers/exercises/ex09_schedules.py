"""The exercises of notebook 09."""

from __future__ import annotations

import json
import math

import keras
import numpy as np
import tensorflow as tf

from helpers import schedules
from helpers.checking.engine import Exercise

NOTEBOOK = "09_schedules"
COUNTING = "count steps and epochs so that a schedule ends when the training does"


# Exercise 1


def plan(images, batch_size, epochs, warmup_epochs):
    steps_per_epoch = math.ceil(images / batch_size)
    warmup_steps = warmup_epochs * steps_per_epoch
    decay_steps = (epochs - warmup_epochs) * steps_per_epoch
    return warmup_steps, decay_steps


def observe_plan(answer):
    for numbers in (
        (64, 32, 2, 1),
        (96, 32, 10, 3),
        (65, 32, 10, 2),
        (14_034, 32, 100, 3),
        (100, 32, 5, 0),
    ):
        yield f"plan{numbers}", answer(*numbers)


ending = Exercise(
    notebook=NOTEBOOK,
    number=1,
    title="Reach the rate 0 when the training ends",
    objective=COUNTING,
    reference=plan,
    observe=observe_plan,
    hints=(
        "First one number: how many batches does an epoch have? A smaller last one is one of "
        "them.",
        "How many steps does the whole run have, and how many of them does the warm-up take?",
        "`math.ceil(a / b)` rounds up to a whole number.",
    ),
)


@ending.right
def by_the_whole_run(images, batch_size, epochs, warmup_epochs):
    steps = len(range(0, images, batch_size))
    warmup = warmup_epochs * steps
    return [warmup, epochs * steps - warmup]


def planned(
    steps=lambda images, size: math.ceil(images / size),
    decay=lambda epochs, warmup, steps: (epochs - warmup) * steps,
):
    """Return an answer made of how to count the steps of an epoch, and those of the decay."""

    def answer(images, batch_size, epochs, warmup_epochs):
        count = steps(images, batch_size)
        return warmup_epochs * count, decay(epochs, warmup_epochs, count)

    return answer


ending.wrong(
    "You rounded down: the images left over at the end of an epoch are a batch as well, and "
    "a step. How many batches of up to 32 do 65 images make?",
    "last batch forgotten",
)(planned(steps=lambda images, size: images // size))
ending.wrong(
    "You always add one batch. That is right if some images are left over; what if there are "
    "none, as with 64 in batches of 32?",
    "a batch too many",
)(planned(steps=lambda images, size: images // size + 1))
ending.wrong(
    "Your decay is as long as the whole run. But it begins where the warm-up ends: both "
    "together would end after the training.",
    "decay steps include the warm-up",
)(planned(decay=lambda epochs, warmup, steps: epochs * steps))
ending.wrong(
    "You are one step short: in the last step the rate would be zero, and that step would do "
    "nothing. Zero is for the step after the last.",
    "decay one step short",
)(planned(decay=lambda epochs, warmup, steps: (epochs - warmup) * steps - 1))


@ending.wrong(
    "You returned epochs. The optimizer counts steps: how many of them does one epoch have?"
)
def epochs_for_steps(images, batch_size, epochs, warmup_epochs):
    return warmup_epochs, epochs - warmup_epochs


@ending.wrong(
    "You counted images. The optimizer takes one step for each batch: where does the size of "
    "a batch come in?"
)
def images_for_steps(images, batch_size, epochs, warmup_epochs):
    return warmup_epochs * images, (epochs - warmup_epochs) * images


# Exercise 2


class Triangle(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, max_lr, total_steps):
        self.max_lr = max_lr
        self.total_steps = total_steps

    def __call__(self, step):
        share = keras.ops.cast(step, "float32") / self.total_steps  # from 0 to 1 over the run
        height = 1.0 - keras.ops.abs(2.0 * share - 1.0)
        return self.max_lr * keras.ops.maximum(0.0, height)

    def get_config(self):
        return {"max_lr": self.max_lr, "total_steps": self.total_steps}


def observe_triangle(answer):
    def rates(schedule, steps):
        return [schedule(tf.constant(step, tf.int64)) for step in range(steps)]

    triangle = answer(0.2, 10)
    yield "the rates of steps 0 to 12, if there are 10 in all", rates(triangle, 13)
    yield "the rates of steps 0 to 6, if there are 5 in all", rates(answer(0.3, 5), 7)
    # As in fit: a graph is made once, and the step is a symbol in it.
    compiled = tf.function(lambda step: triangle(step), autograph=False)
    compiled = compiled.get_concrete_function(tf.TensorSpec((), tf.int64))
    yield "the rate of step 7 in the compiled training step", compiled(tf.constant(7, tf.int64))
    config = triangle.get_config()
    yield "whether get_config returns a dictionary", isinstance(config, dict)
    if isinstance(config, dict):
        copy = answer.from_config(json.loads(json.dumps(config)))
        yield "the rates of a copy made from its configuration", rates(copy, 4)


triangle = Exercise(
    notebook=NOTEBOOK,
    number=2,
    title="A schedule of your own",
    objective=(
        "write a schedule that the optimizer can call with any step, and that can be saved"
    ),
    reference=Triangle,
    observe=observe_triangle,
    hints=(
        "Cast the step first, as `MyCosine` does. Then think of t = step / total_steps: it "
        "goes from 0 to 1.",
        "How far is t from the middle? The rate is highest there, and falls by the same "
        "amount on both sides.",
        "`keras.ops.maximum` keeps it from falling below zero. The configuration holds what "
        "`__init__` needs.",
    ),
)


@triangle.right
class TwoLines(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, max_lr, total_steps):
        self.max_lr = max_lr
        self.total_steps = total_steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        half = self.total_steps / 2
        line = tf.where(step < half, step, self.total_steps - step) / half
        return self.max_lr * tf.nn.relu(line)

    def get_config(self):
        return dict(vars(self))


def cast(step):
    return tf.cast(step, tf.float32)


def unclipped(step, total):
    """Return the height of the triangle, which goes on below zero."""
    return 1 - tf.abs(2 * cast(step) / total - 1)


def clipped(step, total):
    return tf.maximum(0.0, unclipped(step, total))


def schedule_of(
    rate=clipped,
    config=lambda peak, total: {"max_lr": peak, "total_steps": total},
):
    """Return a class with a rule for the rate, as a share of the peak, and a configuration."""

    class Made(keras.optimizers.schedules.LearningRateSchedule):
        def __init__(self, max_lr, total_steps):
            self.max_lr = max_lr
            self.total_steps = total_steps

        def __call__(self, step):
            return self.max_lr * rate(step, self.total_steps)

        def get_config(self):
            if config is None:
                return super().get_config()
            return config(self.max_lr, self.total_steps)

    return Made


def step_not_cast(step, total):
    return tf.maximum(0.0, 1 - tf.abs(step - total / 2) / (total / 2))


def half_as_high(step, total):
    step = cast(step)
    return tf.maximum(0.0, tf.minimum(step, total - step)) / total


def half_rounded_down(step, total):
    half = total // 2
    return tf.maximum(0.0, 1 - tf.abs(cast(step) - half) / half)


def by_hand(step, total):
    half = total / 2
    if step < half:
        return step / half
    return max(0.0, (total - step) / half)


triangle.wrong(
    "The step is an int64 tensor here, and TensorFlow does not multiply or add that to a "
    "Python float. What did `MyCosine` do with the step first?",
    "integer step times a float",
)(schedule_of(step_not_cast))
triangle.wrong(
    "After the end your rate is below zero, and a step with a negative rate raises the loss. "
    "What should it be from there on?",
    "not clipped at the end",
)(schedule_of(unclipped))
triangle.wrong(
    "After the end your rate rises again. Did you take the absolute value to keep it above "
    "zero? Zero is not the same as turned round.",
    "rises again after the end",
)(schedule_of(lambda step, total: tf.abs(unclipped(step, total))))
triangle.wrong(
    "You begin at the peak and only go down. A triangle has two sides: where should the rate "
    "be in step 0?",
    "begins at the peak",
)(schedule_of(lambda step, total: tf.maximum(0.0, 1 - cast(step) / total)))
triangle.wrong(
    "Your peak is half as high as it should be: you divided by all steps, but the way up "
    "takes only half of them.",
    "peak half as high",
)(schedule_of(half_as_high))
triangle.wrong(
    "For an odd number of steps your peak is early: `//` rounds half of 5 down to 2. A peak "
    "may lie between two steps.",
    "half of the steps rounded down",
)(schedule_of(half_rounded_down))
triangle.wrong(
    "By hand it works, in `fit` it does not. There the step is a symbol that has no value "
    "yet, and Python's `if`, `min` and `max` cannot look at it: which operation chooses "
    "inside a graph?",
    "Python's if on a step",
)(schedule_of(lambda step, total: by_hand(cast(step), total)))
triangle.wrong(
    "By hand it works, in `fit` it does not. There the step is a symbol that has no value "
    "yet, so no Python number can be made of it. What changes its type and leaves it a "
    "tensor?",
    "Python's float of a step",
)(schedule_of(lambda step, total: by_hand(float(step), total)))
triangle.wrong(
    "The rates are right. But `get_config` gives no dictionary, so a model with this "
    "schedule cannot be saved. What does `__init__` need to make another one?",
    "configuration left empty",
)(schedule_of(config=lambda peak, total: None))
triangle.wrong(
    "The rates are right, and a model with this schedule cannot be saved: it has no "
    "`get_config` of its own. What should be in it, so that `__init__` can make another one?",
    "no get_config",
)(schedule_of(config=None))
triangle.wrong(
    "Your configuration is not all that `__init__` asks for. Compare its keys with the names "
    "of the arguments.",
    "half a configuration",
)(schedule_of(config=lambda peak, total: {"max_lr": peak}))


# Exercise 3


def rule_for(schedule, steps_per_epoch):
    def rule(epoch, rate):
        return float(schedule(epoch * steps_per_epoch))

    return rule


def network(rate):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


def observe_rule(answer):
    rule = answer(schedules.RampSustainDecay(0.02, 0.1, 0.0, 8, 0, 0.5, decay_steps=4), 4)
    yield "what rule_for returns", "a function" if callable(rule) else rule
    if callable(rule):
        scheduler = keras.callbacks.LearningRateScheduler(rule)
        model = network(0.01)
        rates = []
        scheduler.set_model(model)
        for epoch in range(5):
            scheduler.on_epoch_begin(epoch)
            rates.append(float(model.optimizer.learning_rate))
        yield "the rates of five epochs of 4 steps, with a ramp of 8 steps", rates


epochs = Exercise(
    notebook=NOTEBOOK,
    number=3,
    title="Once an epoch",
    objective="use a rule per step as a schedule, and a rule per epoch in a callback",
    reference=rule_for,
    observe=observe_rule,
    hints=(
        "A function that makes a function: write the inner one with `def`, and return it "
        "without calling it.",
        "The inner one gets the epoch and the current rate. Which number must the schedule "
        "get?",
        "LearningRateScheduler takes a Python float only: `float(...)` makes one of a tensor.",
    ),
)


@epochs.right
def with_one_argument(schedule, steps_per_epoch):
    return lambda epoch: schedules.sample(schedule, [steps_per_epoch * epoch]).item()


def rule_with(step, result=lambda rate, current: float(rate)):
    """Return an answer that asks for another step, or makes something else of the rate."""

    def answer(schedule, steps_per_epoch):
        def rule(epoch, current):
            rate = schedule(step(epoch, steps_per_epoch))
            return result(rate, current)

        return rule

    return answer


epochs.wrong(
    "You asked the schedule for the epoch's number, and it took that for a step: after five "
    "epochs it is still on the ramp. How many steps have been taken when an epoch begins?",
    "epoch taken for a step",
)(rule_with(lambda epoch, steps: epoch))
epochs.wrong(
    "You are one epoch ahead: the first epoch already gets the rate of the second. Callbacks "
    "count epochs from 0.",
    "epochs counted from one",
)(rule_with(lambda epoch, steps: (epoch + 1) * steps))
epochs.wrong(
    "You took the last step of each epoch. The rule is asked when an epoch begins: which "
    "step comes next then?",
    "last step of the epoch",
)(rule_with(lambda epoch, steps: (epoch + 1) * steps - 1))
epochs.wrong(
    "You divided where you should multiply: an epoch has several steps, so the number of "
    "steps is the larger one.",
    "divided instead of multiplied",
)(rule_with(lambda epoch, steps: epoch // steps))
epochs.wrong(
    "Your rule returns a tensor, as the schedule does. LearningRateScheduler takes plain "
    "numbers only: what makes one?",
    "tensor returned",
)(
    rule_with(
        lambda epoch, steps: epoch * steps,
        lambda rate, current: keras.ops.convert_to_tensor(rate),
    )
)
epochs.wrong(
    "You multiplied by the current rate. The schedule gives the rate itself, not a factor: "
    "what is the second argument good for here?",
    "multiplied by the current rate",
)(rule_with(lambda epoch, steps: epoch * steps, lambda rate, current: float(rate * current)))


@epochs.wrong(
    "Your rule has a second argument with a default, and Keras put the current rate there, "
    "as it did with `flawed`. Does your rule need that number as an argument?"
)
def default_argument_overwritten(schedule, steps_per_epoch):
    def rule(epoch, steps=steps_per_epoch):
        return float(schedule(epoch * steps))

    return rule


@epochs.wrong(
    "You returned a number. The rate of which epoch? Keras wants something that it can ask "
    "in every epoch."
)
def number_returned(schedule, steps_per_epoch):
    return float(schedule(0 * steps_per_epoch))


# Exercise 4


def observe_never(answer):
    yield "your list", np.unique(answer).tolist()


late = Exercise(
    notebook=NOTEBOOK,
    number=4,
    title="Which of them never decays?",
    objective=COUNTING,
    reference=[5],
    observe=observe_never,
    hints=(
        "When does the decay begin? Two of the six numbers of a setting say that.",
        "Draw them: `schedules.sample(schedules.RampSustainDecay(*setting), 12)` gives the "
        "rates of 12 epochs.",
    ),
    name="never",
    praise="Its ramp alone is longer than the run.",
    otherwise=(
        "not yet. In which epoch does each ramp end, and each plateau? The decay begins there."
    ),
)


late.right((5,))
late.wrong(
    "These go down on their ramp, from a first rate that is above the peak. But the ramp "
    "ends, and then they decay: in which epoch?",
    "those whose ramp goes down",
)([0, 1, 2, 3, 4])
late.wrong(
    "You counted the settings from 1. In Python the first of six has the position 0.",
    "positions counted from one",
)([6])
late.wrong(
    "None, you say. Compare the longest ramp with the length of the run: what is the rate "
    "doing in epoch 11?",
    "none of them",
)([])
late.wrong(
    "The ramps of 6 and 7 epochs take half of the run and more. Long, but they end: what "
    "happens in the epochs after?",
    "ramps longer than half the run",
)([3, 4, 5])
late.wrong(
    "You wrote down the setting itself. Asked for is its position in the list, a number from "
    "0 to 5.",
    "setting instead of its position",
)([(0.001, 0.01, 0.0001, 30, 0, 0.8)])


# Exercise 5


class Recorder(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def play(rate, epochs, *watchers):
    """Call callbacks as `fit` does in epochs of three steps.

    The optimizer counts its steps; nothing is trained.
    """
    model = network(rate)
    stage = keras.callbacks.CallbackList(list(watchers), model=model)
    stage.on_train_begin()
    for epoch in range(epochs):
        stage.on_epoch_begin(epoch)
        for batch in range(3):
            stage.on_train_batch_begin(batch)
            model.optimizer.iterations.assign_add(1)
            stage.on_train_batch_end(batch, {"loss": 1.0})
        stage.on_epoch_end(epoch, {"loss": 1.0})
    stage.on_train_end({"loss": 1.0})


def observe_recorder(answer):
    recorder = answer()
    play(schedules.WarmupCosine(0.1, warmup_steps=2, decay_steps=4), 2, recorder)
    yield "the rates of six steps, two of warm-up and four of cosine", recorder.rates
    play(schedules.WarmupCosine(0.2, warmup_steps=2, decay_steps=2), 1, recorder)
    yield "the rates of a second run with the same recorder, three steps long", recorder.rates
    halved = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 / 2**epoch)
    recorder = answer()
    play(0.5, 2, halved, recorder)
    yield (
        "the rates of a run whose rate is a number, halved in the second epoch",
        recorder.rates,
    )


recorder = Exercise(
    notebook=NOTEBOOK,
    number=5,
    title="Record the rate before each step",
    objective="plot a schedule from the object the optimizer gets, and record the rate it used",
    reference=Recorder,
    observe=observe_recorder,
    hints=(
        "Two moments matter: when a run begins, and when a step is about to be taken. "
        "Notebook 05 names the method for each.",
        "`self.model.optimizer.learning_rate` is the rate for the optimizer's present count "
        "of steps.",
        "It may be a tensor or a variable. `float(...)` takes its value now.",
    ),
)


@recorder.right
class LooksBack(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.rates = []

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 0:
            self.rates.clear()

    def on_batch_begin(self, batch, logs=None):
        self.rates.append(self.model.optimizer.learning_rate.numpy().item())


class Records(keras.callbacks.Callback):
    """What the wrong answers share: a list, and how a rate is read."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_begin(self, logs=None):
        self.rates = []

    def read(self, number, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


@recorder.wrong(
    "You looked after the step. By then the optimizer has counted it, and the schedule gives "
    "the rate of the next: your list begins with the second rate.",
    "read after the step",
)
class AfterTheStep(Records):
    on_train_batch_end = Records.read


@recorder.wrong(
    "You wrote one rate for each epoch. A schedule gives one for each step: when is a step "
    "about to be taken?",
    "read once an epoch",
)
class OnceAnEpoch(Records):
    on_epoch_begin = Records.read


@recorder.wrong(
    "One run is right, and a second one is written behind it. An object is made once, but "
    "`fit` may be called often: when should the list be empty?",
    "list never emptied",
)
class NeverEmptied(Records):
    on_train_batch_begin = Records.read

    def on_train_begin(self, logs=None):
        pass


@recorder.wrong(
    "You kept only the last epoch: the list is emptied whenever an epoch begins. Which "
    "moment comes once in a run?",
    "list emptied in every epoch",
)
class EmptiedInEveryEpoch(Records):
    on_train_batch_begin = Records.read

    def on_epoch_begin(self, epoch, logs=None):
        self.rates = []


@recorder.wrong(
    "You kept the optimizer's variable, not its value. Where the rate is a number, all "
    "entries are one and the same variable, and show what is in it now.",
    "variable kept instead of its value",
)
class VariableKept(Records):
    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(self.model.optimizer.learning_rate)
