"""What every endpoint of the API shares: keyset pages, strict parameters, ETags, its description."""

import hashlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.cache import (
    add_never_cache_headers,
    get_conditional_response,
    patch_cache_control,
    patch_vary_headers,
)
from django_filters import rest_framework as filters
from drf_spectacular.drainage import set_override
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import (
    MethodNotAllowed,
    NotFound,
    UnsupportedMediaType,
    ValidationError,
)
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.pagination import BasePagination
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.mediatypes import media_type_matches
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from config import problems
from config.api_bodies import Body, JsonBody

LARGEST_ID = 2**63 - 1
KEY = "Idempotency-Key"
SLUG = r"[a-z0-9]+(?:[-.][a-z0-9]+)*"
ID = r"[0-9]{1,19}"


# --- parameters -----------------------------------------------------------------------------------
class WholeNumberField(forms.RegexField):
    """Decimal digits only: no sign, no spaces, no fraction."""

    def __init__(self, *, at_least: int = 1, at_most: int = LARGEST_ID, **kwargs: Any) -> None:
        self.at_least, self.at_most = at_least, at_most
        super().__init__(r"\A[0-9]{1,19}\Z", strip=False, **kwargs)
        self.error_messages["invalid"] = self.sentence = (
            f"Must be a whole number from {at_least} to {at_most}."
        )

    def clean(self, value: Any) -> int | None:
        text = super().clean(value)
        if not text:
            return None
        if not self.at_least <= int(text) <= self.at_most:
            raise forms.ValidationError(self.sentence)
        return int(text)


def _whole_number_schema(at_least: int, at_most: int) -> dict[str, Any]:
    return {"type": "integer", "format": "int64", "minimum": at_least, "maximum": at_most}


class Described:
    """A filter that says in the schema what it takes. ``takes_empty``: ``?name=`` means something."""

    takes_empty = False

    def described(self, schema: dict[str, Any]) -> None:
        set_override(self, "field", {**schema, "description": self.extra["help_text"]})


class TextFilter(Described, filters.CharFilter):
    """Exactly this text."""

    def __init__(self, *args: Any, max_length: int = 200, **kwargs: Any) -> None:
        super().__init__(*args, max_length=max_length, strip=False, **kwargs)
        self.described({"type": "string", "minLength": 1, "maxLength": max_length})


class IdFilter(Described, filters.Filter):
    """The row with this id."""

    field_class = WholeNumberField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.described(_whole_number_schema(1, LARGEST_ID))


class WordFilter(Described, filters.ChoiceFilter):
    """One of a few words; ``words`` gives each its value in the database."""

    def __init__(self, *args: Any, words: dict[str, Any], **kwargs: Any) -> None:
        self.words = words
        super().__init__(*args, choices=[(word, word) for word in words], **kwargs)
        known = ", ".join(words)
        self.extra["error_messages"] = {"invalid_choice": f"Must be one of {known}."}
        self.described({"type": "string", "enum": list(words)})

    def filter(self, queryset: QuerySet, value: str) -> QuerySet:
        return queryset if value in ("", None) else super().filter(queryset, self.words[value])


