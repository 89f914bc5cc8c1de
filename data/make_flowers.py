"""Draw the bundled flowers: five classes, 192x192 JPEG, in the TFRecord layout of the flowers competition.

Run with no arguments to write `flowers/` beside this file. Every picture depends on its split
and index alone.
"""

from __future__ import annotations

import hashlib
import io
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from drawing import (
    GOLDEN_ANGLE,
    Cloud,
    backdrop,
    ball,
    blades,
    daylight,
    develop,
    facing,
    grass,
    join,
    leaf_green,
    mix,
    oval,
    render,
    revolve,
    stack,
    tubes,
)
from PIL import Image

CLASSES = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
COUNTS = {"train": 700, "val": 200, "test": 100}
SHARDS = {"train": 4, "val": 2, "test": 1}
SIZE = 192
CANVAS = 2 * SIZE

# Petal colours as (base, tip). Every class draws from the same list, with weights of its own.
COLOURS = {
    "white": ((0.80, 0.82, 0.72), (0.95, 0.94, 0.90)),
    "cream": ((0.85, 0.72, 0.40), (0.95, 0.88, 0.70)),
    "yellow": ((0.90, 0.55, 0.03), (0.98, 0.80, 0.08)),
    "orange": ((0.85, 0.30, 0.03), (0.98, 0.55, 0.10)),
    "red": ((0.40, 0.01, 0.03), (0.80, 0.05, 0.07)),
    "pink": ((0.75, 0.20, 0.38), (0.95, 0.55, 0.66)),
    "purple": ((0.30, 0.08, 0.40), (0.60, 0.28, 0.68)),
}
WEIGHTS = {
    "daisy": (0.42, 0.07, 0.13, 0.07, 0.05, 0.17, 0.09),
    "dandelion": (0.05, 0.10, 0.66, 0.19, 0.0, 0.0, 0.0),
    "roses": (0.13, 0.08, 0.12, 0.11, 0.30, 0.21, 0.05),
    "sunflowers": (0.05, 0.08, 0.58, 0.22, 0.07, 0.0, 0.0),
    "tulips": (0.11, 0.05, 0.17, 0.14, 0.22, 0.17, 0.14),
}


# fmt: off
def petal_paint(rng, colours, count, veins=6.0, border=None):
    """A painter for `blades`: base to tip, a border, veins, a crease down the middle, and no two petals quite alike."""
    base, tip = np.clip(np.float32(colours) * rng.uniform(0.85, 1.1, 3), 0, 1)
    own = rng.normal(1, 0.07, (count, 1, 1, 1)).astype(np.float32)
    start, reach = rng.uniform(0, 0.35), rng.uniform(0.4, 1.0)

    def paint(u, v, blade):
        inner = mix(base, tip, np.clip((u - start) / reach, 0, 1))
        colour = mix(inner, tip if border is None else border, np.clip(4 * np.abs(v) - 2.6 + 0 * u, 0, 1))
        line = 1 - 0.08 * np.sin(veins * np.pi * v + 0 * u) ** 2 - 0.12 * np.exp(-((v / 0.08) ** 2)) * (1 - u)
        return (colour * line[..., None])[None] * own

    return paint


def any_border(rng, chance):
    """Now and then the colour of a border, else none."""
    return np.float32(COLOURS[rng.choice(list(COLOURS))][1]) if rng.random() < chance else None


def leaf_paint(rng, colour):
    """A painter for leaves: a light midrib and slanting side ribs."""
    light, ribs = np.clip(colour * 1.5 + 0.05, 0, 1), rng.uniform(8, 14)

    def paint(u, v, blade):
        rib = np.exp(-((v / 0.06) ** 2)) + 0.35 * np.clip(np.sin(2 * np.pi * (ribs * u - 3 * np.abs(v))), 0.6, 1) - 0.2
        return mix(colour, light, np.clip(rib, 0, 1))[None]

    return paint


def seed_disc(rng, px, size, dark, light, dome, arms):
    """The middle of a composite flower: a dome whose florets stand in two families of spirals."""
    dark_ring = rng.uniform(0.0, 0.7)

    def paint(t, turn):
        out = 9 * arms * np.sqrt(t)
        spiral = np.sin(arms * turn + out / 4) * np.sin(1.6 * arms * turn - out / 5)
        ring = np.clip(1.2 * np.abs(t - dark_ring) + 0.1, 0, 1)
        return mix(dark, light, np.clip(ring + 0.45 * spiral, 0, 1))

    return revolve(px, lambda t: np.sin(t * np.pi / 2), lambda t: dome * np.cos(t * np.pi / 2), paint, size)


