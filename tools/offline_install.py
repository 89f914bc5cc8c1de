"""Install the TensorFlow vision course from this folder: python install.py [FOLDER]

Needs nothing but Python, and no network. Running it again goes on where it stopped, and never
overwrites a file of the course.
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
MACHINES = {"windows": "AMD64", "macos": "arm64", "linux": "x86_64"}


def this_target():
    """Return the name of this system and Python, such as windows-3.12."""
    name = platform.system()
    system = SYSTEMS.get(name, name.lower())
    major, minor, *_ = platform.python_version_tuple()
    return f"{system}-{major}.{minor}"


def check_machine(kit, target):
    """Stop if the kit has no wheels for this Python or this processor."""
    if target not in kit:
        sys.exit(
            f"This is {target}, and the kit is for {', '.join(kit)}. Run install.py with one "
            "of these Pythons, or ask for a kit that has yours."
        )
    machine = MACHINES[target.split("-")[0]]
    if platform.machine() != machine or sys.maxsize < 2**32:
        sys.exit(
            f"This Python runs on {platform.machine()}, and the kit is for {machine} of 64 "
            "bits. (An Intel Mac has no TensorFlow of this age: use Colab, or a hub.)"
        )


def long_paths_allowed():
    """Return whether Windows was told to allow paths of more than 259 characters."""
    import winreg

    path = r"SYSTEM\CurrentControlSet\Control\FileSystem"
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
            return winreg.QueryValueEx(key, "LongPathsEnabled")[0] == 1
    except OSError:
        return False


def room_for_folder(needs):
    """Return how many characters the path of the course's folder may have on Windows."""
    return LIMIT - len(SITE_PACKAGES) - needs["longest"]


def check_folder(folder, needs):
    """Stop if a folder is somebody else's, its disk too full, or its path too long."""
    ours = {".venv", *os.listdir(KIT / "course")}
    there = set(os.listdir(folder)) if folder.exists() else set()
    is_course = (folder / "helpers" / "runtime.py").exists()
    if there - ours and not is_course:
        sys.exit(
            f"{folder} is not empty and not the course. Name another one: python install.py "
            "FOLDER"
        )
    disk = folder
    while not disk.exists():
        disk = disk.parent
    free = shutil.disk_usage(disk).free / 1e9
    needed = needs["bytes"] / 1e9
    if free < needed and not is_ready(folder):
        sys.exit(f"{free:.1f} GB are free at {disk}, and {needed:.1f} GB are needed.")
    if os.name == "nt" and not long_paths_allowed():
        check_path(folder, room_for_folder(needs))


def check_path(folder, room):
    """Stop if a folder's path is too long for Windows."""
    if len(str(folder)) > room:
        sys.exit(
            f"Windows allows {room} characters here, and {folder} has more. Try: py "
            "install.py C:\\course"
        )


def is_ready(folder):
    """Return whether the course's environment is whole; make asks for the same file."""
    return (folder / ".venv" / "ready").exists()


def sha256(path):
    """Return the checksum of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def check_sums(kit, target):
    """Stop if a file that this machine needs is missing or differs from what was packed."""
    needed = set(kit[target]["wheels"])
    damaged = []
    for line in (KIT / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        expected, name = line.split("  ", 1)
        path = KIT / name
        if path.parent.name == "wheels" and path.name not in needed:
            continue
        if not path.exists() or sha256(path) != expected:
            damaged.append(name)
    if damaged:
        sys.exit(
            f"Damaged or missing, copy the kit to the stick again: {', '.join(damaged[:5])}"
        )


def write_if_missing(source, target):
    """Write an open file to a path, unless there is one; whole or not at all."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    with open(partial, "wb") as copy:
        shutil.copyfileobj(source, copy)
    partial.replace(target)


def copy_course(folder):
    """Copy the files of the course that are not there yet."""
    course = KIT / "course"
    for path in course.rglob("*"):
        if path.is_file():
            with open(path, "rb") as source:
                write_if_missing(source, folder / path.relative_to(course))


def make_environment(folder):
    """Create .venv in the folder and install from the wheels alone; return its Python."""
    venv = folder / ".venv"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if is_ready(folder):
        return python
    if subprocess.call([sys.executable, "-m", "venv", str(venv)]):
        sys.exit(
            "Python came without venv. On Debian or Ubuntu: apt install python3-venv, or use "
            "another Python."
        )
    install(python, folder, "hatchling", "editables")
    install(python, folder, "--no-build-isolation", "--editable", ".[lab]")
    (venv / "ready").touch()
    return python


def install(python, folder, *what):
    """Let pip install from the kit's wheels alone."""
    # Settings of this machine, a company's index say, would send pip to the network.
    settings = dict(os.environ, PIP_CONFIG_FILE=os.devnull)
    command = [
        str(python),
        "-m",
        "pip",
        "--isolated",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-index",
        "--find-links",
        str(KIT / "wheels"),
        "--constraint",
        "requirements.lock",
        *what,
    ]
    if subprocess.call(command, cwd=str(folder), env=settings):
        sys.exit("pip could not install from the kit; its words are above.")


def unpack_cache(tar):
    """Put photographs and weights into the Keras cache; files that are there stay."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    with tarfile.open(tar) as archive:
        for member in archive:
            if member.isfile():
                write_if_missing(archive.extractfile(member), home / member.name)
    print(f"Photographs and weights are in {home}. COURSE_PROFILE=full uses them.")


def start_course(python, folder):
    """Start TensorFlow once, so that the first lesson need not wait for it."""
    print("Starting TensorFlow for the first time, which is the slowest", flush=True)
    code = "from helpers.runtime import start; start(seed=0)"
    if subprocess.call([str(python), "-c", code], cwd=str(folder)):
        sys.exit("The course is installed and TensorFlow does not start; its words are above.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=str(Path.home() / "tf-vision-course"))
    parser.add_argument(
        "--no-check", action="store_true", help="do not start TensorFlow once at the end"
    )
    arguments = parser.parse_args()
    folder = Path(arguments.folder).absolute()
    target = this_target()
    kit = json.loads((KIT / "kit.json").read_text(encoding="utf-8"))
    check_machine(kit, target)
    check_folder(folder, kit[target])
    print(f"Checking the kit, then installing into {folder}: a few minutes", flush=True)
    check_sums(kit, target)
    copy_course(folder)
    python = make_environment(folder)
    if (KIT / "keras-cache.tar").exists():
        unpack_cache(KIT / "keras-cache.tar")
    if not arguments.no_check:
        start_course(python, folder)
    print("Installed. To open the course:")
    print(f'  cd "{folder}"')
    print(f"  {python.relative_to(folder)} -m jupyterlab notebooks")


if __name__ == "__main__":
    main()
