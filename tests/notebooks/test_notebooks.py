"""Notebooks agree with their text, were executed, keep the house rules; nbval does the rest."""

import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

import tools.notebooks

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TEXTS = sorted((ROOT / "notebooks" / "text").glob("*.py"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def code_cells(path: Path) -> list:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def test_every_text_has_its_notebook_and_the_other_way_round():
    assert {p.stem for p in NOTEBOOKS} == {p.stem for p in TEXTS}
    assert NOTEBOOKS


@each
def test_notebook_is_valid_and_equals_its_text(path):
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    text = (path.parent / "text" / f"{path.stem}.py").read_text(encoding="utf-8")
    source = jupytext.reads(text, fmt="py:percent")
    assert [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in book.cells] == [
        (c.cell_type, c.source, c.metadata.get("tags", [])) for c in source.cells
    ], "run `make notebooks`"


@each
def test_building_again_changes_nothing(path):
    built = nbformat.read(path, as_version=4)
    again = tools.notebooks.updated(path.parent / "text" / f"{path.stem}.py")
    assert nbformat.writes(again) == nbformat.writes(built)


@each
def test_every_code_cell_was_executed_in_order_without_error(path):
    cells = [c for c in code_cells(path) if "skip-execution" not in c.metadata.get("tags", [])]
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        if "raises-exception" not in cell.metadata.get("tags", []):
            assert not [o for o in cell.outputs if o.output_type == "error"], cell.source
        assert not [o for o in cell.outputs if o.get("name") == "stderr"], cell.source


@each
def test_cells_are_short(path):
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= 25, cell.source


@pytest.mark.parametrize("text", TEXTS, ids=lambda p: p.stem)
def test_no_line_of_code_is_longer_than_96_characters(text):
    for cell in jupytext.read(text, fmt="py:percent").cells:
        if cell.cell_type == "code":
            for line in cell.source.splitlines():
                assert len(line) <= 96, line


def test_the_folder_of_notebooks_holds_nothing_else():
    listed = subprocess.run(
        ["git", "ls-files", "notebooks"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = {path.relative_to(ROOT).as_posix() for path in [*NOTEBOOKS, *TEXTS]}
    assert set(listed.stdout.split()) == expected


def test_the_setup_cell_is_the_same_everywhere():
    first = {code_cells(path)[0].source for path in NOTEBOOKS}
    assert len(first) == 1
    assert "start(seed=0)" in first.pop()


@each
def test_notebook_has_the_parts_a_learner_expects(path):
    prose = "\n".join(
        c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown"
    )
    for part in ("You will be able to", "**Needs**", "**Time**", "## Summary", "## References"):
        assert part in prose, part
    objectives = re.search(r"You will be able to\s*\n((?:\s*\n|\s*[-*\d].*\n)+)", prose)
    assert objectives
    assert 3 <= len(re.findall(r"^\s*(?:[-*]|\d+\.) ", objectives[1], re.M)) <= 5
    assert 3 <= len(re.findall(r"^### Exercise ", prose, re.M)) <= 5


@each
def test_every_figure_has_alt_text(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                alt = output.metadata.get("image/png", {}).get("alt")
                assert alt, f"a figure without alt text: {cell.source}"


SETUP_WITH_IMPOSTOR = """
import pathlib, sys
sys.path.insert(0, {impostor!r})
exec(pathlib.Path({cell!r}).read_text())
"""


def setup_cell_beside_an_impostor(tmp_path: Path, cwd: Path) -> subprocess.CompletedProcess:
    (tmp_path / "site" / "helpers").mkdir(parents=True)
    (tmp_path / "site" / "helpers" / "__init__.py").write_text("def unrelated(): pass\n")
    (tmp_path / "cell.py").write_text(code_cells(NOTEBOOKS[0])[0].source)
    code = SETUP_WITH_IMPOSTOR.format(
        impostor=str(tmp_path / "site"), cell=str(tmp_path / "cell.py")
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_an_impostor_is_named_and_the_way_out_shown(tmp_path):
    result = setup_cell_beside_an_impostor(tmp_path, cwd=tmp_path)
    assert result.returncode != 0
    assert "tf-vision-course" in result.stderr
    assert "pip install" in result.stderr


@pytest.mark.slow
def test_in_a_checkout_the_courses_own_helpers_win(tmp_path):
    result = setup_cell_beside_an_impostor(tmp_path, cwd=ROOT / "notebooks")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Ready: ")
