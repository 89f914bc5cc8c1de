"""The ladder of places and the pipeline of helpers.data."""

import gzip
import itertools
import math
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from image_sets import CLASSES, jpeg, make_folder, make_tree, picture

from helpers import data, images, runtime, seeding
from helpers.data import flowers


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_folder(tmp_path_factory.mktemp("folder") / "my_flowers")


@pytest.fixture(scope="module")
def from_folder(folder) -> data.ImageData:
    return flowers(32, source=folder, verbose=False)


@pytest.fixture(scope="module")
def from_tree(tmp_path_factory) -> data.ImageData:
    return flowers(32, source=make_tree(tmp_path_factory.mktemp("tree")), verbose=False)


@pytest.fixture
def bare(tmp_path, monkeypatch) -> Path:
    """A machine with nothing on the ladder but the bundled rung."""
    for name in ("COURSE_DATA", "COURSE_DOWNLOAD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_KAGGLE_INPUT", str(tmp_path / "kaggle"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("COURSE_PROFILE", "full")
    return tmp_path


def refuse(*_, **__):
    raise AssertionError("this must not be called")


# ----------------------------------------------------------------------------------- the ladder


def test_the_first_rung_that_exists_is_taken(bare, monkeypatch, folder, capsys):
    monkeypatch.setattr(data, "fetch", refuse)
    assert flowers(32).source == "bundled"
    make_folder(bare / "keras/datasets/flower_photos")
    assert flowers(32).source == "cache"
    monkeypatch.setenv("COURSE_DATA", str(folder))
    found = flowers(32)
    assert (found.source, found.name, found.location) == ("folder", "Your images", folder)
    monkeypatch.setenv("COURSE_DATA", str(make_tree(bare / "tree")))
    assert flowers(32).source == "tfrecords"
    make_tree(bare / "kaggle/competitions/tpu-getting-started")
    assert flowers(32).source == "kaggle"
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5, "one line each"
    assert "bundled" in lines[0]
    assert "Better: " in lines[0]
    assert "104 classes" in lines[1]
    assert str(folder) in lines[2]


def test_the_quick_profile_gives_the_same_data_everywhere(
    bare, monkeypatch, fashion_cache, folder
):
    """What happens to lie in the Keras cache must not change a quick run.

    What was asked for by name does.
    """
    monkeypatch.setenv("COURSE_PROFILE", "quick")
    make_folder(bare / "keras/datasets/flower_photos")
    monkeypatch.setattr(data, "fetch", refuse)
    assert flowers(32, verbose=False).source == data.fashion(verbose=False).source == "bundled"
    monkeypatch.setattr(data.runtime, "on_colab", lambda: True)
    assert flowers(32, verbose=False).source == "bundled"
    assert flowers(32, source="cache", verbose=False).source == "cache"
    assert data.fashion(source="cache", verbose=False).source == "cache"
    monkeypatch.setenv("COURSE_DATA", str(folder))
    assert flowers(32, verbose=False).source == "folder"


def test_course_data_can_ask_for_the_bundled_set(bare, monkeypatch, fashion_cache):
    make_folder(bare / "keras/datasets/flower_photos")
    make_tree(bare / "kaggle/competitions/tpu-getting-started")
    monkeypatch.setenv("COURSE_DATA", "bundled")
    assert flowers(32, verbose=False).source == data.fashion(verbose=False).source == "bundled"


@pytest.mark.parametrize(
    "place",
    [
        "competitions/tpu-getting-started",
        "datasets/someone/tpu-getting-started",
        "tpu-getting-started",
        "petals/extra",
    ],
)
def test_kaggle_mounts_are_found_in_every_layout(bare, place):
    make_tree(bare / "kaggle" / place)
    (bare / "kaggle/datasets/other/unrelated").mkdir(parents=True)
    found = flowers(32, verbose=False)
    assert found.source == "kaggle"
    assert found.location == bare / "kaggle" / place
    assert found.counts == {"train": 12, "val": 3, "test": 4}


def test_the_competition_is_preferred_among_several_kaggle_mounts(bare):
    make_tree(bare / "kaggle/another/copy")
    make_tree(bare / "kaggle/competitions/tpu-getting-started")
    assert flowers(32, verbose=False).location.name == "tpu-getting-started"


@pytest.mark.parametrize(
    "place",
    ["flower_photos", "flower_photos/flower_photos", "flower_photos_extracted/flower_photos"],
)
def test_the_keras_cache_is_found_as_every_keras_unpacks_it(bare, place):
    make_folder(bare / "keras/datasets" / place)
    (bare / "keras/datasets/flower_photos.tgz").write_bytes(b"an archive")
    found = flowers(32, verbose=False)
    assert (found.source, found.location) == ("cache", bare / "keras/datasets" / place)
    assert "CC BY" in found.licence


@pytest.mark.parametrize("profile", ["quick", "full"])
@pytest.mark.parametrize("consent", ["source", "environment", "colab"])
@pytest.mark.slow
def test_the_download_needs_consent(bare, monkeypatch, consent, profile):
    monkeypatch.setenv("COURSE_PROFILE", profile)
    monkeypatch.setattr(data, "fetch", refuse)
    assert flowers(32, verbose=False).source == "bundled"
    calls = []

    def fetch(archive, into):
        calls.append((archive, into))
        return make_folder(into / "flower_photos")

    monkeypatch.setattr(data, "fetch", fetch)
    source = None
    if consent == "source":
        source = "download"
    elif consent == "environment":
        monkeypatch.setenv("COURSE_DOWNLOAD", "1")
    else:
        monkeypatch.setattr(data.runtime, "on_colab", lambda: True)
    found = flowers(32, source=source, verbose=False)
    if (consent, profile) == ("colab", "quick"):
        assert (found.source, calls) == ("bundled", [])
        return
    assert found.source == "download"
    assert calls == [(data.FLOWER_PHOTOS, bare / "keras/datasets")]
    monkeypatch.setattr(data, "fetch", refuse)
    if consent != "source":
        assert flowers(32, verbose=False).source == "cache", (
            "what is there is not fetched again"
        )


def test_the_bundled_set_is_complete(bare):
    found = flowers(96, source="bundled", verbose=False)
    assert found.class_names == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert min(found.counts.values()) > 0
    assert set(found.labels("train")) == set(found.labels("val")) == set(range(5))
    images, labels = next(iter(found.batches("val", 8)))
    assert images.shape == (8, 96, 96, 3)
    np.testing.assert_array_equal(labels, found.labels("val")[:8])
    assert len(set(found.ids("test"))) == found.counts["test"]
    with pytest.raises(ValueError, match=r"'test' split .* has no labels\. Train and val do"):
        found.labels("test")


@pytest.mark.parametrize("content", ["missing", "a file", "empty", "one class", "no images"])
def test_a_wrong_course_data_is_an_error_and_no_other_rung_is_taken(bare, monkeypatch, content):
    place = bare / "named"
    if content == "a file":
        place.write_text("not a folder")
    elif content != "missing":
        place.mkdir()
    if content == "one class":
        (place / "roses").mkdir()
        (place / "roses/a.jpg").write_bytes(jpeg(picture(0, 0)))
    if content == "no images":
        for name in CLASSES:
            (place / name).mkdir()
    monkeypatch.setenv("COURSE_DATA", str(place))
    with pytest.raises(
        ValueError,
        match=r"COURSE_DATA is .*named.* It takes a folder with a sub-folder of images",
    ):
        flowers(32)


def test_a_rung_asked_for_by_name_must_be_there(bare):
    for rung in ("kaggle", "course_data", "cache"):
        with pytest.raises(FileNotFoundError, match=rung):
            flowers(32, source=rung)
    with pytest.raises(ValueError, match=r"source is .*nowhere.*"):
        flowers(32, source=bare / "nowhere")


@pytest.mark.parametrize(
    "argument",
    [{"image_size": 7}, {"image_size": 5000}, {"on_error": "ignore"}],
)
def test_bad_arguments_are_refused(folder, argument):
    with pytest.raises(ValueError, match=next(iter(argument))):
        flowers(**{"source": folder, **argument})


# -------------------------------------------------------------------------------------- drawing


def test_data_that_did_not_come_along_are_drawn_once(tmp_path, monkeypatch, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").touch()
    script = tmp_path / "data" / "make_dots.py"
    script.write_text(
        "import pathlib, sys\nfolder = pathlib.Path(sys.argv[1])\n"
        "folder.mkdir()\n(folder / 'one.txt').write_text('.')\n"
    )
    monkeypatch.setattr(runtime, "_PACKAGE", tmp_path / "helpers")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    drawn = data.bundled_folder("dots")
    assert (drawn / "one.txt").read_text() == "."
    assert drawn.parent == tmp_path / "cache" / "tf-vision-course"
    assert "Drawing the course's dots" in capsys.readouterr().out
    assert data.bundled_folder("dots") == drawn
    assert capsys.readouterr().out == ""
    script.write_text("raise RuntimeError('no ink')\n")
    with pytest.raises(FileNotFoundError, match="no ink"):
        data.bundled_folder("dots")
    assert list(drawn.parent.iterdir()) == [drawn], "nothing half drawn is left"
    (tmp_path / "data" / "dots").mkdir()  # data that did come along are taken as they are
    assert data.bundled_folder("dots") == tmp_path / "data" / "dots"
    with pytest.raises(FileNotFoundError, match="make_lines"):
        data.bundled_folder("lines")


# --------------------------------------------------------------------------------- the pipeline


class Brighter(seeding.SeededMap):
    """A random step as cheap as can be."""

    def transform(self, seed, images, labels):
        return images + tf.cast(tf.abs(seed[0]) % 50, tf.uint8), labels


def epoch(batches) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


@pytest.mark.parametrize("origin", ["from_folder", "from_tree"])
@pytest.mark.parametrize("cache", [False, True])
def test_one_seed_one_sequence(request, origin, cache):
    found = request.getfixturevalue(origin)
    first, again, other = (
        found.batches(
            "train",
            4,
            seed=seed,
            cache=cache,
            augment=Brighter(5),
        )
        for seed in (1, 1, 2)
    )
    epochs = [epoch(first), epoch(first)]
    for before, after in zip(epochs, [epoch(again), epoch(again)], strict=True):
        np.testing.assert_array_equal(before[0], after[0])
        np.testing.assert_array_equal(before[1], after[1])
    assert (epochs[0][1] != epochs[1][1]).any(), "every epoch is shuffled anew"
    assert (epochs[0][1] != epoch(other)[1]).any()


@pytest.mark.parametrize("origin", ["from_folder", "from_tree"])
@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("cache", [False, True])
def test_an_epoch_has_every_image_once(request, monkeypatch, origin, seed, cache):
    found = request.getfixturevalue(origin)
    plain = np.sort(found.arrays("train")[0].reshape(found.counts["train"], -1), axis=0)
    monkeypatch.setattr(images, "SHUFFLE_BUFFER", 7)
    batches = found.batches("train", 5, seed=seed, cache=cache)
    assert batches.cardinality() == -(-found.counts["train"] // 5)
    for _ in range(2):
        pixels, labels = epoch(batches)
        np.testing.assert_array_equal(np.sort(pixels.reshape(len(pixels), -1), axis=0), plain)
        np.testing.assert_array_equal(
            pixels.mean((1, 2)).argmax(1), labels, "images keep their labels"
        )


@pytest.mark.parametrize("origin", ["from_folder", "from_tree", "fashion"])
@pytest.mark.parametrize("cache", [False, True])
def test_the_batches_of_all_shards_make_up_the_whole_one(request, origin, cache):
    """27 images in three batches of 8 and one of 2 or 3; for two readers the odd one goes.

    Behind a cache the shards are shuffled apart, so there the order is compared without.
    """
    if origin == "fashion":
        found = data.fashion(verbose=False)
    else:
        found = request.getfixturevalue(origin)
    options = {"cache": cache, "training": not cache, "seed": 3}
    whole = found.batches("train", 8, **options)
    shards = [found.batches("train", 4, shard=(place, 2), **options) for place in range(2)]
    steps = math.ceil(found.counts["train"] // 2 / 4)
    assert [int(shard.cardinality()) for shard in shards] == [steps, steps]
    # One pass: another one would be shuffled anew.
    parts = [list(shard.take(4)) for shard in shards]
    for step, (pixels, labels) in enumerate(whole.take(4)):
        used = len(labels) // 2 * 2
        for place in range(2):
            np.testing.assert_array_equal(parts[place][step][0], pixels[:used][place::2])
            np.testing.assert_array_equal(parts[place][step][1], labels[:used][place::2])


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0)])
def test_a_shard_is_one_of_some(from_tree, shard):
    with pytest.raises(ValueError, match=r"it takes \(i, n\)"):
        from_tree.batches("train", shard=shard)


def test_validation_comes_in_its_own_order(from_tree, from_folder):
    for found in (from_tree, from_folder):
        np.testing.assert_array_equal(epoch(found.batches("val", 2))[1], found.labels("val"))
        assert next(iter(found.batches("test", 2)))[1].dtype == tf.string
        mixed = [
            epoch(found.batches("train", 4, training=flag))[1].tolist()
            for flag in (False, True)
        ]
        assert mixed[0] == found.labels("train").tolist() != mixed[1]


def test_shapes_types_and_cardinality(from_folder):
    batches = from_folder.batches("train", 8, one_hot=True, drop_remainder=True)
    images, labels = batches.element_spec
    assert images.shape == (8, 32, 32, 3)
    assert images.dtype == tf.uint8
    assert labels.shape == (8, 3)
    np.testing.assert_array_equal(next(iter(batches))[1].numpy().sum(1), 1)
    assert from_folder.batches("train", 8, drop_remainder=True).cardinality() == 3
    assert from_folder.train.cardinality() == 27
    assert from_folder.train.element_spec[1].dtype == tf.int64


def test_steps_follow_the_cache_in_the_order_given(from_folder):
    calls = []

    def darker(images, labels):
        calls.append("darker")
        return images // 2, labels

    def lighter(images, labels):
        calls.append("lighter")
        return images + 100, labels

    plain = from_folder.arrays("val")[0]
    batches = from_folder.batches("val", 6, augment=[darker, lighter], cache=True)
    for _ in range(2):
        np.testing.assert_array_equal(epoch(batches)[0], plain // 2 + 100)
    assert calls[:2] == ["darker", "lighter"]


def test_a_step_that_keeps_a_state_sees_the_batches_in_order(from_folder):
    arrivals, numbers = itertools.count(), itertools.count()

    def number():
        if next(arrivals) == 0:
            time.sleep(0.1)  # a second call at the same time would overtake this one
        return np.int64(next(numbers))

    def step(images, labels):
        return images, tf.numpy_function(number, [], tf.int64)

    found = [int(turn) for _, turn in from_folder.batches("train", 4, augment=step)]
    assert found == list(range(7))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"split": "valid"}, "split is 'valid'; it takes one of train, val, test"),
        ({"batch_size": 0}, "batch_size"),
        ({"split": "test", "one_hot": True}, "one_hot needs labels and 'test' has ids"),
    ],
)
def test_bad_pipeline_arguments_are_refused(from_folder, arguments, error):
    with pytest.raises(ValueError, match=error):
        from_folder.batches(**arguments)


