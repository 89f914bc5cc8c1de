"""What notebook 06 claims beyond its own cells.

That is on arguments, the stages of a pipeline, the network and the losses.
"""

import os
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from lessons import code_cells, names_bound, run_cells

from helpers.checking.pipelines import grows_beyond
from helpers.exercises import ex06_input_pipelines_and_cnn as input_pipelines

NOTEBOOK = "06_input_pipelines_and_cnn"
ROOT = Path(__file__).resolve().parents[2]


def names_of(*wanted: str) -> dict:
    """Run the cell that binds the last of the names wanted, and those that it needs."""
    cells = code_cells(NOTEBOOK)
    last = next(
        place for place, source in enumerate(cells) if wanted[-1] in names_bound(source)
    )
    return run_cells(cells, last)[0]


@pytest.fixture(scope="module")
def folder():
    """The notebook's folder of flowers, its `load`, and what these need."""
    return names_of("load")


@pytest.fixture(scope="module")
def timeline():
    """The notebook's slow reader, its recorder of spans, and its options."""
    return names_of("slow_reader", "read", "run_epoch", "plain")


def own_folder(root: Path) -> Path:
    """Write three pictures of two classes."""
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(tf.io.encode_png(np.zeros((4, 4, 3), "uint8")).numpy())
    return root


def load(root, **settings):
    return keras.utils.image_dataset_from_directory(
        root, image_size=(4, 4), verbose=False, **settings
    )


# A folder of classes


def test_the_folder_is_outside_the_checkout_and_every_second_image_is_wide(folder):
    root = folder["root"]
    assert ROOT not in root.resolve().parents
    shapes = {}
    for path in sorted(root.glob("*/*.jpg"))[::90]:
        height, width, _ = tf.io.decode_jpeg(path.read_bytes()).shape
        shapes.setdefault(int(path.stem) % 2, set()).add(width / height)
    assert shapes == {0: {1.0}, 1: {4 / 3}}


def test_every_argument_is_in_the_table():
    text = (ROOT / "notebooks" / "text" / f"{NOTEBOOK}.py").read_text(encoding="utf-8")
    table = "\n".join(line for line in text.splitlines() if line.startswith("# |"))
    explained = (
        "labels",
        "label_mode",
        "class_names",
        "color_mode",
        "batch_size",
        "image_size",
        "shuffle",
        "seed",
        "validation_split",
        "subset",
        "interpolation",
        "follow_links",
        "crop_to_aspect_ratio",
        "pad_to_aspect_ratio",
        "data_format",
        "format",
        "verbose",
    )
    for argument in explained:
        assert f"`{argument}`" in table, argument


def test_links_inside_a_class_count_only_if_followed_and_a_linked_class_always(tmp_path):
    root, elsewhere = own_folder(tmp_path / "here"), own_folder(tmp_path / "there")
    try:
        os.symlink(elsewhere / "a", root / "b" / "more", target_is_directory=True)
        os.symlink(elsewhere / "b", root / "c", target_is_directory=True)
    except OSError as error:
        pytest.skip(f"no links here: {error}")
    without, followed = load(root), load(root, follow_links=True)
    assert without.class_names == followed.class_names == ["a", "b", "c"]
    assert len(followed.file_paths) == 6
    early = tuple(map(int, keras.__version__.split(".")[:2])) < (3, 13)
    assert len(without.file_paths) == 4 or (early and len(without.file_paths) == 6)


def test_linked_files_count_in_any_case(tmp_path):
    root, elsewhere = own_folder(tmp_path / "here"), own_folder(tmp_path / "there")
    try:
        os.symlink(elsewhere / "a" / "1.png", root / "b" / "linked.png")
    except OSError as error:
        pytest.skip(f"no links here: {error}")
    for follow in (False, True):
        assert len(load(root, follow_links=follow).file_paths) == 4


def test_the_loader_shuffles_in_each_epoch_with_a_buffer_of_eight_batches(folder):
    loaded = folder["load"](
        shuffle=True, seed=1, labels=list(range(900)), image_size=(8, 8), batch_size=32
    )
    in_order = sorted(loaded.file_paths)
    listed = [in_order.index(path) for path in loaded.file_paths]
    order = np.concatenate([label for _, label in loaded]).tolist()
    early = [listed.index(number) - place for place, number in enumerate(order)]
    assert 128 < max(early) < 8 * 32


