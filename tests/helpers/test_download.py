"""helpers.download against a local server that misbehaves in every way a real one does."""

import errno
import hashlib
import io
import re
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from helpers import data, download
from helpers.download import Archive, fetch

FILES = {
    "photos/daisy/a.jpg": bytes(range(256)) * 300,
    "photos/roses/b.jpg": b"roses" * 9000,
    "photos/LICENSE.txt": b"CC BY",
}


def archive_bytes(extra: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    """A .tgz, not compressed so that it is large enough to be cut into pieces."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=0) as tar:
        for name, content in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra:
            tar.addfile(member)
    return buffer.getvalue()


class Server:
    """Serves `body` at /photos.tgz; each request is answered by the next of `plan`, the last one from then on."""

    def __init__(self, body: bytes):
        self.body = body
        self.plan = ["ok"]
        self.requests: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                step = server.plan.pop(0) if len(server.plan) > 1 else server.plan[0]
                server.requests.append(self.headers.get("Range"))
                server.answer(self, step)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/photos.tgz"
        self.thread = threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self.thread.start()

    def answer(self, handler, step: str):
        if step.isdigit():
            handler.send_error(int(step))
            return
        body, status, headers = self.body, 200, {"Content-Type": "application/x-gzip"}
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "")
        if asked and step != "no range":
            first = int(asked[1])
            if first >= len(body):
                handler.send_error(416)
                return
            headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
            body, status = body[first:], 206
        if step == "page":
            body, status, headers = (
                b"<html>Please log in</html>",
                200,
                {"Content-Type": "text/html; charset=utf-8"},
            )
        if step == "gzip encoding":
            headers["Content-Encoding"] = (
                "gzip" if "gzip" in handler.headers.get("Accept-Encoding", "") else "identity"
            )
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if step != "no length":
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(
            body[: len(body) // 2] if step in ("cut", "no length cut") else body
        )
        handler.close_connection = True

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server():
    running = Server(archive_bytes())
    yield running
    running.close()


@pytest.fixture
def archive(server) -> Archive:
    return Archive(
        server.url, len(server.body), hashlib.sha256(server.body).hexdigest(), "photos"
    )


def get(archive: Archive, into: Path, attempts: int = 4) -> Path:
    return fetch(archive, into, attempts=attempts, pause=0.01)


def assert_complete(folder: Path, into: Path):
    assert folder == into / "photos"
    assert {
        str(p.relative_to(into)): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    } == FILES
    assert [p.name for p in into.iterdir()] == ["photos"], (
        "neither archive nor temporary folder is left"
    )


def assert_resumed(requests: list[str | None], *sent: int):
    """Each further request begins where the bytes sent so far end, less at most one chunk."""
    assert requests[0] is None
    for asked, end in zip(requests[1:], sent, strict=True):
        begin = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
        assert end - 2 * download._CHUNK < begin <= end


def assert_nothing_left(into: Path):
    assert not into.exists() or list(into.iterdir()) == []


def test_a_plain_download(server, archive, tmp_path):
    into = tmp_path / "new/datasets"
    assert_complete(get(archive, into), into)
    assert server.requests == [None]


@pytest.mark.parametrize("step", ["no length", "gzip encoding"])
def test_headers_that_servers_vary(server, archive, tmp_path, step):
    server.plan = [step]
    assert_complete(get(archive, tmp_path), tmp_path)


def test_cut_off_and_resumed_in_one_call(server, archive, tmp_path):
    server.plan = ["cut", "cut", "ok"]
    assert_complete(get(archive, tmp_path), tmp_path)
    assert_resumed(server.requests, archive.size // 2, archive.size * 3 // 4)


def test_cut_off_and_resumed_by_the_next_call(server, archive, tmp_path):
    server.plan = ["cut"]
    with pytest.raises(ConnectionError, match=rf"2 tries.* of {archive.size:,} bytes are kept"):
        get(archive, tmp_path, attempts=2)
    assert [p.name for p in tmp_path.iterdir()] == ["photos.part"], "only what can be resumed"
    kept = (tmp_path / "photos.part").stat().st_size
    server.plan, server.requests = ["ok"], []
    assert_complete(get(archive, tmp_path), tmp_path)
    assert server.requests == [f"bytes={kept}-"]


def test_a_server_without_ranges_is_read_from_the_start(server, archive, tmp_path):
    server.plan = ["cut", "no range"]
    assert_complete(get(archive, tmp_path), tmp_path)
    assert_resumed(server.requests, archive.size // 2)


@pytest.mark.parametrize("kept", ["longer than the file", "complete"])
def test_what_an_earlier_call_left(server, archive, tmp_path, kept):
    (tmp_path / "photos.part").write_bytes(
        server.body if kept == "complete" else bytes(archive.size + 1)
    )
    assert_complete(get(archive, tmp_path), tmp_path)
    assert server.requests == ([] if kept == "complete" else [None])


def test_a_shorter_file_on_the_server(server, archive, tmp_path):
    (tmp_path / "photos.part").write_bytes(bytes(1000))
    server.body = bytes(500)
    with pytest.raises(
        ValueError, match="500 bytes of application/x-gzip in place of an archive"
    ):
        get(archive, tmp_path)
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("resumed", [False, True])
def test_wrong_bytes(server, archive, tmp_path, resumed):
    if resumed:
        (tmp_path / "photos.part").write_bytes(b"not the beginning")
    else:
        server.body = server.body[:-1] + b"?"
    with pytest.raises(
        ValueError, match=f"sha256 .* expected {archive.size:,} bytes with {archive.sha256}"
    ):
        get(archive, tmp_path)
    assert_nothing_left(tmp_path)


def test_a_page_instead_of_an_archive(server, archive, tmp_path):
    server.plan = ["page"]
    with pytest.raises(ValueError, match=r"26 bytes of text/html.* in place of an archive"):
        get(archive, tmp_path)
    assert_nothing_left(tmp_path)
    assert len(server.requests) == 1, "asking again would not help"


@pytest.mark.parametrize("status", [403, 404])
def test_refusals(server, archive, tmp_path, status):
    server.plan = [str(status)]
    (tmp_path / "photos.part").write_bytes(b"of an earlier try")
    with pytest.raises(ConnectionError, match=f"answered {status} .*COURSE_DATA.*bundled"):
        get(archive, tmp_path)
    assert_nothing_left(tmp_path)
    assert len(server.requests) == 1, "asking again would not help"


def test_a_busy_server_is_asked_again(server, archive, tmp_path):
    server.plan = ["503", "429", "ok"]
    assert_complete(get(archive, tmp_path), tmp_path)
    server.plan = ["500"]
    with pytest.raises(ConnectionError, match="3 tries, the last one failed with HTTPError"):
        get(replace(archive, folder="more"), tmp_path / "more", attempts=3)
    assert_nothing_left(tmp_path / "more")


def test_no_network(server, archive, tmp_path):
    server.close()
    with pytest.raises(ConnectionError, match=r"2 tries.*ConnectionError.*Check the network"):
        get(archive, tmp_path / "x", attempts=2)
    assert_nothing_left(tmp_path / "x")


def test_a_silent_server_is_given_up(archive, tmp_path, monkeypatch):
    import socket

    monkeypatch.setattr(download, "_TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/photos.tgz"
        with pytest.raises(ConnectionError, match="ReadTimeout"):
            get(replace(archive, url=url), tmp_path, attempts=2)
    assert_nothing_left(tmp_path)


class FullDisk:
    """A file that takes `room` bytes and then none."""

    def __init__(self, file, room: int):
        self.file, self.room = file, room

    def write(self, content):
        self.room -= len(content)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(content)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def test_disk_full_while_downloading(archive, tmp_path, monkeypatch):
    opened = Path.open

    def full(path, mode="r", *rest, **named):
        file = opened(path, mode, *rest, **named)
        return (
            FullDisk(file, archive.size // 2)
            if path.suffix == ".part" and mode in ("ab", "wb")
            else file
        )

    monkeypatch.setattr(Path, "open", full)
    monkeypatch.setattr(download, "_CHUNK", 1000)
    with pytest.raises(
        OSError, match=r"disk is full: about .* MB are needed in .*KERAS_HOME"
    ) as error:
        get(archive, tmp_path)
    assert error.value.errno == errno.ENOSPC
    assert_nothing_left(tmp_path)


def test_disk_full_while_unpacking(archive, tmp_path, monkeypatch):
    copied = tarfile.copyfileobj

    def full(source, target, *rest, **named):
        copied(source, target, *rest, **named)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile, "copyfileobj", full)
    with pytest.raises(OSError, match="disk is full"):
        get(archive, tmp_path)
    assert_nothing_left(tmp_path)


def test_a_folder_that_cannot_be_made(archive, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"Cannot write to .*Set KERAS_HOME"):
        get(archive, tmp_path / "file")


def test_a_folder_in_the_way_is_not_touched(server, archive, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="is in the way"):
        get(archive, tmp_path)
    assert (tmp_path / "photos/mine.txt").read_text() == "keep"
    assert server.requests == []


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "bad",
    [
        member("photos/../../escaped.txt"),
        member("/tmp/escaped.txt"),
        member("elsewhere/escaped.txt"),
        member("photos/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("photos/link", tarfile.SYMTYPE, "daisy/a.jpg"),
        member("photos/hard", tarfile.LNKTYPE, "photos/daisy/a.jpg"),
        member("photos/device", tarfile.CHRTYPE),
    ],
    ids=lambda info: f"{info.name}-{info.type.decode()}",
)
def test_archives_that_reach_outside_are_not_unpacked(server, archive, tmp_path, bad):
    server.body = archive_bytes((bad,))
    archive = replace(
        archive, size=len(server.body), sha256=hashlib.sha256(server.body).hexdigest()
    )
    into = tmp_path / "deep/datasets"
    with pytest.raises(ValueError, match=rf"{re.escape(bad.name)}.*not unpacked"):
        get(archive, into)
    assert_nothing_left(into)
    assert not list(tmp_path.rglob("escaped.txt"))


def test_a_file_that_is_no_archive(server, archive, tmp_path):
    server.body = b"as announced, but no archive"
    archive = replace(
        archive, size=len(server.body), sha256=hashlib.sha256(server.body).hexdigest()
    )
    with pytest.raises(ValueError, match=r"not a readable \.tgz"):
        get(archive, tmp_path)
    assert_nothing_left(tmp_path)


def test_flowers_by_download(server, archive, tmp_path, monkeypatch):
    """The whole rung, from consent to batches, and the cache the next time."""
    import tensorflow as tf

    for name in list(FILES):
        if name.endswith(".jpg"):
            monkeypatch.setitem(
                FILES, name, tf.io.encode_jpeg(tf.zeros([16, 16, 3], tf.uint8)).numpy()
            )
    server.body = archive_bytes()
    archive = replace(
        archive, size=len(server.body), sha256=hashlib.sha256(server.body).hexdigest()
    )
    monkeypatch.setattr(data, "FLOWER_PHOTOS", replace(archive, folder="photos"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("COURSE_KAGGLE_INPUT", str(tmp_path / "none"))
    found = data.flowers(16, download=True, verbose=False)
    assert (found.source, found.class_names) == ("download", ("daisy", "roses"))
    assert next(iter(found.batches("train", 2)))[0].shape == (2, 16, 16, 3)


def test_the_real_archive_is_pinned():
    assert download.FLOWER_PHOTOS.size == 228_813_984
    assert re.fullmatch("[0-9a-f]{64}", download.FLOWER_PHOTOS.sha256)
    assert download.FLOWER_PHOTOS.url.endswith("/example_images/flower_photos.tgz")
