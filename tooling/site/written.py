"""The whole site in Markdown: the pages of ``docs/``, and those that the repository writes."""

from dataclasses import dataclass, field
from pathlib import Path

from tooling.milestones import read_milestones
from tooling.packages import read_packages
from tooling.site.commands import as_page, read_rules, shown_commands
from tooling.site.notebooks import notebook_page
from tooling.site.places import Places, places_of
from tooling.site.reference import package_pages
from tooling.site.runs import milestone_page
from tt_tito._document import SCRIPT

COMMANDS = "commands.md"


@dataclass
class Site:
    """The site as mkdocs is given it.

    Attributes:
        places: Where the files of the repository stand.
        docs: The pages of ``docs/`` with what they include, by their paths.
        pages: Markdown by the paths of pages.
        files: Contents by the paths of other files.
        nav: Entries of the navigation, by the section that they are added to.
    """

    places: Places
    docs: dict[str, str] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    nav: dict[str, list[object]] = field(default_factory=dict)


def write_site(root: Path, reports: Path, notebooks: Path) -> Site:
    """Write every page, those of ``docs/`` too, and the files beside them.

    Args:
        root: The repository.
        reports: The folder with the reports of milestones, as they leave them.
        notebooks: The folder with the notebooks, executed.
    """
    packages, milestones = read_packages(root), read_milestones(root)
    scripts = {name: path for each in milestones for name, path in each.scripts.items()}
    site = Site(places_of(root, packages, scripts))
    site.pages, site.nav["Packages"] = package_pages(root, packages, site.places)
    site.files["assets/sort.js"] = SCRIPT.encode()
    site.nav["Milestones"] = []
    for milestone in milestones:
        for name, path in milestone.scripts.items():
            run = milestone_page(milestone.number, path, reports)
            site.pages[f"milestones/{name}.md"] = run.page
            site.files |= run.files
            site.nav["Milestones"].append(f"milestones/{name}.md")
    site.nav["Notebooks"] = []
    for source in sorted((root / "docs" / "notebooks").glob("*.py")):
        executed, page = notebooks / f"{source.stem}.ipynb", f"notebooks/{source.stem}.md"
        if not executed.exists():
            continue
        notebook = notebook_page(executed, f"docs/notebooks/{source.name}")
        site.pages[page] = site.places.on_page(notebook.page, f"docs/{page}", page)
        site.files |= notebook.files
        site.nav["Notebooks"].append(page)
    for file in ("CONTRIBUTING.md", "capstone/README.md"):
        page = site.places.page_of(file)
        text = (root / file).read_text(encoding="utf-8")
        site.pages[page] = site.places.on_page(text, file, page)
    for path in sorted((root / "docs").rglob("*.md")):
        page = path.relative_to(root / "docs").as_posix()
        site.docs[page] = site.places.in_full(path.read_text(encoding="utf-8"), page)
    shown = shown_commands(site.docs | site.pages)
    site.pages[COMMANDS] = as_page(shown, read_rules())
    site.pages |= site.places.source_pages()
    return site
