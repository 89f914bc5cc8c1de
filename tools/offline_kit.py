"""Put the course and its wheels into one folder, to be installed without a network.

python -m tools.offline_kit                                     for machines like this one
python -m tools.offline_kit windows-3.12 macos-3.12 linux-3.11  for these systems and Pythons
python -m tools.offline_kit --keras-cache ~/.keras              with the photographs and weights
                                                                of a Keras cache

`install.py` in the kit is offline_install.py of this folder.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.offline_install import room_for_folder, sha256, this_target

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# What markers in requirements ask about a system.
SYSTEMS = {
    "windows": {
        "sys_platform": "win32",
        "os_name": "nt",
        "platform_system": "Windows",
        "platform_machine": "AMD64",
    },
    "macos": {
        "sys_platform": "darwin",
        "os_name": "posix",
        "platform_system": "Darwin",
        "platform_machine": "arm64",
    },
    "linux": {
        "sys_platform": "linux",
        "os_name": "posix",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    },
}
# The tags of wheels that run on a system. One of Linux names the oldest C library that will do:
# TensorFlow asks for 2.27.
TAGS = {
    "windows": ["win_amd64"],
    "macos": ["macosx_12_0_arm64"],
    "linux": [
        "manylinux2014_x86_64",
        *(f"manylinux_2_{minor}_x86_64" for minor in range(17, 29)),
    ],
}
TARGETS = [f"{system}-{python}" for system in SYSTEMS for python in PYTHONS]
# Of a Keras cache: what the full profile reads without a network.
CACHED = (
    "datasets/flower_photos*/**/*",
    "datasets/fashion-mnist/*",
    "models/mobilenet_v2_*_0.35_224_no_top.h5",
)


# Which wheels


def environments(target: str) -> list[dict[str, str]]:
    """Return what markers see on a Python's first and last release: the lock may differ."""
    system, python = target.split("-")
    common = {
        **SYSTEMS[system],
        "python_version": python,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
    return [{**common, "python_full_version": f"{python}.{patch}"} for patch in (0, 99)]


def applying(
    lines: list[str],
    environment: dict[str, str],
    extra: str,
) -> list[Requirement]:
    """Return the requirements that count there, for a package asked for with an extra."""
    found = []
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        seen = {**environment, "extra": extra}
        if marker is None or marker.evaluate(seen):
            requirement.name = canonicalize_name(requirement.name)
            found.append(requirement)
    return found


def wanted(course: Path) -> list[str]:
    """Return what an installation of the course with its lab extra asks for."""
    text = (course / "pyproject.toml").read_text(encoding="utf-8")
    settings = tomllib.loads(text)
    project = settings["project"]
    return [
        *project["dependencies"],
        *project["optional-dependencies"]["lab"],
        *settings["build-system"]["requires"],
        "editables",  # hatchling asks for it when the install is editable
    ]


def fetch(course: Path, target: str, wheels: Path) -> None:
    """Fetch all that the course needs on a system and Python, in the versions of its lock.

    pip evaluates markers for the Python it runs on, whatever system it downloads for. So we
    walk from package to package ourselves: each wheel names what it requires.
    """
    lock = (course / "requirements.lock").read_text(encoding="utf-8").split("\n")
    for environment in environments(target):
        pins = {
            pin.name: str(pin.specifier).removeprefix("==")
            for pin in applying(list(filter(None, lock)), environment, "")
        }
        todo = applying(wanted(course), environment, "")
        followed = set()
        while todo:
            asked = {requirement.name for requirement in todo}
            if asked - pins.keys():
                unknown = ", ".join(sorted(asked - pins.keys()))
                raise SystemExit(f"requirements.lock has no {unknown} for {target}.")
            versions = {(name, pins[name]) for name in asked}
            missing = versions - requires(wheels).keys()
            download(missing, target, environment, wheels)
            lines = requires(wheels)
            packages = {
                (requirement.name, extra)
                for requirement in todo
                for extra in {"", *requirement.extras}
            }
            todo = []
            for name, extra in packages - followed:
                version = pins[name]
                todo += applying(lines[name, version], environment, extra)
            followed |= packages


def download(
    versions: set[tuple[str, str]],
    target: str,
    environment: dict[str, str],
    wheels: Path,
) -> None:
    """Let pip fetch wheels of exact versions for another system."""
    if not versions:
        return
    system, _ = target.split("-")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(wheels),
        "--python-version",
        environment["python_full_version"],
    ]
    for tag in TAGS[system]:
        command += ["--platform", tag]
    for name, version in sorted(versions):
        command.append(f"{name}=={version}")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"pip could not fetch the wheels for {target}:\n{result.stderr}")


def requires(wheels: Path) -> dict[tuple[str, str], list[str]]:
    """Return what each wheel in a folder requires, by name and version."""
    found = {}
    paths = [str(path) for path in wheels.glob("*.whl")]
    for wheel in distributions(path=paths):
        name = canonicalize_name(wheel.name)
        found[name, wheel.version] = wheel.requires or []
    return found


