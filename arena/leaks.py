"""Outputs that say which system wrote them, or who made it: they aren't blind, so voters don't get them.

Two rules, kept narrow so that an answer *about* a maker isn't taken for one that gives its maker away:

1. It speaks of itself: "I am X", "as X, I", "as a language model by Y", "I was made by Y", with X or Y a system
   or maker of the arena or a widely known one. What it says counts, whether it is true or not: a voter who
   reads "I am ChatGPT" isn't blind any more.
2. It names its own system, in full or by its stem without version, where the prompt doesn't. Stems that
   are common words (command, falcon, alpaca …) count in rule 1 only.

The name of the maker alone is no leak: people write about companies.

Text is compared as it looks: compatibility forms, case, marks without width, entities of HTML and letters of
other alphabets that look Latin are undone first.
"""

import html
import logging
import re
import unicodedata
from collections.abc import Iterable
from functools import cache, partial
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import unquote

from django.core.cache import cache as shared
from django.db import transaction
from django.db.models import Max, Q
from django.dispatch import receiver
from kombu.exceptions import OperationalError

from arena.audit import note
from arena.models import Arena, AuditEntry, Output, System
from arena.signals import outputs_added

log = logging.getLogger(__name__)

SWEPT_AT_ONCE = 2000
_SWEPT_TO = "leaks-swept-to"
BATCH = 200
NOT_A_LEAK = "mark as not a leak"

MAKERS = """
    OpenAI, Anthropic, Google, Google DeepMind, DeepMind, Meta, Meta AI, Facebook, Mistral AI, Cohere,
    Alibaba, Alibaba Cloud, Tongyi, Microsoft, xAI, DeepSeek, Baidu, Zhipu, Zhipu AI, Z.ai, Moonshot AI,
    MiniMax, AI21, AI21 Labs, Inflection, Stability AI, Databricks, MosaicML, LAION, LMSYS, EleutherAI,
    Hugging Face, NVIDIA, Amazon, Apple, IBM, Salesforce, Aleph Alpha, 01.AI, Tencent, ByteDance,
    Huawei, Perplexity, Nous Research, Technology Innovation Institute, TII, Allen Institute for AI,
    Ai2, Stanford, Together, Together Computer, Large Model Systems Organization, Writer, Reka,
    Character.AI, Samsung, Naver, Yandex, Sber, SberDevices
"""
MODELS = """
    ChatGPT, GPT, GPT-2, GPT-3, GPT-3.5, GPT-4, GPT-4o, GPT-5, Claude, Gemini, Gemma, Bard, PaLM, LaMDA,
    LLaMA, Mistral, Mixtral, Qwen, Tongyi Qianwen, Falcon, Vicuna, Alpaca, Koala, Guanaco, Dolly, Open
    Assistant, OpenAssistant, Pythia, StableLM, MPT, RWKV, Bing, Bing Chat, Copilot, Grok, Command R,
    Jurassic, Luminous, WizardLM, WizardCoder, StarCoder, Code Llama, Orca, Phi, Yi, ERNIE, ERNIE Bot,
    ChatGLM, GLM, Kimi, DeepSeek, Baichuan, InternLM, Platypus, Airoboros, RedPajama, BLOOM, Nova,
    Titan, Granite, Nemotron, Hermes, Zephyr, Solar, OLMo, Tulu, Llama, Aya, Pi, GigaChat, YandexGPT,
    Hunyuan, Doubao, Sparrow, Codex
"""
# Names that are words of their own: mentioned for other reasons far more often than by themselves.
COMMON = frozenset(
    """
    alpaca apple aya bard base bison bloom chat chronos code codex command copilot dolly falcon fable
    gemini granite grok guanaco hermes instruct jurassic kimi koala luminous meta mini mistral nova opus
    orca palm phi pi pythia python platypus sage solar sonnet haiku sparrow titan together turbo weaver
    writer yi zephyr large small medium pro ultra flash light lite human reference baseline random first
    lead summary echo
    """.split()  # noqa: SIM905
)
# Letters that look Latin: Cyrillic and Greek, after case folding.
_LOOKS_LATIN = str.maketrans("авекмнорстухіјѕԁԛԝһӏɡıαεικνορτυχ", "abekmhopctyxijsdqwhlgiaeikvoptux")
_HIDDEN = re.compile(r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
                     r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]")  # fmt: skip
