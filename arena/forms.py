"""Forms of a maintainer. They check what was typed; the verbs of making.py and members.py do the work."""

import re
from dataclasses import asdict
from typing import Any

from django import forms
from django.conf import settings

from arena.members import LONGEST_DAYS
from arena.models import Arena, Membership, slug_validator
from arena.policies import Policy, PolicyError
from arena.sharing import MOST_HELD_BACK, Sharing, SharingError
from arena.uploads import UploadError, kind_of

LONGEST_GUIDELINES = 20_000
LONGEST_PASTED = 500_000  # characters; larger ones are uploaded
_NO_LINES = re.compile(r"\s+")


class Lines(forms.CharField):
    """A list, one item a line: blank lines and repetitions are left out."""

    def __init__(self, *, most: int, longest: int, **kwargs: Any) -> None:
        super().__init__(required=False, widget=forms.Textarea(attrs={"rows": 4}), **kwargs)
        self.most, self.longest = most, longest

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        lines = [_NO_LINES.sub(" ", line).strip() for line in super().clean(value).splitlines()]
        lines = list(dict.fromkeys(line for line in lines if line))
        if len(lines) > self.most:
            raise forms.ValidationError(
                f"These are {len(lines)}, and more than {self.most} would be too many to vote with."
            )
        for line in lines:
            if len(line) > self.longest:
                raise forms.ValidationError(
                    f"“{line[:30]}…” has {len(line)} characters, more than {self.longest}: shorten it."
                )
        return lines


class SettingsForm(forms.ModelForm):
    """Everything about an arena but its address."""

    criteria = Lines(
        most=6,
        longest=40,
        label="Criteria",
        help_text="Judged one by one beside the overall verdict, each with a leaderboard of its own, such "
        "as accuracy or style. One a line. Every criterion makes a vote longer.",
    )
    reasons = Lines(
        most=12,
        longest=60,
        label="Reasons",
        help_text="What a voter may tick for each answer, such as “made up” or “too long”. One a line.",
    )
    checklist = Lines(
        most=10,
        longest=160,
        label="Checklist",
        help_text="What a voter is reminded to look at before voting. One a line.",
    )

    rank_size = forms.TypedChoiceField(
        coerce=int,
        required=False,
        empty_value=0,
        choices=[(0, "None: battles only"), (3, "Three"), (4, "Four"), (5, "Five")],
        label="Outputs to put in order",
        help_text="A second way to vote, on a page of its own: the voter puts so many outputs of one prompt "
        "in order. Such rankings have a table of their own and don’t move the leaderboard.",
    )

    class Meta:
        model = Arena
        fields = (
            "name",
            "description",
            "guidelines",
            "is_public",
            "who_votes",
            "criteria",
            "reasons",
            "checklist",
            "asks_certainty",
            "asks_comment",
            "votes_wanted",
            "rank_size",
            "licence",
            "source",
        )
        labels = {
            "is_public": "Anyone may see the arena",
            "who_votes": "Who may vote",
            "asks_certainty": "Ask how certain the voter is",
            "asks_comment": "Offer room for a comment",
            "votes_wanted": "Votes wanted",
        }
        help_texts = {
            "description": "One or two sentences: what is compared here.",
            "guidelines": "What a voter is asked to look for. Shown beside every vote. Markdown.",
            "is_public": "If not, only members see it, and only they can vote whatever is chosen below.",
            "votes_wanted": "The goal that voters see themselves getting nearer to; 0 for none.",
            "licence": "Of the prompts and outputs, such as CC BY 4.0.",
            "source": "Where they come from.",
        }
        widgets = {
            "description": forms.Textarea(attrs={"rows": 2, "maxlength": 1_000}),
            "guidelines": forms.Textarea(attrs={"rows": 10, "maxlength": LONGEST_GUIDELINES}),
            "who_votes": forms.RadioSelect,
        }

    def clean_guidelines(self) -> str:
        return self._no_longer("guidelines", LONGEST_GUIDELINES)

    def clean_description(self) -> str:
        return self._no_longer("description", 1_000)

    def clean_votes_wanted(self) -> int:
        wanted = self.cleaned_data["votes_wanted"]
        if wanted > 2**31 - 1:
            raise forms.ValidationError("That is more than anybody will ever vote.")
        return wanted

    def _no_longer(self, name: str, longest: int) -> str:
        text = self.cleaned_data[name]
        if len(text) > longest:
            raise forms.ValidationError(
                f"This has {len(text):,} characters, more than {longest:,}: shorten it."
            )
        return text

    def settings(self) -> dict[str, Any]:
        """What making.create_arena and change_arena take."""
        return {name: self.cleaned_data[name] for name in self._meta.fields}

    def _post_clean(self) -> None:
        # The verb checks and saves; the form must not change the arena that the page shows.
        return None


