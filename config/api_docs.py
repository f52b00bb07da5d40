"""The description of the API: for programs (OpenAPI), and the same for people as a page."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from config.api import ReadOnly


@cache
def openapi() -> dict[str, Any]:
    """The OpenAPI document. The same for everybody, so it is made once per process."""
    return SchemaGenerator().get_schema(request=None, public=True)


class Schema(ReadOnly, APIView):
    schema = None
    max_age = 300

    def get(self, request: Request) -> Response:
        return Response(openapi(), content_type="application/vnd.oai.openapi+json")


class Root(ReadOnly, APIView):
    """Where to begin."""

    schema = None

    def get(self, request: Request) -> Response:
        names = {"arenas": "api-arenas-list", "schema": "api-schema", "docs": "api-docs"}
        return Response({noun: reverse(name, request=request) for noun, name in names.items()})


class Field(NamedTuple):
    """A parameter, or a field of an answer. ``object`` names the object that it holds, if any."""

    name: str
    kind: str
    text: str
    object: str = ""


class Endpoint(NamedTuple):
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Field]
    answer: str  # the name of the object that is answered; empty: none
    is_list: bool
    body: str  # the name of the object that is sent; empty: none
    takes_list: bool
    formats: str  # of the body


class Chapter(NamedTuple):
    noun: str
    endpoints: list[Endpoint]


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Every address with its parameters, and every object with its fields. Drawn without scripts."""
    document = openapi()
    context = {
        "chapters": chapters(document),
        "objects": objects(document["components"]["schemas"]),
        "base": request.build_absolute_uri("/")[:-1],
    }
    return render(request, "api/docs.html", context)


def chapters(document: dict[str, Any]) -> list[Chapter]:
    """Endpoints by the noun that they are about, arenas first and then by the alphabet."""
    schemas = document["components"]["schemas"]
    by_noun: dict[str, list[Endpoint]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answer = _object_in(_answer_of(operation))
            is_list = answer.startswith("Paginated")
            if is_list:
                answer = _object_in(schemas[answer]["properties"]["results"])
            sent = operation.get("requestBody", {}).get("content", {})
            body = sent.get("application/json", {}).get("schema", {})
            endpoint = Endpoint(
                method=method.upper(),
                path=path,
                summary=operation["summary"],
                description=operation["description"],
                parameters=[_parameter(p, schemas) for p in operation.get("parameters", [])],
                answer=answer,
                is_list=is_list,
                body=_object_in(body),
                takes_list=body.get("type") == "array",
                formats=", ".join(sent),
            )
            by_noun.setdefault(operation["tags"][0], []).append(endpoint)
    return [Chapter(noun, endpoints) for noun, endpoints in by_noun.items()]


def _answer_of(operation: dict[str, Any]) -> dict[str, Any]:
    answers = operation["responses"]
    return answers.get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})


def objects(schemas: dict[str, Any]) -> dict[str, list[Field]]:
    """The fields of every object, by its name; pages and enumerations are described where they are used."""
    return {
        name: list(_fields(schema, schemas))
        for name, schema in schemas.items()
        if schema.get("type") == "object" and not name.startswith("Paginated")
    }


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[Field]:
    for name, value in schema["properties"].items():
        text = value.get("description", "").split("\n\n* ", 1)[0]
        yield Field(name, _kind(value, schemas), text, _shown(_object_in(value), schemas))


def _parameter(parameter: dict[str, Any], schemas: dict[str, Any]) -> Field:
    kind = _kind(parameter["schema"], schemas)
    if "default" in parameter["schema"]:
        kind += f", {parameter['schema']['default']} by default"
    where = "required" if parameter.get("required") else "optional"
    if parameter["in"] == "path":
        where = "in the path"
    return Field(parameter["name"], f"{kind}, {where}", parameter.get("description", ""))


def _kind(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """The type of a value in words."""
    named = _object_in(schema) if schema.get("type") != "array" else ""
    inner = schemas.get(named, schema)
    if "enum" in inner:
        words = "one of " + ", ".join(str(word) for word in inner["enum"])
    elif schema.get("type") == "array":
        words = f"list of {_kind(schema['items'], schemas)}"
    elif named:
        words = named
    else:
        words = inner.get("type", "any JSON")
        if inner.get("format") == "date-time":
            words = "time (ISO 8601)"
        if words == "integer" and inner.get("maximum", 2**32) < 2**32:
            words += f" from {inner['minimum']} to {inner['maximum']}"
    return f"{words} or null" if schema.get("nullable") else words


def _object_in(schema: dict[str, Any]) -> str:
    """The name that a schema refers to, through a list or a choice; empty when it refers to none."""
    inner = schema.get("items", schema)
    for candidate in (inner, *inner.get("allOf", ()), *inner.get("oneOf", ())):
        if "$ref" in candidate:
            return candidate["$ref"].rpartition("/")[2]
    return ""


def _shown(name: str, schemas: dict[str, Any]) -> str:
    return name if schemas.get(name, {}).get("type") == "object" else ""
