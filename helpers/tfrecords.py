"""TFRecords in the layout of the Kaggle competition: read, checked and written.

A tree is a folder ``tfrecords-jpeg-192x192`` with ``train``, ``val`` and maybe ``test``. In
each lie shards, named ``NN-192x192-COUNT.tfrec``. A record holds ``image`` (the bytes of a
JPEG), ``id`` (bytes) and, outside test, ``class`` (int64). The names of the classes may lie in
a ``classes.json`` beside the tree. Notebook 10 explains the layout.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from helpers import images

COMPETITION = Path(__file__).with_name("competition_classes.json")
RECORDS_PER_SHARD = 512  # The last shard of a split may hold fewer.
NO_LABEL = -1


# ------------------------------------------------------------------------------------ reading


def find_tree(folder: Path, size: int) -> Path | None:
    """Return the tree with the smallest images that are at least `size`, else the largest.

    `folder` may also be a tree itself.
    """
    found = {}
    for tree in [*folder.glob("tfrecords-jpeg-*"), folder]:
        for shard in tree.glob("train/*.tfrec"):
            stored, _ = _size_and_count(shard)
            found[stored] = tree
    largest = max(found, default=0)
    nearest = min(
        (stored for stored in found if stored >= size),
        default=largest,
    )
    return found.get(nearest)


def read_tree(tree: Path) -> tuple:
    """Read and check every record of a tree.

    Without a ``classes.json`` the names are the competition's, or, where the highest label K is
    less than 103, ``class 0`` to ``class K``.

    Returns
    -------
    tuple
        Names of the classes; an `images.Split` for train, val and test; and what cannot be
        used, as name -> reason.

    Raises
    ------
    ValueError
        For shards that are not there or not named as they should, or a ``classes.json`` that
        is no list of names.
    """
    listing = tree.parent / "classes.json"
    if not listing.is_file():
        listing = COMPETITION
    class_names = _read_class_list(listing)
    problems = {}
    splits = {}
    for name in images.SPLITS:
        splits[name] = _read_split(tree / name, len(class_names), problems)
    labels = [*splits["train"].labels, *splits["val"].labels]
    highest = max(labels, default=0)
    if listing == COMPETITION and highest < len(class_names) - 1:
        class_names = [f"class {label}" for label in range(highest + 1)]
    return class_names, splits, problems


def _read_class_list(path):
    with contextlib.suppress(ValueError):  # no JSON, or not in UTF-8
        names = json.loads(path.read_bytes())
        if isinstance(names, list) and 0 < len(names) == len(set(map(str, names))):
            return names
    raise ValueError(f"{path} takes a JSON list of different class names, label 0 first.")


def _read_split(folder, num_classes, problems):
    """Read all records once. Keep the sound ones, and add what is wrong to `problems`."""
    shards = sorted(folder.glob("*.tfrec"))
    target = "id" if folder.name == "test" else "class"
    if not shards and target == "class":
        raise ValueError(f"{folder} has no .tfrec file; train and val take at least one each.")
    check = functools.partial(_check_record, target, num_classes)
    ids = []
    labels = []
    sound = []
    for shard in shards:
        where = f"{folder.name}/{shard.name}"
        _, promised = _size_and_count(shard)
        records = _whole_records(shard)
        held = len(records)
        if held != promised:
            problems[where] = f"holds {held} whole records; its name says {promised}"
        with ThreadPoolExecutor() as pool:
            checked = pool.map(check, records)
        sound_here = []
        for number, (name, label, problem) in enumerate(checked):
            sound_here.append(not problem)
            if problem:
                problems[f"{where}, record {number} (id {name!r})"] = problem
            else:
                ids.append(name)
                labels.append(label)
        sound.append(sound_here)
    return images.Split(
        ids=ids,
        labels=None if NO_LABEL in labels else np.array(labels, np.int64),
        rows=functools.partial(_rows, list(map(str, shards)), sound),
        load=functools.partial(_load, target),
    )


def _size_and_count(shard):
    """Return what a shard's name says: the height of its images, and their number."""
    named = re.fullmatch(r".+-(\d+)x\d+-(\d+)\.tfrec", shard.name)
    if not named:
        raise ValueError(
            f"{shard}: the name does not say size and count, as 00-192x192-120.tfrec does."
        )
    size = int(named[1])
    count = int(named[2])
    return size, count


