"""The exercises of notebook 04."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from helpers.checking.engine import Exercise

NOTEBOOK = "04_custom_training"


# Exercise 1


class PinballLoss(keras.losses.Loss):
    def __init__(self, quantile=0.5, name="pinball", **kwargs):
        super().__init__(name=name, **kwargs)
        self.quantile = quantile

    def call(self, y_true, y_pred):
        error = y_true - y_pred
        cost = ops.maximum(self.quantile * error, (self.quantile - 1) * error)
        return ops.mean(cost, axis=-1)

    def get_config(self):
        return {**super().get_config(), "quantile": self.quantile}


def observe_pinball(answer):
    loss = answer(0.9, name="p90", reduction="sum")
    labels = tf.constant([[2.0, 2.0], [0.0, 3.0]])
    guesses = tf.constant([[0.0, 1.0], [2.0, 0.0]])
    first = loss.call(labels[:1, :1], guesses[:1, :1])
    yield "the loss of one sample, label 2 and prediction 0", first
    if first is None:
        return
    yield (
        "the loss of one sample, label 0 and prediction 2",
        loss.call(labels[1:, :1], guesses[1:, :1]),
    )
    yield "the losses of two samples with two values each", loss.call(labels, guesses)
    cube = tf.reshape(tf.range(12.0), (2, 3, 2))
    yield "the losses of labels with the shape (2, 3, 2)", loss.call(cube, cube[::-1])
    config = loss.get_config()
    yield "what get_config returns", "a dictionary" if isinstance(config, dict) else config
    if not isinstance(config, dict):
        return
    unknown = set(config) - {"quantile", "name", "reduction", "dtype"}
    yield "the keys that are no argument of `__init__`", sorted(unknown)
    if unknown:
        return  # loading would fail
    again = answer.from_config(config)
    yield "the quantile that comes back, saved as 0.9", again.quantile
    yield "the name that comes back", again.name
    yield "the reduction that comes back", again.reduction
    yield (
        "the loss of both samples with the weights 1 and 0",
        again(labels, guesses, np.array([1.0, 0.0], "float32")),
    )


pinball = Exercise(
    notebook=NOTEBOOK,
    number=1,
    title="A loss with two prices",
    objective="write a loss that is saved with its settings",
    reference=PinballLoss,
    observe=observe_pinball,
    hints=(
        "Compute e, the label minus the prediction. For which sign of e is which of the "
        "two formulas the larger one?",
        "`ops.where` or `ops.maximum` treats each number by itself. Take the mean last, "
        "over the last axis.",
        "Begin with `super().get_config()`. Add one key, named like the argument of "
        "`__init__`.",
    ),
)


@pinball.right
class PinballByWhere(PinballLoss):
    def call(self, y_true, y_pred):
        error = tf.convert_to_tensor(y_true) - y_pred
        cost = tf.where(error > 0, self.quantile, self.quantile - 1) * error
        return tf.reduce_mean(cost, axis=-1)

    def get_config(self):
        config = super().get_config()
        config.update({"quantile": self.quantile})
        return config


def pinballs(
    error=lambda y_true, y_pred: y_true - y_pred,
    cost=lambda q, error: ops.maximum(q * error, (q - 1) * error),
    mean=lambda cost: ops.mean(cost, axis=-1),
    config=None,
):
    """Return a loss with another error, another cost, another mean or another config."""

    class Answer(PinballLoss):
        def call(self, y_true, y_pred):
            return mean(cost(self.quantile, error(y_true, y_pred)))

        def get_config(self):
            base = keras.losses.Loss.get_config(self)
            if config is None:
                return {**base, "quantile": self.quantile}
            return config(self, base)

    return Answer


pinball.wrong(
    "The two sides are exchanged: your loss is larger for predictions that are too high. "
    "Is e the label minus the prediction?",
    "prediction minus label",
)(pinballs(error=lambda y_true, y_pred: y_pred - y_true))
pinball.wrong(
    "Where e is negative, your loss is negative, too: a wrong prediction makes your loss "
    "smaller. Look at the sign of the second factor.",
    "a negative loss",
)(pinballs(cost=lambda q, error: ops.where(error > 0, q * error, (1 - q) * error)))
pinball.wrong(
    "You took the size of the error, so both sides cost the same. With 0.9 the two costs "
    "must differ.",
    "both sides alike",
)(pinballs(cost=lambda q, error: q * ops.abs(error)))
pinball.wrong(
    "You took the mean over everything. Sample weights are applied after `call`, so "
    "`call` must return one number for each sample.",
    "mean over the batch, too",
)(pinballs(mean=ops.mean))
pinball.wrong(
    "You took the mean over axis 0, which is the batch. So you mixed the samples. Which "
    "axis holds the values of one sample?",
    "mean over the batch axis",
)(pinballs(mean=lambda cost: ops.mean(cost, axis=0)))
pinball.wrong(
    "Your loss is right for two axes and wrong for three: axis 1 is not always the last. "
    "Use `axis=-1`.",
    "axis 1 for the last axis",
)(pinballs(mean=lambda cost: ops.mean(cost, axis=min(1, len(cost.shape) - 1))))
pinball.wrong(
    "You took no mean: one cost for each value is returned. Take the mean over the last axis.",
    "mean forgotten",
)(pinballs(mean=lambda cost: cost))
pinball.wrong(
    "You added the values of a sample. The task asks for their mean.",
    "sum for mean",
)(pinballs(mean=lambda cost: ops.sum(cost, axis=-1)))
pinball.wrong(
    "`if` needs one True or False, and a tensor has many values. Use `ops.where`.",
    "if for a whole tensor",
)(pinballs(cost=lambda q, error: q * error if error > 0 else (q - 1) * error))
pinball.wrong(
    "The loaded loss has the default quantile. Add `quantile` to the dictionary in "
    "`get_config`.",
    "quantile not in the config",
)(pinballs(config=lambda self, base: base))
pinball.wrong(
    "The quantile is saved, name and reduction are not. Begin with `super().get_config()`.",
    "base class forgotten in the config",
)(pinballs(config=lambda self, base: {"quantile": self.quantile}))


# Exercise 2


def four_pieces(strength, low, high):
    return {
        "activation": lambda outputs: ops.maximum(outputs, 0) ** 2,
        "initializer": lambda shape, dtype=None: ops.full(shape, 1 / shape[0], dtype=dtype),
        "regularizer": lambda weights: strength * ops.sum(weights**2),
        "constraint": lambda weights: ops.clip(weights, low, high),
    }


def observe_pieces(answer):
    made = answer(0.1, -1.0, 0.5)
    names = sorted(made) if isinstance(made, dict) else made
    yield "the keys of the dictionary, sorted", names
    if names != ["activation", "constraint", "initializer", "regularizer"]:
        return
    outputs = tf.constant([-2.0, -0.5, 0.5, 3.0])
    weights = tf.constant([[1.0, -2.0], [3.0, 0.25]])
    yield "the activation of [-2, -0.5, 0.5, 3]", made["activation"](outputs)
    yield (
        "the first weights for 4 inputs and 2 units",
        made["initializer"]((4, 2), dtype="float32"),
    )
    half = made["initializer"]((4, 2), dtype="float16")
    yield "the type of the first weights, asked for float16", getattr(half, "dtype", half)
    yield (
        "the penalty for the weights [[1, -2], [3, 0.25]] with strength 0.1",
        made["regularizer"](weights),
    )
    yield "the weights [[1, -2], [3, 0.25]] kept from -1 to 0.5", made["constraint"](weights)
    other = answer(2.0, 0.0, 2.0)
    yield "the penalty for the same weights with strength 2", other["regularizer"](weights)
    yield "the same weights kept from 0 to 2", other["constraint"](weights)
    yield "whether the activation gives a tensor", tf.is_tensor(made["activation"](outputs))


pieces = Exercise(
    notebook=NOTEBOOK,
    number=2,
    title="Four pieces",
    objective="write the four functions that a layer takes",
    reference=four_pieces,
    observe=observe_pieces,
    hints=(
        "Use the table: what does each function get, and what must it return?",
        "Activation and constraint return as many numbers as they get. The initializer "
        "gets no numbers, only a shape and a dtype.",
        "`ops.maximum`, `ops.full`, `ops.sum` and `ops.clip` are all you need. The first "
        "number of a kernel's shape is the number of inputs.",
    ),
)


@pieces.right
def with_keras_own(strength, low, high):
    def start(shape, dtype=None):
        return tf.ones(shape, dtype or "float32") / shape[0]

    class Between(keras.constraints.Constraint):
        def __call__(self, weights):
            return ops.minimum(ops.maximum(weights, low), high)

    def squared_relu(outputs):
        return keras.activations.relu(outputs) * outputs

    own = {"initializer": start, "regularizer": keras.regularizers.L2(strength)}
    return {"activation": squared_relu, "constraint": Between(), **own}


def with_piece(name, piece):
    """Return an answer with one piece replaced; `piece` takes the settings and returns it."""

    def answer(strength, low, high):
        return {**four_pieces(strength, low, high), name: piece(strength, low, high)}

    return answer


pieces.wrong(
    "You squared first. A square is never negative, so the maximum with 0 changes "
    "nothing: -2 becomes 4.",
    "squared before ReLU",
)(with_piece("activation", lambda *_: lambda outputs: ops.maximum(outputs**2, 0)))
pieces.wrong(
    "Your activation computes in NumPy. NumPy functions are not recorded, so there is no "
    "gradient. Use `ops`.",
    "activation in NumPy",
)(with_piece("activation", lambda *_: lambda outputs: np.maximum(outputs, 0) ** 2))
pieces.wrong(
    "You divided by the number of units. A kernel has the shape (inputs, units): which of "
    "the two is the number of inputs?",
    "one over the units",
)(
    with_piece(
        "initializer",
        lambda *_: lambda shape, dtype=None: ops.full(shape, 1 / shape[-1], dtype=dtype),
    )
)
pieces.wrong(
    "Your initializer takes a shape only. It must also take a dtype: look at "
    "`half_normal` above.",
    "initializer without dtype",
)(with_piece("initializer", lambda *_: lambda shape: ops.full(shape, 1 / shape[0])))
pieces.wrong(
    "Your initializer takes a dtype and does not use it: the layer asked for float16 and "
    "gets another dtype.",
    "dtype not used",
)(
    with_piece(
        "initializer",
        lambda *_: lambda shape, dtype=None: ops.full(shape, 1 / shape[0], dtype="float32"),
    )
)
pieces.wrong(
    "Your penalty has a number for each weight. The penalty is added to the loss, so it "
    "must be one number.",
    "a penalty for each weight",
)(with_piece("regularizer", lambda strength, *_: lambda weights: strength * weights**2))
pieces.wrong(
    "You took the mean of the squares. The task asks for the sum.",
    "mean for sum",
)(
    with_piece(
        "regularizer", lambda strength, *_: lambda weights: strength * ops.mean(weights**2)
    )
)
pieces.wrong(
    "All weights become the same number: you exchanged `low` and `high`.",
    "ends mixed up",
)(
    with_piece(
        "constraint",
        lambda _, low, high: lambda weights: ops.maximum(ops.minimum(weights, low), high),
    )
)
pieces.wrong(
    "Your constraint uses only one of the two limits. Use `low` and `high`.",
    "one end only",
)(with_piece("constraint", lambda _, low, high: lambda weights: ops.minimum(weights, high)))
pieces.wrong(
    "Weights outside the limits become 0 in your constraint. They must become `low` or `high`.",
    "outside set to zero",
)(
    with_piece(
        "constraint",
        lambda _, low, high: (
            lambda weights: ops.where((weights < low) | (weights > high), 0.0, weights)
        ),
    )
)


# Exercise 3


class Within(keras.metrics.Metric):
    def __init__(self, tolerance, name="within", **kwargs):
        super().__init__(name=name, **kwargs)
        self.tolerance = tolerance
        self.hits = self.add_variable((), initializer="zeros", name="hits")
        self.count = self.add_variable((), initializer="zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        near = ops.cast(ops.abs(y_pred - y_true) <= self.tolerance, "float32")
        self.hits.assign_add(ops.sum(near))
        self.count.assign_add(ops.size(near))

    def result(self):
        return ops.divide_no_nan(self.hits, self.count)


def observe_within(answer):
    def fed(*errors):
        errors = np.array(errors, "float32")
        metric.update_state(np.ones_like(errors), 1 + errors)
        return metric.result()

    metric = answer(0.5)
    fresh = metric.result()
    yield "the errors 0.125, -0.5 and -3 with the tolerance 0.5", fed(0.125, -0.5, -3)
    yield "all so far, after a second batch with the error 9", fed(9)
    yield (
        "all so far, after a third batch with the errors [[0, 0], [0, 9]]",
        fed([0, 0], [0, 9]),
    )
    yield "the result asked for once more", metric.result()
    metric.reset_state()
    yield "the errors 0, 9 and 9 after reset_state", fed(0, 9, 9)
    metric = answer(4.0)
    yield "the errors 3 and 9 with the tolerance 4", fed(3, 9)
    yield "the result before the first batch", fresh


within = Exercise(
    notebook=NOTEBOOK,
    number=3,
    title="How often within tolerance?",
    objective=(
        "write a metric that is updated batch by batch, and say what a loss needs that a "
        "metric does not need"
    ),
    reference=Within,
    observe=observe_within,
    praise=(
        "It could not be a loss: a small change of a weight almost never changes the "
        "number of hits. So a gradient shows no direction (section 4)."
    ),
    hints=(
        "Two numbers are kept between batches: the hits and the count. Both variables "
        "exist already.",
        "A comparison gives True and False. `ops.cast` turns them into 1 and 0, and their "
        "sum is the number of hits.",
        "Add to the variables with `assign_add`, and divide only in `result`. "
        "`ops.divide_no_nan` is 0 for 0 / 0.",
    ),
)


@within.right
class WithinInSteps(Within):
    def update_state(self, y_true, y_pred, sample_weight=None):
        far = (
            tf.math.abs(tf.subtract(tf.cast(y_true, "float32"), tf.cast(y_pred, "float32")))
            > self.tolerance
        )
        self.hits.assign(self.hits + tf.reduce_sum(tf.where(far, 0.0, 1.0)))
        self.count.assign(self.count + tf.cast(tf.size(far), "float32"))

    def result(self):
        return self.hits / ops.maximum(self.count, 1)


def near(metric, y_true, y_pred):
    return ops.cast(ops.abs(y_pred - y_true) <= metric.tolerance, "float32")


def counting(
    hits=near,
    add=lambda variable, number: variable.assign_add(number),
    total=ops.sum,
    size=ops.size,
    share=ops.divide_no_nan,
):
    """Return a metric that finds hits, adds up, counts or divides otherwise."""

    class Answer(Within):
        def update_state(self, y_true, y_pred, sample_weight=None):
            found = hits(self, y_true, y_pred)
            add(self.hits, total(found))
            add(self.count, ops.cast(size(found), "float32"))

        def result(self):
            return share(self.hits, self.count)

    return Answer


within.wrong(
    "Your metric uses the last batch only. `assign` replaces the value. Use `assign_add`.",
    "earlier batches forgotten",
)(counting(add=lambda variable, number: variable.assign(number)))
within.wrong(
    "A batch of one counts as much as a batch of three: you took a mean of means. Add up "
    "the hits and the predictions.",
    "mean of the batches' means",
)(counting(total=ops.mean, size=lambda found: 1))
within.wrong(
    "An error of exactly the tolerance must count, too: use `<=`.",
    "border left out",
)(
    counting(
        hits=lambda metric, y_true, y_pred: ops.cast(
            ops.abs(y_pred - y_true) < metric.tolerance, "float32"
        )
    )
)
within.wrong(
    "You counted an error of -3 as within 0.5. Take the absolute value of the error.",
    "size of the error forgotten",
)(
    counting(
        hits=lambda metric, y_true, y_pred: ops.cast(
            y_pred - y_true <= metric.tolerance, "float32"
        )
    )
)
within.wrong(
    "You divided by the number of samples. Divide by the number of predictions: a batch "
    "with the shape (2, 2) has four.",
    "rows counted",
)(counting(size=lambda found: found.shape[0]))
within.wrong(
    "Your result is the number of hits. Divide it by the number of predictions.",
    "not divided",
)(counting(share=lambda hits, count: hits + 0))
within.wrong(
    "Before the first batch your result is not a number: 0 divided by 0. The task asks for 0.",
    "divided by zero",
)(counting(share=lambda hits, count: hits / count))


@within.wrong(
    "`self.hits = ...` replaces the variable by a tensor. `reset_state` does not reset "
    "the tensor. Use `assign_add`.",
    "variables replaced",
)
class VariablesReplaced(Within):
    def update_state(self, y_true, y_pred, sample_weight=None):
        self.hits = self.hits + ops.sum(near(self, y_true, y_pred))
        self.count = self.count + float(np.size(y_pred))


# Exercise 4


def descend(function, variable, rate, steps):
    seen = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            largest = tf.reduce_max(function(variable))
        seen.append(float(largest))
        variable.assign_sub(rate * tape.gradient(largest, variable))
    return seen


def observe_descend(answer):
    def bowl(position, *bottom):
        return tf.reduce_sum((position - list(bottom)) ** 2)

    def one_bowl(position):
        return tf.stack([bowl(position, 1.0, -2.0)])

    def two_bowls(position):
        return tf.stack([bowl(position, 1.0, -2.0), bowl(position, -3.0, 1.0)])

    place = tf.Variable([0.0, 0.0])
    yield "the list after no step at all", answer(one_bowl, place, 0.1, 0)
    yield "the losses of one step, of one loss", answer(one_bowl, place, 0.1, 1)
    yield "where the variable is after this step", place
    place = tf.Variable([0.0, 0.0])
    yield "the largest of two losses, in three steps", answer(two_bowls, place, 0.1, 3)
    yield "where the variable is after three steps", place


downhill = Exercise(
    notebook=NOTEBOOK,
    number=4,
    title="Reduce the largest loss",
    objective="compute gradients with TensorFlow's gradient tape, of one loss or of several",
    reference=descend,
    observe=observe_descend,
    hints=(
        "Compute the loss inside the block of the tape. Where do you take the largest loss?",
        "Inside the block: the losses, and the largest of them. After it: append the loss "
        "to the list, take the gradient, change the variable.",
        "`tf.reduce_max` returns the largest loss, `assign_sub` changes a variable in "
        "place. Each step needs a new tape.",
    ),
)


@downhill.right
def by_jacobian(function, variable, rate, steps):
    seen = []
    while len(seen) < steps:
        with tf.GradientTape() as tape:
            found = function(variable)
        worst = int(tf.argmax(found))
        seen.append(found[worst])
        variable.assign(variable - rate * tape.jacobian(found, variable)[worst])
    return seen


def walking(
    part=tf.reduce_max,
    change=lambda variable, rate, slope: variable.assign_sub(rate * slope),
):
    """Return an answer that asks for another gradient or moves otherwise."""

    def answer(function, variable, rate, steps):
        seen = []
        for _ in range(steps):
            with tf.GradientTape() as tape:
                found = function(variable)
                asked = part(found)
            seen.append(float(tf.reduce_max(found)))
            change(variable, rate, tape.gradient(asked, variable))
        return seen

    return answer


downhill.wrong(
    "You took the gradient of the whole vector, and the tape added its rows. Take the "
    "gradient of the largest loss.",
    "gradient of the sum",
)(walking(part=lambda found: found))
downhill.wrong(
    "You took the gradient of the mean, so all losses count. Only the largest should.",
    "gradient of the mean",
)(walking(part=tf.reduce_mean))
downhill.wrong(
    "The losses grow, because you added the gradient. Subtract it.",
    "walked uphill",
)(walking(change=lambda variable, rate, slope: variable.assign_add(rate * slope)))
downhill.wrong(
    "The variable is replaced by the gradient. Subtract `rate` times the gradient from "
    "the variable.",
    "assigned for moved",
)(walking(change=lambda variable, rate, slope: variable.assign(-rate * slope)))
downhill.wrong(
    "The variable does not change: you computed its new value and did not assign it. Use "
    "`assign_sub`.",
    "variable never moved",
)(walking(change=lambda variable, rate, slope: variable - rate * slope))


@downhill.wrong(
    "The gradient is None: the largest loss was computed after the block of the tape. "
    "Compute it inside the block.",
    "computed outside the tape",
)
def computed_outside(function, variable, rate, steps):
    seen = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            found = function(variable)
        largest = tf.reduce_max(found)
        seen.append(float(largest))
        variable.assign_sub(rate * tape.gradient(largest, variable))
    return seen


@downhill.wrong(
    "You can call `gradient` only once for each tape. Begin a new tape in every step.",
    "one tape for all steps",
)
def one_tape(function, variable, rate, steps):
    seen = []
    with tf.GradientTape() as tape:
        for _ in range(steps):
            largest = tf.reduce_max(function(variable))
            seen.append(float(largest))
            variable.assign_sub(rate * tape.gradient(largest, variable))
    return seen


@downhill.wrong(
    "`variable = ...` gives the name to a new tensor. The variable does not change, and "
    "the tape does not watch the tensor.",
    "variable replaced by a tensor",
)
def name_given_away(function, variable, rate, steps):
    seen = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            largest = tf.reduce_max(function(variable))
        seen.append(float(largest))
        variable = variable - rate * tape.gradient(largest, variable)
    return seen


@downhill.wrong(
    "You appended each loss after its step. The list must hold the loss before the "
    "variable changes."
)
def noted_after_the_step(function, variable, rate, steps):
    seen = []
    for _ in range(steps):
        descend(function, variable, rate, 1)
        seen.append(float(tf.reduce_max(function(variable))))
    return seen


# Exercise 5

# As in the notebook.
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def accumulated_step(model, optimizer, x, y):
    half = x.shape[0] // 2
    gradients = []
    for part in (slice(None, half), slice(half, None)):
        with tf.GradientTape() as tape:
            logits = model(x[part], training=True)
            loss = cross_entropy(y[part], logits) + sum(model.losses)
        gradients.append(tape.gradient(loss, model.trainable_variables))
    means = [(first + second) / 2 for first, second in zip(*gradients)]
    optimizer.apply(means, model.trainable_variables)


def observe_step(answer):
    batches = []

    class Witness(keras.layers.Layer):
        """Keep the sizes of the batches, and differ between training and inference."""

        def call(self, inputs, training=False):
            batches.append(inputs.shape[0])
            return 2 * inputs if training else inputs

    dense = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1))
    model = keras.Sequential([keras.Input((2,)), Witness(), dense])

    def ready():
        model.set_weights([np.array([[1, -1, 0.5], [0.5, 2, -1]]), np.zeros(3)])
        optimizer = keras.optimizers.SGD(0.5)
        optimizer.build(model.trainable_variables)
        batches.clear()
        return optimizer

    x = tf.constant(np.linspace(-1, 2, 16, dtype="float32").reshape(8, 2))
    y = tf.constant([0, 1, 2, 0, 2, 2, 1, 1])
    optimizer = ready()
    answer(model, optimizer, x, y)
    kernel, bias = model.get_weights()
    yield "the sizes of the batches that the model was given", tuple(batches)
    yield "the number of steps of the optimizer", int(optimizer.iterations)
    yield "the kernel after the step", kernel
    yield "the bias after the step", bias
    of_the_whole_batch = [[0.403, -0.728, 0.775], [-0.079, 1.974, -0.546]]
    if not np.allclose(kernel, of_the_whole_batch, atol=1e-3):
        return  # one thing at a time
    optimizer = ready()
    compiled = tf.function(lambda x, y: answer(model, optimizer, x, y))
    compiled = compiled.get_concrete_function(
        tf.TensorSpec(x.shape), tf.TensorSpec(y.shape, y.dtype)
    )
    compiled(x, y)
    yield "the kernel after a compiled step", model.get_weights()[0]


halves = Exercise(
    notebook=NOTEBOOK,
    number=5,
    title="Half a batch at a time",
    objective="write a training step that equals `fit`, and compile it",
    reference=accumulated_step,
    observe=observe_step,
    hints=(
        "Begin with `train_step` above. Which of its lines are needed for each half, and "
        "which once?",
        "For each half: a tape, a prediction, the loss with penalties, the gradients. Keep "
        "both lists of gradients.",
        "`zip` pairs the two gradients of each weight. Give their means to the optimizer, "
        "in one call of `apply`.",
    ),
)


@halves.right
def with_split(model, optimizer, x, y):
    totals = [tf.zeros_like(variable) for variable in model.trainable_variables]
    for x_half, y_half in zip(tf.split(x, 2), tf.split(y, 2)):
        with tf.GradientTape() as tape:
            logits = model(x_half, training=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(y_half, logits)
            )
            loss = tf.add_n([loss, *model.losses]) / 2
        gradients = tape.gradient(loss, model.trainable_variables)
        totals = [total + gradient for total, gradient in zip(totals, gradients)]
    optimizer.apply_gradients(zip(totals, model.trainable_variables))
    return tf.constant(0.0)


def stepping(
    parts=lambda half: (slice(None, half), slice(half, None)),
    loss=lambda model, x, y: cross_entropy(y, model(x, training=True)) + sum(model.losses),
    joined=lambda gradients: [sum(pair) / len(pair) for pair in zip(*gradients)],
):
    """Return an answer that cuts, computes the loss or joins the gradients otherwise."""

    def answer(model, optimizer, x, y):
        gradients = []
        for part in parts(x.shape[0] // 2):
            with tf.GradientTape() as tape:
                found = loss(model, x[part], y[part])
            gradients.append(tape.gradient(found, model.trainable_variables))
        optimizer.apply(joined(gradients), model.trainable_variables)

    return answer


halves.wrong(
    "You added the gradients of the halves. Each is the gradient of a mean, so your sum "
    "is twice the gradient of the whole batch. Take their mean.",
    "sum for mean",
)(stepping(joined=lambda gradients: [sum(pair) for pair in zip(*gradients)]))
halves.wrong(
    "Only the second half counts: its gradients replaced those of the first half. Keep "
    "both lists.",
    "first half lost",
)(stepping(joined=lambda gradients: gradients[-1]))
halves.wrong(
    "You gave the model the whole batch at once. Give it one half, then the other.",
    "whole batch at once",
)(stepping(parts=lambda half: (slice(None),)))
halves.wrong(
    "The penalties are missing. No error is raised, and the loss is smaller. Add "
    "`model.losses`.",
    "penalties forgotten",
)(stepping(loss=lambda model, x, y: cross_entropy(y, model(x, training=True))))
halves.wrong(
    "The model was called without `training=True`, so dropout would be inactive.",
    "training forgotten",
)(stepping(loss=lambda model, x, y: cross_entropy(y, model(x)) + sum(model.losses)))
halves.wrong(
    "Your loss used the logits as probabilities. Use `cross_entropy` from the notebook.",
    "from_logits forgotten",
)(
    stepping(
        loss=lambda model, x, y: (
            ops.mean(keras.losses.sparse_categorical_crossentropy(y, model(x, training=True)))
            + sum(model.losses)
        )
    )
)
halves.wrong(
    "Your step works as Python and not as a graph: during tracing a tensor has no value. "
    "Which line needs a value?",
    "value asked for in a graph",
)(
    stepping(
        joined=lambda gradients: [
            (first + second).numpy() / 2 for first, second in zip(*gradients)
        ]
    )
)


@halves.wrong(
    "The optimizer took two steps. So the second half was predicted with weights that the "
    "first half had changed. Call `apply` once, after both halves.",
    "two steps",
)
def step_for_each_half(model, optimizer, x, y):
    half = x.shape[0] // 2
    for part in (slice(None, half), slice(half, None)):
        stepping(parts=lambda _, part=part: (part,))(model, optimizer, x, y)
