"""Rubric: a verdict on each criterion, and one overall."""

from collections.abc import Mapping, Sequence
from typing import Any

from judges.protocols import reading, texts
from judges.protocols.asking import BATTLES, Asking
from judges.protocols.battle import allowed, listed, meanings, with_synonyms
from judges.protocols.interface import Case, Reading, UnreadableReply


class Rubric(Asking):
    name = "rubric"
    judges_battles = True
    known = BATTLES | {"criteria"}
    templates = ("rubric",)

    def task(self) -> str:
        return texts.filled("rubric", criteria=", ".join(self.options.criteria))

    def decided(self, case: Case) -> dict[str, str]:
        labels = meanings(allowed(self.options))
        named = {name: f"the same by {name} alone" for name in self.options.criteria}
        return {**named, "verdict": f"overall: {labels}"}

    def kinds(self, case: Case) -> dict[str, Mapping[str, Any]]:
        kind = {"type": "string", "enum": listed(allowed(self.options))}
        return dict.fromkeys([*self.options.criteria, "verdict"], kind)

    def of_json(self, value: Mapping[str, Any], questions: Sequence[str]) -> Reading:
        labels = allowed(self.options)

        def label(key: str) -> Any:
            return reading.the(value, key, lambda said: reading.label_of(said, labels, what=key))

        return Reading(
            choice=label("verdict"),
            by_criterion={name: label(name) for name in self.options.criteria},
        )

    def of_words(self, text: str, questions: Sequence[str]) -> Reading:
        labels = with_synonyms(allowed(self.options))
        lines = reading.words_of(text)
        found = {}
        for name in self.options.criteria:
            said = [line[len(name) + 1 :] for line in lines if _begins(line, name)]
            if not said:
                raise UnreadableReply(f"The reply has no line for {name}.")
            found[name] = reading.agreed(
                [reading.label_in(one, labels, sentences=False) for one in said], name, text
            )
        rest = "\n".join(
            line for line in lines if not any(_begins(line, name) for name in self.options.criteria)
        )
        return Reading(choice=reading.label_in(rest, labels), by_criterion=found)


def _begins(line: str, name: str) -> bool:
    return line.casefold().startswith(f"{name.casefold()}:")
