"""The admin stays usable when tables have a million rows."""

import re
import uuid
from datetime import timedelta

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from arena.models import (
    AccessToken,
    Arena,
    AuditEntry,
    Battle,
    Category,
    Image,
    Invitation,
    Membership,
    Output,
    Pair,
    Prompt,
    Submission,
    WantedBattle,
)
from config.admin import LargeTableAdmin
from judges.models import (
    Ballot,
    CachedReply,
    CascadeRequest,
    Derivation,
    EndpointState,
    Exclusion,
    GoldItem,
    Judge,
    JudgeCall,
    JudgeRun,
    Outcome,
    Preparation,
    ProbeResult,
    Ranking,
    Retraction,
    Score,
    Trial,
    Verdict,
    VerdictTrace,
    Voter,
)
from ratings.models import JudgeReport, Publication, Rating, Snapshot
from tests import cast
from tests.accounts import make_user
from tests.api_client import make_published_arena

OURS = [
    model
    for model in admin.site._registry
    if model.__module__.split(".")[0] in ("arena", "judges", "ratings")
]
APPEND_ONLY = [
    Verdict, Snapshot, Rating, JudgeReport, Publication, Battle, Output, Pair, Voter, Ballot, Ranking,
    Exclusion, AuditEntry, AccessToken, Derivation, Invitation,
    Membership, Image,
]  # fmt: skip
FORGOTTEN = (EndpointState, CachedReply)
NEVER_DELETED = [model for model in OURS if model not in (Category, GoldItem, *FORGOTTEN)]
WHOLE_COUNT = re.compile(r"\bCOUNT\(", re.IGNORECASE)

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(admin_user) -> Client:
    client = Client()
    client.force_login(admin_user)
    return client


@pytest.fixture
def arena(settings):
    """At least one row of everything."""
    settings.BOOTSTRAP_ROUNDS = 200
    arena = make_published_arena()
    judge = arena.judges.get(slug="judge-llm")
    add_run(arena, judge)
    Derivation.objects.create(judge=judge)
    Submission.objects.create(arena=arena, key="k", system=arena.systems.first())
    WantedBattle.objects.create(arena=arena, battle=arena.battles.first(), source="c", votes=3)
    Score.objects.create(arena=arena, judge=judge, output=arena.outputs.first(), value=0.5)
    GoldItem.objects.create(
        arena=arena, source_id="g1", prompt="?", output_a="a", output_b="b", expected=Outcome.A
    )
    add_people(arena, Voter.objects.filter(judge__arena=arena).first())
    return arena


def address(model, action: str, *args) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{action}", args=args)


def queries_of(staff: Client, path: str) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        response = staff.get(path)
    assert response.status_code == 200
    return [query["sql"] for query in captured.captured_queries]


def test_every_table_that_people_look_at_has_a_page():
    found = {model.__name__ for model in OURS}
    assert found >= {
        "Arena", "Category", "Prompt", "System", "Output", "Battle", "Judge", "Voter", "Verdict",
        "JudgeRun", "JudgeCall", "GoldItem", "Snapshot",
        "JudgeReport", "Publication", "Ballot", "Ranking", "Exclusion",
        "Membership", "Invitation", "AccessToken", "AuditEntry", "Image",
    }  # fmt: skip
    assert all(isinstance(admin.site._registry[model], LargeTableAdmin) for model in OURS)


def test_every_list_search_and_row_opens(staff, arena, subtests):
    for model in OURS:
        with subtests.test(model=model.__name__):
            row = model.objects.latest("pk")
            assert str(row.pk) in staff.get(address(model, "changelist")).content.decode()
            for term in (str(row.pk), "poems", "judge llm", "9" * 30, "x' OR 1=1"):
                assert staff.get(address(model, "changelist"), {"q": term}).status_code == 200
            assert staff.get(address(model, "change", row.pk)).status_code == 200


def test_a_list_asks_as_much_of_many_rows_as_of_few_and_counts_nothing(staff, arena, subtests):
    lists = {model: address(model, "changelist") for model in OURS}
    staff.get(lists[Verdict])
    asked = {model: len(queries_of(staff, path)) for model, path in lists.items()}
    had = {model: model.objects.count() for model in OURS}
    add_rows(arena)
    for model, path in lists.items():
        with subtests.test(model=model.__name__):
            queries = queries_of(staff, path)
            assert model.objects.count() > had[model]
            assert len(queries) == asked[model] <= 8
            assert not [sql for sql in queries if WHOLE_COUNT.search(sql)]


