"""What exercises on input pipelines observe."""

import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from helpers.checking.pipelines import runs_ahead, three_epochs, without_optimizations

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
DETERMINISTIC = """
import keras, tensorflow as tf
from helpers.exercises import ex06_input_pipelines_and_cnn as ex06, ex07_augmentation as ex07
keras.utils.set_random_seed(0)
tf.config.experimental.enable_op_determinism()
for exercise in (ex06.order, ex07.pipeline):
    (missing,) = (case for case in exercise.misconceptions if case.name == "no prefetch")
    print(exercise.judge(exercise.reference).kind)
    print(exercise.judge(missing.answer).misconception)
"""


def test_a_missing_prefetch_is_seen_where_operations_are_deterministic():
    """As in the notebooks: the quick profile asks for it, and nothing takes it back."""
    result = subprocess.run(
        [sys.executable, "-c", DETERMINISTIC], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.splitlines() == ["right", "no prefetch"] * 2


@pytest.mark.parametrize("prefetch", [False, True])
def test_a_pipeline_runs_ahead_only_where_it_prefetches(prefetch):
    made = []

    def note(number):
        made.append(number)
        return number

    numbers = tf.data.Dataset.range(6)
    noted = numbers.map(lambda k: tf.numpy_function(note, [k], tf.int64, stateful=False))
    dataset = noted.prefetch(1) if prefetch else noted
    iterator = iter(without_optimizations(dataset))
    next(iterator)
    assert runs_ahead(made, 1) is prefetch
    list(iterator)  # one dropped while it works could wait for ever


def test_three_epochs_are_cut_evenly_and_the_last_takes_what_is_left_over():
    assert three_epochs(range(7)) == ([0, 1], [2, 3], [4, 5, 6])
