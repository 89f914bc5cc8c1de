# %% [markdown]
# # 03 · A dense layer of your own
#
# You write a dense layer yourself. Its outputs are exactly equal to those of Keras' own layer.
#
# You will be able to
# - write a layer from `__init__`, `build` and `call`,
# - say what `layer(x)` does besides `layer.call(x)`,
# - save a layer in a file and load it with all its settings,
# - write a layer that behaves differently in training.
#
# **Needs** notebooks 01 (tensors) and 02 (models), and Python classes: `__init__`, `super()`, inheritance.
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
import tempfile
import warnings

import keras
import numpy as np
import tensorflow as tf

from helpers import data, plots
from helpers.exercises import ex03_custom_dense_layer as exercises

keras.config.set_dtype_policy("float32")  # for comparisons to the last digit, on a GPU too

# %% [markdown]
# ## 1 · What a dense layer computes
#
# A **dense** layer connects every input with every output. A **sample** is one example of the data, such as one image.
# Below are three samples. Each has four numbers as input and two as output. How many numbers must the layer store for
# that? Guess before you look.

# %%
rng = np.random.default_rng(0)
x = rng.integers(-3, 4, (3, 4)).astype("float32")
kernel = rng.integers(-2, 3, (4, 2)).astype("float32")
bias = np.array([1, -1], "float32")
blocks = {
    "inputs": x,
    "kernel": kernel,
    "bias": bias,
    "inputs @ kernel + bias": x @ kernel + bias,
}
plots.tensor_blocks(blocks, title="A dense layer multiplies by the kernel and adds the bias")

# %% [markdown]
# It stores ten numbers. Eight of them are in the **kernel**, one for each pair of an input and an output. Two are in
# the **bias**, one for each output. These stored numbers are the layer's **parameters**, and training changes them.
# Keras keeps them in two arrays, the kernel and the bias, and calls these arrays the layer's **weights**.
#
# Check one cell of the last block with pencil and paper. Keras' own layer gets the same numbers:

# %%
dense = keras.layers.Dense(2)
dense.build((None, 4))
dense.set_weights([kernel, bias])
outputs = dense(x)
print(outputs.numpy())
print("parameters:", dense.count_params())
assert np.array_equal(outputs, x @ kernel + bias)

# %% [markdown]
# ## 2 · Three methods make a layer
#
# A layer of your own inherits from `keras.layers.Layer` and has three methods.
#
# - `__init__` keeps what the user chooses. Here that is the number of outputs, called **units**.
# - `build` makes the weights. Keras gives `build` the shape of the input, because the shapes of the weights depend on
#   it.
# - `call` computes the outputs.


# %%
class CustomDense(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, input_shape):
        features = input_shape[-1]
        self.kernel = self.add_weight(
            shape=(features, self.units),
            initializer="glorot_uniform",
        )
        self.bias = self.add_weight(
            shape=(self.units,),
            initializer="zeros",
        )

    def call(self, inputs):
        product = keras.ops.matmul(inputs, self.kernel)
        return keras.ops.add(product, self.bias)


# %% [markdown]
# `add_weight` makes a weight, and Keras adds it to `layer.weights`. The **initializer** sets the first values of a
# weight. `zeros` sets all of them to 0. `glorot_uniform` **draws** them: it takes random numbers. Section 4 says more.
#
# Our `__init__` cannot make the weights: it is not told how many numbers a sample will have. So Keras calls `build`
# when the first input arrives. How many parameters will a layer of ten units have, for samples of four numbers?

# %%
layer = CustomDense(10)
print("weights before the first input:", len(layer.weights))
outputs = layer(x)
print("weights after the first input: ", len(layer.weights))
print("kernel: ", layer.kernel.shape)
print("bias:   ", layer.bias.shape)
print("outputs:", outputs.shape)
print("parameters:", layer.count_params())

# %% [markdown]
# Now we compare it with Keras' own layer. The **seed** decides which random numbers are drawn. With the same seed both
# layers must draw the same kernel, and give the same outputs. We also try inputs with more than two axes. Our layer
# uses the last axis of the input, so other axes may stand before it.


# %%
def largest_difference(first, second):
    first = keras.ops.convert_to_numpy(first)
    second = keras.ops.convert_to_numpy(second)
    return np.max(np.abs(first - second))


for shape in [(3, 4), (2, 5, 4), (2, 3, 5, 4)]:
    inputs = rng.normal(size=shape)
    keras.utils.set_random_seed(7)
    ours = CustomDense(10)(inputs)
    keras.utils.set_random_seed(7)
    theirs = keras.layers.Dense(10)(inputs)
    difference = largest_difference(ours, theirs)
    print(shape, "->", ours.shape, "largest difference", difference)
    assert difference == 0

