"""Write a folder of classes as TFRecords in the layout of the Kaggle competition.

python -m tools.convert FOLDER OUT --image-size 331
"""

from __future__ import annotations

import argparse
from pathlib import Path

from helpers import data, runtime, tfrecords
from helpers.images import SPLITS


def main(arguments: list[str] | None = None) -> None:
    """Convert the folder named on the command line, in the splits that `flowers` makes."""
    parser = argparse.ArgumentParser(prog="python -m tools.convert", description=__doc__)
    parser.add_argument("folder", type=Path, help="one sub-folder of images per class")
    parser.add_argument("out", type=Path, help="a new folder, to name in COURSE_DATA")
    parser.add_argument("--image-size", type=int, default=224, help="height and width (224)")
    given = parser.parse_args(arguments)
    runtime.quiet_logs()
    found = data.flowers(given.image_size, source=given.folder)
    splits = {}
    for name in SPLITS:
        rows = getattr(found, name).as_numpy_iterator()
        splits[name] = zip(found.ids(name), rows)
    tfrecords.write_tree(given.out, given.image_size, found.class_names, splits)
    print(f"Written to {given.out}")


if __name__ == "__main__":
    main()
