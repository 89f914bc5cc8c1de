"""One-file editions: each notebook as one .ipynb that runs on Colab and Kaggle, where nothing else of the course is.

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
import functools
import hashlib
import importlib.metadata
import json
import lzma
import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import helpers
from helpers.runtime import course_path

if TYPE_CHECKING:
    from nbformat import NotebookNode

PLATFORMS = ("colab", "kaggle")
COMPETITION = "tpu-getting-started"
LIMIT = 1_000_000  # bytes of one notebook that Kaggle takes
PACKAGE = Path(helpers.__file__).resolve().parent

# What a notebook or its exercises may call, and the files of data/ that it takes where there is
# nothing better.
DATA = {
    "flowers": ("make_flowers.py", "drawing.py"),
    "fashion": ("make_fashion.py",),
    "transfer_classifier": ("backbone.weights.h5",),
}
OFFLINE = (
    "# The full profile wants ImageNet weights. Without internet they must be attached as a "
    "data set, under the name\n# that Keras gives the file. Then, or with internet switched "
    "on, delete the next line to use the GPU to the full."
)
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form", "_kg_hide-input": True}
ADVICE = "In the course's folder run `make lab`, or `pip install .` (tf-vision-course)."
ADVICE_HERE = (
    "They stand in the folded cells at the top of this notebook: run all cells from the top."
)
BADGES = {
    "colab": ("Open in Colab", "https://colab.research.google.com/assets/colab-badge.svg"),
    "kaggle": ("Open in Kaggle", "https://kaggle.com/static/images/open-in-kaggle.svg"),
}


# ------------------------------------------------------------------------------------------------ what a notebook needs


def imported(source: str) -> set[str]:
    """Return the modules of `helpers` that some Python code imports, anywhere, as ``"helpers.data"``.

    Code inside strings counts: a lesson may write a program to a file, or hand it to another
    process.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {
                node.module or "",
                *(f"{node.module}.{alias.name}" for alias in node.names),
            }
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and "import" in node.value
        ):
            try:
                found |= imported(textwrap.dedent(node.value))
            except (SyntaxError, ValueError):
                continue  # words, not code
    return {name for name in found if name.partition(".")[0] == "helpers" and _file(name)}


def _file(module: str) -> Path | None:
    """Return the file of a module of `helpers`, or ``None`` if the name is something inside a module."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    return next(
        (file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()),
        None,
    )


@functools.cache
def _imported_by(module: str) -> frozenset[str]:
    return frozenset(imported(_file(module).read_text(encoding="utf-8")))


def modules_needed(codes: list[str]) -> list[str]:
    """Return the modules that a notebook's cells import, directly or through others, and their parents, sorted."""
    needed, waiting = set(), set().union(*map(imported, codes)) | {"helpers"}
    while waiting:
        name = waiting.pop()
        needed.add(name)
        parents = {name.rpartition(".")[0]} - {""}
        waiting |= (_imported_by(name) | parents) - needed
    return sorted(needed)


def data_needed(codes: list[str], modules: list[str]) -> list[str]:
    """Return the files of ``data/`` that a notebook may come to use, seen by what it and its exercises call."""
    called = set()
    own = [
        _file(name).read_text(encoding="utf-8")
        for name in modules
        if name.startswith("helpers.exercises.")
    ]
    for node in (node for source in [*codes, *own] for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            called.add(name)
            if name == "course_path":
                called |= {
                    argument.value
                    for argument in node.args
                    if isinstance(argument, ast.Constant)
                }
    named = {name for name, files in DATA.items() if name in called or called & set(files)}
    return (
        ["README.md", *(file for name in sorted(named) for file in DATA[name])] if named else []
    )


def wants_imagenet(codes: list[str]) -> bool:
    """Return whether a notebook may ask for ImageNet weights: for any backbone that is not plainly the bundled one."""
    calls = [
        node
        for code in codes
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call)
    ]
    built = [call for call in calls if getattr(call.func, "attr", "") == "transfer_classifier"]
    return any(
        not call.args or getattr(call.args[0], "value", "") != "bundled" for call in built
    )


