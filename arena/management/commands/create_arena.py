"""manage.py create_arena: an arena, its maintainer, and whether it is open."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand
from django.db import transaction

from arena.making import MakingError, create_arena, open_arena
from arena.management.commands._makers import account_of, complaint, content_of
from arena.models import WhoVotes


class Command(BaseCommand):
    help = "Make an arena with a maintainer; a second run changes nothing but may open it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the last part of its address")
        parser.add_argument("--name", required=True)
        parser.add_argument("--maintainer", required=True, metavar="EMAIL")
        parser.add_argument("--description", default="")
        parser.add_argument("--guidelines", type=Path, metavar="FILE", help="Markdown")
        parser.add_argument("--licence", default="")
        parser.add_argument("--criteria", nargs="*", default=[], metavar="NAME")
        parser.add_argument("--who-votes", choices=WhoVotes.values, default=WhoVotes.ANYONE)
        parser.add_argument(
            "--rank-size",
            type=int,
            choices=(0, 3, 4, 5),
            default=0,
            help="how many outputs a voter can put in order at once",
        )
        parser.add_argument("--members-only", action="store_true", help="only members see it")
        parser.add_argument("--open", action="store_true", help="take votes from now on")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        guidelines = options["guidelines"]
        try:
            arena = create_arena(
                slug=options["slug"],
                name=options["name"],
                maintainer=account_of(options["maintainer"]),
                description=options["description"],
                guidelines=content_of(guidelines).decode("utf-8-sig") if guidelines else "",
                licence=options["licence"],
                criteria=options["criteria"],
                who_votes=options["who_votes"],
                rank_size=options["rank_size"],
                is_public=not options["members_only"],
            )
            if options["open"]:
                open_arena(arena=arena, actor=None)
        except (MakingError, ValidationError, UnicodeDecodeError) as error:
            raise complaint(error) from error
        state = "open" if arena.is_open else "closed"
        self.stdout.write(f"{arena.name}: {arena.get_absolute_url()}, {state} for votes.")
