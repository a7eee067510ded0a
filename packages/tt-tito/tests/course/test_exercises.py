"""Exercises in source text: found, taken out, put back."""

import ast
import codecs
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tt_tito import TitoError
from tt_tito.course import (
    Module,
    blanked,
    encode,
    fill,
    is_blank,
    locate,
    preceded,
    reference_body,
    same_arguments,
    same_code,
)

RAISE = 'raise NotImplementedError("module 02: write tt_x.f")'


def module(*exercises: str) -> Module:
    return Module("02", "x", ("tt-x",), "module_02", exercises)


def package(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = folder / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def apply(folder: Path, changes: dict[Path, str]) -> None:
    for file, text in changes.items():
        (folder / file).write_bytes(encode(text))


# Each source holds the exercise f; what it becomes, where RAISE stands for the new statement.
BODIES = {
    "plain": ("def f(x):\n    return x\n", "def f(x):\n    RAISE\n"),
    "docstring": (
        'def f(x):\n    """Doc.\n\n    More.\n    """\n    return x\n',
        'def f(x):\n    """Doc.\n\n    More.\n    """\n    RAISE\n',
    ),
    "only a docstring": ('def f():\n    """Doc."""\n', 'def f():\n    """Doc."""\n    RAISE\n'),
    "only a docstring, at the end": ('def f():\n    "Doc."', 'def f():\n    "Doc."\n    RAISE'),
    "an f-string is no docstring": ('def f():\n    f"Doc."\n    g()\n', "def f():\n    RAISE\n"),
    "one line": ("def f(x): return x\ny = 1\n", "def f(x): RAISE\ny = 1\n"),
    "one line, only a docstring": ('def f(x): "Doc."  # c\n', 'def f(x): "Doc."; RAISE  # c\n'),
    "one line with a comment": (
        "def f(x): return x  # type: ignore\n",
        "def f(x): RAISE  # type: ignore\n",
    ),
    "one line, several statements": ("def f(x): y = x; return y\n", "def f(x): RAISE\n"),
    "one line, a docstring": ('def f(x): "Doc."; return x\n', 'def f(x): "Doc."; RAISE\n'),
    "docstring and semicolon": (
        'def f(x):\n    "Doc."; y = x\n    return y\n',
        'def f(x):\n    "Doc."; RAISE\n',
    ),
    "signature of several lines": (
        "def f(\n    x: int,  # one\n    *,\n    y: 'str' = ':',\n    # last\n) -> dict[str, int]:"
        "  # noqa\n    return {}\n",
        "def f(\n    x: int,  # one\n    *,\n    y: 'str' = ':',\n    # last\n) -> dict[str, int]:"
        "  # noqa\n    RAISE\n",
    ),
    "colons in the signature": (
        "def f(x=lambda: {1: 2}[1:2], *a: int) -> lambda: 1:\n    return x\n",
        "def f(x=lambda: {1: 2}[1:2], *a: int) -> lambda: 1:\n    RAISE\n",
    ),
    "continued line": (
        "def f(x)\\\n        :\n    return x\n",
        "def f(x)\\\n        :\n    RAISE\n",
    ),
    "comments before, in and after": (
        "def f(x):\n\n    # how\n    y = x  # why\n\n    # more\n    return y  # end\n\n\nz = 1\n",
        "def f(x):\n    RAISE\n\n\nz = 1\n",
    ),
    "comments after the body": (
        "def f(x):\n    return x\n\n    # It was a trick.\n# Not of f\nz = 1\n",
        "def f(x):\n    RAISE\n# Not of f\nz = 1\n",
    ),
    "decorators": (
        "@a\n@b(\n    1\n)\ndef f(x):\n    return x\n",
        "@a\n@b(\n    1\n)\ndef f(x):\n    RAISE\n",
    ),
    "a decorated function first": (
        "def f(x):\n    @(\n        a\n    )\n    def g():\n        return x\n    return g\n",
        "def f(x):\n    RAISE\n",
    ),
    "nested functions and classes": (
        "def f(x):\n    class A:\n        def f(self): pass\n    def f(y):\n        return y\n"
        "    return f\n",
        "def f(x):\n    RAISE\n",
    ),
    "async": ("async def f(x):\n    return await x\n", "async def f(x):\n    RAISE\n"),
    "overloads": (
        "@overload\ndef f(x: int) -> int: ...\n@typing.overload\ndef f(x: str) -> str: ...\n"
        "def f(x): return x\n",
        "@overload\ndef f(x: int) -> int: ...\n@typing.overload\ndef f(x: str) -> str: ...\n"
        "def f(x): RAISE\n",
    ),
    "the last definition counts": (
        "def f(x):\n    return 1\ndef f(x):\n    return 2\n",
        "def f(x):\n    return 1\ndef f(x):\n    RAISE\n",
    ),
    "in a condition": (
        "if TYPE_CHECKING:\n    def f(x): ...\nelse:\n    def f(x):\n        return x\n",
        "if TYPE_CHECKING:\n    def f(x): ...\nelse:\n    def f(x):\n        RAISE\n",
    ),
    "an attempt": (
        "try:\n    import y\nexcept ImportError:\n    def f(x):\n        return x\n",
        "try:\n    import y\nexcept ImportError:\n    def f(x):\n        RAISE\n",
    ),
    "tabs": ("def f(x):\n\tif x:\n\t\treturn x\n", "def f(x):\n\tRAISE\n"),
    "Windows": ("def f(x):\r\n    y = x\r\n    return y\r\n", "def f(x):\r\n    RAISE\r\n"),
    "Windows, only a docstring": (
        'def f():\r\n    "D"\r\n',
        'def f():\r\n    "D"\r\n    RAISE\r\n',
    ),
    "old Macintosh": ("def f(x):\r    return x\rz = 1\r", "def f(x):\r    RAISE\rz = 1\r"),
    "no final newline": ("def f(x):\n    return x", "def f(x):\n    RAISE"),
    "text that is no ASCII": (
        "def f(x): 'Größe ∇'; y = 'é'; return y  # ü\n",
        "def f(x): 'Größe ∇'; RAISE  # ü\n",
    ),
    "line ends that are not": (
        "a = 1\x0c\ndef f(x):\n    '\u2028'\n    return '\x0c\x85'\nz = 1\n",
        "a = 1\x0c\ndef f(x):\n    '\u2028'\n    RAISE\nz = 1\n",
    ),
    "byte order mark": ("\ufeffdef f(x): return x\n", "\ufeffdef f(x): RAISE\n"),
    "a string of several lines last": (
        'def f(x):\n    return """\nno end of f\n"""\nz = 1\n',
        "def f(x):\n    RAISE\nz = 1\n",
    ),
}


@pytest.mark.parametrize(("source", "expected"), BODIES.values(), ids=BODIES)
def test_only_the_body_is_taken_out(source: str, expected: str, tmp_path: Path) -> None:
    folder = package(tmp_path, {"tt_x/__init__.py": source})
    changes = blanked(folder, module("tt_x.f"))
    assert changes == {Path("src/tt_x/__init__.py"): expected.replace("RAISE", RAISE)}
    check_round_trip(folder, "tt_x.f")


def check_round_trip(folder: Path, exercise: str) -> None:
    """Take the body out, twice, and put it back."""
    place, body = locate(folder, exercise), reference_body(folder, exercise)
    before = (folder / place.file).read_bytes()
    assert not is_blank(folder, exercise)
    apply(folder, blanked(folder, module(exercise)))
    after = (folder / place.file).read_bytes()
    again = locate(folder, exercise)
    assert (again.file, again.qualname, again.line) == (place.file, place.qualname, place.line)
    assert is_blank(folder, exercise)
    assert blanked(folder, module(exercise)) == {}
    assert outline(before, place.line) == outline(after, place.line)
    if body:
        apply(folder, fill(folder, exercise, body))
        assert (folder / place.file).read_bytes() == before


def outline(data: bytes, line: int) -> str:
    """The syntax tree of a file without the body of the function on a line."""
    tree = ast.parse(data)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.lineno == line:
            node.body = [ast.Expr(ast.Constant(ast.get_docstring(node, clean=False)))]
    return ast.dump(tree)


HEADERS = ["def f(self):", "async def f(self, a: int = 1) -> 'A':", "def f(\n    self\n):  # noqa"]
DECORATORS = ["", "@property\n", "@a.b(lambda: 1)\n@c\n", "# comment\n"]
DOCSTRINGS = ["", '"""One."""', '"""Two\n\n    lines: all.\n    """  # noqa', "'Größe'"]
STATEMENTS = [
    ["return self"],
    ["# comment", "x = [", "1,", "]", "return x"],
    ["if self:", "    return '''", "text '''", "", "return 1  # one"],
    ["def f(): return 2", "return f"],
    ["@a", "def g():", "    yield 1", "# last", "return g()"],
    ["pass"],
]


@st.composite
def sources(draw: st.DrawFn) -> bytes:
    """A file with a class A, whose function f is made of odd parts."""
    indent = draw(st.sampled_from(["    ", "\t", " "]))
    parts = [draw(st.sampled_from(DECORATORS)) + draw(st.sampled_from(HEADERS))]
    docstring, body = draw(st.sampled_from(DOCSTRINGS)), draw(st.sampled_from(STATEMENTS))
    inside = [*([docstring] if docstring else []), *draw(st.sampled_from([[], [""]])), *body]
    function = "\n".join([*parts, *(indent + line if line else "" for line in inside)])
    lines = [indent + line if line else "" for line in function.split("\n")]
    before, after = draw(st.sampled_from(["", "x = 1"])), draw(st.sampled_from(["", "y = 2"]))
    text = "\n".join(
        [
            "class A:",
            *([indent + before] if before else []),
            *lines,
            *([indent + after] if after else []),
            *draw(st.sampled_from([[], [""], ["", "", "z = 'ü'"]])),
        ]
    )
    text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "cp1252"]))
    cookie = "" if encoding.startswith("utf") else f"# -*- coding: {encoding} -*-\n"
    return (cookie + text).encode(encoding)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=sources())