# %% [markdown]
# ### Exercise 1 · A layer with one weight for each feature
#
# A **feature** is one place of the last axis. Complete `Scale(start)`: it multiplies each feature by a number of its
# own. Together these numbers form one weight, and training may change it. All of them begin at `start`. So a new
# `Scale()` changes nothing, because its default is 1. The initializer `keras.initializers.Constant(number)` sets every
# number to the same value. The layer must work for inputs with two or more axes, and for any batch size.
#
# Run the next cell to check your answer. `exercises.scale.hint()` gives a hint; call it again for another hint.
# `exercises.scale.solution()` shows a right answer.


# %%
class Scale(keras.layers.Layer):
    def __init__(self, start=1.0):
        # your code
        ...

    def build(self, input_shape):
        # your code
        ...

    def call(self, inputs):
        # your code
        ...


# %%
exercises.scale.check(Scale)

# %% [markdown]
# ## 3 · What happens around `call`
#
# You wrote `call`, but you use the layer as `layer(x)`. Python then runs the method `__call__`, which your class
# inherits from `keras.layers.Layer`. At some point `__call__` runs your `call`.
#
# ### A common mistake: `call` in place of `__call__`
#
# It is easy to think that `layer.call(x)` does the same as `layer(x)`. We try both on a new layer, with an array of
# type float64. What will `call` do before the layer is built?


# %%
def outcome(function):
    """Return the name of the error that the function raises, or "no error"."""
    try:
        function()
        return "no error"
    except Exception as error:
        return type(error).__name__


fresh = CustomDense(10)
doubles = x.astype("float64")
print("fresh.call(doubles) gives", outcome(lambda: fresh.call(doubles)))
print("fresh(doubles) gives     ", fresh(doubles).dtype.name)
print("fresh.call(doubles) gives", fresh.call(doubles).dtype.name)

# %% [markdown]
# The first line is an `AttributeError`: nobody has called `build`, so there is no `self.kernel`. `fresh(doubles)`
# builds the layer and gives float32, the type of this layer. After that `call` works, but it gives float64, the type of
# the array.
#
# The next layer prints what reaches its methods.


# %%
class Reporter(keras.layers.Layer):
    def build(self, input_shape):
        print("  build with", input_shape)

    def call(self, inputs, training=False):
        kind = type(inputs).__name__
        dtype = tf.as_dtype(inputs.dtype).name
        print(f"  call with {kind} of {dtype}, training={training}")
        return inputs


reporter = Reporter()
print("reporter(doubles):")
reporter(doubles)
print("reporter(doubles) again:")
reporter(doubles)
print("reporter.call(doubles):")
outputs = reporter.call(doubles)

# %% [markdown]
# `__call__` ran `build` once, before the first `call`. It also made a float32 tensor of the array. (`EagerTensor` is
# TensorFlow's class for a tensor that has its values already.) `reporter.call` received the array itself, an `ndarray`
# of float64.
#
# `__call__` does more. It computes the penalty on the outputs, a number that training adds to the loss (see *For
# reference*). And it makes Functional models possible.
#
# A **Functional model** is made by calling layers on **symbolic** tensors, as in notebook 02. A symbolic tensor has a
# shape and a type, but no values. `__call__` returns another symbolic tensor and records which layer made it. The
# method `call` records no layer. How many parameters does each of these two models have?

# %%
symbol = keras.Input((4,))
through_layer = keras.Model(symbol, fresh(symbol))
through_call = keras.Model(symbol, fresh.call(symbol))
print("parameters with fresh(symbol):     ", through_layer.count_params())
print("parameters with fresh.call(symbol):", through_call.count_params())
difference = largest_difference(through_layer(x), through_call(x))
print("largest difference of their outputs:", difference)
assert difference == 0

# %% [markdown]
# Both models compute the same numbers. But the second one has no parameters that `fit` could change. We train it for
# one epoch and measure how far the kernel moves.


# %%
before = fresh.kernel.numpy()
# sgd is a simple optimizer, mse is the mean squared error.
through_call.compile(optimizer="sgd", loss="mse")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", UserWarning)
    through_call.fit(x, np.ones((3, 10)), verbose=0)
change = largest_difference(fresh.kernel, before)
print(f"the kernel moved by up to {change:.4f}")
print("Keras warns:", caught[0].message)
assert change == 0

# %% [markdown]
# `fit` ran to its end, and only a warning told us that it had changed nothing. Write `layer(x)` instead.
#
# ### Exercise 2 · Do what `__call__` does
#
# Write `run(layer, inputs)` for NumPy inputs. Do three things that `layer(inputs)` does. Build the layer if it is not
# built. Make a tensor of the type that the layer computes in, `layer.compute_dtype`. Return what `layer.call` gives for
# this tensor. Do not write `layer(inputs)`.


# %%
def run(layer, inputs):
    # your code
    ...


# %%
exercises.around.check(run)

# %% [markdown]
# ## 4 · The first values of the weights
#
# In our layer the kernel begins with random numbers, and the bias begins at zero. Section *For reference* shows how
# large the random numbers should be. This section shows what they are for.
#
# We train three hidden units twice, first with a kernel of equal numbers, then with a random one. Both times the bias
# begins at zero. The output layer begins with a kernel of ones.


