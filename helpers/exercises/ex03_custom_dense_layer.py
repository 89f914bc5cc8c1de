"""The exercises of notebook 03."""

from __future__ import annotations

import tempfile

import keras
import numpy as np
import tensorflow as tf

from helpers.checking.engine import Exercise

NOTEBOOK = "03_custom_dense_layer"


# Exercise 1


class Scale(keras.layers.Layer):
    def __init__(self, start=1.0):
        super().__init__()
        self.start = start

    def build(self, input_shape):
        self.scale = self.add_weight(
            shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.start)
        )

    def call(self, inputs):
        return inputs * self.scale


def observe_scale(answer):
    rows = np.arange(12, dtype="float32").reshape(3, 4)
    layer = answer(2.0)
    prepared = hasattr(layer, "trainable")
    yield "whether the base class has prepared the layer", prepared
    if not prepared:
        return
    layer.build((3, 4))
    yield (
        "the shapes of the weights that Keras knows after `build`, for inputs of 3 by 4",
        shapes(layer.weights),
    )
    yield "the result of a new layer with start 2, for inputs of 0 to 11", layer(rows)
    yield "the shapes of the weights that training changes", shapes(layer.trainable_weights)
    if shapes(layer.weights) != [(4,)]:
        return  # other weights than can be set
    layer.set_weights([np.array([1, 2, 3, 4], "float32")])
    yield "the result with the weights 1, 2, 3, 4", layer(rows)
    yield "the result for a batch of one", layer(rows[:1])
    yield "the number of weights after these calls", len(layer.weights)
    yield "the result of a layer made without a start", answer()(rows)
    layer = answer(2.0)
    yield "the result for inputs with the shape (2, 3, 2)", layer(rows.reshape(2, 3, 2))
    yield "the shapes of the weights for inputs with the shape (2, 3, 2)", shapes(layer.weights)


def shapes(weights):
    return [tuple(weight.shape) for weight in weights]


scale = Exercise(
    notebook=NOTEBOOK,
    number=1,
    title="A layer with one weight for each feature",
    objective="write a layer from `__init__`, `build` and `call`",
    reference=Scale,
    observe=observe_scale,
    hints=(
        "`__init__` keeps what the user chooses, `build` makes the weight, `call` computes. "
        "Which line belongs in which method?",
        "`build` is the first to know how many features there are. On which axis of "
        "`input_shape`?",
        "`self.add_weight(shape=..., initializer=...)` makes a weight that Keras knows. Its "
        "shape holds one number.",
    ),
)


@scale.right
class ScaleByOps(keras.layers.Layer):
    def __init__(self, start=1.0):
        super().__init__()
        self.first = keras.initializers.Constant(start)

    def build(self, input_shape):
        *_, features = input_shape
        self.gain = self.add_weight(
            name="gain", shape=[features], initializer=self.first, trainable=True
        )
        self.built = True

    def call(self, inputs):
        return keras.ops.einsum("...f,f->...f", inputs, self.gain)


def scaling(
    shape=lambda input_shape: (input_shape[-1],),
    call=lambda inputs, weight: inputs * weight,
    **options,
):
    """Return a layer whose weight has another shape or other options, or is used otherwise."""

    class Answer(Scale):
        def build(self, input_shape):
            first = keras.initializers.Constant(self.start)
            self.scale = self.add_weight(
                **{"shape": shape(input_shape), "initializer": first} | options
            )

        def call(self, inputs):
            return call(inputs, self.scale)

    return Answer


scale.wrong(
    "You made one number for all features together. How many features does the last axis have?",
    "one weight for all",
)(scaling(lambda input_shape: ()))
scale.wrong(
    "Your weights have an axis for the batch. The next batch may be smaller or larger: which "
    "axis keeps its length?",
    "a weight for each sample",
)(scaling(lambda input_shape: input_shape))
scale.wrong(
    "With two axes it works, with three you have a weight for each place of a sample. The "
    "features are one axis only.",
    "a weight for each place",
)(scaling(lambda input_shape: input_shape[1:]))
scale.wrong(
    "With two axes it works, with three it does not: axis 1 is then no longer the last one. "
    "From which end should you count?",
    "axis 1 for the last axis",
)(scaling(lambda input_shape: (input_shape[1],)))
scale.wrong(
    "Your weights begin at random. That is what `add_weight` does unless you tell it how "
    "they should begin.",
    "initializer forgotten",
)(scaling(initializer=None))
scale.wrong(
    "Your weights begin at 1, whatever the user asks for. Where do you use `start`?",
    "start not used",
)(scaling(initializer="ones"))
scale.wrong(
    "Keras knows your weight, but training will not change it. What did you tell "
    "`add_weight` about that?",
    "not trainable",
)(scaling(trainable=False))
scale.wrong(
    "You added the weight, as a bias is added. Read again what the layer does with each "
    "feature.",
    "added instead of multiplied",
)(scaling(call=lambda inputs, weight: inputs + weight))
scale.wrong(
    "You made a weight, and `call` does not use it: the outputs equal the inputs.",
    "weight not used",
)(scaling(call=lambda inputs, weight: inputs))


