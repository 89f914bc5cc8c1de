"""Draw the bundled fashion set: ten kinds of garments, 28x28 grey, in Fashion-MNIST's format.

Without arguments it writes `fashion/` beside this file. Every picture depends on its split and
index alone, and on the order of the random draws below.

A garment is a mask, True where there is cloth, and a tone, which darkens or lightens the cloth
(1: as it is). Both are drawn at four times the size; x points right and y down, from -1 to 1.
"""

from __future__ import annotations

import argparse
import gzip
import struct
from pathlib import Path

import numpy as np
from numpy import cos, sin
from scipy.ndimage import gaussian_filter

Rng = np.random.Generator
Array = np.ndarray

FOLDER = Path(__file__).parent / "fashion"
COUNTS = {"train": 6000, "t10k": 1000}
SIZE = 28
FINE = 4 * SIZE
GRID = np.linspace(-1, 1, FINE)
X, Y = np.meshgrid(GRID, GRID)
WIDE = np.abs(X)
TOP = -0.9


def limb(start, end, r0, r1):
    """Mask of a rounded bar from one point to another whose radius goes from `r0` to `r1`."""
    x, y = start
    dx = end[0] - x
    dy = end[1] - y
    along = (X - x) * dx + (Y - y) * dy
    along = along / (dx**2 + dy**2)
    along = np.clip(along, 0, 1)
    across = X - x - along * dx
    down = Y - y - along * dy
    radius = r0 + along * (r1 - r0)
    return np.hypot(across, down) < radius


def near(values, centre, reach):
    """Mask of the places where some values lie within `reach` of `centre`."""
    return np.abs(values - centre) < reach


def between(values, low, high):
    """Mask of the places where some values lie between two others."""
    return (values > low) & (values < high)


def distance(x, y, wide=1.0, high=1.0):
    """How far every pixel is from a point, in units of `wide` across and `high` down."""
    across = (X - x) / wide
    down = (Y - y) / high
    return np.hypot(across, down)


def column(ys, halves, centre=0.0):
    """Mask between two outlines given by half-widths at some heights."""
    half = np.interp(Y, ys, halves)
    inside = near(X, centre, half)
    return inside & between(Y, ys[0], ys[-1])


# --------------------------------------------------------------------------- for the upper body


def top(
    rng,
    sleeve,
    length,
    front=False,
    collar=False,
    knit=False,
    waist=0.0,
    flare=0.0,
):
    """A garment for the upper body.

    `sleeve` is the length of the sleeves (0: none) and `length` where the hem lies; `waist`
    makes the waist narrower and `flare` the hem wider. It may open at the `front`, have a
    `collar`, or be `knit`, with a ribbed hem.
    """
    shoulder = rng.uniform(0.42, 0.56)
    body = shoulder * rng.uniform(0.84, 1.0)
    neck = 0.55 * shoulder
    mask = column(
        ys=[TOP, TOP + 0.14, -0.35, 0.1, length],
        halves=[neck, shoulder, body, body - waist, body + flare],
    )
    tone = np.ones_like(X)
    if sleeve > 0:
        add_sleeves(rng, mask, tone, sleeve, shoulder)
    cut_neck(rng, mask, tone, collar, knit)
    if front:
        add_front(rng, tone)
    if knit:
        hem = Y > length - 0.12
        cuffs = WIDE > 0.8
        tone[hem | cuffs] *= rng.uniform(0.75, 1.1)
    if rng.random() < 0.25:
        add_print(rng, tone)
    return mask, tone


def add_sleeves(rng, mask, tone, sleeve, shoulder):
    """Two sleeves, with a dark seam where they leave the body; short ones stand off more."""
    spread = rng.uniform(0.08, 0.32)
    if sleeve < 0.6:
        spread = spread + 0.12
    for side in (-1, 1):
        x = side * (shoulder - 0.10)
        y = TOP + 0.2
        hand_x = x + side * (spread + 0.1)
        arm = limb(
            start=(x, y),
            end=(hand_x, y + sleeve),
            r0=0.17,
            r1=rng.uniform(0.09, 0.15),
        )
        at_shoulder = WIDE < shoulder + 0.04
        seam = arm & ~mask & at_shoulder
        tone[seam] *= 0.8
        mask |= arm


