"""helpers.plots: figures hold the data they were given, speak it in their alt text, and refuse what does not fit."""

from base64 import b64decode

import numpy as np
import pytest
from matplotlib import pyplot as plt

from helpers import plots

HISTORY = {
    "loss": [1.5, 0.7],
    "val_loss": [1.6, 0.9],
    "accuracy": [0.3, 0.8],
    "val_accuracy": [0.25, 0.6],
}


def test_learning_curves_are_the_numbers_of_the_history():
    fig = plots.learning_curves({"cnn": HISTORY}, title="Small CNN")
    for ax, metric in zip(fig.axes, ("loss", "accuracy")):
        drawn = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
        assert drawn == {
            "cnn, training": HISTORY[metric],
            "cnn, validation": HISTORY[f"val_{metric}"],
        }
        assert ax.get_xlabel() == "epoch"
    assert "cnn validation accuracy 0.25 to 0.60 in 2 epochs" in fig.alt
    assert fig.alt.startswith("Learning curves. Small CNN.")


def test_a_long_legend_leaves_the_title_free():
    runs = {f"run {k} with a long name": HISTORY for k in range(4)}
    fig = plots.learning_curves(runs, ["accuracy"], "The same network, four schedules")
    fig.draw_without_rendering()
    (title,), (legend,) = fig.texts, fig.legends
    assert not legend.get_window_extent().overlaps(title.get_window_extent())


def test_learning_curves_need_a_run_and_its_metric():
    with pytest.raises(ValueError, match="at least one run"):
        plots.learning_curves({})
    with pytest.raises(ValueError, match="'cnn' has no 'f1'; it has"):
        plots.learning_curves({"cnn": HISTORY}, metrics=["f1"])


def test_confusion_matrix_shows_counts_and_names_the_worst_mistake():
    fig = plots.confusion_matrix(np.array([[4, 1, 0], [3, 2, 0], [0, 0, 0]]), ["a", "b", "c"])
    written = [text.get_text() for text in fig.axes[0].texts]
    assert written == ["4", "1", "0", "3", "2", "0", "0", "0", "0"]
    np.testing.assert_allclose(
        fig.axes[0].images[0].get_array(), [[0.8, 0.2, 0], [0.6, 0.4, 0], [0, 0, 0]]
    )
    assert "6 of 10 right" in fig.alt
    assert "b taken for a, 3 times" in fig.alt
    assert "mistake" not in plots.confusion_matrix(np.eye(2, dtype=int), ["a", "b"]).alt
    with pytest.raises(ValueError, match="2 class names"):
        plots.confusion_matrix(np.eye(3), ["a", "b"])


def test_image_grid_shows_the_pixels_it_was_given():
    images = np.random.default_rng(0).uniform(-20, 300, (7, 4, 5, 3)).astype("float32")
    fig = plots.image_grid(images, [f"no. {i}" for i in range(7)], columns=3, title="Seven")
    assert len(fig.axes) == 9
    for ax, image in zip(fig.axes, images):
        np.testing.assert_array_equal(
            ax.images[0].get_array(), np.clip(np.round(image), 0, 255).astype("uint8")
        )
    assert [ax.get_title() for ax in fig.axes[:7]] == [f"no. {i}" for i in range(7)]
    assert fig.alt == "Seven. 7 images: " + "; ".join(f"no. {i}" for i in range(7)) + "."
    with pytest.raises(ValueError, match="7 images and 2 titles"):
        plots.image_grid(images, ["a", "b"])
    with pytest.raises(ValueError, match="give a batch"):
        plots.image_grid(images[0, 0])


def test_lines_are_drawn_from_the_values():
    fig = plots.lines(
        [0, 1, 2], {"rate": [0.0, 0.2, 0.1]}, "step", "learning rate", title="Warm-up"
    )
    assert list(fig.axes[0].lines[0].get_ydata()) == [0.0, 0.2, 0.1]
    assert fig.alt == "Warm-up. learning rate against step: rate from 0 to 0.1, highest 0.2."


def test_a_figure_shows_itself_once_and_carries_its_alt_text():
    fig = plots.lines([0, 1], {"a": [0, 1]}, "x", "y", title="t")
    data, metadata = fig._repr_mimebundle_()
    assert b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert metadata == {"image/png": {"alt": fig.alt}}
    assert not plt.get_fignums(), "a figure known to pyplot would be shown a second time"


def test_lines_over_whole_numbers_are_marked_at_whole_numbers():
    for x, whole in ((range(1, 6), True), ([0.0, 0.4, 1.1], False)):
        fig = plots.lines(x, {"loss": [3.0, 2.0, 1.0, 0.5, 0.4][: len(x)]}, "epoch", "loss")
        assert all(float(tick).is_integer() for tick in fig.axes[0].get_xticks()) == whole


