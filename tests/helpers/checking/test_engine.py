"""What is said of an answer."""

import re
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_exercise import double, said, small

from helpers.checking.engine import is_stub, quiz
from helpers.exercises import ex08_cutmix as cutmix


@pytest.mark.parametrize(
    "source",
    [
        "x = ...",
        "x = None",
        "def x(a, b=1): ...",
        "def x(a):\n    # your code\n    ...",
        "def x(a):\n    '''Text.'''\n    ...",
        "def x(a):\n    pass",
        "def x(a):\n    return ...",
        "def x(a):\n    return None",
        "x = lambda a: ...",
        "class x:\n    ...",
        "class x(dict):\n    def __init__(self, a):\n        self.a = a\n    def "
        "f(self):\n        ...",
        "class x:\n    def __init__(self, a):\n        ...",
    ],
)
def test_a_stub_is_not_attempted(source):
    names = {}
    exec(source, names)
    assert is_stub(names["x"])
    assert small().judge(names["x"]).text == "Exercise 7: not attempted yet"


@pytest.mark.parametrize(
    "source",
    [
        "x = 0",
        "x = ''",
        "def x(a):\n    return 0",
        "def x(a):\n    a += 1",
        "def x(a):\n    return a",
        "def x(a):\n    yield",
        "class x:\n    def __init__(self):\n        self.a = 1",
        "class x:\n    def f(self):\n        return 1\n    def g(self):\n        ...",
        "class x:\n    a = 3",
    ],
)
def test_what_does_something_is_an_attempt(source):
    names = {}
    exec(source, names)
    assert not is_stub(names["x"])


def test_the_first_difference_is_named_and_no_more():
    verdict = small().judge(lambda numbers: numbers + 1)
    assert verdict.kind == "wrong"
    assert (
        verdict.text
        == "Exercise 7: not yet. Look at three numbers: expected [2, 4, 6], got [2, 3, 4]."
    )


def test_a_forgotten_return_is_asked_for():
    def answer(numbers):
        numbers = numbers * 2

    assert small().judge(answer).text.endswith("got None. Is a `return` missing?")


def test_no_return_is_asked_for_where_the_answer_gave_something():
    def observe(answer):
        yield "the number", answer(3)
        yield "its dtype", getattr(answer(3), "dtype", None)

    exercise = small(observe, lambda number: np.int64(2 * number))
    verdict = exercise.judge(lambda number: 2 * number)
    assert verdict.text.endswith("Look at its dtype: expected 'int64', got None.")


def test_an_error_is_reported_with_the_learners_own_line(tmp_path, capsys):
    source = (
        "import numpy as np\n\ndef double(numbers):\n    return np.concatenate([numbers, 3])\n"
    )
    (tmp_path / "cell.py").write_text(source)
    names = {}
    exec(compile(source, str(tmp_path / "cell.py"), "exec"), names)
    text = said(capsys, small(), names["double"])
    assert text.startswith(
        "Exercise 7: ValueError in line 4, `return np.concatenate([numbers, 3])`: "
    )
    assert text.count("\n") == 1


def test_errors_of_layers_are_cut_to_what_they_say():
    class Layer(keras.layers.Layer):
        def call(self, inputs):
            return inputs @ tf.ones([7, 1])

    text = small().judge(lambda numbers: Layer()(tf.constant([[1.0, 2.0]]))).text
    line = r"InvalidArgumentError in line \d+, `return inputs @ tf.ones\(\[7, 1\]\)`: "
    assert re.search(line + "Matrix size-incomp", text)
    assert "\x1b" not in text


@pytest.mark.parametrize("answer", [lambda: 3, lambda a, b: 3])
def test_a_wrong_signature_is_an_error_with_no_line(answer):
    text = cutmix.box.judge(answer).text
    assert text.startswith(
        "Exercise 1: what you handed over cannot be used like this: TypeError: <lambda>() "
    )


def test_a_result_handed_over_for_the_function_is_noticed():
    text = small().judge(np.array([2.0, 4.0])).text
    assert text == (
        "Exercise 7: [2, 4] is not a function or a class. Hand over double itself, with no "
        "brackets behind it."
    )


