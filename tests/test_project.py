"""The project's own promises: one set of pins, floors, style, packaging."""

import ast
import importlib.util
import io
import json
import re
import subprocess
import sys
import tokenize
import zipfile
from pathlib import Path

import pytest
import requests
import yaml
from lab import lab
from packaging.requirements import Requirement
from packaging.version import Version

import helpers

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HOUSE = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
FOLDERS = ("helpers", "tools", "tests", "benchmarks", "data", "notebooks")
SOURCES = sorted((ROOT / "helpers").rglob("*.py"))


def locked() -> list[Requirement]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pins(requirements: list[Requirement], **environment: str) -> dict[str, Version]:
    """The pinned version of each package on one Python and system."""
    environment = {"python_full_version": "3.12.1", "python_version": "3.12", **environment}
    return {
        r.name.lower().replace("_", "-"): Version(str(r.specifier).removeprefix("=="))
        for r in requirements
        if r.marker is None or r.marker.evaluate({**environment, "extra": ""})
    }


def test_every_line_of_the_lock_is_one_exact_version():
    for requirement in locked():
        assert re.fullmatch(r"==[\w.!+]+", str(requirement.specifier)), requirement
        assert requirement.url is None


@pytest.mark.parametrize("python", ["3.10.14", "3.11.9", "3.12.4", "3.13.1"])
def test_the_lock_satisfies_what_the_project_declares(python):
    environment = {
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
    }
    pinned = pins(locked(), **environment)
    declared = (
        PROJECT["dependencies"]
        + PROJECT["optional-dependencies"]["lab"]
        + PROJECT["optional-dependencies"]["test"]
    )
    for requirement in map(Requirement, declared):
        name = requirement.name.lower().replace("_", "-")
        assert name in pinned, f"{name} is declared but not locked for Python {python}"
        assert pinned[name] in requirement.specifier, (
            f"{name} {pinned[name]} is locked, {requirement.specifier} declared"
        )


def test_the_lock_names_each_package_once_for_each_environment():
    for python in ("3.10.14", "3.11.9", "3.12.4", "3.13.1"):
        environment = {
            "python_full_version": python,
            "python_version": ".".join(python.split(".")[:2]),
        }
        names = [
            r.name
            for r in locked()
            if r.marker is None or r.marker.evaluate({**environment, "extra": ""})
        ]
        assert len(names) == len(set(names))


def test_environment_yml_installs_the_locked_versions():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))[
        "dependencies"
    ]
    pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    assert pip == ["-c requirements.lock", "-e .[lab]"]
    python = next(entry for entry in conda if str(entry).startswith("python="))
    assert (
        Version(python.split("=")[1])
        in Requirement(f"python{PROJECT['requires-python']}").specifier
    )


def test_the_running_environment_is_the_locked_one():
    from importlib.metadata import version

    full, minor = (
        ".".join(map(str, sys.version_info[:3])),
        ".".join(map(str, sys.version_info[:2])),
    )
    pinned = pins(locked(), python_full_version=full, python_version=minor)
    assert Version(version("tensorflow")) == pinned["tensorflow"]
    assert Version(version("nbval")) == pinned["nbval"]


def test_set_up_is_a_no_op_when_nothing_changed():
    if not (ROOT / ".venv").is_dir():
        pytest.skip("not set up by make")
    assert (
        subprocess.run(["make", "--question", ".venv/ready"], cwd=ROOT, check=False).returncode
        == 0
    )


def floors() -> dict[str, int]:
    """Return the floor of each module of helpers, as the map draws it."""
    picture = HOUSE.split("## The floors", 1)[1].split("```")[1]
    found = {}
    for number, names in re.findall(r"(?m)^(\d)   ([\w ·]+?)(?:  .*)?$", picture):
        for name in names.split(" · "):
            found[name] = int(number)
    return found


