"""Magic recipients: the table, what a sender is told, and what is reported."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from deploy.demo import generate
from libs.contracts.outcomes import Accepted, Ambiguous, Outcome, OutOfFunds, Permanent, Throttled, Transient
from libs.contracts.states import DeliveryState
from libs.phones import e164
from libs.settings import load
from libs.wire import HttpResponse
from services.dispatchers.account import Account
from services.dispatchers.sms import http_smsc
from services.dispatchers.sms.http_smsc import HttpSmsc
from services.dispatchers.viber import http_viber
from services.sandbox import turns
from services.sandbox.app import wire
from services.sandbox.magic import MAGIC, Answer, Behaviour
from services.sandbox.reports import Reports
from services.sandbox.repository import Arrival, Inbox
from services.sandbox.settings import SandboxSettings
from services.sandbox.smsc import report_form
from services.sandbox.turns import Turns
from services.tracker.lifecycle import CODES, Fact, settle

LISTED = Path(generate.__file__).with_name("magic.csv").read_text(encoding="utf-8")
ROWS = list(csv.DictReader(LISTED.splitlines()))
NAMES = {behaviour.name: f"+{address}" for address, behaviour in MAGIC["sms"].items()}
VIBER_NAMES = {behaviour.name: f"+{address}" for address, behaviour in MAGIC["viber"].items()}
STATES = {"sms": http_smsc.STATES, "viber": http_viber.STATES}
ORDINARY = "+48500000001"
ACCOUNT = Account("http://carrier.test", SecretStr("carrier-key"), "Salon", SecretStr("http://us.test/receipts"))


class Time:
    """The reports' clock, which the test moves, and the calls made by then: (seconds, statuses by id)."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls: list[tuple[float, list[tuple[str, str]]]] = []

    async def take(self, url: str, body: bytes) -> bool:
        told = [(report["id"], report["status"]) for report in json.loads(body)["reports"]]
        self.calls.append((self.seconds, told))
        return True


class Carrier:
    """The sandbox, spoken to as our provider speaks to it."""

    def __init__(self, client: TestClient[Any, Any], reports: Reports, time: Time) -> None:
        self._client = client
        self._reports = reports
        self._provider = HttpSmsc(ACCOUNT)
        self.time = time

    async def send(self, *messages: tuple[int, str]) -> Sequence[Outcome]:
        """Submit (key, address) and read the answer."""
        references = [f"{key:032x}" for key, _ in messages]
        given = [
            {"reference": reference, "to": address, "from": "Salon", "text": "Hello"}
            for reference, (_, address) in zip(references, messages, strict=True)
        ]
        body = json.dumps({"callback_url": "http://us.test/receipts", "messages": given})
        headers = {"Authorization": "Bearer carrier-key"}
        async with self._client.post("/smsc/messages", data=body, headers=headers) as response:
            answer = HttpResponse(response.status, {}, await response.read())
        return self._provider.outcomes(answer, references)

    async def reported(self, *, within: int = 5) -> list[tuple[float, list[str]]]:
        """When which statuses are told, a call each, in the `within` seconds from the beginning of time."""
        for tenth in range(within * 10):
            self.time.seconds = tenth / 10
            self._reports.later(
                -1, "http://nobody.test/", [], "delivered", report_form
            )  # overdue: it wakes up and looks
            for _ in range(10):
                await asyncio.sleep(0)
        return [(at, [status for _, status in told]) for at, told in self.time.calls if told]

    async def arrived(self) -> list[str]:
        """To whom."""
        async with self._client.get("/messages") as response:
            return [message["to"] for message in (await response.json())["messages"]]


@asynccontextmanager
async def opened(*, honour_keys: bool) -> AsyncIterator[Carrier]:
    time = Time()
    reports = Reports(time.take, clock=lambda: time.seconds)
    inbox = Inbox(capacity=1000, honour_keys=honour_keys, boot="b")
    running = asyncio.create_task(reports.run())
    settings = load(SandboxSettings, {"SANDBOX_CARRIER_KEY": "carrier-key"})
    async with TestClient(TestServer(wire(settings, inbox, reports))) as client:
        yield Carrier(client, reports, time)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    inbox.close()


@pytest.fixture
async def carrier() -> AsyncIterator[Carrier]:
    async with opened(honour_keys=True) as carrier:
        yield carrier


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns.Turn, "patience", 0.01)


