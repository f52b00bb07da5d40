import pytest

from arena.models import Battle, Category
from judges.models import Outcome
from judges.runs import RunError, confirm_run, plan, plan_run
from judges.runs.rows import make_rows
from tests import cast
from tests.judges.fake_llm import make_arena, make_judge

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena():
    arena = make_arena(prompts=6)
    odes = Category.objects.create(arena=arena, slug="odes", name="Odes")
    odes.prompts.add(*arena.prompts.order_by("pk")[:2])
    return arena


@pytest.fixture
def judge(arena, monkeypatch):
    return make_judge(arena, monkeypatch, both_orders=False)


def chosen(judge, **selection) -> set[tuple[str, str]]:
    """(prompt, pair) of the calls that a run makes; its plan must have said as many."""
    planned = plan_run(judge=judge, selection=selection)
    expected = plan(planned)
    run = make_rows(confirm_run(run=planned))
    calls = run.calls.select_related("prompt", "pair__system_a", "pair__system_b")
    found = {(call.prompt.text, f"{call.pair.system_a}-{call.pair.system_b}") for call in calls}
    assert run.total == expected.calls == expected.battles == len(found)
    return found


def names(found, part: int) -> set[str]:
    return {row[part] for row in found}


def test_every_battle_that_there_is(judge):
    assert len(chosen(judge)) == 18


def test_the_battles_of_one_system_and_those_between_several(judge):
    assert names(chosen(judge, systems=["ada"]), 1) == {"Ada-Basil", "Ada-Cleo"}
    assert names(chosen(judge, systems=["ada", "cleo"]), 1) == {"Ada-Cleo"}


def test_a_pair_in_either_order(judge):
    found = chosen(judge, pairs=[["cleo", "basil"], ["ada", "basil"]])
    assert names(found, 1) == {"Basil-Cleo", "Ada-Basil"}
    assert len(found) == 12


def test_prompts_and_categories(arena, judge):
    prompt = arena.prompts.get(messages__0__content="Poem 5")
    assert names(chosen(judge, prompts=[prompt.pk]), 0) == {"Poem 5"}
    assert names(chosen(judge, categories=["odes"]), 0) == {"Poem 0", "Poem 1"}


def test_what_people_voted_on(arena, judge):
    people = cast.make_judge(arena)
    voter = cast.make_voter(people)
    for battle in arena.battles.all()[:5]:
        cast.make_verdict(battle, people, Outcome.A, voter)
    assert len(chosen(judge, battles="voted")) == 5


def test_a_limit_is_a_sample_from_all_over_and_always_the_same(judge):
    found = chosen(judge, limit=9)
    assert len(found) == 9
    assert len(names(found, 0)) >= 4
    assert len(names(found, 1)) >= 2
    assert chosen(judge, limit=9) == found


@pytest.mark.parametrize("limit", [0, 10])
def test_battles_that_are_missing_are_made(arena, judge, limit):
    Battle.objects.all().delete()
    arena.pairs.all().delete()
    assert len(chosen(judge, battles="all", limit=limit)) == (limit or 18)
    assert arena.battles.count() == (limit or 18)
    assert len(chosen(judge, battles="all")) == 18
    assert arena.battles.count() == 18


def test_of_named_systems_battles_are_made_unless_only_those_that_exist_are_wanted(arena, judge):
    arena.battles.filter(prompt__messages__0__content="Poem 0").delete()
    assert len(chosen(judge, systems=["ada"], battles="existing")) == 10
    assert len(chosen(judge, systems=["ada"])) == 12
    assert arena.battles.count() == 17


@pytest.mark.parametrize("way", ["existing", "all"])
def test_what_the_judge_has_decided_is_left_out(arena, judge, way):
    for battle in arena.battles.all()[:4]:
        cast.make_verdict(battle, judge, Outcome.A)
    assert len(chosen(judge, battles=way)) == 14


@pytest.mark.parametrize("way", ["existing", "all"])
def test_only_what_failed_in_another_run(judge, way):
    run = make_rows(confirm_run(run=plan_run(judge=judge, selection={})))
    from django.utils import timezone

    failed = run.calls.filter(prompt__messages__0__content="Poem 3")
    failed.update(state="error", finished_at=timezone.now())
    assert names(chosen(judge, failed_of=run.pk, battles=way), 0) == {"Poem 3"}


@pytest.mark.parametrize("way", ["existing", "all"])
def test_outputs_to_score_are_counted_once(arena, monkeypatch, way):
    judge = make_judge(arena, monkeypatch, name="Scorer", judges_battles=False, repetitions=2)
    planned = plan_run(judge=judge, selection={"battles": way})
    expected = plan(planned)
    run = make_rows(confirm_run(run=planned))
    assert (run.total, expected.calls, expected.battles) == (36, 36, 18)


@pytest.mark.parametrize(
    "selection",
    [
        {"systems": ["nobody"]},
        {"systems": "ada"},
        {"pairs": [["ada"]]},
        {"pairs": [["ada", "ada"]]},
        {"prompts": [10**12]},
        {"prompts": ["1"]},
        {"categories": ["elegies"]},
        {"limit": -1},
        {"limit": True},
        {"battles": "some"},
        {"failed_of": 10**12},
        {"wehre": 1},
    ],
)
def test_what_there_is_not_is_refused(judge, selection):
    with pytest.raises(RunError):
        plan_run(judge=judge, selection=selection)


def test_names_of_another_arena_are_refused(judge):
    elsewhere = cast.make_arena("elsewhere")
    cast.make_system(elsewhere, "Zoe")
    prompt = cast.make_prompt(elsewhere)
    for selection in ({"systems": ["zoe"]}, {"prompts": [prompt.pk]}):
        with pytest.raises(RunError, match="has none of these"):
            plan_run(judge=judge, selection=selection)
