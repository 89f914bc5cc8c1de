"""Measure the memory a learner takes: JupyterLab's server at rest, and each notebook's kernel at its highest.

Every notebook of the course runs once in the quick profile on the bundled data, in a fresh kernel. Counted is the
resident memory of the process and of all that it started, sampled five times a second; the files of a library that
several kernels share on one machine are counted in each of them.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from functools import partial
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
sys.path.insert(0, str(NOTEBOOKS))
import build  # noqa: E402

QUICK = {"COURSE_PROFILE": "quick", "COURSE_DATA": "bundled", "CUDA_VISIBLE_DEVICES": "-1"}


def server_at_rest(seconds: float = 10) -> int:
    """Start JupyterLab, ask it for the course's folder, wait, and return the bytes it occupies."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = f"--no-browser --allow-root --ip=127.0.0.1 --port={port} --IdentityProvider.token=t".split()
    command = [sys.executable, "-m", "jupyterlab", *options, f"--notebook-dir={NOTEBOOKS}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            end = time.monotonic() + 120
            while True:
                try:
                    for path in ("lab?token=t", "api/contents?token=t"):
                        urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10).read()
                    break
                except OSError:
                    if server.poll() is not None or time.monotonic() > end:
                        raise
                    time.sleep(0.5)
            time.sleep(seconds)
            return build.resident(server.pid)
        finally:
            server.terminate()


def highest_of(notebook: Path) -> int:
    """Run a notebook in a fresh kernel; return the highest number of bytes that the kernel occupied."""
    _, peak, error = build.execute(nbformat.read(notebook, as_version=4), notebook.stem)
    if error:
        raise RuntimeError(error)
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "only", nargs="*", default=[""], help="a notebook's number or the start of its name; all of them"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    os.environ.update(QUICK)
    notebooks = [path for only in options.only for path in sorted(NOTEBOOKS.glob(f"{only}*.ipynb"))]
    if not notebooks:
        parser.error(f"no notebook starts with {options.only!r}; see {NOTEBOOKS}")
    jobs = {"server at rest": server_at_rest, **{path.stem: partial(highest_of, path) for path in notebooks}}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_OUTPUT"] = folder
        print(f"{'':32} {'MB':>6}")
        for name, measure in jobs.items():
            found[name] = measure()
            print(f"{name:32} {found[name] / 1e6:6.0f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
