"""Processes that stand in for machines: started together, and started again when one dies. See notebook 11."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack

from helpers import checks


def addresses(workers: int) -> list[str]:
    """Return as many free ports of this machine, as ``"127.0.0.1:port"``."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def supervise(command: Sequence[str], workers: int, restarts: int = 0) -> int:
    """Run a command in several processes that know of each other by ``TF_CONFIG``; when one dies, start all again.

    They share this machine's CPU. Only the first one's output is shown; warnings and errors are
    shown of all.

    Parameters
    ----------
    command
        What to run; it takes up its own work from a checkpoint.
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
    failed = 0
    for attempt in range(checks.check_count("restarts", restarts, 0) + 1):
        if attempt:
            print(
                f"A worker ended with exit code {failed}; starting all of them again.",
                flush=True,
            )
        cluster, processes = {"worker": addresses(workers)}, []
        try:
            for index in range(workers):
                config = json.dumps(
                    {"cluster": cluster, "task": {"type": "worker", "index": index}}
                )
                environment = {**os.environ, "TF_CONFIG": config, "CUDA_VISIBLE_DEVICES": "-1"}
                shown = None if index == 0 else subprocess.DEVNULL
                processes.append(subprocess.Popen(list(command), env=environment, stdout=shown))
            codes = [None] * workers
            while None in codes and not any(codes):
                time.sleep(0.2)
                codes = [process.poll() for process in processes]
        finally:  # without one worker the others wait for ever, or for TensorFlow to notice
            for process in processes:
                process.kill()
                process.wait()
        failed = next((code for code in codes if code), 0)
        if not failed:
            return 0
    return failed
