"""Drawn things for the pretext task of the backbone, and not one flower among them.

Leaves, shells, tools and beasts: a function for each, which draws it in the middle of space.
Each takes a random generator; the order of its draws is part of the task.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from drawing import (
    Cloud,
    about_axis,
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
from numpy import pi

SIZE = 72
CANVAS = 2 * SIZE
PX = CANVAS / 2
UP = (0, 1, 0)
INK = (0.04, 0.04, 0.04)


# ----------------------------------------------------------------------- what the things are of


def circle(count: int) -> np.ndarray:
    """Points of the unit circle, shape (count, 3)."""
    return about_axis(1, around(count), 0)


def tone(rng):
    """Any colour."""
    return rng.uniform(0.05, 0.92, 3)


def paint_of(rng) -> Callable:
    """Colour and pattern of any thing at all, so that neither tells which thing it is."""
    one, two = rng.uniform(0.02, 0.95, (2, 3)) ** 1.3
    pattern = rng.integers(4)
    often = rng.uniform(3, 12)

    def paint(u, v):
        u, v = np.broadcast_arrays(u, v)
        if pattern == 0:
            amount = 0.3 * u
        elif pattern == 1:
            amount = u
        elif pattern == 2:
            stripes = np.sin(often * u * pi) > 0
            amount = 0.8 * stripes
        else:
            spots = np.sin(often * u * 3) * np.sin(often * v * 2) > 0.4
            amount = 0.8 * spots
        return mix(one, two, amount)

    return paint


def turned(rng, radii: list[float], heights: list[float]) -> Cloud:
    """A thing of the potter's wheel from a few knots of its outline."""
    knots = np.linspace(0, 1, len(radii))

    def radius(t):
        return np.interp(t, knots, radii)

    def height(t):
        return np.interp(t, knots, heights)

    return revolve(PX, radius, height, paint_of(rng), size=0.6)


def ring(rng, count, **shape) -> Cloud:
    """Equal blades in a circle; `shape` goes to `blades`."""
    return blades(PX, around(count), paint=paint_of(rng), **shape)


def tube(path, radius, colour) -> Cloud:
    """One round bar along a few knots."""
    return tubes(PX, [path], radius, colour)


def small_ball(rng, size, shift=(0, 0, 0), stretch=1.0) -> Cloud:
    """A ball of any paint, put somewhere."""
    return ball(PX, size, paint_of(rng), stretch).placed(shift=shift)


def blunt(power: float) -> Callable:
    """Outline of a blade that is widest near its round end."""

    def outline(u):
        end = np.clip((1.001 - u) * 5, 0, 1)
        return np.sqrt(u) * end**power

    return outline


# -------------------------------------------------------------------------- flat round things


def star(rng):
    points = int(rng.integers(4, 7))
    return ring(
        rng,
        points,
        length=0.8,
        width=1.0 / points,
        lift=rng.uniform(-0.1, 0.3),
        profile=lambda u: 1 - u,
        cup=-0.6,
    )


def starfish(rng):
    tips = circle(5) * 0.75
    elbows = tips * 0.5 + rng.normal(0, 0.1, (5, 3))
    ends = tips + rng.normal(0, 0.15, (5, 3))
    paths = np.stack([0 * tips, elbows, ends], 1)
    thick = rng.uniform(0.09, 0.15)
    arms = tubes(PX, paths, thick, tone(rng))
    middle = small_ball(rng, 0.2, stretch=0.5)
    return join([arms, middle])


def gear(rng):
    count = int(rng.integers(8, 16))
    disc = turned(
        rng,
        radii=[0.3, 0.9, 0.95, 0.9, 0.3],
        heights=[0.15, 0.15, 0, -0.15, -0.15],
    )
    teeth = ring(
        rng,
        count,
        length=0.2,
        width=0.6 / count,
        lift=0,
        profile=lambda u: 1 - 0.3 * u,
        cup=0.01,
        radius=0.5,
    )
    return join([disc, teeth])


def pinwheel(rng):
    count = int(rng.integers(3, 6))
    vanes = ring(
        rng,
        count,
        length=0.7,
        width=0.26,
        lift=0.5,
        profile=oval(0.7, 0.3),
        bend=-1.0,
        cup=2.0,
    )
    stick = [
        [0, 0, 0],
        [0, -1.5, -0.2],
    ]
    return join([vanes, tube(stick, 0.03, tone(rng))])


# -------------------------------------------------------------------------- leaves and plants


