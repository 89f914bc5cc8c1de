"""Folders of classes: one sub-folder of images for each class, checked and split.

Notebook 06 explains the layout. :mod:`helpers.data` reads it.
"""

from __future__ import annotations

import functools
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from helpers import images

VAL_SHARE = 0.15
TEST_SHARE = 0.05


def class_folders(folder: Path) -> list:
    """Return the sub-folders of a folder of classes.

    None, if there are fewer than two or not one image in them.
    """
    if not any(map(_is_image, folder.glob("*/*"))):
        return []
    classes = [path for path in _visible(folder) if path.is_dir()]
    if len(classes) < 2:
        return []
    return classes


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
    train = []
    val = []
    test = []
    for class_folder in class_folders(folder):
        ids = _sound_images(class_folder, problems)
        if not ids:
            problems[f"{class_folder.name}/"] = "is a class folder without images"
            continue
        label = len(class_names)
        class_names.append(class_folder.name)
        ranked = sorted((_hash(name, seed), label, name) for name in ids)
        test_end = _share(TEST_SHARE, len(ids))
        val_end = test_end + _share(VAL_SHARE, len(ids))
        test += ranked[:test_end]
        val += ranked[test_end:val_end]
        train += ranked[val_end:]
    splits = {
        "train": _split(folder, train, "label"),
        "val": _split(folder, val, "label"),
        "test": _split(folder, test, "id"),
    }
    return class_names, splits, problems


def _visible(folder):
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def _is_image(path):
    suffix = path.suffix.lower()
    return suffix in images.IMAGE_SUFFIXES and path.is_file()


def _sound_images(folder, problems):
    """Return the ids of images that can be decoded, and add the other files to `problems`."""
    paths = _visible(folder)
    with ThreadPoolExecutor() as pool:
        found = pool.map(_problem, paths)
    sound = []
    for path, problem in zip(paths, found):
        name = f"{folder.name}/{path.name}"
        if problem:
            problems[name] = problem
        else:
            sound.append(name)
    return sound


def _problem(path):
    if not _is_image(path):
        return "is not an image (.jpg, .jpeg, .png)"
    if not images.is_sound(path.read_bytes()):
        return "cannot be decoded as JPEG or PNG"
    return ""


def _hash(name, seed):
    seeded = f"{seed}/{name}"
    return hashlib.sha256(seeded.encode()).hexdigest()


def _share(share, count):
    if count < 3:
        return 0
    rounded = round(share * count)
    return max(rounded, 1)


def _split(folder, ranked, target):
    ranked = sorted(ranked)  # By hash, so that classes are mixed even without shuffling.
    ids = [name for _, _, name in ranked]
    labels = np.array([label for _, label, _ in ranked], np.int64)
    load = functools.partial(_load, f"{folder}/", target)
    return images.in_memory(ids, labels, np.array(ids, str), load)


def _load(folder, target, size, name, label):
    import tensorflow as tf

    encoded = tf.io.read_file(folder + name)
    image = images.decode_square(encoded, size)
    if target == "id":
        return image, name
    return image, label
