"""Making and running an arena by the API: as on the pages, all or nothing, harmless when repeated."""

import gzip
import json
from decimal import Decimal
from functools import partial
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest
from django.core.cache import cache
from django.test import Client

from arena.api_settings import ChangeBody, NewArenaBody
from arena.making import SETTINGS
from arena.members import find_invitation
from arena.models import Arena, AuditEntry, Invitation, Membership, Output, Prompt, System
from arena.tokens import make_token
from judges.exclusions import standing_exclusions
from judges.models import GoldItem
from tests import cast
from tests.accounts import client_of, make_member, make_user
from tests.api_client import DOT

# Without the time: the processes that run side by side must know tests by the same names.
pack = partial(gzip.compress, mtime=0)

pytestmark = pytest.mark.django_db

PROMPTS = [{"id": "p1", "prompt": "Why is the sky blue?"}, {"id": "p2", "prompt": "And the sea?"}]
OUTPUTS = [{"prompt_id": "p1", "output": "Light scatters."}, {"prompt_id": "p2", "output": "So."}]
GOLD = {"id": "g1", "prompt": "2 + 2?", "output_a": "4", "output_b": "5", "expected": "a"}


class Api:
    """Somebody with a token that may write."""

    def __init__(self, user: Any) -> None:
        self.words = make_token(user=user, name="test", scope="write", days=1)[1]

    def __call__(
        self,
        method: str,
        path: str,
        sent: Any = None,
        *,
        status: int,
        kind: str = "json",
        **headers: str,
    ) -> Any:
        content_type = {"json": "application/json", "jsonl": "application/jsonl"}.get(kind, kind)
        body = sent if isinstance(sent, str | bytes) else json.dumps(sent)
        response = Client().generic(
            method.upper(),
            f"/api/v1/{path}",
            b"" if sent is None else body,
            content_type=content_type,
            headers={"Authorization": f"Bearer {self.words}", **headers},
        )
        assert response.status_code == status, response.content[:900]
        if status == 204:
            return None
        expected = "application/json" if status < 400 else "application/problem+json"
        assert response.headers["Content-Type"] == expected
        if method != "get":
            assert "no-store" in response.headers["Cache-Control"]
        return response.json()


@pytest.fixture(autouse=True)
def nobody_asked_before():
    cache.clear()


@pytest.fixture
def alice():
    return make_user()


@pytest.fixture
def api(alice):
    return Api(alice)


@pytest.fixture
def arena(alice):
    arena = cast.make_arena()
    Membership.objects.create(arena=arena, user=alice, role="maintainer")
    return arena


def acts(arena) -> list[tuple[str, str]]:
    entries = AuditEntry.objects.filter(arena=arena).order_by("pk").select_related("actor")
    return [(entry.act, entry.actor.username) for entry in entries]


# --- from nothing to the first vote -----------------------------------------------------------------------
def test_an_arena_is_made_filled_and_opened(api, alice):
    api("post", "arenas/", {"slug": "sky", "name": "Sky", "criteria": ["truth"]}, status=201)
    api("post", "arenas/sky/prompts/", PROMPTS, status=201)
    for system in ("Ada", "Basil"):
        added = api("post", f"arenas/sky/outputs/?system={system}", OUTPUTS, status=201)
        assert (added["added"], added["system"], added["is_new_system"]) == (
            2,
            system.lower(),
            True,
        )
    api("post", "arenas/sky/gold-items/", [GOLD], status=201)
    assert api("patch", "arenas/sky/", {"is_open": True}, status=200)["changed"] == ["is_open"]
    arena = Arena.objects.get(slug="sky")
    assert arena.is_open
    assert client_of(None).get("/a/sky/vote/").status_code == 200
    assert acts(arena) == [
        (act, alice.username)
        for act in ("create arena", "add prompts", "add outputs", "add outputs", "add gold items")
    ] + [("open arena", alice.username)]


