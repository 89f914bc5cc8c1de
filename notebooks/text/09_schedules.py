# %% [markdown]
# # 09 · Learning-rate schedules
#
# A learning-rate schedule sets the learning rate of each training step. You write one, draw it, and record the rates
# that the optimizer really used.
#
# You will be able to
# - write a schedule that the optimizer can call with any step, and that can be saved,
# - count steps and epochs so that a schedule ends when the training does,
# - use a rule per step as a schedule, and a rule per epoch in a callback,
# - plot a schedule from the object the optimizer gets, and record the rate it used.
#
# **Needs** notebooks 04 (training loops) and 05 (callbacks). **Time** 50 minutes to read, 40 for the exercises; under
# 60 seconds to run on two CPU cores.

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
import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from keras.optimizers.schedules import CosineDecay, ExponentialDecay, LearningRateSchedule
from scipy import stats

from helpers import data, models, plots, runtime, schedules, widgets
from helpers.exercises import ex09_schedules as exercises

np.set_printoptions(precision=3)

# %% [markdown]
# ## 1 · See it
#
# In one training **step** the optimizer changes the parameters once, with the gradient of one batch. Plain SGD
# subtracts the **learning rate** times the gradient from each parameter. Here the loss is $w^2$. Its gradient at $w =
# 3$ is 6.

# %%
w = keras.Variable(3.0)
optimizer = keras.optimizers.SGD(learning_rate=0.1)
gradient = tf.constant(6.0)
optimizer.apply([gradient], [w])
print("3 - 0.1 * 6 =", w.numpy())

# %% [markdown]
# A **schedule** is a rule that gives the learning rate of each step. To write one, we count the steps of an epoch.
# Our example has 14,034 images in batches of 32. The last batch of an epoch has only 18 images. With
# `drop_remainder=True` this batch is left out.

# %%
numbers = tf.data.Dataset.range(14_034)
counted = numbers.batch(32)
dropped = numbers.batch(32, drop_remainder=True)
print("steps per epoch, last small batch counted:", len(counted))
print("steps per epoch, with drop_remainder=True:", len(dropped))

# %% [markdown]
# In this notebook an epoch of the example has 438 steps: the small batch is left out. The run has 100 epochs, so
# 43,800 steps, numbered 0 to 43,799.
#
# The schedule below is one of Keras' own. It begins with a **warm-up**: the rate rises in a straight line from 0 to
# its highest value, the **peak**. A **cosine decay** follows: the rate falls to 0 along half a period of the cosine.

# %%
STEPS_PER_EPOCH = 438
EPOCHS = 100
keras_cosine = CosineDecay(
    initial_learning_rate=0.0,
    warmup_target=0.001,  # the peak
    warmup_steps=3 * STEPS_PER_EPOCH,
    decay_steps=97 * STEPS_PER_EPOCH,
)
steps = np.arange(0, EPOCHS * STEPS_PER_EPOCH, 73)
rates = [float(keras_cosine(step)) for step in steps]


def draw_rates(epochs, curves, title):
    return plots.lines(epochs, curves, "epoch", "learning rate", title)


draw_rates(
    steps / STEPS_PER_EPOCH,
    {"CosineDecay": rates},
    title="The rate rises for 3 epochs, then falls to 0 at epoch 100",
)

# %% [markdown]
# We asked the schedule object for its rates: `keras_cosine(step)`. The optimizer asks the same object. So the figure
# shows the schedule that the optimizer gets.
#
# ## 2 · Build it
#
# Let $s$ be the step, $w$ the number of warm-up steps, and $d$ the number of decay steps.
#
# - Warm-up, $s < w$: the rate is $\text{peak} \cdot s / w$.
# - Decay: the rate is $\text{peak} \cdot \frac{1}{2}(1 + \cos \pi t)$ with $t = (s - w) / d$. When $s$ goes from $w$
#   to $w + d$, $t$ goes from 0 to 1. After that $t$ stays 1, and the rate stays 0.
#
# A schedule is a class with a method `__call__(step)`. Its base class is `LearningRateSchedule`.


# %%
class MyCosine(LearningRateSchedule):
    def __init__(self, max_lr, warmup_steps, decay_steps):
        self.max_lr = max_lr
        self.warmup_steps = warmup_steps
        self.decay_steps = decay_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rising = step / self.warmup_steps
        t = ops.clip((step - self.warmup_steps) / self.decay_steps, 0.0, 1.0)
        falling = 0.5 * (1.0 + ops.cos(math.pi * t))
        return self.max_lr * ops.where(step < self.warmup_steps, rising, falling)

    def get_config(self):
        return {
            "max_lr": self.max_lr,
            "warmup_steps": self.warmup_steps,
            "decay_steps": self.decay_steps,
        }