# Whole sentences in one character, of Arabic: written out they are up to eighteen times as long.
_LONG_WORDS = re.compile("[\ufdfa\ufdfb]")
_SPACES = re.compile(r"[ \t\r\f\v\u00a0]+")
_MARKUP = re.compile(r"[*`~]+|\\(?=[^\w\s])")  # a backslash before a sign isn't seen
_IN_BRACKETS = re.compile(r"\([^()]*\)")
_VERSION = re.compile(r"\bv?\d[\w.]*(?!\w)")


class Mention(NamedTuple):
    """Where an output gives its system away; positions are those of the normalised text."""

    start: int
    end: int
    words: str


def normalised(text: str) -> str:
    """The text as a reader sees it, in small letters."""
    # Addresses are seen too, when one points at a link: "%61" is an a there.
    text = _LONG_WORDS.sub(" ", unquote(html.unescape(text)))
    seen = _HIDDEN.sub("", unicodedata.normalize("NFKC", text)).casefold()
    # Within a word an underscore is no markup: it parts the words of a file's name.
    seen = seen.translate(_LOOKS_LATIN).replace("’", "'").replace("‑", "-").replace("_", " ")
    return _SPACES.sub(" ", _MARKUP.sub("", seen))


def _names(listed: str) -> frozenset[str]:
    return frozenset(filter(None, (" ".join(normalised(n).split()) for n in listed.split(","))))


def stem(name: str) -> str:
    """The name without version and size: "Claude v1.2" and "Claude Instant (13B)" begin alike."""
    return " ".join(
        _VERSION.sub(" ", _IN_BRACKETS.sub(" ", normalised(name))).replace("-", " ").split()
    )


def _pattern(names: Iterable[str]) -> str:
    """Any of the names, longest first, whether its parts are joined by spaces, hyphens or nothing."""
    found = sorted({n for n in names if len(n) > 1}, key=lambda n: (-len(n), n))
    parts = (r"[\s\-_]{0,3}".join(map(re.escape, re.split(r"[\s\-_]+", name))) for name in found)
    return "|".join(parts)


def _bounded(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w])(?:{pattern})(?![\w])")


@cache
def _speaks_of_itself(names: frozenset[str], makers: frozenset[str]) -> re.Pattern[str]:
    """One expression for rule 1. Every repetition is bounded: a long line takes linear time."""
    who, maker = _pattern(names), _pattern(makers)
    model = r"(?:language model|ai|assistant|chat ?bot|model|llm|llama model)"
    few = r"(?:[\w'\-]+,? ){0,4}"
    made = (
        r"(?:created|developed|trained|built|made|designed|fine-?tuned|provided|released|owned)"
        r"(?: and (?:[\w\-]+))?"
    )
    return _bounded(
        "|".join(
            [
                rf"(?:i am|i'm|im|my name is|call me|this is|here is|you can call me) "
                rf"(?:called |named |known as |just |actually |not \w+,? )?"
                rf"(?:(?:the |an? )?{few}{model} (?:called |named |known as )?)?(?:{who})",
                rf"as (?:{who}),? (?:i|my|an? {few}{model})",
                rf"(?:as|i am|i'm|i was|i've been|i have been|me,) {few}{model}(?:,| that| which| who)?"
                rf"(?: (?:was|is|has been))? (?:{made} )?(?:by|from|at) (?:the )?(?:{few})?(?:{maker})",
                rf"(?:i was|i am|i'm|i've been|i have been) (?:a \w+ )?{made} (?:\w+ ){{0,2}}?"
                rf"(?:by|from|at) (?:the )?(?:{few})?(?:{maker})",
                rf"(?:my (?:creators?|developers?|makers?|training|knowledge)|(?:made|created|trained) me) "
                rf"(?:\w+ ){{0,3}}?(?:is|are|at|by|from|comes from) (?:the )?(?:{few})?(?:{maker})",
                rf"(?:{maker}) (?:has )?(?:created|developed|trained|built|made|designed) me",
                rf"i am (?:an? )?(?:{maker}) {few}{model}",
                rf"(?:an?|the) {few}{model},? (?:{who}),? i",
            ]
        )
    )


