# %% [markdown]
# # 09 · Learning-rate schedules
#
# Large steps while there is far to go, small ones near the end: write the rule, plot the rule itself, and check what
# the optimizer really did.
#
# You will be able to
# - write a schedule that the optimizer can call with any step, and that survives saving,
# - count steps and epochs so that a schedule ends when the training does,
# - tell what is per step from what is per epoch, and use each where it belongs,
# - plot a schedule from the object the optimizer gets, and record the rate it used.
#
# **Needs** notebooks 04 (training loops) and 05 (callbacks). **Time** 40 minutes to read, 30 for the exercises; under
# 60 seconds to run on two CPU cores.

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
import math

import keras
import numpy as np
import tensorflow as tf

from helpers import data, models, plots, runtime, schedules, widgets
from helpers.exercises import ex09_schedules as exercises

# %% [markdown]
# ## 1 · See it
#
# The **learning rate** says how far one step of training goes along the gradient. A **schedule** is a rule: give it
# the number of the step, it returns the rate. Here is one that is used everywhere: a short **warm-up**, while the
# fresh weights of the last layer settle, then half a cosine down to zero.

# %%
STEPS_PER_EPOCH = 14_034 // 32  # the notes' data set and batch size: 438 full batches
EPOCHS = 100
cosine = schedules.WarmupCosine(
    max_lr=0.001, warmup_steps=3 * STEPS_PER_EPOCH, decay_steps=(EPOCHS - 3) * STEPS_PER_EPOCH
)
steps = np.arange(EPOCHS * STEPS_PER_EPOCH)
rates = schedules.sample(cosine, steps)
plots.lines(
    steps / STEPS_PER_EPOCH,
    {"WarmupCosine": rates},
    "epoch",
    "learning rate",
    "Warm up, then glide",
)

# %% [markdown]
# The curve was not typed in. `schedules.sample` called the object that an optimizer would get, once for each step.
#
# ## 2 · Build it
#
# In words: during the warm-up the rate is a share of the peak, the share of the warm-up that has passed. Afterwards
# it is $\frac{1}{2}(1 + \cos \pi t)$ of the peak, where $t$ goes from 0 to 1 over the rest.


# %%
class MyCosine(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, max_lr, warmup_steps, decay_steps):
        self.max_lr, self.warmup_steps, self.decay_steps = max_lr, warmup_steps, decay_steps

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")  # the optimizer counts in integers
        rising = step / self.warmup_steps
        t = keras.ops.clip((step - self.warmup_steps) / self.decay_steps, 0.0, 1.0)
        falling = 0.5 * (1.0 + keras.ops.cos(math.pi * t))
        return self.max_lr * keras.ops.where(step < self.warmup_steps, rising, falling)

    def get_config(self):
        return {
            "max_lr": self.max_lr,
            "warmup_steps": self.warmup_steps,
            "decay_steps": self.decay_steps,
        }


# %% [markdown]
# Three things are easy to forget. The **cast**: steps are int64, and TensorFlow does not multiply those with floats.
# The **clip**: without it the cosine goes on. And **`get_config`**: without it nothing can be saved. Now check it
# against two others that claim the same: the hardened twin in `helpers.schedules`, and Keras' own.

# %%
mine = MyCosine(0.001, 3 * STEPS_PER_EPOCH, 97 * STEPS_PER_EPOCH)
kerass = keras.optimizers.schedules.CosineDecay(
    0.0, decay_steps=97 * STEPS_PER_EPOCH, warmup_target=0.001, warmup_steps=3 * STEPS_PER_EPOCH
)
some = np.linspace(0, 120 * STEPS_PER_EPOCH, 200).astype("int64")  # and beyond the end
for other in (mine, kerass):
    assert np.allclose(
        schedules.sample(cosine, some), [float(other(step)) for step in some], atol=1e-9
    )
joins = [0, 3 * STEPS_PER_EPOCH, 100 * STEPS_PER_EPOCH]
print(
    "three implementations, one curve; at the joins:",
    [round(float(mine(step)), 6) for step in joins],
)

# %% [markdown]
# Note the argument names. In Keras as in ours, `decay_steps` does *not* include the warm-up: training ends after
# `warmup_steps + decay_steps`.
#
# ### Exercise 1 · End with the training
#
# Write `plan(images, batch_size, epochs, warmup_epochs)`: return `(warmup_steps, decay_steps)` such that the rate
# reaches zero exactly when training ends. The last batch of an epoch may be smaller, and is a step too.
#
# The cell below yours says what it makes of your answer. Stuck? `exercises.ending.hint()` gives a hint, and a plainer
# one each time you ask. `exercises.ending.solution()` shows a right answer.