def daisy(rng, px, size, colours):
    count = int(rng.integers(13, 34))
    middle = size * rng.uniform(0.2, 0.32)
    azimuth = np.arange(count) * 2 * np.pi / count + rng.normal(0, 0.06, count)
    lift, bend = rng.uniform(-0.1, 0.7), rng.uniform(-0.8, 0.1)
    width = size * rng.uniform(2.2, 3.4) / count
    tip = rng.uniform(0.25, 0.5)
    petals = blades(
        px, azimuth, (size - middle * 0.6) * rng.uniform(0.88, 1.05, count), width, lift + rng.normal(0, 0.09, count),
        petal_paint(rng, colours, count, veins=3), lambda u: oval(u, 0.7, tip), bend, cup=rng.uniform(-0.5, 0.5),
        radius=middle * 0.6, height=rng.uniform(-0.02, 0.02, count) * size,
    )
    yolk = [(0.55, 0.30, 0.02), (0.75, 0.62, 0.10), (0.25, 0.12, 0.05)][rng.choice(3, p=[0.5, 0.35, 0.15])]
    disc = seed_disc(rng, px, middle, yolk, (0.95, 0.72, 0.10), rng.uniform(0.25, 0.8), 13)
    return join([petals, disc])


def sunflower(rng, px, size, colours):
    middle = size * rng.uniform(0.38, 0.55)
    rows = []
    for row in range(2):
        count = int(rng.integers(16, 24))
        azimuth = (np.arange(count) + row / 2) * 2 * np.pi / count + rng.normal(0, 0.08, count)
        rows.append(blades(
            px, azimuth, (size - middle * 0.8) * rng.uniform(0.8, 1.1, count), size * rng.uniform(0.09, 0.13),
            rng.uniform(-0.1, 0.5) + rng.normal(0, 0.16, count), petal_paint(rng, colours, count, veins=5),
            lambda u: oval(u, 0.45, 0.75), rng.normal(-0.3, 0.35, count), cup=rng.uniform(0.2, 0.9),
            radius=middle * 0.85, height=-0.04 * size * row, ruffle=0.05,
        ))
    dark = [(0.07, 0.035, 0.015), (0.16, 0.10, 0.02), (0.20, 0.20, 0.05)][rng.integers(3)]
    disc = seed_disc(rng, px, middle, dark, (0.45, 0.26, 0.05), rng.uniform(0.1, 0.45), 21)
    sepals = blades(
        px, np.arange(14) * 0.45, size * 0.75, size * 0.12, rng.uniform(-0.3, 0.3), leaf_green(rng),
        lambda u: oval(u, 0.35, 0.9), radius=middle * 0.5, height=-0.1 * size,
    )
    return join([*rows, disc, sepals])


def dandelion(rng, px, size, colours):
    """A head of strap florets; a third of the time the globe of seeds that it becomes."""
    if rng.random() < 0.3:
        return seed_head(rng, px, size)
    count = int(rng.integers(150, 240))
    t = np.sqrt((np.arange(count) + 0.5) / count)
    azimuth = np.arange(count) * GOLDEN_ANGLE
    florets = blades(
        px, azimuth, size * (0.45 + 0.45 * t) * rng.uniform(0.85, 1.12, count), size * rng.uniform(0.024, 0.038),
        np.pi / 2 * (1 - t * rng.uniform(0.9, 1.15)) + rng.normal(0, 0.12, count),
        petal_paint(rng, colours, count, veins=2), lambda u: (0.6 + 0.4 * u) * np.where(u > 0.97, 0.7, 1.0),
        rng.normal(-0.25, 0.25, count), cup=0.9, radius=0.16 * size * t, height=0.12 * size * (1 - t**2),
    )
    sepals = blades(
        px, np.arange(16) * 2.4, size * rng.uniform(0.5, 0.75, 16), size * 0.06, rng.uniform(-0.9, 0.2),
        leaf_green(rng), lambda u: oval(u, 0.3, 0.8), bend=rng.uniform(-1.5, 0.5), radius=0.1 * size,
        height=-0.08 * size,
    )
    return join([florets, sepals])


