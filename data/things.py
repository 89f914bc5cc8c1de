"""Drawn things for the pretext task of the backbone: leaves, shells, tools and beasts, and not one flower."""

from __future__ import annotations

from collections.abc import Callable

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

SIZE = 72
CANVAS = 2 * SIZE
PX = CANVAS / 2
UP = (0, 1, 0)
Rng = np.random.Generator


def around(count: int) -> np.ndarray:
    """Azimuths of `count` parts in a circle."""
    return np.arange(count) * 2 * np.pi / count


def circle(count: int) -> np.ndarray:
    """Points of the unit circle."""
    return np.stack([np.cos(around(count)), np.sin(around(count)), 0 * around(count)], 1)


def tone(rng: Rng) -> np.ndarray:
    """Any colour."""
    return rng.uniform(0.05, 0.92, 3)


def paint_of(rng: Rng) -> Callable:
    """Colour and pattern of any thing at all, so that neither tells which thing it is."""
    one, two = rng.uniform(0.02, 0.95, (2, 3)) ** 1.3
    kind, often = rng.integers(4), rng.uniform(3, 12)

    def paint(u, v, blade=0):
        u, v = u + 0 * v, v + 0 * u
        stripes, spots = (
            np.sin(often * u * np.pi) > 0,
            np.sin(often * u * 3) * np.sin(often * v * 2) > 0.4,
        )
        colour = mix(one, two, [0.3 * u, u, 0.8 * stripes, 0.8 * spots][kind])
        return colour[None] if np.ndim(blade) else colour

    return paint


def turned(rng: Rng, radii: list[float], heights: list[float]) -> Cloud:
    """A thing of the potter's wheel from a few knots of its outline."""
    knots = np.linspace(0, 1, len(radii))
    return revolve(
        PX,
        lambda t: np.interp(t, knots, radii),
        lambda t: np.interp(t, knots, heights),
        paint_of(rng),
        0.6,
    )


def ring(
    rng: Rng,
    count: int,
    length: float,
    width: float,
    lift: float,
    profile: Callable = oval,
    **more,
) -> Cloud:
    """Equal blades in a circle."""
    return blades(PX, around(count), length, width, lift, paint_of(rng), profile, **more)


def tube(path: list, radius: float, colour: np.ndarray | tuple) -> Cloud:
    """One round bar."""
    return tubes(PX, [path], radius, colour)


def notched(depth: float, teeth: int, fullest: float = 0.4, tip: float = 0.8) -> Callable:
    """Outline of a leaf with teeth."""
    return lambda u: oval(u, fullest, tip) * (1 - depth + depth * (teeth * u % 1))


def blunt(power: float) -> Callable:
    """Outline of a blade that is widest near its round end."""
    return lambda u: np.sqrt(u) * np.clip((1.001 - u) * 5, 0, 1) ** power


# fmt: off
def star(rng):
    n = int(rng.integers(4, 7))
    return ring(rng, n, 0.8, 1.0 / n, rng.uniform(-0.1, 0.3), lambda u: 1 - u, cup=-0.6)


def starfish(rng):
    tips = circle(5) * 0.75
    arms = np.stack([0 * tips, tips * 0.5 + rng.normal(0, 0.1, (5, 3)), tips + rng.normal(0, 0.15, (5, 3))], 1)
    return join([tubes(PX, arms, rng.uniform(0.09, 0.15), tone(rng)), ball(PX, 0.2, paint_of(rng), 0.5)])


def gear(rng):
    teeth = int(rng.integers(8, 16))
    disc = turned(rng, [0.3, 0.9, 0.95, 0.9, 0.3], [0.15, 0.15, 0, -0.15, -0.15])
    return join([disc, ring(rng, teeth, 0.2, 0.6 / teeth, 0, lambda u: 1 - 0.3 * u, cup=0.01, radius=0.5)])


