"""What mkdocs calls to be given the pages that are not in ``docs/``, and those there in full."""

import os
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tooling.site.written import Site, write_site

ROOT = Path(__file__).parents[2]
_written: Site | None = None


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write the site, and add the pages that were written to the navigation."""
    global _written
    reports = os.environ.get("SITE_REPORTS", ROOT / "reports")
    _written = write_site(ROOT, Path(reports), ROOT / "reports" / "notebooks")
    for entry in config.nav or []:
        ((title, children),) = entry.items()
        if title in _written.nav:
            children += _written.nav[title]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what was written to the files of ``docs/``."""
    assert _written is not None
    for path, content in (_written.pages | _written.files).items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page of ``docs/`` with the parts of READMEs that it includes."""
    assert _written is not None
    return _written.docs.get(page.file.src_uri, markdown)
