"""Figures of the course: colour-blind-safe, labelled, with alt text made from what they show.

Each function returns a :class:`CourseFigure`. As the last line of a cell it is shown, once,
with its alt text. What ``title`` says stands above the figure and begins the alt text.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import cycle
from typing import Any

import numpy as np
from cycler import cycler
from matplotlib import colormaps, rc_context
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
            dpi=96,
            bbox_inches="tight",
            metadata={"Software": None},
        )
        data = {
            "image/png": b64encode(png.getvalue()).decode(),
            "text/plain": repr(self),
        }
        metadata = {"image/png": {"alt": self.alt}}
        return data, metadata


def figure(
    rows: int,
    columns: int,
    size: tuple[float, float],
) -> tuple[CourseFigure, np.ndarray]:
    """Return an empty figure and its axes, shape (rows, columns).

    ``size`` is the width and height in inches.
    """
    fig = CourseFigure(figsize=size, layout="constrained")
    with rc_context(STYLE):
        axes = fig.subplots(
            rows,
            columns,
            squeeze=False,
        )
    return fig, axes


def _finish(fig, title, *sentences):
    """Give a figure its title and its alt text."""
    fig.suptitle(title)
    said = [sentence for sentence in (title, *sentences) if sentence]
    fig.alt = ". ".join(said) + "."
    return fig


def image_grid(
    images: Any,
    titles: Sequence[str] = (),
    columns: int = 5,
    title: str = "",
    size: float = 1.9,
    boxes: Sequence[Any] = (),
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
    boxes
        None, or one to outline in each image: top, left, bottom, right in pixels, bottom and
        right just outside; ``None`` for an image without a box.

    Raises
    ------
    ValueError
        If the images are no batch, or the titles are not as many as the images.
    """
    images = np.asarray(images, "float32")
    if images.ndim not in (3, 4) or len(images) == 0:
        raise ValueError(
            f"images have shape {images.shape}; give a batch, (N, H, W) or (N, H, W, channels)."
        )
    if len(titles) not in (0, len(images)):
        raise ValueError(f"there are {len(images)} images and {len(titles)} titles.")
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    width = size * columns
    height = (size + 0.35) * rows  # and a line for the title
    fig, axes = figure(rows, columns, (width, height))
    for ax in axes.flat:
        ax.axis("off")
    images = np.round(images).clip(0, 255).astype("uint8")
    for ax, image in zip(axes.flat, images):
        # The colour map is for grey images only.
        ax.imshow(
            image,
            cmap="gray",
            vmin=0,
            vmax=255,
        )
    for ax, text in zip(axes.flat, titles):
        ax.set_title(text, fontsize=8)
    named = [text.replace("\n", " ") for text in titles]
    sentences = [f"Images, {len(images)}", *named]
    for number, box in enumerate(boxes):
        if box is not None:
            where = _outline(axes.flat[number], box)
            sentences.append(f"Image {number + 1} has a box around {where}")
    return _finish(fig, title, *sentences)


def _outline(ax, box):
    """Outline a box of an image; return in words where it is."""
    top, left, bottom, right = np.asarray(box).tolist()
    outline = Rectangle(
        (left - 0.5, top - 0.5),  # the middle of the first pixel is at 0
        right - left,
        bottom - top,
        fill=False,
        linewidth=2.5,
        edgecolor=COLOURS[1],
    )
    ax.add_patch(outline)
    return f"rows {top} to {bottom - 1} and columns {left} to {right - 1}"


