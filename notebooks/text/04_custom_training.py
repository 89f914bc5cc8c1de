# %% [markdown]
# # 04 · Training by hand
#
# You write the parts of training yourself: a loss, a metric, the gradients, the loop. At the end your loop and `fit`
# give the same weights.
#
# You will be able to
# - write a loss that is saved with its settings,
# - write the four functions that a layer takes,
# - write a metric that is updated batch by batch, and say what a loss needs that a metric does not need,
# - compute gradients with TensorFlow's gradient tape, of one loss or of several,
# - write a training step that equals `fit`, and compile it.
#
# **Needs** notebooks 01 to 03: tensors, models, a layer of your own.
# **Time** 85 minutes to read, 70 for the exercises; under 60 seconds to run on two CPU cores.

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
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from helpers import data, plots
from helpers.exercises import ex04_custom_training as exercises

keras.config.set_dtype_policy("float32")  # for comparisons to the last digit, on a GPU too

# %% [markdown]
# ## 1 · A loss of your own
#
# Forty points lie close to a line. Four of them get a wrong label, -4.

# %%
rng = np.random.default_rng(0)
x = np.linspace(0, 1, 40, dtype="float32")
x = x.reshape(40, 1)
truth = 3 * x + 1
noise = rng.normal(0, 0.1, x.shape)
y = truth + noise.astype("float32")
wrong = [30, 33, 36, 39]
y[wrong] = -4

# %% [markdown]
# An **error** is the prediction minus the label. The **mean squared error** is the mean of the squares of all errors.
# An error of 8 costs 64 times as much as an error of 1.
#
# The **Huber loss** gives large errors less weight. It has a setting, **delta** (δ).
#
# For an error e the Huber loss is
#
# - e² / 2 where |e| ≤ δ: a parabola,
# - δ (|e| - δ / 2) where |e| > δ: a straight line.
#
# A **loss function** takes labels and predictions. Ours takes the mean over the last axis. For labels of shape
# (samples, values) this is one number for each sample. `ops` are Keras' functions for tensors. We compute both
# formulas for all numbers. `ops.where` then takes one of the two results for each number.


# %%
def huber(y_true, y_pred, delta=1.0):
    size = ops.abs(y_pred - y_true)
    parabola = size**2 / 2
    straight = delta * (size - delta / 2)
    values = ops.where(size <= delta, parabola, straight)
    return ops.mean(values, axis=-1)


# %%
errors = np.linspace(-3, 3, 121, dtype="float32")
one_value_each = errors.reshape(121, 1)  # 121 samples with one value
huber_curve = huber(0.0, one_value_each).numpy()
plots.lines(
    errors,
    {"squared error / 2": errors**2 / 2, "Huber, delta 1": huber_curve},
    xlabel="error",
    ylabel="loss",
    title="Huber: a parabola between -1 and 1, straight lines outside",
)


# %% [markdown]
# `compile` takes our function as it takes `"mse"`. We fit a line three times: with the squared error, with Huber, and
# with the squared error but without the four wrong labels. Which two of the lines will be close to each other?


