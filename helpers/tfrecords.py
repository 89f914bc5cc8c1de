"""How image data lies on disk, and how it gets from there to uint8 tensors. The work behind :mod:`helpers.data`.

A split is one of three things: `Files` (a folder per class), `Shards` (TFRecords in the layout
of the Kaggle competition) or `Arrays`. All three know `count` and `labelled` and offer
`images`, `batched`, `labels` and `ids`.

Photographs of any shape become squares in one way everywhere: the centre square, resized
bilinearly. A JPEG at least twice as large as wanted is scaled down by 2, 4 or 8 while it is
decoded, which costs less and aliases less.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

SPLITS = ("train", "val", "test")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
EXPECTED = (
    f"a folder with a sub-folder of images ({', '.join(IMAGE_SUFFIXES)}) for each of two or "
    "more classes, or a folder "
    "of TFRecords as in the Kaggle competition: tfrecords-jpeg-224x224/train/*.tfrec and "
    "val/*.tfrec"
)
_TREE = re.compile(r"tfrecords-jpeg-(\d+)x(\d+)")
_SHARD = re.compile(r".+-(\d+)x(\d+)-(\d+)\.tfrec")


class Encoded:
    """What `Files` and `Shards` share: the way from encoded rows to images."""

    def images(
        self,
        size: int,
        *,
        shuffle: bool = False,
        seed: int | None = None,
        buffer: int = 2048,
        crop: float | None = None,
        flip: bool = False,
        cache: bool = False,
        shard: tuple[int, int] = (0, 1),
    ) -> Any:
        """Return a dataset of (uint8 image [size, size, 3], label or id); see `ImageData.batches` for the arguments."""
        import tensorflow as tf

        stored = round(size / crop) if crop and cache else size
        decode = self.decoder(stored, None if cache else crop)

        def load(row: Any, draw: Any) -> tuple[Any, Any]:
            encoded, target = self.read(row)
            return decode(encoded, draw), target

        def vary(loaded: tuple[Any, Any], draw: Any) -> tuple[Any, Any]:
            image, target = loaded
            top, left, coin = _draws(draw, stored - size + 1)
            if stored != size:
                image = tf.slice(image, [top, left, 0], [size, size, 3])
            if flip:
                image = tf.cond(coin, lambda: tf.reverse(image, [1]), lambda: image)
            return image, target

        rows = dealt(self.rows(shuffle, seed, buffer), self.count, shard)
        draws = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).shard(
            shard[1], shard[0]
        )

        def each(dataset: Any, step: Callable[[Any, Any], Any]) -> Any:
            return tf.data.Dataset.zip((dataset, draws)).map(
                step, num_parallel_calls=tf.data.AUTOTUNE
            )

        if not cache:
            return each(rows, lambda row, draw: vary(load(row, draw), draw))
        images = each(rows, load).cache()
        # Behind the cache, which would repeat one order for ever; `rows` has mixed the classes
        # already.
        if shuffle:
            images = images.shuffle(max(min(buffer, self.count), 1), seed)
        return each(images, vary) if crop or flip else images

    def batched(
        self,
        size: int,
        *,
        batch_size: int,
        repeat: bool = False,
        drop_remainder: bool = False,
        **kw: Any,
    ):
        images = self.images(size, **kw)
        return (images.repeat() if repeat else images).batch(batch_size, drop_remainder)


def dealt(rows: Any, count: int, shard: tuple[int, int]) -> Any:
    """Return every n-th of `count` rows, from the i-th on, for the shard (i, n); all shards get the same number."""
    place, shards = shard
    return rows if shards == 1 else rows.take(count - count % shards).shard(shards, place)


@dataclass(frozen=True, eq=False)
class Files(Encoded):
    """Images that are files of their own. `labelled` says whether the targets handed out are labels or ids."""

    paths: tuple[str, ...]
    classes: np.ndarray
    names: tuple[str, ...]
    labelled: bool
    all_jpeg: bool

    @property
    def count(self) -> int:
        return len(self.paths)

    def labels(self) -> np.ndarray:
        return self.classes

    def ids(self) -> list[str]:
        return list(self.names)

    def rows(self, shuffle: bool, seed: int | None, buffer: int) -> Any:
        import tensorflow as tf

        targets = (
            tf.constant(self.classes, tf.int64)
            if self.labelled
            else tf.constant(self.names, tf.string)
        )
        rows = tf.data.Dataset.from_tensor_slices((tf.constant(self.paths, tf.string), targets))
        # Paths are small: mix them all.
        return rows.shuffle(max(self.count, 1), seed) if shuffle else rows

    def read(self, row: tuple[Any, Any]) -> tuple[Any, Any]:
        import tensorflow as tf

        path, target = row
        return tf.io.read_file(path), target

    def decoder(self, size: int, crop: float | None = None) -> Callable[..., Any]:
        return _decoder(size, crop, all_jpeg=self.all_jpeg)


@dataclass(frozen=True, eq=False)
class Shards(Encoded):
    """Images in TFRecord files.

    `takes` is how many records to read of each file, `dropped` which of those to leave out,
    counted over all files, `stored` the size of the images if they are squares of one size,
    `known` ids and labels where a check has read them.
    """

    paths: tuple[str, ...]
    takes: tuple[int, ...]
    stored: int | None
    labelled: bool
    dropped: tuple[int, ...] = ()
    known: tuple[list[str], np.ndarray] | None = None

    @property
    def count(self) -> int:
        return sum(self.takes) - len(self.dropped)

    def labels(self) -> np.ndarray | None:
        labels = self.index()[1]
        return None if (labels < 0).any() or not len(labels) else labels

    def ids(self) -> list[str]:
        return self.index()[0]

    def index(self) -> tuple[list[str], np.ndarray]:
        """Return ids, and labels with -1 where there is none."""
        if self.known:
            return self.known
        scan = scan_shards(self.paths, decode=False)
        return scan["id"], scan["label"]

    def rows(self, shuffle: bool, seed: int | None, buffer: int) -> Any:
        import tensorflow as tf

        starts = np.cumsum([0, *self.takes], dtype=np.int64)[:-1]
        files = tf.data.Dataset.from_tensor_slices(
            (
                tf.constant(self.paths, tf.string),
                tf.constant(self.takes, tf.int64),
                tf.constant(starts),
            )
        )

        def records(path: Any, take: Any, start: Any) -> Any:
            found = tf.data.TFRecordDataset(path).take(take)
            if not self.dropped:
                return found
            keep = found.enumerate(start).filter(
                lambda row, _: tf.reduce_all(row != tf.constant(self.dropped, tf.int64))
            )
            return keep.map(lambda _, raw: raw)

        if shuffle:
            files = files.shuffle(max(len(self.paths), 1), seed)
            rows = files.interleave(
                records, cycle_length=8, num_parallel_calls=tf.data.AUTOTUNE
            )
            rows = rows.shuffle(max(min(buffer, self.count), 1), seed)
        else:
            rows = files.flat_map(records)
        # A file that does not hold what it promised stops the run here instead of giving a
        # shorter epoch.
        return rows.apply(tf.data.experimental.assert_cardinality(self.count))

    def read(self, raw: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        target = ("class", tf.int64) if self.labelled else ("id", tf.string)
        features = {
            "image": tf.io.FixedLenFeature([], tf.string),
            target[0]: tf.io.FixedLenFeature([], target[1]),
        }
        example = tf.io.parse_single_example(raw, features)
        return example["image"], example[target[0]]

    def decoder(self, size: int, crop: float | None = None) -> Callable[..., Any]:
        return _decoder(size, crop, stored=self.stored)


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images held in memory: uint8 [N, H, W] or [N, H, W, C], int64 labels [N]."""

    pixels: np.ndarray
    classes: np.ndarray
    labelled: bool = True

    @property
    def count(self) -> int:
        return len(self.classes)

    def labels(self) -> np.ndarray:
        return self.classes

    def ids(self) -> list[str]:
        return [str(row) for row in range(self.count)]

    def images(self, size: int) -> Any:
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((self.pixels, self.classes))

    def batched(
        self,
        size: int,
        *,
        batch_size: int,
        repeat: bool = False,
        drop_remainder: bool = False,
        shuffle: bool = False,
        seed: int | None = None,
        crop: float | None = None,
        flip: bool = False,
        shard: tuple[int, int] = (0, 1),
        **_: Any,
    ) -> Any:
        """Shuffle and batch row numbers, then gather: one copy per batch. Already in memory, so nothing to cache."""
        import tensorflow as tf

        if crop or flip:
            raise ValueError(
                "random_crop and random_flip are for photographs; these are arrays. Use "
                "`augment`."
            )
        rows = tf.data.Dataset.range(self.count)
        rows = dealt(
            rows.shuffle(max(self.count, 1), seed) if shuffle else rows, self.count, shard
        )
        rows = (rows.repeat() if repeat else rows).batch(batch_size, drop_remainder)
        pixels, classes = tf.constant(self.pixels), tf.constant(self.classes)
        return rows.map(
            lambda row: (tf.gather(pixels, row), tf.gather(classes, row)),
            num_parallel_calls=tf.data.AUTOTUNE,
        )


