"""Draw the bundled flowers: five classes, 192x192 JPEG, in the flowers competition's layout.

Without arguments it writes `flowers/` beside this file. Every picture depends on its split and
index alone, and on the order of the random draws below.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from drawing import (
    Array,
    Cloud,
    Light,
    Rng,
    around,
    backdrop,
    ball,
    blades,
    daylight,
    develop,
    doubled,
    facing,
    grass,
    join,
    leaf_green,
    mix,
    notched,
    oval,
    ranks,
    render,
    revolve,
    sphere,
    spiral,
    stack,
    tubes,
)
from numpy import clip, cos, exp, pi, sin, sqrt
from PIL import Image

FOLDER = Path(__file__).parent / "flowers"
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
DAISY_DISCS = (
    (0.55, 0.30, 0.02),
    (0.75, 0.62, 0.10),
    (0.25, 0.12, 0.05),
)
SUNFLOWER_DISCS = (
    (0.07, 0.035, 0.015),
    (0.16, 0.10, 0.02),
    (0.20, 0.20, 0.05),
)


# ------------------------------------------------------------------------------ paint and parts


def petal_paint(rng, colours, count, veins=6.0, border=None):
    """A painter for `blades`: from base to tip, a border, veins, a crease down the middle.

    No two of the `count` petals are quite alike. The border has the colour of the tip where
    none is given.
    """
    tint = rng.uniform(0.85, 1.1, 3)
    base, tip = clip(np.float32(colours) * tint, 0, 1)
    own = rng.normal(1, 0.07, (count, 1, 1, 1))
    own = own.astype(np.float32)
    start = rng.uniform(0, 0.35)
    reach = rng.uniform(0.4, 1.0)
    if border is None:
        border = tip

    def paint(u, v):
        inner = mix(base, tip, (u - start) / reach)
        at_border = 4 * np.abs(v) - 2.6 + 0 * u
        colour = mix(inner, border, at_border)
        wave = sin(veins * pi * v + 0 * u)
        middle = exp(-((v / 0.08) ** 2))
        line = 1 - 0.08 * wave**2 - 0.12 * middle * (1 - u)
        return colour * line[..., None] * own

    return paint


def any_border(rng, chance):
    """Now and then the colour of a border, else none."""
    if rng.random() >= chance:
        return None
    name = rng.choice(list(COLOURS))
    _, tip = COLOURS[name]
    return np.float32(tip)


def leaf_paint(rng, colour):
    """A painter for leaves: a light midrib and slanting side ribs."""
    light = clip(colour * 1.5 + 0.05, 0, 1)
    ribs = rng.uniform(8, 14)

    def paint(u, v):
        midrib = exp(-((v / 0.06) ** 2))
        slanting = ribs * u - 3 * np.abs(v)
        wave = sin(2 * pi * slanting)
        side_ribs = 0.35 * clip(wave, 0.6, 1)
        return mix(colour, light, midrib + side_ribs - 0.2)

    return paint


def seed_disc(rng, px, size, dark, light, dome, arms):
    """The middle of a composite flower: a dome, its florets in two families of spirals."""
    dark_ring = rng.uniform(0.0, 0.7)

    def paint(t, turn):
        out = 9 * arms * sqrt(t)
        one_way = sin(arms * turn + out / 4)
        other_way = sin(1.6 * arms * turn - out / 5)
        spirals = one_way * other_way
        ring = 1.2 * np.abs(t - dark_ring) + 0.1
        ring = clip(ring, 0, 1)
        return mix(dark, light, ring + 0.45 * spirals)

    def radii(t):
        return sin(t * pi / 2)

    def heights(t):
        return dome * cos(t * pi / 2)

    return revolve(px, radii, heights, paint, size)


# --------------------------------------------------------------------------------- five flowers


def daisy(rng, px, size, colours):
    """A ring of narrow petals around a domed disc."""
    count = int(rng.integers(13, 34))
    middle = size * rng.uniform(0.2, 0.32)
    azimuth = around(count)
    azimuth = azimuth + rng.normal(0, 0.06, count)
    lift = rng.uniform(-0.1, 0.7)
    bend = rng.uniform(-0.8, 0.1)
    width = size * rng.uniform(2.2, 3.4) / count
    tip = rng.uniform(0.25, 0.5)
    length = size - middle * 0.6
    petals = blades(
        px,
        azimuth,
        length=length * rng.uniform(0.88, 1.05, count),
        width=width,
        lift=lift + rng.normal(0, 0.09, count),
        paint=petal_paint(rng, colours, count, veins=3),
        profile=oval(0.7, tip),
        bend=bend,
        cup=rng.uniform(-0.5, 0.5),
        radius=middle * 0.6,
        height=rng.uniform(-0.02, 0.02, count) * size,
    )
    disc = seed_disc(
        rng,
        px,
        size=middle,
        dark=DAISY_DISCS[rng.choice(3, p=[0.5, 0.35, 0.15])],
        light=(0.95, 0.72, 0.10),
        dome=rng.uniform(0.25, 0.8),
        arms=13,
    )
    return join([petals, disc])


def sunflower(rng, px, size, colours):
    """Two rows of pointed petals around a broad dark disc, green sepals below."""
    middle = size * rng.uniform(0.38, 0.55)
    inner = sunflower_petals(rng, px, size, middle, colours, row=0)
    outer = sunflower_petals(rng, px, size, middle, colours, row=1)
    disc = seed_disc(
        rng,
        px,
        size=middle,
        dark=SUNFLOWER_DISCS[rng.integers(3)],
        light=(0.45, 0.26, 0.05),
        dome=rng.uniform(0.1, 0.45),
        arms=21,
    )
    sepals = blades(
        px,
        azimuth=np.arange(14) * 0.45,
        length=size * 0.75,
        width=size * 0.12,
        lift=rng.uniform(-0.3, 0.3),
        paint=leaf_green(rng),
        profile=oval(0.35, 0.9),
        radius=middle * 0.5,
        height=-0.1 * size,
    )
    return join([inner, outer, disc, sepals])


def sunflower_petals(rng, px, size, middle, colours, row):
    """One of the two rows; the second lies lower, and between the petals of the first."""
    count = int(rng.integers(16, 24))
    azimuth = around(count, offset=row / 2)
    azimuth = azimuth + rng.normal(0, 0.08, count)
    length = size - middle * 0.8
    length = length * rng.uniform(0.8, 1.1, count)
    width = size * rng.uniform(0.09, 0.13)
    lift = rng.uniform(-0.1, 0.5)
    lift = lift + rng.normal(0, 0.16, count)
    return blades(
        px,
        azimuth,
        length,
        width,
        lift,
        paint=petal_paint(rng, colours, count, veins=5),
        profile=oval(0.45, 0.75),
        bend=rng.normal(-0.3, 0.35, count),
        cup=rng.uniform(0.2, 0.9),
        radius=middle * 0.85,
        height=-0.04 * size * row,
        ruffle=0.05,
    )


def dandelion(rng, px, size, colours):
    """A head of strap florets; a third of the time the globe of seeds that it becomes."""
    if rng.random() < 0.3:
        return seed_head(rng, px, size)
    count = int(rng.integers(150, 240))
    t = sqrt(ranks(count))
    length = size * (0.45 + 0.45 * t)
    length = length * rng.uniform(0.85, 1.12, count)
    width = size * rng.uniform(0.024, 0.038)
    lift = pi / 2 * (1 - t * rng.uniform(0.9, 1.15))
    lift = lift + rng.normal(0, 0.12, count)

    def strap(u):
        end = np.where(u > 0.97, 0.7, 1.0)
        return (0.6 + 0.4 * u) * end

    florets = blades(
        px,
        azimuth=spiral(count),
        length=length,
        width=width,
        lift=lift,
        paint=petal_paint(rng, colours, count, veins=2),
        profile=strap,
        bend=rng.normal(-0.25, 0.25, count),
        cup=0.9,
        radius=0.16 * size * t,
        height=0.12 * size * (1 - t**2),
    )
    sepals = blades(
        px,
        azimuth=np.arange(16) * 2.4,
        length=size * rng.uniform(0.5, 0.75, 16),
        width=size * 0.06,
        lift=rng.uniform(-0.9, 0.2),
        paint=leaf_green(rng),
        profile=oval(0.3, 0.8),
        bend=rng.uniform(-1.5, 0.5),
        radius=0.1 * size,
        height=-0.08 * size,
    )
    return join([florets, sepals])


def seed_head(rng, px, size):
    """A ball of parachutes; some may have flown.

    From the core a seed, its stalk, and at its end a bunch of hairs, for every direction out.
    """
    out = sphere(int(rng.integers(70, 120)))
    if rng.random() < 0.35:
        windward = out @ rng.normal(size=3)
        out = out[windward < rng.uniform(0.0, 1.2)]
    if not len(out):
        out = np.array([[0.0, 0.0, 1.0]])
    grey = np.float32([0.86, 0.86, 0.82])
    grey = grey * rng.uniform(0.8, 1.05)
    hairs = parachutes(rng, px, size, out, grey)
    stalks = spokes(
        px,
        start=0.14 * size * out,
        stop=0.74 * size * out,
        thick=0.004 * size,
        colour=grey * 0.8,
    )
    seeds = spokes(
        px,
        start=0.10 * size * out,
        stop=0.26 * size * out,
        thick=0.012 * size,
        colour=(0.35, 0.24, 0.13),
    )
    core = ball(px, 0.11 * size, (0.55, 0.55, 0.35))
    return join([hairs, stalks, seeds, core])


def spokes(px, start, stop, thick, colour):
    """Straight bars, one from each row of `start` to the same row of `stop`."""
    paths = np.stack([start, stop], 1)
    return tubes(px, paths, thick, colour)


def parachutes(rng, px, size, out, grey):
    """Fourteen hairs for each direction out, spread like the ribs of an umbrella.

    A hair is a line of single points: at this size a tube would be too thick.
    """
    rays = 14
    axis = out[:, None]
    spread = rng.normal(size=(len(out), rays, 3))
    along_axis = (spread * axis).sum(-1, keepdims=True)
    spread -= along_axis * axis
    spread /= np.linalg.norm(spread, axis=-1, keepdims=True)
    root = 0.72 * size * axis
    tip = root + 0.25 * size * (spread + 0.75 * axis)
    # Shape (heads, rays, steps, 3) from here on.
    root = root[:, :, None]
    tip = tip[:, :, None]
    steps = int(0.35 * size * px)
    t = np.linspace(0, 1, max(4, steps), dtype=np.float32)
    t = t[:, None]
    points = np.float32(root * (1 - t) + tip * t)
    normals = np.broadcast_to(axis[:, :, None], points.shape)
    colours = np.broadcast_to(grey, points.shape)
    return Cloud(
        points.reshape(-1, 3),
        normals.reshape(-1, 3).astype(np.float32),
        colours.reshape(-1, 3),
    )


def rose(rng, px, size, colours):
    """Broad petals along a spiral, upright inside and laid back outside."""
    count = int(rng.integers(16, 34))
    t = ranks(count)
    openness = rng.uniform(0.15, 1.0)
    border = any_border(rng, 0.15)
    jitter = rng.normal(0, 0.1, count)

    def broad(u):
        rounded = clip(u * (1.9 - 0.9 * u), 0, 1)
        end = clip((1.001 - u) * 9, 0, 1)
        return sqrt(rounded) * end**0.35

    petals = blades(
        px,
        azimuth=spiral(count) + jitter,
        length=size * (0.55 + 0.45 * t),
        width=size * (0.16 + 0.42 * t),
        lift=1.35 - openness * 1.1 * t**1.5 + jitter,
        paint=petal_paint(rng, colours, count, veins=4, border=border),
        profile=broad,
        bend=0.75 - 0.95 * t * openness,
        curl=-(0.2 + 1.5 * t) * rng.uniform(0.5, 1.1),
        cup=1.9 - 1.0 * t,
        radius=size * (0.02 + 0.20 * t * (0.5 + openness)),
        height=size * 0.30 * (1 - t),
        ruffle=0.05,
    )
    sepals = blades(
        px,
        azimuth=np.arange(5) * 1.257,
        length=size * 0.6,
        width=size * 0.12,
        lift=rng.uniform(-0.8, 0.8),
        paint=leaf_green(rng),
        profile=oval(0.3, 0.9),
        bend=-0.8,
        radius=0.05 * size,
        height=-0.02 * size,
    )
    return join([petals, sepals])


def tulip(rng, px, size, colours):
    """A cup of three outer and three inner petals, closed more often than open."""
    closed = rng.uniform(0.0, 0.4)
    opened = rng.uniform(0.4, 1.0)
    openness = rng.choice([closed, opened], p=[0.7, 0.3])
    border = any_border(rng, 0.2)
    pointed = rng.uniform(0.4, 0.8)

    def whorl(inner):
        return blades(
            px,
            azimuth=around(3, offset=inner / 2) + rng.normal(0, 0.07, 3),
            length=size * rng.uniform(1.5, 1.75),
            width=size * (0.56 - 0.06 * inner),
            lift=0.25 + rng.normal(0, 0.05, 3),
            paint=petal_paint(rng, colours, 3, veins=9, border=border),
            profile=oval(0.5, pointed),
            bend=1.75 - 1.0 * openness + rng.normal(0, 0.08, 3),
            curl=0.3 - 1.2 * openness * rng.random(),
            cup=1.35 - 0.4 * openness,
            radius=size * (0.06 - 0.03 * inner),
            ruffle=0.02,
        )

    outer_petals = whorl(0)
    inner_petals = whorl(1)
    stamens = blades(
        px,
        azimuth=np.arange(6) * 1.05,
        length=size * 0.6,
        width=size * 0.03,
        lift=1.3,
        paint=(0.12, 0.08, 0.05),
        radius=0.08 * size,
    )
    upright = [
        [0, 0, 0],
        [0, 0, 0.6 * size],
    ]
    pistil = tubes(px, [upright], 0.06 * size, (0.55, 0.6, 0.2))
    return join([outer_petals, inner_petals, stamens, pistil])


FLOWERS = {
    "daisy": daisy,
    "dandelion": dandelion,
    "roses": rose,
    "sunflowers": sunflower,
    "tulips": tulip,
}


# ----------------------------------------------------------------------------- stems and leaves


def stem(rng, px, head, axis, size, thick):
    """From under the head down and out of the picture."""
    x, _, z = head
    x = x - 0.4 * axis[0] + rng.normal(0, 0.25)
    foot = np.array([x, -1.6, z - 0.3])
    bow = head - axis * max(0.5, 2 * size)
    path = [
        head - 0.05 * size * axis,
        bow,
        (bow + foot) / 2,
        foot,
    ]
    colour = leaf_green(rng) * 1.15
    return tubes(px, [path], thick, colour)


class Leaf(NamedTuple):
    """The leaves of a plant; some rise from the ground, others hang about."""

    outline: Callable
    length: float
    width: float
    from_ground: bool


LEAVES = {
    "daisy": Leaf(oval(0.75, 0.6), 0.7, 0.08, from_ground=True),
    "dandelion": Leaf(notched(0.45, 7, 0.7, 0.5), 1.0, 0.14, from_ground=True),
    "roses": Leaf(notched(0.07, 14), 0.6, 0.24, from_ground=False),
    "sunflowers": Leaf(notched(0.07, 14), 0.6, 0.24, from_ground=False),
    "tulips": Leaf(oval(0.35, 0.8), 1.5, 0.16, from_ground=True),
}


def foliage(rng, px, name, count):
    """Some leaves of one plant, each in a place of its own."""
    kind = LEAVES[name]
    colour = leaf_green(rng)
    return [leaf(rng, px, kind, colour) for _ in range(count)]


def leaf(rng, px, kind, colour):
    """One leaf, as it is drawn by itself and then put in its place."""
    grown = rng.uniform(0.6, 1.3)
    flat = blades(
        px,
        azimuth=[rng.uniform(0, 2 * pi)],
        length=kind.length * grown,
        width=kind.width * grown,
        lift=rng.uniform(0.2, 1.3),
        paint=leaf_paint(rng, colour),
        profile=kind.outline,
        bend=rng.uniform(-1.4, 0.2),
        cup=rng.uniform(0.3, 1.2),
        ruffle=0.04,
    )
    if kind.from_ground:
        lean = rng.normal(0, 0.3)
        to_eye = rng.normal(0.2, 0.3)
        axis = (lean, 1, to_eye)
        y = rng.uniform(-1.4, -0.7)
    else:
        axis = (rng.normal(), rng.normal(), rng.normal(1))
        y = rng.uniform(-1.1, 0.6)
    x = rng.uniform(-1.1, 1.1)
    z = rng.uniform(-1.2, -0.4)
    return flat.placed(facing(axis), (x, y, z))


# --------------------------------------------------------------------------------- the pictures


def draw(label: int, rng: Rng) -> Array:
    """Draw one photograph-like picture of a class: uint8 of shape (192, 192, 3).

    In turn: the light, the blooms with their stems and leaves, the ground with grass and leaves
    out of focus, the blooms over it, at times grass in front, and what the camera adds.
    """
    name = CLASSES[label]
    px = CANVAS / 2
    light = daylight(rng)
    plants = blooms(rng, px, name)
    leaves = int(rng.integers(0, 5))
    plants += foliage(rng, px, name, leaves)
    picture = doubled(ground(rng, light))
    picture = picture * rng.uniform(0.5, 0.75)
    layer = render(join(plants), CANVAS, light)
    picture = stack(picture, layer, rng.choice([0.0, 0.8]))
    if rng.random() < 0.25:
        count = int(rng.integers(2, 6))
        in_front = grass(rng, px, count, front=1.5)
        layer = render(in_front, CANVAS, light)
        picture = stack(picture, layer, rng.uniform(1, 5))
    return develop(rng, picture)


def ground(rng: Rng, light: Light) -> Array:
    """What lies far behind is out of focus: half the resolution is enough."""
    px = SIZE / 2
    picture = backdrop(rng, SIZE)
    if rng.random() < 0.6:
        count = int(rng.integers(10, 40))
        behind = grass(rng, px, count)
        layer = render(behind, SIZE, light)
        picture = stack(picture, layer, rng.uniform(1, 3.5))
    if rng.random() < 0.4:
        name = CLASSES[rng.integers(5)]
        behind = join(foliage(rng, px, name, 4))
        layer = render(behind, SIZE, light)
        picture = stack(picture, layer, rng.uniform(1.5, 4.5))
    return picture


def blooms(rng: Rng, px: float, name: str) -> list[Cloud]:
    """The heads of one picture and then their stems: one near by, a few, or many far off."""
    few = int(rng.integers(2, 4))
    many = int(rng.integers(5, 9))
    views = [
        (1, 0.72, 1.0),
        (few, 0.4, 0.6),
        (many, 0.22, 0.3),
    ]
    view = rng.choice(3, p=[0.72, 0.21, 0.07])
    count, smallest, largest = views[view]
    colours = petal_colours(rng, name, count)
    heads = []
    stems = []
    places = []
    for _ in range(count):
        size = rng.uniform(smallest, largest)
        if name == "tulips":
            size = size * 0.72
        place = free_place(rng, places, alone=count == 1)
        places.append(place)
        axis, centre = pose(rng, name, place, size)
        own_colours = colours[rng.integers(len(colours))]
        draw_head = FLOWERS[name]
        head = draw_head(rng, px, size, own_colours)
        turn = facing(axis, spin=rng.uniform(0, 2 * pi))
        heads.append(head.placed(turn, centre))
        thick = 0.016 + 0.045 * size * rng.uniform(0.6, 1.3)
        below = stem(rng, px, centre, axis, size, thick)
        stems.append(below)
    return heads + stems


def petal_colours(rng: Rng, name: str, count: int) -> list:
    """One pair of petal colours for a picture of `count` blooms, at times two."""
    kinds = 1
    if count > 1 and rng.random() < 0.4:
        kinds = 2
    chosen = rng.choice(list(COLOURS), kinds, p=WEIGHTS[name])
    return [COLOURS[colour] for colour in chosen]


def free_place(rng: Rng, places: list, alone: bool) -> Array:
    """Of twelve places in the picture the one farthest from those taken, as (x, y)."""
    spots = rng.uniform(-0.85, 0.85, (12, 2))
    if alone:
        spots = spots * 0.3
    gaps = []
    for spot in spots:
        distances = [np.hypot(*(spot - place)) for place in places]
        gap = min(distances, default=1)
        gaps.append(gap)
    return spots[np.argmax(gaps)]


def pose(rng: Rng, name: str, place: Array, size: float) -> tuple[Array, Array]:
    """The axis of a bloom and where its centre stands.

    Most look at the eye; tulips, and now and then another, are seen from the side.
    """
    x, y = place
    sideways = {"tulips": 0.85, "roses": 0.2}.get(name, 0.15)
    if rng.random() < sideways:
        lean = rng.normal(0, 0.35)
        to_eye = rng.uniform(0.0, 0.7)
        axis = np.array([lean, 1.0, to_eye])
        lower = 0.8 if name == "tulips" else 0.2
        y = y - size * lower
    else:
        lean = rng.normal(0, 0.35)
        up = rng.normal(0.25, 0.3)
        axis = np.array([lean, up, 1.0])
    axis = axis / np.linalg.norm(axis)
    z = rng.uniform(-0.3, 0.2)
    return axis, np.array([x, y, z])


# ------------------------------------------------------------------------------------ the files


def generator(split: str, number: int) -> Rng:
    """The source of chance for one picture, or, with their count, for the order of all."""
    return np.random.default_rng([*split.encode(), number])


def labels(split: str) -> Array:
    """The class of every picture of a split, balanced and in no order.

    Of the test split this is the only answer sheet.
    """
    count = COUNTS[split]
    classes = np.arange(count) % len(CLASSES)
    return generator(split, count).permutation(classes)


def picture(split: str, index: int) -> Array:
    """One picture of a split, uint8 (192, 192, 3)."""
    label = labels(split)[index]
    return draw(label, generator(split, index))


def jpeg(pixels: Array) -> bytes:
    """JPEG bytes of a picture."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=68)
    return buffer.getvalue()


