"""Errors of the API as problem details (RFC 9457): one shape, whatever went wrong."""

import logging
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.signals import got_request_exception
from rest_framework import serializers
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger("django.request")


class ProblemSerializer(serializers.Serializer):
    """What went wrong (RFC 9457)."""

    type = serializers.CharField(help_text="Always about:blank: the status says what kind it is.")
    title = serializers.CharField(help_text="The status in words.")
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What went wrong and what would do.")
    instance = serializers.CharField(help_text="The path that was asked for.")
    errors = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="Sentences by the parameter, field or line that they are about.",
    )


class Refused(APIException):
    """A request that can't be done; nothing was changed. ``errors``: sentences by what they are about."""

    def __init__(
        self, detail: str, *, status: int = 400, errors: dict[str, list[str]] | None = None
    ) -> None:
        super().__init__(detail)
        self.status_code, self.errors = status, errors


def problem(
    *, status: int, detail: str, path: str, errors: dict[str, list[str]] | None = None
) -> dict[str, Any]:
    """The body of an error response; its values are what ProblemSerializer describes."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": path,
    }
    return body if errors is None else {**body, "errors": errors}


def handle_exception(exception: Exception, context: dict[str, Any]) -> Response:
    """Answer with the problem that an exception is; what nobody foresaw is logged and says nothing inside."""
    request = context["request"]
    if isinstance(exception, RequestDataTooBig):
        exception = Refused("The body is larger than is taken.", status=413)
    response = exception_handler(exception, context)
    if response is None:
        log.error("Internal Server Error: %s", request.path, exc_info=exception)
        # As Django does for its own pages, so that error reporters and tests hear of it.
        got_request_exception.send(sender=type(context["view"]), request=request._request)
        response = Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)
        detail, errors = "The server failed at this request; the failure is in its log.", None
    elif isinstance(exception, ValidationError) and isinstance(response.data, dict):
        errors = {name: [str(e) for e in found] for name, found in response.data.items()}
        detail = " ".join(f"{name}: {' '.join(found)}" for name, found in errors.items())
    else:
        errors = exception.errors if isinstance(exception, Refused) else None
        detail = str(exception.detail if isinstance(exception, APIException) else exception)
        if not detail:
            detail = HTTPStatus(response.status_code).description
    if wait := getattr(exception, "wait", None):
        response.headers["Retry-After"] = str(round(wait))
    response.data = problem(
        status=response.status_code, detail=detail, path=request.path, errors=errors
    )
    response.content_type = MEDIA_TYPE
    return response
