"""Forms that make judges. They gather what was typed; the verbs check it and name what is wrong."""

import uuid
from collections.abc import Mapping
from typing import Any

from django import forms

from arena.forms import Lines
from judges.endpoint_forms import (
    EndpointForm,
    endpoint_shown,
    number_field,
    tick_field,
    whole_field,
)
from judges.models import Judge

PROTOCOLS = (
    ("battle", "Battle: which answer is better, or a tie, or both bad"),
    ("five_step", "Five steps: A>>B, A>B, A=B, B>A, B>>A"),
    ("rubric", "Rubric: a verdict by each criterion, and overall"),
    ("choice_probability", "Probabilities of A and B (needs logprobs)"),
    ("numeric", "Numeric: each output from 0 to 100"),
    ("likert", "Likert: each output on a scale of points"),
    ("yes_no", "Yes or no: the probability that an output is good (needs logprobs)"),
    ("checklist", "Checklist: questions per prompt, answered for each output"),
)
OPTIONS = (
    "reply", "reasoned", "reference", "examples", "certainty", "ties", "both_bad", "criteria", "points",
    "max_tokens",
)  # fmt: skip
USUAL = {
    "reply": "json", "reasoned": False, "reference": "none", "examples": 0, "certainty": False,
    "ties": True, "both_bad": True, "criteria": [], "points": 5, "max_tokens": 0,
}  # fmt: skip


class LLMJudgeForm(EndpointForm):
    """Everything about an LLM judge. ``configuration`` gives it as checked_configuration takes it."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(max_length=200, help_text="Such as “Llama 3, strict”.")
    family = forms.CharField(
        required=False,
        max_length=100,
        help_text="As the systems have it, such as Llama: self-preference is measured by it.",
    )
    description = forms.CharField(
        required=False, max_length=2_000, widget=forms.Textarea(attrs={"rows": 2})
    )

    supports_schema = tick_field(
        "The server holds replies to a JSON schema",
        "If not, the form is asked for in words.",
        on=True,
    )

    protocol = forms.ChoiceField(choices=PROTOCOLS, label="Protocol")
    reply = forms.ChoiceField(
        choices=[("json", "A JSON object"), ("line", "A last line of words")],
        required=False,
        label="Form of the reply",
    )
    reasoned = tick_field(
        "Reasons first", "Dearer, and a decision that can be looked into.", on=True
    )
    reference = forms.ChoiceField(
        choices=[
            ("none", "None"),
            ("given", "The prompt’s own"),
            ("adapted", "One that the judge writes first, with the answers before it"),
        ],
        required=False,
        label="Reference answer",
    )
    examples = whole_field(
        0, "Examples", "Comparisons that people agree on, shown first: 0 to 8.", max_value=8
    )
    certainty = tick_field(
        "It states how certain it is", "From 0 to 100. Cascades can rest on it.", on=False
    )
    ties = tick_field("Ties are allowed", on=True)
    both_bad = tick_field("“Both bad” is allowed", on=True)
    criteria = Lines(most=12, longest=40, label="Criteria", help_text="Of a rubric, one a line.")
    points = whole_field(5, "Points", "Of a Likert scale: 2 to 10.")
    max_tokens = whole_field(0, "Longest reply", "Tokens; 0 for what the form needs.")

    both_orders = tick_field(
        "Ask in both orders", "A tie where they contradict each other. Twice the price.", on=True
    )
    repetitions = whole_field(1, "Repetitions", "How often each battle or output is asked about.")
    margin = number_field(
        0, "Margin of a tie", "Where outputs are scored: a difference up to this is a tie."
    )

    groups = {
        "Who it is": ("name", "family", "description"),
        "Which model": ("url", "model", "key_name", "temperature", "pictures", "supports_schema"),
        "How it is asked": (
            "protocol", "reasoned", "reference", "criteria", "examples", "certainty", "both_orders",
            "repetitions",
        ),
        "Price and limits": (
            "input_price", "output_price", "concurrency", "requests_per_minute", "tokens_per_minute",
            "timeout",
        ),
        "Rarely changed": (
            "reply", "ties", "both_bad", "points", "max_tokens", "margin", "api", "parameters",
        ),
    }  # fmt: skip

    def __init__(self, *args: Any, of: Judge | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.of = of
        self.fields["key"].initial = uuid.uuid4
        if of is not None:
            # A new version keeps its name: only how it decides is another.
            for name in ("name", "family", "description"):
                del self.fields[name]

    folded = ("Price and limits", "Rarely changed")

    def configuration(self) -> dict[str, Any]:
        """As checked_configuration takes it, of a form that is valid."""
        typed = self.cleaned_data
        known = _options_of(typed["protocol"])[0]
        options = {
            name: typed[name] for name in OPTIONS if name in known and typed[name] is not None
        }
        # Whom it hears before it decides is no field: a new version hears the same.
        before = self.of.configuration if self.of else {}
        heard = {name: before[name] for name in ("discussion",) if name in before}
        return heard | {
            "endpoint": self.endpoint() | {"supports_schema": typed["supports_schema"]},
            "protocol": {"name": typed["protocol"], "options": options},
            "both_orders": typed["both_orders"],
            "repetitions": 1 if typed["repetitions"] is None else typed["repetitions"],
            "margin": typed["margin"] or 0.0,
            "pictures": typed["pictures"],
        }

    def clean(self) -> dict[str, Any]:
        typed = super().clean() or {}
        if "protocol" in typed:
            known, _ = _options_of(typed["protocol"])
            for name in OPTIONS:
                asked_for = typed.get(name) not in (None, "", USUAL[name])
                if name not in known and asked_for:
                    self.add_error(
                        name, f"The protocol {typed['protocol']} has no such option: take it out."
                    )
        return typed

    @staticmethod
    def initial_of(configuration: Mapping[str, Any]) -> dict[str, Any]:
        """What the form shows of a configuration, or of a part of one."""
        protocol = configuration.get("protocol", {})
        shown = endpoint_shown(configuration)
        if protocol:
            usual = USUAL | dict(_options_of(protocol["name"])[1])
            shown |= usual | {"protocol": protocol["name"]} | dict(protocol.get("options", {}))
        for name in ("both_orders", "repetitions", "margin", "pictures"):
            if name in configuration:
                shown[name] = configuration[name]
        return shown


def _options_of(protocol: str) -> tuple[frozenset[str], Mapping[str, Any]]:
    """(names of the options that a protocol has, those that it has other than USUAL)."""
    # Here, since protocols are of no use to other pages.
    from judges.protocols import PROTOCOLS as by_name

    of = by_name[protocol]
    return of.known | set(of.defaults), of.defaults


class TryForm(forms.Form):
    """On which battle a judge is tried."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    battle = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=2**63 - 1,
        label="Battle",
        help_text="Its number; empty for one at random that people voted on.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].initial = uuid.uuid4


