"""Figures of the course: colour-blind-safe, labelled, with alt text made from the data they show.

Each function returns a :class:`CourseFigure`. As the last line of a cell it is shown, with its
alt text; nothing is shown twice, because no figure is registered with pyplot.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

# Okabe and Ito (2008), without the yellow, which is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")


class CourseFigure(Figure):
    """A matplotlib ``Figure`` that knows its alt text (``figure.alt``) and gives it to the notebook."""

    alt: str = ""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        png = BytesIO()
        self.savefig(
            png, format="png", dpi=96, bbox_inches="tight", metadata={"Software": None}
        )
        return {"image/png": b64encode(png.getvalue()).decode(), "text/plain": repr(self)}, {
            "image/png": {"alt": self.alt}
        }


def figure(
    rows: int, columns: int, size: tuple[float, float], layout: str | None = "constrained"
) -> tuple[CourseFigure, np.ndarray]:
    """Return an empty figure and its axes, shape ``(rows, columns)``; ``size`` is width and height in inches."""
    fig = CourseFigure(figsize=size, layout=layout)
    return fig, fig.subplots(rows, columns, squeeze=False)


def _clean(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)


def learning_curves(
    histories: Mapping[str, Mapping[str, Sequence[float]]],
    metrics: Sequence[str] = ("loss", "accuracy"),
    title: str = "",
) -> CourseFigure:
    """Draw training (dashed) and validation (solid) curves of one or more runs. Explained in notebook 06.

    Parameters
    ----------
    histories
        Name of the run -> Keras' ``History.history``.
    metrics
        Keys to draw, one panel each; ``val_<key>`` is drawn where it exists.

    Raises
    ------
    ValueError
        If there is no run, or a run lacks one of the metrics.
    """
    if not histories:
        raise ValueError(
            "histories is empty; give at least one run, as {'name': model.fit(...).history}."
        )
    fig, axes = figure(1, len(metrics), (4.2 * len(metrics) + 2, 3.4))
    said = []
    for ax, metric in zip(axes[0], metrics):
        for (name, history), colour in zip(histories.items(), COLOURS):
            if metric not in history:
                raise ValueError(f"run {name!r} has no {metric!r}; it has {sorted(history)}.")
            for key, style, part in (
                (metric, "--", "training"),
                (f"val_{metric}", "-", "validation"),
            ):
                if key in history:
                    values = history[key]
                    epochs = range(1, len(values) + 1)
                    ax.plot(
                        epochs, values, style, color=colour, label=f"{name}, {part}", marker="."
                    )
                    said.append(
                        f"{name} {part} {metric} {values[0]:.2f} to {values[-1]:.2f} in "
                        f"{len(values)} epochs"
                    )
        ax.set(xlabel="epoch", ylabel=metric.replace("_", " "))
        ax.xaxis.get_major_locator().set_params(integer=True)
        _clean(ax)
    fig.legend(*axes[0][0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    fig.suptitle(title)
    fig.alt = f"Learning curves. {title}. " + "; ".join(said) + "."
    return fig


def confusion_matrix(
    matrix: np.ndarray, class_names: Sequence[str], title: str = ""
) -> CourseFigure:
    """Draw a confusion matrix, true classes down, predictions across. Explained in notebook 02.

    Parameters
    ----------
    matrix
        Counts, shape ``(K, K)``; row = true class. Cells are coloured by the share of their
        row. Counts are written into the cells while they fit (up to 15 classes).
    """
    matrix = np.asarray(matrix)
    k = len(class_names)
    if matrix.shape != (k, k):
        raise ValueError(
            f"the matrix has shape {matrix.shape}; {k} class names need ({k}, {k})."
        )
    totals = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    side = float(np.clip(0.6 * k + 1.5, 4.0, 12.0))
    fig, axes = figure(1, 1, (side, side))
    ax = axes[0][0]
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    font = 9 if k <= 15 else 5
    ax.set_xticks(
        range(k),
        class_names,
        rotation=45 if k <= 15 else 90,
        ha="right" if k <= 15 else "center",
        fontsize=font,
    )
    ax.set_yticks(range(k), class_names, fontsize=font)
    if k <= 15:
        for (row, column), count in np.ndenumerate(matrix):
            ax.text(
                column,
                row,
                f"{count:d}",
                ha="center",
                va="center",
                color="white" if share[row, column] > 0.5 else "black",
            )
    right = int(np.trace(matrix))
    ax.set(
        xlabel="predicted class",
        ylabel="true class",
        title=title or f"{right} of {int(matrix.sum())} right",
    )
    wrong = matrix - np.diag(np.diag(matrix))
    row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
    fig.alt = f"Confusion matrix of {k} classes: {right} of {int(matrix.sum())} right." + (
        f" Most frequent mistake: {class_names[row]} taken for {class_names[column]}, "
        f"{wrong[row, column]} times."
        if wrong.any()
        else ""
    )
    return fig


def image_grid(
    images: Any,
    titles: Sequence[str] = (),
    columns: int = 5,
    title: str = "",
    size: float = 1.9,
) -> CourseFigure:
    """Draw images side by side, each under its own title.

    Parameters
    ----------
    images
        Array or tensor, shape ``(N, H, W, 3)`` or ``(N, H, W)`` or ``(N, H, W, 1)``, values in
        0..255 of any dtype.
    titles
        None, or one for each image.
    size
        Inches for one image.
    """
    images = np.asarray(images)
    if images.ndim not in (3, 4) or not len(images):
        raise ValueError(
            f"images have shape {images.shape}; give a batch, (N, H, W) or (N, H, W, channels)."
        )
    if len(titles) not in (0, len(images)):
        raise ValueError(f"there are {len(images)} images and {len(titles)} titles.")
    images = np.clip(np.round(np.asarray(images, "float32")), 0, 255).astype("uint8")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    lines = max((t.count("\n") + 1 for t in titles), default=0)
    fig, axes = figure(
        rows, columns, (size * columns, (size + 0.2 * lines) * rows + 0.3 * bool(title))
    )
    for ax in axes.flat:
        ax.axis("off")
    for number, (ax, image) in enumerate(zip(axes.flat, images)):
        ax.imshow(
            image.squeeze(),
            cmap="gray" if image.squeeze().ndim == 2 else None,
            vmin=0,
            vmax=255,
        )
        if titles:
            ax.set_title(titles[number], fontsize=8)
    fig.suptitle(title)
    named = ": " + "; ".join(t.replace("\n", " ") for t in titles) if titles else ""
    fig.alt = f"{title + '. ' if title else ''}{len(images)} images{named}."
    return fig


def lines(
    x: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    title: str = "",
    *,
    log: bool = False,
) -> CourseFigure:
    """Draw one or more curves over the same x values, with their ranges in the alt text.

    With ``log``, both axes are logarithmic and the points are marked: for measurements at sizes
    far apart.
    """
    fig, axes = figure(1, 1, (7.2, 3.2))
    ax = axes[0][0]
    said = []
    for (name, values), colour in zip(curves.items(), COLOURS):
        ax.plot(x, values, color=colour, label=name, marker="o" if log else "")
        said.append(
            f"{name} from {values[0]:.3g} to {values[-1]:.3g}, highest {max(values):.3g}"
        )
    if log:
        ax.set(xscale="log", yscale="log")
    elif all(float(value).is_integer() for value in x):  # epochs, steps
        ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    _clean(ax)
    if len(curves) > 1:
        ax.legend(fontsize=8)
    fig.alt = f"{title}. {ylabel} against {xlabel}: " + "; ".join(said) + "."
    return fig


def tensor_blocks(tensors: Mapping[str, Any], title: str = "") -> CourseFigure:
    """Draw tensors as blocks of cells, one cell for each value, darker for larger values. Explained in notebook 01.

    Parameters
    ----------
    tensors
        Name -> array, tensor or ``tf.RaggedTensor`` of rank 0 to 3, any numeric dtype, at most
        12 cells high or wide. A third axis is drawn as sheets, the first sheet in front.

    Raises
    ------
    ValueError
        For no tensor, or one that is empty, of a higher rank or too large to be read.
    """
    if not tensors:
        raise ValueError("tensors is empty; give at least one, as {'name': tensor}.")
    stacks = {name: _sheets(name, tensor) for name, tensor in tensors.items()}
    values = [value for sheets in stacks.values() for *_, value in _cells(sheets)]
    low, span = min(values), (max(values) - min(values)) or 1
    # Sheet k lies 0.7 cells behind sheet k - 1, up and to the right.
    depths = [0.7 * (len(sheets) - 1) for sheets in stacks.values()]
    widths = [
        max(map(len, sheets[0])) + depth for sheets, depth in zip(stacks.values(), depths)
    ]
    heights = [len(sheets[0]) + depth for sheets, depth in zip(stacks.values(), depths)]
    room = [max(width, 3.5) for width in widths]  # the name above needs some
    fig = CourseFigure(
        figsize=(0.55 * sum(room) + 0.4, 0.5 * max(heights) + 1.1), layout="constrained"
    )
    axes = fig.subplots(1, len(stacks), squeeze=False, gridspec_kw={"width_ratios": room})[0]
    said = []
    for number, (ax, (name, sheets)) in enumerate(zip(axes, stacks.items())):
        for back, line, column, value in _cells(sheets):
            share = (value - low) / span
            x, y = column + 0.7 * back, 0.7 * back - line
            colour, ink = (
                matplotlib.colormaps["Blues"](0.05 + 0.8 * share),
                "white" if share > 0.6 else "black",
            )
            ax.add_patch(
                Rectangle(
                    (x, y), 1, -1, facecolor=colour, edgecolor="black", lw=0.8, zorder=-2 * back
                )
            )
            ax.text(
                x + 0.5,
                y - 0.5,
                _short(value),
                ha="center",
                va="center",
                fontsize=9,
                color=ink,
                zorder=1 - 2 * back,
            )
        shape = str(tuple(tensors[name].shape)).replace("None", "ragged")
        dtype = getattr(tensors[name].dtype, "name", str(tensors[name].dtype))
        side = (room[number] - widths[number]) / 2 + 0.1
        ax.set(
            xlim=(-side, widths[number] + side),
            ylim=(-len(sheets[0]) - 0.1, depths[number] + 0.1),
        )
        ax.set_aspect("equal", anchor="N")
        ax.set_title(f"{name}\n{shape} {dtype}", fontsize=9)
        ax.axis("off")
        text = " / ".join(" ".join(map(_short, row)) for rows in sheets for row in rows)
        said.append(f"{name}, shape {shape}, {dtype}: {text}")
    fig.suptitle(title)
    fig.alt = f"{title + '. ' if title else ''}Tensors as blocks. " + "; ".join(said) + "."
    return fig


def _cells(sheets: list[list[list[float]]]) -> list[tuple[int, int, int, float]]:
    """Return (sheet, row, column, value) of every cell, the hindmost sheet first."""
    return [
        (back, line, column, value)
        for back, rows in reversed(list(enumerate(sheets)))
        for line, row in enumerate(rows)
        for column, value in enumerate(row)
    ]


def _short(value: float) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _sheets(name: str, tensor: Any) -> list[list[list[float]]]:
    """Return a tensor's values as sheets of rows, whatever its rank up to 3."""
    rank = len(tensor.shape)
    values = tensor.to_list() if hasattr(tensor, "to_list") else np.asarray(tensor).tolist()
    if rank > 3:
        raise ValueError(
            f"{name!r} has rank {rank}; up to rank 3 can be drawn: take one index of it."
        )
    for _ in range(3 - rank):
        values = [values]
    longest = max((max(len(rows), *map(len, rows)) for rows in values if rows), default=0)
    if longest > 12 or len(values) > 12 or not any(row for rows in values for row in rows):
        raise ValueError(
            f"{name!r} has shape {tuple(tensor.shape)}; 1 to 12 cells along an axis can be "
            "read: slice it."
        )
    return values


