"""A JupyterLab server on loopback, for the tests and benchmarks that need one."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from helpers import distributed

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "t"


@contextmanager
def lab(
    folder: Path, command: list[str] | None = None, **environment: str
) -> Iterator[tuple[str, str, int]]:
    """Serve ``folder``; yield the server's URL, its token and the number of its process.

    ``command`` starts the server otherwise than by ``python -m jupyterlab``: its last word ends
    with what the arguments are appended to, as ``ARGS=``.
    """
    (address,) = distributed.addresses(1)
    url, port = f"http://{address}", address.rpartition(":")[2]
    arguments = (
        f"--no-browser --allow-root --ip=127.0.0.1 --port={port} "
        f"--IdentityProvider.token={TOKEN}"
    ).split()
    if command is None:
        command = [sys.executable, "-m", "jupyterlab", *arguments, f"--notebook-dir={folder}"]
    else:
        command = [*command[:-1], command[-1] + " ".join(arguments)]
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    if requests.get(f"{url}/api/status?token={TOKEN}", timeout=5).ok:
                        break
                except requests.RequestException:
                    pass
                if server.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise AssertionError(f"no JupyterLab at {url}:\n{log.read()}")
                time.sleep(0.3)
            yield url, TOKEN, server.pid
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)
