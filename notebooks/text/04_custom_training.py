# %% [markdown]
# # 04 · Training by hand
#
# You write the parts of training yourself: a loss, a metric, the gradients, the loop. At the end your loop and `fit`
# give the same weights.
#
# You will be able to
# - write a loss that is saved with its settings,
# - write activations, initializers, regularizers and constraints,
# - write a metric that is updated batch by batch, and say what a loss needs and a metric does not,
# - compute gradients with a tape, of one loss or of several,
# - write a training step that equals `fit`, and compile it.
#
# **Needs** notebooks 01 to 03: tensors, models, a layer of your own.
# **Time** 110 minutes to read, 85 for the exercises; under 60 seconds to run on two CPU cores.

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
# Some words from notebook 02 are used from the first section on:
#
# - A **loss** is a number that says how wrong the predictions are. Training makes the loss smaller.
# - A **batch** is a group of samples that is used in one training step.
# - An **epoch** is one pass over all training data.
# - An **optimizer** changes the weights after each batch. Adam and SGD are optimizers.
#
# ## 1 · A loss of your own
#
# Forty points lie close to a line. Four of them get a wrong label, -4. We fit a line with the mean squared error. Will
# the fitted line stay close to the other thirty-six points?

# %%
rng = np.random.default_rng(0)
x = np.linspace(0, 1, 40, dtype="float32")
x = x.reshape(40, 1)
truth = 3 * x + 1
noise = rng.normal(0, 0.1, x.shape)
y = truth + noise.astype("float32")
wrong = [30, 33, 36, 39]
y[wrong] = -4


# %%
def new_line():
    """Return a model with one weight and one bias, the same at every call."""
    keras.utils.set_random_seed(0)
    line = keras.Sequential()
    line.add(keras.Input((1,)))
    line.add(keras.layers.Dense(1))
    return line


def fitted_line(loss):
    """Fit a line with this loss; return its height at each x."""
    line = new_line()
    line.compile(optimizer=keras.optimizers.Adam(0.05), loss=loss)
    line.fit(x, y, batch_size=8, epochs=40, shuffle=False, verbose=0)
    return line(x).numpy()


# %%
squared = fitted_line("mse")
measured = {"measured": (x[:, 0], y[:, 0])}
plots.lines(
    x[:, 0],
    {"fitted line": squared[:, 0]},
    xlabel="x",
    ylabel="y",
    title="Squared error: four wrong labels move the whole line",
    points=measured,
)

# %% [markdown]
# No. Large errors cost most: an error of 8 costs 64 times as much as an error of 1. So the line moves toward the four
# wrong labels.
#
# The **Huber loss** gives large errors less weight than the squared error does. It has a setting, **delta** (δ). For an error e the loss is
#
# - e² / 2 where |e| ≤ δ: a parabola,
# - δ (|e| - δ / 2) where |e| > δ: a straight line.
#
# A **loss function** takes labels and predictions. It returns one number for each sample.


# %%
def huber(y_true, y_pred, delta=1.0):
    size = ops.abs(y_pred - y_true)
    parabola = size**2 / 2
    straight = delta * (size - delta / 2)
    values = ops.where(size <= delta, parabola, straight)
    return ops.mean(values, axis=-1)


# %%
errors = np.linspace(-3, 3, 121, dtype="float32")
huber_curve = huber(0.0, errors[:, None])
plots.lines(
    errors,
    {
        "squared error / 2": errors**2 / 2,
        "Huber, delta 1": huber_curve.numpy(),
        "absolute error": np.abs(errors),
    },
    xlabel="error",
    ylabel="loss",
    title="Huber: a parabola between -1 and 1, straight lines outside",
)

# %% [markdown]
# `ops.where` computes both formulas for all numbers, then takes one of the two for each number. A Python `if` decides
# once, so it cannot give each number of a tensor its own formula.
#
# Now we fit the same line with `huber`. `compile` takes our function as it takes `"mse"`.

# %%
robust = fitted_line(huber)
plots.lines(
    x[:, 0],
    {"squared error": squared[:, 0], "Huber": robust[:, 0], "true line": truth[:, 0]},
    xlabel="x",
    ylabel="y",
    title="With the Huber loss the line stays near the correct points",
    points=measured,
)

# %%
squared_distance = np.abs(squared - truth).mean()
huber_distance = np.abs(robust - truth).mean()
print(f"mean distance from the true line, squared error: {squared_distance:.2f}")
print(f"mean distance from the true line, Huber:         {huber_distance:.2f}")
assert huber_distance < squared_distance / 2

# %% [markdown]
# Keras has the Huber loss, too. Both give the same numbers.

# %%
ours = huber(y, squared).numpy()
theirs = keras.losses.huber(y, squared).numpy()
print("ours, the last five points: ", ours[-5:].round(3))
print("Keras, the last five points:", theirs[-5:].round(3))
assert np.allclose(ours, theirs)

# %% [markdown]
# ### A common mistake: a loss function that hides its setting
#
# A model with a loss function of your own can be saved. To load it, you can give `load_model` a dictionary,
# `custom_objects`, from names to functions. The mistake is to do this with a loss that has a setting. Here `huber_with`
# makes such a loss: `my_huber` remembers the delta it was made with.


# %%
def huber_with(delta):
    def my_huber(y_true, y_pred):
        return huber(y_true, y_pred, delta)

    return my_huber


folder = tempfile.TemporaryDirectory()  # deleted when the notebook ends
path = folder.name + "/line.keras"
line = new_line()
line.compile(optimizer="sgd", loss=huber_with(2.0))
line.save(path)
functions = {"my_huber": huber_with(0.1)}
loaded = keras.saving.load_model(path, custom_objects=functions)

