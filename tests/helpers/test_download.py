"""helpers.download against a local server that misbehaves in every way a real one does."""

import errno
import hashlib
import io
import re
import socket
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import keras
import pytest
import tensorflow as tf

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
    """Serves `body` at /photos.tgz, in the way that `step` says."""

    def __init__(self, body: bytes):
        self.body = body
        self.step = "ok"
        self.requests = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.requests += 1
                server.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/photos.tgz"
        self.thread = threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self.thread.start()

    def answer(self, handler):
        if self.step.isdigit():
            handler.send_error(int(self.step))
            return
        body, kind = self.body, "application/x-gzip"
        if self.step == "page":
            body, kind = b"<html>Please log in</html>", "text/html; charset=utf-8"
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        if self.step == "gzip encoding":
            accepted = handler.headers.get("Accept-Encoding", "")
            coding = "gzip" if "gzip" in accepted else "identity"
            handler.send_header("Content-Encoding", coding)
        if self.step not in ("no length", "no length cut"):
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2] if "cut" in self.step else body)
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
    return Archive(server.url, hashlib.sha256(server.body).hexdigest(), "photos")


def assert_complete(folder: Path, into: Path):
    assert folder == into / "photos"
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(into))] = path.read_bytes()
    assert found == FILES
    assert [path.name for path in into.iterdir()] == ["photos"], "nothing else is left"


def assert_nothing_left(into: Path):
    assert not into.exists() or list(into.iterdir()) == []


def serve(server: Server, archive: Archive, body: bytes) -> Archive:
    """Let the server send other bytes, and expect them."""
    server.body = body
    return replace(archive, sha256=hashlib.sha256(body).hexdigest())


@pytest.mark.parametrize("step", ["ok", "no length", "gzip encoding"])
def test_a_plain_download(server, archive, tmp_path, step, capsys):
    server.step = step
    into = tmp_path / "new/datasets"
    assert_complete(fetch(archive, into), into)
    assert server.requests == 1
    assert socket.getdefaulttimeout() is None
    if step == "ok":
        size = len(server.body)
        assert re.search(rf"{size}/{size}.*━", capsys.readouterr().out)


@pytest.mark.parametrize("step", ["cut", "no length cut"])
def test_a_download_that_breaks_off_starts_again_with_the_next_call(
    server, archive, tmp_path, step
):
    server.step = step
    error = ConnectionError if step == "cut" else ValueError
    with pytest.raises(error):
        fetch(archive, tmp_path)
    assert_nothing_left(tmp_path)
    server.step = "ok"
    assert_complete(fetch(archive, tmp_path), tmp_path)


@pytest.mark.parametrize("step", ["wrong bytes", "page"])
def test_other_bytes_than_expected(server, archive, tmp_path, step):
    server.step = step
    server.body = server.body[:-1] + b"?"
    with pytest.raises(ValueError, match=rf"checksum.*{archive.sha256}.*log-in page"):
        fetch(archive, tmp_path)
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_refusals(server, archive, tmp_path, status):
    server.step = str(status)
    with pytest.raises(ConnectionError, match=f"{server.url}: {status} .*COURSE_DATA.*bundled"):
        fetch(archive, tmp_path)
    assert_nothing_left(tmp_path)


def test_no_network(server, archive, tmp_path):
    server.close()
    with pytest.raises(ConnectionError, match=r"refused.*Check the network"):
        fetch(archive, tmp_path / "x")
    assert_nothing_left(tmp_path / "x")


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nx"])
def test_a_silent_server_is_given_up(archive, tmp_path, monkeypatch, beginning):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/photos.tgz"

        def begin():
            connection, _ = mute.accept()
            connection.sendall(beginning)
            connections.append(connection)

        connections = []
        thread = threading.Thread(target=begin)
        thread.start()
        with pytest.raises(ConnectionError, match="timed out"):
            fetch(replace(archive, url=url), tmp_path)
        thread.join()
        connections[0].close()
    assert_nothing_left(tmp_path)
    assert socket.getdefaulttimeout() is None


