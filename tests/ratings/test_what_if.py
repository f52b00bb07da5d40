"""A leaderboard counted otherwise stands beside the published one, and changes nothing of it."""

import pytest
from django.core.cache import cache

from arena.models import Category, System
from judges.models import Outcome, Verdict
from ratings.engine.davidson import fit_davidson
from ratings.engine.scale import elo_scale
from ratings.engine.tallies import tally
from ratings.models import Publication, Rating, Snapshot
from tests import cast
from tests.ratings.published import publish, text

URL = "/a/poems/what-if/"


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()


def ratings_of(client, query: str = "") -> dict[str, float]:
    found = client.get(f"{URL}?{query}&format=json").json()
    return {row["system"]: (row["what_if"] or {}).get("rating") for row in found["systems"]}


def by_hand(arena, *, weight=lambda verdict: 1.0, fit=None, **condition) -> dict[str, float]:
    """Ratings of the verdicts that fit the condition, on a scale whose mean is that of the published ones."""
    from ratings.engine.bradley_terry import fit_bradley_terry

    systems = list(arena.systems.exclude(standing="private").order_by("pk"))
    number = {system.pk: at for at, system in enumerate(systems)}
    rows = [
        verdict
        for verdict in Verdict.objects.filter(**condition).select_related("battle__prompt")
        if weight(verdict)
    ]
    tallies = tally(
        [number[row.battle.system_a_id] for row in rows],
        [number[row.battle.system_b_id] for row in rows],
        [row.outcome for row in rows],
        n_systems=len(systems),
        count=[weight(row) for row in rows],
    )
    theta = (fit or fit_bradley_terry)(tallies).theta
    rating = elo_scale(theta)
    published = Rating.objects.filter(snapshot=Snapshot.objects.latest("pk"))
    shift = sum(row.rating for row in published) / len(systems) - rating.mean()
    return {system.slug: rating[at] + shift for at, system in enumerate(systems)}


def test_without_a_change_it_is_the_published_leaderboard(small_arena, client):
    snapshot = publish(small_arena)
    found = client.get(URL, {"format": "json"}).json()
    assert found["snapshot"] == snapshot.pk
    assert found["n_verdicts"] == snapshot.n_verdicts
    for row in found["systems"]:
        assert row["what_if"]["rating"] == pytest.approx(row["published"]["rating"], abs=1e-6)
        assert row["what_if"]["rank"] == row["published"]["rank"]
        assert row["what_if"]["lower"] < row["what_if"]["rating"] < row["what_if"]["upper"]
    page = text(client.get(URL))
    assert "Ada would still be first. No system would change places;" in page


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ("by=judge-llm", {"judge__slug": "judge-llm"}),
        ("by=judge-llm&by=people", {}),
        ("by=judge-llm&ties=out", {"judge__slug": "judge-llm", "outcome__lt": 2}),
        ("longer=22", {"judge__slug": "people", "prompt__title": "long"}),
    ],
)
def test_it_counts_what_was_asked_for(small_arena, client, query, condition):
    for prompt in small_arena.prompts.order_by("pk")[1:]:
        prompt.title = "long"
        prompt.messages = [{"role": "user", "content": f"{prompt.text} Please."}]
        prompt.save()
    publish(small_arena)
    assert ratings_of(client, query) == pytest.approx(by_hand(small_arena, **condition), abs=1e-6)


def test_davidson_and_a_period(small_arena, client):
    publish(small_arena)
    expected = by_hand(small_arena, judge__slug="judge-llm", fit=fit_davidson)
    assert ratings_of(client, "by=judge-llm&ties=davidson") == pytest.approx(expected, abs=1e-5)
    # A period of which half is out: the verdicts of two prompts are dated back.
    early = list(small_arena.prompts.order_by("pk")[:2])
    Verdict.objects.filter(prompt__in=early).update(cast_at="2020-01-01T12:00:00Z")
    cache.clear()
    kept = {"judge__slug": "people"}
    since = ratings_of(client, "since=2021-01-01")
    assert since == pytest.approx(by_hand(small_arena, **kept, cast_at__year__gt=2020), abs=1e-6)
    assert ratings_of(client, "until=2021-01-01&by=people&by=judge-llm") != pytest.approx(since)


