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
_THINKING = re.compile(
    r"[<◁](think|thinking|reasoning)[>▷].*?(?:[<◁]/\1[>▷]|\Z)", re.DOTALL | re.IGNORECASE
)
# Some servers send the end of the thinking without its beginning.
_THOUGHT = re.compile(r"\A.*[<◁]/(?:think|thinking|reasoning)[>▷]", re.DOTALL | re.IGNORECASE)
_ENDS = re.compile(r"<\|(?:im_end|eot_id|end|endoftext)\|>|</s>|<eos>|<end_of_turn>")
_LATEX = re.compile(r"\\(?:textbf|text|mathbf|mathrm|textit|emph)\{([^{}]*)\}")
_CHANNELS = re.compile(r"\A.*<\|channel\|>final<\|message\|>", re.DOTALL)
_BOXED = re.compile(r"\\boxed\{(?:\\text\{)?([^{}]{1,20})\}{1,2}")
_TAGGED = re.compile(r"<(verdict|score|decision)>([^<>]{1,20})</\1>", re.IGNORECASE)
_CODE = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_QUOTED = re.compile(r"^[ \t]*(?:>|&gt;).*$", re.MULTILINE)
_MARKS = re.compile(r"(?<!\w)[*_`#~]+|[*_`]+(?!\w)|[\"“”„«»]")
_LATIN = str.maketrans("АВТаБ", "ABTaB")  # Cyrillic letters that look like labels

HEADS = (
    r"(?:(?:my|the|our)\s+)?(?:final\s+|overall\s+)?"
    r"(?:verdict|decision|judge?ment|winner|choice|preference|preferred\s+answer|better\s+answer|"
    r"best\s+answer|(?:final\s+)?answer|conclusion|result|rating|score|certainty|confidence|"
    r"veredicto|decisión|decisão|verdetto|urteil|entscheidung|décision|verdikt|werdykt|karar|"
    r"вердикт|решение|итог|оценка|得分|分数|评分|判定|裁决|裁定|结论|最终判定|最终结论|結論|判決|評価|평결|판정|결론|الحكم|निर्णय)"
)
_HEAD = re.compile(
    rf"^(?:[-•]\s*)?({HEADS})\s*(?:is|are|est|ist|es|:|=|[-–—])+\s*(.*)$", re.IGNORECASE
)


def words_of(text: str) -> list[str]:
    """The lines of a reply that are the model's own words, without marks of emphasis."""
    text = _said_aloud(unicodedata.normalize("NFKC", text))
    text = _BOXED.sub(r"[[\1]]", _LATEX.sub(r"\1", _ENDS.sub("", text)))
    text = _TAGGED.sub(r"\n\1: \2\n", re.sub(r"\$+(\[\[[^\[\]$]*\]\])\$+", r"\1", text))
    blocks = list(_CODE.finditer(text))
    # A reply that is nothing but one block of code is a reply in it.
    if len(blocks) == 1 and not (text[: blocks[0].start()] + text[blocks[0].end() :]).strip():
        text = blocks[0][2]
    else:
        text = _CODE.sub("\n", text)
    lines = (_MARKS.sub("", line) for line in _QUOTED.sub("", text).splitlines())
    return [line for line in map(_without_symbols, lines) if line]


def _said_aloud(text: str) -> str:
    """Without what the model thought before, and without what it repeats of the question in its fences."""
    return _THOUGHT.sub("\n", _THINKING.sub("\n", _FENCE.sub("\n", _CHANNELS.sub("", text))))


