"""What all protocols share: the request's frame, the forms of the reply, the digest."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from judges.protocols import reading, texts
from judges.protocols.interface import (
    Case,
    MissingInput,
    Reading,
    Reply,
    Request,
    UnreadableReply,
)
from judges.protocols.options import Options

REASONING_TOKENS = 1_000
LETTERS = "AB"
COMMON = frozenset({"reply", "reasoned", "reference", "certainty", "max_tokens"})
BATTLES = COMMON | {"examples", "ties", "both_bad"}


@dataclass(frozen=True)
class Asking:
    """A protocol with its options. Each module below fills in what is asked and how it is read."""

    options: Options = field(default_factory=Options)
    # How many judges' first verdicts are told, its own among them; 0: it decides alone.
    hears: int = 0

    name: ClassVar[str]
    version: ClassVar[int] = 1
    judges_battles: ClassVar[bool]
    needs_probabilities: ClassVar[bool] = False
    known: ClassVar[frozenset[str]] = COMMON
    defaults: ClassVar[Mapping[str, Any]] = {}
    templates: ClassVar[tuple[str, ...]]

    @property
    def digest(self) -> str:
        names = ("fences", *self.templates)
        if self.options.reference == "adapted":
            names += ("adapt_reference",)
        # What isn't there isn't in the digest, so that judges who hear nobody keep theirs.
        heard = {}
        if self.hears:
            names += ("discussion",)
            heard = {"hears": self.hears, "longest_reasons": texts.LONGEST_REASONS}
        decides: dict[str, Any] = heard | {
            "name": self.name,
            "version": [self.version, reading.VERSION],
            "options": asdict(self.options),
            "templates": {name: texts.template(name) for name in names},
        }
        canonical = json.dumps(decides, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    # --- asking -------------------------------------------------------------------------------------------

    def render(self, case: Case, *, fence: str) -> Request:
        if len(case.answers) != (2 if self.judges_battles else 1):
            raise ValueError(f"{self.name} judges {2 if self.judges_battles else 1} at a time.")
        if self.options.reference != "none" and not case.reference.strip():
            raise MissingInput(
                f"{self.name} compares with a reference answer, and this prompt has none: give it one, "
                "or choose a judge that needs none."
            )
        if len(case.discussion) != self.hears:
            raise MissingInput(
                f"It decides after {self.hears} judges have, and {len(case.discussion)} of their verdicts are "
                "there now: let the others judge this battle first."
            )
        fence = texts.free_fence(fence, texts.texts_of(case))
        system = [self.task(), texts.filled("fences", fence=fence)]
        if self.hears:
            system.append(texts.template("discussion"))
        if case.guidelines.strip():
            system.append(f"What this arena looks for:\n{case.guidelines.strip()}")
        return Request(
            messages=(
                texts.message("system", "\n\n".join(system)),
                texts.message("user", self._shown(case, fence), case, fence),
            ),
            max_tokens=self.options.max_tokens or self.length(case),
            schema=self.schema(case) if self.options.reply == "json" else None,
            top_logprobs=0,
        )

    def _shown(self, case: Case, fence: str) -> str:
        parts = [
            texts.example(fence, number, shown)
            for number, shown in enumerate(case.examples[: self.options.examples], 1)
        ]
        if parts:
            parts.append("Now yours:")
        parts.append(texts.conversation(case, fence))
        if self.options.reference != "none":
            parts.append(texts.fenced(fence, "reference answer", case.reference))
        for letter, answer in zip(LETTERS, case.answers, strict=False):
            name = f"answer {letter}" if self.judges_battles else "answer"
            parts.append(texts.fenced(fence, name, answer))
        if self.hears:
            parts.append(texts.discussion(case, fence))
        return "\n\n".join([*parts, self.form(case)])

    def task(self) -> str:
        return texts.template(self.templates[0])

    def length(self, case: Case) -> int:
        """Tokens that a reply of this form takes at most."""
        tokens = 64 + 24 * len(self.options.criteria) + 24 * len(case.checklist)
        return tokens + REASONING_TOKENS * self.options.reasoned

    def form(self, case: Case) -> str:
        """The words that ask for the form of the reply."""
        if self.options.reply == "json":
            keys = "; ".join(f'"{key}": {meaning}' for key, meaning in self.keys(case).items())
            return f"Reply with one JSON object and nothing else. Its keys, in this order: {keys}."
        lines = [
            f"{key.capitalize()}: … ({meaning})"
            for key, meaning in self.keys(case).items()
            if key != "reasons"
        ]
        before = (
            "Give your reasons in a few sentences first. Then end with"
            if self.options.reasoned
            else "Reply with"
        )
        count = "this one line" if len(lines) == 1 else f"these {len(lines)} lines"
        return f"{before} {count} and nothing else:\n" + "\n".join(lines)

    def keys(self, case: Case) -> dict[str, str]:
        """Key -> what it means, in the order of the reply."""
        found = {"reasons": "your reasons in a few sentences"} if self.options.reasoned else {}
        found |= self.decided(case)
        if self.options.certainty:
            found["certainty"] = "how certain you are, a whole number from 0 to 100"
        return found

    def decided(self, case: Case) -> dict[str, str]:
        raise NotImplementedError

    def schema(self, case: Case) -> Mapping[str, Any]:
        kinds = self.kinds(case)
        properties = {
            key: kinds.get(key) or {"type": "integer" if key == "certainty" else "string"}
            for key in self.keys(case)
        }
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def kinds(self, case: Case) -> dict[str, Mapping[str, Any]]:
        """Key -> JSON schema, of what is decided."""
        raise NotImplementedError

    # --- reading ------------------------------------------------------------------------------------------

    def read(self, reply: Reply, *, questions: Sequence[str] = ()) -> Reading:
        if not reply.text.strip():
            raise UnreadableReply("The reply is empty.")
        if self.options.reply == "json":
            value = reading.json_in(reply.text)
            found = self.of_json(value, questions)
            if self.options.certainty:
                certainty = reading.the(
                    value,
                    "certainty",
                    lambda stated: reading.number_of(stated, low=0, high=100, what="certainty"),
                )
                found = replace(found, confidence=certainty / 100)
            reasons = value.get("reasons", "")
            return replace(found, rationale=reading.words(reasons) if self.options.reasoned else "")
        if reply.finish == "length":
            raise UnreadableReply("The reply was cut off before it ended.")
        found = self.of_words(reply.text, questions)
        if self.options.certainty:
            certainty = reading.number_in(reply.text, low=0, high=100, what="certainty")
            found = replace(found, confidence=certainty / 100)
        return replace(found, rationale=reply.text.strip() if self.options.reasoned else "")

    def of_json(self, value: Mapping[str, Any], questions: Sequence[str]) -> Reading:
        raise NotImplementedError

    def of_words(self, text: str, questions: Sequence[str]) -> Reading:
        raise NotImplementedError

    # --- what comes first ---------------------------------------------------------------------------------

    def preparation(self, case: Case, *, fence: str) -> Request | None:
        """With an adapted reference, the call that writes it: the same whichever answer stands first."""
        if self.options.reference != "adapted":
            return None
        fence = texts.free_fence(fence, texts.texts_of(case))
        shown = [texts.conversation(case, fence)]
        if case.reference.strip():
            shown.append(texts.fenced(fence, "an answer known to be good", case.reference))
        shown += [texts.fenced(fence, "answer", answer) for answer in sorted(case.answers)]
        system = f"{texts.template('adapt_reference')}\n\n{texts.filled('fences', fence=fence)}"
        return Request(
            messages=(
                texts.message("system", system),
                texts.message("user", "\n\n".join(shown), case, fence),
            ),
            max_tokens=2_000,
        )

    def prepared(self, case: Case, reply: Reply) -> Case:
        if self.options.reference != "adapted":
            return case
        if reply.finish == "length" or not reply.text.strip():
            raise UnreadableReply("The adapted reference is empty or was cut off.")
        return replace(case, reference=reply.text.strip())
