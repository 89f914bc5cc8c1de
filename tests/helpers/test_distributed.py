"""The loop equals `fit` on one device, and itself on two, in two processes, after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf
from distributed_worker import X, Y, batches, by_epoch, network

from helpers import distributed
from helpers.distributed import checkpoint
from helpers.distributed.replicas import Replicas

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
WORKER = ROOT / "tests" / "helpers" / "distributed_worker.py"


class Diary(keras.callbacks.Callback):
    """Write down every call, its number, and its logs."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def __getattribute__(self, name):
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        def note(*arguments, **named):
            self.lines.append((name, *arguments, *named.values()))

        return note


def assert_same_diary(one, other):
    assert [line[:-1] for line in one] == [line[:-1] for line in other]
    for (name, *_, logs), (*_, others) in zip(one, other):
        assert (logs or {}).keys() == (others or {}).keys(), name
        for key in logs or {}:
            np.testing.assert_allclose(
                logs[key], others[key], rtol=1e-6, err_msg=f"{name} {key}"
            )


def assert_same_weights(one, other, **tolerance):
    for weight, others in zip(
        one.variables + one.optimizer.variables, other.variables + other.optimizer.variables
    ):
        np.testing.assert_allclose(
            weight, others, err_msg=weight.path, **(tolerance or {"rtol": 0})
        )


# One device


def test_on_one_device_it_is_fit_to_the_last_bit():
    """Weights, dropout's state and the optimizer's; callbacks, their order, all their logs."""
    theirs, ours, diaries = network(), network(), (Diary(), Diary())
    settings = {"epochs": 3, "validation_data": batches(size=16)}
    history = theirs.fit(
        batches(), shuffle=False, verbose=0, callbacks=[diaries[0]], **settings
    )
    mine = distributed.fit(ours, batches(), callbacks=[diaries[1]], **settings)
    assert_same_weights(theirs, ours)
    assert mine.history.keys() == history.history.keys()
    np.testing.assert_allclose(mine.history["val_loss"], history.history["val_loss"], rtol=1e-6)
    assert mine.epoch == history.epoch
    assert_same_diary(diaries[0].lines, diaries[1].lines)
    assert len(diaries[0].lines) > 3 * 6 * 2
    assert mine.params["steps"] == history.params["steps"] == 6


def test_callbacks_do_what_they_do_in_fit(tmp_path):
    """With a model that is built by its first batch only."""

    def train(how, folder):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(1.0), loss, metrics=["accuracy"], jit_compile=False)
        callbacks = [
            keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.3, min_delta=0.05),
            keras.callbacks.EarlyStopping(
                patience=3, min_delta=0.05, restore_best_weights=True
            ),
            keras.callbacks.ModelCheckpoint(folder / "best.keras", save_best_only=True),
        ]
        folder.mkdir()
        return model, how(model, callbacks)

    def fit(model, callbacks):
        validation = batches(size=45)
        return model.fit(
            batches(),
            validation_data=validation,
            epochs=12,
            verbose=0,
            shuffle=False,
            callbacks=callbacks,
        )

    def mine(model, callbacks):
        return distributed.fit(
            model, batches(), validation_data=batches(size=45), epochs=12, callbacks=callbacks
        )

    theirs, ours = train(fit, tmp_path / "fit"), train(mine, tmp_path / "loop")
    assert 3 < len(theirs[1].epoch) < 12, "one of them stopped it"
    assert ours[1].epoch == theirs[1].epoch
    np.testing.assert_allclose(
        ours[1].history["learning_rate"], theirs[1].history["learning_rate"], rtol=1e-6
    )
    assert len(set(ours[1].history["learning_rate"])) > 1
    assert_same_weights(theirs[0], ours[0])
    best = [keras.models.load_model(tmp_path / name / "best.keras") for name in ("fit", "loop")]
    assert_same_weights(*best)