# %%
def plan(images, batch_size, epochs, warmup_epochs):
    # your code
    ...


# %%
exercises.ending.check(plan)

# %% [markdown]
# ## 3 · The notes said ...
#
# The notes this course grew from had a schedule of the same name and shape. Four things in it are worth your time.
#
# ### The notes said: `max_lr / warmup_steps * step`
#
# Inside `tf.cond`, with the step as it comes. Run it as the optimizer would.


# %%
class NotesSchedule(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, max_lr, warmup_steps, decay_steps):
        self.max_lr, self.warmup_steps, self.decay_steps = max_lr, warmup_steps, decay_steps

    def __call__(self, step):
        since = step - self.warmup_steps
        return tf.cond(
            step < self.warmup_steps,
            lambda: self.max_lr / self.warmup_steps * step,
            lambda: 0.5 * (1 + tf.math.cos(math.pi * since / self.decay_steps)) * self.max_lr,
        )


notes = NotesSchedule(0.001, 3 * STEPS_PER_EPOCH, 100 * STEPS_PER_EPOCH)
try:
    notes(tf.constant(5, tf.int64))
except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
    print(type(error).__name__, "- an int64 step times a Python float")
else:
    raise AssertionError("this TensorFlow multiplies int64 with floats")

# %% [markdown]
# ### The notes said: decay over 100 epochs, in a run of 100 epochs, after 3 of warm-up
#
# With the step as a float it runs. Three epochs of warm-up and a hundred of decay make 103. The run stops at 100,
# before the rate is zero. And if it went on? A cosine that nobody clips comes up again.

# %%
longer = np.arange(0, 220 * STEPS_PER_EPOCH, 100)
curves = {
    "the notes'": np.array([float(notes(tf.constant(step, tf.float32))) for step in longer]),
    "clipped, and ending with the run": schedules.sample(cosine, longer),
}
plots.lines(
    longer / STEPS_PER_EPOCH,
    curves,
    "epoch",
    "learning rate",
    "An unclipped cosine climbs again",
)

# %%
at_the_end = float(notes(tf.constant(100.0 * STEPS_PER_EPOCH)))
later = float(notes(tf.constant(203.0 * STEPS_PER_EPOCH)))
print(f"the notes' rate when the run ends: {at_the_end:.1e}; at epoch 203: {later:.4f}")
assert at_the_end > 0
assert math.isclose(later, 0.001, rel_tol=1e-3), "back at the peak"
assert float(cosine(203 * STEPS_PER_EPOCH)) == 0

# %% [markdown]
# ### The notes said: "the rate falls by 10 % every 30 epochs"
#
# `ExponentialDecay(0.0001, 30 * steps_per_epoch, 0.1, staircase=True)`. By how much does it fall?

# %%
stairs = keras.optimizers.schedules.ExponentialDecay(
    0.0001, 30 * STEPS_PER_EPOCH, 0.1, staircase=True
)
per_epoch = np.arange(100)
heights = schedules.sample(stairs, per_epoch * STEPS_PER_EPOCH)
print("epochs 29, 30, 60, 90:", [f"{heights[e]:.0e}" for e in (29, 30, 60, 90)])
assert np.isclose(heights[30], 0.1 * heights[29]), "it falls TO 10 %, by 90 %"
plots.lines(
    per_epoch,
    {"staircase": heights},
    "epoch",
    "learning rate",
    "A tenth, a hundredth, a thousandth",
)

# %% [markdown]
# ### The notes forgot `get_config`
#
# So the best model of the night cannot be written to disk, at six in the morning.


# %%
def tiny(schedule):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    network.compile(keras.optimizers.SGD(schedule), "mse")
    return network


path = runtime.output_folder("09_schedules") / "tiny.keras"
try:
    tiny(notes).save(path)
except NotImplementedError as error:
    print(type(error).__name__, "- no get_config")
else:
    raise AssertionError("this Keras saves schedules without a configuration")

# %% [markdown]
# Ours is registered and has one. What is loaded goes on at the step where it stopped.

