"""Where and how a notebook runs: device, profile, seeds, precision, distribution, folders.

Every notebook's setup cell calls :func:`start`. Nothing here imports TensorFlow before a
function needs it.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import json
import logging
import os
import platform
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROFILES = ("quick", "full")
_PACKAGE = Path(__file__).resolve().parent


# A notebook's start.


@dataclass(frozen=True)
class Course:
    """What :func:`start` decided, for cells that need to know.

    Attributes
    ----------
    profile
        ``"quick"`` (bundled data, seconds) or ``"full"`` (real data, real epochs).
    seed
        The seed given to Python, NumPy and TensorFlow.
    deterministic
        Whether TensorFlow uses deterministic kernels only.
    """

    profile: str
    seed: int
    deterministic: bool

    def pick(self, *, quick, full):
        """Return the value for the profile this notebook runs in."""
        return full if self.profile == "full" else quick


def start(seed: int = 0) -> Course:
    """Prepare a notebook and print one line that says how it runs. Explained in notebook 01.

    The quick profile uses deterministic kernels only; in the full one they would cost speed.
    The full profile computes in float16, with weights in float32, where every GPU has tensor
    cores for it.

    Parameters
    ----------
    seed
        For Python, NumPy and TensorFlow, in ``[0, 2**32)``.

    Raises
    ------
    ValueError
        For a seed out of range or a ``COURSE_PROFILE`` that is neither ``quick`` nor ``full``.
    """
    quiet_logs()
    with _no_native_stderr():
        import keras
        import tensorflow as tf

        gpus()  # looking for them writes, too
    tf.get_logger().setLevel(logging.WARNING)  # in a notebook, importing sets it to INFO
    chosen = profile()
    deterministic = chosen == "quick"
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    half = chosen == "full" and gpus_have_tensor_cores()
    precision = "mixed_float16" if half else "float32"
    keras.config.set_dtype_policy(precision)
    print(
        f"Ready: Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__} | {device_line()} | {chosen} profile, {precision}, "
        f"seed {seed}"
    )
    return Course(chosen, seed, deterministic)


def quiet_logs() -> None:
    """Keep what TensorFlow's C++ writes out of the notebook; warnings of its Python still show.

    Sets environment variables, which act only when TensorFlow has not been imported yet. A
    value that is set already stays. Two more of them, for the same moment: TensorFlow takes GPU
    memory as it needs it, so that two notebooks can share a GPU; and oneDNN's kernels are for
    ``COURSE_PROFILE=full`` only. On a CPU they are the faster ones, but they add up in another
    order, which changes the last digits from one machine to the next.
    """
    full = os.environ.get("COURSE_PROFILE") == "full"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1" if full else "0")


@contextlib.contextmanager
def _no_native_stderr():
    """Drop what C++ writes to stderr: while it starts, TensorFlow heeds no log level."""
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def profile() -> str:
    """Return ``COURSE_PROFILE`` if set, else ``"full"`` with a GPU or TPU, ``"quick"`` without.

    Raises
    ------
    ValueError
        For a ``COURSE_PROFILE`` that is neither.
    """
    named = os.environ.get("COURSE_PROFILE")
    if not named:
        accelerated = gpus() or any(device.platform != "cpu" for device in jax_devices())
        return "full" if accelerated else "quick"
    if named not in PROFILES:
        raise ValueError(
            f"COURSE_PROFILE is {named!r}; set it to 'quick' or 'full', or leave it unset."
        )
    return named


# Devices.


def gpus() -> list:
    """Return TensorFlow's list of visible GPUs (empty on a CPU machine)."""
    import tensorflow as tf

    return tf.config.get_visible_devices("GPU")


def jax_devices() -> list:
    """Return the devices that Keras computes on if its backend is JAX, else an empty list."""
    import keras

    if keras.backend.backend() != "jax":
        return []
    import jax

    return jax.devices()


def _gpu_details():
    import tensorflow as tf

    return [tf.config.experimental.get_device_details(gpu) for gpu in gpus()]


def gpus_have_tensor_cores() -> bool:
    """Return whether there are GPUs and all run float16 on tensor cores (capability >= 7.0)."""
    capabilities = [gpu.get("compute_capability", (0, 0)) for gpu in _gpu_details()]
    return min(capabilities, default=(0, 0)) >= (7, 0)


def device_line() -> str:
    """Return the devices in words: ``"2 CPU cores"``, ``"2 x Tesla T4"``, ``"8 x JAX TPU"``."""
    names = [f"JAX {device.platform.upper()}" for device in jax_devices()]
    if not names:
        names = [gpu.get("device_name", "GPU") for gpu in _gpu_details()]
    if names:
        return ", ".join(f"{count} x {name}" for name, count in Counter(names).items())
    cores = os.cpu_count()
    if hasattr(os, "sched_getaffinity"):  # on Linux a process may have fewer
        cores = len(os.sched_getaffinity(0))
    return "1 CPU core" if cores == 1 else f"{cores} CPU cores"


