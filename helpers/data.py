"""Image data from the best place there is, and the input pipeline that feeds it.

:func:`flowers` and :func:`fashion` try a ladder of places and return an :class:`ImageData` from
the first that has the data. :meth:`ImageData.batches` is the tuned pipeline. Notebooks 06 and
10 explain it.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
import zlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from helpers import checks, folders, images, runtime, seeding, tfrecords
from helpers.download import FLOWER_PHOTOS, fetch, online
from helpers.images import SPLITS, Split

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
EXPECTED = (
    "a folder with a sub-folder of images (.jpg, .jpeg, .png) for each of two or more classes, "
    "or a folder of TFRecords as in the Kaggle competition: "
    "tfrecords-jpeg-224x224/train/*.tfrec and val/*.tfrec"
)
DRAWN = "see data/README.md"
PHOTOS = "CC BY 2.0, photographers in LICENSE.txt"
CLOTHES = "MIT, Zalando Research"
BEST = "the 104 classes of the Kaggle competition."
# For each source: name, licence and advice, see ImageData.
FLOWER_SOURCES = {
    "kaggle": ("Kaggle flowers", "rules of the Kaggle competition tpu-getting-started", ""),
    "folder": ("Your images", "yours to know", ""),
    "tfrecords": ("Your images", "yours to know", ""),
    "cache": ("flower_photos", PHOTOS, BEST),
    "download": ("flower_photos", PHOTOS, BEST),
    "bundled": (
        "Drawn flowers",
        DRAWN,
        "3,670 photographs, with COURSE_DOWNLOAD=1 (229 MB) or COURSE_DATA=<their folder>.",
    ),
}
FASHION_SOURCES = {
    "cache": ("Fashion-MNIST", CLOTHES, ""),
    "download": ("Fashion-MNIST", CLOTHES, ""),
    "bundled": (
        "Drawn fashion",
        DRAWN,
        "60,000 photographs of clothes, with COURSE_DOWNLOAD=1 (31 MB).",
    ),
}


@dataclass(frozen=True)
class ImageData:
    """Labelled images in three splits, the same whatever place they came from.

    Attributes
    ----------
    name : what the data set is called.
    licence : who allows what with the images.
    advice : what a better place would bring, and how to get there; empty if there is none.
    class_names : a label is an index into them.
    image_size : height and width of the images handed out.
    source : ``"kaggle"``, ``"folder"``, ``"tfrecords"``, ``"cache"``, ``"download"`` or
        ``"bundled"``.
    location : the folder the images are read from.
    skipped : what was left out under ``on_error="skip"``, as name -> reason.
    """

    name: str
    licence: str
    advice: str
    class_names: tuple[str, ...]
    image_size: int
    source: str
    location: Path
    skipped: dict[str, str]
    _splits: dict[str, Split] = field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """Images in each split, without the skipped ones."""
        return {name: len(split.ids) for name, split in self._splits.items()}

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def train(self):
        """``tf.data.Dataset`` of (uint8 image [H, W, 3], int64 label), in a fixed order."""
        return self._images("train")

    @property
    def val(self):
        """As `train`, for validation."""
        return self._images("val")

    @property
    def test(self):
        """As `train`. For all flowers it is (image, id): the labels are for a judge only."""
        return self._images("test")

    def labels(self, split: str) -> np.ndarray:
        """Return the int64 labels of `split`, in the order of its dataset.

        Raises
        ------
        ValueError
            If nobody knows them.
        """
        labels = self._split(split).labels
        if labels is None:
            raise ValueError(
                f"The {split!r} split of {self.name} has no labels. Train and val do."
            )
        return labels

    def ids(self, split: str) -> list[str]:
        """Return the ids of the images of `split`, in the order of its dataset."""
        return self._split(split).ids

    def arrays(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Return all images of `split` and their labels or ids, in memory.

        The images are uint8 [N, H, W, 3], or [N, 28, 28] for fashion. One of 192 x 192 pixels
        takes 110 kB.
        """
        whole = self._images(split).batch(self.counts[split])
        return next(whole.as_numpy_iterator())

    def batches(
        self,
        split: str = "train",
        batch_size: int = 32,
        *,
        training: bool | None = None,
        one_hot: bool = False,
        augment=(),
        cache: bool = False,
        seed: int | None = 0,
        drop_remainder: bool = False,
        shard: tuple[int, int] = (0, 1),
    ):
        """Return the tuned pipeline: shuffle, decode, cache, batch, augment, prefetch.

        Parameters
        ----------
        split : ``"train"``, ``"val"`` or ``"test"``.
        batch_size : images per batch, 1 or more.
        training : shuffle, anew every epoch. Default: only for ``"train"``. Files of a folder
            are shuffled fully, TFRecords and what is cached within 2,048 images.
        one_hot : labels as float32 [B, num_classes] in place of int64 [B].
        augment : a step or a list of steps for batches, behind the cache: ``CutMix(...)``, or
            any function (images, labels) -> (images, labels). With a `seed`, functions run one
            batch at a time, since they may keep a state; the steps of `helpers` run in
            parallel and are still reproducible.
        cache : keep the decoded images in memory from the second epoch on.
        seed : the same seed gives the same batches, under the same global seed
            (``runtime.start``). ``None``: other ones every time, and slow images do not hold
            up the rest.
        drop_remainder : leave out a last batch that is not full.
        shard : (i, n) for the i-th of n workers. It gets every n-th image of the order that
            all of them know if they have the same seeds, so that their k-th batches make up
            one batch of n times the size (explained in notebook 11). The last images of an
            epoch that n does not divide are left out.

        Returns
        -------
        tf.data.Dataset
            Of (images uint8 [B, H, W, 3], targets), with a known cardinality. Casting and
            scaling are the model's work: bytes are a quarter of the memory traffic of floats.
        """
        import tensorflow as tf

        checks.check_count("batch_size", batch_size, 1)
        place, shards = shard
        if not 0 <= place < shards:
            raise ValueError(f"shard is {shard!r}; it takes (i, n) with i from 0 to n - 1.")
        steps = [augment] if callable(augment) else list(augment)
        if not all(map(callable, steps)):
            raise TypeError(
                f"augment is {augment!r}; it takes functions of (images, labels) that return "
                "the same."
            )
        if training is None:
            training = split == "train"
        dataset = self._images(split, training, seed, place, shards)
        if one_hot and dataset.element_spec[1].dtype == tf.string:
            raise ValueError(f"one_hot needs labels and {split!r} has ids. Use train or val.")
        if cache:
            dataset = dataset.cache()
            if training:  # Otherwise the cache would repeat the order of the first epoch.
                dataset = dataset.shuffle(images.SHUFFLE_BUFFER, seed)
        dataset = dataset.batch(batch_size, drop_remainder)
        if one_hot:
            dataset = dataset.map(lambda x, y: (x, tf.one_hot(y, self.num_classes)))
        for step in steps:
            if isinstance(step, seeding.SeededMap):
                dataset = step.apply(dataset, num_parallel_calls=tf.data.AUTOTUNE)
            else:
                parallel = tf.data.AUTOTUNE if seed is None else None
                dataset = dataset.map(step, num_parallel_calls=parallel)
        options = tf.data.Options()
        options.deterministic = seed is not None
        return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        place = "" if self.source == "bundled" else f" in {self.location}"
        text = (
            f"{self.name} ({self.source}{place}): {self.num_classes} classes; {counts} images."
        )
        if self.skipped:
            text += f" {len(self.skipped)} left out, see .skipped."
        if self.advice:
            text += f" Better: {self.advice}"
        return text

    def _split(self, name):
        if name not in SPLITS:
            raise ValueError(f"split is {name!r}; it takes one of {', '.join(SPLITS)}.")
        return self._splits[name]

    def _images(self, name, shuffle=False, seed=0, place=0, shards=1):
        """Return a dataset of (image, target) with the rows of one of the shards."""
        import tensorflow as tf

        split = self._split(name)
        shared = len(split.ids) // shards * shards
        rows = split.rows(shuffle, seed).take(shared).shard(shards, place)
        load = partial(split.load, self.image_size)
        return rows.map(load, num_parallel_calls=tf.data.AUTOTUNE)