def test_files_that_are_no_images_are_passed_over(tmp_path):
    root = own_folder(tmp_path)
    (root / "a" / "notes.txt").write_text("not a picture")
    assert len(load(root).file_paths) == 3


def test_labels_of_ones_own_are_taken_in_the_order_of_the_files_unchecked(tmp_path):
    dataset = load(own_folder(tmp_path), labels=[1, 0, 0], shuffle=False, batch_size=None)
    assert [int(label) for _, label in dataset] == [1, 0, 0], (
        "file b/3.png is 0, as it was told"
    )


def test_keras_mixes_the_list_of_labels_it_was_given(tmp_path):
    labels = list(range(3))
    given = labels.copy()
    dataset = load(own_folder(tmp_path), labels=given, shuffle=True, seed=3)
    assert sorted(given) == labels != given
    assert given == [int(Path(file).stem) - 1 for file in dataset.file_paths], (
        "mixed like the files, so all is well once"
    )


def test_both_parts_at_once_shuffle_only_the_training_part(folder):
    settings = {"validation_split": 0.5, "seed": 1, "shuffle": True, "image_size": (8, 8)}
    both = folder["load"](subset="both", labels=list(range(900)), **settings)
    alone = folder["load"](subset="validation", labels=list(range(900)), **settings)

    def orders(dataset):
        return [
            np.concatenate([labels for _, labels in dataset.as_numpy_iterator()]).tolist()
            for _ in range(2)
        ]

    (first, second), (val_first, val_second), (alone_first, alone_second) = map(
        orders, (*both, alone)
    )
    assert first != second
    assert sorted(first) == sorted(second)
    assert val_first == val_second
    assert alone_first != alone_second
    assert sorted(alone_first) == sorted(val_first)


def test_without_shuffling_the_validation_part_is_one_class(folder):
    part = folder["load"](subset="validation", validation_split=0.2, label_mode=None)
    classes = [Path(path).parent.name for path in part.file_paths]
    assert classes == ["tulips"] * 180


# Stages


@pytest.mark.parametrize("buffer", [1, 7, 30])
def test_a_shuffled_element_comes_less_than_a_buffer_early(buffer):
    order = list(tf.data.Dataset.range(100).shuffle(buffer, seed=3).as_numpy_iterator())
    assert max(number - place for place, number in enumerate(order)) < buffer
    assert sorted(order) == list(range(100))


def test_a_cache_is_filled_by_a_complete_epoch_only():
    read = []

    def note(number):
        read.append(int(number))
        return number

    cached = (
        tf.data.Dataset.range(5)
        .map(lambda k: tf.numpy_function(note, [k], tf.int64, stateful=False))
        .cache()
    )
    next(iter(cached.take(2)))
    broken_off = len(read)
    list(cached)
    assert broken_off
    assert len(read) == broken_off + 5, "the broken epoch was for nothing"
    list(cached)
    assert len(read) == broken_off + 5


def ahead(options: tf.data.Options, patience: float) -> bool:
    """Whether more is read than the one element asked for, without a `prefetch` of ours."""
    read = []

    def note(number):
        read.append(int(number))
        return number

    source = tf.data.Dataset.range(6).with_options(options)
    iterator = iter(
        source.map(lambda k: tf.numpy_function(note, [k], tf.int64, stateful=False))
    )
    next(iterator)
    found = grows_beyond(read, 1, patience)
    list(iterator)  # dropped while it works, it could wait for ever
    return found


@pytest.mark.slow
def test_tensorflow_adds_a_prefetch_unless_forbidden(timeline):
    assert ahead(tf.data.Options(), patience=30)
    assert not ahead(timeline["plain"], patience=0.5)


@pytest.mark.slow
def test_an_epoch_takes_what_the_formula_of_exercise_2_says(timeline):
    """A sleeper may oversleep, and never wakes early: the formula is a lower bound."""
    for prefetch in (False, True):
        reader = timeline["slow_reader"](timeline["read"], count=5)
        if prefetch:
            reader = reader.prefetch(1)
        taken = []
        for _ in range(5):
            spans, seconds = timeline["run_epoch"](reader.with_options(timeline["plain"]))
            assert len(spans["read"]) == len(spans["train"]) == 5
            taken.append(seconds)
        formula = input_pipelines.epoch_seconds(0.03, 0.03, 5, prefetch)
        assert min(taken) > 0.98 * formula
        assert min(taken) < 2 * formula