def test_a_misconception_may_be_an_error_of_its_kind():
    exercise = small()
    exercise.wrong("Count from 0.", "counts from 1")(
        lambda numbers: [2 * numbers[k] for k in (1, 2, 3)]
    )
    verdict = exercise.judge(lambda numbers: numbers[99])
    assert (verdict.kind, verdict.misconception) == ("misconception", "counts from 1")
    assert "IndexError" in verdict.text
    assert verdict.text.endswith("Count from 0.")
    assert exercise.judge(lambda numbers: 1 / 0).kind == "error"


def test_sys_exit_does_not_end_the_notebook():
    assert "SystemExit" in small().judge(lambda numbers: sys.exit("enough")).text


def test_two_observations_of_one_name_are_refused():
    exercise = small(observe=lambda answer: [("one", 1), ("one", 2)])
    assert exercise.observe_answer(abs).error == "ValueError"


def test_more_or_less_observed_than_of_the_reference_is_wrong_and_no_crash():
    exercise = small(
        lambda answer: [(f"number {k}", None) for k in answer()], lambda: (1, 2), name="give"
    )
    assert (
        exercise.judge(lambda: (1,)).text
        == "Exercise 7: not yet. It does not give everything that was asked for."
    )
    exercise = small(
        lambda answer: [(f"number {k}", k) for k in answer()], lambda: (1, 2), name="give"
    )
    assert (
        exercise.judge(lambda: (1, 2, 3)).text
        == "Exercise 7: not yet. Look at number 3: expected None, got 3."
    )


@pytest.mark.slow
def test_a_slow_machine_still_knows_the_reference():
    def observe(answer):
        time.sleep(0.6)
        yield "three", answer(3)

    exercise = small(observe, seconds=0.1)
    assert exercise.judge(double).text.startswith(
        "Exercise 7: stopped: it ran for more than 0.1 s."
    )
    exercise.seconds = 10
    assert exercise.judge(double).kind == "right"


def test_answers_of_every_kind():
    """A class, a model, a schedule, a pipeline, a number."""

    class Cosine(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return tf.cos(tf.cast(step, tf.float32))

        def get_config(self):
            return {}

    def network():
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])

    def functional():
        flowing = keras.Input((3,))
        return keras.Model(flowing, keras.layers.Dense(2)(flowing))

    def observe_model(answer):
        model = answer()
        yield "the output", model(np.ones((4, 3)))
        yield "the weights", [weight.shape for weight in model.weights]

    def numbers():
        return tf.data.Dataset.range(5).batch(2)

    def by_hand():
        return [tf.constant([0, 1]), tf.constant([2, 3]), tf.constant([4])]

    assert (
        small(lambda a: [("steps", [a()(k) for k in range(3)])], Cosine).judge(Cosine).kind
        == "right"
    )
    assert (
        small(lambda a: [("steps", [a()(k) for k in range(3)])], Cosine)
        .judge(lambda: np.cos)
        .kind
        == "right"
    )
    assert small(observe_model, network).judge(functional).kind == "right", (
        "the same seed: the same first weights"
    )
    assert small(lambda a: [("batches", list(a()))], numbers).judge(by_hand).kind == "right"
    count = small(
        lambda a: [("your number", a)],
        81_840,
        name="count",
        otherwise="count again, layer by layer.",
    )
    assert count.judge(81_840.0).kind == "right"
    assert count.judge(81_839).text == "Exercise 7: count again, layer by layer."


def test_a_choice_is_explained():
    exercise = quiz(
        "00_test",
        7,
        "Pick",
        "pick",
        "pick",
        "B",
        "Because.",
        {"A": "Not a.", "C": "Not c."},
        ("x", "y"),
    )
    assert [exercise.judge(word).text for word in ("B", " b", "A", "c", "D", 3, None)] == [
        "Exercise 7: right. Because.",
        "Exercise 7: right. Because.",
        "Exercise 7: Not a.",
        "Exercise 7: Not c.",
        "Exercise 7: set pick to one of 'A', 'B', 'C'.",
        "Exercise 7: set pick to one of 'A', 'B', 'C'.",
        "Exercise 7: not attempted yet",
    ]


def test_hints_come_one_by_one_and_the_solution_is_the_source(capsys):
    exercise = small()
    for _ in range(4):
        exercise.hint()
    exercise.solution()
    assert capsys.readouterr().out.splitlines() == [
        "Hint 1 of 2: Think.",
        "Hint 2 of 2: Add.",
        *["Exercise 7: no more hints. `double` is shown by solution()."] * 2,
        "def double(numbers):",
        "    return 2 * numbers  # each of them",
    ]
