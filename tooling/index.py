"""A static simple index (PEP 503) of the wheels, and a server to try it with."""

import email
import hashlib
import html
import shutil
import threading
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tooling.packages import requirement_name


def write_index(wheels: Iterable[Path], folder: Path) -> None:
    """Write the index into ``folder/simple``, anew; any web server can serve it.

    Args:
        wheels: The wheels to offer; they are copied, each link carries its wheel's sha256.
        folder: What is in it is lost.
    """
    shutil.rmtree(folder, ignore_errors=True)
    projects: dict[str, list[str]] = {}
    for wheel in sorted(wheels):
        project = requirement_name(wheel.name.partition("-")[0])
        target = folder / "simple" / project / wheel.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(wheel, target)
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        attributes = {"href": f"{wheel.name}#sha256={digest}"}
        if requires := _requires_python(wheel):
            attributes["data-requires-python"] = requires
        projects.setdefault(project, []).append(_link(wheel.name, attributes))
    for project, links in projects.items():
        _write_page(folder / "simple" / project, f"Links for {project}", links)
    links = [_link(project, {"href": f"{project}/"}) for project in sorted(projects)]
    _write_page(folder / "simple", "Simple index", links)


def _requires_python(wheel: Path) -> str | None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))["Requires-Python"]


def _link(text: str, attributes: dict[str, str]) -> str:
    written = "".join(f' {name}="{html.escape(value)}"' for name, value in attributes.items())
    return f"<a{written}>{html.escape(text)}</a><br>"


def _write_page(folder: Path, title: str, links: Iterable[str]) -> None:
    head = f"<head><title>{html.escape(title)}</title></head>"
    lines = ["<!DOCTYPE html>", "<html>", head, "<body>", *links, "</body>", "</html>", ""]
    (folder / "index.html").write_text("\n".join(lines), encoding="utf-8")


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the installer reports what it fetched."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP on the loopback interface and yield its address."""
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