def pinwheel(rng):
    vanes = ring(rng, int(rng.integers(3, 6)), 0.7, 0.26, 0.5, lambda u: oval(u, 0.7, 0.3), bend=-1.0, cup=2.0)
    return join([vanes, tube([[0, 0, 0], [0, -1.5, -0.2]], 0.03, tone(rng))])


def single_leaf(rng):
    outline = notched(rng.uniform(0, 0.25), 12, rng.uniform(0.3, 0.6))
    width, bend = rng.uniform(0.2, 0.5), rng.uniform(-0.8, 0.8)
    leaf = blades(PX, [0], 1.4, width, 0.2, paint_of(rng), outline, bend=bend, cup=0.5)
    return leaf.placed(shift=(-0.7, 0, 0))


def fern(rng):
    n = int(rng.integers(9, 16))
    paint, lean = paint_of(rng), rng.uniform(0.9, 1.2)
    long = 0.08 + 0.5 * np.sin((np.arange(n) + 2) / (n + 2) * np.pi)
    leaflets = [blades(PX, [lean, -lean], long[i], 0.05, 0.1, paint).placed(shift=(x, 0, 0))
                for i, x in enumerate(np.linspace(-0.75, 0.7, n))]
    return join([*leaflets, tube([[-0.9, 0, 0], [0, 0, 0.1], [0.8, 0, 0]], 0.02, tone(rng))])


def clover(rng):
    return ring(rng, int(rng.integers(3, 5)), 0.6, 0.33, rng.uniform(-0.1, 0.6), blunt(0.5), cup=-0.7, radius=0.02)


def maple_leaf(rng):
    long = np.array([0.45, 0.7, 0.85, 0.7, 0.45])
    return blades(PX, [-1.9, -1.0, 0, 1.0, 1.9], long, long * 0.33, 0, paint_of(rng), notched(0.3, 5, 0.35, 1.0))


def cabbage(rng):
    n = int(rng.integers(9, 16))
    t = (np.arange(n) + 0.5) / n
    return blades(PX, np.arange(n) * GOLDEN_ANGLE, 0.5 + 0.4 * t, 0.25 + 0.3 * t, 1.2 - 0.9 * t, paint_of(rng),
                  blunt(0.4), bend=0.8 - 0.5 * t, cup=1.3, radius=0.1 * t, height=0.1 * (1 - t), ruffle=0.12)


def agave(rng):
    n = int(rng.integers(14, 40))
    t = (np.arange(n) + 0.5) / n
    return blades(PX, np.arange(n) * GOLDEN_ANGLE, 0.25 + 0.6 * t, 0.07 + 0.08 * t, 1.4 - 1.2 * t, paint_of(rng),
                  lambda u: (1 - u) ** 0.6 * (0.6 + u), bend=rng.uniform(-0.2, 0.5), cup=1.5, height=0.2 * (1 - t))


def pine_cone(rng):
    t = (np.arange(60) + 0.5) / 60
    return blades(PX, np.arange(60) * GOLDEN_ANGLE, 0.28, 0.13, 0.5 - 0.3 * t, paint_of(rng), np.sqrt,
                  bend=0.7, cup=0.8, radius=0.3 * np.sin(np.pi * (0.15 + 0.85 * t)) ** 0.8, height=0.7 - 1.4 * t)


def palm(rng):
    fronds = ring(rng, int(rng.integers(6, 11)), 0.75, 0.1, 0.7, notched(0.6, 9), bend=-2)
    return join([fronds, tube([[0, 0, 0], [0.1, 0.1, -0.8], [0, 0, -1.8]], 0.06, tone(rng))])


def cactus(rng):
    ribs = ring(rng, 10, 1.2, 0.05, 1.57, lambda u: np.sin(np.pi * u), cup=0.01, radius=0.45, height=-0.6)
    arm = tube([[0.4, 0, 0], [0.8, 0, 0], [0.75, 0, 0.6]], 0.13, tone(rng))
    return join([ball(PX, 0.45, paint_of(rng), rng.uniform(1, 1.7)), ribs, arm])