def test_sent_again_nothing_is_added_and_the_answer_says_so(api):
    for status in (201, 200):
        api("post", "arenas/", {"slug": "sky", "name": "Sky", "licence": "MIT"}, status=status)
        prompts = api("post", "arenas/sky/prompts/", PROMPTS, status=status)
        outputs = api("post", "arenas/sky/outputs/?system=Ada", OUTPUTS, status=status)
        gold = api("post", "arenas/sky/gold-items/", [GOLD], status=status)
        added = 2 if status == 201 else 0
        assert [(one["added"], one["known"]) for one in (prompts, outputs)] == [
            (added, 2 - added)
        ] * 2
        assert gold["added"] == added // 2
    counts = [model.objects.count() for model in (Arena, Prompt, System, Output, GoldItem)]
    assert counts == [1, 2, 1, 2, 1]
    assert AuditEntry.objects.count() == 4


# --- the arena itself -------------------------------------------------------------------------------------
def test_every_setting_of_the_page_can_be_sent():
    assert set(NewArenaBody().fields) == {*SETTINGS, "slug"}
    assert set(ChangeBody().fields) == {*SETTINGS, "is_open"}


def test_an_address_that_is_taken_is_refused(api, arena):
    other = Api(make_user("bob"))
    problem = other("post", "arenas/", {"slug": "poems", "name": "Poems"}, status=409)
    assert "is taken by another arena" in problem["detail"]
    problem = api("post", "arenas/", {"slug": "poems", "name": "Other"}, status=409)
    assert "is taken" in problem["detail"]


def test_the_same_address_with_other_settings_is_no_repetition(api):
    api("post", "arenas/", {"slug": "sky", "name": "Sky"}, status=201)
    sent = {"slug": "sky", "name": "Sky", "criteria": ["truth"]}
    assert "another criteria" in api("post", "arenas/", sent, status=409)["detail"]
    assert Arena.objects.get().criteria == []


