"""manage.py make_llm_judge ARENA NAME URL MODEL: a judge that asks a model, by one of the protocols."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena.management.commands._makers import arena_of
from judges.llm_judges import ConfigurationError, make_llm_judge, new_version
from judges.management.commands._judges import options_of
from judges.models import Judge
from judges.protocols import PROTOCOLS


class Command(BaseCommand):
    help = (
        "Make an LLM judge. It asks nothing yet: see run_judge. A second run with the same words changes "
        "nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arena")
        parser.add_argument("name")
        parser.add_argument(
            "url", help="an OpenAI-compatible endpoint, e.g. http://127.0.0.1:8001/v1"
        )
        parser.add_argument("model")
        parser.add_argument("--protocol", choices=PROTOCOLS, default="battle")
        parser.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="NAME=JSON",
            help='of the protocol, e.g. reasoned=true or criteria=["accuracy", "style"]',
        )
        parser.add_argument(
            "--parameter",
            action="append",
            default=[],
            metavar="NAME=JSON",
            help="of the model, e.g. temperature=0",
        )
        parser.add_argument(
            "--endpoint",
            action="append",
            default=[],
            metavar="NAME=JSON",
            help="e.g. concurrency=16, input_price=0.15 (USD per million tokens), supports_schema=false",
        )
        parser.add_argument(
            "--key", default="", metavar="NAME", help="the environment variable that holds the key"
        )
        parser.add_argument(
            "--one-order", action="store_true", help="ask in one order only: cheaper, and biased"
        )
        parser.add_argument(
            "--new-version", action="store_true", help="of the judge that has this name"
        )
        parser.add_argument("--family", default="", help="of the model, e.g. Llama")

    def handle(self, *args: Any, **options: Any) -> None:
        arena = arena_of(options["arena"])
        configuration = {
            "endpoint": {
                **options_of(options["endpoint"]),
                "url": options["url"],
                "model": options["model"],
                "key_name": options["key"],
                "parameters": options_of(options["parameter"]),
            },
            "protocol": {"name": options["protocol"], "options": options_of(options["option"])},
            "both_orders": not options["one_order"],
        }
        named = Judge.objects.filter(arena=arena, name=options["name"]).order_by("-version").first()
        try:
            if options["new_version"] and named:
                judge = new_version(judge=named, configuration=configuration)
            else:
                judge = make_llm_judge(
                    arena=arena,
                    name=options["name"],
                    configuration=configuration,
                    family=options["family"],
                )
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{judge} ({judge.slug}). Ask it: manage.py run_judge {arena.slug} {judge.slug}"
        )