def cut_neck(rng, mask, tone, collar, knit):
    """A round neck or a V, and perhaps a collar around it."""
    width = rng.uniform(0.14, 0.30)
    depth = rng.uniform(0.06, 0.35)
    if knit:
        depth = depth * 0.5
    hole = distance(0, TOP, width, depth) < 1
    if rng.random() < 0.35:
        down = (Y - TOP) / (1.3 * depth)
        hole = WIDE / width + down < 1
    if collar:
        around = gaussian_filter(hole.astype(float), 3)
        ring = (around > 0.05) & ~hole
        tone[ring] *= rng.uniform(0.6, 1.25)
        mask |= ring & (Y > TOP - 0.06)
    mask &= ~hole


def add_front(rng, tone):
    """A dark line down the middle, and often buttons beside it."""
    middle = rng.normal(0, 0.02)
    line = near(X, middle, rng.uniform(0.015, 0.035))
    tone[line] *= rng.uniform(0.35, 0.8)
    if rng.random() < 0.7:
        gap = rng.uniform(0.16, 0.3)
        rows = near((Y / gap) % 1, 0.5, 0.1)
        buttons = near(X, 0.05, 0.025) & rows
        tone[buttons] *= rng.choice([0.4, 1.5])


def add_print(rng, tone):
    """A dark or light blot on the breast."""
    x = rng.uniform(-0.2, 0.2)
    y = rng.uniform(-0.4, 0.1)
    wide = rng.uniform(0.12, 0.28)
    high = rng.uniform(0.08, 0.2)
    blot = distance(x, y, wide, high) < 1
    tone[blot] *= rng.choice([0.5, 1.5])


# The ranges of the upper-body classes overlap, as they do in shops. One garment in eight is odd
# for its class.


def t_shirt(rng, odd):
    short = rng.uniform(0.2, 0.45)
    sleeve = rng.choice([0.0, short], p=[0.12, 0.88])
    if odd:
        sleeve = 0.6
    return top(
        rng,
        sleeve,
        length=rng.uniform(0.6, 0.95),
        waist=rng.uniform(-0.02, 0.06),
    )


def pullover(rng, odd):
    return top(
        rng,
        sleeve=rng.uniform(0.95, 1.35),
        length=rng.uniform(0.45, 0.85),
        front=odd,
        knit=rng.random() < 0.8,
    )


def coat(rng, odd):
    front = rng.random() < 0.75
    return top(
        rng,
        sleeve=rng.uniform(1.05, 1.45),
        length=rng.uniform(0.75, 0.98),
        front=front,
        collar=odd,
        knit=odd,
        flare=rng.uniform(0.0, 0.1),
    )


def shirt(rng, odd):
    short = rng.uniform(0.25, 0.5)
    long = rng.uniform(0.95, 1.35)
    return top(
        rng,
        sleeve=rng.choice([short, long], p=[0.25, 0.75]),
        length=rng.uniform(0.55, 0.95),
        front=rng.random() < 0.75,
        collar=rng.random() < 0.85,
        waist=0.05,
    )


def dress(rng, odd):
    short = rng.uniform(0.2, 0.5)
    long = rng.uniform(0.9, 1.3)
    return top(
        rng,
        sleeve=rng.choice([0.0, short, long], p=[0.45, 0.3, 0.25]),
        length=0.97,
        front=odd,
        collar=odd,
        waist=rng.uniform(0.05, 0.16),
        flare=rng.uniform(-0.1, 0.2),
    )


# ---------------------------------------------------------------------------------------- shoes


def shoe(rng, shaft, heel, slots):
    """A shoe from the side, toe to the left.

    `shaft` is the height of the ankle, `heel` that of the heel, and `slots` says whether it is
    made of straps.
    """
    sole = 0.12 + 0.5 * shaft
    sole = sole + rng.normal(0, 0.03)
    toe = rng.uniform(0.12, 0.26)
    instep = rng.uniform(0.3, 0.5)
    back = rng.uniform(0.8, 0.92)
    height = np.interp(
        X,
        [-0.92, -0.8, -0.45, 0.0, 0.25, back],
        [0.02, toe, toe + 0.06, instep, shaft, shaft],
    )
    # The line between shoe and sole rises towards the heel.
    rise = np.clip((X + 0.2) / 1.1, 0, 1)
    under = sole - heel * rise**1.5
    mask = between(Y, under - height, under)
    mask &= WIDE < 0.92
    mask &= X < back
    tone = np.ones_like(X)
    if slots:
        mask &= straps(rng, under)
    else:
        add_laces(rng, tone)

    below = Y >= under
    thick = rng.uniform(0.05, 0.16)
    plate = below & (Y < under + thick)
    plate &= WIDE < 0.92
    plate &= X < back + 0.03
    long = rng.uniform(0.2, 0.5)
    if heel > 0.1:
        block = below & (Y < sole + 0.12)
        block &= between(X, back - long, back)
    else:
        block = np.zeros_like(mask)
    tone[plate | block] *= rng.uniform(0.4, 1.5)
    return mask | plate | block, tone


