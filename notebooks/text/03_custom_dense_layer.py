# %% [markdown]
# # 03 · A dense layer of your own
#
# You write the layer that every network is full of, and make it equal to Keras' own, to the last bit.
#
# You will be able to
# - write a layer from `__init__`, `build` and `call`,
# - say what `layer(x)` does besides `layer.call(x)`,
# - make a layer that comes back from a file as it was,
# - write a layer that behaves differently in training.
#
# **Needs** notebooks 01 (tensors) and 02 (models), and Python classes: `__init__`, `super()`, inheritance.
# **Time** 45 minutes to read, 40 for the exercises; under 60 seconds to run on two CPU cores.

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
import warnings

import keras
import numpy as np
import tensorflow as tf

from helpers import data, plots
from helpers.exercises import ex03_custom_dense_layer as exercises

# %% [markdown]
# ## 1 · What a dense layer computes
#
# A **dense** layer connects every input with every output. Three samples of four numbers go in, and each sample comes
# out as two numbers. How many numbers must such a layer remember? Write down your guess before you look.

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
plots.tensor_blocks(blocks, title="A dense layer is one product and one sum")

# %% [markdown]
# Ten numbers: eight in the **kernel**, one for each pair of an input and an output, and two in the **bias**, one for
# each output. Together they are the layer's **weights**, and training changes nothing else. Check one cell of the last
# block with pencil and paper. The rest is bookkeeping, and Keras' own layer agrees.

# %%
known = keras.layers.Dense(2)
known.build((None, 4))
known.set_weights([kernel, bias])
assert np.array_equal(known(x), x @ kernel + bias)
print("weights of 4 inputs and 2 outputs:", known.count_params())
assert known.count_params() == 4 * 2 + 2

# %% [markdown]
# ## 2 · Three methods make a layer
#
# To write a layer of your own, inherit from `keras.layers.Layer` and answer three questions.
#
# - `__init__`: what does the user decide? The number of outputs, called **units**.
# - `build`: what must wait until the input's shape is known? The weights.
# - `call`: what is computed?


# %%
class CustomDense(keras.layers.Layer):
    def __init__(self, units=32):
        super().__init__()
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, inputs):
        return keras.ops.add(keras.ops.matmul(inputs, self.kernel), self.bias)


# %% [markdown]
# Why not make the weights in `__init__`? Nobody has said yet how many numbers will come in. So the layer waits for its
# first input. How many weights will ten units have, for inputs of four numbers?

# %%
layer = CustomDense(10)
print("before:", layer.built, [tuple(w.shape) for w in layer.weights])
outputs = layer(x)
print("after: ", layer.built, [tuple(w.shape) for w in layer.weights], "->", outputs.shape)
assert layer.count_params() == 4 * 10 + 10

# %% [markdown]
# Now the proof. The same seed must draw the same weights, and the same weights must give the same outputs, to the last
# bit. `input_shape[-1]` and `matmul` look at the last axis only, so any number of axes before it will do.


# %%
def made_with(dense, *arguments, seed=7, **options):
    """Return a new layer whose random weights come from the seed."""
    keras.utils.set_random_seed(seed)
    return dense(*arguments, **options)


for shape in [(3, 4), (2, 5, 4), (2, 3, 5, 4)]:
    inputs = rng.normal(size=shape).astype("float32")
    ours = made_with(CustomDense, 10)(inputs)
    theirs = made_with(keras.layers.Dense, 10)(inputs)
    assert np.array_equal(ours, theirs)
    print(shape, "->", ours.shape, "equal to keras.layers.Dense")