def mushroom(rng):
    cap = turned(rng, [0, 0.6, 1.0, 1.05, 0.3], [0.5, 0.42, 0.1, -0.05, 0.0])
    return join([cap, tube([[0, 0, 0.1], [0.05, 0, -0.4], [0, 0, -0.9]], rng.uniform(0.08, 0.2), tone(rng))])


def apple(rng):
    body = turned(rng, [0, 0.5, 0.95, 1.0, 0.7, 0.3, 0], [0.65, 0.85, 0.6, 0, -0.6, -0.85, -0.75])
    return join([body, tube([[0, 0, 0.35], [0.05, 0, 0.55], [0.15, 0, 0.7]], 0.03, (0.2, 0.12, 0.05))])


def carrot(rng):
    root = turned(rng, [0, 0.42, 0.4, 0.25, 0.08, 0], [0.8, 0.75, 0.3, -0.4, -1.2, -1.4])
    return join([root, blades(PX, around(7), 0.6, 0.05, 1.2, leaf_green(rng), bend=-0.6, height=0.45)])


def jellyfish(rng):
    rim = 0.35 * circle(12)
    arms = np.stack([rim, *(rim - [0, 0, 0.35 * k] + rng.normal(0, 0.12, (12, 3)) for k in (1, 2, 3))], 1)
    return join([turned(rng, [0, 0.5, 0.85, 0.95], [0.8, 0.7, 0.35, -0.1]), tubes(PX, arms, 0.02, tone(rng))])


def octopus(rng):
    out = circle(8)
    arms = np.stack([0.1 * out, 0.5 * out - [0, 0, 0.2], 0.7 * out - [0, 0, 0.5], 0.9 * out], 1)
    head = ball(PX, 0.32, paint_of(rng), 1.2).placed(shift=(0, 0, 0.25))
    return join([tubes(PX, arms + rng.normal(0, 0.12, arms.shape), 0.06, tone(rng)), head])


def fish(rng):
    body = ball(PX, 0.3, paint_of(rng), rng.uniform(1.6, 2.4))
    tail = blades(PX, [0, np.pi], 0.4, 0.16, -0.9, paint_of(rng), lambda u: 0.2 + u, cup=0.1, height=-0.5)
    fin = blades(PX, [0], 0.35, 0.25, 0.4, paint_of(rng), radius=0.2)
    eye = ball(PX, 0.06, (0.02, 0.02, 0.02)).placed(shift=(0.1, 0.22, 0.4))
    return join([body, tail, fin, eye]).placed(facing((1, 0, 0)))


def butterfly(rng):
    turn = np.array([0.6, -0.6, 2.54, -2.54]) + rng.normal(0, 0.08) * np.array([1, -1, -1, 1])
    wings = blades(PX, turn, [0.8, 0.6, 0.8, 0.6], [0.33, 0.3, 0.33, 0.3], rng.uniform(0, 0.7), paint_of(rng),
                   lambda u: oval(u, 0.65, 0.35), cup=0.2)
    feelers = [[[0, 0.4, 0], [0.1, 0.6, 0.1], [side * 0.25, 0.75, 0.1]] for side in (-1, 1)]
    body = tube([[0, -0.45, 0.03], [0, 0, 0.06], [0, 0.45, 0.03]], 0.05, (0.06, 0.04, 0.03))
    return join([wings, body, tubes(PX, feelers, 0.015, (0.05, 0.04, 0.03))])


def dragonfly(rng):
    wings = blades(PX, [0.25, -0.25, 2.9, -2.9], 0.8, 0.09, 0.1, paint_of(rng), lambda u: oval(u, 0.7, 0.3), cup=0.1)
    body = tube([[0, 0.35, 0], [0, 0, 0.05], [0.1, -0.9, 0]], 0.045, tone(rng))
    return join([wings, body, ball(PX, 0.1, paint_of(rng)).placed(shift=(0, 0.38, 0))])


