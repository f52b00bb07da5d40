"""In continuous integration a skipped test counts as failed."""

import pytest

pytest_plugins = ["pytester"]

SKIPPED = """
    import pytest

    @pytest.mark.skip(reason="{reason}")
    def test_that_never_runs():
        pass
"""


@pytest.fixture
def run(pytester: pytest.Pytester):
    def run(source: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess(
            "-p", "tests.no_skips", "-p", "no:django", "-p", "no:randomly", "-p", "no:cacheprovider"
        )

    return run


def test_a_skipped_test_fails_and_names_its_reason(run):
    result = run(SKIPPED.format(reason="no browser"))
    result.assert_outcomes(failed=0, errors=1)
    result.stdout.fnmatch_lines(["*forbidden here*no browser*"])


def test_a_skip_in_the_middle_of_a_test_fails(run):
    result = run("import pytest\ndef test_it():\n    pytest.skip('not today')")
    result.assert_outcomes(failed=1)


def test_a_module_that_is_skipped_whole_fails(run):
    result = run("import pytest\npytest.importorskip('no_such_module')")
    result.assert_outcomes(errors=1)


def test_real_data_may_be_absent_where_no_folder_is_named(run, monkeypatch):
    monkeypatch.delenv("JURYBOX_DATA", raising=False)
    run(SKIPPED.format(reason="JURYBOX_DATA is not set")).assert_outcomes(skipped=1)


def test_real_data_may_not_be_absent_where_its_folder_is_named(run, monkeypatch):
    monkeypatch.setenv("JURYBOX_DATA", "/somewhere")
    run(SKIPPED.format(reason="JURYBOX_DATA is not set")).assert_outcomes(errors=1)


def test_an_expected_failure_stays_one(run):
    result = run("import pytest\n@pytest.mark.xfail\ndef test_it():\n    assert 0")
    result.assert_outcomes(xfailed=1)