def imported_modules(source: str) -> set[str]:
    """Return the modules of helpers that some source imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "helpers":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("helpers."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            found |= {name.split(".")[1] for name in names if name.startswith("helpers.")}
    return found


def test_every_module_stands_on_one_floor_of_the_map():
    modules = {path.stem for path in (ROOT / "helpers").glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in (ROOT / "helpers").glob("*/__init__.py")}
    assert set(floors()) == modules | packages


def test_modules_import_only_from_lower_floors():
    height = floors()
    for path in SOURCES:
        module = path.relative_to(ROOT / "helpers").parts[0].removesuffix(".py")
        if module == "__init__":
            continue
        for other in imported_modules(path.read_text(encoding="utf-8")) - {module}:
            assert height[other] < height[module], f"{path.name} imports {other}"


def test_the_tree_of_the_map_is_that_of_the_checkout():
    tree = HOUSE.split("## The tree", 1)[1].split("```")[1]
    drawn = set(re.findall(r"(?m)^([\w/]+)/ ", tree))
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tracked = {Path(name).parts[0] for name in listed.stdout.splitlines() if "/" in name}
    assert {name for name in drawn if "/" not in name} == {
        name for name in tracked if not name.startswith(".")
    }
    assert all((ROOT / name).is_dir() for name in drawn)


def size(source: str) -> tuple[int, int]:
    """Return the lines and the syntax nodes of a source, docstrings left out."""
    tree = ast.parse(source)
    nodes = len(list(ast.walk(tree)))
    docstrings = set()
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            docstrings |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
            nodes -= 2
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in blank | {tokenize.ENDMARKER}:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings), nodes


def test_the_helpers_stay_small_and_no_line_holds_two_thoughts():
    groups = {
        "helpers": [
            path for path in SOURCES if path.parent.name not in ("exercises", "checking")
        ],
        "checking": [path for path in SOURCES if path.parent.name == "checking"],
        "exercises": [path for path in SOURCES if path.parent.name == "exercises"],
        "tools": list((ROOT / "tools").rglob("*.py")),
    }
    for name, paths in groups.items():
        sizes = [size(path.read_text(encoding="utf-8")) for path in paths]
        lines = sum(line_count for line_count, _ in sizes)
        nodes = sum(node_count for _, node_count in sizes)
        assert nodes / lines <= 8, f"{name}: {nodes / lines:.2f} nodes a line"
        if name == "helpers":
            assert nodes <= 22_000, f"{nodes} nodes: what can go?"


STILL_DENSE = ("07", "10", "11")  # to be taken apart as the others were


@pytest.mark.parametrize(
    "text",
    [
        text
        for text in sorted((ROOT / "notebooks" / "text").glob("*.py"))
        if not text.name.startswith(STILL_DENSE)
    ],
    ids=lambda text: text.stem,
)
def test_no_line_of_a_lesson_holds_two_thoughts(text):
    lines, nodes = size(text.read_text(encoding="utf-8"))
    assert nodes / lines <= 9, f"{nodes / lines:.2f} nodes a line"


def test_one_version_is_told_everywhere():
    version = PROJECT["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert helpers.__version__ == citation["version"] == version
    assert f"version {version}," in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"## {version} (" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_workflows_run_commands_that_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        for module, only in re.findall(r"python -m (tools\.\w+) run (\d\d)", text):
            assert importlib.util.find_spec(module)
            assert list((ROOT / "notebooks").glob(f"{only}_*.ipynb"))
        for script in re.findall(r"run: bash (\S+)", text):
            assert (ROOT / script).is_file()
        for test in re.findall(r"--deselect \S+::(\w+)", text):
            assert test in globals()
    hook = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert hook["repos"][0]["hooks"][0]["entry"] == "make format"
    assert "\nformat:" in makefile


@pytest.mark.slow
def test_importing_a_module_has_no_side_effects_on_tensorflow():
    names = sorted(p.stem for p in (ROOT / "helpers").glob("*.py") if p.stem != "__init__")
    code = f"""
import importlib, random, numpy, sys
import helpers
assert "tensorflow" not in sys.modules
# Importing these moves Python's random state, which is not for us to judge.
import keras, tensorflow as tf
random.seed(1)
numpy.random.seed(1)
before = random.getstate(), numpy.random.get_state()[1].tolist()
for name in {names!r}:
    importlib.import_module("helpers." + name)
assert before == (random.getstate(), numpy.random.get_state()[1].tolist())
from tensorflow.python.eager import context
assert not context.context()._initialized, "importing a helper touched the devices"
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_style(command):
    result = subprocess.run(
        [sys.executable, "-m", "ruff", *command, *FOLDERS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, (
        f"{result.stdout}{result.stderr}\nmake format mends most of this"
    )


@pytest.mark.slow
def test_a_plain_pip_install_carries_the_package_and_its_data(tmp_path):
    pytest.importorskip("hatchling")
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "--quiet",
            "-w",
            tmp_path,
            ROOT,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    wheel = next(tmp_path.glob("tf_vision_course-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = """
import json
from helpers import runtime
print(json.dumps([runtime.__file__, str(runtime.course_path("data", "flowers"))]))
"""
    out = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.returncode == 0, out.stderr
    module, data = json.loads(out.stdout)
    assert module.startswith(str(tmp_path))
    assert data.startswith(str(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="needs make")
@pytest.mark.slow
def test_make_lab_serves_the_course():
    """The notebooks are listed, and open whichever of text and notebook is newer."""
    with lab(ROOT, ["make", "lab", "ARGS="]) as (url, token, _):
        folder = requests.get(f"{url}/api/contents/notebooks?token={token}", timeout=30).json()
        names = {entry["name"] for entry in folder["content"]}
        assert {path.name for path in (ROOT / "notebooks").glob("*.ipynb")} <= names
        opened = requests.get(
            f"{url}/api/contents/notebooks/10_flowers_finetuning.ipynb?token={token}",
            timeout=30,
        )
        assert opened.status_code == 200, opened.text
        assert opened.json()["type"] == "notebook"
