"""What an answer may do to its surroundings, and what stops it."""

import _thread
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest
import tensorflow as tf
from nbclient import NotebookClient
from small_exercise import double, forever, said, small

from helpers.checking import sandbox

ROOT = Path(__file__).resolve().parents[3]


def test_what_an_answer_prints_is_shown_apart(capsys):
    def answer(numbers):
        for k in range(20):
            print("line", k)
        return 2 * numbers

    lines = said(capsys, small(), answer).splitlines()
    assert lines == [
        "Exercise 7: right",
        "Your code printed:",
        *(f"  line {k}" for k in range(5)),
        "  ...",
    ]


def test_changed_inputs_do_not_reach_the_next_check():
    def answer(numbers):
        numbers *= 2
        return numbers

    exercise = small()
    text = exercise.judge(answer).text
    assert text == (
        "Exercise 7: not yet. Look at the numbers you were given: expected [1, 2, 3], got "
        "[2, 4, 6]."
    )
    assert exercise.judge(answer).text == text
    assert exercise.judge(double).kind == "right"


def test_what_was_seen_stays_as_it_was_seen():
    def observe(answer):
        variable = tf.Variable(1.0)
        for name in ("once", "twice"):
            answer(variable)
            yield name, variable

    exercise = small(observe, reference=lambda variable: variable.assign_add(1.0), name="grow")
    assert exercise.observe_answer(exercise.reference).values == {"once": 2.0, "twice": 3.0}
    text = exercise.judge(lambda variable: variable.assign(3.0)).text
    assert text == "Exercise 7: not yet. Look at once: expected 2, got 3."


def drawn() -> list[float]:
    """Numbers from every global source, and the first weight of a new layer."""
    return [
        random.random(),
        np.random.rand(),
        float(tf.random.uniform(())),
        float(keras.random.uniform(())),
        float(keras.layers.Dense(1).kernel_initializer((1, 1))[0, 0]),
    ]


def number_of_the_next_layer() -> int:
    return int(keras.layers.Flatten().name.rpartition("_")[2])


def test_seeds_and_settings_are_as_before():
    """All but TensorFlow's seed, where an answer sets it."""

    def answer(numbers):
        random.seed(99)
        np.random.seed(99)
        float(keras.random.uniform(()))
        keras.layers.Dense(1)(np.ones((1, 1)))
        keras.config.set_dtype_policy("float64")
        keras.layers.Flatten()
        return 2 * numbers

    keras.utils.clear_session()  # older Keras keeps its generator when a seed is set
    keras.utils.set_random_seed(5)
    wanted = drawn() + drawn()
    keras.utils.clear_session()
    keras.utils.set_random_seed(5)
    keras.layers.Flatten()
    before = number_of_the_next_layer()
    found = drawn()
    assert small().judge(answer).kind == "right"
    assert found + drawn() == wanted
    assert keras.config.dtype_policy().name == "float32"
    assert number_of_the_next_layer() == before + 1


def test_random_answers_are_looked_at_from_the_same_seed():
    def noise(numbers):
        weight = float(keras.layers.Dense(1)(np.ones((1, 1)))[0, 0])
        return weight + np.random.rand() + random.random()

    def the_same_noise(numbers):
        return noise(numbers) + 0.0

    exercise = small(reference=noise)
    assert exercise.judge(the_same_noise).kind == "right"
    before = exercise.observe_answer(noise)
    assert before.error == ""
    random.seed(3)
    np.random.seed(3)
    assert exercise.equal(before, exercise.observe_answer(noise))


def forever_and_deaf(numbers):
    while True:
        try:
            numbers = numbers + 1
        except Exception:
            numbers = 0


def asleep(numbers):
    time.sleep(3.5)


def still_running() -> list[threading.Thread]:
    time.sleep(0.2)
    return [thread for thread in threading.enumerate() if thread.name == "exercise"]


@pytest.mark.parametrize("answer", [forever, forever_and_deaf])
def test_an_endless_loop_is_stopped(answer):
    began = time.monotonic()
    words = (
        "stopped: it ran for more than 0.5 s. Is there a loop that never ends? What should end "
        "it?"
    )
    assert small(seconds=0.5).judge(answer).text == f"Exercise 7: {words}"
    assert time.monotonic() - began < 20
    assert still_running() == []


@pytest.mark.slow
def test_what_cannot_be_stopped_is_left_behind():
    text = small(seconds=0.1).judge(asleep).text
    assert text.endswith("It could not be stopped: restart the kernel.")
    assert small().judge(double).kind == "right"
    for thread in still_running():
        thread.join(10)


