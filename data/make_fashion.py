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

FOLDER = Path(__file__).parent / "fashion"
COUNTS = {"train": 6000, "t10k": 1000}
SIZE = 28
FINE = 4 * SIZE
X, Y = np.meshgrid(np.linspace(-1, 1, FINE), np.linspace(-1, 1, FINE))
WIDE = np.abs(X)
TOP = -0.9


def limb(start, end, r0, r1):
    """Mask of a rounded bar from one point to another whose radius goes from `r0` to `r1`."""
    x, y = start
    dx = end[0] - x
    dy = end[1] - y
    along = ((X - x) * dx + (Y - y) * dy) / (dx**2 + dy**2)
    along = np.clip(along, 0, 1)
    distance = np.hypot(X - x - along * dx, Y - y - along * dy)
    return distance < r0 + along * (r1 - r0)


def column(ys, halves, centre=0.0):
    """Mask between two outlines given by half-widths at some heights."""
    half = np.interp(Y, ys, halves)
    mask = np.abs(X - centre) < half
    return mask & (Y > ys[0]) & (Y < ys[-1])


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
    mask = column(
        ys=[TOP, TOP + 0.14, -0.35, 0.1, length],
        halves=[0.55 * shoulder, shoulder, body, body - waist, body + flare],
    )
    tone = np.ones_like(X)
    if sleeve > 0:
        add_sleeves(rng, mask, tone, sleeve, shoulder)
    cut_neck(rng, mask, tone, collar, knit)
    if front:
        add_front(rng, tone)
    if knit:
        ribbed = (Y > length - 0.12) | (WIDE > 0.8)
        tone[ribbed] *= rng.uniform(0.75, 1.1)
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
        arm = limb(
            start=(x, y),
            end=(x + side * (spread + 0.1), y + sleeve),
            r0=0.17,
            r1=rng.uniform(0.09, 0.15),
        )
        seam = arm & ~mask & (WIDE < shoulder + 0.04)
        tone[seam] *= 0.8
        mask |= arm


def cut_neck(rng, mask, tone, collar, knit):
    """A round neck or a V, and perhaps a collar around it."""
    width = rng.uniform(0.14, 0.30)
    depth = rng.uniform(0.06, 0.35)
    if knit:
        depth = depth * 0.5
    hole = (X / width) ** 2 + ((Y - TOP) / depth) ** 2 < 1
    if rng.random() < 0.35:
        hole = WIDE / width + (Y - TOP) / (1.3 * depth) < 1
    if collar:
        around = gaussian_filter(hole.astype(float), 3) > 0.05
        ring = around & ~hole
        tone[ring] *= rng.uniform(0.6, 1.25)
        mask |= ring & (Y > TOP - 0.06)
    mask &= ~hole


def add_front(rng, tone):
    """A dark line down the middle, and often buttons beside it."""
    middle = rng.normal(0, 0.02)
    line = np.abs(X - middle) < rng.uniform(0.015, 0.035)
    tone[line] *= rng.uniform(0.35, 0.8)
    if rng.random() < 0.7:
        gap = rng.uniform(0.16, 0.3)
        height = np.abs((Y / gap) % 1 - 0.5)
        buttons = (np.abs(X - 0.05) < 0.025) & (height < 0.1)
        tone[buttons] *= rng.choice([0.4, 1.5])


def add_print(rng, tone):
    """A dark or light blot on the breast."""
    x = rng.uniform(-0.2, 0.2)
    y = rng.uniform(-0.4, 0.1)
    across = (X - x) / rng.uniform(0.12, 0.28)
    down = (Y - y) / rng.uniform(0.08, 0.2)
    blot = np.hypot(across, down) < 1
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
    sole = 0.12 + 0.5 * shaft + rng.normal(0, 0.03)
    toe = rng.uniform(0.12, 0.26)
    instep = rng.uniform(0.3, 0.5)
    back = rng.uniform(0.8, 0.92)
    height = np.interp(
        X,
        [-0.92, -0.8, -0.45, 0.0, 0.25, back],
        [0.02, toe, toe + 0.06, instep, shaft, shaft],
    )
    # The line between shoe and sole rises towards the heel.
    rise = np.clip((X + 0.2) / 1.1, 0, 1) ** 1.5
    under = sole - heel * rise
    mask = (Y < under) & (Y > under - height)
    mask &= (WIDE < 0.92) & (X < back)
    tone = np.ones_like(X)
    if slots:
        mask &= straps(rng, under)
    else:
        add_laces(rng, tone)
    below = Y >= under
    plate = below & (Y < under + rng.uniform(0.05, 0.16))
    plate &= (WIDE < 0.92) & (X < back + 0.03)
    block = below & (Y < sole + 0.12)
    block &= (X > back - rng.uniform(0.2, 0.5)) & (X < back)
    if heel <= 0.1:
        block[:] = False
    tone[plate | block] *= rng.uniform(0.4, 1.5)
    return mask | plate | block, tone


