"""A vote that is cast and taken back again changes no figure, and is told of all the same."""

import pytest

from judges.models import Outcome
from judges.voting import cast_verdict, retract_verdict
from ratings import publications
from ratings.models import Publication, Snapshot
from ratings.taken_back import taken_back_since
from tests import cast
from tests.ratings.published import publish, text

URL = "/a/poems/leaderboard/"


def cast_and_retract(arena, *, judge="people", handle="carol", battle=None, criterion=""):
    judge = arena.judges.get(slug=judge)
    voter = cast.make_voter(judge, handle) if judge.is_people else None
    verdict = cast_verdict(
        battle=battle or arena.battles.first(),
        judge=judge,
        voter=voter,
        outcome=Outcome.TIE,
        criterion=criterion,
        repetition=7,
    )
    retract_verdict(verdict=verdict)


def test_the_page_counts_what_was_cast_and_taken_back_since(small_arena, client, settings):
    settings.BOOTSTRAP_ROUNDS = 200
    snapshot = publish(small_arena)
    assert "No verdict was taken back" in text(client.get(URL))
    cast_and_retract(small_arena)
    publications.refresh(Publication.objects.get(snapshot=snapshot).pk)
    assert Snapshot.objects.get() == snapshot
    assert "1 verdict taken back, not counted" in text(client.get(URL))
    # The snapshot itself says what there was when it was counted.
    snapshot.refresh_from_db()
    assert snapshot.n_retracted == 0


def test_an_older_verdict_that_is_taken_back_is_counted_by_the_next_snapshot(small_arena):
    snapshot = publish(small_arena)
    retract_verdict(verdict=small_arena.verdicts.filter(judge__slug="people").first())
    assert taken_back_since(snapshot) == 0
    newer = publish(small_arena)
    assert (newer.n_retracted, taken_back_since(newer)) == (1, 0)


@pytest.mark.parametrize(
    "elsewhere", [{"judge": "judge-llm"}, {"criterion": "wit"}, {"battle": "of another category"}]
)
def test_what_the_leaderboard_does_not_count_is_not_told_of(small_arena, elsewhere):
    odes = small_arena.categories.create(slug="odes", name="Odes")
    odes.prompts.add(small_arena.prompts.first())
    snapshot = publish(small_arena, category="odes")
    if "battle" in elsewhere:
        elsewhere = {"battle": small_arena.battles.exclude(prompt__categories=odes).first()}
    cast_and_retract(small_arena, **elsewhere)
    assert taken_back_since(snapshot) == 0
    cast_and_retract(small_arena, handle="dave")
    assert taken_back_since(snapshot) == 1


def test_only_so_many_are_looked_at(small_arena, monkeypatch):
    monkeypatch.setattr("ratings.taken_back.MOST_LOOKED_AT", 2)
    snapshot = publish(small_arena)
    for handle in ("carol", "dave", "eve"):
        cast_and_retract(small_arena, handle=handle)
    assert taken_back_since(snapshot) == 2
