"""The exercises of notebooks 08, 09 and 10: what their checks accept, and what they say to a wrong answer.

A check needs names that a training run left. Here they are given by hand, small and exact, so that nothing is trained.
"""

import ast
import contextlib
import io
import textwrap
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from lessons import code_cells

from helpers import schedules, training

MATRIX = np.array([[5, 2, 0], [1, 7, 1], [0, 3, 4]])
LABELS, GUESSES = (np.repeat(places, MATRIX.ravel()) for places in np.indices(MATRIX.shape).reshape(2, -1))


def compare(gains):
    """Return the table of notebook 08's experiment, for the given gain of CutMix in each run."""
    scores = {(seed, mixing): 0.5 + mixing * gain for seed, gain in enumerate(gains) for mixing in (False, True)}
    return training.ablation(
        lambda seed, mixing: scores[seed, mixing],
        base={"mixing": False},
        changes={"CutMix": {"mixing": True}},
        seeds=range(len(gains)),
    )


# What the checks read, beside the answer and the imports.
GIVEN = {
    ("08", 1): lambda: {"lam": 0.3117929697036743},
    ("08", 3): lambda: {"worst_label_error": lambda mix_batch: 0.39},
    ("08", 4): lambda: {"smooth": np.array([1.0, 0, 0]) * 0.9 + 0.1 / 3},
    ("08", 5): lambda: {"comparison": compare([-0.1, 0.02, 0.05])},
    ("09", 4): lambda: {"good": schedules.WarmupCosine(0.1, warmup_steps=32, decay_steps=128)},
    ("10", 1): lambda: {"shards": [Path(f"{k:02}-192x192-175.tfrec") for k in range(4)], "promised": 700},
    ("10", 2): lambda: {"wanted": {"VGG16": keras.applications.vgg16.preprocess_input}},
    ("10", 4): lambda: {
        "matrix": MATRIX,
        "score": SimpleNamespace(macro_f1=training.macro_f1(LABELS, GUESSES, 3)),
    },
}


