"""Systems that are endpoints judge each other, and none its own family."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from judges.derivations import derive
from judges.juries.councils import make_council
from judges.juries.making import JuryError
from judges.models import Judge, Outcome, Verdict
from tests import cast
from tests.accounts import client_of, make_member

pytestmark = pytest.mark.django_db
A, B, TIE, BAD = Outcome


def endpoint(model):
    return {
        "endpoint": {
            "url": "http://127.0.0.1:9/v1",
            "model": model,
            "parameters": {"max_tokens": 4_000, "temperature": 0.8},
        },
        "system_prompt": "Be brief.",
        "pictures": False,
    }


@pytest.fixture
def arena():
    arena = cast.make_arena()
    systems = [
        cast.make_system(arena, name, family=family, endpoint=endpoint(name.lower()))
        for name, family in (("Ada", "Acme"), ("Basil", "Birch"), ("Cleo", "Cedar"))
    ]
    systems.append(cast.make_system(arena, "Dora"))  # has no endpoint
    prompt = cast.make_prompt(arena)
    for number, one in enumerate(systems):
        for other in systems[number + 1 :]:
            cast.make_battle(one, other, prompt)
    return arena


def test_every_system_with_an_endpoint_sits_and_a_second_time_changes_nothing(arena):
    council = make_council(arena=arena, name="Council")
    assert make_council(arena=arena, name="Council") == council
    members = Judge.objects.filter(arena=arena, kind=Judge.Kind.LLM)
    assert {str(member) for member in members} == {
        "Ada as a judge", "Basil as a judge", "Cleo as a judge",
    }  # fmt: skip
    ada = members.get(family="Acme")
    assert ada.configuration["endpoint"]["model"] == "ada"
    # What belongs to answering stays there.
    assert ada.configuration["endpoint"]["parameters"] == {"temperature": 0}


def test_nobody_judges_its_own_family(arena):
    council = make_council(arena=arena, name="Council")
    for battle in arena.battles.all():
        for judge in Judge.objects.filter(arena=arena, kind=Judge.Kind.LLM):
            # Each says that its own system is better, and of others that B is.
            is_mine = judge.name.startswith(battle.system_a.name)
            cast.make_verdict(battle, judge, A if is_mine else B)
    derive(judge=council)
    traces = {
        (v.battle.system_a.name, v.battle.system_b.name): v
        for v in Verdict.objects.filter(judge=council).select_related("trace", "battle")
    }
    assert len(traces) == 6
    ada_basil = traces["Ada", "Basil"]
    assert ada_basil.outcome == B
    assert set(ada_basil.trace.parse["votes"]) == {"cleo-as-a-judge"}
    assert set(traces["Ada", "Dora"].trace.parse["votes"]) == {
        "basil-as-a-judge",
        "cleo-as-a-judge",
    }


def test_systems_without_family_or_too_few_are_refused_and_nothing_is_made(arena):
    arena.systems.filter(name="Cleo").update(family=" ")
    with pytest.raises(JuryError, match="Cleo has no family"):
        make_council(arena=arena, name="Council")
    arena.systems.exclude(name="Ada").update(endpoint={})
    with pytest.raises(JuryError, match="two systems"):
        make_council(arena=arena, name="Council")
    assert not Judge.objects.filter(arena=arena).exists()


def test_the_command_says_what_to_run_next(arena):
    out = StringIO()
    call_command("make_council", "poems", "Council", "--option", "reasoned=false", stdout=out)
    assert "manage.py run_judge poems ada-as-a-judge" in out.getvalue()
    with pytest.raises(CommandError, match="has no option"):
        call_command("make_council", "poems", "Other", "--option", "depth=3", stdout=out)


def test_a_maintainer_makes_it_by_a_button(arena):
    client = client_of(make_member(arena, "maintainer"))
    page = reverse("judges:new-jury", args=[arena.slug])
    assert "3 systems" in client.get(page).content.decode()
    for _ in range(2):
        response = client.post(page, {"council": "1", "name": "Council"})
        assert response.url == reverse("ratings:judge", args=[arena.slug, "council"])
    assert Judge.objects.filter(arena=arena, kind=Judge.Kind.JURY).count() == 1
    arena.systems.filter(name="Cleo").update(family="")
    assert (
        "Cleo has no family" in client.post(page, {"council": "1", "name": "C2"}).content.decode()
    )
