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
from numpy import clip, cos, float32, pi, sin, sqrt
from scipy.ndimage import gaussian_filter, zoom

Rng = np.random.Generator
Array = np.ndarray
Vector = Sequence[float]
Number = Array | float
Paint = Callable | Vector

GOLDEN_ANGLE = pi * (3 - sqrt(5))
GREEN = float32([0.16, 0.30, 0.07])
GLOSS = 0.08
ASKEW = float32([0.13, 0.21, 0.97])
UNTURNED = np.eye(3)


class Cloud(NamedTuple):
    """Points of a shape: positions, unit normals, colours (0..1), each float32 (n, 3)."""

    points: Array
    normals: Array
    colours: Array

    def placed(
        self,
        turn: Array = UNTURNED,
        shift: Vector = (0, 0, 0),
        size: float = 1.0,
    ) -> Cloud:
        """The same shape turned by a 3x3 rotation, grown by `size` and then moved."""
        points = _turned(self.points, turn * size)
        normals = _turned(self.normals, turn)
        return Cloud(points + float32(shift), normals, self.colours)


def _turned(points: Array, turn: Array) -> Array:
    # Not `@`: how a matrix product rounds differs from one BLAS to the next, and the same bytes
    # are wanted everywhere.
    turn = turn.astype(float32)
    return np.einsum("ni,ji->nj", points, turn)


def join(clouds: Sequence[Cloud]) -> Cloud:
    """One cloud of several."""
    fields = zip(*clouds, strict=True)
    return Cloud(*map(np.concatenate, fields))


def facing(axis: Vector, spin: float = 0.0) -> Array:
    """The rotation that takes z to `axis`, after a turn by `spin` radians about z."""
    z = np.asarray(axis, float)
    z = z / np.linalg.norm(z)
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
    return vectors(x, y, z) @ np.array(about_z)


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
    places = np.arange(count) + 0.5
    z = 1 - 2 * places / count
    out = sqrt(1 - z**2)
    return about_axis(out, spiral(count), z)


def about_axis(out: Array, azimuth: Array, z: Number) -> Array:
    """Points, shape (..., 3), at a distance `out` from the z axis."""
    x = out * cos(azimuth)
    y = out * sin(azimuth)
    return vectors(x, y, np.broadcast_to(z, x.shape))


def vectors(*parts: Array) -> Array:
    """Vectors from arrays of their x, their y and their z."""
    return np.stack(parts, -1)


def _steps(start: float, stop: float, count: int) -> Array:
    return np.linspace(start, stop, count, dtype=float32)


def _grid(size: int) -> Array:
    """Places across a picture of so many pixels, -1 to 1."""
    return _steps(-1, 1, size)


# --------------------------------------------------------------------------------------- shapes


def surface(points: Array, colours: Array) -> Cloud:
    """A cloud from sheets of points, shape (..., rows, columns, 3).

    Normals come from neighbouring points; `colours` may be anything that broadcasts to the
    points.
    """
    points = np.asarray(points, float32)
    colours = np.asarray(colours, float32)
    colours = np.broadcast_to(colours, points.shape)
    down = np.gradient(points, axis=-3)
    across = np.gradient(points, axis=-2)
    normals = _unit(np.cross(down, across))
    return Cloud(
        points.reshape(-1, 3),
        normals.reshape(-1, 3),
        colours.reshape(-1, 3),
    )


def _unit(directions: Array) -> Array:
    length = np.linalg.norm(directions, axis=-1, keepdims=True)
    return directions / (length + float32(1e-9))


def samples(extent: float, px: float) -> int:
    """How many points cover `extent` without holes when a unit is `px` pixels."""
    steps = math.ceil(1.3 * float(extent) * px)
    return max(3, steps + 1)


def _colours(paint: Paint, *place: Array) -> Array:
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


def notched(
    depth: float,
    teeth: int,
    fullest: float = 0.4,
    tip: float = 0.8,
) -> Callable:
    """The outline of a leaf with teeth, on top of an `oval`."""
    smooth = oval(fullest, tip)

    def outline(u: Array) -> Array:
        tooth = teeth * u % 1
        return smooth(u) * (1 - depth + depth * tooth)

    return outline


OVAL = oval()


