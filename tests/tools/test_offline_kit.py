"""The offline kit: what it fetches for other systems, and that it installs offline.

The kits of the default run are for a course with few requirements; the one marked `long` has
TensorFlow in it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from tools import offline_kit

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
HERE = f"{SYSTEM}-{sys.version_info[0]}.{sys.version_info[1]}"
PYTHON = Path(".venv", "Scripts/python.exe" if os.name == "nt" else "bin/python")
NO_PIP = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
# Whoever asks for an index meets a closed port, by whatever way.
CLOSED = "http://127.0.0.1:9"
OFFLINE = {
    **{
        name: value
        for name, value in NO_PIP.items()
        if name not in ("PYTHONPATH", "COURSE_PROFILE", "COURSE_DATA")
    },
    **dict.fromkeys(
        ("PIP_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), CLOSED
    ),
    "NO_PROXY": "",
    "no_proxy": "",
}


def without_network() -> list[str]:
    """Return the words before a command that leave it no network but loopback, if possible."""
    words = [
        "unshare",
        "--map-root-user",
        "--net",
        "sh",
        "-c",
        'ip link set lo up && exec "$0" "$@"',
    ]
    if (
        shutil.which("unshare")
        and not subprocess.run([*words, "true"], capture_output=True, check=False).returncode
    ):
        return words
    return []


def write_wheel(
    folder: Path, name: str, version: str, tag: str = "py3-none-any", requires=(), files=()
) -> None:
    """Write a wheel of the given files, (path, bytes) each, or of an empty module."""
    info = f"{name}-{version}.dist-info"
    metadata = [
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}",
        *(f"Requires-Dist: {r}" for r in requires),
    ]
    parts = dict(files or [(f"{name}.py", b"")])
    parts.setdefault(f"{info}/METADATA", "\n".join(metadata).encode())
    parts[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    parts[f"{info}/RECORD"] = "".join(
        f"{path},,\n" for path in [*parts, f"{info}/RECORD"]
    ).encode()
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        for path, content in parts.items():
            archive.writestr(path, content)


def wheel_of_installed(name: str, folder: Path, seen: set[str]) -> None:
    """Make wheels again of an installed package and all it requires here."""
    if name in seen:
        return
    seen.add(name)
    package = distribution(name)
    left_out = ("INSTALLER", "REQUESTED", "direct_url.json", "RECORD", "WHEEL")
    files = [
        f
        for f in package.files
        if ".." not in f.parts and f.suffix != ".pyc" and f.name not in left_out
    ]
    info = next(f.parts[0] for f in files if f.parts[0].endswith(".dist-info"))
    tags = [
        line[5:] for line in package.read_text("WHEEL").splitlines() if line.startswith("Tag: ")
    ]
    write_wheel(
        folder, *info.removesuffix(".dist-info").rsplit("-", 1), tag=tags[0],
        files=[(f.as_posix(), f.locate().read_bytes()) for f in files],
    )  # fmt: skip
    for requirement in map(Requirement, package.requires or []):
        if requirement.marker is None or requirement.marker.evaluate(
            {**default_environment(), "extra": ""}
        ):
            wheel_of_installed(requirement.name, folder, seen)


def small_course(
    folder: Path, dependencies: list[str], lab: list[str], lock: str | None = None
) -> Path:
    """Copy the course as a checkout of its own, with other requirements."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    project = (folder / "pyproject.toml").read_text(encoding="utf-8")
    before, rest = project.split("dependencies = [", 1)
    after = rest.split("\nlab = [", 1)[1].split("\n", 1)[1]
    changed = (
        f"dependencies = {dependencies}\n\n[project.optional-dependencies]\nlab = "
        f"{lab}\n{after}"
    )
    (folder / "pyproject.toml").write_text(before + changed, encoding="utf-8")
    if lock is not None:
        (folder / "requirements.lock").write_text(lock, encoding="utf-8")
    for words in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    (folder / "marks.csv").write_text("a file of the teacher's that git does not know\n")
    return folder


