"""Forms that make systems which can be asked, and ask them. They gather what was typed; the verbs check it."""

from typing import Any

from django import forms

from arena.models import Arena, Category, System
from judges.answering import LONGEST_SYSTEM_PROMPT, MOST_MAX_TOKENS
from judges.configurations import REWARD_APIS
from judges.endpoint_forms import EndpointForm, endpoint_shown
from judges.run_forms import LimitsForm, PromptIds
from judges.runs.answers import MAX_TOKENS
from judges.runs.selection import MOST_LIMIT, MOST_NAMED


class SystemForm(EndpointForm):
    """Everything about a system that is asked. ``configuration`` gives it as make_system takes it."""

    name = forms.CharField(max_length=200, help_text="Such as “Llama 3 8B”. Voters don’t see it.")
    version = forms.CharField(
        required=False,
        max_length=60,
        help_text="What tells it from others of its name, such as a date or “terse”.",
    )
    organisation = forms.CharField(required=False, max_length=120)
    family = forms.CharField(
        required=False,
        max_length=120,
        help_text="What it descends from, such as Llama: self-preference is measured by it.",
    )
    system_prompt = forms.CharField(
        required=False,
        max_length=LONGEST_SYSTEM_PROMPT,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Said to the model before each prompt.",
    )
    max_tokens = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_MAX_TOKENS,
        initial=MAX_TOKENS,
        label="Longest answer",
        help_text="Tokens. An answer that is cut off there is a failure, never an output. Empty where the "
        "other parameters have max_completion_tokens.",
    )

    groups = {
        "Who it is": ("name", "version", "organisation", "family"),
        "Which model": ("url", "model", "key_name", "temperature", "max_tokens", "system_prompt", "pictures"),
        "Price and limits": (
            "input_price", "output_price", "concurrency", "requests_per_minute", "tokens_per_minute",
            "timeout", "api", "parameters",
        ),
    }  # fmt: skip
    folded = ("Price and limits",)
    of_parameters = ("temperature", "max_tokens")

    def __init__(self, *args: Any, of: System | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["pictures"].help_text = "It is sent the images that prompts show."
        self.fields["api"].choices = [  # type: ignore[attr-defined]
            choice for choice in self.fields["api"].choices if choice[0] not in REWARD_APIS
        ]
        if of is not None:
            for name in self.groups["Who it is"]:
                del self.fields[name]

    def configuration(self) -> dict[str, Any]:
        return {
            "endpoint": self.endpoint(),
            "system_prompt": self.cleaned_data["system_prompt"],
            "pictures": self.cleaned_data["pictures"],
        }

    @staticmethod
    def initial_of(configuration: dict[str, Any]) -> dict[str, Any]:
        """What the form shows of a system's endpoint."""
        shown = endpoint_shown(configuration)
        parameters = shown.get("parameters", {})
        limit = parameters.pop("max_tokens", None)
        rest = {
            name: value for name, value in configuration.items() if name in SystemForm.base_fields
        }
        return shown | rest | {"max_tokens": limit}


class AnswersForm(LimitsForm):
    """Which prompts a system answers, within which limits."""

    limit = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_LIMIT,
        label="At most",
        help_text="A sample of so many prompts, the same every time. Empty: all that it hasn’t answered.",
    )
    categories = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    prompts = PromptIds(
        required=False,
        max_length=20 * MOST_NAMED,
        label="Prompts",
        help_text="Their numbers, such as 12, 15. Empty: all.",
    )

    def __init__(self, *args: Any, arena: Arena, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        categories = list(Category.objects.filter(arena=arena).values_list("slug", "name"))
        self.fields["categories"].choices = categories  # type: ignore[attr-defined]
        if not categories:
            del self.fields["categories"]
        self.order_fields(["limit", "categories", "prompts", *self.LIMITS])

    def selection(self) -> dict[str, Any]:
        """What plan_answers takes."""
        given = self.cleaned_data
        names = ("limit", "categories", "prompts")
        return {name: given[name] for name in names if given.get(name)}
