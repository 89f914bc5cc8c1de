"""One-file editions: each notebook as one .ipynb that runs on Colab and Kaggle on its own.

``python -m tools.one_file`` (also ``make colab kaggle``) writes ``dist/colab/NAME.ipynb``, and
for ``kaggle kernels push -p`` a folder ``dist/kaggle/NAME`` with the notebook and its
``kernel-metadata.json``. The lesson's cells stay as they are. Before them come folded cells
with the files that this notebook needs and no others: helpers as readable source, the scripts
that draw its data, the weights of the bundled backbone as text. :mod:`tools.one_file_bootstrap`
is the first of them, and brings the rest to where Python finds it.
"""

from __future__ import annotations

import argparse
import ast
import base64
import contextlib
import functools
import hashlib
import json
import lzma
import re
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import PythonExporter
from nbconvert.preprocessors import ClearOutputPreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from helpers import __version__

PLATFORMS = ("colab", "kaggle")
COMPETITION = "tpu-getting-started"
LIMIT = 1_000_000  # bytes of one notebook that Kaggle takes
ROOT = Path(__file__).resolve().parents[1]

# What a lesson or its exercises call, and the file of data/ it takes where nothing is better.
DATA = {
    "flowers": "make_flowers.py",
    "fashion": "make_fashion.py",
    "transfer_classifier": "backbone.weights.h5",
}
# A backbone that is not plainly the bundled one may ask for ImageNet weights.
WANTS_IMAGENET = re.compile(r'(?<!def )transfer_classifier\((?!\s*"bundled")')
OFFLINE = """import os

# The full profile wants ImageNet weights. Without internet they must be attached as a data
# set, under the name that Keras gives the file. Then, or with internet switched on, delete the
# next line to use the GPU to the full.
os.environ.setdefault("COURSE_PROFILE", "quick")
"""
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form", "_kg_hide-input": True}
ADVICE = "In the course's folder run `make lab`, or `pip install .` (tf-vision-course)."
ADVICE_HERE = (
    "They stand in the folded cells at the top of this notebook: run all cells from the top."
)
BADGES = {
    "colab": "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]",
    "kaggle": "[![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)]",
}
VIEWERS = {
    "colab": "https://colab.research.google.com/github/",
    "kaggle": "https://kaggle.com/kernels/welcome?src=https://github.com/",
}


@dataclass(frozen=True)
class Options:
    """Where the editions will lie, and what Kaggle attaches.

    Attributes
    ----------
    repository
        ``owner/name`` on GitHub, for badges and for links from one notebook to another. Without
        it there are neither.
    branch
        Which of its branches has the editions.
    owner
        Whose kernels they are on Kaggle.
    weights
        ``owner/name`` of the data set on Kaggle with the ImageNet weights. Without it an
        edition for Kaggle that wants them stays in the quick profile: it could not download
        them.
    """

    repository: str = ""
    branch: str = "editions"
    owner: str = "OWNER"
    weights: str = ""


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# What a notebook needs


def code_of(book: NotebookNode) -> str:
    """Return a notebook's code as plain Python: its magics become calls."""
    code, _ = PythonExporter().from_notebook_node(book)
    return code


def module_file(module: str) -> Path | None:
    """Return the file of a module of `helpers`, or ``None`` for any other name."""
    if module.partition(".")[0] != "helpers":
        return None
    path = ROOT.joinpath(*module.split("."))
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file():
            return file
    return None


