"""Image data from the best place there is, and the input pipeline that feeds it. Explained in notebooks 06 and 10.

:func:`flowers` and :func:`fashion` try a ladder of places and return an :class:`ImageData` from
the first that has the data. :meth:`ImageData.batches` is the tuned pipeline. ``python -m
helpers.data convert FOLDER OUT`` writes a folder of classes as TFRecords in the layout of the
Kaggle competition.

Photographs of any shape become squares in one way everywhere: the centre square of the picture,
resized bilinearly.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from helpers import checks, runtime, seeding, tfrecords
from helpers.download import FLOWER_PHOTOS, fetch
from helpers.tfrecords import SPLITS

RUNGS = ("kaggle", "course_data", "cache", "download", "bundled")
SHARES = (0.80, 0.15, 0.05)  # of every class of a folder: train, val, test
COMPETITION_CLASSES: tuple[str, ...] = tuple(
    json.loads(Path(__file__).with_name("competition_classes.json").read_text(encoding="utf-8"))
)
FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_PHOTOS = (
    "flower_photos",
    "CC BY 2.0, photographers in LICENSE.txt",
    "the 104 classes of the Kaggle competition.",
)
_ABOUT = {  # rung of flowers(): name, licence, what a better place would bring
    "kaggle": ("Kaggle flowers", "rules of the Kaggle competition tpu-getting-started", ""),
    "course_data": ("", "yours to know", ""),
    "cache": _PHOTOS,
    "download": _PHOTOS,
    "bundled": (
        *("Drawn flowers", "see data/README.md"),
        "3,670 photographs, with COURSE_DOWNLOAD=1 (229 MB) or COURSE_DATA=<a folder of "
        "classes>.",
    ),
}
_FASHION_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


@dataclass(frozen=True)
class ImageData:
    """Labelled images in three splits, the same whatever place they came from.

    Attributes
    ---------- name : what the data set is called. class_names : names of the classes; a label
    is an index into them. counts : images per split, ``{"train": n, "val": n, "test": n}``,
    after leaving out `skipped`. image_size : height and width of the images handed out. source
    : ``"kaggle"``, ``"folder"``, ``"tfrecords"``, ``"cache"``, ``"download"`` or ``"bundled"``.
    location : the folder the images are read from. licence : who allows what with the images.
    advice : what a better place would bring, and how to get there; empty if there is none.
    skipped : what was left out under ``on_error="skip"``: name -> reason.
    """

    name: str
    class_names: tuple[str, ...]
    image_size: int
    source: str
    location: Path
    licence: str
    advice: str
    skipped: Mapping[str, str]
    _splits: Mapping[str, Any] = field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        return {name: self._splits[name].count for name in SPLITS}

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def train(self) -> Any:
        """``tf.data.Dataset`` of (uint8 image [H, W, 3], int64 label), in a fixed order."""
        return self._dataset("train")

    @property
    def val(self) -> Any:
        """As `train`, for validation."""
        return self._dataset("val")

    @property
    def test(self) -> Any:
        """As `train`, but (image, id) with a bytes id where the labels are for a judge only (all flowers)."""
        return self._dataset("test")

    def labels(self, split: str) -> np.ndarray:
        """Return the int64 labels of `split` in the order of its dataset. ``ValueError`` if nobody knows them."""
        labels = self._split(split).labels()
        if labels is None:
            raise ValueError(
                f"The {split!r} split of {self.name} has no labels. Labelled splits: "
                f"{self._labelled()}."
            )
        return labels

    def ids(self, split: str) -> list[str]:
        """Return the ids of the images of `split` in the order of its dataset."""
        return self._split(split).ids()

    def arrays(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Return all images of `split` as uint8 [N, H, W, 3] ([N, 28, 28] for fashion), and its targets as [N].

        Everything is held in memory: 192 x 192 images take 110 kB each.
        """
        part = self._split(split)
        batches = list(part.batched(self.image_size, batch_size=256).as_numpy_iterator())
        if not batches:
            return np.zeros((0, self.image_size, self.image_size, 3), np.uint8), np.zeros(
                0, np.int64
            )
        images, targets = zip(*batches, strict=True)
        return np.concatenate(images), np.concatenate(targets)

    def batches(
        self,
        split: str = "train",
        batch_size: int = 32,
        *,
        training: bool | None = None,
        one_hot: bool = False,
        augment: Any = (),
        random_crop: float | None = None,
        random_flip: bool = False,
        cache: bool = False,
        shuffle_buffer: int = 2048,
        seed: int | None = 0,
        repeat: bool = False,
        drop_remainder: bool = False,
        shard: tuple[int, int] = (0, 1),
    ) -> Any:
        """Return the tuned pipeline: shuffle, decode in parallel, cache as uint8, batch, augment, prefetch.

        Parameters
        ---------- split : ``"train"``, ``"val"`` or ``"test"``. batch_size : images per batch,
        1 or more. training : shuffle, anew every epoch. Default: only for ``"train"``. one_hot
        : labels as float32 [B, num_classes] in place of int64 [B]. augment : a step or a list
        of steps for batches, after the cache: ``RandomAffine(...)``, ``CutMix(...)``, or
            any function (images, labels) -> (images, labels). With a `seed`, functions run one
            batch at a time, since they may keep a state; the steps of `helpers` run in parallel
            and are still reproducible.
        random_crop : in (0, 1]. Take a window of this share of the side of the square, at a
            random place, and resize it to the image size. Only the window is decoded. A window
            within a twelfth of the image size gets just that size and needs no resizing.
        random_flip : mirror left and right, with chance one half. cache : keep the decoded
        uint8 images in memory from the second epoch on, before crop, flip and augmentation.
        shuffle_buffer : images to draw from when shuffling TFRecords or a cache. Files of a
        folder are shuffled fully. seed : the same seed gives the same batches, under the same
        global seed (``runtime.start``). ``None``: other
            ones every time, and slow images do not hold up the rest.
        repeat : go on for ever; shuffled anew every epoch. drop_remainder : leave out a last
        batch that is not full. shard : (i, n) for the i-th of n workers: every n-th image of
        the order that all of them know if they have the
            same seeds, so that their k-th batches make up one batch of n times the size
            (explained in notebook 11). Only these are read. The last images of an epoch that n
            does not divide are left out.

        Returns
        -------
        tf.data.Dataset
            Of (images uint8 [B, H, W, 3], targets), with a known cardinality. Casting and
            scaling are the model's work: bytes are a quarter of the memory traffic of floats.
        """
        import tensorflow as tf

        part = self._split(split)
        checks.check_count("batch_size", batch_size, 1)
        if random_crop is not None and not 0 < random_crop <= 1:
            raise ValueError(
                f"random_crop is {random_crop!r}; it takes a share of the side above 0 and "
                "up to 1, or None."
            )
        if one_hot and not part.labelled:
            raise ValueError(
                f"one_hot needs labels and {split!r} has ids. Labelled splits: "
                f"{self._labelled()}."
            )
        if len(shard) != 2 or not 0 <= shard[0] < shard[1]:
            raise ValueError(f"shard is {shard!r}; it takes (i, n) with i from 0 to n - 1.")
        steps = [augment] if callable(augment) else list(augment or ())
        if not all(map(callable, steps)):
            raise TypeError(
                f"augment is {augment!r}; it takes functions of (images, labels) that return "
                "the same."
            )
        dataset = part.batched(
            self.image_size,
            batch_size=batch_size,
            shuffle=split == "train" if training is None else training,
            seed=seed,
            buffer=checks.check_count("shuffle_buffer", shuffle_buffer, 1),
            crop=random_crop,
            flip=random_flip,
            cache=cache,
            repeat=repeat,
            drop_remainder=drop_remainder,
            shard=shard,
        )
        if one_hot:
            dataset = dataset.map(
                lambda images, labels: (images, tf.one_hot(labels, self.num_classes))
            )
        for step in steps:
            if isinstance(step, seeding.SeededMap):
                dataset = step.apply(dataset, num_parallel_calls=tf.data.AUTOTUNE)
            else:
                dataset = dataset.map(
                    step, num_parallel_calls=tf.data.AUTOTUNE if seed is None else None
                )
        options = tf.data.Options()
        options.deterministic = seed is not None
        return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        place = "" if self.source == "bundled" else f" in {self.location}"
        left_out = f" {len(self.skipped)} left out, see .skipped." if self.skipped else ""
        advice = f" Better: {self.advice}" if self.advice else ""
        return (
            f"{self.name} ({self.source}{place}): {self.num_classes} classes; {counts} "
            f"images.{left_out}{advice}"
        )

    def _split(self, name: str) -> Any:
        if name not in SPLITS:
            raise ValueError(f"split is {name!r}; it takes one of {', '.join(SPLITS)}.")
        return self._splits[name]

    def _labelled(self) -> str:
        return ", ".join(name for name in SPLITS if self._splits[name].labelled)

    def _dataset(self, name: str) -> Any:
        import tensorflow as tf

        return self._splits[name].images(self.image_size).prefetch(tf.data.AUTOTUNE)


