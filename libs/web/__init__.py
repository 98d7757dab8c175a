"""aiohttp server basics: limits, deadlines, errors as problem documents, health."""

from libs.web.application import application
from libs.web.bodies import read_body, require_json_content_type
from libs.web.health import Check, add_health
from libs.web.problems import problem_response
from libs.web.server import Server
from libs.web.tokens import require_internal_token

__all__ = [
    "Check",
    "Server",
    "add_health",
    "application",
    "problem_response",
    "read_body",
    "require_internal_token",
    "require_json_content_type",
]