# %% [markdown]
# ### Exercise 1 · A layer with one weight for each feature
#
# Complete `Scale(start)`: it multiplies each **feature** (each place of the last axis) by a weight of its own. All
# weights begin at `start`, so a new `Scale()` changes nothing. `keras.initializers.Constant(number)` is a beginning
# that `add_weight` understands. The layer must work for inputs of any rank, and for any batch size.
#
# The cell below yours says what it makes of your answer. Stuck? `exercises.scale.hint()` gives a hint, and a plainer
# one each time you ask. `exercises.scale.solution()` shows a right answer.


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
# You wrote `call`. You use the layer as `layer(x)`, which runs `__call__`. That one comes from `keras.layers.Layer`.
#
# ### The notes said: `call` is the same as `__call__`
#
# The notes this course grew from say that `call` does the same as `__call__`. Let us ask a new layer for each of them,
# with the same float64 array. What do you expect of `call`?


# %%
def outcome(function):
    """Return the function's result, or the name of the error it raised."""
    try:
        return function()
    except Exception as error:
        return type(error).__name__


# %%
fresh, doubles = CustomDense(10), x.astype("float64")
print("fresh.call(x):", outcome(lambda: fresh.call(doubles)))
print("fresh(x):     ", fresh(doubles).dtype.name)
print("fresh.call(x):", fresh.call(doubles).dtype.name)

# %% [markdown]
# First an `AttributeError`: there are no weights yet, since nobody called `build`. Then float32, as the layer promises.
# Then float64, although the layer has a type of its own: on most GPUs, that is many times slower.
#
# `call` is the arithmetic and nothing else. `__call__` runs first. It builds the layer once and turns NumPy arrays into
# tensors of the layer's type. Then it runs your `call`. A layer that reports what reaches it shows the difference.


# %%
class Reporter(keras.layers.Layer):
    def build(self, input_shape):
        print("  build with", input_shape)

    def call(self, inputs, training=False):
        print(
            f"  call with {type(inputs).__name__} of {tf.as_dtype(inputs.dtype).name}, "
            f"training={training}"
        )
        return inputs


reporter = Reporter()
print("reporter(x), twice:")
reporter(x.astype("float64"))
reporter(x.astype("float64"))
print("reporter.call(x):")
_ = reporter.call(x.astype("float64"))

# %% [markdown]
# `build` ran once, and the float64 array arrived as a float32 tensor. `EagerTensor` is the everyday kind of tensor, one
# that has its values already. Called directly, the raw array came in.
#
# `__call__` looks after three more things: masks, penalties, and models. Here are the last two. An
# **activity regularizer** is a penalty on a layer's outputs. Who adds it to the losses?

# %%
strict = keras.layers.Dense(2, activity_regularizer="l2")
strict(x)
print("after strict(x):     ", len(strict.losses), "penalty")
strict = keras.layers.Dense(2, activity_regularizer="l2")
strict.build(x.shape)
strict.call(tf.constant(x))
print("after strict.call(x):", len(strict.losses), "penalties")
assert not strict.losses

# %% [markdown]
# And this is how a Functional model comes about: `__call__` may be given a **symbolic** tensor, one with a shape and a
# type but no values. It answers with another one and remembers the layer in between. What does a model remember that
# was made with `call`?

# %%
symbol = keras.Input((4,))
through_layer = keras.Model(symbol, fresh(symbol))
through_call = keras.Model(symbol, fresh.call(symbol))
print("fresh(symbol):     ", through_layer.count_params(), "weights")
print("fresh.call(symbol):", through_call.count_params(), "weights")
assert np.array_equal(through_layer(x), through_call(x))
assert (through_layer.count_params(), through_call.count_params()) == (50, 0)

# %% [markdown]
# Both models compute the same. But the second knows of no weights. `fit` would find nothing to train, and a saved file
# would have nothing to restore.
#
# ### Exercise 2 · Be `__call__` yourself
#
# Write `run(layer, inputs)` for NumPy inputs. Do by hand what `layer(inputs)` would: build the layer if it is not
# built, make a tensor of the type the layer computes in, `layer.compute_dtype`, and return what `layer.call` gives. Do
# not write `layer(inputs)`.


# %%
def run(layer, inputs):
    # your code
    ...


# %%
exercises.around.check(run)