class FlagFilter(WordFilter):
    """``true`` or ``false``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, words={"true": True, "false": False}, **kwargs)
        self.described({"type": "boolean"})


class FilterSet(filters.FilterSet):
    @property
    def arena(self) -> Model:
        """The arena of the address, which the view has fetched."""
        return self.request.parser_context["view"].arena


class KeysetPagination(BasePagination):
    """Rows by id, beginning after the one that was seen last. Nothing is counted, nothing skipped over.

    A view's ``largest_page`` bounds what is sent at once.
    """

    default = 50

    def paginate_queryset(self, queryset: QuerySet, request: Request, view: Any) -> list[Model]:
        self.request = request
        limit = self._number(
            "limit", request, default=self.default, at_least=1, at_most=view.largest_page
        )
        after = self._number("after", request, default=0, at_least=0, at_most=LARGEST_ID)
        rows = queryset.order_by("pk")
        if after:
            rows = rows.filter(pk__gt=after)
        found = list(rows[: limit + 1])
        self.last = found[limit - 1].pk if len(found) > limit else None
        return found[:limit]

    @staticmethod
    def _number(name: str, request: Request, *, default: int, **bounds: int) -> int:
        try:
            value = WholeNumberField(required=False, **bounds).clean(request.query_params.get(name))
        except forms.ValidationError as error:
            raise ValidationError({name: error.messages}) from None
        return default if value is None else value

    def get_paginated_response(self, data: list[dict[str, Any]]) -> Response:
        if self.last is None:
            return Response({"next": None, "results": data})
        following = replace_query_param(self.request.build_absolute_uri(), "after", self.last)
        return Response(
            {"next": following, "results": data}, headers={"Link": f'<{following}>; rel="next"'}
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        following = {
            "type": "string",
            "format": "uri",
            "nullable": True,
            "description": "The next page; null on the last one.",
        }
        return {
            "type": "object",
            "required": ["next", "results"],
            "properties": {"next": following, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        parameters = {
            "after": (
                _whole_number_schema(0, LARGEST_ID),
                "Only rows with a larger id: that of the last row which was seen.",
            ),
            "limit": (
                _whole_number_schema(1, view.largest_page) | {"default": self.default},
                "Rows on a page.",
            ),
        }
        return [
            {"name": name, "in": "query", "required": False, "schema": schema, "description": text}
            for name, (schema, text) in parameters.items()
        ]


# --- responses ------------------------------------------------------------------------------------
class Json(JSONRenderer):
    charset = None

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        try:
            return super().render(data, *args, **kwargs)
        except UnicodeEncodeError:
            # Half a surrogate pair, which JSON can write as an escape and UTF-8 can't write at all.
            escaping = JSONRenderer()
            escaping.ensure_ascii = True
            return escaping.render(data, *args, **kwargs)


class OnlyJson(BaseContentNegotiation):
    """There is one representation, so a client gets it whatever it says that it accepts."""

    def select_parser(self, request: Request, parsers: list) -> Any:
        for parser in parsers:
            if media_type_matches(parser.media_type, request.content_type):
                return parser
        taken = ", ".join(parser.media_type for parser in parsers)
        raise UnsupportedMediaType(
            request.content_type, f"Send the body with a Content-Type of {taken}."
        )

    def select_renderer(self, request: Request, renderers: list, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class RowSerializer(serializers.ModelSerializer):
    # All fields are read only, so the schema knows that each of them is always there. (A docstring would
    # be inherited, and become the description of every row.)

    def get_extra_kwargs(self) -> dict[str, Any]:
        extra = super().get_extra_kwargs()
        for name in self.Meta.fields:
            extra.setdefault(name, {})["read_only"] = True
        return extra


@extend_schema_field({})
class AnyJsonField(serializers.JSONField):
    """Whatever was stored."""


def with_etag(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The response under the hash of its body, or 304 without one when the client has that body."""
    etag = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    response.headers["ETag"] = etag
    return get_conditional_response(request, etag=etag, response=response)