def beetle(rng):
    legs = [[[side * 0.2, y, 0], [side * 0.55, y + 0.1, 0.15], [side * 0.7, y + rng.normal(0, 0.15), -0.2]]
            for side in (-1, 1) for y in (-0.35, 0, 0.3)]
    wings, head = ball(PX, 0.42, paint_of(rng), 1.3).placed(facing(UP)), ball(PX, 0.2, (0.05, 0.05, 0.05))
    return join([wings, head.placed(shift=(0, 0.55, 0)), tubes(PX, legs, 0.03, (0.04, 0.04, 0.04))])


def shell(rng):
    t = np.linspace(0, 1, 60)
    out, angle = 0.55 * t**1.2 + 0.02, 2 * np.pi * rng.uniform(2.2, 3.6) * t
    centres = np.stack([out * np.cos(angle), out * np.sin(angle), -0.3 * t], 1)
    shades = np.linspace(tone(rng), tone(rng), 60)
    return join([ball(PX, 0.05 + 0.22 * t[i], shades[i]).placed(shift=centres[i]) for i in range(60)])


def urchin(rng):
    n = int(rng.integers(60, 110))
    z, turn = 1 - 2 * (np.arange(n) + 0.5) / n, np.arange(n) * GOLDEN_ANGLE
    out = np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], 1)
    spikes = tubes(PX, np.stack([0.3 * out, out * rng.uniform(0.6, 0.85)], 1), 0.02, tone(rng))
    return join([spikes, ball(PX, 0.4, paint_of(rng), 0.85)])


def umbrella(rng):
    roof = ring(rng, 8, 0.85, 0.34, 0.1, lambda u: u, bend=-1.0, cup=0.5, height=0.3)
    return join([roof, tube([[0, 0, 0.4], [0, 0, -0.9], [0.25, 0, -1.1], [0.25, 0, -0.8]], 0.03, (0.2, 0.1, 0.05))])


def goblet(rng):
    w = rng.uniform(0.5, 0.9)
    return turned(rng, [0.95 * w, w, 0.75 * w, 0.12, 0.1, 0.1, 0.6], [1.3, 0.8, 0.3, 0, -0.4, -0.9, -1.0])


def vase(rng):
    return turned(rng, [*rng.uniform(0.2, 0.9, 5), 0], [1.2, 0.8, 0.1, -0.6, -1.1, -1.1])


def wheel(rng):
    ends = circle(int(rng.integers(8, 24))) * 0.7
    rim = turned(rng, [1.1, 1.2, 1.3, 1.2, 1.1], [0, 0.12, 0, -0.12, 0])
    return join([rim, tubes(PX, np.stack([0 * ends, ends], 1), 0.02, tone(rng)), ball(PX, 0.12, paint_of(rng))])


def snowflake(rng):
    n = int(rng.integers(2, 5))
    bars = [[0 * end, end] for end in circle(6)]
    for k in 0.3 + 0.6 * np.arange(n) / n:
        for side in (-1, 1):
            bars += [[k * end, k * end + 0.25 * twig] for end, twig in zip(circle(6), np.roll(circle(6), side, 0))]
    return tubes(PX, np.array(bars) * 0.85, 0.03, tone(rng))


def coral(rng):
    ends, bars = [np.float64([0, 0, -0.6])], []
    for level in range(4):
        ends = [end for end in ends for _ in range(3 if level == 0 else 2)]
        tips = [end + 0.45 * 0.8**level * rng.normal((0, 0, 1), 0.6) for end in ends]
        bars, ends = bars + list(zip(ends, tips, strict=True)), tips
    return tubes(PX, np.array(bars), rng.uniform(0.03, 0.06), tone(rng))