# %% [markdown]
# - `cast` makes a float of the step, which is an integer.
# - `clip` keeps $t$ between 0 and 1.
# - `where` computes both parts and takes the one that belongs to the step.
# - `get_config` returns the arguments of `__init__`. Keras needs them to save a model.
#
# Section 3 shows what happens without the cast, the clip and `get_config`. First: does our class give the same rates
# as Keras' class? `schedules.WarmupCosine` is the course's own version, with checks of its arguments.
# `schedules.sample` returns a schedule's rates as an array.

# %%
WARMUP = 3 * STEPS_PER_EPOCH
DECAY = 97 * STEPS_PER_EPOCH
mine = MyCosine(0.001, warmup_steps=WARMUP, decay_steps=DECAY)
cosine = schedules.WarmupCosine(0.001, warmup_steps=WARMUP, decay_steps=DECAY)
beyond = np.arange(0, 120 * STEPS_PER_EPOCH, 500)  # up to epoch 120
my_rates = schedules.sample(mine, beyond)
for other in (keras_cosine, cosine):
    assert np.allclose(schedules.sample(other, beyond), my_rates, atol=1e-9)
marks = np.array([0, 3, 90, 100]) * STEPS_PER_EPOCH
print("steps:", marks)
print("rates:", schedules.sample(mine, marks))

# %% [markdown]
# All three give the same rates. Epoch 90 begins with a small rate. Step 43,800 would be the first step of epoch 100.
# It has the rate 0, and is not taken.
#
# In all three `decay_steps` does *not* include the warm-up. The rate reaches 0 at step `warmup_steps + decay_steps`.
#
# Why `where`, and not a Python `if`? `fit` turns the training step into a graph (notebook 04). While the graph is
# built, the step has no value. So Python cannot decide which branch of an `if` to take. The section *For reference*
# shows the error.

# %% [markdown]
# ### Exercise 1 · Reach the rate 0 when the training ends
#
# Write `plan(images, batch_size, epochs, warmup_epochs)`. It returns `(warmup_steps, decay_steps)`. The rate must
# reach 0 at the step after the last one of the training. Here *no* batch is left out: the last batch of an epoch may
# be smaller, and is a step too.
#
# Run the next cell to check your answer. `exercises.ending.hint()` gives a hint, and a plainer one each time you ask.
# `exercises.ending.solution()` shows a right answer.


# %%
def plan(images, batch_size, epochs, warmup_epochs):
    # your code
    ...


# %%
exercises.ending.check(plan)

# %% [markdown]
# ## 3 · Three common mistakes
#
# ### A common mistake: an integer step times a float
#
# `MistakenCosine` differs from `MyCosine` in `__call__` only. It has no cast and no clip. It chooses with
# `tf.cond(pred, true_fn, false_fn)`: if `pred` is true, the result is that of `true_fn()`, else that of `false_fn()`.
# Does it train?


# %%
class MistakenCosine(MyCosine):
    def __call__(self, step):
        def warmup():
            return self.max_lr / self.warmup_steps * step

        def decay():
            since = step - self.warmup_steps
            return self.max_lr * 0.5 * (1 + tf.cos(math.pi * since / self.decay_steps))

        return tf.cond(step < self.warmup_steps, warmup, decay)


def tiny(rate):
    """Return a model of one layer, compiled with a learning rate or a schedule."""
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    network.compile(optimizer=keras.optimizers.SGD(rate), loss="mse")
    return network


# %%
def error_message(action, *arguments):
    """Return the beginning of the error that a call raises."""
    try:
        action(*arguments)
    except Exception as error:
        kind = type(error).__name__
        message = str(error)
        return f"{kind}: {message[:72]}"
    return "no error"


x = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
y = x.sum(axis=1)
network = tiny(MistakenCosine(0.1, warmup_steps=4, decay_steps=6))
print(error_message(network.fit, x, y))
print("steps taken:", int(network.optimizer.iterations))

# %% [markdown]
# No. The error names 3.14159, so it comes from the decay: `math.pi * since`. The graph holds both branches. So `fit`
# fails before the first step, although the first step belongs to the warm-up.
#
# Does the warm-up branch fail too? The answer depends on the kind of step. The optimizer passes its own step counter,
# a `keras.Variable` of dtype int64. We call each branch with four kinds of step.