def model_graph(model: Any, title: str = "") -> CourseFigure:
    """Draw a model as boxes and arrows: layer, output shape, parameters. Explained in notebook 02.

    Parameters
    ----------
    model
        A built Sequential or Functional model.

    Raises
    ------
    ValueError
        For a model that is not built yet, or has a layer that is called more than once.
    """
    try:
        made = {id(tensor): f"input {tensor.name}" for tensor in model.inputs}
        shapes = {f"input {tensor.name}": tensor.shape for tensor in model.inputs}
        layers = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
        made.update({id(layer.output): layer.name for layer in layers})
        sources = {
            layer.name: [made[id(tensor)] for tensor in _tensors(layer.input)]
            for layer in layers
        }
        shapes.update({layer.name: layer.output.shape for layer in layers})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{model.name} is not built, or calls a layer more than once; neither can be drawn."
        ) from error
    depth = {name: 0 for name in shapes if name not in sources}
    while len(depth) < len(shapes):  # a layer is placed once all that it needs is placed
        for name, needs in sources.items():
            if name not in depth and all(need in depth for need in needs):
                depth[name] = 1 + max(depth[need] for need in needs)
    # An input stands where its first reader stands, so that arrows need not cross.
    readers = list(sources.values())
    reader = {
        name: next((i for i, needs in enumerate(readers) if name in needs), 0)
        for name in shapes
        if not depth[name]
    }
    order = sorted(shapes, key=lambda name: reader.get(name, -1))
    columns = [
        [name for name in order if depth[name] == step]
        for step in range(max(depth.values()) + 1)
    ]
    place = {
        name: (step, (len(column) - 1) / 2 - row)
        for step, column in enumerate(columns)
        for row, name in enumerate(column)
    }
    fig, axes = figure(1, 1, (1.7 * len(columns) + 0.3, 1.1 * max(map(len, columns)) + 0.4))
    ax = axes[0][0]
    kinds = {
        layer.name: f"{type(layer).__name__}\n{layer.count_params():,} parameters"
        for layer in layers
    }
    for name, (x, y) in place.items():
        colour = COLOURS[4] if name in sources else COLOURS[5]
        ax.add_patch(
            Rectangle(
                (x - 0.4, y - 0.36), 0.8, 0.72, facecolor=colour, edgecolor="black", alpha=0.35
            )
        )
        text = "\n".join(
            [
                name,
                str(tuple(shapes[name])).replace("None", "batch"),
                *([kinds[name]] if name in kinds else []),
            ]
        )
        ax.text(x, y, text, ha="center", va="center", fontsize=7.5)
        for need in sources.get(name, []):
            start, end = (place[need][0] + 0.4, place[need][1]), (x - 0.4, y)
            ax.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "->", "lw": 1.3})
    ax.set(
        xlim=(-0.5, len(columns) - 0.5),
        ylim=(-max(map(len, columns)) / 2, max(map(len, columns)) / 2),
    )
    ax.axis("off")
    fig.suptitle(title, fontsize=11)
    arrows = "; ".join(f"{' and '.join(needs)} to {name}" for name, needs in sources.items())
    fig.alt = (
        f"{title + '. ' if title else ''}Graph of {model.name}, {model.count_params():,} "
        f"parameters: {arrows}."
    )
    return fig


