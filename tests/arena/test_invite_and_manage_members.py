"""Invitations by link, members and their roles."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from arena.members import (
    InvitationError,
    LastMaintainer,
    accept_invitation,
    change_role,
    find_invitation,
    invite,
    remove_member,
    revoke_invitation,
)
from arena.models import AuditEntry, Invitation, Membership
from tests import cast
from tests.accounts import client_of, make_member, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena():
    return cast.make_arena(is_public=False)


@pytest.fixture
def maintainer(arena):
    return make_member(arena, "maintainer")


def acts(arena) -> list[str]:
    return [entry.act for entry in AuditEntry.objects.filter(arena=arena).order_by("pk")]


def test_the_link_is_shown_once_and_only_its_digest_is_kept(arena, maintainer):
    client, page = client_of(maintainer), reverse("arena:manage-invitations", args=[arena.slug])
    made = client.post(page, {"role": "voter", "note": "reading group", "days": "14"})
    token = re.search(r"/invitations/([\w-]{40,})/", made.text)[1]
    invitation = Invitation.objects.get()
    assert token not in str(Invitation.objects.values())
    assert find_invitation(token) == invitation
    again = client.get(page)
    assert token not in again.text
    assert "reading group" in again.text
    assert acts(arena) == ["make invitation"]
    assert token not in str(AuditEntry.objects.values())


def test_who_follows_it_signs_in_comes_back_and_accepts(arena, maintainer):
    _, token = invite(arena=arena, role="researcher", days=1, actor=maintainer)
    address = reverse("arena:invitation", args=[token])
    visitor = client_of(None).get(address)
    assert f"/accounts/login/?next=%2Finvitations%2F{token}%2F" in visitor.text
    bob = make_user("bob")
    client = client_of(bob)
    assert "Accept" in client.get(address).text
    assert not Membership.objects.filter(user=bob).exists()
    assert client.post(address).url == arena.get_absolute_url()
    assert client.post(address).status_code == 302
    assert Membership.objects.get(user=bob).role == "researcher"
    assert Invitation.objects.get().used == 1
    assert acts(arena) == ["make invitation", "accept invitation"]


def test_an_invitation_never_lowers_a_role(arena, maintainer):
    _, token = invite(arena=arena, role="voter", days=1, actor=maintainer)
    assert accept_invitation(token=token, user=maintainer).role == "maintainer"
    assert Invitation.objects.get().used == 0


def test_an_invitation_raises_a_role(arena, maintainer):
    voter = make_member(arena, "voter")
    _, token = invite(arena=arena, role="maintainer", days=1, actor=maintainer)
    accept_invitation(token=token, user=voter)
    assert Membership.objects.get(user=voter).role == "maintainer"


@pytest.mark.parametrize("kind", ["revoked", "expired", "unknown"])
def test_an_invitation_that_is_not_good_says_why(arena, maintainer, kind):
    invitation, token = invite(arena=arena, role="voter", days=1, actor=maintainer)
    if kind == "revoked":
        assert revoke_invitation(invitation=invitation, actor=maintainer)
        assert not revoke_invitation(invitation=invitation, actor=maintainer)
    elif kind == "expired":
        past = timezone.now() - timedelta(seconds=1)
        Invitation.objects.filter(pk=invitation.pk).update(expires_at=past)
    else:
        token = token[:-1]
    word = {"revoked": "was revoked", "expired": "has expired", "unknown": "no such"}[kind]
    bob = make_user("bob")
    with pytest.raises(InvitationError, match=word):
        accept_invitation(token=token, user=bob)
    for method in ("get", "post"):
        response = getattr(client_of(bob), method)(reverse("arena:invitation", args=[token]))
        assert response.status_code == 410
        assert word in response.text
    assert not Membership.objects.filter(user=bob).exists()


def test_a_maintainer_revokes_on_the_page(arena, maintainer):
    invitation, _ = invite(arena=arena, role="voter", days=1, actor=maintainer)
    client = client_of(maintainer)
    client.post(reverse("arena:revoke-invitation", args=[arena.slug, invitation.pk]))
    invitation.refresh_from_db()
    assert invitation.revoked_at
    page = client.get(reverse("arena:manage-invitations", args=[arena.slug]))
    assert "revoked" in page.text


def test_invitations_of_other_arenas_are_out_of_reach(arena, maintainer):
    other = cast.make_arena("other")
    invitation, _ = invite(
        arena=other, role="voter", days=1, actor=make_member(other, "maintainer", "eve")
    )
    address = reverse("arena:revoke-invitation", args=[arena.slug, invitation.pk])
    assert client_of(maintainer).post(address).status_code == 404


def test_a_maintainer_changes_roles_and_removes_members(arena, maintainer):
    bob = Membership.objects.get(user=make_member(arena, "voter", "bob"))
    client = client_of(maintainer)
    client.post(reverse("arena:give-role", args=[arena.slug, bob.pk]), {"role": "researcher"})
    bob.refresh_from_db()
    assert bob.role == "researcher"
    for _ in range(2):
        gone = client.post(reverse("arena:remove-member", args=[arena.slug, bob.pk]))
        assert gone.status_code == 302
    assert not Membership.objects.filter(pk=bob.pk).exists()
    assert acts(arena) == ["change role", "remove member"]


def test_the_last_maintainer_stays(arena, maintainer):
    last = Membership.objects.get(user=maintainer)
    with pytest.raises(LastMaintainer):
        change_role(membership=last, role="voter", actor=maintainer)
    with pytest.raises(LastMaintainer):
        remove_member(membership=last, actor=maintainer)
    response = client_of(maintainer).post(
        reverse("arena:remove-member", args=[arena.slug, last.pk]), follow=True
    )
    assert "last maintainer" in response.text
    assert acts(arena) == []


def test_of_two_maintainers_one_may_go(arena, maintainer):
    make_member(arena, "maintainer", "second")
    mine = Membership.objects.get(user=maintainer)
    response = client_of(maintainer).post(
        reverse("arena:give-role", args=[arena.slug, mine.pk]), {"role": "voter"}
    )
    assert response.url == reverse("judges:account")


def test_lists_ask_the_same_number_of_questions_whatever_they_hold(arena, maintainer):
    client = client_of(maintainer)
    names = ("arena:manage-members", "arena:manage-invitations", "arena:manage-log")
    counts = {}
    for round_ in range(2):
        for name in names:
            with CaptureQueriesContext(connection) as captured:
                assert client.get(reverse(name, args=[arena.slug])).status_code == 200
            counts.setdefault(name, []).append(len(captured))
        if not round_:
            for number in range(8):
                make_member(arena, "voter", f"voter-{number}")
                invite(arena=arena, role="voter", days=1, actor=maintainer)
    # One more where a list was empty: the pages are told apart by their number only.
    for name, (few, many) in counts.items():
        assert many <= few + 1, name


def test_the_log_shows_addresses_and_keeps_none(arena, maintainer):
    _, token = invite(arena=arena, role="voter", days=1, actor=maintainer)
    bob = make_user("bob")
    accept_invitation(token=token, user=bob)
    page, client = reverse("arena:manage-log", args=[arena.slug]), client_of(maintainer)
    assert "bob@example.org" in client.get(page).text
    bob.delete()
    assert "bob@example.org" not in client.get(page).text
    assert "account-bob" in client.get(page).text