def single_leaf(rng):
    depth = rng.uniform(0, 0.25)
    outline = notched(depth, 12, fullest=rng.uniform(0.3, 0.6))
    leaf = blades(
        PX,
        azimuth=[0],
        length=1.4,
        width=rng.uniform(0.2, 0.5),
        bend=rng.uniform(-0.8, 0.8),
        lift=0.2,
        paint=paint_of(rng),
        profile=outline,
        cup=0.5,
    )
    return leaf.placed(shift=(-0.7, 0, 0))


def fern(rng):
    pairs = int(rng.integers(9, 16))
    paint = paint_of(rng)
    lean = rng.uniform(0.9, 1.2)
    along = (np.arange(pairs) + 2) / (pairs + 2)
    lengths = 0.08 + 0.5 * np.sin(along * pi)
    places = np.linspace(-0.75, 0.7, pairs)
    parts = []
    for length, x in zip(lengths, places, strict=True):
        pair = blades(PX, [lean, -lean], length, 0.05, 0.1, paint)
        parts.append(pair.placed(shift=(x, 0, 0)))
    rib = [
        [-0.9, 0, 0],
        [0, 0, 0.1],
        [0.8, 0, 0],
    ]
    return join([*parts, tube(rib, 0.02, tone(rng))])


def clover(rng):
    return ring(
        rng,
        count=int(rng.integers(3, 5)),
        length=0.6,
        width=0.33,
        lift=rng.uniform(-0.1, 0.6),
        profile=blunt(0.5),
        cup=-0.7,
        radius=0.02,
    )


def maple_leaf(rng):
    length = np.array([0.45, 0.7, 0.85, 0.7, 0.45])
    return blades(
        PX,
        azimuth=[-1.9, -1.0, 0, 1.0, 1.9],
        length=length,
        width=length * 0.33,
        lift=0,
        paint=paint_of(rng),
        profile=notched(0.3, 5, 0.35, 1.0),
    )


def cabbage(rng):
    count = int(rng.integers(9, 16))
    t = ranks(count)
    return blades(
        PX,
        azimuth=spiral(count),
        length=0.5 + 0.4 * t,
        width=0.25 + 0.3 * t,
        lift=1.2 - 0.9 * t,
        paint=paint_of(rng),
        profile=blunt(0.4),
        bend=0.8 - 0.5 * t,
        cup=1.3,
        radius=0.1 * t,
        height=0.1 * (1 - t),
        ruffle=0.12,
    )


def agave(rng):
    count = int(rng.integers(14, 40))
    t = ranks(count)
    return blades(
        PX,
        azimuth=spiral(count),
        length=0.25 + 0.6 * t,
        width=0.07 + 0.08 * t,
        lift=1.4 - 1.2 * t,
        paint=paint_of(rng),
        profile=lambda u: (1 - u) ** 0.6 * (0.6 + u),
        bend=rng.uniform(-0.2, 0.5),
        cup=1.5,
        height=0.2 * (1 - t),
    )


def pine_cone(rng):
    t = ranks(60)
    belly = np.sin(pi * (0.15 + 0.85 * t)) ** 0.8
    return blades(
        PX,
        azimuth=spiral(60),
        length=0.28,
        width=0.13,
        lift=0.5 - 0.3 * t,
        paint=paint_of(rng),
        profile=np.sqrt,
        bend=0.7,
        cup=0.8,
        radius=0.3 * belly,
        height=0.7 - 1.4 * t,
    )


def palm(rng):
    fronds = ring(
        rng,
        count=int(rng.integers(6, 11)),
        length=0.75,
        width=0.1,
        lift=0.7,
        profile=notched(0.6, 9),
        bend=-2,
    )
    trunk = [
        [0, 0, 0],
        [0.1, 0.1, -0.8],
        [0, 0, -1.8],
    ]
    return join([fronds, tube(trunk, 0.06, tone(rng))])


def cactus(rng):
    ribs = ring(
        rng,
        count=10,
        length=1.2,
        width=0.05,
        lift=1.57,
        profile=lambda u: np.sin(pi * u),
        cup=0.01,
        radius=0.45,
        height=-0.6,
    )
    elbow = [
        [0.4, 0, 0],
        [0.8, 0, 0],
        [0.75, 0, 0.6],
    ]
    arm = tube(elbow, 0.13, tone(rng))
    paint = paint_of(rng)
    body = ball(PX, 0.45, paint, stretch=rng.uniform(1, 1.7))
    return join([body, ribs, arm])


def mushroom(rng):
    cap = turned(
        rng,
        radii=[0, 0.6, 1.0, 1.05, 0.3],
        heights=[0.5, 0.42, 0.1, -0.05, 0.0],
    )
    stalk = [
        [0, 0, 0.1],
        [0.05, 0, -0.4],
        [0, 0, -0.9],
    ]
    thick = rng.uniform(0.08, 0.2)
    return join([cap, tube(stalk, thick, tone(rng))])


