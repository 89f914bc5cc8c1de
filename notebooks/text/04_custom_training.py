# %% [markdown]
# # 04 · Training by hand
#
# You write what `fit` does, piece by piece, until your own loop arrives at the same weights.
#
# You will be able to
# - write a loss that is saved with its settings,
# - write activations, initializers, regularizers and constraints,
# - write a streaming metric, and say what a loss must have that a metric need not,
# - take gradients with a tape, of the part that you want,
# - write a training step that equals `fit`, and compile it.
#
# **Needs** notebooks 01 to 03: tensors, models, a layer of your own.
# **Time** 60 minutes to read, 50 for the exercises; under 60 seconds to run on two CPU cores.

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
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from helpers import data, plots
from helpers.exercises import ex04_custom_training as exercises

# %% [markdown]
# ## 1 · A loss that keeps its head
#
# Forty measurements lie on a line, nearly. In four of them somebody typed the wrong number. We fit a line by the mean
# squared error. Where will it run?

# %%
rng = np.random.default_rng(0)
x = np.linspace(0, 1, 40, dtype="float32")[:, None]
truth = 3 * x + 1
y = truth + rng.normal(0, 0.1, x.shape).astype("float32")
y[[30, 33, 36, 39]] = -4  # the typing errors


def fitted_line(loss):
    keras.utils.set_random_seed(0)
    line = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    line.compile(keras.optimizers.Adam(0.05), loss)
    line.fit(x, y, batch_size=8, epochs=40, shuffle=False, verbose=0)
    return line(x).numpy()


squared = fitted_line("mse")
plots.lines(
    x[:, 0],
    {"squared error": squared[:, 0]},
    "x",
    "y",
    "Four wrong labels move the whole line",
    points={"measured": (x[:, 0], y[:, 0])},
)

# %% [markdown]
# An error of 8 counts 64 times as much as an error of 1, so the line gives up on thirty-six points to please four. The
# **Huber loss** counts large errors less. Up to a size called **delta** it is a parabola, and beyond it goes on as a
# straight line:
#
# e² / 2 where |e| ≤ δ, and δ (|e| - δ / 2) beyond.
#
# A **loss function** takes labels and predictions and returns one number for each sample.


# %%
def huber(y_true, y_pred, delta=1.0):
    error = y_pred - y_true
    size = ops.abs(error)
    return ops.mean(ops.where(size <= delta, error**2 / 2, delta * (size - delta / 2)), axis=-1)


errors = np.linspace(-3, 3, 121, dtype="float32")
per_error = {
    "squared error / 2": errors**2 / 2,
    "Huber, delta 1": huber(0.0, errors[:, None]).numpy(),
    "absolute error": abs(errors),
}
plots.lines(errors, per_error, "error", "loss", "Huber: a bowl near zero, a slope far out")

# %% [markdown]
# `ops.where` computes both branches for all numbers and picks one. An `if` could not do that: each number of the tensor
# needs its own answer. Now the same fit, with our loss in `compile`. Any function of labels and predictions will do.

# %%
robust = fitted_line(huber)
both = {"squared error": squared[:, 0], "Huber": robust[:, 0], "true line": truth[:, 0]}
plots.lines(
    x[:, 0],
    both,
    "x",
    "y",
    "Huber's loss lets the four points be wrong",
    points={"measured": (x[:, 0], y[:, 0])},
)

# %%
samples = rng.normal(size=(2, 6, 3)).astype("float32")
assert np.allclose(huber(*samples), keras.losses.huber(*samples)), "Keras' own agrees"
off = {
    name: float(np.abs(line - truth).mean())
    for name, line in (("squared", squared), ("huber", robust))
}
print(
    f"mean distance from the true line: squared error {off['squared']:.2f}, Huber "
    f"{off['huber']:.2f}"
)
assert off["huber"] < off["squared"] / 2

# %% [markdown]
# ### The notes said: give the names of your functions when you load
#
# The notes this course grew from save a model with its own loss, and load it with a dictionary from names to functions.
# It works. But look at a loss with a delta of its own, made by a function.