def test_whatever_a_list_reads_of_its_table_has_a_limit(staff, arena, monkeypatch, subtests):
    add_rows(arena)
    monkeypatch.setattr(LargeTableAdmin, "list_per_page", 3)
    monkeypatch.setattr(LargeTableAdmin, "list_max_show_all", 3)
    for model in OURS:
        with subtests.test(model=model.__name__):
            queries = queries_of(staff, address(model, "changelist"))
            reads = [sql for sql in queries if f'FROM "{model._meta.db_table}"' in sql]
            assert len(reads) == 2, "One to know how many pages there are, one for the page."
            assert all("LIMIT" in sql for sql in reads)


def add_people(arena: Arena, voter: Voter) -> None:
    """Of all that people leave behind, one row each."""
    user = make_user(f"friend-of-{arena.slug}")
    soon = timezone.now() + timedelta(days=1)
    Membership.objects.create(arena=arena, user=user, role="voter")
    Invitation.objects.create(
        arena=arena, token_digest=f"digest of {arena.slug}", role="voter", expires_at=soon
    )
    AccessToken.objects.create(user=user, name="Cron", digest=f"digest {user.pk}", expires_at=soon)
    AuditEntry.objects.create(arena=arena, actor=user, act="exclude voter")
    Image.objects.create(arena=arena, name="cat.png", digest="d", width=1, height=1, size=9)
    battle = Battle.objects.filter(arena=arena).first()
    Ballot.objects.create(
        arena=arena, voter=voter, battle=battle, shown_first=0, network="hash of an address"
    )
    Ranking.objects.create(arena=arena, voter=voter, prompt=battle.prompt)
    Exclusion.objects.create(voter=voter, reason="Too fast", by=user)
    EndpointState.objects.create(digest=arena.slug, url="http://127.0.0.1:9/v1", model="m")
    CachedReply.objects.create(key=arena.slug, model="m", text="A", finish="stop", seconds=1)


def add_run(arena: Arena, judge: Judge) -> None:
    run = JudgeRun.objects.create(arena=arena, judge=judge, total=3)
    prompt = Prompt.objects.filter(arena=arena).first()
    JudgeCall.objects.create(arena=arena, run=run, prompt=prompt, purpose="prepare")
    Preparation.objects.create(
        arena=arena, judge=judge, prompt=prompt, checklist=["Does it rhyme?"]
    )
    battle = Battle.objects.filter(arena=arena).first()
    ProbeResult.objects.create(
        arena=arena, run=run, battle=battle, pair=battle.pair, prompt=battle.prompt, probe="swap",
        before=0, after=1, is_fooled=True,
    )  # fmt: skip
    Trial.objects.create(
        arena=arena, judge=judge, battle=battle, key=uuid.uuid4(), configuration={}
    )
    CascadeRequest.objects.create(arena=arena, key=uuid.uuid4(), name="C", tiers=[], terms={})


def add_rows(arena) -> None:
    """More of every table, each in relation to different rows."""
    for number in range(6):
        other = cast.make_arena(f"arena-{number}")
        Category.objects.create(arena=other, slug="odes", name="Odes")
        systems = [cast.make_system(other, name) for name in ("Ada", "Basil")]
        battle = cast.make_battle(*systems, cast.make_prompt(other, f"Poem {number}"))
        people = cast.make_judge(other)
        voter = cast.make_voter(people, "alice")
        verdict = cast.make_verdict(battle, people, Outcome.A, voter)
        add_people(other, voter)
        VerdictTrace.objects.create(verdict=verdict)
        add_run(other, people)
        Derivation.objects.create(judge=people)
        Submission.objects.create(arena=other, key="k", system=battle.system_a)
        WantedBattle.objects.create(arena=other, battle=battle, source="c", votes=3)
        Score.objects.create(arena=other, judge=people, output=battle.output_a, value=1)
        GoldItem.objects.create(
            arena=other, source_id="g", prompt="?", output_a="a", output_b="b", expected=0
        )
        for model in (Snapshot, JudgeReport, Rating, Publication):
            copy = model.objects.first()
            copy.pk, copy._state.adding = None, True
            for name, value in {
                "arena": other, "judge": people, "system": systems[0], "seed": number,
                "slice_digest": str(number), "previous": None,
            }.items():  # fmt: skip
                if hasattr(copy, name):
                    setattr(copy, name, value)
            copy.save()


