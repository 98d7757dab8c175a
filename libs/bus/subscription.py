"""What happens to a batch: decode, one transaction, publish; after it returns, the offsets are committed."""

import asyncio
import dataclasses
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic
from uuid import UUID

from libs.bus import tracing
from libs.bus.dead_letters import Judged, Tally
from libs.bus.parsing import decoder_of, explained, is_probe
from libs.bus.records import C, Decode, Effect, Handler, M, Outgoing, RawRecord, Received, Rejected, Transactions
from libs.contracts.dead_letters import DeadLetter
from libs.contracts.failures import Unavailable
from libs.contracts.topics import Topic
from libs.telemetry import metrics

log = logging.getLogger(__name__)

# Far under max_poll_interval_ms, after which Kafka gives the partitions to somebody else and the work repeats.
BATCH_SECONDS = 60.0

Publish = Callable[[Sequence[Outgoing]], Awaitable[None]]


class TooManyDeadLetters(Exception):  # noqa: N818 - a verdict
    """The consumer must stop: this is a bad deployment or a bad producer, not a bad record."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[M]):
    """A batch after decoding: what can be handled, with the bytes it came from, and what is already lost."""

    received: Sequence[Received[M]]
    raw: Sequence[RawRecord]
    letters: Sequence[DeadLetter]


class Subscription(Generic[M, C]):
    """Records of one kind on their way through one handler. Knows nothing of Kafka: values in, effects out.

    `topic` is the one they come from, or one of several with the same message; `name` is how metrics and logs call it.
    """

    def __init__(
        self,
        topic: Topic[M],
        handler: Handler[M, C],
        store: Transactions[C],
        *,
        name: str,
        service: str,
        publish: Publish,
        later: Publish | None = None,
        decode: Decode[M] | None = None,
        rejected: Rejected | None = None,
    ) -> None:
        self._topic = topic
        self._name = name
        self._handler = handler
        self._store = store
        self._service = service
        self._publish = publish
        self._later = later
        self._decode = decode or decoder_of(topic)
        self._rejected = rejected
        self._tally = Tally()

    async def process(self, records: Sequence[RawRecord]) -> None:
        """Bring a batch to its end; returning means that its offsets may be committed.

        Raises Unavailable when the same batch must come again, TooManyDeadLetters when nothing more may be consumed.
        """
        own = [record for record in records if not is_probe(record.headers)]
        if not own:
            return
        try:
            async with asyncio.timeout(BATCH_SECONDS) as bound:
                with tracing.consuming(self._service, own) as contexts:
                    await self._bring_through(self._decoded(own, contexts))
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise Unavailable(f"a batch of {self._name} took longer than {BATCH_SECONDS:.0f} s") from error
        metrics.BUS_RECORDS.labels(self._name).inc(len(own))
        metrics.BUS_BATCHES.labels(self._name).inc()

    async def _bring_through(self, batch: Batch[M]) -> None:
        tally = self._counted(batch.letters, batch.raw)
        try:
            await self._handle(batch.received, batch.letters)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - which record it was is found out one by one
            log.warning(
                "a batch failed, its records are tried one by one",
                extra={"topic": self._name, "records": len(batch.raw), "error": _where(error)},
            )
            await self._handle_one_by_one(batch)
        else:
            self._tally = tally
            _count_letters(batch.letters)

    async def _handle_one_by_one(self, batch: Batch[M]) -> None:
        letters = list(batch.letters)
        by_place = {_place(received): received for received in batch.received}
        for number, raw in enumerate(batch.raw, start=1):
            received = by_place.get(_place(raw))
            if received is None:
                continue
            try:
                await self._handle([received], ())
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not block the partition
                letters.append(_letter(raw, type(error).__name__, _where(error)))
                # Judged as it goes: after the record that is one too many, nothing more is done.
                self._counted(letters, batch.raw[:number])
        tally = self._counted(letters, batch.raw)
        await self._handle((), letters)
        self._tally = tally
        _count_letters(letters)

    async def _handle(self, received: Sequence[Received[M]], letters: Sequence[DeadLetter]) -> None:
        """One transaction, then what follows from it."""
        effect = Effect()
        async with self._store.transaction() as connection:
            if letters:
                await self._store.bury(connection, letters)
            if received:
                effect = await self._handler(received, connection)
        if effect.committed is not None:
            effect.committed()
        outgoing = [*_in_context(effect.publish, received), *self._rejections(letters)]
        if self._later is not None:
            # Commands leave at once; events may follow them.
            await self._later([one for one in outgoing if one.topic.lane is None])
            outgoing = [one for one in outgoing if one.topic.lane is not None]
        if outgoing:
            await self._publish(outgoing)

    def _decoded(self, records: Sequence[RawRecord], contexts: Sequence[str | None]) -> Batch[M]:
        received: list[Received[M]] = []
        letters: list[DeadLetter] = []
        for record, context in zip(records, contexts, strict=True):
            try:
                message = self._decode(record)
            except Exception as error:  # noqa: BLE001 - a decode of a service's own may raise anything
                problem = explained(error, self._topic.message)
                letters.append(_letter(record, problem.error_class, problem.reason))
            else:
                received.append(
                    Received(message, record.topic, record.partition, record.offset, record.timestamp, context)
                )
        return Batch(received, records, letters)

    def _counted(self, letters: Sequence[DeadLetter], records: Sequence[RawRecord]) -> Tally:
        """The tally with these records. Raises TooManyDeadLetters."""
        buried = {_place(letter) for letter in letters}
        tally, reason = self._tally.after(
            Judged((record.topic, record.partition), record.offset, _place(record) in buried) for record in records
        )
        if reason is not None:
            latest = letters[-1]
            raise TooManyDeadLetters(
                f"{reason}; the latest at {latest.topic}[{latest.partition}]@{latest.offset}: "
                f"{latest.error_class}, {latest.reason}"
            )
        return tally

    def _rejections(self, letters: Sequence[DeadLetter]) -> Sequence[Outgoing]:
        if self._rejected is None:
            return ()
        outgoing: list[Outgoing] = []
        for letter in letters:
            try:
                outgoing.extend(self._rejected(letter))
            except Exception as error:  # noqa: BLE001 - the letter is kept all the same, and must not block its partition
                log.error("a rejection could not be told", extra={"topic": letter.topic, "error": _where(error)})
        return outgoing


def _in_context(outgoing: Sequence[Outgoing], received: Sequence[Received[M]]) -> Sequence[Outgoing]:
    contexts: Mapping[UUID, str | None] = {record.message.event_id: record.traceparent for record in received}
    return [
        dataclasses.replace(one, traceparent=context)
        if one.traceparent is None
        and one.message.causation_id is not None
        and (context := contexts.get(one.message.causation_id)) is not None
        else one
        for one in outgoing
    ]


def _place(record: RawRecord | Received[M] | DeadLetter) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


def _letter(record: RawRecord, error_class: str, reason: str) -> DeadLetter:
    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=record.headers,
        error_class=error_class,
        reason=reason,
        recorded_at=record.timestamp,
    )


def _where(error: BaseException) -> str:
    """What was raised and where: never its text, which may quote the message."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/site-packages/" not in frame.filename] or frames
    place = f" at {own[-1].name}:{own[-1].lineno}" if own else ""
    return f"{type(error).__name__}{place}"


def _count_letters(letters: Sequence[DeadLetter]) -> None:
    for letter in letters:
        metrics.BUS_DEAD_LETTERS.labels(letter.topic).inc()
        log.error(
            "a record became a dead letter",
            extra={
                "topic": letter.topic,
                "partition": letter.partition,
                "offset": letter.offset,
                "error_class": letter.error_class,
                "reason": letter.reason,
            },
        )