def test_where_only_staff_make_arenas_others_are_refused(api, settings):
    settings.WHO_MAKES_ARENAS = "staff"
    api("post", "arenas/", {"slug": "sky", "name": "Sky"}, status=403)
    staff = Api(make_user("staff", is_staff=True))
    staff("post", "arenas/", {"slug": "sky", "name": "Sky"}, status=201)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"name": "Sky"}, "slug"),
        ({"slug": "sky"}, "name"),
        ({"slug": "Sky", "name": "Sky"}, "slug"),
        ({"slug": "a--b", "name": "Sky"}, "slug"),
        ({"slug": "sky", "name": " "}, "name"),
        ({"slug": "sky", "name": "x" * 121}, "name"),
        ({"slug": "sky", "name": 5}, "name"),
        ({"slug": "sky", "name": None}, "name"),
        ({"slug": "sky", "name": "a\x00b"}, "name"),
        ({"slug": "sky", "name": "\ud800"}, "name"),
        ({"slug": "sky", "name": "Sky", "nam": "Sky"}, "nam"),
        ({"slug": "sky", "name": "Sky", "is_open": True}, "is_open"),
        ({"slug": "sky", "name": "Sky", "is_public": "yes"}, "is_public"),
        ({"slug": "sky", "name": "Sky", "who_votes": "cats"}, "who_votes"),
        ({"slug": "sky", "name": "Sky", "criteria": "truth"}, "criteria"),
        ({"slug": "sky", "name": "Sky", "criteria": ["truth", 5]}, "criteria"),
        ({"slug": "sky", "name": "Sky", "criteria": [str(n) for n in range(7)]}, "criteria"),
        ({"slug": "sky", "name": "Sky", "criteria": ["x" * 41]}, "criteria"),
        ({"slug": "sky", "name": "Sky", "criteria": ["\udfff"]}, "criteria"),
        ({"slug": "sky", "name": "Sky", "guidelines": "x" * 20_001}, "guidelines"),
        ({"slug": "sky", "name": "Sky", "votes_wanted": -1}, "votes_wanted"),
        ({"slug": "sky", "name": "Sky", "votes_wanted": 2**31}, "votes_wanted"),
        ({"slug": "sky", "name": "Sky", "votes_wanted": 10**40}, "votes_wanted"),
        ({"slug": "sky", "name": "Sky", "votes_wanted": True}, "votes_wanted"),
        ({"slug": "sky", "name": "Sky", "policy": []}, "policy"),
        ({"slug": "sky", "name": "Sky", "policy": {"unifrom": 1}}, "policy"),
        ({"slug": "sky", "name": "Sky", "policy": {"uniform": "much"}}, "policy"),
        ({"slug": "sky", "name": "Sky", "policy": {"uniform": True}}, "policy"),
        ({"slug": "sky", "name": "Sky", "policy": {"gold_share": 2}}, "policy"),
        ({"slug": "sky", "name": "Sky", "policy": {"overlap_voters": 10**400}}, "policy"),
        ({"slug": "sky", "name": "Sky", "sharing": {"outputs": 1}}, "sharing"),
        ({"slug": "sky", "name": "Sky", "sharing": {"newest_prompts": 101}}, "sharing"),
        ({"slug": "sky", "name": "Sky", "sharing": {"verdict": True}}, "sharing"),
        ([], "body"),
        ("sky", "body"),
    ],
)
def test_what_is_wrong_is_refused_by_name(api, sent, field):
    problem = api("post", "arenas/", json.dumps(sent), status=400)
    assert list(problem["errors"]) == [field]
    assert all(len(sentence) > 10 for sentence in problem["errors"][field])
    assert field in problem["detail"]
    assert not Arena.objects.exists()


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "json", 400),
        (b"{}{}", "json", 400),
        (b'{"slug": NaN}', "json", 400),
        (b"\xff", "json", 400),
        (b"[" * 100_000, "json", 400),
        (b'{"slug": ' + b"1" * 5_000 + b"}", "json", 400),
        (b"slug=sky", "application/x-www-form-urlencoded", 415),
        (b"x", "multipart/form-data; boundary=x", 415),
        (b"x", "", 415),
        (b"x", "application/jsonl", 415),
    ],
)
def test_a_body_of_another_kind_is_refused(api, body, kind, status):
    problem = api("post", "arenas/", body, status=status, kind=kind)
    assert len(problem["detail"]) > 20


def test_settings_change_one_by_one(api, arena):
    changed = api(
        "patch", "arenas/poems/", {"guidelines": "Is it *true*?", "name": "Poems"}, status=200
    )
    assert (changed["changed"], changed["guidelines"]) == (["guidelines"], "Is it *true*?")
    assert (
        api("patch", "arenas/poems/", {"guidelines": "Is it *true*?"}, status=200)["changed"] == []
    )
    assert api("patch", "arenas/poems/", {}, status=200)["changed"] == []
    assert [act for act, _ in acts(arena)] == ["change settings"]


def test_how_battles_are_chosen_is_a_setting(api, arena):
    api("patch", "arenas/poems/", {"policy": {"gold_share": 0.5}}, status=200)
    arena.refresh_from_db()
    assert arena.policy["gold_share"] == 0.5
    assert arena.policy["overlap_voters"] == 3


def test_what_the_public_may_take_away_is_a_setting(api, arena):
    sent = {"sharing": {"outputs": False, "newest_verdicts": 12.5}}
    changed = api("patch", "arenas/poems/", sent, status=200)
    arena.refresh_from_db()
    assert changed["sharing"] == arena.sharing
    assert arena.sharing == {
        "outputs": False,
        "verdicts": True,
        "rationales": True,
        "newest_verdicts": 12.5,
        "newest_prompts": 0.0,
    }


def test_an_arena_with_nothing_to_compare_stays_closed_and_as_it_was(api, arena):
    problem = api("patch", "arenas/poems/", {"name": "Odes", "is_open": True}, status=409)
    assert "nothing to vote on yet" in problem["detail"]
    arena.refresh_from_db()
    assert (arena.name, arena.is_open) == ("Poems", False)