def test_sample_weights_and_weighted_metrics_count():
    rows = tf.data.Dataset.from_tensor_slices(
        (X, Y, np.linspace(0, 2, len(X)).astype("float32"))
    ).batch(8)
    theirs, ours = (network(weighted_metrics=["accuracy"], metrics=[]) for _ in range(2))
    history = theirs.fit(rows, epochs=2, shuffle=False, verbose=0)
    mine = distributed.fit(ours, rows, epochs=2)
    assert_same_weights(theirs, ours)
    np.testing.assert_allclose(mine.history["accuracy"], history.history["accuracy"], rtol=1e-6)


@pytest.mark.parametrize("rows", [1, 5, 8])
def test_each_row_is_dealt_to_one_replica(rows):
    """Also where there are fewer rows than replicas: then some have none that counts."""
    replicas = Replicas(tf.distribute.get_strategy())
    pairs = tf.data.Dataset.from_tensor_slices((X[:rows], Y[:rows])).batch(8)
    dealt = []
    for place in range(4):
        replicas.first = place
        (((count, (x, _)),),) = replicas.deal(pairs, 4)
        assert len(x) == max(count, 1)
        dealt += x[:count].numpy().tolist()
    assert sorted(dealt) == sorted(X[:rows].tolist())


def test_a_callback_may_stop_in_the_middle_of_an_epoch():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 3

    model = network()
    history = distributed.fit(model, batches(), epochs=5, callbacks=[Stop()])
    assert history.epoch == [0]
    assert int(model.optimizer.iterations) == 4


# A run that is interrupted


class Killed(Exception):
    pass


class KillAt(keras.callbacks.Callback):
    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.steps:
            raise Killed


@pytest.mark.parametrize("kill_after", [3, 10])
def test_a_run_taken_up_from_its_checkpoint_ends_where_the_other_does(tmp_path, kill_after):
    """Killed before the first checkpoint, and in the middle of the second epoch."""
    settings = {"epochs": 3, "validation_data": batches(size=45)}
    whole, file = network(), tmp_path / "new" / "run.npz"
    history = distributed.fit(whole, by_epoch, **settings)
    settings |= {"checkpoint": file, "save_every": 4}
    with pytest.raises(Killed):
        distributed.fit(network(), by_epoch, callbacks=[KillAt(kill_after)], **settings)
    assert file.exists() == (kill_after > 4)
    # With a checkpoint the first weights do not matter.
    again = network(seed=0 if kill_after < 4 else 9)
    keras.utils.set_random_seed(0)  # the order of the rows depends on it
    resumed = distributed.fit(again, by_epoch, **settings)
    assert_same_weights(whole, again)
    assert int(again.optimizer.iterations) == 18
    for name, values in resumed.history.items():
        np.testing.assert_allclose(
            values, history.history[name][-len(values) :], rtol=1e-6, err_msg=name
        )
    assert resumed.epoch == list(range(3))[-len(resumed.epoch) :]
    assert not any(file.parent.iterdir()), "a run that ended well leaves nothing"


def test_a_run_of_unknown_length_can_be_resumed(tmp_path):
    def of_unknown_length(epoch, context):
        return by_epoch(epoch, context).filter(lambda x, y: True)

    whole = network()
    distributed.fit(whole, by_epoch, epochs=2)
    settings = {"epochs": 2, "checkpoint": tmp_path / "run.npz", "save_every": 3}
    with pytest.raises(Killed):
        distributed.fit(network(), of_unknown_length, callbacks=[KillAt(11)], **settings)
    again = network(seed=9)
    keras.utils.set_random_seed(0)  # the order of the rows depends on it
    distributed.fit(again, of_unknown_length, **settings)
    assert_same_weights(whole, again)


def test_a_checkpoint_that_is_being_written_does_no_harm(tmp_path, monkeypatch):
    """The process dies half-way through writing the second one: the first is whole."""
    file, written = tmp_path / "run.npz", []

    def write(target, *values):
        written.append(target)
        if len(written) == 2:
            target.write(b"half of a file")
            raise Killed
        save(target, *values)

    save = np.savez
    monkeypatch.setattr(checkpoint.np, "savez", write)
    with pytest.raises(Killed):
        distributed.fit(network(), by_epoch, epochs=3, checkpoint=file)
    monkeypatch.undo()
    with np.load(file) as stored:
        assert stored[stored.files[0]].tolist() == [1, 0]
    again, whole = network(seed=9), network()
    distributed.fit(whole, by_epoch, epochs=3)
    distributed.fit(again, by_epoch, epochs=3, checkpoint=file)
    assert_same_weights(whole, again)