# %%
saved_losses = line.loss(y, line(x))
loaded_losses = loaded.loss(y, loaded(x))
saved_loss = np.mean(saved_losses)
loaded_loss = np.mean(loaded_losses)
config = line.get_compile_config()
print("saved of the loss:", config["loss"]["config"])
print(f"the same model on the same data: saved with loss {saved_loss:.2f}")
print(f"                                 loaded with loss {loaded_loss:.2f}")
assert config["loss"]["config"] == "my_huber"
assert loaded_loss < saved_loss / 2

# %% [markdown]
# No error is raised, and the loss is another one. Keras saves the name `my_huber`. It does not save delta, so we could
# load the model with delta 0.1 instead of 2.
#
# Write a class instead. `get_config` returns the settings, and Keras writes them into the file. With
# `register_keras_serializable` (notebook 03) `load_model` needs no dictionary.


# %%
@keras.saving.register_keras_serializable(package="course")
class HuberLoss(keras.losses.Loss):
    def __init__(self, delta=1.0, name="huber_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.delta = delta

    def call(self, y_true, y_pred):
        return huber(y_true, y_pred, self.delta)

    def get_config(self):
        config = super().get_config()
        config["delta"] = self.delta
        return config


# %%
line.compile(optimizer="sgd", loss=HuberLoss(delta=2.0))
line.save(path)
loaded = keras.saving.load_model(path)
print("delta after loading:", loaded.loss.delta)
assert loaded.loss.delta == 2.0

# %% [markdown]
# `call` returns one number for each sample. The base class then multiplies these numbers by sample weights, if there
# are any, and takes the mean. The cells under *For reference* show it.
#
# ### Exercise 1 · A loss that prefers one side
#
# Complete `PinballLoss(quantile)`, a loss with a setting between 0 and 1. Let e be label minus prediction. The loss of
# one value is
#
# - `quantile * e` where e is positive,
# - `(quantile - 1) * e` where e is negative.
#
# With quantile 0.9, a prediction that is too low costs nine times as much as one that is too high. The loss of a sample
# is the mean over its last axis. `get_config` must return `quantile`, and also the settings that the base class
# returns, such as `name`.
#
# Write your answer in the next cell. The cell after it checks the answer. `exercises.pinball.hint()` gives a hint; call it again for a plainer one.
# `exercises.pinball.solution()` shows a correct answer.


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
# ## 2 · Activation, initializer, regularizer, constraint
#
# A layer such as `Dense` takes four kinds of functions as arguments. They get different things, and they are called at
# different times.
#
# | function | gets | returns | is called |
# |---|---|---|---|
# | **activation** | the layer's results | its outputs | in every call of the layer |
# | **initializer** | a shape and a dtype | the first weights | once, when the weights are created |
# | **regularizer** | weights | a penalty, one number | whenever `model.losses` is read |
# | **constraint** | weights | weights that are allowed | after every step of the optimizer |
#
# First we look at four activations that Keras has. `linear` returns its input. Which of the three curves below can be
# negative?

# %%
inputs = tf.linspace(-4.0, 4.0, 81)
curves = {}
for name in ["linear", "relu", "sigmoid"]:
    activation = keras.activations.get(name)
    curves[name] = activation(inputs).numpy()
plots.lines(
    inputs.numpy(),
    curves,
    xlabel="input",
    ylabel="output",
    title="relu cuts off negative numbers, sigmoid stays between 0 and 1",
)

# %% [markdown]
# Only `linear`. These three treat each number by itself. **Softmax** is different: it takes several numbers, one for
# each class, and makes proportions of them.
#
# Such numbers, before softmax, are called **logits**. A logit may be any number. Softmax turns the logits of a sample
# into **probabilities**: none is negative, and they add up to 1. Here is a sample with three logits: x, 0 and 1. Only x
# changes. Will the probabilities of the other two classes change, too?

# %%
zeros = tf.zeros_like(inputs)
ones = tf.ones_like(inputs)
logits = tf.stack([inputs, zeros, ones], axis=1)
probabilities = keras.activations.softmax(logits).numpy()
assert np.allclose(probabilities.sum(axis=1), 1)
plots.lines(
    inputs.numpy(),
    {
        "first class, logit x": probabilities[:, 0],
        "second class, logit 0": probabilities[:, 1],
        "third class, logit 1": probabilities[:, 2],
    },
    xlabel="x, the logit of the first class",
    ylabel="probability",
    title="Softmax: one logit changes all three probabilities",
)

# %% [markdown]
# Yes, because the three must add up to 1.
#
# A classifier may end in logits or in probabilities, and its loss must know which. With `from_logits=True` the loss
# applies softmax itself. With `from_logits=False`, the default, it expects probabilities. What happens if it gets
# logits then?

# %%
label = tf.constant([0])
logits = tf.constant([[1.0, 0.0, 3.0]])
on_logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
on_probabilities = keras.losses.SparseCategoricalCrossentropy(from_logits=False)
expected = on_logits(label, logits)
probabilities = keras.activations.softmax(logits)
same = on_probabilities(label, probabilities)
mistaken = on_probabilities(label, logits)
print(f"logits, from_logits=True:         {expected:.3f}")
print(f"probabilities, from_logits=False: {same:.3f}")
print(f"logits, from_logits=False:        {mistaken:.3f}")
assert np.allclose(expected, same)
assert not np.allclose(expected, mistaken)

# %% [markdown]
# The third number is wrong, and no error or warning is shown. The classifier in section 5 ends in logits, so its loss
# gets `from_logits=True`.
#
# Now we write one function of each kind. Each may be a plain function. Our activation and our initializer are functions.


# %%
def soft_sign(inputs):
    return inputs / (1 + ops.abs(inputs))


def half_normal(shape, dtype=None):
    numbers = keras.random.normal(shape, stddev=0.1, dtype=dtype, seed=1)
    return ops.abs(numbers)


# %% [markdown]
# Our regularizer and our constraint are classes. A class can have a setting, such as `strength`, and return it in
# `get_config`, as `HuberLoss` does.


# %%
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
# We give all four to one layer and train it. The labels are made with the weight -1 for three of the inputs. So the
# layer needs negative weights. We train it once without the constraint and once with it. What will the constraint do
# to the **kernel**, the layer's matrix of weights?

# %%
samples = rng.normal(size=(64, 4))
three = samples[:, :3]
targets = soft_sign(-three)


def trained(constraint):
    """Train a model with one layer that has all our functions; return the model."""
    layer = keras.layers.Dense(
        units=3,
        activation=soft_sign,
        kernel_initializer=half_normal,
        kernel_regularizer=AbsoluteSum(strength=0.01),
        kernel_constraint=constraint,
    )
    net = keras.Sequential([keras.Input((4,)), layer])
    net.compile(optimizer=keras.optimizers.SGD(0.5), loss="mse")
    net.fit(samples, targets, epochs=20, verbose=0)
    return net


# %%
free = trained(None)
net = trained(NotNegative())
before = half_normal((4, 3)).numpy()
kernel_free = free.layers[0].kernel.numpy()
kernel = net.layers[0].kernel.numpy()
plots.tensor_blocks(
    {
        "before training": before.round(2),
        "no constraint": kernel_free.round(2) + 0,  # writes -0 as 0
        "NotNegative": kernel.round(2),
    },
    title="Without the constraint three weights fall below -0.6; with it none is negative",
)

# %%
sums = np.abs(samples @ kernel_free)
outputs = np.abs(free(samples))
penalty = 0.01 * np.abs(kernel_free).sum()
in_model = float(free.losses[0])
print(f"initializer: smallest weight before training {before.min():.3f}")
print(f"activation:  sizes up to {sums.max():.2f} become sizes up to {outputs.max():.2f}")
print(f"regularizer: penalty {penalty:.3f}, in the model's losses {in_model:.3f}")
print(f"constraint:  smallest weight {kernel.min():.3f}, without it {kernel_free.min():.3f}")

# %%
assert before.min() > 0
assert sums.max() > 1 >= outputs.max()
assert np.isclose(in_model, penalty)
assert kernel.min() == 0
assert kernel_free.min() < 0

# %% [markdown]
# The penalty of a regularizer stands in `model.losses`. `fit` adds it to the loss.
#
# ### Exercise 2 · Four pieces
#
# Write `four_pieces(strength, low, high)`. Return a dictionary with four functions. Each gets and returns what the
# table says:
#
# - `"activation"`: a negative number becomes 0, any other number becomes its square,
# - `"initializer"`: every weight is 1 divided by the number of inputs, in the dtype asked for,
# - `"regularizer"`: the penalty is `strength` times the sum of all squared weights,
# - `"constraint"`: weights below `low` become `low`, weights above `high` become `high`.
#
# Plain functions are enough. A kernel has the shape (inputs, units).


# %%
def four_pieces(strength, low, high):
    # your code
    ...


# %%
exercises.pieces.check(four_pieces)

# %% [markdown]
# ## 3 · A metric of your own
#
# The optimizer uses the loss. A **metric** is a number for people, such as accuracy. `fit` computes it batch by batch,
# and the last batch may be smaller. Here are 70 errors in three batches. Is the mean of the three batch means
# the mean of all 70?

# %%
many_small = np.full((64, 1), 1.0, "float32")
few_large = np.full((6, 1), 9.0, "float32")
first, second = np.split(many_small, 2)
batches = [first, second, few_large]
batch_means = []
for batch in batches:
    losses = huber(0.0, batch)
    batch_mean = float(ops.mean(losses))
    batch_means.append(batch_mean)
print("mean of each batch:", batch_means)
print(f"mean of these:      {np.mean(batch_means):.2f}")

# %%
everything = np.concatenate(batches)
losses = huber(0.0, everything)
mean_of_all = float(ops.mean(losses))
print(f"mean of all 70:     {mean_of_all:.2f}")

# %% [markdown]
# No. The batch of 6 counted as much as a batch of 32.
#
# A **streaming metric** keeps numbers, its **state**, from batch to batch. For a mean the state is a total and a count.
# A metric has three methods: `update_state` adds a batch to the state, `result` computes the value from the state, and
# `reset_state` starts again.


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
        weights = ops.ones_like(values)
        if sample_weight is not None:
            weights = ops.cast(sample_weight, values.dtype)
        total = ops.sum(values * weights)
        count = ops.sum(weights)
        self.total.assign_add(total)
        self.count.assign_add(count)

    def result(self):
        return ops.divide_no_nan(self.total, self.count)

    def get_config(self):
        config = super().get_config()
        config["delta"] = self.delta
        return config


# %%
metric = HuberMetric()
for batch in batches:
    metric.update_state(np.zeros_like(batch), batch)
    count = int(metric.count)
    value = float(metric.result())
    print(f"after {count} samples: {value:.2f}")
assert np.isclose(metric.result(), mean_of_all)

# %% [markdown]
# Every epoch must begin with a fresh state. `reset_state` of the base class sets all variables of the metric to zero.
# That is right for a total and a count.
#
# ### A common mistake: `reset_states`
#
# Until TensorFlow 2.4 the method was called `reset_states`
# ([tensorflow#50359](https://github.com/tensorflow/tensorflow/issues/50359)). Here is a metric that keeps the smallest
# error. It must start from infinity, so it has its own reset. But the reset has the old name.


# %%
class SmallestError(keras.metrics.Metric):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        infinity = keras.initializers.Constant(np.inf)
        self.low = self.add_variable((), initializer=infinity, name="low")

    def update_state(self, y_true, y_pred, sample_weight=None):
        errors = ops.abs(y_pred - y_true)
        smallest = ops.min(errors)
        lower = ops.minimum(self.low, smallest)
        self.low.assign(lower)

    def result(self):
        return ops.copy(self.low)

    def reset_states(self):  # the old name
        self.low.assign(np.inf)


# %% [markdown]
# And the same metric with the current name. Its reset also prints a line, so that we see when `fit` calls it.


# %%
class Renamed(SmallestError):
    def reset_state(self):
        print("reset_state is called")
        self.low.assign(np.inf)


# %%
def smallest_errors(metric):
    """Train a line for three epochs; return the metric after each."""
    line = new_line()
    line.compile(optimizer="sgd", loss="mse", metrics=[metric])
    training = line.fit(x, x + 7, epochs=3, verbose=0)
    values = np.round(training.history["smallest"], 2)
    return values.tolist()


old_name = smallest_errors(SmallestError(name="smallest"))
new_name = smallest_errors(Renamed(name="smallest"))
print("reset_states, the old name:", old_name)
print("reset_state:               ", new_name)
assert old_name[0] == new_name[0]
assert old_name[1:] == [0, 0]
assert min(new_name) > 0

# %% [markdown]
# With the old name no error is raised, and the metric is wrong. Keras does not call `reset_states`. Between two epochs
# it calls `reset_state`, which is inherited and sets the smallest error to 0. No error is smaller than 0, so 0 stays.
# If you *call* the old name, you do get an error:


# %%
def outcome(function):
    """Return the function's result, or the name of the error it raised."""
    try:
        return function()
    except Exception as error:
        return type(error).__name__


print("metric.reset_states():", outcome(lambda: metric.reset_states()))

# %% [markdown]
# **Loss or metric?** Could we train with accuracy as the loss? An optimizer needs the **gradient**: how much the loss
# changes when a weight changes a little. We ask for the gradient of three numbers: the accuracy, the mean of the signs
# of the logits, and the cross-entropy of notebook 02. Section 4 explains the tape. Which gradients can an optimizer
# use?

# %%
weight = tf.Variable(0.3)
points = tf.constant([-1.0, 0.5, 2.0])
classes = tf.constant([0.0, 1.0, 1.0])
binary_loss = keras.losses.BinaryCrossentropy(from_logits=True)
with tf.GradientTape(persistent=True) as tape:
    scores = weight * points  # logits
    predicted = tf.cast(scores > 0, tf.float32)
    correct = tf.cast(predicted == classes, tf.float32)
    accuracy = tf.reduce_mean(correct)
    signs = tf.reduce_mean(tf.sign(scores))
    entropy = binary_loss(classes, scores)
of_accuracy = tape.gradient(accuracy, weight)
of_signs = tape.gradient(signs, weight)
of_entropy = tape.gradient(entropy, weight)
print("gradient of the accuracy:     ", of_accuracy)
print("gradient of the mean sign:    ", of_signs.numpy())
print(f"gradient of the cross-entropy: {of_entropy:.3f}")
assert of_accuracy is None
assert of_signs == 0
assert of_entropy < 0

# %% [markdown]
# Only the last one. `None` means that TensorFlow found no way from the accuracy back to the weight. It has no gradient
# for the comparison `scores > 0`. The sign has a gradient, but it is 0: a small change of the weight changes no sign.
#
# So training by gradients needs a loss that is differentiable almost everywhere, with a gradient that is not 0
# everywhere. A metric does not need
# a gradient.
#
# ### Exercise 3 · How often within tolerance?
#
# Complete `Within(tolerance)`: the proportion of all predictions, since the last reset, that are at most `tolerance`
# away from their label. Before the first batch it is 0. A batch may have any shape. Ignore `sample_weight`.


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
# Take the loss a² b at a = 2 and b = 3. By how much does it grow if a grows a little, for each unit of a? We try it
# with a step of 0.001. From school we expect 2ab = 12 for a, and a² = 4 for b.


# %%
def loss_of(a, b):
    return a**2 * b


step = 0.001
start_loss = loss_of(2, 3)
more_a = loss_of(2 + step, 3)
more_b = loss_of(2, 3 + step)
by_a = (more_a - start_loss) / step
by_b = (more_b - start_loss) / step
print(f"with a small step: {by_a:.2f} for a, {by_b:.2f} for b")

# %% [markdown]
# This way needs one more loss for each weight. A network has thousands of weights. A **gradient tape** records the
# computation inside its `with` block. `tape.gradient` then goes through the recording backwards, once, and returns the
# gradients of all weights.

# %%
a = tf.Variable(2.0)
b = tf.Variable(3.0)
with tf.GradientTape() as tape:
    loss = loss_of(a, b)
gradient_a, gradient_b = tape.gradient(loss, [a, b])
print("for a:", gradient_a.numpy())
print("for b:", gradient_b.numpy())
assert gradient_a == 12
assert gradient_b == 4

# %% [markdown]
# Three rules of the tape follow. **Rule 1**: by default the tape records every trainable variable of a float dtype that
# is used in its block. It records a constant only after `tape.watch`.

# %%
constant = tf.constant(2.0)
with tf.GradientTape() as tape:
    loss = loss_of(constant, b)
print("a constant:        ", tape.gradient(loss, constant))
with tf.GradientTape() as tape:
    tape.watch(constant)
    loss = loss_of(constant, b)
watched = tape.gradient(loss, constant)
print("a watched constant:", float(watched))
assert watched == 12

# %% [markdown]
# **Rule 2**: the tape does not record what is computed after its block.

# %%
with tf.GradientTape() as tape:
    loss = loss_of(a, b)
doubled = 2 * loss  # after the block
gradient = tape.gradient(doubled, a)
print("computed after the block:", gradient)
assert gradient is None

# %% [markdown]
# **Rule 3**: you can call `gradient` once, unless the tape is **persistent**. A persistent tape keeps its recording
# until the tape is deleted. So delete it when you are done.

# %%
with tf.GradientTape() as tape:
    loss = loss_of(a, b)
tape.gradient(loss, a)
second = outcome(lambda: tape.gradient(loss, b))
print("gradient called a second time:", second)
assert second == "RuntimeError"

# %%
with tf.GradientTape(persistent=True) as tape:
    loss = loss_of(a, b)
print("for a:", tape.gradient(loss, a).numpy())
print("for b:", tape.gradient(loss, b).numpy())
del tape

# %% [markdown]
# ### A common mistake: to expect one gradient for each loss
#
# Here are two losses at once, computed from two weights. The mistake is to expect two rows from `gradient`, one for
# each loss. How many numbers will it return?

# %%
w = tf.Variable([1.0, 2.0])
factors = tf.constant([[1.0, 10.0], [100.0, 0.0]])
with tf.GradientTape(persistent=True) as tape:
    two_losses = tf.linalg.matvec(factors, w**2)
gradient = tape.gradient(two_losses, w)
jacobian = tape.jacobian(two_losses, w)
del tape
plots.tensor_blocks(
    {"gradient": gradient, "jacobian": jacobian},
    title="gradient: the sum of both rows; jacobian: one row for each loss",
)

# %% [markdown]
# Two numbers. `gradient` returns the gradient of the *sum* of the losses. If you need the gradient of each loss, ask
# for the **Jacobian**: a row for each loss, a column for each weight. For one loss, such as a mean over a batch,
# `gradient` is what you need.

# %%
sum_of_rows = tf.reduce_sum(jacobian, axis=0)
print("sum of the rows:", sum_of_rows.numpy())
assert np.allclose(gradient, sum_of_rows)

# %% [markdown]
# You may want a part of a computation to count as a constant. `tf.stop_gradient` returns its input, and no gradient
# flows back through it. The derivative of w·w is 2w. What is it at w = 3 if the second factor is stopped?

# %%
w = tf.Variable(3.0)
with tf.GradientTape(persistent=True) as tape:
    square = w * w
    half_stopped = w * tf.stop_gradient(w)
of_square = tape.gradient(square, w)
of_half = tape.gradient(half_stopped, w)
print("w * w:       value", square.numpy(), "gradient", of_square.numpy())
print("half stopped: value", half_stopped.numpy(), "gradient", of_half.numpy())
assert of_half == 3

# %% [markdown]
# It is 3: the second factor counts as the constant 3.
#
# ### Exercise 4 · Reduce the largest loss
#
# Write `descend(function, variable, rate, steps)`. `function(variable)` returns a vector of losses. In each step take
# the gradient of the *largest* loss only. Then change the variable in place: subtract `rate` times that gradient.
# Return a list with the largest loss of each step, as it was before the variable changed.


# %%
def descend(function, variable, rate, steps):
    # your code
    ...


# %%
exercises.downhill.check(descend)

# %% [markdown]
# ## 5 · The training loop
#
# Now we write the whole loop. We use 2,000 images of clothes and 500 for validation. The model has **dropout**, a layer
# that sets some of its inputs to 0 in training only (notebook 07). It also has a penalty on weights. A loop must handle
# both.

# %%
fashion = data.fashion(verbose=False)
all_images, all_labels = fashion.arrays("train")
images = all_images[:2000]
labels = all_labels[:2000]
all_val_images, all_val_labels = fashion.arrays("val")
val_images = all_val_images[:500]
val_labels = all_val_labels[:500]
STEPS = 20
BATCH_SIZE = len(images) // STEPS
print(len(images), "images in", STEPS, "batches of", BATCH_SIZE)


# %%
def new_model():
    """Return the same randomly initialised model at every call."""
    keras.utils.set_random_seed(1)
    penalty = keras.regularizers.L2(0.001)
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu", kernel_regularizer=penalty),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10),  # logits
        ]
    )