def test_votes_are_stopped_and_taken_again(api):
    arena = cast.make_small_arena()
    Membership.objects.create(arena=arena, user=make_user("bob"), role="maintainer")
    bob = Api(arena.memberships.get().user)
    for is_open, changed in ((True, ["is_open"]), (True, []), (False, ["is_open"]), (False, [])):
        assert bob("patch", "arenas/poems/", {"is_open": is_open}, status=200)["changed"] == changed


# --- prompts, outputs, gold items -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"prompt": "Why?"}\n{"prompt": "What\u2028for?"}\n', "jsonl"),
        ('{"prompt": "Why?"}\n\n{"prompt": "What\u2028for?"}\n', "application/x-ndjson"),
        ("prompt,colour\nWhy?,red\nWhat\u2028for?,red\n", "text/csv; charset=utf-8"),
        ("Why?\nWhat\u2028for?\n", "text/plain"),
        ('[{"prompt": "Why?"}, {"prompt": "What\u2028for?"}]', "json"),
    ],
)
def test_prompts_come_in_every_format(api, arena, body, kind):
    added = api("post", "arenas/poems/prompts/", body.encode(), status=201, kind=kind)
    assert (added["added"], added["unused"]) == (2, ["colour"] if "csv" in kind else [])
    assert sorted(prompt.text for prompt in arena.prompts.all()) == ["What\u2028for?", "Why?"]


def test_every_problem_is_told_with_its_line_and_nothing_is_stored(api, arena):
    lines = '{"prompt": "Why?"}\nnot json\n{"prompt": 5}\n{"prompt": "x", "id": ["a"]}\n'
    problem = api("post", "arenas/poems/prompts/", lines, status=400, kind="jsonl")
    assert list(problem["errors"]) == ["line 2", "line 3", "line 4"]
    assert problem["detail"].startswith("3 problems; nothing was stored. Line 2: It isn't JSON")
    assert not arena.prompts.exists()


def test_in_a_list_problems_are_told_by_item(api, arena):
    sent = [{"prompt": "Why?"}, {"prompt": ""}, 5, {"prompt": "\ud800"}]
    problem = api("post", "arenas/poems/prompts/", sent, status=400)
    assert list(problem["errors"]) == ["item 2", "item 3", "item 4"]


@pytest.mark.parametrize("sent", [[], {}, {"prompts": []}, 5, None])
def test_a_body_without_records_is_refused(api, arena, sent):
    problem = api("post", "arenas/poems/prompts/", json.dumps(sent), status=400)
    assert len(problem["detail"]) > 20


def test_no_body_at_all_is_refused(api, arena):
    api("post", "arenas/poems/prompts/", status=400)


def test_a_body_that_is_too_large_is_refused(api, arena, settings):
    settings.LARGEST_UPLOAD = 1000
    for kind in ("json", "jsonl"):
        problem = api("post", "arenas/poems/prompts/", "[" + " " * 1000, status=413, kind=kind)
        assert "larger than" in problem["detail"]


def test_a_body_in_chunks_is_refused_and_not_taken_for_none(api, arena):
    chunks = {"Transfer-Encoding": "chunked"}
    for method, path in (("post", "arenas/poems/prompts/"), ("patch", "arenas/poems/")):
        assert "Content-Length" in api(method, path, status=411, **chunks)["detail"]


