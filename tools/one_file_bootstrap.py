"""How a one-file edition finds the helpers: they stand in the folded cells below this one.

Run this cell, then the folded ones. Each holds one file of the course, to read and to change;
`%%course_file` checks it and writes it to a folder of this kernel's own, which Python searches
first. `tools.one_file` makes these notebooks.
"""

import atexit
import base64
import hashlib
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
        self.version = version
        self.count = count
        self.written: set[str] = set()
        self.edited: set[str] = set()
        self.folder = Path(tempfile.mkdtemp(prefix="tf-vision-course-")).resolve()
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)

    def course_file(self, line: str, cell: str) -> None:
        """Take one file: the cell magic ``%%course_file NAME VERSION sha256:DIGEST [base85]``.

        A checksum that differs is told at the end and the cell is used as it stands: you may
        change the helpers here.
        """
        name, _, digest, *coding = line.split()
        if coding:
            packed = base64.b85decode("".join(cell.split()))
            content = lzma.decompress(packed)
        else:
            content = cell.encode()
        self.edited.discard(name)
        found = hashlib.sha256(content).hexdigest()
        if f"sha256:{found}" != digest:
            self.edited.add(name)
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self.written.add(name)

    def use(self) -> None:
        """Put the files in front of every other package named `helpers`, and say so.

        Raises
        ------
        RuntimeError
            If folded cells were left out.
        """
        missing = self.count - len(self.written)
        if missing:
            raise RuntimeError(
                f"{missing} of this notebook's {self.count} folded cells at the top have not "
                "run. Run all cells from the top."
            )
        self.tell_of_strangers()
        for name in list(sys.modules):
            if name.partition(".")[0] == "helpers":
                del sys.modules[name]
        importlib.invalidate_caches()
        sys.path.insert(0, str(self.folder))
        # For the processes that a lesson starts.
        path = [str(self.folder)]
        if "PYTHONPATH" in os.environ:
            path.append(os.environ["PYTHONPATH"])
        os.environ["PYTHONPATH"] = os.pathsep.join(path)
        files = f"{self.count} files from this notebook's own cells"
        if self.edited:
            names = ", ".join(sorted(self.edited))
            print(
                f"Changed in this notebook: {names}. Used as it stands there. For the course's "
                "own, take a fresh copy of the notebook."
            )
            print(f"Helpers {self.version}: {files}, {len(self.edited)} changed.")
        else:
            print(f"Helpers {self.version}: {files}, checksums right.")

    def tell_of_strangers(self) -> None:
        """Say if Python would have imported another package of the same name."""
        found = importlib.util.find_spec("helpers")
        if not found or not found.origin:
            return
        folder = Path(found.origin).parent
        if not (folder / "runtime.py").is_file():
            print(
                f"An unrelated package named helpers, at {folder}, is passed over: it is not "
                "the course's."
            )