# %%
mistaken = MistakenCosine(0.001, warmup_steps=10, decay_steps=90)
for branch, step in (("warm-up", 5), ("decay", 50)):
    kinds = {
        "keras.Variable, int64": keras.Variable(step, dtype="int64"),
        "tensor, int64": tf.constant(step, tf.int64),
        "tensor, float32": tf.constant(step, tf.float32),
        "Python int": step,
    }
    for kind, value in kinds.items():
        outcome = error_message(mistaken, value)
        print(f"{branch:8} {kind:22} {outcome[:34]}")

# %% [markdown]
# With a `keras.Variable` the warm-up works, and the decay fails. A `keras.Variable` of int64 times a Python float
# gives float32. But `step - self.warmup_steps` is no longer a variable: it is an int64 tensor. TensorFlow does not
# multiply an int64 tensor by a Python float (notebook 01).
#
# Write `step = ops.cast(step, "float32")` as the first line. Then all four kinds work.

# %%
step = keras.Variable(50, dtype="int64")
print("step * 0.1:", (step * 0.1).dtype.name)
print("step - 10:", (step - 10).dtype.name)
right = MyCosine(0.001, warmup_steps=10, decay_steps=90)
for kind, step in kinds.items():
    print("with the cast,", kind, np.round(right(step), 6))

# %% [markdown]
# ### A common mistake: the decay ends after the training, and then rises
#
# The run has 100 epochs. Somebody takes 3 epochs of warm-up and `decay_steps` of *100* epochs. Together these are
# 103. And without the clip, what happens after the end? (A float step avoids the first mistake.)

# %%
longer = np.arange(0, 220 * STEPS_PER_EPOCH, 100)
mistaken = MistakenCosine(0.001, 3 * STEPS_PER_EPOCH, 100 * STEPS_PER_EPOCH)
curves = {
    "100 epochs of decay, no clip": schedules.sample(mistaken, longer.astype("float32")),
    "97 epochs of decay, with clip": schedules.sample(mine, longer),
}
draw_rates(
    longer / STEPS_PER_EPOCH,
    curves,
    title="Without the clip the rate rises again after epoch 103",
)

# %%
marks = np.array([100.0, 203.0]) * STEPS_PER_EPOCH
print("no clip:  ", schedules.sample(mistaken, marks))
print("with clip:", schedules.sample(mine, marks))

# %% [markdown]
# At epoch 100 the mistaken rate is 0.0000022 instead of 0: here the wrong count does little harm. But a run that goes
# on gets rising rates. At epoch 203 the rate is back at the peak.
#
# ### A common mistake: no `get_config`, or not registered
#
# A saved model contains its optimizer, and the optimizer contains the schedule. We try to save a model with a
# schedule that has no `get_config`, and one with `MyCosine`.


# %%
class WithoutConfig(LearningRateSchedule):
    def __call__(self, step):
        return 0.1


path = runtime.output_folder("09_schedules") / "tiny.keras"
without_config = tiny(WithoutConfig())
print("save without get_config:", error_message(without_config.save, path))
without_config.save_weights(path.with_name("tiny.weights.h5"))

schedule = MyCosine(0.1, warmup_steps=4, decay_steps=6)
network = tiny(schedule)
network.fit(x, y, batch_size=4, epochs=2, verbose=0)  # 6 of 10 steps
network.save(path)
print("load MyCosine:", error_message(keras.models.load_model, path))

# %% [markdown]
# Without `get_config` the model cannot be saved; its weights alone can. `MyCosine` was saved, but not loaded: Keras
# does not know which class the name `MyCosine` means. **Registering** a class tells Keras. Usually one writes
# `@keras.saving.register_keras_serializable()` in the line above `class`. We register the class that we have, and
# save again.

# %%
keras.saving.register_keras_serializable(package="notebook09")(MyCosine)
network.save(path)
loaded = keras.models.load_model(path)
print("next step:", loaded.optimizer.iterations.numpy())
print("next rate:", loaded.optimizer.learning_rate.numpy())
print("rate of step 6:", schedule(6).numpy())

# %% [markdown]
# The loaded model continues at step 6, with the rate of step 6. The step counter is part of the file.
#
# ### Exercise 2 · A schedule of your own
#
# Complete `Triangle`. The rate rises in a straight line from 0 to `max_lr` at half of `total_steps`. It falls in a
# straight line to 0 at `total_steps`. After that it stays 0. The schedule must take integer steps, work inside `fit`,
# and have a `get_config`.