def only_from(monkeypatch, wheels: Path) -> None:
    """Let pip see the wheels of one folder and nothing else."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))


def install(kit: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*without_network(), sys.executable, kit / "install.py", *arguments],
        env={**OFFLINE, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def kit(tmp_path_factory) -> Path:
    """A kit of a course that requires tqdm only, with a Keras cache, for here and elsewhere."""
    folder = tmp_path_factory.mktemp("kit")
    (wheels := folder / "wheelhouse").mkdir()
    seen: set[str] = set()
    for name in ("hatchling", "editables", "tqdm"):
        wheel_of_installed(name, wheels, seen)
    if "colorama" not in seen:  # tqdm wants it on Windows
        write_wheel(wheels, "colorama", "0.4.6")
    course = small_course(folder / "checkout", ["tqdm>=4.66"], ["tqdm"])
    cache = folder / "cache"
    shutil.copytree(ROOT / "data" / "fashion", cache / "datasets" / "fashion-mnist")
    (cache / "models").mkdir()
    (
        cache / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    ).write_bytes(b"weights")
    (cache / "models" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5").write_bytes(
        b"not asked for"
    )
    with pytest.MonkeyPatch.context() as patch:
        only_from(patch, wheels)
        other = "windows-3.12" if not HERE.startswith("windows") else "linux-3.12"
        offline_kit.build([HERE, other], folder / "kit", course, cache)
    return folder / "kit"


def test_the_kit_installs_with_the_index_out_of_reach(kit, tmp_path):
    folder, home = tmp_path / "course", tmp_path / "keras"
    (home / "models").mkdir(parents=True)
    kept = (
        home / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    )
    kept.write_bytes(b"mine")
    result = install(kit, folder, "--no-check", KERAS_HOME=str(home))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Retrying" not in result.stderr, "pip must not even ask"
    assert f'cd "{folder}"\n  {PYTHON} -m jupyterlab notebooks' in result.stdout
    code = (
        "import helpers.runtime as r, tqdm; print(r.course_path('data', 'flowers')); "
        "print(tqdm.__file__)"
    )
    found = subprocess.run(
        [folder / PYTHON, "-c", code], cwd=tmp_path, env=OFFLINE, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert [Path(line).is_relative_to(folder) for line in found.stdout.split()] == [
        True,
        True,
    ], "the kit's own"
    assert not (folder / "marks.csv").exists(), "only what git tracks is handed out"
    if shutil.which("make"):
        assert (
            subprocess.run(
                ["make", "--question", ".venv/ready"], cwd=folder, check=False
            ).returncode
            == 0
        )
    assert kept.read_bytes() == b"mine"
    packed = home / "datasets" / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz"
    assert packed.read_bytes() == (ROOT / "data" / "fashion" / packed.name).read_bytes()
    assert len(list((home / "models").iterdir())) == 1

    # Once more, after a learner has worked and a file was lost: only the lost one is written.
    book = folder / "notebooks" / "01_tensor_basics.ipynb"
    book.write_text("my answers")
    (folder / "README.md").unlink()
    assert install(kit, folder, "--no-check", KERAS_HOME=str(home)).returncode == 0
    assert book.read_text() == "my answers"
    assert (folder / "README.md").read_bytes() == (kit / "course" / "README.md").read_bytes()


def test_a_damaged_file_is_named_before_anything_is_written(kit, tmp_path):
    broken = shutil.copytree(kit, tmp_path / "stick")
    for name in ("tqdm", "colorama"):
        wheel = next((broken / "wheels").glob(f"{name}-*"))
        wheel.write_bytes(wheel.read_bytes()[:-1] + b"!")
    (broken / "course" / "README.md").unlink()
    result = install(broken, tmp_path / "course")
    assert result.returncode != 0
    assert "wheels/tqdm-" in result.stderr
    assert "course/README.md" in result.stderr
    assert ("wheels/colorama-" in result.stderr) == HERE.startswith("windows"), (
        "a wheel that other machines need"
    )
    assert not (tmp_path / "course").exists()


def test_what_cannot_work_is_refused_with_a_reason(kit, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").touch()
    taken = install(kit, tmp_path / "thesis")
    assert taken.returncode != 0
    assert "not empty" in taken.stderr

    contents = json.loads((kit / "kit.json").read_text())
    for change, reason in (
        ({"beos-3.12": contents[HERE]}, f"This is {HERE}, and the kit is for beos-3.12"),
        ({HERE: {**contents[HERE], "bytes": 10**18}}, "GB are needed"),
    ):
        other = shutil.copytree(kit, tmp_path / reason[:4].strip())
        (other / "kit.json").write_text(json.dumps(change))
        result = install(other, tmp_path / "course")
        assert result.returncode != 0
        assert reason in result.stderr
        assert not (tmp_path / "course").exists()


def test_the_wheels_of_another_system_are_those_that_its_markers_ask_for(tmp_path, monkeypatch):
    (wheels := tmp_path / "wheelhouse").mkdir()
    for name in ("hatchling", "editables", "back"):
        write_wheel(wheels, name, "1.27")
    write_wheel(
        wheels,
        "front",
        "1.0",
        requires=["back", "terminal; os_name == 'nt'", "extra; extra == 'all'"],
    )
    write_wheel(wheels, "extra", "1.0", requires=["front[all]"])  # a ring
    write_wheel(wheels, "terminal", "1.0", tag="cp312-cp312-win_amd64")
    for tag in (
        "cp312-cp312-win_amd64",
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp312-cp312-macosx_11_0_arm64",
    ):
        write_wheel(wheels, "compiled", "1.0", tag=tag)
    write_wheel(wheels, "soup", "1.0")
    write_wheel(wheels, "soup", "2.0")
    lock = [
        "front==1.0",
        "back==1.27",
        "extra==1.0",
        "terminal==1.0",
        "compiled==1.0",
        "hatchling==1.27",
    ]
    lock += ["editables==1.27", "soup==1.0 ; python_full_version < '3.11.5'"]
    lock += ["soup==2.0 ; python_full_version >= '3.11.5'"]
    course = small_course(
        tmp_path / "checkout", ["compiled", "front"], ["front[all]", "soup"], "\n".join(lock)
    )
    only_from(monkeypatch, wheels)
    offline_kit.build(["windows-3.12", "linux-3.11", "macos-3.12"], tmp_path / "kit", course)
    contents = json.loads((tmp_path / "kit" / "kit.json").read_text())
    common = {
        "front-1.0",
        "back-1.27",
        "extra-1.0",
        "hatchling-1.27",
        "editables-1.27",
        "soup-2.0",
    }
    for target, more in {
        "windows-3.12": {
            "terminal-1.0-cp312-cp312-win_amd64.whl",
            "compiled-1.0-cp312-cp312-win_amd64.whl",
        },
        "linux-3.11": {
            "compiled-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
            "soup-1.0-py3-none-any.whl",
        },
        "macos-3.12": {"compiled-1.0-cp312-cp312-macosx_11_0_arm64.whl"},
    }.items():
        assert (
            set(contents[target]["wheels"])
            == {f"{name}-py3-none-any.whl" for name in common} | more
        )
    assert {path.name for path in (tmp_path / "kit" / "wheels").iterdir()} == {
        wheel for one in contents.values() for wheel in one["wheels"]
    }

    (course / "requirements.lock").write_text("\n".join(lock[1:]))
    with pytest.raises(SystemExit, match=r"no front for linux-3\.11"):
        offline_kit.build(["linux-3.11"], tmp_path / "other", course)
    assert not [path for path in tmp_path.iterdir() if "other" in path.name], (
        "nothing half done is left"
    )


def test_every_target_of_the_kit_is_a_python_that_the_project_supports():
    project = offline_kit.tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    supported = Requirement(f"python{project['requires-python']}").specifier
    assert all(f"{python}.0" in supported for python in offline_kit.PYTHONS)
    assert HERE in offline_kit.TARGETS


@pytest.mark.long
def test_the_real_kit_installs_and_runs_a_notebook_without_a_network(tmp_path):
    """With TensorFlow: fetched, copied, installed offline, notebook 02 run. About 1.5 GB."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "tqdm"]
    command += ["--dest", tmp_path / "probe"]
    probe = subprocess.run(command, capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("the package index cannot be reached, and the kit is made from it")
    began = time.monotonic()
    subprocess.run(
        ["make", "offline-kit", f"ARGS=--output {tmp_path / 'kit'}"], cwd=ROOT, check=True
    )
    made = time.monotonic()
    folder = tmp_path / "course"
    result = install(tmp_path / "kit", folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Ready: Python" in result.stdout
    installed = time.monotonic()
    run = subprocess.run(
        [*without_network(), folder / PYTHON, "-m", "tools.notebooks", "run", "02"],
        cwd=folder, env=OFFLINE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    size = sum(path.stat().st_size for path in (tmp_path / "kit").rglob("*") if path.is_file())
    print(
        f"kit {size / 1e9:.2f} GB, made in {made - began:.0f} s, installed in "
        f"{installed - made:.0f} s"
    )