def test_the_list_for_callers_and_the_carrier_agree() -> None:
    assert LISTED.splitlines()[0] == "channel,address,client_id,behaviour,outcome,delay_s"
    assert {row["behaviour"]: row["address"] for row in ROWS} == NAMES | VIBER_NAMES
    assert {row["channel"] for row in ROWS if row["behaviour"] in NAMES} == {"sms"}
    assert {row["channel"] for row in ROWS if row["behaviour"] in VIBER_NAMES} == {"viber"}
    assert [int(row["client_id"]) for row in ROWS] == list(range(9001, 9001 + len(ROWS)))


ANSWERED = {
    Answer.ACCEPTED: DeliveryState.SENT,
    Answer.REJECTED: DeliveryState.CARRIER_REJECTED,
    Answer.NO_FUNDS: DeliveryState.NO_FUNDS,
}


@pytest.mark.parametrize("row", ROWS, ids=[row["behaviour"] for row in ROWS])
def test_an_outcome_is_what_answers_and_reports_come_to(row: dict[str, str]) -> None:
    behaviour, states = MAGIC[row["channel"]][row["address"][1:]], STATES[row["channel"]]
    answered = ANSWERED[behaviour.then]
    facts = [Fact(CODES[answered], 0, 1, 0, "")]
    facts += [Fact(CODES[states[status]], 0, 0, int(delay), "") for delay, status in behaviour.reports]
    for told in (facts, facts[::-1]):
        standing = settle(told)
        assert standing is not None
        assert standing.state == CODES[DeliveryState(row["outcome"])]
    deciding = [delay for delay, status in behaviour.reports if states[status] == row["outcome"]]
    assert float(row["delay_s"]) == min(deciding, default=0)


def test_nobody_else_has_such_a_number() -> None:
    numbers = {row["address"] for row in ROWS}
    assert len(numbers) == len(ROWS)
    assert all(e164(number) == number and number.startswith("+447700900") for number in numbers)
    people = zip(generate.phones(), range(200_000), strict=False)
    assert numbers.isdisjoint(number for number, _ in people)
    assert not any(number.startswith("+44") for number, _ in zip(generate.exchange_555(), range(1000), strict=False))


REFUSED, FAILED = Permanent("barred"), Transient("system_error")
TAKES_NOTHING = {"rejected", "no_funds"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("delivered_after_2s", [Accepted, Accepted]),
        ("never_reported", [Accepted, Accepted]),
        ("rejected", [REFUSED, REFUSED, REFUSED]),
        ("undelivered", [Accepted, Accepted]),
        ("throttled", [Throttled, Accepted, Accepted]),
        ("times_out", [Ambiguous, Accepted, Accepted]),
        ("flaky", [FAILED, FAILED, Accepted, Accepted]),
        ("duplicate_reports", [Accepted, Accepted]),
        ("late_report", [Accepted, Accepted]),
        ("report_before_answer", [Accepted, Accepted]),
        ("no_funds", [OutOfFunds, OutOfFunds]),
        ("rejected_later", [Accepted, Accepted]),
        ("corrected", [Accepted, Accepted]),
        ("on_phone_then_delivered", [Accepted]),
        ("stays_on_phone", [Accepted]),
        ("delivered_after_10s", [Accepted]),
    ],
)
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("in_company", [False, True], ids=["alone", "in company"])
async def test_what_a_sender_understands(
    carrier: Carrier, name: str, told: list[Outcome | type], in_company: bool
) -> None:
    for turn, wanted in enumerate(told):
        company = [(100 + turn, ORDINARY), (200 + turn, ORDINARY)] if in_company else []
        first, *others = await carrier.send((1, NAMES[name]), *company)
        assert first == wanted or type(first) is wanted
        assert [type(other) for other in others] == [Accepted] * len(company)
    taken = name not in TAKES_NOTHING
    assert (await carrier.arrived()).count(NAMES[name][1:]) == taken


@pytest.mark.parametrize(
    ("name", "reports"),
    [
        ("delivered_after_2s", [(2.0, ["delivered"])]),
        ("never_reported", []),
        ("rejected", []),
        ("undelivered", [(2.0, ["undelivered"])]),
        ("throttled", [(2.0, ["delivered"])]),
        ("times_out", [(2.0, ["delivered"])]),
        ("flaky", [(2.0, ["delivered"])]),
        ("duplicate_reports", [(2.0, ["delivered", "delivered"]), (3.0, ["delivered"])]),
        ("late_report", [(2.0, ["delivered"]), (3.0, ["on_phone"])]),
        ("report_before_answer", [(0.0, ["delivered"])]),
        ("no_funds", []),
        ("rejected_later", [(2.0, ["rejected"])]),
        ("corrected", [(2.0, ["undelivered"]), (4.0, ["delivered"])]),
        ("on_phone_then_delivered", [(1.0, ["on_phone"]), (3.0, ["delivered"])]),
        ("stays_on_phone", [(2.0, ["on_phone"])]),
        ("delivered_after_10s", [(10.0, ["delivered"])]),
    ],
)
@pytest.mark.usefixtures("impatient")
async def test_what_is_reported_however_often_it_is_submitted(
    carrier: Carrier, name: str, reports: list[tuple[float, list[str]]]
) -> None:
    for _ in range(4):
        await carrier.send((1, NAMES[name]))
    assert await carrier.reported(within=11) == reports


