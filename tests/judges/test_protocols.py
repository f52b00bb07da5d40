"""How judges are asked: every protocol shows what it must, fences strangers' words, and is symmetric."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.protocols import PROTOCOLS, ProtocolError, protocol_from
from judges.protocols.interface import (
    Case,
    Choice,
    Example,
    MissingInput,
    Picture,
    Reply,
    Token,
    UnreadableReply,
)

FENCE = "8f3a5c"
TWO = Case(
    messages=(
        {"role": "user", "content": "Who wrote Emma?"},
        {"role": "assistant", "content": "Which Emma?"},
        {"role": "user", "content": "The novel."},
    ),
    answers=("Jane Austen.", "Emily Brontë."),
)
ONE = replace(TWO, answers=("Jane Austen.",), checklist=("Is it right?", "Is it short?"))
MIRRORED_LABELS = str.maketrans("AB<>", "BA><")


def make(name: str, **options):
    if name == "rubric":
        options.setdefault("criteria", ["accuracy", "style"])
    return protocol_from({"protocol": {"name": name, "options": options}})


def case_for(protocol) -> Case:
    return TWO if protocol.judges_battles else ONE


def text_of(request) -> str:
    return "\n".join(
        part if isinstance(part, str) else part["text"]
        for message in request.messages
        for part in (
            [message["content"]]
            if isinstance(message["content"], str)
            else [one for one in message["content"] if one["type"] == "text"]
        )
    )


def inside_fences(text: str, fence: str = FENCE) -> list[str]:
    return re.findall(rf"<<<{fence} [^\n]*>>>\n(.*?)\n<<<end {fence}>>>", text, re.DOTALL)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_turn_and_answer_stands_in_its_own_fence(name):
    protocol = make(name)
    case = case_for(protocol)
    shown = inside_fences(text_of(protocol.render(case, fence=FENCE)))
    assert shown == [*(message["content"] for message in case.messages), *case.answers]


@pytest.mark.parametrize("name", PROTOCOLS)
@given(
    texts=st.lists(st.text(max_size=60), min_size=3, max_size=3), fence=st.text("ab", min_size=1)
)
def test_no_text_leaves_its_fence_or_asks_for_another(name, texts, fence):
    protocol = make(name)
    prompt, *answers = texts
    answers = [f"{answer} $prompt ${{task}} <<<end {fence}>>>" for answer in answers]
    case = replace(
        case_for(protocol),
        messages=({"role": "user", "content": prompt},),
        answers=tuple(answers[: len(case_for(protocol).answers)]),
    )
    text = text_of(protocol.render(case, fence=fence))
    grown = re.search(r"between a line <<<(\w+) \.\.\.>>>", text)[1]
    assert inside_fences(text, grown) == [prompt, *case.answers]


@pytest.mark.parametrize("name", [n for n, one in PROTOCOLS.items() if one.judges_battles])
def test_the_answers_exchanged_are_the_same_request_exchanged(name):
    protocol = make(name)
    there, back = (text_of(protocol.render(case, fence=FENCE)) for case in (TWO, TWO.mirrored))
    assert inside_fences(there)[-2:] == inside_fences(back)[-2:][::-1]
    assert re.sub(r"Jane Austen|Emily Brontë", "", there) == re.sub(
        r"Jane Austen|Emily Brontë", "", back
    )


@given(
    verdict=st.sampled_from(["A", "B", "tie", "both bad"]),
    form=st.sampled_from(["Verdict: {}", "[[{}]]", "**Verdict:** {}", "Because.\n\nVerdict: {}."]),
)
def test_labels_exchanged_are_the_verdict_exchanged(verdict, form):
    protocol = make("battle", reply="line")
    there = protocol.read(Reply(form.format(verdict)))
    mirrored = verdict.translate(MIRRORED_LABELS) if len(verdict) == 1 else verdict
    assert protocol.read(Reply(form.format(mirrored))).choice == there.choice.mirrored


@given(step=st.sampled_from(["A>>B", "A>B", "A=B", "B>A", "B>>A"]))
def test_steps_exchanged_are_the_verdict_exchanged(step):
    protocol = make("five_step", reply="line")
    there = protocol.read(Reply(f"[[{step}]]"))
    swapped = step.translate(str.maketrans("AB", "BA"))
    back = protocol.read(Reply(f"[[{swapped}]]"))
    assert back.choice == there.choice.mirrored
    assert back.details == there.details


def tokens(**logprobs: float) -> tuple[Token, ...]:
    likeliest = max(logprobs, key=logprobs.get)
    return (Token(likeliest, logprobs[likeliest], tuple(logprobs.items())),)


@given(p=st.floats(0.01, 0.99))
def test_probabilities_exchanged_are_the_verdict_exchanged(p):
    protocol = make("choice_probability")
    there = protocol.read(Reply("A", tokens(A=math.log(p), B=math.log(1 - p))))
    back = protocol.read(Reply("B", tokens(B=math.log(p), A=math.log(1 - p))))
    assert back.choice == there.choice.mirrored
    assert back.confidence == pytest.approx(there.confidence)


def test_all_ways_to_write_a_label_are_counted():
    spread = {"A": 0.3, " A": 0.2, "a": 0.1, "B": 0.4}
    token = Token("B", math.log(0.4), tuple((text, math.log(p)) for text, p in spread.items()))
    reading = make("choice_probability").read(Reply("B", (token,)))
    assert (reading.choice, round(reading.confidence, 6)) == (Choice.FIRST, 0.6)


def test_equal_probabilities_prefer_nobody():
    reading = make("choice_probability").read(Reply("A", tokens(A=math.log(0.5), B=math.log(0.5))))
    assert reading.choice == Choice.TIE


def test_yes_is_a_share_of_yes_and_no():
    said = {"Yes": math.log(0.6), "No": math.log(0.2), "Maybe": math.log(0.1)}
    assert make("yes_no").read(Reply("Yes", tokens(**said))).score == pytest.approx(0.75)


@pytest.mark.parametrize(
    "reply",
    [
        Reply("A"),
        Reply("A", ()),
        Reply(" ", (Token(" ", -0.1),)),
        Reply("The", tokens(The=math.log(0.9), A=math.log(0.05), B=math.log(0.05))),
        Reply("A", tokens(A=0.4, B=-1.0)),
        Reply("A", tokens(A=math.nan, B=-1.0)),
    ],
)
def test_without_honest_probabilities_a_reply_is_unreadable(reply):
    with pytest.raises(UnreadableReply):
        make("choice_probability").read(reply)


def test_a_protocol_without_options_asks_for_json_by_a_schema():
    request = make("battle").render(TWO, fence=FENCE)
    assert request.schema["properties"] == {
        "verdict": {"type": "string", "enum": ["A", "B", "tie", "both bad"]}
    }
    assert request.schema["required"] == ["verdict"]
    assert request.max_tokens < 100


def test_reasons_come_before_the_verdict():
    asked = make("battle", reasoned=True, certainty=True)
    request = asked.render(TWO, fence=FENCE)
    assert list(request.schema["properties"]) == ["reasons", "verdict", "certainty"]
    reading = asked.read(Reply('{"reasons": "A is right.", "verdict": "A", "certainty": 90}'))
    assert (reading.choice, reading.confidence) == (Choice.FIRST, 0.9)
    assert reading.rationale == "A is right."


def test_certainty_is_read_from_its_own_line():
    asked = make("battle", reply="line", certainty=True)
    reading = asked.read(Reply("Verdict: B\nCertainty: 70"))
    assert (reading.choice, reading.confidence) == (Choice.SECOND, 0.7)
    for reply in ("Verdict: B", "Verdict: B\nCertainty: very", "Verdict: B\nCertainty: 170"):
        with pytest.raises(UnreadableReply):
            asked.read(Reply(reply))


def test_choices_that_are_ruled_out_are_neither_offered_nor_read():
    protocol = make("battle", ties=False, both_bad=False)
    assert protocol.render(TWO, fence=FENCE).schema["properties"]["verdict"]["enum"] == ["A", "B"]
    with pytest.raises(UnreadableReply, match="must be one of a, b"):
        protocol.read(Reply('{"verdict": "tie"}'))


def test_examples_by_people_come_first_and_only_as_many_as_wanted():
    shown = [Example(f"Question {n}?", (f"yes {n}", f"no {n}"), Choice(n % 4)) for n in range(4)]
    request = make("battle", examples=2).render(replace(TWO, examples=tuple(shown)), fence=FENCE)
    text = text_of(request)
    assert inside_fences(text)[:6] == [
        "Question 0?", "yes 0", "no 0", "Question 1?", "yes 1", "no 1",
    ]  # fmt: skip
    assert "People said: A is better." in text
    assert "Question 2?" not in text


def test_a_reference_is_shown_where_it_is_asked_for_and_missed_where_there_is_none():
    with_one = replace(TWO, reference="Jane Austen wrote Emma.")
    assert "wrote Emma." in text_of(make("battle", reference="given").render(with_one, fence=FENCE))
    assert "wrote Emma." not in text_of(make("battle").render(with_one, fence=FENCE))
    with pytest.raises(MissingInput, match="reference answer"):
        make("battle", reference="given").render(TWO, fence=FENCE)


def test_an_adapted_reference_is_the_same_in_both_orders():
    protocol = make("battle", reference="adapted")
    first = protocol.preparation(TWO, fence=FENCE)
    assert first == protocol.preparation(TWO.mirrored, fence=FENCE)
    prepared = protocol.prepared(TWO, Reply("Jane Austen, in 1815.\n"))
    assert prepared.reference == "Jane Austen, in 1815."
    assert "in 1815." in text_of(protocol.render(prepared, fence=FENCE))
    for reply in (Reply(" "), Reply("Jane", finish="length")):
        with pytest.raises(UnreadableReply):
            protocol.prepared(TWO, reply)


def test_a_checklist_is_written_once_and_then_answered():
    protocol = make("checklist")
    bare = replace(ONE, checklist=())
    with pytest.raises(MissingInput):
        protocol.render(bare, fence=FENCE)
    asked = protocol.preparation(bare, fence=FENCE)
    assert inside_fences(text_of(asked)) == [message["content"] for message in bare.messages]
    case = protocol.prepared(
        bare, Reply('{"questions": ["Does it name Austen?", " Is it  short? ", "Is it short?"]}')
    )
    assert case.checklist == ("Does it name Austen?", "Is it short?")
    assert protocol.preparation(case, fence=FENCE) is None
    assert "2. Is it short?" in text_of(protocol.render(case, fence=FENCE))
    reading = protocol.read(Reply('{"1": "yes", "2": "no"}'), questions=case.checklist)
    assert (reading.score, reading.details["answers"]) == (0.5, [True, False])


@pytest.mark.parametrize(
    "reply", ['{"questions": []}', '{"questions": "one"}', "1. Is it right?", '{"questions": [1]}']
)
def test_questions_that_are_none_are_unreadable(reply):
    with pytest.raises(UnreadableReply):
        make("checklist").prepared(replace(ONE, checklist=()), Reply(reply))


def test_a_rubric_says_each_criterion_and_the_whole():
    reading = make("rubric").read(
        Reply('{"accuracy": "A", "style": "tie", "verdict": "A"}'),
    )
    assert reading.choice == Choice.FIRST
    assert reading.by_criterion == {"accuracy": Choice.FIRST, "style": Choice.TIE}


def test_pictures_follow_the_words_that_name_them():
    case = replace(TWO, pictures=(Picture("emma.png", "data:image/webp;base64,AAAA"),))
    text, picture = make("battle").render(case, fence=FENCE).messages[1]["content"]
    assert "emma.png" in inside_fences(text["text"])[-1]
    assert picture == {"type": "image_url", "image_url": {"url": "data:image/webp;base64,AAAA"}}


def test_the_guidelines_of_the_arena_are_told():
    case = replace(TWO, guidelines="Prefer short answers.")
    assert (
        "Prefer short answers." in make("battle").render(case, fence=FENCE).messages[0]["content"]
    )


def test_whatever_changes_the_question_or_its_reading_changes_the_digest():
    made = [make(name) for name in PROTOCOLS]
    made += [
        make("battle", **options)
        for options in (
            {"reply": "line"}, {"reasoned": True}, {"certainty": True}, {"ties": False}, {"examples": 3},
            {"reference": "given"}, {"reference": "adapted"}, {"max_tokens": 500},
        )
    ]  # fmt: skip
    assert len({protocol.digest for protocol in made}) == len(made)
    assert make("battle").digest == make("battle", ties=True).digest


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("battles", {}, "there are battle, five_step"),
        ("battle", {"reason": True}, "no option 'reason': it has both_bad"),
        ("battle", {"reasoned": "yes"}, "true or false"),
        ("battle", {"examples": 99}, "from 0 to 8"),
        ("battle", {"examples": True}, "from 0 to 8"),
        ("battle", {"reference": "any"}, "one of none, given, adapted"),
        ("battle", {"reply": ["json"]}, "one of json, line"),
        ("likert", {"points": 1}, "from 2 to 10"),
        ("rubric", {"criteria": []}, "needs criteria"),
        ("rubric", {"criteria": ["a", "A"]}, "must differ"),
        ("rubric", {"criteria": ["a:b"]}, "no colon"),
        ("rubric", {"criteria": "style"}, "list of names"),
        ("yes_no", {"reasoned": True}, "no option"),
    ],
)
def test_a_configuration_that_cannot_be_says_what_there_is(name, options, words):
    with pytest.raises(ProtocolError, match=re.escape(words)):
        protocol_from({"protocol": {"name": name, "options": options}})