def apple(rng):
    body = turned(
        rng,
        radii=[0, 0.5, 0.95, 1.0, 0.7, 0.3, 0],
        heights=[0.65, 0.85, 0.6, 0, -0.6, -0.85, -0.75],
    )
    stalk = [
        [0, 0, 0.35],
        [0.05, 0, 0.55],
        [0.15, 0, 0.7],
    ]
    return join([body, tube(stalk, 0.03, (0.2, 0.12, 0.05))])


def carrot(rng):
    root = turned(
        rng,
        radii=[0, 0.42, 0.4, 0.25, 0.08, 0],
        heights=[0.8, 0.75, 0.3, -0.4, -1.2, -1.4],
    )
    leaves = blades(
        PX,
        azimuth=around(7),
        length=0.6,
        width=0.05,
        lift=1.2,
        paint=leaf_green(rng),
        bend=-0.6,
        height=0.45,
    )
    return join([root, leaves])


def corn_cob(rng):
    t = np.arange(150) / 150
    belly = np.sin(pi * (0.1 + 0.85 * t))
    grains = blades(
        PX,
        azimuth=spiral(150),
        length=0.12,
        width=0.07,
        lift=0.2,
        paint=paint_of(rng),
        profile=lambda u: np.sqrt(1 - u**3),
        bend=1.0,
        cup=1.6,
        radius=0.2 * np.sqrt(belly),
        height=0.8 - 1.5 * t,
    )
    husk = blades(
        PX,
        azimuth=around(5),
        length=0.9,
        width=0.2,
        lift=1.2,
        paint=leaf_green(rng),
        profile=oval(0.4, 0.8),
        bend=0.2,
        radius=0.15,
        height=-0.8,
    )
    return join([grains, husk])


# ------------------------------------------------------------------------------------- beasts


def jellyfish(rng):
    rim = 0.35 * circle(12)
    knots = [rim]
    for k in (1, 2, 3):
        deeper = rim - [0, 0, 0.35 * k]
        knots.append(deeper + rng.normal(0, 0.12, (12, 3)))
    bell = turned(
        rng,
        radii=[0, 0.5, 0.85, 0.95],
        heights=[0.8, 0.7, 0.35, -0.1],
    )
    arms = tubes(PX, np.stack(knots, 1), 0.02, tone(rng))
    return join([bell, arms])


def octopus(rng):
    out = circle(8)
    knots = [
        0.1 * out,
        0.5 * out - [0, 0, 0.2],
        0.7 * out - [0, 0, 0.5],
        0.9 * out,
    ]
    paths = np.stack(knots, 1)
    head = small_ball(rng, 0.32, (0, 0, 0.25), stretch=1.2)
    paths = paths + rng.normal(0, 0.12, paths.shape)
    arms = tubes(PX, paths, 0.06, tone(rng))
    return join([arms, head])


def fish(rng):
    paint = paint_of(rng)
    body = ball(PX, 0.3, paint, stretch=rng.uniform(1.6, 2.4))
    tail = blades(
        PX,
        azimuth=[0, pi],
        length=0.4,
        width=0.16,
        lift=-0.9,
        paint=paint_of(rng),
        profile=lambda u: 0.2 + u,
        cup=0.1,
        height=-0.5,
    )
    fin = blades(
        PX,
        azimuth=[0],
        length=0.35,
        width=0.25,
        lift=0.4,
        paint=paint_of(rng),
        radius=0.2,
    )
    eye = ball(PX, 0.06, (0.02, 0.02, 0.02)).placed(shift=(0.1, 0.22, 0.4))
    swimming = facing((1, 0, 0))
    return join([body, tail, fin, eye]).placed(swimming)


def butterfly(rng):
    fold = rng.normal(0, 0.08) * np.array([1, -1, -1, 1])
    wings = blades(
        PX,
        azimuth=np.array([0.6, -0.6, 2.54, -2.54]) + fold,
        length=[0.8, 0.6, 0.8, 0.6],
        width=[0.33, 0.3, 0.33, 0.3],
        lift=rng.uniform(0, 0.7),
        paint=paint_of(rng),
        profile=oval(0.65, 0.35),
        cup=0.2,
    )
    feelers = []
    for side in (-1, 1):
        feeler = [
            [0, 0.4, 0],
            [0.1, 0.6, 0.1],
            [side * 0.25, 0.75, 0.1],
        ]
        feelers.append(feeler)
    spine = [
        [0, -0.45, 0.03],
        [0, 0, 0.06],
        [0, 0.45, 0.03],
    ]
    body = tube(spine, 0.05, (0.06, 0.04, 0.03))
    feelers = tubes(PX, feelers, 0.015, (0.05, 0.04, 0.03))
    return join([wings, body, feelers])


