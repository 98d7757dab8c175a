"""The carrier: signed, guarded, and each endpoint looked after by itself."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from libs.contracts.content import InlineContent, SmsContent, WebhookContent
from libs.contracts.outcomes import Accepted, Ambiguous, Outcome, Permanent, Throttled, Transient
from libs.outbound_urls import OutboundUrl
from libs.signing import secret_text, tenant_key, verifies
from libs.wire import HttpRequest, HttpResponse
from services.dispatchers.breaker import LEAST_CALLS
from services.dispatchers.http import NoAnswer, NotConnected
from services.dispatchers.provider import Outbound
from services.dispatchers.webhook import places
from services.dispatchers.webhook.carrier import BUSY, WebhookCarrier
from services.dispatchers.webhook.endpoints import Endpoints
from services.dispatchers.webhook.standard import GONE
from services.dispatchers.webhook.transport import ForbiddenAddress

MASTER = b"master key"
CONTENT = WebhookContent(body='{"a": 1}')
Answer = HttpResponse | Exception


class ScriptedTransport:
    """Answers 200 unless told otherwise; calls to `held` wait."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, HttpRequest]] = []
        self.answer: Callable[[str], Answer] = lambda url: HttpResponse(200)
        self.held: set[str] = set()
        self.release = asyncio.Event()

    async def call(self, target: OutboundUrl, request: HttpRequest) -> HttpResponse:
        self.calls.append((target.url, request))
        if target.url in self.held:
            await self.release.wait()
        answer = self.answer(target.url)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Sending:
    """A carrier with its double and its clock."""

    def __init__(self, *, allow_loopback: bool = False, per_tenant: int = 8, per_server: int = 2) -> None:
        self.transport = ScriptedTransport()
        self.clock = Clock()
        self.carrier = WebhookCarrier(
            self.transport,
            [MASTER],
            Endpoints(per_tenant=per_tenant, per_server=per_server),
            allow_loopback=allow_loopback,
            clock=self.clock,
            now=lambda: 1700000000.9,
        )

    async def to(
        self, url: str = "https://example.com/hook", *, tenant: str = "demo", content: InlineContent = CONTENT
    ) -> Outcome:
        (outcome,) = await self.carrier.send([Outbound("a" * 32, url, content, tenant)])
        return outcome


async def test_it_is_signed_with_the_tenants_own_key() -> None:
    sending = Sending()
    for tenant in ("demo", "other"):
        assert await sending.to(tenant=tenant) == Accepted("")
    for tenant, (_, request) in zip(("demo", "other"), sending.transport.calls, strict=True):
        headers = request.headers
        assert headers["webhook-timestamp"] == "1700000000"
        for owner in ("demo", "other"):
            fits = verifies(
                [secret_text(tenant_key(MASTER, owner))],
                headers["webhook-id"],
                headers["webhook-timestamp"],
                request.body,
                headers["webhook-signature"],
            )
            assert fits is (owner == tenant)


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "https://10.0.0.1/", "https://localhost./", "http://127.0.0.1:8025/hooks/x", "nonsense"],
)
async def test_a_url_that_became_forbidden_since_is_refused(url: str) -> None:
    sending = Sending()
    outcome = await sending.to(url)
    assert isinstance(outcome, Permanent)
    assert outcome.reason.startswith("the URL is refused: it")
    assert sending.transport.calls == []


async def test_this_machine_where_it_was_allowed() -> None:
    sending = Sending(allow_loopback=True)
    assert await sending.to("http://127.0.0.1:8025/hooks/x") == Accepted("")


async def test_other_content_is_refused() -> None:
    assert await Sending().to(content=SmsContent(text="Hello")) == Permanent("sms content is no webhook")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ForbiddenAddress(), Permanent("the URL is refused: the address is not a public one")),
        (NotConnected("ClientConnectorError"), Transient("not connected: ClientConnectorError")),
        (NoAnswer("TimeoutError"), Ambiguous("no answer: TimeoutError")),
    ],
)
async def test_calls_that_come_to_nothing(error: Exception, outcome: Outcome) -> None:
    sending = Sending()
    sending.transport.answer = lambda url: error
    assert await sending.to() == outcome