# ------------------------------------------------------------------------------------------------------------ decoding


def _decoder(
    size: int, crop: float | None, *, stored: int | None = None, all_jpeg: bool = True
) -> Callable[..., Any]:
    """Return the function (encoded, draw) -> uint8 [size, size, 3], for the whole square or, with `crop`, a window."""
    import tensorflow as tf

    ratio, rest = divmod(stored or 0, size)
    if (
        not crop and rest == 0 and ratio in (1, 2, 4, 8)
    ):  # the size on disk, or a size the decoder makes by itself

        def decode_exact(encoded: Any, draw: Any) -> Any:
            return tf.ensure_shape(
                tf.io.decode_jpeg(encoded, channels=3, ratio=ratio), [size, size, 3]
            )

        return decode_exact

    def decode(encoded: Any, draw: Any) -> Any:
        if all_jpeg:
            height, width = tf.unstack(tf.io.extract_jpeg_shape(encoded)[:2])
        else:
            image = tf.io.decode_jpeg(encoded, channels=3)  # takes PNG too
            height, width = tf.unstack(tf.shape(image)[:2])
        side = tf.minimum(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        if crop:
            window = tf.maximum(tf.cast(tf.cast(side, tf.float32) * crop, tf.int32), 1)
            # Nearly the size wanted: take exactly that, which saves the resizing, a quarter of
            # the cost, and its blur.
            near = (tf.abs(window - size) <= size // 12) & (size <= side) & (crop < 1)
            window = tf.where(near, size, window)
            down, right, _ = _draws(draw, side - window + 1)
            top, left, side = top + down, left + right, window
        if all_jpeg:
            image = _decode_window(encoded, tf.stack([top, left, side, side]), size)
        else:
            image = image[top : top + side, left : left + side]
        # Cast cuts off, so this rounds.
        return tf.cast(tf.image.resize(image, [size, size]) + 0.5, tf.uint8)

    return decode


def _decode_window(encoded: Any, window: Any, size: int) -> Any:
    import tensorflow as tf

    def scaled(ratio: int) -> Callable[[], Any]:
        return lambda: tf.image.decode_and_crop_jpeg(
            encoded, window // ratio, channels=3, ratio=ratio
        )

    larger = tf.reduce_sum(tf.cast(window[2] >= [2 * size, 4 * size, 8 * size], tf.int32))
    return tf.switch_case(larger, [scaled(ratio) for ratio in (1, 2, 4, 8)])


def _draws(draw: Any, choices: Any) -> tuple[Any, Any, Any]:
    """Turn one random 32-bit number into a row and a column, each below `choices`, and the toss of a coin."""
    import tensorflow as tf

    choices = tf.cast(choices, tf.int64)
    top, left = draw % choices, draw // choices % choices
    return tf.cast(top, tf.int32), tf.cast(left, tf.int32), draw // choices**2 % 2 == 0


# -------------------------------------------------------------------------------------------- opening and checking


@dataclass(frozen=True, eq=False)
class Opened:
    """What a place holds: names of the classes, splits by name, and what cannot be used (name -> reason)."""

    class_names: tuple[str, ...]
    splits: dict[str, Files | Shards]
    problems: dict[str, str]


def class_folders(folder: Path) -> list[Path]:
    """Return the sub-folders of a folder of classes; none if there are fewer than two or not one image in them."""
    if not folder.is_dir():
        return []
    inside = sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    images = any(
        file.suffix.lower() in IMAGE_SUFFIXES for path in inside for file in path.iterdir()
    )
    return inside if len(inside) > 1 and images else []


def trees(folder: Path) -> dict[int, Path]:
    """Return the TFRecord trees in `folder`, or `folder` itself if it is one, by image size."""
    found = {}
    for tree in [*folder.glob("tfrecords-jpeg-*"), folder]:
        shard = next(tree.glob("train/*.tfrec"), None)
        if shard is not None:
            named = _TREE.fullmatch(tree.name) or _SHARD.fullmatch(shard.name)
            found[int(named[1]) if named else 0] = tree
    return found


def open_folder(
    location: Path, *, check: bool, shares: tuple[float, float, float], seed: int
) -> Opened:
    """Split a folder of classes: within each class by a hash of the file's name, in exact shares.

    All splits of a class of three or more images get at least one, if their share is above 0.
    """
    problems, files = {}, {}
    for folder in class_folders(location):
        inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
        files[folder.name] = [
            path for path in inside if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES
        ]
        odd = set(inside) - set(files[folder.name])
        problems |= {
            _short(path): f"is not an image ({', '.join(IMAGE_SUFFIXES)})"
            for path in sorted(odd)
        }
    every = [path for paths in files.values() for path in paths]
    all_jpeg = not any(path.suffix.lower() == ".png" for path in every)
    if check:
        sound, all_jpeg = scan_files(every)
        bad = [path for row, path in enumerate(every) if row not in sound]
        problems |= {_short(path): "cannot be decoded as JPEG or PNG" for path in bad}
        files = {
            name: [path for path in paths if path not in set(bad)]
            for name, paths in files.items()
        }
    problems |= {
        f"{name}/": "is a class folder without images"
        for name, paths in files.items()
        if not paths
    }
    names = tuple(name for name, paths in files.items() if paths)
    parts: dict[str, list[tuple[str, Path, int]]] = {split: [] for split in SPLITS}
    for label, name in enumerate(names):
        ranked = sorted(
            (hashlib.sha256(f"{seed}/{_short(path)}".encode()).hexdigest(), path, label)
            for path in files[name]
        )
        val, test = (
            max(round(len(ranked) * share), len(ranked) > 2) if share else 0
            for share in shares[1:]
        )
        parts["test"] += ranked[:test]
        parts["val"] += ranked[test : test + val]
        parts["train"] += ranked[test + val :]
    # An id tells a picture from the others but not its class, so the file's name will do if it
    # is the only one.
    stems = {path: path.stem for path in every}
    if len(set(stems.values())) < len(every):
        stems = {path: f"{path.parent.name}-{path.name}" for path in every}
    splits = {}
    for split, ranked in parts.items():
        ranked.sort()  # by hash, so that classes are mixed even without shuffling
        splits[split] = Files(
            tuple(str(path) for _, path, _ in ranked),
            np.array([label for *_, label in ranked], np.int64),
            tuple(stems[path] for _, path, _ in ranked),
            labelled=split != "test",
            all_jpeg=all_jpeg,
        )
    return Opened(names, splits, problems)


def open_tree(tree: Path, *, check: bool, default_names: tuple[str, ...]) -> Opened:
    """Read a TFRecord tree: ``train``, ``val`` and ``test`` with files named ``NN-HxW-COUNT.tfrec``.

    Class names come from a ``classes.json`` in or beside the tree. Without one they are
    `default_names`, unless the labels are 0..K-1 without a gap and fewer than those.
    """
    listing = next(
        (
            path
            for path in (tree / "classes.json", tree.parent / "classes.json")
            if path.is_file()
        ),
        None,
    )
    names = _class_list(listing) if listing else default_names
    splits, problems = {}, {}
    for split in SPLITS:
        paths = sorted((tree / split).glob("*.tfrec"))
        if not paths and split != "test":
            raise ValueError(f"{tree / split} has no .tfrec file. Expected is {EXPECTED}.")
        shapes, counts = set(), []
        for path in paths:
            if not (named := _SHARD.fullmatch(path.name)):
                raise ValueError(
                    f"{path}: the name does not say size and count, as 00-192x192-120.tfrec "
                    "does."
                )
            shapes.add((int(named[1]), int(named[2])))
            counts.append(int(named[3]))
        square = len(shapes) == 1 and len(set(*shapes)) == 1
        part = Shards(
            tuple(map(str, paths)),
            tuple(counts),
            min(shapes)[0] if square else None,
            split != "test",
        )
        splits[split] = _check_shards(part, split, len(names), problems) if check else part
    if not listing:
        used = np.unique(
            np.concatenate([splits[split].index()[1] for split in ("train", "val")])
        )
        if np.array_equal(used, np.arange(len(used))) and 0 < len(used) < len(names):
            names = tuple(f"class {label}" for label in used)
    return Opened(names, splits, problems)


def _class_list(path: Path) -> tuple[str, ...]:
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}.") from error
    if not isinstance(names, list) or len(set(map(str, names))) < max(len(names), 1):
        raise ValueError(
            f"{path} holds {names!r}; it takes a list of different class names, label 0 first."
        )
    return tuple(map(str, names))


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def scan_files(paths: list[Path]) -> tuple[set[int], bool]:
    """Decode all files coarsely. Return the rows that can be decoded, and whether all of those are JPEG."""
    import tensorflow as tf

    def look(row: Any, path: Any) -> tuple[Any, Any]:
        encoded = tf.io.read_file(path)
        pixels = tf.size(tf.io.decode_jpeg(encoded, channels=3, ratio=8))
        return row, tf.io.is_jpeg(encoded) & (pixels > 0)

    rows = tf.data.Dataset.from_tensor_slices(
        tf.constant([str(path) for path in paths], tf.string)
    ).enumerate()
    sound, jpeg = _collect(rows.map(look, num_parallel_calls=tf.data.AUTOTUNE), 2)
    return set(sound.tolist()), bool(jpeg.all())


def scan_shards(paths: tuple[str, ...], *, decode: bool) -> dict[str, Any]:
    """Read all records that can be read, in order; with `decode`, only those whose image can be decoded.

    Returns the columns ``shard`` and ``row`` (where), ``id``, ``label`` (-1 if it has none) and
    ``shape`` (height and width, 0 if not decoded).
    """
    import tensorflow as tf

    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "class": tf.io.FixedLenFeature([], tf.int64, -1),
        "id": tf.io.FixedLenFeature([], tf.string, ""),
    }

    def records(shard: Any, path: Any) -> Any:
        found = tf.data.TFRecordDataset(path).ignore_errors().enumerate()
        return found.map(lambda row, raw: (shard, row, raw))

    def look(shard: Any, row: Any, raw: Any) -> tuple[Any, ...]:
        example = tf.io.parse_single_example(raw, features)
        shape = tf.zeros([3], tf.int32)
        if decode:
            pixels = tf.size(tf.io.decode_jpeg(example["image"], channels=3, ratio=8))
            shape = tf.io.extract_jpeg_shape(example["image"]) + 0 * pixels
        return shard, row, example["id"], example["class"], shape[:2]

    files = tf.data.Dataset.from_tensor_slices(tf.constant(paths, tf.string)).enumerate()
    found = files.interleave(records, cycle_length=8, num_parallel_calls=tf.data.AUTOTUNE)
    shard, row, names, label, shape = _collect(
        found.map(look, num_parallel_calls=tf.data.AUTOTUNE), 5
    )
    order = np.lexsort((row, shard))
    ids = [name.decode(errors="replace") for name in names[order].tolist()]
    return {
        "shard": shard[order],
        "row": row[order],
        "id": ids,
        "label": label[order],
        "shape": shape[order],
    }


