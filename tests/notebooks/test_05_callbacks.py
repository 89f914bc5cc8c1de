"""What notebook 05 claims beyond its own cells."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from helpers import models
from helpers.exercises import ex05_callbacks as callbacks


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    """Bundled data, whatever this machine has cached; notebooks write below tmp_path."""
    monkeypatch.setenv("COURSE_OUTPUT", str(tmp_path / "outputs"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def compiled():
    """Return the small classifier, compiled, with the first weights of seed 0."""
    keras.utils.set_random_seed(0)
    model = models.dense_classifier(num_classes=3, input_shape=(6, 6))
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def images():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (40, 6, 6), dtype="uint8"), random.integers(0, 3, 40)


@pytest.mark.parametrize(("epoch", "batch"), [(1, 0), (2, 2), (3, 3)])
@pytest.mark.slow
def test_a_run_interrupted_anywhere_and_resumed_equals_the_uninterrupted_one(
    epoch, batch, tmp_path
):
    class PowerCut(keras.callbacks.Callback):
        def on_epoch_begin(self, now, logs=None):
            self.now = now

        def on_train_batch_end(self, number, logs=None):
            if (self.now, number) == (epoch, batch):
                raise KeyboardInterrupt

    def train(model, *watchers):
        settings = {"batch_size": 10, "epochs": 4, "shuffle": False, "verbose": 0}
        return model.fit(*images(), callbacks=list(watchers), **settings).history

    whole, resumed = compiled(), compiled()
    train(whole)
    with pytest.raises(KeyboardInterrupt):
        train(compiled(), keras.callbacks.BackupAndRestore(tmp_path / "backup"), PowerCut())
    history = train(resumed, keras.callbacks.BackupAndRestore(tmp_path / "backup"))
    assert len(history["loss"]) == 4 - epoch
    for variable, other in zip(
        whole.optimizer.variables, resumed.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(variable.numpy(), other.numpy())
    for weight, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.slow
def test_a_checkpoint_is_loaded_in_a_fresh_process_and_trains_on_from_there(tmp_path):
    """The other process gets the file alone: no code of the course."""
    x, y = images()
    model = compiled()
    model.fit(
        x,
        y,
        epochs=2,
        verbose=0,
        callbacks=[keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")],
    )
    np.savez(tmp_path / "images.npz", x=x, y=y)
    code = """
import sys
import keras, numpy as np
saved = np.load("images.npz")
model = keras.models.load_model("2.keras")
np.save("outputs.npy", model.predict(saved["x"], verbose=0))
before = int(model.optimizer.iterations.numpy())
model.fit(saved["x"], saved["y"], epochs=1, verbose=0)
print(before, int(model.optimizer.iterations.numpy()), "helpers" in sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.stdout.split() == ["4", "6", "False"], result.stderr[-2000:]
    np.testing.assert_allclose(
        np.load(tmp_path / "outputs.npy"), model.predict(x, verbose=0), atol=1e-6
    )


@pytest.mark.parametrize("patience", [1, 2, 3, 5])
def test_the_rule_of_exercise_2_stops_where_keras_does(patience):
    for losses in np.random.default_rng(0).integers(0, 9, (10, 12)).tolist():
        logs = [{"val_loss": loss} for loss in losses]
        real = len(
            callbacks.rehearse(
                callbacks.tiny(), logs, keras.callbacks.EarlyStopping(patience=patience)
            )
        )
        assert callbacks.epochs_run(losses, patience) == real, losses


@pytest.mark.parametrize("patience", [1, 2, 4])
@pytest.mark.parametrize("cooldown", [0, 1, 2, 5])
def test_the_first_epoch_after_a_cut_counts_in_spite_of_a_cooldown(patience, cooldown):
    logs = [{"val_loss": 1.0}] * 24
    rates = callbacks.rehearse(
        callbacks.tiny(),
        logs,
        keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=patience, cooldown=cooldown),
    )
    assert rates.count(rates[0]) == 1 + patience
    assert rates.count(rates[1 + patience]) == patience + max(cooldown - 1, 0)


def test_a_checkpoint_is_written_for_each_new_best_and_for_nothing_else(tmp_path):
    losses = [3.0, 2.0, 2.0, 2.5, 1.0, 1.5]
    callbacks.rehearse(
        callbacks.tiny(),
        [{"val_loss": loss} for loss in losses],
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True),
    )
    assert sorted(file.name for file in tmp_path.glob("*.keras")) == [
        "1.keras",
        "2.keras",
        "5.keras",
    ]
