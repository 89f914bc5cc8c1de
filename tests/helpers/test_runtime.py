"""helpers.runtime: device, profile, seeds, precision, distribution, folders."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from helpers import runtime


def run_python(code: str, **environment: str) -> str:
    """Run code in a fresh process and return what it printed."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    ("value", "expected"), [("quick", "quick"), ("full", "full"), ("", "quick")]
)
def test_profile_follows_the_environment(monkeypatch, value, expected):
    monkeypatch.setenv("COURSE_PROFILE", value)
    assert runtime.profile() == expected


def test_profile_defaults_to_full_on_a_gpu(monkeypatch):
    monkeypatch.delenv("COURSE_PROFILE", raising=False)
    monkeypatch.setattr(runtime, "gpus", lambda: ["GPU:0"])
    assert runtime.profile() == "full"


def test_profile_rejects_other_words(monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "fast")
    with pytest.raises(ValueError, match=r"'fast'.*'quick' or 'full'"):
        runtime.profile()


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "0"])
def test_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=r"(?i)seed"):
        runtime.start(seed)


def test_seed_fixes_python_numpy_and_tensorflow():
    import random

    import tensorflow as tf

    def draw(seed):
        runtime.start(seed)
        return random.random(), float(np.random.rand()), float(tf.random.uniform(()))

    first = draw(7)
    assert draw(7) == first
    for before, after in zip(first, draw(8)):
        assert before != after


TRAIN = """
import numpy as np
from helpers import runtime
course = runtime.start(seed=3)
import keras
layers = keras.layers
model = keras.Sequential([keras.Input((8,)), layers.Dense(16, "relu")])
model.add(layers.Dropout(0.5))
model.add(layers.Dense(1))
model.compile("adam", "mse")
x = np.random.rand(256, 8).astype("float32")
model.fit(x, x.sum(1), epochs=2, verbose=0)
weights = np.concatenate([weight.ravel() for weight in model.get_weights()])
print(course.deterministic, weights.tobytes().hex())
"""


@pytest.mark.slow
def test_two_fresh_runs_give_bit_identical_weights():
    first, second = run_python(TRAIN), run_python(TRAIN)
    assert first == second
    lines = first.splitlines()
    assert lines[0].startswith("Ready: Python")
    assert lines[1].startswith("True")


def test_start_says_how_the_notebook_runs(capsys, monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "full")
    course = runtime.start(seed=5)
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert line.endswith(f"| {runtime.device_line()} | full profile, float32, seed 5\n")
    assert course.pick(quick=1, full=2) == 2
    monkeypatch.setenv("COURSE_PROFILE", "quick")
    assert runtime.start().pick(quick=1, full=2) == 1


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [([], False), ([(7, 5)], True), ([(6, 0)], False), ([(8, 0), (6, 1)], False)],
)
def test_mixed_precision_needs_tensor_cores_on_every_gpu(monkeypatch, capabilities, expected):
    import tensorflow as tf

    details = [{"compute_capability": c, "device_name": "Model X"} for c in capabilities]
    monkeypatch.setattr(runtime, "gpus", lambda: list(range(len(details))))
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details[gpu])
    assert runtime.gpus_have_tensor_cores() is expected
    if len(details) == 2:
        assert runtime.device_line() == "2 x Model X"


def test_full_profile_on_a_capable_gpu_computes_in_float16(monkeypatch):
    import keras

    monkeypatch.setenv("COURSE_PROFILE", "full")
    monkeypatch.setattr(runtime, "gpus_have_tensor_cores", lambda: True)
    try:
        runtime.start()
        assert keras.config.dtype_policy().name == "mixed_float16"
        monkeypatch.setenv("COURSE_PROFILE", "quick")
        runtime.start()
        assert keras.config.dtype_policy().name == "float32"
    finally:
        keras.config.set_dtype_policy("float32")


def test_gpu_memory_grows_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    runtime.quiet_logs()
    assert runtime.os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    runtime.quiet_logs()
    assert runtime.os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"


def test_warnings_of_tensorflows_python_side_still_show(caplog):
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    runtime.start()

    @tf.function
    def double(number):
        return 2 * number

    for number in range(5):  # a Python number is traced anew for each value
        double(number)
    assert "5 out of the last 5 calls to <function" in caplog.text