def _tensors(inputs: Any) -> list[Any]:
    return (
        list(inputs.values())
        if isinstance(inputs, dict)
        else list(inputs)
        if isinstance(inputs, (list, tuple))
        else [inputs]
    )


def watched(
    values: Sequence[float],
    panels: Mapping[str, Mapping[str, Sequence[int]]],
    ylabel: str,
    title: str = "",
) -> CourseFigure:
    """Draw a watched value epoch by epoch, and in each panel what callbacks did about it. Explained in notebook 05.

    Parameters
    ----------
    values
        The value after each epoch, as if nobody had stopped the run.
    panels
        Panel title -> event -> the epochs (from 1) it happened in. The curve turns grey after
        the last epoch of an event named ``"stop"``.

    Raises
    ------
    ValueError
        For no panel, or an event outside the epochs there are.
    """
    if not panels:
        raise ValueError(
            "panels is empty; give at least one, as {'title': {'event': [epochs]}}."
        )
    fig, axes = figure(1, len(panels), (3.6 * len(panels), 3.2))
    epochs = np.arange(1, len(values) + 1)
    said = []
    for ax, (name, events) in zip(axes[0], panels.items()):
        end = max(events.get("stop", []), default=len(values))
        ax.plot(epochs, values, color="0.75", marker=".")
        ax.plot(epochs[:end], values[:end], color="black", marker=".", label=ylabel)
        for (event, when), colour, marker in zip(events.items(), COLOURS, "vsDo^P*"):
            if any(not 1 <= epoch <= len(values) for epoch in when):
                raise ValueError(
                    f"{event!r} happens in {list(when)}; the epochs are 1 to {len(values)}."
                )
            heights = [values[epoch - 1] for epoch in when]
            ax.plot(
                when,
                heights,
                marker,
                color=colour,
                markersize=10,
                linestyle="none",
                label=event,
                fillstyle="none",
                mew=2,
            )
            said.append(
                f"{name}: {event} in epoch {', '.join(map(str, when)) if len(when) else 'none'}"
            )
        ax.set(xlabel="epoch", ylabel=ylabel, title=name)
        ax.title.set_fontsize(10)
        ax.xaxis.get_major_locator().set_params(integer=True)
        _clean(ax)
    axes[0][0].legend(fontsize=8)
    fig.suptitle(title)
    fig.alt = (
        f"{title}. {ylabel} over {len(values)} epochs, from {values[0]:.3g} to "
        f"{values[-1]:.3g}. " + "; ".join(said) + "."
    )
    return fig