# %%
class Triangle(LearningRateSchedule):
    def __init__(self, max_lr, total_steps):
        self.max_lr = max_lr
        self.total_steps = total_steps

    def __call__(self, step):
        # your code
        ...

    def get_config(self):
        # your code
        ...


# %%
exercises.triangle.check(Triangle)

# %% [markdown]
# ## 4 · ExponentialDecay, with and without `staircase`
#
# Keras' `ExponentialDecay` has the formula $\text{initial rate} \cdot \text{decay rate}^{\,s / \text{decay steps}}$.
# With `staircase=True` the exponent is rounded down to a whole number. Then the rate stays the same for `decay_steps`
# steps, and falls at once.

# %%
smooth = ExponentialDecay(
    initial_learning_rate=0.0001,
    decay_steps=30 * STEPS_PER_EPOCH,
    decay_rate=0.1,
    staircase=False,  # the default
)
stairs = ExponentialDecay(
    initial_learning_rate=0.0001,
    decay_steps=30 * STEPS_PER_EPOCH,
    decay_rate=0.1,
    staircase=True,
)
curves = {
    "staircase=False": schedules.sample(smooth, steps),
    "staircase=True": schedules.sample(stairs, steps),
}
draw_rates(
    steps / STEPS_PER_EPOCH,
    curves,
    title="With staircase=True the rate falls at epochs 30, 60 and 90 only",
)

# %% [markdown]
# The two curves meet at epochs 0, 30, 60 and 90. Between them the smooth rate is lower.
#
# ### A common mistake: "a decay rate of 0.1 lowers the rate by 10 %"
#
# What is the rate after 30 epochs: 90 % of the first rate, or 10 %?

# %%
marks = np.array([0, 29, 30, 60, 90]) * STEPS_PER_EPOCH
print("smooth:", schedules.sample(smooth, marks))
print("stairs:", schedules.sample(stairs, marks))

# %% [markdown]
# It is 10 %. The rate falls *to* 10 %, so *by* 90 %. `decay_rate` is the factor that remains. To lower the rate to 90
# %, write `decay_rate=0.9`.
#
# ## 5 · A rule per epoch, a rule per step
#
# Another shape has three parts. The rate **ramps up** from a start to a peak. It **sustains** the peak for some
# epochs: the **plateau**. Then the rate falls towards a lowest rate, the **floor**: in each epoch its distance to the
# floor is multiplied by the same factor. We write the rule as a function of the epoch $e$. Let $r$ be the number of
# ramp-up epochs and $h$ the number of sustain epochs.
#
# - Ramp up, $e < r$: the rate is $\text{start} + (\text{peak} - \text{start}) \cdot e / r$.
# - Sustain, $r \leq e < r + h$: the rate is the peak.
# - Decay, $e \geq r + h$: the rate is $\text{floor} + (\text{peak} - \text{floor}) \cdot \text{factor}^{\,e - r - h}$.


# %%
def ramp_sustain_decay(epoch, start_lr, max_lr, min_lr, rampup, sustain, factor):
    if epoch < rampup:
        return start_lr + (max_lr - start_lr) * epoch / rampup
    if epoch < rampup + sustain:
        return max_lr
    return min_lr + (max_lr - min_lr) * factor ** (epoch - rampup - sustain)


def used_rates(rule, epochs):
    """Train with a rule for LearningRateScheduler; return the rate used in each epoch."""
    network = tiny(0.001)
    scheduler = keras.callbacks.LearningRateScheduler(rule)
    run = network.fit(x, y, epochs=epochs, verbose=0, callbacks=[scheduler])
    return np.array(run.history["learning_rate"])


def rule(epoch):
    return ramp_sustain_decay(epoch, 0.0001, 0.001, 0.00001, rampup=4, sustain=2, factor=0.8)


print(used_rates(rule, epochs=8))

# %% [markdown]
# The callback `LearningRateScheduler` sets the rate once, when an epoch begins (notebook 05). A schedule object is
# asked in each step. `schedules.RampSustainDecay` is the same rule as a schedule object. It counts steps. For the
# same rule per step, each number of epochs is multiplied by the steps per epoch, here 20.