def test_a_check_stores_nothing_and_says_what_would_come_of_it(api, arena):
    added = api("post", "arenas/poems/prompts/?check=true", PROMPTS, status=200)
    assert (added["added"], added["is_check"]) == (2, True)
    assert not arena.prompts.exists()
    api("post", "arenas/poems/prompts/", PROMPTS, status=201)
    added = api("post", "arenas/poems/outputs/?system=Ada&check=true", OUTPUTS, status=200)
    assert (added["added"], added["system"]) == (2, None)
    assert not arena.systems.exists()
    api("post", "arenas/poems/gold-items/?check=true", [GOLD], status=200)
    assert not GoldItem.objects.exists()
    assert len(acts(arena)) == 1


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("", "system"),
        ("system=", "system"),
        (f"system={'x' * 201}", "system"),
        ("system=a%00b", "system"),
        ("system=Ada&link=ftp:x", "link"),
        ("system=Ada&system=Basil", "system"),
        ("system=Ada&verson=2", "verson"),
        ("system=Ada&check=yes", "check"),
    ],
)
def test_a_parameter_that_is_wrong_is_refused_by_name(api, arena, query, parameter):
    api("post", "arenas/poems/prompts/", PROMPTS, status=201)
    problem = api("post", f"arenas/poems/outputs/?{query}", OUTPUTS, status=400)
    assert list(problem["errors"]) == [parameter]


def test_what_is_said_of_a_new_system_is_kept(api, arena):
    api("post", "arenas/poems/prompts/", PROMPTS, status=201)
    query = "system=Ada&version=2&organisation=Ada%20Labs&family=ada&link=https://ada.example.org"
    added = api("post", f"arenas/poems/outputs/?{query}", OUTPUTS[:1], status=201)
    assert (added["system"], added["unanswered"]) == ("ada-2", 1)
    system = arena.systems.get()
    assert (system.organisation, system.family, system.link) == (
        "Ada Labs",
        "ada",
        "https://ada.example.org",
    )


def test_an_output_for_a_prompt_that_is_not_there_is_refused(api, arena):
    problem = api("post", "arenas/poems/outputs/?system=Ada", OUTPUTS, status=400)
    assert "no prompt with the id" in problem["errors"]["item 1"][0]
    assert not arena.systems.exists()


def test_adding_more_asks_no_more_queries(api, arena, django_assert_max_num_queries):
    api("post", "arenas/poems/prompts/", [{"prompt": "0"}], status=201)
    for many in (5, 500):
        prompts = [{"prompt": f"{many} {n}"} for n in range(many)]
        with django_assert_max_num_queries(16):  # SQLite takes 500 rows in more than one
            api("post", "arenas/poems/prompts/", prompts, status=201)


def test_gold_items_are_read_as_they_were_sent(api, arena):
    api("post", "arenas/poems/gold-items/", [GOLD], status=201)
    item = api("get", "arenas/poems/gold-items/", status=200)["results"][0]
    assert (item["source_id"], item["expected"], item["output_b"]) == ("g1", "a", "5")
    assert api("get", f"arenas/poems/gold-items/{item['id']}/", status=200) == item


# --- packed bodies, formats of others ---------------------------------------------------------------------
LINES = "".join(f"{json.dumps(one | {'cost': 0.0025})}\n" for one in OUTPUTS).encode()
ALPACA = [
    {"instruction": p["prompt"], "output": "So.", "generator": "A", "dataset": "d"} for p in PROMPTS
]
GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("body", "kind", "headers"),
    [
        (LINES, "jsonl", {}),
        (pack(LINES), "jsonl", GZIP),
        (pack(LINES), "application/gzip", {}),
        (pack(json.dumps(OUTPUTS).encode()), "json", GZIP),
        (json.dumps(ALPACA).encode(), "json", {}),
        (pack(json.dumps(ALPACA, indent=1).encode()), "application/gzip", {}),
        (pack(b"prompt_id,response\np1,So.\np2,So.\n"), "text/csv", GZIP),
    ],
)
def test_outputs_come_packed_or_not_and_as_others_write_them(api, arena, body, kind, headers):
    packed = pack(json.dumps(PROMPTS).encode())
    api("post", "arenas/poems/prompts/", packed, status=201, **GZIP)
    path = "arenas/poems/outputs/?system=Ada"
    added = api("post", path, body, status=201, kind=kind, **headers)
    assert (added["added"], added["unused"]) == (2, [])
    costs = set(arena.outputs.values_list("cost", flat=True))
    told = body in (LINES, pack(LINES))
    assert costs == {Decimal("0.002500") if told else None}


