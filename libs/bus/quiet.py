"""aiokafka writes a line per client and try while Kafka is away: a hundred a second. One in ten seconds is enough."""

import logging
import time
from collections.abc import Callable

AGAIN_AFTER_SECONDS = 10.0

CHATTY = (
    "libs.bus.intake",  # it tries every second
    "aiokafka",
    "aiokafka.client",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.consumer",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.producer",
    "aiokafka.producer.sender",
)


class OncePerWhile(logging.Filter):
    """Lets a line pass when the same one (its text before arguments) has not passed lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._passed: dict[tuple[int, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` may be written."""
        line, now = (record.levelno, str(record.msg)), self._clock()
        if now - self._passed.get(line, -AGAIN_AFTER_SECONDS) < AGAIN_AFTER_SECONDS:
            return False
        self._passed[line] = now
        return True


def quieten() -> None:
    """Put the filter on the loggers that repeat themselves; doing it twice changes nothing."""
    for name in CHATTY:
        logger = logging.getLogger(name)
        if not any(isinstance(one, OncePerWhile) for one in logger.filters):
            logger.addFilter(OncePerWhile())
