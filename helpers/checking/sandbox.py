"""Run a learner's code with limits on time and memory.

The code runs in a thread of its own, and the thread that asked waits for it. So nothing here
depends on signals: it works in a notebook's kernel, in a test and on every system. Keras keeps
its state (names of layers, seed, dtype policy) per thread, and what the code does to it is gone
with the thread. Python's and NumPy's random numbers, from which Keras draws its seeds, start
from a fixed seed and are put back afterwards.

Some things are beyond it. TensorFlow's own random numbers go on from where they were: no public
function puts them back. One call into compiled code that never returns cannot be interrupted:
such a thread is left behind, and the learner is told to restart the kernel; where that code
also holds Python's lock, as ``sum(range(10**12))`` does, not even that. And a single huge
allocation is refused on Linux without a GPU; elsewhere memory is limited only where it is taken
piece by piece.
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
    """Raised inside code that runs for too long.

    It is no `Exception`, so that a learner's ``except Exception`` does not catch it.
    """


class OutOfMemory(BaseException):
    """Raised inside code that fills the memory piece by piece."""


@dataclass
class Run:
    """What became of a run.

    `error` ended it, `printed` is what it printed, `stuck` says that it could not be stopped.
    """

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
        Time until it is interrupted by `OutOfTime`; up to three times as long where other
        programs take the processor.
    memory
        Bytes that it may take beyond what the process has now; None: no limit.

    Returns
    -------
    Run
        Its `error` is whatever `work` raised, `SystemExit` and the two of this module included.
    """
    outcome = Run()
    printed = io.StringIO()
    # An event is waited for, not the thread: a `join` that is interrupted believes that the
    # thread has ended.
    finished = threading.Event()

    def call() -> None:
        with contextlib.suppress(BaseException):  # an interrupt may come late
            try:
                random.seed(SEED)
                np.random.seed(SEED)
                work()
            except BaseException as error:
                outcome.error = error
            finally:
                finished.set()

    thread = threading.Thread(target=call, name="exercise", daemon=True)
    with (
        random_states_kept(),
        memory_limited(memory),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(printed),
    ):
        warnings.simplefilter("ignore")
        thread.start()
        try:
            broken = _wait(finished, seconds, memory)
        except BaseException:  # the learner pressed stop
            _interrupt(thread, finished, KeyboardInterrupt)
            raise
        if broken is not None:
            _interrupt(thread, finished, broken)
            outcome.error = broken()
            outcome.stuck = not finished.is_set()
    outcome.printed = printed.getvalue()
    return outcome


def _wait(
    finished: threading.Event, seconds: float, memory: int | None
) -> type[BaseException] | None:
    """Wait until a run has finished; return the limit it broke, or None."""
    wall_start = time.monotonic()
    processor_start = time.process_time()
    memory_start = memory_taken()
    while not finished.wait(0.05):  # short, so that Ctrl-C is heard on every system
        if memory is not None and memory_taken() - memory_start > memory:
            return OutOfMemory
        wall = time.monotonic() - wall_start
        processor = time.process_time() - processor_start
        if min(wall, processor) > seconds or wall > 3 * seconds:
            return OutOfTime
    return None


def _interrupt(
    thread: threading.Thread, finished: threading.Event, error: type[BaseException]
) -> None:
    """Raise an exception inside a thread, for up to two seconds again and again.

    A bare ``except`` in it may catch the first.
    """
    for _ in range(20):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(error)
        )
        if finished.wait(0.1):
            return


def memory_taken(kind: str = "rss", pid: int | None = None) -> int:
    """Return the bytes of memory that a process, this one unless told otherwise, has taken.

    They are 0 where that cannot be told.
    """
    try:
        import psutil  # comes with the notebook's kernel
    except ImportError:
        return 0
    return getattr(psutil.Process(pid).memory_info(), kind)


@contextlib.contextmanager
def memory_limited(extra: int | None) -> Iterator[None]:
    """Let the process take at most `extra` bytes more, on Linux without a GPU.

    Then NumPy and TensorFlow raise, where the system would kill. RLIMIT_DATA counts memory that
    can be written to, not the addresses that threads merely reserve. A GPU's libraries load
    when they are first used, and take what they need.
    """
    import tensorflow as tf

    taken = memory_taken("data") if sys.platform == "linux" else 0
    if extra is None or not taken or tf.config.get_visible_devices("GPU"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = taken + extra
    if soft == resource.RLIM_INFINITY or limit < soft:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextlib.contextmanager
def random_states_kept() -> Iterator[None]:
    """Put the random states of Python and NumPy back."""
    python = random.getstate()
    arrays = np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)
