"""helpers.widgets: the picture follows the controls and shows what was computed."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from helpers import schedules, widgets

NAMES = ["daisy", "roses", "tulips"]


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 40, 48, 3)).astype("uint8")


@pytest.fixture
def cutmix_explorer(images):
    return widgets.CutMixExplorer(images, [0, 0, 1, 2, 1, 0], NAMES)


def drawn(explorer) -> np.ndarray:
    return imread(BytesIO(explorer.picture.value))


def move(explorer, **values):
    for name, value in values.items():
        explorer.controls[name].value = value


def test_cutmix_explorer_starts_with_two_classes(cutmix_explorer):
    assert [cutmix_explorer.controls[name].value for name in "ab"] == [0, 2]


@pytest.mark.parametrize(
    ("lam", "row", "column"),
    [(0.5, 20, 20), (0.1, 0, 47), (0.83, 39, 3), (1.0, 5, 5), (0.0, 0, 0)],
)
def test_box_pixels_and_weights_of_the_explorer_agree(cutmix_explorer, lam, row, column):
    move(cutmix_explorer, lam=lam, row=row, column=column)
    first, second = cutmix_explorer.images[[0, 2]]
    assert len(cutmix_explorer._axes[2].patches) == 1
    mixed = cutmix_explorer._axes[2].images[0].get_array()
    x, y, width, height = cutmix_explorer._axes[2].patches[0].get_bbox().bounds
    inside = np.zeros(mixed.shape[:2], bool)
    inside[
        round(y + 0.5) : round(y + 0.5 + height), round(x + 0.5) : round(x + 0.5 + width)
    ] = True
    np.testing.assert_array_equal(mixed, np.where(inside[..., None], second, first))
    weights = [bar.get_width() for bar in cutmix_explorer._weights]
    np.testing.assert_allclose(weights, [1 - inside.mean(), inside.mean()], atol=1e-9)
    title = cutmix_explorer._axes[2].get_title()
    assert title == f"{weights[0]:.3f} daisy + {weights[1]:.3f} roses"
    assert title in cutmix_explorer.figure.alt


def test_every_control_changes_the_cutmix_picture(cutmix_explorer):
    values = {"a": 1, "b": 3, "lam": 0.3, "row": 8, "column": 40}
    assert list(values) == list(cutmix_explorer.controls)
    for name, value in values.items():
        before = drawn(cutmix_explorer)
        move(cutmix_explorer, **{name: value})
        assert not np.array_equal(before, drawn(cutmix_explorer)), name


def test_a_box_that_the_edge_clips_is_said_to_be_clipped(cutmix_explorer):
    assert "clipped" not in cutmix_explorer.note.value
    move(cutmix_explorer, row=0)
    assert "clipped" in cutmix_explorer.note.value


@pytest.mark.parametrize("kind", ["WarmupCosine", "RampSustainDecay"])
def test_schedule_explorer_draws_what_its_line_of_code_builds(kind):
    explorer = widgets.ScheduleExplorer(kind, steps_per_epoch=50, epochs=12)
    for name, control in list(explorer.controls.items()):
        before = drawn(explorer)
        control.value = (
            control.value * 1.5 if name.endswith("lr") else control.value + control.step
        )
        assert not np.array_equal(before, drawn(explorer)), name
        code = explorer.note.value.split("<code>")[1].split("</code>")[0]
        rebuilt = eval(code, {kind: getattr(schedules, kind)})
        for line in (explorer._curve, explorer._joins):
            epochs, rates = line.get_data()
            steps = np.rint(epochs * 50).astype(int)
            np.testing.assert_array_equal(rates, schedules.sample(rebuilt, steps))


def test_schedule_explorer_warns_of_a_join_after_the_end():
    explorer = widgets.ScheduleExplorer("WarmupCosine", 10, 10)
    assert "Training ends" not in explorer.note.value
    move(explorer, warmup_steps=4, decay_steps=20)
    assert "Training ends at step 100, before the join at step 240" in explorer.note.value
    assert "Training ends" in explorer.figure.alt


def test_sliders_that_do_not_fit_together_are_explained_and_leave_the_picture():
    explorer = widgets.ScheduleExplorer("RampSustainDecay", steps_per_epoch=10, epochs=10)
    before = explorer.picture.value
    explorer.controls["min_lr"].value = 0.1
    assert "min_lr must be at most max_lr" in explorer.note.value
    assert explorer.picture.value == before
    explorer.controls["max_lr"].value = 0.2
    assert explorer.note.value.startswith("<code>")
    assert explorer.picture.value != before


def test_without_a_kernel_the_stored_output_is_a_picture_with_alt_text(cutmix_explorer):
    data, metadata = cutmix_explorer._repr_mimebundle_()
    assert b64decode(data["image/png"]) == cutmix_explorer.picture.value
    assert metadata["image/png"]["alt"] == cutmix_explorer.figure.alt
    assert data[widgets.WIDGET]["model_id"] == cutmix_explorer.box.model_id


@pytest.mark.parametrize("make", ["cutmix", "schedule"])
def test_a_redraw_takes_less_than_a_tenth_of_a_second(cutmix_explorer, make):
    import time

    explorer, control = cutmix_explorer, "row"
    if make == "schedule":
        explorer = widgets.ScheduleExplorer("RampSustainDecay", 438, 30)
        control = "rampup_steps"
    times = []
    for value in range(1, 12):
        began = time.process_time()  # the machine may be busy with something else
        explorer.controls[control].value = value
        times.append(time.process_time() - began)
    assert np.median(times) < 0.1, f"median {np.median(times):.3f} s of CPU"
