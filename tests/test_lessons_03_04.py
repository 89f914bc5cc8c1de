"""What notebooks 03 and 04 claim, without running them: their classes and their loop agree with helpers and with Keras.

The classes, functions and exercises are taken from the notebooks' text, so that what is tested is what is taught.
"""

import ast
import contextlib
import io
import re
from pathlib import Path
from types import SimpleNamespace

import jupytext
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from helpers import layers, losses

TEXT = Path(__file__).resolve().parent.parent / "notebooks" / "text"
few = settings(max_examples=15, deadline=None, derandomize=True)


def lesson(notebook, *names):
    """Return the last definition of each name in a notebook's text, executed by itself."""
    (path,) = TEXT.glob(f"{notebook}_*.py")
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in names:
            found[node.name] = node
    assert set(found) == set(names), f"{path.name} no longer defines {set(names) - set(found)}"
    scope = {"keras": keras, "ops": ops, "tf": tf, "np": np}
    for name in names:
        exec(compile(ast.Module([found[name]], []), str(path), "exec"), scope)
    return scope


CustomDense, GaussianNoise = (lesson("03", name)[name] for name in ("CustomDense", "GaussianNoise"))
lesson_04 = lesson("04", "huber", "HuberLoss", "HuberMetric", "train_step")


def same(arrays, others):
    assert len(arrays) == len(others)
    for one, other in zip(arrays, others):
        np.testing.assert_array_equal(one, other)


# --- 03 ---------------------------------------------------------------------------------------------------------------


@few
@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple),
    units=st.integers(1, 6),
    activation=st.sampled_from([None, "relu", "tanh"]),
    dtype=st.sampled_from(["float32", "mixed_float16"]),
)
def test_the_lessons_dense_its_twin_and_keras_give_the_same_bits(shape, units, activation, dtype):
    x, outputs = np.random.default_rng(0).normal(size=shape).astype("float32"), []
    for dense in (CustomDense, layers.CustomDense, keras.layers.Dense):
        keras.utils.set_random_seed(1)
        outputs.append(dense(units, activation, dtype=dtype)(x).numpy())
    same(outputs[:2], outputs[1:])


def test_the_lessons_dense_trains_like_its_twin(tmp_path):
    rng, weights = np.random.default_rng(0), []
    x, y = rng.normal(size=(40, 6)).astype("float32"), rng.integers(0, 3, 40)
    for dense in (CustomDense, layers.CustomDense):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((6,)), dense(8, "relu"), dense(3)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        weights.append(model.get_weights())
        model.save(tmp_path / "model.keras")
        same(keras.saving.load_model(tmp_path / "model.keras").get_weights(), weights[-1])
    same(*weights)


@few
@given(stddev=st.floats(0.01, 1), seed=st.integers(0, 1000))
def test_the_lessons_noise_its_twin_and_keras_draw_the_same(stddev, seed):
    x = np.ones((3, 4), "float32")
    draws = [
        kind(stddev, seed=seed)(x, training=True).numpy()
        for kind in (GaussianNoise, layers.CustomGaussianNoise, keras.layers.GaussianNoise)
    ]
    same(draws[:2], draws[1:])
    assert not np.array_equal(draws[0], x)
    same([GaussianNoise(stddev)(x)], [x])


def test_call_alone_leaves_a_functional_model_without_weights():
    layer, symbol = CustomDense(10), keras.Input((4,))
    assert keras.Model(symbol, layer(symbol)).count_params() == 50
    assert keras.Model(symbol, layer.call(symbol)).count_params() == 0


# --- 04 ---------------------------------------------------------------------------------------------------------------


@few
@given(
    batch=st.integers(1, 5).flatmap(
        lambda n: st.lists(st.tuples(*[st.floats(-9, 9, width=32)] * 4), min_size=n, max_size=n)
    ),
    delta=st.floats(0.1, 5),
)
def test_the_lessons_huber_agrees_with_its_twins(batch, delta):
    numbers = np.array(batch, "float32")
    y_true, y_pred = numbers[:, :2], numbers[:, 2:]
    close = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(lesson_04["huber"](y_true, y_pred, delta), losses.huber(y_true, y_pred, delta), **close)
    weights = np.linspace(0.5, 1, len(batch)).astype("float32")
    ours, twin = lesson_04["HuberLoss"](delta), losses.HuberLoss(delta)
    np.testing.assert_allclose(ours(y_true, y_pred, weights), twin(y_true, y_pred, weights), **close)
    ours, twin = lesson_04["HuberMetric"](delta), losses.HuberMetric(delta)
    for metric in (ours, twin):
        metric.update_state(y_true, y_pred, weights)
        metric.update_state(y_true[:1], y_pred[:1])
    np.testing.assert_allclose(ours.result(), twin.result(), **close)


X = np.random.default_rng(0).normal(size=(60, 8)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 60)
CROSS_ENTROPY = lesson_04["cross_entropy"] = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def batches():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)  # the last one has 12


