"""The JSON object in a request."""

import re

from libs.wire import HttpRequest, JsonValue, Problem, parse_json

_JSON = re.compile(r"application/(?:json|[a-z0-9!#$&^_.+-]+\+json)", re.IGNORECASE)


def json_object(request: HttpRequest) -> dict[str, JsonValue]:
    """The body's object. Raises Problem: 415 for a body that is said to be something else (one that says nothing is
    taken for JSON), 400 for what is no JSON, 422 for JSON that is no object."""
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if content_type and not _JSON.fullmatch(content_type):
        raise Problem(415, "unsupported_media_type", "Send the body as JSON, with Content-Type: application/json.")
    value = parse_json(request.body)
    if not isinstance(value, dict):
        raise Problem(422, "invalid_request", "The body must be a JSON object.")
    return value
