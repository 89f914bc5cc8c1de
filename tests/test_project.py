"""The project's own promises: one set of pins, floors, style, packaging."""

import ast
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import requests
import yaml
from lab import lab
from packaging.requirements import Requirement
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FLOORS = [
    {"runtime", "checks", "seeding", "images"},
    {"augment", "cutmix", "plots", "schedules"}
    | {"tfrecords", "download", "folders"},
    {"data", "models", "training"},
    {"distributed", "checking"},
    {"widgets", "exercises"},
]


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


def test_modules_import_only_from_lower_floors():
    height = {name: floor for floor, names in enumerate(FLOORS) for name in names}
    for path in sorted((ROOT / "helpers").rglob("*.py")):
        module = path.relative_to(ROOT / "helpers").parts[0].removesuffix(".py")
        if module == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            imported = []
            if isinstance(node, ast.ImportFrom) and node.module == "helpers":
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "helpers."
            ):
                imported = [node.module.split(".")[1]]
            elif isinstance(node, ast.Import):
                imported = [
                    a.name.split(".")[1] for a in node.names if a.name.startswith("helpers.")
                ]
            for name in imported:
                same_package = name == module
                assert same_package or height[name] < height[module], (
                    f"{path.name} (floor {height[module]}) imports {name} (floor "
                    f"{height[name]})"
                )


def test_importing_a_module_has_no_side_effects_on_tensorflow():
    names = sorted(p.stem for p in (ROOT / "helpers").glob("*.py") if p.stem != "__init__")
    code = f"""
import importlib, random, numpy, sys
import helpers
assert "tensorflow" not in sys.modules
# Importing these moves Python's random state, which is not for us to judge.
import keras, tensorflow as tf
random.seed(1); numpy.random.seed(1); before = random.getstate(), numpy.random.get_state()[1].tolist()
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
        [sys.executable, "-m", "ruff", *command, "helpers", "tests", "benchmarks", "data", "notebooks"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, (
        f"{result.stdout}{result.stderr}\nmake format mends most of this"
    )


def test_a_plain_pip_install_carries_the_package_and_its_data(tmp_path):
    pytest.importorskip("hatchling")
    result = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", tmp_path, ROOT],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
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
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    module, data = json.loads(out.stdout)
    assert module.startswith(str(tmp_path))
    assert data.startswith(str(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="needs make")
def test_make_lab_serves_the_course():
    """`make lab` starts JupyterLab, the notebooks are listed, and they open whichever of text and notebook is newer."""
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