def new_batches():
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    return dataset.batch(BATCH_SIZE)


# %% [markdown]
# One **training step** does four things:
#
# 1. predict, with `training=True`, so that dropout is active,
# 2. compute the loss, and add the penalties from `model.losses`,
# 3. take the gradients of the loss,
# 4. let the optimizer change the weights.

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
# Validation uses other images, and dropout is inactive: `training=False`.


# %%
def validate(model):
    """Return loss and accuracy on the validation images."""
    logits = model(val_images, training=False)
    loss = cross_entropy(val_labels, logits) + sum(model.losses)
    predicted = np.argmax(logits, axis=1)
    accuracy = np.mean(predicted == val_labels)
    return float(loss), float(accuracy)


# %% [markdown]
# The loop: in each epoch reset the metrics, train on all batches, then validate.

# %%
EPOCHS = 3
by_hand = new_model()
optimizer = keras.optimizers.Adam(0.002)
mean_loss = keras.metrics.Mean()
accuracy = keras.metrics.SparseCategoricalAccuracy()
log = {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []}

# %%
for epoch in range(EPOCHS):
    mean_loss.reset_state()
    accuracy.reset_state()
    for x_batch, y_batch in new_batches():
        loss, logits = train_step(by_hand, optimizer, x_batch, y_batch)
        mean_loss.update_state(loss)
        accuracy.update_state(y_batch, logits)
    epoch_loss = float(mean_loss.result())
    epoch_accuracy = float(accuracy.result())
    val_loss, val_accuracy = validate(by_hand)
    log["loss"].append(epoch_loss)
    log["accuracy"].append(epoch_accuracy)
    log["val_loss"].append(val_loss)
    log["val_accuracy"].append(val_accuracy)
    print(f"epoch {epoch + 1}: loss {epoch_loss:.2f}, accuracy {epoch_accuracy:.2f}")