def files_needed(codes: list[str]) -> dict[str, Path]:
    """Return every file that a notebook must carry, as name in the edition -> path, in the order of their cells."""
    modules = modules_needed(codes)
    sources = {name: _file(name) for name in modules}
    files = {
        str(path.relative_to(PACKAGE.parent).as_posix()): path for path in sources.values()
    }
    texts = [path.read_text(encoding="utf-8") for path in sources.values()]
    for path in sorted(
        PACKAGE.glob("*.json")
    ):  # what lies beside a module goes with the module that names it
        if any(path.name in text for text in texts):
            files[f"helpers/{path.name}"] = path
    return files | {
        f"data/{name}": course_path("data", name) for name in data_needed(codes, modules)
    }


def codes_of(book: NotebookNode) -> list[str]:
    """Return a notebook's code cells as plain Python: its magics become calls."""
    from IPython.core.inputtransformer2 import TransformerManager

    return [
        TransformerManager().transform_cell(cell.source)
        for cell in book.cells
        if cell.cell_type == "code"
    ]


# ---------------------------------------------------------------------------------------------------- making an edition


@functools.cache
def file_cell(name: str, path: Path) -> str:
    """Return the source of the cell that carries one file: its text, or base85 of it packed where it is no text."""
    content = path.read_bytes()
    head = (
        f"%%course_file {name} {helpers.__version__} "
        f"sha256:{hashlib.sha256(content).hexdigest()}"
    )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        packed = base64.b85encode(lzma.compress(content, preset=9)).decode("ascii")
        return "\n".join([f"{head} base85", *textwrap.wrap(packed, 120)])
    if not text.endswith("\n") or text.endswith("\n\n") or "\r" in text:
        raise ValueError(
            f"{path} must end with one line break, a Unix one, to come out of a cell as it "
            "went in."
        )
    return f"{head}\n{text[:-1]}"


def edition(
    path: Path, platform: str, repository: str = "", branch: str = "editions", weights: str = ""
) -> NotebookNode:
    """Return the one-file edition of a notebook.

    Parameters
    ---------- path : the notebook. Its outputs are left out. platform : ``"colab"`` or
    ``"kaggle"``. repository : ``owner/name`` on GitHub, whose `branch` holds what this module
    writes, for badges and for links from
        one notebook to another. Without it there are neither.
    branch : see `repository`. weights : ``owner/name`` of the data set on Kaggle with the
    ImageNet weights. Without it an edition for Kaggle that
        wants such weights stays in the quick profile, also with a GPU: it could not download
        them.

    Raises
    ------
    ValueError
        For an unknown platform, or a notebook larger than Kaggle takes.
    """
    import nbformat

    if platform not in PLATFORMS:
        raise ValueError(f"platform is {platform!r}; it takes one of {', '.join(PLATFORMS)}.")
    book = nbformat.read(path, as_version=4)
    codes = codes_of(book)
    files = files_needed(codes)
    lesson = []
    for cell in book.cells:
        cell = nbformat.from_dict(
            {key: value for key, value in cell.items() if key != "outputs"}
        )
        cell.id = f"lesson-{cell.id}"[:64]
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
            cell.source = cell.source.replace(ADVICE, ADVICE_HERE)
        else:
            cell.source = _links(cell.source, platform, repository, branch)
        lesson.append(cell)
    starter = Path(__file__).with_name("one_file_bootstrap.py").read_text(encoding="utf-8") + (
        f'\n\none_file = OneFile("{helpers.__version__}", count={len(files)})\n'
        'get_ipython().register_magic_function(one_file.course_file, "cell", "course_file")'
    )
    title = (
        f"Notebook {path.stem[:2]} in one file: the course's helpers {helpers.__version__}, "
        "folded"
    )
    words = [
        f"## {title}",
        *(
            [" ".join(_badge(kind, path.stem, repository, branch) for kind in PLATFORMS)]
            if repository
            else []
        ),
        f"Nothing needs to be installed: {len(files) + 2} folded cells hold what this "
        "notebook uses of the course. "
        "*Run all* runs them first. Unfold one to read it, or to change it and try.",
    ]
    last = "one_file.use()"
    if platform == "kaggle" and wants_imagenet(codes) and not weights:
        last = (
            f'import os\n\n{OFFLINE}\nos.environ.setdefault("COURSE_PROFILE", "quick")\n{last}'
        )
        words.append(
            "Without internet it runs in the quick profile. The last folded cell says how to "
            "change that."
        )
    front = [nbformat.v4.new_markdown_cell("\n\n".join(words), id="helpers")]
    for number, source in enumerate(
        [starter, *(file_cell(*item) for item in files.items()), last]
    ):
        front.append(
            nbformat.v4.new_code_cell(source, id=f"helpers-{number:02d}", metadata=dict(FOLDED))
        )
    front[0].metadata = nbformat.from_dict({"jp-MarkdownHeadingCollapsed": True})
    if platform == "colab":
        for cell in front:
            # Colab knows cells, and which sections are folded, by these.
            cell.metadata["id"] = cell.id
    book.cells = front + lesson
    book.metadata = nbformat.from_dict(_metadata(path.stem, platform))
    nbformat.validate(book)
    size = len(nbformat.writes(book).encode("utf-8"))
    if size >= LIMIT:
        raise ValueError(
            f"{path.name} has {size:,} bytes as one file; Kaggle takes less than {LIMIT:,}."
        )
    return book


