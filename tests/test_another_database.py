"""The run on a second database repeats what touches the database, and only that."""

import pytest

pytest_plugins = ["pytester"]

TESTS = """
    import pytest

    @pytest.fixture
    def db():
        pass

    @pytest.fixture
    def arena(db):
        pass

    def test_sums(): pass
    def test_an_arena(arena): pass
    @pytest.mark.django_db
    def test_that_is_marked(): pass
"""


def test_what_needs_no_database_is_left_out(pytester: pytest.Pytester):
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess(
        *("-p", "tests.another_database", "-p", "no:django", "-p", "no:randomly"),
        *("-p", "no:cacheprovider", "-v", "-W", "ignore::pytest.PytestUnknownMarkWarning"),
    )
    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.no_fnmatch_line("*test_sums*")
