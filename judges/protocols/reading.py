"""Reading replies. What can't be read for certain is unreadable: an error is repaired, a wrong verdict counts.

The reader sees the reply alone. Of a reply in words it looks at statements that stand on a line of their own
("Verdict: A", "[[A]]"), all of which must agree; only where there is none, at a plain sentence that ends the
reply. What a model quotes, in block quotes, code blocks or fences, is nobody's statement.
"""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from judges.protocols.interface import UnreadableReply

VERSION = 1  # goes up whenever some reply is read otherwise
SHOWN = 120  # characters of a reply that an error repeats

_FENCE = re.compile(r"<<<(\w+)[^\n]*?>>>.*?(?:<<<end \1>>>|\Z)", re.DOTALL)
_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_CODE = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_QUOTED = re.compile(r"^[ \t]*(?:>|&gt;).*$", re.MULTILINE)
_MARKS = re.compile(r"(?<!\w)[*_`#~]+|[*_`]+(?!\w)|[\"“”„«»]")
_LATIN = str.maketrans("АВТаВ", "ABTaB")  # Cyrillic letters that look like labels

HEADS = (
    r"(?:(?:my|the|our)\s+)?(?:final\s+|overall\s+)?"
    r"(?:verdict|decision|judge?ment|winner|choice|preference|preferred\s+answer|better\s+answer|"
    r"best\s+answer|final\s+answer|conclusion|result|rating|score|certainty|confidence|"
    r"veredicto|decisión|decisão|verdetto|urteil|entscheidung|décision|verdikt|werdykt|karar|"
    r"вердикт|решение|итог|判定|裁决|裁定|结论|最终判定|最终结论|結論|判決|評価|평결|판정|결론|الحكم|निर्णय)"
)
_HEAD = re.compile(
    rf"^(?:[-•]\s*)?({HEADS})\s*(?:is|are|est|ist|es|:|=|[-–—])+\s*(.*)$", re.IGNORECASE
)


def words_of(text: str) -> list[str]:
    """The lines of a reply that are the model's own words, without marks of emphasis."""
    text = unicodedata.normalize("NFKC", text)
    text = _THINKING.sub("\n", _FENCE.sub("\n", text))
    blocks = list(_CODE.finditer(text))
    # A reply that is nothing but one block of code is a reply in it.
    if len(blocks) == 1 and not (text[: blocks[0].start()] + text[blocks[0].end() :]).strip():
        text = blocks[0][2]
    else:
        text = _CODE.sub("\n", text)
    lines = (_MARKS.sub("", line).strip() for line in _QUOTED.sub("", text).splitlines())
    return [line for line in lines if line]


def headed(line: str) -> tuple[str, str] | None:
    """("verdict", what is said) of a line like ``Final verdict: A``."""
    found = _HEAD.match(line)
    return (found[1].casefold(), found[2].strip()) if found else None


def unreadable(what: str, text: str) -> UnreadableReply:
    shown = " ".join(text.split())
    if not shown:
        return UnreadableReply(f"The reply is empty: there is no {what} in it.")
    end = shown if len(shown) <= SHOWN else "…" + shown[-SHOWN:]
    return UnreadableReply(f"There is no {what} that can be read for certain. It ends: {end}")


def agreed(found: Sequence[Any], what: str, text: str) -> Any:
    """The one thing that all of them say."""
    if not found:
        raise unreadable(what, text)
    if any(one != found[0] for one in found):
        raise UnreadableReply(f"The reply says more than one {what}: {', '.join(map(str, found))}.")
    return found[0]


# --- one of several labels --------------------------------------------------------------------------------