def test_boxed_images_outline_exactly_the_pixels_of_the_box():
    images = np.zeros((2, 10, 12, 3), "uint8")
    fig = plots.boxed_images(images, ["A", "B"], [None, (2, 3, 7, 12)])
    assert not fig.axes[0].patches
    assert fig.axes[1].patches[0].get_bbox().bounds == (2.5, 1.5, 9, 5)
    assert "In 'B' a box spans rows 2 to 7 and columns 3 to 12." in fig.alt
    with pytest.raises(ValueError, match="2 images, 1 titles"):
        plots.boxed_images(images, ["A"], [None, None])


def test_points_and_fitted_curves_are_drawn_from_the_values():
    fig = plots.points(
        [0, 1, 2],
        [1.0, 5.0, 2.0],
        {"fit": [0.0, 1.0, 2.5], "truth": [1, 2, 3]},
        "x",
        "y",
        title="Fit",
    )
    ax = fig.axes[0]
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), [[0, 1], [1, 5], [2, 2]])
    drawn = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
    assert drawn == {"fit": [0.0, 1.0, 2.5], "truth": [1, 2, 3]}
    assert fig.alt == (
        "Fit. y against x: 3 points, y between 1 and 5; fit from 0 to 2.5; truth from 1 to 3."
    )


def test_lines_on_logarithmic_axes_mark_their_points():
    plain, log = (
        plots.lines([1, 10], {"a": [1, 100]}, "x", "y", log=log) for log in (False, True)
    )
    assert (plain.axes[0].get_xscale(), log.axes[0].get_xscale(), log.axes[0].get_yscale()) == (
        "linear",
        "log",
        "log",
    )
    assert log.axes[0].lines[0].get_marker() == "o"


def test_tensor_blocks_write_every_value_under_its_name():
    stack = np.arange(12).reshape(2, 2, 3)
    fig = plots.tensor_blocks(
        {"number": np.float32(2.5), "row": np.array([1, -2]), "stack": stack}, title="Ranks"
    )
    written = [[text.get_text() for text in ax.texts] for ax in fig.axes]
    assert written[:2] == [["2.5"], ["1", "-2"]]
    assert sorted(written[2], key=int) == [str(value) for value in range(12)]
    assert [ax.get_title() for ax in fig.axes] == [
        "number\n() float32",
        "row\n(2,) int64",
        "stack\n(2, 2, 3) int64",
    ]
    assert "row, shape (2,), int64: 1 -2;" in fig.alt
    assert fig.alt.endswith("0 1 2 / 3 4 5 / 6 7 8 / 9 10 11.")


def test_tensor_blocks_place_a_cell_by_its_row_and_column():
    ax = plots.tensor_blocks({"table": np.array([[0, 1], [2, 3]])}).axes[0]
    corners = {text.get_text(): text.get_position() for text in ax.texts}
    assert corners["1"][0] > corners["0"][0]
    assert corners["1"][1] == corners["0"][1] > corners["2"][1]
    dark = [sum(patch.get_facecolor()[:3]) for patch in ax.patches]
    assert dark == sorted(dark, reverse=True), "a larger value is darker"


def test_tensor_blocks_draw_ragged_rows_as_they_are():
    import tensorflow as tf

    fig = plots.tensor_blocks({"ragged": tf.ragged.constant([[4.0, 6.0], [5.0]])})
    assert [text.get_text() for text in fig.axes[0].texts] == ["4", "6", "5"]
    assert "shape (2, ragged), float32: 4 6 / 5" in fig.alt


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "at least one"),
        ({"a": np.zeros((1, 1, 1, 1))}, "rank 4"),
        ({"a": np.zeros(13)}, "1 to 12 cells"),
        ({"a": np.zeros((2, 0))}, "1 to 12 cells"),
        ({"a": np.zeros((13, 1, 1))}, "1 to 12 cells"),
    ],
)
def test_tensor_blocks_refuse_what_nobody_could_read(tensors, message):
    with pytest.raises(ValueError, match=message):
        plots.tensor_blocks(tensors)


def branched():
    import keras

    first, second = keras.Input((3,), name="first"), keras.Input((3,), name="second")
    wide = keras.layers.Dense(4, name="wide")(second)
    joined = keras.layers.Concatenate(name="joined")([first, wide])
    return keras.Model(
        [first, second], keras.layers.Dense(2, name="end")(joined), name="branched"
    )


