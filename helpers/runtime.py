"""Where and how a notebook runs: device, profile, seeds, precision, distribution, folders.

Every notebook's setup cell calls :func:`start`. Nothing here imports TensorFlow before a
function needs it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import tensorflow as tf

T = TypeVar("T")

PROFILES = ("quick", "full")
_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Course:
    """What :func:`start` decided, for cells that need to know.

    Attributes
    ----------
    profile
        ``"quick"`` (bundled data, seconds) or ``"full"`` (real data, real epochs).
    device
        The device in words, such as ``"1 GPU (Tesla T4)"``.
    seed
        The seed given to Python, NumPy and TensorFlow.
    deterministic
        Whether TensorFlow was told to use deterministic kernels only.
    precision
        The Keras dtype policy, ``"float32"`` or ``"mixed_float16"``.
    """

    profile: str
    device: str
    seed: int
    deterministic: bool
    precision: str

    def pick(self, *, quick: T, full: T) -> T:
        """Return the value for the profile this notebook runs in."""
        return full if self.profile == "full" else quick


def start(
    seed: int = 0, *, deterministic: bool | None = None, mixed_precision: bool | None = None
) -> Course:
    """Prepare a notebook and print one line that says how it runs. Explained in notebook 01.

    Parameters
    ----------
    seed
        For Python, NumPy and TensorFlow, in ``[0, 2**32)``.
    deterministic
        Use deterministic kernels only. Default: in the quick profile; in the full one they cost
        speed.
    mixed_precision
        Compute in float16, keep weights in float32. Default: in the full profile, where every
        GPU has tensor cores for it (compute capability 7.0 or more).

    Raises
    ------
    ValueError
        For a seed out of range or a ``COURSE_PROFILE`` that is neither ``quick`` nor ``full``.
    """
    quiet_logs()
    with _no_native_stderr():
        import keras
        import tensorflow as tf

        grow_gpu_memory()
    tf.get_logger().setLevel(logging.ERROR)  # importing TensorFlow had set it back
    chosen = profile()
    if deterministic is None:
        deterministic = chosen == "quick"
    seed_everything(seed, deterministic=deterministic)
    if mixed_precision is None:
        mixed_precision = chosen == "full" and gpus_have_tensor_cores()
    keras.config.set_dtype_policy("mixed_float16" if mixed_precision else "float32")
    course = Course(
        chosen, device_line(), seed, deterministic, keras.config.dtype_policy().name
    )
    print(
        f"Ready: Python {platform.python_version()}, TensorFlow {tf.__version__}, Keras "
        f"{keras.__version__} | {course.device} | {course.profile} profile, "
        f"{course.precision}, seed {seed} | data: {data_choice()}"
    )
    return course


def quiet_logs() -> None:
    """Keep TensorFlow's own messages out of the notebook; warnings and errors raised in Python still show.

    The environment variables act only when TensorFlow has not been imported yet. oneDNN's
    kernels are the faster ones on a CPU, but they add up in another order, which changes the
    last digits from one machine to the next: so they are for ``COURSE_PROFILE=full`` only.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    full = os.environ.get("COURSE_PROFILE", "").strip().lower() == "full"
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1" if full else "0")


@contextlib.contextmanager
def _no_native_stderr() -> Iterator[None]:
    """Drop what C++ writes to stderr: while it starts, TensorFlow heeds no log level. Exceptions still show."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def profile() -> str:
    """Return ``COURSE_PROFILE`` if it is set, else ``"full"`` with a GPU or TPU and ``"quick"`` without."""
    chosen = os.environ.get("COURSE_PROFILE", "").strip().lower()
    if not chosen:
        return "full" if gpus() or any(d.platform != "cpu" for d in jax_devices()) else "quick"
    if chosen not in PROFILES:
        raise ValueError(
            f"COURSE_PROFILE is {chosen!r}; set it to 'quick' or 'full', or leave it unset."
        )
    return chosen


def seed_everything(seed: int, *, deterministic: bool = True) -> None:
    """Seed Python, NumPy and TensorFlow; optionally demand deterministic kernels for the rest of the process."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed!r}; it must be an integer from 0 to 4294967295.")
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def gpus() -> list[Any]:
    """Return TensorFlow's list of visible GPUs (empty on a CPU machine)."""
    import tensorflow as tf

    return tf.config.get_visible_devices("GPU")


def jax_devices() -> list[Any]:
    """Return the devices that Keras computes on if its backend is JAX, else an empty list."""
    import keras

    if keras.backend.backend() != "jax":
        return []
    import jax

    return jax.devices()


