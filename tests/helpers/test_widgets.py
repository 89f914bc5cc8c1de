"""helpers.widgets: the picture follows the controls, and says what the pixels and the schedules say."""

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


def test_cutmix_explorer_starts_with_two_classes(cutmix_explorer):
    assert cutmix_explorer.pair == (0, 2)


@pytest.mark.parametrize(
    ("lam", "row", "column"),
    [(0.5, 20, 20), (0.1, 0, 47), (0.83, 39, 3), (1.0, 5, 5), (0.0, 0, 0)],
)
def test_box_pixels_and_weights_of_the_explorer_agree(cutmix_explorer, lam, row, column):
    cutmix_explorer.set(lam=lam, row=row, column=column)
    first, second = (cutmix_explorer.images[i] for i in cutmix_explorer.pair)
    mixed = cutmix_explorer._shown[2].get_array()
    x, y, width, height = cutmix_explorer._boxes[1].get_bbox().bounds
    inside = np.zeros(mixed.shape[:2], bool)
    inside[
        round(y + 0.5) : round(y + 0.5 + height), round(x + 0.5) : round(x + 0.5 + width)
    ] = True
    np.testing.assert_array_equal(mixed, np.where(inside[..., None], second, first))
    weights = [bar.get_width() for bar in cutmix_explorer._bars]
    np.testing.assert_allclose(weights, [1 - inside.mean(), inside.mean()], atol=1e-9)
    title = cutmix_explorer._axes[2].get_title()
    assert title == f"{weights[0]:.3f} daisy + {weights[1]:.3f} roses"
    assert title in cutmix_explorer.figure.alt


def test_every_control_changes_the_cutmix_picture(cutmix_explorer):
    for name, value in (("lam", 0.3), ("row", 8), ("column", 40), ("preset", "nearly all")):
        before = drawn(cutmix_explorer)
        cutmix_explorer.controls[name].value = value
        assert not np.array_equal(before, drawn(cutmix_explorer)), name
    assert (
        cutmix_explorer.controls["lam"].value == widgets.CutMixExplorer.PRESETS["nearly all"][0]
    )


def test_new_pair_has_two_classes_and_repeats_under_a_seed(images):
    pairs = []
    for _ in range(2):
        explorer = widgets.CutMixExplorer(images, [0, 0, 1, 2, 1, 0], NAMES, seed=4)
        explorer.controls["new"].click()
        pairs.append(explorer.pair)
        assert explorer.labels[explorer.pair[0]] != explorer.labels[explorer.pair[1]]
    assert pairs[0] == pairs[1]


def test_cutmix_explorer_needs_two_labelled_images(images):
    with pytest.raises(ValueError, match="two or more images"):
        widgets.CutMixExplorer(images[:1], [0], NAMES)
    with pytest.raises(ValueError, match="one class number for each"):
        widgets.CutMixExplorer(images, [0, 1], NAMES)


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
        steps, rates = explorer._curve.get_data()
        np.testing.assert_allclose(
            rates, schedules.sample(rebuilt, np.asarray(steps, "int64")), rtol=1e-4, atol=1e-9
        )
        joins, read = explorer._joins.get_data()
        np.testing.assert_allclose(
            read, schedules.sample(rebuilt, np.asarray(joins, "int64")), rtol=1e-4, atol=1e-9
        )


def test_schedule_explorer_warns_of_a_join_after_the_end():
    explorer = widgets.ScheduleExplorer(steps_per_epoch=10, epochs=10)
    assert "Training ends" not in explorer.note.value
    explorer.set(warmup=4, decay=20)
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


def test_schedule_explorer_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="choose 'WarmupCosine'"):
        widgets.ScheduleExplorer("cosine")
    with pytest.raises(ValueError, match="1 or more"):
        widgets.ScheduleExplorer(epochs=0)


def test_without_a_kernel_the_stored_output_is_a_picture_with_alt_text(cutmix_explorer):
    data, metadata = cutmix_explorer._repr_mimebundle_()
    assert b64decode(data["image/png"]) == cutmix_explorer.picture.value
    assert metadata["image/png"]["alt"] == cutmix_explorer.figure.alt
    assert data[widgets.WIDGET]["model_id"] == cutmix_explorer.box.model_id


@pytest.mark.parametrize(
    ("make", "moves"),
    [
        ("cutmix", [{"lam": 0.2, "row": 3}, {"lam": 0.7, "column": 9}]),
        ("schedule", [{"max_lr": 0.1}, {"rampup": 9}]),
    ],
)
def test_what_is_kept_between_redraws_is_what_no_control_moves(cutmix_explorer, make, moves):
    """The picture after many moves is the figure drawn from nothing."""
    explorer = (
        cutmix_explorer
        if make == "cutmix"
        else widgets.ScheduleExplorer("RampSustainDecay", 50, 12)
    )
    for move in moves:
        explorer.set(**move)
        whole = BytesIO()
        explorer.figure.savefig(whole, format="png", dpi=80)
        np.testing.assert_array_equal(drawn(explorer), imread(BytesIO(whole.getvalue())))


@pytest.mark.parametrize("make", ["cutmix", "schedule"])
def test_a_redraw_takes_less_than_a_tenth_of_a_second(cutmix_explorer, make):
    import time

    explorer, control = (
        (cutmix_explorer, "row")
        if make == "cutmix"
        else (widgets.ScheduleExplorer("RampSustainDecay"), "rampup")
    )
    times = []
    for value in range(1, 12):
        began = time.process_time()  # the machine may be busy with something else
        explorer.controls[control].value = value
        times.append(time.process_time() - began)
    assert np.median(times) < 0.1, f"median {np.median(times):.3f} s of CPU"