# %%
def hidden_kernel_after_training(initializer):
    keras.utils.set_random_seed(2)
    hidden = keras.layers.Dense(
        3,
        activation="tanh",
        kernel_initializer=initializer,
    )
    output = keras.layers.Dense(1, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((4,)), hidden, output])
    optimizer = keras.optimizers.SGD(learning_rate=0.1)
    model.compile(optimizer=optimizer, loss="mse")
    targets = x.sum(axis=1, keepdims=True)
    model.fit(x, targets, epochs=20, verbose=0)
    return hidden.kernel.numpy()


equal = hidden_kernel_after_training(keras.initializers.Constant(0.1))
random = hidden_kernel_after_training("glorot_uniform")
plots.tensor_blocks(
    {"began equal": equal.round(2), "began random": random.round(2)},
    title="Units that began equal are still equal",
)

# %% [markdown]
# Each column is one unit. The units on the left begin with equal kernels, equal biases and equal weights in the
# output layer. So training changes them equally in every step. Three equal units compute no more than one. This is
# called **symmetry**: the units are equal and stay equal. A random kernel makes the units different. The bias may
# then begin at zero.

# %%
difference = largest_difference(equal, equal[:, :1])
print(f"began equal:  the units differ by up to {difference:.2f}")
assert difference == 0
difference = largest_difference(random, random[:, :1])
print(f"began random: the units differ by up to {difference:.2f}")
assert difference > 0.01

# %% [markdown]
# ## 5 · A layer that can be saved
#
# A `.keras` file holds the weights of a model and its **config**. The config says how to make the layers again.
#
# ### A common mistake: `__init__` without `**kwargs`
#
# The `__init__` of our `CustomDense` takes `units` and nothing else. Which works: to save it, to load it, to give it a
# name, to give it a dtype?

# %%
folder = tempfile.TemporaryDirectory()  # deleted when the notebook ends


def reload(model):
    """Save a model and load it again."""
    path = f"{folder.name}/model.keras"
    model.save(path)
    return keras.saving.load_model(path)


model = keras.Sequential([keras.Input((4,)), CustomDense(10)])
model.save(f"{folder.name}/model.keras")
print("save: no error")
results = [
    outcome(lambda: reload(model)),
    outcome(lambda: CustomDense(10, name="hidden")),
    outcome(lambda: CustomDense(10, dtype="float16")),
]
print("save and load, give a name, give a dtype:", *results)
assert results == ["TypeError", "TypeError", "TypeError"]

# %% [markdown]
# Only the first works: `save` raises no error. Loading then fails. So after you save a new layer, load it at once. It
# fails for two reasons. The first is that Keras cannot find our class; point 3 below changes that. To see the second
# reason, we look at the config that Keras wrote down. `from_config` makes a layer from a config; loading uses it.

# %%
config = CustomDense(10).get_config()
print("names in the config:", list(config))
print("made from it:", outcome(lambda: CustomDense.from_config(config)))

# %% [markdown]
# When Keras loads the layer, it gives all of the config to `__init__`. Ours takes `units`, and it refuses `dtype` and
# `trainable`. Write these three things instead:
#
# 1. `**kwargs` in `__init__`. It takes what every layer may be given, such as `name`, `dtype` and `trainable`, and
#    passes it on to `super().__init__`.
# 2. `get_config`. It adds your own arguments to the config of the base class. In simple cases Keras writes them down by
#    itself, as it did with `units`. With a `get_config` of your own you do not depend on that.
# 3. `register_keras_serializable`. It writes the class into a list that Keras keeps, so that loading finds the class.
#    The name in that list is the name in the file. See the [guide to
#    saving](https://keras.io/guides/serialization_and_saving/).