def test_a_models_graph_has_its_layers_shapes_and_arrows():
    fig = plots.model_graph(branched(), "Two inputs")
    boxes = [text.get_text().split("\n") for text in fig.axes[0].texts if text.get_text()]
    assert ["end", "(batch, 2)", "Dense", "16 parameters"] in boxes
    assert ["input first", "(batch, 3)"] in boxes
    assert len(boxes) == 5
    assert len([text for text in fig.axes[0].texts if not text.get_text()]) == 4, "four arrows"
    assert fig.alt.startswith("Two inputs. Graph of branched, 32 parameters: ")
    assert fig.alt.endswith(
        "input second to wide; input first and wide to joined; joined to end."
    )


def test_a_graph_flows_from_left_to_right():
    places = {
        t.get_text().split("\n")[0]: t.get_position()[0]
        for t in plots.model_graph(branched()).axes[0].texts
    }
    assert (
        places["input first"]
        == places["input second"]
        < places["wide"]
        < places["joined"]
        < places["end"]
    )


def test_a_sequential_model_has_a_graph_once_it_is_built():
    import keras

    model = keras.Sequential([keras.layers.Dense(2, name="only")], name="chain")
    with pytest.raises(ValueError, match="chain is not built"):
        plots.model_graph(model)
    model.build((None, 3))
    assert "to only." in plots.model_graph(model).alt


def test_a_layer_called_twice_cannot_be_drawn():
    import keras

    eye = keras.layers.Dense(2)
    left, right = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([left, right], keras.layers.Concatenate()([eye(left), eye(right)]))
    with pytest.raises(ValueError, match="more than once"):
        plots.model_graph(model)


def test_a_watched_value_is_marked_where_something_happened():
    values = [3.0, 2.0, 2.5, 2.6]
    fig = plots.watched(
        values,
        {"patience 1": {"cut": [3], "stop": [3]}, "patience 9": {"stop": []}},
        "loss",
        "Watch",
    )
    whole, until_stop, cut, stop = fig.axes[0].lines
    assert list(whole.get_ydata()) == values
    assert list(until_stop.get_ydata()) == values[:3], "black ends where the run stops"
    assert (list(cut.get_xdata()), list(cut.get_ydata())) == ([3], [2.5])
    assert stop.get_label() == "stop"
    assert list(fig.axes[1].lines[1].get_ydata()) == values
    assert fig.alt == (
        "Watch. loss over 4 epochs, from 3 to 2.6. patience 1: cut in epoch 3; patience 1: "
        "stop in epoch 3; patience 9: stop in epoch none."
    )


def test_a_watched_value_needs_panels_and_epochs_that_exist():
    with pytest.raises(ValueError, match="at least one"):
        plots.watched([1.0], {}, "loss")
    with pytest.raises(ValueError, match="epochs are 1 to 1"):
        plots.watched([1.0], {"a": {"cut": [2]}}, "loss")


def test_a_timeline_draws_each_piece_of_work_where_it_happened():
    work = {
        "alone": {"read": [(5.0, 5.1), (5.3, 5.4)], "train": [(5.1, 5.3)]},
        "ahead": {"read": [(9.0, 9.2)]},
    }
    fig = plots.timeline(work, "Who waits")
    alone, ahead = fig.axes
    bars = [
        (bar.get_x(), bar.get_width(), bar.get_y() + bar.get_height() / 2)
        for bar in alone.patches
    ]
    np.testing.assert_allclose(bars, [(0, 100, 0), (300, 100, 0), (100, 200, 1)], atol=1e-6)
    assert [text.get_text() for text in alone.texts] == ["1", "2", "1"]
    assert [text.get_text() for text in alone.get_yticklabels()] == ["read", "train"]
    np.testing.assert_allclose(
        [(bar.get_x(), bar.get_width()) for bar in ahead.patches], [(0, 200)], atol=1e-6
    )
    assert alone.get_xlim() == ahead.get_xlim(), "one scale, or lengths cannot be compared"
    assert alone.get_ylim()[0] > alone.get_ylim()[1], "the first row is on top"
    assert alone.patches[0].get_facecolor() != alone.patches[2].get_facecolor()
    assert fig.alt == (
        "Timeline. Who waits. alone: read 2 times, busy 0.20 of 0.40 s; alone: train 1 "
        "times, busy 0.20 of 0.40 s; ahead: read 1 times, busy 0.20 of 0.20 s."
    )


@pytest.mark.parametrize(
    "panels", [{}, {"a": {}}, {"a": {"read": []}}, {"a": {"read": [(1.0, 0.5)]}}]
)
def test_a_timeline_needs_work_that_ends_after_it_starts(panels):
    with pytest.raises(ValueError, match="end >= start"):
        plots.timeline(panels)