@pytest.mark.parametrize(
    ("path", "body", "kind", "encoding", "status", "says"),
    [
        ("outputs/?system=A", pack(LINES)[:-3], "application/gzip", "", 400, "cut off"),
        ("outputs/?system=A", pack(LINES)[:-3], "json", "gzip", 400, "cut off"),
        ("outputs/?system=A", pack(b"x" * 2**24), "jsonl", "gzip", 400, "200 times"),
        ("outputs/?system=A", b"[]", "json", "gzip", 400, "isn't gzip"),
        ("outputs/?system=A", b"[]", "json", "br", 415, "Content-Encoding 'br'"),
        ("outputs/?system=A", b"what", "application/gzip", "", 400, "isn't known what"),
        ("prompts/", pack(pack(LINES)), "jsonl", "gzip", 400, "packed twice"),
        ("", pack(b'{"name": "%s"}' % (b" " * 2**24)), "json", "gzip", 400, "200 times"),
        ("", pack(b'{"name": "Odes"}')[:9], "json", "gzip", 400, "cut off"),
    ],
)
def test_a_packed_body_that_is_not_sound_is_refused(
    api, arena, path, body, kind, encoding, status, says
):
    headers = {"Content-Encoding": encoding} if encoding else {}
    method = "post" if path else "patch"
    problem = api(method, f"arenas/poems/{path}", body, status=status, kind=kind, **headers)
    assert says in problem["detail"]
    assert not acts(arena)


def test_every_body_may_be_packed(api, arena):
    body = pack(b'{"name": "Odes"}')
    assert api("patch", "arenas/poems/", body, status=200, **GZIP)["name"] == "Odes"


# --- images -----------------------------------------------------------------------------------------------
@pytest.fixture
def images_elsewhere(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


def zip_of(*names: str) -> bytes:
    file = BytesIO()
    with ZipFile(file, "w") as packed:
        for name in names:
            packed.writestr(name, DOT)
    return file.getvalue()


@pytest.mark.usefixtures("images_elsewhere")
def test_images_come_one_by_one_or_in_a_zip(api, arena):
    path = "arenas/poems/images/"
    for status, added in ((201, 1), (200, 0)):
        done = api("post", f"{path}?name=dot.png", DOT, status=status, kind="image/png")
        assert done == {"added": added, "known": 1 - added}
    packed = zip_of("dot.png", "more/dot.png")
    done = api("post", path, packed, status=201, kind="application/zip")
    assert done == {"added": 1, "known": 1}
    listed = api("get", path, status=200)["results"]
    assert [one["name"] for one in listed] == ["dot.png", "more/dot.png"]
    served = Client().get(listed[0]["address"])
    assert (served.status_code, served.headers["Content-Type"]) == (200, "image/webp")
    assert served.getvalue()[8:12] == b"WEBP"  # which closes the file, too
    assert api("get", f"{path}?name=dot.png", status=200)["results"] == listed[:1]
    api("delete", f"{path}{listed[0]['id']}/", status=204)
    api("delete", f"{path}{listed[0]['id']}/", status=404)
    assert [act for act, _ in acts(arena)] == ["add images", "add images", "remove image"]


@pytest.mark.usefixtures("images_elsewhere")
@pytest.mark.parametrize(
    ("query", "sent", "kind", "status", "about"),
    [
        ("", DOT, "image/png", 400, "name"),
        ("?name=", DOT, "image/png", 400, "name"),
        ("?name=a.zip", DOT, "image/png", 400, "name"),
        ("?name=a.png", zip_of("a.png"), "application/zip", 400, "name"),
        ("?name=../a.png", DOT, "image/png", 400, "can’t be a name"),
        ("?name=a.png", b"<svg/>", "image/png", 400, "SVG"),
        ("?name=a.png", b"GIF89a", "image/gif", 400, "damaged"),
        ("?name=a.png", None, "image/png", 400, "no body"),
        ("", b"PK", "application/zip", 400, "zip file"),
        ("?name=a.png", DOT, "application/octet-stream", 415, "Content-Type"),
    ],
)
def test_what_is_no_image_is_refused(api, arena, query, sent, kind, status, about):
    problem = api("post", f"arenas/poems/images/{query}", sent, status=status, kind=kind)
    assert about in problem["detail"]
    assert not arena.images.exists()


# --- members and invitations ------------------------------------------------------------------------------
def test_the_link_of_an_invitation_is_told_once(api, arena, alice):
    sent = {"role": "voter", "note": "reading group", "days": 3}
    made = api("post", "arenas/poems/invitations/", sent, status=201)
    token = made["link"].rstrip("/").rpartition("/")[2]
    invitation = find_invitation(token)
    listed = api("get", "arenas/poems/invitations/", status=200)["results"]
    assert [(one["id"], one["note"], one["created_by"]) for one in listed] == [
        (invitation.pk, "reading group", alice.email)
    ]
    assert token not in json.dumps(listed)
    assert invitation.token_digest not in json.dumps(listed)
    for _ in range(2):
        api("delete", f"arenas/poems/invitations/{invitation.pk}/", status=204)
    assert api("get", f"arenas/poems/invitations/{invitation.pk}/", status=200)["revoked_at"]
    assert [act for act, _ in acts(arena)] == ["make invitation", "revoke invitation"]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "role"),
        ({"role": "king"}, "role"),
        ({"role": "voter", "days": 0}, "days"),
        ({"role": "voter", "days": 366}, "days"),
        ({"role": "voter", "days": "3"}, "days"),
        ({"role": "voter", "note": "x" * 121}, "note"),
    ],
)
def test_an_invitation_that_is_wrong_is_not_made(api, arena, sent, field):
    assert field in api("post", "arenas/poems/invitations/", sent, status=400)["errors"]
    assert not Invitation.objects.exists()


