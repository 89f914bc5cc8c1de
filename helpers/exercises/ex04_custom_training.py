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
    title="A loss that prefers one side",
    objective="write a loss that is saved with its settings",
    reference=PinballLoss,
    observe=observe_pinball,
    hints=(
        "Begin with e, the label minus the prediction. For which sign of e is which of the "
        "two lines the larger one?",
        "`ops.where` or `ops.maximum` gives each number an answer of its own. The mean comes "
        "last, over one axis.",
        "The config is that of the base class and one key more, named like the argument of "
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
    "The two sides are swapped: your loss minds too much more than too little. Which of the "
    "two is e taken from?",
    "prediction minus label",
)(pinballs(error=lambda y_true, y_pred: y_pred - y_true))
pinball.wrong(
    "Where e is negative, your loss is negative, too: a bad guess is rewarded. Look at the "
    "sign of the second factor.",
    "a negative loss",
)(pinballs(cost=lambda q, error: ops.where(error > 0, q * error, (1 - q) * error)))
pinball.wrong(
    "You took the size of the error, so both sides cost the same. What should 0.9 make "
    "different?",
    "both sides alike",
)(pinballs(cost=lambda q, error: q * ops.abs(error)))
pinball.wrong(
    "You took the mean over everything. Sample weights come after `call`: how many numbers "
    "do they need from it?",
    "mean over the batch, too",
)(pinballs(mean=ops.mean))
pinball.wrong(
    "You took the mean over axis 0, which is the batch: it mixes the samples. Which axis "
    "belongs to one sample?",
    "mean over the batch axis",
)(pinballs(mean=lambda cost: ops.mean(cost, axis=0)))
pinball.wrong(
    "With two axes it works, with three it does not: axis 1 is not always the last. From "
    "which end should you count?",
    "axis 1 for the last axis",
)(pinballs(mean=lambda cost: ops.mean(cost, axis=min(1, len(cost.shape) - 1))))
pinball.wrong(
    "You took no mean: one cost for each value comes back. How many numbers should a sample "
    "give?",
    "mean forgotten",
)(pinballs(mean=lambda cost: cost))
pinball.wrong(
    "You added the values of a sample up. A sample with more values would then cost more: "
    "what was asked for?",
    "sum for mean",
)(pinballs(mean=lambda cost: ops.sum(cost, axis=-1)))
pinball.wrong(
    "An `if` asks one question, and here each number of the tensor needs an answer of its "
    "own. How did the Huber loss decide?",
    "if for a whole tensor",
)(pinballs(cost=lambda q, error: q * error if error > 0 else (q - 1) * error))
pinball.wrong(
    "The loss comes back with the default quantile: your config does not say what the user "
    "decided.",
    "quantile not in the config",
)(pinballs(config=lambda self, base: base))
pinball.wrong(
    "The quantile comes back, name and reduction do not. Who has already noted those?",
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
    objective="write activations, initializers, regularizers and constraints",
    reference=four_pieces,
    observe=observe_pieces,
    hints=(
        "Go through the table row by row: what does the piece get, and what must it give back?",
        "Two of them give back as many numbers as they get. One gets no numbers at all, only "
        "a shape and a type.",
        "`ops.maximum`, `ops.full`, `ops.sum` and `ops.clip` are all you need. The first "
        "number of a kernel's shape is that of the inputs.",
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
    "You squared first. A square is never negative, so nothing is left for the zero: -2 "
    "comes out as 4.",
    "squared before ReLU",
)(with_piece("activation", lambda *_: lambda outputs: ops.maximum(outputs**2, 0)))
pieces.wrong(
    "Your activation computes in NumPy, and no gradient finds its way back through that. "
    "Which `ops` do the same?",
    "activation in NumPy",
)(with_piece("activation", lambda *_: lambda outputs: np.maximum(outputs, 0) ** 2))
pieces.wrong(
    "You divided by the number of units. A kernel has the shape (inputs, units): which of "
    "them are added up in a unit?",
    "one over the units",
)(
    with_piece(
        "initializer",
        lambda *_: lambda shape, dtype=None: ops.full(shape, 1 / shape[-1], dtype=dtype),
    )
)
pieces.wrong(
    "Your initializer takes a shape only. A layer also says which type it wants: look at "
    "`half_normal` above.",
    "initializer without dtype",
)(with_piece("initializer", lambda *_: lambda shape: ops.full(shape, 1 / shape[0])))
pieces.wrong(
    "Your initializer takes a type and does not use it: the layer asked for float16 and gets "
    "another one.",
    "dtype not used",
)(
    with_piece(
        "initializer",
        lambda *_: lambda shape, dtype=None: ops.full(shape, 1 / shape[0], dtype="float32"),
    )
)
pieces.wrong(
    "Your penalty has a number for each weight. It will be added to the loss: how many "
    "numbers can it be?",
    "a penalty for each weight",
)(with_piece("regularizer", lambda strength, *_: lambda weights: strength * weights**2))
pieces.wrong(
    "You took the mean of the squares. Then a large layer pays no more than a small one: "
    "read again what is asked.",
    "mean for sum",
)(
    with_piece(
        "regularizer", lambda strength, *_: lambda weights: strength * ops.mean(weights**2)
    )
)
pieces.wrong(
    "All weights come out alike: your minimum and maximum are at the wrong ends. Follow a "
    "weight of 0 through both.",
    "ends mixed up",
)(
    with_piece(
        "constraint",
        lambda _, low, high: lambda weights: ops.maximum(ops.minimum(weights, low), high),
    )
)
pieces.wrong(
    "Your constraint holds one end only. Where does a weight go that is too small, and where "
    "one that is too large?",
    "one end only",
)(with_piece("constraint", lambda _, low, high: lambda weights: ops.minimum(weights, high)))
pieces.wrong(
    "Weights outside become 0 in your constraint. Is that the allowed number that is nearest "
    "to them?",
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
        "write a metric that is updated batch by batch, and say what a loss needs and a metric "
        "does not"
    ),
    reference=Within,
    observe=observe_within,
    praise=(
        "It could not be a loss: small changes of the weights hardly ever change a count of "
        "hits, so there is no gradient to follow."
    ),
    hints=(
        "Two things are to be remembered between batches. Both have their variable already.",
        "A comparison gives True and False. `ops.cast` makes numbers of them, and their sum "
        "is the number of hits.",
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
    "Your metric knows the last batch only. What does `assign` do to that which was there?",
    "earlier batches forgotten",
)(counting(add=lambda variable, number: variable.assign(number)))
within.wrong(
    "A batch of one counts as much as a batch of three: you took a mean of means. Which two "
    "numbers should be added up?",
    "mean of the batches' means",
)(counting(total=ops.mean, size=lambda found: 1))
within.wrong(
    "An error of exactly the tolerance does not count in your metric. What does *at most* "
    "say about the border?",
    "border left out",
)(
    counting(
        hits=lambda metric, y_true, y_pred: ops.cast(
            ops.abs(y_pred - y_true) < metric.tolerance, "float32"
        )
    )
)
within.wrong(
    "An error of -3 is within 0.5 for you, because it is smaller. How far away is it?",
    "size of the error forgotten",
)(
    counting(
        hits=lambda metric, y_true, y_pred: ops.cast(
            y_pred - y_true <= metric.tolerance, "float32"
        )
    )
)
within.wrong(
    "You counted samples, but the proportion is one of predictions: a batch with the shape "
    "(2, 2) has four. You may even get more than 1.",
    "rows counted",
)(counting(size=lambda found: found.shape[0]))
within.wrong(
    "Your result is the number of hits. How does it become a proportion?",
    "not divided",
)(counting(share=lambda hits, count: hits + 0))
within.wrong(
    "Before the first batch your result is not a number: 0 divided by 0. What should it be "
    "then?",
    "divided by zero",
)(counting(share=lambda hits, count: hits / count))


@within.wrong(
    "`self.hits = ...` puts a new thing in the variable's place. `reset_state` then empties "
    "the variable, not your thing: which method changes a variable itself?",
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
    objective="compute gradients with a tape, of one loss or of several",
    reference=descend,
    observe=observe_descend,
    hints=(
        "What the gradient is asked of must be computed while the tape records. Where do you "
        "pick the largest loss?",
        "Inside the block: the losses, and the largest of them. Behind it: note the loss, "
        "ask for the gradient, step.",
        "`tf.reduce_max` picks, `assign_sub` changes a variable in place. Each step needs a "
        "tape of its own.",
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
    "You asked for the gradient of the whole vector, and the tape added its rows up. Which "
    "loss is to fall?",
    "gradient of the sum",
)(walking(part=lambda found: found))
downhill.wrong(
    "You took the gradient of the mean: then all losses count. Which one alone should?",
    "gradient of the mean",
)(walking(part=tf.reduce_mean))
downhill.wrong(
    "The losses grow. The gradient points to where the loss grows. Look at your sign.",
    "walked uphill",
)(walking(change=lambda variable, rate, slope: variable.assign_add(rate * slope)))
downhill.wrong(
    "The variable is replaced by the gradient. It should be moved by it, from where it was.",
    "assigned for moved",
)(walking(change=lambda variable, rate, slope: variable.assign(-rate * slope)))
downhill.wrong(
    "The variable stays where it was: you computed its next place and put it nowhere. Who "
    "changes it in place?",
    "variable never moved",
)(walking(change=lambda variable, rate, slope: variable - rate * slope))


@downhill.wrong(
    "The gradient is None: what you asked about was computed when the tape had stopped. What "
    "belongs into its block?",
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
    "One tape cannot be asked twice, and it would record all steps together. When should a "
    "new recording begin?",
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
    "`variable = ...` gives the name to a new tensor. The variable stays where it was, and "
    "no tape follows the tensor.",
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
    "You noted each loss after its step. Which loss belongs to the place where a step begins?"
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
        """Notes the sizes of the batches, and makes a difference between training and work."""

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
        "Begin with `train_step` above. Which of its lines happen for each half, and which "
        "once?",
        "For each half: a tape, a prediction, the loss with penalties, the gradients. Keep "
        "both lists of gradients.",
        "`zip` pairs the two gradients of each weight. Their means go to the optimizer, in "
        "one call of `apply`.",
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
    "You added the gradients of the halves. Each is that of a mean already: compare your "
    "step with that of the whole batch, which is half as long.",
    "sum for mean",
)(stepping(joined=lambda gradients: [sum(pair) for pair in zip(*gradients)]))
halves.wrong(
    "Only the second half counts: its gradients took the place of those of the first. Where "
    "do you keep them?",
    "first half lost",
)(stepping(joined=lambda gradients: gradients[-1]))
halves.wrong(
    "You gave the model the whole batch at once, and that is what does not fit into the "
    "memory.",
    "whole batch at once",
)(stepping(parts=lambda half: (slice(None),)))
halves.wrong(
    "The penalties are missing. Nothing complains, the loss even looks better: what does the "
    "model add to it?",
    "penalties forgotten",
)(stepping(loss=lambda model, x, y: cross_entropy(y, model(x, training=True))))
halves.wrong(
    "The model worked and did not train: dropout would have been off. Who tells its layers?",
    "training forgotten",
)(stepping(loss=lambda model, x, y: cross_entropy(y, model(x)) + sum(model.losses)))
halves.wrong(
    "The loss took the model's scores for probabilities. Look at how `cross_entropy` was "
    "made, and use that one.",
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
    "By hand it works, as a graph it does not: a graph is written down before there are "
    "values. Which line wants one?",
    "value asked for in a graph",
)(
    stepping(
        joined=lambda gradients: [
            (first + second).numpy() / 2 for first, second in zip(*gradients)
        ]
    )
)


@halves.wrong(
    "The optimizer took two steps. So the second half was judged with weights that the first "
    "had changed: where does `apply` stand?",
    "two steps",
)
def step_for_each_half(model, optimizer, x, y):
    half = x.shape[0] // 2
    for part in (slice(None, half), slice(half, None)):
        stepping(parts=lambda _, part=part: (part,))(model, optimizer, x, y)
