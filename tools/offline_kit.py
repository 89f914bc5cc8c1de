"""Put the course, its wheels and photographs into one folder, to be installed from a stick without a network.

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
from pathlib import Path

from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from tools.offline_install import room_for_folder, sha256, this_target

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# What markers in requirements ask about a system, and the tags of the wheels that run on it. A
# tag of Linux names the oldest C library it runs with: TensorFlow asks for 2.27.
SYSTEMS = {
    "windows": (
        {
            "sys_platform": "win32",
            "os_name": "nt",
            "platform_system": "Windows",
            "platform_machine": "AMD64",
        },
        ["win_amd64"],
    ),
    "macos": (
        {
            "sys_platform": "darwin",
            "os_name": "posix",
            "platform_system": "Darwin",
            "platform_machine": "arm64",
        },
        ["macosx_12_0_arm64"],
    ),
    "linux": (
        {
            "sys_platform": "linux",
            "os_name": "posix",
            "platform_system": "Linux",
            "platform_machine": "x86_64",
        },
        ["manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(17, 29))],
    ),
}
TARGETS = [f"{system}-{python}" for system in SYSTEMS for python in PYTHONS]
# Of a Keras cache: what the full profile reads without a network. Weights of other backbones
# are left out.
CACHED = (
    "datasets/flower_photos*/**/*",
    "datasets/fashion-mnist/*",
    "models/mobilenet_v2_*_0.35_224_no_top.h5",
)


def environments(target: str) -> list[dict[str, str]]:
    """Return what markers see on the first and on the last release of a Python: the lock may tell them apart."""
    system, python = target.split("-")
    common = {
        **SYSTEMS[system][0],
        "python_version": python,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
    return [{**common, "python_full_version": f"{python}.{patch}"} for patch in (0, 99)]


def applies(requirement: Requirement, environment: dict[str, str], extras: set[str]) -> bool:
    """Whether a requirement counts there, for a package that was asked for with some extras."""
    marker = requirement.marker
    return marker is None or any(
        marker.evaluate({**environment, "extra": extra}) for extra in extras | {""}
    )


def download(pins: set[str], system: str, python: str, into: Path) -> None:
    """Let pip fetch wheels of exact versions for another system."""
    tags = [word for tag in SYSTEMS[system][1] for word in ("--platform", tag)]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ]
    command += [
        "--only-binary=:all:",
        "--python-version",
        python,
        *tags,
        "--dest",
        str(into),
        *sorted(pins),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(
            f"pip could not fetch the wheels for {system} and Python {python}:\n{result.stderr}"
        )


def fetch(course: Path, target: str, into: Path) -> None:
    """Fetch all that an installation of `course` with its lab extra needs, in the versions of its lock.

    pip evaluates markers for the Python it runs on, whatever system it downloads for. So we
    walk from package to package ourselves: the lock has the versions, each wheel names what it
    requires.
    """
    project = tomllib.loads((course / "pyproject.toml").read_text(encoding="utf-8"))
    lock = [
        line
        for line in (course / "requirements.lock").read_text(encoding="utf-8").splitlines()
        if line
    ]
    wanted = (
        project["project"]["dependencies"] + project["project"]["optional-dependencies"]["lab"]
    )
    # Hatchling asks for it when the install is editable.
    wanted += project["build-system"]["requires"] + ["editables"]
    for environment in environments(target):
        pinned = {
            canonicalize_name(pin.name): f"{canonicalize_name(pin.name)}{pin.specifier}"
            for pin in map(Requirement, lock)
            if applies(pin, environment, set())
        }
        todo = [one for one in map(Requirement, wanted) if applies(one, environment, set())]
        seen: dict[str, set[str]] = {}  # name -> the extras its requirements were followed for
        while todo:
            asked = {canonicalize_name(one.name) for one in todo}
            if unknown := asked - set(pinned):
                raise SystemExit(
                    f"requirements.lock has no {', '.join(sorted(unknown))} for {target}."
                )
            here = {f"{name}=={version}" for name, version in requirements(into)}
            if new := {pinned[name] for name in asked} - here:
                download(new, target.split("-")[0], environment["python_full_version"], into)
            required = requirements(into)
            followed, todo = todo, []
            for one in followed:
                name, version = (
                    canonicalize_name(one.name),
                    pinned[canonicalize_name(one.name)].split("==")[1],
                )
                if name in seen and one.extras <= seen[name]:
                    continue
                seen[name] = seen.get(name, set()) | one.extras
                todo += [
                    r for r in required[name, version] if applies(r, environment, seen[name])
                ]


def requirements(wheels: Path) -> dict[tuple[str, str], list[Requirement]]:
    """Return what each wheel in a folder requires: (name, version) -> requirements."""
    found = {}
    for wheel in wheels.glob("*.whl"):
        name, version, _, _ = parse_wheel_filename(wheel.name)
        with zipfile.ZipFile(wheel) as archive:
            path = next(
                path for path in archive.namelist() if path.endswith(".dist-info/METADATA")
            )
            metadata = Metadata.from_email(archive.read(path), validate=False)
        found[name, str(version)] = metadata.requires_dist or []
    return found


def copy_course(course: Path, into: Path) -> None:
    """Copy the files that git tracks, as they are now, and nothing that lies about besides."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=course, capture_output=True, check=False
    )
    if listed.returncode:
        raise SystemExit(
            f"{course} is no git checkout, so nobody can say which of its files are the "
            "course's."
        )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (course / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(course / name, into / name)


def pack_cache(cache: Path, tar: Path) -> None:
    """Put photographs, Fashion-MNIST and MobileNetV2's weights, where a Keras cache has them, into one archive."""
    files = sorted(
        {path for pattern in CACHED for path in cache.glob(pattern) if path.is_file()}
    )
    if not files:
        raise SystemExit(
            f"{cache} holds no photographs. COURSE_PROFILE=full COURSE_DOWNLOAD=1 make run "
            "ONLY=10 fetches them."
        )
    with tarfile.open(tar, "w") as archive:
        for path in files:
            archive.add(path, path.relative_to(cache), recursive=False)
    print(f"{tar.name}: {len(files)} files of {cache}")


def build(
    targets: list[str], kit: Path, course: Path = ROOT, cache: Path | None = None
) -> None:
    """Make the kit in a new folder `kit`; an old one there is replaced when the new one is whole."""
    kit.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{kit.name}-", dir=kit.parent))
    try:
        (made / "wheels").mkdir()
        copy_course(course, made / "course")
        shutil.copyfile(Path(__file__).with_name("offline_install.py"), made / "install.py")
        contents = {}
        for target in targets:
            with tempfile.TemporaryDirectory(dir=kit.parent) as staging:
                print(f"{target}: fetching wheels", flush=True)
                fetch(course, target, Path(staging))
                contents[target] = describe(Path(staging))
                for wheel in Path(staging).iterdir():
                    wheel.replace(made / "wheels" / wheel.name)
        if cache:
            pack_cache(cache.expanduser(), made / "keras-cache.tar")
        (made / "kit.json").write_text(json.dumps(contents, indent=1), encoding="utf-8")
        (made / "README.txt").write_text(readme(contents, cache is not None), encoding="utf-8")
        files = sorted(path for path in made.rglob("*") if path.is_file())
        sums = [f"{sha256(path)}  {path.relative_to(made).as_posix()}\n" for path in files]
        (made / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
        made.chmod(0o755)  # as mkdtemp makes it, nobody else may read it
        if kit.exists():
            shutil.rmtree(kit)
        made.rename(kit)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    size = sum(path.stat().st_size for path in kit.rglob("*") if path.is_file())
    print(
        f"{kit}: {size / 1e9:.2f} GB. Copy the folder to a stick; learners run install.py in "
        "it."
    )


def describe(wheels: Path) -> dict:
    """Return what the installer must know of the wheels for one target: names, bytes of disk, the longest path.

    Unpacked they take a fifth more than their files: pip compiles Python's, and disks count in
    blocks.
    """
    entries = []
    for wheel in wheels.iterdir():
        with zipfile.ZipFile(wheel) as archive:
            entries += [(entry.file_size, len(entry.filename)) for entry in archive.infolist()]
    names = sorted(wheel.name for wheel in wheels.iterdir())
    return {
        "wheels": names,
        "bytes": sum(e[0] for e in entries) * 6 // 5,
        "longest": max(e[1] for e in entries),
    }


def readme(contents: dict, photographs: bool) -> str:
    """Return the kit's README.txt."""
    pythons = ", ".join(
        f"{target.split('-')[0]} with Python {target.split('-')[1]}" for target in contents
    )
    room = max(one["bytes"] for one in contents.values()) / 1e9
    path = min(map(room_for_folder, contents.values()))
    return f"""TensorFlow vision course: the offline kit

For {pythons}. No network is needed. {room:.1f} GB must be free on the disk.

Install      Windows:       py install.py        (py -3.12 install.py, to choose a Python)
             macOS, Linux:  python3 install.py
             The course goes to the folder tf-vision-course in your home. To choose another: install.py FOLDER
             On Windows the folder's path may have {path} characters.
Start        the last lines of the installer say how.
Once more    running it again goes on where it stopped. It never overwrites a file of the course that is there.
{"Photographs  go to the Keras cache. Set COURSE_PROFILE=full to use them." if photographs else ""}
Check        SHA256SUMS: the installer does it. By hand: sha256sum -c SHA256SUMS
"""


if __name__ == "__main__":
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
    arguments = parser.parse_args()
    if wrong := [target for target in arguments.targets if target not in TARGETS]:
        parser.error(f"{', '.join(wrong)}: it takes {', '.join(TARGETS)}")
    build(arguments.targets, arguments.output.resolve(), cache=arguments.keras_cache)