def test_what_cannot_be_trained_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not compiled"):
        distributed.fit(keras.Sequential([keras.layers.Dense(1)]), batches(), epochs=1)
    with pytest.raises(ValueError, match="epochs must be more than 0"):
        distributed.fit(network(), batches(), epochs=0)
    with pytest.raises(ValueError, match="has no batches"):
        distributed.fit(network(), batches().take(0), epochs=1)
    with pytest.raises(Killed):
        distributed.fit(
            network(),
            batches(),
            epochs=3,
            checkpoint=tmp_path / "run.npz",
            callbacks=[KillAt(13)],
        )
    other = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
    other.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"run\.npz is the checkpoint of another model"):
        distributed.fit(other, batches(), epochs=3, checkpoint=tmp_path / "run.npz")
    with pytest.raises(ValueError, match="epochs must be more than 2"):
        distributed.fit(network(), batches(), epochs=2, checkpoint=tmp_path / "run.npz")


# Two devices, two processes


def run(*command, seconds=600):
    """Run a command and all processes it starts; stop them if they take too long."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        cwd=ROOT,
    )
    try:
        printed, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
        raise AssertionError(f"not done after {seconds} seconds:\n{printed}") from None
    assert process.returncode == 0, printed
    return printed


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    """One device in the folder 1, two in the folder 2."""
    folder = tmp_path_factory.mktemp("devices")
    run(WORKER, folder)
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers, in the folders 0 and 1; the second is killed once, and both restart."""
    folder = tmp_path_factory.mktemp("cluster")
    code = f"""
import sys
from helpers import distributed
command = [sys.executable, {str(WORKER)!r}, {str(folder)!r}, "--kill"]
sys.exit(distributed.supervise(command, workers=2, restarts=1))
"""
    printed = run("-c", code)
    assert f"A worker ended with exit code {-signal.SIGKILL}" in printed
    return folder


def assert_same_file(one, other, **tolerance):
    with np.load(one) as ones, np.load(other) as others:
        assert len(ones.files) == len(others.files) > 5
        for name in ones.files:
            np.testing.assert_allclose(ones[name], others[name], **(tolerance or {"rtol": 0}))


def assert_same_history(one, other, rtol=1e-5):
    ones, others = json.loads(one.read_text()), json.loads(other.read_text())
    assert ones.keys() == others.keys()
    assert {
        "loss",
        "accuracy",
        "top",
        "val_loss",
        "val_accuracy",
        "val_top",
        "rates",
    } <= ones.keys()
    for name, values in ones.items():
        np.testing.assert_allclose(values, others[name], rtol=rtol, err_msg=name)


def test_two_devices_train_as_one(devices):
    """Though they have different numbers of rows: at the end 3 and 2, in validation 1 and 0."""
    assert_same_file(
        devices / "1" / "plain-0.npz", devices / "2" / "plain-0.npz", rtol=1e-5, atol=1e-7
    )
    assert_same_history(devices / "1" / "plain.json", devices / "2" / "plain.json")


def test_two_devices_end_with_the_same_state(devices):
    """Moving statistics included, which each replica counts for itself."""
    assert_same_file(devices / "2" / "all-0.npz", devices / "2" / "all-1.npz")


def test_dropout_has_another_seed_on_each_replica_in_training(devices, cluster):
    first, second = json.loads((devices / "2" / "all-seeds.json").read_text())
    assert second == first + 1
    for worker, seed in (("0", first), ("1", second)):
        assert json.loads((cluster / worker / "all-seeds.json").read_text()) == [seed]


def test_two_workers_train_as_one_process(devices, cluster):
    for worker in ("0", "1"):
        assert_same_file(
            cluster / worker / "plain-0.npz",
            devices / "1" / "plain-0.npz",
            rtol=1e-5,
            atol=1e-7,
        )
        assert_same_history(cluster / worker / "plain.json", devices / "1" / "plain.json")