def _without_symbols(line: str) -> str:
    """Without emoji and rules, which end lines and say nothing."""
    kept = "".join(c for c in line if unicodedata.category(c) not in ("So", "Sk", "Cf", "Cs"))
    return "" if re.fullmatch(r"[\s\-=—–]*", kept) else kept.strip()


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
# A sentence decides only if nothing narrows it: no "for beginners", no "most people think".
_OPENING = (
    r"(?:(?:so|thus|therefore|hence|overall|in\s+conclusion|in\s+summary|to\s+conclude|"
    r"after\s+(?:careful\s+)?consideration|I\s+(?:think|believe|find)(?:\s+that)?)[,:]?\s+)*"
)
_SENTENCES = (
    re.compile(
        rf"^{_OPENING}{_SIDE}\s+(?:wins|is\s+{_DEGREE}"
        r"(?:better|best|winner|superior|stronger|preferable|preferred))"
        r"(?:\s+(?:one|answer|response|overall|than\s+(?:answer\s+)?[AB]))*[.!]*$",
        re.IGNORECASE,
    ),
    re.compile(
        rf"^{_OPENING}I(?:\s+would|['’]d|\s+will|['’]ll)?\s+"
        rf"(?:choose|pick|prefer|select|go\s+with|vote\s+for)\s+{_SIDE}[.!]*$",
        re.IGNORECASE,
    ),
    re.compile(
        rf"^{_OPENING}(?:(?:it\s+is|it['’]s)\s+(?:a\s+)?|I\s+(?:call|declare)\s+it\s+a\s+)(tie|draw)[.!]*$",
        re.IGNORECASE,
    ),
    re.compile(
        rf"^{_OPENING}(both)\s+(?:answers\s+|responses\s+)?are\s+(?:equally\s+)?bad[.!]*$",
        re.IGNORECASE,
    ),
)
_MEANT = {"a": "a", "b": "b", "tie": "tie", "draw": "tie", "both": "both bad"}
# Words that tell of a label rather than decide on it.
_TOLD = re.compile(
    r"\b(?:not|no|never|neither|cannot|if|unless|whether|would|could|might|claims?|claiming|says?|said|"
    r"states?|asks?|asked|told|wants?|tries|trying|orders?|instructs?|instructions?|injections?|"
    r"asserts?|asserting|according|contains?|includes?|ends?\s+with|reads|writes|written|tags?|force|"
    r"ignore|ignoring|disregard|output|must\s+be|choose\s+one|of\s+this\s+form)\b|n['’]t\b|\?",
    re.IGNORECASE,
)
# Behind a verdict, they take it back or tell that it was somebody else's.
_TAKEN_BACK = re.compile(
    r"\b(?:correction|actually|wait|second\s+thoughts?|on\s+reflection|rather|instead|should\s+be|"
    r"disregard|ignore|manipulat\w+|steer|attempts?|I\s+change|can['’]?t\s+judge|cannot\s+judge)\b",
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
    found, last = [], -1
    for place, line in enumerate(lines):
        if place and lines[place - 1].endswith(":") and _TOLD.search(lines[place - 1]):
            continue  # "Answer B ends with the line:"
        if _BRACKETED.search(line):
            said = [_bare(one) for one in _bracketed(line)]
            found += [labels[one] for one in said if one in labels]
        elif (head := headed(line)) and _is_about(head[0], what):
            if (label := _bare(head[1])) in labels:
                found.append(labels[label])
            elif _names_one(head[1], labels):
                # "Verdict: A or B", "Verdict: A, because": not for certain.
                raise unreadable(what, line)
            else:
                continue
        else:
            continue
        last = place
    if found:
        if any(_TAKEN_BACK.search(line) for line in lines[last + 1 :]):
            raise unreadable(what, text)
    elif lines and _bare(lines[-1]) in labels:
        # Alone, or under a heading like "Final verdict".
        if len(lines) == 1 or re.fullmatch(rf"{HEADS}\s*:?", lines[-2], re.IGNORECASE):
            found = [labels[_bare(lines[-1])]]
    elif sentences and lines:
        found = _of_sentence(lines[-1], labels)
    return agreed(found, what, text)


def _bracketed(line: str) -> list[str]:
    """What stands in [[ ]], if the line decides by it: it ends there, after nothing, a head or a colon."""
    said = _BRACKETED.findall(line)
    before, _, after = line.rpartition("[[")
    before, after = before.strip(), after.partition("]]")[2]
    if len(said) > 1:
        return [] if _TOLD.search(line) else said
    if not re.fullmatch(r"\s*(?:/\s*\d+)?[\s.!]*", after):
        return []
    opens = not before or before.endswith(":") or headed(f"{before} x") or headed(line)
    return said if opens and not _TOLD.search(before) else []


def _is_about(head: str, what: str) -> bool:
    """Whether the head of a line announces a verdict, rather than a score or how certain the judge is."""
    is_certainty = bool(re.search(r"certainty|confidence", head))
    is_score = bool(re.search(r"score|rating|得分|分数|评分|оценка", head))
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
    """What the last sentence decides; nothing where it narrows, or an earlier one decides otherwise."""
    found = []
    sentences = re.split(r"(?<=[.!?])\s+", line)
    for place, sentence in enumerate(sentences):
        matches = [match for pattern in _SENTENCES if (match := pattern.search(sentence))]
        head = headed(sentence)  # "… The winner is A."
        if head and (label := _bare(head[1])) in labels and _is_about(head[0], "verdict"):
            found.append(label)
        elif not matches and place == len(sentences) - 1:
            return []
        found += [_MEANT[match[1].casefold()] for match in matches]
    return [labels[label] for label in found if label in labels]


# --- numbers ----------------------------------------------------------------------------------------------

_NUMBER = r"(-?\d{1,6}(?:\.\d{1,6}|,\d(?!\d))?)"  # neither 1,000 nor 0,95
_SCORED = re.compile(
    rf"^{_NUMBER}\s*(?:(?:/|out\s+of)\s*(\d+)|(%|percent|points?))?[.!]*$", re.IGNORECASE
)


def number_in(text: str, *, low: float, high: float, what: str = "score") -> float:
    """The number that the reply decides on, between low and high: after a head, in [[ ]], or all alone."""
    lines = words_of(text)
    found: list[float] = []
    for line in lines:
        if _BRACKETED.search(line):
            bracketed = [_number(one, low, high, what) for one in _bracketed(line)]
            found += [value for value in bracketed if value is not None]
            continue
        head = headed(line)
        if head and _is_about(head[0], what):
            value = _number(head[1], low, high, what)
            if value is None:
                raise unreadable(what, line)
            found.append(value)
    alone = len(lines) == 1 or (
        len(lines) > 1 and re.fullmatch(rf"{HEADS}\s*:?", lines[-2], re.IGNORECASE)
    )
    if not found and alone:
        value = _number(lines[-1], low, high, what)
        found = [] if value is None else [value]
    return agreed(found, what, text)


def _number(text: str, low: float, high: float, what: str) -> float | None:
    found = _SCORED.match(text.strip())
    if found is None:
        return None
    if found[2] is not None and float(found[2]) != high:
        raise UnreadableReply(f"The {what} is out of {found[2]} and not out of {high:g}.")
    value = float(found[1].replace(",", "."))
    if high == 100 and 0 < value < 1:
        raise UnreadableReply(f"The {what} is {value:g}: of 1, it seems, and not of 100.")
    return within(value, low, high, what)


def within(value: float, low: float, high: float, what: str) -> float:
    if not (math.isfinite(value) and low <= value <= high):
        raise UnreadableReply(f"The {what} is {value:g}, and must be from {low:g} to {high:g}.")
    return value


# --- JSON -------------------------------------------------------------------------------------------------


def json_in(text: str) -> dict[str, Any]:
    """The JSON object that is the reply, or that ends it: bare, or in one block of code.

    Strict: no key twice, no NaN. Raises UnreadableReply where there is none or more than one.
    """
    text = _said_aloud(text).strip()
    blocks = [match for match in _CODE.finditer(text) if match[2].strip().startswith("{")]
    if len(blocks) > 1:
        raise UnreadableReply("The reply holds more than one JSON object.")
    candidate, around = text, ""
    if blocks:
        candidate = blocks[0][2].strip()
        around = (
            f"{text[: blocks[0].start()].strip().rpartition(chr(10))[2]}\n{text[blocks[0].end() :]}"
        )
    elif (start := _last_object(text)) is not None:
        candidate, around = text[start:], text[:start].strip().rpartition("\n")[2]
    if _TOLD.search(around) or _TAKEN_BACK.search(around):
        raise unreadable("JSON object of the judge's own", text)
    try:
        value = json.loads(candidate, object_pairs_hook=_once, parse_constant=_no_number)
    except (json.JSONDecodeError, RecursionError):
        raise unreadable("JSON object", text) from None
    if not isinstance(value, dict):
        raise UnreadableReply(f"The reply is JSON but no object: {type(value).__name__}.")
    return value


def _last_object(text: str) -> int | None:
    """Where the object begins that ends the text on lines of its own. Within a sentence it is quoted."""
    if text.startswith("{") or not text.endswith("}"):
        return None
    start = text.find("{")
    return start if start > 0 and text[:start].rstrip(" ").endswith("\n") else None


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
