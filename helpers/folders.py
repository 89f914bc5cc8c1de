"""Folders of classes: one sub-folder of images for each class, checked and split.

Notebook 06 explains the layout. :mod:`helpers.data` reads it.
"""

from __future__ import annotations

import functools
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from helpers import images

VAL_SHARE = 0.15
TEST_SHARE = 0.05


def class_folders(folder: Path) -> list:
    """Return the sub-folders of a folder of classes.

    None, if there are fewer than two or not one image in them.
    """
    classes = [path for path in _visible(folder) if path.is_dir()]
    holds_images = any(_is_image(file) for path in classes for file in path.iterdir())
    return classes if len(classes) > 1 and holds_images else []


def read_folder(folder: Path, seed: int) -> tuple:
    """Check a folder of classes and split it, each class by itself.

    A file stays in its split whatever its neighbours are, but for the rounding of the shares.
    Of a class of three or more images each split gets at least one.

    Returns
    -------
    tuple
        Names of the classes; an `images.Split` for train, val and test; and what cannot be
        used, as name -> reason.
    """
    class_names = []
    problems = {}
    parts = {split: [] for split in images.SPLITS}
    for class_folder in class_folders(folder):
        paths = _sound_images(class_folder, problems)
        if not paths:
            problems[f"{class_folder.name}/"] = "is a class folder without images"
            continue
        label = len(class_names)
        class_names.append(class_folder.name)
        ranked = sorted((_hash(path, seed), label, path) for path in paths)
        test = _share(TEST_SHARE, len(paths))
        val = test + _share(VAL_SHARE, len(paths))
        parts["test"] += ranked[:test]
        parts["val"] += ranked[test:val]
        parts["train"] += ranked[val:]
    splits = {}
    for name, part in parts.items():
        part.sort()  # By hash, so that classes are mixed even without shuffling.
        splits[name] = _split(part, labelled=name != "test")
    return class_names, splits, problems


def _visible(folder: Path) -> list:
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in images.IMAGE_SUFFIXES and path.is_file()


def _sound_images(folder: Path, problems: dict) -> list:
    """Return the images that can be decoded, and add the rest of the files to `problems`."""
    paths = _visible(folder)
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(_problem, paths))
    sound = []
    for path, problem in zip(paths, found):
        if problem:
            problems[_id(path)] = problem
        else:
            sound.append(path)
    return sound


def _problem(path: Path) -> str:
    if not _is_image(path):
        return f"is not an image ({', '.join(images.IMAGE_SUFFIXES)})"
    if not images.is_sound(path.read_bytes()):
        return "cannot be decoded as JPEG or PNG"
    return ""


def _id(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _hash(path: Path, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{_id(path)}".encode()).hexdigest()


def _share(share: float, count: int) -> int:
    if count < 3:
        return 0
    return max(round(share * count), 1)


def _split(ranked: list, labelled: bool) -> images.Split:
    labels = np.array([label for _, label, _ in ranked], np.int64)
    ids = [_id(path) for _, _, path in ranked]
    paths = np.array([str(path) for _, _, path in ranked], str)
    targets = labels if labelled else np.array(ids, str)
    return images.Split(
        ids=ids,
        labels=labels,
        labelled=labelled,
        rows=functools.partial(images.rows_in_memory, paths, targets),
        load=_load,
    )


def _load(
    size: int,
    path: Any,
    target: Any,
) -> tuple:
    import tensorflow as tf

    return images.decode_square(tf.io.read_file(path), size), target