def test_fashion_from_a_silent_server_is_given_up(tmp_path, monkeypatch):
    """Keras itself would wait for ever."""
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/x.gz"
        get_file = keras.utils.get_file
        monkeypatch.setattr(
            keras.datasets.fashion_mnist,
            "load_data",
            lambda: get_file("x.gz", url, cache_dir=tmp_path),
        )
        with pytest.raises(ConnectionError, match="timed out"):
            data.fashion(source="download")


@pytest.mark.parametrize("step", ["downloading", "unpacking"])
def test_disk_full(archive, tmp_path, monkeypatch, step):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "downloading":
        monkeypatch.setattr(keras.utils, "get_file", full)
    else:
        monkeypatch.setattr(tarfile, "copyfileobj", full)
    with pytest.raises(OSError, match=r"No space left.*480 MB.*KERAS_HOME") as error:
        fetch(archive, tmp_path)
    assert error.value.errno == errno.ENOSPC
    assert_nothing_left(tmp_path)


def test_a_folder_that_cannot_be_made(archive, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"Could not write to .*set KERAS_HOME"):
        fetch(archive, tmp_path / "file")


def test_a_folder_in_the_way_is_not_touched(server, archive, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="is in the way"):
        fetch(archive, tmp_path)
    assert (tmp_path / "photos/mine.txt").read_text() == "keep"
    assert server.requests == 0


def test_two_downloads_at_once_do_not_disturb_each_other(
    server, archive, tmp_path, monkeypatch
):
    """The second begins and ends while the first is unpacking."""
    unpack = download._unpack

    def overtaken(*arguments):
        monkeypatch.setattr(download, "_unpack", unpack)
        fetch(archive, tmp_path)
        unpack(*arguments)

    monkeypatch.setattr(download, "_unpack", overtaken)
    assert_complete(fetch(archive, tmp_path), tmp_path)
    assert server.requests == 2


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "bad",
    [
        member("photos/../../escaped.txt"),
        member("photos/../../../escaped.txt"),
        member("photos/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("photos/link", tarfile.SYMTYPE, "../../escaped.txt"),
        member("photos/hard", tarfile.LNKTYPE, "../escaped.txt"),
        member("photos/device", tarfile.CHRTYPE),
    ],
    ids=lambda info: f"{info.name}-{info.type.decode()}",
)
def test_archives_that_reach_outside_are_not_unpacked(server, archive, tmp_path, bad):
    archive = serve(server, archive, archive_bytes((bad,)))
    into = tmp_path / "deep/datasets"
    with pytest.raises(
        ValueError, match=rf"archive that can be unpacked .*{re.escape(bad.name)}"
    ):
        fetch(archive, into)
    assert_nothing_left(into)
    assert not list(tmp_path.rglob("escaped.txt"))


def test_a_python_without_filters_unpacks_the_same(server, archive, tmp_path, monkeypatch):
    monkeypatch.delattr(tarfile, "data_filter")
    assert_complete(fetch(archive, tmp_path), tmp_path)


@pytest.mark.parametrize("body", [b"as announced, but no archive", "half"])
def test_a_file_that_is_no_archive(server, archive, tmp_path, body):
    if body == "half":
        body = server.body[: len(server.body) // 2]
    archive = serve(server, archive, body)
    with pytest.raises(ValueError, match=r"not a \.tgz archive"):
        fetch(archive, tmp_path)
    assert_nothing_left(tmp_path)


def test_flowers_by_download(server, archive, tmp_path, monkeypatch):
    """The whole way, from consent to batches, and the cache the next time."""
    encoded = tf.io.encode_jpeg(tf.zeros([16, 16, 3], tf.uint8)).numpy()
    for name in list(FILES):
        if name.endswith(".jpg"):
            monkeypatch.setitem(FILES, name, encoded)
    archive = serve(server, archive, archive_bytes())
    monkeypatch.setattr(data, "FLOWER_PHOTOS", archive)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("COURSE_KAGGLE_INPUT", str(tmp_path / "none"))
    found = data.flowers(16, source="download", verbose=False)
    assert (found.source, found.class_names) == ("download", ("daisy", "roses"))
    assert next(iter(found.batches("train", 2)))[0].shape == (2, 16, 16, 3)


def test_the_real_archive_is_pinned():
    assert re.fullmatch("[0-9a-f]{64}", download.FLOWER_PHOTOS.sha256)
    assert download.FLOWER_PHOTOS.url.endswith("/example_images/flower_photos.tgz")
