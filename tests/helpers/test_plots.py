"""helpers.plots: figures hold the data they were given and say it in their alt text."""

from base64 import b64decode
from itertools import pairwise

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
    assert "cnn, validation from 0.25 to 0.6, lowest 0.25, highest 0.6" in fig.alt
    assert fig.alt.startswith("Small CNN. loss against epoch: cnn, training from 1.5 to 0.7")


def test_learning_curves_without_validation_are_the_training_alone():
    runs = {"alone": {"loss": [2.0, 1.0]}, "both": HISTORY}
    (ax,) = plots.learning_curves(runs, ["loss"]).axes
    drawn = {line.get_label(): (line.get_linestyle(), line.get_color()) for line in ax.lines}
    first, second = plots.COLOURS[:2]
    assert drawn == {
        "alone, training": ("--", first),
        "both, training": ("--", second),
        "both, validation": ("-", second),
    }


def test_a_long_legend_leaves_the_title_free():
    runs = {f"run {k} with a long name": HISTORY for k in range(4)}
    fig = plots.learning_curves(runs, ["accuracy"], "The same network, four schedules")
    fig.draw_without_rendering()
    (legend,) = fig.legends
    (title,) = fig.texts
    assert not legend.get_window_extent().overlaps(title.get_window_extent())


def test_learning_curves_need_the_metric():
    with pytest.raises(KeyError, match="f1"):
        plots.learning_curves({"cnn": HISTORY}, metrics=["f1"])


def test_confusion_matrix_shows_counts_and_names_the_worst_mistake():
    matrix = np.array([[4, 1, 0], [3, 2, 0], [0, 0, 0]])
    fig = plots.confusion_matrix(matrix, ["a", "b", "c"])
    (ax,) = fig.axes
    written = [text.get_text() for text in ax.texts]
    assert written == ["4", "1", "0", "3", "2", "0", "0", "0", "0"]
    np.testing.assert_array_equal(ax.images[0].get_array(), matrix)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert "6 of 10 right" in fig.alt
    assert "b taken for a, 3 times" in fig.alt
    assert "mistake" not in plots.confusion_matrix(np.eye(2, dtype=int), ["a", "b"]).alt


def test_a_large_confusion_matrix_has_legible_names_and_no_counts():
    names = [f"kind of flower {number}" for number in range(104)]
    fig = plots.confusion_matrix(np.eye(104, dtype=int), names)
    fig.draw_without_rendering()
    (ax,) = fig.axes
    assert not ax.texts
    for labels, side in ((ax.get_xticklabels(), "x"), (ax.get_yticklabels(), "y")):
        boxes = [label.get_window_extent() for label in labels]
        for one, following in pairwise(boxes):
            assert not one.overlaps(following), f"names overlap along {side}"


def test_image_grid_shows_the_pixels_it_was_given():
    images = np.random.default_rng(0).uniform(-20, 300, (7, 4, 5, 3)).astype("float32")
    fig = plots.image_grid(images, [f"no. {i}" for i in range(7)], columns=3, title="Seven")
    assert len(fig.axes) == 9
    for ax, image in zip(fig.axes, images):
        np.testing.assert_array_equal(
            ax.images[0].get_array(), np.clip(np.round(image), 0, 255).astype("uint8")
        )
    assert [ax.get_title() for ax in fig.axes[:7]] == [f"no. {i}" for i in range(7)]
    assert fig.alt.startswith("Seven. Images, 7. no. 0. no. 1.")
    with pytest.raises(ValueError, match="give a batch"):
        plots.image_grid(images[0, 0])


def test_lines_are_drawn_from_the_values():
    fig = plots.lines(
        [0, 1, 2], {"rate": [0.0, 0.2, 0.1]}, "step", "learning rate", title="Warm-up"
    )
    assert list(fig.axes[0].lines[0].get_ydata()) == [0.0, 0.2, 0.1]
    assert (
        fig.alt
        == "Warm-up. learning rate against step: rate from 0 to 0.1, lowest 0, highest 0.2."
    )


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