def _collect(dataset: Any, columns: int) -> list[np.ndarray]:
    batches = list(dataset.ignore_errors().batch(1024).as_numpy_iterator())
    if not batches:
        return [np.zeros(0, np.int64)] * columns
    return [np.concatenate(column) for column in zip(*batches, strict=True)]


def _check_shards(
    part: Shards, split: str, num_classes: int, problems: dict[str, str]
) -> Shards:
    """Compare file names and content. Add to `problems`, and return `part` without what cannot be used."""
    scan = scan_shards(part.paths, decode=True)
    takes, dropped, kept = [], [], np.ones(len(scan["id"]), bool)

    def drop(path: str, row: int, name: str, reason: str) -> None:
        problems[f"{split}/{Path(path).name}, record {row} (id {name or 'missing'})"] = reason
        dropped.append(sum(takes[:-1]) + row)

    for shard, (path, promised) in enumerate(zip(part.paths, part.takes, strict=True)):
        mine = np.flatnonzero(scan["shard"] == shard)
        takes.append(promised)
        rows = scan["row"][mine].tolist()
        if rows != list(range(promised)):
            takes[-1], torn, undecodable = _look_closely(path, set(rows))
            if torn or takes[-1] != promised:
                why = ", then the file is cut off or damaged" if torn else ""
                problems[f"{split}/{Path(path).name}"] = (
                    f"holds {takes[-1]} records{why}; its name says {promised}"
                )
            for row, name in undecodable.items():
                drop(path, row, name, "holds no JPEG that can be decoded")
        for found in mine:
            label, shape = scan["label"][found], tuple(scan["shape"][found].tolist())
            reason = ""
            if part.labelled and label < 0:
                reason = f"has no label, which {split} needs"
            elif label >= num_classes:
                reason = f"has label {label}; there are {num_classes} classes"
            elif not part.labelled and not scan["id"][found]:
                reason = f"has no id, which {split} needs"
            elif part.stored and shape != (part.stored, part.stored):
                reason = (
                    f"is {shape[0]}x{shape[1]}; its file's name says "
                    f"{part.stored}x{part.stored}"
                )
            if reason:
                kept[found] = False
                drop(path, int(scan["row"][found]), scan["id"][found], reason)
    known = (
        [name for name, keep in zip(scan["id"], kept, strict=True) if keep],
        scan["label"][kept],
    )
    return replace(part, takes=tuple(takes), dropped=tuple(sorted(dropped)), known=known)


def _look_closely(path: str, sound: set[int]) -> tuple[int, bool, dict[int, str]]:
    """Read one file record by record: how many there are, whether it breaks off, ids of those not in `sound`."""
    import tensorflow as tf

    count, others = 0, {}
    try:
        for row, raw in enumerate(tf.data.TFRecordDataset(path).as_numpy_iterator()):
            count = row + 1
            if row not in sound:
                others[row] = _id_of(raw)
    except tf.errors.DataLossError:
        return count, True, others
    return count, False, others


def _id_of(raw: bytes) -> str:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        values = tf.train.Example.FromString(raw).features.feature["id"].bytes_list.value
    except DecodeError:
        return ""
    return b"".join(values).decode(errors="replace")