def flowers(
    image_size: int = 192,
    *,
    source: str | Path | None = None,
    on_error: str = "raise",
    verbose: bool = True,
) -> ImageData:
    """Return flower images from the first place that has them, and say in one line which.

    The places, best first: ``"kaggle"``, a mount of the competition (under
    ``COURSE_KAGGLE_INPUT``, default ``/kaggle/input``); ``"course_data"``, the folder named by
    ``COURSE_DATA``; ``"cache"``, flower_photos in the Keras cache (``KERAS_HOME``, default
    ``~/.keras``); ``"download"`` of flower_photos (229 MB), if ``COURSE_DOWNLOAD=1`` or on
    Colab; ``"bundled"``, the drawn flowers that come with the course. The quick profile leaves
    out cache and download unless ``COURSE_DOWNLOAD=1``: it gives the same numbers everywhere.
    ``COURSE_DATA=bundled`` takes the drawn ones always. Notebook 10 explains it.

    Every image is read and decoded once, coarsely, to find damage now and not in the middle of
    training. A folder is split by ``COURSE_SPLIT``, a whole number, default 0.

    Parameters
    ----------
    image_size : height and width wanted, 8 to 4096. Of several sizes of TFRecords the smallest
        that is not smaller.
    source : one of the places by name, or a folder, to take that and nothing else.
    on_error : ``"raise"``, or ``"skip"`` to leave damaged images and records out and list them
        in ``.skipped``.
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
    if not 8 <= image_size <= 4096:
        raise ValueError(f"image_size is {image_size!r}; it takes 8 to 4096 pixels.")
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error is {on_error!r}; it takes 'raise' or 'skip'.")
    ladder = {
        "kaggle": _kaggle_mount,
        "course_data": _named_folder,
        "cache": _cached_photos,
        "download": lambda: fetch(FLOWER_PHOTOS, runtime.keras_home() / "datasets"),
        "bundled": lambda: bundled_folder("flowers"),
    }
    if source is None or source in ladder:
        place, location = _first_place(ladder, source)
    else:
        place, location = "course_data", _must_hold_images(source, "source")
    tree = tfrecords.find_tree(location, image_size)
    if tree:
        class_names, splits, problems = tfrecords.read_tree(tree)
    else:
        class_names, splits, problems = folders.read_folder(location, _split_seed())
    if problems and on_error == "raise":
        raise ValueError(_list_of(problems, location))
    if not splits["train"].ids:
        raise ValueError(f"{location} has no training image that can be used.")
    if place == "course_data":
        place = "tfrecords" if tree else "folder"
    data = ImageData(
        *FLOWER_SOURCES[place],
        class_names=tuple(class_names),
        image_size=image_size,
        source=place,
        location=location,
        skipped=problems,
        _splits=splits,
    )
    if verbose:
        print(data)
    return data


def _list_of(problems, location):
    lines = [f"  {name} {reason}" for name, reason in problems.items()]
    first = "\n".join(lines[:10])
    return (
        f"{location}: {len(lines)} things cannot be used. The first of them:\n{first}\n"
        "Mend or remove them, or leave them out, counted, with on_error='skip'."
    )


def fashion(*, source: str | None = None, verbose: bool = True) -> ImageData:
    """Return Fashion-MNIST, or the drawn set in its format, from the first place that has it.

    The places are ``"cache"``, ``"download"`` (31 MB) and ``"bundled"``, under the same
    conditions as in :func:`flowers`. Images are uint8 [28, 28]; all three splits are labelled.
    A tenth of the training images, always the same, is the validation split.
    :meth:`ImageData.arrays` gives ``x`` and ``y`` as Keras does. Notebook 02 explains it.

    Raises
    ------
    ValueError
        For files that are damaged or do not fit each other.
    FileNotFoundError, ConnectionError
        If the `source` asked for is not there, or the download fails.
    """
    ladder = {
        "cache": _cached_fashion,
        "download": _download_fashion,
        "bundled": lambda: bundled_folder("fashion"),
    }
    place, location = _first_place(ladder, source)
    pixels, labels = _read_pair(location, "train")
    order = np.random.default_rng(0).permutation(len(labels))
    val, train = np.split(order, [len(order) // 10])
    train.sort()
    val.sort()
    data = ImageData(
        *FASHION_SOURCES[place],
        class_names=FASHION_CLASSES,
        image_size=28,
        source=place,
        location=location,
        skipped={},
        _splits={
            "train": _split_in_memory(pixels[train], labels[train]),
            "val": _split_in_memory(pixels[val], labels[val]),
            "test": _split_in_memory(*_read_pair(location, "t10k")),
        },
    )
    if verbose:
        print(data)
    return data


def _split_in_memory(pixels, labels):
    ids = [str(number) for number in range(len(labels))]
    return images.in_memory(ids, labels, pixels, lambda size, image, label: (image, label))


def _cached_fashion():
    folder = runtime.keras_home() / "datasets" / "fashion-mnist"
    fetched_last = folder / "t10k-images-idx3-ubyte.gz"
    return folder if fetched_last.is_file() else None


def _download_fashion():
    import keras

    online(keras.datasets.fashion_mnist.load_data)
    return _cached_fashion()


def _read_pair(folder, prefix):
    """Return uint8 images [N, 28, 28] and int64 labels [N] from two gzipped IDX files."""
    try:
        pixels = _read_bytes(folder / f"{prefix}-images-idx3-ubyte.gz", 16)
        pixels = pixels.reshape(-1, 28, 28)
        labels = _read_bytes(folder / f"{prefix}-labels-idx1-ubyte.gz", 8)
        if len(pixels) != len(labels):
            raise ValueError(f"{len(labels)} labels for {len(pixels)} images")
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise ValueError(
            f"{folder}/{prefix}-*.gz are damaged: {error}. Delete them and fetch them again."
        ) from error
    return pixels, labels.astype(np.int64)


def _read_bytes(path, head):
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=head)


# ------------------------------------------------------------------------- places on the ladder


def _first_place(ladder, source):
    """Return the name and the folder of the first place that has the data, or of `source`."""
    names = set(ladder)
    consent = os.environ.get("COURSE_DOWNLOAD") == "1"
    full = runtime.profile() == "full"
    if source:
        names = {source}
    elif os.environ.get("COURSE_DATA") == "bundled":
        names = {"bundled"}
    elif not consent:
        if not full:
            names.remove("cache")
        if not full or not runtime.on_colab():
            names.remove("download")
    for name, find in ladder.items():
        folder = name in names and find()
        if folder:
            return name, folder
    raise FileNotFoundError(
        f"source is {source!r}, which is not here. It takes one of {', '.join(ladder)}, or "
        "None for the first there is."
    )


def _kaggle_mount():
    mounts = [tree.parent for tree in runtime.kaggle_input("tfrecords-jpeg-*")]
    competition = [mount for mount in mounts if "tpu-getting-started" in mount.parts]
    return next(iter(competition + mounts), None)


def _named_folder():
    name = os.environ.get("COURSE_DATA")
    return _must_hold_images(name, "COURSE_DATA") if name else None


def _cached_photos():
    """Find flower_photos as any version of ``keras.utils.get_file`` unpacks it."""
    datasets = runtime.keras_home() / "datasets"
    places = [*datasets.glob("flower_photos*/flower_photos"), *datasets.glob("flower_photos*")]
    return next(filter(_holds_images, places), None)


def _holds_images(folder):
    return tfrecords.find_tree(folder, 0) or folders.class_folders(folder)


def _must_hold_images(name, who):
    folder = Path(name).expanduser()
    if not _holds_images(folder):
        raise ValueError(
            f"{who} is {str(folder)!r}, which holds no images that can be used. "
            f"It takes {EXPECTED}."
        )
    return folder


def _split_seed():
    asked = os.environ.get("COURSE_SPLIT") or "0"
    if not asked.isdecimal():
        raise ValueError(f"COURSE_SPLIT is {asked!r}; it takes a whole number, 0 or more.")
    return int(asked)


def bundled_folder(name: str) -> Path:
    """Return the folder of the bundled ``"flowers"`` or ``"fashion"``.

    Where it did not come along, as in a one-file edition, it is drawn.
    """
    try:
        return runtime.course_path("data", name)
    except FileNotFoundError:
        return draw_bundled(name)


def draw_bundled(name: str) -> Path:
    """Run ``data/make_<name>.py``, once on this machine, and return what it draws.

    It runs in a process of its own, on the CPU: the GPU is the notebook's.

    Raises
    ------
    FileNotFoundError
        If the script is not there, or fails.
    """
    script = runtime.course_path("data", f"make_{name}.py")
    version = zlib.crc32(script.read_bytes())
    folder = runtime.cache_folder() / f"{name}-{version}"
    if folder.is_dir():
        return folder
    print(f"Drawing the course's {name}, once on this machine; flowers take some minutes.")
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        drawing = Path(temporary, name)
        done = subprocess.run(
            [sys.executable, script, drawing],
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise FileNotFoundError(
                f"Could not draw the course's {name}. {script} ended with:\n"
                f"{done.stderr[-800:]}"
            )
        if not folder.is_dir():  # else another notebook was faster
            drawing.rename(folder)
    return folder
