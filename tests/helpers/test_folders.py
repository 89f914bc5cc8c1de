"""Folders of classes in helpers.folders: splits, and damage."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_sets import CLASSES, jpeg, make_folder, picture

from helpers import data, folders
from helpers.data import SPLITS, flowers


@pytest.fixture(scope="module")
def from_folder(tmp_path_factory) -> data.ImageData:
    root = make_folder(tmp_path_factory.mktemp("folder") / "my_flowers")
    return flowers(32, source=root, verbose=False)


def test_another_split_of_a_folder_is_one_variable_away(from_folder, monkeypatch):
    def ids():
        return flowers(32, source=from_folder.location, verbose=False).ids("val")

    monkeypatch.delenv("COURSE_SPLIT", raising=False)
    first = ids()
    monkeypatch.setenv("COURSE_SPLIT", "0")
    assert ids() == first
    monkeypatch.setenv("COURSE_SPLIT", "3")
    assert ids() != first
    for wrong in ("three", "-1"):
        monkeypatch.setenv("COURSE_SPLIT", wrong)
        with pytest.raises(
            ValueError, match=f"COURSE_SPLIT is '{wrong}'; it takes a whole number"
        ):
            ids()


def test_splits_are_those_of_earlier_versions(from_folder):
    """README gives scores by split."""
    assert from_folder.ids("test") == ["tulips/t004.jpg", "roses/r007.jpg", "daisy/d010.jpg"]


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
    make_folder(tmp_path, per_class=20)
    _, before, _ = folders.read_folder(tmp_path, 0)
    (tmp_path / "daisy/new.jpg").write_bytes(jpeg(picture(0, 0)))
    _, after, _ = folders.read_folder(tmp_path, 0)
    moved = set(before["train"].ids) - set(after["train"].ids)
    assert len(moved) <= 1
    assert set(after["test"].ids) - {"daisy/new.jpg"} <= set(before["test"].ids)


@settings(max_examples=15, deadline=None)
@given(counts=st.lists(st.integers(1, 30), min_size=2, max_size=4), seed=st.integers(0, 99))
def test_every_image_is_in_exactly_one_split(tmp_path_factory, counts, seed):
    root = tmp_path_factory.mktemp("sizes")
    encoded = jpeg(picture(0, 0, 8, 8))
    for label, count in enumerate(counts):
        (root / str(label)).mkdir()
        for number in range(count):
            (root / str(label) / f"{number}.jpg").write_bytes(encoded)
    class_names, splits, problems = folders.read_folder(root, seed)
    assert class_names == [str(label) for label in range(len(counts))]
    assert not problems
    ids = [name for split in SPLITS for name in splits[split].ids]
    assert sorted(ids) == sorted(str(path.relative_to(root)) for path in root.glob("*/*.jpg"))
    for label, count in enumerate(counts):
        each = [int((splits[split].labels == label).sum()) for split in SPLITS]
        assert sum(each) == count
        assert abs(each[1] - 0.15 * count) <= 1
        assert abs(each[2] - 0.05 * count) <= 1
        assert min(each) > 0 or count < 3
    _, again, _ = folders.read_folder(root, seed)
    assert all(again[split].ids == splits[split].ids for split in SPLITS)


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
    with pytest.raises(ValueError, match="12 things cannot be used") as error:
        flowers(32, source=tmp_path)
    assert len(str(error.value).splitlines()) == 12


def test_nothing_usable_is_an_error_even_when_skipping(tmp_path):
    for name in CLASSES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no training image that can be used"):
        flowers(32, source=tmp_path, on_error="skip")


@pytest.mark.parametrize("kind", ["png", "png called jpg"])
def test_png_files_are_read_whatever_they_are_called(tmp_path, kind):
    make_folder(tmp_path)
    path = tmp_path / "roses" / ("x.png" if kind == "png" else "x.jpg")
    for file in (tmp_path / "roses").iterdir():
        file.unlink()
    for number in range(3):
        picture(1, 3).save(path.with_stem(f"x{number}"), "PNG")
    found = flowers(32, source=tmp_path, verbose=False)
    pixels, labels = found.arrays("train")
    np.testing.assert_array_equal(pixels.mean((1, 2)).argmax(1), labels)
    assert "roses/x0" in "".join(found.ids("train") + found.ids("val") + found.ids("test"))


def test_a_folder_that_loses_its_classes_holds_nothing(tmp_path):
    make_folder(tmp_path)
    assert [path.name for path in folders.class_folders(tmp_path)] == list(CLASSES)
    shutil.rmtree(tmp_path / "roses")
    shutil.rmtree(tmp_path / "tulips")
    assert folders.class_folders(tmp_path) == []
    assert folders.class_folders(tmp_path / "nowhere") == []
