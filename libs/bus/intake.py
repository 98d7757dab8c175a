"""The gateway's way into the bus: acknowledged within a bound, or refused at once while Kafka is away."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from libs.bus.breaker import Breaker, Suspect
from libs.bus.failures import OutcomeUnknown, Refused, Unpublishable
from libs.bus.parsing import PROBE_HEADER
from libs.bus.producing import NEVER_PUBLISHABLE, Encoded, encode, forget, is_dead, new_client, send, stop_client
from libs.bus.quiet import quieten
from libs.bus.records import Outgoing
from libs.bus.settings import BusSettings
from libs.contracts.envelope import Message
from libs.contracts.failures import Unavailable
from libs.contracts.routing import Lane
from libs.contracts.topics import SEND_NOTIFICATION, Topic
from libs.telemetry import metrics

log = logging.getLogger(__name__)

# With these a dead broker fails a record in 1.2 s and a frozen one in 2.3 s: inside a bound of 2.5 s.
REQUEST_TIMEOUT_MS = 1200
RETRY_BACKOFF_MS = 50
LINGER_MS = {Lane.URGENT: 0, None: 0, Lane.BULK: 2}
BATCH_BYTES = 256 * 1024
CONNECT_SECONDS = 2.5
PROBE_SECONDS = 2.5
PROBE_INTERVAL = 1.0
# Clients that failed so many probes are replaced: they may know only addresses of the past.
PROBES_PER_CLIENT = 10


class Intake:
    """Producers only, with a breaker in front: it opens with the first failed acknowledgement, and nothing is handed
    over while it is open.

    The probe that closes it is a record on the very partition that failed, marked by a header, which every
    subscription passes over. A metadata request would prove less: a broker answers it with a full disk or too few
    replicas. A topic of its own would prove another leader's health.
    """

    def __init__(
        self, settings: BusSettings, *, instance: str = "1", topics: Sequence[Topic[Message]] = tuple(SEND_NOTIFICATION)
    ) -> None:
        quieten()
        self._settings = settings
        self._client_id = f"intake-{instance}"
        self._topics = topics
        self._breaker = Breaker()
        self._clients: dict[Lane | None, AIOKafkaProducer] = {}
        self._opened = asyncio.Event()
        self._guard: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the breaker refuses everything at the moment."""
        return self._breaker.is_open

    async def start(self) -> None:
        """Connect. Returns even when Kafka is away or a topic is missing: then everything is refused until that is
        mended, and no restart is needed."""
        await self._connect()
        if self._breaker.is_open:
            self._opened.set()
        self._guard = asyncio.create_task(self._close_when_possible())

    async def stop(self) -> None:
        """Let go of Kafka, bounded."""
        if self._guard is not None:
            self._guard.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._guard
            self._guard = None
        await self._disconnect()

    async def accept(self, outgoing: Outgoing, *, within: float) -> None:
        """Return once Kafka acknowledged the message; waits at most `within` seconds.

        Raises Refused (nothing was handed over), OutcomeUnknown (it may have been written: a retry must carry the same
        ids), Unpublishable (too large for Kafka) and ValueError (not its topic's).
        """
        if outgoing.topic.lane not in {topic.lane for topic in self._topics}:
            raise ValueError(f"this intake was not opened for {outgoing.topic.name}")
        record = encode(outgoing, self._settings)
        try:
            with self._breaker.admission():
                await self._acknowledged(record, within)
        except Refused:
            metrics.INTAKE_REFUSED.inc()
            raise
        except OutcomeUnknown:
            metrics.INTAKE_UNKNOWN.inc()
            raise

    async def _acknowledged(self, record: Encoded, within: float) -> None:
        acknowledgement: asyncio.Future[object] | None = None
        if within <= 0:
            raise Refused("no time is left")
        try:
            async with asyncio.timeout(within):
                acknowledgement = await send(self._clients[record.lane], record)
                forget(acknowledgement)
                # Cancelling it would not unsend the record.
                await asyncio.shield(acknowledgement)
        except NEVER_PUBLISHABLE as error:
            raise Unpublishable(f"{type(error).__name__} on {record.topic}") from error
        except (KafkaError, OSError, TimeoutError, Unavailable) as error:
            self._trip(record, error)
            if acknowledgement is None:
                raise Refused("Kafka does not take the record") from error
            raise OutcomeUnknown("Kafka did not acknowledge in time") from error

    def _trip(self, record: Encoded, error: Exception) -> None:
        if not self._breaker.is_open:
            log.error(
                "Kafka failed, everything is refused", extra={"topic": record.topic, "error": type(error).__name__}
            )
        self._breaker.trip(Suspect(record.topic, record.partition, record.lane))
        metrics.INTAKE_OPEN.set(1)
        self._opened.set()

    async def _close_when_possible(self) -> None:
        loop, failed = asyncio.get_running_loop(), 0
        while True:
            await self._opened.wait()
            begun = loop.time()
            await self._mend(failed)
            if self._breaker.is_open:
                failed += 1
                await asyncio.sleep(max(0.0, PROBE_INTERVAL - (loop.time() - begun)))
                continue
            failed = 0
            self._opened.clear()
            metrics.INTAKE_OPEN.set(0)
            log.warning("Kafka acknowledges again")

    async def _mend(self, failed: int) -> None:
        crashed = any(is_dead(client) for client in self._clients.values())
        if not self._clients or crashed or failed % PROBES_PER_CLIENT == PROBES_PER_CLIENT - 1:
            await self._disconnect()
            await self._connect()
        await asyncio.gather(*(self._probe(suspect) for suspect in self._breaker.suspects))

    async def _probe(self, suspect: Suspect) -> None:
        client = self._clients.get(suspect.lane)
        if client is None:
            return
        question = Encoded(suspect.topic, suspect.partition, b"", b"", [(PROBE_HEADER, b"")], suspect.lane)
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                acknowledgement = await send(client, question)
                forget(acknowledgement)
                await asyncio.shield(acknowledgement)
        except (KafkaError, OSError, TimeoutError, Unavailable) as error:
            log.debug("a probe failed", extra={"topic": suspect.topic, "error": type(error).__name__})
            return
        self._breaker.proved(suspect)

    async def _connect(self) -> None:
        """Open a client per lane and learn where the partitions are; on failure none is left."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                for topic in self._topics:
                    if topic.lane not in self._clients:
                        await self._open(topic.lane)
                    await self._clients[topic.lane].partitions_for(self._settings.topic_name(topic))
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning(
                "the intake is not connected, everything is refused",
                extra={"kafka": self._settings.bootstrap_servers, "error": type(error).__name__},
            )
            await self._disconnect()
            metrics.INTAKE_OPEN.set(1)
            return
        self._breaker.connected()
        if not self._breaker.is_open:
            metrics.INTAKE_OPEN.set(0)

    async def _open(self, lane: Lane | None) -> None:
        client = self._clients[lane] = new_client(
            self._settings,
            client_id=f"{self._client_id}-{lane or 'event'}",
            linger_ms=LINGER_MS[lane],
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=RETRY_BACKOFF_MS,
        )
        await client.start()

    async def _disconnect(self) -> None:
        clients = list(self._clients.values())
        self._clients.clear()
        await asyncio.gather(*(stop_client(client) for client in clients))
