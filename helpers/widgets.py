"""Two explorers with sliders: CutMix (notebook 08) and learning-rate schedules (notebook 09).

They work with ipywidgets 7.7 and 8. Shown where no kernel runs, an explorer is its picture,
with alt text.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from typing import Any, ClassVar

import ipywidgets
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imsave
from matplotlib.patches import Rectangle

from helpers import cutmix, plots, schedules

WIDGET = "application/vnd.jupyter.widget-view+json"
# Behind text on a bar.
PAPER = {
    "facecolor": "white",
    "alpha": 0.85,
    "edgecolor": "none",
    "pad": 1.5,
}


class Explorer:
    """Controls above a picture that follows them.

    Attributes
    ----------
    controls
        Name -> slider, menu or button, in the order shown. Setting ``controls[name].value``
        redraws the picture.
    figure
        The picture as it stands.
    """

    def __init__(self, controls: Mapping[str, Any]):
        self.controls = dict(controls)
        self.figure: plots.CourseFigure | None = None
        self.picture = ipywidgets.Image(format="png", layout={"max_width": "100%"})
        self.note = ipywidgets.HTML()
        rows = ipywidgets.VBox(list(self.controls.values()))
        self.box = ipywidgets.VBox([rows, self.picture, self.note])
        for control in self.controls.values():
            if not isinstance(control, ipywidgets.Button):
                control.observe(self.redraw, "value")
        self._held = False

    def draw(self, **values: Any) -> str:
        """Bring ``self.figure`` up to the controls' values; return the line under it, in HTML."""
        raise TypeError(f"{type(self).__name__} must define draw(**values)")

    def redraw(self, change: Any = None) -> None:
        """Draw again with the controls' present values."""
        if self._held:
            return
        values = {
            name: c.value
            for name, c in self.controls.items()
            if not isinstance(c, ipywidgets.Button)
        }
        try:
            self.note.value = self.draw(**values)
        except (
            ValueError
        ) as error:  # sliders can ask for what no schedule does, such as a floor above the peak
            self.note.value = (
                f"<b>{escape(str(error))}</b> The picture shows the last values that fit."
            )
            return
        self.picture.value = self._png()

    def set(self, **values: Any) -> None:
        """Move several controls at once and draw one picture."""
        self._held = True
        try:
            for name, value in values.items():
                self.controls[name].value = value
        finally:
            self._held = False
        self.redraw()

    def _keep_still(self, *moving: Artist) -> None:
        """Draw once what no control moves, and keep it: a whole picture costs three times as much.

        ``moving``, from back to front, is drawn over it in each redraw.
        """
        for artist in moving:
            artist.set_animated(True)  # `canvas.draw` leaves it out, `savefig` does not
        self.figure.set_dpi(80)
        self._moving, self._canvas = moving, FigureCanvasAgg(self.figure)
        self._canvas.draw()
        self._still = self._canvas.copy_from_bbox(self.figure.bbox)

    def _png(self) -> bytes:
        self._canvas.restore_region(self._still)
        for artist in self._moving:
            artist.draw(self._canvas.get_renderer())
        png = BytesIO()
        rgba, options = self._canvas.buffer_rgba(), {"compress_level": 1}
        imsave(png, rgba, format="png", metadata={"Software": None}, pil_kwargs=options)
        return png.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        bundle = {
            WIDGET: view,
            "image/png": b64encode(self.picture.value).decode(),
            "text/plain": f"<{type(self).__name__}>",
        }
        return bundle, {"image/png": {"alt": self.figure.alt}}


def _slider(name: str, low: float, high: float, value: float, step: float = 1) -> Any:
    kind = ipywidgets.IntSlider if isinstance(step, int) else ipywidgets.FloatSlider
    options = {} if isinstance(step, int) else {"readout_format": ".2f"}
    return kind(value, min=low, max=high, step=step, description=name, style={"description_width": "9em"},
                layout={"width": "30em"}, **options)  # fmt: skip


