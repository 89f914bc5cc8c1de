"""Draw the bundled fashion set: ten kinds of garments, 28x28 grey, in Fashion-MNIST's file format.

Run with no arguments to write `fashion/` beside this file. Every picture depends on its split
and index alone.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

CLASSES = (
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
COUNTS = {"train": 6000, "t10k": 1000}
SIZE = 28
FINE = 4 * SIZE
X, Y = np.meshgrid(np.linspace(-1, 1, FINE), np.linspace(-1, 1, FINE))


def limb(x0: float, y0: float, x1: float, y1: float, r0: float, r1: float) -> np.ndarray:
    """Mask of a rounded bar from one point to another whose radius goes from `r0` to `r1`."""
    along = np.clip(
        ((X - x0) * (x1 - x0) + (Y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2), 0, 1
    )
    return np.hypot(X - x0 - along * (x1 - x0), Y - y0 - along * (y1 - y0)) < r0 + along * (
        r1 - r0
    )


def column(
    ys: list[float], halves: list[float], centre: float | np.ndarray = 0.0
) -> np.ndarray:
    """Mask between two outlines given by half-widths at some heights (y points down)."""
    return (np.abs(X - centre) < np.interp(Y, ys, halves)) & (Y > ys[0]) & (Y < ys[-1])


def top(rng, sleeve, length, front, collar, knit, waist=0.0, flare=0.0):
    """A garment for the upper body. Returns its mask and what darkens or lightens it (1: nothing)."""
    y0, y1 = -0.9, length
    shoulder = rng.uniform(0.42, 0.56)
    body = shoulder * rng.uniform(0.84, 1.0)
    mask = column(
        [y0, y0 + 0.14, -0.35, 0.1, y1],
        [0.55 * shoulder, shoulder, body, body - waist, body + flare],
    )
    tone = np.ones_like(X)
    if sleeve > 0:
        spread = rng.uniform(0.08, 0.32) + (0.12 if sleeve < 0.6 else 0)
        for side in (-1, 1):
            x0 = side * (shoulder - 0.10)
            arm = limb(
                x0,
                y0 + 0.2,
                x0 + side * (spread + 0.1),
                y0 + 0.2 + sleeve,
                0.17,
                rng.uniform(0.09, 0.15),
            )
            seam = arm & ~mask & (np.abs(X) < shoulder + 0.04)
            tone[seam] *= 0.8
            mask |= arm
    neck, depth = rng.uniform(0.14, 0.30), rng.uniform(0.06, 0.35) * (0.5 if knit else 1)
    hole = (X / neck) ** 2 + ((Y - y0) / depth) ** 2 < 1
    if rng.random() < 0.35:
        hole = np.abs(X) / neck + (Y - y0) / (1.3 * depth) < 1
    if collar:
        ring = gaussian_filter(hole.astype(float), 3) > 0.05
        tone[ring & ~hole] *= rng.uniform(0.6, 1.25)
        mask |= ring & (Y > y0 - 0.06) & ~hole
    mask &= ~hole
    if front:
        tone[np.abs(X - rng.normal(0, 0.02)) < rng.uniform(0.015, 0.035)] *= rng.uniform(
            0.35, 0.8
        )
        if rng.random() < 0.7:
            gap = rng.uniform(0.16, 0.3)
            tone[(np.abs(X - 0.05) < 0.025) & (np.abs((Y / gap) % 1 - 0.5) < 0.1)] *= (
                rng.choice([0.4, 1.5])
            )
    if knit:
        tone[(Y > y1 - 0.12) | (np.abs(X) > 0.8)] *= rng.uniform(0.75, 1.1)
    if rng.random() < 0.25:
        x, y = rng.uniform(-0.2, 0.2), rng.uniform(-0.4, 0.1)
        blot = np.hypot((X - x) / rng.uniform(0.12, 0.28), (Y - y) / rng.uniform(0.08, 0.2)) < 1
        tone[blot] *= rng.choice([0.5, 1.5])
    return mask, tone


def shoe(rng, shaft, heel, slots):
    """A shoe from the side, toe to the left: `shaft` is the height of the ankle, `slots` how open it is."""
    sole = 0.12 + 0.5 * shaft + rng.normal(0, 0.03)
    toe, instep, ankle = rng.uniform(0.12, 0.26), rng.uniform(0.3, 0.5), shaft
    back = rng.uniform(0.8, 0.92)
    height = np.interp(
        X, [-0.92, -0.8, -0.45, 0.0, 0.25, back], [0.02, toe, toe + 0.06, instep, ankle, ankle]
    )
    bend = heel * np.clip((X + 0.2) / 1.1, 0, 1) ** 1.5
    mask = (Y < sole - bend) & (Y > sole - bend - height) & (np.abs(X) < 0.92) & (X < back)
    tone = np.ones_like(X)
    if slots:
        angle = rng.uniform(0.3, 1.6)
        wave = np.sin(
            (X * np.cos(angle) + Y * np.sin(angle)) * rng.uniform(9, 20) + rng.uniform(0, 6)
        )
        mask &= (wave > rng.uniform(-0.5, 0.5)) | (Y > sole - bend - 0.06)
    else:
        lace = np.abs(X - 0.08 + (Y - 0.2) * 0.4) < 0.16
        tone[lace & (np.sin(Y * 50) > 0.2)] *= rng.uniform(0.5, 1.4)
        if rng.random() < 0.6:
            stripe = np.abs(
                X - rng.uniform(-0.1, 0.4) + (Y - 0.4) * rng.uniform(-1, 1)
            ) < rng.uniform(0.03, 0.12)
            tone[stripe] *= rng.choice([0.4, 1.6])
    plate = (
        (Y >= sole - bend)
        & (Y < sole - bend + rng.uniform(0.05, 0.16))
        & (np.abs(X) < 0.92)
        & (X < back + 0.03)
    )
    block = (
        (X > back - rng.uniform(0.2, 0.5))
        & (X < back)
        & (Y >= sole - bend)
        & (Y < sole + 0.12)
        & (heel > 0.1)
    )
    tone[plate | block] *= rng.uniform(0.4, 1.5)
    return mask | plate | block, tone


def trouser(rng):
    crotch, hem, waist = (
        rng.uniform(-0.5, -0.2),
        rng.uniform(0.12, 0.26),
        rng.uniform(0.28, 0.42),
    )
    foot = rng.uniform(0.2, 0.34)
    mask = np.zeros_like(X, bool)
    for side in (-1, 1):
        middle = side * np.interp(Y, [-0.95, crotch, 0.95], [waist / 2, waist / 2 + 0.02, foot])
        mask |= column([-0.95, crotch, 0.95], [waist / 2 + 0.02, waist / 2 + 0.05, hem], middle)
    if rng.random() < 0.12:
        mask &= rng.uniform(0.0, 0.4) > Y
    tone = np.where(np.abs(X) < 0.02, 0.7, 1.0) * np.where(
        Y < -0.85, rng.uniform(0.6, 1.2), 1.0
    )
    return mask, tone


def bag(rng):
    wide, y0, y1 = rng.uniform(0.6, 0.92), rng.uniform(-0.45, 0.0), rng.uniform(0.45, 0.85)
    power = rng.uniform(2.5, 8)
    slope = 1 - rng.uniform(-0.15, 0.35) * (y1 - Y) / (y1 - y0)
    mask = (
        np.abs(X / (wide * slope)) ** power
        + np.abs((Y - (y0 + y1) / 2) / ((y1 - y0) / 2)) ** power
    ) < 1
    reach, rise, thick = rng.uniform(0.25, 0.5), rng.uniform(0.25, 0.8), rng.uniform(0.06, 0.14)
    bow = np.abs(np.hypot(X / reach, (Y - y0 - 0.05) / rise) - 1) < thick / reach
    if rng.random() < 0.85:
        mask |= bow & (Y < y0 + 0.1) & (Y > -0.95)
    tone = np.ones_like(X)
    if rng.random() < 0.7:
        tone[np.abs(Y - y0 - rng.uniform(0.1, 0.4) * (y1 - y0)) < 0.03] *= rng.choice(
            [0.5, 1.4]
        )
    if rng.random() < 0.4:
        tone[np.hypot(X, Y - (y0 + y1) / 2) < 0.09] *= rng.choice([0.4, 1.6])
    return mask, tone


def garment(rng: np.random.Generator, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Mask and tone of one garment. The ranges of the upper-body classes overlap, as they do in shops."""
    name = CLASSES[label]
    odd = rng.random() < 0.12
    if name == "T-shirt/top":
        sleeve = rng.choice([0.0, rng.uniform(0.2, 0.45)], p=[0.12, 0.88])
        return top(
            rng,
            0.6 if odd else sleeve,
            rng.uniform(0.6, 0.95),
            False,
            False,
            False,
            rng.uniform(-0.02, 0.06),
        )
    if name == "Pullover":
        return top(
            rng,
            rng.uniform(0.95, 1.35),
            rng.uniform(0.45, 0.85),
            odd,
            False,
            rng.random() < 0.8,
        )
    if name == "Coat":
        front = rng.random() < 0.75
        return top(
            rng,
            rng.uniform(1.05, 1.45),
            rng.uniform(0.75, 0.98),
            front,
            odd,
            odd,
            0.0,
            rng.uniform(0.0, 0.1),
        )
    if name == "Shirt":
        sleeve = rng.choice([rng.uniform(0.25, 0.5), rng.uniform(0.95, 1.35)], p=[0.25, 0.75])
        return top(
            rng,
            sleeve,
            rng.uniform(0.55, 0.95),
            rng.random() < 0.75,
            rng.random() < 0.85,
            False,
            0.05,
        )
    if name == "Dress":
        sleeve = rng.choice(
            [0.0, rng.uniform(0.2, 0.5), rng.uniform(0.9, 1.3)], p=[0.45, 0.3, 0.25]
        )
        mask, tone = top(
            rng, sleeve, 0.97, odd, odd, False, rng.uniform(0.05, 0.16), rng.uniform(-0.1, 0.2)
        )
        return mask, tone
    if name == "Trouser":
        return trouser(rng)
    if name == "Bag":
        return bag(rng)
    if name == "Sandal":
        return shoe(rng, rng.uniform(0.25, 0.7), rng.choice([0.0, rng.uniform(0.1, 0.5)]), True)
    if name == "Sneaker":
        return shoe(rng, rng.uniform(0.42, 0.72), rng.uniform(0, 0.08), rng.random() < 0.04)
    return shoe(rng, rng.uniform(0.66, 1.25), rng.choice([0.0, rng.uniform(0.05, 0.35)]), False)


