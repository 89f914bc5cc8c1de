"""The bundled data is what its generators draw, and what the course's loaders expect."""

import gzip
import importlib
import io
import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DATA = Path(__file__).resolve().parents[2] / "data"
FLOWERS = DATA / "flowers" / "tfrecords-jpeg-192x192"
SPLITS = ("train", "val", "test")


@pytest.fixture
def generator(monkeypatch):
    """Import a script of data/ by name."""
    monkeypatch.syspath_prepend(str(DATA))
    return importlib.import_module


@pytest.fixture(scope="module")
def records():
    """For each split, the serialised records in the order of the files."""
    import tensorflow as tf

    def read(split):
        files = sorted(map(str, (FLOWERS / split).glob("*.tfrec")))
        return [record.numpy() for record in tf.data.TFRecordDataset(files)]

    return {split: read(split) for split in SPLITS}


@pytest.fixture(scope="module")
def examples(records):
    """For each split, the features of every record as a dictionary of name to value."""
    import tensorflow as tf

    def fields(record):
        features = tf.train.Example.FromString(record).features.feature
        found = {}
        for name, feature in features.items():
            values = feature.bytes_list.value or feature.int64_list.value
            found[name] = values[0]
        return found

    return {split: [fields(record) for record in records[split]] for split in SPLITS}


def pixels(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg)))


def idx(name):
    packed = (DATA / "fashion" / name).read_bytes()
    content = gzip.decompress(packed)
    zero, kind, rank = struct.unpack_from(">HBB", content)
    shape = struct.unpack_from(f">{rank}I", content, offset=4)
    assert (zero, kind) == (0, 8), "IDX: two zero bytes, then 8 for uint8"
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def assert_same_picture(drawn, stored, most=8):
    """Equal up to rounding.

    Other processors and libraries may round the last bit of a sine or of a JPEG otherwise.
    """
    difference = np.abs(drawn.astype(int) - stored.astype(int))
    assert drawn.shape == stored.shape
    assert (difference > most).mean() < 0.002
    assert difference.mean() < 0.5


@pytest.mark.parametrize("split", SPLITS)
def test_shards_hold_as_many_records_as_their_names_say(split, generator):
    import tensorflow as tf

    shards = sorted((FLOWERS / split).iterdir())
    counts = []
    for number, shard in enumerate(shards):
        name = re.fullmatch(r"(\d\d)-192x192-(\d+)\.tfrec", shard.name)
        assert name, f"{shard.name} is not NN-192x192-COUNT.tfrec"
        assert int(name[1]) == number
        counts.append(int(name[2]))
        assert sum(1 for _ in tf.data.TFRecordDataset(str(shard))) == counts[-1]
    assert sum(counts) == generator("make_flowers").COUNTS[split]


