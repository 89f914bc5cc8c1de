"""A small renderer in NumPy: curved sheets in space, lit by one sun, seen through a camera.

The bundled pictures are all drawn with it. A shape is a `Cloud` of coloured points dense enough
to leave no holes. `render` keeps the nearest point of every pixel, shades it, and returns a
layer; layers are blurred and stacked. Space: x right, y up, z towards the eye. The picture
spans -1..1 in x and y. `px` is always the number of pixels of one unit.

The same seed gives the same bytes: the order of the random draws and of the arithmetic below is
part of the bundled data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy import cos, pi, sin, sqrt
from scipy.ndimage import gaussian_filter, zoom

Rng = np.random.Generator
Array = np.ndarray
Number = Array | float
Paint = Callable | Sequence[float]

GOLDEN_ANGLE = pi * (3 - sqrt(5))
GREEN = np.float32([0.16, 0.30, 0.07])
GLOSS = 0.08
UNTURNED = np.eye(3)


class Cloud(NamedTuple):
    """Points of a shape: positions, unit normals, colours (0..1), each float32 (n, 3)."""

    points: Array
    normals: Array
    colours: Array

    def placed(
        self,
        turn: Array = UNTURNED,
        shift: Sequence[float] = (0, 0, 0),
        size: float = 1.0,
    ) -> Cloud:
        """The same shape turned by a 3x3 rotation, grown by `size` and then moved."""
        points = _turned(self.points, turn * size) + np.float32(shift)
        normals = _turned(self.normals, turn)
        return Cloud(points, normals, self.colours)


def _turned(vectors: Array, turn: Array) -> Array:
    # Not `@`: how a matrix product rounds differs from one BLAS to the next, and the same bytes
    # are wanted everywhere.
    return np.einsum("ni,ji->nj", vectors, turn.astype(np.float32))


def join(clouds: Sequence[Cloud]) -> Cloud:
    """One cloud of several."""
    points = np.concatenate([cloud.points for cloud in clouds])
    normals = np.concatenate([cloud.normals for cloud in clouds])
    colours = np.concatenate([cloud.colours for cloud in clouds])
    return Cloud(points, normals, colours)


def facing(axis: Sequence[float], spin: float = 0.0) -> Array:
    """The rotation that takes z to `axis`, after a turn by `spin` radians about z."""
    z = np.asarray(axis, float) / np.linalg.norm(axis)
    sideways = [0.0, 1.0, 0.0]
    if abs(z[1]) >= 0.9:
        sideways = [1.0, 0.0, 0.0]
    x = np.cross(sideways, z)
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    about_z = [
        [cos(spin), -sin(spin), 0],
        [sin(spin), cos(spin), 0],
        [0, 0, 1],
    ]
    frame = np.stack([x, y, z], axis=1)
    return frame @ np.array(about_z)


# ------------------------------------------------------------------------------- where parts go


def around(count: int, offset: float = 0.0) -> Array:
    """Azimuths of `count` parts in a circle, turned on by `offset` parts."""
    return (np.arange(count) + offset) * 2 * pi / count


def spiral(count: int) -> Array:
    """Azimuths of parts that grow one golden angle after the other, as in most flowers."""
    return np.arange(count) * GOLDEN_ANGLE


def ranks(count: int) -> Array:
    """From the innermost of `count` parts, near 0, to the outermost, near 1."""
    return (np.arange(count) + 0.5) / count


def sphere(count: int) -> Array:
    """Evenly spread unit vectors, shape (count, 3), the first near the pole at z = 1."""
    z = 1 - 2 * (np.arange(count) + 0.5) / count
    return about_axis(sqrt(1 - z**2), spiral(count), z)


def about_axis(out: Array, azimuth: Array, z: Number) -> Array:
    """Points, shape (..., 3), at a distance `out` from the z axis."""
    x = out * cos(azimuth)
    y = out * sin(azimuth)
    z = np.broadcast_to(z, x.shape)
    return np.stack([x, y, z], -1)


def _steps(start: float, stop: float, count: int) -> Array:
    return np.linspace(start, stop, count, dtype=np.float32)


def _grid(size: int) -> Array:
    """Places across a picture of so many pixels, -1 to 1."""
    return _steps(-1, 1, size)


# --------------------------------------------------------------------------------------- shapes


def surface(points: Array, colours: Array | Sequence[float]) -> Cloud:
    """A cloud from sheets of points, shape (..., rows, columns, 3).

    Normals come from neighbouring points; `colours` may be anything that broadcasts to the
    points.
    """
    points = np.asarray(points, np.float32)
    colours = np.asarray(colours, np.float32)
    colours = np.broadcast_to(colours, points.shape)
    down = np.gradient(points, axis=-3)
    across = np.gradient(points, axis=-2)
    normals = _unit(np.cross(down, across))
    return Cloud(
        points.reshape(-1, 3),
        normals.reshape(-1, 3),
        colours.reshape(-1, 3),
    )


def _unit(vectors: Array) -> Array:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / (length + np.float32(1e-9))


def samples(extent: float, px: float) -> int:
    """How many points cover `extent` without holes when a unit is `px` pixels."""
    steps = math.ceil(1.3 * float(extent) * px)
    return max(3, steps + 1)


def _colours(paint: Paint, *place: Array) -> Array | Sequence[float]:
    """What a painter says of each place; a plain colour is the same everywhere."""
    if callable(paint):
        return paint(*place)
    return paint


def oval(fullest: float = 0.6, tip: float = 0.5) -> Callable:
    """The outline of a petal: half-width at u, 1 at `fullest` and 0 at both ends.

    u runs along the petal from 0 to 1. A larger `tip` is more pointed.
    """
    base = tip * fullest / (1 - fullest)
    highest = fullest**base * (1 - fullest) ** tip

    def outline(u: Array) -> Array:
        return u**base * (1 - u) ** tip / highest

    return outline


def notched(depth: float, teeth: int, fullest: float = 0.4, tip: float = 0.8) -> Callable:
    """The outline of a leaf with teeth, on top of an `oval`."""
    smooth = oval(fullest, tip)

    def outline(u: Array) -> Array:
        tooth = teeth * u % 1
        return smooth(u) * (1 - depth + depth * tooth)

    return outline


OVAL = oval()


def blades(
    px: float,
    azimuth: Array | Sequence[float],
    length: Number,
    width: Number,
    lift: Number,
    paint: Paint,
    profile: Callable = OVAL,
    bend: Number = 0.0,
    curl: Number = 0.0,
    cup: Number = 0.3,
    radius: Number = 0.0,
    height: Number = 0.0,
    ruffle: float = 0.0,
) -> Cloud:
    """Petals or leaves around the z axis, one for each azimuth.

    A blade leaves the axis at `radius` and `height`, rises at the angle `lift`, turns by `bend`
    along its length and by `curl` near its tip, is rolled across by `cup`, and its border waves
    by `ruffle`. Every number but the last may differ from blade to blade. `paint` is a colour
    or a function of (u, v): u runs along from 0 to 1, v across from -1 to 1.
    """

    def each(value: Number) -> Array:
        """One number for every blade, float32 of shape (blades, 1, 1)."""
        value = np.asarray(value, np.float32)
        return np.broadcast_to(value, (len(azimuth),)).reshape(-1, 1, 1)

    turn = each(azimuth)
    length = each(length)
    width = each(width)
    cup = each(cup)
    rows = samples(length.max(), px)
    columns = samples(2 * width.max(), px)
    u = _steps(0, 1, rows)[:, None]
    v = _steps(-1, 1, columns)

    # The midrib, as a path in the plane of the axis: how far out, how far up.
    angle = each(lift) + each(bend) * u + each(curl) * u**3
    step = length / (rows - 1)
    out = each(radius) + np.cumsum(cos(angle), 1) * step
    up = each(height) + np.cumsum(sin(angle), 1) * step

    # The blade across it: an arc of a circle, flat where the cup is near zero.
    cup = np.where(np.abs(cup) < 1e-3, np.float32(1e-3), cup)
    half = width * profile(u)
    across = half * sin(cup * v) / cup
    rise = half * (1 - cos(cup * v)) / cup
    if ruffle:
        wave = sin(7 * u + 5 * v + 9 * turn)
        rise = rise + ruffle * length * u * v**2 * wave
    out = out - sin(angle) * rise
    up = up + cos(angle) * rise

    x = out * cos(turn) - across * sin(turn)
    y = out * sin(turn) + across * cos(turn)
    points = np.stack([x, y, up], -1)
    return surface(points, _colours(paint, u, v))


def tubes(px: float, paths: Array, radius: Number, colour: Array) -> Cloud:
    """Round stems along smooth paths of shape (stems, knots, 3).

    A path is the Bezier curve of its knots. `radius` and `colour` may differ by stem.
    """
    paths = np.asarray(paths, np.float32)
    stems, knots, _ = paths.shape
    radius = np.broadcast_to(np.asarray(radius, np.float32), (stems,))
    radius = radius.reshape(-1, 1, 1, 1)
    colour = np.asarray(colour, np.float32)
    colour = colour.reshape(-1, 1, 1, 3)

    extent = np.abs(np.diff(paths, axis=1)).sum((1, 2))
    t = _steps(0, 1, samples(extent.max(), px))
    line = np.einsum("kt,pkc->ptc", _bernstein(knots - 1, t), paths)

    # Two directions across each line, and a circle in their plane.
    along = _unit(np.gradient(line, axis=1))
    side = _unit(np.cross(along, np.float32([0.13, 0.21, 0.97])))
    other = np.cross(along, side)
    side = side[:, :, None]
    other = other[:, :, None]
    turn = _steps(0, 2 * pi, samples(2 * pi * radius.max(), px))[:, None]
    circle = cos(turn) * side + sin(turn) * other
    points = line[:, :, None] + radius * circle
    return surface(points, colour)


def _bernstein(degree: int, t: Array) -> Array:
    """The weights of the knots of a Bezier curve, shape (degree + 1, len(t))."""
    weights = []
    for k in range(degree + 1):
        rest = degree - k
        weights.append(math.comb(degree, k) * t**k * (1 - t) ** rest)
    return np.stack(weights)


def revolve(
    px: float,
    radii: Callable,
    heights: Callable,
    paint: Paint,
    size: float = 1.0,
) -> Cloud:
    """A turned shape about z, such as a vase.

    `radii` and `heights` map t in 0..1 to lengths; `paint` maps (t, azimuth) to a colour.
    """
    t = _steps(0, 1, samples(2.2 * size, px))[:, None]
    turn = _steps(0, 2 * pi, samples(2 * pi * size, px))
    points = about_axis(radii(t) * size, turn, heights(t) * size)
    return surface(points, _colours(paint, t, turn))


def ball(px: float, size: float, paint: Paint, stretch: float = 1.0) -> Cloud:
    """A sphere about the origin, stretched along z."""

    def radii(t: Array) -> Array:
        return sin(pi * t)

    def heights(t: Array) -> Array:
        return -stretch * cos(pi * t)

    return revolve(px, radii, heights, paint, size)


# -------------------------------------------------------------------------- the sun and the eye


class View(NamedTuple):
    """What an eye at the far end of z sees of some points."""

    depth: Array
    """The greatest z of every pixel, -inf where there is none."""
    front: Array
    """The indices of the points that have it."""
    pixel: Array
    """The pixel of every point. Points outside share one more pixel, the last."""


def _nearest(x: Array, y: Array, z: Array, size: int) -> View:
    column = ((x + 1) * (size / 2)).astype(np.int32)
    row = ((1 - y) * (size / 2)).astype(np.int32)
    inside = (column >= 0) & (column < size)
    inside &= (row >= 0) & (row < size)
    outside = size * size
    pixel = np.where(inside, row * size + column, outside)
    depth = np.full(outside + 1, -np.inf, np.float32)
    np.maximum.at(depth, pixel, z)
    nearest = z == depth[pixel]
    front = np.flatnonzero(nearest & inside)
    return View(depth, front, pixel)


class Light(NamedTuple):
    """The direction to the sun, and the colours of direct and of sky light."""

    direction: Array
    sun: Array
    shade: Array


def render(cloud: Cloud, size: int, light: Light) -> Array:
    """Draw a cloud as a premultiplied RGBA layer, float32 (size, size, 4).

    Shadows, dark creases, light shining through thin sheets and a weak gloss are what make the
    shapes look solid.
    """
    x, y, z = cloud.points.T
    view = _nearest(x, y, z, size)
    front = view.front
    layer = np.zeros((size * size, 4), np.float32)
    if len(front):
        pixel = view.pixel[front]
        layer[pixel, :3] = _shaded(cloud, view, size, light)
        layer[pixel, 3] = 1
    return layer.reshape(size, size, 4)


def _shaded(cloud: Cloud, view: View, size: int, light: Light) -> Array:
    """The colours of the points in front, in the light of the sun and of the sky."""
    front = view.front
    pixel = view.pixel[front]
    depth = view.depth[:-1].reshape(size, size)
    covered = np.isfinite(depth)
    sun = np.float32(light.sun)
    shade = np.float32(light.shade)
    direction = np.asarray(light.direction, np.float32)
    direction = direction / np.linalg.norm(light.direction)

    # A sheet has two sides: turn every normal to the eye.
    normals = cloud.normals[front]
    normals = normals * np.where(normals[:, 2:] < 0, -1, 1)
    upward = normals[:, 1]
    to_eye = normals[:, 2]
    to_sun = (normals * direction).sum(1)

    # Depth below the smoothed depth around: creases between petals get less of the sky.
    depth = np.where(covered, depth, 0)
    below = _local_mean(depth, covered, size / 60) - depth
    below = below.reshape(-1)[pixel]
    crease = np.clip(below / 0.09, -0.3, 1)
    sky = (0.75 + 0.25 * upward) * (1 - 0.6 * crease)

    # Direct light, with soft borders of the shadows, on either side of a sheet.
    lit = np.zeros(size * size, np.float32)
    lit[pixel] = _reached_by_sun(cloud, front, direction, to_sun, size)
    lit = lit.reshape(size, size)
    lit = _local_mean(lit, covered, size / 200)
    lit = lit.reshape(-1)[pixel]
    from_front = np.clip(to_sun, 0, 1)
    through = 0.45 * np.clip(-to_sun, 0, 1)
    direct = lit * (from_front + through)

    # Gloss, strongest where the normal halves the angle between the sun and the eye.
    halfway = np.linalg.norm(direction + np.float32([0, 0, 1]))
    mirrored = (to_sun + to_eye) / halfway
    shine = lit * np.clip(mirrored, 0, 1) ** 24

    colour = cloud.colours[front]
    colour = colour * (direct[:, None] * sun + sky[:, None] * shade)
    colour = colour + GLOSS * shine[:, None] * sun
    return np.clip(colour, 0, 2)


def _reached_by_sun(
    cloud: Cloud,
    front: Array,
    direction: Array,
    to_sun: Array,
    size: int,
) -> Array:
    """Which points of the front lie in no shadow: a second eye in the sun sees them."""
    coarse = size // 2
    x, y, z = _turned(cloud.points, facing(direction).T).T
    view = _nearest(x / 1.6, y / 1.6, z, coarse)
    pixel = view.pixel[front]
    # The coarse second view steps by more on a sheet lit at a flat angle: allow for it, or the
    # sheet shades itself.
    flat = np.maximum(np.abs(to_sun), 0.12)
    slack = 0.025 + 0.015 / flat
    beyond_view = pixel == coarse**2
    seen = z[front] > view.depth[pixel] - slack
    return beyond_view | seen


def _local_mean(values: Array, covered: Array, blur: float) -> Array:
    """The mean around every pixel over the covered pixels; `values` are 0 on the others."""
    weight = gaussian_filter(covered.astype(np.float32), blur)
    total = gaussian_filter(values, blur)
    return total / np.maximum(weight, 1e-3)


def stack(picture: Array, layer: Array, blur: float) -> Array:
    """Lay a premultiplied RGBA layer, out of focus by `blur` pixels, over an RGB picture."""
    if blur:
        layer = gaussian_filter(layer, (blur, blur, 0))
    colour = layer[..., :3]
    alpha = layer[..., 3:]
    return picture * (1 - alpha) + colour


def doubled(picture: Array) -> Array:
    """The picture at twice the size, every pixel four times."""
    return picture.repeat(2, 0).repeat(2, 1)


# ----------------------------------------------------------------------------- the surroundings


def noise(rng: Rng, size: int, cells: int) -> Array:
    """Smooth random field of about 0 +- 1, shape (size, size).

    `cells` bumps across, then twice and four times as many at half and a quarter of the height.
    """
    total = np.zeros((size, size), np.float32)
    for octave in range(3):
        n = cells * 2**octave + 2
        bumps = rng.normal(size=(n, n)).astype(np.float32)
        total += zoom(bumps, size / n, order=3) * 0.5**octave
    return total


def mix(a: Array, b: Array, amount: Number) -> Array:
    """The colour between `a` (amounts up to 0) and `b` (amounts from 1)."""
    amount = np.clip(amount, 0, 1)
    amount = np.asarray(amount, np.float32)[..., None]
    return np.float32(a) * (1 - amount) + np.float32(b) * amount


def bokeh(rng: Rng, size: int, colours: Array) -> Array:
    """A premultiplied RGBA layer of soft discs: far lights and blossoms out of focus."""
    count = int(rng.integers(5, 20))
    across = _grid(size)
    down = across[:, None]
    layer = np.zeros((size, size, 4), np.float32)
    chosen = rng.integers(len(colours), size=count)
    for colour in colours[chosen]:
        x = rng.uniform(-1.1, 1.1)
        y = rng.uniform(-1.1, 1.1)
        radius = rng.uniform(0.05, 0.28)
        distance = np.hypot(across - x, down - y) / radius
        inwards = (1 - distance) * radius
        disc = np.clip(inwards * size / 5, 0, 1)
        brighter_rim = 0.8 + 0.2 * distance
        strength = rng.uniform(0.15, 0.6)
        alpha = (disc * brighter_rim * strength)[..., None]
        opaque = np.append(np.float32(colour), np.float32(1))
        layer = layer * (1 - alpha) + alpha * opaque
    return layer


def leaf_green(rng: Rng) -> Array:
    """Some green of leaves."""
    green = GREEN * rng.uniform(0.6, 1.5)
    green = green + rng.normal(0, 0.025, 3)
    return np.clip(green, 0.01, 1).astype(np.float32)


def leaf_greens(rng: Rng, count: int) -> Array:
    """Several greens, shape (count, 3)."""
    return np.stack([leaf_green(rng) for _ in range(count)])


def grass(rng: Rng, px: float, count: int, front: float = 0.0) -> Cloud:
    """Blades of grass rising from below; a larger `front` is nearer to the eye."""
    x = rng.uniform(-1.2, 1.2, count)
    lean = rng.normal(0, 0.4, count)
    top = rng.uniform(-0.9, 0.5, count)
    z = rng.uniform(-1.5, -0.7, count)
    z = z + front
    bottom = np.full(count, -1.3)
    half_way = (top - 1.3) / 2
    foot = np.stack([x, bottom, z], 1)
    middle = np.stack([x, half_way, z], 1)
    tip = np.stack([x + lean, top, z + 0.1], 1)
    paths = np.stack([foot, middle, tip], 1)
    colours = leaf_greens(rng, count)
    return tubes(px, paths, rng.uniform(0.006, 0.02), colours)


GROUNDS = {
    "land": 0.2,
    "hedge": 0.3,
    "soil": 0.1,
    "lawn": 0.22,
    "wall": 0.06,
    "dark": 0.12,
}


def backdrop(rng: Rng, size: int) -> Array:
    """A ground out of focus: sky over land, a hedge, soil, a lawn, a wall or the dark."""
    kind = rng.choice(list(GROUNDS), p=list(GROUNDS.values()))
    rough = noise(rng, size, int(rng.integers(3, 9)))
    green = leaf_green(rng)
    if kind == "land":
        return _sky_over_land(rng, green, rough)

    plaster = rng.uniform(0.3, 0.75)
    dark_wall = plaster * rng.uniform(0.7, 1, 3)
    light_wall = plaster * rng.uniform(0.9, 1.2, 3)
    darkest_and_lightest = {
        "hedge": (green * 0.35, green * 1.5),
        "soil": ((0.10, 0.06, 0.04), (0.36, 0.26, 0.18)),
        "lawn": (green * 0.8, green * 1.7),
        "wall": (dark_wall, light_wall),
        "dark": ((0.01, 0.015, 0.01), (0.06, 0.09, 0.06)),
    }
    dark, light = darkest_and_lightest[kind]
    contrast = 0.25 if kind == "wall" else 1
    picture = mix(dark, light, 0.5 + 0.35 * rough * contrast)
    if kind in ("hedge", "dark", "lawn") and rng.random() < 0.5:
        greens = leaf_greens(rng, 5) * 1.6
        blossoms = rng.uniform(0.4, 1, (2, 3))
        tints = np.concatenate([greens, blossoms])
        picture = stack(picture, bokeh(rng, size, tints), 0)
    return picture


def _sky_over_land(rng: Rng, green: Array, rough: Array) -> Array:
    """A horizon somewhere, with a rough outline; the sky is blue or grey."""
    height = _steps(1, -1, len(rough))[:, None]
    horizon = rng.uniform(-0.6, 0.4)
    height = height - horizon + 0.06 * rough
    haze = (0.75, 0.82, 0.88)
    blue = [0.25, 0.45, 0.80]
    grey = [0.6, 0.65, 0.7]
    zenith = rng.choice([blue, grey])
    sky = mix(haze, zenith, height)
    land = mix(green * 0.7, green * 1.4, 0.5 + 0.4 * rough)
    above = np.clip(height * 6 + 0.5, 0, 1)[..., None]
    return land + (sky - land) * above


def daylight(rng: Rng) -> Light:
    """Sunny or overcast, the sun high or low, in front or behind."""
    height = rng.uniform(0.25, 1.35)
    azimuth = rng.uniform(0, 2 * pi)
    x = cos(height) * cos(azimuth)
    y = sin(height) + 0.1
    z = cos(height) * sin(azimuth) * 0.6 + 0.45
    warm = rng.uniform(-0.08, 0.22)
    sunny = rng.uniform(0.7, 1.15)
    overcast = rng.uniform(0.05, 0.3)
    strength = rng.choice([sunny, overcast], p=[0.72, 0.28])
    yellowish = np.array([1 + warm, 1.0, 1 - warm])
    bluish = np.array([1 - warm / 3, 1.0, 1 + warm / 2])
    sun = strength * yellowish
    shade = (0.95 - 0.55 * strength) * bluish
    return Light(np.array([x, y, z]), sun, shade)


def develop(rng: Rng, picture: Array) -> Array:
    """What a camera adds to a picture of light. Returns uint8 at half the size.

    In turn: blur, white balance and exposure, vignette, film curve, saturation, grain.
    """
    size = len(picture) // 2
    blur = rng.choice([0.0, 0.6, 1.6], p=[0.5, 0.35, 0.15])
    if blur:
        shake = blur * rng.uniform(0.7, 1.6)
        picture = gaussian_filter(picture, (shake, blur, 0))
    picture = picture.reshape(size, 2, size, 2, 3).mean((1, 3))

    warmth = rng.normal(0, 0.05)
    tint = rng.normal(0, 0.02)
    balance = np.float32([1 + warmth, 1 + tint, 1 - warmth])
    exposure = 2 ** rng.normal(0, 0.15)
    picture = picture * balance * exposure

    across = _grid(size)[:, None]
    down = across[:, None]
    from_middle = across**2 + down**2
    darkening = rng.uniform(0, 0.35)
    picture = picture * (1 - darkening * from_middle / 2)

    # A film curve: shadows keep detail and highlights roll off instead of clipping.
    picture = np.clip(picture, 0, None)
    picture = 1 - np.exp(-2.1 * picture)
    grey = picture.mean(-1, keepdims=True)
    saturation = rng.uniform(0.75, 1.2)
    picture = grey + (picture - grey) * saturation
    grain = rng.uniform(0.002, 0.014)
    picture = picture + rng.normal(0, grain, picture.shape)
    picture = picture * 255 + 0.5
    return np.clip(picture, 0, 255).astype(np.uint8)