def straps(rng, under):
    """Where there is leather: parallel straps, and a rim along the sole."""
    angle = rng.uniform(0.3, 1.6)
    across = X * cos(angle) + Y * sin(angle)
    often = rng.uniform(9, 20)
    wave = sin(across * often + rng.uniform(0, 6))
    rim = Y > under - 0.06
    return (wave > rng.uniform(-0.5, 0.5)) | rim


def add_laces(rng, tone):
    """Laces over the instep, and often a slanting stripe."""
    instep = np.abs(X - 0.08 + (Y - 0.2) * 0.4) < 0.16
    lace = instep & (sin(Y * 50) > 0.2)
    tone[lace] *= rng.uniform(0.5, 1.4)
    if rng.random() < 0.6:
        x = rng.uniform(-0.1, 0.4)
        slant = rng.uniform(-1, 1)
        distance = np.abs(X - x + (Y - 0.4) * slant)
        stripe = distance < rng.uniform(0.03, 0.12)
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
    """Two legs, now and then cut short, and a belt."""
    crotch = rng.uniform(-0.5, -0.2)
    hem = rng.uniform(0.12, 0.26)
    waist = rng.uniform(0.28, 0.42)
    foot = rng.uniform(0.2, 0.34)
    heights = [-0.95, crotch, 0.95]
    half = waist / 2
    middle = np.interp(Y, heights, [half, half + 0.02, foot])
    halves = [half + 0.02, half + 0.05, hem]
    left = column(heights, halves, centre=-middle)
    right = column(heights, halves, centre=middle)
    mask = left | right
    if rng.random() < 0.12:
        mask &= Y < rng.uniform(0.0, 0.4)
    tone = np.ones_like(X)
    tone[WIDE < 0.02] = 0.7
    tone[Y < -0.85] *= rng.uniform(0.6, 1.2)
    return mask, tone


def bag(rng, odd):
    """A box with rounded corners, its handle, a flap and a clasp."""
    wide = rng.uniform(0.6, 0.92)
    y0 = rng.uniform(-0.45, 0.0)
    y1 = rng.uniform(0.45, 0.85)
    middle = (y0 + y1) / 2
    roundness = rng.uniform(2.5, 8)
    slope = 1 - rng.uniform(-0.15, 0.35) * (y1 - Y) / (y1 - y0)
    across = np.abs(X / (wide * slope))
    down = np.abs((Y - middle) / ((y1 - y0) / 2))
    mask = across**roundness + down**roundness < 1
    reach = rng.uniform(0.25, 0.5)
    rise = rng.uniform(0.25, 0.8)
    thick = rng.uniform(0.06, 0.14)
    if rng.random() < 0.85:
        from_bow = np.hypot(X / reach, (Y - y0 - 0.05) / rise) - 1
        handle = np.abs(from_bow) < thick / reach
        mask |= handle & (Y < y0 + 0.1) & (Y > -0.95)
    tone = np.ones_like(X)
    if rng.random() < 0.7:
        edge = rng.uniform(0.1, 0.4) * (y1 - y0)
        flap = np.abs(Y - y0 - edge) < 0.03
        tone[flap] *= rng.choice([0.5, 1.4])
    if rng.random() < 0.4:
        clasp = np.hypot(X, Y - middle) < 0.09
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