class CouncilForm(forms.Form):
    """A council of the systems that have an endpoint."""

    name = forms.CharField(max_length=120, label="Name of the council")


class JuryForm(forms.Form):
    """Who sits on a jury, and by which rule."""

    name = forms.CharField(max_length=120)
    members = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        help_text="LLM judges, programs and imported judges.",
    )
    rule = forms.ChoiceField(
        widget=forms.RadioSelect,
        choices=[
            ("majority", "Majority: what more than half of the votes say, else a tie"),
            ("mean", "Mean: of the members’ verdicts, or of their scores"),
            ("weighted", "Weighted: members that agree more with people have more of a say"),
            ("council", "Council: every member but those of a system’s own family"),
            (
                "committee",
                "Committee: LLM judges read what the others said and why, and decide once more",
            ),
        ],
        initial="majority",
    )
    quorum = forms.IntegerField(
        required=False,
        min_value=1,
        help_text="How many members must have decided a battle before the jury does; empty: all of them.",
    )
    values = forms.ChoiceField(
        required=False,
        choices=[("", "As usual"), ("verdicts", "Verdicts"), ("scores", "Scores, on one scale")],
        label="The mean of",
        help_text="Only for the rule mean.",
    )
    tie_margin = forms.FloatField(
        required=False,
        min_value=0,
        label="Margin of a tie",
        help_text="Only for the rule mean: a difference up to this is a tie.",
    )
    weighting = forms.ChoiceField(
        required=False,
        choices=[("", "As usual"), ("log odds", "Log odds"), ("accuracy", "Accuracy")],
        help_text="Only for the rule weighted.",
    )
    description = forms.CharField(
        required=False, max_length=2_000, widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(self, *args: Any, judges: list[Judge], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.judges = {judge.slug: judge for judge in judges}
        self.fields["members"].choices = [  # type: ignore[attr-defined]
            (judge.slug, f"{judge} ({judge.get_kind_display()})") for judge in judges
        ]

    def options(self) -> dict[str, Any]:
        """Those that were chosen; the verb says which of them the rule doesn't have."""
        names = ("quorum", "values", "tie_margin", "weighting")
        return {
            name: self.cleaned_data[name]
            for name in names
            if self.cleaned_data[name] not in (None, "")
        }

    def chosen(self) -> list[Judge]:
        return [self.judges[slug] for slug in self.cleaned_data["members"]]


MOST_TIERS = 3


class CascadeForm(forms.Form):
    """Which judges decide first, and what the cascade is to claim."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(max_length=120)
    target = forms.FloatField(
        min_value=1,
        max_value=99.9,
        initial=80,
        label="Agreement with people, at least (%)",
        help_text="Of the battles that the cascade decides, how many as most people would.",
    )
    delta = forms.FloatField(
        min_value=0.1,
        max_value=50,
        initial=10,
        label="Chance that this claim is wrong, at most (%)",
    )
    votes = forms.IntegerField(
        min_value=1,
        max_value=1_000,
        initial=3,
        label="Votes of a majority",
        help_text="How many votes a battle needs to be calibrated on; and how many are asked of people.",
    )
    ties = forms.ChoiceField(
        choices=[
            ("count", "An outcome like others"),
            ("leave out", "Left out: the claim is about battles on which people prefer a side"),
        ],
        widget=forms.RadioSelect,
        initial="count",
    )
    unit = forms.ChoiceField(
        choices=[
            ("battle", "Other battles on prompts like these"),
            ("prompt", "Battles on other prompts (by one battle of each prompt)"),
        ],
        widget=forms.RadioSelect,
        initial="battle",
        label="What the claim is for",
    )
    share = forms.FloatField(
        min_value=5,
        max_value=95,
        initial=50,
        label="Calibrated on (%)",
        help_text="Of the battles that people decided; the rest is held out to see whether it holds.",
    )
    seed = forms.IntegerField(
        min_value=0, max_value=2**31 - 1, initial=0, help_text="Of the division."
    )
    description = forms.CharField(
        required=False, max_length=2_000, widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(self, *args: Any, judges: list[Judge], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].initial = uuid.uuid4
        self.judges = {judge.slug: judge for judge in judges}
        choices = [("", "None")] + [
            (judge.slug, f"{judge} ({judge.get_kind_display()})") for judge in judges
        ]
        for number in range(1, MOST_TIERS + 1):
            self.fields[f"judge_{number}"] = forms.ChoiceField(
                choices=choices,
                required=number == 1,
                label="First" if number == 1 else "Then",
            )
            self.fields[f"confidence_{number}"] = forms.ChoiceField(
                choices=[
                    ("stored", "What is stored with its verdicts: stated, or probabilities"),
                    ("annotators", "Agreement of its orders and repetitions"),
                    ("none", "None: all its verdicts alike"),
                ],
                label="How sure it is, told by",
            )

    def tier_fields(self) -> list[tuple[int, forms.BoundField, forms.BoundField]]:
        return [(n, self[f"judge_{n}"], self[f"confidence_{n}"]) for n in range(1, MOST_TIERS + 1)]

    def clean(self) -> dict[str, Any]:
        typed = super().clean() or {}
        named = [typed.get(f"judge_{number}") for number in range(1, MOST_TIERS + 1)]
        gaps = [n for n, slug in enumerate(named) if not slug]
        if gaps and any(named[gaps[0] :]):
            self.add_error(f"judge_{gaps[0] + 1}", "Leave no tier out between two others.")
        return typed

    def tiers(self) -> list[tuple[Judge, str]]:
        typed = self.cleaned_data
        return [
            (self.judges[slug], typed[f"confidence_{number}"])
            for number in range(1, MOST_TIERS + 1)
            if (slug := typed[f"judge_{number}"])
        ]

    def terms(self) -> dict[str, Any]:
        """As judges.cascades.making.Terms takes them."""
        typed = self.cleaned_data
        parts = {name: round(typed[name] / 100, 6) for name in ("target", "delta", "share")}
        return {**parts, **{name: typed[name] for name in ("votes", "ties", "unit", "seed")}}
