"""manage.py create_token: an access token of an account, shown this once."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena.management.commands._makers import account_of, complaint
from arena.models import AccessToken
from arena.tokens import LONGEST_DAYS, TokenError, make_token


class Command(BaseCommand):
    help = "Make an access token for the API and print it; nobody can look it up again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="EMAIL")
        parser.add_argument("--name", default="made in the shell", help="what it is for")
        parser.add_argument("--scope", choices=AccessToken.Scope.values, default="read")
        parser.add_argument("--days", type=int, default=90, help="how long it is good")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["days"] <= LONGEST_DAYS:
            raise CommandError(f"--days must be 1 to {LONGEST_DAYS}, not {options['days']}.")
        longest = AccessToken._meta.get_field("name").max_length
        if not 1 <= len(options["name"].strip()) <= longest:
            raise CommandError(f"--name must have 1 to {longest} characters.")
        try:
            _, words = make_token(
                user=account_of(options["user"]),
                name=options["name"].strip(),
                scope=options["scope"],
                days=options["days"],
            )
        except TokenError as error:
            raise complaint(error) from error
        self.stdout.write(words)