async def test_a_throttle_is_for_this_endpoint_and_not_a_call_is_made_meanwhile() -> None:
    sending = Sending()
    sending.transport.answer = lambda url: HttpResponse(429, {"retry-after": "7"})
    assert await sending.to() == Throttled("http 429", timedelta(seconds=7))
    sending.clock.seconds += 2
    held = await sending.to()
    assert isinstance(held, Throttled)
    assert held.retry_after == timedelta(seconds=5)
    assert len(sending.transport.calls) == 1
    sending.transport.answer = lambda url: HttpResponse(200)
    assert await sending.to("https://example.com/other") == Accepted("")
    assert await sending.to(tenant="other") == Accepted("")
    sending.clock.seconds += 5
    assert await sending.to() == Accepted("")


async def test_one_that_is_gone_is_not_asked_again() -> None:
    sending = Sending()
    sending.transport.answer = lambda url: HttpResponse(410)
    assert [await sending.to() for _ in range(3)] == [GONE] * 3
    assert len(sending.transport.calls) == 1


@pytest.mark.parametrize("answer", [HttpResponse(500), HttpResponse(502), NotConnected("x")])
async def test_a_broken_server_is_left_alone_and_others_are_not(answer: Answer) -> None:
    sending = Sending()
    sending.transport.answer = lambda url: answer if "example.com" in url else HttpResponse(200)
    for number in range(LEAST_CALLS):
        assert isinstance(await sending.to(f"https://example.com/{number}"), Transient)
    assert isinstance(await sending.to("https://example.com/last"), Throttled)
    assert len(sending.transport.calls) == LEAST_CALLS
    assert await sending.to("https://example.org/") == Accepted("")


async def test_what_one_server_holds_up_leaves_places_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PATIENCE", 0.01)
    sending = Sending(per_server=2)
    slow = [f"https://slow.example.com/{number}" for number in range(4)]
    sending.transport.held = set(slow)
    calls = [asyncio.create_task(sending.to(url)) for url in slow]
    done, waiting = await asyncio.wait(calls, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 2:
        more, waiting = await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    assert [call.result() for call in done] == [BUSY] * 2
    assert await sending.to("https://fast.example.com/") == Accepted("")
    assert len(sending.transport.calls) == 3
    sending.transport.release.set()
    assert [await call for call in waiting] == [Accepted("")] * 2
    assert await sending.to(slow[0]) == Accepted("")


async def test_of_those_that_waited_for_a_recovery_one_is_the_probe() -> None:
    sending = Sending(per_server=1)
    sending.transport.answer = lambda url: HttpResponse(500)
    for number in range(LEAST_CALLS):
        await sending.to(f"https://example.com/{number}")
    sending.clock.seconds += 60
    sending.transport.held = {"https://example.com/probe"}
    sending.transport.answer = lambda url: HttpResponse(200)
    probe = asyncio.create_task(sending.to("https://example.com/probe"))
    while len(sending.transport.calls) == LEAST_CALLS:
        await asyncio.sleep(0)
    assert isinstance(await sending.to("https://example.com/other"), Throttled)
    sending.transport.release.set()
    assert await probe == Accepted("")
    assert await sending.to("https://example.com/other") == Accepted("")


async def test_what_one_tenant_holds_up_leaves_places_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PATIENCE", 0.01)
    sending = Sending(per_tenant=3)
    dead = [f"https://dead-{number}.example.com/" for number in range(5)]
    sending.transport.held = set(dead)
    calls = [asyncio.create_task(sending.to(url)) for url in dead]
    while sum(call.done() for call in calls) < 2:
        await asyncio.sleep(0.005)
    assert [call.result() for call in calls if call.done()] == [BUSY] * 2
    assert await sending.to("https://fine.example.com/") == BUSY
    assert await sending.to("https://fine.example.com/", tenant="other") == Accepted("")
    sending.transport.release.set()
    await asyncio.gather(*calls)
    assert await sending.to("https://fine.example.com/") == Accepted("")