def straps(rng, under):
    """Where there is leather: parallel straps, and a rim along the sole."""
    angle = rng.uniform(0.3, 1.6)
    across = X * cos(angle) + Y * sin(angle)
    often = rng.uniform(9, 20)
    phase = rng.uniform(0, 6)
    wave = sin(across * often + phase)
    strap = wave > rng.uniform(-0.5, 0.5)
    rim = Y > under - 0.06
    return strap | rim


def add_laces(rng, tone):
    """Laces over the instep, and often a slanting stripe."""
    across = X - 0.08 + (Y - 0.2) * 0.4
    instep = np.abs(across) < 0.16
    rows = sin(Y * 50) > 0.2
    tone[instep & rows] *= rng.uniform(0.5, 1.4)
    if rng.random() < 0.6:
        x = rng.uniform(-0.1, 0.4)
        slant = rng.uniform(-1, 1)
        across = X - x + (Y - 0.4) * slant
        stripe = np.abs(across) < rng.uniform(0.03, 0.12)
        tone[stripe] *= rng.choice([0.4, 1.6])


def sandal(rng, odd):
    shaft = rng.uniform(0.25, 0.7)
    raised = rng.uniform(0.1, 0.5)
    heel = rng.choice([0.0, raised])
    return shoe(rng, shaft, heel, slots=True)


def sneaker(rng, odd):
    return shoe(
        rng,
        shaft=rng.uniform(0.42, 0.72),
        heel=rng.uniform(0, 0.08),
        slots=rng.random() < 0.04,
    )


def boot(rng, odd):
    shaft = rng.uniform(0.66, 1.25)
    raised = rng.uniform(0.05, 0.35)
    heel = rng.choice([0.0, raised])
    return shoe(rng, shaft, heel, slots=False)


# ------------------------------------------------------------------------------------- the rest


def trouser(rng, odd):
    """Two legs, now and then cut short, a seam between them, and a belt."""
    crotch = rng.uniform(-0.5, -0.2)
    hem = rng.uniform(0.12, 0.26)
    waist = rng.uniform(0.28, 0.42)
    foot = rng.uniform(0.2, 0.34)
    heights = [-0.95, crotch, 0.95]
    half = waist / 2
    middles = [half, half + 0.02, foot]
    halves = [half + 0.02, half + 0.05, hem]
    middle = np.interp(Y, heights, middles)
    left = column(heights, halves, centre=-middle)
    right = column(heights, halves, centre=middle)
    mask = left | right
    if rng.random() < 0.12:
        mask &= Y < rng.uniform(0.0, 0.4)
    tone = np.ones_like(X)
    seam = WIDE < 0.02
    tone[seam] = 0.7
    belt = Y < -0.85
    tone[belt] *= rng.uniform(0.6, 1.2)
    return mask, tone


def bag(rng, odd):
    """A box with rounded corners, its handle, a flap and a clasp."""
    wide = rng.uniform(0.6, 0.92)
    y0 = rng.uniform(-0.45, 0.0)
    y1 = rng.uniform(0.45, 0.85)
    high = y1 - y0
    middle = (y0 + y1) / 2
    roundness = rng.uniform(2.5, 8)
    narrowing = rng.uniform(-0.15, 0.35)
    slope = 1 - narrowing * (y1 - Y) / high
    across = np.abs(X / (wide * slope))
    down = np.abs((Y - middle) / (high / 2))
    mask = across**roundness + down**roundness < 1
    reach = rng.uniform(0.25, 0.5)
    rise = rng.uniform(0.25, 0.8)
    thick = rng.uniform(0.06, 0.14)
    if rng.random() < 0.85:
        bow = distance(0, y0 + 0.05, reach, rise)
        handle = near(bow, 1, thick / reach)
        mask |= handle & between(Y, -0.95, y0 + 0.1)
    tone = np.ones_like(X)
    if rng.random() < 0.7:
        edge = y0 + rng.uniform(0.1, 0.4) * high
        flap = near(Y, edge, 0.03)
        tone[flap] *= rng.choice([0.5, 1.4])
    if rng.random() < 0.4:
        clasp = distance(0, middle) < 0.09
        tone[clasp] *= rng.choice([0.4, 1.6])
    return mask, tone


GARMENTS = {
    "T-shirt/top": t_shirt,
    "Trouser": trouser,
    "Pullover": pullover,
    "Dress": dress,
    "Coat": coat,
    "Sandal": sandal,
    "Shirt": shirt,
    "Sneaker": sneaker,
    "Bag": bag,
    "Ankle boot": boot,
}
CLASSES = tuple(GARMENTS)