# %%
@keras.saving.register_keras_serializable(package="course")
class CustomDense(keras.layers.Layer):
    def __init__(self, units, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.supports_masking = True

    def build(self, input_shape):
        shape = (input_shape[-1], self.units)
        self.kernel = self.add_weight(name="kernel", shape=shape)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")

    def call(self, inputs):
        product = keras.ops.matmul(inputs, self.kernel)
        return self.activation(keras.ops.add(product, self.bias))

    def get_config(self):
        config = super().get_config()
        config["units"] = self.units
        config["activation"] = keras.activations.serialize(self.activation)
        return config


# %% [markdown]
# An **activation** is a function that the layer applies to its results. **ReLU** is one: it sets negative numbers to 0.
# `keras.activations.get` takes its name, or the function itself, and returns the function. `serialize` does the
# reverse: it turns the function into its name, which the config can hold. If you name no initializer, `add_weight`
# draws the kernel from `glorot_uniform`. Section *For reference* explains `supports_masking`.
#
# Now we save two layers with different settings, and load them.

# %%
keras.utils.set_random_seed(3)
hidden = CustomDense(10, activation="relu", name="hidden")
output = CustomDense(2, dtype="mixed_float16", name="output")
saved = keras.Sequential([keras.Input((4,)), hidden, output])
loaded = reload(saved)
for layer in loaded.layers:
    print(layer.name)
    print("  units:      ", layer.units)
    print("  activation: ", layer.activation.__name__)
    print("  weights:    ", layer.kernel.dtype)
    print("  computes in:", layer.compute_dtype)
print("registered as", keras.saving.get_registered_name(CustomDense))
difference = largest_difference(loaded(x), saved(x))
print("largest difference of the outputs:", difference)
assert difference == 0

# %% [markdown]
# `mixed_float16` is a **dtype policy**: the weights have the type float32, and the layer computes in float16. See the
# [page on mixed precision](https://keras.io/api/mixed_precision/).
#
# ### Exercise 3 · Save a layer with its settings
#
# Complete `Power`: it raises each input to the power `exponent`. Write its `get_config`, too. After saving and loading,
# a `Power` must have the same exponent, name, dtype and `trainable` as before.


# %%
@keras.saving.register_keras_serializable(package="course")
class Power(keras.layers.Layer):
    def __init__(self, exponent=2.0, **kwargs):
        super().__init__(**kwargs)
        self.exponent = exponent

    def call(self, inputs):
        # your code
        ...

    def get_config(self):
        # your code
        ...


# %%
exercises.saved.check(Power)

# %% [markdown]
# A wrong answer need not raise an error. For example, if `get_config` leaves the exponent out, the layer loads with the
# default, 2, and computes squares.
#
# ## 6 · Different in training
#
# Some layers compute one thing in training and another thing at **inference**, when the trained network is used.
# **Gaussian noise** is a simple one. In training it adds random numbers to its inputs, which [can reduce
# overfitting](https://keras.io/api/layers/regularization_layers/gaussian_noise/). At inference it changes nothing.
#
# Such a layer has an argument `training` in `call`.


# %%
@keras.saving.register_keras_serializable(package="course")
class GaussianNoise(keras.layers.Layer):
    def __init__(self, stddev, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.stddev = stddev
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        shape = keras.ops.shape(inputs)
        noise = keras.random.normal(shape, stddev=self.stddev, seed=self.seed_generator)
        return inputs + noise

    def get_config(self):
        config = super().get_config()
        config["stddev"] = self.stddev
        config["seed"] = self.seed
        return config


# %%
fashion = data.fashion(verbose=False)
images, labels = fashion.arrays("train")
image = images[:1].astype("float32")
noise = GaussianNoise(50.0, seed=0)
results = [noise(image, training=False), noise(image, training=True)]
plots.image_grid(
    np.concatenate(results),
    ["inference", "training"],
    title="In training the layer adds noise,\nat inference it adds none",
)

# %% [markdown]
# ### The value of `training`
#
# `fit` sets it to True. `predict` and `evaluate` set it to False (see *For reference*).
#
# In a plain call, `model(x)`, you do not set `training`. Then each layer in the list of a Sequential model uses its own
# default, the one in the first line of its `call`. The default of our `GaussianNoise` is False.
# `keras.layers.RandomFlip`, which mirrors images at random, has the default True.
#
# We put each of these two layers into a model of its own and pass 100 images through it. How many images change?

# %%
hundred = images[:100].astype("float32")
hundred = hundred.reshape(100, 28, 28, 1)


def count_changed(outputs):
    different = outputs.numpy() != hundred
    return np.sum(different.any(axis=(1, 2, 3)))


def compare_calls(layer):
    model = keras.Sequential([layer])
    print(type(layer).__name__)
    in_training = count_changed(model(hundred, training=True))
    not_in_training = count_changed(model(hundred, training=False))
    in_plain_call = count_changed(model(hundred))
    print("  training=True: ", in_training)
    print("  training=False:", not_in_training)
    print("  plain call:    ", in_plain_call)
    return in_plain_call


noisy = compare_calls(GaussianNoise(50.0, seed=0))
mirrored = compare_calls(keras.layers.RandomFlip("horizontal", seed=0))
assert noisy == 0
assert mirrored > 0

# %% [markdown]
# A plain call left the noise off and the mirroring on. So name the value: `model(x, training=False)`. A Sequential
# model passes it on to its layers.
#
# ### A common mistake: the noise is drawn once
#
# Our layer has a **seed generator**. It keeps the seed and counts the draws, so that each draw gives other numbers.
# We compare our layer with two others, which draw without it. As `fit` normally does, we run each layer inside a
# `tf.function`. In the first call TensorFlow records the operations of our code in a **graph**. In the second call it
# runs this graph and not our code. Which of the three layers give new noise in the second call?


# %%
class FixedSeed(GaussianNoise):
    def call(self, inputs, training=False):
        noise = keras.random.normal(keras.ops.shape(inputs), stddev=self.stddev, seed=1)
        return inputs + noise


class NumPyNoise(GaussianNoise):
    def call(self, inputs, training=False):
        noise = np.random.normal(scale=self.stddev, size=inputs.shape)
        return inputs + noise.astype("float32")


for kind in (GaussianNoise, FixedSeed, NumPyNoise):
    recorded = tf.function(kind(1.0, seed=0))
    first = recorded(x, training=True)
    second = recorded(x, training=True)
    difference = largest_difference(first, second)
    print(f"{kind.__name__:13} the second call differs by up to {difference:.2f}")
    if kind is GaussianNoise:
        assert difference > 0
    else:
        assert difference == 0

# %% [markdown]
# Only ours does. A seed that is a fixed number gives the same noise each time. NumPy drew while the graph was recorded,
# and its numbers became a constant of the graph. Notebook 04 says more. Draw with `keras.random` and a `SeedGenerator`
# instead.
#
# ### A common mistake: `inputs.shape` inside `fit`
#
# Our layer asks for the shape with `keras.ops.shape(inputs)`. It is a common mistake to write `inputs.shape` instead
# ([an example](https://github.com/tensorflow/tensorflow/issues/36991)).


# %%
class StaticShapeNoise(GaussianNoise):
    def call(self, inputs, training=False):
        noise = keras.random.normal(inputs.shape, seed=self.seed_generator)
        return inputs + noise


model = keras.Sequential([StaticShapeNoise(1.0), keras.layers.Dense(4)])
model.compile(optimizer="sgd", loss="mse")
many = np.ones((64, 4))
few = np.ones((3, 4))
model(few, training=True)
print("plain call with 3 samples: no error")
model.fit(many, many, verbose=0)
print("fit with 64 samples: no error")
message = ""
try:
    model.fit(few, few, verbose=0)
except ValueError as error:
    message = str(error)
    print("fit with 3 samples: ValueError")
assert "Cannot convert a partially known TensorShape (None, 4)" in message

# %% [markdown]
# A batch has 32 samples here. With 64 samples both batches are full, and `fit` runs. With three samples the last batch
# is smaller than 32. Then the graph of `fit` leaves the batch size open, and `inputs.shape` is `(None, 4)`. Nothing can
# be drawn in this shape: `Cannot convert a partially known TensorShape (None, 4) to a Tensor`.
#
# Write `keras.ops.shape(inputs)`. The shape that it returns [has a tensor in place of
# None](https://keras.io/api/ops/core/). The tensor holds the batch size when the step runs. Our own layer does so:

# %%
model = keras.Sequential([GaussianNoise(1.0), keras.layers.Dense(4)])
model.compile(optimizer="sgd", loss="mse")
model.fit(few, few, verbose=0)
print("fit with 3 samples: no error")

# %% [markdown]
# ### Exercise 4 · Dropout
#
# Complete `CustomDropout`. In training, each number becomes 0 with probability `rate`, independently of the others. The
# numbers that are left are divided by `1 - rate`. So the mean of each number over many draws stays the same. At
# inference nothing changes. `keras.random.uniform(shape, seed=...)` draws numbers from 0 to 1. The same seed must give
# the same draws again, and the layer must run in `fit`.


# %%
class CustomDropout(keras.layers.Layer):
    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        # your code
        ...


# %%
exercises.dropout.check(CustomDropout)

# %% [markdown]
# ## 7 · In a model
#
# A layer of your own can stand where a layer of Keras stands. Here is the classifier of notebook 02, once with our
# layer and once with theirs. How many parameters must it have?


# %%
def classifier(dense):
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            dense(100, activation="relu"),
            dense(30, activation="relu"),
            dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


ours = classifier(CustomDense)
theirs = classifier(keras.layers.Dense)
print(f"{ours.count_params():,} parameters")
assert ours.count_params() == 81_840

# %% [markdown]
# 784 x 100 + 100, then 100 x 30 + 30, then 30 x 10 + 10: together 81,840. The last layer has no activation. Its ten
# outputs are **logits**: scores that are not yet probabilities. `from_logits=True` tells the loss that it gets logits.
#
# We train both models on the same images in the same order. Are they still equal after hundreds of steps?

# %%
few_images = images[:4000]
few_labels = labels[:4000]
for model in (ours, theirs):
    model.fit(few_images, few_labels, epochs=2, shuffle=False, verbose=0)
    print("steps:", model.optimizer.iterations.numpy())

# %%
for first, second in zip(ours.weights, theirs.weights):
    difference = largest_difference(first, second)
    print(first.shape, "largest difference", difference)
    if course.deterministic:
        assert difference == 0

# %% [markdown]
# ## For reference
#
# This section is for looking things up. First come arguments of `keras.layers.Dense`, each with one effect. The [page
# of Dense](https://keras.io/api/layers/core_layers/dense/) lists all arguments. Notebook 04 draws several functions for
# `activation`.
#
# ### `use_bias`, `kernel_initializer`, `bias_initializer`

# %%
filled = keras.layers.Dense(
    2,
    kernel_initializer="ones",
    bias_initializer=keras.initializers.Constant(5.0),
)
outputs = filled(np.ones((1, 4)))
print("kernel of ones, bias of fives, inputs 1 1 1 1:", outputs.numpy())
assert np.all(outputs == 9)

zeros = np.zeros((1, 4))
without_bias = keras.layers.Dense(2, use_bias=False)
outputs = without_bias(zeros)
print("no bias, inputs 0 0 0 0:", outputs.numpy())
print("parameters without a bias:", without_bias.count_params())

# %% [markdown]
# ### A common mistake: a bias drawn at random
#
# The Keras [guide to Functional models](https://keras.io/guides/functional_api/) writes a `CustomDense` that draws its
# bias with `random_normal`. What are the outputs of such a layer for a sample of zeros?

# %%
random_bias = keras.layers.Dense(3, bias_initializer="random_normal")
answer = random_bias(zeros).numpy()
print("random bias:", answer.round(3))
assert np.all(answer != 0)
zero_bias = keras.layers.Dense(3, bias_initializer="zeros")
answer = zero_bias(zeros).numpy()
print("zero bias:  ", answer)
assert np.all(answer == 0)

# %% [markdown]
# With a random bias the outputs are random numbers. A random kernel is enough to make the units different. Write
# `initializer="zeros"` for the bias, [the default of Dense](https://keras.io/api/layers/core_layers/dense/).
#
# ### How large the random numbers should be
#
# We compare three initializers by the standard deviation of a new kernel:
#
# - `random_normal`: 0.05 for every shape, unless you give another number.
# - `glorot_uniform`: it depends on the numbers of inputs and outputs.
# - `he_normal`: it depends on the number of inputs. It was made for ReLU ([He et al.
#   2015](https://arxiv.org/abs/1502.01852)). The **variance** is the square of the standard deviation. If a layer has
#   as many inputs as outputs, the variance of `he_normal` is twice the variance of `glorot_uniform`.

# %%
names = ["he_normal", "glorot_uniform", "random_normal"]
for name in names:
    initializer = keras.initializers.get(name)
    print(name)
    for number in (10, 100):
        new_kernel = initializer((number, number))
        stddev = np.std(new_kernel)
        print(f"  {number} inputs and outputs: {stddev:.2f}")

# %% [markdown]
# Now we send random numbers, the **signal**, through ten dense layers of 100 units with ReLU. After each layer we
# measure the size of the signal, its standard deviation.


# %%
def signal_sizes(initializer, seed, width=100):
    keras.utils.set_random_seed(seed)
    signal = np.random.normal(size=(200, width)).astype("float32")
    sizes = [np.std(signal)]
    for _ in range(10):
        dense = keras.layers.Dense(
            width,
            activation="relu",
            kernel_initializer=initializer,
        )
        signal = dense(signal)
        sizes.append(np.std(signal))
    return sizes


# %%
curves = {}
for name in names:
    sizes = signal_sizes(name, seed=0)
    curves[name] = np.log10(sizes)
plots.lines(
    x=range(11),
    curves=curves,
    xlabel="layers passed",
    ylabel="log10 of the size",
    title="With 100 units he_normal keeps the signal and random_normal loses most of it",
)

# %% [markdown]
# The vertical axis counts powers of ten: 0 stands for size 1, -2 for 0.01, and -4 for 0.0001. Here is what is left
# after ten layers, for five seeds. The last line is `random_normal` with 800 inputs. There `he_normal` has the same
# standard deviation, 0.05: it is sqrt(2 / inputs).


# %%
def kept_by(initializer, width):
    """Return which proportion of the signal is left, for five seeds."""
    kept = []
    for seed in range(5):
        sizes = signal_sizes(initializer, seed, width)
        kept.append(sizes[-1] / sizes[0])
    return kept


expected = {
    "he_normal": (0.3, 3),
    "glorot_uniform": (0.01, 0.1),
    "random_normal": (0, 0.001),
}
for name in names:
    kept = kept_by(name, width=100)
    print(f"{name:14} keeps between {min(kept):.3%} and {max(kept):.3%}")
    low, high = expected[name]
    assert low < min(kept)
    assert max(kept) < high
kept = kept_by("random_normal", width=800)
print(f"random_normal, 800 inputs: between {min(kept):.0%} and {max(kept):.0%}")
assert min(kept) > 0.3

# %% [markdown]
# The 0.05 of `random_normal` is too small for 100 inputs, and it fits 800 inputs.
#
# ### `kernel_regularizer`, `bias_regularizer`, `activity_regularizer`
#
# A **regularizer** computes a **penalty**, a number that training adds to the loss. `L1(c)` is c times the sum of the
# absolute values. `L2(c)` is c times the sum of the squares. The penalty on the outputs is divided by the number of
# samples. We use the kernel and the bias of section 1.

# %%
L1 = keras.regularizers.L1
L2 = keras.regularizers.L2
dense = keras.layers.Dense(
    2,
    kernel_regularizer=L1(0.1),
    bias_regularizer=L2(0.1),
    activity_regularizer=L2(0.1),
)
dense.build((None, 4))
dense.set_weights([kernel, bias])
outputs = dense(x).numpy()
by_hand = [
    0.1 * np.sum(outputs**2) / 3,
    0.1 * np.sum(np.abs(kernel)),
    0.1 * np.sum(bias**2),
]
print("by Keras (outputs, kernel, bias):", np.round(dense.losses, 3))
print("by hand:                         ", np.round(by_hand, 3))
assert np.allclose(dense.losses, by_hand)

# %% [markdown]
# The penalty on the outputs is collected by `__call__`. After `dense.call(x)` it is missing:

# %%
for method in ("dense(x)", "dense.call(x)"):
    dense = keras.layers.Dense(2, activity_regularizer="l2")
    dense.build((None, 4))
    if method == "dense(x)":
        dense(x)
    else:
        dense.call(x)
    print("penalties after", method, "-", len(dense.losses))

# %% [markdown]
# ### What regularizers and constraints change in training
#
# A **constraint** changes the weights after each training step. `"non_neg"` sets negative numbers to 0. `MaxNorm(1)`
# shrinks a column of the kernel whose length is over 1. The length is here the root of the sum of the squares.
#
# One model has eight layers side by side, with two units each. All eight get the same targets. The targets come from
# a kernel and a bias that we choose, so that we can see what each layer finds.

# %%
MaxNorm = keras.constraints.MaxNorm
layers = {
    "no option": keras.layers.Dense(2),
    "kernel L1": keras.layers.Dense(2, kernel_regularizer=L1(0.5)),
    "kernel L2": keras.layers.Dense(2, kernel_regularizer=L2(0.2)),
    "outputs L2": keras.layers.Dense(2, activity_regularizer=L2(0.2)),
    "kernel non_neg": keras.layers.Dense(2, kernel_constraint="non_neg"),
    "kernel MaxNorm": keras.layers.Dense(2, kernel_constraint=MaxNorm(1.0)),
    "bias L2": keras.layers.Dense(2, bias_regularizer=L2(0.5)),
    "bias non_neg": keras.layers.Dense(2, bias_constraint="non_neg"),
}
true_kernel = np.array([[0, 1], [2, -1], [1, 0], [0, -2]], "float32")
true_bias = np.array([1, -1], "float32")
samples = np.random.default_rng(0).normal(size=(256, 4)).astype("float32")
targets = samples @ true_kernel + true_bias

# %%
keras.utils.set_random_seed(0)
inputs = keras.Input((4,))
outputs = [layer(inputs) for layer in layers.values()]
model = keras.Model(inputs, outputs)
model.compile(optimizer=keras.optimizers.SGD(learning_rate=0.1), loss="mse")
targets_of_all = [targets] * len(layers)
history = model.fit(samples, targets_of_all, epochs=10, verbose=0)


# %%
def kernels(names):
    """Return the kernels of some layers, rounded for drawing."""
    found = {}
    for name in names:
        rounded = layers[name].kernel.numpy().round(2)
        found[name] = rounded + 0.0  # makes -0.0 a plain 0.0
    return found


found = kernels(["no option", "kernel L1", "kernel L2", "outputs L2"])
assert largest_difference(found["no option"], true_kernel) < 0.02
for name in ("kernel L1", "kernel L2", "outputs L2"):
    sizes = np.abs(found[name])
    assert sizes.sum() < 7
plots.tensor_blocks(
    found,
    title="Each of the three penalties makes the kernel smaller",
)

# %% [markdown]
# Without an option the layer finds the kernel we chose; the absolute values of its numbers add up to 7. The
# constraints:

# %%
found = kernels(["no option", "kernel non_neg", "kernel MaxNorm"])
lengths = np.linalg.norm(found["kernel MaxNorm"], axis=0)
print("MaxNorm(1), length of each column:", lengths.round(2))
assert np.min(found["kernel non_neg"]) == 0
assert np.max(lengths) < 1.02
plots.tensor_blocks(
    found,
    title="non_neg leaves no negative number, MaxNorm(1) shortens columns",
)

# %% [markdown]
# And the bias, where we chose 1 and -1:

# %%
for name in ("no option", "bias L2", "bias non_neg"):
    found_bias = layers[name].bias.numpy()
    print(f"{name:12}", found_bias.round(2))
    if name == "bias L2":
        assert np.max(np.abs(found_bias)) < 0.7
    if name == "bias non_neg":
        assert np.min(found_bias) == 0

# %% [markdown]
# ### A layer that is not registered
#
# The next layer has no arguments of its own. It inherits `__init__` and `get_config` from Keras.


# %%
class NotRegistered(keras.layers.Layer):
    def call(self, inputs):
        return inputs


model = keras.Sequential([keras.Input((4,)), NotRegistered()])
result = outcome(lambda: reload(model))
print("save and load:", result)
assert result == "TypeError"
classes = {"NotRegistered": NotRegistered}
path = f"{folder.name}/model.keras"
keras.saving.load_model(path, custom_objects=classes)
print("load with custom_objects: no error")

# %% [markdown]
# Loading fails. Without registration, give the class to `load_model`, in `custom_objects`.
#
# ### `training` in `fit`, `evaluate` and `predict`
#
# A layer that remembers the value shows it.


# %%
class TrainingRecorder(keras.layers.Layer):
    def call(self, inputs, training=None):
        self.seen = training
        return inputs


recorder = TrainingRecorder()
model = keras.Sequential([recorder, keras.layers.Dense(4)])
# run_eagerly: the Python code runs in every step, not only when the graph is recorded.
model.compile(optimizer="sgd", loss="mse", run_eagerly=True)
model.fit(few, few, verbose=0)
print("fit:     ", recorder.seen)
assert recorder.seen is True
model.evaluate(few, few, verbose=0)
print("evaluate:", recorder.seen)
assert recorder.seen is False
model.fit(few, few, verbose=0)
model.predict(few, verbose=0)
print("predict: ", recorder.seen)
assert recorder.seen is False

# %% [markdown]
# ### Masks
#
# A network for texts reads a text as a row of numbers, one for each word. Short texts are **padded**: zeros are added
# at the end, so that all rows of a batch have one length. A **mask** marks the added places, so that later layers can
# leave them out. A layer of your own passes the mask on if its `supports_masking` is True. The default is False: the
# mask ends at that layer, and Keras warns.
#
# In the model below, `Embedding` turns each word into three numbers and makes the mask. Our layer follows, then
# `GlobalAveragePooling1D`, which takes the mean over all words. Does padding change the mean?


# %%
def mean_model(passes_mask):
    keras.utils.set_random_seed(4)
    dense = CustomDense(2)
    dense.supports_masking = passes_mask
    text = keras.Input((None,), dtype="int32")
    words = keras.layers.Embedding(9, 3, mask_zero=True)(text)
    mean = keras.layers.GlobalAveragePooling1D()(dense(words))
    return keras.Model(text, mean)


for passes_mask in (True, False):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        model = mean_model(passes_mask)
        short = model(np.array([[5, 2]]))
        padded = model(np.array([[5, 2, 0, 0]]))
    difference = largest_difference(short, padded)
    print(f"supports_masking={passes_mask}: padding changes the mean by {difference:.3f}")
    if passes_mask:
        assert difference < 1e-6
        assert len(caught) == 0
    else:
        assert difference > 0.001
        assert len(caught) > 0  # Keras warned

# %% [markdown]
# ### One layer, called twice
#
# In a Functional model one layer may be called twice. Both calls then use the same weights. The next model has two
# inputs of four numbers, `left` and `right`, and one layer of ten units for both. `Dot` multiplies the two results
# number by number and adds the products. How many parameters does the model have?

# %%
left = keras.Input((4,), name="left")
right = keras.Input((4,), name="right")
shared = CustomDense(10, activation="relu", name="shared")
results = [shared(left), shared(right)]
product = keras.layers.Dot(axes=1)(results)
twins = keras.Model([left, right], product)
print("parameters:", twins.count_params())
assert twins.count_params() == 4 * 10 + 10

# %% [markdown]
# ## Summary
#
# - `__init__` keeps what the user chose, `build` makes the weights when the input's shape is known, `call` computes.
# - Use `layer(x)`, not `layer.call(x)`: `__call__` builds, converts the inputs, adds the penalty on the outputs, and
#   records the layer in a Functional model.
# - A random kernel makes the units different. The bias may begin at zero.
# - `**kwargs`, `get_config` and registration make a layer that can be saved. Test it by loading.
# - A layer that differs in training takes `training`. It draws with a seed generator, in the shape that
#   `keras.ops.shape` gives. In a plain call each layer of a Sequential model uses its own default.
#
# **Next** [04 · Training by hand](04_custom_training.ipynb): your own loss, metric and training loop.
#
# ## References
#
# - Keras: [making new layers and models via
#   subclassing](https://keras.io/guides/making_new_layers_and_models_via_subclassing/), [the base Layer
#   class](https://keras.io/api/layers/base_layer/), [saving and
#   loading](https://keras.io/guides/serialization_and_saving/), [masking and
#   padding](https://keras.io/guides/understanding_masking_and_padding/),
#   [initializers](https://keras.io/api/layers/initializers/)
# - Glorot and Bengio 2010, [Understanding the difficulty of training deep feedforward neural
#   networks](https://proceedings.mlr.press/v9/glorot10a.html)
# - He et al. 2015, [Delving deep into rectifiers](https://arxiv.org/abs/1502.01852): the initializer for ReLU
# - Srivastava et al. 2014, [Dropout](https://jmlr.org/papers/v15/srivastava14a.html)
