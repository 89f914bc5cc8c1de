"""Figures of the course: colour-blind-safe, labelled, with alt text made from what they show.

Each function returns a :class:`CourseFigure`. As the last line of a cell it is shown, once,
with its alt text. What ``title`` says stands above the figure and begins the alt text.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import cycle
from typing import Any

import numpy as np
from cycler import cycler
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

# Okabe and Ito (2008), without the yellow, which is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.alpha": 0.25,
}


class CourseFigure(Figure):
    """A matplotlib ``Figure`` that gives its alt text, ``figure.alt``, to the notebook.

    It is not registered with pyplot, which would show it a second time.
    """

    alt = ""

    def _repr_mimebundle_(self, include=None, exclude=None):
        png = BytesIO()
        self.savefig(
            png,
            format="png",
            bbox_inches="tight",
            metadata={"Software": None},
        )
        data = {"image/png": b64encode(png.getvalue()).decode()}
        metadata = {"image/png": {"alt": self.alt}}
        return data, metadata


def figure(
    rows: int,
    columns: int,
    size: tuple[float, float],
) -> tuple[CourseFigure, np.ndarray]:
    """Return an empty figure and its axes, shape (rows, columns); end with `describe`.

    ``size`` is the width and height in inches.
    """
    fig = CourseFigure(figsize=size, layout="constrained")
    with rc_context(STYLE):
        axes = fig.subplots(rows, columns, squeeze=False)
    return fig, axes


def describe(fig: CourseFigure, title: str, *sentences: str) -> CourseFigure:
    """Give a figure its title, and its alt text: the title and the sentences."""
    fig.suptitle(title)
    said = [sentence.replace("\n", " ") for sentence in (title, *sentences) if sentence]
    fig.alt = ". ".join(said) + "."
    return fig


def image_grid(
    images,
    titles: Sequence[str] = (),
    columns: int = 5,
    title: str = "",
    size: float = 1.9,
) -> CourseFigure:
    """Draw images side by side, each under its own title. Explained in notebook 01.

    Parameters
    ----------
    images
        Array, tensor or list of images of one shape: (N, H, W, 3), (N, H, W, 1) or (N, H, W),
        values in 0..255 of any dtype.
    titles
        None, or one for each image.
    size
        Inches for one image.

    Raises
    ------
    ValueError
        If the images are no batch.
    """
    images = np.asarray(images, "float32")
    if images.ndim not in (3, 4) or len(images) == 0:
        raise ValueError(
            f"images have shape {images.shape}; give a batch, (N, H, W) or (N, H, W, channels)."
        )
    titles = list(titles) or [""] * len(images)
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    width = size * columns
    height = (size + 0.35) * rows  # and a line for the title
    fig, axes = figure(rows, columns, (width, height))
    for ax in axes.flat:
        ax.axis("off")
    images = np.round(images).clip(0, 255).astype("uint8")
    for ax, image, text in zip(axes.flat, images, titles):
        ax.set_title(text, fontsize=8)
        # The colour map is for grey images only.
        ax.imshow(
            image,
            cmap="gray",
            vmin=0,
            vmax=255,
        )
    return describe(fig, title, f"Images, {len(images)}", *titles)


def outline(ax: Axes, box) -> Rectangle:
    """Outline a box of the image in ``ax``, and say in the figure's alt text where it is.

    ``box`` is top, left, bottom, right in pixels; bottom and right are just outside.
    Explained in notebook 08.
    """
    top, left, bottom, right = np.asarray(box)
    ax.figure.alt += (
        f" {ax.get_title()} has a box around rows {top} to {bottom - 1} and columns {left} to "
        f"{right - 1}."
    )
    rectangle = Rectangle(
        xy=(left - 0.5, top - 0.5),  # the middle of the first pixel is at 0
        width=right - left,
        height=bottom - top,
        fill=False,
        linewidth=2.5,
        edgecolor=COLOURS[1],
    )
    return ax.add_patch(rectangle)


def lines(
    x: Sequence,
    curves: Mapping[str, Sequence],
    xlabel: str,
    ylabel: str,
    title: str = "",
    *,
    log: bool = False,
    points: Mapping[str, tuple] | None = None,
) -> CourseFigure:
    """Draw curves over the same x values. Explained in notebook 01.

    Parameters
    ----------
    curves
        Name -> y values, as many as there are x values.
    log
        Both axes logarithmic and the points marked: for measurements at sizes far apart.
    points
        Name -> x values and y values, drawn as marks: measurements, or events upon a curve.
    """
    fig, [[ax]] = figure(1, 1, (7.2, 3.2))
    marker = "o" if log else ""
    styles = cycle(["-", "--", "-.", ":"])  # tells apart curves that lie upon each other
    for (name, values), style in zip(curves.items(), styles):
        ax.plot(
            x,
            values,
            marker + style,
            label=name,
        )
    said = [_label_curves(ax, xlabel, ylabel)]
    for (name, (across, up)), mark in zip((points or {}).items(), cycle("ovsD")):
        ax.plot(
            across,
            up,
            mark,
            fillstyle="none",
            label=name,
        )
        said.append(f"{len(across)} marks for {name}, first at {xlabel} {across[:1]}")
    if log:
        ax.set(xscale="log", yscale="log")
    if len(ax.lines) > 1:
        ax.legend(fontsize=8)
    return describe(fig, title, *said)


def _label_curves(ax, xlabel, ylabel):
    """Label the axes, mark whole numbers as such; return what the curves show in words."""
    ax.set(xlabel=xlabel, ylabel=ylabel)
    curves = []
    for line in ax.lines:
        x, y = line.get_data()
        if np.all(np.mod(x, 1) == 0):
            ax.xaxis.get_major_locator().set_params(integer=True)
        curves.append(
            f"{line.get_label()} from {y[0]:.3g} to {y[-1]:.3g}, lowest {min(y):.3g}, "
            f"highest {max(y):.3g}"
        )
    return f"{ylabel} against {xlabel}: {'; '.join(curves)}"


def learning_curves(
    histories: Mapping[str, Mapping],
    metrics: Sequence[str] = ("loss", "accuracy"),
    title: str = "",
) -> CourseFigure:
    """Draw training (dashed) and validation (solid) curves of one or more runs.

    Explained in notebook 06.

    Parameters
    ----------
    histories
        Name of the run -> Keras' ``History.history``.
    metrics
        Keys to draw, one panel each; ``val_<key>`` is drawn where it exists.
    """
    width = 4.2 * len(metrics) + 2  # and the legend
    fig, [axes] = figure(1, len(metrics), (width, 3.4))
    sentences = []
    for ax, metric in zip(axes, metrics):
        for (name, history), colour in zip(histories.items(), cycle(COLOURS)):
            curves = {"training": history[metric]}
            if f"val_{metric}" in history:
                curves["validation"] = history[f"val_{metric}"]
            for (part, values), style in zip(curves.items(), [".--", ".-"]):
                ax.plot(
                    range(1, len(values) + 1),
                    values,
                    style,
                    color=colour,
                    label=f"{name}, {part}",
                )
        said = _label_curves(ax, "epoch", metric.replace("_", " "))
        sentences.append(said)
    fig.legend(
        handles=ax.lines,
        loc="outside right center",
        fontsize=8,
    )
    return describe(fig, title, *sentences)


def confusion_matrix(matrix: np.ndarray, class_names: Sequence[str]) -> CourseFigure:
    """Draw a confusion matrix, true classes down, predictions across. Explained in notebook 02.

    Parameters
    ----------
    matrix
        Counts, shape (K, K); row = true class. They are written into the cells while they fit
        (up to 15 classes).
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    k = len(class_names)
    side = min(0.6 * k + 1.5, 12)
    fig, [[ax]] = figure(1, 1, (side, side))
    ConfusionMatrixDisplay(matrix, display_labels=class_names).plot(
        ax=ax,
        cmap="Blues",
        colorbar=False,
        include_values=k <= 15,
        xticks_rotation="vertical",
    )
    ax.grid(False)
    ax.set(xlabel="predicted class", ylabel="true class")
    if k > 15:
        ax.tick_params(labelsize=5)
    right = f"{np.trace(matrix)} of {np.sum(matrix)} right"
    sentences = [f"Confusion matrix of {k} classes"]
    wrong = matrix - np.diag(np.diag(matrix))
    if wrong.any():
        row, column = np.unravel_index(wrong.argmax(), wrong.shape)
        sentences.append(
            f"Most frequent mistake: {class_names[row]} taken for {class_names[column]}, "
            f"{wrong.max()} times"
        )
    return describe(fig, right, *sentences)


