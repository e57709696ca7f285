from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import jsonschema
import pytest

from edgecompress import pipeline
from edgecompress.core import plugins
from edgecompress.core.report import Report
from edgecompress.report import _time_chart, html, json_file, markdown


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Pages rendered once: the charts take most of a second."""
    return {}


@pytest.fixture
def page(pages: dict[str, str], report: Report) -> str:
    if "html" not in pages:
        pages["html"] = html.render(report)
    return pages["html"]


def test_every_format_is_known_to_the_run_folder() -> None:
    written = [plugins.find("report", name, where="report").FILE_NAME for name in plugins.names("report")]
    assert sorted(written) == sorted(pipeline.REPORT_FILES)


THROTTLED = "soft temperature limit now (get_throttled)"


class Outline(HTMLParser):
    """Collects the tags, what they link to, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in {"src", "href", "xlink:href", "action", "data"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    return parser


def test_json_reads_back_as_the_same_report(report: Report) -> None:
    assert Report.model_validate_json(json_file.render(report)) == report


def test_json_is_written_byte_for_byte_as_before(report: Report, golden: Any) -> None:
    golden("golden_report.json", json_file.render(report))


def test_markdown_is_written_byte_for_byte_as_before(report: Report, golden: Any) -> None:
    golden("golden_report.md", markdown.render(report))


def test_a_board_that_was_measured_is_written_byte_for_byte_as_before(pi_report: Report, golden: Any) -> None:
    golden("golden_pi_report.json", json_file.render(pi_report))
    golden("golden_pi_report.md", markdown.render(pi_report))


def test_a_void_figure_is_void_wherever_it_stands(pi_report: Report) -> None:
    written = json.loads(json_file.render(pi_report))
    text = markdown.render(pi_report)

    (found,) = written["candidates"]
    assert [m["void"] for m in found["measurements"] if m["metric"] == "latency_us"] == [None, THROTTLED]
    assert {layer["void"] for layer in found["layers"]} == {THROTTLED}
    shown = THROTTLED.replace("_", "\\_")
    assert f"| Time per inference, 4 threads | VOID 271.0 µs: {shown} |" in text
    assert f"VOID: {shown}." in text
    assert "1 figure is VOID." in text


def test_the_shipped_schema_is_that_of_the_report() -> None:
    shipped = (resources.files("edgecompress.report") / "report.schema.json").read_text("utf-8")

    assert shipped == json_file.schema(), "write json_file.schema() to edgecompress/report/report.schema.json"


def test_json_keeps_the_shipped_schema(report: Report) -> None:
    schema = json.loads((resources.files("edgecompress.report") / "report.schema.json").read_text("utf-8"))
    written = json.loads(json_file.render(report))

    jsonschema.Draft202012Validator(schema).validate(written)
    del written["target"]
    with pytest.raises(jsonschema.ValidationError, match="'target' is a required property"):
        jsonschema.Draft202012Validator(schema).validate(written)


def test_markdown_escapes_what_names_hold(report: Report) -> None:
    text = markdown.render(report)

    assert "conv\\_1\\|depthwise" in text
    assert "Scored on \\<calibration\\> samples." in text


def test_the_page_asks_for_nothing_outside_itself(page: str) -> None:
    seen = outline(page)

    assert seen.links == ["data:,"]
    assert "script" not in seen.tags
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_the_page_has_its_charts_and_tables(page: str) -> None:
    seen = outline(page)

    assert seen.tags.count("svg") == 3
    assert seen.tags.count("table") == 9
    assert seen.tags.count("h1") == 1
    assert 'role="img" aria-label="Bar chart: Instructions of each layer, in order of execution"' in page


def test_the_page_escapes_what_names_hold(page: str) -> None:
    assert "Scored on &lt;calibration&gt; samples." in page
    assert "<softmax>" not in page


def test_the_page_says_missing_and_why(page: str) -> None:
    assert "missing: an emulator has no time" in outline(page).text


def test_charts_follow_the_readers_colours(page: str) -> None:
    assert 'fill="var(--hue-1)"' in page
    assert "#0401" not in page
    assert "#010101" not in page


def test_of_many_samples_some_are_drawn_and_the_slowest_all(pi_report: Report) -> None:
    many = pi_report.candidates[0].measurements[1]

    drawn = _time_chart.dots(many)

    assert len(drawn) <= _time_chart.MOST_DOTS + len(many.samples) // 100
    assert {i for i, sample in enumerate(many.samples) if sample > many.percentiles["p99"]} <= set(drawn)
    assert drawn == tuple(sorted(set(drawn)))


def test_few_samples_are_all_drawn(pi_report: Report) -> None:
    few = pi_report.candidates[0].measurements[2]

    assert _time_chart.dots(few) == tuple(range(len(few.samples)))


def test_a_report_without_a_profile_says_so(report: Report) -> None:
    bare = report.candidates[0].model_copy(update={"layers": ()})

    page = html.render(report.model_copy(update={"candidates": (bare,)}))

    assert outline(page).tags.count("svg") == 2
    assert "missing: not profiled" in page


def test_an_unset_limit_is_not_a_kept_one(report: Report) -> None:
    free = report.candidates[0].model_copy(update={"limits": ()})

    text = markdown.render(report.model_copy(update={"candidates": (free,)}))

    assert "The recipe sets no limits." in text
    assert "### Limits" not in text


@pytest.mark.parametrize("name", plugins.names("report"))
def test_a_format_names_its_file_and_renders_text(name: str, report: Report, page: str) -> None:
    module = plugins.find("report", name, where="test")

    assert module.FILE_NAME.startswith("report.")
    text = page if module is html else module.render(report)
    assert text.endswith("\n")
    assert report.candidates[0].bundle.build_id in text


def test_every_candidate_has_its_own_section_and_it_is_the_same_each_time(page: str, report: Report) -> None:
    first = report.candidates[0]
    other = first.bundle.model_copy(update={"build_id": "f" * 32})
    second = first.model_copy(update={"name": "smaller", "bundle": other, "layers": ()})

    both = html.render(report.model_copy(update={"candidates": (first, second)}))

    identities = re.findall(r'\bid="([^"]+)"', both)
    assert len(identities) == len(set(identities))
    assert outline(both).tags.count("section") == 2
    sections = [re.findall(r"<section.*?</section>", each, re.DOTALL) for each in (page, both)]
    assert sections[0][0] == sections[1][0]
