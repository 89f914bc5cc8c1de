"""Install the TensorFlow vision course from this folder, without a network: python install.py [FOLDER]

Needs nothing but Python. Running it again goes on where it stopped, and never overwrites a file
of the course.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

KIT = Path(__file__).resolve().parent
LIMIT = 259  # characters in a path, on a Windows that was not told to allow more
SITE_PACKAGES = "\\.venv\\Lib\\site-packages\\"
SYSTEMS = {"Windows": "windows", "Darwin": "macos", "Linux": "linux"}
MACHINES = {"windows": ("AMD64",), "macos": ("arm64",), "linux": ("x86_64",)}


def this_target():
    """Return the name of this system and Python, such as windows-3.12."""
    system = SYSTEMS.get(platform.system(), platform.system().lower())
    return f"{system}-{sys.version_info[0]}.{sys.version_info[1]}"


def check_machine(kit, target):
    """Stop if the kit has no wheels for this Python or this processor."""
    there = ", ".join(kit)
    if target not in kit:
        sys.exit(
            f"This is {target}, and the kit is for {there}. Run install.py with one of these "
            "Pythons, or ask for a kit "
            "that has yours."
        )
    system = target.split("-")[0]
    if platform.machine() not in MACHINES[system] or sys.maxsize < 2**32:
        sys.exit(
            f"This Python runs on {platform.machine()}, and the kit is for "
            f"{MACHINES[system][0]} of 64 bits. "
            "(An Intel Mac has no TensorFlow of this age: use Colab, or a hub.)"
        )


def long_paths_allowed():
    """Return whether Windows was told to allow paths of more than 259 characters."""
    import winreg

    try:
        with winreg.OpenKey(
            winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem"
        ) as key:
            return winreg.QueryValueEx(key, "LongPathsEnabled")[0] == 1
    except OSError:
        return False


def room_for_folder(needs):
    """Return how many characters the path of the course's folder may have on Windows."""
    return LIMIT - len(SITE_PACKAGES) - needs["longest"]


def check_folder(folder, needs):
    """Stop if the folder is somebody else's, its disk too full, or its path too long for Windows."""
    ours = set(os.listdir(str(KIT / "course"))) | {".venv"}
    if (
        folder.exists()
        and not (folder / "helpers" / "runtime.py").exists()
        and set(os.listdir(str(folder))) - ours
    ):
        sys.exit(
            f"{folder} is not empty and not the course. Name another one: python install.py "
            "FOLDER"
        )
    disk = next(parent for parent in [folder, *folder.parents] if parent.exists())
    free = shutil.disk_usage(disk).free
    if free < needs["bytes"] and not (folder / ".venv" / "ready").exists():
        sys.exit(
            f"{free / 1e9:.1f} GB are free at {disk}, and {needs['bytes'] / 1e9:.1f} GB are "
            "needed."
        )
    room = room_for_folder(needs)
    if os.name == "nt" and len(str(folder)) > room and not long_paths_allowed():
        sys.exit(
            f"Windows allows {room} characters here, and {folder} has more. Try: py "
            "install.py C:\\course"
        )


def sha256(path):
    """Return the checksum of a file's bytes."""
    digest = hashlib.sha256()
    with open(str(path), "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def check_sums(kit, target):
    """Stop if a file of the kit that this machine needs is missing or differs from what was packed."""
    others = {wheel for name in kit for wheel in kit[name]["wheels"]} - set(
        kit[target]["wheels"]
    )
    damaged = []
    for line in (KIT / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        expected, name = line.split("  ", 1)
        if name.startswith("wheels/") and name[7:] in others:
            continue
        try:
            whole = sha256(KIT / name) == expected
        except OSError:
            whole = False
        if not whole:
            damaged.append(name)
    if damaged:
        sys.exit(
            f"Damaged or missing, copy the kit to the stick again: {', '.join(damaged[:5])}"
        )


def write_if_missing(source, target):
    """Write an open file to a path, unless there is one; whole or not at all."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".part")
        with open(str(partial), "wb") as copy:
            shutil.copyfileobj(source, copy)
        partial.replace(target)


def make_environment(folder):
    """Create .venv in the folder and install from the wheels alone; return its Python."""
    python = folder / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / ".venv" / "ready").exists():
        if subprocess.call([sys.executable, "-m", "venv", str(folder / ".venv")]):
            sys.exit(
                "Python came without venv. On Debian or Ubuntu: apt install python3-venv, or "
                "use another Python."
            )
        # Settings of this machine, a company's index say, would send pip to the network.
        settings = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith("PIP_")
        }
        settings.update(
            PIP_CONFIG_FILE=os.devnull, PIP_NO_INDEX="1", PIP_DISABLE_PIP_VERSION_CHECK="1"
        )
        pip = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--find-links",
            str(KIT / "wheels"),
        ]
        pip += ["--constraint", "requirements.lock"]
        for what in (
            ["hatchling", "editables"],
            ["--no-build-isolation", "--editable", ".[lab]"],
        ):
            if subprocess.call(pip + what, cwd=str(folder), env=settings):
                sys.exit("pip could not install from the kit; its words are above.")
        (folder / ".venv" / "ready").touch()  # for make, which would set up again otherwise
    return python


def unpack_cache(tar):
    """Put photographs and weights into the Keras cache; files that are there stay."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    with tarfile.open(str(tar)) as archive:
        for member in archive:
            if member.isfile() and ".." not in Path(member.name).parts:
                write_if_missing(archive.extractfile(member), home / member.name)
    print(f"Photographs and weights are in {home}. COURSE_PROFILE=full uses them.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=str(Path.home() / "tf-vision-course"))
    parser.add_argument(
        "--no-check", action="store_true", help="do not start TensorFlow once at the end"
    )
    arguments = parser.parse_args()
    folder, target = Path(arguments.folder).absolute(), this_target()
    kit = json.loads((KIT / "kit.json").read_text(encoding="utf-8"))
    check_machine(kit, target)
    check_folder(folder, kit[target])
    print(f"Checking the kit, then installing into {folder}: a few minutes", flush=True)
    check_sums(kit, target)
    for path in (KIT / "course").rglob("*"):
        if path.is_file():
            with open(str(path), "rb") as source:
                write_if_missing(source, folder / path.relative_to(KIT / "course"))
    python = make_environment(folder)
    if (KIT / "keras-cache.tar").exists():
        unpack_cache(KIT / "keras-cache.tar")
    if not arguments.no_check:
        print("Starting TensorFlow for the first time, which is the slowest", flush=True)
        if subprocess.call(
            [str(python), "-c", "from helpers.runtime import start; start(seed=0)"],
            cwd=str(folder),
        ):
            sys.exit(
                "The course is installed and TensorFlow does not start; its words are above."
            )
    print(
        f'Installed. To open the course:\n  cd "{folder}"\n  {python.relative_to(folder)} -m '
        "jupyterlab notebooks"
    )


if __name__ == "__main__":
    main()
