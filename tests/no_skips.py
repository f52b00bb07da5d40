"""A pytest plugin for continuous integration, where a test that didn't run is a test that failed.

Loaded by ``-p tests.no_skips``. Only the real data may be absent: a test that skips for want of JURYBOX_DATA
is let through where that variable is unset.
"""

import os

import pytest


def _forbid(report: pytest.CollectReport | pytest.TestReport) -> None:
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if "JURYBOX_DATA" in reason and not os.environ.get("JURYBOX_DATA"):
        return
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was skipped, which is forbidden here. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    _forbid(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    report = yield
    _forbid(report)
    return report