def test_an_invitation_with_a_key_is_made_once(api, arena):
    sent, path = {"role": "voter", "note": "reading group"}, "arenas/poems/invitations/"
    key = {"Idempotency-Key": "reading group 2026"}
    made = api("post", path, sent, status=201, **key)
    assert api("post", path, sent, status=200, **key) == made
    assert Invitation.objects.count() == 1
    problem = api("post", path, {**sent, "role": "maintainer"}, status=409, **key)
    assert "Another invitation" in problem["detail"]
    other = Api(make_member(arena, "maintainer", "bob"))
    assert other("post", path, sent, status=201, **key)["link"] != made["link"]
    for _ in range(2):
        api("post", path, sent, status=201)
    api("post", path, sent, status=400, **{"Idempotency-Key": "x" * 201})
    assert Invitation.objects.count() == 4


def test_members_are_listed_get_other_roles_and_leave(api, arena, alice):
    bob = make_member(arena, "voter", "bob")
    listed = api("get", "arenas/poems/members/", status=200)["results"]
    assert [(one["name"], one["role"]) for one in listed] == [
        (alice.email, "maintainer"),
        (bob.email, "voter"),
    ]
    address = f"arenas/poems/members/{listed[1]['id']}/"
    assert api("patch", address, {"role": "researcher"}, status=200)["role"] == "researcher"
    assert api("get", address, status=200)["role"] == "researcher"
    api("delete", address, status=204)
    api("delete", address, status=404)
    assert [act for act, _ in acts(arena)] == ["change role", "remove member"]


def test_the_last_maintainer_stays(api, arena):
    mine = f"arenas/poems/members/{arena.memberships.get().pk}/"
    assert "last maintainer" in api("patch", mine, {"role": "voter"}, status=409)["detail"]
    assert "last maintainer" in api("delete", mine, status=409)["detail"]