def check(notebook, number, answer=None, **given):
    """Run a stub, then an answer in its place, then the check; return what the check prints."""
    (path,) = (Path(__file__).resolve().parent.parent / "notebooks" / "text").glob(f"{notebook}_*.py")
    cells = code_cells(path.stem)
    place = next(place for place, source in enumerate(cells) if f"Exercise {number}: not attempted yet" in source)
    names = {"__name__": "lesson"}
    for node in (node for source in cells[1:] for node in ast.parse(source).body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(compile(ast.Module([node], []), path.name, "exec"), names)
    names |= GIVEN.get((notebook, number), dict)() | given
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for source in (cells[place - 1], textwrap.dedent(answer or ""), cells[place]):
            exec(compile(source, path.name, "exec"), names)
    return printed.getvalue()


BOX = """
def box_at(lam, row, column, height, width):
    edges = []
    for centre, side in {order}:
        size = {size}
        start = centre - size // 2
        edges.append(({start}, {end}))
    return edges[0][0], edges[1][0], edges[0][1], edges[1][1]
"""
WHOLE = {
    "order": "((row, height), (column, width))",
    "size": "int(side * (1 - lam) ** 0.5)",
    "start": "max(start, 0)",
    "end": "min(start + size, side)",
}
MIX = """
def mix(label_a, label_b, box, height, width):
    top, left, bottom, right = box
    share = {share}
    return {mixed}
"""
AREA = "(bottom - top) * (right - left) / height / width"
TRIANGLE = """
class Triangle(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, max_lr, total_steps):
        self.max_lr, self.total_steps = max_lr, total_steps

    def __call__(self, step):
        step, half = tf.cast(step, tf.float32), self.total_steps / 2
        return {rate}

    def get_config(self):
        return {config}
"""
CONFIG = "dict(vars(self))"
VGG = """
def for_vgg16(images):
    {lines}
"""
THAW = """
def thaw(backbone, last):
    backbone.trainable = {whole}
    for place, layer in enumerate(backbone.layers):
        layer.trainable = {moves}
"""
TAIL = "place >= len(backbone.layers) - last"
STILL = "not isinstance(layer, keras.layers.BatchNormalization)"
F1 = """
def macro_f1(matrix):
    found, seen = np.diag(matrix), matrix.sum(0) + matrix.sum(1)
    return {value}
"""
CONCLUDE = """
def conclude(base, variant):
    gains = np.subtract(variant, base)
    error = gains.std(ddof=1) / len(gains) ** 0.5
    {lines}
"""

# Notebook, exercise, a right answer written unlike the helpers' own code.
RIGHT = [
    ("08", 1, BOX.format(**WHOLE)),
    ("08", 2, MIX.format(share=AREA, mixed="label_a + share * (label_b - label_a)")),
    ("08", 4, "smoothed = lambda label, strength: label + strength * (label.mean() - label)"),
    ("08", 5, "verdict = 'cannot tell'"),
    (
        "09",
        1,
        """
        def plan(images, batch_size, epochs, warmup_epochs):
            per_epoch = len(range(0, images, batch_size))
            return warmup_epochs * per_epoch, (epochs - warmup_epochs) * per_epoch
        """,
    ),
    ("09", 2, TRIANGLE.format(rate="self.max_lr * tf.nn.relu(1 - tf.abs(step / half - 1))", config=CONFIG)),
    ("09", 3, "never = (5,)"),
    ("09", 4, "written = 0.1 / 32"),
    (
        "10",
        1,
        "def count_from_names(names):\n"
        "    return sum(int(name.removesuffix('.tfrec').rpartition('-')[2]) for name in names)",
    ),
    ("10", 2, VGG.format(lines="return tf.reverse(images, [-1]) - [103.939, 116.779, 123.68]")),
    (
        "10",
        3,
        """
        def thaw(backbone, last):
            backbone.trainable = True
            for layer in backbone.layers[:-last]:
                layer.trainable = False
            for layer in backbone.layers[-last:]:
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.trainable = False
        """,
    ),
    ("10", 4, F1.format(value="float(np.mean([2 * f / s for f, s in zip(found, seen) if s]))")),
    (
        "10",
        5,
        CONCLUDE.format(
            lines="side = int(np.sign(gains.mean()) * (abs(gains.mean()) > 2 * error))\n"
            "    return ('cannot tell', 'better', 'worse')[side]"
        ),
    ),
]

# Notebook, exercise, a wrong answer as a learner gives it, words of the message that helps ("^$": it has none).
WRONG = [
    *[
        ("08", 1, BOX.format(**WHOLE | changed), helps)
        for changed, helps in [
            ({"size": "int(side * (1 - lam))"}, "half of each side"),
            ({"start": "start"}, "clip at the top left"),
            ({"order": "((row, width), (column, height))"}, "keep height and width apart"),
            ({"size": "max(1, int(side * (1 - lam) ** 0.5))"}, "an empty box"),
            ({"end": "min(centre + size // 2, side)"}, "loses the odd pixel"),
        ]
    ],
    *[
        ("08", 2, MIX.format(share=share, mixed=mixed), helps)
        for share, mixed, helps in [
            (AREA, "share * label_a + (1 - share) * label_b", "weights are swapped"),
            (f"max(0.01, {AREA})", "(1 - share) * label_a + share * label_b", "empty box changes nothing"),
            (f"min(0.9, {AREA})", "(1 - share) * label_a + share * label_b", "leaves only B"),
        ]
    ],
    (
        "08",
        4,
        "def smoothed(label, strength):\n"
        "    return np.where(label > 0, label * (1 - strength), strength / (len(label) - 1))",
        "not the others",
    ),
    (
        "08",
        4,
        "def smoothed(label, strength):\n"
        "    strength = strength or 0.1\n"
        "    return label * (1 - strength) + strength / len(label)",
        "strength 0",
    ),
    ("08", 5, "verdict = 'helps'", "mean change is -0.010"),
    ("08", 5, "verdict = 'hurts'", "mean change is -0.010"),
    ("09", 1, "plan = lambda n, size, epochs, up: (n // size * up, n // size * (epochs - up))", "round up"),
    ("09", 1, "plan = lambda n, size, epochs, up: (-(-n // size) * up, -(-n // size) * epochs)", "not all epochs|^$"),
    ("09", 1, "plan = lambda n, size, epochs, up: (-(-n // size), -(-n // size) * (epochs - 1))", "not all epochs"),
    *[
        ("09", 2, TRIANGLE.format(rate=rate, config=CONFIG), helps)
        for rate, helps in [
            ("self.max_lr * tf.nn.relu(1 - step / self.total_steps)", "peak is at half"),
            ("self.max_lr * tf.clip_by_value(2 - step / half, 0, 1)", "starts from zero"),
            ("self.max_lr * (1 - tf.abs(step / half - 1))", "negative rate"),
            ("self.max_lr * tf.abs(1 - tf.abs(step / half - 1))", "^$"),
        ]
    ],
    ("09", 3, "never = [0, 1, 2, 3, 4]", "go down on the ramp"),
    ("09", 3, "never = [4, 5]", "fourth number"),
    ("09", 4, "written = 0.0", "0 was used in step 0"),
    ("09", 4, "written = 2 * 0.1 / 32", "count is 1"),
    *[
        ("10", 1, "import re\ndef count_from_names(names):\n    return " + value, helps)
        for value, helps in [
            ("sum(int(re.findall('[0-9]{3}', name)[-1]) for name in names)", "the last number"),
            ("sum(int(name.split('-')[-1][:-6]) for name in names) or len(names) - 1", "no files promise"),
            ("sum(int(n) for name in names for n in re.findall('-([0-9]+)[.]', name))", "not a zero"),
        ]
    ],
    *[
        ("10", 2, VGG.format(lines="\n    ".join(lines)), helps)
        for lines, helps in [
            (("images -= [123.68, 116.779, 103.939]", "return images[..., ::-1]"), "changed its input"),
            (("return images - [123.68, 116.779, 103.939]",), "wrong order"),
            (("return images[..., ::-1] - [123.68, 116.779, 103.939]",), "belongs to one colour"),
            (("return images[..., ::-1] / 127.5 - 1",), "^$"),
        ]
    ],
    *[
        ("10", 3, THAW.format(whole=whole, moves=moves), helps)
        for whole, moves, helps in [
            (True, STILL, "early layers"),
            (True, TAIL, "statistics are the backbone's"),
            (True, f"place > len(backbone.layers) - last + 1 and {STILL}", "should learn"),
            (False, f"{TAIL} and {STILL}", "frozen as a whole"),
        ]
    ],
    *[
        ("10", 4, F1.format(value=value), helps)
        for value, helps in [
            ("found.sum() / matrix.sum()", "that is accuracy"),
            ("np.mean(2 * found / np.maximum(seen, 1))", "pull the mean down"),
            ("np.mean(2 * found[found > 0] / seen[found > 0])", "^$"),
        ]
    ],
    *[
        ("10", 5, CONCLUDE.format(lines="\n    ".join(lines)), helps)
        for lines, helps in [
            (
                (
                    "error = ((np.var(base, ddof=1) + np.var(variant, ddof=1)) / len(base)) ** 0.5",
                    "return 'better' if gains.mean() > 2 * error else 'cannot tell'",
                ),
                "pair the scores",
            ),
            (("return 'better' if gains.mean() > 2 * error else 'cannot tell'",), "a loss can be certain"),
            (
                ("return 'better' if gains.mean() > 0 else 'worse' if gains.mean() < 0 else 'cannot tell'",),
                "large, opposite differences",
            ),
            (
                ("return 'better' if min(gains) >= 0 < max(gains) else 'worse' if max(gains) < 0 else 'cannot tell'",),
                "twice the standard error",
            ),
        ]
    ],
]


@pytest.mark.parametrize(("notebook", "number", "answer"), RIGHT)
def test_a_right_answer_passes(notebook, number, answer):
    assert f"Exercise {number}: right" in check(notebook, number, answer)


@pytest.mark.parametrize(("notebook", "number"), [*(case[:2] for case in RIGHT), ("08", 3)])
def test_an_untouched_stub_is_not_attempted(notebook, number):
    said = check(notebook, number)
    assert f"Exercise {number}: not attempted yet" in said
    assert f"Exercise {number}: right" not in said


@pytest.mark.parametrize(("notebook", "number", "answer", "helps"), WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(notebook, number, answer, helps):
    with pytest.raises(AssertionError, match=helps):
        check(notebook, number, answer)


@pytest.mark.parametrize(
    ("letter", "helps"),
    [("B", "right"), ("A", "The partner's, as it should"), ("C", "add up to one"), ("b", "answer with one letter")],
)
def test_every_letter_of_the_fault_gets_its_own_answer(letter, helps):
    assert helps in check("08", 3, f"fault = {letter!r}")


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [([0.1, 0.12, 0.11], "helps"), ([-0.1, -0.12, -0.11], "hurts"), ([-0.1, 0.1, 0.0], "cannot tell")],
)
def test_the_table_decides_which_verdict_is_right(gains, verdict):
    for answer in ("helps", "hurts", "cannot tell"):
        if answer == verdict:
            assert "Exercise 5: right" in check("08", 5, f"verdict = {answer!r}", comparison=compare(gains))
        else:
            with pytest.raises(AssertionError, match="margin"):
                check("08", 5, f"verdict = {answer!r}", comparison=compare(gains))