# %% [markdown]
# ## 4 · How weights begin
#
# An **initializer** draws the first values. In our layer the kernel comes from `glorot_uniform`, and the bias is zero.
# Does it matter? Send random numbers through ten layers of 100 units each, with ReLU between them, and measure how
# large the signal is after every layer.


# %%
def signal_sizes(initializer, depth=10, width=100):
    keras.utils.set_random_seed(1)
    signal = np.random.default_rng(1).normal(size=(200, width)).astype("float32")
    sizes = [float(signal.std())]
    for _ in range(depth):
        signal = keras.layers.Dense(width, "relu", kernel_initializer=initializer)(signal)
        sizes.append(float(np.std(signal)))
    return sizes


sizes = {name: signal_sizes(name) for name in ("he_normal", "glorot_uniform", "random_normal")}
plots.lines(
    range(11),
    sizes,
    "layers passed",
    "size of the signal",
    "Only one of these keeps the signal alive",
)

# %% [markdown]
# `random_normal` draws with a standard deviation of 0.05, whatever the layer's size. `glorot_uniform` looks at the
# numbers of inputs and outputs. `he_normal` looks at the inputs and makes up for the half that ReLU throws away. Ten
# layers deep, the first is left with next to nothing, and so are the gradients that must come back the same way.

# %%
for name, values in sizes.items():
    print(f"{name:15} keeps {values[-1] / values[0]:.3%} of the signal")
assert sizes["random_normal"][-1] < 0.01 * sizes["he_normal"][-1]
assert 0.2 < sizes["he_normal"][-1] / sizes["he_normal"][0] < 5

# %% [markdown]
# ### The notes said: draw the bias at random
#
# The notes drew both, kernel and bias, from `random_normal`. What would you expect of a layer that sees only zeros?

# %%
nothing = np.zeros((1, 4), "float32")
drawn = made_with(keras.layers.Dense, 3, bias_initializer="random_normal")(nothing)
zero = made_with(keras.layers.Dense, 3)(nothing)
print("random bias:", *(f"{v:.3f}" for v in drawn[0].numpy()), "| zero bias:", *zero[0].numpy())
assert np.any(drawn != 0)
assert not np.any(zero)

# %% [markdown]
# It has an opinion before it has seen anything, another one for every seed. It does little harm, and no good:
# randomness has one job here, and the kernel does it. Here is the job. We train three hidden units on the same task,
# once with a kernel of equal numbers, once with a random one.


# %%
def hidden_kernel_after_training(initializer):
    keras.utils.set_random_seed(2)
    hidden = keras.layers.Dense(3, "tanh", kernel_initializer=initializer)
    net = keras.Sequential(
        [keras.Input((4,)), hidden, keras.layers.Dense(1, kernel_initializer="ones")]
    )
    net.compile(keras.optimizers.SGD(0.1), "mse")
    net.fit(x, x.sum(axis=1, keepdims=True), epochs=5, verbose=0)
    return hidden.kernel.numpy()


equal = hidden_kernel_after_training(keras.initializers.Constant(0.1))
random = hidden_kernel_after_training("glorot_uniform")
plots.tensor_blocks(
    {"began equal": equal.round(2), "began random": random.round(2)},
    "Three units after training",
)

# %% [markdown]
# Each column is one unit. Units that begin alike get the same gradient and stay alike for ever: three units that are
# worth one. A random kernel breaks that **symmetry**. The bias may then begin at zero.

# %%
assert np.ptp(equal, axis=1).max() == 0, "equal units stay equal"
assert np.ptp(random, axis=1).min() > 0.01, "random ones become different units"

# %% [markdown]
# ## 5 · A layer that can be saved
#
# A `.keras` file holds a model's **config**, which says how to make its layers again, and their weights. Will it find
# its way back to our class?
#
# ### The notes said: this layer is complete
#
# The notes' layer has no `name`, no `dtype` and no `get_config`. Three things that every layer of Keras can do, it
# cannot.