def test_a_step_must_be_a_function(from_folder):
    with pytest.raises(TypeError, match="augment is 'cutmix'"):
        from_folder.batches(augment="cutmix")


# -------------------------------------------------------------------------------------- fashion


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(
        bytes((0, 0, 8, array.ndim))
        + struct.pack(f">{array.ndim}i", *array.shape)
        + array.tobytes()
    )


@pytest.fixture
def fashion_cache(bare) -> Path:
    folder = bare / "keras/datasets/fashion-mnist"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for prefix, count in (("train", 40), ("t10k", 10)):
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(
            idx(draw.integers(0, 256, (count, 28, 28), np.uint8))
        )
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(
            idx(draw.integers(0, 10, count, np.uint8))
        )
    return folder


def test_fashion_from_the_keras_cache(fashion_cache, capsys):
    found = data.fashion()
    assert "Fashion-MNIST (cache" in capsys.readouterr().out
    assert found.counts == {"train": 36, "val": 4, "test": 10}
    images, labels = found.arrays("train")
    assert (images.shape, images.dtype, labels.dtype) == ((36, 28, 28), np.uint8, np.int64)
    both = np.concatenate([images, found.arrays("val")[0]])
    raw = gzip.decompress((fashion_cache / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    original = np.frombuffer(raw, np.uint8).reshape(-1, 28, 28)
    np.testing.assert_array_equal(
        np.sort(both.reshape(40, -1), axis=0), np.sort(original.reshape(40, -1), axis=0)
    )
    np.testing.assert_array_equal(
        found.labels("val"), data.fashion(verbose=False).labels("val")
    )
    batch, targets = next(iter(found.batches("train", 6, one_hot=True)))
    assert (batch.shape, targets.shape) == ((6, 28, 28), (6, 10))
    np.testing.assert_array_equal(epoch(found.batches("test", 3))[1], found.labels("test"))
    assert found.ids("test")[-1] == "9"
    one, two = (epoch(found.batches("train", 5, seed=seed))[1].tolist() for seed in (1, 2))
    assert sorted(one) == sorted(two) == sorted(labels)
    assert one != two


def test_fashion_ladder(bare, monkeypatch):
    assert data.fashion(verbose=False).source == "bundled"
    assert len(data.fashion(verbose=False).class_names) == 10
    with pytest.raises(FileNotFoundError, match="source is 'cache', which is not here"):
        data.fashion(source="cache")
    with pytest.raises(FileNotFoundError, match=r"source is 'web'.* takes one of cache, down"):
        data.fashion(source="web")

    def unreachable():
        raise Exception("URL fetch failure")  # what Keras raises

    monkeypatch.setattr(tf.keras.datasets.fashion_mnist, "load_data", unreachable)
    with pytest.raises(ConnectionError, match=r"URL fetch failure\. Check the network"):
        data.fashion(source="download")


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("train-images-idx3", lambda raw: raw[: len(raw) // 2], "ended before the end"),
        ("train-images-idx3", lambda raw: b"<html>", "Not a gzipped file"),
        (
            "train-images-idx3",
            lambda raw: gzip.compress(gzip.decompress(raw)[:-5]),
            "cannot reshape",
        ),
        ("t10k-images-idx3", lambda raw: gzip.compress(b"hello"), "offset"),
        (
            "t10k-labels-idx1",
            lambda raw: idx(np.zeros(9, np.uint8)),
            "9 labels for 10 images",
        ),
    ],
)
def test_damaged_fashion_files_are_named(fashion_cache, name, change, error):
    path = fashion_cache / f"{name}-ubyte.gz"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=error) as caught:
        data.fashion()
    prefix = name.split("-")[0]
    assert f"{fashion_cache}/{prefix}-*.gz are damaged" in str(caught.value)


# ----------------------------------------------------------------------------- real photographs


def test_real_photographs_pass_the_check(realdata):
    found = flowers(96, source=realdata / "flower_photos", verbose=False)
    assert found.counts == {"train": 1200, "val": 225, "test": 75}
    np.testing.assert_array_equal(np.bincount(found.labels("test")), [15] * 5)


def test_real_fashion_is_complete(realdata, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(realdata / "keras"))
    found = data.fashion(source="cache", verbose=False)
    assert found.counts == {"train": 54000, "val": 6000, "test": 10000}
    np.testing.assert_array_equal(np.bincount(found.labels("test")), [1000] * 10)
