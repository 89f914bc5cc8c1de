"""A small renderer in NumPy: curved sheets in space, lit by one sun, seen through a camera.

The bundled pictures are all drawn with it. A shape is a `Cloud` of coloured points dense enough
to leave no holes. `render` keeps the nearest point of every pixel, shades it, and returns a
layer; layers are blurred and stacked. Space: x right, y up, z towards the eye. The picture
spans -1..1 in x and y.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
GREEN = np.float32([0.16, 0.30, 0.07])


class Cloud(NamedTuple):
    """Points of a shape: positions, unit normals and colours (0..1), each float32 of shape (n, 3)."""

    points: np.ndarray
    normals: np.ndarray
    colours: np.ndarray

    def placed(
        self,
        turn: np.ndarray | None = None,
        shift: Sequence[float] = (0, 0, 0),
        size: float = 1.0,
    ) -> Cloud:
        """The same shape turned by a 3x3 rotation, grown by `size` and then moved."""
        turn = np.eye(3) if turn is None else turn
        return Cloud(
            _turned(self.points, turn * size) + np.float32(shift),
            _turned(self.normals, turn),
            self.colours,
        )


def _turned(vectors: np.ndarray, turn: np.ndarray) -> np.ndarray:
    # Not `@`: how a matrix product rounds differs from one BLAS to the next, and the same bytes
    # are wanted everywhere.
    return np.einsum("ni,ji->nj", vectors, turn.astype(np.float32))


def join(clouds: Sequence[Cloud]) -> Cloud:
    """One cloud of several."""
    return Cloud(*(np.concatenate(parts) for parts in zip(*clouds, strict=True)))


def facing(axis: Sequence[float], spin: float = 0.0) -> np.ndarray:
    """The rotation that takes z to `axis`, after a turn by `spin` radians about z."""
    z = np.asarray(axis, float) / np.linalg.norm(axis)
    x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
    x /= np.linalg.norm(x)
    turn = np.array(
        [[np.cos(spin), -np.sin(spin), 0], [np.sin(spin), np.cos(spin), 0], [0, 0, 1]]
    )
    return np.stack([x, np.cross(z, x), z], axis=1) @ turn


def surface(points: np.ndarray, colours: np.ndarray) -> Cloud:
    """A cloud from sheets of points, shape (..., rows, columns, 3); normals come from neighbouring points."""
    points = np.asarray(points, np.float32)
    du, dv = np.gradient(points, axis=-3), np.gradient(points, axis=-2)
    normals = np.cross(du, dv)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + np.float32(1e-9)
    colours = np.broadcast_to(np.asarray(colours, np.float32), points.shape)
    return Cloud(points.reshape(-1, 3), normals.reshape(-1, 3), colours.reshape(-1, 3))


def samples(extent: float, px: float) -> int:
    """How many points cover `extent` without holes when a unit is `px` pixels."""
    return max(3, int(np.ceil(1.3 * float(extent) * px)) + 1)


def oval(u: np.ndarray, fullest: float = 0.6, tip: float = 0.5) -> np.ndarray:
    """Half-width of a petal along its length: 1 at `fullest`, 0 at both ends; a larger `tip` is more pointed."""
    base = tip * fullest / (1 - fullest)
    return u**base * (1 - u) ** tip / (fullest**base * (1 - fullest) ** tip)


def blades(
    px: float,
    azimuth: np.ndarray,
    length: np.ndarray | float,
    width: np.ndarray | float,
    lift: np.ndarray | float,
    paint: Callable | Sequence[float],
    profile: Callable = oval,
    bend: np.ndarray | float = 0.0,
    curl: np.ndarray | float = 0.0,
    cup: np.ndarray | float = 0.3,
    radius: np.ndarray | float = 0.0,
    height: np.ndarray | float = 0.0,
    ruffle: float = 0.0,
) -> Cloud:
    """Petals or leaves around the z axis, one for each azimuth; every number may differ from blade to blade.

    A blade leaves the axis at `radius` and `height`, rises at the angle `lift`, turns by `bend`
    along its length and by `curl` near its tip, and is rolled across by `cup`. `paint` is a
    colour or a function of (u, v, blade): u runs along from 0 to 1, v across from -1 to 1, and
    blade counts the blades.
    """
    count = len(azimuth)
    azimuth, length, width, lift, bend, curl, cup, radius, height = (
        np.broadcast_to(np.asarray(a, np.float32), (count,)).reshape(-1, 1, 1)
        for a in (azimuth, length, width, lift, bend, curl, cup, radius, height)
    )
    rows, columns = samples(length.max(), px), samples(2 * width.max(), px)
    u = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    v = np.linspace(-1, 1, columns, dtype=np.float32)
    angle = lift + bend * u + curl * u**3
    step = length / (rows - 1)
    out, up = (
        radius + np.cumsum(np.cos(angle), 1) * step,
        height + np.cumsum(np.sin(angle), 1) * step,
    )
    half = width * profile(u)
    cup = np.where(np.abs(cup) < 1e-3, np.float32(1e-3), cup)
    across, rise = half * np.sin(cup * v) / cup, half * (1 - np.cos(cup * v)) / cup
    if ruffle:
        rise = rise + ruffle * length * u * v**2 * np.sin(7 * u + 5 * v + 9 * azimuth)
    out, up = out - np.sin(angle) * rise, up + np.cos(angle) * rise
    points = np.stack(
        [
            out * np.cos(azimuth) - across * np.sin(azimuth),
            out * np.sin(azimuth) + across * np.cos(azimuth),
            up,
        ],
        -1,
    )
    blade = np.arange(count).reshape(-1, 1, 1)
    return surface(points, paint(u, v, blade) if callable(paint) else paint)


def tubes(
    px: float, paths: np.ndarray, radius: np.ndarray | float, colour: np.ndarray
) -> Cloud:
    """Round stems along smooth paths of shape (count, knots, 3); `radius` and `colour` may differ by stem."""
    paths = np.asarray(paths, np.float32)
    knots = paths.shape[1]
    span = np.abs(np.diff(paths, axis=1)).sum((1, 2)).max()
    t = np.linspace(0, 1, samples(span, px), dtype=np.float32)
    weights = [
        _binomial(knots - 1, k) * t**k * (1 - t) ** (knots - 1 - k) for k in range(knots)
    ]
    line = np.einsum("kt,pkc->ptc", np.stack(weights), paths)
    radius = np.broadcast_to(np.asarray(radius, np.float32), (len(paths),)).reshape(-1, 1, 1, 1)
    along = np.gradient(line, axis=1)
    along /= np.linalg.norm(along, axis=-1, keepdims=True) + 1e-9
    side = np.cross(along, np.float32([0.13, 0.21, 0.97]))
    side /= np.linalg.norm(side, axis=-1, keepdims=True) + 1e-9
    other = np.cross(along, side)
    turn = np.linspace(0, 2 * np.pi, samples(2 * np.pi * radius.max(), px), dtype=np.float32)[
        :, None
    ]
    points = line[:, :, None] + radius * (
        np.cos(turn) * side[:, :, None] + np.sin(turn) * other[:, :, None]
    )
    colour = np.asarray(colour, np.float32).reshape(-1, 1, 1, 3)
    return surface(points, np.broadcast_to(colour, (len(paths), 1, 1, 3)))


def _binomial(n: int, k: int) -> float:
    return float(np.prod([(n - i) / (i + 1) for i in range(k)]))


def revolve(
    px: float,
    radii: Callable,
    heights: Callable,
    paint: Callable | Sequence[float],
    size: float = 1.0,
) -> Cloud:
    """A turned shape about z: `radii` and `heights` map t in 0..1 to lengths; `paint` maps (t, azimuth) to a colour."""
    t = np.linspace(0, 1, samples(2.2 * size, px), dtype=np.float32)[:, None]
    turn = np.linspace(0, 2 * np.pi, samples(2 * np.pi * size, px), dtype=np.float32)
    r, z = radii(t) * size, heights(t) * size + 0 * turn
    points = np.stack([r * np.cos(turn), r * np.sin(turn), z + 0 * r], -1)
    return surface(points, paint(t, turn) if callable(paint) else paint)


def ball(
    px: float, size: float, paint: Callable | Sequence[float], stretch: float = 1.0
) -> Cloud:
    """A sphere about the origin, stretched along z."""
    return revolve(
        px, lambda t: np.sin(np.pi * t), lambda t: -stretch * np.cos(np.pi * t), paint, size
    )


def _nearest(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every pixel the greatest z; the indices of the points that have it, and every point's pixel (-1: outside)."""
    column, row = (
        ((x + 1) * (size / 2)).astype(np.int32),
        ((1 - y) * (size / 2)).astype(np.int32),
    )
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    pixel = np.where(inside, row * size + column, size * size)
    depth = np.full(size * size + 1, -np.inf, np.float32)
    np.maximum.at(depth, pixel, z)
    front = np.flatnonzero((z == depth[pixel]) & inside)
    return depth, front, pixel


