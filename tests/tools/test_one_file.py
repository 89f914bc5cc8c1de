"""One-file editions hold the package's own files, and run where nothing else of it is."""

import base64
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from alone import LAYOUTS, ROOT, prepared, python_without_course, run_alone
from PIL import Image

from helpers import __version__
from tools import one_file

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
FLOWERS = ("06", "07", "08", "10")  # the lessons that read them
BACKBONE = ("10", "11")  # the lessons that fine-tune the bundled network
EACH = [(platform, name) for platform in one_file.PLATFORMS for name in NAMES]
each = pytest.mark.parametrize(("platform", "name"), EACH, ids=lambda value: value)
pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="stands in for Linux machines, with symbolic links"
)


@pytest.fixture(scope="session")
def out(tmp_path_factory) -> Path:
    """A folder with every edition, for nobody's repository."""
    folder = tmp_path_factory.mktemp("dist")
    list(one_file.export(folder))
    return folder


@pytest.fixture(scope="session")
def python(tmp_path_factory) -> Path:
    return python_without_course(tmp_path_factory.mktemp("platform") / "python")


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def impostor(tmp_path) -> Path:
    """A folder with a package of the same name, as on the public index."""
    package = tmp_path / "site" / "helpers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("def unrelated(): pass\n")
    return package.parent


def edition(out: Path, platform: str, name: str) -> nbformat.NotebookNode:
    return nbformat.read(out / one_file.edition_path(platform, name), as_version=4)


def carried(book: nbformat.NotebookNode) -> dict[str, bytes]:
    """The files in an edition's cells, taken out and compared by other code than its own."""
    files = {}
    for cell in book.cells:
        if cell.source.startswith("%%course_file "):
            head, _, text = cell.source.partition("\n")
            _, name, version, digest, *coding = head.split()
            content = (
                lzma.decompress(base64.b85decode(text.replace("\n", "")))
                if coding
                else f"{text}\n".encode()
            )
            assert version == __version__
            assert digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
            files[name] = content
    return files


# What is inside


@each
def test_an_edition_holds_the_packages_own_files_byte_for_byte(out, platform, name):
    book = edition(out, platform, name)
    files = carried(book)
    for file, content in files.items():
        assert content == (ROOT / file).read_bytes(), file
    starter = next(cell.source for cell in book.cells if cell.cell_type == "code")
    assert starter.startswith(
        (ROOT / "tools" / "one_file_bootstrap.py").read_text(encoding="utf-8")
    )
    assert f'OneFile("{__version__}", count={len(files)})' in starter


@each
def test_helpers_are_readable_source_and_only_weights_are_packed(out, platform, name):
    packed = [
        cell.source.split()[1]
        for cell in edition(out, platform, name).cells
        if "base85\n" in cell.source[:200]
    ]
    assert packed == ["data/backbone.weights.h5"] * (name[:2] in BACKBONE)


def imports(text: str, module: str) -> bool:
    """Whether some code has an import statement that names a module."""
    package, _, name = module.rpartition(".")
    listed = rf"from {package} import (\([^)]*|[^(\n]*)\b{name}\b"
    statement = rf"(import {module}\b|from {module} import|{listed})"
    return re.search(rf"(?m)^\s*{statement}", text) is not None


@pytest.mark.parametrize("name", NAMES)
def test_an_edition_carries_what_its_notebook_needs_and_no_more(out, name):
    book = edition(out, "colab", name)
    files = carried(book)
    lesson = "\n".join(cell.source for cell in book.cells if cell.id.startswith("lesson-"))
    texts = {file: files[file].decode() for file in files if file.endswith(".py")}
    for path in (ROOT / "helpers").rglob("[a-z]*.py"):
        file = path.relative_to(ROOT).as_posix()
        module = file.removesuffix(".py").replace("/", ".")
        users = [lesson, *(text for other, text in texts.items() if other != file)]
        if "exercises" in file:  # nobody but a lesson, or exercises that continue others
            users = [lesson, *(texts[other] for other in texts if "exercises/ex" in other)]
        used = any(imports(text, module) for text in users)
        assert (file in files) == used, file
    assert ("data/make_flowers.py" in files) == (name[:2] in FLOWERS)
    assert ("data/drawing.py" in files) == (name[:2] in FLOWERS)
    assert ("data/backbone.weights.h5" in files) == (name[:2] in BACKBONE)
    assert not [file for file in files if file.startswith("tools/")]