def lines(
    x: Sequence,
    curves: Mapping[str, Sequence],
    xlabel: str,
    ylabel: str,
    title: str = "",
    *,
    log: bool = False,
    measured: Sequence | None = None,
) -> CourseFigure:
    """Draw curves over the same x values. Explained in notebook 01.

    Parameters
    ----------
    curves
        Name -> y values, as many as there are x values.
    log
        Both axes logarithmic and the points marked: for measurements at sizes far apart.
    measured
        y values to compare the curves with, drawn as grey points.
    """
    fig, [[ax]] = figure(1, 1, (7.2, 3.2))
    if measured is not None:
        ax.plot(
            x,
            measured,
            ".",
            color="0.45",
            markersize=8,
            label="measured",
        )
    marker = "o" if log else ""
    styles = cycle(["-", "--", "-.", ":"])  # tells apart curves that lie upon each other
    for name, values in curves.items():
        ax.plot(
            x,
            values,
            marker + next(styles),
            label=name,
        )
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if log:
        ax.set(xscale="log", yscale="log")
    elif np.all(np.mod(x, 1) == 0):
        _mark_whole_numbers(ax)
    if len(ax.lines) > 1:
        ax.legend(fontsize=8)
    return _finish(fig, title, f"{ylabel} against {xlabel}: {_curves_in_words(ax)}")


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

    Raises
    ------
    ValueError
        If a run lacks one of the metrics.
    """
    width = 4.2 * len(metrics) + 2  # and the legend
    fig, [axes] = figure(1, len(metrics), (width, 3.4))
    sentences = []
    for ax, metric in zip(axes, metrics):
        colours = cycle(COLOURS)
        for name, history in histories.items():
            if metric not in history:
                raise ValueError(f"run {name!r} has no {metric!r}; it has {sorted(history)}.")
            colour = next(colours)
            _draw_epochs(
                ax,
                history[metric],
                ".--",
                colour,
                f"{name}, training",
            )
            if f"val_{metric}" in history:
                validation = history[f"val_{metric}"]
                _draw_epochs(
                    ax,
                    validation,
                    ".-",
                    colour,
                    f"{name}, validation",
                )
        ax.set(xlabel="epoch", ylabel=metric.replace("_", " "))
        _mark_whole_numbers(ax)
        sentences.append(f"{metric} against epoch: {_curves_in_words(ax)}")
    handles, labels = ax.get_legend_handles_labels()
    fig.legend(
        handles,
        labels,
        loc="outside right center",
        fontsize=8,
    )
    return _finish(fig, title, *sentences)


def callback_events(
    values: Sequence,
    panels: Mapping[str, Mapping],
    ylabel: str,
    title: str = "",
) -> CourseFigure:
    """Draw a metric epoch by epoch, and in each panel when callbacks acted on it.

    Explained in notebook 05.

    Parameters
    ----------
    values
        The metric after each epoch, as if nobody had stopped the run.
    panels
        Panel title -> event -> the epochs (from 1) it happened in. The curve turns grey after
        an event named ``"stop"``.
    """
    width = 3.6 * len(panels)
    fig, [axes] = figure(1, len(panels), (width, 3.2))
    after_epoch = dict(enumerate(values, start=1))
    sentences = []
    for ax, (name, events) in zip(axes, panels.items()):
        end = max(events.get("stop", []), default=len(values))
        if end < len(values):
            _draw_epochs(ax, values, ".-", "0.75", "without the stop")
        _draw_epochs(ax, values[:end], ".-", "black", ylabel)
        sentences.append(f"{name}: {_curves_in_words(ax)}")
        markers = cycle("vsDo")
        for event, epochs in events.items():
            ax.plot(
                epochs,
                [after_epoch[epoch] for epoch in epochs],
                next(markers),
                fillstyle="none",
                markersize=10,
                markeredgewidth=2,
                label=event,
            )
            sentences.append(f"{event} in epochs {list(epochs) or 'none'}")
        ax.set(xlabel="epoch", ylabel=ylabel)
        ax.set_title(name, fontsize=10)
        _mark_whole_numbers(ax)
    axes[0].legend(fontsize=8)
    return _finish(fig, title, *sentences)


def _draw_epochs(ax, values, style, colour, label):
    epochs = range(1, len(values) + 1)
    ax.plot(
        epochs,
        values,
        style,
        color=colour,
        label=label,
    )


def _mark_whole_numbers(ax):
    ax.xaxis.get_major_locator().set_params(integer=True)


def _curves_in_words(ax):
    curves = []
    for line in ax.lines:
        label = line.get_label()
        y = line.get_ydata()
        curves.append(
            f"{label} from {y[0]:.3g} to {y[-1]:.3g}, lowest {min(y):.3g}, highest {max(y):.3g}"
        )
    return "; ".join(curves)


def timeline(panels: Mapping[str, Mapping], title: str = "") -> CourseFigure:
    """Draw who was busy when, so that waiting shows as gaps. Explained in notebook 06.

    Parameters
    ----------
    panels
        Panel title -> who -> (start, end) of each piece of work, in seconds on any clock. The
        pieces are numbered in the order given. Every panel begins at its own earliest start;
        all have one scale.
    """
    height = 1.5 * len(panels) + 0.7
    fig, axes = figure(len(panels), 1, (8.4, height))
    sentences = []
    longest = 0
    for ax, (name, work) in zip(axes.flat, panels.items()):
        times = np.concatenate(list(work.values()))
        duration = 1000 * np.ptp(times)
        longest = max(longest, duration)
        colours = cycle(COLOURS)
        for who, spans in work.items():
            starts, ends = 1000 * (np.transpose(spans) - times.min())
            bars = ax.barh(
                [who] * len(spans),
                ends - starts,
                height=0.75,
                left=starts,
                color=next(colours),
                edgecolor="white",
            )
            numbers = range(1, len(spans) + 1)
            ax.bar_label(
                bars,
                numbers,
                label_type="center",
                color="white",
                fontsize=8,
            )
            busy = np.sum(ends - starts)
            sentences.append(
                f"{name}: {who} {len(spans)} times, busy {busy:.0f} of {duration:.0f} ms"
            )
        ax.set_title(
            f"{name}: {duration:.0f} ms",
            loc="left",
            fontsize=10,
        )
        ax.invert_yaxis()
    for ax in axes.flat:
        ax.set(xlim=(0, 1.02 * longest), xlabel="milliseconds")
        ax.label_outer()
    return _finish(fig, title, *sentences)


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
        xticks_rotation=45 if k <= 15 else 90,
    )
    ax.grid(False)
    ax.set(xlabel="predicted class", ylabel="true class")
    if k > 15:
        ax.tick_params(labelsize=5)
    right = f"{np.trace(matrix)} of {np.sum(matrix)} right"
    sentences = [f"Confusion matrix of {k} classes"]
    wrong = matrix - np.diag(np.diagonal(matrix))
    if wrong.any():
        row, column = np.unravel_index(wrong.argmax(), wrong.shape)
        sentences.append(
            f"Most frequent mistake: {class_names[row]} taken for {class_names[column]}, "
            f"{wrong.max()} times"
        )
    return _finish(fig, right, *sentences)


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
        For a tensor that is empty, of a higher rank or too large to be read.
    """
    blocks = {name: _block_rows(name, tensor) for name, tensor in tensors.items()}
    everything = [row for rows in blocks.values() for row in rows]
    values = np.concatenate(everything)
    shade = Normalize(values.min(), values.max())
    fig, [[ax]] = figure(1, 1, (1, 1))
    ax.axis("off")
    ax.set_aspect("equal")
    left = 0
    sentences = []
    for name, rows in blocks.items():
        shape = str(tuple(tensors[name].shape)).replace("None", "ragged")
        dtype = tensors[name].dtype
        kind = f"{shape} {getattr(dtype, 'name', dtype)}"  # a variable of Keras has a string
        width = max(len(row) for row in rows)
        room = max(width, 3.5)  # a short block's name needs some
        middle = left + room / 2
        ax.text(
            middle,
            -0.2,
            f"{name}\n{kind}",
            fontsize=9,
            ha="center",
        )
        numbers = _draw_rows(ax, rows, middle - width / 2, shade)
        sentences.append(f"{name}, {kind}: {numbers}")
        left += room + 0.5
    lowest = max(len(rows) for rows in blocks.values())
    ax.set_xlim(-0.1, left - 0.4)
    ax.set_ylim(lowest + 0.1, -1.2)  # downwards
    fig.set_size_inches(0.55 * left, 0.55 * (lowest + 1.9))
    return _finish(fig, title, "Tensors as blocks", *sentences)