def test_what_is_taken_out_can_be_put_back(data: bytes, tmp_path: Path) -> None:
    folder = package(tmp_path, {"tt_x/__init__.py": data})
    check_round_trip(folder, "tt_x.A.f")
    apply(folder, preceded(folder, {"tt_x.A.f": "note('tt_x.A.f')"}))
    assert reference_body(folder, "tt_x.A.f").lstrip().startswith("note('tt_x.A.f')")
    ast.parse((folder / "src/tt_x/__init__.py").read_bytes())


CLASSES = "class A:\n    def f(self):\n        return 1\n\n    def __add__(self, other): return 2\n"
PACKAGE: dict[str, bytes | str] = {
    "tt_x/__init__.py": "from . import functional as functional\nfrom ._b import B as B\n"
    "from ._b import g as h\nfrom .far import *\nfrom numpy import sum as sum\nVALUE = 3\n"
    "import tt_x._a as base\nimport tt_x.functional\nfrom ._circle import lost as lost\n",
    "tt_x/_a.py": "import numpy as np\n\nclass Root(np.ndarray, Generic[T]):\n"
    f"    def root(self): pass\n\n{CLASSES}",
    "tt_x/_b.py": "from ._a import A, Root\nfrom . import _c, _a\nfrom ._c import g as g\n\n\n"
    "class Middle(_a.A, Unknown[int]):\n    pass\n\n\nclass B(Middle, Root[int]):\n    c = _c.g\n"
    "    plus = __add__ = _c.plus\n    times = c\n    number: int = 4\n    c2: object = _c.g\n\n"
    "    @property\n    def shape(self):\n        return ()\n\n    @shape.setter\n"
    "    def shape(self, value):\n        raise AttributeError\n\n"
    "    class Inner:\n        def deep(self): return 5\n\n"
    "    if TYPE_CHECKING:\n        def f(self, typed): ...\n",
    "tt_x/_c.py": "def g():\n    def inner(): return 6\n    return inner\n\n\n"
    "def plus(self, other):\n    return 7\n",
    "tt_x/functional.py": "from ._c import g as relu\nfrom .models.gpt import GPT as GPT\n",
    "tt_x/models/__init__.py": "from .gpt import GPT as GPT\n",
    "tt_x/models/gpt.py": "from .._b import B\n\n\nclass GPT(B):\n"
    "    def forward(self): return 8\n",
    "tt_x/_circle.py": "from . import lost as lost\n",
    "tt_x/_deep.py": f"x = {'-' * 200_000}1\n",
    "tt_x/_long.py": f"x = a{'.a' * 200_000}\n",
    "tt_x/_broken.py": "def f(:\n    pass\n",
    "tt_x/_null.py": "x = 1\x00\n",
    "tt_x/_bytes.py": b"x = '\xff'\n",
    "tt_x/_cookie.py": b"# coding: nothing-such\n",
    "tt_x/_hex.py": b"# coding: hex\n00\n",
}
PLACES = {
    "tt_x._c.g": ("_c.py", "g", 1),
    "tt_x.h": ("_c.py", "g", 1),
    "tt_x._b.g": ("_c.py", "g", 1),
    "tt_x.functional.relu": ("_c.py", "g", 1),
    "tt_x.base.A.f": ("_a.py", "A.f", 7),
    "tt_x.B.f": ("_a.py", "A.f", 7),
    "tt_x.B.root": ("_a.py", "Root.root", 4),
    "tt_x.B.__add__": ("_c.py", "plus", 6),
    "tt_x.B.plus": ("_c.py", "plus", 6),
    "tt_x.B.times": ("_c.py", "g", 1),
    "tt_x.B.c2": ("_c.py", "g", 1),
    "tt_x.B.shape": ("_b.py", "B.shape", 18),
    "tt_x.B.Inner.deep": ("_b.py", "B.Inner.deep", 26),
    "tt_x.models.GPT.forward": ("models/gpt.py", "GPT.forward", 5),
    "tt_x.models.gpt.GPT.f": ("_a.py", "A.f", 7),
    "tt_x.functional.GPT.Inner.deep": ("_b.py", "B.Inner.deep", 26),
}