def describe(wheels: Path) -> dict:
    """Return what the installer must know: the wheels, bytes of disk, the longest path.

    Unpacked they take a fifth more than their files: pip compiles Python's, and disks count in
    blocks.
    """
    entries = []
    for wheel in wheels.iterdir():
        with zipfile.ZipFile(wheel) as archive:
            entries += archive.infolist()
    return {
        "wheels": sorted(wheel.name for wheel in wheels.iterdir()),
        "bytes": sum(entry.file_size for entry in entries) * 6 // 5,
        "longest": max(len(entry.filename) for entry in entries),
    }


# The kit


def copy_course(course: Path, into: Path) -> None:
    """Copy the files that git tracks, as they are now, and nothing that lies about besides."""
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=course, capture_output=True, text=True, check=False)
    if listed.returncode:
        raise SystemExit(
            f"{course} is no git checkout, so nobody can say which of its files are the "
            "course's."
        )
    for name in listed.stdout.split("\0"):
        if (course / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(course / name, into / name)


def pack_cache(cache: Path, tar: Path) -> None:
    """Put photographs and weights, where a Keras cache has them, into one archive."""
    files = set()
    for pattern in CACHED:
        files.update(filter(Path.is_file, cache.glob(pattern)))
    if not files:
        raise SystemExit(
            f"{cache} holds no photographs. COURSE_PROFILE=full COURSE_DOWNLOAD=1 make run "
            "ONLY=10 fetches them."
        )
    with tarfile.open(tar, "w") as archive:
        for path in sorted(files):
            archive.add(path, path.relative_to(cache), recursive=False)
    print(f"{tar.name}: {len(files)} files of {cache}")


def build(
    targets: list[str], kit: Path, course: Path = ROOT, cache: Path | None = None
) -> None:
    """Make the kit in a folder; an old one there is replaced when the new one is whole."""
    kit.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{kit.name}-", dir=kit.parent) as folder:
        made = Path(folder, "kit")
        (made / "wheels").mkdir(parents=True)
        copy_course(course, made / "course")
        installer = Path(__file__).with_name("offline_install.py")
        shutil.copyfile(installer, made / "install.py")
        contents = {}
        for target in targets:
            print(f"{target}: fetching wheels", flush=True)
            wheels = Path(folder, target)
            wheels.mkdir()
            fetch(course, target, wheels)
            contents[target] = describe(wheels)
            for wheel in wheels.iterdir():
                wheel.replace(made / "wheels" / wheel.name)
        if cache:
            pack_cache(cache.expanduser(), made / "keras-cache.tar")
        description = json.dumps(contents, indent=1)
        (made / "kit.json").write_text(description, encoding="utf-8")
        page = readme(contents, photographs=cache is not None)
        (made / "README.txt").write_text(page, encoding="utf-8")
        write_sums(made)
        shutil.rmtree(kit, ignore_errors=True)
        made.rename(kit)
    size = sum(path.stat().st_size for path in files_in(kit)) / 1e9
    print(f"{kit}: {size:.2f} GB. Copy it to a stick; learners run install.py in it.")


def files_in(folder: Path) -> list[Path]:
    return sorted(filter(Path.is_file, folder.rglob("*")))


def write_sums(kit: Path) -> None:
    """Write the checksums of a kit's files, as ``sha256sum -c`` reads them."""
    lines = []
    for path in files_in(kit):
        name = path.relative_to(kit).as_posix()
        lines.append(f"{sha256(path)}  {name}\n")
    (kit / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def readme(contents: dict, photographs: bool) -> str:
    """Return the kit's README.txt."""
    targets = ", ".join(target.replace("-", " with Python ") for target in contents)
    room = max(needs["bytes"] for needs in contents.values()) / 1e9
    path = min(map(room_for_folder, contents.values()))
    return f"""TensorFlow vision course: the offline kit

For {targets}. No network is needed. {room:.1f} GB must be free on the disk.

Install      Windows:       py install.py        (py -3.12 install.py, to choose a Python)
             macOS, Linux:  python3 install.py
             The course goes to the folder tf-vision-course in your home. To choose another:
             install.py FOLDER
             On Windows the folder's path may have {path} characters.
Start        the last lines of the installer say how.
Once more    running it again goes on where it stopped. It never overwrites a file of the
             course that is there.
{"Photographs  go to the Keras cache. COURSE_PROFILE=full uses them." if photographs else ""}
Check        SHA256SUMS: the installer does it. By hand: sha256sum -c SHA256SUMS
"""


def main() -> None:
    """Run ``python -m tools.offline_kit``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "targets",
        nargs="*",
        default=[this_target()],
        metavar="SYSTEM-PYTHON",
        help=", ".join(TARGETS),
    )
    parser.add_argument(
        "--keras-cache",
        type=Path,
        help="take photographs and weights from here, such as ~/.keras",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "dist" / "offline-kit",
        help="default: %(default)s",
    )
    given = parser.parse_args()
    wrong = set(given.targets) - set(TARGETS)
    if wrong:
        parser.error(f"{', '.join(sorted(wrong))}: it takes {', '.join(TARGETS)}")
    build(given.targets, given.output.resolve(), cache=given.keras_cache)


if __name__ == "__main__":
    main()
