"""Run single cells of a notebook's text, and of the others only those they need, found by the names they bind."""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import symtable
from collections.abc import Iterator
from pathlib import Path

import jupytext

from helpers.runtime import Course

TEXT = Path(__file__).resolve().parent.parent / "notebooks" / "text"


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
    """Return the cells before `last` that it needs, directly or through others, in order; never the setup cell."""
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
        "course": course or Course("quick", "CPU", 0, True, "float32"),
    }
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for place in [*needed_cells(cells, last), last]:
            exec(compile(cells[place], f"cell {place}", "exec"), namespace)
    return namespace, printed.getvalue()


def definitions(notebook: str, *names: str) -> dict:
    """Run a lesson's last definitions of these names, and return them beside the usual imports."""
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