@pytest.mark.parametrize("exercise", PLACES)
def test_a_name_is_followed_to_its_function(exercise: str, tmp_path: Path) -> None:
    place = locate(package(tmp_path, PACKAGE), exercise)
    file, qualname, line = PLACES[exercise]
    assert place.exercise == exercise
    assert place.file == Path("src/tt_x", file)
    assert (place.qualname, place.line) == (qualname, line)


@pytest.mark.parametrize(
    ("exercise", "message"),
    [
        ("tt_y.f", "has no package src/tt_y"),
        ("tt_x.missing", "There is no function tt_x.missing in"),
        ("tt_x.sum", "There is no function"),  # of another package
        ("tt_x.lost", "There is no function"),  # imports in a circle
        ("tt_x.far.f", "There is no function"),
        ("tt_x.B.missing", "There is no function"),
        ("tt_x._c.g.inner", "There is no function"),
        ("tt_x.base.A.f.__doc__", "There is no function"),
        ("tt_x.B", "is a class (src/tt_x/_b.py); an exercise is one function of it"),
        ("tt_x.B.Inner", "is a class"),
        ("tt_x.functional", "is a module (src/tt_x/functional.py)"),
        ("tt_x.VALUE", "is no function but a value"),
        ("tt_x.B.number", "is no function but a value"),
        ("tt_x._broken.f", "_broken.py, line 1: this is not Python"),
        ("tt_x._deep.f", "_deep.py is nested too deeply"),
        ("tt_x._long.f", "_long"),
        ("tt_x._null.f", "_null.py"),
        ("tt_x._bytes.f", "_bytes.py"),
        ("tt_x._cookie.f", "_cookie.py"),
        ("tt_x._hex.f", "_hex.py cannot be read as Python"),
    ],
)
def test_what_is_no_function_is_told(exercise: str, message: str, tmp_path: Path) -> None:
    folder = package(tmp_path, PACKAGE)
    for look in (locate, reference_body, is_blank):
        with pytest.raises(TitoError) as error:
            look(folder, exercise)
        assert message.replace("/", str(Path("/"))[0]) in str(error.value)
    with pytest.raises(TitoError):
        blanked(folder, module(exercise), [exercise])