@scale.wrong(
    "Keras does not know your weight: training would not change it, and a file would not "
    "keep it. Which method of the layer makes weights?",
    "weight unknown to Keras",
)
class PlainTensor(Scale):
    def build(self, input_shape):
        self.scale = tf.fill([input_shape[-1]], self.start)


@scale.wrong(
    "You make the weight in `call`. Keras accepts no new weight of a layer that is built. "
    "Which method runs before, and knows the shape?",
    "weight made in call",
)
class WeightMadeInCall(keras.layers.Layer):
    def __init__(self, start=1.0):
        super().__init__()
        self.start = start

    def call(self, inputs):
        first = keras.initializers.Constant(self.start)
        self.scale = self.add_weight(shape=inputs.shape[-1:], initializer=first)
        return inputs * self.scale


@scale.wrong(
    "Your `__init__` does not call that of the base class, which a layer needs before it can "
    "have weights.",
    "super forgotten",
)
class SuperForgotten(Scale):
    def __init__(self, start=1.0):
        self.start = start


# Exercise 2


def run(layer, inputs):
    if not layer.built:
        layer.build(inputs.shape)
    return layer.call(tf.convert_to_tensor(inputs, dtype=layer.compute_dtype))


def observe_run(answer):
    inputs = np.linspace(-1, 1, 12).reshape(3, 4)
    layer, diary = watched()
    yield "the result for a new layer that doubles", answer(layer, inputs)
    yield "what was done to the new layer", tuple(diary)
    yield "the result the second time", answer(layer, inputs)
    yield "what was done to the layer, both times", tuple(diary)
    layer, diary = watched(dtype="mixed_float16")
    answer(layer, inputs)
    yield "what was done to a layer with the dtype mixed_float16", tuple(diary)


def watched(**options):
    """Return a layer that doubles, and the list of what is done to it."""
    diary = []

    class Watched(keras.layers.Layer):
        def __call__(self, *arguments, **keywords):
            diary.append("layer(inputs)")
            return super().__call__(*arguments, **keywords)

        def build(self, input_shape):
            # Only the last one matters.
            sizes = ["?"] * (len(input_shape) - 1) + [str(input_shape[-1])]
            diary.append(f"build for ({', '.join(sizes)})")
            self.factor = 2

        def call(self, inputs):
            kind = "tensor" if tf.is_tensor(inputs) else type(inputs).__name__
            diary.append(f"call with {kind} of {tf.as_dtype(inputs.dtype).name}")
            return inputs * self.factor

    return Watched(**options), diary


around = Exercise(
    notebook=NOTEBOOK,
    number=2,
    title="Do what `__call__` does",
    objective="say what `layer(x)` does besides `layer.call(x)`",
    reference=run,
    observe=observe_run,
    hints=(
        "Three things in this order: make the weights (only for a layer that is not built), "
        "convert the type, compute.",
        "`layer.built` says whether the layer is built. `layer.build` takes a shape, the "
        "batch axis included.",
        "`tf.convert_to_tensor(inputs, dtype=...)` makes a tensor of the type you ask for. "
        "The layer knows which.",
    ),
)


@around.right
def run_with_ops(layer, inputs):
    if not layer.built:
        layer.build((None, *inputs.shape[1:]))
    inputs = keras.ops.cast(tf.constant(inputs), layer.dtype_policy.compute_dtype)
    return layer.call(inputs)


def build_once(layer, inputs):
    if not layer.built:
        layer.build(inputs.shape)


def build_for_one_sample(layer, inputs):
    if not layer.built:
        layer.build(inputs.shape[1:])