# %%
folder = tempfile.TemporaryDirectory()  # deleted when the notebook ends


def reload(model):
    """Save a model and load it again."""
    path = f"{folder.name}/model.keras"
    model.save(path)
    return keras.saving.load_model(path, safe_mode=True)


print("a name:        ", outcome(lambda: CustomDense(10, name="hidden")))
print("half precision:", outcome(lambda: CustomDense(10, dtype="mixed_float16")))
plain = keras.Sequential([keras.Input((4,)), CustomDense(10)])
print("save and load: ", outcome(lambda: reload(plain)))

# %% [markdown]
# Saving raised no error! The loading did. You would learn about it on the day you need the model. Let us see how far a
# config is from what `__init__` takes.

# %%
config = CustomDense(10).get_config()
print("the config has:", sorted(config), "| __init__ takes: ['units']")
print("from_config:   ", outcome(lambda: CustomDense.from_config(config)))

# %% [markdown]
# Keras noted three things by itself. When it loads, it hands them all back to `__init__`, and ours takes one. So
# `__init__` must accept what every layer may be given, `name`, `trainable` and `dtype`, and pass it on: that is the
# `**kwargs` below. What the user decided is for you to note, in `get_config`, on top of what `super().get_config()`
# gives: Keras cannot do that for an argument that is an object. And `register_keras_serializable` enters the class in
# Keras' address book, under `course>CustomDense`, so that a file can name it.


# %%
@keras.saving.register_keras_serializable(package="course")
class CustomDense(keras.layers.Layer):
    def __init__(self, units, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.supports_masking = True

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.units))
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")

    def call(self, inputs):
        return self.activation(keras.ops.add(keras.ops.matmul(inputs, self.kernel), self.bias))

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "units": self.units, "activation": activation}


# %% [markdown]
# `keras.activations.get` takes a name or a function and gives a function. `serialize` goes the other way, because a
# file can hold a name but no function. `add_weight` draws from `glorot_uniform` if we do not say otherwise.

# %%
keras.utils.set_random_seed(3)
stack = [
    CustomDense(10, "relu", name="hidden"),
    CustomDense(2, dtype="mixed_float16", name="output"),
]
saved = keras.Sequential([keras.Input((4,)), *stack])
loaded = reload(saved)
assert np.array_equal(loaded(x), saved(x))
for layer in loaded.layers:
    weight, result = layer.kernel.dtype, layer.compute_dtype
    print(
        f"{layer.name}: {layer.units} units, {layer.activation.__name__}, weights {weight}, "
        f"computes in {result}"
    )
assert loaded.get_layer("hidden").units == 10

# %% [markdown]
# `mixed_float16` is a **dtype policy**: weights in float32, so that small steps are not lost, arithmetic in float16,
# which is fast on a GPU. `__call__` casts inputs and weights for us. `safe_mode=True` means that loading runs no code
# from the file. A file from a stranger may contain a `Lambda` with anything in it.
#
# Keras' own layer has more options. Where ours has the same ones, does it still agree?

# %%
for activation in (None, "relu", "tanh"):
    ours = made_with(CustomDense, 6, activation)(x)
    theirs = made_with(keras.layers.Dense, 6, activation)(x)
    assert np.array_equal(ours, theirs)
print("two dense layers, the same bits")

# %% [markdown]
# A **mask** marks steps of a sequence as padding, so that they do not count. A layer that knows nothing about masks
# must at least pass them on: `supports_masking`. Without it the mask ends there, and the mean below counts the padding.


# %%
def mean_over_steps(passes_mask):
    keras.utils.set_random_seed(4)
    dense = CustomDense(2)
    dense.supports_masking = passes_mask
    tokens = keras.Input((None,), dtype="int32")
    steps = dense(keras.layers.Embedding(9, 3, mask_zero=True)(tokens))
    return keras.Model(tokens, keras.layers.GlobalAveragePooling1D()(steps))