def shuttlecock(rng):
    feathers = ring(rng, int(rng.integers(10, 17)), 1.0, 0.13, 1.2, lambda u: oval(u, 0.75, 0.3), bend=0.1, radius=0.1)
    return join([feathers, ball(PX, 0.17, paint_of(rng))])


def corn_cob(rng):
    t = np.arange(150) / 150
    grains = blades(PX, np.arange(150) * GOLDEN_ANGLE, 0.12, 0.07, 0.2, paint_of(rng), lambda u: np.sqrt(1 - u**3),
                    bend=1.0, cup=1.6, radius=0.2 * np.sqrt(np.sin(np.pi * (0.1 + 0.85 * t))), height=0.8 - 1.5 * t)
    husk = blades(PX, around(5), 0.9, 0.2, 1.2, leaf_green(rng), notched(0, 1), bend=0.2, radius=0.15, height=-0.8)
    return join([grains, husk])


THINGS = (
    star, starfish, gear, pinwheel, single_leaf, fern, clover, maple_leaf, cabbage, agave, pine_cone, palm, cactus,
    mushroom, apple, carrot, jellyfish, octopus, fish, butterfly, dragonfly, beetle, shell, urchin, umbrella, goblet,
    vase, wheel, snowflake, coral, shuttlecock, corn_cob,
)
UPRIGHT = (palm, cactus, mushroom, carrot, jellyfish, umbrella, goblet, vase, coral, shuttlecock, corn_cob, pine_cone)
# fmt: on


def draw(label: int, rng: Rng) -> np.ndarray:
    """Draw one picture of a thing in the open, uint8 of shape (72, 72, 3)."""
    light, sun, shade = daylight(rng)
    make, shapes = THINGS[label], []
    count = rng.choice([1, 2, 4], p=[0.76, 0.18, 0.06])
    for _ in range(count):
        axis = (rng.normal(0, 0.45), rng.normal(0.2, 0.45), 1.0)
        if make in UPRIGHT and rng.random() < 0.8:
            axis = (rng.normal(0, 0.4), 1.0, rng.normal(0.3, 0.4))
        turn, size = (
            facing(axis, rng.uniform(0, 2 * np.pi)),
            rng.uniform(0.8, 1.25) / count**0.5,
        )
        shapes.append(
            make(rng).placed(
                turn, rng.uniform(-1, 1, 3) * [0.6, 0.6, 0.2] * (0.5 + count / 4), size
            )
        )
    # Stalks and leaves beside every kind of thing, so that they tell nothing.
    if rng.random() < 0.5:
        paths = rng.normal(0, 0.7, (int(rng.integers(1, 5)), 3, 3)) + np.array(
            [[0, 0.3, -0.6], [0, -0.5, -0.6], [0, -1.3, -0.6]]
        )
        shapes.append(tubes(PX, paths, rng.uniform(0.01, 0.05), leaf_green(rng)))
    if rng.random() < 0.4:
        turns, length, lift = (
            rng.uniform(0, 6.3, 3),
            rng.uniform(0.4, 1.2),
            rng.uniform(0.1, 1.0),
        )
        leaves = blades(PX, turns, length, 0.2, lift, leaf_green(rng), cup=0.6)
        shapes.append(
            leaves.placed(facing((0, 1, 0.3)), (rng.uniform(-1, 1), rng.uniform(-1.2, 0), -0.7))
        )

    picture = backdrop(rng, SIZE).repeat(2, 0).repeat(2, 1) * rng.uniform(0.5, 0.85)
    if rng.random() < 0.5:
        picture = stack(
            picture, render(grass(rng, PX, 15), CANVAS, light, sun, shade), rng.uniform(1, 4)
        )
    picture = stack(
        picture, render(join(shapes), CANVAS, light, sun, shade), rng.choice([0.0, 0.6])
    )
    if rng.random() < 0.3:
        picture = stack(
            picture,
            render(grass(rng, PX, 5, 1.5), CANVAS, light, sun, shade),
            rng.uniform(1, 3),
        )
    return develop(rng, picture)