def _whole_records(shard):
    """Return the records before the place where the file is cut off or damaged, if it is."""
    import tensorflow as tf

    dataset = tf.data.TFRecordDataset(str(shard))
    records = []
    with contextlib.suppress(tf.errors.DataLossError):
        for record in dataset:
            records.append(record)
    return records


def _parse(record):
    import tensorflow as tf

    features = {
        "image": tf.io.FixedLenFeature([], tf.string, ""),
        "id": tf.io.FixedLenFeature([], tf.string, ""),
        "class": tf.io.FixedLenFeature([], tf.int64, NO_LABEL),
    }
    return tf.io.parse_single_example(record, features)


def _check_record(target, num_classes, record):
    """Return id, label, and what is wrong with the record, empty if nothing is."""
    import tensorflow as tf

    try:
        example = _parse(record)
    except tf.errors.InvalidArgumentError:
        return "", NO_LABEL, "is no tf.train.Example of image, id and class"
    name = example["id"].numpy().decode(errors="replace")
    label = int(example["class"])
    problem = ""
    if not images.is_sound(example["image"]):
        problem = "holds no JPEG that can be decoded"
    elif target == "class" and label == NO_LABEL:
        problem = "has no label, which train and val need"
    elif not NO_LABEL <= label < num_classes:
        problem = f"has label {label}; there are {num_classes} classes"
    elif target == "id" and not name:
        problem = "has no id, which test needs"
    return name, label, problem


def _rows(shards, sound, shuffle, seed):
    """Return a dataset of (True, record). `sound` says for each shard which to keep."""
    import tensorflow as tf

    def records(shard, sound):
        judged = tf.data.Dataset.zip(
            tf.data.Dataset.from_tensor_slices(sound),
            tf.data.TFRecordDataset(shard),
        )
        return judged.filter(lambda is_sound, record: is_sound)

    ragged = tf.ragged.constant(sound, tf.bool, ragged_rank=1)
    files = tf.data.Dataset.from_tensor_slices((tf.constant(shards, tf.string), ragged))
    if shuffle:
        rows = files.shuffle(len(shards), seed).interleave(
            records,
            cycle_length=8,
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        rows = rows.shuffle(images.SHUFFLE_BUFFER, seed)
    else:
        rows = files.flat_map(records)
    # If a shard has changed since it was checked, this stops the run.
    count = sum(map(sum, sound))
    same = tf.data.experimental.assert_cardinality(count)
    return rows.apply(same)


def _load(target, size, is_sound, record):
    example = _parse(record)
    return images.decode_square(example["image"], size), example[target]


# ------------------------------------------------------------------------------------ writing


def write_tree(
    folder: Path,
    size: int,
    class_names: list,
    splits: dict,
) -> None:
    """Write a folder with one tree and its list of classes, to be read by ``COURSE_DATA``.

    It appears under its name when it is complete. The same input gives the same bytes.

    Parameters
    ----------
    folder : must not be there yet.
    size : height and width of the images.
    class_names : a label is an index into them.
    splits : for train, val and test the records, as an iterable of: id, and a tuple of uint8
        image [size, size, 3] and label. As in the competition, test gets no labels.

    Raises
    ------
    ValueError
        If `folder` is there already.
    """
    if folder.exists():
        raise ValueError(f"{folder} is there already. Delete it, or write to another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tfrecords-", dir=folder.parent) as temporary:
        whole = Path(temporary, folder.name)
        tree = whole / f"tfrecords-jpeg-{size}x{size}"
        for name, records in splits.items():
            _write_shards(tree / name, size, records)
        listing = json.dumps(class_names)
        (whole / "classes.json").write_text(listing)
        whole.rename(folder)


def _write_shards(folder, size, records):
    import tensorflow as tf

    folder.mkdir(parents=True)
    labelled = folder.name != "test"
    serialized = (_serialize(name, *row, labelled) for name, row in records)
    for number in itertools.count():
        shard = list(itertools.islice(serialized, RECORDS_PER_SHARD))
        if not shard:
            return
        path = folder / f"{number:02d}-{size}x{size}-{len(shard)}.tfrec"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in shard:
                writer.write(record)


def _serialize(name, image, label, labelled):
    import tensorflow as tf

    encoded = tf.io.encode_jpeg(image, quality=95).numpy()
    example = tf.train.Example()
    features = example.features.feature
    features["image"].bytes_list.value.append(encoded)
    features["id"].bytes_list.value.append(name.encode())
    if labelled:
        features["class"].int64_list.value.append(label)
    # Maps have no order of their own: without `deterministic` the bytes may differ.
    return example.SerializeToString(deterministic=True)