def test_weights_multiply_what_a_prompt_counts_and_the_interval_is_by_prompt(small_arena, client):
    odes = Category.objects.create(arena=small_arena, name="Odes", slug="odes")
    short = Category.objects.create(arena=small_arena, name="Short", slug="short")
    one, two, *_ = small_arena.prompts.order_by("pk")
    one.categories.add(odes, short)
    two.categories.add(odes)
    publish(small_arena)
    factor = {one.pk: 6.0, two.pk: 3.0}
    expected = by_hand(
        small_arena,
        judge__slug="people",
        weight=lambda verdict: factor.get(verdict.prompt_id, 1.0),
    )
    assert ratings_of(client, "weight-odes=3&weight-short=2") == pytest.approx(expected, abs=1e-6)
    nothing = by_hand(
        small_arena,
        judge__slug="people",
        weight=lambda verdict: float(verdict.prompt_id not in factor),
    )
    assert ratings_of(client, "weight-odes=0") == pytest.approx(nothing, abs=1e-6)
    # Twice as much of everything is the same data: weights don't make intervals narrower.
    for prompt in small_arena.prompts.all():
        prompt.categories.set([odes])
    cache.clear()
    spans = []
    for weight in ("2", "4"):
        found = client.get(URL, {"weight-odes": weight, "format": "json"}).json()
        spans.append([row["what_if"]["upper"] for row in found["systems"]])
    assert spans[0] == pytest.approx(spans[1])
    page = client.get(URL, {"weight-odes": "0.125"}).content.decode()
    assert 'name="weight-odes" min="0" max="100" step="any" value="0.125"' in page


def test_changes_of_rank_are_marked(small_arena, client):
    people = small_arena.judges.get(slug="people")
    other = cast.make_judge(small_arena, "Contrarians")
    voter = cast.make_voter(other, "carl")
    for verdict in people.verdicts.select_related("battle")[:]:
        swapped = {Outcome.A: Outcome.B, Outcome.B: Outcome.A}[Outcome(verdict.outcome)]
        cast.make_verdict(verdict.battle, other, swapped, voter, repetition=verdict.pk)
    cast.make_system(small_arena, "Nobody")
    publish(small_arena, judge="people")
    page = client.get(URL, {"judge": "people", "by": "contrarians"})
    *rows, without_battles = [row for row, _ in page.context["rows"]]
    assert without_battles.system.slug == "nobody"
    assert without_battles.now is None
    ranks = {row.system.slug: (row.published.rank, row.now["rank"]) for row in rows}
    assert [new for _, new in ranks.values()] == [1, 2, 3, 4]
    assert [sum(pair) for pair in ranks.values()] == [5] * 4  # upside down
    last = max(ranks, key=ranks.get).title()
    assert f"{last} would be first instead of" in text(page)
    assert "4 systems of 5 would change places" in text(page)
    assert "↑ 3" in text(page)
    assert "↓ 3" in text(page)


def test_what_cannot_be_done_is_said(small_arena, client):
    publish(small_arena)
    for query, sentence in {
        "by=nobody": "no judge “nobody”",
        "ties=lost": "Ties are one of",
        "since=yesterday": "is not a date",
        "since=2026-02-01&until=2026-01-01": "isn't after",
        "longer=-1": "is not a number from 0",
        "longer=nan": "is not a number from 0",
        "longer=900000": "No verdict is left",
        "since=2999-01-01": "No verdict is left",
    }.items():
        page = client.get(f"{URL}?{query}")
        assert page.status_code == 200
        assert sentence in text(page), query
        assert client.get(f"{URL}?{query}&format=json").status_code == 404


def test_it_is_computed_once_at_a_time_within_a_bound(
    small_arena, client, monkeypatch, django_assert_max_num_queries
):
    publish(small_arena)
    before = list(Publication.objects.order_by("pk").values())
    lock = f"what-if-at-work-{small_arena.pk}"
    cache.add(lock, 1, 30)
    assert "Another one of this arena" in text(client.get(URL, {"ties": "out"}))
    cache.delete(lock)
    client.get(URL, {"ties": "out"})
    assert cache.get(lock) is None
    monkeypatch.setattr("ratings.what_if._compute", None)  # what is kept isn't computed again
    with django_assert_max_num_queries(12):
        assert "would still be first" in text(client.get(URL, {"ties": "out"}))
    monkeypatch.undo()
    monkeypatch.setattr("ratings.what_if.MOST_VERDICTS", 50)
    assert "for up to 50 verdicts" in text(client.get(URL, {"since": "2020-01-01"}))
    assert cache.get(lock) is None
    assert list(Publication.objects.order_by("pk").values()) == before
    assert Snapshot.objects.count() == 1


def test_a_hidden_system_is_in_none_of_it(small_arena, client):
    people = small_arena.judges.get(slug="people")
    secret = cast.make_system(small_arena, "Zebra")
    for prompt in small_arena.prompts.all():
        battle = cast.make_battle(small_arena.systems.get(slug="ada"), secret, prompt)
        cast.make_verdict(battle, people, Outcome.A, people.voters.first())
        cast.make_verdict(battle, people, Outcome.B, people.voters.last())
    publish(small_arena)
    assert "zebra" in ratings_of(client, "ties=out")
    # It is hidden at once, before the next snapshot.
    System.objects.filter(pk=secret.pk).update(standing="private")
    found = ratings_of(client, "ties=out")
    assert "zebra" not in found
    assert "Zebra" not in client.get(URL).content.decode()
