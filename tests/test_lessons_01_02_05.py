"""What notebooks 01, 02 and 05 claim beyond their own cells, and their exercises, right and wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lessons import check_exercise

from helpers import models

ROOT = Path(__file__).resolve().parent.parent

# Notebook, exercise, a right answer written unlike the text's own code.
RIGHT = [
    ("01_tensor_basics", 1, "def mirror_and_crop(pile, size):\n    return tf.reverse(pile, [2])[:, :size, :, None]"),
    (
        "01_tensor_basics",
        2,
        """
        def standardise(pile):
            flat = tf.reshape(pile, [len(pile), -1])
            flat = (flat - tf.reduce_mean(flat, 1, True)) / tf.math.reduce_std(flat, 1, True)
            return tf.reshape(flat, pile.shape)
        """,
    ),
    (
        "01_tensor_basics",
        3,
        """
        def average(first, second):
            total = tf.cast(first, tf.int32) + tf.cast(second, tf.int32)
            return tf.cast(total // 2, tf.uint8)
        """,
    ),
    (
        "01_tensor_basics",
        4,
        """
        def update(mean, count, value):
            count.assign_add(1.0)
            mean.assign_add((value - mean) / count)
        """,
    ),
    (
        "01_tensor_basics",
        5,
        """
        def mean_letters(captions):
            lengths = tf.strings.length(captions, unit="UTF8_CHAR")
            return tf.reduce_mean(tf.cast(lengths, tf.float32), axis=1)
        """,
    ),
    (
        "02_sequential_vs_functional",
        1,
        "count_parameters = lambda sizes: sum((a + 1) * b for a, b in zip(sizes, sizes[1:]))",
    ),
    (
        "02_sequential_vs_functional",
        2,
        """
        def from_sizes(sizes):
            first = flowing = keras.Input((sizes[0],))
            for units in sizes[1:-1]:
                flowing = layers.ReLU()(layers.Dense(units)(flowing))
            return keras.Model(first, layers.Softmax()(layers.Dense(sizes[-1])(flowing)))
        """,
    ),
    (
        "02_sequential_vs_functional",
        3,
        """
        def wide_and_deep():
            picture = keras.Input((28, 28))
            pixels = layers.Reshape((784,))(layers.Rescaling(1 / 255)(picture))
            deep = layers.Dense(30, "relu")(layers.Dense(100, "relu")(pixels))
            return keras.Model(picture, layers.Dense(10, "softmax")(layers.Concatenate()([pixels, deep])))
        """,
    ),
    (
        "02_sequential_vs_functional",
        4,
        """
        def food(pictures, labels, batch_size, seed):
            pairs = tf.data.Dataset.from_tensor_slices((pictures, keras.utils.to_categorical(labels, 10)))
            pairs = pairs.map(lambda x, y: (x, tf.cast(y, tf.float32)))
            return pairs.shuffle(len(pictures), seed=seed).batch(batch_size)
        """,
    ),
    (
        "02_sequential_vs_functional",
        5,
        """
        def name_it(model, picture, class_names):
            return class_names[int(np.argmax(model(picture[None])[0]))]
        """,
    ),
    (
        "05_callbacks",
        1,
        """
        def keep_most_accurate(path):
            return callbacks.ModelCheckpoint(path, "val_accuracy", mode="max", save_best_only=True)
        """,
    ),
    (
        "05_callbacks",
        2,
        """
        def epochs_run(val_losses, patience):
            for epoch in range(1, len(val_losses) + 1):
                if epoch > patience and min(val_losses[:epoch]) == min(val_losses[: epoch - patience]):
                    return epoch
            return len(val_losses)
        """,
    ),
    (
        "05_callbacks",
        3,
        """
        def watchers():
            cut = callbacks.ReduceLROnPlateau(factor=0.5, patience=2, cooldown=1)
            return [callbacks.EarlyStopping(patience=6, restore_best_weights=True), cut]
        """,
    ),
    (
        "05_callbacks",
        4,
        """
        class StopWhenGood(callbacks.Callback):
            def __init__(self, goal):
                super().__init__()
                self.goal = goal

            def on_epoch_end(self, epoch, logs=None):
                self.model.stop_training |= (logs or {}).get("val_accuracy", -1.0) >= self.goal
        """,
    ),
    (
        "05_callbacks",
        5,
        """
        def train_to(model, backup, epochs, *watchers):
            fit(model, epochs, *watchers, callbacks.BackupAndRestore(str(backup)))
        """,
    ),
]

# Notebook, exercise, a wrong answer as a learner gives it, words of the message that helps.
WRONG = [
    ("01_tensor_basics", 1, "def mirror_and_crop(pile, size):\n    return pile[:, :size, ::-1]", "last axis"),
    ("01_tensor_basics", 1, "def mirror_and_crop(pile, size):\n    return pile[:, ::-1][:, :size, :, None]", "upside"),
    (
        "01_tensor_basics",
        1,
        "def mirror_and_crop(pile, size):\n    return pile[::-1, :size, ::-1, None]",
        "order of the",
    ),
    ("01_tensor_basics", 1, "def mirror_and_crop(pile, size):\n    return pile[:, :, :size, None]", "expected shape"),
    (
        "01_tensor_basics",
        2,
        "def standardise(pile):\n    return (pile - tf.reduce_mean(pile)) / tf.math.reduce_std(pile)",
        "not the pile's",
    ),
    (
        "01_tensor_basics",
        2,
        "def standardise(pile):\n    return (pile - tf.reduce_mean(pile, 0)) / tf.math.reduce_std(pile, 0)",
        "mixed the pictures",
    ),
    (
        "01_tensor_basics",
        2,
        "def standardise(pile):\n    return pile - tf.reduce_mean(pile, [1, 2], True)",
        "standard deviation of its own",
    ),
    ("01_tensor_basics", 3, "def average(first, second):\n    return (first + second) // 2", "does not fit"),
    ("01_tensor_basics", 3, "def average(first, second):\n    return first // 2 + second // 2", "do not halve"),
    (
        "01_tensor_basics",
        3,
        "def average(first, second):\n    return (tf.cast(first, tf.float32) + tf.cast(second, tf.float32)) / 2",
        "uint8 again",
    ),
    (
        "01_tensor_basics",
        4,
        "def update(mean, count, value):\n    count.assign_add(1.0)\n    mean.assign(value)",
        "not the mean",
    ),
    (
        "01_tensor_basics",
        4,
        "def update(mean, count, value):\n    mean.assign_add((value - mean) / count)\n    count.assign_add(1.0)",
        "new count",
    ),
    (
        "01_tensor_basics",
        4,
        "def update(mean, count, value):\n    mean.assign_add((value - mean) / (count + 1))",
        "grow by one",
    ),
    (
        "01_tensor_basics",
        5,
        "def mean_letters(captions):\n"
        "    return tf.reduce_mean(tf.cast(tf.strings.length(captions), tf.float32), axis=1)",
        "bytes",
    ),
    (
        "01_tensor_basics",
        5,
        "def mean_letters(captions):\n    return tf.reduce_mean(tf.strings.length(captions, unit='UTF8_CHAR'), axis=1)",
        "to float32",
    ),
    (
        "01_tensor_basics",
        5,
        "def mean_letters(captions):\n"
        "    lengths = tf.strings.length(captions, unit='UTF8_CHAR').to_tensor()\n"
        "    return tf.reduce_mean(tf.cast(lengths, tf.float32), axis=1)",
        "padding",
    ),
    (
        "02_sequential_vs_functional",
        1,
        "count_parameters = lambda sizes: sum(a * b for a, b in zip(sizes, sizes[1:]))",
        "biases are missing",
    ),
    (
        "02_sequential_vs_functional",
        1,
        "count_parameters = lambda sizes: sum(a * b for a, b in zip(sizes, sizes[1:])) + sum(sizes)",
        "inputs have no bias",
    ),
    ("02_sequential_vs_functional", 1, "count_parameters = lambda sizes: 81_840", "any number"),
    *[
        (
            "02_sequential_vs_functional",
            2,
            f"""
            def from_sizes(sizes):
                first = flowing = keras.Input((sizes[0],))
                for units in sizes[{start}:-1]:
                    flowing = layers.Dense(units, {hidden})(flowing)
                return keras.Model(first, layers.Dense(sizes[-1], {last})(flowing))
            """,
            helps,
        )
        for start, hidden, last, helps in [
            (0, "'relu'", "'softmax'", "the first size is the input"),
            (1, "'relu'", "None", "softmax on the last layer"),
            (1, "None", "'softmax'", "no more than one"),
            (2, "'relu'", "'softmax'", "not 1163"),
        ]
    ],
    *[
        (
            "02_sequential_vs_functional",
            3,
            f"""
            def wide_and_deep():
                picture = keras.Input((28, 28))
                raw = layers.Flatten()(picture)
                pixels = layers.Rescaling(1 / 255)(raw)
                first = layers.Dense(100, "relu")(pixels)
                second = layers.Dense(30, "relu")(first)
                return keras.Model(picture, layers.Dense(10, {activation})({seen}))
            """,
            helps,
        )
        for seen, activation, helps in [
            ("second", "'softmax'", "use layers.Concatenate"),
            ("layers.Concatenate()([pixels, first, second])", "'softmax'", "30 units and 784 pixels only"),
            ("layers.Concatenate()([pixels, second])", "None", "softmax at the end"),
            ("layers.Concatenate()([raw, second])", "'softmax'", "not rescaled"),
            ("layers.Concatenate()([second, second])", "'softmax'", "not 89,680"),
        ]
    ],
    *[
        (
            "02_sequential_vs_functional",
            4,
            f"""
            def food(pictures, labels, batch_size, seed):
                labels = tf.one_hot(labels, 10)
                {lines}
            """,
            helps,
        )
        for lines, helps in [
            (
                "return tf.data.Dataset.from_tensor_slices((pictures, tf.argmax(labels, 1))).shuffle(50).batch(8)",
                "one-hot labels",
            ),
            (
                "return tf.data.Dataset.from_tensor_slices((pictures, tf.cast(labels, tf.int64))).shuffle(50).batch(8)",
                "should be float32",
            ),
            (
                "return tf.data.Dataset.from_tensor_slices((pictures, labels)).shuffle(50, seed).batch(8, True)",
                "not be dropped",
            ),
            ("return tf.data.Dataset.from_tensor_slices((pictures, labels)).batch(batch_size)", "shuffle"),
            (
                "return tf.data.Dataset.from_tensor_slices((pictures, labels)).batch(8).shuffle(6, seed).take(7)",
                "six batches of eight|before you batch",
            ),
            (
                "return tf.data.Dataset.zip(tuple(tf.data.Dataset.from_tensor_slices(part).shuffle(50, seed + k)"
                " for k, part in enumerate((pictures, labels)))).batch(batch_size)",
                "torn apart",
            ),
        ]
    ],
    (
        "02_sequential_vs_functional",
        5,
        "name_it = lambda model, picture, names: int(np.argmax(model(picture[None])))",
        "look its name up",
    ),
    (
        "02_sequential_vs_functional",
        5,
        "name_it = lambda model, picture, names: names[np.argmax(model(picture[None]), axis=0)[0]]",
        "argmax along the batch",
    ),
    *[
        ("05_callbacks", 1, f"keep_most_accurate = lambda path: callbacks.ModelCheckpoint({how})", helps)
        for how, helps in [
            ("path", "last epoch"),
            ("path, save_best_only=True", "lowest loss"),
            ("path, 'val_accuracy', mode='min', save_best_only=True", "mode='max'"),
            ("str(path).replace('exercise', 'elsewhere'), save_best_only=True", "nothing was saved"),
        ]
    ],
    *[
        (
            "05_callbacks",
            2,
            f"""
            def epochs_run(val_losses, patience):
                best, wait = val_losses[0], 0
                for epoch, value in enumerate(val_losses[1:], start=2):
                    if value {better}:
                        {improved}
                    else:
                        wait += 1
                        if wait {limit}:
                            return epoch
                    {always}
                return len(val_losses)
            """,
            helps,
        )
        for better, improved, limit, always, helps in [
            ("< best", "best, wait = value, 0", "> patience", "pass", "one too many"),
            ("< best", "best = value", ">= patience", "pass", "counting anew"),
            ("< best", "wait = 0", ">= patience", "best = value", "the epoch before"),
            ("<= best", "best, wait = value, 0", ">= patience", "pass", "no improvement"),
        ]
    ],
    *[
        (
            "05_callbacks",
            3,
            f"""
            def watchers():
                cut = callbacks.ReduceLROnPlateau(factor={factor}, patience={cut})
                return [cut, callbacks.EarlyStopping(patience={stop}, restore_best_weights={restore})]
            """,
            helps,
        )
        for factor, cut, stop, restore, helps in [
            (0.5, 3, 30, True, "never stopped"),
            (0.5, 7, 7, True, "never cut"),
            (0.1, 3, 8, True, "halve the rate"),
            (0.5, 3, 5, True, "one cut only"),
            (0.5, 2, 9, True, "more than two"),
            (0.5, 3, 8, False, "last weights"),
        ]
    ],
    *[
        (
            "05_callbacks",
            4,
            f"""
            class StopWhenGood(callbacks.Callback):
                def __init__(self, goal):
                    super().__init__()
                    self.goal = goal

                def on_epoch_end(self, epoch, logs=None):
                    if {condition}:
                        self.model.stop_training = True
            """,
            helps,
        )
        for condition, helps in [
            ("logs['accuracy'] >= self.goal", "0.9 is at least|training pictures"),
            ("logs['accuracy'] >= self.goal or logs['val_accuracy'] >= self.goal", "training pictures"),
            ("logs['val_accuracy'] > self.goal", "exactly the goal"),
            ("logs['val_accuracy'] >= 0.1 and logs['accuracy'] < 0.9", "not good enough"),
            ("logs['val_accuracy'] >= self.goal", "do nothing"),
            ("logs.get('val_accuracy', 1.0) >= self.goal", "should not stop"),
        ]
    ],
    (
        "05_callbacks",
        5,
        "train_to = lambda model, backup, epochs, *watchers: fit(model, epochs, *watchers)",
        "started all over",
    ),
]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    """Bundled data, whatever this machine has cached; notebooks write below tmp_path."""
    monkeypatch.setenv("COURSE_OUTPUT", str(tmp_path / "outputs"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.mark.parametrize(("notebook", "number", "answer"), RIGHT)
def test_a_right_answer_passes(notebook, number, answer):
    assert f"Exercise {number}: right" in check_exercise(notebook, number, answer)


@pytest.mark.parametrize(("notebook", "number"), [case[:2] for case in RIGHT])
def test_an_untouched_stub_is_not_attempted(notebook, number):
    assert f"Exercise {number}: not attempted yet" in check_exercise(notebook, number, None)


@pytest.mark.parametrize(("notebook", "number", "answer", "helps"), WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(notebook, number, answer, helps):
    with pytest.raises(AssertionError, match=helps):
        check_exercise(notebook, number, answer)


def test_the_784_100_30_10_network_reaches_87_percent_on_the_real_pictures(realdata, tmp_path):
    """Notebook 02's own cells, full profile, on a CPU, with the real data found in the Keras cache."""
    home = shutil.copytree(realdata / "keras" / "datasets", tmp_path / "home" / "datasets").parent
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
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    report = json.loads(result.stdout.splitlines()[-1])
    print(f"test accuracy {report['accuracy']:.4f} on the real Fashion-MNIST")
    assert (report["source"], report["train"], report["parameters"]) == ("cache", 54_000, 81_840)
    assert report["accuracy"] >= 0.87


def compiled():
    """Return the small classifier, compiled, with the first weights of seed 0."""
    import keras

    keras.utils.set_random_seed(0)
    model = models.dense_classifier(num_classes=3, input_shape=(6, 6), hidden=(8,))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def pictures():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (40, 6, 6), dtype="uint8"), random.integers(0, 3, 40)


