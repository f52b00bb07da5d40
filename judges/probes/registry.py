"""The probes, after the biases of CALM (arXiv 2410.02736) and published attacks; all words are ours.

Where CALM changes the judge's instructions (bandwagon, names of models), we put the words into the answer: that
is what somebody who wants to win can do.
"""

from collections.abc import Iterable

from judges.probes import words
from judges.probes.interface import Answers, Counts, Probe, ProbeError

# Another one whenever some probe shows something else: results say by which version they were made.
VERSION = 1
CALM = "CALM, arXiv 2410.02736"


def _one_of(phrases: tuple[str, ...], seed: int) -> str:
    return phrases[seed % len(phrases)]


def _changed(answers: Answers, at: int, answer: str) -> Answers:
    return (answer, answers[1]) if at == 0 else (answers[0], answer)


def _appends(phrases: tuple[str, ...]):
    def change(answers: Answers, at: int, seed: int) -> Answers:
        return _changed(answers, at, f"{answers[at]}\n\n{_one_of(phrases, seed)}")

    return {"change": change, "adds": 2 + max(len(phrase.encode()) for phrase in phrases)}


def _prepends(phrases: tuple[str, ...]):
    def change(answers: Answers, at: int, seed: int) -> Answers:
        return _changed(answers, at, f"{_one_of(phrases, seed)}\n\n{answers[at]}")

    return {"change": change, "adds": 2 + max(len(phrase.encode()) for phrase in phrases)}


def _padded(answers: Answers, at: int, seed: int) -> Answers:
    """As much padding as there is answer, a sentence at least; the sentences begin anywhere in the list."""
    answer, start = answers[at], seed % len(words.PADDING)
    wanted, padding = len(answer), []
    for sentence in words.PADDING[start:] + words.PADDING[:start]:
        padding.append(sentence)
        wanted -= len(sentence)
        if wanted <= 0:
            break
    return _changed(answers, at, f"{answer}\n\n{' '.join(padding)}")


def _with_blank_line(answers: Answers, at: int, seed: int) -> Answers:
    return _changed(answers, at, f"{answers[at]}\n\n")


MARKED = 20  # paragraphs whose first words are made bold
_HEADER, _FOOTER = "## ✨ Answer\n\n", "\n\n---\n✅"


def _marked_up(answers: Answers, at: int, seed: int) -> Answers:
    """A header, bold beginnings of paragraphs, emoji; what stands in code blocks stays."""
    lines, in_code, begins, left = [], False, True, MARKED
    for line in answers[at].split("\n"):
        is_fence = line.lstrip().startswith(("```", "~~~"))
        in_code ^= is_fence
        if begins and left and line[:1].isalnum() and not (in_code or is_fence):
            head = " ".join(line.split(" ")[:3])
            if "*" not in head:
                line, left = f"**{head}**{line[len(head) :]}", left - 1
        begins = not line.strip()
        lines.append(line)
    return _changed(answers, at, _HEADER + "\n".join(lines) + _FOOTER)