@pytest.mark.usefixtures("impatient")
async def test_a_carrier_that_honours_no_keys_reports_each_copy() -> None:
    async with opened(honour_keys=False) as carrier:
        for _ in range(2):
            await carrier.send((1, NAMES["times_out"]))
        assert len(await carrier.arrived()) == 2
        assert await carrier.reported() == [(2.0, ["delivered", "delivered"])]


async def test_who_is_not_answered_waits_and_has_it_all_the_same(carrier: Carrier) -> None:
    waiting = asyncio.create_task(carrier.send((1, NAMES["times_out"]), (2, NAMES["times_out"])))
    while len(await carrier.arrived()) < 2:
        await asyncio.sleep(0.01)
    assert await carrier.reported() == [(2.0, ["delivered", "delivered"])]
    assert not waiting.done()
    waiting.cancel()


async def test_a_report_comes_before_the_answer(carrier: Carrier) -> None:
    waiting = asyncio.create_task(carrier.send((1, NAMES["report_before_answer"])))
    while not carrier.time.calls:
        await asyncio.sleep(0.01)
    assert not waiting.done()
    assert [type(outcome) for outcome in await waiting] == [Accepted]


async def test_all_of_them_together_with_others_are_answered_at_once(carrier: Carrier) -> None:
    messages = [(number, address) for number, address in enumerate([*NAMES.values(), ORDINARY, "+123"])]
    outcomes = dict(zip([*NAMES, "ordinary", "bad"], await carrier.send(*messages), strict=True))
    assert outcomes["times_out"] == Ambiguous("no result for this message")
    assert outcomes["bad"] == Permanent("invalid_number")
    unlike = {"times_out", "bad", "rejected", "throttled", "flaky", "no_funds"}
    assert {name for name, outcome in outcomes.items() if not isinstance(outcome, Accepted)} == unlike


async def test_the_carrier_stops_while_somebody_waits() -> None:
    inbox = Inbox(capacity=1000, honour_keys=True, boot="b")
    reports = Reports(Time().take)
    settings = load(SandboxSettings, {"SANDBOX_CARRIER_KEY": "carrier-key"})
    app = wire(settings, inbox, reports)
    async with TestClient(TestServer(app)) as client:
        carrier = Carrier(client, reports, Time())
        waiting = asyncio.create_task(carrier.send((1, NAMES["times_out"])))
        while not await carrier.arrived():
            await asyncio.sleep(0.01)
        await app.shutdown()
        assert await waiting == [Ambiguous("no result for this message")]
    inbox.close()


def test_every_message_has_turns_of_its_own_and_the_oldest_are_forgotten() -> None:
    told = Turns(MAGIC["sms"], remembered=2)

    def flaky(key: int) -> Answer:
        ((position, turn),) = told.take([other, "invalid_text", message(key)]).items()
        assert (position, turn.behaviour) == (2, MAGIC["sms"][NAMES["flaky"][1:]])
        return turn.answer

    def message(key: int) -> Arrival:
        return Arrival("sms", NAMES["flaky"][1:], "Salon", "Hello", key.to_bytes(16, "big"))

    other = Arrival("sms", ORDINARY[1:], "Salon", "Hello", bytes(16))
    assert [flaky(key) for key in (1, 2, 1, 1, 2)] == [Answer.FAILED] * 3 + [Answer.ACCEPTED, Answer.FAILED]
    assert [flaky(key) for key in (3, 1)] == [Answer.FAILED, Answer.FAILED]


def test_answers_follow_one_another() -> None:
    behaviour = Behaviour("x", first=(Answer.FAILED, Answer.UNANSWERED), then=Answer.REJECTED)
    assert [behaviour.answer(earlier) for earlier in range(4)] == [
        Answer.FAILED,
        Answer.UNANSWERED,
        Answer.REJECTED,
        Answer.REJECTED,
    ]