@pytest.mark.parametrize(("epoch", "batch"), [(1, 0), (2, 2), (3, 3)])
def test_a_run_interrupted_anywhere_and_resumed_equals_the_uninterrupted_one(epoch, batch, tmp_path):
    import keras

    class PowerCut(keras.callbacks.Callback):
        def on_epoch_begin(self, now, logs=None):
            self.now = now

        def on_train_batch_end(self, number, logs=None):
            if (self.now, number) == (epoch, batch):
                raise KeyboardInterrupt

    def train(model, *watchers):
        settings = {"batch_size": 10, "epochs": 4, "shuffle": False, "verbose": 0}
        return model.fit(*pictures(), callbacks=list(watchers), **settings).history

    whole, resumed = compiled(), compiled()
    train(whole)
    with pytest.raises(KeyboardInterrupt):
        train(compiled(), keras.callbacks.BackupAndRestore(tmp_path / "backup"), PowerCut())
    history = train(resumed, keras.callbacks.BackupAndRestore(tmp_path / "backup"))
    assert len(history["loss"]) == 4 - epoch
    for variable, other in zip(whole.optimizer.variables, resumed.optimizer.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), other.numpy())
    for weight, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_a_checkpoint_is_loaded_in_a_fresh_process_and_trains_on_from_there(tmp_path):
    """The other process gets the file alone: no code of the course."""
    import keras

    x, y = pictures()
    model = compiled()
    model.fit(x, y, epochs=2, verbose=0, callbacks=[keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")])
    np.savez(tmp_path / "pictures.npz", x=x, y=y)
    code = """
import sys
import keras, numpy as np
saved = np.load("pictures.npz")
model = keras.models.load_model("2.keras")
np.save("outputs.npy", model.predict(saved["x"], verbose=0))
before = int(model.optimizer.iterations.numpy())
model.fit(saved["x"], saved["y"], epochs=1, verbose=0)
print(before, int(model.optimizer.iterations.numpy()), "helpers" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.stdout.split() == ["4", "6", "False"], result.stderr[-2000:]
    np.testing.assert_allclose(np.load(tmp_path / "outputs.npy"), model.predict(x, verbose=0), atol=1e-6)
