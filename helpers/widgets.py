"""Two explorers with sliders: CutMix (notebook 08) and learning-rate schedules (notebook 09).

They work with ipywidgets 7.7 and 8. Shown where no kernel runs, an explorer is its picture,
with alt text.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from helpers import cutmix, plots, schedules

WIDGET = "application/vnd.jupyter.widget-view+json"
SLIDER = {
    "style": {"description_width": "9em"},
    "layout": {"width": "30em"},
}


class Explorer:
    """Sliders above a picture that follows them, with a note below it.

    A subclass makes the figure and the sliders once and changes the figure in ``draw``: a new
    figure for each redraw would take more than a tenth of a second.

    Attributes
    ----------
    controls
        Name -> slider, in the order shown. Setting ``controls[name].value`` redraws
        the picture.
    figure
        The picture as it stands.
    """

    def __init__(self, figure: plots.CourseFigure, controls: Mapping[str, Any]):
        self.figure = figure
        self.figure.set_dpi(80)
        self.controls = controls
        self.picture = ipywidgets.Image(
            format="png",
            layout={"max_width": "100%"},
        )
        self.note = ipywidgets.HTML()
        parts = [*controls.values(), self.picture, self.note]
        self.box = ipywidgets.VBox(parts)
        for control in controls.values():
            control.observe(self.redraw, "value")
        self.redraw()
        self.figure.set_layout_engine("none")  # to place the axes anew takes time

    def draw(self, **values: float) -> str:
        """Change the figure and its alt text to these values; return the note, in HTML."""
        raise NotImplementedError

    def redraw(self, change=None):
        """Draw again with the sliders' present values."""
        values = {name: control.value for name, control in self.controls.items()}
        try:
            self.note.value = self.draw(**values)
        except ValueError as error:  # the schedule refuses these values together
            self.note.value = (
                f"<b>{escape(str(error))}</b> The picture shows the last values that fit."
            )
            return
        png = BytesIO()
        canvas = FigureCanvasAgg(self.figure)
        canvas.print_png(
            png,
            metadata={"Software": None},
            pil_kwargs={"compress_level": 1},  # fast before small
        )
        self.picture.value = png.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {
            WIDGET: {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self.box.model_id,
            },
            "image/png": b64encode(self.picture.value).decode(),
            "text/plain": "Run this cell to get the sliders.",
        }
        metadata = {"image/png": {"alt": self.figure.alt}}
        return data, metadata


class CutMixExplorer(Explorer):
    """Mix two images by hand and see the label weights follow the pasted pixels.

    Explained in notebook 08.

    Parameters
    ----------
    images
        Shape (N, H, W, 3), values in 0..255.
    labels
        Class numbers, shape (N,).
    class_names
        Name of each class.
    """

    def __init__(self, images, labels, class_names: Sequence[str]):
        self.images = np.asarray(images).clip(0, 255).astype("uint8")
        labels = np.asarray(labels)
        self.names = [class_names[label] for label in labels]
        count, height, width, _ = self.images.shape
        other_class = int(np.argmax(labels != labels[0]))
        last = count - 1
        middle_row = height // 2
        middle_column = width // 2
        controls = {
            "a": _whole_slider("image A", last, 0),
            "b": _whole_slider("image B", last, other_class),
            "lam": _share_slider("lambda", 0.6),
            "row": _whole_slider("centre, row", height - 1, middle_row),
            "column": _whole_slider("centre, column", width - 1, middle_column),
        }
        figure, [[*self._axes, panel]] = plots.figure(1, 4, (10, 3.4))
        for ax in self._axes:
            ax.axis("off")
            ax.imshow(self.images[0])
        self._weights = panel.barh(
            ["A", "B"],
            [1, 1],
            color=plots.COLOURS[:2],
        )
        panel.invert_yaxis()
        panel.set_xlim(0, 1)
        panel.set_xlabel("label weight")
        super().__init__(figure, controls)

    def draw(self, a, b, lam, row, column):
        height, width = self.images.shape[1:3]
        pair = self.images[[a, b]]
        boxes = cutmix.boxes_at(
            [lam, lam],
            [row, row],
            [column, column],
            height,
            width,
        )
        pasted = cutmix.paste(pair, boxes, [1, 0])
        mixed = np.asarray(pasted)[0]
        shares = cutmix.pasted_share(boxes, height, width)
        share = np.asarray(shares)[0]
        first = self.names[a]
        second = self.names[b]
        label = f"{1 - share:.3f} {first} + {share:.3f} {second}"
        panels = {
            f"A: {first}": pair[0],
            f"B: {second}": pair[1],
            label: mixed,
        }
        for ax, (title, pixels) in zip(self._axes, panels.items()):
            ax.images[0].set_data(pixels)
            ax.set_title(title, fontsize=10)
        for_a, for_b = self._weights
        for_a.set_width(1 - share)
        for_b.set_width(share)

        self.figure.alt = f"CutMix of {first} and {second}. Label: {label}."
        for ax in self._axes[1:]:
            for old in list(ax.patches):
                old.remove()
            plots.outline(ax, boxes[0])
        size = height * width
        note = (
            f"lambda asks for {1 - lam:.3f}; "
            f"pasted {share * size:.0f} of {size} pixels = <b>{share:.3f}</b>."
        )
        if 1 - lam - share > 0.02:  # more than whole pixels explain
            note += " The image's edge clipped the box, so the weight is not 1 - lambda."
        return note


