"""What is asked of whoever submits a system, and of the maintainers about submissions."""

from typing import Any

from django import forms
from django.conf import settings

from arena.forms import LONGEST_PASTED
from arena.models import Arena, System
from arena.submissions.checking import ABOUT
from arena.submissions.formats import KINDS
from arena.submissions.policy import BOUNDS, WHO, SubmissionPolicy, SubmissionPolicyError

LONGEST_DESCRIPTION = 5_000


class AboutForm(forms.ModelForm):
    """What is said of a system: the fields of its card."""

    link = forms.URLField(
        required=False,
        assume_scheme="https",
        max_length=200,
        help_text="Where there is more about it.",
    )

    class Meta:
        model = System
        fields = ABOUT
        labels = {
            "organisation": "Made by",
            "base_model": "Base model",
            "price_in": "Price of input (USD per million tokens)",
            "price_out": "Price of output (USD per million tokens)",
        }
        help_texts = {
            "name": "The name that readers see, once it is published.",
            "version": "Outputs can’t be replaced: a system that answers otherwise is another version.",
            "family": "What it descends from, such as llama. Self-preference of judges is measured by it, "
            "and outputs that name it aren’t shown to voters.",
            "description": "What readers should know of it: data, method, limits. Markdown.",
        }
        widgets = {
            "description": forms.Textarea(attrs={"rows": 4, "maxlength": LONGEST_DESCRIPTION}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("price_in", "price_out"):
            self.fields[name].min_value = 0
            self.fields[name].widget.attrs["min"] = 0

    def clean_name(self) -> str:
        return " ".join(self.cleaned_data["name"].split())

    def clean_version(self) -> str:
        return " ".join(self.cleaned_data["version"].split())

    def clean_description(self) -> str:
        text = self.cleaned_data["description"]
        if len(text) > LONGEST_DESCRIPTION:
            raise forms.ValidationError(
                f"This has {len(text):,} characters, more than {LONGEST_DESCRIPTION:,}: shorten it."
            )
        return text

    def _post_clean(self) -> None:
        # The verb makes the system; names are unique within the arena, which the form doesn't know.
        return None

    def _price(self, name: str) -> Any:
        price = self.cleaned_data[name]
        if price is not None and price < 0:
            raise forms.ValidationError("A price isn’t negative.")
        return price

    def clean_price_in(self) -> Any:
        return self._price("price_in")

    def clean_price_out(self) -> Any:
        return self._price("price_out")

    def about(self) -> dict[str, Any]:
        """What the verbs take."""
        return {name: self.cleaned_data[name] for name in ABOUT}


class SubmissionForm(AboutForm):
    """A system with its outputs."""

    file = forms.FileField(
        required=False,
        label="Its outputs",
        widget=forms.FileInput(attrs={"accept": ".jsonl,.ndjson,.json,.csv,.gz"}),
    )
    pasted = forms.CharField(
        required=False,
        label="… or pasted",
        max_length=LONGEST_PASTED,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "class": "code", "spellcheck": "false"}),
    )
    kind = forms.ChoiceField(
        required=False,
        label="Format",
        choices=[("", "As it looks"), *KINDS.items()],
    )
    private = forms.TypedChoiceField(
        coerce=lambda value: value == "private",
        choices=[
            ("private", "Private: only you and the maintainers see it, until you publish it"),
            (
                "published",
                "Published at once: everybody sees it and its place, for good. I may publish these outputs",
            ),
        ],
        initial="private",
        widget=forms.RadioSelect,
        label="Who sees it",
    )
    follows = forms.ModelChoiceField(
        queryset=System.objects.none(),
        required=False,
        label="A new version of",
        empty_label="none of my systems",
    )
    wants_mail = forms.BooleanField(
        required=False, label="Send me one mail when it is ranked, or can’t be"
    )
    field_order = ["name", "version", "file", "pasted", "kind", "private", "follows"]

    def __init__(
        self,
        *args: Any,
        arena: Arena,
        owner: Any,
        dropped: set[str] | None = None,
        kept: bytes | None = None,
        **kwargs: Any,
    ) -> None:
        """``kept``: the file of an earlier attempt, where none is sent now."""
        super().__init__(*args, **kwargs)
        self.dropped, self.kept = dropped or set(), kept
        self.fields[
            "file"
        ].help_text = (
            f"JSON lines, JSON or CSV, also as .gz; at most {settings.LARGEST_UPLOAD // 2**20} MB."
        )
        for name in ("file", "pasted", "kind"):
            self.fields[name].is_alternative = True
        mine = System.objects.filter(arena=arena, owner=owner).order_by("-pk")
        self.fields["follows"].queryset = mine
        if not mine.exists():
            del self.fields["follows"]
        if not settings.EMAIL_URL or not getattr(owner, "email", ""):
            del self.fields["wants_mail"]

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        file, pasted = values.get("file"), values.get("pasted") or ""
        if "file" in self.dropped:
            self.add_error(
                "file",
                f"The file is larger than {settings.LARGEST_UPLOAD // 2**20} MB and wasn’t taken: "
                "compress it with gzip.",
            )
        elif file and pasted.strip():
            self.add_error("pasted", "There is a file and pasted text: send one of them.")
        elif file:
            values["content"], values["file_name"] = file.read(), file.name
        elif pasted.strip():
            values["content"], values["file_name"] = pasted.encode("utf-8", "replace"), ""
        elif self.kept is not None:
            values["content"], values["file_name"] = self.kept, self.data.get("kept_name", "")[:200]
        elif not self.errors:
            self.add_error("file", "Choose a file, or paste something below.")
        return values

    def submission(self) -> dict[str, Any]:
        """What verbs.submit and try_submission take beside arena and owner."""
        values = self.cleaned_data
        return {
            "about": self.about(),
            "content": values["content"],
            "file_name": values["file_name"],
            "kind": values["kind"],
            "private": values["private"],
            "follows": values.get("follows"),
        }