def running(
    build=build_once,
    prepared=lambda layer, inputs: tf.cast(inputs, layer.compute_dtype),
):
    """Return an answer that builds otherwise, or prepares the inputs otherwise."""

    def answer(layer, inputs):
        build(layer, inputs)
        return layer.call(prepared(layer, inputs))

    return answer


@around.wrong(
    "You wrote `layer(inputs)`, which runs `__call__`. Do the three things yourself.",
    "used layer(inputs)",
)
def use_it(layer, inputs):
    return layer(inputs)


around.wrong(
    "Something is missing in the layer: it was not built. Which method builds it, and when "
    "must you call it?",
    "build forgotten",
)(running(build=lambda layer, inputs: None))
around.wrong(
    "You build in every call. With a layer that has weights, the second `build` raises an "
    "error. How can you tell that a layer is built?",
    "built every time",
)(running(build=lambda layer, inputs: layer.build(inputs.shape)))
around.wrong(
    "You built for one sample: an axis is missing. Layers are told the shape of the whole "
    "batch.",
    "built without the batch axis",
)(running(build=build_for_one_sample))
around.wrong(
    "`call` got the array unchanged. What does `call` get after `layer(inputs)`? Look at the "
    "Reporter above.",
    "array handed on",
)(running(prepared=lambda layer, inputs: inputs))
around.wrong(
    "You made a tensor, but it is still float64, as NumPy made it. Which type does the layer "
    "compute in?",
    "still float64",
)(running(prepared=lambda layer, inputs: tf.convert_to_tensor(inputs)))
around.wrong(
    "You always make float32. That is right for most layers, not for all: ask the layer for "
    "the type it computes in.",
    "always float32, or the type of the weights",
)(running(prepared=lambda layer, inputs: tf.cast(inputs, "float32")))


@around.wrong(
    "You did all three steps, but the result of `layer.call` is lost. What does your "
    "function return?"
)
def result_not_returned(layer, inputs):
    run(layer, inputs)


# Exercise 3


@keras.saving.register_keras_serializable(package="course")
class Power(keras.layers.Layer):
    def __init__(self, exponent=2.0, **kwargs):
        super().__init__(**kwargs)
        self.exponent = exponent

    def call(self, inputs):
        return keras.ops.power(inputs, self.exponent)

    def get_config(self):
        return {**super().get_config(), "exponent": self.exponent}


def observe_power(answer):
    layer = answer(3.0, name="cubed", dtype="mixed_float16", trainable=False)
    yield "the layer's output for 2, with the exponent 3", layer(np.array([[2.0, 2.0]]))
    config = layer.get_config()
    yield "what get_config returns", "a dictionary" if isinstance(config, dict) else config
    if not isinstance(config, dict):
        return
    unknown = set(config) - {"exponent", "name", "dtype", "trainable"}
    yield "the keys that are no argument of `__init__`", sorted(unknown)
    if unknown:
        return  # loading would fail
    # The learner's class and the one above bear one name; the file is to find the one that is
    # looked at.
    ours = keras.saving.custom_object_scope({keras.saving.get_registered_name(answer): answer})
    with tempfile.TemporaryDirectory() as folder, ours:
        keras.Sequential([keras.Input((2,)), layer]).save(f"{folder}/power.keras")
        (loaded,) = keras.saving.load_model(f"{folder}/power.keras", safe_mode=True).layers
    yield "the exponent after loading, saved as 3", loaded.exponent
    yield "the name after loading", loaded.name
    yield "the type it computes in after loading", loaded.compute_dtype
    yield "whether it is trainable after loading", loaded.trainable
    yield (
        "the loaded layer's output for 2, saved with the exponent 3",
        loaded(np.array([[2.0, 2.0]])),
    )


saved = Exercise(
    notebook=NOTEBOOK,
    number=3,
    title="Save a layer with its settings",
    objective="save a layer in a file and load it with all its settings",
    reference=Power,
    observe=observe_power,
    hints=(
        "The config goes back into `__init__` when the file is loaded. What does `__init__` "
        "need to know?",
        "The base class has a `get_config` of its own, for the name, the dtype and "
        "`trainable`. Yours adds to it.",
        "Return one dictionary: what `super().get_config()` has, and one key more, named "
        "like the argument.",
    ),
)


def keeping(get_config):
    """Return the layer with another config, under the same name, but not registered."""
    return type("Power", (Power,), {"get_config": get_config})


def base(layer):
    return keras.layers.Layer.get_config(layer)


