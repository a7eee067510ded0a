"""Assert that every installed ``tt-*`` distribution came from this checkout.

Runs with the Python of the environment in question, which need not hold anything else:
``python -I tooling/provenance.py FOLDER [NAME ...]``. The evidence is what the installer itself
wrote, ``direct_url.json``; a distribution that an index served has none.
"""

import json
import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path


def stranger(distribution: Distribution, folder: Path) -> str | None:
    """Say why a distribution did not come from a file or folder below ``folder``, if so."""
    record = distribution.read_text("direct_url.json")
    if record is None:
        return "came from an index"
    url = json.loads(record)["url"]
    if not url.startswith(f"{folder.resolve().as_uri()}/"):
        return f"came from {url}"
    return None


def main(folder: str, *required: str) -> int:
    """Print where each ``tt-*`` came from; return 1 if one is a stranger or missing."""
    found, errors = {}, []
    for distribution in distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
        if name.startswith("tt-"):
            found[name] = distribution.version
            if reason := stranger(distribution, Path(folder)):
                errors.append(f"{name} {distribution.version} {reason}, not from {folder}")
    errors += [f"{name} is not installed" for name in required if name not in found]
    for error in errors:
        print(f"provenance: {error}", file=sys.stderr)
    if not errors:
        print(f"from {folder}:", *(f"{name} {found[name]}" for name in sorted(found)))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