class NewArenaForm(SettingsForm):
    slug = forms.CharField(
        required=False,
        max_length=60,
        label="Address",
        validators=[slug_validator],
        help_text="The last part of the arena’s address: lower-case letters, digits, hyphens. It can’t be "
        "changed later. Left empty, it is made of the name.",
    )
    field_order = ["name", "slug", "description", "guidelines"]

    class Meta(SettingsForm.Meta):
        pass


class PolicyForm(forms.Form):
    """How the next battle is chosen: arena.policies.Policy."""

    uniform = forms.FloatField(
        min_value=0, label="Evenly", help_text="Every pair of systems as often as every other."
    )
    least_judged = forms.FloatField(
        min_value=0, label="Least judged", help_text="Pairs with the fewest votes first."
    )
    active = forms.FloatField(
        min_value=0,
        label="Where it helps most",
        help_text="Pairs whose next vote makes the ratings most certain.",
    )
    overlap_share = forms.FloatField(
        min_value=0,
        max_value=1,
        label="Share of shared battles",
        help_text="Battles that several people get, so that it is known how well they agree. 0.1 is a tenth.",
    )
    overlap_voters = forms.IntegerField(
        min_value=2, max_value=1000, label="People for a shared battle"
    )
    repeat_share = forms.FloatField(
        min_value=0,
        max_value=1,
        label="Share of repeats",
        help_text="Battles that the voter has had, sides swapped: how steady a voter is.",
    )
    gold_share = forms.FloatField(
        min_value=0,
        max_value=1,
        label="Share of gold items",
        help_text="Comparisons with a known answer, as far as the arena has any.",
    )

    @classmethod
    def of(cls, arena: Arena, data: Any = None) -> "PolicyForm":
        try:
            initial = asdict(Policy.of(arena))
        except PolicyError:
            # Written in the admin and never checked: the form starts from what is usual.
            initial = asdict(Policy())
        return cls(data, initial=initial, prefix="policy")

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if not self.errors:
            try:
                values["policy"] = Policy.from_json(
                    {name: values[name] for name in self.fields}
                ).as_json()
            except PolicyError as error:
                raise forms.ValidationError(str(error)) from error
        return values


class SharingForm(forms.Form):
    """What the public may take away as files: arena.sharing.Sharing."""

    outputs = forms.BooleanField(required=False, label="Outputs")
    verdicts = forms.BooleanField(
        required=False, label="Verdicts, with voters’ pseudonyms, scores and rankings"
    )
    rationales = forms.BooleanField(
        required=False,
        label="The words behind verdicts",
        help_text="Voters’ comments, what LLM judges replied.",
    )
    newest_verdicts = forms.FloatField(
        min_value=0,
        max_value=MOST_HELD_BACK,
        label="Newest verdicts held back (per cent)",
        help_text="Those that were cast last; the public gets them as newer ones come in. 0 for none.",
    )
    newest_prompts = forms.FloatField(
        min_value=0,
        max_value=MOST_HELD_BACK,
        label="Newest prompts held back (per cent)",
        help_text="With their outputs, battles and verdicts. 0 for none.",
    )

    @classmethod
    def of(cls, arena: Arena, data: Any = None) -> "SharingForm":
        try:
            initial = Sharing.of(arena).as_json()
        except SharingError:
            # Written in the admin and never checked: the form starts from what is usual.
            initial = Sharing().as_json()
        return cls(data, initial=initial, prefix="sharing")

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if not self.errors:
            try:
                values["sharing"] = Sharing.from_json(
                    {name: values[name] for name in self.fields}
                ).as_json()
            except SharingError as error:
                raise forms.ValidationError(str(error)) from error
        return values