MIRRORED = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from helpers import runtime
import keras
x = np.random.default_rng(0).random((64, 8)).astype("float32")
strategies = {"one": runtime.strategy(), "two": runtime.strategy(["CPU:0", "CPU:1"])}
layers = keras.layers
losses = {}
for name, strategy in strategies.items():
    keras.utils.set_random_seed(1)
    with strategy.scope():
        model = keras.Sequential([keras.Input((8,)), layers.Dense(4, "relu"), layers.Dense(1)])
        model.compile("sgd", "mse")
    history = model.fit(x, x.sum(1), epochs=3, batch_size=16, shuffle=False, verbose=0)
    losses[name] = history.history["loss"]
    print(name, strategy.num_replicas_in_sync)
assert np.allclose(losses["one"], losses["two"], rtol=1e-5), losses
"""


@pytest.mark.slow
def test_mirrored_training_on_two_virtual_devices_equals_one():
    assert run_python(MIRRORED).split("\n")[:2] == ["one 1", "two 2"]


def test_tf_config_says_how_many_processes_there_are(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert runtime.cluster_size() == 1
    one, two = ["a:1"], ["a:1", "b:1"]
    for cluster, size in (
        ({}, 1),
        ({"worker": one}, 1),
        ({"chief": one, "worker": one}, 2),
        ({"worker": two}, 2),
        ({"chief": one, "worker": two}, 3),
    ):
        task = {"type": "worker", "index": 0}
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
        assert runtime.cluster_size() == size


@pytest.mark.parametrize(
    "config",
    [
        "worker 0",
        "[1]",
        '{"cluster": 3}',
        '{"cluster": {"worker": ["a:1", "b:1"]}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}',
    ],
)
def test_a_tf_config_that_says_too_little_is_refused(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match=r"TF_CONFIG is .*it takes JSON such as"):
        runtime.strategy()


def test_course_files_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert runtime.course_path("data", "README.md").is_file()
    with pytest.raises(FileNotFoundError, match="data/nothing"):
        runtime.course_path("data", "nothing")


def test_keras_cache_may_be_named_from_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", "~/cache")
    assert runtime.keras_home() == tmp_path / "cache"
    monkeypatch.delenv("KERAS_HOME")
    assert runtime.keras_home() == tmp_path / ".keras"


def test_output_folder_is_the_one_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_OUTPUT", str(tmp_path / "a b"))
    assert runtime.output_folder("logs") == tmp_path / "a b" / "logs"
    assert runtime.output_folder("logs").is_dir()


def test_output_folder_on_kaggle_is_the_working_one(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_OUTPUT", raising=False)
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.chdir(tmp_path)
    assert runtime.output_folder() == tmp_path


def test_where_nothing_can_be_written_each_user_has_a_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_OUTPUT", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert runtime.output_folder() == runtime.course_path("notebooks") / "outputs"
    assert runtime.cache_folder() == tmp_path / "caches" / "tf-vision-course"
    monkeypatch.setattr(runtime.os, "access", lambda *arguments: False)
    monkeypatch.setattr(runtime.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(runtime.os, "getuid", lambda: 4711)
    folder = tmp_path / "tf-vision-course-4711"
    assert runtime.output_folder("logs") == folder / "logs"
    assert runtime.cache_folder() == folder
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_was_asked_for_is_not_replaced_by_another(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("COURSE_OUTPUT", str(tmp_path / "file"))
    with pytest.raises(OSError, match="file"):
        runtime.output_folder()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    file = tmp_path / "new folder" / "file.txt"
    with runtime.replacing(file) as partial:
        partial.write_text("old")
        assert partial.suffix == ".txt"
        assert not file.exists()

    def fail():
        with runtime.replacing(file) as partial:
            partial.write_text("half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert file.read_text() == "old"
    with runtime.replacing(file) as partial:
        partial.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.slow
def test_start_leaves_stderr_empty_and_working():
    code = "from helpers import runtime; runtime.start(); import os; os.write(2, b'mine')"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stderr == "mine"


def test_import_is_cheap():
    out = run_python(
        "import sys, helpers, helpers.runtime; print('tensorflow' in sys.modules, 'keras' in "
        "sys.modules)"
    )
    assert out.strip() == "False False"