class SubmissionPolicyForm(forms.Form):
    """Who may submit, and how submissions are ranked: arena.submissions.policy.SubmissionPolicy."""

    who = forms.ChoiceField(
        choices=list(WHO.items()), label="Who may submit", widget=forms.RadioSelect
    )
    judges = forms.MultipleChoiceField(
        required=False,
        label="Judges",
        widget=forms.CheckboxSelectMultiple,
        help_text="All that are ticked are asked. Without any, people’s votes alone rank a system.",
    )
    ranking = forms.ChoiceField(
        required=False,
        label="The judge that gives the provisional place",
        help_text="One of those above; a jury or cascade has its members asked.",
    )
    battles = forms.IntegerField(label="Battles for one system, at most")
    width = forms.FloatField(
        label="Enough when the interval is under",
        help_text="Rating points from the lower to the upper end of the 95 % interval.",
    )
    budget = forms.FloatField(
        label="Budget for one system (USD)", help_text="For all models that are asked; 0: no limit."
    )
    least_share = forms.FloatField(
        label="Share of prompts that must be answered",
        help_text="1: all of them. 0.8: at least four of five.",
    )
    most_private = forms.IntegerField(
        label="Unpublished systems of one account",
        help_text="Those that were withdrawn unpublished count too. How many somebody has is shown beside "
        "each of their published systems.",
    )
    most_a_week = forms.IntegerField(label="Submissions of one account in a week")
    most_refused_a_day = forms.IntegerField(label="Refused submissions of one account in a day")
    refuses_leaks = forms.BooleanField(
        required=False,
        label="Refuse outputs that give their system away",
        help_text="If not, they are taken, and not shown to voters.",
    )

    def __init__(self, *args: Any, judges: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["judges"].choices = judges
        self.fields["ranking"].choices = [("", "the first of them"), *judges]
        for name, (least, most) in BOUNDS.items():
            field = self.fields[name]
            field.widget.attrs |= {"min": least, "max": most}
        if not judges:
            del self.fields["judges"], self.fields["ranking"]

    @classmethod
    def of(
        cls, arena: Arena, data: Any = None, *, judges: list[tuple[str, str]]
    ) -> "SubmissionPolicyForm":
        try:
            policy = SubmissionPolicy.of(arena)
        except SubmissionPolicyError:
            policy = SubmissionPolicy()  # written past the form: it starts from what is usual
        initial = policy.as_json()
        if policy.judges:
            initial["ranking"] = policy.judges[0]
        return cls(data, initial=initial, judges=judges, prefix="submissions")

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if self.errors:
            return values
        chosen = list(values.get("judges", []))
        ranking = values.pop("ranking", "")
        if ranking and ranking not in chosen:
            chosen.append(ranking)
        # The first one ranks.
        chosen.sort(key=lambda slug: slug != ranking)
        stored = {name: values[name] for name in values if name != "judges"} | {"judges": chosen}
        try:
            values["policy"] = SubmissionPolicy.from_json(stored).as_json()
        except SubmissionPolicyError as error:
            name, _, sentence = str(error).partition(": ")
            self.add_error(name if name in self.fields else None, sentence or str(error))
        return values