def by_update(self):
    config = base(self)
    config.update(exponent=float(self.exponent))
    return config


saved.right(keeping(by_update))


@saved.right
class Renamed(keras.layers.Layer):
    def __init__(self, exponent=2.0, **kwargs):
        super().__init__(**kwargs)
        self.exponent = exponent

    def call(self, inputs):
        return inputs**self.exponent

    def get_config(self):
        own = {"exponent": self.exponent}
        return own | super().get_config()


@saved.wrong(
    "You raised the exponent to the power of the inputs: 2 becomes 9 instead of 8. Which of "
    "the two is the base?",
    "base and exponent swapped",
)
class BaseAndExponentSwapped(Power):
    def call(self, inputs):
        return keras.ops.power(self.exponent, inputs)


saved.wrong(
    "It loads without an error, but with the default exponent: your config does not say what "
    "the user chose.",
    "exponent forgotten",
)(keeping(base))
saved.wrong(
    "Your config has the exponent, but the name, the dtype and `trainable` are lost. Which "
    "method of the base class returns them?",
    "base class forgotten",
)(keeping(lambda self: {"exponent": self.exponent}))
saved.wrong(
    "Your config has a key that `__init__` does not know. Loading gives every key to "
    "`__init__` as an argument: compare them.",
    "key named otherwise",
)(keeping(lambda self: {**base(self), "power": self.exponent}))
saved.wrong(
    "You wrote down name and dtype yourself. A dtype policy is more than the type of the "
    "weights, and `trainable` is missing: the base class writes all of them.",
    "name and dtype by hand",
)(keeping(lambda self: {"name": self.name, "dtype": self.dtype, "exponent": self.exponent}))


def nothing(self):
    by_update(self)


saved.wrong(
    "Your `get_config` changes a dictionary and does not return it. What must its last line "
    "be?",
    "config not returned",
)(keeping(nothing))


# Exercise 4


class CustomDropout(keras.layers.Layer):
    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        draws = keras.random.uniform(keras.ops.shape(inputs), seed=self.seed_generator)
        return keras.ops.where(draws < self.rate, 0.0, inputs / (1 - self.rate))


def observe_dropout(answer):
    ones = np.ones((20, 1000), "float32")

    def compared(result):
        if result is None:
            return None
        return "unchanged" if np.array_equal(result, ones) else "changed"

    layer = answer(0.2, seed=1)
    yield "the inputs at inference", compared(layer(ones, training=False))
    yield "the inputs if `training` is not given", compared(layer(ones))
    first = layer(ones, training=True)
    yield "the shape of the result in training", getattr(first, "shape", None)
    if getattr(first, "shape", None) != ones.shape:
        return
    first = np.asarray(first)
    yield (
        "the proportion of zeros in training with rate 0.2, to one decimal",
        round(np.mean(first == 0).item(), 1),
    )
    yield "what a 1 that is left becomes, with rate 0.2", first.max()
    yield "whether each sample loses numbers of its own", not np.array_equal(first[0], first[1])
    yield (
        "whether the next call draws anew",
        not np.array_equal(layer(ones, training=True), first),
    )
    twin = answer(0.2, seed=1)
    yield (
        "whether a second layer with the same seed draws the same",
        np.array_equal(twin(ones, training=True), first),
    )
    step = tf.function(lambda inputs: layer(inputs, training=True))
    step = step.get_concrete_function(tf.TensorSpec(ones.shape))
    once = step(tf.constant(ones))
    again = step(tf.constant(ones))
    yield "whether a compiled step draws anew", not np.array_equal(once, again)
    # `fit` leaves the batch size open.
    step = tf.function(lambda inputs: layer(inputs, training=True))
    step = step.get_concrete_function(tf.TensorSpec((None, 1000)))
    result = step(tf.constant(ones[:7]))
    yield "the shape of the result in a step of `fit`, for a batch of 7", result.shape


dropout = Exercise(
    notebook=NOTEBOOK,
    number=4,
    title="Dropout",
    objective="write a layer that behaves differently in training",
    reference=CustomDropout,
    observe=observe_dropout,
    hints=(
        "First the easy half: what should the layer return at inference?",
        "In training draw one number for each input, and compare it with the rate. How often "
        "is it below 0.2?",
        "Draw with the layer's own seed generator, in the shape `keras.ops.shape(inputs)`. "
        "`keras.ops.where` picks between two values, number by number.",
    ),
)


