"""Run a learner's code so that it disturbs nothing: time and memory are limited, random states restored.

The code runs in a thread of its own, and the thread that asked waits for it. So nothing here
depends on signals: it works in a notebook's kernel, in a test and on every system. Keras keeps
its state (names of layers, seed, dtype policy) per thread, and what the code does to it is gone
with the thread.

Three things are beyond it. One call into compiled code that never returns cannot be
interrupted: such a thread is left behind, and the learner is told to restart the kernel; where
that code also holds Python's lock, as `sum(range(10**12))` does, not even that. A single huge
allocation is refused on Linux without a GPU, elsewhere only what is taken piece by piece. And a
seed set in TensorFlow also restarts operations that were given a seed of their own.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

SEED = 0


class OutOfTime(BaseException):
    """Raised inside code that runs for too long. No `Exception`, so that a learner's `except` does not swallow it."""


class OutOfMemory(BaseException):
    """Raised inside code that fills the memory piece by piece."""


@dataclass
class Run:
    """What became of a run: the exception that ended it, what it printed, whether it could not be stopped."""

    error: BaseException | None = None
    printed: str = ""
    stuck: bool = False


def run(work: Callable[[], None], seconds: float, memory: int | None = None) -> Run:
    """Call `work` in a thread, from fixed seeds, within limits.

    Parameters
    ----------
    work
        Takes and returns nothing.
    seconds
        Time until it is interrupted by `OutOfTime`; up to three times as long where the machine
        is busy with other things, and this process got less of the processor.
    memory
        Bytes that it may take beyond what the process has now; None: no limit.

    Returns
    -------
    Run
        Its `error` is whatever `work` raised, `SystemExit` and the two of this module included.
    """
    import keras

    outcome, printed, over = Run(), io.StringIO(), threading.Event()

    def guarded() -> None:
        with contextlib.suppress(BaseException):  # an interrupt may come late
            try:
                keras.utils.set_random_seed(SEED)
                work()
            except BaseException as error:
                outcome.error = error
            finally:
                over.set()

    thread = threading.Thread(target=guarded, name="exercise", daemon=True)
    with (
        random_states_kept(),
        memory_limited(memory),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(printed),
    ):
        warnings.simplefilter("ignore")
        thread.start()
        try:
            broken = _wait(over, seconds, memory)
        except BaseException:  # the learner pressed stop
            _interrupt(thread, over, KeyboardInterrupt)
            raise
        if broken:
            _interrupt(thread, over, broken)
            outcome.error, outcome.stuck = broken(), not over.is_set()
    outcome.printed = printed.getvalue()
    return outcome


# Here an event is waited for and not the thread itself: a `join` that is interrupted believes
# that the thread ended.


def _wait(
    over: threading.Event, seconds: float, memory: int | None
) -> type[BaseException] | None:
    """Wait until a run is over; return the limit it broke, or None."""
    began, used, most = (
        time.monotonic(),
        time.process_time(),
        None if memory is None else _resident() + memory,
    )
    while not over.wait(0.05):  # short, so that Ctrl-C is heard on every system
        if most is not None and _resident() > most:
            return OutOfMemory
        wall, processor = time.monotonic() - began, time.process_time() - used
        if min(wall, processor) > seconds or wall > 3 * seconds:
            return OutOfTime
    return None


def _interrupt(
    thread: threading.Thread, over: threading.Event, error: type[BaseException]
) -> None:
    """Raise an exception inside a thread, for up to two seconds again and again: a bare `except` may catch it."""
    for _ in range(20):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(error)
        )
        if over.wait(0.1):
            return


def _resident() -> int:
    """Return the bytes of memory this process occupies; 0 where that cannot be told."""
    try:
        import psutil  # comes with the notebook's kernel
    except ImportError:
        return 0
    return psutil.Process().memory_info().rss


@contextlib.contextmanager
def memory_limited(extra: int | None) -> Iterator[None]:
    """Let the process take at most `extra` bytes more. Then NumPy and TensorFlow raise, where the system would kill.

    RLIMIT_DATA counts memory that can be written to, not the addresses that threads merely
    reserve. With a GPU there is no such limit: its libraries load when they are first used, and
    take what they need.
    """
    import tensorflow as tf

    if extra is None or sys.platform != "linux" or tf.config.get_visible_devices("GPU"):
        yield
        return
    import resource

    old, most = resource.getrlimit(resource.RLIMIT_DATA)
    with open("/proc/self/status", encoding="ascii") as lines:
        taken = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))
    limit = taken + extra
    if min(value for value in (limit, old, most) if value != resource.RLIM_INFINITY) == limit:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (old, most))


@contextlib.contextmanager
def random_states_kept() -> Iterator[None]:
    """Put the random states of Python, NumPy and TensorFlow back, and TensorFlow's switches for whole programs."""
    import tensorflow as tf

    # No public function reads the state of the seed.
    from tensorflow.python.eager import (
        context,
    )
    from tensorflow.python.framework import config

    eager = context.context()
    # A new seed brings a new object: this one stays.
    seed, operations = (
        eager._seed,
        getattr(eager, "_rng", None),
    )
    python, arrays = random.getstate(), np.random.get_state()
    deterministic, eagerly = (
        config.is_op_determinism_enabled(),
        tf.config.functions_run_eagerly(),
    )
    try:
        yield
    finally:
        eager._seed, eager._rng = seed, operations
        random.setstate(python)
        np.random.set_state(arrays)
        if deterministic != config.is_op_determinism_enabled():
            (config.enable_op_determinism if deterministic else config.disable_op_determinism)()
        tf.config.run_functions_eagerly(eagerly)
