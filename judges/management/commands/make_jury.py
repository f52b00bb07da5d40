"""manage.py make_jury ARENA NAME MEMBER…: a judge that decides by what others have said."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena.management.commands._makers import arena_of
from judges.derivations import DerivationError, derive
from judges.juries.making import OPTIONS, JuryError, make_jury
from judges.management.commands._judges import judge_of, told


class Command(BaseCommand):
    help = (
        "Make a jury of judges of the arena and derive its verdicts; a second run changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arena")
        parser.add_argument("name")
        parser.add_argument("members", nargs="+", metavar="MEMBER", help="a judge's slug or name")
        parser.add_argument("--rule", choices=OPTIONS, default="majority")
        options = "; ".join(f"{rule}: {', '.join(known)}" for rule, known in OPTIONS.items())
        parser.add_argument(
            "--option", action="append", default=[], metavar="NAME=VALUE", help=options
        )
        parser.add_argument("--description", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        arena = arena_of(options["arena"])
        try:
            jury = make_jury(
                arena=arena,
                name=options["name"],
                members=[judge_of(arena, member) for member in options["members"]],
                rule=options["rule"],
                options=told(options["option"]),
                description=options["description"],
            )
            derivation = derive(judge=jury)
        except (JuryError, DerivationError) as error:
            raise CommandError(str(error)) from error
        exam = jury.configuration.get("exam", {}).get("members", {})
        for slug, result in exam.items():
            self.stdout.write(
                f"{slug}: right on {result['right']:g} of {result['n']:,}, weight {result['weight']:.3f}"
            )
        figures = derivation.figures
        self.stdout.write(
            f"{jury} ({jury.slug}): {figures['decided']:,} verdicts, {figures['added']:,} of them new; "
            f"{figures['waiting']:,} battles wait for members."
        )
        for second in jury.configuration.get("second", []):
            self.stdout.write(
                f"When the members have judged: manage.py run_judge {arena.slug} {second['slug']}"
            )