def test_a_broken_file_is_in_no_ones_way_but_its_own(tmp_path: Path) -> None:
    folder = package(tmp_path, PACKAGE)
    assert locate(folder, "tt_x.h").line == 1


def test_all_exercises_of_a_module_are_taken_out_at_once(tmp_path: Path) -> None:
    folder = package(tmp_path, PACKAGE)
    exercises = ("tt_x.B.f", "tt_x.base.A.__add__", "tt_x.h", "tt_y.f")
    changes = blanked(folder, module(*exercises))
    assert {file.name for file in changes} == {"_a.py", "_c.py"}
    text = changes[Path("src/tt_x/_a.py")]
    assert 'write tt_x.B.f")' in text
    assert 'write tt_x.base.A.__add__")' in text
    apply(folder, changes)
    assert [is_blank(folder, name) for name in exercises[:3]] == [True, True, True]
    assert blanked(folder, module(*exercises), ["tt_x.B.plus"]).keys() == {Path("src/tt_x/_c.py")}


def test_two_names_of_one_function_are_taken_out_once(tmp_path: Path) -> None:
    folder = package(tmp_path, PACKAGE)
    (text,) = blanked(folder, module("tt_x.h", "tt_x._c.g")).values()
    assert text.count("raise NotImplementedError") == 1