def _metadata(name: str, platform: str) -> dict[str, Any]:
    common = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    if platform == "colab":
        colab = {
            "name": f"{name}.ipynb",
            "provenance": [],
            "gpuType": "T4",
            "collapsed_sections": ["helpers"],
        }
        return common | {"accelerator": "GPU", "colab": colab}
    return common | {
        "kaggle": {"accelerator": "gpu", "isGpuEnabled": True, "isInternetEnabled": False}
    }


def kernel_metadata(
    path: Path, owner: str, competition: bool, weights: str = ""
) -> dict[str, Any]:
    """Return what ``kaggle kernels push`` wants to know of a notebook.

    Parameters
    ---------- path : the notebook. owner : your name on Kaggle. competition : whether it reads
    the flowers, so that the competition's files are attached. Its rules must have been
        accepted on Kaggle once.
    weights : ``owner/name`` of a data set to attach; none if empty.
    """
    import nbformat

    heading = next(
        c.source for c in nbformat.read(path, as_version=4).cells if c.source.startswith("# ")
    )
    title = "TF vision " + " ".join(
        re.findall(r"\w+", heading.splitlines()[0].removeprefix("# "))
    )
    title = title if len(title) <= 50 else title[:50].rpartition(" ")[0]
    return {
        # Kaggle derives this part from the title: they must agree.
        "id": f"{owner}/{title.lower().replace(' ', '-')}",
        "title": title,
        "code_file": path.name,
        "language": "python",
        "kernel_type": "notebook",
        "is_private": True,
        "enable_gpu": True,
        "enable_tpu": False,
        "enable_internet": False,
        "dataset_sources": [weights] if weights else [],
        "competition_sources": [COMPETITION] if competition else [],
        "kernel_sources": [],
        "model_sources": [],
    }


# ----------------------------------------------------------------------------------------------------- badges and links


def edition_path(platform: str, name: str) -> str:
    """Return where an edition lies, relative to the folder that everything is written to."""
    return f"colab/{name}.ipynb" if platform == "colab" else f"kaggle/{name}/{name}.ipynb"


def address(platform: str, name: str, repository: str, branch: str) -> str:
    """Return the address that opens an edition on its platform, from the branch that holds the editions."""
    place = f"{repository}/blob/{branch}/{edition_path(platform, name)}"
    if platform == "colab":
        return f"https://colab.research.google.com/github/{place}"
    return f"https://kaggle.com/kernels/welcome?src=https://github.com/{place}"


