"""Regular expressions whose search takes time in proportion to the text, whatever the pattern and the text are.

Python's own ``re`` tries one way after the other: ``(a+)+$`` takes it longer than the universe is old on thirty
letters. Here all ways are followed at once, as a set of states (Thompson, *Regular expression search
algorithm*, CACM 11, 1968). That tells whether there is a match, which is all that a program judge asks, and
works for what is regular: so no references back to a group, and nothing that looks ahead or behind.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]  # no parser is public
from typing import Any

LONGEST = 500  # characters of a pattern
MOST_STATES = 300
KEPT_STEPS = 2_000  # of each kind: a set of states takes up to 10 kB
_CHARACTERS = (_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY)
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)  # greedy or not: there is a match or not
_REFUSED = {
    _constants.GROUPREF: "a reference to a group",
    _constants.GROUPREF_EXISTS: "a condition on a group",
    _constants.ASSERT: "a look ahead or behind",
    _constants.ASSERT_NOT: "a look ahead or behind",
    _constants.ATOMIC_GROUP: "an atomic group",
    _constants.POSSESSIVE_REPEAT: "a possessive repetition",
}


class PatternError(ValueError):
    """A pattern that can't be searched for in bounded time, or isn't one; str() says why."""


@lru_cache(maxsize=8)
def machine_of(pattern: str, *, ignore_case: bool = False) -> "Machine":
    """The pattern, in the syntax of ``re``. Raises PatternError."""
    if not isinstance(pattern, str) or not len(pattern) <= LONGEST:
        raise PatternError(f"A pattern is a text of at most {LONGEST} characters.")
    try:
        parsed = _parser.parse(pattern, re.IGNORECASE if ignore_case else 0)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"This is no regular expression: {error}.") from None
    return Machine(parsed)


class Machine:
    """States with the step that takes a character, and those that take none but may have a condition."""

    def __init__(self, parsed: Any) -> None:
        self.parsed = parsed
        self.takes: dict[int, tuple[Any, int]] = {}
        self.states = 0
        self.takers: dict[Any, frozenset[int]] = {}  # by character: the states that take it
        self.free: list[list[tuple[tuple[Any, int] | None, int]]] = []
        self.conditions: set[tuple[Any, int]] = set()
        start = self._state()
        self.accepts = self._built(parsed, parsed.state.flags, start)
        self.starts = frozenset([start])
        self.reached: dict[Any, frozenset[int]] = {}
        self.stepped: dict[Any, frozenset[int]] = {}

    def is_in(self, text: str) -> bool:
        """Whether some part of the text matches: what ``re.search`` finds out."""
        states = self.starts
        for place in range(len(text) + 1):
            held = frozenset(one for one in self.conditions if _holds(one, text, place))
            states = self._reached(states, held)
            if self.accepts in states:
                return True
            if place < len(text):
                states = self._stepped(states, text[place])
        return False

    # --- building -----------------------------------------------------------------------------------------

    def _state(self) -> int:
        if self.states >= MOST_STATES:
            raise PatternError(
                f"The pattern comes to more than {MOST_STATES} steps: repeat less, or name fewer words."
            )
        self.free.append([])
        self.states += 1
        return self.states - 1

    def _built(self, items: Sequence[Any], flags: int, start: int) -> int:
        """Where one is after all of the items."""
        for kind, value in items:
            start = self._after(kind, value, flags, start)
        return start

    def _after(self, kind: Any, value: Any, flags: int, start: int) -> int:
        if kind in _CHARACTERS:
            end = self._state()
            # By re itself, of one character: with a state of its own, which has no flags but these.
            one = _parser.SubPattern(_parser.State(), [(kind, value)])
            self.takes[start] = (_compiler.compile(one, flags), end)
            return end
        end = self._state()
        if kind is _constants.AT:
            condition = (value, flags & (re.MULTILINE | re.ASCII))
            self.conditions.add(condition)
            self.free[start].append((condition, end))
        elif kind is _constants.SUBPATTERN:
            _, more, less, inner = value
            if more & _parser.TYPE_FLAGS:
                flags &= ~_parser.TYPE_FLAGS  # of ASCII and Unicode the inner one counts
            self._join(self._built(inner, (flags | more) & ~less, self._opened(start)), end)
        elif kind is _constants.BRANCH:
            for inner in value[1]:
                self._join(self._built(inner, flags, self._opened(start)), end)
        elif kind in _REPEATS:
            self._repeat(*value, flags, start, end)
        else:
            what = _REFUSED.get(kind, str(kind).lower())
            raise PatternError(
                f"The pattern has {what}, which can't be searched for in bounded time: say it without."
            )
        return end

    def _repeat(self, least: int, most: int, inner: Any, flags: int, start: int, end: int) -> None:
        here = self._opened(start)
        for _ in range(least):
            here = self._built(inner, flags, self._opened(here))
        if most is _constants.MAXREPEAT:
            here = self._opened(here)
            self._join(here, end)
            self._join(self._built(inner, flags, self._opened(here)), here)
            return
        for _ in range(most - least):
            self._join(here, end)
            here = self._built(inner, flags, self._opened(here))
        self._join(here, end)

    def _opened(self, start: int) -> int:
        """A new state that is reached from there."""
        fresh = self._state()
        self._join(start, fresh)
        return fresh

    def _join(self, start: int, end: int) -> None:
        self.free[start].append((None, end))

    # --- searching: what was found out is kept, since texts repeat themselves ---------------------------------

    def _reached(self, states: frozenset[int], held: frozenset[Any]) -> frozenset[int]:
        """With all states that are reached from these without a character."""
        key = (states, held)
        if key not in self.reached:
            found, waiting = set(states), list(states)
            while waiting:
                for condition, target in self.free[waiting.pop()]:
                    if target not in found and (condition is None or condition in held):
                        found.add(target)
                        waiting.append(target)
            _keep(self.reached, key, frozenset(found))
        return self.reached[key]

    def _stepped(self, states: frozenset[int], character: str) -> frozenset[int]:
        """After the character; the search may also begin behind it."""
        key = (states, character)
        if key not in self.stepped:
            if character not in self.takers:
                able = (n for n, (one, _) in self.takes.items() if one.fullmatch(character))
                _keep(self.takers, character, frozenset(able))
            ends = {self.takes[state][1] for state in states & self.takers[character]}
            _keep(self.stepped, key, self.starts | ends)
        return self.stepped[key]


def _keep(kept: dict[Any, frozenset[int]], key: Any, value: frozenset[int]) -> None:
    if len(kept) >= KEPT_STEPS:
        kept.clear()
    kept[key] = value


def _holds(condition: tuple[Any, int], text: str, place: int) -> bool:
    where, flags = condition
    at_start, at_end = place == 0, place == len(text)
    before = "" if at_start else text[place - 1]
    after = "" if at_end else text[place]
    if where is _constants.AT_BEGINNING:
        return at_start or (bool(flags & re.MULTILINE) and before == "\n")
    if where is _constants.AT_BEGINNING_STRING:
        return at_start
    if where is _constants.AT_END:
        is_last_line = after == "\n" and place == len(text) - 1
        return at_end or is_last_line or (bool(flags & re.MULTILINE) and after == "\n")
    if where is _constants.AT_END_STRING:
        return at_end
    is_between = _is_word(before, flags) != _is_word(after, flags)
    return is_between is (where is _constants.AT_BOUNDARY)


def _is_word(character: str, flags: int) -> bool:
    return (character.isalnum() or character == "_") and (
        character.isascii() or not flags & re.ASCII
    )
