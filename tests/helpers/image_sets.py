"""Small data sets on disk, for the tests of everything that reads images."""

import io
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

CLASSES = ("daisy", "roses", "tulips")
COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
PER_CLASS = 12


def picture(label: int, number: int, height: int = 40, width: int = 52) -> Image.Image:
    """Plain colour of the class, brightness by number, to tell decoded images apart."""
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


def gradient(height: int, width: int) -> Image.Image:
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return Image.fromarray((255 * np.stack([rows, columns, 0 * rows], -1)).astype(np.uint8))