def model_with_everything_that_differs_in_training():
    keras.utils.set_random_seed(3)
    parts = [keras.layers.Dense(12, "relu", kernel_regularizer="l2"), keras.layers.BatchNormalization()]
    return keras.Sequential([keras.Input((8,)), *parts, keras.layers.Dropout(0.4), keras.layers.Dense(3)])


class WeightsAfterEachStep(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(self.model.get_weights())


def weights_by_hand(train_step, epochs=2):
    model, optimizer, seen = model_with_everything_that_differs_in_training(), keras.optimizers.Adam(0.01), []
    optimizer.build(model.trainable_variables)
    for _ in range(epochs):
        for x, y in batches():
            train_step(model, optimizer, x, y)
            seen.append(model.get_weights())
    return seen


@pytest.fixture(scope="module")
def weights_of_fit():
    model, recorder = model_with_everything_that_differs_in_training(), WeightsAfterEachStep()
    model.compile(keras.optimizers.Adam(0.01), CROSS_ENTROPY)
    model.fit(batches(), epochs=2, shuffle=False, verbose=0, callbacks=[recorder])
    assert len(recorder.seen) == 8
    return recorder.seen


def farthest(runs, others):
    return [max(np.abs(a - b).max() for a, b in zip(one, other)) for one, other in zip(runs, others, strict=True)]


@pytest.mark.parametrize("compiled", [False, True])
def test_the_loop_by_hand_equals_fit_step_for_step(weights_of_fit, compiled):
    step = lesson_04["train_step"]
    assert max(farthest(weights_by_hand(tf.function(step) if compiled else step), weights_of_fit)) < 1e-5


@pytest.mark.parametrize("forgotten", ["training=True", " + sum(model.losses)"])
def test_what_the_lesson_warns_of_leads_elsewhere_from_the_first_step(weights_of_fit, forgotten):
    text = next(TEXT.glob("04_*.py")).read_text(encoding="utf-8")
    (source,) = (ast.unparse(n) for n in ast.parse(text).body if getattr(n, "name", "") == "train_step")
    assert forgotten in source
    scope = {"tf": tf, "cross_entropy": CROSS_ENTROPY}
    exec(source.replace(forgotten, "training=False" if forgotten.startswith("training") else ""), scope)
    assert min(farthest(weights_by_hand(scope["train_step"]), weights_of_fit)) > 1e-4


def test_the_old_name_of_reset_state_is_gone():
    assert not hasattr(keras.metrics.Metric, "reset_states")


# --- exercises --------------------------------------------------------------------------------------------------------

BUILD = "self.w = self.add_weight(shape=(input_shape[-1],), initializer='ones')"
DROP = "inputs * ops.cast(keras.random.uniform(ops.shape(inputs), seed=self.seed_generator) >= self.rate, 'float32')"
PINBALL = "e = y_true - y_pred; return ops.mean(ops.maximum(self.quantile * e, (self.quantile - 1) * e), -1)"
NEAR = "near = ops.cast(ops.abs(y_pred - y_true) <= self.tolerance, 'float32'); "
COUNT = "self.hits.assign_add(ops.sum(near)); self.count.assign_add(ops.size(y_true))"
MEANS = "self.hits.assign_add(ops.mean(near)); self.count.assign_add(1)"
SHARE = "return self.hits / self.count"
TAPE = """
seen = []
for _ in range(steps):
    with tf.GradientTape() as tape:
        loss = function(variable)
    seen.append(float(loss))
    variable.assign_sub(rate * tape.gradient(loss, variable))
return seen
"""
HALVES = """
gradients = []
for part in (slice(None, x.shape[0] // 2), slice(x.shape[0] // 2, None)):
    with tf.GradientTape() as tape:
        loss = cross_entropy(y[part], model(x[part], training=True)) + sum(model.losses)
    gradients.append(tape.gradient(loss, model.trainable_variables))
optimizer.apply([(one + other) / 2 for one, other in zip(*gradients)], model.trainable_variables)
"""
# Notebook, exercise -> what the check says -> the answer: name of the function or method -> its body.
EXERCISES = {
    ("03", 1): {
        "right": {"build": BUILD, "call": "return inputs * self.w"},
        "weights of 1 must": {"build": BUILD.replace("ones", "zeros"), "call": "return inputs * self.w"},
        "one weight for each": {"build": BUILD.replace("(input_shape[-1],)", "(3, 4)"), "call": "return inputs"},
        "Keras does not know": {"build": "self.w = tf.ones(input_shape[-1])", "call": "return inputs * self.w"},
        "must be used in call": {"build": BUILD, "call": "return inputs"},
    },
    ("03", 2): {
        "right": {"run": "layer.built or layer.build(inputs.shape); return layer.call(tf.cast(inputs, 'float32'))"},
        "does it all": {"run": "return layer(inputs)"},
        "build the layer first": {"run": "return layer.call(tf.cast(inputs, 'float32'))"},
        "build only": {"run": "layer.build(inputs.shape); return layer.call(tf.cast(inputs, 'float32'))"},
        "is float64": {"run": "layer.built or layer.build(inputs.shape); return layer.call(inputs)"},
        "return what": {"run": "layer.build(inputs.shape)"},
    },
    ("03", 3): {
        "right": {"get_config": "return {**super().get_config(), 'exponent': self.exponent}"},
        "the name is lost": {"get_config": "return {'exponent': self.exponent}"},
        "the default took its place": {"get_config": "return super().get_config()"},
        "each key must be": {"get_config": "return {**super().get_config(), 'power': self.exponent}"},
    },
    ("03", 4): {
        "right": {"call": f"return {DROP} / (1 - self.rate) if training else inputs"},
        "divide by 1 - rate": {"call": f"return {DROP} if training else inputs"},
        "must do nothing": {"call": f"return {DROP} / (1 - self.rate)"},
        "you dropped 1 - rate": {"call": f"return {DROP.replace('>=', '<')} if training else inputs"},
        "needs new draws": {"call": f"return {DROP.replace('self.seed_generator', '1')} / 0.8 if training else inputs"},
    },
    ("04", 1): {
        "right": {"call": PINBALL, "get_config": "return {**super().get_config(), 'quantile': self.quantile}"},
        "the two sides": {"call": PINBALL.replace("y_true - y_pred", "y_pred - y_true")},
        "one number for each sample": {"call": PINBALL.replace(", -1)", ")")},
        "came back with 0.5": {"call": PINBALL, "get_config": "return super().get_config()"},
        "the name is lost": {"call": PINBALL, "get_config": "return {'quantile': self.quantile}"},
    },
    ("04", 2): {
        "right": {
            "__call__": "return ops.minimum(ops.maximum(weights, self.low), self.high)",
            "get_config": "return {'low': self.low, 'high': self.high}",
        },
        "would be a regularizer": {"__call__": "return ops.sum(ops.abs(weights))"},
        "needs both": {"__call__": "return ops.clip(weights, self.low, self.high)", "get_config": "return {'low': 1}"},
    },
    ("04", 3): {
        "right": {"update_state": NEAR + COUNT, "result": SHARE},
        "is forgotten": {"update_state": NEAR + COUNT.replace("assign_add", "assign"), "result": SHARE},
        "counts as much": {"update_state": NEAR + MEANS, "result": SHARE},
        "let the border count": {"update_state": (NEAR + COUNT).replace("<=", "<"), "result": SHARE},
        "take its size": {"update_state": (NEAR + COUNT).replace("ops.abs", ""), "result": SHARE},
    },
    ("04", 4): {
        "right": {"descend": TAPE},
        "has not moved": {"descend": TAPE.replace("variable.assign_sub(", "(")},
        "does not fall": {"descend": TAPE.replace("assign_sub", "assign_add")},
        "inside the tape's block": {"descend": TAPE.replace("    loss = ", "    pass\n    loss = ")},
        "return the list": {"descend": TAPE.replace("return seen", "")},
    },
    ("04", 5): {
        "right": {"accumulated_step": HALVES},
        "other weights": {"accumulated_step": HALVES.replace(" / 2 for", " for")},
        "as a graph it raised": {"accumulated_step": HALVES.replace(" / 2 for", " / 2 + 0 * float(loss) for")},
        "took 2 steps": {"accumulated_step": HALVES + "optimizer.apply(gradients[0], model.trainable_variables)"},
    },
}  # fmt: skip
CASES = [(*exercise, said) for exercise, answers in EXERCISES.items() for said in ("not attempted yet", *answers)]
NEEDED = {"03": ("outcome", "made_with", "CustomDense", "reload"), "04": ("outcome", "distance", "train_step")}


@pytest.mark.parametrize(("notebook", "number", "said"), CASES)
def test_each_check_accepts_the_right_answer_and_names_the_mistake(notebook, number, said, tmp_path):
    cells = [c.source for c in jupytext.read(next(TEXT.glob(f"{notebook}_*.py"))).cells if c.cell_type == "code"]
    place = [number for number, source in enumerate(cells) if "# your code" in source][number - 1]
    answer, stub = EXERCISES[notebook, number].get(said, {}), ast.parse(cells[place])
    functions = {node.name: node for node in ast.walk(stub) if isinstance(node, ast.FunctionDef)}
    for name, body in answer.items():
        functions[name].body = ast.parse(body).body
    scope = lesson(notebook, *NEEDED[notebook])
    images, labels = np.random.default_rng(0).integers(0, 256, (64, 28, 28)), np.arange(64) % 10
    scope.update(
        folder=SimpleNamespace(name=tmp_path), images=images, labels=labels, cross_entropy=CROSS_ENTROPY, losses=losses
    )
    exec(compile(stub, "answer", "exec"), scope)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        wrong = said not in ("right", "not attempted yet")
        with pytest.raises(AssertionError, match=re.escape(said)) if wrong else contextlib.nullcontext():
            exec(cells[place + 1], scope)
    assert printed.getvalue().splitlines() == ([] if wrong else [f"Exercise {number}: {said}"])
