"""Progress is noted in a folder of the test's own; TensorFlow draws from some seed."""

import pytest
import tensorflow as tf


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_OUTPUT", str(tmp_path))
    # Not the seed of the notebooks: what is said of an answer does not depend on it.
    tf.random.set_seed(1)
