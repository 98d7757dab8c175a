"""What is common to every API: who calls, how much, once or again, and what became of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from aiohttp import web

from libs.contracts.ids import NotificationId, new_notification_id
from libs.telemetry import metrics
from libs.web import read_body
from libs.wire import HttpRequest, HttpResponse, Problem
from services.gateway.accepting import OUTCOME, Accepting, lane_of, unavailable
from services.gateway.authorization import Principal, require
from services.gateway.credentials import Credentials
from services.gateway.deadline import CALL_SECONDS, Deadline
from services.gateway.dialects import DIALECTS, dialect_of
from services.gateway.idempotency import Idempotency, fingerprint, key_of
from services.gateway.limits import RequestLimit
from services.gateway.reading import Reading
from services.gateway.translation import Demand, Dialect, Draft, ReadCall, SendCall

# A hundred thousand ids of thirteen digits fit.
BODY_LIMIT = 1_500_000
NOTIFICATION_ID = "X-Notification-Id"


class Front:
    """The calls of all dialects over one engine."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        limit: RequestLimit,
        idempotency: Idempotency,
        accepting: Accepting,
        reading: Reading,
        now: Callable[[], datetime],
    ) -> None:
        self._credentials = credentials
        self._limit = limit
        self._idempotency = idempotency
        self._accepting = accepting
        self._reading = reading
        self._now = now

    def add_routes(self, app: web.Application) -> None:
        """Every call of every dialect, under all its spellings."""
        for dialect in DIALECTS.values():
            for send in dialect.sends:
                for path in send.paths:
                    app.router.add_route("POST", path, partial(self._send, dialect, send))
            for read in dialect.reads:
                for path in read.paths:
                    app.router.add_route("GET", path, partial(self._read, dialect, read))

    async def _send(self, dialect: Dialect, call: SendCall, request: web.Request) -> web.Response:
        started = time.monotonic()
        head = as_values(request)
        principal = await self._admit(call.demand(head, request.match_info))
        # The caller's time for its body is its own; what we took before counts towards our three seconds.
        spent = time.monotonic() - started
        whole = replace(head, body=await read_body(request, limit=BODY_LIMIT))
        key = key_of(whole)
        asked = _Asked(principal, dialect, call, call.drafts(whole, self._now()), Deadline(CALL_SECONDS - spent))
        if key is None:
            return as_answer(await self._accept(asked, asked.new_ids(self._now())))
        return as_answer(await self._accept_once(asked, key, fingerprint(whole, request.match_info)))

    async def _read(self, dialect: Dialect, call: ReadCall, request: web.Request) -> web.Response:
        head = as_values(request)
        principal = await self._admit(call.demand(head, request.match_info))
        return as_answer(await self._reading.answer(principal, call, call.question(head, request.match_info)))

    async def _admit(self, demand: Demand) -> Principal:
        credentials = await self._credentials.verified(demand)
        # Before rights are looked at: whoever tries out what is open to them is limited as well.
        self._limit.spend(credentials[0])
        return require(demand, credentials)

    async def _accept_once(self, asked: "_Asked", key: str, digest: bytes) -> HttpResponse:
        held = await self._idempotency.begin(
            tenant=asked.principal.tenant.name,
            route=f"{asked.dialect.name}.{asked.call.name}",
            key=key,
            fingerprint=digest,
            ids=asked.new_ids(self._now()),
            deadline=asked.deadline,
        )
        if isinstance(held, HttpResponse):
            metrics.GATEWAY_REPLAYS.labels(asked.dialect.name, asked.call.name).inc()
            return held
        response: HttpResponse | None = None
        try:
            response = await self._accept(asked, held.ids)
        finally:
            await self._idempotency.settle(held, response, asked.deadline)
        return response

    async def _accept(self, asked: "_Asked", ids: tuple[NotificationId, ...]) -> HttpResponse:
        with metrics.GATEWAY_ACCEPT_SECONDS.labels(asked.dialect.name).time():
            accepted = await self._accepting.accept(
                asked.principal, asked.dialect.name, asked.drafts, ids, asked.deadline
            )
        metrics.GATEWAY_ACCEPTED.labels(asked.dialect.name, asked.call.name, lane_of(asked.drafts)).inc(len(ids))
        answer = asked.call.answer(accepted)
        names = ", ".join(str(number) for number in ids)
        return replace(answer, headers={**answer.headers, NOTIFICATION_ID: names})


@dataclass(frozen=True, slots=True)
class _Asked:
    """One call that asks for notifications, understood and admitted."""

    principal: Principal
    dialect: Dialect
    call: SendCall
    drafts: tuple[Draft, ...]
    deadline: Deadline

    def new_ids(self, now: datetime) -> tuple[NotificationId, ...]:
        return tuple(new_notification_id(now) for _ in self.drafts)


def render(request: web.Request, problem: Problem) -> web.Response:
    """Any problem, in the form of the API whose path was called."""
    # The server refuses a NUL anywhere in a URL; in a path it only means that nothing has this name.
    if problem.status == 400 and "%00" in request.raw_path.partition("?")[0]:
        problem = Problem(404, "not_found", "There is nothing at this path.")
    if problem.status == 503 and request.method == "POST" and OUTCOME not in problem.headers:
        # Whoever knows that something was handed over says so; everybody else fails before it.
        problem = unavailable("refused", problem.detail, retry_after=problem.headers.get("Retry-After", "1"))
    return as_answer(dialect_of(request.path).refuse(problem))


def as_values(request: web.Request) -> HttpRequest:
    """The head of a request as plain values, without its body."""
    return HttpRequest(
        method=request.method,
        path=request.path,
        headers={name.lower(): value for name, value in request.headers.items()},
        query=dict(request.query.items()),
    )


def as_answer(response: HttpResponse) -> web.Response:
    """Plain values as an answer of the server."""
    return web.Response(status=response.status, headers=dict(response.headers), body=response.body)