# %%
def new_line():
    """Return a model with one weight and one bias, the same at every call."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


def fitted_line(loss, inputs, labels):
    """Fit a line with this loss; return its height at each x."""
    line = new_line()
    line.compile(optimizer=keras.optimizers.Adam(0.1), loss=loss)
    line.fit(inputs, labels, batch_size=8, epochs=30, shuffle=False, verbose=0)
    return line(x).numpy()[:, 0]


# %%
# Takes about 5 seconds.
x_correct = np.delete(x, wrong, axis=0)
y_correct = np.delete(y, wrong, axis=0)
heights = {
    "squared error": fitted_line("mse", x, y),
    "Huber": fitted_line(huber, x, y),
    "squared error, 36 correct labels": fitted_line("mse", x_correct, y_correct),
}
plots.lines(
    x[:, 0],
    heights,
    xlabel="x",
    ylabel="y",
    title="With Huber the line stays near the correct labels",
    points={"labels": (x[:, 0], y[:, 0])},
)

# %%
true_line = truth[:, 0]
distances = []
for name, height in heights.items():
    errors = np.abs(height - true_line)
    distance = errors.mean()
    distances.append(distance)
    print(f"{name}: {distance:.2f} from the true line, on average")
assert distances[1] < distances[0] / 2
assert distances[2] < distances[0] / 2

# %% [markdown]
# Two lines are close to each other: the line with Huber, and the line without the wrong labels. Keras has the Huber
# loss, too (*For reference*).
#
# ### A common mistake: a setting that is not saved
#
# To load a model with a loss function of your own, you can give `load_model` a dictionary, `custom_objects`, from
# names to functions. The mistake is to do this with a loss that has a setting. Here `my_huber` is made inside
# `huber_with` and uses its delta.


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
saved_loss = line.evaluate(x, y, verbose=0)
loaded_loss = loaded.evaluate(x, y, verbose=0)
config = line.get_compile_config()
print("what Keras saves for the loss:", config["loss"]["config"])
print(f"before saving: loss {saved_loss:.2f}, after loading: loss {loaded_loss:.2f}")
assert config["loss"]["config"] == "my_huber"
assert loaded_loss < saved_loss / 2

# %% [markdown]
# No error is raised, and yet the loaded model has another loss, with delta 0.1. Keras saves the name `my_huber`. It
# does not save delta.
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
# The base class takes the mean of what `call` returns. *For reference* shows this, and what sample weights do.
#
# ### Exercise 1 · A loss with two prices
#
# Complete `PinballLoss(quantile)`, a loss with a setting between 0 and 1. Here e is the label minus the prediction
# (in the Huber loss it was the other way round). The loss of one value is
#
# - `quantile * e` where e is positive,
# - `(quantile - 1) * e` where e is negative.
#
# With quantile 0.9, a prediction that is too low costs nine times as much as one that is too high by the same amount.
# The loss of a sample is the mean over its last axis. `get_config` must return `quantile`, and also the settings that
# the base class returns, such as `name`.
#
# Write your answer in the next cell. The cell after it checks the answer. `exercises.pinball.hint()` gives a hint; call
# it again for a plainer one. `exercises.pinball.solution()` shows a right answer.


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
# A layer such as `Dense` takes four kinds of functions. The **kernel** is its matrix of weights.
#
# | function | argument of `Dense` | gets | returns | takes effect |
# |---|---|---|---|---|
# | **activation** | `activation` | the numbers inputs @ kernel + bias | the layer's outputs | in every call of the layer |
# | **initializer** | `kernel_initializer` | a shape and a dtype | the first weights | once, when the weights are created |
# | **regularizer** | `kernel_regularizer` | weights | a penalty, one number | whenever `model.losses` is read |
# | **constraint** | `kernel_constraint` | weights | weights that are allowed | after every step of the optimizer |
#
# First we look at three activations that Keras has. `linear` returns its input. Which of the three can be negative?

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
    title="relu replaces negative numbers by 0; sigmoid lies between 0 and 1",
)

# %% [markdown]
# Only `linear`. These three treat each number by itself. **Softmax** takes several numbers of a sample, one for each
# class. It turns them into **probabilities**: none is negative, and they add up to 1. (*For reference* draws them.)
# Numbers before softmax or sigmoid are called **logits**. A logit may be any number.
#
# A classifier may end in logits or in probabilities, and its loss must know which. With `from_logits=True` the loss
# below applies softmax itself. With `from_logits=False`, the default, it expects probabilities. What happens if it gets
# logits then?

# %%
label = tf.constant([0])
logits = tf.constant([[1.0, 0.0, 3.0]])
on_logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
on_probabilities = keras.losses.SparseCategoricalCrossentropy(from_logits=False)
probabilities = keras.activations.softmax(logits)
expected = on_logits(label, logits)
same = on_probabilities(label, probabilities)
mistaken = on_probabilities(label, logits)
print("probabilities:", probabilities.numpy().round(2))
print(f"logits, from_logits=True:         {expected:.3f}")
print(f"probabilities, from_logits=False: {same:.3f}")
print(f"logits, from_logits=False:        {mistaken:.3f}")
assert np.allclose(expected, same)
assert not np.allclose(expected, mistaken)

# %% [markdown]
# The last number, 0.693, is not the loss 2.170, and no error or warning is shown. The classifier in section 5 ends in
# logits, so its loss gets `from_logits=True`.
#
# Now we write one function of each kind.


# %%
def soft_sign(inputs):
    """Return numbers between -1 and 1, with the signs of the inputs."""
    return inputs / (1 + ops.abs(inputs))


def half_normal(shape, dtype=None):
    """Return the absolute values of normally distributed random numbers."""
    numbers = keras.random.normal(shape, stddev=0.1, dtype=dtype, seed=1)
    return ops.abs(numbers)


def absolute_sum(weights):
    return 0.01 * ops.sum(ops.abs(weights))


def not_negative(weights):
    return ops.maximum(weights, 0)


# %%
numbers = tf.constant([-3.0, 0.0, 1.0])
print("activation: ", soft_sign(numbers).numpy())
print("initializer:", half_normal((3,)).numpy().round(3))
print("regularizer:", absolute_sum(numbers).numpy())
print("constraint: ", not_negative(numbers).numpy())

# %% [markdown]
# *For reference* trains a layer with all four. The penalty is an entry of the list `model.losses`. `fit` adds it to the
# loss; so does our loop in section 5.
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
# A kernel has the shape (inputs, units).


# %%
def four_pieces(strength, low, high):
    # your code
    ...


# %%
exercises.pieces.check(four_pieces)

# %% [markdown]
# ## 3 · A metric of your own
#
# People read a **metric**, such as accuracy; the optimizer does not use it. `fit` computes it batch by batch, and the
# last batch may be smaller. Here are 70 errors in three batches. We compute their Huber losses. Is the mean of the
# three batch means the mean of all 70 losses?

# %%
many_small = np.full((64, 1), 1.0, "float32")
few_large = np.full((6, 1), 9.0, "float32")
everything = np.concatenate([many_small, few_large])
batches = np.split(everything, [32, 64])
batch_means = []
for batch in batches:
    batch_mean = np.mean(huber(0.0, batch))
    batch_means.append(batch_mean)
    print("mean of a batch:", batch_mean)
mean_of_all = np.mean(huber(0.0, everything))
print(f"mean of these:   {np.mean(batch_means):.2f}")
print(f"mean of all 70:  {mean_of_all:.2f}")

# %% [markdown]
# No. The batch of 6 counted as much as a batch of 32.
#
# A **streaming metric** keeps numbers, its **state**, from batch to batch. For a mean the state is a total and a count.
# Three methods matter: `update_state` adds a batch to the state, `result` computes the value from the state, and
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
            given = ops.cast(sample_weight, values.dtype)
            weights = weights * ops.reshape(given, (-1,))  # shape (samples,)
        self.total.assign_add(ops.sum(values * weights))
        self.count.assign_add(ops.sum(weights))

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
    value = float(metric.result())
    print(f"after {int(metric.count)} samples: {value:.2f}")
assert np.isclose(metric.result(), mean_of_all)

# %% [markdown]
# Every epoch must begin with a fresh state. `reset_state` of the base class sets all variables of the metric to zero.
# That is right for a total and a count.
#
# ### A common mistake: `reset_states`
#
# Until TensorFlow 2.4 the method was called `reset_states`
# ([tensorflow#50359](https://github.com/tensorflow/tensorflow/issues/50359)). Here is a metric that keeps the smallest
# error. It must start from infinity, so it has its own reset. But the reset has the old name. The second class has the
# current name.


# %%
class SmallestError(keras.metrics.Metric):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        infinity = keras.initializers.Constant(np.inf)
        self.low = self.add_variable((), initializer=infinity, name="low")

    def update_state(self, y_true, y_pred, sample_weight=None):
        smallest = ops.min(ops.abs(y_pred - y_true))
        self.low.assign(ops.minimum(self.low, smallest))

    def result(self):
        return ops.copy(self.low)

    def reset_states(self):  # the old name
        self.low.assign(np.inf)


class Renamed(SmallestError):
    def reset_state(self):
        self.low.assign(np.inf)


# %%
line = new_line()
both = [SmallestError(name="old_name"), Renamed(name="new_name")]
line.compile(optimizer="sgd", loss="mse", metrics=both)
training = line.fit(x, x + 7, epochs=3, verbose=0)
old_name = training.history["old_name"]
new_name = training.history["new_name"]
print("reset_states, the old name:", np.round(old_name, 2))
print("reset_state:               ", np.round(new_name, 2))
assert old_name[2] == 0
assert new_name[2] > 0
assert not hasattr(HuberMetric, "reset_states")

# %% [markdown]
# With the old name no error is raised in Keras 3, and the metric is wrong. Before the second epoch `fit` calls
# `reset_state`, which is inherited and sets the smallest error to 0. No error is smaller than 0, so 0 stays.
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
# An optimizer needs the **gradient**: the change of the loss divided by a small change of a weight. Take the loss a²
# b at a = 2 and b = 3. The gradient for one weight is the derivative that you know from school: for a it is 2ab = 12,
# for b it is a² = 4. We try a step of 0.001 for a.


# %%
def loss_of(a, b):
    return a**2 * b


step = 0.001
start_loss = loss_of(2, 3)
by_a = (loss_of(2 + step, 3) - start_loss) / step
print(f"with a small step: {by_a:.2f} for a")

# %% [markdown]
# This way needs one more computation of the loss for each weight. A network has thousands of weights. A **gradient
# tape** records the computation inside its `with` block. `tape.gradient` then goes through the recording backwards,
# once, and returns the gradients of all weights.

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
# Three rules of the tape follow. **Rule 1**: by default the tape watches each trainable float variable that an
# operation reads in its block. It watches a constant only after `tape.watch`.

# %%
constant = tf.constant(2.0)
with tf.GradientTape() as tape:
    loss = loss_of(constant, b)
print("a constant:        ", tape.gradient(loss, constant))
with tf.GradientTape() as tape:
    tape.watch(constant)
    loss = loss_of(constant, b)
watched = tape.gradient(loss, constant)
print("a watched constant:", watched.numpy())
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
# **Rule 3**: you can call `gradient` once, unless the tape is **persistent**, as the next one is. *For reference* shows
# the error.
#
# **Loss or metric.** We ask for the gradients of the accuracy and of the binary cross-entropy, a loss for two classes.
# Which one can an optimizer use?

# %%
weight = tf.Variable(0.3)
points = tf.constant([-1.0, 0.5, 2.0])
classes = tf.constant([0.0, 1.0, 1.0])
binary_loss = keras.losses.BinaryCrossentropy(from_logits=True)
with tf.GradientTape(persistent=True) as tape:
    logits = weight * points
    predicted = ops.cast(logits > 0, "float32")
    correct = ops.cast(predicted == classes, "float32")
    accuracy = ops.mean(correct)
    entropy = binary_loss(classes, logits)
of_accuracy = tape.gradient(accuracy, weight)
of_entropy = tape.gradient(entropy, weight)
del tape  # a persistent tape keeps its recording until it is deleted
print("gradient of the accuracy:     ", of_accuracy)
print(f"gradient of the cross-entropy: {of_entropy:.3f}")
assert of_accuracy is None
assert of_entropy < 0

# %% [markdown]
# The second. `None` means that TensorFlow cannot compute the gradient: one operation in between, the comparison
# `logits > 0`, has none. So a loss needs a gradient: it tells the optimizer whether to make a weight larger or
# smaller. A metric does not need a gradient.
#
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
assert np.allclose(gradient, tf.reduce_sum(jacobian, axis=0))
plots.tensor_blocks(
    {"gradient": gradient, "jacobian": jacobian},
    title="gradient adds up the rows of the jacobian",
)

# %% [markdown]
# Two numbers. `gradient` returns the gradient of the *sum* of the losses. If you need the gradient of each loss, ask
# for the **Jacobian**: a row for each loss, a column for each weight.
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
# that sets some of its inputs to 0 in training only (notebook 03, Exercise 4). It also has a penalty on weights. A loop
# must handle both.

# %%
fashion = data.fashion(verbose=False)
images, labels = fashion.arrays("train")
images = images[:2000]
labels = labels[:2000]
val_images, val_labels = fashion.arrays("val")
val_images = val_images[:500]
val_labels = val_labels[:500]
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
#
# For validation, dropout is inactive: `training=False`.

# %%
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def train_step(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = cross_entropy(y, logits) + sum(model.losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss


def validate(model):
    """Return the accuracy on the validation images."""
    logits = model(val_images, training=False)
    predicted = np.argmax(logits, axis=1)
    return np.mean(predicted == val_labels)


# %% [markdown]
# The loop: in each epoch reset the metric, train on all batches, then validate.

# %%
EPOCHS = 3
by_hand = new_model()
optimizer = keras.optimizers.Adam(0.002)
mean_loss = keras.metrics.Mean()
log = {"loss": [], "val_accuracy": []}
for epoch in range(EPOCHS):
    mean_loss.reset_state()
    for x_batch, y_batch in new_batches():
        loss = train_step(by_hand, optimizer, x_batch, y_batch)
        mean_loss.update_state(loss)
    epoch_loss = float(mean_loss.result())
    val_accuracy = validate(by_hand)
    log["loss"].append(epoch_loss)
    log["val_accuracy"].append(val_accuracy)
    print(f"epoch {epoch + 1}: loss {epoch_loss:.2f}, validation accuracy {val_accuracy:.2f}")

# %% [markdown]
# `fit` trains a second model from the same seed on the same batches. Will the two models end with the same weights?


# %%
def distance(one, other):
    """Return the largest difference between the weights of two models."""
    largest = 0.0
    for first, second in zip(one.get_weights(), other.get_weights()):
        difference = np.abs(first - second).max()
        largest = max(largest, difference)
    return largest


# %%
by_fit = new_model()
by_fit.compile(
    optimizer=keras.optimizers.Adam(0.002),
    loss=cross_entropy,
    metrics=["accuracy"],
)
validation = (val_images, val_labels)
training = by_fit.fit(
    new_batches(), validation_data=validation, epochs=EPOCHS, shuffle=False, verbose=0
)
history = training.history
for loss, val_accuracy in zip(history["loss"], history["val_accuracy"]):
    print(f"fit: loss {loss:.2f}, validation accuracy {val_accuracy:.2f}")
difference = distance(by_hand, by_fit)
print(f"the weights differ by up to {difference:.6f}")
assert difference < 1e-4
assert np.allclose(log["loss"], history["loss"], atol=1e-3)
assert np.allclose(log["val_accuracy"], history["val_accuracy"], atol=0.01)

# %% [markdown]
# Yes: no weight differs by more than 0.0001.
#
# ### A common mistake: to forget `training=True` or the penalties
#
# Here are two training steps, each with one thing missing. Neither raises an error. What happens to the training loss?


# %%
def step_without_training(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        logits = model(x)  # training=True is missing
        loss = cross_entropy(y, logits) + sum(model.losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss


def step_without_penalties(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = cross_entropy(y, logits)  # model.losses is missing
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss


# %%
def one_epoch(step):
    """Train a new model for one epoch; return it and the mean loss of its last five steps."""
    model = new_model()
    optimizer = keras.optimizers.Adam(0.002)
    optimizer.build(model.trainable_variables)  # creates its variables now
    losses = []
    for x_batch, y_batch in new_batches():
        loss = step(model, optimizer, x_batch, y_batch)
        losses.append(float(loss))
    return model, np.mean(losses[-5:])


# %%
correct, correct_loss = one_epoch(train_step)
print(f"nothing forgotten: loss {correct_loss:.2f}")
for step in [step_without_training, step_without_penalties]:
    model, loss = one_epoch(step)
    difference = distance(model, correct)
    print(f"{step.__name__}: loss {loss:.2f}, weights differ by up to {difference:.2f}")
    assert difference > 0.001
    assert loss < correct_loss

# %% [markdown]
# For this model, both mistakes make the training loss *smaller*. So the training loss does not show the mistake.
#
# - Without `training=True` each layer uses its own default (notebook 03). Dropout does nothing by default, and the loss
#   of such predictions is smaller here.
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
# execution. `tf.function` does something else. In the first call below it runs the Python function once and records
# its operations. The record is called a **graph**, and recording is called **tracing**. To **compile** a step means
# here: make a graph of it. (`model.compile` of notebook 02 is something else.) Later calls run the graph, and not the
# Python function. How much faster will a step be? Guess a factor.


# %%
def step_times(step):
    """Return the milliseconds of 32 training steps of a new model."""
    model = new_model()
    optimizer = keras.optimizers.Adam(0.002)
    optimizer.build(model.trainable_variables)
    x_batch, y_batch = next(iter(new_batches()))
    times = []
    for _ in range(32):
        began = time.perf_counter()
        float(step(model, optimizer, x_batch, y_batch))  # waits for the result
        seconds = time.perf_counter() - began
        times.append(1000 * seconds)
    return times


# %%
graph_step = tf.function(train_step)
eager_times = step_times(train_step)
graph_times = step_times(graph_step)
eager = np.median(eager_times)
graph = np.median(graph_times)
first_step = graph_times[0]
print(f"eager: {eager:.2f} ms")
print(f"graph: {graph:.2f} ms, {eager / graph:.1f}x as fast")
print(f"the first step of the graph: {first_step:.0f} ms")
assert graph < eager
assert eager < first_step
assert graph_step.experimental_get_tracing_count() == 1

# %% [markdown]
# The times are those of one machine, and the factor varies from run to run. A graph helps most where there are many
# small operations. With a few expensive ones, such as large convolutions, it may help little
# ([tf.function guide](https://www.tensorflow.org/guide/function)).
#
# The first step is slow: tracing, and preparing the graph to run, take time. So a function should be traced rarely. The
# list `traced` below gets one more entry with each tracing. How many times will `double` be traced for five arguments:
# two numbers, two vectors, one integer?

# %%
traced = []


@tf.function
def double(number):
    traced.append("double")  # plain Python: runs during tracing only
    return 2 * number


for value in [1.0, 2.0, [1.0, 2.0], [1.0, 2.0, 3.0], 1]:
    argument = tf.constant(value)
    double(argument)
    print(f"{argument.dtype.name} {value}, traced so far: {len(traced)}")
assert len(traced) == 4

# %% [markdown]
# Four times. A new *value* in a tensor needs no new graph. A new shape or a new dtype does.
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
# and at the sixth, then no more. You need not read the whole warning. It names three causes; ours is the third: Python
# objects instead of tensors. `fit` compiles its training step for each model, so you may also meet this warning after
# training or evaluating many models.
#
# Write a tensor instead:

# %%
traced.clear()
for epoch in range(12):
    scale(tf.constant(float(epoch)))
print("12 calls with tensors, traced:", len(traced))
assert len(traced) <= 1  # 0 if you run this cell again

# %% [markdown]
# Last, we train for an epoch with our step as a graph. No weight differs by more than 0.0001 from the weights without
# the graph.

# %%
compiled, compiled_loss = one_epoch(tf.function(train_step))
print(f"loss {compiled_loss:.2f}, loss without the graph {correct_loss:.2f}")
difference = distance(compiled, correct)
print(f"the weights differ by up to {difference:.6f}")
assert difference < 1e-4

# %% [markdown]
# ## 7 · AutoGraph: what happens to `print`, `if` and `for`
#
# Before tracing, `tf.function` rewrites `if`, `for` and `while` in the Python code, so that they can work with tensors
# ([guide](https://www.tensorflow.org/guide/function#autograph_transformations)). This part of TensorFlow is called
# **AutoGraph**. First we look at `print`. The function below is called twice. How many times does each of the two print
# lines run?


# %%
@tf.function
def half(number):
    print("print:", number)
    tf.print("tf.print:", number)
    return number / 2


for value in [8.0, 6.0]:
    half(tf.constant(value))

# %% [markdown]
# `print` is Python. It runs once, during tracing, when the tensor has no value yet. `tf.print` is an operation in the
# graph. It runs in both calls.
#
# Next, an `if` on a tensor, a loop over a Python `range`, and a loop over a `tf.range`. How many lines will `print`
# write inside the function in two calls?


# %%
@tf.function
def doubled_size(number):
    if number < 0:
        print("tracing the branch for negative numbers")
        number = -number
    else:
        print("tracing the other branch")
    for _ in range(3):
        print("tracing a round of range")
        number = 2 * number
    for _ in tf.range(3):
        print("tracing a round of tf.range")
        number = 2 * number
    return number


for value in [-3.0, 5.0]:
    result = doubled_size(tf.constant(value))
    print("result:", result.numpy())
    assert result == 64 * abs(value)

# %% [markdown]
# Six, all in the first call. Both branches of the `if` are traced, and the graph chooses between them in every call. A
# loop over `range` runs during tracing: the graph holds three multiplications. A loop over `tf.range` becomes one
# operation in the graph. *For reference* shows these operations.
#
# ## For reference
#
# Nothing here is needed for the exercises. Come back when you need it.
#
# | you want | write |
# |---|---|
# | the weighted sum of the values that `call` returns, divided by their number | `HuberLoss()`, the same as `reduction="sum_over_batch_size"` |
# | this weighted sum, divided by the sum of the sample weights | `HuberLoss(reduction="mean_with_sample_weight")` |
# | all values that `call` returns | `HuberLoss(reduction="none")` |
# | to call `gradient` several times | `tf.GradientTape(persistent=True)` |
# | one row of gradients for each loss | `tape.jacobian(losses, weights)` |
# | a part that counts as a constant | `tf.stop_gradient(part)` |
# | a graph for vectors of any length | `tf.function(f, input_signature=[tf.TensorSpec([None], tf.float32)])` |
# | when a second shape comes, a graph that also fits other shapes | `tf.function(f, reduce_retracing=True)` |
# | the Python function under `@tf.function` | `f.python_function` |
# | a graph without AutoGraph | `tf.function(f, autograph=False)`; an `if` on a tensor then raises an error |
# | the code that AutoGraph writes | `print(tf.autograph.to_code(f.python_function))` |
#
# The base class of a loss multiplies by the **sample weights** after `call`. By default it then divides the sum by the
# number of values, not by the sum of the weights.

# %%
zeros = tf.zeros((2, 1))
guesses = tf.constant([[1.0], [10.0]])
weights = tf.constant([1.0, 0.0])
loss = HuberLoss()
each = loss.call(zeros, guesses)
mean = loss(zeros, guesses)
weighted = loss(
    zeros,
    guesses,
    sample_weight=weights,
)
print("call, each sample:   ", each.numpy())
print("the mean:            ", mean.numpy())
print("with weights 1 and 0:", weighted.numpy())
assert mean == 5
assert weighted == 0.25

# %% [markdown]
# The function `huber` and the one of Keras give the same numbers here:

# %%
zeros = np.zeros((121, 1), "float32")
for delta in [1.0, 2.5]:
    ours = huber(zeros, one_value_each, delta)
    theirs = keras.losses.huber(zeros, one_value_each, delta)
    print("delta", delta)
    print("ours, error -3: ", ours[0].numpy())
    print("Keras, error -3:", theirs[0].numpy())
    assert np.allclose(ours, theirs)

# %% [markdown]
# **Softmax, drawn**. A sample has three logits: x, 0 and 1. Softmax divides the exponential of each logit by the sum of
# all three, and x is in that sum. So all three probabilities change with x.

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
# **A layer with all four functions** of section 2. A sample has three labels. For each of its first three inputs v,
# one label is `soft_sign(-v)`. So without a penalty the right kernel has three weights of -1, and the others are 0.
# We train once without the constraint and once with it.

# %%
samples = rng.normal(size=(64, 4))
first_three = samples[:, :3]
targets = soft_sign(-first_three)


def trained_layer(constraint):
    """Train a model with one layer that has our functions; return the model and the layer."""
    keras.utils.set_random_seed(0)
    layer = keras.layers.Dense(
        units=3,
        activation=soft_sign,
        kernel_initializer=half_normal,
        kernel_regularizer=absolute_sum,
        kernel_constraint=constraint,
    )
    net = keras.Sequential([keras.Input((4,)), layer])
    net.compile(optimizer=keras.optimizers.SGD(0.5), loss="mse")
    net.fit(samples, targets, epochs=20, verbose=0)
    return net, layer


# %%
free_net, free = trained_layer(None)
_, allowed = trained_layer(not_negative)
kernel = free.kernel.numpy()
bias = free.bias.numpy()
sums = samples @ kernel + bias
outputs = free_net(samples).numpy()
before = np.abs(sums).max()
after = np.abs(outputs).max()
penalty = float(free_net.losses[0])
least = kernel.min()
allowed_kernel = allowed.kernel.numpy()
least_allowed = allowed_kernel.min()
print(f"activation:  largest absolute value {before:.2f} before, {after:.2f} after")
print(f"regularizer: penalty in the model's losses {penalty:.3f}")
print("smallest weight")
print(f"    without the constraint {least:.2f}")
print(f"    with the constraint    {least_allowed:.2f}")

# %%
assert np.allclose(outputs, soft_sign(sums), atol=1e-5)
assert np.isclose(penalty, absolute_sum(kernel))
assert least_allowed == 0
assert least < -0.5

# %% [markdown]
# A regularizer can be a class with a setting. If the class is registered and has `get_config`, the setting comes back
# from a file.


# %%
@keras.saving.register_keras_serializable(package="course")
class AbsoluteSum(keras.regularizers.Regularizer):
    def __init__(self, strength):
        self.strength = strength

    def __call__(self, weights):
        return self.strength * ops.sum(ops.abs(weights))

    def get_config(self):
        return {"strength": self.strength}


layer = keras.layers.Dense(
    units=3,
    kernel_regularizer=AbsoluteSum(strength=0.2),
)
net = keras.Sequential([keras.Input((4,)), layer])
net.save(path)
loaded = keras.saving.load_model(path)
regularizer = loaded.layers[0].kernel_regularizer
print("strength after loading:", regularizer.strength)
assert regularizer.strength == 0.2

# %% [markdown]
# `MeanMetricWrapper` of Keras makes a metric of a loss function. It agrees with `HuberMetric`, here with sample weights.

# %%
ours = HuberMetric()
wrapped = keras.metrics.MeanMetricWrapper(keras.losses.huber)
zeros = np.zeros((70, 1))
weights = np.linspace(0, 1, 70)
weights = weights.reshape(70, 1)
ours.update_state(
    zeros,
    everything,
    sample_weight=weights,
)
wrapped.update_state(
    zeros,
    everything,
    sample_weight=weights,
)
our_value = float(ours.result())
keras_value = float(wrapped.result())
print(f"ours  {our_value:.2f}")
print(f"Keras {keras_value:.2f}")
assert np.isclose(our_value, keras_value)

# %% [markdown]
# **Tapes**. A second call of `gradient` raises an error, unless the tape is persistent.

# %%
with tf.GradientTape() as tape:
    loss = loss_of(a, b)
tape.gradient(loss, a)
try:
    tape.gradient(loss, b)
except RuntimeError as error:
    print(error)
else:
    raise AssertionError("no error was raised")

# %% [markdown]
# `tf.stop_gradient` returns its input, and no gradient flows back through it. The derivative of w·w is 2w. At w = 3 it
# is 6. With `stop_gradient` the second factor counts as the constant 3, and the gradient is 3.

# %%
w = tf.Variable(3.0)
with tf.GradientTape(persistent=True) as tape:
    square = w * w
    half_stopped = w * tf.stop_gradient(w)
of_square = tape.gradient(square, w).numpy()
of_half = tape.gradient(half_stopped, w).numpy()
del tape
print("w * w:                value", square.numpy(), "gradient", of_square)
print("w * stop_gradient(w): value", half_stopped.numpy(), "gradient", of_half)
assert of_half == 3

# %% [markdown]
# **Graphs**. A graph keeps the Python values that it saw during tracing. Below, `factor` is a Python number and
# `changing` is a variable. After the first call both change from 2 to 100. The second call sees the new value of the
# variable only.

# %%
factor = 2.0
changing = tf.Variable(2.0)


@tf.function
def both_scaled(number):
    return factor * number, changing * number


one = tf.constant(1.0)
by_number, by_variable = both_scaled(one)
print("first call:  Python number", by_number.numpy(), "variable", by_variable.numpy())
factor = 100.0
changing.assign(100.0)
by_number, by_variable = both_scaled(one)
print("second call: Python number", by_number.numpy(), "variable", by_variable.numpy())
assert by_number == 2
assert by_variable == 100

# %% [markdown]
# Vectors of 2, 3, 4 and 5 numbers: a plain function is traced four times, with `reduce_retracing` twice, with an
# `input_signature` once. The Python values 1, True and 1.0 are equal, and one graph serves all three.

# %%
any_length = [tf.TensorSpec([None], tf.float32)]
plain = tf.function(lambda numbers: 2 * numbers)
reduced = tf.function(
    lambda numbers: 2 * numbers,
    reduce_retracing=True,
)
signed = tf.function(
    lambda numbers: 2 * numbers,
    input_signature=any_length,
)
equal_values = tf.function(lambda value: 2 * one)
for length in [2, 3, 4, 5]:
    numbers = tf.ones(length)
    plain(numbers)
    reduced(numbers)
    signed(numbers)
for value in [1, True, 1.0]:
    equal_values(value)
tracings = []
for function in [plain, reduced, signed, equal_values]:
    count = function.experimental_get_tracing_count()
    tracings.append(count)
print("plain, reduce_retracing, input_signature, equal values:", tracings)
assert tracings == [4, 2, 1, 1]

# %% [markdown]
# **The operations of a graph**. A loop over `range` adds a multiplication, `Mul`, in each round. Here a loop over
# `tf.range` becomes `StatelessWhile`, and an `if` on a tensor becomes `StatelessIf`.


# %%
def operation_types(function, *arguments):
    """Return the types of the operations in the graph for these arguments."""
    graph = function.get_concrete_function(*arguments).graph
    return [operation.type for operation in graph.get_operations()]


types = operation_types(doubled_size, one)
print(types)
assert types.count("Mul") == 3
assert types.count("StatelessWhile") == 1
assert types.count("StatelessIf") == 1

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
# Here the condition is a tensor. The name `result` is set in one branch only, and not before the `if`. It is used
# after the `if`. This raises an error:


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
    print(message[message.index("ValueError") :])  # only the last line
else:
    raise AssertionError("no error was raised")

# %% [markdown]
# ## Summary
#
# - A loss function returns one number for each sample, if labels have the shape (samples, values). A loss with a
#   setting is a class with `get_config`.
# - A streaming metric keeps a state from batch to batch, and starts again with `reset_state`. A loss needs a gradient,
#   a metric does not.
# - A tape records what is computed inside its block. For a vector of losses, `gradient` returns the gradient of their
#   sum, and `jacobian` a row for each loss.
# - A training step predicts with `training=True`, adds `model.losses` to the loss, takes the gradients, and calls
#   `optimizer.apply`.
# - `tf.function` traces Python to a graph. By default, for a tensor with a new shape or dtype, or for a new Python
#   value, the function is traced again. `if` and `for` on tensors become operations, `print` runs during tracing.
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