# Keras warns of the lost mask; we look at what it does.
warnings.simplefilter("ignore", UserWarning)
for passes_mask in (True, False):
    mean = mean_over_steps(passes_mask)
    short, padded = mean(np.array([[5, 2]])), mean(np.array([[5, 2, 0, 0]]))
    print(
        f"mask passed on: {passes_mask} | padding changes the mean: "
        f"{not np.allclose(short, padded)}"
    )
    assert np.allclose(short, padded) == passes_mask

# %% [markdown]
# ### Exercise 3 · Make it survive
#
# Complete `Power`: it raises each input to the power `exponent`. Write its `get_config` so that a saved `Power` comes
# back with its exponent, its name, its dtype, and with `trainable=False` if it had that.


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
# The wrong answer to fear is the quiet one. A config without `exponent` loads without a word, and computes squares.
#
# ## 6 · Different in training
#
# Some layers must know whether the network is learning or working. **Gaussian noise** is the simplest: in training it
# adds random numbers, so that the network cannot rely on any single pixel. At work it does nothing.


# %%
@keras.saving.register_keras_serializable(package="course")
class GaussianNoise(keras.layers.Layer):
    def __init__(self, stddev, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.stddev, self.seed = stddev, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        noise = keras.random.normal(
            keras.ops.shape(inputs), 0.0, self.stddev, seed=self.seed_generator
        )
        return inputs + noise

    def get_config(self):
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


# %%
fashion = data.fashion(verbose=False)
images, labels = fashion.arrays("train")
picture = images[:1].astype("float32")
noisy = {"at work": GaussianNoise(50.0, seed=0)(picture, training=False)}
for stddev in (20.0, 50.0, 100.0):
    noisy[f"training,\nnoise {stddev:.0f}"] = GaussianNoise(stddev, seed=0)(
        picture, training=True
    )
plots.image_grid(
    np.concatenate(list(noisy.values())), list(noisy), columns=4, title="One picture, one layer"
)

# %% [markdown]
# Who sets `training`? `fit` sets it to True. `predict` and `evaluate` set it to False. If you call a model yourself, it
# is False unless you say so. The outermost call decides, and `__call__` hands it down to every layer inside.

# %%
noise_only = keras.Sequential([keras.Input((28, 28)), GaussianNoise(50.0, seed=0)])
assert np.array_equal(noise_only.predict(picture, verbose=0), picture)
assert np.array_equal(noise_only(picture), picture)
assert not np.array_equal(noise_only(picture, training=True), picture)
difference = noise_only(np.zeros((50, 28, 28), "float32"), training=True)
print(
    f"at work: nothing | in training: mean {np.mean(difference):.1f}, standard deviation "
    f"{np.std(difference):.1f}"
)
assert abs(np.std(difference) - 50) < 1

# %% [markdown]
# Why the **seed generator**? It is a small state that moves on with every draw. Two tempting shortcuts have none. Which
# of these three layers gives new noise in every step?


# %%
class FixedSeed(GaussianNoise):
    def call(self, inputs, training=False):
        return (
            inputs + keras.random.normal(keras.ops.shape(inputs), seed=1)
            if training
            else inputs
        )


class NumPyNoise(GaussianNoise):
    def call(self, inputs, training=False):
        return (
            inputs + np.random.normal(size=inputs.shape).astype("float32")
            if training
            else inputs
        )


# %%
for kind in (GaussianNoise, FixedSeed, NumPyNoise):
    noise = kind(1.0)
    # As `fit` would run it.
    step = tf.function(lambda inputs, noise=noise: noise(inputs, training=True))
    new = not np.array_equal(step(x), step(x))
    print(f"{kind.__name__:13} new noise in every step: {new}")
    assert new == (kind is GaussianNoise)

# %% [markdown]
# A seed given as a number draws the same noise for ever. NumPy draws while TensorFlow writes down the computation,
# once, and that one draw becomes a constant of the graph. Notebook 04 has more on that. Both train without a complaint.
#
# Again Keras' own layer agrees with ours.

# %%
ours = GaussianNoise(0.5, seed=6)(x, training=True)
theirs = keras.layers.GaussianNoise(0.5, seed=6)(x, training=True)
assert np.array_equal(ours, theirs)
print("two noise layers, the same bits")

# %% [markdown]
# ### Exercise 4 · Dropout
#
# Complete `CustomDropout`. In training, each number becomes 0 with probability `rate`, whatever happens to the others.
# The numbers that are left are divided by `1 - rate`, so that the mean stays what it was. At work nothing happens. Use
# `keras.random.uniform(shape, seed=...)`, which draws from 0 to 1. The same seed must give the same run again.


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
# A layer of your own goes wherever one of Keras' goes. Here is the classifier of notebook 02 with ours in it. You know
# how many parameters it must have.


# %%
def classifier(dense):
    keras.utils.set_random_seed(5)
    parts = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    parts += [dense(100, activation="relu"), dense(30, activation="relu"), dense(10)]
    net = keras.Sequential([keras.Input((28, 28)), *parts])
    net.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return net


ours, theirs = classifier(CustomDense), classifier(keras.layers.Dense)
print(f"{ours.count_params():,} parameters")
assert ours.count_params() == (784 * 100 + 100) + (100 * 30 + 30) + (30 * 10 + 10) == 81_840

# %% [markdown]
# We train both on the same images in the same order. After hundreds of steps of gradients, will they still be the same?

# %%
runs = [
    net.fit(images[:4000], labels[:4000], epochs=3, shuffle=False, verbose=0).history
    for net in (ours, theirs)
]
print(
    "epochs with equal loss:",
    sum(a == b for a, b in zip(runs[0]["loss"], runs[1]["loss"])),
    "of 3",
)
assert all(np.array_equal(a, b) for a, b in zip(ours.get_weights(), theirs.get_weights()))
assert runs[0]["accuracy"][-1] > 0.5, "and it learns"

# %% [markdown]
# In a Functional model, one layer object may be called twice. Then both calls use the *same* weights. Two pictures, one
# layer: how many weights?

# %%
left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
shared = CustomDense(10, "relu", name="shared")
twins = keras.Model([left, right], keras.layers.Dot(axes=1)([shared(left), shared(right)]))
print("called twice, weights:", twins.count_params())
assert twins.count_params() == 4 * 10 + 10
assert np.allclose(twins([x, x[::-1]]), twins([x[::-1], x])), (
    "the two sides are interchangeable"
)

# %% [markdown]
# `Sequential` could not say that: it knows one road only.
#
# ## Summary
#
# - `__init__` keeps what the user decided, `build` makes the weights when the input's shape is known, `call` computes.
# - Use `layer(x)`, never `layer.call(x)`: `__call__` builds, converts, adds penalties, and tells the model that the
#   layer is there.
# - Random kernels break the symmetry between units. Their size decides whether a signal survives. The bias begins at
#   zero.
# - `**kwargs`, `get_config` on top of `super()`, and registration make a layer that comes back from a file. Test it by
#   loading.
# - A layer that differs in training takes `training`, and draws from a seed generator.
#
# **Next** [04 · Training by hand](04_custom_training.ipynb): your own loss, metric and training loop.
#
# ## References
#
# - Keras: [making new layers and models via
#   subclassing](https://keras.io/guides/making_new_layers_and_models_via_subclassing/), [the base Layer
#   class](https://keras.io/api/layers/base_layer/), [saving and
#   loading](https://keras.io/guides/serialization_and_saving/)
# - Glorot and Bengio 2010, [Understanding the difficulty of training deep feedforward neural
#   networks](https://proceedings.mlr.press/v9/glorot10a.html)
# - He et al. 2015, [Delving deep into rectifiers](https://arxiv.org/abs/1502.01852): the initializer for ReLU
# - Srivastava et al. 2014, [Dropout](https://jmlr.org/papers/v15/srivastava14a.html)