def identity(split: str, index: int) -> str:
    """An id that tells neither class nor order."""
    name = f"{split}/{index}"
    return hashlib.blake2s(name.encode(), digest_size=5).hexdigest()


def example(split: str, index: int, image: bytes) -> bytes:
    """One serialised record: image and id, and class unless it is the test split."""
    import tensorflow as tf

    def text(value):
        values = tf.train.BytesList(value=[value])
        return tf.train.Feature(bytes_list=values)

    def number(value):
        values = tf.train.Int64List(value=[value])
        return tf.train.Feature(int64_list=values)

    features = {
        "image": text(image),
        "id": text(identity(split, index).encode()),
    }
    if split != "test":
        label = int(labels(split)[index])
        features["class"] = number(label)
    features = tf.train.Features(feature=features)
    record = tf.train.Example(features=features)
    return record.SerializeToString(deterministic=True)


def write_shards(folder: Path, split: str, images: list[bytes]) -> None:
    """Write the records of a split into `folder`, in place of those that are there."""
    import tensorflow as tf

    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.tfrec"):
        old.unlink()
    every_index = np.arange(len(images))
    shards = np.array_split(every_index, SHARDS[split])
    for number, indices in enumerate(shards):
        name = f"{number:02d}-{SIZE}x{SIZE}-{len(indices)}.tfrec"
        path = str(folder / name)
        with tf.io.TFRecordWriter(path) as writer:
            for index in indices.tolist():
                record = example(split, index, images[index])
                writer.write(record)


def _encoded(split: str, index: int) -> bytes:
    return jpeg(picture(split, index))


def main(folder: Path = FOLDER) -> None:
    """Draw every split into `folder`."""
    # All pictures first: a forked process must not inherit the threads of TensorFlow.
    images = {}
    with ProcessPoolExecutor() as pool:
        for split, count in COUNTS.items():
            encode = functools.partial(_encoded, split)
            drawn = pool.map(encode, range(count), chunksize=4)
            images[split] = list(drawn)

    records = folder / f"tfrecords-jpeg-{SIZE}x{SIZE}"
    for split, count in COUNTS.items():
        write_shards(records / split, split, images[split])
        print(f"{split}: {count} pictures")
    names = json.dumps(CLASSES) + "\n"
    (folder / "classes.json").write_text(names)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=FOLDER,
        help="where to write (default: %(default)s)",
    )
    main(parser.parse_args().folder)