class CutMixExplorer(Explorer):
    """Mix two images by hand and watch the label weights follow the pasted pixels.

    Parameters
    ----------
    images
        Shape ``(N, H, W, 3)``, values in 0..255, two or more.
    labels
        Class numbers, shape ``(N,)``.
    class_names
        Their names.
    seed
        For the pairs that "New pair" draws.

    Raises
    ------
    ValueError
        For fewer than two images, or labels that do not go with them.
    """

    # name: lambda, row and column of the centre as a share of the image
    PRESETS: ClassVar[dict[str, tuple[float, float, float]]] = {
        "a quarter, in the middle": (0.75, 0.5, 0.5),
        "half, at the edge (clipped)": (0.5, 0.5, 0.98),
        "nearly all": (0.05, 0.5, 0.5),
        "nothing": (1.0, 0.5, 0.5),
        "the corner: a quarter of the box": (0.3, 0.0, 0.0),
    }

    def __init__(self, images: Any, labels: Any, class_names: Sequence[str], seed: int = 0):
        self.images = np.clip(np.asarray(images), 0, 255).astype("uint8")
        self.labels = np.asarray(labels)
        self.class_names = list(class_names)
        if (
            self.images.ndim != 4
            or len(self.images) < 2
            or self.labels.shape != self.images.shape[:1]
        ):
            raise ValueError(
                f"images have shape {self.images.shape}, labels {self.labels.shape}; give "
                "two or more images "
                "(N, H, W, 3) and one class number for each, shape (N,)."
            )
        self._random = np.random.default_rng(seed)
        self.pair = (
            0,
            next(
                (i for i in range(1, len(self.labels)) if self.labels[i] != self.labels[0]), 1
            ),
        )
        height, width = self.images.shape[1:3]
        controls = {
            "preset": ipywidgets.Dropdown(options=["", *self.PRESETS], description="preset",
                                          style={"description_width": "9em"}, layout={"width": "30em"}),
            "lam": _slider("lambda", 0.0, 1.0, 0.6, 0.01),
            "row": _slider("centre, row", 0, height - 1, height // 2),
            "column": _slider("centre, column", 0, width - 1, width // 2),
            "new": ipywidgets.Button(description="New pair"),
        }  # fmt: skip
        super().__init__(controls)
        controls["new"].on_click(self.new_pair)
        controls["preset"].observe(self._use_preset, "value")
        self._frame()
        self.redraw()

    def _frame(self) -> None:
        fig, axes = plots.figure(1, 4, (10, 3.0), layout=None)
        fig.subplots_adjust(left=0.01, right=0.98, top=0.82, bottom=0.16, wspace=0.12)
        self.figure, self._axes = fig, axes[0]
        blank = np.zeros(self.images.shape[1:], "uint8")
        self._shown = [ax.imshow(blank, vmin=0, vmax=255) for ax in self._axes[:3]]
        self._boxes = [
            Rectangle((0, 0), 0, 0, fill=False, lw=2.5, ec=plots.COLOURS[1]) for _ in range(2)
        ]
        for ax, box in zip(self._axes[1:3], self._boxes):
            ax.add_patch(box)
        for ax in self._axes[:3]:
            ax.axis("off")
        self._bars = self._axes[3].barh([0, 1], [0, 0], color=plots.COLOURS[:2])
        self._axes[3].set(xlim=(0, 1), xlabel="label weight", yticks=[])
        self._axes[3].invert_yaxis()
        self._weights = [
            self._axes[3].text(0.03, y, "", va="center", fontsize=10, bbox=PAPER)
            for y in (0, 1)
        ]
        titles = [ax.title for ax in self._axes[:3]]
        frame = self._axes[3].spines.values()
        self._keep_still(
            *self._shown, *self._boxes, *self._bars, *frame, *self._weights, *titles
        )

    def draw(self, preset: str, lam: float, row: int, column: int) -> str:
        first, second = self.pair
        height, width = self.images.shape[1:3]
        boxes = cutmix.boxes_at([lam, 0.0], [row, 0], [column, 0], height, width)
        pair = self.images[[first, second]]
        mixed = np.asarray(cutmix.paste(pair, boxes, [1, 0]))[0]
        share = float(cutmix.pasted_share(boxes, height, width)[0])
        top, left, bottom, right = (int(edge) for edge in boxes[0])
        names = [self.class_names[self.labels[i]] for i in (first, second)]
        for shown, image in zip(self._shown, (pair[0], pair[1], mixed)):
            shown.set_data(image)
        for box in self._boxes:
            box.set_bounds(left - 0.5, top - 0.5, right - left, bottom - top)
        title = f"{1 - share:.3f} {names[0]} + {share:.3f} {names[1]}"
        for ax, text in zip(self._axes, (f"A: {names[0]}", f"B: {names[1]}", title)):
            ax.set_title(text, fontsize=10, y=1.02)
        for bar, text, name, weight in zip(
            self._bars, self._weights, names, (1 - share, share)
        ):
            bar.set_width(weight)
            text.set_text(f"{name} {weight:.3f}")
        clipped = (
            ""
            if abs(share - (1 - lam)) < 0.02
            else " The image's edge clipped the box, so the weight is not 1 - lambda."
        )
        self.figure.alt = (
            f"CutMix of {names[0]} and {names[1]}: rows {top} to {bottom} and columns {left} "
            f"to {right} of {height} by {width} come from {names[1]}. Label: "
            f"{title}.{clipped}"
        )
        pixels = (bottom - top) * (right - left)
        return (
            f"lambda asks for {1 - lam:.3f}; pasted {pixels} of {height * width} pixels = "
            f"<b>{share:.3f}</b>.{clipped}"
        )

    def new_pair(self, button: Any = None) -> None:
        """Draw two other images, of two classes where there are two."""
        first = int(self._random.integers(len(self.labels)))
        others = np.flatnonzero(self.labels != self.labels[first])
        if not len(others):
            others = np.delete(np.arange(len(self.labels)), first)
        self.pair = (first, int(self._random.choice(others)))
        self.redraw()

    def _use_preset(self, change: Any) -> None:
        if change["new"]:
            lam, row, column = self.PRESETS[change["new"]]
            height, width = self.images.shape[1:3]
            self.set(lam=lam, row=round(row * (height - 1)), column=round(column * (width - 1)))


class ScheduleExplorer(Explorer):
    """Shape a learning-rate schedule and read off the rates at its joins and the line of code that builds it.

    Parameters
    ----------
    kind
        ``"WarmupCosine"`` or ``"RampSustainDecay"``.
    steps_per_epoch
        Steps of one epoch, for the second axis; the sliders count epochs.
    epochs
        Length of the training run that is drawn.

    Raises
    ------
    ValueError
        For another kind, or lengths that are not positive.
    """

    def __init__(
        self, kind: str = "WarmupCosine", steps_per_epoch: int = 438, epochs: int = 30
    ):
        if kind not in ("WarmupCosine", "RampSustainDecay"):
            raise ValueError(f"kind is {kind!r}; choose 'WarmupCosine' or 'RampSustainDecay'.")
        if steps_per_epoch < 1 or epochs < 1:
            raise ValueError(
                f"steps_per_epoch={steps_per_epoch!r} and epochs={epochs!r} must be 1 or more."
            )
        self.kind, self.steps_per_epoch, self.epochs = kind, steps_per_epoch, epochs
        rate = {"step": 0.1}
        if kind == "WarmupCosine":
            controls = {
                "max_lr": _log_slider("max_lr", -3.0, **rate),
                "warmup": _slider("warm-up epochs", 0, epochs, min(3, epochs)),
                "decay": _slider("decay epochs", 1, 2 * epochs, max(1, epochs - 3)),
            }
        else:
            controls = {
                "start_lr": _log_slider("start_lr", -5.0, **rate),
                "max_lr": _log_slider("max_lr", -3.0, **rate),
                "min_lr": _log_slider("min_lr", -5.0, **rate),
                "rampup": _slider("ramp-up epochs", 0, epochs, min(5, epochs)),
                "sustain": _slider("sustain epochs", 0, epochs, 0),
                "decay": _slider("decay per epoch", 0.1, 1.0, 0.8, 0.01),
            }
        super().__init__(controls)
        self._frame()
        self.redraw()

    def _frame(self) -> None:
        fig, axes = plots.figure(1, 1, (8, 3.2), layout=None)
        fig.subplots_adjust(left=0.13, right=0.97, top=0.74, bottom=0.18)
        self.figure, self._ax = fig, axes[0][0]
        (self._curve,) = self._ax.plot([], [], color=plots.COLOURS[0], lw=2)
        (self._joins,) = self._ax.plot([], [], "o", color=plots.COLOURS[1])
        self._ax.set(
            xlabel="step", ylabel="learning rate", xlim=(0, self.steps_per_epoch * self.epochs)
        )
        per = self.steps_per_epoch
        self._ax.secondary_xaxis(
            "top", functions=(lambda s: s / per, lambda e: e * per)
        ).set_xlabel("epoch")
        self._ax.yaxis.set_label_coords(-0.12, 0.5)
        self._ax.grid(alpha=0.25)
        self._keep_still(
            self._ax.yaxis, self._curve, self._joins, *self._ax.spines.values(), self._ax.title
        )

    def build(self, **values: Any) -> tuple[Any, str, list[int]]:
        """Return the schedule for the sliders' values, the line of code that builds it, and the steps of its joins."""
        per = self.steps_per_epoch
        if self.kind == "WarmupCosine":
            arguments = {
                "max_lr": values["max_lr"],
                "warmup_steps": values["warmup"] * per,
                "decay_steps": values["decay"] * per,
            }
            joins = [0, values["warmup"] * per, (values["warmup"] + values["decay"]) * per]
        else:
            arguments = {
                **{name: values[name] for name in ("start_lr", "max_lr", "min_lr")},
                "rampup_steps": values["rampup"] * per,
                "sustain_steps": values["sustain"] * per,
                "decay_rate": values["decay"],
                "decay_steps": per,
            }
            joins = [0, values["rampup"] * per, (values["rampup"] + values["sustain"]) * per]
        inside = ", ".join(f"{name}={value:.6g}" for name, value in arguments.items())
        return getattr(schedules, self.kind)(**arguments), f"{self.kind}({inside})", joins

    def draw(self, **values: Any) -> str:
        schedule, code, joins = self.build(**values)
        last = self.steps_per_epoch * self.epochs
        steps = np.unique(
            np.concatenate(
                [np.linspace(0, last, 400).astype(int), [j for j in joins if j <= last]]
            )
        )
        rates = np.asarray(schedules.sample(schedule, steps))
        self._curve.set_data(steps, rates)
        at = [j for j in dict.fromkeys([*joins, last]) if j <= last]
        read = [float(rates[np.searchsorted(steps, j)]) for j in at]
        self._joins.set_data(at, read)
        self._ax.set_ylim(0, max(float(rates.max()) * 1.08, 1e-12))
        self._ax.set_title(
            f"{self.kind}: {rates[0]:.3g} to {rates.max():.3g} to {rates[-1]:.3g}",
            fontsize=10,
            y=1.24,
        )
        late = [j for j in joins if j > last]
        warning = (
            f" Training ends at step {last}, before the join at step {late[-1]}."
            if late
            else ""
        )
        self.figure.alt = (
            f"Learning rate of {code} over {last} steps: "
            + ", ".join(f"{r:.3g} at step {j}" for j, r in zip(at, read)) + f".{warning}"
        )  # fmt: skip
        rows = "".join(
            f"<tr><td>step {j}</td><td>epoch "
            f"{j / self.steps_per_epoch:g}</td><td>{r:.4g}</td></tr>"
            for j, r in zip(at, read)
        )
        return f"<code>{code}</code>{warning}<table>{rows}</table>"


def _log_slider(name: str, exponent: float, step: float) -> Any:
    return ipywidgets.FloatLogSlider(
        10**exponent,
        base=10,
        min=-6,
        max=0,
        step=step,
        description=name,
        readout_format=".2g",
        style={"description_width": "9em"},
        layout={"width": "30em"},
    )