def timeline(
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], title: str = ""
) -> CourseFigure:
    """Draw who was busy when, from recorded times, so that waiting shows as gaps. Explained in notebook 06.

    Parameters
    ----------
    panels
        Panel title -> who -> (start, end) of each piece of work, in seconds on any clock. The
        pieces are numbered in the order given. Every panel begins at its own earliest start;
        all have one scale.

    Raises
    ------
    ValueError
        For no panel, a panel without work, or work that ends before it starts.
    """
    pieces = {
        name: [span for spans in rows.values() for span in spans]
        for name, rows in panels.items()
    }
    if (
        not all(pieces.values())
        or not pieces
        or any(end < start for spans in pieces.values() for start, end in spans)
    ):
        raise ValueError(
            f"panels is {panels!r}; give {{'title': {{'who': [(start, end), ...]}}}} with "
            "end >= start."
        )
    begins = {name: min(start for start, _ in spans) for name, spans in pieces.items()}
    takes = {
        name: max(end for _, end in spans) - begins[name] for name, spans in pieces.items()
    }
    fig, axes = figure(
        len(panels), 1, (8.4, 0.7 + sum(0.6 + 0.42 * len(rows) for rows in panels.values()))
    )
    said = []
    for ax, (name, rows) in zip(axes[:, 0], panels.items()):
        for place, ((who, spans), colour) in enumerate(zip(rows.items(), COLOURS)):
            for number, (start, end) in enumerate(spans, start=1):
                left, width = 1000 * (start - begins[name]), 1000 * (end - start)
                ax.barh(place, width, 0.75, left, color=colour, edgecolor="white")
                ax.text(
                    left + width / 2,
                    place,
                    str(number),
                    color="white",
                    ha="center",
                    va="center",
                    fontsize=8,
                )
            busy = sum(end - start for start, end in spans)
            said.append(
                f"{name}: {who} {len(spans)} times, busy {busy:.2f} of {takes[name]:.2f} s"
            )
        ax.set(xlim=(0, 1020 * max(takes.values())), ylim=(len(rows) - 0.5, -0.5))
        ax.set_yticks(range(len(rows)), list(rows))
        ax.set_title(f"{name}: {takes[name]:.2f} s", loc="left", fontsize=10)
        ax.set_axisbelow(True)
        _clean(ax)
    axes[-1][0].set_xlabel("milliseconds")
    fig.suptitle(title)
    fig.alt = f"Timeline. {title}. " + "; ".join(said) + "."
    return fig