def imported(source: str) -> set[str]:
    """Return the modules of `helpers` that Python code imports, anywhere in it.

    Code inside strings counts: a lesson may write a program to a file, or hand it to another
    process.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant):
            text = textwrap.dedent(str(node.value))
            if "import" in text:
                with contextlib.suppress(SyntaxError, ValueError):  # words, not code
                    found |= imported(text)
    return set(filter(module_file, found))


@functools.cache
def imported_by(module: str) -> set[str]:
    """Return the modules that a module of `helpers` imports, and the package it is in."""
    parent, _, _ = module.rpartition(".")
    found = imported(text_of(module_file(module)))
    return found | {parent} if parent else found


def modules_needed(code: str) -> list[str]:
    """Return the modules that code imports, directly or through others, sorted."""
    needed = set()
    waiting = imported(code) | {"helpers"}
    while waiting:
        module = waiting.pop()
        needed.add(module)
        waiting |= imported_by(module) - needed
    return sorted(needed)


def data_needed(code: str, modules: list[str]) -> list[Path]:
    """Return the files of ``data/`` that a notebook or its exercises may come to use."""
    exercises = [name for name in modules if name.startswith("helpers.exercises.")]
    sources = [text_of(module_file(name)) for name in exercises]
    text = "\n".join([code, *sources])
    found = []
    for function, name in DATA.items():
        is_called = re.search(rf"\b{function}\(", text)
        if is_called or name in text:
            found += with_siblings(ROOT / "data" / name)
    return [ROOT / "data" / "README.md", *found]


def with_siblings(path: Path) -> list[Path]:
    """Return a file and, if it is a script, those it imports from its own folder."""
    if path.suffix != ".py":
        return [path]
    names = re.findall(r"(?m)^from (\w+) import", text_of(path))
    siblings = [path.with_name(f"{name}.py") for name in names]
    return [path, *filter(Path.is_file, siblings)]


def files_needed(code: str) -> list[Path]:
    """Return every file that a notebook must carry, in the order of their cells."""
    modules = modules_needed(code)
    files = [module_file(module) for module in modules]
    sources = "\n".join(map(text_of, files))
    for path in sorted((ROOT / "helpers").rglob("*.json")):
        if path.name in sources:  # it goes with the module that names it
            files.append(path)
    return files + data_needed(code, modules)


# Making an edition


@functools.cache
def file_cell(path: Path) -> str:
    """Return the source of the cell that carries a file: its text, or base85 of its bytes."""
    content = path.read_bytes()
    name = path.relative_to(ROOT).as_posix()
    digest = hashlib.sha256(content).hexdigest()
    head = f"%%course_file {name} {__version__} sha256:{digest}"
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        packed = lzma.compress(content, preset=9)
        lines = textwrap.wrap(base64.b85encode(packed).decode("ascii"), 120)
        return "\n".join([f"{head} base85", *lines])
    source = text.removesuffix("\n")  # the cell's own end stands for it
    return f"{head}\n{source}"


def edition(path: Path, platform: str, options: Options) -> NotebookNode:
    """Return the one-file edition of a notebook for ``"colab"`` or ``"kaggle"``.

    Raises
    ------
    ValueError
        For a notebook larger than Kaggle takes.
    """
    book = nbformat.read(path, as_version=4)
    ClearOutputPreprocessor().preprocess(book, {})
    for cell in book.cells:
        cell.id = f"lesson-{cell.id}"[:64]
        if cell.cell_type == "code":
            cell.source = cell.source.replace(ADVICE, ADVICE_HERE)
        else:
            cell.source = with_links(cell.source, platform, options)
    front = front_cells(path.stem, code_of(book), platform, options)
    book.cells = [*front, *book.cells]
    book.metadata = nbformat.from_dict(notebook_metadata(path.stem, platform))
    nbformat.validate(book)
    size = len(nbformat.writes(book).encode("utf-8"))
    if size >= LIMIT:
        raise ValueError(
            f"{path.name} has {size:,} bytes as one file; Kaggle takes less than {LIMIT:,}."
        )
    return book


def front_cells(name: str, code: str, platform: str, options: Options) -> list[NotebookNode]:
    """Return the cells before the lesson: what this is, and the folded cells."""
    bootstrap = text_of(Path(__file__).with_name("one_file_bootstrap.py"))
    files = [file_cell(path) for path in files_needed(code)]
    first = f"""{bootstrap}