# %%
def huber_with(delta):
    def my_huber(y_true, y_pred):
        return huber(y_true, y_pred, delta)

    return my_huber


# Deleted when the notebook ends.
path = f"{(folder := tempfile.TemporaryDirectory()).name}/line.keras"
line = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
line.compile("sgd", huber_with(2.0))
line.save(path)
loaded = keras.saving.load_model(path, custom_objects={"my_huber": huber_with(0.1)})
saved_loss, loaded_loss = (model.evaluate(x, y, verbose=0) for model in (line, loaded))
print(
    f"the same model, the same data: loss {saved_loss:.2f} when saved, {loaded_loss:.2f} "
    "when loaded"
)
assert loaded_loss < saved_loss / 2

# %% [markdown]
# A file can keep the function's name, not the delta inside it. Whoever loads it must know the delta, and nothing tells
# them. So a loss with a setting becomes a class. `get_config` notes the setting, and registration (notebook 03) makes
# the dictionary unnecessary.


# %%
@keras.saving.register_keras_serializable(package="course")
class HuberLoss(keras.losses.Loss):
    def __init__(self, delta=1.0, name="huber_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.delta = delta

    def call(self, y_true, y_pred):
        return huber(y_true, y_pred, self.delta)

    def get_config(self):
        return {**super().get_config(), "delta": self.delta}


line.compile("sgd", HuberLoss(2.0))
line.save(path)
loaded = keras.saving.load_model(path, safe_mode=True)
print("delta after loading:", loaded.loss.delta)
assert loaded.evaluate(x, y, verbose=0) == line.evaluate(x, y, verbose=0)

# %% [markdown]
# Why does `call` return one number for each sample, and not their mean? Because the class above it still has work to
# do. It multiplies by **sample weights**, if there are any, and only then takes the mean.

# %%
labels, guesses = np.array([[0.0], [0.0]], "float32"), np.array([[1.0], [10.0]], "float32")
print("each sample:  ", *HuberLoss(reduction="none")(labels, guesses).numpy())
print("their mean:   ", HuberLoss()(labels, guesses).numpy())
print("weights 1, 0: ", HuberLoss()(labels, guesses, sample_weight=np.array([1, 0])).numpy())
ours, theirs = HuberLoss(2.0), keras.losses.Huber(2.0)
assert np.allclose(ours(labels, guesses), theirs(labels, guesses)), "Keras' own agrees"

# %% [markdown]
# ### Exercise 1 · A loss that prefers one side
#
# Complete `PinballLoss(quantile)`. With e = label minus prediction, a value costs `quantile * e` where e is positive,
# and `(quantile - 1) * e` where it is negative. With quantile 0.9, to predict too little is nine times as bad as too
# much. The loss of a sample is the mean over its last axis. It must come back from its config, `name` and `reduction`
# included.
#
# The cell below yours says what it makes of your answer. Stuck? `exercises.pinball.hint()` gives a hint, and a plainer
# one each time you ask. `exercises.pinball.solution()` shows a right answer.


# %%
class PinballLoss(keras.losses.Loss):
    def __init__(self, quantile=0.5, name="pinball", **kwargs):
        super().__init__(name=name, **kwargs)
        self.quantile = quantile

    def call(self, y_true, y_pred):
        # your code
        ...

    def get_config(self):
        # your code
        ...


# %%
exercises.pinball.check(PinballLoss)

# %% [markdown]
# ## 2 · Four more pieces of your own
#
# A layer takes four such pieces. They differ in what they get, what they return, and when they are called.
#
# | piece | gets | returns | is called |
# |---|---|---|---|
# | **activation** | outputs | outputs | in every call of the layer |
# | **initializer** | a shape | the first weights | once, when the layer is built |
# | **regularizer** | weights | a penalty, one number | in every training step, for the loss |
# | **constraint** | weights | weights | after every training step |
#
# We train a layer whose weights would like to become negative, and may not. What will its kernel look like?


# %%
def soft_sign(inputs):
    return inputs / (1 + ops.abs(inputs))


def half_normal(shape, dtype=None):
    return ops.abs(keras.random.normal(shape, stddev=0.1, dtype=dtype, seed=1))


@keras.saving.register_keras_serializable(package="course")
class AbsoluteSum(keras.regularizers.Regularizer):
    def __init__(self, strength):
        self.strength = strength

    def __call__(self, weights):
        return self.strength * ops.sum(ops.abs(weights))

    def get_config(self):
        return {"strength": self.strength}


class NotNegative(keras.constraints.Constraint):
    def __call__(self, weights):
        return ops.maximum(weights, 0)


# %% [markdown]
# Activation and initializer may be plain functions. Regularizer and constraint inherit from a base class. A piece with
# a setting, such as the strength, writes `get_config`, as a loss does.

# %%
pieces = {
    "kernel_initializer": half_normal,
    "kernel_regularizer": AbsoluteSum(0.01),
    "kernel_constraint": NotNegative(),
}
dense = keras.layers.Dense(3, activation=soft_sign, **pieces)
net = keras.Sequential([keras.Input((4,)), dense, keras.layers.Dense(1)])
before = dense.kernel.numpy()

# %%
inputs = rng.normal(size=(64, 4)).astype("float32")
net.compile(keras.optimizers.SGD(0.1), "mse")
net.fit(inputs, -inputs[:, :1], epochs=10, verbose=0)
after = dense.kernel.numpy()
plots.tensor_blocks(
    {"kernel before": before.round(2), "kernel after": after.round(2)},
    "Zeros: the constraint at work",
)

# %%
assert before.min() > 0, "the initializer drew no negative number"
assert after.min() == 0, "training pushed some below zero, and the constraint put them back"
assert abs(dense(inputs)).numpy().max() < 1, "the activation keeps its outputs between -1 and 1"
penalty = 0.01 * abs(after).sum()
print(
    f"penalty {penalty:.3f}, and it is among the model's losses: "
    f"{np.allclose(net.losses, penalty)}"
)
assert np.allclose(net.losses, penalty)

# %%
keras.Sequential(
    [keras.Input((4,)), keras.layers.Dense(3, kernel_regularizer=AbsoluteSum(0.2))]
).save(path)
strength = keras.saving.load_model(path).layers[0].kernel_regularizer.strength
print("strength after loading:", strength)
assert strength == 0.2

# %% [markdown]
# ### Exercise 2 · Four pieces
#
# Write `four_pieces(strength, low, high)`. Return a dictionary with four functions, each as the table says:
#
# - `"activation"`: negative outputs become 0, the others their square,
# - `"initializer"`: all weights of a kernel begin at 1 divided by the number of its inputs, in the type asked for,
# - `"regularizer"`: `strength` times the sum of all squared weights,
# - `"constraint"`: weights below `low` become `low`, weights above `high` become `high`.
#
# Plain functions will do. (For a layer, the last two would go into classes, as above.)


# %%
def four_pieces(strength, low, high):
    # your code
    ...


# %%
exercises.pieces.check(four_pieces)

# %% [markdown]
# ## 3 · A metric streams
#
# A loss is for the optimizer, a **metric** is for you. Data comes in batches, and the last one is smaller. Is the mean
# of the batches' means the mean of all?

# %%
# 70 errors: 64 small, 6 large.
sizes = np.concatenate([np.full(64, 1.0), np.full(6, 9.0)]).astype("float32")[:, None]
batches = [sizes[:32], sizes[32:64], sizes[64:]]
batch_means = [float(ops.mean(huber(0.0, batch))) for batch in batches]
print("of each batch:", batch_means)
print(
    f"mean of these: {np.mean(batch_means):.2f} | mean of all samples: "
    f"{float(ops.mean(huber(0.0, sizes))):.2f}"
)

# %% [markdown]
# Six samples got as much say as thirty-two. A **streaming** metric does better: it keeps two numbers, a total and a
# count, adds every batch to them, and divides at the end.


# %%
@keras.saving.register_keras_serializable(package="course")
class HuberMetric(keras.metrics.Metric):
    def __init__(self, delta=1.0, name="huber", **kwargs):
        super().__init__(name=name, **kwargs)
        self.delta = delta
        self.total = self.add_variable((), initializer="zeros", name="total")
        self.count = self.add_variable((), initializer="zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        values = huber(y_true, y_pred, self.delta)
        weights = (
            ops.ones_like(values)
            if sample_weight is None
            else ops.cast(sample_weight, values.dtype)
        )
        self.total.assign_add(ops.sum(values * weights))
        self.count.assign_add(ops.sum(weights))

    def result(self):
        return ops.divide_no_nan(self.total, self.count)

    def get_config(self):
        return {**super().get_config(), "delta": self.delta}


# %%
metric = HuberMetric()
for batch in batches:
    metric.update_state(np.zeros_like(batch), batch)
    print(f"after {int(metric.count):2} samples: {float(metric.result()):.2f}")
known = keras.metrics.MeanMetricWrapper(keras.losses.huber)
known.update_state(np.zeros_like(sizes), sizes)
assert np.isclose(metric.result(), ops.mean(huber(0.0, sizes)))
assert np.isclose(metric.result(), known.result())

# %% [markdown]
# The next epoch must start from zero. `reset_state` does that, and `fit` calls it at the start of every epoch and
# before every validation. You have it from the base class, which sets all variables to zero.
#
# ### The notes said: `reset_states()`
#
# The name has lost its last letter since. Whoever *calls* the old name gets an error, which is kind. Whoever *defines*
# it gets none. Here is a metric that keeps the smallest error, and so must start from infinity.


# %%
class SmallestError(keras.metrics.Metric):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.low = self.add_variable(
            (), initializer=keras.initializers.Constant(np.inf), name="low"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.low.assign(ops.minimum(self.low, ops.min(ops.abs(y_pred - y_true))))

    def result(self):
        return self.low

    def reset_states(self):  # the old name: nobody calls it
        self.low.assign(np.inf)


class Renamed(SmallestError):
    def reset_state(self):
        self.low.assign(np.inf)


# %%
def outcome(function):
    """Return the function's result, or the name of the error it raised."""
    try:
        return function()
    except Exception as error:
        return type(error).__name__


# %%
print("metric.reset_states():", outcome(lambda: metric.reset_states()))
for kind in (SmallestError, Renamed):
    smallest, seen = kind(), []
    for _ in range(2):  # two epochs, as `fit` runs them
        smallest.reset_state()
        smallest.update_state(np.array([0.0, 0.0]), np.array([0.5, 2.0]))
        seen.append(float(smallest.result()))
    print(f"{kind.__name__:13} smallest error in each epoch: {seen}")
    assert (seen == [0.5, 0.5]) == (kind is Renamed)

# %% [markdown]
# The inherited `reset_state` put a zero in, and no error is smaller than that.
#
# Could a metric be a loss? The optimizer asks one question only: if this weight grows a little, what happens to the
# loss? Accuracy answers the same to nearly every question: nothing. Here is the question, put to both.

# %%
weight = tf.Variable(0.3)
points, classes = tf.constant([-1.0, 0.5, 2.0]), tf.constant([0.0, 1.0, 1.0])
with tf.GradientTape(persistent=True) as tape:
    scores = weight * points
    accuracy = tf.reduce_mean(
        tf.cast(tf.equal(tf.cast(scores > 0, tf.float32), classes), tf.float32)
    )
    cross_entropy = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(classes, scores))
print("accuracy:     ", tape.gradient(accuracy, weight))
print("cross-entropy:", round(float(tape.gradient(cross_entropy, weight)), 3))
assert tape.gradient(accuracy, weight) is None

# %% [markdown]
# `None` says: no way back from here to the weight. `scores > 0` is a step, flat everywhere but at one place. So a loss
# must be differentiable, and its gradient may not vanish everywhere. A metric may do as it likes. It should be easy to
# read.
#
# ### Exercise 3 · How often within tolerance?
#
# Complete `Within(tolerance)`: the share of all predictions seen so far that are at most `tolerance` away from their
# label. Before the first batch it is 0. A batch may have any shape; leave `sample_weight` aside. Could it be a loss?


# %%
class Within(keras.metrics.Metric):
    def __init__(self, tolerance, name="within", **kwargs):
        super().__init__(name=name, **kwargs)
        self.tolerance = tolerance
        self.hits = self.add_variable((), initializer="zeros", name="hits")
        self.count = self.add_variable((), initializer="zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        # your code
        ...

    def result(self):
        # your code
        ...


# %%
exercises.within.check(Within)

# %% [markdown]
# ## 4 · Gradients
#
# Take a loss of two weights, a² b, at a = 2 and b = 3. If `a` grows by a thousandth, how much does the loss grow, for
# each unit? Try it, and compare with what you learned at school: 2ab and a².


# %%
def loss_of(a, b):
    return a**2 * b


nudge = 1e-3
by_nudging = [(loss_of(2 + nudge, 3) - 12) / nudge, (loss_of(2, 3 + nudge) - 12) / nudge]
a, b = tf.Variable(2.0), tf.Variable(3.0)
with tf.GradientTape() as tape:
    loss = loss_of(a, b)
by_tape = [float(g) for g in tape.gradient(loss, [a, b])]
print("by nudging:", np.round(by_nudging, 2).tolist(), "| by the tape:", by_tape)
assert by_tape == [12.0, 4.0]

# %% [markdown]
# Nudging needs one more loss for every weight. The **tape** records what was computed, then goes back over the
# recording once, and has the gradients of all weights. Three things about it surprise everybody once.

# %%
constant = tf.constant(2.0)
with tf.GradientTape() as tape:
    loss = loss_of(constant, b)
print("a constant:      ", tape.gradient(loss, constant))
print("asked twice:     ", outcome(lambda: tape.gradient(loss, b)))
with tf.GradientTape() as tape:
    tape.watch(constant)
    loss = loss_of(constant, b)
print("a watched one:   ", float(tape.gradient(loss, constant)))
with tf.GradientTape() as tape:
    loss = loss_of(a, b)
print("computed outside:", tape.gradient(loss + 0, a), "| inside:", 12.0)

# %% [markdown]
# The tape follows variables by itself, constants only if told to, and nothing that happens after its block. It throws
# its recording away after the first question. A **persistent** tape keeps it, with all the tensors it holds, until you
# delete the tape.

# %%
with tf.GradientTape(persistent=True) as tape:
    loss = loss_of(a, b)
print("twice:", float(tape.gradient(loss, a)), float(tape.gradient(loss, b)))
del tape  # its memory is free again

# %% [markdown]
# ### The notes said: a vector of losses gets a backward pass for each
#
# Here are two losses at once, from two weights. What will `gradient` return: two rows, or one?

# %%
weights, scale = tf.Variable([1.0, 2.0]), tf.constant([[1.0, 10.0], [100.0, 0.0]])
with tf.GradientTape(persistent=True) as tape:
    two_losses = tf.linalg.matvec(scale, weights**2)
summed = tape.gradient(two_losses, weights)
rows = tape.jacobian(two_losses, weights)
del tape
plots.tensor_blocks(
    {"gradient": summed, "jacobian": rows}, "One row for each loss, or their sum"
)

# %% [markdown]
# `gradient` adds the losses up first, silently. For the usual loss, a mean, that is what you want. If you need each
# loss by itself, ask for the **Jacobian**: its rows are the losses, its columns the weights. It costs a backward pass
# for each row.

# %%
assert np.allclose(summed, tf.reduce_sum(rows, axis=0))
assert np.allclose(rows, scale * 2 * weights)

# %% [markdown]
# Sometimes a part of the computation must not learn. `tf.stop_gradient` returns its input and cuts the way back.

# %%
w = tf.Variable(3.0)
with tf.GradientTape(persistent=True) as tape:
    square = w * w
    half_stopped = w * tf.stop_gradient(w)
print("values:", square.numpy(), half_stopped.numpy())
print("slopes:", tape.gradient(square, w).numpy(), tape.gradient(half_stopped, w).numpy())
assert tape.gradient(half_stopped, w) == 3, "the second factor counts as a constant"

# %% [markdown]
# ### Exercise 4 · Help the worst
#
# Write `descend(function, variable, rate, steps)`. `function(variable)` is a vector of losses. In each step take the
# gradient of the *largest* one alone, and change the variable in place by minus `rate` times that gradient. Return the
# list of the largest losses, each taken before its step.


# %%
def descend(function, variable, rate, steps):
    # your code
    ...


# %%
exercises.downhill.check(descend)

# %% [markdown]
# ## 5 · The training loop
#
# Now all of it together. The model has a layer that differs in training, **dropout**, and a penalty on weights: the two
# things that a loop of your own forgets most easily.

# %%
fashion = data.fashion(verbose=False)
images, labels = (part[:2000] for part in fashion.arrays("train"))
val_images, val_labels = (part[:500] for part in fashion.arrays("val"))
STEPS = 20


def new_model():
    keras.utils.set_random_seed(1)
    hidden = keras.layers.Dense(64, "relu", kernel_regularizer=keras.regularizers.L2(1e-3))
    parts = [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        hidden,
        keras.layers.Dropout(0.3),
    ]
    return keras.Sequential([keras.Input((28, 28)), *parts, keras.layers.Dense(10)])


def new_batches():
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(len(images) // STEPS)


# %% [markdown]
# One step: predict *in training mode*, add the penalties to the loss, take the gradients, let the optimizer apply them.

# %%
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def train_step(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = cross_entropy(y, logits) + sum(model.losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss, logits


# %% [markdown]
# And the loop around it. For each epoch: reset the metrics, run over the batches, then measure on images that were
# never trained on, with dropout off.

# %%
EPOCHS = 3
by_hand, optimizer = new_model(), keras.optimizers.Adam(0.002)
mean_loss, accuracy = keras.metrics.Mean(), keras.metrics.SparseCategoricalAccuracy()
log = {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []}
for epoch in range(EPOCHS):
    mean_loss.reset_state()
    accuracy.reset_state()
    for x_batch, y_batch in new_batches():
        loss, logits = train_step(by_hand, optimizer, x_batch, y_batch)
        mean_loss.update_state(loss)
        accuracy.update_state(y_batch, logits)
    log["loss"].append(float(mean_loss.result()))
    log["accuracy"].append(float(accuracy.result()))
    val_logits = by_hand(val_images, training=False)
    log["val_loss"].append(float(cross_entropy(val_labels, val_logits) + sum(by_hand.losses)))
    log["val_accuracy"].append(float(np.mean(np.argmax(val_logits, axis=1) == val_labels)))
    print(f"epoch {epoch + 1}: loss {log['loss'][-1]:.2f}, accuracy {log['accuracy'][-1]:.2f}")

# %% [markdown]
# `fit` does the same for you. Does it do *the same*? We let it train a second model from the same seed on the same
# batches.

# %%
by_fit = new_model()
by_fit.compile(keras.optimizers.Adam(0.002), cross_entropy, metrics=["accuracy"])
history = by_fit.fit(
    new_batches(),
    validation_data=(val_images, val_labels),
    epochs=EPOCHS,
    shuffle=False,
    verbose=0,
).history
runs = {"by hand": log, "fit": {key: history[key] for key in log}}
plots.learning_curves(runs, title="Two loops, one curve")


# %%
def distance(one, other):
    """Return the largest difference between the weights of two models."""
    return max(
        float(np.abs(u - v).max()) for u, v in zip(one.get_weights(), other.get_weights())
    )


# %%
print(
    "steps:",
    int(optimizer.iterations),
    "| weights equal to four decimals:",
    distance(by_hand, by_fit) < 1e-4,
)
assert int(optimizer.iterations) == EPOCHS * STEPS
assert distance(by_hand, by_fit) < 1e-4, "the compiled fit may round differently, no more"
assert all(np.allclose(log[key], history[key], atol=1e-3) for key in log)

# %% [markdown]
# ### The notes said: do not forget `training=True`
#
# They were right. It is one of two things to forget, and neither raises an error. What happens to the weights and to
# the loss if you do?


# %%
def one_epoch(training=True, penalties=True):
    model, optimizer, seen = new_model(), keras.optimizers.Adam(0.002), []
    for x_batch, y_batch in new_batches():
        with tf.GradientTape() as tape:
            loss = cross_entropy(y_batch, model(x_batch, training=training))
            loss += sum(model.losses) if penalties else 0.0
        optimizer.apply(
            tape.gradient(loss, model.trainable_variables), model.trainable_variables
        )
        seen.append(float(loss))
    return model, np.mean(seen[-5:])


right, right_loss = one_epoch()
for name, settings in {
    "without training=True": {"training": False},
    "without penalties": {"penalties": False},
}.items():
    wrong, wrong_loss = one_epoch(**settings)
    print(
        f"{name}: weights differ by {distance(right, wrong):.2f}, loss {wrong_loss:.2f} "
        f"instead of {right_loss:.2f}"
    )
    assert distance(right, wrong) > 0.001
    assert wrong_loss < right_loss

# %% [markdown]
# Both mistakes make the training loss look *better*. That is why nobody notices.
#
# ### Exercise 5 · Half a batch at a time
#
# A batch that does not fit into memory can be cut in two. Write `accumulated_step(model, optimizer, x, y)`: take the
# gradients of the first half and of the second, both from the same weights, then let the optimizer apply their mean
# once. The batch has an even number of samples. Use `cross_entropy` and `model.losses`, as above. Section 6 compiles
# such steps, and yours must compile, too: use tensors only.


# %%
def accumulated_step(model, optimizer, x, y):
    # your code
    ...


# %%
exercises.halves.check(accumulated_step)

# %% [markdown]
# ## 6 · From Python to a graph
#
# `train_step` is Python: every line is read again in every step, and every operation is sent off by itself.
# `tf.function` runs the Python *once*, writes down its operations as a **graph**, and from then on runs the graph. How
# much faster will our step be? Guess a factor.


# %%
def milliseconds(step, repeats=30):
    """Return the median time of one training step."""
    model, optimizer = new_model(), keras.optimizers.Adam(0.002)
    # Its variables must exist before the graph is written.
    optimizer.build(model.trainable_variables)
    x, y = tf.constant(images[:100]), tf.constant(labels[:100])
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        step(model, optimizer, x, y)
        times.append(1e3 * (time.perf_counter() - began))
    return times[0], float(np.median(times[2:]))


first_eager, eager = milliseconds(train_step)
first_graph, graph = milliseconds(tf.function(train_step))
print(f"Python: {eager:.2f} ms | graph: {graph:.2f} ms | faster: {eager / graph:.1f}x")
print(f"the first step of the graph, which writes it down: {first_graph:.0f} ms")
assert graph < eager, "the graph should be faster, for a model this small by far"
assert first_graph > graph

# %% [markdown]
# The smaller the operations, the more the graph gains, because it saves the time *between* them. A large convolution
# takes the same time either way. The numbers are those of this machine; yours will differ.
#
# Writing the graph down is called **tracing**. It costs as much as many steps. So it should happen once. When does it
# happen again? Guess each line before you run the cell.

# %%
traced = []


@tf.function
def double(number):
    traced.append(1)  # this is Python: it runs while tracing, and only then
    return 2 * number


# %%
vector, longer = tf.constant([1.0, 2.0]), tf.constant([1.0, 2.0, 3.0])
calls = {
    "tensor 1.0": tf.constant(1.0),
    "tensor 2.0": tf.constant(2.0),
    "vector of 2": vector,
    "vector of 3": longer,
}
calls |= {
    "integer tensor": tf.constant(1),
    "Python 1.0": 1.0,
    "Python 2.0": 2.0,
    "Python 2.0 again": 2.0,
}
news = {}
for name, argument in calls.items():
    known_traces = len(traced)
    double(argument)
    news[name] = len(traced) > known_traces
    print(f"{name:17} {'traced' if news[name] else 'known already'}")
assert [name for name, new in news.items() if not new] == ["tensor 2.0", "Python 2.0 again"]

# %% [markdown]
# A tensor is known by its type and shape, a Python number by its value. So a loop that hands over a Python number, the
# epoch or the rate, traces in every round. Nothing fails. It is only slow.


# %%
def per_call(convert):
    """Return the median milliseconds of twenty calls, and how often it was traced."""
    traced.clear()

    @tf.function
    def step(number):
        traced.append(1)
        return tf.reduce_sum(tf.range(10.0) * number)

    times = []
    for number in range(20):
        argument, began = convert(number), time.perf_counter()
        step(argument)
        times.append(1e3 * (time.perf_counter() - began))
    return float(np.median(times)), len(traced)


with_numbers, number_traces = per_call(float)
with_tensors, tensor_traces = per_call(lambda number: tf.constant(float(number)))
print(f"Python numbers: {number_traces} traces, {with_numbers:.2f} ms a call")
print(f"tensors:         {tensor_traces} trace,  {with_tensors:.2f} ms a call")
assert (number_traces, tensor_traces) == (20, 1)
assert with_numbers > with_tensors

# %% [markdown]
# Shapes that differ, such as the last and smaller batch, can share a graph, too, if you say so beforehand: `None`
# stands for any length. (`python_function` is the function under the decorator.)

# %%
traced.clear()
any_length = tf.function(
    double.python_function, input_signature=[tf.TensorSpec([None], tf.float32)]
)
any_length(vector)
any_length(longer)
print("vectors of 2 and 3, one signature:", len(traced), "trace")
assert len(traced) == 1

# %% [markdown]
# What is Python stays in the tracing. That is the trap of the NumPy noise in notebook 03, and here is its sister: a
# Python number from outside is written into the graph as it was on the day.

# %%
factor, changing = 2.0, tf.Variable(2.0)


@tf.function
def scaled(number):
    return factor * number, changing * number


before = [float(part) for part in scaled(tf.constant(1.0))]
factor = 100.0
changing.assign(100.0)
after = [float(part) for part in scaled(tf.constant(1.0))]
print("Python number, variable:", before, "->", after)
assert after == [2.0, 100.0]

# %% [markdown]
# What should change belongs in a `tf.Variable`, as the weights are. Last of all: our step as a graph, for an epoch.
# Does it lead to the same weights?

# %%
compiled_step, compiled, optimizer = (
    tf.function(train_step),
    new_model(),
    keras.optimizers.Adam(0.002),
)
optimizer.build(compiled.trainable_variables)
for x_batch, y_batch in new_batches():
    compiled_step(compiled, optimizer, x_batch, y_batch)
print("weights equal to four decimals:", distance(compiled, right) < 1e-4)
assert distance(compiled, right) < 1e-4

# %% [markdown]
# Now you have everything that `fit` has inside.
#
# ## Summary
#
# - A loss returns one number for each sample and must have a gradient. With a setting to remember it becomes a class
#   with `get_config`.
# - A metric streams: it adds up totals and counts, divides at the end, and starts afresh with `reset_state`.
# - A tape records its block once and answers once. Variables are followed, constants are not. A vector of losses is
#   summed: ask for the Jacobian if you need its rows.
# - A step is: predict with `training=True`, loss plus `model.losses`, gradients, `optimizer.apply`. With the same seed
#   it is what `fit` does.
# - `tf.function` writes Python down as a graph. New shapes, new types and new Python numbers write it down again.
#
# **Next** [05 · Callbacks](05_callbacks.ipynb): let `fit` do the loop, and step in where you like.
#
# ## References
#
# - TensorFlow: [automatic differentiation](https://www.tensorflow.org/guide/autodiff) and its [advanced
#   part](https://www.tensorflow.org/guide/advanced_autodiff), [tf.function](https://www.tensorflow.org/guide/function)
# - Keras: [losses](https://keras.io/api/losses/), [metrics](https://keras.io/api/metrics/), [a training loop from
#   scratch](https://keras.io/guides/writing_a_custom_training_loop_in_tensorflow/)
# - Huber 1964, [Robust estimation of a location parameter](https://doi.org/10.1214/aoms/1177703732)
# - Koenker and Bassett 1978, [Regression quantiles](https://doi.org/10.2307/1913643): the pinball loss