def test_two_workers_are_two_devices(devices, cluster):
    for worker in (0, 1):
        theirs = devices / "2" / f"all-{worker}.npz"
        assert_same_file(cluster / str(worker) / "all-0.npz", theirs, rtol=1e-5, atol=1e-6)


def test_a_killed_worker_changes_nothing(cluster):
    """Both are started again, and end where they would have ended, to the last bit."""
    for worker in ("0", "1"):
        assert_same_file(cluster / worker / "all-0.npz", cluster / worker / "again-0.npz")
        whole, again = (
            json.loads((cluster / worker / f"{name}.json").read_text())
            for name in ("all", "again")
        )
        np.testing.assert_allclose(again.pop("rates"), whole.pop("rates")[8:], rtol=1e-6)
        for name, values in again.items():
            assert len(values) == 2, "the epoch before the kill is not in this history"
            np.testing.assert_allclose(values, whole[name][1:], rtol=1e-6)


# The launcher


@pytest.mark.long
def test_one_command_fine_tunes_on_flowers_with_two_workers(tmp_path):
    size = ("--image-size", 32, "--epochs", 1, "--batch-size", 100)
    printed = run("-m", "helpers.distributed", "--workers", 2, "--out", tmp_path, *size)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["workers"] == results["replicas"] == 2
    assert 0.2 < results["accuracy"] <= 1
    assert printed.count("Ready: ") == 1, "only the chief speaks"
    assert printed.count("for trusted networks only") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flowers.keras", "results.json"]
    assert keras.models.load_model(tmp_path / "flowers.keras").output_shape == (None, 5)


def test_the_supervisor_gives_up_and_says_with_which_code(tmp_path):
    code = f"""
import os, sys, time
open(os.path.join({str(tmp_path)!r}, str(os.getpid())), "w").close()
sys.exit(3) if '"index": 1' in os.environ["TF_CONFIG"] else time.sleep(60)
"""
    assert distributed.supervise([sys.executable, "-c", code], workers=2, restarts=1) == 3
    assert len(list(tmp_path.iterdir())) == 4


def test_workers_end_with_a_supervisor_that_is_told_to_end(tmp_path):
    sleep = f"""
import os, time
open(os.path.join({str(tmp_path)!r}, str(os.getpid())), "w").close()
time.sleep(60)
"""
    code = f"""
import sys
from helpers import distributed
distributed.supervise([sys.executable, "-c", {sleep!r}], workers=2)
"""
    supervisor = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        end = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
        supervisor.terminate()
        assert supervisor.wait(timeout=30) == 128 + signal.SIGTERM
    finally:
        supervisor.kill()
    left = [int(path.name) for path in tmp_path.iterdir() if psutil.pid_exists(int(path.name))]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


@pytest.mark.long
def test_a_worker_of_the_launcher_may_be_killed(tmp_path):
    """In the second phase, with dropout: the model ends up the same, to the last bit."""
    settings = ("--workers", 2, "--save-every", 5, "--image-size", 32, "--epochs", 2)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run("-m", "helpers.distributed", "--out", whole, *settings)
    command = [sys.executable, "-m", "helpers.distributed", "--out", killed, *settings]
    launcher = psutil.Popen(
        [str(word) for word in command], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + 600
        while not (killed / "fine-tuning.npz").exists():
            assert launcher.poll() is None, launcher.communicate()
            assert time.monotonic() < end
            time.sleep(0.01)
        launcher.children()[-1].send_signal(signal.SIGKILL)
        printed, _ = launcher.communicate(timeout=600)
    finally:
        for process in (
            [*launcher.children(recursive=True), launcher] if launcher.is_running() else []
        ):
            process.kill()
    assert f"A worker ended with exit code {-signal.SIGKILL}" in printed
    one, other = (
        keras.models.load_model(folder / "flowers.keras") for folder in (whole, killed)
    )
    for ours, theirs in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