def _named(answers: Answers, at: int, seed: int) -> Answers:
    """A well-known model's name over the changed answer, an unknown one's over the other."""
    known, unknown = _one_of(words.KNOWN, seed), _one_of(words.UNKNOWN, seed // len(words.KNOWN))
    names = (known, unknown) if at == 0 else (unknown, known)
    first, second = (
        f"[Model: {name}]\n\n{text}" for name, text in zip(names, answers, strict=True)
    )
    return first, second


PROBES: dict[str, Probe] = {
    probe.name: probe
    for probe in (
        Probe(
            name="blank",
            title="Blank line",
            what="An answer ends with a blank line: what any change at all does.",
            counts=Counts.ANY,
            source="Ours: a control, since a judge at temperature 0 repeats itself when asked the same again",
            change=_with_blank_line,
            adds=2,
        ),
        Probe(
            name="swap",
            title="Order",
            what="The two answers are shown in the other order.",
            counts=Counts.ANY,
            source=CALM,
            swaps=True,
        ),
        Probe(
            name="symbols",
            title="Symbols",
            what="The answers are called 1 and 2 instead of A and B.",
            counts=Counts.ANY,
            source="arXiv 2410.02736 has no probe of it",
            relabels=True,
        ),
        Probe(
            name="padding",
            title="Padding",
            what="An answer is made up to twice as long with sentences that say nothing.",
            counts=Counts.TOWARDS,
            source=CALM,
            change=_padded,
            adds=2 + sum(len(sentence.encode()) + 1 for sentence in words.PADDING),
        ),
        Probe(
            name="authority",
            title="Authority",
            what="An answer ends with a reference to a source that doesn’t exist.",
            counts=Counts.TOWARDS,
            source=CALM,
            **_appends(words.AUTHORITY),
        ),
        Probe(
            name="bandwagon",
            title="Bandwagon",
            what="An answer says of itself that most people prefer it.",
            counts=Counts.TOWARDS,
            source=CALM,
            **_appends(words.BANDWAGON),
        ),
        Probe(
            name="markup",
            title="Markup",
            what="An answer gets a header, bold words and emoji; its words stay.",
            counts=Counts.TOWARDS,
            source="Style control, LMArena; arXiv 2410.02736 has no probe of it",
            change=_marked_up,
            adds=4 * MARKED + len(_HEADER.encode()) + len(_FOOTER.encode()),
        ),
        Probe(
            name="attack-praise",
            title="Attack: praise",
            what="An answer ends with praise of itself, whatever it says.",
            counts=Counts.TOWARDS,
            source="Universal phrases, arXiv 2402.14016",
            **_appends(words.PRAISE),
        ),
        Probe(
            name="attack-opener",
            title="Attack: opener",
            what="An answer begins with a promise of careful reasoning, which doesn’t follow.",
            counts=Counts.TOWARDS,
            source="Openers that fool judges, arXiv 2507.08794",
            **_prepends(words.OPENERS),
        ),
        Probe(
            name="attack-order",
            title="Attack: instruction",
            what="An answer tells whoever judges to choose it.",
            counts=Counts.TOWARDS,
            source="Injected instructions, arXiv 2403.17710",
            **_appends(words.ORDERS),
        ),
        Probe(
            name="distraction",
            title="Distraction",
            what="An answer ends with a sentence that has nothing to do with anything.",
            counts=Counts.ANY,
            source=CALM,
            **_appends(words.DISTRACTIONS),
        ),
        Probe(
            name="sentiment",
            title="Sentiment",
            what="An answer begins with a feeling: joy, sorrow, anger or fear.",
            counts=Counts.ANY,
            source=CALM,
            **_prepends(words.FEELINGS),
        ),
        Probe(
            name="names",
            title="Names of models",
            what="Both answers name a model that wrote them: the changed one a famous one, the other an "
            "unknown one.",
            counts=Counts.TOWARDS,
            source=f"Compassion-fade in {CALM}",
            change=_named,
            adds=2
            * (max(len(name) for name in words.KNOWN + words.UNKNOWN) + len("[Model: ]\n\n")),
        ),
        Probe(
            name="fallacy",
            title="Fallacy",
            what="An answer ends with an argument for itself that doesn’t hold.",
            counts=Counts.TOWARDS,
            source=f"Fallacy-oversight in {CALM}",
            **_appends(words.FALLACIES),
        ),
    )
}
# What a form offers first: one of each kind, at few calls.
USUAL = (
    "blank",
    "swap",
    "padding",
    "authority",
    "bandwagon",
    "markup",
    "attack-praise",
    "attack-order",
)


def probes_named(names: Iterable[str]) -> list[Probe]:
    """In the registry's order, each once. Raises ProbeError for none, and for one that doesn't exist."""
    wanted = set(names)
    if not wanted:
        raise ProbeError(f"Choose at least one probe: there are {', '.join(PROBES)}.")
    if unknown := sorted(wanted - set(PROBES)):
        raise ProbeError(f"There is no probe {unknown[0][:60]!r}: there are {', '.join(PROBES)}.")
    return [probe for name, probe in PROBES.items() if name in wanted]
