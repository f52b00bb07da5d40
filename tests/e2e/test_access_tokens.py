"""An access token made and revoked in Chromium: by keys, on a phone, and without scripts."""

import pytest
from django.test import Client
from playwright.sync_api import expect

from tests.accounts import make_user
from tests.e2e.test_every_page import LOOKS, TOO_WIDE


@pytest.fixture
def alice(transactional_db):
    return make_user()


def status(words: str) -> int:
    headers = {"Authorization": f"Bearer {words}"}
    return Client().get("/api/v1/arenas/", headers=headers).status_code


@pytest.mark.parametrize("look", [*LOOKS, "no scripts"])
def test_a_token_is_made_copied_and_revoked(look, alice, open_page, sign_in, axe):
    has_scripts = look != "no scripts"
    page = open_page(**LOOKS.get(look, {"java_script_enabled": False}))
    sign_in(page, alice)
    page.goto("/accounts/")
    page.get_by_role("link", name="Access tokens").click()
    page.get_by_label("What it is for").fill(
        "The cluster of the group for language and " + "x" * 30
    )
    page.get_by_label("Do in arenas").check()
    page.get_by_role("button", name="Make a token").press("Enter")
    expect(page.get_by_text("It is shown this once")).to_be_visible()
    words = page.locator("code.token").inner_text()
    assert status(words) == 200
    if has_scripts:
        assert not page.evaluate(TOO_WIDE)
        axe(page)
    page.get_by_role("button", name="Revoke").press("Enter")
    expect(page.get_by_text("is of no use any more")).to_be_visible()
    assert words not in page.content()
    assert status(words) == 401
    if has_scripts:
        axe(page)
