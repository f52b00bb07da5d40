"""Examples that people decided, and the images that texts show."""

import json
from io import BytesIO

import pytest
from PIL import Image as Drawing

from arena.images import add_images
from judges.llm_judges import make_llm_judge
from judges.models import Outcome
from judges.runs import confirm_run, plan_run, work_on
from judges.runs.pictures import names_in
from tests import cast
from tests.judges.fake_llm import CONFIGURATION, FakeEndpoint, make_arena

pytestmark = pytest.mark.django_db


class Recorder(FakeEndpoint):
    def __init__(self):
        super().__init__()
        self.contents: list = []

    async def ask(self, question, *, read):
        content = question.request.messages[-1]["content"]
        self.contents.append(content)
        self.rule = lambda lines: '{"verdict": "tie"}'
        return await super().ask(question, read=read)


@pytest.fixture
def arena():
    return make_arena(prompts=3)


def contents(arena, *, options=None, **configuration) -> list:
    protocol = {"name": "battle", "options": options or {}}
    judge = make_llm_judge(
        arena=arena,
        name="Judge",
        configuration=CONFIGURATION | {"protocol": protocol} | configuration,
    )
    recorder = Recorder()
    run = work_on(confirm_run(run=plan_run(judge=judge, selection={})), make_asker=recorder)
    assert (run.state, run.failed) == ("done", 0)
    assert run.cost <= sum(call.most_cost for call in run.calls.all())
    return recorder.contents


def let_people_vote(arena) -> None:
    people = cast.make_judge(arena)
    alice, bob = cast.make_voter(people, "alice"), cast.make_voter(people, "bob")
    first, second, third = (
        arena.battles.filter(prompt=prompt).order_by("pk").first()
        for prompt in arena.prompts.order_by("pk")
    )
    for voter in (alice, bob):
        cast.make_verdict(first, people, Outcome.B, voter)
        cast.make_verdict(third, people, Outcome.A, voter)
    cast.make_verdict(second, people, Outcome.A, alice)
    cast.make_verdict(second, people, Outcome.TIE, bob)


def test_examples_are_what_people_agree_on_and_never_of_the_same_prompt(arena):
    let_people_vote(arena)
    for content in contents(arena, options={"examples": 1}):
        example, case = content.split("Now yours:")
        assert ("Poem 2" if "Poem 0" in case else "Poem 0") in example
        assert "Poem 1" not in example
        assert "Example 2" not in example


def test_without_votes_there_are_no_examples(arena):
    assert not any("Example" in content for content in contents(arena, options={"examples": 3}))


def draw(arena) -> None:
    file = BytesIO()
    Drawing.new("RGB", (4, 4), "red").save(file, "PNG")
    add_images(arena=arena, files=[("cat.png", file.getvalue())], actor=None)
    output = arena.outputs.order_by("pk").first()
    output.text = "Look: ![a cat](cat.png) and ![none](dog.png)"
    output.save()


def test_a_judge_that_sees_gets_the_images_that_texts_show(arena, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    draw(arena)
    with_images = [one for one in contents(arena, pictures=True) if isinstance(one, list)]
    assert len(with_images) == 4
    text, image = with_images[0]
    assert "cat.png" in text["text"]
    assert image["image_url"]["url"].startswith("data:image/webp;base64,")
    assert "dog.png" not in json.dumps(image)


def test_a_judge_that_does_not_see_gets_words_only(arena, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    draw(arena)
    assert all(isinstance(one, str) for one in contents(arena))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("![a](b.png)", ["b.png"]),
        ('![a](b.png "title") ![c](<d e.png>) ![a](b.png)', ["b.png", "d e.png"]),
        ("[a](b.png) ![a] (b.png) ![](x/y.webp)", ["x/y.webp"]),
        ("![" * 20_000 + "](" * 20_000, []),
    ],
)
def test_names_of_images(text, names):
    assert names_in([text]) == names