def test_an_outline_is_exactly_around_the_pixels_of_the_box():
    images = np.zeros((2, 10, 12, 3), "uint8")
    fig = plots.image_grid(images, ["A", "B"])
    outline = plots.outline(fig.axes[1], (2, 3, 7, 12))
    assert not fig.axes[0].patches
    assert list(fig.axes[1].patches) == [outline]
    assert outline.get_bbox().bounds == (2.5, 1.5, 9, 5)
    assert fig.alt.endswith("B. B has a box around rows 2 to 6 and columns 3 to 11.")


def test_points_are_marks_upon_the_curves_without_a_line():
    fig = plots.lines(
        [1, 2, 3],
        {"fit": [0.0, 1.0, 2.0]},
        "epoch",
        "y",
        points={
            "measured": ([1, 2, 3], [1.0, 5.0, 2.0]),
            "stop": ([3], [2.0]),
            "cut": ([], []),
        },
    )
    fit, measured, stop, cut = fig.axes[0].lines
    assert list(fit.get_ydata()) == [0, 1, 2]
    assert measured.get_linestyle() == stop.get_linestyle() == "None"
    assert (list(stop.get_xdata()), list(stop.get_ydata())) == ([3], [2])
    assert measured.get_marker() != stop.get_marker() != cut.get_marker()
    assert "3 marks for measured, first at epoch [1]" in fig.alt
    assert "0 marks for cut, first at epoch []" in fig.alt
    labels = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert labels == ["fit", "measured", "stop", "cut"]


def test_curves_differ_in_colour_and_in_line():
    curves = {str(number): [number, number] for number in range(4)}
    drawn = plots.lines([0, 1], curves, "x", "y").axes[0].lines
    assert len({line.get_color() for line in drawn}) == 4
    assert len({line.get_linestyle() for line in drawn}) == 4


def test_lines_on_logarithmic_axes_mark_their_points():
    for log, scale in ((False, "linear"), (True, "log")):
        (ax,) = plots.lines([1, 10], {"a": [1, 100]}, "x", "y", log=log).axes
        assert (ax.get_xscale(), ax.get_yscale()) == (scale, scale)
    assert ax.lines[0].get_marker() == "o"


def test_tensor_blocks_write_every_value_under_its_name():
    stack = np.arange(12).reshape(2, 2, 3)
    tensors = {"number": np.float32(2.5), "row": np.array([1, -20000]), "stack": stack}
    fig = plots.tensor_blocks(tensors, title="Ranks")
    written = [text.get_text() for text in fig.axes[0].texts]
    assert written[:2] == ["number\n() float32", "2.5"]
    assert written[2:5] == ["row\n(2,) int64", "1", "-20000"]
    assert written[5:] == ["stack\n(2, 2, 3) int64", *map(str, range(12))]
    assert "row, (2,) int64: 1 -20000." in fig.alt
    assert fig.alt.endswith("0 1 2 / 3 4 5 /  / 6 7 8 / 9 10 11.")


def test_tensor_blocks_place_a_cell_by_its_row_and_column():
    ax = plots.tensor_blocks({"table": np.array([[0, 1], [2, 3]])}).axes[0]
    fig = ax.figure
    fig.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in ax.texts}
    assert boxes["1"].x0 > boxes["0"].x0
    assert boxes["1"].y0 == boxes["0"].y0 > boxes["2"].y0
    brightness = [sum(patch.get_facecolor()[:3]) for patch in ax.patches]
    assert brightness == sorted(brightness, reverse=True), "a larger value is darker"


def test_a_stack_of_tables_is_drawn_one_below_another():
    ax = plots.tensor_blocks({"stack": np.zeros((2, 2, 3))}).axes[0]
    assert [patch.get_y() for patch in ax.patches[::3]] == [0, 1, 3, 4]


def test_tensor_blocks_draw_ragged_rows_as_they_are():
    import tensorflow as tf

    fig = plots.tensor_blocks({"ragged": tf.ragged.constant([[4.0, 6.0], [5.0]])})
    assert [text.get_text() for text in fig.axes[0].texts[1:]] == ["4", "6", "5"]
    assert "ragged, (2, ragged) float32: 4 6 / 5" in fig.alt


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (13,), (13, 1, 1)])
def test_tensor_blocks_refuse_what_nobody_could_read(shape):
    with pytest.raises(ValueError, match="rank 0 to 3 and 12 cells"):
        plots.tensor_blocks({"a": np.zeros(shape)})