def boxed_images(
    images: Sequence[Any],
    titles: Sequence[str],
    boxes: Sequence[Any],
    title: str = "",
    size: float = 2.6,
) -> CourseFigure:
    """Draw images in a row, each with its box outlined. Explained in notebook 08.

    Parameters
    ----------
    images
        Images of one shape, (H, W, 3), values in 0..255.
    titles
        One for each image.
    boxes
        One for each image: top, left, bottom, right in pixels, bottom and right just outside;
        ``None`` for no box.
    title
        Above them all.
    size
        Inches for one image.

    Raises
    ------
    ValueError
        If there are not as many titles and boxes as images.
    """
    if not len(images) == len(titles) == len(boxes):
        raise ValueError(
            f"there are {len(images)} images, {len(titles)} titles and {len(boxes)} boxes."
        )
    fig = image_grid(
        np.stack([np.asarray(image) for image in images]), titles, len(images), title, size
    )
    said = []
    for ax, name, box in zip(fig.axes, titles, boxes):
        if box is not None:
            top, left, bottom, right = (int(edge) for edge in box)
            outline = Rectangle(
                (left - 0.5, top - 0.5),
                right - left,
                bottom - top,
                fill=False,
                lw=2.5,
                ec=COLOURS[1],
            )
            ax.add_patch(outline)
            said.append(
                f"In {name!r} a box spans rows {top} to {bottom} and columns {left} to {right}."
            )
    fig.alt = " ".join([fig.alt, *said])
    return fig


def points(
    x: Sequence[float],
    y: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    title: str,
) -> CourseFigure:
    """Draw measured points and, over the same x values, curves fitted to them. Explained in notebook 04."""
    fig, axes = figure(1, 1, (7.2, 3.2))
    ax = axes[0][0]
    ax.scatter(x, y, s=18, color="0.45", label="measured")
    said = [f"{len(x)} points, {ylabel} between {min(y):.3g} and {max(y):.3g}"]
    for (name, values), colour, style in zip(
        curves.items(), COLOURS, ("-", "--", ":", "-.") * 2
    ):
        ax.plot(x, values, style, color=colour, label=name)
        said.append(f"{name} from {values[0]:.3g} to {values[-1]:.3g}")
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    _clean(ax)
    ax.legend(fontsize=8)
    fig.alt = f"{title}. {ylabel} against {xlabel}: " + "; ".join(said) + "."
    return fig