def flowers(
    image_size: int = 192,
    *,
    source: str | Path | None = None,
    download: bool | None = None,
    on_error: str = "raise",
    check: bool = True,
    shares: tuple[float, float, float] = SHARES,
    seed: int | None = None,
    verbose: bool = True,
) -> ImageData:
    """Return flower images from the first place that has them, and say in one line which. Explained in notebook 10.

    The places, best first: a Kaggle mount of the competition (under ``COURSE_KAGGLE_INPUT``,
    default ``/kaggle/input``); the folder named by ``COURSE_DATA``; flower_photos in the Keras
    cache (``KERAS_HOME``, default ``~/.keras``); the download of flower_photos, with consent;
    the drawn flowers that come with the course. The quick profile leaves out the cache, and the
    download unless asked for: it gives the same numbers everywhere. ``COURSE_DATA=bundled``
    takes the drawn ones always.

    Parameters
    ---------- image_size : height and width wanted, 8 to 4096. Of several sizes of TFRecords
    the smallest that is not smaller. source : a rung (``"kaggle"``, ``"course_data"``,
    ``"cache"``, ``"download"``, ``"bundled"``) or a folder, to take
        that and nothing else.
    download : consent to fetch 229 MB. Default: ``COURSE_DOWNLOAD=1`` in the environment, or
    running on Colab. on_error : ``"raise"``, or ``"skip"`` to leave damaged images and records
    out and list them in ``.skipped``. check : read and decode every image once, coarsely, to
    find damage now and not in the middle of training. shares : parts of every class of a folder
    for train, val and test, adding up to 1. seed : of the split of a folder. A file stays in
    its split whatever its neighbours, but for the rounding. Default:
        ``COURSE_SPLIT`` in the environment, else 0.
    verbose : print the line.

    Raises
    ------
    ValueError
        For a ``COURSE_DATA`` that is no such folder or a ``COURSE_SPLIT`` that is no number;
        for corrupt images, truncated records, counts that disagree with the file names, empty
        classes, files that are no images, records without a label: each is named.
    FileNotFoundError
        If the `source` asked for is not there.
    ConnectionError, OSError
        From the download, see :func:`helpers.download.fetch`.
    """
    if checks.check_count("image_size", image_size, 8) > 4096:
        raise ValueError(f"image_size is {image_size}; it takes 8 to 4096 pixels.")
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error is {on_error!r}; it takes 'raise' or 'skip'.")
    if len(shares) != 3 or min(shares) < 0 or shares[0] <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            f"shares is {shares!r}; it takes three parts for train, val and test that add up "
            "to 1."
        )
    rung, location = _first_place(
        source or _forced(download), _consent(download) or source == "download"
    )
    sizes = tfrecords.trees(location)
    if sizes:
        nearest = min(sizes, key=lambda size: (size < image_size, abs(size - image_size)))
        opened = tfrecords.open_tree(
            sizes[nearest], check=check, default_names=COMPETITION_CLASSES
        )
    else:
        opened = tfrecords.open_folder(
            location, check=check, shares=shares, seed=_split_seed() if seed is None else seed
        )
    _complain(opened, location, on_error)
    name, licence, advice = _ABOUT[rung]
    data = ImageData(
        name=name or location.resolve().name,
        class_names=opened.class_names,
        image_size=image_size,
        source=rung if rung != "course_data" else "tfrecords" if sizes else "folder",
        location=location,
        licence=licence,
        advice=advice,
        skipped=opened.problems,
        _splits=opened.splits,
    )
    if verbose:
        print(data)
    return data