def test_imports_are_found_wherever_they_are():
    code = """
from helpers import (
    cutmix,
    plots as p,
)
def later():
    import helpers.models
    from helpers.checking.engine import Exercise
program = '''
    from helpers.schedules import sample
'''
words = 'import helpers of all kinds'
import helpers_of_others, os
from other.helpers import data
from . import tfrecords
"""
    assert one_file.imported(code) == {
        "helpers",
        "helpers.cutmix",
        "helpers.plots",
        "helpers.models",
        "helpers.checking.engine",
        "helpers.schedules",
    }


def test_magics_are_no_obstacle_and_programs_in_them_count():
    book = nbformat.v4.new_notebook()
    sources = [
        "%matplotlib inline\n!ls\nfrom helpers import plots",
        "%%writefile worker.py\nfrom helpers import schedules\n",
    ]
    book.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    needed = one_file.modules_needed(one_file.code_of(book))
    assert {"helpers", "helpers.plots", "helpers.schedules"} <= set(needed)


@each
def test_the_lesson_is_left_as_it_is_but_for_outputs_links_and_one_advice(out, platform, name):
    book = edition(out, platform, name)
    source = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    lesson = book.cells[-len(source.cells) :]
    for ours, theirs in zip(lesson, source.cells, strict=True):
        assert ours.cell_type == theirs.cell_type
        assert ours.metadata == theirs.metadata
        wanted = theirs.source.replace(one_file.ADVICE, one_file.ADVICE_HERE)
        assert ours.source == re.sub(r"\[([^\]]+)\]\(\w+\.ipynb\)", r"\1", wanted)
    assert sum(one_file.ADVICE_HERE in cell.source for cell in lesson) == 1
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in book.cells)


@each
def test_an_edition_is_valid_small_and_folded(out, platform, name):
    path = out / one_file.edition_path(platform, name)
    assert path.stat().st_size < 1_000_000
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    assert len({cell.id for cell in book.cells}) == len(book.cells)
    front = book.cells[
        : next(i for i, cell in enumerate(book.cells) if cell.source.startswith("# "))
    ]
    assert __version__ in front[0].source
    for cell in front[1:]:
        assert cell.metadata.jupyter.source_hidden is True
        assert cell.metadata.cellView == "form"
        assert cell.metadata["_kg_hide-input"] is True


@pytest.mark.parametrize("name", NAMES)
def test_colab_is_told_the_gpu_and_kaggle_what_to_attach(out, name):
    colab = edition(out, "colab", name)
    assert colab.metadata.accelerator == "GPU"
    assert colab.metadata.colab.gpuType == "T4"
    assert colab.metadata.colab.collapsed_sections == [colab.cells[0].metadata.id]
    folder = out / "kaggle" / name
    kernel = json.loads((folder / "kernel-metadata.json").read_text(encoding="utf-8"))
    assert (folder / kernel["code_file"]).is_file()
    assert (kernel["enable_internet"], kernel["enable_gpu"]) == (False, True)
    assert (kernel["language"], kernel["kernel_type"]) == ("python", "notebook")
    assert kernel["competition_sources"] == ["tpu-getting-started"] * (name[:2] in FLOWERS)
    owner, _, slug = kernel["id"].partition("/")
    assert owner == "OWNER"
    assert slug == re.sub(r"[^a-z0-9]+", "-", kernel["title"].lower()), (
        "Kaggle derives the address from the title"
    )
    assert 5 <= len(kernel["title"]) <= 50
    assert edition(out, "kaggle", name).metadata.kaggle.isInternetEnabled is False


def test_without_weights_attached_the_capstone_stays_in_the_quick_profile_on_kaggle(
    out, tmp_path
):
    name = "10_flowers_finetuning"
    line = 'os.environ.setdefault("COURSE_PROFILE", "quick")'
    asked = {
        key: [c.source for c in edition(out, *key).cells if line in c.source] for key in EACH
    }
    assert [key for key, cells in asked.items() if cells] == [("kaggle", name)]
    list(one_file.export(tmp_path, ("kaggle",), "10", weights="somebody/weights"))
    assert not [c.source for c in edition(tmp_path, "kaggle", name).cells if line in c.source]
    kernel = json.loads(
        (tmp_path / "kaggle" / name / "kernel-metadata.json").read_text(encoding="utf-8")
    )
    assert kernel["dataset_sources"] == ["somebody/weights"]
    list(one_file.export(tmp_path, ("kaggle",), "09", weights="somebody/weights"))
    kernel = json.loads(
        (tmp_path / "kaggle" / "09_schedules" / "kernel-metadata.json").read_text(
            encoding="utf-8"
        )
    )
    assert kernel["dataset_sources"] == []


