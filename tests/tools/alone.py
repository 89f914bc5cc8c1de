"""Run one-file editions alone: a Python without the course, folders as on a platform."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from dataclasses import dataclass
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
LAYOUTS = (
    "competitions/tpu-getting-started",
    "tpu-getting-started",
    "datasets/somebody/petals",
)
# The drawn five among the 104: daisy, dandelion, rose, sunflower, tulip.
FLOWER_CLASSES = (48, 49, 73, 53, 102)

# Comes with every start of the Python that stands for a platform's.
PLATFORM = """
import os, sys
if os.environ.get("SIMULATED") == "colab":
    import google.colab
if os.environ.get("SIMULATED") == "kaggle":
    import socket

    HERE = (None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0")

    def no_internet(event, arguments):
        if event == "socket.getaddrinfo" and arguments[0] not in HERE:
            raise socket.gaierror(-3, f"Temporary failure in name resolution: {arguments[0]}")
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            if not arguments[1][0].startswith("127."):
                raise OSError(101, f"Network is unreachable: {arguments[1]}")

    sys.addaudithook(no_internet)
"""
RUN_ALL = """
import sys, nbformat
from nbclient import NotebookClient
book = nbformat.read(sys.argv[1], as_version=4)
here = {"metadata": {"path": "."}}
client = NotebookClient(book, timeout=None, kernel_name="python3", resources=here)
try:
    client.execute()
finally:
    nbformat.write(book, sys.argv[2])
"""


def python_without_course(folder: Path) -> Path:
    """Make an environment with all of the running one but the course; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    site = site_packages(python)
    for kind in ("purelib", "platlib"):
        for entry in Path(sysconfig.get_paths()[kind]).iterdir():
            course = entry.name == "helpers" or "tf_vision_course" in entry.name
            if (
                not course
                and not entry.name.startswith("a1_coverage")
                and not (site / entry.name).exists()
            ):
                (site / entry.name).symlink_to(entry)
    return prepared(python)


def site_packages(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    return Path(
        subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
    )


def prepared(python: Path) -> Path:
    """Let an environment without the course stand for a platform's; return its Python."""
    site = site_packages(python)
    (site / "simulated_platform.py").write_text(PLATFORM)
    (site / "simulated_platform.pth").write_text("import simulated_platform\n")
    kernel = python.parents[1] / "share" / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True, exist_ok=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "alone", "language": "python"})
    )
    found = subprocess.run(
        [python, "-I", "-c", "import helpers"], capture_output=True, text=True, check=False
    )
    assert "No module named 'helpers'" in found.stderr, (
        "the course can be imported where it should not be"
    )
    return python


def kaggle_files(folder: Path, listed: bool = False) -> None:
    """Write the drawn flowers as the competition has its own: five of 104 classes.

    With `listed`, a ``classes.json`` beside them says that there are only these five: the
    lessons before the capstone save, count and compare pictures of every class.
    """
    import tensorflow as tf

    bundled = ROOT / "data" / "flowers"
    shutil.copytree(bundled, folder, dirs_exist_ok=True)
    if listed:
        return
    (folder / "classes.json").unlink()
    for shard in [*folder.glob("*/train/*.tfrec"), *folder.glob("*/val/*.tfrec")]:
        records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
        with tf.io.TFRecordWriter(str(shard)) as writer:
            for example in map(tf.train.Example.FromString, records):
                label = example.features.feature["class"].int64_list.value
                label[0] = FLOWER_CLASSES[label[0]]
                writer.write(example.SerializeToString())


def fingerprint(folder: Path) -> dict[str, str]:
    """Return what is in a folder: name -> digest of the content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass
class Run:
    """A notebook that ran alone: its error, its executed copy, the folder it wrote to."""

    error: str
    book: nbformat.NotebookNode
    working: Path

    @property
    def printed(self) -> str:
        outputs = [output for cell in self.book.cells for output in cell.get("outputs", [])]
        return "".join(output.get("text", "") for output in outputs)


def run_alone(
    edition: Path,
    python: Path,
    platform: str,
    folder: Path,
    cache: Path,
    *path: Path,
    layout="",
    **files: bool,
) -> Run:
    """Copy an edition into an empty folder, as on a platform, and run all of it there.

    Parameters
    ----------
    edition : the one-file notebook.
    python : of an environment without the course.
    platform : ``"colab"`` or ``"kaggle"``.
    folder : empty, outside the checkout; stands for the root folder.
    cache : for what the notebook draws, kept from run to run.
    path : more folders on Python's path, where an unrelated package may lie.
    layout : where under ``/kaggle/input`` the competition's files are; none if empty.
    files : which of them, see `kaggle_files`.
    """
    working = folder / ("content" if platform == "colab" else "kaggle/working")
    temporary, home = folder / "tmp", folder / "home"
    for place in (working, temporary, home):
        place.mkdir(parents=True)
    settings = {
        "SIMULATED": platform,
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(cache),
    }
    path = list(map(str, path))
    if platform == "colab":
        package = folder / "dist-packages" / "google" / "colab"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        path.append(str(package.parents[1]))
    else:
        mount = folder / "kaggle" / "input"
        mount.mkdir()
        if layout:
            (mount / layout).mkdir(parents=True)
            kaggle_files(mount / layout, **files)
            for place in [*mount.rglob("*"), mount]:
                place.chmod(0o555 if place.is_dir() else 0o444)
            before = fingerprint(mount)
        settings |= {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}
        settings |= {"COURSE_KAGGLE_INPUT": str(mount), "COURSE_KAGGLE_WORKING": str(working)}
    settings |= {
        "PYTHONPATH": os.pathsep.join(path),
        "JUPYTER_PATH": str(python.parents[1] / "share" / "jupyter"),
    }
    settings |= {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    settings |= {"LANG": os.environ.get("LANG", "C.UTF-8"), "JUPYTER_PLATFORM_DIRS": "1"}
    alone, executed = working / edition.name, folder / "executed.ipynb"
    alone.write_bytes(edition.read_bytes())
    done = subprocess.run(
        [python, "-c", textwrap.dedent(RUN_ALL), alone.name, executed],
        cwd=working, env=settings, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if platform == "kaggle" and layout:
        for place in [
            mount,
            *mount.rglob("*"),
        ]:  # so that the test's folder can be cleared away
            place.chmod(0o755)
        assert fingerprint(mount) == before, "the notebook wrote to its input"
    assert executed.exists(), done.stderr
    return Run(
        done.stderr if done.returncode else "", nbformat.read(executed, as_version=4), working
    )
