"""Processes that stand in for machines: started together, and started again when one dies.

Explained in notebook 11.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from helpers import checks


def addresses(workers: int) -> list[str]:
    """Return as many free ports of this machine, as ``"127.0.0.1:port"``."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return [f"127.0.0.1:{port}" for port in ports]


def supervise(command: Sequence[str], workers: int, restarts: int = 0) -> int:
    """Run a command in several processes that know each other by ``TF_CONFIG``.

    When one dies, all are stopped and started again. They share this machine's CPU. Only the
    first one's output is shown; errors are shown of all. They end with this process, also when
    it is told to end by SIGTERM: so this must be called in the main thread.

    While they run, TensorFlow listens on every network interface of this machine, and asks for
    no password: for trusted networks only.

    Parameters
    ----------
    command
        What to run; it resumes its own work from a checkpoint.
    workers
        Number of processes, 1 or more.
    restarts
        How often to start again before giving up.

    Returns
    -------
    int
        0, or the exit code of the first that failed the last time.
    """
    checks.check_count("workers", workers, 1)
    checks.check_count("restarts", restarts, 0)
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        failed = _run_together(command, workers)
        while failed and restarts:
            print(
                f"A worker ended with exit code {failed}; starting all of them again.",
                flush=True,
            )
            restarts -= 1
            failed = _run_together(command, workers)
    finally:
        signal.signal(signal.SIGTERM, before)
    return failed


def _exit(number: int, frame: Any) -> None:
    """End this process by an exception, so that what stands in `finally` is done."""
    sys.exit(128 + number)


def _run_together(command: Sequence[str], workers: int) -> int:
    """Return 0 when all processes have ended well, or the exit code of one that has not."""
    cluster = {"worker": addresses(workers)}
    processes = []
    try:
        for index in range(workers):
            task = {"type": "worker", "index": index}
            environment = {
                **os.environ,
                "TF_CONFIG": json.dumps({"cluster": cluster, "task": task}),
                "CUDA_VISIBLE_DEVICES": "-1",
            }
            output = None if index == 0 else subprocess.DEVNULL
            process = subprocess.Popen(command, env=environment, stdout=output)
            processes.append(process)
        codes = [None]
        while None in codes and not any(codes):
            time.sleep(0.2)
            codes = [process.poll() for process in processes]
    finally:  # without one worker the others would wait for ever, or until TensorFlow notices
        for process in processes:
            process.kill()
            process.wait()
    return next((code for code in codes if code), 0)
