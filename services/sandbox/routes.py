"""The inbox over HTTP, and a page that says what is here."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from aiohttp import web

from libs.wire import Problem, json_bytes
from services.sandbox.reports import Reports
from services.sandbox.repository import Inbox, Query

MAX_LIMIT = 5000
MAX_CONTAINS = 256
_PARAMETERS = frozenset({"channel", "to", "contains", "since", "limit", "before"})
_PHONE = re.compile(r"\s*\+?[0-9][0-9 ()-]*")

PAGE = """Carillon sandbox: simulated carriers and the inbox.

GET    /messages       what arrived, newest first
                       ?channel= &to= &contains= &since=<ISO 8601> &limit=<1..5000> &before=<id>
DELETE /messages       empties the inbox
POST   /smsc/messages  a simulated SMSC (carrier key needed)
POST   /viber/messages a simulated Viber partner (carrier key needed)
POST   /hooks/<path>   catches webhooks; /hooks/fail/<n>, /hooks/throttle, /hooks/gone, /hooks/redirect and /hooks/slow
                       behave badly

Numbers with a fixed outcome: deploy/demo/magic.csv.

{total} messages shown, {dropped} dropped as too old, {waiting} reports waiting. All of it is in memory only.
"""


class InboxRoutes:
    """GET and DELETE /messages, GET /."""

    def __init__(self, inbox: Inbox, reports: Reports) -> None:
        self._inbox = inbox
        self._reports = reports

    def add_to(self, app: web.Application) -> None:
        """Register."""
        app.router.add_get("/", self.get_page)
        app.router.add_get("/messages", self.get_messages)
        app.router.add_delete("/messages", self.delete_messages)

    async def get_page(self, request: web.Request) -> web.Response:
        """Plain text for whoever opens it in a browser."""
        inbox = self._inbox
        return web.Response(text=PAGE.format(total=inbox.total, dropped=inbox.dropped, waiting=self._reports.waiting))

    async def get_messages(self, request: web.Request) -> web.Response:
        """A page of the inbox."""
        document = await self._inbox.show(read_query(request.query))
        return web.Response(body=json_bytes(document), content_type="application/json")

    async def delete_messages(self, request: web.Request) -> web.Response:
        """Empty the inbox."""
        self._inbox.clear()
        return web.Response(status=204)


def read_query(query: Mapping[str, str]) -> Query:
    """Understand a query string. Raises Problem 400 naming the parameter that is wrong."""
    if unknown := sorted(set(query) - _PARAMETERS):
        raise _invalid(f"There is no parameter {unknown[0]!r}.")
    contains = query.get("contains")
    if contains is not None and not 1 <= len(contains) <= MAX_CONTAINS:
        raise _invalid(f"contains has 1 to {MAX_CONTAINS} characters.")
    return Query(
        channel=query.get("channel"),
        to=_recipient(query["to"]) if "to" in query else None,
        contains=contains,
        since=_instant(query["since"]) if "since" in query else None,
        before=_number(query["before"], "before", 2**63 - 1) if "before" in query else None,
        limit=_number(query.get("limit", "100"), "limit", MAX_LIMIT),
    )


def _recipient(text: str) -> str:
    """A phone as the inbox writes it, digits only (a + in a query arrives as a space); anything else as it is."""
    return re.sub(r"[^0-9]", "", text) if _PHONE.fullmatch(text) else text


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise _invalid("since is an instant in ISO 8601.") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _number(text: str, name: str, largest: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and 1 <= int(text) <= largest):
        raise _invalid(f"{name} is a number from 1 to {largest}.")
    return int(text)


def _invalid(detail: str) -> Problem:
    return Problem(400, "invalid_parameter", detail)
