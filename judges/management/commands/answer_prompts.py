"""manage.py answer_prompts ARENA --system NAME: let a model answer an arena's prompts, within a budget."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from arena.management.commands._makers import arena_of
from arena.models import Arena, System
from judges import runs
from judges.answering import give_endpoint, make_system, plan_answers
from judges.configurations import ConfigurationError
from judges.management.commands._judges import options_of
from judges.management.commands._runs import RunsCommand, add_ways_to_run, limits_of


class Command(RunsCommand):
    help = (
        "Let a system answer the prompts that it hasn't: shows the plan first. With --url and --model the "
        "system is made, or given that endpoint; without, it is asked where it was asked before."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arena", metavar="ARENA")
        parser.add_argument("--system", required=True, metavar="NAME")
        # Not --version: manage.py has that.
        parser.add_argument("--system-version", default="", metavar="VERSION")
        parser.add_argument(
            "--family", default="", help="what a new system descends from, e.g. Llama"
        )
        parser.add_argument(
            "--url", help="an OpenAI-compatible endpoint, e.g. http://127.0.0.1:8001/v1"
        )
        parser.add_argument("--model")
        parser.add_argument(
            "--key-name", default="", metavar="NAME", help="the environment variable with the key"
        )
        parser.add_argument("--system-prompt", default="", metavar="TEXT")
        parser.add_argument("--sees", action="store_true", help="send the images that prompts show")
        parser.add_argument(
            "--parameter",
            action="append",
            default=[],
            metavar="NAME=JSON",
            help="of the model, e.g. temperature=0 or max_tokens=1000",
        )
        parser.add_argument(
            "--endpoint",
            action="append",
            default=[],
            metavar="NAME=JSON",
            help="e.g. concurrency=16 or output_price=0.6 (USD per million tokens)",
        )
        parser.add_argument("--prompts", nargs="+", type=int, default=[], metavar="ID")
        parser.add_argument("--categories", nargs="+", default=[], metavar="CATEGORY")
        parser.add_argument(
            "--limit", type=int, default=0, help="Only a sample of so many prompts."
        )
        add_ways_to_run(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        arena = arena_of(options["arena"])
        try:
            system = self.system_of(arena, options)
            if options["resume"] or options["retry"]:
                run = self.go_on(system, options)
            else:
                names = ("prompts", "categories", "limit")
                selection = {name: options[name] for name in names if options[name]}
                run = plan_answers(system=system, selection=selection, **limits_of(options))
                plan = runs.plan(run)
                left_out = f" ({plan.left_out:,} without a text left out)" if plan.left_out else ""
                run = self.begin(run, plan, f"{plan.calls:,} prompts to answer{left_out}", options)
        except (runs.RunError, ConfigurationError) as error:
            raise CommandError(str(error)) from error
        self.report(run)

    def system_of(self, arena: Arena, options: dict[str, Any]) -> System:
        found = System.objects.filter(
            arena=arena, name=options["system"], version=options["system_version"]
        ).first()
        if not options["url"] and not options["model"]:
            if found is None:
                raise CommandError(
                    f"{arena} has no system {options['system']!r}: with --url and --model it is made."
                )
            return found
        configuration = {
            "endpoint": {
                **options_of(options["endpoint"]),
                "url": options["url"],
                "model": options["model"],
                "key_name": options["key_name"],
                "parameters": options_of(options["parameter"]),
            },
            "system_prompt": options["system_prompt"],
            "pictures": options["sees"],
        }
        if found is not None:
            return give_endpoint(system=found, configuration=configuration)
        return make_system(
            arena=arena,
            name=options["system"],
            version=options["system_version"],
            family=options["family"],
            configuration=configuration,
        )
