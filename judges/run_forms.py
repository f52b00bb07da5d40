"""Forms of runs. They check what was typed; the verbs of judges.runs do the work."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import Q, QuerySet

from arena.forms import Lines
from arena.models import Arena, Category, System
from judges.models import Judge, JudgeRun
from judges.runs.selection import MOST_LIMIT, MOST_NAMED, NARROWEST, WIDEST

# Beyond this many a list of boxes helps nobody.
BOXES = 300
_SEPARATORS = re.compile(r"[\s,;]+")


def judges_that_run(arena: Arena) -> QuerySet[Judge]:
    """LLM judges with an endpoint, and programs; the newest versions of each first."""
    asked = Q(kind=Judge.Kind.LLM, configuration__has_key="protocol_digest")
    computed = Q(kind=Judge.Kind.PROGRAM)
    return Judge.objects.filter(asked | computed, arena=arena).order_by("kind", "name", "-version")


class _JudgeField(forms.ModelChoiceField):
    def label_from_instance(self, judge: Judge) -> str:
        return f"{judge} ({judge.get_kind_display()})"


class PromptIds(forms.CharField):
    """Numbers between commas, blanks or lines, each once."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[int]:
        words = list(
            dict.fromkeys(word for word in _SEPARATORS.split(super().clean(value)) if word)
        )
        for word in words:
            if not (word.isascii() and word.isdigit() and len(word) < 19):
                raise forms.ValidationError(
                    f"“{word[:30]}” is no prompt’s number: it stands in the address of the prompt’s page."
                )
        return [int(word) for word in words]


def _typed(value: Any) -> Any:
    """1.5000 is typed 1.5."""
    if isinstance(value, Decimal):
        return f"{value:f}".rstrip("0").rstrip(".")
    return value


class LimitsForm(forms.Form):
    """When a run must pause. Nothing of it: no limit."""

    budget = forms.DecimalField(
        required=False,
        min_value=Decimal("0.0001"),
        max_digits=12,
        decimal_places=4,
        label="Budget (USD)",
    )
    max_tokens = forms.IntegerField(required=False, min_value=1, label="Tokens")
    max_calls = forms.IntegerField(required=False, min_value=1, label="Calls")

    LIMITS = ("budget", "max_tokens", "max_calls")

    @classmethod
    def of(cls, run: JudgeRun) -> dict[str, Any]:
        """The limits that a run has, as they are typed."""
        return {name: _typed(getattr(run, name)) for name in cls.LIMITS}

    def limits(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.LIMITS}


class RunForm(LimitsForm):
    """Which judge, about which battles, within which limits."""

    judge = _JudgeField(
        queryset=Judge.objects.none(), to_field_name="slug", empty_label="Choose a judge"
    )
    battles = forms.ChoiceField(
        label="Which battles",
        choices=[
            ("existing", "Battles that there are"),
            ("voted", "Battles that people voted on: how well the judge agrees with them"),
            ("all", "Every two outputs to the same prompt: battles that are missing are made"),
        ],
        initial="existing",
        widget=forms.RadioSelect,
        help_text="Those that the judge has decided are always left out.",
    )
    limit = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_LIMIT,
        label="At most",
        help_text="A sample of so many battles, spread over all that were chosen and the same every time.",
    )
    until_width = forms.FloatField(
        required=False,
        min_value=NARROWEST,
        max_value=WIDEST,
        label="Until every 95 % interval is under (rating points)",
        help_text="Battles are asked in rounds, each where intervals are widest, until this judge’s own "
        "leaderboard is so sure of every system. “At most” then bounds all rounds together. Empty: no rounds.",
    )
    categories = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    prompts = PromptIds(
        required=False,
        max_length=20 * MOST_NAMED,
        label="Prompts",
        help_text="Their numbers, such as 12, 15. Empty: all.",
    )
    failed_of = forms.IntegerField(
        required=False,
        min_value=1,
        label="Only what failed in run",
        help_text="The number of a run of this arena. Empty: whatever is chosen.",
    )
    field_order = [
        *(
            "judge",
            "battles",
            "limit",
            "until_width",
            "systems",
            "categories",
            "prompts",
            "failed_of",
        ),
        *LimitsForm.LIMITS,
    ]

    def __init__(self, *args: Any, arena: Arena, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["judge"].queryset = judges_that_run(arena)
        systems = System.objects.filter(arena=arena).only("slug", "name", "version")
        named = [(system.slug, str(system)) for system in systems[: BOXES + 1]]
        help_text = (
            "One: its battles against all others. Several: the battles between them. None: all."
        )
        if len(named) > BOXES:
            self.fields["systems"] = Lines(
                most=MOST_NAMED, longest=120, help_text=f"Their addresses, one a line. {help_text}"
            )
        else:
            self.fields["systems"] = forms.MultipleChoiceField(
                required=False,
                choices=named,
                widget=forms.CheckboxSelectMultiple,
                help_text=help_text,
            )
        categories = Category.objects.filter(arena=arena).values_list("slug", "name")
        self.fields["categories"].choices = list(categories)
        if not categories:
            del self.fields["categories"]
        self.order_fields(self.field_order)

    @property
    def narrows(self) -> bool:
        """Whether something is chosen, or wrong, among what is folded away."""
        folded = ("systems", "categories", "prompts", "failed_of")
        return any(
            self[name].value() or self[name].errors for name in folded if name in self.fields
        )

    def selection(self) -> dict[str, Any]:
        """What plan_run takes."""
        given = self.cleaned_data
        names = ("battles", "limit", "until_width", "systems", "categories", "prompts", "failed_of")
        return {name: given[name] for name in names if given.get(name)}

    def clean(self) -> dict[str, Any]:
        """A program takes no choice: what was typed and would be passed over is said instead."""
        given = super().clean() or {}
        judge = given.get("judge")
        if judge is None or judge.kind != Judge.Kind.PROGRAM:
            return given
        chosen = (
            "limit",
            "until_width",
            "systems",
            "categories",
            "prompts",
            "failed_of",
            *self.LIMITS,
        )
        for name in chosen:
            if given.get(name):
                self.add_error(
                    name,
                    "A program judges every battle that it hasn’t decided, and costs nothing: leave this out.",
                )
        if given.get("battles", "existing") != "existing":
            self.add_error("battles", "A program judges the battles that there are.")
        return given