def _block_rows(name, tensor):
    """Return a tensor's values as rows, with an empty row between two tables."""
    ragged = hasattr(tensor, "to_list")
    tables = tensor.to_list() if ragged else np.asarray(tensor).tolist()
    rank = len(tensor.shape)
    for _ in range(3 - rank):
        tables = [tables]
    rows = []
    if rank <= 3:
        for table in tables:
            rows += [*table, []]
    rows = rows[:-1]
    lengths = [len(row) for row in rows]
    if not any(lengths) or max(len(rows), *lengths) > 12:
        raise ValueError(
            f"{name!r} has shape {tuple(tensor.shape)}; rank 0 to 3 and 1 to 12 cells down and "
            "across can be drawn: take a slice of it."
        )
    return rows


def _draw_rows(ax, rows, left, shade):
    """Draw each value in a cell; return the values as text."""
    said = []
    for number, row in enumerate(rows):
        colours = colormaps["Blues"](0.05 + 0.5 * shade(row))
        cells = ax.bar(
            left + 0.5 + np.arange(len(row)),
            height=1,
            width=1,
            bottom=number,
            color=colours,
            edgecolor="black",
        )
        texts = [_short(value) for value in row]
        ax.bar_label(
            cells,
            texts,
            label_type="center",
            fontsize=9,
        )
        if texts:
            said.append(" ".join(texts))
    return " / ".join(said)


