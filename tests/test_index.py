import hashlib
import re
import urllib.request
from pathlib import Path

from tooling.index import served, write_index
from wheel_files import make_wheel


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as response:
        content: bytes = response.read()
    return content


def test_the_index_is_a_simple_index_whose_hashes_are_true(tmp_path: Path) -> None:
    wheels = [make_wheel(tmp_path, "tt-a", "0.1"), make_wheel(tmp_path, "tt-a", "0.2")]
    wheels.append(make_wheel(tmp_path, "tt-b", "1.0"))
    write_index(wheels, tmp_path / "index")
    with served(tmp_path / "index") as address:
        root = fetch(f"{address}/simple/").decode()
        assert re.findall(r'href="([^"]*)"', root) == ["tt-a/", "tt-b/"]
        page = fetch(f"{address}/simple/tt-a/").decode()
        links = re.findall(r'href="([^"#]*)#sha256=(\w+)" data-requires-python="([^"]*)"', page)
        assert [name for name, _, _ in links] == [wheel.name for wheel in wheels[:2]]
        for name, digest, requires in links:
            content = fetch(f"{address}/simple/tt-a/{name}")
            assert hashlib.sha256(content).hexdigest() == digest
            assert requires == "&gt;=3.11"


def test_writing_the_index_again_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    write_index([make_wheel(tmp_path, "tt-a", "0.1")], tmp_path / "index")
    write_index([make_wheel(tmp_path, "tt-b", "0.1")], tmp_path / "index")
    assert {path.name for path in (tmp_path / "index/simple").iterdir()} == {"tt-b", "index.html"}
