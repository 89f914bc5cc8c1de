"""What notebook 02 claims beyond its own cells."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    """Bundled data, whatever this machine has cached; notebooks write below tmp_path."""
    monkeypatch.setenv("COURSE_OUTPUT", str(tmp_path / "outputs"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.mark.parametrize("buffer_size", [1, 3, 12])
def test_an_element_comes_at_most_one_place_less_than_the_buffer_too_early(buffer_size):
    for seed in range(20):
        numbers = tf.data.Dataset.range(12).shuffle(buffer_size, seed=seed)
        order = np.array(list(numbers.as_numpy_iterator()))
        assert np.max(order - np.arange(12)) < buffer_size


@pytest.mark.long
def test_the_784_100_30_10_network_reaches_87_percent_on_the_real_pictures(realdata, tmp_path):
    """The notebook's own cells, full profile, on a CPU; the real data is in the cache."""
    home = shutil.copytree(
        realdata / "keras" / "datasets", tmp_path / "home" / "datasets"
    ).parent
    code = """
import json, sys
sys.path[:0] = ["tests"]
from helpers.runtime import start
from lessons import code_cells, run_cells
course = start(seed=0)
cells = code_cells("02_sequential_vs_functional")
(last,) = (place for place, source in enumerate(cells) if "test accuracy" in source)
names, printed = run_cells(cells, last, course)
print(json.dumps({
    "parameters": names["classifier"].count_params(),
    "source": names["fashion"].source,
    "train": names["fashion"].counts["train"],
    "accuracy": names["test_accuracy"],
}))
"""
    environment = {**os.environ, "COURSE_PROFILE": "full", "KERAS_HOME": str(home)}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    report = json.loads(result.stdout.splitlines()[-1])
    print(f"test accuracy {report['accuracy']:.4f} on the real Fashion-MNIST")
    assert (report["source"], report["train"], report["parameters"]) == (
        "cache",
        54_000,
        81_840,
    )
    assert report["accuracy"] >= 0.87