one_file = OneFile("{__version__}", count={len(files)})
get_ipython().register_magic_function(one_file.course_file, "cell", "course_file")"""
    last = "one_file.use()"
    words = [f"## Notebook {name[:2]} in one file: the course's helpers {__version__}, folded"]
    if options.repository:
        words.append(badges(name, options))
    words.append(
        f"Nothing needs to be installed: {len(files) + 2} folded cells hold what this notebook "
        "uses of the course. *Run all* runs them first. Unfold one to read it, or to change it "
        "and try."
    )
    wants_weights = WANTS_IMAGENET.search(code) and not options.weights
    if platform == "kaggle" and wants_weights:
        last = OFFLINE + last
        words.append(
            "Without internet it runs in the quick profile. The last folded cell says how to "
            "change that."
        )
    heading = new_markdown_cell("\n\n".join(words), id="helpers")
    heading.metadata["jp-MarkdownHeadingCollapsed"] = True
    cells = [heading]
    for number, source in enumerate([first, *files, last]):
        cell = new_code_cell(source, metadata=FOLDED)
        cell.id = f"helpers-{number:02d}"
        cells.append(cell)
    if platform == "colab":
        for cell in cells:
            cell.metadata["id"] = cell.id  # Colab knows cells, and what is folded, by these
    return cells


def notebook_metadata(name: str, platform: str) -> dict[str, Any]:
    """Return the metadata of an edition: it asks for a GPU."""
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    if platform == "colab":
        metadata["accelerator"] = "GPU"
        metadata["colab"] = {
            "name": f"{name}.ipynb",
            "provenance": [],
            "gpuType": "T4",
            "collapsed_sections": ["helpers"],
        }
    else:
        metadata["kaggle"] = {
            "accelerator": "gpu",
            "isGpuEnabled": True,
            "isInternetEnabled": False,
        }
    return metadata


def kernel_metadata(path: Path, options: Options) -> dict[str, Any]:
    """Return what ``kaggle kernels push`` wants to know of a notebook.

    Who reads flowers gets the competition's files attached: its rules must have been accepted
    on Kaggle once.
    """
    book = nbformat.read(path, as_version=4)
    code = code_of(book)
    text = "\n".join(cell.source for cell in book.cells)
    heading = re.search(r"(?m)^# (.+)$", text)[1]
    words = re.findall(r"\w+", f"TF vision {heading}")
    title = textwrap.shorten(" ".join(words), 50, placeholder="")
    drawer = ROOT / "data" / DATA["flowers"]
    reads_flowers = drawer in files_needed(code)
    wants_weights = options.weights and WANTS_IMAGENET.search(code)
    return {
        # Kaggle derives this part from the title: they must agree.
        "id": f"{options.owner}/{title.lower().replace(' ', '-')}",
        "title": title,
        "code_file": path.name,
        "language": "python",
        "kernel_type": "notebook",
        "is_private": True,
        "enable_gpu": True,
        "enable_tpu": False,
        "enable_internet": False,
        "dataset_sources": [options.weights] if wants_weights else [],
        "competition_sources": [COMPETITION] if reads_flowers else [],
        "kernel_sources": [],
        "model_sources": [],
    }


# Badges and links


def edition_path(platform: str, name: str) -> str:
    """Return where an edition lies, relative to the folder that everything is written to."""
    if platform == "kaggle":
        return f"kaggle/{name}/{name}.ipynb"
    return f"colab/{name}.ipynb"


def address(platform: str, name: str, options: Options) -> str:
    """Return the address that opens an edition on its platform, from the branch it lies on."""
    path = edition_path(platform, name)
    return f"{VIEWERS[platform]}{options.repository}/blob/{options.branch}/{path}"


def badges(name: str, options: Options) -> str:
    """Return the badges of a notebook, one for each platform."""
    links = []
    for platform, picture in BADGES.items():
        link = address(platform, name, options)
        links.append(f"{picture}({link})")
    return " ".join(links)


def with_links(source: str, platform: str, options: Options) -> str:
    """Let links to notebooks lead to their editions, or leave their words: none lies beside."""

    def elsewhere(link: re.Match) -> str:
        words, name = link.groups()
        if options.repository:
            return f"[{words}]({address(platform, name, options)})"
        return words

    return re.sub(r"\[([^\]]+)\]\((\w+)\.ipynb\)", elsewhere, source)


# The command


def export(
    out: Path,
    platforms: tuple[str, ...] = PLATFORMS,
    only: str = "",
    **options: str,
) -> Iterator[Path]:
    """Write the editions of notebooks whose names start with `only`; yield each one's path.

    Parameters
    ----------
    options
        See `Options`.
    """
    chosen = Options(**options)
    notebooks = sorted((ROOT / "notebooks").glob(f"{only}*.ipynb"))
    if not notebooks:
        raise SystemExit(f"No notebook starts with {only!r}; see {ROOT / 'notebooks'}.")
    for platform in platforms:
        if not only:  # so that no edition outlives its notebook
            shutil.rmtree(out / platform, ignore_errors=True)
        for path in notebooks:
            target = out / edition_path(platform, path.stem)
            target.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(edition(path, platform, chosen), target)
            if platform == "kaggle":
                described = kernel_metadata(path, chosen)
                text = json.dumps(described, indent=2)
                target.with_name("kernel-metadata.json").write_text(f"{text}\n", "utf-8")
            yield target
    if chosen.repository:
        write_table(out / "README.md", chosen)


def write_table(target: Path, options: Options) -> None:
    """Write a page with the badges of all notebooks."""
    rows = ["| notebook | open |", "|---|---|"]
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        links = badges(path.stem, options)
        rows.append(f"| {path.stem} | {links} |")
    text = "\n".join(rows)
    target.write_text(f"{text}\n", encoding="utf-8")


def owner_and_name(text: str) -> str:
    """Return an option's value if it is as in an address on GitHub or Kaggle."""
    if not re.fullmatch(r"([\w.-]+/[\w.-]+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not OWNER/NAME, as in the address there")
    return text


def main(arguments: list[str] | None = None) -> None:
    """Run ``python -m tools.one_file [colab] [kaggle]``."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.one_file",
        description="Write each notebook as one file for Colab and Kaggle.",
    )
    parser.add_argument("platforms", nargs="*", metavar="colab|kaggle", help="default: both")
    parser.add_argument(
        "--only",
        default="",
        metavar="NUMBER",
        help="a notebook's number or the start of its name",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("dist"), help="folder to write to (default dist)"
    )
    parser.add_argument(
        "--repository",
        type=owner_and_name,
        default="",
        metavar="OWNER/NAME",
        help="on GitHub; gives badges and links",
    )
    parser.add_argument(
        "--branch", default="editions", help="which has the content of --out (default editions)"
    )
    parser.add_argument(
        "--owner", default="OWNER", help="your name on Kaggle, for kernel-metadata.json"
    )
    parser.add_argument(
        "--weights",
        type=owner_and_name,
        default="",
        metavar="OWNER/NAME",
        help="data set on Kaggle with ImageNet weights, for notebook 10",
    )
    given = vars(parser.parse_args(arguments))
    platforms = given.pop("platforms") or PLATFORMS
    if not set(platforms) <= set(PLATFORMS):
        parser.error(f"{', '.join(platforms)}: choose from {', '.join(PLATFORMS)}")
    for path in export(given.pop("out"), platforms, **given):
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