def dragonfly(rng):
    wings = blades(
        PX,
        azimuth=[0.25, -0.25, 2.9, -2.9],
        length=0.8,
        width=0.09,
        lift=0.1,
        paint=paint_of(rng),
        profile=oval(0.7, 0.3),
        cup=0.1,
    )
    spine = [
        [0, 0.35, 0],
        [0, 0, 0.05],
        [0.1, -0.9, 0],
    ]
    body = tube(spine, 0.045, tone(rng))
    head = small_ball(rng, 0.1, (0, 0.38, 0))
    return join([wings, body, head])


def beetle(rng):
    legs = []
    for side in (-1, 1):
        for y in (-0.35, 0, 0.3):
            leg = [
                [side * 0.2, y, 0],
                [side * 0.55, y + 0.1, 0.15],
                [side * 0.7, y + rng.normal(0, 0.15), -0.2],
            ]
            legs.append(leg)
    wings = ball(PX, 0.42, paint_of(rng), stretch=1.3).placed(facing(UP))
    head = ball(PX, 0.2, (0.05, 0.05, 0.05)).placed(shift=(0, 0.55, 0))
    return join([wings, head, tubes(PX, legs, 0.03, INK)])


def shell(rng):
    """Sixty balls along a spiral, each larger than the one before."""
    t = np.linspace(0, 1, 60)
    out = 0.55 * t**1.2 + 0.02
    turns = rng.uniform(2.2, 3.6)
    centres = about_axis(out, 2 * pi * turns * t, -0.3 * t)
    colours = np.linspace(tone(rng), tone(rng), 60)
    sizes = 0.05 + 0.22 * t
    balls = []
    for size, colour, centre in zip(sizes, colours, centres, strict=True):
        balls.append(ball(PX, size, colour).placed(shift=centre))
    return join(balls)


def urchin(rng):
    count = int(rng.integers(60, 110))
    out = sphere(count)
    ends = out * rng.uniform(0.6, 0.85)
    spikes = tubes(PX, np.stack([0.3 * out, ends], 1), 0.02, tone(rng))
    body = small_ball(rng, 0.4, stretch=0.85)
    return join([spikes, body])


def coral(rng):
    """Three stems that fork three times."""
    ends = [np.array([0, 0, -0.6])] * 3
    bars = []
    for level in range(4):
        length = 0.45 * 0.8**level
        tips = [end + length * rng.normal((0, 0, 1), 0.6) for end in ends]
        bars += zip(ends, tips, strict=True)
        ends = [tip for tip in tips for _ in range(2)]
    thick = rng.uniform(0.03, 0.06)
    return tubes(PX, np.array(bars), thick, tone(rng))


# ------------------------------------------------------------------------- what people make


def umbrella(rng):
    roof = ring(
        rng,
        count=8,
        length=0.85,
        width=0.34,
        lift=0.1,
        profile=lambda u: u,
        bend=-1.0,
        cup=0.5,
        height=0.3,
    )
    handle = [
        [0, 0, 0.4],
        [0, 0, -0.9],
        [0.25, 0, -1.1],
        [0.25, 0, -0.8],
    ]
    return join([roof, tube(handle, 0.03, (0.2, 0.1, 0.05))])


def goblet(rng):
    w = rng.uniform(0.5, 0.9)
    return turned(
        rng,
        radii=[0.95 * w, w, 0.75 * w, 0.12, 0.1, 0.1, 0.6],
        heights=[1.3, 0.8, 0.3, 0, -0.4, -0.9, -1.0],
    )


def vase(rng):
    return turned(
        rng,
        radii=[*rng.uniform(0.2, 0.9, 5), 0],
        heights=[1.2, 0.8, 0.1, -0.6, -1.1, -1.1],
    )


def wheel(rng):
    ends = circle(int(rng.integers(8, 24))) * 0.7
    rim = turned(
        rng,
        radii=[1.1, 1.2, 1.3, 1.2, 1.1],
        heights=[0, 0.12, 0, -0.12, 0],
    )
    spokes = tubes(PX, np.stack([0 * ends, ends], 1), 0.02, tone(rng))
    hub = small_ball(rng, 0.12)
    return join([rim, spokes, hub])