def test_no_two_kernels_share_an_address(out):
    kernels = [
        json.loads(path.read_text(encoding="utf-8"))["id"]
        for path in out.rglob("kernel-metadata.json")
    ]
    assert len(set(kernels)) == len(NAMES)


# Badges and links


def targets(text: str) -> list[tuple[str, str]]:
    """Every address in a text that leads to a platform, as (platform, path in the branch)."""
    found = re.findall(
        r"\((https://(colab|kaggle)\.[^)]*?/someone/vision/blob/editions/([^)]*))\)", text
    )
    for link, platform, _ in found:
        site = {
            "colab": "https://colab.research.google.com/github/someone",
            "kaggle": "https://kaggle.com/kernels/welcome?src=https://github.com/someone",
        }
        assert link.startswith(site[platform])
    return [(platform, path) for _, platform, path in found]


def test_every_badge_and_link_leads_to_an_edition_that_is_there(tmp_path):
    written = list(one_file.export(tmp_path, repository="someone/vision"))
    for path in written:
        cells = nbformat.read(path, as_version=4).cells
        badges = targets(cells[0].source)
        assert sorted(badges) == [
            (p, one_file.edition_path(p, path.stem)) for p in ("colab", "kaggle")
        ]
        for cell in cells:
            assert (
                cell.source.count(".ipynb)") == len(targets(cell.source))
                or cell.cell_type == "code"
            )
            for _, target in targets(cell.source):
                assert tmp_path / target in written
    table = targets((tmp_path / "README.md").read_text(encoding="utf-8"))
    assert sorted(tmp_path / target for _, target in table) == sorted(written)


def test_without_an_address_there_is_no_badge_and_no_dead_link(out):
    assert not (out / "README.md").exists()
    for platform, name in EACH:
        for cell in edition(out, platform, name).cells:
            if cell.cell_type == "markdown":
                assert "badge" not in cell.source
                assert ".ipynb)" not in cell.source


# Command


def test_the_command_writes_what_it_says(tmp_path, capsys):
    one_file.main(["kaggle", "--only", "01", "--out", str(tmp_path), "--owner", "me"])
    printed = capsys.readouterr().out.split()[0]
    assert Path(printed).is_file()
    assert json.loads(Path(printed).with_name("kernel-metadata.json").read_text())[
        "id"
    ].startswith("me/tf-vision-01")
    assert not (tmp_path / "colab").exists()


@pytest.mark.parametrize(
    "arguments", [["binder"], ["--repository", "https://github.com/a/b"], ["--weights", "a"]]
)
def test_the_command_explains_what_it_does_not_take(arguments, capsys):
    with pytest.raises(SystemExit):
        one_file.main(arguments)
    assert arguments[-1] in capsys.readouterr().err