def strategy(devices: list | None = None):
    """Return the ``tf.distribute`` strategy for this machine. Explained in notebooks 10 and 11.

    Where ``TF_CONFIG`` names several machines this is `MultiWorkerMirroredStrategy`: it waits
    for all of them, must be made before anything else is computed, and trains with
    `helpers.distributed.fit`, not with `Model.fit`. The machines' network must be a trusted
    one: TensorFlow's server asks for no password, and listens on every network interface,
    whatever address ``TF_CONFIG`` names.

    Parameters
    ----------
    devices
        Names such as ``["CPU:0", "CPU:1"]``. Default: all GPUs if there are two or more, else
        the default strategy, whose ``scope()`` changes nothing.
    """
    import tensorflow as tf

    if devices is None:
        if cluster_size() > 1:
            return _several()
        devices = [gpu.name for gpu in tf.config.list_logical_devices("GPU")]
        if jax_devices():  # Keras does not compute on TensorFlow's devices
            devices = []
    if len(devices) > 1:
        return _several(*devices)
    return tf.distribute.get_strategy()


@functools.cache  # a second strategy on the same devices fails in its first all-reduce
def _several(*devices):
    import tensorflow as tf

    if devices:
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.MultiWorkerMirroredStrategy()


def cluster_size() -> int:
    """Return how many processes ``TF_CONFIG`` in the environment names; 1 without it.

    Raises
    ------
    ValueError
        If it is no JSON, or names processes but not which of them this one is.
    """
    given = os.environ.get("TF_CONFIG") or "{}"
    try:
        config = json.loads(given)
        cluster = config.get("cluster")
        if not cluster:
            return 1
        task = config["task"]
        cluster[task["type"]][int(task["index"])]  # this process's own address
        return len(cluster.get("chief", [])) + len(cluster.get("worker", []))
    except Exception as error:
        raise ValueError(
            f"TF_CONFIG is {given!r}; it takes JSON such as "
            '{"cluster": {"worker": ["10.0.0.1:12345", "10.0.0.2:12345"]}, '
            '"task": {"type": "worker", "index": 0}}.'
        ) from error


# Files and folders.


def course_path(*parts: str) -> Path:
    """Return a file or folder of the course: ``course_path("data", "flowers")``.

    In a checkout this is the file beside the package, in an installed course the copy inside
    it.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    """
    installed = _PACKAGE / "course"
    root = installed if installed.is_dir() else _PACKAGE.parent
    path = root.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(
            f"The course has no {'/'.join(parts)!r} in {root}. Clone it or install it again."
        )
    return path


def keras_home() -> Path:
    """Return the folder of Keras' cache: ``KERAS_HOME``, else ``~/.keras``."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def cache_folder() -> Path:
    """Return this user's folder for files that can be made again, made if need be.

    ``tf-vision-course`` in ``XDG_CACHE_HOME``, else in ``~/.cache``. Where that cannot be
    written to, a folder of this user under the system's temporary one.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return _writable(Path(caches, "tf-vision-course").expanduser())


def output_folder(name: str = "") -> Path:
    """Return a folder to write results to, made if need be.

    ``COURSE_OUTPUT`` if set; on Kaggle the working directory; in a checkout
    ``notebooks/outputs``; else ``outputs`` in the working directory. Where that of a checkout
    or the last one cannot be written to, a folder of this user under the system's temporary
    one.
    """
    notebooks = _PACKAGE.parent / "notebooks"
    if os.environ.get("COURSE_OUTPUT"):
        root = Path(os.environ["COURSE_OUTPUT"])
    elif "KAGGLE_KERNEL_RUN_TYPE" in os.environ:
        root = Path.cwd()
    elif notebooks.is_dir():
        root = _writable(notebooks / "outputs")
    else:
        root = _writable(Path.cwd() / "outputs")
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _writable(folder):
    """Return a folder, made if need be, or one of this user where it cannot be written to."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if os.access(folder, os.W_OK):
        return folder
    user = getattr(os, "getuid", getpass.getuser)()  # Windows has no getuid
    fallback = Path(tempfile.gettempdir(), f"tf-vision-course-{user}")
    fallback.mkdir(mode=0o700, exist_ok=True)
    return fallback


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield another path beside `path`, to write to; at the end of the block it becomes `path`.

    So `path` is the whole old file or the whole new one, even if the process is killed. After
    an exception it is the old one. The path yielded has the suffix of `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}-{path.name}")  # other processes write, too
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def kaggle_input(name: str) -> list[Path]:
    """Return what matches a pattern under Kaggle's input, at any of the depths in use there.

    The input is ``COURSE_KAGGLE_INPUT``, default ``/kaggle/input``; without one the list is
    empty.
    """
    root = Path(os.environ.get("COURSE_KAGGLE_INPUT") or "/kaggle/input")
    found = []
    for depth in range(5):
        found += sorted(root.glob("*/" * depth + name))
    return found


def on_colab() -> bool:
    """Return whether this is a Colab notebook."""
    return "google.colab" in sys.modules
