"""What is common to every API: who calls, how much, once or again, and who answers."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol

from aiohttp import web

from libs.contracts.ids import NotificationId, new_notification_id
from libs.telemetry import metrics
from libs.web import read_body
from libs.wire import HttpRequest, HttpResponse, Problem
from services.gateway.accepting import OUTCOME, Accepting, lane_of, unavailable
from services.gateway.asking import Asking
from services.gateway.authorization import Principal, require
from services.gateway.controlling import Controlling
from services.gateway.credentials import Credentials
from services.gateway.deadline import CALL_SECONDS, Deadline
from services.gateway.destinations import called
from services.gateway.dialects import DIALECTS, dialect_of
from services.gateway.idempotency import Idempotency, fingerprint, key_of
from services.gateway.limits import RequestLimit
from services.gateway.reading import Reading
from services.gateway.translation import ControlCall, Demand, Dialect, Draft, OwnerCall, ReadCall, SendCall

# A hundred thousand ids of thirteen digits fit.
BODY_LIMIT = 1_500_000
NOTIFICATION_ID = "X-Notification-Id"

Ids = tuple[NotificationId, ...]


class Call(Protocol):
    """What calls of every kind have."""

    @property
    def name(self) -> str: ...

    @property
    def paths(self) -> tuple[str, ...]: ...

    def demand(self, request: HttpRequest, segments: Mapping[str, str]) -> Demand: ...


class Front:
    """The calls of all dialects over one engine."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        limit: RequestLimit,
        idempotency: Idempotency,
        accepting: Accepting,
        controlling: Controlling,
        asking: Asking,
        reading: Reading,
        now: Callable[[], datetime],
    ) -> None:
        self._credentials = credentials
        self._limit = limit
        self._idempotency = idempotency
        self._accepting = accepting
        self._controlling = controlling
        self._asking = asking
        self._reading = reading
        self._now = now

    def add_routes(self, app: web.Application) -> None:
        """Every call of every dialect, under all its spellings."""
        for dialect in DIALECTS.values():
            for send in dialect.sends:
                _add(app, send, send.methods, partial(self._send, dialect, send))
            for control in dialect.controls:
                _add(app, control, control.methods, partial(self._control, dialect, control))
            for petition in dialect.petitions:
                _add(app, petition, petition.methods, partial(self._ask, dialect, petition))
            for read in dialect.reads:
                _add(app, read, ("GET",), partial(self._read, read))

    async def _send(self, dialect: Dialect, call: SendCall, request: web.Request) -> web.Response:
        asked = await self._enter(dialect, call, request)
        drafts = called(
            call.drafts(asked.request, self._now()), allow_loopback=asked.principal.tenant.may_call_loopback
        )
        ids = tuple(new_notification_id(self._now()) for _ in drafts)
        return as_answer(await self._once(asked, ids, partial(self._accept, asked, call, drafts)))

    async def _control(self, dialect: Dialect, call: ControlCall, request: web.Request) -> web.Response:
        asked = await self._enter(dialect, call, request)
        order = call.order(asked.request, asked.segments, self._now())

        async def control(ids: Ids) -> HttpResponse:
            await self._controlling.control(asked.principal, order, ids[0], asked.deadline)
            return call.answer(order)

        # Nobody sees this id: remembered with the key, it makes the command of a retry the same command.
        return as_answer(await self._once(asked, (new_notification_id(self._now()),), control))

    async def _ask(self, dialect: Dialect, call: OwnerCall, request: web.Request) -> web.Response:
        asked = await self._enter(dialect, call, request)
        petition = call.petition(asked.request, asked.segments)

        async def ask(ids: Ids) -> HttpResponse:
            return await self._asking.answer(asked.principal, call, petition, asked.deadline)

        if petition.body is None:  # nothing is done that could be done twice
            return as_answer(await ask(()))
        return as_answer(await self._once(asked, (), ask))

    async def _read(self, call: ReadCall, request: web.Request) -> web.Response:
        head = as_values(request)
        principal = await self._admit(call.demand(head, request.match_info))
        return as_answer(await self._reading.answer(principal, call, call.question(head, request.match_info)))

    async def _enter(self, dialect: Dialect, call: Call, request: web.Request) -> "_Asked":
        """Admit the caller, then read the whole request."""
        started = time.monotonic()
        head = as_values(request)
        principal = await self._admit(call.demand(head, request.match_info))
        # The caller's time for its body is its own; what we took before counts towards our three seconds.
        spent = time.monotonic() - started
        whole = replace(head, body=await read_body(request, limit=BODY_LIMIT))
        deadline = Deadline(CALL_SECONDS - spent)
        return _Asked(principal, dialect.name, call.name, whole, dict(request.match_info), key_of(whole), deadline)

    async def _admit(self, demand: Demand) -> Principal:
        credentials = await self._credentials.verified(demand)
        # Before rights are looked at: whoever tries out what is open to them is limited as well.
        self._limit.spend(credentials[0])
        return require(demand, credentials)

    async def _once(self, asked: "_Asked", ids: Ids, work: Callable[[Ids], Awaitable[HttpResponse]]) -> HttpResponse:
        """What `work` answers, or what it answered the first time this key came. A retry gets the ids of the first."""
        if asked.key is None:
            return await work(ids)
        held = await self._idempotency.begin(
            tenant=asked.principal.tenant.name,
            route=f"{asked.dialect}.{asked.call}",
            key=asked.key,
            fingerprint=fingerprint(asked.request, asked.segments),
            ids=ids,
            deadline=asked.deadline,
        )
        if isinstance(held, HttpResponse):
            metrics.GATEWAY_REPLAYS.labels(asked.dialect, asked.call).inc()
            return held
        response: HttpResponse | None = None
        try:
            response = await work(held.ids)
        finally:
            await self._idempotency.settle(held, response, asked.deadline)
        return response

    async def _accept(self, asked: "_Asked", call: SendCall, drafts: tuple[Draft, ...], ids: Ids) -> HttpResponse:
        with metrics.GATEWAY_ACCEPT_SECONDS.labels(asked.dialect).time():
            accepted = await self._accepting.accept(asked.principal, asked.dialect, drafts, ids, asked.deadline)
        metrics.GATEWAY_ACCEPTED.labels(asked.dialect, call.name, lane_of(drafts)).inc(len(ids))
        answer = call.answer(accepted)
        names = ", ".join(str(number) for number in ids)
        return replace(answer, headers={**answer.headers, NOTIFICATION_ID: names})


@dataclass(frozen=True, slots=True)
class _Asked:
    """One call by somebody who may make it."""

    principal: Principal
    dialect: str
    call: str
    request: HttpRequest
    segments: Mapping[str, str]
    key: str | None
    deadline: Deadline


def _add(
    app: web.Application,
    call: Call,
    methods: tuple[str, ...],
    handler: Callable[[web.Request], Awaitable[web.Response]],
) -> None:
    for path in call.paths:
        for method in methods:
            app.router.add_route(method, path, handler)


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