@pytest.mark.parametrize("prefetch", [False, True])
def test_batches_are_read_during_training_with_prefetch_only(timeline, prefetch):
    reader = timeline["slow_reader"](timeline["read"], count=5)
    if prefetch:
        reader = reader.prefetch(1)
    spans, _ = timeline["run_epoch"](reader.with_options(timeline["plain"]))
    read, train = spans["read"], spans["train"]
    assert all(reading[1] <= training[0] for reading, training in zip(read, train, strict=True))
    overlaps = [later[0] < earlier[1] for later, earlier in zip(read[1:], train)]
    assert sum(overlaps) == (4 if prefetch else 0)


# The network and its losses


def test_the_convolutions_have_few_parameters_beside_the_dense_layers():
    model = names_of("build")["build"](180, 5)
    in_convolutions = sum(
        layer.count_params() for layer in model.layers if isinstance(layer, keras.layers.Conv2D)
    )
    assert in_convolutions == 448 + 4_640 + 18_496
    assert model.count_params() - in_convolutions > 3_900_000


@pytest.mark.parametrize("num_classes", [2, 5, 104])
def test_a_softmax_too_many_keeps_the_loss_above_a_floor(num_classes):
    """No network gets below it: at best a softmax gives 1 to the true class, 0 to others."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    floor = np.log(np.e + num_classes - 1) - 1
    scores = np.random.default_rng(0).normal(0, 20, (200, num_classes)).astype("float32")
    sure = scores + 1000 * np.eye(num_classes, dtype="float32")[0]
    assert (
        min(float(loss(np.zeros(1), tf.nn.softmax(row)[None])) for row in scores)
        >= floor - 1e-5
    )
    assert np.isclose(float(loss(np.zeros(200), tf.nn.softmax(sure))), floor, atol=1e-5)
    assert float(loss(np.zeros(200), sure)) == 0


ENDINGS = {
    "logits": (lambda x: x, 0),
    "softmax of Keras": (keras.layers.Softmax(), 1),
    "softmax, then another layer": (
        lambda x: keras.layers.Reshape((2,))(keras.ops.softmax(x)),
        0,
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_keras_undoes_a_softmax_if_it_is_the_last_operation(ending):
    add, warned = ENDINGS[ending]
    x = np.eye(2, dtype="float32")
    inputs = keras.Input((2,))
    logits = keras.layers.Dense(2, kernel_initializer=keras.initializers.Identity(9))(inputs)
    model = keras.Model(inputs, add(logits))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loss = model.evaluate(x, np.arange(2), verbose=0)
    assert any("Softmax" in str(warning.message) for warning in caught) is bool(warned)
    floor = np.log(np.e + 1) - 1
    assert (loss < 0.01) == (ending != "softmax, then another layer")
    assert ending != "softmax, then another layer" or loss >= floor


@pytest.mark.skipif(keras.__version__ != "3.15.1", reason="a bug of Keras 3.15.1")
def test_fit_and_evaluate_count_a_batch_too_many_if_the_length_is_unknown():
    x, y = np.zeros((100, 1), "float32"), np.zeros(100)
    unknown = tf.data.Dataset.from_tensor_slices((x, y)).batch(32).unbatch()
    unknown = unknown.batch(30, drop_remainder=True)
    known = unknown.apply(tf.data.experimental.assert_cardinality(3))
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    for dataset, right in ((unknown, 0.75), (known, 1.0)):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss, metrics=["accuracy"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            history = model.fit(dataset, verbose=0, shuffle=False).history
            _loss, accuracy = model.evaluate(dataset, verbose=0)
        assert np.isclose(accuracy, right)
        assert np.isclose(history["accuracy"][-1], right)


def test_without_a_softmax_a_negative_score_has_no_gradient():
    scores = tf.Variable([[2.0, -1.0, 0.5]])
    with tf.GradientTape() as tape:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=False)(np.ones(1), scores)
    assert tape.gradient(loss, scores).numpy()[0, 1] == 0


def test_the_floor_of_the_loss_is_the_number_in_the_text():
    text = (ROOT / "notebooks" / "text" / f"{NOTEBOOK}.py").read_text(encoding="utf-8")
    assert f"{np.log(np.e + 4) - 1:.3f}" == "0.905"
    assert "cannot fall below 0.905" in " ".join(
        line.lstrip("# ") for line in text.splitlines()
    )