# %%
PER_EPOCH = 20
per_step = schedules.RampSustainDecay(
    start_lr=0.0001,
    max_lr=0.001,
    min_lr=0.00001,
    rampup_steps=4 * PER_EPOCH,
    sustain_steps=2 * PER_EPOCH,
    decay_rate=0.8,
    decay_steps=PER_EPOCH,
)
all_steps = np.arange(16 * PER_EPOCH)
both = {
    "rule per epoch": np.array([rule(step // PER_EPOCH) for step in all_steps]),
    "rule per step": schedules.sample(per_step, all_steps),
}
draw_rates(all_steps / PER_EPOCH, both, title="A rule per epoch gives stairs")

# %%
equal = np.isclose(both["rule per epoch"], both["rule per step"])
print("equal in", equal.sum(), "of", len(equal), "steps")

# %% [markdown]
# The two rules agree in the first step of each epoch, and on the plateau. In all other steps of this run they differ.
#
# ### A common mistake: settings as default arguments
#
# It is tempting to write the settings as default arguments. Then the function can be plotted with `flawed(epoch)`.
# But Keras calls it with *two* arguments, the epoch and the current learning rate. Which rates does the run use? (The
# optimizer of `used_rates` begins at 0.001.)


# %%
def flawed(epoch, start_lr=0.1, max_lr=0.05, min_lr=0.001, rampup=3):
    return ramp_sustain_decay(epoch, start_lr, max_lr, min_lr, rampup, 0, 0.8)


typed = [flawed(epoch) for epoch in range(6)]
print("typed:", np.array(typed))
print("used: ", used_rates(flawed, epochs=6))

# %% [markdown]
# The current rate took the place of `start_lr`. The plot goes down from 0.1 to 0.05. The run goes up from 0.001 to
# 0.05. There is no error and no warning. From epoch 3 on the rates agree: the formula of the decay has no `start_lr`.
#
# Give the function a single parameter, as `rule` has. Keras first [tries two
# arguments](https://github.com/keras-team/keras/blob/master/keras/src/callbacks/learning_rate_scheduler.py). If that
# raises a `TypeError`, it tries one. Or take the current rate as a second parameter, and do not use it.
# `schedules.per_epoch` does that for a schedule that counts epochs.


# %%
def mended(epoch, current_rate):
    return ramp_sustain_decay(epoch, 0.1, 0.05, 0.001, rampup=3, sustain=0, factor=0.8)


in_epochs = schedules.RampSustainDecay(0.1, 0.05, 0.001, 3, 0, decay_rate=0.8)
print("used: ", used_rates(mended, epochs=6))
print("used: ", used_rates(schedules.per_epoch(in_epochs), epochs=6))

# %% [markdown]
# ### Exercise 3 · Once an epoch
#
# Write `rule_for(schedule, steps_per_epoch)`, without `schedules.per_epoch`. The schedule counts *steps*. Return a
# function for `LearningRateScheduler`. It gives each epoch the rate of the epoch's first step.


# %%
def rule_for(schedule, steps_per_epoch):
    # your code
    ...


# %%
exercises.epochs.check(rule_for)

# %% [markdown]
# ### Exercise 4 · Which of them never decays?
#
# Six settings of `ramp_sustain_decay`, each for a run of **12** epochs, numbered 0 to 11. In some settings the decay
# does not begin before the run ends. Set `never` to the list of their positions (0 to 5). Use the formulas above.

# %%
# Start, peak, floor, ramp-up epochs, sustain epochs, factor.
TRIED = [
    (0.1, 0.05, 0.001, 3, 0, 0.8),
    (0.1, 0.05, 0.01, 3, 0, 0.8),
    (0.05, 0.01, 0.001, 5, 0, 0.5),
    (0.05, 0.01, 0.001, 6, 0, 0.5),
    (0.1, 0.05, 0.001, 7, 0, 0.5),
    (0.001, 0.01, 0.0001, 30, 0, 0.8),
]
never = None

# %%
exercises.late.check(never)

# %% [markdown]
# ## 6 · Six settings, as typed and as used
#
# These six settings come from one learner's log, where they were default arguments. So each setting has two curves:
# the rates as typed, and the rates that a run uses. We train with each setting for 12 epochs.


# %%
def with_default(setting):
    start, *others = setting

    def flawed_rule(epoch, start_lr=start):
        return ramp_sustain_decay(epoch, start_lr, *others)

    return flawed_rule


as_typed = []
as_used = []
for setting in TRIED:
    flawed_rule = with_default(setting)
    rates = [flawed_rule(epoch) for epoch in range(12)]
    as_typed.append(rates)
    as_used.append(used_rates(flawed_rule, epochs=12))

# %%
figure, axes = plots.figure(2, 3, (10, 5))
for number, ax in enumerate(axes.flat):
    ax.plot(as_typed[number], "--", label="as typed")
    ax.plot(as_used[number], "-", label="as used")
    ax.set_title(f"{number}: {TRIED[number]}", fontsize=9)
    ax.set_xlabel("epoch")
    ax.set_xticks(range(0, 12, 2))
    ax.set_ylim(bottom=0)
axes[0, 0].set_ylabel("learning rate")
axes[0, 0].legend()
plots.describe(
    figure,
    "All six runs begin at the optimizer's rate, 0.001",
    "As typed, settings 0 to 4 begin at 0.05 or 0.1 and go down",
    "As used, all six begin at 0.001 and rise; only setting 5 has no decay",
)

# %%
print("setting 0, as used:", as_used[0])
print("setting 5, as used:", as_used[5])

# %% [markdown]
# The last of 12 epochs is epoch 11. Only setting 5 is still on its ramp. This is the answer to exercise 4.
#
# - Settings 0 to 4 have a start *above* the peak. As typed, their "ramp-up" goes down. As used, it goes up from
#   0.001. The runs did not use the start rates of 0.05 and 0.1.
# - After the ramp the rates as typed and as used agree.
# - Setting 5 begins at 0.001 in both curves. But the used rate rises faster: in each epoch the ramp starts again from
#   the current rate. And its decay does not begin before epoch 30.
#
# A plot of the typed settings shows other rates than those of the run. With `LearningRateScheduler`, plot the rates
# that `fit` recorded: `history["learning_rate"]`.
#
# ## 7 · Play
#
# The sliders below shape a schedule for a run of 30 epochs. The line under the figure shows the code of the schedule,
# and its rate where its parts meet. Set *decay epochs* to 20, then to 40. What is the rate when the training ends, at
# step 13,140?

# %%
widgets.ScheduleExplorer("WarmupCosine", steps_per_epoch=438, epochs=30)

# %%
for decay_epochs in (20, 27, 40):
    schedule = schedules.WarmupCosine(0.001, 3 * 438, decay_epochs * 438)
    last = np.round(schedule(13_140), 6)
    print(decay_epochs, "decay epochs, rate at step 13,140:", last)

# %% [markdown]
# With 20 epochs of decay the rate is 0 from epoch 23 on: the last seven epochs change nothing. With 40 epochs of
# decay the rate is still about a quarter of the peak. The second explorer shows `RampSustainDecay`.

# %%
widgets.ScheduleExplorer("RampSustainDecay", steps_per_epoch=438, epochs=30)

# %% [markdown]
# ## 8 · What the optimizer really used
#
# A plot shows the rates that were planned. A callback can record the rates that were used. Our first attempt reads
# the optimizer's rate after each step. We train the dense classifier of notebook 02 on 2,048 images, five epochs of
# 32 steps.

# %%
fashion = data.fashion()
all_images, all_labels = fashion.arrays("train")
images = all_images[:2048]
labels = all_labels[:2048]
val_images, val_labels = fashion.arrays("val")
RUN = 5  # epochs of 2,048 / 64 = 32 steps
good = schedules.WarmupCosine(0.2, warmup_steps=32, decay_steps=(RUN - 1) * 32)


# %%
class LateRecorder(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.rates = []

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


late_recorder = LateRecorder()
recorder = schedules.RecordLearningRate()
network = models.dense_classifier()
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
network.compile(optimizer=keras.optimizers.SGD(good), loss=loss)
run = network.fit(
    images,
    labels,
    batch_size=64,
    epochs=RUN,
    callbacks=[late_recorder, recorder],
    verbose=0,
)

# %%
planned = schedules.sample(good, RUN * 32)
late = np.array(late_recorder.rates)
print("planned:    ", planned[:4])
print("read after: ", late[:4])
print("read before:", np.array(recorder.rates[:4]))
assert np.allclose(recorder.rates, planned, atol=1e-7)

# %% [markdown]
# The optimizer adds 1 to its step counter at the end of a step. So the rate that is read afterwards is the rate of
# the *next* step. `schedules.RecordLearningRate` reads the rate before each step. Its list equals the plan.

# %% [markdown]
# ### Exercise 5 · Record the rate before each step
#
# Mend `LateRecorder`, without `RecordLearningRate`. Write a callback `Recorder`. After `fit` its list `rates` holds
# the rate that each step was taken with. Another `fit` begins a new list. The optimizer's rate may be a schedule or a
# number.


# %%
class Recorder(keras.callbacks.Callback):
    # your code
    ...


# %%
exercises.recorder.check(Recorder)

# %% [markdown]
# ## 9 · Is a schedule better than a constant rate?
#
# We compare two rules on the task of section 8: a constant rate, and one epoch of warm-up with four epochs of cosine
# decay. To make 64 runs quick we write the training loop ourselves (notebook 04). It is plain SGD: each parameter
# minus the rate times its gradient.


# %%
train_images = tf.constant(images)
train_labels = tf.constant(labels)


@tf.function
def train_steps(batches, rates):
    for step in tf.range(len(rates)):
        chosen = batches[step]
        with tf.GradientTape() as tape:
            batch = tf.gather(train_images, chosen)
            logits = network(batch, training=True)
            value = loss(tf.gather(train_labels, chosen), logits)
        parameters = network.trainable_variables
        gradients = tape.gradient(value, parameters)
        for parameter, gradient in zip(parameters, gradients):
            parameter.assign_sub(rates[step] * gradient)


# %%
def accuracy_of(rates, seed):
    """Train five epochs from fresh weights; return the accuracy on the validation images."""
    keras.utils.set_random_seed(seed)
    fresh = models.dense_classifier()
    network.set_weights(fresh.get_weights())
    generator = np.random.default_rng(seed)
    orders = []
    for _ in range(RUN):
        order = generator.permutation(2048)
        orders.append(order.reshape(32, 64))
    batches = np.concatenate(orders)
    train_steps(batches, rates)
    logits = network(val_images).numpy()
    predictions = logits.argmax(axis=1)
    return np.mean(predictions == val_labels)


def constant(rate):
    return np.full(RUN * 32, rate, "float32")


def warmup_cosine(peak):
    schedule = schedules.WarmupCosine(peak, warmup_steps=32, decay_steps=(RUN - 1) * 32)
    return schedules.sample(schedule, RUN * 32)


# %% [markdown]
# The **height** of a rule is its constant rate, or its peak. Each rule needs a suitable height. So both rules get the
# same budget: four heights, three seeds each. The same seed means the same first weights and the same batches.

# %%
# About 8 seconds: 24 runs.
HEIGHTS = [0.1, 0.2, 0.3, 0.8]
tuning = {}
for rule_name, shape in (("constant", constant), ("schedule", warmup_cosine)):
    means = []
    for height in HEIGHTS:
        rates = shape(height)
        scores = [accuracy_of(rates, seed) for seed in (0, 1, 2)]
        mean = np.mean(scores)
        means.append(mean)
        print(f"{rule_name}, height {height}: mean accuracy {mean:.3f}")
    tuning[rule_name] = means
assert tuning["constant"][-1] < max(tuning["constant"]) - 0.1
plots.lines(
    HEIGHTS,
    tuning,
    "constant rate, or peak of the schedule",
    "validation accuracy",
    "At height 0.8 the constant rate fails, the schedule does not",
)

# %% [markdown]
# At height 0.8 the constant rate is far worse than at its best height; the schedule loses little. Now each rule gets
# its best height, and 20 new seeds. The differences are paired by seed. The interval is Student's t interval with 19
# degrees of freedom.

# %%
# About 12 seconds: 40 runs.
best_constant = HEIGHTS[np.argmax(tuning["constant"])]
best_peak = HEIGHTS[np.argmax(tuning["schedule"])]
constant_rates = constant(best_constant)
schedule_rates = warmup_cosine(best_peak)
of_constant = []
of_schedule = []
for seed in range(3, 23):
    of_constant.append(accuracy_of(constant_rates, seed))
    of_schedule.append(accuracy_of(schedule_rates, seed))

# %%
test = stats.ttest_rel(of_schedule, of_constant)  # paired by seed
interval = test.confidence_interval(0.95)
half_width = (interval.high - interval.low) / 2
mean_constant = np.mean(of_constant)
mean_schedule = np.mean(of_schedule)
print(f"constant rate: mean accuracy {mean_constant:.3f}")
print(f"schedule: mean accuracy {mean_schedule:.3f}")
print(f"half width of the interval: accuracy {half_width:.3f}")
assert abs(mean_schedule - mean_constant) < 0.06

# %% [markdown]
# In the run stored here the accuracy with the schedule is higher by 0.017 on average. The interval goes from -0.002
# to 0.036. It contains 0. So these 20 seeds do not show that the schedule is better than a constant rate of a
# suitable height. They also do not show that it is equally good or worse. All this holds for one network, 2,048
# images, plain SGD and five epochs.
#
# ### A schedule that is counted in epochs
#
# The schedule counts steps. Somebody passes epochs: one of warm-up, four of decay. What is the rate from step 5 on?

# %%
in_steps = warmup_cosine(0.2)
mistaken = schedules.WarmupCosine(0.2, warmup_steps=1, decay_steps=RUN - 1)
in_epochs = schedules.sample(mistaken, RUN * 32)
print("rates of the first 7 steps:", in_epochs[:7])
for seed in (0, 1, 2):
    steps_counted = accuracy_of(in_steps, seed)
    epochs_counted = accuracy_of(in_epochs, seed)
    print(f"accuracy {steps_counted:.2f}, counted in epochs accuracy {epochs_counted:.2f}")
    assert steps_counted > epochs_counted + 0.1

# %% [markdown]
# From step 5 on the rate is 0, and 155 of 160 steps change nothing. There is no error message. The recorded rates
# show the mistake.
#
# ## For reference
#
# ### A Python `if` in a schedule
#
# Called by hand with a number, this schedule works. In `fit` the step has no value, and `if` raises an error.


# %%
class WithIf(LearningRateSchedule):
    def __call__(self, step):
        if step < 3:
            return 0.1
        return 0.01


with_if = WithIf()
print("called by hand:", with_if(2), with_if(5))
network = tiny(with_if)
print("in fit:", error_message(network.fit, x, y))

# %% [markdown]
# ### The same schedule with `tf.cond` and `tf.clip_by_value`
#
# `tf.cond` takes functions, as in section 3. `tf.clip_by_value(t, clip_value_min, clip_value_max)` replaces values
# below and above the two limits by the limits.


# %%
def cosine_with_cond(step, max_lr, warmup_steps, decay_steps):
    step = tf.cast(step, tf.float32)

    def decay():
        t = tf.clip_by_value((step - warmup_steps) / decay_steps, 0.0, 1.0)
        return max_lr * 0.5 * (1 + tf.cos(math.pi * t))

    return tf.cond(
        pred=step < warmup_steps,
        true_fn=lambda: max_lr * step / warmup_steps,
        false_fn=decay,
    )


print(tf.clip_by_value([-0.5, 0.5, 1.5], 0.0, 1.0).numpy())
for step in (0, 5, 10, 55, 100, 200):
    rate = cosine_with_cond(step, 0.001, warmup_steps=10, decay_steps=90)
    assert np.isclose(rate, right(step), atol=1e-9)

# %% [markdown]
# ### Write rates as floats
#
# `ExponentialDecay` computes in the type of its first argument. With the int 1 instead of 1.0, a rate of 0.5 becomes
# 0.

# %%
for first in (1.0, 1):
    decay = ExponentialDecay(first, decay_steps=10, decay_rate=0.5)
    print("first rate", first, "after 10 steps:", decay(10).numpy())

# %% [markdown]
# ## Summary
#
# - A schedule is an object that gives a rate for a step. Cast the step, clip the end, write `get_config`, register
#   the class.
# - Warm-up steps plus decay steps equal the steps of the run. Count the last small batch, unless it is dropped.
# - `LearningRateScheduler` passes the epoch and the current rate. If the function has a second parameter, it gets the
#   current rate, not its default value.
# - Plot the schedule object, and record the rates that were used.
# - `decay_rate=0.1` lowers the rate *to* 10 %.
# - Compare a schedule with a constant rate of a suitable height.
#
# **Next** notebook 10 trains a flower classifier with schedules, augmentation and a pretrained network.
#
# ## References
#
# - Loshchilov, Hutter (2017), *SGDR: Stochastic Gradient Descent with Warm Restarts*: the cosine decay
#   [arXiv:1608.03983](https://arxiv.org/abs/1608.03983)
# - Goyal et al. (2017), *Accurate, Large Minibatch SGD*: the warm-up
#   [arXiv:1706.02677](https://arxiv.org/abs/1706.02677)
# - Keras: [learning rate schedules](https://keras.io/api/optimizers/learning_rate_schedules/),
#   [LearningRateScheduler](https://keras.io/api/callbacks/learning_rate_scheduler/)
# - TensorFlow: [`tf.cond`](https://www.tensorflow.org/api_docs/python/tf/cond),
#   [`tf.clip_by_value`](https://www.tensorflow.org/api_docs/python/tf/clip_by_value)
