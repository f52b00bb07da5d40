"""/healthz tells a load balancer whether to send people here."""

import pytest
from django.db import OperationalError, connection
from django.test import Client


def test_it_is_well_when_the_database_answers(db):
    response = Client().get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert "no-store" in response.headers["Cache-Control"]


def test_it_says_why_it_is_not_and_keeps_the_details_for_the_log(db, monkeypatch, caplog):
    def refuse(*args):
        raise OperationalError("password authentication failed for hunter2@db.internal")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", refuse)
        response = Client(raise_request_exception=False).get("/healthz")
    assert response.status_code == 503
    assert response.json() == {
        "status": "unavailable",
        "reason": "The database does not answer.",
    }
    assert b"hunter2" not in response.content
    assert "hunter2" in caplog.text


def test_other_failures_are_not_taken_for_the_database(db, monkeypatch):
    def fail(*args):
        raise RuntimeError("a mistake of ours")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", fail)
        with pytest.raises(RuntimeError):
            Client().get("/healthz")


def test_it_only_answers_questions(db):
    assert Client().post("/healthz").status_code == 405
