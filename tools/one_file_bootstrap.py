"""How a one-file edition finds the course's helpers: they stand in the folded cells below this one.

Run this cell, then the folded ones. Each holds one file of the course, to read and to change;
`%%course_file` checks it and writes it to a folder of this kernel's own, which Python searches
first. `tools.one_file` makes these notebooks.
"""

import atexit
import base64
import hashlib
import importlib.metadata
import importlib.util
import lzma
import os
import shutil
import sys
import tempfile
from pathlib import Path


class OneFile:
    """The course's files that a notebook carries in its own cells.

    Parameters
    ----------
    version : the version of the course that the files are from.
    count : how many files the notebook carries.
    """

    def __init__(self, version: str, count: int):
        self.version, self.count = version, count
        self.written: set[str] = set()
        self.edited: set[str] = set()
        found = (
            importlib.util.find_spec("helpers")
            if "helpers" not in sys.modules
            else sys.modules["helpers"].__spec__
        )
        places = list(found.submodule_search_locations or [found.origin or ""]) if found else []
        ours = bool(places) and (Path(places[0]) / "runtime.py").is_file()
        self.installed = ours and self._installed_version() == version
        self.stranger = "" if ours or not places else places[0]
        self.folder = Path(tempfile.mkdtemp(prefix="tf-vision-course-")).resolve()
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)

    @staticmethod
    def _installed_version() -> str:
        try:
            return importlib.metadata.version("tf-vision-course")
        except importlib.metadata.PackageNotFoundError:
            return ""

    def course_file(self, line: str, cell: str) -> None:
        """Take one file: the cell magic ``%%course_file NAME VERSION sha256:DIGEST [base85]``.

        A checksum that differs is told at the end and the cell is used as it stands: you may
        change the helpers here.
        """
        name, _, digest, *coding = line.split()
        content = (
            lzma.decompress(base64.b85decode("".join(cell.split())))
            if coding
            else cell.encode()
        )
        if f"sha256:{hashlib.sha256(content).hexdigest()}" == digest:
            self.edited.discard(name)
        else:
            self.edited.add(name)
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self.written.add(name)

    def use(self) -> None:
        """Put the files in front of every other package named `helpers`, and say in one line which ones act.

        Raises
        ------
        RuntimeError
            If folded cells were left out.
        """
        if len(self.written) < self.count:
            raise RuntimeError(
                f"{self.count - len(self.written)} of this notebook's {self.count} folded "
                "cells at the top have not "
                "run. Run all cells from the top."
            )
        if self.installed and not self.edited:
            print(
                f"Helpers {self.version}: the installed course, which is of the same version "
                "as this file."
            )
            return
        if self.stranger:
            print(
                f"An unrelated package named helpers, at {self.stranger}, is passed over: it "
                "is not the course's."
            )
        for name in [name for name in sys.modules if name.partition(".")[0] == "helpers"]:
            del sys.modules[name]
        sys.path[:] = [
            str(self.folder),
            *(place for place in sys.path if place != str(self.folder)),
        ]
        others = os.environ.get("PYTHONPATH", "")
        if not others.startswith(str(self.folder)):  # for the processes that a lesson starts
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(self.folder), others]))
        importlib.invalidate_caches()
        importlib.import_module("helpers")
        if self.edited:
            print(
                f"Changed in this notebook: {', '.join(sorted(self.edited))}. Used as it "
                "stands there. For the "
                "course's own, take a fresh copy of the notebook."
            )
        changed = f", {len(self.edited)} changed" if self.edited else ", checksums right"
        print(
            f"Helpers {self.version}: {self.count} files from this notebook's own "
            f"cells{changed}."
        )