def _badge(platform: str, name: str, repository: str, branch: str) -> str:
    words, image = BADGES[platform]
    return f"[![{words}]({image})]({address(platform, name, repository, branch)})"


def _links(source: str, platform: str, repository: str, branch: str) -> str:
    """Let links to other notebooks lead to their editions, or leave only their words: no other notebook is here."""

    def elsewhere(match: re.Match) -> str:
        return (
            f"[{match[1]}]({address(platform, match[2], repository, branch)})"
            if repository
            else match[1]
        )

    return re.sub(r"\[([^\]]+)\]\((\w+)\.ipynb\)", elsewhere, source)


def known_repository() -> str:
    """Return ``owner/name`` from the project's own ``Repository`` address if it is one on GitHub, else nothing."""
    try:
        urls = importlib.metadata.metadata("tf-vision-course").get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:
        return ""
    found = (
        re.fullmatch(r"Repository, https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", url)
        for url in urls
    )
    return next((match[1] for match in found if match), "")


# -------------------------------------------------------------------------------------------------------------- command


def export(
    out: Path,
    platforms: tuple[str, ...] = PLATFORMS,
    only: str = "",
    *,
    repository: str = "",
    branch: str = "editions",
    owner: str = "OWNER",
    weights: str = "",
) -> Iterator[Path]:
    """Write the editions below `out` and yield the path of each. ``ValueError`` if no notebook starts with `only`."""
    import nbformat

    notebooks = sorted(course_path("notebooks").glob(f"{only}*.ipynb"))
    if not notebooks:
        raise ValueError(f"No notebook starts with {only!r} in {course_path('notebooks')}.")
    for platform in platforms:
        if not only:  # so that no edition outlives its notebook
            shutil.rmtree(out / platform, ignore_errors=True)
        for path in notebooks:
            book = edition(path, platform, repository, branch, weights)
            target = out / edition_path(platform, path.stem)
            target.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(book, target)
            if platform == "kaggle":
                carried = {
                    cell.source.split()[1]
                    for cell in book.cells
                    if cell.source.startswith("%%course_file ")
                }
                attached = (
                    weights
                    if wants_imagenet(codes_of(nbformat.read(path, as_version=4)))
                    else ""
                )
                described = kernel_metadata(
                    path, owner, "data/make_flowers.py" in carried, attached
                )
                text = json.dumps(described, indent=2) + "\n"
                target.with_name("kernel-metadata.json").write_text(text, encoding="utf-8")
            yield target
    if repository:
        rows = [
            f"| {path.stem} | "
            f"{' '.join(_badge(platform, path.stem, repository, branch) for platform in PLATFORMS)} "
            "|"
            for path in sorted(course_path("notebooks").glob("*.ipynb"))
        ]
        (out / "README.md").write_text(
            "\n".join(["| notebook | open |", "|---|---|", *rows]) + "\n", encoding="utf-8"
        )


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
        default=known_repository(),
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
        default="",
        metavar="OWNER/NAME",
        help="data set on Kaggle with ImageNet weights, for notebook 10",
    )
    given = parser.parse_args(arguments)
    if wrong := set(given.platforms) - set(PLATFORMS):
        parser.error(f"{', '.join(sorted(wrong))}: choose from {', '.join(PLATFORMS)}")
    for option in ("repository", "weights"):
        if not re.fullmatch(r"([\w.-]+/[\w.-]+)?", getattr(given, option)):
            parser.error(
                f"--{option} is {getattr(given, option)!r}; it takes OWNER/NAME, as in the "
                "address there"
            )
    names = {
        name: getattr(given, name) for name in ("repository", "branch", "owner", "weights")
    }
    for path in export(given.out, tuple(given.platforms) or PLATFORMS, given.only, **names):
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
