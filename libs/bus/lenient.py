"""Records whose header names are not UTF-8: aiokafka cannot read them, nor anything after them.

Java's client cannot write such a name; Go's and C's can. One of them would block its partition for ever, so the first
that is met switches this process to a slower reader, which shows it as `\\xff`. Private names of aiokafka used here
are pinned by tests/libs/bus/test_lenient.py.
"""

import logging
from collections.abc import Sequence
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint

log = logging.getLogger(__name__)

MAGIC_AT = 16
OLDEST_WITH_HEADERS = 2


class LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """A record batch of format 2 (KIP-98), read with any header names."""

    _pos: int

    def _read_msg(self) -> Any:
        _, place = decode_varint(self._buffer, self._pos)  # the record's length
        _, place = decode_varint(self._buffer, place)  # attributes: none is defined
        timestamp_delta, place = decode_varint(self._buffer, place)
        offset_delta, place = decode_varint(self._buffer, place)
        key, place = self._bytes_at(place)
        value, place = self._bytes_at(place)
        headers, self._pos = self._headers_at(place)
        timestamp = (
            self.max_timestamp
            if self.timestamp_type == self.LOG_APPEND_TIME
            else self.first_timestamp + timestamp_delta
        )
        return _DefaultRecordPy(self.base_offset + offset_delta, timestamp, self.timestamp_type, key, value, headers)

    def _headers_at(self, place: int) -> tuple[Sequence[tuple[str, bytes | None]], int]:
        count, place = decode_varint(self._buffer, place)
        headers = []
        for _ in range(count):
            name, place = self._bytes_at(place)
            value, place = self._bytes_at(place)
            headers.append(((name or b"").decode("utf-8", "backslashreplace"), value))
        return headers, place

    def _bytes_at(self, place: int) -> tuple[bytes | None, int]:
        length, place = decode_varint(self._buffer, place)
        if length < 0:
            return None, place
        return bytes(self._buffer[place : place + length]), place + length


class LenientRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """What a fetch brought for one partition."""

    def next_batch(self) -> Any:
        """The next batch, or none."""
        raw = self._next_slice
        batch = super().next_batch()
        if batch is None or raw is None or raw[MAGIC_AT] < OLDEST_WITH_HEADERS:
            return batch
        return LenientBatch(raw)


def read_leniently() -> None:
    """From the next fetch on, for every consumer of this process."""
    if fetcher.MemoryRecords is not LenientRecords:
        log.error("a record has a header name that is not UTF-8; this process now reads records the slower way")
        fetcher.MemoryRecords = LenientRecords
