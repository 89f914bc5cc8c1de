"""Read lessons: run single cells and those they need, take definitions, look at outputs."""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import itertools
import json
import re
import symtable
from collections.abc import Iterator
from pathlib import Path

import jupytext

from helpers.runtime import Course

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
TEXT = NOTEBOOKS / "text"


def code_cells(notebook: str) -> list[str]:
    """Return the sources of a notebook's code cells, in order; the first is the setup cell."""
    book = jupytext.read(TEXT / f"{notebook}.py", fmt="py:percent")
    return [cell.source for cell in book.cells if cell.cell_type == "code"]


def tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    """Return a cell's scope and all scopes inside it."""
    yield table
    for child in table.get_children():
        yield from tables(child)


def names_bound(source: str) -> set[str]:
    """Return the names a cell binds."""
    symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    return {
        symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()
    }


def names_needed(source: str) -> set[str]:
    """Return the names a cell, or a function in it, reads from outside; builtins aside."""
    read = {
        symbol.get_name()
        for table in tables(symtable.symtable(source, "cell", "exec"))
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module")
    }
    return read - names_bound(source) - set(dir(builtins))


def needed_cells(cells: list[str], last: int) -> list[int]:
    """Return the cells before `last` that it needs, in order; never the setup cell."""
    needed, names = set(), names_needed(cells[last])
    for place in reversed(range(1, last)):
        bound = names_bound(cells[place])
        if bound & names:
            needed.add(place)
            names = names - bound | names_needed(cells[place])
    return sorted(needed)


def run_cells(cells: list[str], last: int, course: Course | None = None) -> tuple[dict, str]:
    """Run cell `last` and those it needs; return the names they left and what they printed."""
    import keras

    keras.utils.set_random_seed(0)
    namespace: dict = {
        "__name__": "lesson",
        "course": course or Course("quick", seed=0, deterministic=True),
    }
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for place in [*needed_cells(cells, last), last]:
            exec(compile(cells[place], f"cell {place}", "exec"), namespace)
    return namespace, printed.getvalue()


def definitions(notebook: str, *names: str) -> dict:
    """Run a lesson's last definitions of these names, with the usual imports around them."""
    import keras
    import numpy
    import tensorflow
    from keras import ops

    (path,) = TEXT.glob(f"{notebook}_*.py")
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in names:
            found[node.name] = node
    assert set(found) == set(names), f"{path.name} no longer defines {set(names) - set(found)}"
    scope = {"keras": keras, "np": numpy, "ops": ops, "tf": tensorflow}
    for name in names:
        code = compile(ast.Module([found[name]], []), str(path), "exec")
        exec(code, scope)
    return scope


def built(notebook: str) -> tuple[list[ast.stmt], list[dict]]:
    """Return the statements of a built notebook's code, and the outputs stored in it."""
    (path,) = NOTEBOOKS.glob(f"{notebook}_*.ipynb")
    book = json.loads(path.read_text(encoding="utf-8"))
    statements, outputs = [], []
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            statements += ast.parse("".join(cell["source"])).body
            outputs += cell["outputs"]
    return statements, outputs


def values(notebook: str, names: list[str], **scope) -> list:
    """Return what a built notebook binds to some names.

    Only these assignments and classes are run, in the notebook's order.
    """
    for node in built(notebook)[0]:
        bound = {getattr(node, "name", None), *map(ast.unparse, getattr(node, "targets", []))}
        if bound & set(names):
            exec(compile(ast.Module([node], []), notebook, "exec"), scope)
    return [scope[name] for name in names]


def mixed_labels(notebook: str) -> list[list[list[tuple[float, str]]]]:
    """Return, for each figure that shows labels, the weights and classes of each label."""
    share = r"\d\.\d{2,3} (?:daisy|dandelion|roses|sunflowers|tulips)"
    figures = []
    for output in built(notebook)[1]:
        alt = output.get("metadata", {}).get("image/png", {}).get("alt", "")
        labels = []
        for label in re.findall(rf"{share}(?: (?:\+ )?{share})*", alt):
            parts = [part.split() for part in re.findall(share, label)]
            labels.append([(float(weight), name) for weight, name in parts])
        if labels:
            figures.append(labels)
    return figures


def assert_labels_name_their_classes(figures: list) -> None:
    """A label names one class or two, each with its weight, and the weights add up to 1."""
    for label in itertools.chain(*figures):
        weights, names = zip(*label)
        assert len(set(names)) == len(names) <= 2, label
        assert abs(sum(weights) - 1) <= 0.0101, label


def augmented_parts(notebook: str) -> list[str]:
    """Return which parts of the data a built notebook augments."""
    random = {"augment", "random_crop", "random_flip"}
    parts = []
    for statement in built(notebook)[0]:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and random & {word.arg for word in node.keywords}:
                parts.append(ast.unparse(node.args[0]))
    return parts
