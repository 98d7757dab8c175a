"""A header name that is not UTF-8 on real Kafka: written as Go's client would."""

import struct
from collections.abc import Iterator

import pytest
from aiokafka.consumer import fetcher
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from libs.bus import BusSettings
from libs.bus.lenient import LenientRecords, read_leniently
from libs.contracts.events import NotificationExpanded
from libs.contracts.topics import Topic
from tests.libs.bus.conftest import Outside
from tests.libs.bus.doubles import until
from tests.libs.bus.test_bus import Listener, running, values

PLACEHOLDER = "ZZZZ"
CRC_AT, CHECKED_FROM = 17, 21


@pytest.fixture
def restored() -> Iterator[None]:
    """The reader of this process is as it was."""
    reader = fetcher.MemoryRecords
    yield
    fetcher.MemoryRecords = reader


@pytest.mark.kafka
async def test_it_is_read_and_its_neighbours_too(
    settings: BusSettings,
    topic: Topic[NotificationExpanded],
    outside: Outside,
    monkeypatch: pytest.MonkeyPatch,
    restored: None,
) -> None:
    build = BatchBuilder._build

    def spoilt(self: BatchBuilder) -> bytes:
        batch = bytearray(build(self))
        if PLACEHOLDER.encode() in batch:
            place = batch.index(PLACEHOLDER.encode())
            batch[place : place + len(PLACEHOLDER)] = b"\xff\xfe\xff\xfe"
            struct.pack_into(">I", batch, CRC_AT, calc_crc32c(bytes(batch[CHECKED_FROM:])))
        return bytes(batch)

    monkeypatch.setattr(BatchBuilder, "_build", spoilt)
    listener = Listener(settings, topic)
    for partition in range(3):
        await outside.write(topic, values(10 * partition), partition=partition)
    await outside.write(topic, values(1), headers=[(PLACEHOLDER, b"x")])
    await outside.write(topic, values(2))
    async with running(listener):
        await until(lambda: len(listener.store.rows) >= 5)
    assert listener.rows == [0, 1, 2, 10, 20]
    assert await outside.committed(topic) == {0: 3, 1: 1, 2: 1}


def test_both_readers_agree() -> None:
    builder = DefaultRecordBatchBuilder(
        2, 0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=0, batch_size=100_000
    )
    for number in range(50):
        headers = [(f"name-{number}", None), ("\u0437", b"\xff"), ("", b"")] if number % 2 else []
        builder.append(number, 1_700_000_000_000 + number, key=b"k" * number or None, value=b"v", headers=headers)
    data = bytes(builder.build())
    usual, lenient = fetcher.MemoryRecords(data), LenientRecords(data)

    def records(reader: object) -> list[tuple[object, ...]]:
        batch = reader.next_batch()  # type: ignore[attr-defined]
        assert batch.validate_crc()
        return [(one.offset, one.timestamp, one.key, one.value, list(one.headers)) for one in batch]

    assert records(usual) == records(lenient)
    assert not lenient.has_next()
    assert lenient.next_batch() is None


def test_switching_twice_is_once(restored: None, caplog: pytest.LogCaptureFixture) -> None:
    read_leniently()
    read_leniently()
    assert fetcher.MemoryRecords is LenientRecords
    assert len(caplog.records) == 1