class Detector:
    """Finds leaks in the outputs of one arena; the systems are read once.

    ``also`` is a system that isn't stored yet; its outputs aren't either.
    """

    def __init__(self, arena: Arena, *, also: System | None = None) -> None:
        systems = list(
            System.objects.filter(arena=arena).only("name", "version", "family", "organisation")
        )
        if also is not None:
            systems.append(also)
        makers = {normalised(s.organisation).strip() for s in systems} | _names(MAKERS)
        names = {stem(part) for s in systems for part in (s.name, s.family)} | _names(MODELS)
        # "I am a baseline", "I am human" aren't names, whoever calls a system so; known ones stay.
        plain = COMMON - _names(MODELS) - _names(MAKERS)
        self.of_itself = _speaks_of_itself(
            frozenset(names - plain - {""}), frozenset((makers - plain) | (names - COMMON) - {""})
        )
        self.own = {s.pk: self._own(s) for s in systems}

    @staticmethod
    def _own(system: System) -> re.Pattern[str] | None:
        """Rule 2 for one system: its full name, and its stem and family unless they are common words."""
        full = " ".join(normalised(f"{system.name} {system.version}").split())
        stems = {stem(system.name)}
        # Many sources know of a family only who made it, and a maker's name alone is no leak.
        if normalised(system.family).strip() not in _names(MAKERS) | _names(system.organisation):
            stems.add(stem(system.family))
        wanted = {full, " ".join(normalised(system.name).split()), *stems}
        # "Claude Instant": the first word gives it away too.
        wanted |= {name.split()[0] for name in stems if name}
        kept = {
            name for name in wanted
            if len(name) >= 3 and not set(re.split(r"[\s\-_]+", name)) <= COMMON and not name.isdigit()
        }  # fmt: skip
        return _bounded(_pattern(kept)) if kept else None

    def mentions(self, output: Output, *, prompt: str = "") -> list[Mention]:
        """Every place, in order. ``prompt`` is all that the output answers."""
        return self.mentions_in(normalised(output.text), output.system_id, prompt=prompt)

    def mentions_in(self, seen: str, system_id: int | None, *, prompt: str = "") -> list[Mention]:
        found = [Mention(m.start(), m.end(), m[0]) for m in self.of_itself.finditer(seen)]
        own = self.own.get(system_id)
        if own and (matches := list(own.finditer(seen))):
            asked = normalised(prompt)
            found += [Mention(m.start(), m.end(), m[0]) for m in matches if m[0] not in asked]
        return sorted(found)

    def leak(self, output: Output, *, prompt: str = "") -> str:
        """What goes into ``Output.leak``: the words, each once; empty when there are none."""
        words = dict.fromkeys(
            " ".join(m.words.split()) for m in self.mentions(output, prompt=prompt)
        )
        return "; ".join(words)[: Output._meta.get_field("leak").max_length]


def scan_outputs(
    *, arena: Arena, outputs: Iterable[int] | None = None, again: bool = False
) -> tuple[int, int]:
    """Look at outputs that weren't looked at: (how many, how many leak). In batches, each a transaction.

    ``outputs`` are ids; without them it is all of the arena. ``again`` looks at what was looked at too, as
    after systems were added, and keeps what a maintainer has called no leak.
    """
    detector = Detector(arena)
    scanned = leaking = 0
    wanted = Q(arena=arena) if again else Q(arena=arena, leak=None)
    if outputs is not None:
        ids = sorted(outputs)
        for start in range(0, len(ids), BATCH):
            found = _scan(detector, wanted & Q(pk__in=ids[start : start + BATCH]), arena)
            scanned, leaking = scanned + found[0], leaking + found[1]
        return scanned, leaking
    # By system and prompt, in the order of their index: no batch reads what another has read.
    for system_id in detector.own:
        last = 0
        of_system = Output.objects.filter(system_id=system_id).order_by("prompt_id")
        while batch := list(
            of_system.filter(wanted, prompt_id__gt=last).values_list("prompt_id", "pk")[:BATCH]
        ):
            last = batch[-1][0]
            found = _scan(detector, wanted & Q(pk__in=[pk for _, pk in batch]), arena)
            scanned, leaking = scanned + found[0], leaking + found[1]
    return scanned, leaking