# %% [markdown]
# `fit` trains a second model from the same seed on the same batches. Will the two models end with the same weights?

# %%
by_fit = new_model()
by_fit.compile(optimizer=keras.optimizers.Adam(0.002), loss=cross_entropy, metrics=["accuracy"])
training = by_fit.fit(
    new_batches(),
    validation_data=(val_images, val_labels),
    epochs=EPOCHS,
    shuffle=False,
    verbose=0,
)
history = training.history
plots.learning_curves(
    {"by hand": log, "fit": history},
    title="The curves of both loops lie upon each other",
)


# %%
def distance(one, other):
    """Return the largest difference between the weights of two models."""
    pairs = zip(one.get_weights(), other.get_weights())
    differences = []
    for first, second in pairs:
        difference = np.abs(first - second)
        differences.append(difference.max())
    return max(differences)


# %%
steps = int(optimizer.iterations)
difference = distance(by_hand, by_fit)
print("steps of the optimizer:", steps)
print(f"largest difference between two weights: {difference:.3f}")
assert steps == EPOCHS * STEPS
assert difference < 1e-4
for key in log:
    assert np.allclose(log[key], history[key], atol=1e-3), key

# %% [markdown]
# Yes, except for rounding: no weight differs by more than 0.0001.
#
# ### A common mistake: `training=True` or the penalties forgotten
#
# Here are two training steps, each with one thing missing. Neither raises an error. What happens to the training loss?


