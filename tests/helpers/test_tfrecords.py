"""TFRecords in helpers.tfrecords: sizes, names, damage, and writing them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from image_sets import CLASSES, example, jpeg, make_folder, make_tree, picture, write_shard

from helpers import tfrecords
from helpers.data import SPLITS, flowers
from tools import convert

COMPETITION = json.loads(tfrecords.COMPETITION.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("asked", "taken"), [(16, 24), (24, 24), (25, 32), (33, 48), (64, 48)])
def test_the_nearest_size_that_is_not_smaller_is_read(tmp_path, asked, taken):
    for size in (24, 32, 48):
        make_tree(tmp_path, size)
    assert tfrecords.find_tree(tmp_path, asked).name == f"tfrecords-jpeg-{taken}x{taken}"
    found = flowers(asked, source=tmp_path, verbose=False)
    assert next(iter(found.train))[0].shape == (asked, asked, 3)


def test_a_single_size_can_be_named_itself(tmp_path):
    make_tree(tmp_path, 24, classes=True)
    shutil.move(tmp_path / "tfrecords-jpeg-24x24", tmp_path / "other_name")
    found = flowers(24, source=tmp_path / "other_name", verbose=False)
    assert found.class_names == CLASSES
    assert found.counts["train"] == 12


def test_the_competition_has_104_names(tmp_path):
    assert len(set(COMPETITION)) == 104
    assert COMPETITION[0] == "pink primrose"
    assert COMPETITION[103] == "wild rose"
    found = flowers(32, source=make_tree(tmp_path, labels=(0, 53, 103)), verbose=False)
    assert found.class_names == tuple(COMPETITION)
    assert set(found.labels("train")) == {0, 53, 103}


def test_names_without_a_list_follow_from_the_highest_label(tmp_path):
    make_tree(tmp_path)
    found = flowers(32, source=tmp_path, verbose=False)
    assert found.class_names == ("class 0", "class 1", "class 2")
    make_tree(tmp_path, 24, classes=True)
    assert flowers(32, source=tmp_path, verbose=False).class_names == CLASSES


@pytest.mark.parametrize("text", ["{", '{"a": 1}', '["a", "a"]', "[]"])
def test_a_bad_list_of_names_is_named(tmp_path, text):
    make_tree(tmp_path)
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(ValueError, match=r"classes\.json"):
        flowers(32, source=tmp_path)


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
    damaged = f"train/02-{size}x{size}-5.tfrec, record"
    torn = "holds 3 whole records; its name says 4"
    return {
        f"{damaged} 1 (id 'torn')": "no JPEG that can be decoded",
        f"{damaged} 2 (id 'nameless')": "has no label",
        f"{damaged} 3 (id 'seven')": "label 7; there are 3 classes",
        f"{damaged} 4 (id '')": "is no tf.train.Example",
        f"train/03-{size}x{size}-5.tfrec": "holds 3 whole records; its name says 5",
        f"val/01-{size}x{size}-4.tfrec": torn,
        f"val/02-{size}x{size}-4.tfrec": torn,
        f"test/01-{size}x{size}-1.tfrec, record 0 (id '')": "no id, which test needs",
    }


def test_damage_in_records_is_named_or_skipped_and_counted(tmp_path):
    expected = all_bad_rows(tmp_path)
    with pytest.raises(ValueError, match="8 things cannot be used") as error:
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
        "holds 3 whole records; its name says 2",
        "holds no JPEG that can be decoded",
    ]
    assert found.counts["train"] == 14 == len(list(found.train))


def test_a_tree_may_lack_a_test_or_know_its_labels(tmp_path):
    make_tree(tmp_path, classes=True)
    tree = tmp_path / "tfrecords-jpeg-32x32"
    shutil.rmtree(tree / "test")
    found = flowers(32, source=tmp_path, verbose=False)
    assert found.counts["test"] == 0
    assert list(found.test) == list(found.batches("test")) == []
    write_shard(tree / "test", 0, 32, [example(2, "t0", jpeg(picture(2, 0, 32, 32)))])
    found = flowers(32, source=tmp_path, verbose=False)
    assert found.labels("test").tolist() == [2]
    assert found.ids("test") == ["t0"]
    assert next(iter(found.test))[1] == b"t0"


@pytest.mark.parametrize("promised", [5, 7])
def test_a_count_that_disagrees_is_named(tmp_path, promised):
    make_tree(tmp_path, classes=True)
    shard = tmp_path / "tfrecords-jpeg-32x32/train/00-32x32-6.tfrec"
    shard.rename(shard.with_name(f"00-32x32-{promised}.tfrec"))
    with pytest.raises(ValueError, match=f"holds 6 whole records; its name says {promised}"):
        flowers(32, source=tmp_path)


def test_a_shard_that_shrinks_after_the_check_stops_the_run(tmp_path):
    make_tree(tmp_path, classes=True)
    found = flowers(32, source=tmp_path, verbose=False)
    shard = tmp_path / "tfrecords-jpeg-32x32/train/00-32x32-6.tfrec"
    with tf.io.TFRecordWriter(str(shard)) as writer:
        writer.write(example(0, "only", jpeg(picture(0, 0, 32, 32))))
    with pytest.raises(tf.errors.FailedPreconditionError, match="expected to contain 12"):
        list(found.train)


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


# ------------------------------------------------------------------------------------ writing


@pytest.mark.slow
def test_converted_records_are_the_folder_again(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tfrecords, "RECORDS_PER_SHARD", 10)
    folder = make_folder(tmp_path / "my_flowers")
    original = flowers(32, source=folder, verbose=False)
    out = tmp_path / "new" / "out"
    convert.main([str(folder), str(out), "--image-size", "32"])
    assert f"Written to {out}" in capsys.readouterr().out
    names = sorted(str(path.relative_to(out)) for path in out.glob("*/train/*"))
    assert names == [
        f"tfrecords-jpeg-32x32/train/{number:02d}-32x32-{count}.tfrec"
        for number, count in enumerate((10, 10, 7))
    ]
    assert sorted(path.name for path in out.iterdir()) == [
        "classes.json",
        "tfrecords-jpeg-32x32",
    ]
    found = flowers(32, source=out, verbose=False)
    assert found.class_names == CLASSES
    assert found.counts == original.counts
    for split in SPLITS:
        assert found.ids(split) == original.ids(split)
        images, targets = found.arrays(split)
        expected, labels = original.arrays(split)
        np.testing.assert_array_equal(targets, labels)
        assert np.abs(images.astype(int) - expected).max() <= 4
    with pytest.raises(ValueError, match="no labels"):
        found.labels("test")
    convert.main([str(folder), str(tmp_path / "again"), "--image-size", "32"])
    for path in out.rglob("*.tfrec"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(out)).read_bytes()


def records(count: int) -> list:
    return [(str(row), (np.full((8, 8, 3), row, np.uint8), 0)) for row in range(count)]


def test_nothing_is_written_over(tmp_path):
    tfrecords.write_tree(tmp_path / "out", 8, CLASSES, {"train": records(2)})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="is there already"):
        tfrecords.write_tree(tmp_path / "out", 16, CLASSES, {"train": records(2)})
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failed_conversion_leaves_nothing(tmp_path):
    def broken():
        yield from records(3)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        tfrecords.write_tree(tmp_path / "out", 8, CLASSES, {"train": broken()})
    assert list(tmp_path.iterdir()) == []


def test_what_is_visible_while_writing_is_whole_or_not_there(tmp_path):
    """So that a process that is killed leaves no tree without its names or its last shards."""
    out = tmp_path / "out"

    def watched(split):
        assert not out.exists(), split
        yield from records(3)

    tfrecords.write_tree(out, 8, CLASSES, {split: watched(split) for split in SPLITS})
    assert json.loads((out / "classes.json").read_text()) == list(CLASSES)
    class_names, splits, problems = tfrecords.read_tree(out / "tfrecords-jpeg-8x8")
    assert (class_names, problems) == (list(CLASSES), {})
    assert [len(splits[split].ids) for split in SPLITS] == [3, 3, 3]
