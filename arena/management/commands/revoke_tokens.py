"""manage.py revoke_tokens: no access token of an account is good any more."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from arena.management.commands._makers import account_of
from arena.tokens import good_tokens, revoke_token


class Command(BaseCommand):
    help = "Revoke every access token of an account, for instance because one was published."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="EMAIL")

    def handle(self, *args: Any, **options: Any) -> None:
        tokens = good_tokens().filter(user=account_of(options["user"]))
        revoked = sum(revoke_token(token=token) for token in tokens)
        self.stdout.write(f"{revoked} revoked.")
