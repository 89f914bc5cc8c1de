"""What the tuned input pipeline costs per image, beside the limit, the notes' way, and PyTorch.

    python benchmarks/input_pipeline.py           the bundled drawings, written as JPEG files
    python benchmarks/input_pipeline.py FOLDER    your photographs, one sub-folder per class

All read the same JPEG files from the disk, decode them, resize to a square and hand out batches
of 32. The random ones also cut a window of 7/8 of the side at a random place and mirror half of
the images. The measure is processor time per image, all threads added up: the time on the clock
wanders with whatever else the machine does. Repeats of all pipelines are interleaved and
medians are taken.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import tensorflow as tf

from helpers.augment import RandomAffine, RandomCrop
from helpers.data import flowers

BATCH = 32
CROP = 7 / 8
Epoch = Callable[[], Iterable]
AUTOTUNE = tf.data.AUTOTUNE


def limit(paths: list[str], size: int) -> Epoch:
    """Decode and resize in parallel, and nothing else."""

    def load(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(image, [size, size])

    files = tf.data.Dataset.from_tensor_slices(paths)
    images = files.map(load, num_parallel_calls=AUTOTUNE)
    return lambda: images.batch(BATCH).prefetch(AUTOTUNE)


def notes(folder: Path, size: int) -> Epoch:
    """The pipeline of the notes: load batches, take them apart, vary images, batch again."""
    loaded = keras.utils.image_dataset_from_directory(
        folder,
        label_mode="categorical",
        image_size=(round(size / CROP), round(size / CROP)),
        batch_size=BATCH,
        shuffle=True,
        seed=0,
        verbose=False,
    )

    def vary(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.image.random_crop(image, [size, size, 3])
        return tf.image.random_flip_left_right(image), label

    dataset = (
        loaded.unbatch().map(vary, num_parallel_calls=AUTOTUNE).batch(BATCH).prefetch(AUTOTUNE)
    )
    return lambda: dataset


def tuned(
    folder: Path, size: int, *, varied: bool, cache: bool = False, warm: bool = False
) -> Epoch:
    """The pipeline of the course; with `cache` in its first epoch or, `warm`, a later one."""
    steps = []
    if varied:
        steps = [RandomCrop(size, size), RandomAffine(rotation=0, zoom=0)]
    data = flowers(round(size / CROP) if varied else size, source=folder, verbose=False)

    def build() -> tf.data.Dataset:
        return data.batches("train", BATCH, one_hot=True, augment=steps, cache=cache)

    if not warm:
        return build
    dataset = build()
    for _ in dataset:
        pass
    return lambda: dataset


def torch_pil(paths: list[str], size: int, *, varied: bool) -> Epoch | None:
    """A PyTorch DataLoader that decodes with PIL in this process; nothing without PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    import numpy as np
    from PIL import Image

    names = sorted({Path(path).parent.name for path in paths})
    samples = [(path, names.index(Path(path).parent.name)) for path in paths]
    torch.set_num_threads(1)

    class Photographs(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(samples)

        def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
            path, label = samples[row]
            with Image.open(path) as image:
                image = image.convert("RGB")
                side = min(image.size)
                left, top = (image.width - side) // 2, (image.height - side) // 2
                if varied:
                    window = int(side * CROP)
                    left, top = (
                        left + random.randint(0, side - window),
                        top + random.randint(0, side - window),
                    )
                    side = window
                image = image.resize(
                    (size, size),
                    Image.Resampling.BILINEAR,
                    (left, top, left + side, top + side),
                )
                if varied and random.random() < 0.5:
                    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                return torch.from_numpy(np.array(image)), label

    # Workers would be other processes, whose processor time this one cannot add up while they
    # live.
    loader = torch.utils.data.DataLoader(Photographs(), BATCH, shuffle=True, num_workers=0)
    return lambda: loader


def measure(epoch: Epoch) -> tuple[float, float]:
    """Run one epoch and return processor milliseconds per image and images per second."""
    batches = epoch()
    images, processor, clock = 0, time.process_time(), time.perf_counter()
    for batch in batches:
        images += (batch[0] if isinstance(batch, (tuple, list)) else batch).shape[0]
    processor, clock = time.process_time() - processor, time.perf_counter() - clock
    return 1000 * processor / images, images / clock


def write_out(folder: Path) -> None:
    """Write the bundled training images as a folder of classes."""
    data = flowers(source="bundled", verbose=False)
    for number, (image, label) in enumerate(data.train):
        path = folder / data.class_names[label] / f"{number:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(tf.io.encode_jpeg(image, quality=95).numpy())


def compare(folder: Path, size: int, repeats: int) -> tuple[int, dict[str, dict[str, float]]]:
    """Measure all pipelines `repeats` times, interleaved, after one unmeasured round.

    Returns how many images there are, and the medians by name.
    """
    paths = sorted(str(path) for path in folder.glob("*/*.jpg"))
    pipelines = {
        "limit: decode and resize only": limit(paths, size),
        "tuned, first epoch": tuned(folder, size, varied=False),
        "tuned, random crop and flip": tuned(folder, size, varied=True),
        "tuned, cache, first epoch": tuned(folder, size, varied=True, cache=True),
        "tuned, cache, later epochs": tuned(folder, size, varied=True, cache=True, warm=True),
        "notes, random crop and flip": notes(folder, size),
        "torch + PIL": torch_pil(paths, size, varied=False),
        "torch + PIL, random crop and flip": torch_pil(paths, size, varied=True),
    }
    pipelines = {name: epoch for name, epoch in pipelines.items() if epoch}
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in pipelines}
    order = list(pipelines)
    shuffled = random.Random(0)
    for repeat in range(repeats + 1):
        shuffled.shuffle(order)
        for name in order:
            figures = measure(pipelines[name])
            if repeat:
                runs[name].append(figures)
    return len(paths), {
        name: {
            "cpu_ms_per_image": statistics.median(cpu for cpu, _ in figures),
            "images_per_second": statistics.median(speed for _, speed in figures),
        }
        for name, figures in runs.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        help="one sub-folder of JPEGs per class (default: bundled)",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        help="height and width (default 224, for the bundled drawings 160)",
    )
    parser.add_argument(
        "--repeats", type=int, default=5, help="measured repeats of each pipeline (default 5)"
    )
    parser.add_argument("--json", type=Path, help="write the same figures to this file")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = given.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            write_out(folder)
        size = given.image_size or (224 if given.folder else 160)
        count, medians = compare(folder, size, given.repeats)

    cpu = {name: figures["cpu_ms_per_image"] for name, figures in medians.items()}
    ratios = {
        "first epoch / limit (aim: at most 1.1)": cpu["tuned, first epoch"]
        / cpu["limit: decode and resize only"],
        "notes / tuned, random crop (aim: at least 1.5)": cpu["notes, random crop and flip"]
        / cpu["tuned, random crop and flip"],
        "notes / tuned, later epochs with cache (aim: at least 6)": cpu[
            "notes, random crop and flip"
        ]
        / cpu["tuned, cache, later epochs"],
    }
    if "torch + PIL" in cpu:
        ratios["torch + PIL / tuned, first epoch"] = (
            cpu["torch + PIL"] / cpu["tuned, first epoch"]
        )
    print(f"{count} JPEG files -> {size}x{size}, Python {sys.version.split()[0]}, ", end="")
    print(f"TensorFlow {tf.__version__}, {os.cpu_count()} cores, {given.repeats} repeats\n")
    print(f"{'pipeline':36s} {'CPU ms/image':>12s} {'images/s':>9s} {'to limit':>9s}")
    for name, figures in medians.items():
        relative = figures["cpu_ms_per_image"] / cpu["limit: decode and resize only"]
        print(
            f"{name:36s} {cpu[name]:12.3f} {figures['images_per_second']:9.0f} {relative:8.2f}x"
        )
    print()
    for name, ratio in ratios.items():
        print(f"{name:58s} {ratio:6.2f}")
    if given.json:
        figures = {"images": count, "image_size": size, "pipelines": medians, "ratios": ratios}
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