class UploadForm(forms.Form):
    """A file, or the same pasted; either is held to the size limits."""

    file = forms.FileField(
        required=False,
        label="File",
        widget=forms.FileInput(attrs={"accept": ".jsonl,.ndjson,.csv,.txt,.gz"}),
    )
    pasted = forms.CharField(
        required=False,
        label="… or pasted",
        max_length=LONGEST_PASTED,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "class": "code", "spellcheck": "false"}),
    )
    kind = forms.ChoiceField(
        required=False,
        label="What was pasted is",
        choices=[("text", "plain text"), ("jsonl", "JSON lines"), ("csv", "CSV")],
    )
    kinds: tuple[str, ...] = ("text", "jsonl", "csv")
    how_read = "The end of its name says what it is."

    @staticmethod
    def kind_of(name: str) -> str:
        """What a file of this name is; empty where its content tells. Raises UploadError."""
        return kind_of(name)

    def __init__(self, *args: Any, dropped: set[str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dropped = dropped or set()
        for name in ("file", "pasted", "kind"):
            self.fields[name].is_alternative = True  # not required, and not optional either
        choices = self.fields["kind"].choices
        self.fields["kind"].choices = [choice for choice in choices if choice[0] in self.kinds]
        largest = f"{settings.LARGEST_UPLOAD // 2**20} MB"
        self.fields[
            "file"
        ].help_text = f"At most {largest}; it may be packed with gzip. {self.how_read}"

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        file, pasted = values.get("file"), values.get("pasted") or ""
        if "file" in self.dropped:
            self.add_error(
                "file",
                f"The file is larger than {settings.LARGEST_UPLOAD // 2**20} MB and wasn’t taken: split "
                "it and upload the parts one after the other.",
            )
        elif file and pasted.strip():
            self.add_error("pasted", "There is a file and pasted text: send one at a time.")
        elif file:
            try:
                values["content"], values["as"] = file.read(), self.kind_of(file.name)
            except UploadError as error:
                self.add_error("file", str(error))
        elif pasted.strip():
            values["content"], values["as"] = pasted.encode("utf-8", "replace"), values["kind"]
        elif not self.errors:
            self.add_error("file", "Choose a file, or paste something below.")
        return values


class PromptsForm(UploadForm):
    pass


class OutputsForm(UploadForm):
    kinds = ("jsonl", "csv")
    how_read = "What is in it says what it is."
    system = forms.CharField(max_length=200, label="System", help_text="The name that readers see.")
    version = forms.CharField(
        required=False,
        max_length=60,
        help_text="Outputs can’t be replaced: a system that answers otherwise is another version.",
    )
    organisation = forms.CharField(required=False, max_length=120, label="Made by")
    family = forms.CharField(
        required=False,
        max_length=120,
        help_text="What it descends from, such as llama. Self-preference of judges is measured by it, and "
        "outputs that name it aren’t shown to voters.",
    )
    licence = forms.CharField(required=False, max_length=60)
    link = forms.URLField(required=False, assume_scheme="https", max_length=200)
    field_order = ["system", "version", "organisation", "family", "licence", "link"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].widget.attrs["accept"] = ".jsonl,.ndjson,.json,.csv,.gz"

    @staticmethod
    def kind_of(name: str) -> str:
        return ""

    def about(self) -> dict[str, str]:
        """What making.add_outputs takes about the system."""
        names = ("system", "version", "organisation", "family", "licence", "link")
        return {name: self.cleaned_data[name] for name in names}


class SeveralFiles(forms.FileInput):
    allow_multiple_selected = True


class Files(forms.FileField):
    """One or more files, each checked like one."""

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        given = data if isinstance(data, list | tuple) else [data]
        return [super(Files, self).clean(one, initial) for one in given or [None]]


class ImagesForm(forms.Form):
    files = Files(
        label="Images",
        widget=SeveralFiles(attrs={"accept": ".png,.jpg,.jpeg,.webp,.gif,.zip"}),
        help_text=f"PNG, JPEG, WebP, GIF, or a zip of them; {settings.LARGEST_UPLOAD // 2**20} MB together "
        "at most.",
    )

    def __init__(self, *args: Any, dropped: set[str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dropped = dropped or set()

    def clean(self) -> dict[str, Any]:
        if "files" in self.dropped:
            self.errors.pop("files", None)
            self.add_error(
                "files",
                f"These are more than {settings.LARGEST_UPLOAD // 2**20} MB together, and none was taken: "
                "send them in several parts.",
            )
        return super().clean()


class InvitationForm(forms.Form):
    role = forms.ChoiceField(
        choices=[
            ("voter", "Voter: sees the arena and votes"),
            ("researcher", "Researcher: the same, for those who bring systems"),
            ("maintainer", "Maintainer: may do everything that you may"),
        ],
        widget=forms.RadioSelect,
        initial="voter",
    )
    note = forms.CharField(
        required=False,
        max_length=120,
        label="For whom",
        help_text="For you to remember, such as “reading group”.",
    )
    days = forms.IntegerField(
        min_value=1, max_value=LONGEST_DAYS, initial=14, label="Good for so many days"
    )


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Membership.Role.choices)
