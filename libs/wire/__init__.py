"""What goes over HTTP as plain values: requests, answers, problems, JSON. No server and no client is known here."""

from libs.wire.http import Headers, HttpRequest, HttpResponse
from libs.wire.json_values import JSON_CONTENT_TYPE, JsonValue, json_bytes
from libs.wire.problems import Problem
from libs.wire.strict_json import parse_json

__all__ = [
    "JSON_CONTENT_TYPE",
    "Headers",
    "HttpRequest",
    "HttpResponse",
    "JsonValue",
    "Problem",
    "json_bytes",
    "parse_json",
]
