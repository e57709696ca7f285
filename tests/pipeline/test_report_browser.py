"""report.html in a real browser: it asks for nothing, complains about nothing, and fits a phone.

Chromium must be installed (on Debian: `apt-get install chromium`); a browser test that is skipped tests nothing.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgecompress.core.report import Report
from edgecompress.report import html

REPORTS = Path(__file__).parents[1] / "unit" / "report"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-file-access-from-files",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
    "--virtual-time-budget=5000",
)
LIMIT_S = 120
PHONE = """<!DOCTYPE html><title>phone</title>
<iframe src="report.html" style="width: 390px; height: 2000px; border: 0"></iframe>
<p id="seen"></p>
<script>
  onload = () => {
    const page = document.querySelector("iframe").contentDocument;
    const bar = page.querySelector('svg path[fill="var(--hue-1)"]');
    const seen = {
      width: page.documentElement.scrollWidth,
      charts: [...page.querySelectorAll("svg")].map((chart) => Math.round(chart.getBoundingClientRect().width)),
      paper: getComputedStyle(page.body).backgroundColor,
      bar: getComputedStyle(bar).fill,
      voids: [...page.querySelectorAll(".void")].map((badge) => getComputedStyle(badge).color),
    };
    document.getElementById("seen").textContent = JSON.stringify(seen);
  };
</script>
"""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a browser did with a page: the document it made, the addresses it asked for, the console's lines."""

    document: str
    addresses: list[str]
    console: list[str]


Open = Callable[..., Visit]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return write_page(tmp_path, "golden_report.json")


@pytest.fixture
def pi_page(tmp_path: Path) -> Path:
    """Of a board that was measured, and throttled meanwhile."""
    return write_page(tmp_path, "golden_pi_report.json")


def write_page(folder: Path, report: str) -> Path:
    path = folder / "report.html"
    path.write_text(html.render(Report.model_validate_json((REPORTS / report).read_bytes())), "utf-8")
    return path


@pytest.fixture
def visit(tmp_path: Path) -> Open:
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        pytest.fail(f"no browser is installed ({', '.join(NAMES)}): on Debian, apt-get install chromium")

    def open_page(name: str, *flags: str) -> Visit:
        log = tmp_path / "net.json"
        own = (f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", "--dump-dom")
        done = subprocess.run(
            [browser, *FLAGS, *flags, *own, (tmp_path / name).as_uri()],
            capture_output=True,
            timeout=LIMIT_S,
            check=True,
        )
        return Visit(
            document=done.stdout.decode(),
            addresses=sorted(addresses_in(log)),
            console=re.findall(r"CONSOLE.*", done.stderr.decode(errors="replace")),
        )

    return open_page


def addresses_in(log: Path) -> set[str]:
    """Every address that a page from a file asked for, reached or not; the browser's own errands left out."""
    events = (event.get("params", {}) for event in json.loads(log.read_text("utf-8"))["events"])
    return {event["url"] for event in events if event.get("network_isolation_key", "").startswith("file:")}


def test_the_page_asks_for_nothing_and_the_console_stays_empty(page: Path, visit: Open) -> None:
    seen = visit("report.html")

    assert seen.addresses == []
    assert seen.console == []


def test_the_charts_and_tables_are_in_the_document(page: Path, visit: Open) -> None:
    document = visit("report.html").document

    assert document.count("<svg ") == 3
    assert document.count("<table>") == 9
    assert "<h1>wakeword on board</h1>" in document
    assert "emulated" in document


def test_a_measured_board_shows_its_times_its_power_and_its_conditions(pi_page: Path, visit: Open) -> None:
    seen = visit("report.html")

    assert seen.addresses == []
    assert seen.console == []
    assert seen.document.count("<svg ") == 5
    headings = re.findall(r"<h3>(.+?)</h3>", seen.document)
    assert headings[2:6] == ["Time", "Power", "Conditions", "Layers"]
    assert "P99" in seen.document
    assert "4.02 W" in seen.document


def test_what_is_void_is_marked_on_the_card_and_in_every_table(tmp_path: Path, pi_page: Path, visit: Open) -> None:
    seen = on_a_phone(tmp_path, visit)

    card, *others = seen["voids"]
    assert len(others) == 4, "two conditions, the layers, the table of all figures"
    assert {card, *others} == {"rgb(179, 38, 30)"}
    assert seen["width"] <= 390
    assert min(seen["charts"]) >= 600


def test_a_request_would_be_noticed(tmp_path: Path, page: Path, visit: Open) -> None:
    asking = '<img src="http://127.0.0.1:9/pixel.png">'
    (tmp_path / "asking.html").write_text(f"<!DOCTYPE html><title>x</title>{asking}", "utf-8")
    (tmp_path / "refused.html").write_text(page.read_text("utf-8").replace("<main>", f"<main>{asking}"), "utf-8")

    assert visit("asking.html").addresses == ["http://127.0.0.1:9/pixel.png"]
    refused = visit("refused.html")
    assert refused.addresses == []
    assert "Content Security Policy" in refused.console[0]


def test_on_a_phone_charts_scroll_and_the_page_does_not(tmp_path: Path, page: Path, visit: Open) -> None:
    seen = on_a_phone(tmp_path, visit)

    assert seen["width"] <= 390
    assert min(seen["charts"]) >= 600


@pytest.mark.parametrize(
    ("flags", "paper", "bar"),
    [
        ((), "rgb(255, 255, 255)", "rgb(76, 120, 168)"),
        (("--force-dark-mode",), "rgb(18, 23, 30)", "rgb(111, 159, 212)"),
    ],
)
def test_page_and_charts_follow_the_readers_scheme(
    tmp_path: Path, page: Path, visit: Open, flags: tuple[str, ...], paper: str, bar: str
) -> None:
    seen = on_a_phone(tmp_path, visit, *flags)

    assert (seen["paper"], seen["bar"]) == (paper, bar)


def on_a_phone(folder: Path, visit: Open, *flags: str) -> dict[str, Any]:
    """Open the page in a frame as wide as a phone; what a script beside the frame sees of it."""
    (folder / "phone.html").write_text(PHONE, "utf-8")
    found = re.search(r'id="seen">(.+?)</p>', visit("phone.html", *flags).document)
    assert found is not None, "the script beside the frame did not run to its end"
    seen: dict[str, Any] = json.loads(found.group(1))
    return seen