def branched():
    import keras

    first, second = keras.Input((3,), name="first"), keras.Input((3,), name="second")
    wide = keras.layers.Dense(4, name="wide")(second)
    joined = keras.layers.Concatenate(name="joined")([first, wide])
    return keras.Model(
        [first, second], keras.layers.Dense(2, name="end")(joined), name="branched"
    )


def residual():
    import keras

    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="a_layer_with_a_long_name")(image)
    for _ in range(6):
        y = keras.layers.Conv2D(4, 3, padding="same")(x)
        y = keras.layers.BatchNormalization()(y)
        x = keras.layers.Add()([x, y])
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def boxes_of(ax):
    """Return name of the layer -> its box in the drawn picture."""
    ax.figure.draw_without_rendering()
    boxes = {}
    for text in ax.texts:
        name = text.get_text().split("\n")[0]
        if name:
            assert name not in boxes, f"{name} has two boxes"
            boxes[name] = text.get_bbox_patch().get_window_extent()
    return boxes


def arrows_of(ax):
    """Return each arrow as the names of the layers whose boxes it joins."""
    name_of = {}
    for text in ax.texts:
        if text.get_text():
            name_of[text.get_bbox_patch()] = text.get_text().split("\n")[0]
    return [
        (name_of[text.arrow_patch.patchA], name_of[text.arrow_patch.patchB])
        for text in ax.texts
        if not text.get_text()
    ]


def test_a_models_graph_has_its_layers_shapes_and_arrows():
    fig = plots.model_graph(branched(), "Two inputs")
    (ax,) = fig.axes
    texts = [text.get_text().split("\n") for text in ax.texts]
    assert ["end", "(batch, 2)", "Dense", "16 parameters"] in texts
    assert ["first", "(batch, 3)", "InputLayer"] in texts
    assert len(boxes_of(ax)) == 5
    assert all(text.get_fontsize() >= 10 for text in ax.texts if text.get_text())
    assert sorted(arrows_of(ax)) == [
        ("first", "joined"),
        ("joined", "end"),
        ("second", "wide"),
        ("wide", "joined"),
    ]
    assert fig.alt.startswith("Two inputs. Graph of branched, 32 parameters. ")
    assert fig.alt.endswith("second to wide. first and wide to joined. joined to end.")


def test_every_connection_of_a_residual_model_is_one_arrow():
    model = residual()
    (ax,) = plots.model_graph(model).axes
    assert set(boxes_of(ax)) == {layer.name for layer in model.layers}
    arrows = arrows_of(ax)
    # One into each layer but the input, and a second one into each of the six additions.
    assert len(arrows) == len(set(arrows)) == len(model.layers) - 1 + 6
    assert ("a_layer_with_a_long_name", "add") in {
        (start, end.split("_")[0]) for start, end in arrows
    }


@pytest.mark.parametrize("make", [branched, residual])
def test_a_graph_flows_from_left_to_right(make):
    (ax,) = plots.model_graph(make()).axes
    boxes = boxes_of(ax)
    for start, end in arrows_of(ax):
        assert boxes[start].x1 < boxes[end].x0, f"{end} is not right of {start}"


@pytest.mark.parametrize("make", [branched, residual])
def test_the_boxes_of_a_graph_lie_in_the_picture_and_apart(make):
    (ax,) = plots.model_graph(make()).axes
    boxes = boxes_of(ax)
    for name, box in boxes.items():
        assert ax.bbox.x0 <= box.x0 < box.x1 <= ax.bbox.x1, name
        assert ax.bbox.y0 <= box.y0 < box.y1 <= ax.bbox.y1, name
        for other in boxes:
            assert other == name or not box.overlaps(boxes[other]), f"{name} lies on {other}"


@pytest.mark.parametrize("make", [branched, residual])
def test_no_arrow_of_a_graph_crosses_a_box_it_does_not_join(make):
    (ax,) = plots.model_graph(make()).axes
    boxes = boxes_of(ax)
    arrows = [text.arrow_patch for text in ax.texts if not text.get_text()]
    for (start, end), arrow in zip(arrows_of(ax), arrows, strict=True):
        path = arrow.get_transform().transform_path(arrow.get_path())
        for name in set(boxes) - {start, end}:
            assert not path.intersects_bbox(boxes[name], filled=False), (start, end, name)


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
