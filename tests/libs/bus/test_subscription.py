import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import libs.bus.subscription
from libs.bus import Effect, Outgoing, RawRecord, Received
from libs.bus.subscription import Subscription, TooManyDeadLetters
from libs.contracts.dead_letters import DeadLetter
from libs.contracts.events import NotificationExpanded
from libs.contracts.failures import Unavailable
from libs.contracts.topics import NOTIFICATION_EXPANDED
from libs.telemetry import tracing
from tests.libs.bus.doubles import TRACEPARENT, MemoryStore, expanded, raw

Records = Sequence[Received[NotificationExpanded]]


class Service:
    """A handler that keeps numbers, fails on those it is told to, and announces each."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.published: list[Outgoing] = []
        self.order: list[str] = []
        self.seen: list[list[int]] = []
        self.poison: dict[int, Exception] = {}
        self.publish_failure: Exception | None = None

    async def handle(self, records: Records, connection: list[int]) -> Effect:
        numbers = [record.message.planned for record in records]
        self.seen.append(numbers)
        for number in numbers:
            if number in self.poison:
                raise self.poison[number]
        connection += numbers
        follow = [
            Outgoing(NOTIFICATION_EXPANDED, expanded(record.message.planned, causation_id=record.message.event_id))
            for record in records
        ]
        return Effect(follow, committed=lambda: self.order.append(f"committed {len(self.store.rows)}"))

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        self.order.append("published")
        if self.publish_failure is not None:
            raise self.publish_failure
        self.published += outgoing

    def subscription(self, **options: Any) -> Subscription[NotificationExpanded, list[int]]:
        return Subscription(
            NOTIFICATION_EXPANDED,
            self.handle,
            self.store,
            name="notification.expanded",
            service="tests",
            publish=self.publish,
            **options,
        )


@pytest.fixture
def service() -> Service:
    return Service()


def good(number: int, **where: Any) -> RawRecord:
    return raw(expanded(number).model_dump_json().encode(), number, **where)


def bad(number: int, **where: Any) -> RawRecord:
    return raw(b"{", number, **where)


async def test_commit_then_publish(service: Service) -> None:
    await service.subscription().process([good(1), good(2)])
    assert service.store.rows == [1, 2]
    assert service.order == ["committed 2", "published"]
    assert [one.message.planned for one in service.published] == [1, 2]  # type: ignore[attr-defined]


async def test_a_bad_record_is_buried_in_the_transaction_of_its_neighbours(service: Service) -> None:
    await service.subscription().process([good(1), bad(2), good(3)])
    assert service.store.transactions == 1
    assert service.store.rows == [1, 3]
    (letter,) = service.store.letters.values()
    assert (letter.offset, letter.value, letter.error_class) == (2, b"{", "undecodable")


async def test_only_bad_records_do_not_reach_the_handler(service: Service) -> None:
    await service.subscription().process([bad(1)])
    assert service.seen == []
    assert len(service.store.letters) == 1


async def test_probes_are_passed_over(service: Service) -> None:
    await service.subscription().process([raw(b"", 1, headers=[("carillon-probe", b"")])])
    assert service.store.transactions == 0


@pytest.mark.parametrize("place", ["begin", "handle", "publish"])
async def test_what_is_unavailable_brings_the_whole_batch_again(service: Service, place: str) -> None:
    away = Unavailable("away")
    match place:
        case "begin":
            service.store.failure = away
        case "handle":
            service.poison[2] = away
        case _:
            service.publish_failure = away
    subscription = service.subscription()
    with pytest.raises(Unavailable):
        await subscription.process([good(1), good(2), bad(3)])
    assert len(service.seen) <= 1, "it is not tried record by record"
    service.store.failure = service.publish_failure = None
    service.poison.clear()
    await subscription.process([good(1), good(2), bad(3)])
    assert len(service.published) == 2, "a repetition publishes again"
    assert len(service.store.letters) == 1


async def test_poison_is_found_record_by_record(service: Service) -> None:
    service.poison[2] = KeyError("+48123456789")
    await service.subscription().process([good(1), good(2), bad(3), good(4, partition=7)])
    assert service.seen == [[1, 2, 4], [1], [2], [4]]
    assert service.store.rows == [1, 4]
    poison = service.store.letters["notification.expanded", 0, 2]
    assert poison.error_class == "KeyError"
    assert poison.reason.startswith("KeyError at handle:")
    assert "48123456789" not in poison.reason
    assert {letter.offset for letter in service.store.letters.values()} == {2, 3}


async def test_what_cannot_be_published_is_poison(service: Service) -> None:
    service.publish_failure = ValueError("no such partition")
    await service.subscription().process([good(1)])
    assert len(service.store.letters) == 1


async def test_unavailable_while_records_are_tried_one_by_one(service: Service) -> None:
    service.poison[1] = KeyError()
    service.poison[2] = Unavailable("away")
    with pytest.raises(Unavailable):
        await service.subscription().process([good(1), good(2)])
    assert service.store.letters == {}, "the letters of a batch are buried together, at its end"


async def test_a_dead_letter_table_that_refuses_is_not_a_loss(service: Service, monkeypatch: Any) -> None:
    async def bury(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(service.store, "bury", bury)
    with pytest.raises(ValueError, match="a bug"):
        await service.subscription().process([bad(1)])


async def test_a_batch_beyond_the_limit_changes_nothing(service: Service) -> None:
    with pytest.raises(TooManyDeadLetters, match="in a row"):
        await service.subscription().process([good(0), *(bad(number) for number in range(1, 60))])
    assert service.store.transactions == 0
    assert service.published == []


async def test_poison_beyond_the_limit_stops_at_once(service: Service) -> None:
    service.poison = {number: KeyError() for number in range(10, 100)}
    with pytest.raises(TooManyDeadLetters, match="KeyError"):
        await service.subscription().process([good(number) for number in range(100)])
    assert service.seen[-1] == [60]
    assert service.store.letters == {}


async def test_good_records_between_bad_ones_are_counted_in_their_order(service: Service) -> None:
    service.poison[0] = KeyError()
    records = [maker(2 * number + place) for number in range(100) for place, maker in enumerate([good, bad])]
    await service.subscription().process(records)
    assert len(service.store.letters) == 101


async def test_the_limit_sees_several_batches_and_no_repetition(service: Service) -> None:
    subscription = service.subscription()
    for _ in range(3):
        await subscription.process([bad(number) for number in range(30)])
    await subscription.process([bad(number) for number in range(30, 50)])
    with pytest.raises(TooManyDeadLetters):
        await subscription.process([bad(50)])


async def test_rejections_are_published_for_every_dead_letter(service: Service) -> None:
    def rejected(letter: DeadLetter) -> Sequence[Outgoing]:
        return [Outgoing(NOTIFICATION_EXPANDED, expanded(1000 + letter.offset))]

    service.poison[1] = KeyError()
    await service.subscription(rejected=rejected).process([good(1), bad(2), good(3)])
    assert sorted(one.message.planned for one in service.published) == [3, 1001, 1002]  # type: ignore[attr-defined]


async def test_a_rejection_that_fails_does_not_block(service: Service) -> None:
    def rejected(letter: DeadLetter) -> Sequence[Outgoing]:
        raise KeyError(letter.offset)

    await service.subscription(rejected=rejected).process([bad(1)])
    assert len(service.store.letters) == 1


async def test_a_decode_of_its_own(service: Service) -> None:
    subscription = service.subscription(decode=lambda record: expanded(int(record.value or b"")))
    await subscription.process([raw(b"41", 1), raw(b"no number", 2)])
    assert service.store.rows == [41]
    (letter,) = service.store.letters.values()
    assert letter.reason == "decoding raised ValueError"


async def test_a_batch_that_takes_too_long_comes_again(service: Service, monkeypatch: Any) -> None:
    monkeypatch.setattr(libs.bus.subscription, "BATCH_SECONDS", 0.01)

    async def hang(*_: object) -> Effect:
        await asyncio.Event().wait()
        raise AssertionError

    service.handle = hang  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="longer than"):
        await service.subscription().process([good(1)])


async def test_a_timeout_of_the_handlers_own_is_poison(service: Service) -> None:
    service.poison[1] = TimeoutError()
    await service.subscription().process([good(1)])
    assert len(service.store.letters) == 1


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider.get_tracer("tests"))
    yield exporter
    tracing.use(None)


def traced(number: int, flags: str) -> tuple[RawRecord, str]:
    context = f"00-{uuid4().hex}-{uuid4().hex[:16]}-{flags}"
    return good(number, headers=[("traceparent", context.encode()), ("odd", None)]), context


async def test_each_sampled_record_has_a_span_and_its_context_travels_on(
    service: Service, spans: InMemorySpanExporter
) -> None:
    (sampled, first), (unsampled, second) = traced(1, "01"), traced(2, "00")
    await service.subscription().process([sampled, unsampled, good(3)])
    (span,) = spans.get_finished_spans()
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == first.split("-")[1]
    assert f"{span.parent.span_id:016x}" == first.split("-")[2]
    contexts = [one.traceparent for one in service.published]
    assert contexts == [f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01", second, None]


async def test_a_context_that_was_given_stays(service: Service, spans: InMemorySpanExporter) -> None:
    record, _ = traced(1, "01")

    async def handle(records: Records, connection: list[int]) -> Effect:
        message = expanded(causation_id=records[0].message.event_id)
        return Effect([Outgoing(NOTIFICATION_EXPANDED, message, traceparent=TRACEPARENT)])

    service.handle = handle  # type: ignore[method-assign]
    await service.subscription().process([record])
    assert [one.traceparent for one in service.published] == [TRACEPARENT]
    assert len(spans.get_finished_spans()) == 1


async def test_a_failed_batch_marks_its_spans_without_content(service: Service, spans: InMemorySpanExporter) -> None:
    record, _ = traced(1, "01")
    service.poison[1] = Unavailable("+48123456789")
    with pytest.raises(Unavailable):
        await service.subscription().process([record])
    (span,) = spans.get_finished_spans()
    assert span.status.description == "Unavailable"
    assert not span.events


@pytest.mark.parametrize("make", [good, bad])
async def test_nothing_of_a_record_is_logged(
    service: Service, caplog: pytest.LogCaptureFixture, make: Callable[[int], RawRecord]
) -> None:
    service.poison[1] = KeyError("+48123456789")
    await service.subscription().process([make(1)])
    assert caplog.records
    assert "48123456789" not in "".join(str(vars(record)) for record in caplog.records)
