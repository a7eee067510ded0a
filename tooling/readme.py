"""Code that the root's README shows, taken from the README so that it cannot rot."""

import re
from pathlib import Path

from tooling.packages import WorkspaceError


def code_block(readme: Path, heading: str, language: str) -> str:
    """Return the one code block of a language in the section under a heading.

    Args:
        readme: The Markdown file.
        heading: The text of the second-level heading.
        language: The word after the fence, such as ``python``.

    Raises:
        WorkspaceError: When the section or the block is missing or not the only one.
    """
    text = readme.read_text(encoding="utf-8")
    sections = re.findall(rf"(?ms)^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text)
    blocks = [
        block
        for section in sections
        for block in re.findall(rf"(?ms)^```{re.escape(language)}\n(.*?)^```$", section)
    ]
    if len(sections) != 1 or len(blocks) != 1:
        raise WorkspaceError(
            f"{readme}: expected one section {heading!r} with one {language} block, "
            f"found {len(sections)} sections and {len(blocks)} blocks"
        )
    return str(blocks[0])
