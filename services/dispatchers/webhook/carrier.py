"""Carries webhooks: one message a request, to the URL that stands for the recipient's address."""

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import ClassVar, Protocol

from libs.contracts.content import WebhookContent
from libs.contracts.outcomes import Ambiguous, Outcome, Permanent, Throttled, Transient
from libs.contracts.routing import Lane
from libs.outbound_urls import OutboundUrl, RefusedUrl, outbound_url
from libs.settings import load
from libs.signing import SigningSettings, tenant_keys
from libs.telemetry import tracing
from libs.wire import HttpRequest, HttpResponse
from services.dispatchers.http import NoAnswer, NotConnected
from services.dispatchers.provider import Outbound
from services.dispatchers.route import Route
from services.dispatchers.webhook import standard
from services.dispatchers.webhook.endpoints import Endpoint, Endpoints
from services.dispatchers.webhook.settings import WebhookDispatcherSettings
from services.dispatchers.webhook.transport import ForbiddenAddress, GuardedTransport

BUSY = Throttled("too many calls at once", timedelta(seconds=1))


class Transport(Protocol):
    """Whoever makes the call: GuardedTransport, or a test's."""

    async def call(self, target: OutboundUrl, request: HttpRequest) -> HttpResponse:
        """Raises ForbiddenAddress, NotConnected or NoAnswer."""
        ...


class WebhookCarrier:
    """`masters` are the platform's signing keys, newest first; `clock` is monotonic, `now` in seconds since 1970."""

    name: ClassVar[str] = "webhook"
    batch: ClassVar[int] = 1

    def __init__(
        self,
        transport: Transport,
        masters: Sequence[bytes],
        endpoints: Endpoints,
        *,
        allow_loopback: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._transport = transport
        self._masters = masters
        self._endpoints = endpoints
        self._allow_loopback = allow_loopback
        self._clock = clock
        self._now = now

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Outcome]:
        """An outcome for each message."""
        return [await self._send(message) for message in messages]

    async def _send(self, message: Outbound) -> Outcome:
        if not isinstance(message.content, WebhookContent):
            return Permanent(f"{message.content.kind} content is no webhook")
        try:  # it was checked as it was written down, by the rules of that day
            target = outbound_url(message.to, allow_loopback=self._allow_loopback)
        except RefusedUrl as error:
            return Permanent(f"the URL is refused: {error}")
        endpoint = self._endpoints.at(message.tenant, target)
        if refused := endpoint.refusal(self._clock()):
            return refused
        async with endpoint.server.places.one() as at_server:
            if not at_server:
                return BUSY
            async with self._endpoints.places(message.tenant).one() as of_tenant:
                return await self._call(endpoint, target, message, message.content) if of_tenant else BUSY

    async def _call(
        self, endpoint: Endpoint, target: OutboundUrl, message: Outbound, content: WebhookContent
    ) -> Outcome:
        started = self._clock()
        if refused := endpoint.begin(started):
            return refused
        request = standard.request(
            target.url,
            content,
            webhook_id=message.reference,
            timestamp=int(self._now()),
            keys=tenant_keys(self._masters, message.tenant),
        )
        try:
            with tracing.span("call webhook"):
                response = await self._transport.call(target, request)
        except ForbiddenAddress as error:
            endpoint.failed(self._clock(), started, answered=True)
            return Permanent(f"the URL is refused: {error}")
        except NotConnected as error:
            endpoint.failed(self._clock(), started, answered=False)
            return Transient(f"not connected: {error}")
        except NoAnswer as error:
            endpoint.failed(self._clock(), started, answered=False)
            return Ambiguous(f"no answer: {error}")
        outcome = standard.outcome(response)
        if isinstance(outcome, Transient) and response.status >= 500:
            endpoint.failed(self._clock(), started, answered=True)
            return outcome
        return endpoint.heard(outcome, self._clock(), started)


async def open_webhooks(settings: WebhookDispatcherSettings, stack: AsyncExitStack) -> Sequence[Route]:
    """The one route there is, with its connections, which `stack` closes. Reads SigningSettings besides."""
    concurrency = {Lane.URGENT: settings.concurrency_urgent, Lane.BULK: settings.concurrency_bulk}
    transport = await stack.enter_async_context(
        GuardedTransport(connections=sum(concurrency.values()), allow_loopback=settings.allow_loopback)
    )
    carrier = WebhookCarrier(
        transport,
        load(SigningSettings).master_keys(),
        Endpoints(per_tenant=settings.tenant_concurrency, per_server=settings.server_concurrency),
        allow_loopback=settings.allow_loopback,
    )
    return [Route(carrier.name, carrier, concurrency, shared=False)]