def test_what_cannot_be_written_is_refused(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="No notebook starts with '99'"):
        list(one_file.export(tmp_path, only="99"))
    monkeypatch.setattr(one_file, "LIMIT", 100_000)
    with pytest.raises(ValueError, match="Kaggle takes less than 100,000"):
        list(one_file.export(tmp_path, only="01"))


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("platform", one_file.PLATFORMS)
def test_make_runs_the_command(platform):
    asked = ["make", "--dry-run", platform, "ONLY=10", "REPOSITORY=a/b", "OWNER=me"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.search(
        rf"-m tools\.one_file {platform} --only 10 --repository a/b\s+(\\\s+)?--owner me",
        done.stdout,
    )


# The cells that bring it in

SHELL = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for source in json.loads(sys.stdin.read()):
    result = shell.run_cell(source)
    if not result.success:
        sys.exit(1)
"""
WHERE = "import helpers; print('from', helpers.__file__, helpers.__version__)"


def in_a_shell(python, sources: list[str], tmp_path: Path, *path: Path) -> tuple[str, Path]:
    """Run cells in an IPython of their own; return what it printed, its temporary folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir(exist_ok=True)
    settings = {
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "HOME": str(tmp_path),
        "TMPDIR": str(temporary),
    }
    settings |= {
        "PATH": os.environ["PATH"],
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    done = subprocess.run(
        [python, "-c", SHELL],
        input=json.dumps(sources),
        cwd=tmp_path,
        env=settings,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr, temporary


def front(out: Path, name: str = "03_custom_dense_layer") -> list[str]:
    """The code cells of an edition that come before its lesson."""
    cells = edition(out, "colab", name).cells
    return [cell.source for cell in cells if cell.id.startswith("helpers-")]


def test_the_folded_cells_bring_the_helpers_in(out, python, tmp_path):
    child = (
        "import subprocess; print(subprocess.run([sys.executable, '-c', 'import "
        "helpers.runtime as r; print(r)']))"
    )
    printed, temporary = in_a_shell(python, [*front(out), WHERE, child], tmp_path)
    assert f"Helpers {__version__}: " in printed
    assert "checksums right" in printed
    assert "passed over" not in printed
    assert f"from {temporary.resolve()}/tf-vision-course-" in printed
    assert "returncode=0" in printed, "a process that the lesson starts finds them, too"
    assert not list(temporary.glob("tf-vision-course-*")), "the folder goes with the kernel"


@pytest.mark.parametrize("before", [[], ["import helpers; helpers.unrelated()"]])
def test_an_impostor_is_named_and_passed_over(out, python, tmp_path, impostor, before):
    printed, temporary = in_a_shell(python, [*before, *front(out), WHERE], tmp_path, impostor)
    assert (
        f"An unrelated package named helpers, at {impostor / 'helpers'}, is passed over"
        in printed
    )
    assert f"from {temporary.resolve()}/tf-vision-course-" in printed


def test_a_cell_that_was_changed_is_told_and_used(out, python, tmp_path):
    cells = front(out)
    place = next(
        i
        for i, source in enumerate(cells)
        if source.startswith("%%course_file helpers/runtime.py")
    )
    changed = [*cells]
    changed[place] += "\nprint('my own line')"
    printed, _ = in_a_shell(python, [*changed, "import helpers.runtime"], tmp_path)
    assert "Changed in this notebook: helpers/runtime.py" in printed
    assert "1 changed" in printed
    assert "my own line" in printed
    again, _ = in_a_shell(
        python, [*changed, cells[place], "one_file.use()", "import helpers.runtime"], tmp_path
    )
    assert "checksums right" in again, "the course's own text, run afterwards, counts again"
    assert "my own line" not in again


def test_cells_left_out_are_missed(out, python, tmp_path):
    cells = front(out)
    printed, _ = in_a_shell(python, [*cells[:2], cells[-1]], tmp_path)
    assert f"{len(cells) - 3} of this notebook's {len(cells) - 2} folded cells" in printed


def test_the_notebooks_own_files_come_before_an_installed_course(out, tmp_path):
    printed, temporary = in_a_shell(sys.executable, [*front(out), WHERE], tmp_path)
    assert f"from {temporary.resolve()}/tf-vision-course-" in printed
    assert "passed over" not in printed, "the course is no impostor of itself"


def test_a_lesson_run_without_the_folded_cells_says_what_to_do(out, python, tmp_path, impostor):
    cells = [
        cell
        for cell in edition(out, "colab", "03_custom_dense_layer").cells
        if cell.cell_type == "code"
    ]
    setup = next(cell.source for cell in cells if cell.id.startswith("lesson-"))
    printed, _ = in_a_shell(python, [setup], tmp_path, impostor)
    assert "run all cells from the top" in printed
    assert "make lab" not in printed


# The whole run


def check_capstone(run, image_count: int = 100) -> None:
    """Notebook 10 left a submission where it belongs, with every test image once."""
    folder = run.working / ("outputs" if run.working.name == "content" else "")
    lines = (folder / "submission.csv").read_text().splitlines()
    assert lines[0] == "id,label"
    assert len({line.split(",")[0] for line in lines[1:]}) == len(lines) - 1 == image_count
    assert json.loads((folder / "results.json").read_text())["macro_f1"] > 0.5


def go(out, platform, name, python, tmp_path, cache, *path, layout=LAYOUTS[0], **files):
    source, capstone = out / one_file.edition_path(platform, name), name[:2] == "10"
    layout = layout if platform == "kaggle" and name[:2] in FLOWERS else ""
    files["listed"] = not capstone
    run = run_alone(
        source, python, platform, tmp_path / "disk", cache, *path, layout=layout, **files
    )
    assert not run.error, run.error
    assert "checksums right" in run.printed
    if layout:
        assert (
            f"Kaggle flowers (kaggle in {tmp_path}/disk/kaggle/input/{layout})" in run.printed
        )
    if capstone:
        check_capstone(run)
    return run


@pytest.mark.slow
def test_the_capstone_runs_alone_on_kaggle(out, python, tmp_path, cache):
    run = go(out, "kaggle", "10_flowers_finetuning", python, tmp_path, cache)
    assert not (cache / "tf-vision-course").exists(), (
        "with the competition at hand nothing is drawn"
    )
    assert {path.name for path in run.working.iterdir()} >= {
        "submission.csv",
        "results.json",
        "flowers.keras",
    }


@pytest.mark.long
@each
def test_every_notebook_runs_alone(out, python, tmp_path, cache, platform, name):
    go(out, platform, name, python, tmp_path, cache)


@pytest.mark.long
@pytest.mark.parametrize("layout", LAYOUTS[1:])
def test_the_competition_is_found_however_it_is_attached(out, python, tmp_path, cache, layout):
    go(out, "kaggle", "10_flowers_finetuning", python, tmp_path, cache, layout=layout)


@pytest.mark.long
@pytest.mark.parametrize("platform", one_file.PLATFORMS)
def test_the_capstone_runs_beside_an_impostor(out, python, tmp_path, cache, impostor, platform):
    run = go(out, platform, "10_flowers_finetuning", python, tmp_path, cache, impostor)
    assert (
        f"An unrelated package named helpers, at {impostor / 'helpers'}, is passed over"
        in run.printed
    )


@pytest.mark.long
def test_what_is_drawn_on_the_spot_is_what_the_course_brings(out, python, tmp_path, cache):
    """Fashion byte for byte; flowers by their labels and, but for rounding, their pixels."""
    import tensorflow as tf

    # Draws both, if no test before has.
    go(out, "colab", "07_augmentation", python, tmp_path, cache)
    drawn = {
        path.name.partition("-")[0]: path for path in (cache / "tf-vision-course").iterdir()
    }
    for path in sorted((ROOT / "data" / "fashion").iterdir()):
        assert gzip.decompress((drawn["fashion"] / path.name).read_bytes()) == gzip.decompress(
            path.read_bytes()
        )
    for path in sorted((ROOT / "data" / "flowers").rglob("*.tfrec")):
        same = drawn["flowers"] / path.relative_to(ROOT / "data" / "flowers")
        pairs = zip(
            *(tf.data.TFRecordDataset(str(file)).as_numpy_iterator() for file in (path, same)),
            strict=True,
        )
        for pair in pairs:
            ours, theirs = (
                tf.train.Example.FromString(record).features.feature for record in pair
            )
            assert ours["class"] == theirs["class"]
            assert ours["id"] == theirs["id"]
            images = (
                Image.open(io.BytesIO(fields["image"].bytes_list.value[0]))
                for fields in (ours, theirs)
            )
            a, b = (np.asarray(image, np.float32) for image in images)
            assert np.abs(a - b).mean() < 1


# The platforms' own older versions


@pytest.fixture(scope="session")
def platform_python(tmp_path_factory) -> Path:
    """The packages that Colab has. `COURSE_PLATFORM_PYTHON` names a Python 3.12 or 3.13."""
    named = os.environ.get("COURSE_PLATFORM_PYTHON")
    base = named or shutil.which("python3.12") or shutil.which("python3.13")
    if not base or subprocess.run([base, "-c", "import venv"], check=False).returncode:
        pytest.skip("no Python 3.12 or 3.13 (name one in COURSE_PLATFORM_PYTHON)")
    folder = tmp_path_factory.mktemp("colab") / "python"
    subprocess.run([base, "-m", "venv", folder], check=True)
    install = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    done = subprocess.run(
        [*install, "--only-binary=:all:", "-r", ROOT / "tests" / "colab-requirements.txt"],
        capture_output=True,
        text=True,
        check=False,
    )
    if (
        done.returncode
        and "No matching distribution" not in done.stderr
        and "conflict" not in done.stderr
    ):
        pytest.skip(f"the packages cannot be fetched: {done.stderr[-300:]}")
    assert not done.returncode, done.stderr
    return prepared(folder / "bin" / "python")


@pytest.mark.long
@each
def test_every_notebook_runs_with_the_platforms_versions(
    out, platform_python, tmp_path, cache, platform, name
):
    run = go(out, platform, name, platform_python, tmp_path, cache)
    assert re.search(
        r"Python 3\.1[23]\.\d+, TensorFlow 2\.20\.\d+, Keras 3\.13\.\d+", run.printed
    )