def seed_head(rng, px, size):
    """A ball of parachutes; some may have flown."""
    count = int(rng.integers(70, 120))
    z = 1 - 2 * (np.arange(count) + 0.5) / count
    turn = np.arange(count) * GOLDEN_ANGLE
    out = np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], 1)
    if rng.random() < 0.35:
        out = out[out @ rng.normal(size=3) < rng.uniform(0.0, 1.2)]
    count = len(out)
    if not count:
        out, count = np.array([[0.0, 0.0, 1.0]]), 1
    grey = np.float32([0.86, 0.86, 0.82]) * rng.uniform(0.8, 1.05)
    rays = 14
    spread = rng.normal(size=(count, rays, 3))
    spread -= (spread * out[:, None]).sum(-1, keepdims=True) * out[:, None]
    spread /= np.linalg.norm(spread, axis=-1, keepdims=True)
    root = 0.72 * size * out[:, None] + 0 * spread
    hairs = np.stack([root, root + 0.25 * size * (spread + 0.75 * out[:, None])], 2).reshape(-1, 2, 3)
    stalks = np.stack([0.14 * size * out, 0.74 * size * out], 1)
    t = np.linspace(0, 1, max(4, int(0.35 * size * px)), dtype=np.float32)[None, :, None]
    lines = hairs[:, :1] * (1 - t) + hairs[:, 1:] * t
    normals = np.repeat(out, rays, 0)[:, None] + 0 * lines
    fluff = Cloud(*(np.float32(a).reshape(-1, 3) for a in (lines, normals, grey + 0 * lines)))
    brown = np.float32([0.35, 0.24, 0.13])
    seeds = tubes(px, np.stack([0.10 * size * out, 0.26 * size * out], 1), 0.012 * size, brown)
    core = ball(px, 0.11 * size, (0.55, 0.55, 0.35))
    return join([fluff, tubes(px, stalks, 0.004 * size, grey * 0.8), seeds, core])


def rose(rng, px, size, colours):
    count = int(rng.integers(16, 34))
    t = (np.arange(count) + 0.5) / count
    openness = rng.uniform(0.15, 1.0)
    border = any_border(rng, 0.15)
    jitter = rng.normal(0, 0.1, count)
    petals = blades(
        px, np.arange(count) * GOLDEN_ANGLE + jitter, size * (0.55 + 0.45 * t), size * (0.16 + 0.42 * t),
        1.35 - openness * 1.1 * t**1.5 + jitter, petal_paint(rng, colours, count, veins=4, border=border),
        lambda u: np.sqrt(np.clip(u * (1.9 - 0.9 * u), 0, 1)) * np.clip((1.001 - u) * 9, 0, 1) ** 0.35,
        bend=0.75 - 0.95 * t * openness, curl=-(0.2 + 1.5 * t) * rng.uniform(0.5, 1.1), cup=1.9 - 1.0 * t,
        radius=size * (0.02 + 0.20 * t * (0.5 + openness)), height=size * 0.30 * (1 - t), ruffle=0.05,
    )
    sepals = blades(
        px, np.arange(5) * 1.257, size * 0.6, size * 0.12, rng.uniform(-0.8, 0.8), leaf_green(rng),
        lambda u: oval(u, 0.3, 0.9), bend=-0.8, radius=0.05 * size, height=-0.02 * size,
    )
    return join([petals, sepals])


def tulip(rng, px, size, colours):
    openness = rng.choice([rng.uniform(0.0, 0.4), rng.uniform(0.4, 1.0)], p=[0.7, 0.3])
    border = any_border(rng, 0.2)
    pointed = rng.uniform(0.4, 0.8)
    whorls = []
    for inner in (0, 1):
        whorls.append(blades(
            px, (np.arange(3) + inner / 2) * 2 * np.pi / 3 + rng.normal(0, 0.07, 3), size * rng.uniform(1.5, 1.75),
            size * (0.56 - 0.06 * inner), 0.25 + rng.normal(0, 0.05, 3),
            petal_paint(rng, colours, 3, veins=9, border=border), lambda u: oval(u, 0.5, pointed),
            bend=1.75 - 1.0 * openness + rng.normal(0, 0.08, 3), curl=0.3 - 1.2 * openness * rng.random(),
            cup=1.35 - 0.4 * openness, radius=size * (0.06 - 0.03 * inner), ruffle=0.02,
        ))
    stamens = blades(px, np.arange(6) * 1.05, size * 0.6, size * 0.03, 1.3, (0.12, 0.08, 0.05), radius=0.08 * size)
    pistil = tubes(px, [[[0, 0, 0], [0, 0, 0.6 * size]]], 0.06 * size, (0.55, 0.6, 0.2))
    return join([*whorls, stamens, pistil])