def grow_gpu_memory() -> None:
    """Let TensorFlow take GPU memory as it needs it, so that two notebooks can share one GPU."""
    import tensorflow as tf

    for gpu in gpus():
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except (
            RuntimeError
        ):  # the GPU is in use already, as when the setup cell is run a second time
            return


def gpus_have_tensor_cores() -> bool:
    """Return whether there are GPUs and all of them run float16 on tensor cores (compute capability >= 7.0)."""
    import tensorflow as tf

    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus()]
    return bool(details) and all(d.get("compute_capability", (0, 0)) >= (7, 0) for d in details)


def device_line() -> str:
    """Return the devices in words, such as ``"2 CPU cores"``, ``"2 GPUs (Tesla T4)"`` or ``"8 TPU devices of JAX"``."""
    import tensorflow as tf

    found = jax_devices()
    if found:
        return f"{len(found)} {found[0].platform.upper()} device{'s' * (len(found) > 1)} of JAX"
    found = gpus()
    if not found:
        cores = (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
        return f"{cores} CPU core{'s' * (cores > 1)}"
    names = {
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in found
    }
    return f"{len(found)} GPU{'s' * (len(found) > 1)} ({', '.join(sorted(names))})"


def strategy(devices: list[str] | None = None) -> Any:
    """Return the ``tf.distribute`` strategy for this machine. Explained in notebooks 10 and 11.

    Where ``TF_CONFIG`` names several machines this is `MultiWorkerMirroredStrategy`: it waits
    for all of them, must be made before anything else is computed, and trains with
    `helpers.distributed.fit`, not with `Model.fit`.

    Parameters
    ----------
    devices
        Names such as ``["CPU:0", "CPU:1"]``. Default: all GPUs if there are two or more, else
        the default strategy, whose ``scope()`` changes nothing.
    """
    import tensorflow as tf

    if devices is None and cluster_size() > 1:
        return _several(None)
    if devices is None:  # TensorFlow's devices do not compute where Keras runs on JAX
        devices = (
            [] if jax_devices() else [gpu.name for gpu in tf.config.list_logical_devices("GPU")]
        )
    return _several(tuple(devices)) if len(devices) > 1 else tf.distribute.get_strategy()


@functools.cache
def _several(devices: tuple[str, ...] | None) -> Any:
    """Make a strategy once in a process: a second one on the same devices fails in its first all-reduce."""
    import tensorflow as tf

    return (
        tf.distribute.MirroredStrategy(devices)
        if devices
        else tf.distribute.MultiWorkerMirroredStrategy()
    )


def cluster_size() -> int:
    """Return how many processes ``TF_CONFIG`` in the environment names; 1 without it.

    Raises
    ------
    ValueError
        If it is no JSON, or names processes but not which of them this one is.
    """
    given = os.environ.get("TF_CONFIG", "").strip()
    try:
        config = json.loads(given or "{}")
        size = sum(len(config.get("cluster", {}).get(job, ())) for job in ("chief", "worker"))
        task = config.get("task", {})
        if size > 1 and not 0 <= int(task["index"]) < len(config["cluster"][task["type"]]):
            raise KeyError("index")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"TF_CONFIG is {given!r}; it takes JSON such as "
            '{"cluster": {"worker": ["10.0.0.1:12345", "10.0.0.2:12345"]}, "task": {"type": "worker", "index": 0}}.'
        ) from error
    return max(size, 1)


def data_choice() -> str:
    """Return in words where `helpers.data` will look; the line it prints itself says what it found."""
    named = os.environ.get("COURSE_DATA", "").strip()
    if on_kaggle():
        return "Kaggle mount if attached"
    if named or profile() == "quick":
        return named or "bundled"
    return (
        "Keras cache, else bundled"
        if not os.environ.get("COURSE_DOWNLOAD")
        else "Keras cache, else download"
    )


def course_path(*parts: str) -> Path:
    """Return a file or folder of the course, from any working directory: ``course_path("data", "flowers")``.

    In a checkout this is the file beside the package, in an installed course the copy inside
    it. Where a drawn set did not come along but the script that draws it did, as in a one-file
    edition, it is drawn on the spot, once.

    Raises
    ------
    FileNotFoundError
        If neither place has it.
    """
    for root in (_PACKAGE.parent, _PACKAGE / "course"):
        if not (root / "data" / "README.md").is_file():
            continue
        path = root.joinpath(*parts)
        if path.exists():
            return path
        script = root.joinpath(*parts[:1], f"make_{parts[1]}.py") if len(parts) > 1 else root
        if script.is_file() and not root.joinpath(*parts[:2]).exists():
            path = _drawn(script).joinpath(*parts[2:])
            if path.exists():
                return path
    raise FileNotFoundError(
        f"The course has no {'/'.join(parts)!r} beside {_PACKAGE}. Clone it or install it "
        "again."
    )


