from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from judges.models import Judge
from tests import cast

pytestmark = pytest.mark.django_db

URL = "http://127.0.0.1:8001/v1"


def make(*words: str) -> str:
    out = StringIO()
    call_command("make_llm_judge", "poems", "Strict Llama", URL, "llama-3-8b", *words, stdout=out)
    return out.getvalue()


@pytest.fixture(autouse=True)
def arena(db):
    return cast.make_arena()


def test_a_judge_is_made_once_with_what_was_said():
    words = (
        "--option", "reasoned=true", "--option", "reply=line", "--parameter", "temperature=0",
        "--endpoint", "concurrency=4", "--family", "Llama",
    )  # fmt: skip
    for _ in range(2):
        assert "manage.py run_judge poems strict-llama" in make(*words)
    judge = Judge.objects.get()
    assert (judge.kind, judge.family, judge.version) == ("llm", "Llama", 1)
    assert judge.configuration["endpoint"]["url"] == URL
    assert judge.configuration["endpoint"]["parameters"] == {"temperature": 0}
    assert judge.configuration["endpoint"]["concurrency"] == 4
    assert judge.configuration["protocol"]["options"] == {"reasoned": True, "reply": "line"}
    assert judge.configuration["both_orders"] is True


def test_another_configuration_needs_another_version():
    make()
    with pytest.raises(CommandError, match="decides otherwise"):
        make("--one-order")
    make("--one-order", "--new-version")
    assert list(Judge.objects.order_by("version").values_list("slug", "version")) == [
        ("strict-llama", 1),
        ("strict-llama-v2", 2),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--option", "reason=true"), "no option 'reason'"),
        (("--option", "reasoned"), "NAME=VALUE"),
        (("--protocol", "rubric"), "needs criteria"),
        (("--key", "DATABASE_URL"), "key_name"),
        (("--endpoint", "concurrency=0"), "concurrency"),
        (("--parameter", "model=other"), "parameters"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_made(words, said):
    with pytest.raises(CommandError, match=said):
        make(*words)
    assert not Judge.objects.exists()
