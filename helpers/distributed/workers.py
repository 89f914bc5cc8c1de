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


def addresses(workers: int) -> list[str]:
    """Return as many free ports of this machine, as ``"127.0.0.1:port"``."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    found = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return found


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
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        failed = _run_together(command, workers)
        for _ in range(restarts):
            if failed:
                print(
                    f"A worker ended with exit code {failed}; starting all of them again.",
                    flush=True,
                )
                failed = _run_together(command, workers)
    finally:
        signal.signal(signal.SIGTERM, before)
    return failed


def _exit(number, frame):
    """End this process by an exception, so that what stands in `finally` is done."""
    sys.exit(128 + number)


def _run_together(command, workers):
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
            processes.append(subprocess.Popen(command, env=environment, stdout=output))
        codes = [None]
        while None in codes and not any(codes):
            time.sleep(0.2)
            codes = [process.poll() for process in processes]
    finally:  # without one worker the others would wait for ever, or until TensorFlow notices
        for process in processes:
            process.kill()
            process.wait()
    return next(filter(None, codes), 0)