def _drawn(script: Path) -> Path:
    """Return what a script of ``data/`` draws, from the user's cache or drawn now, in a process of its own."""
    name = script.stem.removeprefix("make_")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if not _writable(cache):
        cache = Path(tempfile.gettempdir())
    folder = (
        cache
        / "tf-vision-course"
        / f"{name}-{hashlib.sha256(script.read_bytes()).hexdigest()[:12]}"
    )
    if folder.is_dir():
        return folder
    print(
        f"Drawing the course's {name}, once on this machine: some seconds for fashion, some "
        "minutes for flowers."
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        code = (
            f"import pathlib, sys, {script.stem}; {script.stem}.main(pathlib.Path(sys.argv[1], "
            "'drawn'))"
        )
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}  # the GPU is the notebook's
        done = subprocess.run(
            [sys.executable, "-c", code, partial],
            cwd=script.parent,
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise FileNotFoundError(
                f"Could not draw the course's {name}; {script} ended "
                f"with:\n{done.stderr[-800:]}"
            )
        with contextlib.suppress(OSError):  # another notebook was faster
            Path(partial, "drawn").rename(folder)
    return folder


def keras_home() -> Path:
    """Return the folder of Keras' cache: ``KERAS_HOME``, else ``~/.keras``."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def output_folder(name: str = "") -> Path:
    """Return a folder to write results to, made if need be.

    ``COURSE_OUTPUT`` if set; on Kaggle the working folder (``COURSE_KAGGLE_WORKING``, default
    ``/kaggle/working``); in a checkout ``notebooks/outputs``; else ``outputs`` in the working
    directory. Where none of these can be written to, a folder under the system's temporary one.
    """
    if os.environ.get("COURSE_OUTPUT"):
        root = Path(os.environ["COURSE_OUTPUT"])
    elif on_kaggle():
        working = Path(os.environ.get("COURSE_KAGGLE_WORKING") or "/kaggle/working")
        root = working if working.is_dir() else Path.cwd()
    else:
        notebooks = _PACKAGE.parent / "notebooks"
        root = (notebooks if notebooks.is_dir() else Path.cwd()) / "outputs"
        if not _writable(root):
            root = Path(tempfile.gettempdir()) / "tf-vision-course"
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _writable(folder: Path) -> bool:
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)


def on_kaggle() -> bool:
    """Return whether this is a Kaggle notebook."""
    return "KAGGLE_KERNEL_RUN_TYPE" in os.environ


def kaggle_input(name: str) -> list[Path]:
    """Return what matches a pattern under Kaggle's input: how deep it lies depends on how it was attached.

    The input is ``COURSE_KAGGLE_INPUT``, default ``/kaggle/input``; without one the list is
    empty.
    """
    root = Path(os.environ.get("COURSE_KAGGLE_INPUT") or "/kaggle/input")
    return [found for depth in range(5) for found in sorted(root.glob("*/" * depth + name))]


def on_colab() -> bool:
    """Return whether this is a Colab notebook."""
    return "google.colab" in sys.modules


@functools.cache
def xla_works() -> bool:
    """Whether this TensorFlow can compile with XLA here: tried once, on one addition."""
    import tensorflow as tf

    def compile_and_run() -> bool:
        try:
            return (
                int(tf.function(lambda number: number + 1, jit_compile=True)(tf.constant(1)))
                == 2
            )
        except (tf.errors.OpError, NotImplementedError, ValueError):
            return False

    # The first call may come while a pipeline is traced, where nothing runs at once. A thread
    # of its own is eager.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(compile_and_run).result()


def compiled(function: Callable) -> Callable:
    """Run `function` compiled with XLA, or as it stands where XLA is missing. The plain one is `.__wrapped__`."""

    @functools.cache
    def build() -> Callable:
        import tensorflow as tf

        return tf.function(function, jit_compile=True, reduce_retracing=True, autograph=False)

    @functools.wraps(function)
    def call(*args):
        return build()(*args) if xla_works() else function(*args)

    return call


def as_written(function: Callable) -> Callable:
    """Keep AutoGraph from rewriting a function that holds nothing to rewrite: it is traced faster as it stands."""

    @functools.wraps(function)
    def call(*args, **options):
        import tensorflow as tf

        return tf.autograph.experimental.do_not_convert(function)(*args, **options)

    return call


def like(result: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
    """Return the result, with what is known of the given tensor's shape: a compiled function may have forgotten it."""
    result.set_shape(given.shape)
    return result
