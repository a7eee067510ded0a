r"""Formulas as docstrings write them, ``:math:`x^2``` and ``.. math::``, as MathML.

MathML is part of the page: it needs no script and no font from elsewhere, and a screen reader can
say it.
"""

import re
import textwrap
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from markdown.preprocessors import Preprocessor


def mathml(formula: str, display: str = "inline") -> str:
    """Return a formula of LaTeX as MathML.

    Args:
        formula: The formula.
        display: ``inline`` or ``block``.
    """
    # The converter takes the backslash of an underscore in text for text.
    named = re.sub(r"\\(text|mathrm)\{[^}]*\}", lambda text: text[0].replace(r"\_", "_"), formula)
    if "&" in named or r"\\" in named:  # several lines, one below the other
        named = rf"\begin{{split}}{named}\end{{split}}"
    return str(convert(" ".join(named.split()), display=display))


class _Inline(InlineProcessor):
    def handleMatch(  # type: ignore[override]  # the name is Markdown's
        self, m: re.Match[str], data: str
    ) -> tuple[Element | str, int, int]:
        return self.md.htmlStash.store(mathml(m[1])), m.start(0), m.end(0)


class _Blocks(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        return list(self._replaced(lines))

    def _replaced(self, lines: list[str]) -> Iterator[str]:
        rest = list(lines)
        while rest:
            line = rest.pop(0)
            start = re.match(r"( *)\.\. math::(.*)$", line)
            if start is None:
                yield line
                continue
            formula = [start[2]]
            margin = len(start[1])
            while rest and (not rest[0].strip() or _margin(rest[0]) > margin):
                formula.append(rest.pop(0))
            text = textwrap.dedent("\n".join(formula))
            yield ""
            yield start[1] + self.md.htmlStash.store(mathml(text, "block"))
            yield ""


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip())


class Formulas(Extension):
    """The extension of Markdown that mkdocs loads."""

    def extendMarkdown(self, md: Markdown) -> None:  # the name is Markdown's
        """Read formulas before code, since a backtick ends both."""
        md.inlinePatterns.register(_Inline(r":math:`([^`]+)`", md), "formula", 200)
        md.preprocessors.register(_Blocks(md), "formula_blocks", 28)


def makeExtension(**settings: object) -> Formulas:  # the name is Markdown's
    """Return the extension, as Markdown asks for it."""
    return Formulas(**settings)