def _scan(detector: Detector, wanted: Q, arena: Arena) -> tuple[int, int]:
    outputs = list(Output.objects.filter(wanted).select_related("prompt"))
    spared = set(
        AuditEntry.objects.filter(
            arena=arena, act=NOT_A_LEAK, subject__in=[_subject(output) for output in outputs]
        ).values_list("subject", flat=True)
    )
    clean, leaking = [], []
    for output in outputs:
        spare = _subject(output) in spared
        output.leak = "" if spare else detector.leak(output, prompt=prompt_text(output))
        (leaking if output.leak else clean).append(output)
    with transaction.atomic():
        Output.objects.filter(pk__in=[output.pk for output in clean]).update(leak="")
        Output.objects.bulk_update(leaking, ["leak"])
    return len(outputs), len(leaking)


def _subject(output: Output) -> str:
    return f"output {output.pk}"


@transaction.atomic
def mark_not_a_leak(*, output: Output, by: object) -> None:
    """A maintainer has read it: voters get it again, and no later scan says otherwise."""
    if Output.objects.filter(pk=output.pk).exclude(leak="").update(leak=""):
        note(
            arena=output.arena,
            actor=by,
            act=NOT_A_LEAK,
            subject=_subject(output),
            words=output.leak,
        )


@receiver(outputs_added)
def new_outputs_are_looked_at(sender: Any, *, arena_id: int, **kwargs: Any) -> None:
    transaction.on_commit(partial(_queue, arena_id))


def _queue(arena_id: int) -> None:
    """Ask a worker. An upload mustn't fail because the broker is away: the sweeper finds the outputs."""
    from arena.tasks import find_leaks

    try:
        find_leaks.apply_async(args=[arena_id], retry=False)
    except OperationalError as error:
        log.warning("The broker didn't take a search for leaks; the sweeper will: %s", error)


def sweep() -> int:
    """Look at outputs that no message told of; how many.

    No index leads to those that weren't looked at, so each call goes on through the ids where the last one
    ended, and begins anew when it came to the end: a bounded piece of the table at a time.
    """
    start = shared.get(_SWEPT_TO, 0)
    rows = Output.objects.filter(pk__gt=start).order_by("pk").values_list("pk", flat=True)
    end = rows[:SWEPT_AT_ONCE].aggregate(last=Max("pk"))["last"]
    if end is None:
        shared.set(_SWEPT_TO, 0, None)
        return 0
    fresh = Output.objects.filter(pk__gt=start, pk__lte=end, leak=None).order_by("arena_id", "pk")
    scanned = 0
    pairs = list(fresh.values_list("arena_id", "pk"))
    arenas = Arena.objects.in_bulk({arena_id for arena_id, _ in pairs})
    for arena_id, of_arena in groupby(pairs, key=lambda pair: pair[0]):
        ids = [pk for _, pk in of_arena]
        scanned += scan_outputs(arena=arenas[arena_id], outputs=ids)[0]
    shared.set(_SWEPT_TO, end, None)
    return scanned


class Excerpt(NamedTuple):
    """Words that give an output away, with what stands around them."""

    before: str
    words: str
    after: str


def excerpts(
    detector: Detector, output: Output, *, around: int = 80, most: int = 3
) -> list[Excerpt]:
    """The first places, as they were compared: in small letters and without markup."""
    seen = normalised(output.text)
    found: list[Excerpt] = []
    end = 0
    for mention in detector.mentions_in(seen, output.system_id, prompt=prompt_text(output)):
        if mention.start < end or len(found) == most:
            continue
        end = mention.end
        found.append(
            Excerpt(
                seen[max(0, mention.start - around) : mention.start],
                mention.words,
                seen[mention.end : mention.end + around],
            )
        )
    return found


def prompt_text(output: Output) -> str:
    return "\n".join(str(message.get("content", "")) for message in output.prompt.messages)
