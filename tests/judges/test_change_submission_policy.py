"""Who may submit systems and how they are ranked, changed by page and by API."""

import pytest

from arena.models import Arena
from arena.submissions.policy import SubmissionPolicy
from arena.tokens import make_token
from judges.programs import PROGRAMS
from judges.runs import make_program_judge
from tests import cast
from tests.accounts import client_of, make_member
from tests.judges.fake_llm import make_judge

pytestmark = pytest.mark.django_db
PAGE = "/a/poems/manage/submissions/"
ADDRESS = "/api/v1/arenas/poems/submission-policy/"


@pytest.fixture
def arena() -> Arena:
    arena = cast.make_small_arena()
    for program, name in (("longer_is_better", "Longer"), ("length_limit", "Other")):
        make_program_judge(arena=arena, name=name, program=PROGRAMS[program])
    return arena


@pytest.fixture
def maintainer(arena):
    return make_member(arena, "maintainer")


@pytest.fixture
def api(maintainer, client):
    words = make_token(user=maintainer, name="test", scope="write", days=1)[1]

    def send(values, method="patch"):
        return getattr(client, method)(
            ADDRESS,
            values,
            content_type="application/json",
            headers={"Authorization": f"Bearer {words}"},
        )

    return send


def typed(page, **changes) -> dict:
    """What a browser would send of the page's form as it stands."""
    form = page.context["form"]
    values = {form.add_prefix(name): field.value() for name, field in _bound(form)}
    values |= {form.add_prefix(name): value for name, value in changes.items()}
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }


def _bound(form):
    return [(name, form[name]) for name in form.fields]


def test_the_page_shows_what_holds_and_changes_it(arena, maintainer):
    client = client_of(maintainer)
    page = client.get(PAGE)
    wanted = typed(
        page,
        who="accounts",
        judges=["longer-is-better", "length-limit"],
        ranking="length-limit",
        battles="90",
        budget="0",
    )
    response = client.post(PAGE, wanted, follow=True)
    assert "ranked so" in response.content.decode()
    arena.refresh_from_db()
    policy = SubmissionPolicy.of(arena)
    assert policy.who == "accounts"
    assert policy.judges == ("length-limit", "longer-is-better")
    assert policy.battles == 90
    assert arena.audit_entries.filter(act="change submissions").count() == 1
    again = client.get(PAGE)
    assert again.context["form"]["ranking"].value() == "length-limit"
    response = client.post(PAGE, typed(again), follow=True)
    assert "Nothing was different." in response.content.decode()
    assert arena.audit_entries.filter(act="change submissions").count() == 1


def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_stays(arena, maintainer):
    client = client_of(maintainer)
    response = client.post(PAGE, typed(client.get(PAGE), battles="7", width="333"))
    assert response.status_code == 422
    form = response.context["form"]
    assert "10 to 100,000" in str(form.errors["battles"])
    assert form["width"].value() == "333"
    arena.refresh_from_db()
    assert arena.submission_policy == {}


def test_the_api_changes_what_was_sent_and_says_whether_anything_changed(arena, api, client):
    answer = api({"judges": ["longer-is-better"], "battles": 90})
    assert answer.status_code == 200, answer.content
    assert answer.json()["changed"] is True
    assert api({"battles": 90}).json()["changed"] is False
    arena.refresh_from_db()
    assert arena.submission_policy["judges"] == ["longer-is-better"]
    # Whoever wants to submit reads it.
    seen = client.get(ADDRESS).json()
    assert seen["battles"] == 90
    assert seen["most_private"] == 3
    assert "changed" not in seen


@pytest.mark.parametrize(
    ("sent", "status", "place"),
    [
        ({"battles": 7}, 400, "battles"),
        ({"battles": 90.5}, 400, "battles"),
        ({"width": "wide"}, 400, "width"),
        ({"budget": True}, 400, "budget"),
        ({"who": "friends"}, 400, "who"),
        ({"judges": "longer-is-better"}, 400, "judges"),
        ({"judges": ["nobody"]}, 409, None),
        ({"colour": "red"}, 400, "colour"),
    ],
)
def test_the_api_refuses_what_cant_be_followed_and_says_which(arena, api, sent, status, place):
    answer = api(sent)
    assert answer.status_code == status, answer.content
    if place:
        assert place in answer.json()["errors"]
    arena.refresh_from_db()
    assert arena.submission_policy == {}


def test_who_may_not_have_models_asked_gets_the_sentence_of_the_page(
    arena, api, monkeypatch, settings
):
    settings.WHO_ASKS_MODELS = "staff"
    judge = make_judge(arena, monkeypatch)
    answer = api({"judges": [judge.slug]})
    assert answer.status_code == 409
    assert "only staff have models asked" in answer.json()["detail"]
