"""An answer's error, put into one sentence with the learner's own line."""

from __future__ import annotations

import linecache
import re
import sysconfig
import textwrap
import traceback
from pathlib import Path

from helpers.checking.sandbox import OutOfMemory, OutOfTime

# Code in these folders is not the learner's.
LIBRARIES = (
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("purelib"),
    sysconfig.get_path("platlib"),
    str(Path(__file__).parents[1]),
)


def kind_of(error: BaseException) -> str:
    """Return the name that errors are compared by: that of the type, one for lack of memory."""
    name = type(error).__name__
    # NumPy has a MemoryError of its own; the last is TensorFlow's.
    if isinstance(error, OutOfMemory | MemoryError) or name == "ResourceExhaustedError":
        return "OutOfMemory"
    return name


def in_words(error: BaseException, seconds: float, memory: int) -> str:
    """Return a kind sentence about an error; `seconds` and `memory` are the limits."""
    kind = kind_of(error)
    if isinstance(error, OutOfTime):
        return (
            f"stopped: it ran for more than {seconds:g} s. Is there a loop that never ends? "
            "What should end it?"
        )
    if kind == "OutOfMemory":
        return (
            f"stopped: it asked for more than {memory / 2**30:g} GB of memory. Which shape is "
            "larger than you meant?"
        )
    frames = list(traceback.walk_tb(error.__traceback__))
    for frame, line in reversed(frames):
        file = frame.f_code.co_filename
        is_generated = "__autograph_generated" in file
        if not is_generated and not file.startswith(LIBRARIES):
            source = linecache.getline(file, line).strip()
            place = f"line {line}"
            if source:
                place += f", `{source}`"
            return f"{kind} in {place}: {_gist(error)}"
    return f"what you handed over cannot be used like this: {kind}: {_gist(error)}"


def _gist(error: BaseException) -> str:
    """Return the line of a message that says something, without the marks of TensorFlow."""
    text = re.sub(r"\x1b\[\d*m|\{\{.*?\}\} ?| \[Op:\w+\]( name: ?)?", "", str(error))
    lines = [line.strip() for line in text.splitlines()]
    gist, *others = list(filter(None, lines)) or ["no message"]
    if others and gist.startswith("in user code:"):
        gist = others[-1]
    elif others and gist.startswith("Exception encountered"):
        gist = others[0]
    return textwrap.shorten(gist, 200, placeholder=" ...")