def render(
    cloud: Cloud,
    size: int,
    light: Sequence[float],
    sun: Sequence[float],
    shade: Sequence[float],
    gloss: float = 0.08,
) -> np.ndarray:
    """Draw a cloud as a premultiplied RGBA layer, float32 (size, size, 4).

    `light` points to the sun; `sun` and `shade` are the colours of direct and of sky light.
    Shadows, dark creases, light shining through thin sheets and a weak gloss are what make the
    shapes look solid.
    """
    light = np.asarray(light, np.float32) / np.linalg.norm(light)
    x, y, z = cloud.points.T
    depth, front, pixel = _nearest(x, y, z, size)
    layer = np.zeros((size * size, 4), np.float32)
    if not len(front):
        return layer.reshape(size, size, 4)
    where = pixel[front]

    # A second camera in the sun: what it cannot see lies in shadow.
    sunward = _turned(cloud.points, facing(light).T).T
    far, _, cell = _nearest(sunward[0] / 1.6, sunward[1] / 1.6, sunward[2], size // 2)
    normals = cloud.normals[front]
    normals = normals * np.where(normals[:, 2:] < 0, -1, 1)
    facing_sun = normals[:, 0] * light[0] + normals[:, 1] * light[1] + normals[:, 2] * light[2]
    # The coarse second view steps by more on a sheet lit at a flat angle: allow for it, or the
    # sheet shades itself.
    slack = 0.025 + 0.015 / np.maximum(np.abs(facing_sun), 0.12)
    lit_front = (cell[front] == (size // 2) ** 2) | (
        sunward[2][front] > far[cell[front]] - slack
    )

    # Depth below the smoothed depth around: creases between petals get less of the sky.
    depth = depth[:-1].reshape(size, size)
    seen = np.isfinite(depth)
    flat = np.where(seen, depth, 0)
    blur = size / 60
    mean = gaussian_filter(flat, blur) / np.maximum(
        gaussian_filter(seen.astype(np.float32), blur), 1e-3
    )
    crease = np.clip((mean - flat).reshape(-1)[where] / 0.09, -0.3, 1)[:, None]

    lit = np.zeros(size * size, np.float32)
    lit[where] = lit_front
    weight = gaussian_filter(seen.astype(np.float32), size / 200)
    lit = (
        gaussian_filter(lit.reshape(size, size), size / 200) / np.maximum(weight, 1e-3)
    ).reshape(-1)[where]
    direct = (lit * (np.clip(facing_sun, 0, 1) + 0.45 * np.clip(-facing_sun, 0, 1)))[:, None]
    halfway = np.linalg.norm(light + np.float32([0, 0, 1]))
    shine = (lit * np.clip((facing_sun + normals[:, 2]) / halfway, 0, 1) ** 24)[:, None]
    sky = (0.75 + 0.25 * normals[:, 1:2]) * (1 - 0.6 * crease)
    colour = cloud.colours[front] * (
        direct * np.float32(sun) + sky * np.float32(shade)
    ) + gloss * shine * np.float32(sun)
    layer[where, :3] = np.clip(colour, 0, 2)
    layer[where, 3] = 1
    return layer.reshape(size, size, 4)


def stack(picture: np.ndarray, layer: np.ndarray, blur: float = 0.0) -> np.ndarray:
    """Lay a premultiplied RGBA layer, out of focus by `blur` pixels, over an RGB picture."""
    if blur:
        layer = gaussian_filter(layer, (blur, blur, 0))
    return picture * (1 - layer[..., 3:]) + layer[..., :3]


def noise(rng: np.random.Generator, size: int, cells: int, octaves: int = 1) -> np.ndarray:
    """Smooth random field of about 0 +- 1, shape (size, size): `cells` bumps across, then finer and lower ones."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        n = cells * 2**octave + 2
        total += (
            zoom(rng.normal(size=(n, n)).astype(np.float32), size / n, order=3) * 0.5**octave
        )
    return total


def mix(a: Sequence[float], b: Sequence[float], amount: np.ndarray | float) -> np.ndarray:
    """The colour between `a` (amount 0) and `b` (amount 1)."""
    amount = np.asarray(amount, np.float32)[..., None]
    return np.float32(a) * (1 - amount) + np.float32(b) * amount


def bokeh(
    rng: np.random.Generator,
    size: int,
    count: int,
    colours: np.ndarray,
    radius: tuple[float, float],
) -> np.ndarray:
    """A premultiplied RGBA layer of soft discs: far lights and blossoms out of focus."""
    grid = np.linspace(-1, 1, size, dtype=np.float32)
    layer = np.zeros((size, size, 4), np.float32)
    for colour in colours[rng.integers(len(colours), size=count)]:
        x, y, r = rng.uniform(-1.1, 1.1), rng.uniform(-1.1, 1.1), rng.uniform(*radius)
        distance = np.hypot(grid - x, grid[:, None] - y) / r
        alpha = (
            np.clip((1 - distance) * r * size / 5, 0, 1)
            * (0.8 + 0.2 * distance)
            * rng.uniform(0.15, 0.6)
        )
        layer = layer * (1 - alpha[..., None]) + alpha[..., None] * np.append(
            np.float32(colour), np.float32(1)
        )
    return layer


def leaf_green(rng: np.random.Generator) -> np.ndarray:
    """Some green of leaves."""
    return np.clip(GREEN * rng.uniform(0.6, 1.5) + rng.normal(0, 0.025, 3), 0.01, 1).astype(
        np.float32
    )


def grass(rng: np.random.Generator, px: float, count: int, front: float = 0.0) -> Cloud:
    """Blades of grass rising from below; a larger `front` is nearer to the eye."""
    x, lean = rng.uniform(-1.2, 1.2, count), rng.normal(0, 0.4, count)
    top = rng.uniform(-0.9, 0.5, count)
    z = rng.uniform(-1.5, -0.7, count) + front
    path = np.stack(
        [
            np.stack([x, -1.3 + 0 * x, z], 1),
            np.stack([x, (top - 1.3) / 2, z], 1),
            np.stack([x + lean, top, z + 0.1], 1),
        ],
        1,
    )
    colours = np.stack([leaf_green(rng) for _ in range(count)])
    return tubes(px, path, rng.uniform(0.006, 0.02), colours)


def backdrop(rng: np.random.Generator, size: int) -> np.ndarray:
    """A ground out of focus: sky over land, a hedge, soil, a lawn, a wall or the dark."""
    kind = rng.choice(
        ["land", "hedge", "soil", "lawn", "wall", "dark"], p=[0.2, 0.3, 0.1, 0.22, 0.06, 0.12]
    )
    rough = noise(rng, size, int(rng.integers(3, 9)), 3)
    green = leaf_green(rng)
    if kind == "land":
        height = (
            np.linspace(1, -1, size, dtype=np.float32)[:, None]
            - rng.uniform(-0.6, 0.4)
            + 0.06 * rough
        )
        sky = mix(
            (0.75, 0.82, 0.88),
            rng.choice([[0.25, 0.45, 0.80], [0.6, 0.65, 0.7]]),
            np.clip(height, 0, 1),
        )
        land = mix(green * 0.7, green * 1.4, np.clip(0.5 + 0.4 * rough, 0, 1))
        return land + (sky - land) * np.clip(height * 6 + 0.5, 0, 1)[..., None]
    pairs = {
        "hedge": (green * 0.35, green * 1.5),
        "soil": ((0.10, 0.06, 0.04), (0.36, 0.26, 0.18)),
        "lawn": (green * 0.8, green * 1.7),
        "wall": rng.uniform(0.3, 0.75)
        * np.array([rng.uniform(0.7, 1, 3), rng.uniform(0.9, 1.2, 3)]),
        "dark": ((0.01, 0.015, 0.01), (0.06, 0.09, 0.06)),
    }
    picture = mix(
        *pairs[kind], np.clip(0.5 + 0.35 * rough * (0.25 if kind == "wall" else 1), 0, 1)
    )
    if kind in ("hedge", "dark", "lawn") and rng.random() < 0.5:
        tints = np.concatenate(
            [np.stack([leaf_green(rng) * 1.6 for _ in range(5)]), rng.uniform(0.4, 1, (2, 3))]
        )
        picture = stack(
            picture, bokeh(rng, size, int(rng.integers(5, 20)), tints, (0.05, 0.28))
        )
    return picture


def daylight(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Direction of the sun, its colour and the sky's: sunny or overcast, high or low, in front or behind."""
    height, around = rng.uniform(0.25, 1.35), rng.uniform(0, 2 * np.pi)
    light = [
        np.cos(height) * np.cos(around),
        np.sin(height) + 0.1,
        np.cos(height) * np.sin(around) * 0.6 + 0.45,
    ]
    warm = rng.uniform(-0.08, 0.22)
    strength = rng.choice([rng.uniform(0.7, 1.15), rng.uniform(0.05, 0.3)], p=[0.72, 0.28])
    sun = strength * np.array([1 + warm, 1.0, 1 - warm])
    shade = (0.95 - 0.55 * strength) * np.array([1 - warm / 3, 1.0, 1 + warm / 2])
    return np.array(light), sun, shade


def develop(rng: np.random.Generator, picture: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """What a camera adds: exposure, white balance, vignette, blur, contrast, grain. Returns uint8 at half the size."""
    size = len(picture)
    blur = rng.choice([0.0, 0.6, 1.6], p=[0.5, 0.35, 0.15]) * strength
    if blur:
        picture = gaussian_filter(picture, (blur * rng.uniform(0.7, 1.6), blur, 0))
    picture = picture.reshape(size // 2, 2, size // 2, 2, 3).mean((1, 3))
    warmth = rng.normal(0, 0.05 * strength)
    picture = (
        picture
        * np.float32([1 + warmth, 1 + rng.normal(0, 0.02), 1 - warmth])
        * 2 ** rng.normal(0, 0.15 * strength)
    )
    grid = np.linspace(-1, 1, size // 2, dtype=np.float32)
    picture = picture * (
        1 - rng.uniform(0, 0.35) * strength * (grid**2 + grid[:, None] ** 2)[..., None] / 2
    )
    # A film curve: shadows keep detail and highlights roll off instead of clipping.
    picture = 1 - np.exp(-2.1 * np.clip(picture, 0, None))
    grey = picture.mean(-1, keepdims=True)
    picture = grey + (picture - grey) * rng.uniform(0.75, 1.2)
    picture = picture + rng.normal(0, rng.uniform(0.002, 0.014) * strength, picture.shape)
    return np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
