"""Cells against a count by hand, row by row, in Python."""

from collections import Counter
from datetime import UTC, datetime

from arena.models import Category
from judges.models import Outcome, Verdict
from judges.voting import retract_verdict
from ratings import cells
from ratings.slices import Slice
from tests import cast


def counted_by_hand(verdicts) -> Counter:
    return Counter(
        (verdict.pair.system_a.name, verdict.pair.system_b.name, verdict.prompt_id, verdict.outcome)
        for verdict in verdicts
    )


def counted(arena, **parts) -> tuple[Counter, cells.Cells]:
    found = cells.count(arena=arena, slice=Slice(**parts))
    names = [name.split("\x1f")[0] for name in found.system_names]
    rows = zip(found.a, found.b, found.prompt, found.outcome, found.count, strict=True)
    return (
        Counter({(names[a], names[b], found.prompt_ids[p], o): int(n) for a, b, p, o, n in rows}),
        found,
    )


def test_people_and_each_judge_are_counted_apart(small_arena):
    for judge, slug in [("People", "people"), ("Judge LLM", "judge-llm")]:
        expected = counted_by_hand(Verdict.objects.filter(judge__name=judge))
        found, _ = counted(small_arena, judge=slug)
        assert found == expected
        assert expected.total() > 0


def test_the_numbers_of_battles_prompts_and_voters(small_arena):
    _, found = counted(small_arena)
    assert (found.n_battles, len(found.prompt_ids), found.n_voters) == (36, 6, 2)
    assert found.n_verdicts == 72
    assert found.prompts_known


def test_a_retracted_verdict_is_not_counted_and_is_reported(small_arena):
    verdict = Verdict.objects.filter(judge__slug="people").first()
    retract_verdict(verdict=verdict)
    found, result = counted(small_arena)
    assert found == counted_by_hand(
        Verdict.objects.filter(judge__slug="people").exclude(pk=verdict.pk)
    )
    assert result.n_retracted == 1


def test_a_category_narrows_to_its_prompts(small_arena):
    category = Category.objects.create(arena=small_arena, slug="odes", name="Odes")
    prompts = list(small_arena.prompts.all()[:2])
    category.prompts.set(prompts)
    found, _ = counted(small_arena, category="odes")
    assert found == counted_by_hand(
        Verdict.objects.filter(judge__slug="people", prompt__in=prompts)
    )


def test_shared_battles_are_those_that_the_other_judge_decided_too(small_arena):
    llm = small_arena.judges.get(slug="judge-llm")
    lost = Verdict.objects.filter(judge=llm)[:10]
    gone = [verdict.battle_id for verdict in lost]
    for verdict in lost:
        retract_verdict(verdict=verdict)
    found, _ = counted(small_arena, judge="people", shared_with="judge-llm")
    assert found == counted_by_hand(
        Verdict.objects.filter(judge__slug="people").exclude(battle_id__in=gone)
    )


def test_a_period_begins_and_ends_at_midnight(small_arena):
    llm = small_arena.judges.get(slug="judge-llm")
    first, second = Verdict.objects.filter(judge=llm)[:2]
    for verdict, hour in [(first, 0), (second, 23)]:
        Verdict.objects.filter(pk=verdict.pk).update(
            cast_at=datetime(2020, 2, 1, hour, 59, tzinfo=UTC)
        )
    found, _ = counted(small_arena, judge="judge-llm", since="2020-02-01", until="2020-02-02")
    assert found == counted_by_hand([first, second])
    assert not counted(small_arena, judge="judge-llm", until="2020-02-01")[0]


def test_an_earlier_time_can_be_counted_again(small_arena):
    before = cells.count(arena=small_arena, slice=Slice())
    verdict = Verdict.objects.filter(judge__slug="people").first()
    retract_verdict(verdict=verdict)
    carol = cast.make_voter(verdict.judge, "carol")
    cast.make_verdict(verdict.battle, verdict.judge, Outcome.TIE, carol)
    now = cells.count(arena=small_arena, slice=Slice())
    again = cells.count(
        arena=small_arena,
        slice=Slice(),
        up_to=before.cut,
    )
    assert again.digest() == before.digest() != now.digest()


def test_equal_data_in_another_order_has_the_same_digest(db):
    """Systems made in another order have other ids, and battles another orientation."""
    digests = []
    for slug, names in [("one", ["Ada", "Basil"]), ("two", ["Basil", "Ada"])]:
        arena = cast.make_arena(slug)
        systems = {name: cast.make_system(arena, name) for name in names}
        people = cast.make_judge(arena)
        for number, winner in enumerate(["Ada", "Ada", "Basil", None]):
            battle = cast.make_battle(*systems.values(), cast.make_prompt(arena, f"Poem {number}"))
            outcome = (
                Outcome.TIE
                if winner is None
                else Outcome.A
                if battle.system_a == systems[winner]
                else Outcome.B
            )
            cast.make_verdict(battle, people, outcome)
        digests.append(cells.count(arena=arena, slice=Slice()).digest())
    assert digests[0] == digests[1]


def test_a_system_without_verdicts_does_not_change_the_digest(small_arena):
    before = cells.count(arena=small_arena, slice=Slice()).digest()
    cast.make_system(small_arena, "Aaron")
    assert cells.count(arena=small_arena, slice=Slice()).digest() == before


def test_an_arena_without_verdicts_counts_to_nothing(db):
    arena = cast.make_arena()
    cast.make_judge(arena)
    found = cells.count(arena=arena, slice=Slice())
    assert (found.n_verdicts, found.n_battles, len(found.a)) == (0, 0, 0)


def test_counting_takes_the_same_number_of_queries_for_any_number_of_verdicts(
    small_arena, django_assert_max_num_queries
):
    with django_assert_max_num_queries(16):
        cells.count(arena=small_arena, slice=Slice())
