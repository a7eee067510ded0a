"""The pages of the packages: each one's README, and its public names by module and topic."""

import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path

from tooling.packages import Package
from tooling.site.places import Places
from tooling.site.public import Module, public_modules

# Modules that are run or plugged in and not imported: the README of their package is about them.
PROGRAMS = ("tt_tito.cli", "tt_tito.commands.", "tt_tito.trial.child.")
LONG = 40  # names of a module above which each topic has a page
TOPIC = 3  # names that make a topic

Pages = dict[str, str]
Nav = list[object]


def package_pages(root: Path, packages: tuple[Package, ...], places: Places) -> tuple[Pages, Nav]:
    """Return the pages of all packages in Markdown, and their part of the navigation."""
    pages: Pages = {}
    nav: Nav = []
    for package, modules in public_modules(packages).items():
        folder = package.path.relative_to(root).as_posix()
        readme = (package.path / "README.md").read_text(encoding="utf-8")
        index = f"{folder}/index.md"
        pages[index] = places.on_page(readme, f"{folder}/README.md", index)
        entries: Nav = [index]
        for module in modules:
            if not module.name.startswith(PROGRAMS) and module.names:
                written, entry = _module_pages(module, folder)
                pages |= written
                entries.append(entry)
        nav.append({package.name: entries})
    return pages, nav


def _module_pages(module: Module, folder: str) -> tuple[Pages, object]:
    """Return the pages of a module and its entry: one page, or one and those of its topics."""
    topics: dict[str, dict[str, list[str]]] = {}
    for place, names in module.own.items():
        topics.setdefault(_topic(module.name, place), {})[place] = names
    page = f"{folder}/{module.name}.md"
    apart = {
        topic: places
        for topic, places in topics.items()
        if len(module.names) > LONG and sum(map(len, places.values())) >= TOPIC
    }
    text = [f"# {module.name}", _module_header(module.name)]
    pages = {}
    for topic, places in apart.items():
        name = f"{module.name}-{topic}.md"
        title = topic.replace("_", " ").capitalize()
        pages[f"{folder}/{name}"] = "\n\n".join(
            [f"# {module.name}: {title.lower()}", *_sections(places, module.first_lines)]
        )
        text.append(f"**[{title}]({name})**: " + _links(_names(places)))
    rest = {
        place: names
        for topic, places in topics.items()
        if topic not in apart
        for place, names in places.items()
    }
    text += _sections(rest, module.first_lines)
    text += _shared(module)
    pages[page] = "\n\n".join(text) + "\n"
    if not apart:
        return pages, {module.name: page}
    titles: Nav = [page]
    for written in pages:
        if written != page:
            topic = posixpath.splitext(written)[0].rpartition("-")[2]
            titles.append({topic.replace("_", " ").capitalize(): written})
    return pages, {module.name: titles}


def _topic(module: str, place: str) -> str:
    """Return what a place is about: the first part of its name below the module's package."""
    package = module.partition(".")[0]
    parts = place.removeprefix(f"{package}.").split(".")
    return parts[0].strip("_") if place.startswith(f"{package}.") else place


def _sections(places: Mapping[str, list[str]], first_lines: Mapping[str, str]) -> list[str]:
    """Return the names of each place below the first line of what its module says of itself."""
    text = []
    for place, names in places.items():
        text.append(f"## {first_lines[place]}")
        text += [_entry(name) for name in names]
    return text


def _entry(name: str) -> str:
    return f"::: {name}\n    options:\n      heading_level: 3"


def _module_header(name: str) -> str:
    """Show what a module says of itself, and nothing that is in it."""
    options = ("members: false", "show_root_heading: false", "show_root_toc_entry: false")
    return "\n".join([f"::: {name}", "    options:", *(f"      {option}" for option in options)])


def _names(places: Mapping[str, list[str]]) -> list[str]:
    return [name for names in places.values() for name in names]


def _links(names: Iterable[str]) -> str:
    return ", ".join(f"[`{name.rpartition('.')[2]}`][{name}]" for name in names)


def _shared(module: Module) -> list[str]:
    """Return the section of the names that belong to another module."""
    if not module.shared:
        return []
    by_place: dict[str, list[str]] = {}
    for here, there in module.shared:
        shown = f"[`{here}`][{there}]"
        by_place.setdefault(there.rpartition(".")[0], []).append(shown)
    lines = [f"From `{place}`: {', '.join(names)}." for place, names in by_place.items()]
    return ["## The same by this name", *lines]
