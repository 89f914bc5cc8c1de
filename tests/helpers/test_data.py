"""The ladder of places, the checks for damage, the splits and the pipeline of helpers.data and helpers.tfrecords."""

import gzip
import io
import itertools
import json
import shutil
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers import data, seeding, tfrecords
from helpers.data import SPLITS, flowers, write_tfrecords

CLASSES = ("daisy", "roses", "tulips")
COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
PER_CLASS = 12


def picture(label: int, number: int, height: int = 40, width: int = 52) -> Image.Image:
    """Plain colour of the class, brightness by number, so that a decoded image can be told apart."""
    pixels = np.tile(COLOURS[label % 3] * (0.4 + 0.05 * (number % 12)), (height, width, 1))
    return Image.fromarray(pixels.astype(np.uint8))


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def make_folder(root: Path, per_class: int = PER_CLASS) -> Path:
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            (root / name / f"{name[0]}{number:03d}.jpg").write_bytes(
                jpeg(picture(label, number))
            )
    (root / "LICENSE.txt").write_text("free")
    return root


def example(label: int | None, name: str | None, image: bytes) -> bytes:
    features = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))}
    if label is not None:
        features["class"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    if name is not None:
        features["id"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_shard(
    folder: Path, number: int, size: int, rows: list[bytes], promised: int | None = None
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = (
        folder
        / f"{number:02d}-{size}x{size}-{len(rows) if promised is None else promised}.tfrec"
    )
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            writer.write(row)
    return path


def make_tree(
    root: Path, size: int = 32, labels: tuple[int, ...] = (0, 1, 2), classes: bool = False
) -> Path:
    """Two training shards of six, one of three for validation, one of four for the test."""
    tree = root / f"tfrecords-jpeg-{size}x{size}"
    for split, shards, count in (("train", 2, 6), ("val", 1, 3), ("test", 1, 4)):
        for shard in range(shards):
            rows = []
            for row in range(count):
                label = labels[row % len(labels)]
                image = jpeg(picture(label, row + shard, size, size))
                rows.append(
                    example(None if split == "test" else label, f"{split}{shard}{row}", image)
                )
            write_shard(tree / split, shard, size, rows)
    if classes:
        (root / "classes.json").write_text(json.dumps(CLASSES))
    return root


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


# ---------------------------------------------------------------------------------------------------------- the ladder


def test_the_first_rung_that_exists_is_taken(bare, monkeypatch, folder, capsys):
    monkeypatch.setattr(data, "fetch", refuse)
    assert flowers(32).source == "bundled"
    make_folder(bare / "keras/datasets/flower_photos")
    assert flowers(32).source == "cache"
    monkeypatch.setenv("COURSE_DATA", str(folder))
    found = flowers(32)
    assert (found.source, found.name, found.location) == ("folder", "my_flowers", folder)
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
    """What happens to lie in the Keras cache must not change a quick run; what was asked for by name does."""
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


def test_another_split_of_a_folder_is_one_variable_away(folder, monkeypatch):
    def ids(**given):
        return flowers(32, source=folder, verbose=False, **given).ids("val")

    monkeypatch.delenv("COURSE_SPLIT", raising=False)
    first = ids()
    assert first == ids(seed=0)
    monkeypatch.setenv("COURSE_SPLIT", "3")
    assert ids() == ids(seed=3) != first
    assert ids(seed=0) == first, "what the code says wins"
    for wrong in ("three", "-1"):
        monkeypatch.setenv("COURSE_SPLIT", wrong)
        with pytest.raises(
            ValueError, match=f"COURSE_SPLIT is '{wrong}'; it takes a whole number"
        ):
            ids()


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


@pytest.mark.parametrize("consent", ["argument", "source", "environment", "colab"])
def test_the_download_needs_consent(bare, monkeypatch, consent):
    monkeypatch.setattr(data, "fetch", refuse)
    assert flowers(32, verbose=False).source == "bundled"
    calls = []

    def fetch(archive, into):
        calls.append((archive, into))
        return make_folder(into / "flower_photos")

    monkeypatch.setattr(data, "fetch", fetch)
    if consent == "environment":
        monkeypatch.setenv("COURSE_DOWNLOAD", "1")
    if consent == "colab":
        monkeypatch.setattr(data.runtime, "on_colab", lambda: True)
        assert flowers(32, download=False, verbose=False).source == "bundled"
    arguments = {"argument": {"download": True}, "source": {"source": "download"}}.get(
        consent, {}
    )
    found = flowers(32, verbose=False, **arguments)
    assert found.source == "download"
    assert calls == [(data.FLOWER_PHOTOS, bare / "keras/datasets")]


def test_the_bundled_set_is_complete(bare):
    found = flowers(96, source="bundled", verbose=False)
    assert found.class_names == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert min(found.counts.values()) > 0
    assert set(found.labels("train")) == set(found.labels("val")) == set(range(5))
    images, labels = next(iter(found.batches("val", 8)))
    assert images.shape == (8, 96, 96, 3)
    np.testing.assert_array_equal(labels, found.labels("val")[:8])
    assert len(set(found.ids("test"))) == found.counts["test"]
    with pytest.raises(
        ValueError, match=r"'test' split .* has no labels\. Labelled splits: train, val"
    ):
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
    with pytest.raises(ValueError, match=r"source is .*nowhere.* not a folder"):
        flowers(32, source=bare / "nowhere")


@pytest.mark.parametrize(("asked", "taken"), [(16, 24), (24, 24), (25, 32), (33, 48), (64, 48)])
def test_the_nearest_size_that_is_not_smaller_is_read(tmp_path, asked, taken):
    for size in (24, 32, 48):
        make_tree(tmp_path, size)
    found = flowers(asked, source=tmp_path, verbose=False)
    assert found._splits["train"].stored == taken
    assert next(iter(found.train))[0].shape == (asked, asked, 3)


def test_a_single_size_can_be_named_itself(tmp_path):
    make_tree(tmp_path, 24, classes=True)
    shutil.move(tmp_path / "tfrecords-jpeg-24x24", tmp_path / "other_name")
    found = flowers(24, source=tmp_path / "other_name", verbose=False)
    assert found.class_names == CLASSES
    assert found.counts["train"] == 12


@pytest.mark.parametrize(
    "argument",
    [{"image_size": 7}, {"image_size": 5000}, {"on_error": "ignore"}, {"shares": (1, 1, 1)}],
)
def test_bad_arguments_are_refused(folder, argument):
    with pytest.raises(ValueError, match=next(iter(argument))):
        flowers(**{"source": folder, **argument})


# ------------------------------------------------------------------------------------------------- names and splits


def test_the_competition_has_104_names(tmp_path):
    assert len(set(data.COMPETITION_CLASSES)) == 104
    assert data.COMPETITION_CLASSES[0] == "pink primrose"
    assert data.COMPETITION_CLASSES[103] == "wild rose"
    found = flowers(32, source=make_tree(tmp_path, labels=(0, 53, 103)), verbose=False)
    assert found.class_names == data.COMPETITION_CLASSES
    assert set(found.labels("train")) == {0, 53, 103}


def test_names_without_a_list_follow_from_dense_labels(from_tree, tmp_path):
    assert from_tree.class_names == ("class 0", "class 1", "class 2")
    make_tree(tmp_path, classes=True)
    assert flowers(32, source=tmp_path, verbose=False).class_names == CLASSES


@pytest.mark.parametrize("text", ["{", '{"a": 1}', '["a", "a"]', "[]"])
def test_a_bad_list_of_names_is_named(tmp_path, text):
    make_tree(tmp_path)
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(ValueError, match=r"classes\.json"):
        flowers(32, source=tmp_path)


def test_a_folder_is_split_by_class_in_exact_shares(from_folder):
    assert from_folder.class_names == CLASSES
    assert from_folder.counts == {"train": 27, "val": 6, "test": 3}
    for split, each in (("train", 9), ("val", 2), ("test", 1)):
        np.testing.assert_array_equal(np.bincount(from_folder.labels(split)), [each] * 3)
    ids = [name for split in SPLITS for name in from_folder.ids(split)]
    assert len(set(ids)) == 36


def test_labels_ids_and_images_are_in_one_order(from_folder):
    for split in ("train", "val"):
        labels, ids = from_folder.labels(split), from_folder.ids(split)
        assert [CLASSES[label][0] for label in labels] == [name[0] for name in ids]
        images, targets = from_folder.arrays(split)
        np.testing.assert_array_equal(targets, labels)
        np.testing.assert_array_equal(images.mean((1, 2)).argmax(1), labels)
    assert [name.numpy().decode() for _, name in from_folder.test] == from_folder.ids("test")
    assert len(set(from_folder.labels("train")[:6])) > 1, "classes are mixed without shuffling"


def test_a_new_file_leaves_the_others_where_they_were(tmp_path):
    make_folder(tmp_path / "a", per_class=20)
    before = tfrecords.open_folder(
        tmp_path / "a", check=False, shares=data.SHARES, seed=0
    ).splits
    (tmp_path / "a/daisy/new.jpg").write_bytes(b"")
    after = tfrecords.open_folder(
        tmp_path / "a", check=False, shares=data.SHARES, seed=0
    ).splits
    moved = set(before["train"].names) - set(after["train"].names)
    assert len(moved) <= 1
    assert set(after["test"].names) - {"new"} <= set(before["test"].names)


@settings(max_examples=15, deadline=None)
@given(counts=st.lists(st.integers(1, 30), min_size=2, max_size=4), seed=st.integers(0, 99))
def test_every_image_is_in_exactly_one_split(tmp_path_factory, counts, seed):
    root = tmp_path_factory.mktemp("sizes")
    for label, count in enumerate(counts):
        (root / str(label)).mkdir()
        for number in range(count):
            (root / str(label) / f"{number}.jpg").touch()
    opened = tfrecords.open_folder(root, check=False, shares=data.SHARES, seed=seed)
    paths = [path for split in SPLITS for path in opened.splits[split].paths]
    assert sorted(paths) == sorted(map(str, root.glob("*/*.jpg")))
    for label, count in enumerate(counts):
        each = [int((opened.splits[split].classes == label).sum()) for split in SPLITS]
        assert sum(each) == count
        assert abs(each[1] - 0.15 * count) <= 1
        assert abs(each[2] - 0.05 * count) <= 1
        assert min(each) > 0 or count < 3
    assert len({name for split in SPLITS for name in opened.splits[split].names}) == sum(
        counts
    ), "ids are unique"
    again = tfrecords.open_folder(root, check=False, shares=data.SHARES, seed=seed)
    assert all(again.splits[split].paths == opened.splits[split].paths for split in SPLITS)


# ------------------------------------------------------------------------------------------------------------ damage


def damage_folder(root: Path) -> dict[str, str]:
    make_folder(root)
    whole = (root / "daisy/d000.jpg").read_bytes()
    (root / "daisy/d000.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "daisy/d001.jpg").write_bytes(b"")
    (root / "roses/r000.jpg").write_bytes(b"<html>not found</html>")
    (root / "roses/notes.txt").write_text("remember the milk")
    (root / "roses/.DS_Store").write_bytes(b"hidden, nobody's business")
    (root / "tulips/more").mkdir()
    (root / "weeds").mkdir()
    return {
        "daisy/d000.jpg": "cannot be decoded",
        "daisy/d001.jpg": "cannot be decoded",
        "roses/r000.jpg": "cannot be decoded",
        "roses/notes.txt": "not an image",
        "tulips/more": "not an image",
        "weeds/": "without images",
    }


def test_damage_in_a_folder_is_named_or_skipped_and_counted(tmp_path):
    expected = damage_folder(tmp_path)
    with pytest.raises(ValueError, match="6 things cannot be used") as error:
        flowers(32, source=tmp_path)
    found = flowers(32, source=tmp_path, on_error="skip", verbose=False)
    assert set(found.skipped) == set(expected)
    for name, reason in expected.items():
        assert reason in found.skipped[name]
        assert f"{name} " in str(error.value)
    assert found.class_names == CLASSES
    assert sum(found.counts.values()) == 36 - 3
    assert sum(1 for split in SPLITS for _ in getattr(found, split)) == 33
    assert "6 left out" in str(found)


def test_a_long_list_of_damage_is_cut_short(tmp_path):
    make_folder(tmp_path)
    for number in range(12):
        (tmp_path / f"roses/{number}.txt").touch()
    with pytest.raises(ValueError, match=r"(?s)12 things.*and 2 more") as error:
        flowers(32, source=tmp_path)
    assert len(str(error.value).splitlines()) == 13


def all_bad_rows(root: Path, size: int = 32) -> dict[str, str]:
    """A tree with every kind of damage; returns what must be said about it."""
    make_tree(root, size, classes=True)
    tree = root / f"tfrecords-jpeg-{size}x{size}"
    good = jpeg(picture(1, 1, size, size))
    write_shard(
        tree / "train",
        2,
        size,
        [
            example(0, "fine", good),
            example(0, "torn", good[: len(good) // 2]),
            example(None, "nameless", good),
            example(7, "seven", good),
            example(1, "narrow", jpeg(picture(1, 1, size, size - 8))),
            b"no example at all",
        ],
    )
    write_shard(
        tree / "train",
        3,
        size,
        [example(2, f"extra{row}", good) for row in range(3)],
        promised=5,
    )
    cut = write_shard(
        tree / "val", 1, size, [example(2, f"cut{row}", good) for row in range(4)]
    )
    cut.write_bytes(cut.read_bytes()[:-40])
    flipped = write_shard(
        tree / "val", 2, size, [example(2, f"flip{row}", good) for row in range(4)]
    )
    content = bytearray(flipped.read_bytes())
    content[-30] ^= 255
    flipped.write_bytes(bytes(content))
    write_shard(tree / "test", 1, size, [example(None, None, good)])
    return {
        f"train/02-{size}x{size}-6.tfrec, record 1 (id torn)": "no JPEG that can be decoded",
        f"train/02-{size}x{size}-6.tfrec, record 2 (id nameless)": "no label, which train needs",
        f"train/02-{size}x{size}-6.tfrec, record 3 (id seven)": "label 7; there are 3 classes",
        f"train/02-{size}x{size}-6.tfrec, record 4 (id narrow)": f"is {size}x{size - 8}",
        f"train/02-{size}x{size}-6.tfrec, record 5 (id missing)": "no JPEG",
        f"train/03-{size}x{size}-5.tfrec": "holds 3 records; its name says 5",
        f"val/01-{size}x{size}-4.tfrec": "holds 3 records, then the file is cut off or damaged; its name says 4",
        f"val/02-{size}x{size}-4.tfrec": "holds 3 records, then the file is cut off or damaged; its name says 4",
        f"test/01-{size}x{size}-1.tfrec, record 0 (id missing)": "no id, which test needs",
    }


def test_damage_in_records_is_named_or_skipped_and_counted(tmp_path):
    expected = all_bad_rows(tmp_path)
    with pytest.raises(ValueError, match="9 things cannot be used") as error:
        flowers(32, source=tmp_path)
    found = flowers(32, source=tmp_path, on_error="skip", verbose=False)
    assert set(found.skipped) == set(expected)
    for name, reason in expected.items():
        assert reason in found.skipped[name], name
        assert name in str(error.value)
    assert found.counts == {"train": 12 + 1 + 3, "val": 3 + 3 + 3, "test": 4}
    for split in SPLITS:
        targets = [target.numpy() for _, target in getattr(found, split)]
        assert len(targets) == found.counts[split] == len(found.ids(split))
        if split != "test":
            np.testing.assert_array_equal(targets, found.labels(split))
    assert "torn" not in found.ids("train")
    shuffled = [label for _, labels in found.batches("train", 4) for label in labels.numpy()]
    assert sorted(shuffled) == sorted(found.labels("train"))


def test_damage_that_hides_behind_the_right_count_is_found(tmp_path):
    make_tree(tmp_path, classes=True)
    good = jpeg(picture(1, 1, 32, 32))
    rows = [example(1, "a", good), example(1, "b", good[:200]), example(1, "c", good)]
    write_shard(tmp_path / "tfrecords-jpeg-32x32/train", 5, 32, rows, promised=2)
    found = flowers(32, source=tmp_path, on_error="skip", verbose=False)
    assert list(found.skipped.values()) == [
        "holds 3 records; its name says 2",
        "holds no JPEG that can be decoded",
    ]
    assert found.counts["train"] == 14 == len(list(found.train))


def test_a_tree_may_lack_a_test_or_know_its_labels(tmp_path):
    make_tree(tmp_path, classes=True)
    tree = tmp_path / "tfrecords-jpeg-32x32"
    shutil.rmtree(tree / "test")
    found = flowers(32, source=tmp_path, verbose=False)
    assert (
        found.counts["test"] == 0 == len(list(found.test)) == len(list(found.batches("test")))
    )
    assert found.arrays("test")[0].shape == (0, 32, 32, 3)
    write_shard(tree / "test", 0, 32, [example(2, "t0", jpeg(picture(2, 0, 32, 32)))])
    for check in (True, False):
        found = flowers(32, source=tmp_path, check=check, verbose=False)
        assert found.labels("test").tolist() == [2]
        assert found.ids("test") == ["t0"]
        assert next(iter(found.test))[1] == b"t0"


@pytest.mark.parametrize("promised", [5, 7])
def test_unchecked_counts_that_disagree_stop_the_run(tmp_path, promised):
    make_tree(tmp_path, classes=True)
    shard = tmp_path / "tfrecords-jpeg-32x32/train/00-32x32-6.tfrec"
    shard.rename(shard.with_name(f"00-32x32-{promised}.tfrec"))
    with pytest.raises(ValueError, match=f"holds 6 records; its name says {promised}"):
        flowers(32, source=tmp_path)
    found = flowers(32, source=tmp_path, check=False, verbose=False)
    assert found.counts["train"] == 6 + promised
    if promised > 6:
        with pytest.raises(
            tf.errors.FailedPreconditionError, match="expected to contain 13 elements"
        ):
            list(found.train)
    else:
        assert len(list(found.train)) == found.counts["train"], (
            "the count handed out is the count read"
        )


def test_records_without_names_or_files_are_refused(tmp_path):
    make_tree(tmp_path)
    tree = tmp_path / "tfrecords-jpeg-32x32"
    (tree / "val/00-32x32-3.tfrec").rename(tree / "val/images.tfrec")
    with pytest.raises(
        ValueError, match=r"images\.tfrec: the name does not say size and count"
    ):
        flowers(32, source=tmp_path)
    (tree / "val/images.tfrec").unlink()
    with pytest.raises(ValueError, match=r"val has no \.tfrec file"):
        flowers(32, source=tmp_path)


def test_nothing_usable_is_an_error_even_when_skipping(tmp_path):
    for name in CLASSES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no training image that can be used"):
        flowers(32, source=tmp_path, on_error="skip")


# ---------------------------------------------------------------------------------------------------------- decoding


def squared(path: Path, size: int) -> np.ndarray:
    """Centre square and bilinear resize, by TensorFlow's plain ops."""
    image = tf.io.decode_image(path.read_bytes(), channels=3, expand_animations=False).numpy()
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    resized = tf.image.resize(image[top : top + side, left : left + side], (size, size))
    return np.floor(resized.numpy() + 0.5).astype(np.uint8)


def gradient(height: int, width: int) -> Image.Image:
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return Image.fromarray((255 * np.stack([rows, columns, 0 * rows], -1)).astype(np.uint8))


def only(folder: Path, size: int, **arguments) -> np.ndarray:
    opened = tfrecords.open_folder(folder, check=True, shares=(1, 0, 0), seed=0)
    return next(iter(opened.splits["train"].images(size, **arguments)))[0].numpy()


@pytest.mark.parametrize("shape", [(60, 40), (40, 61), (47, 47), (100, 48)])
@pytest.mark.parametrize("kind", ["jpg", "png", "png called jpg", "grey jpg"])
def test_an_image_becomes_its_centre_square(tmp_path, shape, kind):
    image = gradient(*shape)
    path = tmp_path / "a" / ("x.png" if kind == "png" else "x.jpg")
    path.parent.mkdir()
    (tmp_path / "b").mkdir()
    image = image.convert("L") if kind == "grey jpg" else image
    image.save(path, "PNG" if "png" in kind else "JPEG")
    # Next to the edge of a window the decoder smooths colours over fewer pixels than in the
    # whole picture.
    np.testing.assert_allclose(
        only(tmp_path, 32).astype(int), squared(path, 32), atol=0 if "png" in kind else 2
    )


@pytest.mark.parametrize("factor", [2, 3, 4, 8, 9])
def test_a_large_jpeg_is_scaled_while_decoding(tmp_path, factor):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    path = tmp_path / "a/x.jpg"
    path.write_bytes(jpeg(gradient(24 * factor, 30 * factor)))
    image = only(tmp_path, 24)
    assert image.shape == (24, 24, 3)
    assert np.abs(image.astype(int) - squared(path, 24)).max() <= 8


@pytest.mark.parametrize("cache", [False, True])
def test_a_random_crop_is_a_window_of_the_square(tmp_path, cache):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a/x.jpg").write_bytes(jpeg(gradient(64, 96)))
    whole = only(tmp_path, 64).astype(float)
    opened = tfrecords.open_folder(tmp_path, check=False, shares=(1, 0, 0), seed=0)
    images = opened.splits["train"].images(48, crop=0.75, cache=cache, seed=3).repeat(40)
    corners = set()
    for image, _ in images:
        image = image.numpy().astype(float)
        top = (
            np.abs(whole[:48, 0, 0][None] * 0 + whole[:17, 0, 0][:, None] - image[0, 0, 0])
            .mean(1)
            .argmin()
        )
        left = np.abs(whole[0, :17, 1] - image[0, 0, 1]).argmin()
        assert np.abs(whole[top : top + 48, left : left + 48] - image).max() <= 12
        corners.add((top, left))
    assert len(corners) > 20
    assert max(top for top, _ in corners) > 12
    assert min(top for top, _ in corners) < 4
    assert len({top - left for top, left in corners}) > 10, "rows and columns are drawn apart"


@pytest.mark.parametrize(("size", "cut"), [(48, True), (40, False), (56, False)])
def test_a_window_of_about_the_right_size_is_not_resized(tmp_path, size, cut):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (53, 53, 3), np.uint8)
    (tmp_path / "a/x.jpg").write_bytes(
        jpeg(Image.fromarray(noise).resize((53, 53), Image.Resampling.BOX))
    )
    whole = only(tmp_path, 53).astype(int)
    image = only(tmp_path, size, crop=0.875, seed=0).astype(int)
    inner = image[8:-8, 8:-8]  # colours differ next to the edge of a window
    height = len(inner)
    places = [(row, column) for row in range(54 - height) for column in range(54 - height)]
    misses = [
        np.abs(whole[row : row + height, column : column + height] - inner).mean()
        for row, column in places
    ]
    assert (min(misses) < 1) == cut


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("crop", [None, 0.75])
def test_a_random_flip_mirrors_half_of_the_images(cache, crop, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a/x.jpg").write_bytes(jpeg(gradient(64, 64)))
    opened = tfrecords.open_folder(tmp_path, check=False, shares=(1, 0, 0), seed=0)
    images = (
        opened.splits["train"].images(48, flip=True, crop=crop, cache=cache, seed=3).repeat(60)
    )
    rising = [bool(image[0, -1, 1] > image[0, 0, 1]) for image, _ in images]
    assert 18 <= sum(rising) <= 42
    assert all(image[-1, 0, 0] > image[0, 0, 0] for image, _ in images), "never upside down"


def test_a_crop_of_the_whole_changes_nothing(from_folder, from_tree):
    for found in (from_folder, from_tree):
        plain = next(iter(found.batches("val", 3)))[0]
        cropped = next(iter(found.batches("val", 3, random_crop=1.0)))[0]
        assert np.abs(plain.numpy().astype(int) - cropped.numpy()).max() <= 3


# ----------------------------------------------------------------------------------------------------- the pipeline


class Brighter(seeding.SeededMap):
    """A random step as cheap as can be."""

    def transform(self, seed, images, labels):
        return images + tf.cast(tf.abs(seed[0]) % 50, tf.uint8), labels


def epoch(batches) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


@pytest.mark.parametrize("origin", ["from_folder", "from_tree"])
@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("crop", [None, 0.75])
def test_one_seed_one_sequence(request, origin, cache, crop):
    found = request.getfixturevalue(origin)
    first, again, other = (
        found.batches(
            "train",
            4,
            seed=seed,
            cache=cache,
            random_crop=crop,
            random_flip=crop is not None,
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
def test_an_epoch_has_every_image_once(request, origin, seed, cache):
    found = request.getfixturevalue(origin)
    plain = np.sort(found.arrays("train")[0].reshape(found.counts["train"], -1), axis=0)
    batches = found.batches("train", 5, seed=seed, cache=cache, shuffle_buffer=7)
    assert batches.cardinality() == -(-found.counts["train"] // 5)
    for _ in range(2):
        images, labels = epoch(batches)
        np.testing.assert_array_equal(np.sort(images.reshape(len(images), -1), axis=0), plain)
        np.testing.assert_array_equal(
            images.mean((1, 2)).argmax(1), labels, "images keep their labels"
        )


@pytest.mark.parametrize("origin", ["from_folder", "from_tree", "fashion"])
@pytest.mark.parametrize("crop", [None, 0.75])
def test_the_batches_of_all_shards_make_up_the_whole_one(request, origin, crop):
    """27 images in three batches of 8 and one of 2, for one reader or two; with two the odd one out is left out."""
    if origin == "fashion":
        found, vary = data.fashion(verbose=False), {}
    else:
        found, vary = (
            request.getfixturevalue(origin),
            {"random_crop": crop, "random_flip": True},
        )
    whole = found.batches("train", 8, seed=3, **vary)
    shards = [found.batches("train", 4, seed=3, shard=(place, 2), **vary) for place in range(2)]
    steps = -(-(found.counts["train"] // 2) // 4)
    assert [int(shard.cardinality()) for shard in shards] == [steps, steps]
    # One pass: another one would be shuffled anew.
    parts = [list(shard.take(4)) for shard in shards]
    for step, (images, labels) in enumerate(whole.take(4)):
        used = (
            8 if (step + 1) * 8 <= found.counts["train"] else found.counts["train"] % 8 // 2 * 2
        )
        for place in range(2):
            np.testing.assert_array_equal(parts[place][step][0], images[:used][place::2])
            np.testing.assert_array_equal(parts[place][step][1], labels[:used][place::2])


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0), (0,)])
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
    batches = from_folder.batches("train", 8, one_hot=True, drop_remainder=True, repeat=True)
    images, labels = batches.element_spec
    assert images.shape == (8, 32, 32, 3)
    assert images.dtype == tf.uint8
    assert labels.shape == (8, 3)
    assert batches.cardinality() == tf.data.INFINITE_CARDINALITY
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
        ({"random_crop": 0.0}, "random_crop is 0.0"),
        ({"random_crop": 1.5}, "random_crop is 1.5"),
        ({"shuffle_buffer": 0}, "shuffle_buffer"),
        ({"split": "test", "one_hot": True}, "one_hot needs labels and 'test' has ids"),
    ],
)
def test_bad_pipeline_arguments_are_refused(from_folder, arguments, error):
    with pytest.raises(ValueError, match=error):
        from_folder.batches(**arguments)


def test_a_step_must_be_a_function(from_folder):
    with pytest.raises(TypeError, match="augment is 'cutmix'"):
        from_folder.batches(augment="cutmix")


# ------------------------------------------------------------------------------------------------------- converting


def test_converted_records_are_the_folder_again(folder, from_folder, tmp_path, capsys):
    data.main(
        [
            "convert",
            str(folder),
            str(tmp_path / "out"),
            "--image-size",
            "32",
            "--shard-size",
            "10",
        ]
    )
    out = tmp_path / "out"
    assert f"Written to {out}" in capsys.readouterr().out
    names = sorted(str(path.relative_to(out)) for path in out.glob("*/train/*"))
    assert names == [
        f"tfrecords-jpeg-32x32/train/{n:02d}-32x32-{c}.tfrec" for n, c in enumerate((10, 10, 7))
    ]
    assert sorted(path.name for path in out.iterdir()) == [
        "classes.json",
        "tfrecords-jpeg-32x32",
    ]
    found = flowers(32, source=out, verbose=False)
    assert found.class_names == CLASSES
    assert found.counts == from_folder.counts
    for split in SPLITS:
        assert found.ids(split) == from_folder.ids(split)
        (images, targets), (expected, labels) = found.arrays(split), from_folder.arrays(split)
        np.testing.assert_array_equal(targets, labels)
        assert np.abs(images.astype(int) - expected).max() <= 4
    with pytest.raises(ValueError, match="no labels"):
        found.labels("test")
    write_tfrecords(folder, tmp_path / "again", image_size=32, shard_size=10)
    for path in out.rglob("*.tfrec"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(out)).read_bytes()


def test_conversion_adds_sizes_but_never_mixes_sets(from_folder, folder, from_tree, tmp_path):
    write_tfrecords(from_folder, tmp_path)
    write_tfrecords(folder, tmp_path, image_size=16)
    assert set(tfrecords.trees(tmp_path)) == {16, 32}
    with pytest.raises(ValueError, match="is there already"):
        write_tfrecords(from_folder, tmp_path)
    with pytest.raises(ValueError, match="lists other classes"):
        write_tfrecords(flowers(24, source=from_tree.location, verbose=False), tmp_path)


def test_a_failed_conversion_leaves_nothing(from_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_example", refuse)
    with pytest.raises(AssertionError):
        write_tfrecords(from_folder, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


# ----------------------------------------------------------------------------------------------------------- fashion


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
    with pytest.raises(FileNotFoundError, match="No Fashion-MNIST"):
        data.fashion(source="cache")
    with pytest.raises(ValueError, match="source is 'web'"):
        data.fashion(source="web")

    def unreachable():
        raise Exception("URL fetch failure")  # what Keras raises

    monkeypatch.setattr(tf.keras.datasets.fashion_mnist, "load_data", unreachable)
    with pytest.raises(ConnectionError, match="could not download Fashion-MNIST"):
        data.fashion(download=True)


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        (
            "train-images-idx3-ubyte.gz",
            lambda raw: raw[: len(raw) // 2],
            "truncated or no gzip",
        ),
        ("train-images-idx3-ubyte.gz", lambda raw: b"<html>", "truncated or no gzip"),
        (
            "train-images-idx3-ubyte.gz",
            lambda raw: gzip.compress(gzip.decompress(raw)[:-5]),
            "is truncated",
        ),
        ("t10k-images-idx3-ubyte.gz", lambda raw: gzip.compress(b"hello"), "not an IDX file"),
        (
            "t10k-labels-idx1-ubyte.gz",
            lambda raw: idx(np.zeros(9, np.uint8)),
            "10 images, .* 9 labels",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            lambda raw: idx(np.full(10, 10, np.uint8)),
            "label 10; accepted are 0 to 9",
        ),
    ],
)
def test_damaged_fashion_files_are_named(fashion_cache, name, change, error):
    path = fashion_cache / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=error) as caught:
        data.fashion()
    assert str(fashion_cache) in str(caught.value)


# ---------------------------------------------------------------------------------------------------- real photographs


def test_real_photographs_pass_the_check(realdata):
    found = flowers(96, source=realdata / "flower_photos", verbose=False)
    assert found.counts == {"train": 1200, "val": 225, "test": 75}
    np.testing.assert_array_equal(np.bincount(found.labels("test")), [15] * 5)


def test_real_fashion_is_complete(realdata, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(realdata / "keras"))
    found = data.fashion(source="cache", verbose=False)
    assert found.counts == {"train": 54000, "val": 6000, "test": 10000}
    np.testing.assert_array_equal(np.bincount(found.labels("test")), [1000] * 10)
