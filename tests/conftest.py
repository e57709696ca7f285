"""What all tests share: golden files, and the budget of the unit tests.

The budget is kept in CPU seconds, children included: a wall clock would fail on a busy machine and say nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator

import pytest

UNIT_BUDGET_S = 10.0
UNIT_LIMIT_S = 2 * UNIT_BUDGET_S
"""Over the budget the summary says so; over twice the budget, which no slow machine explains, the run fails."""

CPU_SECONDS = "cpu_seconds"
started = pytest.StashKey[float]()

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""pytest-xdist already keeps every core busy; torch reads this when it is imported."""

Golden = Callable[[str, str], None]


def pytest_configure() -> None:
    """Let the programs that tests start be interrupted, even when a shell started this one with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden files anew instead of comparing")
    parser.addoption("--layers", type=int, metavar="N", help="how many random layers of each precision a core gets")
    parser.addoption("--moments", type=int, metavar="N", help="at how many random moments a deployment is killed")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text with the file of that name beside the test, or write the file under --update-golden."""

    def compare(name: str, text: str) -> None:
        path = request.path.parent / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing: run pytest --update-golden, then read it"
        assert text == path.read_text(encoding="utf-8"), "changed: run pytest --update-golden, then read the diff"

    return compare


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    item.stash[started] = _cpu_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "teardown":
        report.user_properties = [*report.user_properties, (CPU_SECONDS, _cpu_seconds() - item.stash[started])]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    spent = unit_cpu_seconds(terminalreporter)
    if spent:
        verdict = "within" if spent <= UNIT_BUDGET_S else "OVER"
        terminalreporter.write_line(f"tests/unit took {spent:.1f} CPU seconds, {verdict} the {UNIT_BUDGET_S:g}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None and unit_cpu_seconds(reporter) > UNIT_LIMIT_S:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def unit_cpu_seconds(reporter: pytest.TerminalReporter) -> float:
    """Add up what the tests under tests/unit took."""
    return sum(
        dict(report.user_properties).get(CPU_SECONDS, 0.0)
        for reports in reporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "teardown" and report.nodeid.startswith("tests/unit/")
    )


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