_WHOSE = r"assistant|answer|response|model|output|option|candidate"
_SIDE = rf"(?:the\s+)?(?:{_WHOSE}|system|reply)?\s*[\[(]*\s*([AB])\s*[\])]*"
_DEGREE = (
    r"(?:(?:clearly|slightly|much|far|significantly|definitely|marginally|somewhat|the|"
    r"a\s+bit|a\s+little)\s+)*"
)
_BETTER = re.compile(
    rf"(?:^|[,;:.!]\s*|\b(?:so|thus|therefore|hence|overall|conclusion|that|say|think|believe)[,:]?\s+)"
    rf"{_SIDE}\s+(?:is|wins|was)\s*{_DEGREE}(?:better|best|winner|superior|stronger|preferable|preferred)?"
    rf"(?:\s+(?:one|answer|response|overall|here|than\s+.{{0,20}}?[AB]))*[.!]*$",
    re.IGNORECASE,
)
_CHOSEN = re.compile(
    rf"(?:^|[,;.!]\s*|\b(?:so|thus|therefore|hence|overall)[,:]?\s+)"
    rf"I\s*(?:would\s+|['’]d\s+|will\s+|['’]ll\s+)?(?:choose|pick|prefer|select|go\s+with|vote\s+for)\s+{_SIDE}[.!]*$",
    re.IGNORECASE,
)
_TIES = re.compile(
    r"(?:^|[,;:.!]\s*|\b(?:so|thus|therefore|overall)[,:]?\s+)"
    r"(?:it\s*(?:is|['’]s)\s+(?:a\s+)?(?:tie|draw)|(?:I\s+(?:call|declare)\s+it\s+)a\s+tie|"
    r"both\s+(?:answers\s+|responses\s+)?are\s+equally\s+good)[.!]*$",
    re.IGNORECASE,
)
_BADS = re.compile(
    r"(?:^|[,;:.!]\s*|\b(?:so|thus|therefore|overall)[,:]?\s+)"
    r"(?:both\s+(?:answers\s+|responses\s+)?are\s+(?:equally\s+)?bad)[.!]*$",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"\b(?:not|no|nor|never|neither|cannot|if|unless|whether|would\s+be|could|might|may|some|although|though|"
    r"claims?|says?\s+that|states?|asks?|told|except|hard\s+to|depends)\b|n['’]t\b|\?",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"\[\[\s*([^\[\]]{1,12})\s*\]\]")


def label_in(
    text: str, labels: Mapping[str, Any], *, what: str = "verdict", sentences: bool = True
) -> Any:
    """The value of the label that the reply decides on. ``labels`` are in lower case.

    ``sentences``: also a last sentence like "so answer B is better" counts, where no line says it outright.
    """
    lines = words_of(text)
    found = []
    for line in lines:
        bracketed = _BRACKETED.findall(line)
        if bracketed:
            found += [labels[_bare(one)] for one in bracketed if _bare(one) in labels]
            continue
        head = headed(line)
        if head and _is_about(head[0], what):
            if (label := _bare(head[1])) in labels:
                found.append(labels[label])
            elif _names_one(head[1], labels):
                # "Verdict: A or B", "Verdict: A, because": not for certain.
                raise unreadable(what, line)
    if not found and len(lines) == 1 and _bare(lines[0]) in labels:
        found = [labels[_bare(lines[0])]]
    if not found and lines and _bare(lines[-1]) in labels and len(_bare(lines[-1])) <= 4:
        found = [labels[_bare(lines[-1])]]
    if not found and sentences and lines:
        found = _of_sentence(lines[-1], labels)
    return agreed(found, what, text)


def _is_about(head: str, what: str) -> bool:
    """Whether the head of a line announces a verdict, rather than a score or how certain the judge is."""
    is_certainty = bool(re.search(r"certainty|confidence", head))
    is_score = bool(re.search(r"score|rating", head))
    return {"certainty": is_certainty, "score": is_score}.get(
        what, not is_certainty and not is_score
    )


def _bare(text: str) -> str:
    """``Answer A.`` -> ``a``."""
    text = re.sub(r"\s+", " ", text.translate(_LATIN).strip().strip(".!,;:。！ ")).casefold()
    text = re.sub(r"^\[+\s*(.*?)\s*\]+$|^\(\s*(.*?)\s*\)$", lambda m: m[1] or m[2] or "", text)
    text = re.sub(
        rf"^(?:the )?(?:{_WHOSE}|antwort|respuesta|réponse|回答|答案) ?(?=[ab]\b)",
        "",
        text,
    )
    return re.sub(r"^(?:it'?s |it is )?(?:a |an )(?=tie|draw)", "", text).strip()


def _names_one(text: str, labels: Mapping[str, Any]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text.casefold()) for label in labels)


def _of_sentence(line: str, labels: Mapping[str, Any]) -> list[Any]:
    sentence = re.split(r"(?<=[.!?])\s+", line)[-1]
    if _DOUBT.search(sentence):
        return []
    for pattern in (_BETTER, _CHOSEN):
        if found := pattern.search(sentence):
            label = found[1].casefold()
            # "A" alone may be the article: then the sentence must have gone on to say what it is.
            return [labels[label]] if label in labels else []
    if _TIES.search(sentence) and "tie" in labels:
        return [labels["tie"]]
    if _BADS.search(sentence) and "both bad" in labels:
        return [labels["both bad"]]
    return []


