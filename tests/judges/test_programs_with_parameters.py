"""Regular expressions and JSON: programs that a judge's configuration tells what to look for."""

import re
import time
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.models import Judge, Verdict
from judges.programs import ParameterError, program_named
from judges.programs.patterns import PatternError, machine_of
from judges.runs import RunError, make_program_judge, start_run, work_on
from tests import cast

ATOMS = [
    *("a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", r"\s", "ä", "\n"),
    *(r"\b", r"\B", "^", "$", r"\A", r"\Z"),
]
PIECES = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?", "{2,}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
        inner.map(lambda part: f"(?i:{part})"),
        inner.map(lambda part: f"(?s-i:{part})"),
        inner.map(lambda part: f"(?a:{part})"),
        inner.map(lambda part: f"(?u:{part})"),
    ),
    max_leaves=6,
)
TEXTS = st.text(alphabet="abABä1 \n_", min_size=1, max_size=9)


@settings(max_examples=200, deadline=None)
@given(PIECES, TEXTS, st.sampled_from(["", "(?m)", "(?i)", "(?a)"]))
def test_a_machine_finds_what_the_usual_implementation_finds(pattern, text, flags):
    assert machine_of(flags + pattern).is_in(text) == bool(re.search(flags + pattern, text))


def test_letters_of_a_group_are_those_that_the_group_says():
    assert not machine_of(r"(?a:\w)").is_in("ä")
    assert machine_of(r"(?a:\W(?u:\w))").is_in("ää")


@pytest.mark.parametrize(
    "pattern",
    [r"(a+)+$", r"(a|aa)+$", r"(a?){30}a{30}$", r"(.*a){12}b", r"^(\w+\s?)*$", ".*.*.*.*=b"],
)
def test_no_pattern_keeps_it_busy(pattern):
    began = time.process_time()
    machine_of(pattern).is_in("a" * 20_000 + "!")
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"(a)\1", "a reference to a group"),
        (r"a(?=b)", "look ahead or behind"),
        (r"(?<!a)b", "look ahead or behind"),
        (r"(a)?(?(1)b|c)", "a condition on a group"),
        (r"(?>a+)b", "an atomic group"),
        (r"a++", "a possessive repetition"),
        (r"(a{100}){100}", "more than 300 steps"),
        ("(", "no regular expression"),
        ("a" * 501, "at most 500"),
        (7, "a text of at most 500"),
    ],
)
def test_what_is_not_regular_or_too_large_is_refused_in_words(pattern, words):
    with pytest.raises(PatternError, match=words):
        machine_of(pattern)
    with pytest.raises(ParameterError, match=words):
        program_named("regex").parameters({"pattern": pattern})


@pytest.mark.parametrize(
    ("output", "keys", "expected"),
    [
        ('{"a": 1, "b": [true, null]}', ["a", "b"], 1.0),
        ('```json\n{"a": 1}\n```', ["a"], 1.0),
        ('{"a": 1}', ["a", "b"], 0.5),
        ("[1, 2]", [], 1.0),
        ("[1, 2]", ["a"], 0.0),
        ('Here it is: {"a": 1}', [], 0.0),
        ('{"a": 1, "a": 2}', [], 0.0),
        ('{"a": NaN}', [], 0.0),
        ("[" * 100_000, [], 0.0),
        ("1" * 100_000, [], 0.0),
        ("", [], 0.0),
    ],
)
def test_json_is_valid_or_not_and_has_its_keys_or_not(output, keys, expected):
    score = program_named("valid_json").score(output, prompt="", reference=None, keys=keys)
    assert score == expected


@pytest.mark.django_db
def test_a_judge_is_made_with_its_parameters_once_and_judges_by_them():
    arena = cast.make_arena()
    systems = [cast.make_system(arena, name) for name in ("Ada", "Basil")]
    prompt = cast.make_prompt(arena, "How old?")
    for system, text in zip(systems, ("Answer: 42", "answer: old"), strict=True):
        cast.make_output(system, prompt, text)
    cast.make_battle(*systems, prompt)
    words = [
        "Numbers",
        "regex",
        "--option",
        r"pattern=^answer: \d+$",
        "--option",
        "ignore_case=true",
    ]
    for _ in range(2):
        out = StringIO()
        call_command("make_program_judge", arena.slug, *words, stdout=out)
        assert f"manage.py run_judge {arena.slug} regex" in out.getvalue()
    judge = Judge.objects.get()
    assert judge.configuration["parameters"] == {"pattern": r"^answer: \d+$", "ignore_case": True}
    work_on(start_run(judge=judge))
    assert Verdict.objects.get().outcome == 0
    other = make_program_judge(
        arena=arena, program=program_named("regex"), name="Other", parameters={"pattern": "x"}
    )
    assert other.slug == "regex-2"
    for wrong, message in [
        (["Numbers", "regex", "--option", "pattern=x"], "decides otherwise"),
        (["New", "regex"], "name the regular expression"),
        (["New", "regex", "--option", "pattern=x", "--option", "ignore_case=1"], "true or false"),
        (["New", "rouge_l", "--option", "pattern=x"], "it has none"),
        (["New", "valid_json", "--option", "keys=[1]"], "a list of at most 50 names"),
    ]:
        with pytest.raises(CommandError, match=message):
            call_command("make_program_judge", arena.slug, *wrong)
    with pytest.raises(RunError):
        make_program_judge(
            arena=arena, program=program_named("regex"), name="Other", parameters={"pattern": "y"}
        )