FLOWERS = dict(zip(CLASSES, (daisy, dandelion, rose, sunflower, tulip), strict=True))


def stem(rng, px, head, axis, size, thick):
    """From under the head down and out of the picture."""
    head, axis = np.asarray(head), np.asarray(axis)
    foot = np.array([head[0] - 0.4 * axis[0] + rng.normal(0, 0.25), -1.6, head[2] - 0.3])
    bow = head - axis * max(0.5, 2 * size)
    path = np.stack([head - 0.05 * size * axis, bow, (bow + foot) / 2, foot])
    return tubes(px, path[None], thick, leaf_green(rng) * 1.15)


# Outline, length and width of the leaves, and whether they rise from the ground.
LEAVES = {
    "daisy": (lambda u: oval(u, 0.75, 0.6), 0.7, 0.08, True),
    "dandelion": (lambda u: oval(u, 0.7, 0.5) * (0.55 + 0.45 * (7 * u % 1)), 1.0, 0.14, True),
    "roses": (lambda u: oval(u, 0.4, 0.8) * (0.93 + 0.07 * (14 * u % 1)), 0.6, 0.24, False),
    "sunflowers": (lambda u: oval(u, 0.4, 0.8) * (0.93 + 0.07 * (14 * u % 1)), 0.6, 0.24, False),
    "tulips": (lambda u: oval(u, 0.35, 0.8), 1.5, 0.16, True),
}


def foliage(rng, px, label, count):
    """Leaves of the plant, rising from below or hanging about."""
    colour = leaf_green(rng)
    shape, long, wide, low = LEAVES[label]
    leaves = []
    for _ in range(count):
        k = rng.uniform(0.6, 1.3)
        leaf = blades(
            px, [rng.uniform(0, 2 * np.pi)], long * k, wide * k, rng.uniform(0.2, 1.3), leaf_paint(rng, colour), shape,
            bend=rng.uniform(-1.4, 0.2), cup=rng.uniform(0.3, 1.2), ruffle=0.04,
        )
        axis = (rng.normal(0, 0.3), 1, rng.normal(0.2, 0.3)) if low else (rng.normal(), rng.normal(), rng.normal(1))
        y = rng.uniform(-1.4, -0.7) if low else rng.uniform(-1.1, 0.6)
        leaves.append(leaf.placed(facing(axis), (rng.uniform(-1.1, 1.1), y, rng.uniform(-1.2, -0.4))))
    return leaves

# fmt: on