# --- numbers ----------------------------------------------------------------------------------------------

_NUMBER = r"(-?\d{1,6}(?:[.,]\d{1,6})?)"
_SCORED = re.compile(
    rf"^{_NUMBER}\s*(?:(?:/|out\s+of)\s*(\d+)|(%|percent|points?))?[.!]*$", re.IGNORECASE
)


def number_in(text: str, *, low: float, high: float, what: str = "score") -> float:
    """The number that the reply decides on, between low and high: after a head, in [[ ]], or all alone."""
    lines = words_of(text)
    found: list[float] = []
    for line in lines:
        bracketed = [_number(one, low, high, what) for one in _BRACKETED.findall(line)]
        found += [value for value in bracketed if value is not None]
        head = headed(line)
        if head and _is_about(head[0], what):
            value = _number(head[1], low, high, what)
            if value is None:
                raise unreadable(what, line)
            found.append(value)
    if not found and len(lines) == 1:
        value = _number(lines[0], low, high, what)
        found = [] if value is None else [value]
    return agreed(found, what, text)


def _number(text: str, low: float, high: float, what: str) -> float | None:
    found = _SCORED.match(text.strip())
    if found is None:
        return None
    if found[2] is not None and float(found[2]) != high:
        raise UnreadableReply(f"The {what} is out of {found[2]} and not out of {high:g}.")
    return within(float(found[1].replace(",", ".")), low, high, what)


def within(value: float, low: float, high: float, what: str) -> float:
    if not (math.isfinite(value) and low <= value <= high):
        raise UnreadableReply(f"The {what} is {value:g}, and must be from {low:g} to {high:g}.")
    return value


# --- JSON -------------------------------------------------------------------------------------------------


def json_in(text: str) -> dict[str, Any]:
    """The JSON object that is the reply, or that ends it: bare, or in one block of code.

    Strict: no key twice, no NaN. Raises UnreadableReply where there is none or more than one.
    """
    text = _THINKING.sub("", _FENCE.sub("", text)).strip()
    blocks = [match[2].strip() for match in _CODE.finditer(text)]
    candidates = [block for block in blocks if block.startswith("{")] or [text]
    if len(candidates) > 1:
        raise UnreadableReply("The reply holds more than one JSON object.")
    candidate = candidates[0]
    if not blocks and (start := _last_object(candidate)) is not None:
        candidate = candidate[start:]
    try:
        value = json.loads(candidate, object_pairs_hook=_once, parse_constant=_no_number)
    except (json.JSONDecodeError, RecursionError):
        raise unreadable("JSON object", text) from None
    if not isinstance(value, dict):
        raise UnreadableReply(f"The reply is JSON but no object: {type(value).__name__}.")
    return value


def _last_object(text: str) -> int | None:
    """Where the object begins that ends the text, if what stands before it is words only."""
    if text.startswith("{") or not text.endswith("}"):
        return None
    start = text.find("{")
    return None if start < 0 or text[:start].count("}") else start


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UnreadableReply("A key of the JSON object is there twice.")
    return found


def _no_number(name: str) -> float:
    raise UnreadableReply(f"{name} is no number of JSON.")


def the(value: Mapping[str, Any], key: str, read: Callable[[Any], Any]) -> Any:
    """What a key holds, by its reader. Raises UnreadableReply where it is missing."""
    if key not in value:
        raise UnreadableReply(f"The JSON object has no key {key!r}.")
    return read(value[key])


def label_of(value: Any, labels: Mapping[str, Any], *, what: str) -> Any:
    if not isinstance(value, str) or value.strip().casefold() not in labels:
        raise UnreadableReply(f"The {what} is {value!r}, and must be one of {', '.join(labels)}.")
    return labels[value.strip().casefold()]


def number_of(value: Any, *, low: float, high: float, what: str, whole: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableReply(f"The {what} is {value!r}, and must be a number.")
    if whole and value != int(within(value, low, high, what)):
        raise UnreadableReply(f"The {what} is {value:g}, and must be a whole number.")
    return within(float(value), low, high, what)


def words(value: Any) -> str:
    if not isinstance(value, str):
        raise UnreadableReply(f"The reasons are {value!r}, and must be words.")
    return value.strip()