# %%
network = tiny(schedules.WarmupCosine(0.1, 4, 6))
x = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
network.fit(x, x.sum(axis=1), batch_size=4, epochs=2, verbose=0)  # 6 of 10 steps
network.save(path)
loaded = keras.models.load_model(path)
assert int(loaded.optimizer.iterations) == 6
assert float(loaded.optimizer.learning_rate) == float(network.optimizer.learning_rate)
print(
    "step",
    int(loaded.optimizer.iterations),
    "| next rate",
    round(float(loaded.optimizer.learning_rate), 4),
)

# %% [markdown]
# ### Exercise 2 · A schedule of your own
#
# Complete `Triangle`: from 0 up to `max_lr` at half of `total_steps`, and down to 0 at the end, in straight lines; 0
# after that. It must take integer steps, work inside `fit`, where a step is a symbol without a value, and have a
# configuration.


# %%
class Triangle(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, max_lr, total_steps):
        self.max_lr, self.total_steps = max_lr, total_steps

    def __call__(self, step):
        # your code
        ...

    def get_config(self):
        # your code
        ...


# %%
exercises.triangle.check(Triangle)

# %% [markdown]
# ## 4 · Per step, per epoch
#
# The flowers notebook of the notes used another shape: **ramp up, sustain, decay**, as a function of the *epoch*,
# handed to `keras.callbacks.LearningRateScheduler`. It gives every step of an epoch the same rate: a staircase.

