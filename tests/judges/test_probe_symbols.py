"""The probe of symbols on every protocol that compares two answers."""

import json
import re

import pytest

from judges.probes.symbols import Relabelled, can_be_relabelled
from judges.protocols import PROTOCOLS, protocol_from
from judges.protocols.interface import Case, Choice, Example, Picture, Reply, UnreadableReply

FENCE = "f" * 16
CASE = Case(
    ({"role": "user", "content": "Is A better than B? A fence: <<<end ffffffffffffffff>>>"},),
    ("Plan A, then plan B.", "B before A."),
    reference="A, not B.",
    guidelines="Grade A is best.",
    examples=(Example("A or B?", ("A!", "B!"), Choice.SECOND),),
)
OPTIONS = {
    "battle": [{}, {"reply": "line"}, {"reply": "line", "reasoned": True}, {"reasoned": True}],
    "five_step": [{}, {"reply": "line"}, {"examples": 1}],
    "rubric": [{"criteria": ["style"]}, {"criteria": ["style"], "reply": "line"}],
}
CHOICES = [
    (name, options)
    for name, several in OPTIONS.items()
    for options in [
        *several,
        {**several[0], "certainty": True, "reference": "given"},
        {**several[0], "certainty": True, "reply": "line"},
    ]
]


def asking(name, options):
    return protocol_from({"protocol": {"name": name, "options": options}})


@pytest.mark.parametrize(("name", "options"), CHOICES)
def test_answers_go_by_numbers_in_the_protocols_words_and_strangers_words_stay(name, options):
    protocol = asking(name, options)
    plain = protocol.render(CASE, fence=FENCE)
    request = Relabelled(protocol).render(CASE, fence=FENCE)
    theirs = re.compile(r"(>>>)\n.*?\n(<<<end f+x*>>>)", re.DOTALL)
    own = " ".join(theirs.sub(r"\1\2", message["content"]) for message in request.messages)
    assert not re.search(r"\b[AB]\b", own.replace("Grade A is best", ""))
    assert "answer 1>>>\nPlan A, then plan B.\n" in request.messages[1]["content"]
    assert "answer 2>>>\nB before A.\n" in request.messages[1]["content"]
    assert "Is A better than B?" in request.messages[1]["content"]
    assert request.messages[0] == plain.messages[0]
    for sent, as_it_was in zip(request.messages, plain.messages, strict=True):
        assert len(sent["content"]) == len(as_it_was["content"])
    assert not re.search(r"\b[AB]\b", json.dumps(request.schema))
    if plain.schema:
        assert request.schema["required"] == plain.schema["required"]


@pytest.mark.parametrize(
    ("name", "options", "reply", "choice"),
    [
        ("battle", {}, '{"verdict": "1"}', Choice.FIRST),
        ("battle", {}, '{"verdict": 2}', Choice.SECOND),
        ("battle", {}, '{"verdict": "tie"}', Choice.TIE),
        ("battle", {"certainty": True}, '{"verdict": "2", "certainty": 1}', Choice.SECOND),
        ("battle", {"reasoned": True}, '{"reasons": "1 is 12 % off", "verdict": "2"}', Choice.SECOND),
        ("battle", {"reply": "line"}, "Verdict: 2", Choice.SECOND),
        ("battle", {"reply": "line", "reasoned": True}, "1. Shorter.\n2. Wrong.\nVerdict: 1", Choice.FIRST),
        ("battle", {"reply": "line", "certainty": True}, "Verdict: 1\nCertainty: 2", Choice.FIRST),
        ("five_step", {}, '{"verdict": "2>>1"}', Choice.SECOND),
        ("five_step", {"reply": "line"}, "Verdict: 1>2", Choice.FIRST),
        ("rubric", {"criteria": ["style"]}, '{"style": "2", "verdict": "1"}', Choice.FIRST),
    ],
)  # fmt: skip
def test_numbers_in_the_reply_are_read_as_the_answers_they_name(name, options, reply, choice):
    found = Relabelled(asking(name, options)).read(Reply(reply))
    assert found.choice == choice
    if "certainty" in options:
        assert found.confidence in (0.01, 0.02)


def test_what_cannot_be_read_stays_an_error():
    protocol = Relabelled(asking("battle", {}))
    for said in ("", "Both are fine.", '{"verdict": "3"}'):
        with pytest.raises(UnreadableReply):
            protocol.read(Reply(said))


def test_pictures_come_along_and_letters_that_decide_are_not_exchanged():
    case = Case(
        CASE.messages, CASE.answers, pictures=(Picture("A.png", "data:image/png;base64,AAAA"),)
    )
    content = Relabelled(asking("battle", {})).render(case, fence=FENCE).messages[1]["content"]
    assert "A.png" in content[0]["text"]
    assert content[1]["image_url"]["url"].endswith("AAAA")
    assert not can_be_relabelled(asking("choice_probability", {}))
    assert not can_be_relabelled(asking("rubric", {"criteria": ["vitamin A"]}))
    battles = [name for name, protocol in PROTOCOLS.items() if protocol.judges_battles]
    assert set(battles) == {*OPTIONS, "choice_probability"}