def draw(label: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one garment of a class: uint8 of shape (28, 28) on black."""
    mask, tone = garment(rng, label)
    narrow = rng.uniform(0.62, 0.85) if CLASSES[label] == "Dress" else rng.uniform(0.88, 1.02)
    cloth = rng.choice([rng.uniform(0.12, 0.45), rng.uniform(0.45, 1.0)], p=[0.3, 0.7])
    fold = gaussian_filter(rng.normal(size=(FINE, FINE)), (9, 4)) * 12
    cloth = cloth * (1 - rng.uniform(0.05, 0.4) * X**2) * (1 + rng.uniform(0.02, 0.14) * fold)
    pattern, pitch = rng.random(), rng.uniform(12, 34)
    strength = rng.uniform(0.15, 0.6)
    if pattern < 0.14:
        cloth = cloth * (1 - strength * (np.sin(pitch * Y) > 0.2))
    elif pattern < 0.20:
        cloth = cloth * (1 - strength * (np.sin(pitch * X) > 0.2))
    elif pattern < 0.28:
        cloth = cloth * (1 - strength * (np.sin(pitch * X) * np.sin(pitch * Y) > 0.1))
    elif pattern < 0.36:
        cloth = cloth * (
            1 - strength * (gaussian_filter(rng.normal(size=(FINE, FINE)), 3) * 10 > 0.2)
        )
    image = gaussian_filter(np.where(mask, cloth * tone, 0), 1.5)
    # Stretch, tilt and shift by looking every pixel up where it came from.
    tilt, dx, dy = rng.normal(0, 0.035), rng.normal(0, 0.04), rng.normal(0, 0.03)
    column_of = ((X / narrow + tilt * Y + dx) + 1) * (FINE - 1) / 2
    row_of = ((Y / rng.uniform(0.9, 1.04) - tilt * X + dy) + 1) * (FINE - 1) / 2
    inside = (column_of >= 0) & (column_of < FINE) & (row_of >= 0) & (row_of < FINE)
    image = np.where(
        inside,
        image[
            np.clip(row_of, 0, FINE - 1).astype(int),
            np.clip(column_of, 0, FINE - 1).astype(int),
        ],
        0,
    )
    image = image.reshape(SIZE, 4, SIZE, 4).mean((1, 3))
    image = image * (1 + rng.normal(0, 0.012, image.shape))
    # Steps of 3 grey levels are below the grain, and keep the file small.
    return np.clip(image * 85 + 0.5, 0, 85).astype(np.uint8) * np.uint8(3)


def labels(split: str) -> np.ndarray:
    """The class of every picture of a split, balanced, uint8."""
    return (
        np.random.default_rng([*split.encode()])
        .permutation(np.arange(COUNTS[split]) % len(CLASSES))
        .astype(np.uint8)
    )


def picture(split: str, index: int) -> np.ndarray:
    """One picture of a split, uint8 (28, 28)."""
    return draw(int(labels(split)[index]), np.random.default_rng([*split.encode(), index]))


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write a uint8 array in the IDX format, compressed, with no date in it: the same array gives the same bytes."""
    header = struct.pack(">HBB" + array.ndim * "I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes(), mtime=0))


def main(folder: Path = Path(__file__).parent / "fashion") -> None:
    """Draw both splits into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in COUNTS.items():
        classes = labels(split)
        images = [
            draw(int(c), np.random.default_rng([*split.encode(), i]))
            for i, c in enumerate(classes)
        ]
        write_idx(folder / f"{split}-images-idx3-ubyte.gz", np.stack(images))
        write_idx(folder / f"{split}-labels-idx1-ubyte.gz", classes)
        print(f"{split}: {count} pictures")


if __name__ == "__main__":
    main()
