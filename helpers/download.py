"""A download that can be trusted: resumed after a break, checked before it is unpacked, never left half done."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_CHUNK = 1 << 12  # what arrived of a chunk when the connection breaks is lost
_TIMEOUT = (10, 30)  # seconds to connect, seconds of silence


@dataclass(frozen=True)
class Archive:
    """A ``.tgz`` on the web, with all that is needed to tell the right bytes from wrong ones.

    Attributes
    ----------
    url : where it is.
    size : bytes.
    sha256 : checksum of the bytes, in hexadecimal.
    folder : the one folder inside it, and its name once unpacked.
    """

    url: str
    size: int
    sha256: str
    folder: str


FLOWER_PHOTOS = Archive(
    url="https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz",
    size=228_813_984,
    sha256="4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",
    folder="flower_photos",
)


def fetch(archive: Archive, into: Path, *, attempts: int = 4, pause: float = 2.0) -> Path:
    """Fetch, check and unpack `archive`, and return the folder that was inside. Used by notebook 10.

    The bytes go to ``<folder>.part`` in `into`. After a broken connection they stay there, and
    this call or the next one goes on from the last byte; a server that cannot do that makes it
    start again. In all other cases of failure the file is deleted. The unpacked folder appears
    under its own name only when it is complete.

    Parameters
    ----------
    archive : what to fetch.
    into : the folder to put it in, made if need be.
    attempts : connections to try, at least 1.
    pause : seconds before the second try, doubled for each further one.

    Raises
    ------
    ConnectionError
        No network, or the server refuses or breaks off every time.
    ValueError
        The bytes are not the expected ones, or the archive holds links or paths outside its
        folder.
    OSError
        The disk is full or cannot be written to, or a folder of that name is there already
        (``FileExistsError``).
    """
    part, final = into / f"{archive.folder}.part", into / archive.folder
    if final.exists():
        raise FileExistsError(
            f"{final} is in the way of the download. Move or delete it, then call again."
        )
    try:
        into.mkdir(parents=True, exist_ok=True)
        _fetch(archive, part, attempts, pause)
        _verify(archive, part)
        _unpack(archive, part, final)
    except ConnectionError:
        raise
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            need = f"about {2.1 * archive.size / 1e6:.0f} MB"
            raise OSError(
                error.errno,
                f"The disk is full: {need} are needed in {into}. Free some, or set "
                "KERAS_HOME elsewhere.",
            ) from error
        raise OSError(
            error.errno,
            f"Cannot write to {into} ({error}). Set KERAS_HOME to a folder you own.",
        ) from error
    except ValueError:
        part.unlink(missing_ok=True)
        raise
    part.unlink()
    return final


def _fetch(archive: Archive, part: Path, attempts: int, pause: float) -> None:
    """Bring `part` to its full size, in as many connections as it takes."""
    import requests

    for attempt in range(attempts):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        have = part.stat().st_size if part.exists() else 0
        if have == archive.size:
            return
        try:
            _fetch_rest(archive, part, have if have < archive.size else 0)
        except (
            requests.RequestException
        ) as error:  # no network, time-out, or a connection that broke
            reason = type(error).__name__
        else:
            reason = "the server closed the connection early"
        if part.exists() and part.stat().st_size == archive.size:
            return
    kept = part.stat().st_size if part.exists() else 0
    if not kept:
        part.unlink(missing_ok=True)
    raise ConnectionError(
        f"Could not download {archive.url}: {attempts} tries, the last one failed with "
        f"{reason}. "
        + (
            f"{kept:,} of {archive.size:,} bytes are kept and the next call goes on from "
            "there. "
            if kept
            else ""
        )
        + "Check the network and call again, or go on without: flowers(source='bundled')."
    )


def _fetch_rest(archive: Archive, part: Path, have: int) -> None:
    """Append to `part` what comes after its first `have` bytes, or write it anew if the server sends the whole."""
    import requests
    from tqdm.auto import tqdm

    # Without `identity` a server may announce the archive's own gzip as a transfer encoding,
    # and requests undoes it.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(archive.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        status, kind = response.status_code, response.headers.get("Content-Type", "")
        if (
            status == 416
        ):  # it has fewer bytes than `part`, which cannot be a beginning of the right file
            part.unlink(missing_ok=True)
            return
        if status >= 500 or status == 429:
            response.raise_for_status()
        if status not in (200, 206):
            part.unlink(missing_ok=True)
            raise ConnectionError(
                f"{archive.url} answered {status} {response.reason}: the file is not there "
                "for you. Fetch it by hand "
                "and set COURSE_DATA to the unpacked folder, or go on without: "
                "flowers(source='bundled')."
            )
        resumed = status == 206 and response.headers.get("Content-Range", "").startswith(
            f"bytes {have}-"
        )
        length = response.headers.get("Content-Length", "")
        whole = (have if resumed else 0) + int(length) if length.isdigit() else archive.size
        if kind.startswith("text/") or whole != archive.size:
            raise ValueError(
                f"{archive.url} sent {whole:,} bytes of {kind or 'unknown type'} in place of "
                f"an archive of {archive.size:,} bytes. A log-in page of the network? Open "
                "the address in a browser to see."
            )
        start = have if resumed else 0
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(
                total=archive.size,
                initial=start,
                unit="B",
                unit_scale=True,
                desc=archive.folder,
            ) as bar,
        ):
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))


def _verify(archive: Archive, part: Path) -> None:
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != archive.sha256:
        raise ValueError(
            f"{archive.url} gave {part.stat().st_size:,} bytes with sha256 "
            f"{digest.hexdigest()}, expected {archive.size:,} bytes with {archive.sha256}. "
            "They were deleted; download again."
        )


def _unpack(archive: Archive, part: Path, final: Path) -> None:
    """Unpack beside the final place, then rename: the folder is complete or not there."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{archive.folder}-", dir=part.parent))
    try:
        with tarfile.open(part, "r:gz") as tar:
            members = tar.getmembers()
            for member in members:
                path = PurePosixPath(member.name)
                inside = (
                    not path.is_absolute()
                    and ".." not in path.parts
                    and path.parts[:1] == (archive.folder,)
                )
                if not (inside and (member.isfile() or member.isdir())):
                    raise ValueError(
                        f"The archive holds {member.name!r}, a link or a path outside "
                        f"{archive.folder}/: not unpacked."
                    )
            # Python 3.10.0-3.10.11 has no filters; the check above has already refused what
            # they would refuse.
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(temporary, members, **safe)
        (temporary / archive.folder).rename(final)
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(
            f"{archive.url} is not a readable .tgz archive ({error}). It was deleted."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