# --------------------------------------------------------------------------------- the pictures


def draw(label: int, rng: Rng) -> Array:
    """Draw one garment of a class: uint8 of shape (28, 28) on black.

    In turn: the garment, its cloth, the way it lies, and the grain of a small picture.
    """
    name = CLASSES[label]
    odd = rng.random() < 0.12
    garment = GARMENTS[name]
    mask, tone = garment(rng, odd)
    widths = (0.88, 1.02)
    if name == "Dress":
        widths = (0.62, 0.85)
    narrow = rng.uniform(*widths)
    image = cloth(rng) * tone
    image = np.where(mask, image, 0)
    image = gaussian_filter(image, 1.5)
    image = laid_out(rng, image, narrow)
    image = image.reshape(SIZE, 4, SIZE, 4)
    image = image.mean((1, 3))
    grain = rng.normal(0, 0.012, image.shape)
    image = image * (1 + grain)
    # Steps of 3 grey levels are below the grain, and keep the file small.
    steps = np.clip(image * 85 + 0.5, 0, 85)
    return steps.astype(np.uint8) * np.uint8(3)


def cloth(rng: Rng) -> Array:
    """Cloth to fill any garment with: dark or light, in folds, plain or with a pattern."""
    dark = rng.uniform(0.12, 0.45)
    light = rng.uniform(0.45, 1.0)
    grey = rng.choice([dark, light], p=[0.3, 0.7])
    folds = rng.normal(size=(FINE, FINE))
    folds = gaussian_filter(folds, (9, 4)) * 12
    rounded = rng.uniform(0.05, 0.4)
    creased = rng.uniform(0.02, 0.14)
    plain = grey * (1 - rounded * X**2) * (1 + creased * folds)

    kind = rng.random()
    pitch = rng.uniform(12, 34)
    strength = rng.uniform(0.15, 0.6)
    across = sin(pitch * X)
    down = sin(pitch * Y)
    if kind < 0.14:
        pattern = down > 0.2
    elif kind < 0.20:
        pattern = across > 0.2
    elif kind < 0.28:
        pattern = across * down > 0.1
    elif kind < 0.36:
        spots = rng.normal(size=(FINE, FINE))
        pattern = gaussian_filter(spots, 3) * 10 > 0.2
    else:
        return plain
    return plain * (1 - strength * pattern)


def laid_out(rng: Rng, image: Array, narrow: float) -> Array:
    """Stretch, tilt and shift by looking every pixel up where it came from."""
    tilt = rng.normal(0, 0.035)
    dx = rng.normal(0, 0.04)
    dy = rng.normal(0, 0.03)
    short = rng.uniform(0.9, 1.04)
    last = FINE - 1
    column_of = (X / narrow + tilt * Y + dx + 1) * last / 2
    row_of = (Y / short - tilt * X + dy + 1) * last / 2
    inside = np.ones_like(X, bool)
    for place in (column_of, row_of):
        inside &= place >= 0
        inside &= place < FINE
    columns = np.clip(column_of, 0, last).astype(int)
    rows = np.clip(row_of, 0, last).astype(int)
    found = image[rows, columns]
    return np.where(inside, found, 0)


# ------------------------------------------------------------------------------------ the files


def labels(split: str) -> Array:
    """The class of every picture of a split, balanced, uint8."""
    rng = np.random.default_rng([*split.encode()])
    classes = np.arange(COUNTS[split]) % len(CLASSES)
    return rng.permutation(classes).astype(np.uint8)


def picture(split: str, index: int) -> Array:
    """One picture of a split, uint8 (28, 28)."""
    label = labels(split)[index]
    rng = np.random.default_rng([*split.encode(), index])
    return draw(label, rng)


def write_idx(path: Path, array: Array) -> None:
    """Write a uint8 array in the IDX format, compressed.

    There is no date in the file: the same array gives the same bytes.
    """
    uint8 = 8
    header = struct.pack(">HBB", 0, uint8, array.ndim)
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    content = header + shape + array.tobytes()
    path.write_bytes(gzip.compress(content, mtime=0))


def main(folder: Path = FOLDER) -> None:
    """Draw both splits into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in COUNTS.items():
        images = [picture(split, index) for index in range(count)]
        images_path = folder / f"{split}-images-idx3-ubyte.gz"
        labels_path = folder / f"{split}-labels-idx1-ubyte.gz"
        write_idx(images_path, np.stack(images))
        write_idx(labels_path, labels(split))
        print(f"{split}: {count} pictures")


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