@dropout.right
class ByMultiplying(CustomDropout):
    def call(self, inputs, training=False):
        if training:
            shape = keras.ops.shape(inputs)
            kept = keras.random.uniform(shape, seed=self.seed_generator) > self.rate
            inputs = inputs * keras.ops.cast(kept, inputs.dtype) / (1 - self.rate)
        return inputs


@dropout.right
class ByKeras(CustomDropout):
    def call(self, inputs, training=False):
        if not training:
            return inputs
        return keras.random.dropout(inputs, self.rate, seed=self.seed_generator)


def dropping(
    kept=lambda layer, draws: draws >= layer.rate,
    draws=lambda layer, inputs: keras.random.uniform(
        keras.ops.shape(inputs), seed=layer.seed_generator
    ),
    left=lambda layer, inputs: inputs / (1 - layer.rate),
    at_work=lambda layer, inputs, dropped: inputs,
):
    """Return a layer with other rules.

    They say what it keeps, how it draws, what is left of a number, and what it does at work.
    """

    class Answer(CustomDropout):
        def call(self, inputs, training=False):
            mask = keras.ops.cast(kept(self, draws(self, inputs)), "float32")
            dropped = mask * left(self, inputs)
            return dropped if training else at_work(self, inputs, dropped)

    return Answer


dropout.wrong(
    "Your layer drops numbers at inference, too. Which argument of `call` says whether it is "
    "training?",
    "training not asked",
)(dropping(at_work=lambda layer, inputs, dropped: dropped))


@dropout.wrong(
    "Your layer drops numbers at inference and none in training. Look at your `if`: when "
    "should the inputs stay as they are?",
    "training turned round",
)
class TrainingTurnedRound(CustomDropout):
    def call(self, inputs, training=False):
        return super().call(inputs, training=not training)


dropout.wrong(
    "You keep the proportion that you should drop. How often is a draw from 0 to 1 below the "
    "rate?",
    "proportion turned round",
)(dropping(kept=lambda layer, draws: draws < layer.rate))
dropout.wrong(
    "The zeros are right, but what is left is as it was, so the mean falls. By how much must "
    "the others grow?",
    "not divided",
)(dropping(left=lambda layer, inputs: inputs))
dropout.wrong(
    "You divided by the rate. With rate 0.2, which proportion of the numbers is left, and by "
    "what must they grow?",
    "divided by the rate",
)(dropping(left=lambda layer, inputs: inputs / layer.rate))
dropout.wrong(
    "You make numbers smaller at inference instead of larger in training. The means agree "
    "then, too, but the exercise wants a layer that changes nothing at inference.",
    "made smaller at inference",
)(
    dropping(
        left=lambda layer, inputs: inputs,
        at_work=lambda layer, inputs, dropped: inputs * (1 - layer.rate),
    )
)
dropout.wrong(
    "All samples lose the same numbers. Which shape did you draw, and which shape has the "
    "batch?",
    "one draw for all samples",
)(
    dropping(
        draws=lambda layer, inputs: keras.random.uniform(
            inputs.shape[1:], seed=layer.seed_generator
        )
    )
)
dropout.wrong(
    "Every call loses the same numbers. A seed that is a fixed number gives the same draws "
    "each time. Which attribute of the layer changes at every draw?",
    "the same draw for ever",
)(dropping(draws=lambda layer, inputs: keras.random.uniform(keras.ops.shape(inputs), seed=1)))
dropout.wrong(
    "Your layer ignores its own seed, so the same seed does not give the same draws. What "
    "did `__init__` do with the seed?",
    "seed not used",
)(dropping(draws=lambda layer, inputs: keras.random.uniform(keras.ops.shape(inputs))))
dropout.wrong(
    "It works in a plain call and raises in `fit`: there the batch size in `inputs.shape` is "
    "None. Which function of `keras.ops` gives a shape that can be used?",
    "inputs.shape in fit",
)(
    dropping(
        draws=lambda layer, inputs: keras.random.uniform(
            inputs.shape, seed=layer.seed_generator
        )
    )
)
dropout.wrong(
    "You drew with NumPy, which ignores the layer's seed. In a compiled step its one draw "
    "becomes a constant, as in the lesson's NumPyNoise.",
    "drawn by NumPy",
)(dropping(draws=lambda layer, inputs: np.random.uniform(size=inputs.shape).astype("float32")))