def _short(value):
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def model_graph(model: Any, title: str = "") -> CourseFigure:
    """Draw a model as boxes and arrows: layer, output shape, parameters.

    A layer stands left of all that read it. Explained in notebook 02.

    Parameters
    ----------
    model
        A built Sequential or Functional model.

    Raises
    ------
    ValueError
        For a model that is not built yet, calls a layer more than once, or holds another model.
    """
    texts, sources = _read_layers(model)
    steps_left = {}
    for name in reversed(sources):  # a layer comes after all that it reads
        readers = [steps_left[reader] for reader, reads in sources.items() if name in reads]
        steps_left[name] = 1 + max(readers, default=-1)
    columns = 1 + max(steps_left.values())
    place = {}
    rows = [0] * columns
    for name, steps in steps_left.items():
        place[name] = columns - 1 - steps, rows[steps]
        rows[steps] += 1
    longest = max(len(line) for text in texts.values() for line in text.split("\n"))
    width = max(1.7, 0.09 * longest)  # inches of a column
    fig, [[ax]] = figure(1, 1, (width * columns, 1.1 * max(rows) + 0.8))
    ax.axis("off")
    ax.set_xlim(-0.5, columns - 0.5)
    boxes = {}
    for name, (column, row) in place.items():
        middle = (rows[steps_left[name]] - 1) / 2
        boxes[name] = ax.text(
            column,
            row - middle,
            texts[name],
            fontsize=7.5,
            ha="center",
            va="center",
            bbox={"facecolor": COLOURS[4], "alpha": 0.35},
        )
    arrows = []
    bend = 0
    for name, reads in sources.items():
        for read in reads:
            # An arrow that skips layers goes over their boxes.
            skips = place[name][0] - place[read][0] - 1
            bend = max(bend, skips)
            arrow = {
                "arrowstyle": "->",
                "connectionstyle": f"arc3,rad={-0.3 if skips else 0}",
                "patchA": boxes[read].get_bbox_patch(),
                "patchB": boxes[name].get_bbox_patch(),
            }
            ax.annotate(
                "",
                xy=boxes[name].get_position(),
                xytext=boxes[read].get_position(),
                arrowprops=arrow,
            )
        if reads:
            arrows.append(f"{' and '.join(reads)} to {name}")
    ax.set_ylim(-max(rows) / 2, max(rows) / 2 + 0.25 * bend)
    what = f"Graph of {model.name}, {model.count_params():,} parameters"
    return _finish(fig, title, what, *arrows)


def _read_layers(model):
    """Return, for each layer, the text of its box and the names of the layers it reads."""
    import keras

    texts, sources, maker = {}, {}, {}
    try:
        # A Sequential model hides its input layer, a Functional one shows it.
        for layer in keras.Model(model.inputs, model.outputs).layers:
            shape = str(tuple(layer.output.shape)).replace("None", "batch", 1)
            text = f"{layer.name}\n{shape}\n{type(layer).__name__}"
            if layer.count_params():
                text += f"\n{layer.count_params():,} parameters"
            texts[layer.name] = text
            inputs = keras.tree.flatten(layer.input)
            sources[layer.name] = [maker[id(tensor)] for tensor in inputs]
            maker[id(layer.output)] = layer.name
    except (AttributeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{model.name} is not built, calls a layer more than once or holds another model; "
            "none of these can be drawn."
        ) from error
    return texts, sources