class Schema(AutoSchema):
    """Adds what all endpoints have in common: names, what stands in the path, problems as answers."""

    def get_tags(self) -> list[str]:
        return [self.view.noun]

    def get_operation_id(self) -> str:
        return f"{self.view.noun.replace('-', '_')}_{self.view.action}"

    def get_auth(self) -> list[dict[str, list]]:
        """Reading needs nobody, unless the view says so."""
        anybody = self.method == "GET" and self.view.anybody_reads
        return super().get_auth() + ([{}] if anybody else [])

    def get_override_parameters(self) -> list[OpenApiParameter]:
        slug = {"type": "string", "pattern": f"^{SLUG}$"}
        row = _whole_number_schema(1, LARGEST_ID)
        in_path = {
            **{"arena": (slug, "slug"), "slug": (slug, "slug")},
            **{"id": (row, "id"), "run": (row, "id")},
        }
        keys = [
            OpenApiParameter(
                KEY,
                {"type": "string", "minLength": 1, "maxLength": 200},
                OpenApiParameter.HEADER,
                description="Words of yours: the same request with the same words is done once, and answered "
                "like the first for a week. Not for what was refused.",
            )
        ]
        return (keys if self.method == "POST" else []) + [
            OpenApiParameter(
                name,
                schema,
                OpenApiParameter.PATH,
                description=f"The {what} of the {name if name in ('arena', 'run') else 'row'}.",
            )
            for name, (schema, what) in in_path.items()
            if f"{{{name}}}" in self.path
        ]

    def get_response_serializers(self) -> dict[Any, Any]:
        def a_problem(text: str) -> OpenApiResponse:
            return OpenApiResponse(problems.ProblemSerializer, description=text)

        answer = super().get_response_serializers()
        answers: dict[Any, Any] = {
            (400, problems.MEDIA_TYPE): a_problem("A parameter or the body is malformed."),
            (401, problems.MEDIA_TYPE): a_problem("The access token is missing, or no good."),
            (403, problems.MEDIA_TYPE): a_problem("Not with this token or account."),
            (404, problems.MEDIA_TYPE): a_problem(
                "There is no such thing, or it isn't yours to see."
            ),
            (429, problems.MEDIA_TYPE): a_problem("Too fast: Retry-After says how long to wait."),
        }
        if self.method == "GET":
            unchanged = "The body whose ETag If-None-Match names is current."
            return {200: answer, 304: OpenApiResponse(None, description=unchanged), **answers}
        if self.method == "DELETE":
            done = {204: OpenApiResponse(None, description="It is so, now or since before.")}
        else:
            there = "Changed, or there already: nothing was added."
            done = {200: OpenApiResponse(answer, description=there)}
            answers |= {
                (411, problems.MEDIA_TYPE): a_problem("The body came without its length."),
                (413, problems.MEDIA_TYPE): a_problem("The body is too large."),
                (415, problems.MEDIA_TYPE): a_problem("The body's Content-Type isn't known."),
            }
            if self.method == "POST":
                done[201] = OpenApiResponse(answer, description="Added.")
                answers[(422, problems.MEDIA_TYPE)] = a_problem(
                    "The Idempotency-Key was sent with another request before."
                )
        answers[(409, problems.MEDIA_TYPE)] = a_problem(
            "Not as things are now; the answer says why."
        )
        return done | answers


