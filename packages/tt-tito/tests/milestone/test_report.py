"""What a run leaves behind: the record, the page and its pictures."""

from html.parser import HTMLParser

import pytest

from tt_tito import Lab, at_most

from .experiments import REPORT, Run, experiment_with, measure_systems, read_report

SCHEMA: dict[str, type | tuple[type, ...]] = {
    "milestone": str,
    "script": str,
    "mode": str,
    "seed": int,
    "metrics": dict,
    "bar": dict,
    "passed": (bool, type(None)),
    "seconds": dict,
    "peak_memory_bytes": int,
    "parameters": int,
    "flops_forward": int,
    "scaling": list,
    "environment": dict,
}


def test_report_has_exactly_the_keys_of_the_schema(run: Run) -> None:
    assert run(experiment_with(0.95), "--seed", "3") == 0
    report = read_report()
    assert list(report) == list(SCHEMA)
    for key, kind in SCHEMA.items():
        assert isinstance(report[key], kind), key
    assert report["milestone"] == "01"
    assert report["script"] == "line.py"
    assert report["mode"] == "full"
    assert report["seed"] == 3
    assert report["metrics"] == {"accuracy": 0.95}
    assert report["bar"] == {"accuracy": {"minimum": 0.9}}
    assert report["passed"] is True
    assert report["parameters"] == 3 * 2 + 2
    assert report["flops_forward"] == 4 * 2 * (2 * 3 + 1)
    assert report["peak_memory_bytes"] > 0  # type: ignore[operator]  # the schema says it is int


def test_report_keeps_time_and_says_on_what_it_ran(run: Run) -> None:
    run(experiment_with(0.95))
    report = read_report()
    seconds, environment = report["seconds"], report["environment"]
    assert isinstance(seconds, dict)
    assert isinstance(environment, dict)
    assert list(seconds) == ["data", "train", "evaluate", "total"]
    assert all(value >= 0 for value in seconds.values())
    assert seconds["total"] >= seconds["train"]
    assert set(environment) == {
        *("python", "numpy", "blas", "threads", "processes", "cpu", "packages"),
    }
    assert environment["processes"] == 1
    assert {"tt-tito", "tt-nn", "tt-profile"} <= set(environment["packages"])


def test_the_seconds_of_a_phase_can_be_a_metric(run: Run) -> None:
    def experiment(lab: Lab) -> None:
        assert lab.seconds("train") == 0.0
        with lab.timed("train"):
            pass
        lab.metric("training_seconds", lab.seconds("train"))
        measure_systems(lab)

    assert run(experiment, bar={"training_seconds": at_most(60)}) == 0
    report = read_report()
    seconds, metrics = report["seconds"], report["metrics"]
    assert isinstance(seconds, dict)
    assert isinstance(metrics, dict)
    assert 0.0 < metrics["training_seconds"] == seconds["train"]


def test_scaling_has_a_row_for_each_size(run: Run) -> None:
    run(experiment_with(0.95))
    rows = read_report()["scaling"]
    assert isinstance(rows, list)
    assert [(row["axis"], row["size"]) for row in rows] == [("batch size", 8), ("batch size", 64)]
    assert all(row["seconds"] > 0 and row["peak_memory_bytes"] > 0 for row in rows)


def test_a_metric_that_is_not_finite_is_null_and_misses_the_bar(run: Run) -> None:
    assert run(experiment_with(float("nan"))) == 1
    assert read_report()["metrics"] == {"accuracy": None}


class Page(HTMLParser):
    """What of a page would load something, and what of it is said in words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_page_is_self_contained(run: Run) -> None:
    run(experiment_with(0.95))
    text = (REPORT / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    names = [tag for tag, _ in page.tags]
    assert not set(names) & {"link", "iframe", "object", "base", "form"}
    assert names.count("script") == 1  # the one that sorts; it stands in the page
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "href"):
            assert (attributes.get(name) or "data:").startswith("data:"), tag
    assert "url(" not in text
    assert "@import" not in text


def test_page_is_for_everyone(run: Run) -> None:
    run(experiment_with(0.95))
    text = (REPORT / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert ("html", {"lang": "en"}) in page.tags
    assert any(
        tag == "meta" and "width=device-width" in str(attributes.get("content"))
        for tag, attributes in page.tags
    )
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [bool(image["alt"]) for image in images] == [True, True]  # ours, and the scaling
    assert images[0]["alt"] == 'A "falling" line'
    assert "prefers-color-scheme: dark" in text
    assert sum(tag == "source" for tag, _ in page.tags) == len(images)
    for said in ("A line fits", "A heading with <angles> & more", "[red]two[/red]", "at least 0.9"):
        assert said in page.words


COLUMNS: dict[str, tuple[tuple[str | float, str | float], list[str | None]]] = {
    "numbers": ((1024, 0.5), ["1024.0", "0.5"]),
    "one unit": (("1,500 /s", "2 /s"), ["1500.0", "2.0"]),
    "times": (("2 ms", "500 ns"), ["0.002", repr(500 * 1e-9)]),
    "sizes": (("1.5 MB", "12 B"), ["1500000.0", "12.0"]),
    "what is no number": ((float("nan"), 2.0), [None, "2.0"]),
    "several units": (("2 ms", "12 B"), [None, None]),
    "a text among numbers": (("2", "two"), [None, None]),
    "shapes": (("3 x 4", "3 x 5"), [None, None]),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_of_one_unit_say_what_they_sort_by(case: str, run: Run) -> None:
    (first, second), expected = COLUMNS[case]

    def experiment(lab: Lab) -> None:
        lab.table("A table", ("Name", "Value"), [("a", first), ("b", second)])
        lab.metric("accuracy", 1.0)
        measure_systems(lab)

    run(experiment, "--test-only")
    page = Page((REPORT / "report.html").read_text(encoding="utf-8"))
    cells = [attributes for tag, attributes in page.tags if tag == "td"]
    assert [cell.get("data-value") for cell in cells[:2]] == expected


def test_pictures_are_png_files(run: Run) -> None:
    run(experiment_with(0.95))
    for name in ("line", "scaling"):
        assert (REPORT / f"{name}.png").read_bytes().startswith(b"\x89PNG")
