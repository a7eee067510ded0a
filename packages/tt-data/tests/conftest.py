import gzip
import hashlib
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tt_data import RemoteFile

CONTENT = np.random.default_rng(0).bytes(500_000)
CUT = 150_000  # bytes after which a connection is cut


class MirrorHandler(BaseHTTPRequestHandler):
    """Serves one content at any path; the path's first part says how badly."""

    protocol_version = "HTTP/1.1"
    server: "Mirrors"

    def do_GET(self) -> None:
        self.close_connection = True
        way = self.path.split("/")[1]
        given = self.headers.get("Range")
        self.server.requests.append((way, given))
        start = int(given.removeprefix("bytes=").rstrip("-")) if given else 0
        ranges = way not in ("whole-without-ranges", "cut-without-ranges", "stall", "unbounded")
        content = self.server.content
        if way in ("404", "503"):
            self.head(int(way), 0)
        elif way == "redirect":
            self.send_response(302)
            self.send_header("Location", "/whole/" + self.path.split("/")[2])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif way == "wrong":
            self.body(bytes(len(content)))
        elif way == "page":
            self.body(b"<html>Not the file</html>")
        elif way == "no-such-range" and start:
            self.head(416, 0)
        elif way == "other-range" and start:
            self.head(206, 10, "bytes 0-9/500000")
            self.wfile.write(content[:10])
        elif way == "encoded":
            self.body(gzip.compress(content), "Content-Encoding", "gzip")
        elif way == "endless":
            self.send_response(200)
            self.end_headers()
            while not self.server.over.is_set():
                self.wfile.write(bytes(1 << 16))
        elif way == "stops":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content[:25])
        elif way == "unbounded":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)
        elif start and ranges:
            total = len(content)
            self.head(206, total - start, f"bytes {start}-{total - 1}/{total}")
            self.send(way, content[start:])
        else:
            self.head(200, len(content))
            self.send(way, content)

    def end_headers(self) -> None:
        self.send_header("Connection", "close")
        super().end_headers()

    def head(self, status: int, length: int, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def body(self, data: bytes, *header: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        if header:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(data)

    def send(self, way: str, data: bytes) -> None:
        """Send data, or begin to."""
        if way == "crumbs":
            self.wfile.write(data[:70_000])
        elif way.startswith("cut"):
            self.wfile.write(data[:CUT])
        elif way == "stall":
            self.wfile.write(data[:CUT])
            self.wfile.flush()
            self.server.over.wait(20)
        elif way == "slow":
            for begin in range(0, len(data), 50_000):
                self.wfile.write(data[begin : begin + 50_000])
                self.server.over.wait(0.05)
        else:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Mirrors(ThreadingHTTPServer):
    """A server with a mirror for each kind of trouble."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MirrorHandler)
        self.content = CONTENT
        self.requests: list[tuple[str, str | None]] = []
        self.over = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # the client went away, as it should

    def folder(self, way: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{way}/"

    def file(self, *ways: str) -> RemoteFile:
        digest = hashlib.sha256(self.content).hexdigest()
        urls = tuple(self.folder(way) + "data.bin" for way in ways)
        return RemoteFile("data.bin", digest, len(self.content), urls)


@pytest.fixture
def mirrors(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirrors]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Mirrors() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def idx(array: NDArray[np.uint8], magic: int | None = None) -> bytes:
    """Make an idx file of unsigned bytes."""
    magic = 0x800 + array.ndim if magic is None else magic
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


@pytest.fixture(scope="session")
def make_idx() -> Callable[..., bytes]:
    return idx


@pytest.fixture
def mnist_dir(tmp_path: Path) -> Path:
    """A data folder with a small MNIST: the training files gzipped, the test files not."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    random = np.random.default_rng(1)
    for part, count in (("train", 20), ("t10k", 7)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, data in (
            (f"{part}-images-idx3-ubyte", idx(images)),
            (f"{part}-labels-idx1-ubyte", idx(labels)),
        ):
            if part == "train":
                (folder / f"{name}.gz").write_bytes(gzip.compress(data))
            else:
                (folder / name).write_bytes(data)
    return tmp_path
