"""A download that can be trusted: checked before it is unpacked, and never left half done."""

from __future__ import annotations

import socket
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 30  # seconds of silence after which a server is given up


@dataclass(frozen=True)
class Archive:
    """A ``.tgz`` on the web, with all that is needed to tell the right bytes from wrong ones.

    Attributes
    ----------
    url : where it is.
    sha256 : checksum of the bytes, in hexadecimal.
    folder : the one folder inside it, and its name once unpacked.
    """

    url: str
    sha256: str
    folder: str


FLOWER_PHOTOS = Archive(
    url="https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz",
    sha256="4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",
    folder="flower_photos",
)


def fetch(archive: Archive, into: Path) -> Path:
    """Download, check and unpack `archive`. Notebook 10 can use it.

    Everything happens in a temporary folder of this call's own. The unpacked folder appears in
    `into` when it is complete; after a failure nothing is left, and the next call starts again.

    Parameters
    ----------
    archive : what to fetch.
    into : the folder to put it in, made if need be.

    Returns
    -------
    Path
        The folder that was inside.

    Raises
    ------
    ConnectionError
        No network, or the server refuses, breaks off or falls silent.
    ValueError
        The bytes are not the expected ones, or the archive cannot be unpacked without leaving
        its folder.
    OSError
        The disk is full or cannot be written to, or a folder of that name is there already
        (``FileExistsError``).
    """
    import keras

    final = into / archive.folder
    if final.exists():
        raise FileExistsError(f"{final} is in the way of the download. Move or delete it.")
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{archive.folder}-", dir=into) as temporary:
            file = online(
                keras.utils.get_file,
                "archive.tgz",
                archive.url,
                file_hash=archive.sha256,
                cache_dir=temporary,
            )
            _unpack(archive, file, temporary)
            if not final.exists():  # else another download was faster
                Path(temporary, archive.folder).rename(final)
    except ConnectionError:
        raise
    except OSError as error:
        raise OSError(
            error.errno,
            f"Could not write to {into}: {error}. Free some space there (the photographs take "
            "480 MB), or set KERAS_HOME to another folder.",
        ) from error
    return final


def online(function: Callable, *arguments, **options):
    """Call one of Keras' functions that download, so that it cannot wait for ever.

    Raises
    ------
    ConnectionError
        No network, or the server refuses, breaks off or falls silent.
    ValueError
        What came is not what was expected.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        return function(*arguments, **options)
    except ValueError as error:
        raise ValueError(
            f"The download has another checksum than it should. {error} It was deleted. A "
            "log-in page of the network? Open any address in a browser to see."
        ) from error
    except Exception as error:
        # Keras raises a bare Exception when a server refuses or cannot be reached.
        if isinstance(error, OSError) and not isinstance(
            error, (TimeoutError, ConnectionError)
        ):
            raise  # from the disk
        raise ConnectionError(
            f"The download failed: {error}. Check the network and call again, or go on "
            "without: COURSE_DATA takes the folder of a copy, or 'bundled'."
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _unpack(archive, file, into):
    try:
        with tarfile.open(file, "r:gz") as tar:
            # Refuses paths and links that lead outside. Early releases of Python 3.10 and 3.11
            # have no filters; there the checksum alone vouches for the archive.
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            tar.extractall(into)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{archive.url} is not a .tgz archive that can be unpacked ({error}). It was "
            "deleted."
        ) from error