def snowflake(rng):
    """Six bars, and on each some pairs of twigs parallel to its neighbours."""
    count = int(rng.integers(2, 5))
    ends = circle(6)
    bars = [[0 * end, end] for end in ends]
    for place in 0.3 + 0.6 * np.arange(count) / count:
        for side in (-1, 1):
            neighbours = np.roll(ends, side, 0)
            roots = place * ends
            twigs = np.stack([roots, roots + 0.25 * neighbours], 1)
            bars.extend(twigs)
    return tubes(PX, np.array(bars) * 0.85, 0.03, tone(rng))


def shuttlecock(rng):
    feathers = ring(
        rng,
        count=int(rng.integers(10, 17)),
        length=1.0,
        width=0.13,
        lift=1.2,
        profile=oval(0.75, 0.3),
        bend=0.1,
        radius=0.1,
    )
    cork = small_ball(rng, 0.17)
    return join([feathers, cork])


# The order is that of the classes.
THINGS = (
    star,
    starfish,
    gear,
    pinwheel,
    single_leaf,
    fern,
    clover,
    maple_leaf,
    cabbage,
    agave,
    pine_cone,
    palm,
    cactus,
    mushroom,
    apple,
    carrot,
    jellyfish,
    octopus,
    fish,
    butterfly,
    dragonfly,
    beetle,
    shell,
    urchin,
    umbrella,
    goblet,
    vase,
    wheel,
    snowflake,
    coral,
    shuttlecock,
    corn_cob,
)
UPRIGHT = (
    palm,
    cactus,
    mushroom,
    carrot,
    jellyfish,
    umbrella,
    goblet,
    vase,
    coral,
    shuttlecock,
    corn_cob,
    pine_cone,
)


# -------------------------------------------------------------------------------- the pictures


def draw(label: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one picture of a thing in the open, uint8 of shape (72, 72, 3)."""
    light = daylight(rng)

    def lay(picture, cloud, blur):
        """Lay a cloud over the picture; `blur` is drawn after it."""
        return stack(picture, render(cloud, CANVAS, light), blur)

    make = THINGS[label]
    count = rng.choice([1, 2, 4], p=[0.76, 0.18, 0.06])
    shapes = [placed_thing(rng, make, count) for _ in range(count)]
    # Stalks and leaves beside every kind of thing, so that they tell nothing.
    if rng.random() < 0.5:
        shapes.append(stalks(rng))
    if rng.random() < 0.4:
        shapes.append(leaves_below(rng))

    picture = doubled(backdrop(rng, SIZE)) * rng.uniform(0.5, 0.85)
    if rng.random() < 0.5:
        picture = lay(picture, grass(rng, PX, 15), rng.uniform(1, 4))
    picture = lay(picture, join(shapes), rng.choice([0.0, 0.6]))
    if rng.random() < 0.3:
        picture = lay(picture, grass(rng, PX, 5, front=1.5), rng.uniform(1, 3))
    return develop(rng, picture)


def placed_thing(rng: np.random.Generator, make: Callable, count: int) -> Cloud:
    """One of `count` things in a picture: the more, the smaller and the farther apart."""
    axis = (rng.normal(0, 0.45), rng.normal(0.2, 0.45), 1.0)
    if make in UPRIGHT and rng.random() < 0.8:
        axis = (rng.normal(0, 0.4), 1.0, rng.normal(0.3, 0.4))
    turn = facing(axis, spin=rng.uniform(0, 2 * pi))
    size = rng.uniform(0.8, 1.25) / count**0.5
    thing = make(rng)
    spread = 0.5 + count / 4
    shift = rng.uniform(-1, 1, 3) * [0.6, 0.6, 0.2] * spread
    return thing.placed(turn, shift, size)


def stalks(rng: np.random.Generator) -> Cloud:
    """A few bent stalks that come from below."""
    upright = [
        [0, 0.3, -0.6],
        [0, -0.5, -0.6],
        [0, -1.3, -0.6],
    ]
    count = int(rng.integers(1, 5))
    paths = rng.normal(0, 0.7, (count, 3, 3)) + np.array(upright)
    thick = rng.uniform(0.01, 0.05)
    return tubes(PX, paths, thick, leaf_green(rng))


def leaves_below(rng: np.random.Generator) -> Cloud:
    """Three leaves from one root near the ground."""
    leaves = blades(
        PX,
        azimuth=rng.uniform(0, 6.3, 3),
        length=rng.uniform(0.4, 1.2),
        width=0.2,
        lift=rng.uniform(0.1, 1.0),
        paint=leaf_green(rng),
        cup=0.6,
    )
    x = rng.uniform(-1, 1)
    y = rng.uniform(-1.2, 0)
    return leaves.placed(facing((0, 1, 0.3)), (x, y, -0.7))