def blades(
    px: float,
    azimuth: Array | Vector,
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
        value = np.asarray(value, float32)
        value = np.broadcast_to(value, (len(azimuth),))
        return value.reshape(-1, 1, 1)

    turn = each(azimuth)
    length = each(length)
    width = each(width)
    lift = each(lift)
    bend = each(bend)
    curl = each(curl)
    cup = each(cup)
    rows = samples(length.max(), px)
    columns = samples(2 * width.max(), px)
    u = _steps(0, 1, rows)[:, None]
    v = _steps(-1, 1, columns)

    # The midrib, as a path in the plane of the axis: how far out, how far up.
    angle = lift + bend * u + curl * u**3
    step = length / (rows - 1)
    out = np.cumsum(cos(angle), 1) * step
    out = each(radius) + out
    up = np.cumsum(sin(angle), 1) * step
    up = each(height) + up

    # The blade across it: an arc of a circle, flat where the cup is near zero.
    flat = np.abs(cup) < 1e-3
    cup = np.where(flat, float32(1e-3), cup)
    half = width * profile(u)
    arc = cup * v
    across = half * sin(arc) / cup
    rise = half * (1 - cos(arc)) / cup
    if ruffle:
        wave = sin(7 * u + 5 * v + 9 * turn)
        rise = rise + ruffle * length * u * v**2 * wave
    out = out - sin(angle) * rise
    up = up + cos(angle) * rise

    x = out * cos(turn) - across * sin(turn)
    y = out * sin(turn) + across * cos(turn)
    return surface(vectors(x, y, up), _colours(paint, u, v))


def tubes(
    px: float,
    paths: Array,
    radius: Number,
    colour: Array,
) -> Cloud:
    """Round stems along smooth paths of shape (stems, knots, 3).

    A path is the Bezier curve of its knots. `radius` and `colour` may differ by stem.
    """
    paths = np.asarray(paths, float32)
    stems, knots, _ = paths.shape
    radius = np.asarray(radius, float32)
    radius = np.broadcast_to(radius, (stems,))
    radius = radius.reshape(-1, 1, 1, 1)
    colour = np.asarray(colour, float32)
    colour = colour.reshape(-1, 1, 1, 3)

    bars = np.abs(np.diff(paths, axis=1))
    longest = bars.sum((1, 2)).max()
    t = _steps(0, 1, samples(longest, px))
    weights = _bernstein(knots - 1, t)
    line = np.einsum("kt,pkc->ptc", weights, paths)

    # Two directions across each line, and a circle in their plane.
    line = line[:, :, None]
    along = _unit(np.gradient(line, axis=1))
    side = _unit(np.cross(along, ASKEW))
    other = np.cross(along, side)
    around_it = samples(2 * pi * radius.max(), px)
    turn = _steps(0, 2 * pi, around_it)[:, None]
    circle = cos(turn) * side + sin(turn) * other
    return surface(line + radius * circle, colour)


def _bernstein(degree: int, t: Array) -> Array:
    """The weights of the knots of a Bezier curve, shape (degree + 1, len(t))."""
    weights = []
    for k in range(degree + 1):
        rest = degree - k
        ways = math.comb(degree, k)
        weight = ways * t**k * (1 - t) ** rest
        weights.append(weight)
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
    rows = samples(2.2 * size, px)
    columns = samples(2 * pi * size, px)
    t = _steps(0, 1, rows)[:, None]
    turn = _steps(0, 2 * pi, columns)
    out = radii(t) * size
    up = heights(t) * size
    points = about_axis(out, turn, up)
    return surface(points, _colours(paint, t, turn))


def ball(
    px: float,
    size: float,
    paint: Paint,
    stretch: float = 1.0,
) -> Cloud:
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


def _nearest(
    x: Array,
    y: Array,
    z: Array,
    size: int,
) -> View:
    column = (x + 1) * (size / 2)
    column = column.astype(np.int32)
    row = (1 - y) * (size / 2)
    row = row.astype(np.int32)
    inside = np.ones(len(x), bool)
    for place in (column, row):
        inside &= place >= 0
        inside &= place < size
    outside = size * size
    pixel = row * size + column
    pixel = np.where(inside, pixel, outside)
    depth = np.full(outside + 1, -np.inf, float32)
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
    layer = np.zeros((size * size, 4), float32)
    if len(view.front):
        pixel = view.pixel[view.front]
        colour = _shaded(cloud, view, size, light)
        layer[pixel, :3] = clip(colour, 0, 2)
        layer[pixel, 3] = 1
    return layer.reshape(size, size, 4)


def _shaded(
    cloud: Cloud,
    view: View,
    size: int,
    light: Light,
) -> Array:
    """The colours of the points in front, in the light of the sun and of the sky."""
    front = view.front
    pixel = view.pixel[front]
    depth = view.depth[:-1]
    depth = depth.reshape(size, size)
    covered = np.isfinite(depth)
    length = np.linalg.norm(light.direction)
    direction = np.asarray(light.direction, float32)
    direction = direction / length

    # A sheet has two sides: turn every normal to the eye.
    normals = cloud.normals[front]
    side = np.where(normals[:, 2:] < 0, -1, 1)
    normals = normals * side
    _, upward, to_eye = normals.T
    to_sun = (normals * direction).sum(1)

    # Depth below the smoothed depth around: creases between petals get less of the sky.
    depth = np.where(covered, depth, 0)
    around = _local_mean(depth, covered, size / 60)
    below = around - depth
    below = below.reshape(-1)[pixel]
    crease = clip(below / 0.09, -0.3, 1)
    sky = 0.75 + 0.25 * upward
    sky = sky * (1 - 0.6 * crease)

    # Direct light, with soft borders of the shadows, on either side of a sheet.
    lit = np.zeros(size * size, float32)
    lit[pixel] = _reached_by_sun(cloud, front, direction, to_sun, size)
    lit = lit.reshape(size, size)
    lit = _local_mean(lit, covered, size / 200)
    lit = lit.reshape(-1)[pixel]
    from_front = clip(to_sun, 0, 1)
    through = 0.45 * clip(-to_sun, 0, 1)
    direct = lit * (from_front + through)

    # Gloss, strongest where the normal halves the angle between the sun and the eye.
    halfway = direction + float32([0, 0, 1])
    mirrored = (to_sun + to_eye) / np.linalg.norm(halfway)
    shine = lit * clip(mirrored, 0, 1) ** 24

    sun = float32(light.sun)
    shade = float32(light.shade)
    sunlight = direct[:, None] * sun
    skylight = sky[:, None] * shade
    gloss = GLOSS * shine[:, None] * sun
    return cloud.colours[front] * (sunlight + skylight) + gloss


def _reached_by_sun(
    cloud: Cloud,
    front: Array,
    direction: Array,
    to_sun: Array,
    size: int,
) -> Array:
    """Which points of the front lie in no shadow: a second eye in the sun sees them."""
    coarse = size // 2
    to_eye_in_sun = facing(direction).T
    x, y, z = _turned(cloud.points, to_eye_in_sun).T
    view = _nearest(x / 1.6, y / 1.6, z, coarse)
    pixel = view.pixel[front]
    # The coarse second view steps by more on a sheet lit at a flat angle: allow for it, or the
    # sheet shades itself.
    flat = np.maximum(np.abs(to_sun), 0.12)
    slack = 0.025 + 0.015 / flat
    beyond_view = pixel == coarse**2
    nearest = view.depth[pixel]
    seen = z[front] > nearest - slack
    return beyond_view | seen


def _local_mean(values: Array, covered: Array, blur: float) -> Array:
    """The mean around every pixel over the covered pixels; `values` are 0 on the others."""
    covered = covered.astype(float32)
    weight = gaussian_filter(covered, blur)
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
    total = np.zeros((size, size), float32)
    for octave in range(3):
        n = cells * 2**octave + 2
        bumps = rng.normal(size=(n, n))
        bumps = bumps.astype(float32)
        smooth = zoom(bumps, size / n, order=3)
        total += smooth * 0.5**octave
    return total


def mix(a: Array, b: Array, amount: Number) -> Array:
    """The colour between `a` (amounts up to 0) and `b` (amounts from 1)."""
    amount = clip(amount, 0, 1).astype(float32)
    amount = amount[..., None]
    a = float32(a)
    b = float32(b)
    return a * (1 - amount) + b * amount


def bokeh(rng: Rng, size: int, colours: Array) -> Array:
    """A premultiplied RGBA layer of soft discs: far lights and blossoms out of focus."""
    count = int(rng.integers(5, 20))
    across = _grid(size)
    down = across[:, None]
    layer = np.zeros((size, size, 4), float32)
    chosen = rng.integers(len(colours), size=count)
    for colour in colours[chosen]:
        x = rng.uniform(-1.1, 1.1)
        y = rng.uniform(-1.1, 1.1)
        radius = rng.uniform(0.05, 0.28)
        distance = np.hypot(across - x, down - y)
        distance = distance / radius
        inwards = (1 - distance) * radius
        disc = clip(inwards * size / 5, 0, 1)
        brighter_rim = 0.8 + 0.2 * distance
        strength = rng.uniform(0.15, 0.6)
        alpha = disc * brighter_rim * strength
        alpha = alpha[..., None]
        opaque = float32([*colour, 1])
        layer = layer * (1 - alpha) + alpha * opaque
    return layer


def leaf_green(rng: Rng) -> Array:
    """Some green of leaves."""
    green = GREEN * rng.uniform(0.6, 1.5)
    green = green + rng.normal(0, 0.025, 3)
    return clip(green, 0.01, 1).astype(float32)


def leaf_greens(rng: Rng, count: int) -> Array:
    """Several greens, shape (count, 3)."""
    return np.stack([leaf_green(rng) for _ in range(count)])


def grass(
    rng: Rng,
    px: float,
    count: int,
    front: float = 0.0,
) -> Cloud:
    """Blades of grass rising from below; a larger `front` is nearer to the eye."""
    x = rng.uniform(-1.2, 1.2, count)
    lean = rng.normal(0, 0.4, count)
    top = rng.uniform(-0.9, 0.5, count)
    z = rng.uniform(-1.5, -0.7, count)
    z = z + front
    bottom = np.full(count, -1.3)
    half_way = (top - 1.3) / 2
    foot = vectors(x, bottom, z)
    middle = vectors(x, half_way, z)
    tip = vectors(x + lean, top, z + 0.1)
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
    chances = list(GROUNDS.values())
    kind = rng.choice(list(GROUNDS), p=chances)
    cells = int(rng.integers(3, 9))
    rough = noise(rng, size, cells)
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
    lightness = 0.5 + 0.35 * rough * contrast
    picture = mix(dark, light, lightness)
    if kind in ("hedge", "dark", "lawn") and rng.random() < 0.5:
        greens = leaf_greens(rng, 5) * 1.6
        blossoms = rng.uniform(0.4, 1, (2, 3))
        tints = np.concatenate([greens, blossoms])
        discs = bokeh(rng, size, tints)
        picture = stack(picture, discs, blur=0)
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
    lightness = 0.5 + 0.4 * rough
    land = mix(green * 0.7, green * 1.4, lightness)
    above = clip(height * 6 + 0.5, 0, 1)
    return land + (sky - land) * above[..., None]


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
    return Light(vectors(x, y, z), sun, shade)


def develop(rng: Rng, picture: Array) -> Array:
    """What a camera adds to a picture of light. Returns uint8 at half the size.

    In turn: blur, white balance and exposure, vignette, film curve, saturation, grain.
    """
    size = len(picture) // 2
    blur = rng.choice([0.0, 0.6, 1.6], p=[0.5, 0.35, 0.15])
    if blur:
        shake = blur * rng.uniform(0.7, 1.6)
        picture = gaussian_filter(picture, (shake, blur, 0))
    picture = picture.reshape(size, 2, size, 2, 3)
    picture = picture.mean((1, 3))

    warmth = rng.normal(0, 0.05)
    tint = rng.normal(0, 0.02)
    balance = float32([1 + warmth, 1 + tint, 1 - warmth])
    exposure = 2 ** rng.normal(0, 0.15)
    picture = picture * balance * exposure

    across = _grid(size)[:, None]
    down = across[:, None]
    from_middle = across**2 + down**2
    darkening = rng.uniform(0, 0.35)
    picture = picture * (1 - darkening * from_middle / 2)

    # A film curve: shadows keep detail and highlights roll off instead of clipping.
    picture = clip(picture, 0, None)
    picture = 1 - np.exp(-2.1 * picture)
    grey = picture.mean(-1, keepdims=True)
    saturation = rng.uniform(0.75, 1.2)
    picture = grey + (picture - grey) * saturation
    grain = rng.uniform(0.002, 0.014)
    grains = rng.normal(0, grain, picture.shape)
    picture = picture + grains
    picture = picture * 255 + 0.5
    return clip(picture, 0, 255).astype(np.uint8)