# %%
ramp = schedules.RampSustainDecay(
    0.0001, 0.001, 0.00001, rampup_steps=4, sustain_steps=2, decay_rate=0.8
)
PER = 20  # steps per epoch
smooth = schedules.RampSustainDecay(
    0.0001, 0.001, 0.00001, 4 * PER, 2 * PER, 0.8, decay_steps=PER
)
fine = np.arange(16 * PER)
both = {
    "per epoch": schedules.sample(ramp, fine // PER),
    "per step": schedules.sample(smooth, fine),
}
assert np.allclose(both["per epoch"][::PER], both["per step"][::PER])
plots.lines(
    fine / PER, both, "epoch", "learning rate", "The same rule, once an epoch and once a step"
)

# %% [markdown]
# They agree where an epoch begins, and only there. With three epochs of warm-up, the staircase's first step already
# is a jump to a rate that the smooth one takes a whole epoch to reach.
#
# ### The notes said: `LearningRateScheduler(exponential_lr)`
#
# Their function had its settings as default arguments: `exponential_lr(epoch, start_lr=0.1, ...)`. Keras calls it
# with *two* arguments, the epoch and the current rate. Where does the second one go?


# %%
def exponential_lr(epoch, start_lr=0.1, max_lr=0.05, rampup_epochs=3, decay=0.8):
    if epoch < rampup_epochs:
        return (max_lr - start_lr) / rampup_epochs * epoch + start_lr
    return max_lr * decay ** (epoch - rampup_epochs)


def used(rule):
    """Train five epochs under a rule for LearningRateScheduler.

    Return the rate of each epoch.
    """
    network = tiny(0.001)
    scheduler = keras.callbacks.LearningRateScheduler(rule)
    return network.fit(x, x.sum(axis=1), epochs=5, verbose=0, callbacks=[scheduler]).history[
        "learning_rate"
    ]


meant = [exponential_lr(epoch) for epoch in range(5)]
got = used(exponential_lr)
print("meant:", np.round(meant, 4).tolist())
print("used: ", np.round(got, 4).tolist())
assert np.isclose(got[0], 0.001), "the current rate took the place of start_lr"
assert not np.allclose(got, meant)

# %% [markdown]
# No error, no warning, another schedule. (And look at what was *meant*: a "ramp-up" from 0.1 down to 0.05.)
# `schedules.per_epoch` makes of any schedule a function that knows about the second argument.

# %%
rule = schedules.per_epoch(schedules.RampSustainDecay(0.1, 0.05, 0.0, 3, 0, 0.8))
assert np.allclose(used(rule), meant, rtol=1e-5)
print("used: ", np.round(used(rule), 4).tolist())

# %% [markdown]
# ### Exercise 3 · Once an epoch
#
# Write `rule_for(schedule, steps_per_epoch)`, without `schedules.per_epoch`: it takes a schedule that counts steps, and
# returns a function for `LearningRateScheduler` that gives each epoch the rate of its first step.


# %%
def rule_for(schedule, steps_per_epoch):
    # your code
    ...


# %%
exercises.epochs.check(rule_for)

# %% [markdown]
# ### Exercise 4 · Which of them never decays?
#
# The notes tried six settings, in runs of 12 to 30 epochs. Set `never` to the list of positions (0 to 5) of those
# that have not decayed at all by the last of **12** epochs, epoch 11: their rate then is still on the ramp, or at the
# peak.

# %%
# Start, max, min, ramp-up epochs, sustain epochs, decay.
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
# ## 5 · Play
#
# Find a schedule that ends before the training, and one that ends after it. What does the line of code under the
# picture say?

# %%
widgets.ScheduleExplorer("WarmupCosine", steps_per_epoch=438, epochs=30)

# %%
widgets.ScheduleExplorer("RampSustainDecay", steps_per_epoch=438, epochs=30)

# %% [markdown]
# ## 6 · What the optimizer really used
#
# A plot of a schedule is a plan. The optimizer has its own count of steps, and `RecordLearningRate` writes down the
# rate just before each step is taken.

# %%
fashion = data.fashion()
images, labels = (part[:2048] for part in fashion.arrays("train"))
val_images, val_labels = (part[:512] for part in fashion.arrays("val"))
RUN = 5  # epochs of 2,048 / 64 = 32 steps


# %%
def train(rate):
    """Train the dense classifier at a rate or a schedule.

    Return its history and the recorder.
    """
    keras.utils.set_random_seed(0)
    network = models.dense_classifier()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"])
    recorder = schedules.RecordLearningRate()
    held_back = (val_images, val_labels)
    run = network.fit(
        images,
        labels,
        batch_size=64,
        epochs=RUN,
        validation_data=held_back,
        callbacks=[recorder],
        verbose=0,
    )
    return run.history, recorder


# %%
good = schedules.WarmupCosine(0.1, warmup_steps=32, decay_steps=(RUN - 1) * 32)
history, recorder = train(good)
assert len(recorder.rates) == RUN * 32
assert np.allclose(recorder.rates, schedules.sample(good, RUN * 32))
plots.lines(
    recorder.steps,
    {"used": recorder.rates},
    "step",
    "learning rate",
    "160 steps, as the optimizer took them",
)

# %% [markdown]
# ### Exercise 5 · Off by one
#
# A friend records the rate *after* each step, in `on_train_batch_end`. By then the optimizer has counted the step, and
# the schedule gives the rate of the next one. Write a callback `Recorder` that does better, without
# `RecordLearningRate`: after `fit` its list `rates` holds the rate that each step was taken with. Another `fit` begins
# a new list. The optimizer's rate may be a schedule or a number.


# %%
class Recorder(keras.callbacks.Callback):
    # your code
    ...


# %%
exercises.recorder.check(Recorder)

# %% [markdown]
# ## 7 · What a bad schedule does
#
# Three runs, the same first weights, the same batches: the schedule above, a rate that is far too high, and one that
# decays before anything is learned. Predict the order of the three.

# %%
runs = {
    "warm-up and cosine": history,
    "constant, far too high": train(3.0)[0],
    "gone after ten steps": train(schedules.WarmupCosine(0.1, 0, 10))[0],
}
final = {name: run["val_accuracy"][-1] for name, run in runs.items()}
assert max(final, key=final.get) == "warm-up and cosine"
plots.learning_curves(
    {
        name: {"accuracy": run["accuracy"], "val_accuracy": run["val_accuracy"]}
        for name, run in runs.items()
    },
    metrics=["accuracy"],
    title="The same network, three schedules",
)

# %% [markdown]
# ## Summary
#
# - A schedule is an object that turns a step into a rate; cast the step, clamp the end, give it a configuration.
# - Count: steps per epoch rounded up, warm-up plus decay equal to the run.
# - `LearningRateScheduler` speaks per epoch and passes the current rate along; a schedule object speaks per step.
# - Plot the object the optimizer gets. Better still, record what it used.
# - Falling *by* 90 % and falling *to* 10 % are the same; falling by 10 % is not.
#
# **Next** notebook 10 puts it all together on flowers.
#
# ## References
#
# - Loshchilov, Hutter (2017), *SGDR: Stochastic Gradient Descent with Warm Restarts*
#   [arXiv:1608.03983](https://arxiv.org/abs/1608.03983)
# - Goyal et al. (2017), *Accurate, Large Minibatch SGD*: why to warm up
#   [arXiv:1706.02677](https://arxiv.org/abs/1706.02677)
# - Keras: [learning rate schedules](https://keras.io/api/optimizers/learning_rate_schedules/),
#   [LearningRateScheduler](https://keras.io/api/callbacks/learning_rate_scheduler/)
