"""The API: requests with an Idempotency-Key, which are done once."""

import json
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from arena import kept_answers
from config.api import KEY, Json, Writes
from config.problems import Refused


class _AnsweredBefore(Exception):
    """The same request under the same Idempotency-Key: ``kept`` is its row."""

    def __init__(self, kept: Any) -> None:
        self.kept = kept


class WritesOnce(Writes):
    """A view that takes writes, each POST once. Goes before a view of the read API.

    ``keeps_answers`` is False where what is done is known by the Idempotency-Key itself, or the answer holds a
    secret.
    """

    keeps_answers = True
    kept: Any = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method == "POST" and self.keeps_answers and KEY in request.headers:
            self._begin(request)

    def _begin(self, request: Request) -> None:
        """Take the Idempotency-Key. Raises what is answered instead of doing it."""
        key = request.headers[KEY]
        if not 1 <= len(key) <= kept_answers.LONGEST_KEY or not key.isprintable():
            raise ValidationError(
                {KEY: [f"From 1 to {kept_answers.LONGEST_KEY} characters that can be printed."]}
            )
        getattr(self, "arena", None)  # before the body is read, who sends it is asked
        fingerprint = kept_answers.fingerprint(
            method=request.method,
            address=request.get_full_path(),
            body=kept_answers.body_of(request.data),
        )
        try:
            kept = kept_answers.begin(user=request.user, key=key, request=fingerprint)
        except kept_answers.KeyTaken as error:
            if error.wait:
                refused = Refused(str(error), status=409)
                refused.wait = error.wait
                raise refused from error
            raise Refused(str(error), status=422) from error
        if kept.status is not None:
            raise _AnsweredBefore(kept)
        self.kept = kept

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, _AnsweredBefore):
            body = json.loads(exc.kept.body) if exc.kept.body else None
            return Response(body, status=exc.kept.status, headers={"Idempotency-Replayed": "true"})
        return super().handle_exception(exc)

    def finalize_response(self, request, response, *args, **kwargs):
        if self.kept is not None:
            if 200 <= response.status_code < 300:
                said = "" if response.data is None else Json().render(response.data).decode()
                kept_answers.keep(self.kept, status=response.status_code, body=said)
            else:
                kept_answers.forget(self.kept)
        return super().finalize_response(request, response, *args, **kwargs)