# --- exclusions -------------------------------------------------------------------------------------------
def test_a_voter_is_excluded_and_taken_in_again(api, alice):
    arena = cast.make_small_arena()
    Membership.objects.create(arena=arena, user=alice, role="maintainer")
    lift = {"voter": "bob", "is_excluded": False, "reason": "It was a mistake."}
    assert api("post", "arenas/poems/exclusions/", lift, status=200) == {
        "is_new": False,
        "decision": None,
    }
    sent = {"voter": "bob", "reason": "Clicks without reading."}
    for status in (201, 200):
        made = api("post", "arenas/poems/exclusions/", sent, status=status)
        assert made["is_new"] == (status == 201)
        assert made["decision"]["by"] == alice.email
    assert [one.voter.handle for one in standing_exclusions()] == ["bob"]
    for status in (201, 200):
        made = api("post", "arenas/poems/exclusions/", lift, status=status)
        assert not made["decision"]["is_excluded"]
    assert not standing_exclusions().exists()
    listed = api("get", "arenas/poems/exclusions/", status=200)["results"]
    assert [(one["judge"], one["voter"], one["is_excluded"]) for one in listed] == [
        ("people", "bob", True),
        ("people", "bob", False),
    ]
    assert [act for act, _ in acts(arena)] == ["exclude voter", "readmit voter"]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"reason": "Why not."}, "voter"),
        ({"voter": "carol", "reason": "Why not."}, "voter"),
        ({"voter": "bob"}, "reason"),
        ({"voter": "bob", "reason": " "}, "reason"),
        ({"voter": "bob", "reason": "x" * 201}, "reason"),
        ({"voter": "bob", "judge": "others", "reason": "Why not."}, "voter"),
        ({"voter": "bob", "reason": "Why not.", "is_excluded": "no"}, "is_excluded"),
    ],
)
def test_an_exclusion_that_is_wrong_is_refused_by_name(api, alice, sent, field):
    arena = cast.make_small_arena()
    Membership.objects.create(arena=arena, user=alice, role="maintainer")
    assert list(api("post", "arenas/poems/exclusions/", sent, status=400)["errors"]) == [field]
    assert not standing_exclusions().exists()


def test_a_pseudonym_of_two_crowds_needs_the_crowd(api, arena):
    for name in ("People", "Experts"):
        cast.make_voter(cast.make_judge(arena, name), "bob")
    sent = {"voter": "bob", "reason": "Clicks without reading."}
    problem = api("post", "arenas/poems/exclusions/", sent, status=400)
    assert problem["errors"]["judge"] == ["Say in which of these crowds: experts, people."]
    made = api("post", "arenas/poems/exclusions/", {**sent, "judge": "experts"}, status=201)
    assert made["decision"]["judge"] == "experts"


# --- lists ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("noun", ["members", "invitations", "gold-items", "exclusions", "log"])
def test_a_list_asks_as_many_queries_for_many_rows_as_for_few(
    api, arena, noun, django_assert_num_queries
):
    crowd = cast.make_judge(arena)

    def one_more(number: int) -> None:
        make_member(arena, "voter", f"voter-{number}")
        api("post", "arenas/poems/invitations/", {"role": "voter"}, status=201)
        api("post", "arenas/poems/gold-items/", [{**GOLD, "id": f"g{number}"}], status=201)
        voter = cast.make_voter(crowd, f"handle-{number}")
        sent = {"voter": voter.handle, "reason": "Clicks."}
        api("post", "arenas/poems/exclusions/", sent, status=201)

    for number in range(3):
        one_more(number)
        with django_assert_num_queries(3):  # the token, the arena, the rows
            rows = api("get", f"arenas/poems/{noun}/", status=200)["results"]
    assert len(rows) >= 3


# --- in a browser -----------------------------------------------------------------------------------------
def test_whoever_is_signed_in_writes_with_the_token_of_forms_only(alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    sent = {"data": json.dumps({"slug": "sky", "name": "Sky"}), "content_type": "application/json"}
    response = client.post("/api/v1/arenas/", **sent)
    assert response.status_code == 403
    assert "CSRF" in response.json()["detail"]
    client.get("/accounts/tokens/")
    csrf = client.cookies["csrftoken"].value
    assert client.post("/api/v1/arenas/", **sent, headers={"X-CSRFToken": csrf}).status_code == 201