def draw(label: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one photograph-like picture of a class: uint8 of shape (192, 192, 3)."""
    name = CLASSES[label]
    px = CANVAS / 2
    light, sun, shade = daylight(rng)

    def show(cloud, size=CANVAS):
        return render(cloud, size, light, sun, shade)

    # One bloom near by, a few, or many far off.
    views = [
        (1, 0.72, 1.0),
        (int(rng.integers(2, 4)), 0.4, 0.6),
        (int(rng.integers(5, 9)), 0.22, 0.3),
    ]
    count, low, high = views[rng.choice(3, p=[0.72, 0.21, 0.07])]
    kinds = 1 + (count > 1 and rng.random() < 0.4)
    colours = [COLOURS[rng.choice(list(COLOURS), p=WEIGHTS[name])] for _ in range(kinds)]
    heads, extras, places = [], [], []
    sideways = {"tulips": 0.85, "roses": 0.2}.get(name, 0.15)
    for _ in range(count):
        size = rng.uniform(low, high) * (0.72 if name == "tulips" else 1)
        spots = rng.uniform(-0.85, 0.85, (12, 2)) * (0.3 if count == 1 else 1)
        gaps = [
            min((np.hypot(*(spot - other)) for other in places), default=1) for spot in spots
        ]
        x, y = spots[int(np.argmax(gaps))]
        places.append((x, y))
        if rng.random() < sideways:
            axis = (rng.normal(0, 0.35), 1.0, rng.uniform(0.0, 0.7))
            y -= size * (0.8 if name == "tulips" else 0.2)
        else:
            axis = (rng.normal(0, 0.35), rng.normal(0.25, 0.3), 1.0)
        axis = np.array(axis) / np.linalg.norm(axis)
        at = (x, y, rng.uniform(-0.3, 0.2))
        head = FLOWERS[name](rng, px, size, colours[rng.integers(len(colours))])
        heads.append(head.placed(facing(axis, rng.uniform(0, 2 * np.pi)), at))
        extras.append(
            stem(rng, px, at, axis, size, 0.016 + 0.045 * size * rng.uniform(0.6, 1.3))
        )

    extras += foliage(rng, px, name, int(rng.integers(0, 5)))
    # What lies far behind is out of focus: half the resolution is enough.
    far = px / 2
    picture = backdrop(rng, SIZE)
    if rng.random() < 0.6:
        picture = stack(
            picture, show(grass(rng, far, int(rng.integers(10, 40))), SIZE), rng.uniform(1, 3.5)
        )
    if rng.random() < 0.4:
        leaves = foliage(rng, far, CLASSES[rng.integers(5)], 4)
        picture = stack(picture, show(join(leaves), SIZE), rng.uniform(1.5, 4.5))
    picture = picture.repeat(2, 0).repeat(2, 1) * rng.uniform(0.5, 0.75)
    picture = stack(picture, show(join(heads + extras)), rng.choice([0.0, 0.8]))
    if rng.random() < 0.25:
        picture = stack(
            picture, show(grass(rng, px, int(rng.integers(2, 6)), 1.5)), rng.uniform(1, 5)
        )
    return develop(rng, picture)


def labels(split: str) -> np.ndarray:
    """The class of every picture of a split, balanced and in no order; the only answer sheet of the test split."""
    return np.random.default_rng([*split.encode(), COUNTS[split]]).permutation(
        np.arange(COUNTS[split]) % len(CLASSES)
    )


def picture(split: str, index: int) -> np.ndarray:
    """One picture of a split, uint8 (192, 192, 3)."""
    return draw(int(labels(split)[index]), np.random.default_rng([*split.encode(), index]))


def jpeg(pixels: np.ndarray) -> bytes:
    """JPEG bytes of a picture."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=68)
    return buffer.getvalue()


def identity(split: str, index: int) -> str:
    """An id that tells neither class nor order."""
    return hashlib.blake2s(f"{split}/{index}".encode(), digest_size=5).hexdigest()


def example(split: str, index: int, image: bytes) -> bytes:
    """One serialised record: image and id, and class unless it is the test split."""
    import tensorflow as tf

    def text(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {"image": text(image), "id": text(identity(split, index).encode())}
    if split != "test":
        features["class"] = tf.train.Feature(
            int64_list=tf.train.Int64List(value=[int(labels(split)[index])])
        )
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(
        deterministic=True
    )


def _encoded(job: tuple[str, int]) -> bytes:
    return jpeg(picture(*job))


def main(folder: Path = Path(__file__).parent / "flowers") -> None:
    """Draw every split into `folder`."""
    jobs = [(split, index) for split, count in COUNTS.items() for index in range(count)]
    with ProcessPoolExecutor() as pool:
        images = dict(zip(jobs, pool.map(_encoded, jobs, chunksize=4), strict=True))

    import tensorflow as tf  # after the drawing: a forked process must not inherit its threads

    for split, count in COUNTS.items():
        target = folder / f"tfrecords-jpeg-{SIZE}x{SIZE}" / split
        target.mkdir(parents=True, exist_ok=True)
        for old in target.glob("*.tfrec"):
            old.unlink()
        for shard, indices in enumerate(np.array_split(np.arange(count), SHARDS[split])):
            path = target / f"{shard:02d}-{SIZE}x{SIZE}-{len(indices)}.tfrec"
            with tf.io.TFRecordWriter(str(path)) as writer:
                for index in indices.tolist():
                    writer.write(example(split, index, images[split, index]))
        print(f"{split}: {count} pictures")
    (folder / "classes.json").write_text(json.dumps(CLASSES) + "\n")


if __name__ == "__main__":
    main()