class ReadOnly:
    """Strict, cacheable and described; the base of every view of the API. Goes before a DRF view.

    Whoever is signed in, or sends an access token, sees more: those answers are for them alone.
    """

    http_method_names = ["get", "head", "options"]
    renderer_classes = [Json]
    content_negotiation_class = OnlyJson
    metadata_class = None
    schema = Schema()
    noun = ""
    anybody_reads = True
    max_age: ClassVar[int] = 0

    def get_exception_handler(self) -> Callable[..., Response]:
        return problems.handle_exception

    def known_parameters(self) -> dict[str, Any]:
        """Query parameters of the request's action; the value of a filter's is the filter."""
        return {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not hasattr(self, str(request.method).lower()):
            # What isn't done here isn't asked for its parameters.
            raise MethodNotAllowed(str(request.method))
        known = self.known_parameters()
        errors = {}
        for name, values in request.query_params.lists():
            if name not in known:
                takes = f"It takes {', '.join(sorted(known))}." if known else "It takes none."
                errors[name] = [f"This address has no such parameter. {takes}"]
            elif len(values) > 1:
                errors[name] = ["Given more than once."]
            elif not values[0] and not getattr(known[name], "takes_empty", False):
                errors[name] = ["Empty: leave it out instead."]
        if errors:
            raise ValidationError(errors)

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        patch_vary_headers(response, ["Authorization", "Cookie"])
        if request.method not in SAFE_METHODS:
            add_never_cache_headers(response)
        elif response.status_code == 200:
            # no-cache: may be kept, must be asked for again with its ETag.
            age = {"max_age": self.max_age} if self.max_age else {"no_cache": True}
            whose = "private" if request.user.is_authenticated else "public"
            patch_cache_control(response, **{whose: True}, **age)
            response.add_post_render_callback(partial(with_etag, request._request))
        return response


class ReadOnlyViewSet(ReadOnly, ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """A list in pages and its rows one by one.

    ``detail_class`` is the serializer of a single row where that says more, and ``detail_max_age`` how many
    seconds a single row may be taken from a cache unasked (rows that never change).
    """

    pagination_class = KeysetPagination
    filter_backends = [filters.DjangoFilterBackend]
    filterset_class: type[FilterSet] | None = None
    detail_class: Any = None
    detail_max_age = 0
    largest_page = 1000
    lookup_value_regex = ID

    @property
    def max_age(self) -> int:
        return self.detail_max_age if self.action == "retrieve" else 0

    def known_parameters(self) -> dict[str, Any]:
        if self.action != "list":
            return {}
        found = self.filterset_class.base_filters if self.filterset_class else {}
        return {**found, "after": None, "limit": None}

    def get_serializer_class(self) -> Any:
        if self.action == "retrieve" and self.detail_class:
            return self.detail_class
        return super().get_serializer_class()

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        # Filters are of lists; a single row is found by its address alone.
        return super().filter_queryset(queryset) if self.action == "list" else queryset


class Writes:
    """A view that also takes writes. Goes before a view of the read API.

    ``answer_classes``: the serializer of the answer to an action.
    """

    http_method_names = ["get", "head", "options", "post", "patch", "delete"]
    parser_classes: ClassVar[list] = [JsonBody]
    answer_classes: ClassVar[dict[str, Any]] = {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
            # Django reads no more than it is told is there: such a body would look empty.
            raise problems.Refused(
                "Send the body with a Content-Length, not in chunks. Nothing was stored.",
                status=411,
            )

    def get_serializer_class(self) -> Any:
        return self.answer_classes.get(self.action) or super().get_serializer_class()

    def body(self, serializer_class: type[Body], *, partial: bool = False) -> dict[str, Any]:
        """What was sent, each field of its type. Raises ValidationError, which names the field."""
        body = serializer_class(data=self.request.data, partial=partial)
        body.is_valid(raise_exception=True)
        return body.validated_data


def checked(form: forms.Form, *, only: Iterable[str] | None = None) -> dict[str, Any]:
    """What a page's form makes of its data, so that the API takes what the page takes.

    ``only``: the fields that are looked at, where not all were sent. Raises ValidationError.
    """
    for name in set(form.fields) - set(form.fields if only is None else only):
        del form.fields[name]
    if not form.is_valid():
        raise ValidationError(
            {
                "body" if name == "__all__" else name: list(found)
                for name, found in form.errors.items()
            }
        )
    return form.cleaned_data


class NothingHere(ReadOnly, APIView):
    """Every other address below the API's: a problem instead of a page."""

    schema = None
    http_method_names = [*ReadOnly.http_method_names, "post", "put", "patch", "delete"]
    # Nobody is asked who they are: there is nothing for anyone.
    authentication_classes: ClassVar[list] = []
    permission_classes: ClassVar[list] = []

    def known_parameters(self) -> dict[str, Any]:
        return dict.fromkeys(self.request.query_params)

    def get(self, request: Request, **kwargs: Any) -> Response:
        raise NotFound("The API has nothing at this address; /api/v1/ says what it has.")

    post = put = patch = delete = get
