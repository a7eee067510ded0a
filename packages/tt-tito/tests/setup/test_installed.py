"""Which packages are installed, where they are from, and what is lacking."""

from collections.abc import Callable
from importlib.metadata import Distribution, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tt_tito._installed import lacking, origin, tt_distributions

pytestmark = pytest.mark.module_01

MakeDistribution = Callable[..., Path]


def test_packages_are_listed_by_name(make_distribution: MakeDistribution) -> None:
    before = [distribution.metadata["Name"] for distribution in tt_distributions()]
    assert {"tt-tensor", "tt-autograd", "tt-nn", "tt-profile", "tt-tito"} <= set(before)
    make_distribution("tt-zebra", "1.2")
    make_distribution("TT_Aardvark")  # the same as tt-aardvark (PEP 503)
    make_distribution("attic")
    found = [(each.metadata["Name"], each.version) for each in tt_distributions()]
    assert [name for name, _ in found] == ["TT_Aardvark", *before, "tt-zebra"]
    assert found[-1] == ("tt-zebra", "1.2")


def test_of_two_with_one_name_the_one_that_is_imported_counts(
    make_distribution: MakeDistribution,
) -> None:
    make_distribution("tt-nn", "99.0", modules={})  # stands first on the path
    found = {each.metadata["Name"]: each.version for each in tt_distributions()}
    assert found["tt-nn"] == "99.0"


def test_one_that_has_lost_its_name_is_left_out(make_distribution: MakeDistribution) -> None:
    before = len(tt_distributions())
    (make_distribution("tt-broken") / "METADATA").write_text("Metadata-Version: 2.1\n")
    assert len(tt_distributions()) == before


@pytest.mark.parametrize(
    ("url", "text", "known"),
    [
        (None, "from a package index", True),
        ({"url": "file:///a%20b/x.whl", "archive_info": {}}, "from /a b/x.whl", True),
        ({"url": "https://example.org/x.whl"}, "from https://example.org/x.whl", True),
        ({"url": "file:///src", "dir_info": {}}, "from /src", True),
        ({"url": "file:///src", "dir_info": {"editable": True}}, "editable, in /src", True),
        ("{", "its direct_url.json is damaged, so its origin is unknown", False),
        ("[]", "its direct_url.json is damaged, so its origin is unknown", False),
        ("{}", "its direct_url.json is damaged, so its origin is unknown", False),
    ],
)
def test_a_record_says_where_a_package_is_from(
    make_distribution: MakeDistribution, url: object, text: str, known: bool
) -> None:
    found = origin(Distribution.at(make_distribution("tt-fake", url=url)))
    assert (found.text, found.known) == (text, known)


FULFILLED = [
    "tt-here",
    "tt-here>=0.1.0rc1,<0.2",
    "tt-here>0.0.9",
    "tt-absent; sys_platform == 'plan9'",
    "tt-absent; extra == 'fast'",
]
LACKING = {
    "tt-absent>=0.1": None,
    "tt-absent; python_version >= '3'": None,
    "tt-here>=0.2": "0.1.0rc1",
    "tt-here<0.1": "0.1.0rc1",  # a candidate of 0.1 is not before it (PEP 440)
}


@pytest.mark.parametrize("requirement", FULFILLED)
def test_what_is_there_or_not_for_here_is_not_lacking(
    make_distribution: MakeDistribution, requirement: str
) -> None:
    make_distribution("tt-here", "0.1.0rc1")
    assert lacking([Requirement(requirement)]) == []


@pytest.mark.parametrize(("requirement", "installed"), LACKING.items())
def test_what_is_lacking_is_told_with_what_is_there_instead(
    make_distribution: MakeDistribution, requirement: str, installed: str | None
) -> None:
    make_distribution("tt-here", "0.1.0rc1")
    (found,) = lacking([Requirement(requirement)])
    assert found.requirement == Requirement(requirement)
    assert found.installed == installed


def test_what_is_lacking_is_told_in_the_order_asked_for(
    make_distribution: MakeDistribution,
) -> None:
    make_distribution("tt-here")
    asked = [Requirement(text) for text in ("tt-there", "packaging", "tt-here>=7", "numpy<1")]
    assert [str(lack) for lack in lacking(asked)] == [
        "tt-there (not installed)",
        "tt-here>=7 (0.1.0 is installed)",
        f"numpy<1 ({version('numpy')} is installed)",
    ]