# %%
def step_without_training(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        logits = model(x)  # training=True is missing
        loss = cross_entropy(y, logits) + sum(model.losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss, logits


def step_without_penalties(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = cross_entropy(y, logits)  # model.losses is missing
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss, logits


# %%
def one_epoch(step):
    """Train a new model for one epoch; return it and the mean loss of its last five steps."""
    model = new_model()
    optimizer = keras.optimizers.Adam(0.002)
    losses = []
    for x_batch, y_batch in new_batches():
        loss, _ = step(model, optimizer, x_batch, y_batch)
        losses.append(float(loss))
    last_five = losses[-5:]
    return model, np.mean(last_five)


# %%
correct, correct_loss = one_epoch(train_step)
print(f"nothing forgotten: loss {correct_loss:.2f}")
mistakes = {
    "without training=True": step_without_training,
    "without penalties": step_without_penalties,
}
for name, step in mistakes.items():
    model, loss = one_epoch(step)
    difference = distance(model, correct)
    print(f"{name}: loss {loss:.2f}, weights differ by up to {difference:.2f}")
    assert difference > 0.001
    assert loss < correct_loss

# %% [markdown]
# For this model, both mistakes make the training loss *smaller*. So the training loss does not show the mistake.
#
# - Without `training=True` each layer uses its own default (notebook 03). Dropout does nothing by default.
# - Without the penalties a positive number is missing from the loss.
#
# ### Exercise 5 · Half a batch at a time
#
# A batch may be too large for the memory. Then you can use it in two halves. Write
# `accumulated_step(model, optimizer, x, y)`:
#
# - take the gradients for the first half of the batch, then for the second half; do not change the weights in between,
# - let the optimizer apply the mean of the two gradients, once.
#
# The batch has an even number of samples. Use `cross_entropy` and `model.losses`, as `train_step` does. Your step will
# also be run as a graph (section 6), so call no `.numpy()` in it.


# %%
def accumulated_step(model, optimizer, x, y):
    # your code
    ...


# %%
exercises.halves.check(accumulated_step)

# %% [markdown]
# ## 6 · From Python to a graph
#
# So far our step runs as Python: Python starts each operation of each step, one by one. This is called **eager**
# execution. `tf.function` does something else. In the first call it runs the Python function and records its
# operations. The record is called a **graph**, and recording is called **tracing**. Later calls run the graph, and not
# the Python function. How much faster will a step be? Guess a factor.


# %%
def step_times(step):
    """Return the milliseconds of 32 training steps of a new model."""
    model = new_model()
    optimizer = keras.optimizers.Adam(0.002)
    optimizer.build(model.trainable_variables)  # creates its variables before the graph
    x_batch = tf.constant(images[:100])
    y_batch = tf.constant(labels[:100])
    times = []
    for _ in range(32):
        began = time.perf_counter()
        step(model, optimizer, x_batch, y_batch)
        seconds = time.perf_counter() - began
        times.append(1000 * seconds)
    return times


# %%
eager_times = step_times(train_step)
graph_times = step_times(tf.function(train_step))
eager = np.median(eager_times)
graph = np.median(graph_times)
first_step = graph_times[0]
ratio = eager / graph
print(f"eager: {eager:.2f} ms")
print(f"graph: {graph:.2f} ms, {ratio:.1f}x as fast")
print(f"the first step of the graph, with tracing: {first_step:.0f} ms")
assert graph < eager < first_step

# %% [markdown]
# The times are those of one machine. A graph helps most where there are many small operations. With a few expensive
# ones, such as large convolutions, it may help little
# ([tf.function guide](https://www.tensorflow.org/guide/function)).
#
# The first step is slow, because tracing takes time. So a function should be traced rarely. When is it traced again?
# The list `traced` below gets one more entry with each tracing. How often will `double` be traced for the five
# arguments in the cell after the next?

# %%
traced = []


@tf.function
def double(number):
    traced.append("double")  # plain Python: runs during tracing only
    return 2 * number


# %%
arguments = {
    "tensor 1.0": tf.constant(1.0),
    "tensor 2.0": tf.constant(2.0),
    "vector of 2": tf.constant([1.0, 2.0]),
    "vector of 3": tf.constant([1.0, 2.0, 3.0]),
    "integer tensor 1": tf.constant(1),
}
counts = []
for name, argument in arguments.items():
    double(argument)
    count = len(traced)
    counts.append(count)
    print(f"{name:16} traced so far: {count}")
assert counts == [1, 1, 2, 3, 4]

# %% [markdown]
# A new *value* in a tensor needs no new graph. A new shape or a new dtype does.
#
# ### A common mistake: a Python number that changes
#
# For a Python number TensorFlow makes, by default, a new graph for each new *value*
# ([guide](https://www.tensorflow.org/guide/function#controlling_retracing)). Here the epoch goes into the function as a
# Python number. Watch for a warning.


# %%
@tf.function
def scale(number):
    traced.append("scale")
    return number * tf.range(10.0)


traced.clear()
for epoch in range(12):
    scale(float(epoch))
print("12 calls with Python numbers, traced:", len(traced))
assert len(traced) == 12

# %% [markdown]
# The function is traced in each of the 12 calls. This is called **retracing**. TensorFlow warns at the fifth tracing
# and at the sixth, then no more. The warning names three causes. Ours is the third: Python objects instead of tensors.
# `fit` compiles its training step for each model, so you may also meet this warning after training or evaluating many models.
#
# Write a tensor instead:

# %%
traced.clear()
for epoch in range(12):
    scale(tf.constant(float(epoch)))
print("12 calls with tensors, traced:", len(traced))
assert len(traced) == 1

# %% [markdown]
# Last, we train for an epoch with our step as a graph. Are the weights the same as without the graph?

# %%
compiled, compiled_loss = one_epoch(tf.function(train_step))
print(f"loss {compiled_loss:.2f}, loss without the graph {correct_loss:.2f}")
difference = distance(compiled, correct)
print(f"largest difference between two weights: {difference:.3f}")
assert difference < 1e-4

# %% [markdown]
# Yes, except for rounding.
#
# ## 7 · AutoGraph: what becomes of `print`, `if` and `for`
#
# Before tracing, `tf.function` rewrites `if`, `for` and `while` in the Python code, so that they can work with tensors
# ([guide](https://www.tensorflow.org/guide/function#autograph_transformations)). This part of TensorFlow is called
# **AutoGraph**. First we look at `print`. The function below is called twice. How often does each of its two lines
# print?


# %%
@tf.function
def half(number):
    print("print:", number)
    tf.print("tf.print:", number)
    return number / 2


for value in [8.0, 6.0]:
    half(tf.constant(value))

# %% [markdown]
# `print` is Python. It prints once, during tracing, when the tensor has no value yet. `tf.print` is an operation in the
# graph. It prints in every call.
#
# Next we look at `if`. When the condition is a tensor, the whole `if` becomes one operation, which holds both branches.
# To see the operations of a graph, we list their types.


# %%
def operation_types(function, *arguments):
    """Return the types of the operations in the graph for these arguments."""
    graph = function.get_concrete_function(*arguments).graph
    return [operation.type for operation in graph.get_operations()]


@tf.function
def absolute(number):
    if number < 0:
        print("tracing the branch for negative numbers")
        result = -number
    else:
        print("tracing the other branch")
        result = number
    return result


# %%
negative = tf.constant(-3.0)
positive = tf.constant(5.0)
print("of -3:", absolute(negative).numpy())
print("of 5: ", absolute(positive).numpy())
types = operation_types(absolute, negative)
print("operations:", types)
assert absolute(negative) == 3
assert absolute(positive) == 5
assert "StatelessIf" in types

# %% [markdown]
# Both branches were traced, in one tracing. The operation `StatelessIf` chooses between them in every call.
#
# Last we look at `for`. A loop over a Python `range` runs during tracing: each round adds its operations to the graph.
# A loop over a `tf.range` becomes one operation, `StatelessWhile`. How many multiplications, `Mul`, will the first
# graph have?


# %%
@tf.function
def python_loop(number):
    for _ in range(5):
        number = 2 * number
    return number


@tf.function
def tensor_loop(number):
    for _ in tf.range(5):
        number = 2 * number
    return number


one = tf.constant(1.0)
python_types = operation_types(python_loop, one)
tensor_types = operation_types(tensor_loop, one)
print("range:   ", python_types)
print("tf.range:", tensor_types)
assert python_types.count("Mul") == 5
assert tensor_types.count("StatelessWhile") == 1
assert python_loop(one) == 32
assert tensor_loop(one) == 32

# %% [markdown]
# Five, one for each round. Both functions return 32.
#
# ## For reference
#
# Nothing here is needed for the exercises. Come back when you need it.
#
# | you want | write |
# |---|---|
# | the sum over the samples divided by their number | `HuberLoss()`, the same as `reduction="sum_over_batch_size"` |
# | the sum divided by the sum of the weights | `HuberLoss(reduction="mean_with_sample_weight")` |
# | one number for each sample | `HuberLoss(reduction="none")` |
# | to call `gradient` several times | `tf.GradientTape(persistent=True)` |
# | one row of gradients for each loss | `tape.jacobian(losses, weights)` |
# | a part that counts as a constant | `tf.stop_gradient(part)` |
# | a graph for vectors of any length | `tf.function(f, input_signature=[tf.TensorSpec([None], tf.float32)])` |
# | a more general graph from the second shape on | `tf.function(f, reduce_retracing=True)` |
# | the Python function under `@tf.function` | `f.python_function` |
# | a graph without AutoGraph | `tf.function(f, autograph=False)`; an `if` on a tensor then raises an error |
# | the code that AutoGraph writes | `print(tf.autograph.to_code(f.python_function))` |
#
# The base class of a loss multiplies by the **sample weights** after `call`. By default it then divides the sum by the
# number of samples, not by the sum of the weights.

# %%
labels = tf.constant([[0.0], [0.0]])
guesses = tf.constant([[1.0], [10.0]])
weights = tf.constant([1.0, 0.0])
loss = HuberLoss()
each = loss.call(labels, guesses)
mean = loss(labels, guesses)
weighted = loss(labels, guesses, sample_weight=weights)
print("call, each sample:    ", each.numpy())
print("the mean:             ", mean.numpy())
print("with weights 1 and 0: ", weighted.numpy())
assert weighted == each[0] / 2

# %% [markdown]
# `MeanMetricWrapper` of Keras makes a metric of a loss function. It agrees with `HuberMetric`.

# %%
wrapped = keras.metrics.MeanMetricWrapper(keras.losses.huber)
labels = np.zeros_like(everything)
wrapped.update_state(labels, everything)
keras_value = float(wrapped.result())
print(f"Keras: {keras_value:.2f}")
assert np.isclose(mean_of_all, keras_value)

# %% [markdown]
# A graph keeps the Python values that it saw during tracing. Below, `factor` is a Python number and `changing` is a
# variable. After the first call both change from 2 to 100. The second call sees the new value of the variable only.

# %%
factor = 2.0
changing = tf.Variable(2.0)


@tf.function
def both_scaled(number):
    return factor * number, changing * number


by_number, by_variable = both_scaled(one)
print("first call:  Python number", by_number.numpy(), "variable", by_variable.numpy())
factor = 100.0
changing.assign(100.0)
by_number, by_variable = both_scaled(one)
print("second call: Python number", by_number.numpy(), "variable", by_variable.numpy())
assert by_number == 2
assert by_variable == 100

# %% [markdown]
# When the condition is a Python value, it is decided during tracing. Then the graph holds one branch and no `If`:


# %%
@tf.function
def maybe_double(number, doubled):
    if doubled:
        number = 2 * number
    return number


for doubled in [True, False]:
    types = operation_types(maybe_double, tf.constant(3.0), doubled)
    print(f"doubled={doubled}:", types)
    assert ("Mul" in types) == doubled
    assert "StatelessIf" not in types

# %% [markdown]
# Vectors of 2, 3, 4 and 5 numbers: a plain function is traced four times, with `reduce_retracing` twice, with an
# `input_signature` once.

# %%
any_length = [tf.TensorSpec([None], tf.float32)]
plain = tf.function(lambda numbers: 2 * numbers)
reduced = tf.function(lambda numbers: 2 * numbers, reduce_retracing=True)
signed = tf.function(lambda numbers: 2 * numbers, input_signature=any_length)
for length in [2, 3, 4, 5]:
    numbers = tf.ones(length)
    plain(numbers)
    reduced(numbers)
    signed(numbers)
tracings = []
for function in [plain, reduced, signed]:
    count = function.experimental_get_tracing_count()
    tracings.append(count)
print("plain, reduce_retracing, input_signature:", tracings)
assert tracings == [4, 2, 1]

# %% [markdown]
# A regularizer with `get_config` comes back from a file with its strength.

# %%
layer = keras.layers.Dense(3, kernel_regularizer=AbsoluteSum(strength=0.2))
net = keras.Sequential()
net.add(keras.Input((4,)))
net.add(layer)
net.save(path)
loaded = keras.saving.load_model(path)
layer = loaded.layers[0]
regularizer = layer.kernel_regularizer
print("strength after loading:", regularizer.strength)
assert regularizer.strength == 0.2

# %% [markdown]
# When the condition is a tensor, a name that is set in one branch only, and not before the `if`, raises an error:


# %%
@tf.function
def one_branch(number):
    if number > 0:
        result = number
    return result


try:
    one_branch(one)
except ValueError as error:
    message = str(error)
    print(message[message.index("ValueError") :])
else:
    raise AssertionError("no error was raised")

# %% [markdown]
# ## Summary
#
# - A loss function returns one number for each sample. A loss with a setting is a class with `get_config`.
# - A streaming metric keeps a state from batch to batch, and starts again with `reset_state`. A loss needs a gradient, a
#   metric does not.
# - A tape records what is computed inside its block. For a vector of losses, `gradient` returns the gradient of their
#   sum, and `jacobian` a row for each loss.
# - A training step predicts with `training=True`, adds `model.losses` to the loss, takes the gradients, and calls
#   `optimizer.apply`.
# - `tf.function` traces Python to a graph. By default a tensor with a new shape or dtype, or a new Python value, is
#   traced again. `if` and `for` on tensors become operations, `print` runs during tracing.
#
# **Next** [05 · Callbacks](05_callbacks.ipynb): let `fit` do the loop, and add your own code to it.
#
# ## References
#
# - TensorFlow: [automatic differentiation](https://www.tensorflow.org/guide/autodiff) and its [advanced
#   part](https://www.tensorflow.org/guide/advanced_autodiff), [tf.function and
#   AutoGraph](https://www.tensorflow.org/guide/function)
# - TensorFlow: [limitations of
#   AutoGraph](https://github.com/tensorflow/tensorflow/blob/master/tensorflow/python/autograph/g3doc/reference/limitations.md)
# - Keras: [losses](https://keras.io/api/losses/), [metrics](https://keras.io/api/metrics/), [a training loop from
#   scratch](https://keras.io/guides/writing_a_custom_training_loop_in_tensorflow/)
# - Huber 1964, [Robust estimation of a location parameter](https://doi.org/10.1214/aoms/1177703732)
# - Koenker and Bassett 1978, [Regression quantiles](https://doi.org/10.2307/1913643): the pinball loss