def fashion(
    *,
    source: str | None = None,
    download: bool | None = None,
    seed: int = 0,
    verbose: bool = True,
) -> ImageData:
    """Return Fashion-MNIST, or the drawn set in its format, from the first place that has it. Explained in notebook 02.

    The places: the Keras cache, the download by Keras (31 MB, with consent as in
    :func:`flowers`), the bundled set. The quick profile takes the bundled set unless asked for
    the download. Images are uint8 [28, 28]; all three splits are labelled. A tenth of the
    training images, drawn with `seed`, is the validation split. :meth:`ImageData.arrays` gives
    ``x`` and ``y`` as Keras does.

    Raises
    ------
    ValueError
        For a file that is truncated, not in the IDX format, or does not fit its partner.
    FileNotFoundError, ConnectionError
        If the `source` asked for is not there, or the download fails.
    """
    cache = runtime.keras_home() / "datasets" / "fashion-mnist"
    complete = all(
        (cache / name).is_file() for pair in _FASHION_FILES.values() for name in pair
    )
    if source not in (None, "cache", "download", "bundled"):
        raise ValueError(
            f"source is {source!r}; it takes 'cache', 'download', 'bundled', or None for the "
            "first there is."
        )
    if source is None and not _consent(download) and runtime.profile() == "quick":
        source = "bundled"  # the same numbers everywhere
    source = source or _forced(download)
    if source == "cache" and not complete:
        raise FileNotFoundError(
            f"No Fashion-MNIST in {cache}. Download it with fashion(download=True)."
        )
    if complete and source in (None, "cache"):
        rung, location = "cache", cache
    elif source == "download" or (source is None and _consent(download)):
        rung, location = "download", cache
        _download_fashion()
    else:
        rung, location = "bundled", runtime.course_path("data", "fashion")
    arrays = {split: _read_pair(location, *files) for split, files in _FASHION_FILES.items()}
    images, labels = arrays["train"]
    order = np.random.default_rng(seed).permutation(len(labels))
    val, train = np.sort(order[: len(order) // 10]), np.sort(order[len(order) // 10 :])
    data = ImageData(
        name="Drawn fashion" if rung == "bundled" else "Fashion-MNIST",
        class_names=FASHION_CLASSES,
        image_size=28,
        source=rung,
        location=location,
        licence="see data/README.md" if rung == "bundled" else "MIT, Zalando Research",
        advice="60,000 photographs of clothes, with COURSE_DOWNLOAD=1 (31 MB)."
        if rung == "bundled"
        else "",
        skipped={},
        _splits={
            "train": tfrecords.Arrays(images[train], labels[train]),
            "val": tfrecords.Arrays(images[val], labels[val]),
            "test": tfrecords.Arrays(*arrays["test"]),
        },
    )
    if verbose:
        print(data)
    return data


def _download_fashion() -> None:
    import keras

    try:
        keras.datasets.fashion_mnist.load_data()
    except (
        Exception
    ) as error:  # Keras raises a bare Exception when an address cannot be reached
        raise ConnectionError(
            f"Keras could not download Fashion-MNIST ({error}). Check the network, or use "
            "fashion(source='bundled')."
        ) from error


def _read_pair(
    folder: Path, images_name: str, labels_name: str
) -> tuple[np.ndarray, np.ndarray]:
    images, labels = (
        _read_idx(folder / images_name, 3),
        _read_idx(folder / labels_name, 1).astype(np.int64),
    )
    if len(images) != len(labels):
        raise ValueError(
            f"{folder / images_name} holds {len(images)} images, {labels_name} {len(labels)} "
            "labels."
        )
    if len(labels) and labels.max() >= len(FASHION_CLASSES):
        raise ValueError(
            f"{folder / labels_name} holds label {labels.max()}; accepted are 0 to 9."
        )
    return images, labels


def _read_idx(path: Path, rank: int) -> np.ndarray:
    """Read a gzipped IDX file of bytes: 0, 0, type 8, rank, then the sizes as big-endian int32, then the values."""
    try:
        raw = gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is truncated or no gzip file ({error}). Delete it and fetch it again."
        ) from error
    shape = np.frombuffer(raw, ">i4", rank, 4) if raw[:4] == bytes((0, 0, 8, rank)) else None
    if shape is None or len(raw) != 4 + 4 * rank + shape.prod(dtype=np.int64):
        raise ValueError(
            f"{path} is not an IDX file of bytes with {rank} axes, or is truncated. Fetch it "
            "again."
        )
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _complain(opened: tfrecords.Opened, location: Path, on_error: str) -> None:
    problems = [f"  {name} {reason}" for name, reason in opened.problems.items()]
    if problems and on_error == "raise":
        more = [f"  and {len(problems) - 10} more"] if len(problems) > 10 else []
        raise ValueError(
            f"{location}: {len(problems)} thing{'s' * (len(problems) > 1)} cannot be used.\n"
            + "\n".join(problems[:10] + more)
            + "\nMend or remove them, or leave them out, counted, with on_error='skip'."
        )
    if not opened.splits["train"].count:
        raise ValueError(
            f"{location} has no training image that can be used. Expected is "
            f"{tfrecords.EXPECTED}."
        )


# ------------------------------------------------------------------------------------------------ places on the ladder


def _consent(download: bool | None) -> bool:
    if download is not None:
        return download
    asked = os.environ.get("COURSE_DOWNLOAD", "").strip() in ("1", "true", "yes")
    return asked or (runtime.on_colab() and runtime.profile() == "full")


def _forced(download: bool | None) -> str | None:
    return (
        "bundled"
        if os.environ.get("COURSE_DATA", "").strip() == "bundled" and not download
        else None
    )


def _split_seed() -> int:
    asked = os.environ.get("COURSE_SPLIT", "").strip() or "0"
    if not asked.isdecimal():
        raise ValueError(f"COURSE_SPLIT is {asked!r}; it takes a whole number, 0 or more.")
    return int(asked)


def _first_place(source: str | Path | None, consent: bool) -> tuple[str, Path]:
    """Return the rung and the folder to read, checked to have one of the two layouts."""
    if source is not None and source not in RUNGS:
        return "course_data", _must_hold_data(Path(source), "source")
    finders = {
        "kaggle": _kaggle_mount,
        "course_data": _named_folder,
        "cache": _cached_photos,
        "download": lambda: (
            fetch(FLOWER_PHOTOS, runtime.keras_home() / "datasets") if consent else None
        ),
        "bundled": lambda: runtime.course_path("data", "flowers"),
    }
    quick = runtime.profile() == "quick"
    for rung in (
        [rung for rung in RUNGS if not (quick and rung == "cache")]
        if source is None
        else (source,)
    ):
        if location := finders[rung]():
            return rung, location
    raise FileNotFoundError(
        f"flowers(source={source!r}): there is none here. Leave source out to take the best "
        "there is."
    )


def _kaggle_mount() -> Path | None:
    found = {
        tree.parent
        for tree in runtime.kaggle_input("tfrecords-jpeg-*")
        if tfrecords.trees(tree)
    }
    return min(
        found,
        key=lambda path: ("tpu-getting-started" not in path.parts, str(path)),
        default=None,
    )


def _named_folder() -> Path | None:
    name = os.environ.get("COURSE_DATA", "").strip()
    return _must_hold_data(Path(name).expanduser(), "COURSE_DATA") if name else None


def _cached_photos() -> Path | None:
    """Find flower_photos as the course, or any version of ``keras.utils.get_file``, unpacks it."""
    for folder in sorted((runtime.keras_home() / "datasets").glob("flower_photos*")):
        for place in (folder / "flower_photos", folder):
            if tfrecords.class_folders(place):
                return place
    return None


def _must_hold_data(folder: Path, who: str) -> Path:
    if not folder.is_dir():
        raise ValueError(
            f"{who} is {str(folder)!r}, which is not a folder. It takes {tfrecords.EXPECTED}."
        )
    if not tfrecords.trees(folder) and not tfrecords.class_folders(folder):
        raise ValueError(
            f"{who} is {str(folder)!r}, which holds neither layout. It takes "
            f"{tfrecords.EXPECTED}."
        )
    return folder


# ---------------------------------------------------------------------------------- writing the competition's layout


def write_tfrecords(
    data: ImageData | str | Path,
    out: str | Path,
    *,
    image_size: int = 224,
    shard_size: int = 512,
    quality: int = 95,
) -> Path:
    """Write images as TFRecords in the layout of the Kaggle competition, to be read by ``COURSE_DATA=<out>``.

    ``out/tfrecords-jpeg-SxS/{train,val,test}/NN-SxS-COUNT.tfrec`` and ``out/classes.json``. The
    splits, and the order in them, are those of `data`. As in the competition, test records have
    no label. The same input gives the same bytes. The tree appears under its name when it is
    complete.

    Parameters
    ---------- data : what to convert; a folder is read with :func:`flowers` first. out : folder
    to write to, made if need be. image_size : height and width of the JPEGs. Ignored for an
    :class:`ImageData`, which has its own. shard_size : records per file; the last one of a
    split may hold fewer. quality : of the JPEGs, 1 to 100.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ValueError
        If the tree is there already, or `out` holds other classes.
    """
    import tensorflow as tf

    if not isinstance(data, ImageData):
        data = flowers(image_size, source=Path(data), verbose=False)
    checks.check_count("shard_size", shard_size, 1)
    out, size = Path(out), f"{data.image_size}x{data.image_size}"
    final, listing = out / f"tfrecords-jpeg-{size}", out / "classes.json"
    if final.exists():
        raise ValueError(f"{final} is there already. Delete it, or write to another folder.")
    if (
        listing.is_file()
        and tuple(json.loads(listing.read_text(encoding="utf-8"))) != data.class_names
    ):
        raise ValueError(
            f"{listing} lists other classes than {data.name}. Write to another folder."
        )
    out.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".tfrecords-", dir=out))
    try:
        for split in SPLITS:
            (temporary / split).mkdir()
            part, names = data._split(split), data.ids(split)
            labels = part.labels() if part.labelled else None
            encoded = part.images(data.image_size).map(
                lambda image, _: tf.io.encode_jpeg(image, quality=quality),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            images = encoded.as_numpy_iterator()
            for number, start in enumerate(range(0, part.count, shard_size)):
                rows = range(start, min(start + shard_size, part.count))
                path = temporary / split / f"{number:02d}-{size}-{len(rows)}.tfrec"
                with tf.io.TFRecordWriter(str(path)) as writer:
                    for row in rows:
                        writer.write(
                            _example(
                                next(images),
                                names[row],
                                None if labels is None else int(labels[row]),
                            )
                        )
        temporary.chmod(0o755)  # a temporary folder is its owner's only
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    listing.write_text(
        json.dumps(list(data.class_names), indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    return out


def _example(image: bytes, name: str, label: int | None) -> bytes:
    import tensorflow as tf

    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
    }
    if label is not None:
        features["class"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    # Maps have no order of their own: without `deterministic` the bytes may differ from run to
    # run.
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def main(arguments: list[str] | None = None) -> None:
    """Run ``python -m helpers.data convert FOLDER OUT``."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.data", description="Image data of the course."
    )
    convert = parser.add_subparsers(required=True).add_parser(
        "convert", help="folder of classes to TFRecords"
    )
    convert.add_argument("folder", type=Path, help="one sub-folder of images per class")
    convert.add_argument(
        "out", type=Path, help="folder to write to; name it in COURSE_DATA afterwards"
    )
    convert.add_argument(
        "--image-size", type=int, default=224, help="height and width (default 224)"
    )
    convert.add_argument(
        "--shard-size", type=int, default=512, help="records per file (default 512)"
    )
    convert.add_argument(
        "--on-error",
        choices=("raise", "skip"),
        default="raise",
        help="stop at damaged files or skip",
    )
    given = parser.parse_args(arguments)
    runtime.quiet_logs()
    data = flowers(given.image_size, source=given.folder, on_error=given.on_error)
    print(f"Written to {write_tfrecords(data, given.out, shard_size=given.shard_size)}")


if __name__ == "__main__":
    main()