def test_an_answer_gets_longer_where_other_programs_take_the_processor(monkeypatch):
    monkeypatch.setattr(sandbox.time, "process_time", lambda: 0.0)
    assert (
        small(seconds=0.5).judge(lambda numbers: time.sleep(0.7) or double(numbers)).kind
        == "right"
    )
    assert "ran for more than 0.1 s" in small(seconds=0.1).judge(forever).text


def test_stop_pressed_by_the_learner_stops_the_answer():
    # A shell's background jobs ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.5, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            small().judge(forever)
    finally:
        signal.signal(signal.SIGINT, before)
    assert still_running() == []


HUGE = """
import os, resource
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")
import keras, numpy as np, tensorflow as tf
from helpers.exercises import Exercise
from helpers.checking import engine, sandbox

engine.MEMORY = 2**28

# In bytes; that of getrusage includes the parent's, up to the start of this process.
def peak():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

def double(numbers):
    return numbers + numbers

def observe(answer):
    yield "two", answer(tf.constant([1.0]))

def broadcast():
    return tf.ones([100000, 1]) + tf.ones([1, 100000])

def pipeline(numbers):
    pictures = tf.data.Dataset.from_tensors(tf.ones([1000, 1000]))
    return next(iter(pictures.repeat().batch(1000)))

exercise = Exercise("00_test", 7, "Double", "double", double, observe, ("a", "b"))
answers = {
    "numpy": lambda n: np.ones(10**9),
    "a list": lambda n: [0] * 10**9,
    "piece by piece": lambda n: [np.ones(10**6) for _ in range(10**5)],
    "tensor": lambda n: tf.ones([10**9]),
    "random": lambda n: tf.random.uniform([10**9]),
    "broadcast": lambda n: broadcast(),
    "kept": lambda n: [n + tf.ones([10**6]) for _ in range(10**5)],
    "function": lambda n: tf.function(broadcast)(),
    "xla": lambda n: tf.function(broadcast, jit_compile=True)(),
    "layer": lambda n: keras.layers.Dense(10**5)(tf.ones([1, 10**5])),
    "pipeline": pipeline,
}
before = resource.getrlimit(resource.RLIMIT_DATA)
for name, answer in answers.items():
    print(name, "|", exercise.judge(answer).text)
assert resource.getrlimit(resource.RLIMIT_DATA) == before
assert exercise.judge(double).kind == "right"
assert peak() < 3 * 2**30, "the least asked for is 4e9"
assert np.ones(10**8).sum() == 10**8, "no limit is left behind"
# Where a system has no such limit, the waiting thread looks at the memory taken.
sandbox.sys = type("windows", (), {"platform": "win32"})
print("watched", "|", exercise.judge(lambda n: [np.ones(10**5) for _ in range(10**5)]).text)
print("peak", peak() < 10 * 2**30)  # of the 80 asked for: a busy machine wakes the watcher late
"""


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="a limit on single allocations exists on Linux only"
)
def test_huge_allocations_are_refused_and_the_process_lives():
    result = subprocess.run(
        [sys.executable, "-c", HUGE], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr[-2000:]
    *lines, watched, peak = result.stdout.splitlines()
    assert len(lines) == 11
    for line in [*lines, watched]:
        wanted = (
            "Exercise 7: stopped: it asked for more than 0.25 GB of memory. Which shape is "
            "larger than you meant?"
        )
        assert line.split(" | ")[1] == wanted, line
    assert peak == "peak True"


@pytest.mark.slow
def test_the_guards_hold_inside_a_notebooks_kernel():
    cells = [
        "import sys; sys.path.insert(0, 'helpers/..')\nimport numpy as np\nfrom "
        "helpers.exercises import Exercise",
        "def double(n): return n + n\nexercise = Exercise('00_test', 7, 'D', 'd', double, "
        "lambda a: [('two', a(1))], ('a', 'b'), seconds=1)",
        "def loop(n):\n    while True:\n        n += 1\nexercise.check(loop)",
        "def broken(n):\n    m = n\n    return m / 0\nexercise.check(broken)",
        "def loud(n):\n    print('n is', n)\n    return 2 * n\nexercise.check(loud)",
        "def large(n): return np.ones(10**9)\nexercise.check(large)",
        "exercise.check(double)",
    ]
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells]
    )
    NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    ).execute()
    texts = [
        "".join(o.text for o in cell.outputs if o.get("name") == "stdout")
        for cell in book.cells[2:]
    ]
    assert texts[0].startswith("Exercise 7: stopped: it ran for more than 1 s.")
    assert (
        texts[1]
        == "Exercise 7: ZeroDivisionError in line 3, `return m / 0`: division by zero\n"
    )
    assert texts[2] == "Exercise 7: right\nYour code printed:\n  n is 1\n"
    assert sys.platform != "linux" or "more than 1 GB" in texts[3]
    assert texts[4] == "Exercise 7: right\n"