def test_the_lines_of_the_body_are_told(tmp_path: Path) -> None:
    source = 'def f(\n    x\n):\n    """Doc."""\n    # how\n    y = x\n\n    return y\n\nz = 1\n'
    folder = package(tmp_path, {"tt_x/__init__.py": source})
    place = locate(folder, "tt_x.f")
    assert (place.line, place.body) == (1, (5, 8))
    assert reference_body(folder, "tt_x.f") == "    # how\n    y = x\n\n    return y"


@pytest.mark.parametrize(
    ("source", "body", "expected"),
    [
        ("def f(x):\n    return x\n", "return -x", "def f(x):\n    return -x\n"),
        ("def f(x):\n    return x\n", "y = x\nreturn y", "def f(x):\n    y = x\n    return y\n"),
        ("def f(x):\n    return x\n", "    return -x", "def f(x):\n    return -x\n"),
        ("def f(x): return x\n", "return -x", "def f(x): return -x\n"),
        ("def f(x): return x\n", "y = x\nreturn y", "def f(x): \n    y = x\n    return y\n"),
    ],
)
def test_a_new_body_is_put_in_its_place(
    source: str, body: str, expected: str, tmp_path: Path
) -> None:
    folder = package(tmp_path, {"tt_x/__init__.py": source})
    assert fill(folder, "tt_x.f", body) == {Path("src/tt_x/__init__.py"): expected}


@pytest.mark.parametrize(
    ("body", "blank"),
    [
        ("raise NotImplementedError", True),
        ("raise NotImplementedError()", True),
        ("raise NotImplementedError('later') from None", True),
        ("raise ValueError('NotImplementedError')", False),
        ("x = 1\nraise NotImplementedError", False),
        ("return NotImplemented", False),
        ("pass", False),
    ],
)
def test_blank_is_what_only_says_that_it_is_missing(body: str, blank: bool, tmp_path: Path) -> None:
    folder = package(tmp_path, {"tt_x/__init__.py": "def f(x):\n    'Doc.'\n    return x\n"})
    apply(folder, fill(folder, "tt_x.f", body))
    assert is_blank(folder, "tt_x.f") is blank


def test_nothing_is_written(tmp_path: Path) -> None:
    folder = package(tmp_path, PACKAGE)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.py")}
    blanked(folder, module("tt_x.B.f"))
    fill(folder, "tt_x.B.f", "return 9")
    preceded(folder, {"tt_x.B.f": "x = 1"})
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.py")} == before


def test_marks_and_encodings_survive(tmp_path: Path) -> None:
    marked = codecs.BOM_UTF8 + b"def f(x):\n    return x\n"
    folder = package(tmp_path, {"tt_x/__init__.py": marked})
    apply(folder, blanked(folder, module("tt_x.f")))
    assert (folder / "src/tt_x/__init__.py").read_bytes().startswith(codecs.BOM_UTF8 + b"def f")


@pytest.mark.parametrize(
    ("source", "code", "arguments"),
    [
        ("def f(x, y=1):\n    return x + y\n", True, True),
        ("def f(x, y=1):\r\n  # so\r\n  return (x\r\n    + y)\r\n", True, True),
        ('def f(x: int, y: int = 2) -> int:\n    "Doc."\n    return x + y\n', True, True),
        ("async def f(x, y=1): return x + y\n", True, True),
        ("def f(x, y=1):\n    return y + x\n", False, True),
        ("def f(x, y=1): raise NotImplementedError\n", False, True),
        ("def f(x, *, y=1):\n    return x + y\n", True, False),
        ("def f(x, y, z):\n    return x + y\n", True, False),
        ("def f(x, *y):\n    return x + y\n", True, False),
        ("def f(y, x):\n    return x + y\n", True, False),
    ],
)
def test_an_exercise_is_compared_but_for_its_layout(
    source: str, code: bool, arguments: bool, tmp_path: Path
) -> None:
    ours = "def f(x, y=1):\n    return x + y\n"
    folder = package(tmp_path / "ours", {"tt_x/__init__.py": ours})
    other = package(tmp_path / "hers", {"tt_x/__init__.py": source})
    assert same_code(folder, other, "tt_x.f") == code
    assert same_arguments(folder, other, "tt_x.f") == arguments