@pytest.mark.parametrize("split", SPLITS)
def test_flowers_are_what_the_generator_draws(split, generator, records, examples):
    flowers = generator("make_flowers")
    last = len(records[split]) - 1
    for index in (0, last // 2, last):
        drawn = flowers.picture(split, index)
        assert drawn.dtype == np.uint8
        stored = examples[split][index]["image"]
        assert_same_picture(pixels(flowers.jpeg(drawn)), pixels(stored), most=16)
        # Everything but the pixels is the same byte for byte everywhere.
        assert flowers.example(split, index, stored) == records[split][index]


def test_a_picture_depends_on_its_split_and_index_alone(generator):
    flowers = generator("make_flowers")
    first = flowers.picture("val", 3)
    np.random.seed(99)
    flowers.picture("train", 3)
    assert flowers.jpeg(flowers.picture("val", 3)) == flowers.jpeg(first)
    assert (flowers.picture("test", 3) != first).any()


@pytest.mark.parametrize("split", SPLITS)
def test_flowers_decode_to_192_pixels_in_colour(split, examples):
    for fields in examples[split]:
        image = pixels(fields["image"])
        assert image.shape == (192, 192, 3)
        assert image.std() > 5, "a flat picture shows nothing"


def test_flower_labels_are_balanced_and_the_test_split_has_none(generator, examples):
    classes = json.loads((DATA / "flowers" / "classes.json").read_text())
    assert classes == list(generator("make_flowers").CLASSES)
    for split in ("train", "val"):
        labels = np.array([fields["class"] for fields in examples[split]])
        assert set(examples[split][0]) == {"image", "id", "class"}
        assert (np.bincount(labels, minlength=5) == len(labels) // 5).all()
        assert (labels == generator("make_flowers").labels(split)).all()
        assert len(set(labels[:25])) == 5, (
            "the classes must be mixed, not stored one after the other"
        )
    assert all(set(fields) == {"image", "id"} for fields in examples["test"])


def test_no_id_and_no_picture_appears_twice(examples):
    everything = [fields for split in SPLITS for fields in examples[split]]
    assert len({fields["id"] for fields in everything}) == len(everything)
    assert len({fields["image"] for fields in everything}) == len(everything)
    assert all(re.fullmatch(rb"[0-9a-f]{10}", fields["id"]) for fields in everything)


@pytest.mark.parametrize(("split", "count"), [("train", 6000), ("t10k", 1000)])
def test_fashion_has_the_form_of_fashion_mnist(split, count, generator):
    images, labels = idx(f"{split}-images-idx3-ubyte.gz"), idx(f"{split}-labels-idx1-ubyte.gz")
    assert images.shape == (count, 28, 28)
    assert (np.bincount(labels, minlength=10) == count // 10).all()
    assert len(generator("make_fashion").CLASSES) == 10
    assert images.reshape(count, -1).max(1).min() > 20, "an empty picture"
    assert (images[:, :, [0, -1]] == 0).mean() > 0.5, "garments stand on black"


@pytest.mark.parametrize("split", ["train", "t10k"])
def test_fashion_is_what_the_generator_draws(split, generator):
    fashion = generator("make_fashion")
    images, labels = idx(f"{split}-images-idx3-ubyte.gz"), idx(f"{split}-labels-idx1-ubyte.gz")
    assert (fashion.labels(split) == labels).all()
    for index in [*range(20), len(labels) - 1]:
        assert_same_picture(fashion.picture(split, index), images[index])


def test_no_garment_appears_in_both_splits():
    train = {image.tobytes() for image in idx("train-images-idx3-ubyte.gz")}
    test = {image.tobytes() for image in idx("t10k-images-idx3-ubyte.gz")}
    assert len(train) == 6000
    assert len(test) == 1000
    assert not train & test


def test_idx_files_carry_no_date(generator, tmp_path):
    name = "t10k-labels-idx1-ubyte.gz"
    generator("make_fashion").write_idx(tmp_path / name, idx(name))
    again = (tmp_path / name).read_bytes()
    stored = (DATA / "fashion" / name).read_bytes()
    assert gzip.decompress(again) == gzip.decompress(stored)
    assert again[4:8] == stored[4:8] == b"\0\0\0\0", "bytes 4 to 7 of a gzip file are its date"


def test_backbone_weights_fit_the_backbone():
    from helpers.models import small_backbone

    path = DATA / "backbone.weights.h5"
    fresh = small_backbone((64, 64, 3))
    trained = small_backbone((64, 64, 3), weights=path)
    assert 70_000 < trained.count_params() < 130_000
    for before, after in zip(fresh.get_weights(), trained.get_weights(), strict=True):
        assert (before != after).any(), "every weight was trained, the moving averages too"
        assert np.isfinite(after).all()


def test_backbone_takes_any_size_and_pixels_in_0_to_255():
    from helpers.models import small_backbone

    backbone = small_backbone(weights=DATA / "backbone.weights.h5")
    image = np.random.default_rng(0).integers(0, 256, (2, 96, 192, 3)).astype(np.uint8)
    features = backbone(image).numpy()
    assert features.shape == (2, 6, 12, 192)
    np.testing.assert_allclose(
        features, backbone(image.astype(np.float32)).numpy(), rtol=1e-5, atol=1e-5
    )
    assert features.std() > 0.01


def test_pretext_shares_no_class_with_the_flowers(generator):
    backbone = generator("make_backbone")
    things = {make.__name__ for make in backbone.THINGS}
    flowers = {*generator("make_flowers").CLASSES, "rose", "tulip", "sunflower", "flower"}
    assert not things & flowers
    assert backbone.picture(5).dtype == np.uint8


@pytest.mark.parametrize(
    ("script", "files"),
    [
        (
            "make_flowers",
            [
                "classes.json",
                "tfrecords-jpeg-192x192/test/00-192x192-2.tfrec",
                "tfrecords-jpeg-192x192/val/00-192x192-1.tfrec",
                "tfrecords-jpeg-192x192/val/01-192x192-1.tfrec",
            ],
        ),
        (
            "make_fashion",
            [
                "test-images-idx3-ubyte.gz",
                "test-labels-idx1-ubyte.gz",
                "val-images-idx3-ubyte.gz",
                "val-labels-idx1-ubyte.gz",
            ],
        ),
    ],
)
def test_main_draws_every_split_into_the_folder_it_is_given(
    script, files, generator, monkeypatch, tmp_path
):
    module = generator(script)
    monkeypatch.setattr(module, "COUNTS", {"val": 2, "test": 2})
    module.main(tmp_path / "drawn")
    drawn = [path for path in (tmp_path / "drawn").rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(tmp_path / "drawn")) for path in drawn) == files


@pytest.mark.parametrize("script", ["make_flowers", "make_fashion", "make_backbone"])
def test_help_says_what_is_written_where_and_draws_nothing(script, tmp_path):
    for source in DATA.glob("*.py"):
        shutil.copy(source, tmp_path)
    done = subprocess.run(
        [sys.executable, str(tmp_path / f"{script}.py"), "--help"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "folder" in done.stdout
    assert not [path for path in tmp_path.iterdir() if path.suffix not in (".py", "")]
    assert not (tmp_path / "flowers").exists()
    assert not (tmp_path / "fashion").exists()


def test_the_files_stay_small():
    sizes = [
        path.stat().st_size
        for path in DATA.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert max(sizes) < 2_000_000
    assert sum(path.stat().st_size for path in FLOWERS.rglob("*.tfrec")) < 6_000_000
    assert sum(sizes) < 9_000_000
    assert (DATA / "backbone.weights.h5").stat().st_size < 1_000_000
