"""Accounts for tests: signed in without the form, so that no test waits for a password's hash."""

from django.contrib.auth import get_user_model
from django.test import Client

from arena.models import Arena, Membership


def make_user(name: str = "alice", **fields):
    return get_user_model().objects.create(
        username=f"account-{name}", email=f"{name}@example.org", **fields
    )


def make_member(arena: Arena, role: str, name: str | None = None):
    user = make_user(name or role)
    Membership.objects.create(arena=arena, user=user, role=role)
    return user


def client_of(user) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client