class ScheduleExplorer(Explorer):
    """Shape a learning-rate schedule; read the rates at its joins and the code that builds it.

    Explained in notebook 09.

    Parameters
    ----------
    kind
        ``"WarmupCosine"`` or ``"RampSustainDecay"``.
    steps_per_epoch
        Steps of one epoch; the sliders count epochs.
    epochs
        Length of the training run that is drawn.
    """

    def __init__(self, kind: str, steps_per_epoch: int, epochs: int):
        self.kind = kind
        self.steps_per_epoch = steps_per_epoch
        self.steps = steps_per_epoch * epochs
        if kind == "WarmupCosine":
            warmup = epochs // 10
            controls = {
                "max_lr": _rate_slider("max_lr", 1e-3),
                "warmup_steps": _whole_slider("warm-up epochs", epochs, warmup),
                "decay_steps": _whole_slider("decay epochs", 2 * epochs, epochs - warmup),
            }
        else:
            controls = {
                "start_lr": _rate_slider("start_lr", 1e-5),
                "max_lr": _rate_slider("max_lr", 1e-3),
                "min_lr": _rate_slider("min_lr", 1e-5),
                "rampup_steps": _whole_slider("ramp-up epochs", epochs, epochs // 6),
                "sustain_steps": _whole_slider("sustain epochs", epochs, 0),
                "decay_rate": _share_slider("decay per epoch", 0.8),
            }
        figure, [[self._ax]] = plots.figure(1, 1, (8, 3.2))
        (self._curve,) = self._ax.plot(
            [],
            [],
            linewidth=2,
        )
        (self._joins,) = self._ax.plot([], [], "o")
        self._ax.set(
            xlim=(0, epochs),
            xlabel="epoch",
            ylabel="learning rate",
            title=kind,
        )
        self._ax.ticklabel_format(
            axis="y",
            scilimits=(0, 0),  # one width for all rates
        )
        super().__init__(figure, controls)

    def draw(self, **values):
        arguments, joins = self._arguments_and_joins(values)
        schedule = getattr(schedules, self.kind)(**arguments)
        written = [f"{name}={value}" for name, value in arguments.items()]
        listed = ", ".join(written)
        code = f"{self.kind}({listed})"

        rates = schedules.sample(schedule, self.steps + 1)
        reached = [join for join in joins if join <= self.steps]
        marked = np.unique([*reached, self.steps])
        epochs = np.arange(self.steps + 1) / self.steps_per_epoch
        self._curve.set_data(epochs, rates)
        self._joins.set_data(epochs[marked], rates[marked])
        self._ax.set_ylim(0, 1.08 * rates.max())

        said = []
        for step in marked:
            said.append(f"{rates[step]:.4g} at step {step} (epoch {epochs[step]:g})")
        reading = ", ".join(said) + "."
        if joins[-1] > self.steps:
            reading += (
                f" Training ends at step {self.steps}, before the join at step {joins[-1]}."
            )
        self.figure.alt = f"Learning rate of {code}: {reading}"
        return f"<code>{code}</code><br>{reading}"

    def _arguments_and_joins(self, values):
        """Return the schedule's arguments and the steps at which its parts meet."""
        arguments = {}
        joins = [0]
        for name, value in values.items():
            if name.endswith("_steps"):
                arguments[name] = value * self.steps_per_epoch
                joins.append(joins[-1] + arguments[name])
            else:
                arguments[name] = float(f"{value:.3g}")  # exactly what the code will say
        if self.kind == "RampSustainDecay":
            arguments["decay_steps"] = self.steps_per_epoch
        return arguments, joins


def _whole_slider(name, high, value):
    return ipywidgets.IntSlider(
        value,
        max=high,
        description=name,
        **SLIDER,
    )


def _share_slider(name, value):
    return ipywidgets.FloatSlider(
        value,
        max=1.0,
        step=0.01,
        description=name,
        **SLIDER,
    )


def _rate_slider(name, value):
    return ipywidgets.FloatLogSlider(
        value,
        min=-6,
        max=0,
        description=name,
        **SLIDER,
    )