def test_a_list_of_more_rows_than_are_counted_ends_there(staff, monkeypatch):
    monkeypatch.setattr("config.admin.COUNTED", 120)
    arena = cast.make_arena()
    Prompt.objects.bulk_create(
        Prompt(arena=arena, digest=f"{number}", title=f"Poem {number}") for number in range(300)
    )
    page = staff.get(address(Prompt, "changelist"), {"p": 3})
    assert page.context["cl"].result_count == 121
    assert len(page.context["cl"].result_list) == 21


def test_no_digest_of_a_secret_is_shown(staff, arena):
    for model, secret in (
        (AccessToken, AccessToken.objects.get().digest),
        (Invitation, Invitation.objects.get().token_digest),
        (Ballot, "hash of an address"),
    ):
        page = staff.get(address(model, "change", model.objects.get().pk)).content.decode()
        assert secret not in page


def test_what_is_written_once_is_only_shown(staff, arena, subtests):
    for model in APPEND_ONLY:
        with subtests.test(model=model.__name__):
            path = address(model, "change", model.objects.first().pk)
            assert staff.get(address(model, "add")).status_code == 403
            assert staff.post(path, {"outcome": 1}).status_code == 403
            assert "_save" not in staff.get(path).content.decode()


def test_nothing_on_which_verdicts_rest_is_deleted(staff, arena, subtests):
    for model in NEVER_DELETED:
        with subtests.test(model=model.__name__):
            row = model.objects.first()
            assert staff.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
            staff.post(
                address(model, "changelist"),
                {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"},
            )
            assert model.objects.filter(pk=row.pk).exists()


def test_the_configuration_of_a_judge_is_chosen_once(staff, arena):
    judge = arena.judges.get(slug="judge-llm")
    path = address(type(judge), "change", judge.pk)
    form = {"name": "A new name", "family": "Bard", "configuration": '{"model": "other"}'}
    assert staff.post(path, form).status_code == 302
    judge.refresh_from_db()
    assert (judge.name, judge.family, judge.configuration) == ("A new name", "Bard", {})
    assert 'name="configuration"' in staff.get(address(type(judge), "add")).content.decode()


def test_search_finds_verdicts_by_voter_judge_battle_and_id(staff, arena):
    verdict = Verdict.objects.filter(voter__handle="bob").first()
    expected = {
        "bob": {"voter__handle": "bob"},
        "judge-llm": {"judge__slug": "judge-llm"},
        "bob people": {"voter__handle": "bob"},
        "bob judge-llm": {"pk": None},
    }
    for term, conditions in expected.items():
        page = staff.get(address(Verdict, "changelist"), {"q": term})
        assert page.context["cl"].result_count == Verdict.objects.filter(**conditions).count()
    found = staff.get(address(Verdict, "changelist"), {"q": str(verdict.pk)}).context["cl"]
    assert verdict in found.queryset


def test_the_selected_verdicts_are_taken_back_and_stay(staff, arena):
    chosen = list(Verdict.objects.filter(voter__handle="bob")[:3])
    form = {"action": "retract", "_selected_action": [verdict.pk for verdict in chosen]}
    page = staff.post(address(Verdict, "changelist"), form, follow=True)
    assert "Taken back: 3" in page.content.decode()
    assert Retraction.objects.filter(verdict__in=chosen, reason__contains="admin").count() == 3
    assert Verdict.objects.filter(pk__in=[verdict.pk for verdict in chosen]).count() == 3


def test_too_many_verdicts_at_once_are_refused_as_a_whole(staff, arena, monkeypatch):
    monkeypatch.setattr("judges.admin.RETRACTED_AT_ONCE", 2)
    before = Retraction.objects.count()
    keys = [verdict.pk for verdict in Verdict.objects.all()[:3]]
    form = {"action": "retract", "_selected_action": keys}
    page = staff.post(address(Verdict, "changelist"), form, follow=True)
    assert "at most 2" in page.content.decode()
    assert Retraction.objects.count() == before


def test_staff_without_the_right_cannot_take_verdicts_back(arena, django_user_model):
    from django.contrib.auth.models import Permission

    reader = django_user_model.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_verdict"))
    client = Client()
    client.force_login(reader)
    before = Retraction.objects.count()
    form = {"action": "retract", "_selected_action": [Verdict.objects.first().pk]}
    client.post(address(Verdict, "changelist"), form)
    assert client.get(address(Verdict, "changelist")).status_code == 200
    assert Retraction.objects.count() == before