def tensor_blocks(tensors: Mapping[str, Any], title: str = "") -> CourseFigure:
    """Draw tensors as blocks of cells, one for each value, darker for larger values.

    Explained in notebook 01.

    Parameters
    ----------
    tensors
        Name -> array, tensor or ``tf.RaggedTensor`` of rank 0 to 3, any numeric dtype, 1 to 12
        cells along an axis. Tables that are stacked along a first axis are drawn below one
        another.

    Raises
    ------
    ValueError
        For a tensor of a higher rank, or too large to be read.
    """
    blocks = {name: _block_rows(name, tensor) for name, tensor in tensors.items()}
    everything = [row for rows in blocks.values() for row in rows]
    values = np.concatenate(everything)
    shade = Normalize(values.min(), values.max())
    fig, [[ax]] = figure(1, 1, (1, 1))
    ax.axis("off")
    ax.set_aspect("equal")
    ax.invert_yaxis()
    left = 0
    sentences = []
    for name, rows in blocks.items():
        shape = str(tuple(tensors[name].shape)).replace("None", "ragged")
        dtype = tensors[name].dtype
        kind = f"{shape} {getattr(dtype, 'name', dtype)}"  # a variable of Keras has a string
        ax.text(
            left,
            -0.2,
            f"{name}\n{kind}",
            fontsize=9,
        )
        numbers = _draw_rows(ax, rows, left, shade)
        sentences.append(f"{name}, {kind}: {numbers}")
        width = max(len(row) for row in rows)
        room = max(width, 3.5)  # a short block's name needs some
        left += room + 0.5
    lowest = max(len(rows) for rows in blocks.values())
    fig.set_size_inches(0.55 * left, 0.55 * (lowest + 1.9))
    return describe(fig, title, "Tensors as blocks", *sentences)