def draw(label: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one garment of a class: uint8 of shape (28, 28) on black.

    In turn: the garment, its cloth, the way it lies, and the grain of a small picture.
    """
    name = CLASSES[label]
    odd = rng.random() < 0.12
    mask, tone = GARMENTS[name](rng, odd)
    narrow = rng.uniform(0.62, 0.85) if name == "Dress" else rng.uniform(0.88, 1.02)
    image = np.where(mask, cloth(rng) * tone, 0)
    image = gaussian_filter(image, 1.5)
    image = laid_out(rng, image, narrow)
    image = image.reshape(SIZE, 4, SIZE, 4).mean((1, 3))
    image = image * (1 + rng.normal(0, 0.012, image.shape))
    # Steps of 3 grey levels are below the grain, and keep the file small.
    steps = np.clip(image * 85 + 0.5, 0, 85).astype(np.uint8)
    return steps * np.uint8(3)


def cloth(rng: np.random.Generator) -> np.ndarray:
    """Cloth to fill any garment with: dark or light, in folds, plain or with a pattern."""
    dark = rng.uniform(0.12, 0.45)
    light = rng.uniform(0.45, 1.0)
    grey = rng.choice([dark, light], p=[0.3, 0.7])
    folds = gaussian_filter(rng.normal(size=(FINE, FINE)), (9, 4)) * 12
    bulge = 1 - rng.uniform(0.05, 0.4) * X**2
    creases = 1 + rng.uniform(0.02, 0.14) * folds
    plain = grey * bulge * creases

    kind = rng.random()
    pitch = rng.uniform(12, 34)
    strength = rng.uniform(0.15, 0.6)
    if kind < 0.14:
        pattern = sin(pitch * Y) > 0.2
    elif kind < 0.20:
        pattern = sin(pitch * X) > 0.2
    elif kind < 0.28:
        pattern = sin(pitch * X) * sin(pitch * Y) > 0.1
    elif kind < 0.36:
        spots = gaussian_filter(rng.normal(size=(FINE, FINE)), 3)
        pattern = spots * 10 > 0.2
    else:
        return plain
    return plain * (1 - strength * pattern)


def laid_out(rng: np.random.Generator, image: np.ndarray, narrow: float) -> np.ndarray:
    """Stretch, tilt and shift by looking every pixel up where it came from."""
    tilt = rng.normal(0, 0.035)
    dx = rng.normal(0, 0.04)
    dy = rng.normal(0, 0.03)
    short = rng.uniform(0.9, 1.04)
    column_of = ((X / narrow + tilt * Y + dx) + 1) * (FINE - 1) / 2
    row_of = ((Y / short - tilt * X + dy) + 1) * (FINE - 1) / 2
    inside = (column_of >= 0) & (column_of < FINE)
    inside &= (row_of >= 0) & (row_of < FINE)
    columns = np.clip(column_of, 0, FINE - 1).astype(int)
    rows = np.clip(row_of, 0, FINE - 1).astype(int)
    return np.where(inside, image[rows, columns], 0)


# ------------------------------------------------------------------------------------ the files


def labels(split: str) -> np.ndarray:
    """The class of every picture of a split, balanced, uint8."""
    rng = np.random.default_rng([*split.encode()])
    classes = np.arange(COUNTS[split]) % len(CLASSES)
    return rng.permutation(classes).astype(np.uint8)


def picture(split: str, index: int) -> np.ndarray:
    """One picture of a split, uint8 (28, 28)."""
    label = int(labels(split)[index])
    rng = np.random.default_rng([*split.encode(), index])
    return draw(label, rng)


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write a uint8 array in the IDX format, compressed.

    There is no date in the file: the same array gives the same bytes.
    """
    header = struct.pack(">HBB", 0, 8, array.ndim)
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    packed = gzip.compress(header + shape + array.tobytes(), mtime=0)
    path.write_bytes(packed)


def main(folder: Path = FOLDER) -> None:
    """Draw both splits into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in COUNTS.items():
        images = [picture(split, index) for index in range(count)]
        write_idx(folder / f"{split}-images-idx3-ubyte.gz", np.stack(images))
        write_idx(folder / f"{split}-labels-idx1-ubyte.gz", labels(split))
        print(f"{split}: {count} pictures")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=FOLDER,
        help="where to write (default: %(default)s)",
    )
    main(parser.parse_args().folder)
