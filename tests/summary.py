"""What broke, what held and what was measured, in one table: the end of `make faults`.

A plugin (`pytest -p tests.summary`). A test gives its figures with pytest's own
``record_property("measured", ...)``.
"""

import pytest
from _pytest.terminal import TerminalReporter

OUTCOMES = ("passed", "failed", "error", "skipped")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """One row for each test, in the order in which they ran, and how many held."""
    terminalreporter.section("what was broken, and what held")
    count = {}
    for outcome in OUTCOMES:
        reports = [
            report
            for report in terminalreporter.getreports(outcome)
            if isinstance(report, pytest.TestReport)
        ]
        count[outcome] = len(reports)
        for report in reports:
            terminalreporter.write_line(row(outcome, report))
    terminalreporter.write_line(", ".join(f"{number} {word}" for word, number in count.items()))


def row(outcome: str, report: pytest.TestReport) -> str:
    """One test: how it ended, how long it took, its sentence and its figures."""
    name = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
    figures = [str(value) for kind, value in report.user_properties if kind == "measured"]
    return "; ".join([f"{outcome:8}{report.duration:7.1f} s  {name}", *figures])