def _block_rows(name, tensor):
    """Return a tensor's values as rows, with an empty row between two tables."""
    ragged = hasattr(tensor, "to_list")
    tables = tensor.to_list() if ragged else np.asarray(tensor).tolist()
    rank = len(tensor.shape)
    for _ in range(3 - rank):
        tables = [tables]
    rows = []
    for table in tables:
        rows += [*table, []]
    rows = rows[:-1]
    if rank > 3 or max(len(rows), *map(np.size, rows)) > 12:
        raise ValueError(
            f"{name!r} has shape {tuple(tensor.shape)}; rank 0 to 3 and 12 cells down and "
            "across can be drawn: take a slice of it."
        )
    return rows


def _draw_rows(ax, rows, left, shade):
    """Draw each value in a cell; return the values as text."""
    said = []
    for number, row in enumerate(rows):
        cells = ax.barh(
            [number + 0.5] * len(row),
            width=1,
            height=1,
            left=left + np.arange(len(row)),
            color=colormaps["Blues"](0.05 + 0.5 * shade(row)),
            edgecolor="black",
        )
        texts = []
        for value in row:
            is_float = isinstance(value, float)
            texts.append(f"{value:.3g}" if is_float else str(value))
        ax.bar_label(
            cells,
            texts,
            label_type="center",
            fontsize=9,
        )
        said.append(" ".join(texts))
    return " / ".join(said)


def model_graph(model, title: str = "") -> CourseFigure:
    """Draw a model as boxes and arrows: layer, output shape, parameters.

    A layer stands right of all that it reads. Explained in notebook 02.

    Parameters
    ----------
    model
        A built Sequential or Functional model.

    Raises
    ------
    ValueError
        For a model that is not built yet, calls a layer more than once, or holds another model.
    """
    fig, [[ax]] = figure(1, 1, (1, 1))
    ax.axis("off")
    boxes = {}
    taken = Counter()  # rows of each column
    arrows = []
    for name, (text, reads) in _read_layers(model).items():
        column = 0
        for read in reads:
            column = max(column, 1 + boxes[read].get_position()[0])
        boxes[name] = ax.text(
            column,
            taken[column],
            text,
            fontsize=10.5,
            ha="center",
            va="center",
            bbox={
                "facecolor": COLOURS[4],
                "alpha": 0.35,
            },
        )
        taken[column] += 1
        for read in reads:
            _draw_arrow(ax, boxes[read], boxes[name])
        if reads:
            arrows.append(f"{' and '.join(reads)} to {name}")
    ax.set_xlim(-0.65, len(taken) - 0.35)
    rows = max(taken.values())
    ax.set_ylim(rows - 0.5, -0.8)  # downwards, with room for arrows above the first row
    fig.set_size_inches(1.9 * len(taken), 1.1 * rows + 0.8)
    what = f"Graph of {model.name}, {model.count_params():,} parameters"
    return describe(fig, title, what, *arrows)


def _draw_arrow(ax, start, end):
    """Draw an arrow between two boxes."""
    left, row = start.get_position()
    right, end_row = end.get_position()
    skips = right - left > 1
    style = "arc3"  # straight
    if skips and row == end_row:
        style = f"arc3,rad={-0.9 / (right - left)}"  # over the boxes between
    elif skips:
        style = "angle3,angleA=0,angleB=90"  # first along its own row
    ax.annotate(
        "",
        xy=(right, end_row),
        xytext=(left, row),
        arrowprops={
            "arrowstyle": "->",
            "connectionstyle": style,
            "patchA": start.get_bbox_patch(),
            "patchB": end.get_bbox_patch(),
        },
    )


def _read_layers(model):
    """Return layer -> the text of its box and the names of the layers it reads."""
    import keras

    layers = {}
    maker = {}
    try:
        # A Sequential model hides its input layer, a Functional one shows it.
        for layer in keras.Model(model.inputs, model.outputs).layers:
            shape = str(layer.output.shape).replace("None", "batch", 1)
            text = f"{layer.name}\n{shape}\n{type(layer).__name__}"
            if layer.count_params():
                text += f"\n{layer.count_params():,} parameters"
            reads = [maker[id(tensor)] for tensor in keras.tree.flatten(layer.input)]
            layers[layer.name] = text, reads
            maker[id(layer.output)] = layer.name
    except (AttributeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{model.name} is not built, calls a layer more than once or holds another model; "
            "none of these can be drawn."
        ) from error
    return layers
