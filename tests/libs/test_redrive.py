"""Dead letters sent round again: the command line, and the whole way on real Kafka and Postgres."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from libs import redrive
from libs.bus import Bus, BusSettings, Effect, Outgoing, Received, create_topics
from libs.contracts.dead_letters import DeadLetter
from libs.contracts.events import NotificationRejected
from libs.contracts.failures import Unavailable
from libs.contracts.topics import INGEST, NOTIFICATION_REJECTED, TRACKER
from libs.redrive import Pace, described, main, schema_of, topics_of
from libs.storage import BuriedLetters, Connection, Counted, Database, Selection, Store, migrate

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SELECTION = Selection([NOTIFICATION_REJECTED.name])


def test_a_command_means_both_its_lanes() -> None:
    both = ["send.notification.urgent", "send.notification.bulk"]
    assert topics_of("ingest", ["send.notification"]) == both
    assert topics_of("ingest", []) == both
    assert topics_of("ingest", ["send.notification.bulk"]) == ["send.notification.bulk"]
    assert "send.sms.bulk" in topics_of("dispatcher-sms", [])
    assert "send.viber.bulk" not in topics_of("dispatcher-sms", [])
    for unknown in ("send.sms", "send", "", "nonsense"):
        with pytest.raises(ValueError, match="ingest reads no"):
            topics_of("ingest", [unknown])


def test_dispatchers_share_a_schema() -> None:
    assert {schema_of(name) for name in ("dispatcher-sms", "dispatcher-viber")} == {"dispatch"}
    assert schema_of("tracker") == "tracker"


@pytest.mark.parametrize(("rate", "step"), [(100.0, 10), (1000.0, 50), (5.0, 1), (0.5, 1), (25.0, 2)])
def test_a_step_lasts_as_long_as_the_rate_says(rate: float, step: int) -> None:
    pace = Pace(rate)
    assert pace.step == step
    assert pace.step / pace.seconds == pytest.approx(rate)


def test_what_there_is_in_words() -> None:
    assert described("ingest", []) == "no dead letters of ingest match\n"
    told = described("ingest", [Counted("send.notification.bulk", "undecodable", 12, 2, NOW, NOW)])
    assert "12  send.notification.bulk  undecodable  2026-11-22T12:00:00Z to 2026-11-22T12:00:00Z, 2 of them" in told


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "--service"),
        (["--service", "nobody"], "invalid choice"),
        (["--service", "ingest", "--topic", "send.sms"], "ingest reads no send.sms"),
        (["--service", "ingest", "--since", "yesterday"], "no ISO 8601 time"),
        (["--service", "ingest", "--ids", "1,x"], "numbers separated by commas"),
        (["--service", "ingest", "--rate", "0"], "above 0"),
        (["--service", "ingest", "--rate", "nan"], "above 0"),
        (["--service", "ingest", "--limit", "-1"], "above 0"),
    ],
)
def test_called_wrongly(arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_setting_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("REDRIVE_DATABASE", raising=False)
    assert main(["--service", "ingest"]) == 2
    assert "REDRIVE_DATABASE" in capsys.readouterr().err


def rejected(number: int) -> NotificationRejected:
    return NotificationRejected(
        event_id=uuid4(), tenant="demo", key=f"k{number}", occurred_at=NOW, origin="tests", reason="none"
    )


class Service:
    """The tracker, as far as it hears of rejections: which it cannot process as long as it is `broken`."""

    def __init__(self, settings: BusSettings, database: Database) -> None:
        self.broken = True
        self.heard: list[Received[NotificationRejected]] = []
        self.bus = Bus(settings, service="tests", instance="listening")
        self.bus.subscribe(NOTIFICATION_REJECTED, self.handle, Store(database, "tracker"))

    async def handle(self, records: Sequence[Received[NotificationRejected]], connection: Connection) -> Effect:
        if self.broken:
            raise ValueError("a mistake in this release")
        self.heard += records
        return Effect()


@pytest.fixture
async def database(postgres: str, tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.connect(postgres, service="test")
    await migrate(database, schema="tracker", folder=tmp_path)
    yield database
    await database.close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, kafka: str, topic_prefix: str, postgres: str) -> BusSettings:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("REDRIVE_DATABASE", postgres)
    return BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)


async def buried(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM tracker.dead_letter"))


async def until_buried(database: Database, count: int) -> None:
    async with asyncio.timeout(45):
        while await buried(database) != count:
            await asyncio.sleep(0.02)


async def run(*options: str) -> int:
    return await asyncio.to_thread(main, ["--service", "tracker", *options])


@pytest.mark.kafka
@pytest.mark.postgres
async def test_what_was_mended_is_processed_and_what_was_not_comes_back_once(
    environment: BusSettings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    await create_topics(environment, [NOTIFICATION_REJECTED])
    tracker, ingest = Service(environment, database), Bus(environment, service="tests", instance="1")
    messages = [rejected(number) for number in range(25)]
    await ingest.start()
    await tracker.bus.start()
    try:
        await ingest.publish([Outgoing(NOTIFICATION_REJECTED, message) for message in messages])
        await until_buried(database, 25)
        assert await run("--dry-run") == 0
        assert "25  notification.rejected  ValueError" in capsys.readouterr().out
        assert await run("--limit", "5", "--rate", "50", "--by", "anna") == 0
        assert "5 sent again by anna" in capsys.readouterr().out
        # Still broken: they come back, and are not sent again by themselves.
        await until_buried(database, 30)
        tracker.broken = False
        assert await run("--topic", "notification.rejected", "--error-class", "ValueError") == 0
        assert "5 of them came back" in (told := capsys.readouterr().out)
        assert "20 sent again" in told
        assert await run() == 0
        assert "\n0 sent again" in capsys.readouterr().out
        assert await run("--again", "--since", "2026-01-01") == 0
        assert "30 sent again" in capsys.readouterr().out
        async with asyncio.timeout(45):
            while len(tracker.heard) < 50:
                await asyncio.sleep(0.02)
    finally:
        await tracker.bus.stop()
        await ingest.stop()
    by_id = {message.event_id: message for message in messages}
    assert {one.message.event_id for one in tracker.heard} == set(by_id)
    places = {(one.message.event_id, one.partition) for one in tracker.heard}
    assert len(places) == len(messages)
    assert await buried(database) == 30


class Away:
    """A Kafka that goes away after some letters."""

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.taken: list[int] = []

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        if len(self.taken) + len(letters) > self.takes:
            raise Unavailable("Kafka did not acknowledge")
        self.taken += [letter.offset for letter in letters]


@pytest.mark.postgres
async def test_after_a_failure_it_goes_on_where_it_stopped(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    store, letters = Store(database, "tracker"), BuriedLetters(database, "tracker")
    async with store.transaction() as connection:
        await store.bury(
            connection,
            [DeadLetter(NOTIFICATION_REJECTED.name, 0, n, b"k", b"%d" % n, (), "ValueError", "") for n in range(45)],
        )
    monkeypatch.setattr(redrive.asyncio, "sleep", pause)
    first, second = Away(25), Away(100)
    with pytest.raises(Unavailable):
        await redrive.redrive(letters, first, SELECTION, pace=Pace(100), by="anna")
    assert await redrive.redrive(letters, second, SELECTION, pace=Pace(100), by="anna") == 25
    assert first.taken == list(range(20))
    assert second.taken == list(range(20, 45))
    assert all(0 <= seconds <= 0.1 for seconds in paused)
    # Two pauses before the failure, two between the three steps after it.
    assert len(paused) == 4


def test_every_service_with_dead_letters_can_be_named() -> None:
    assert {INGEST, TRACKER, "dispatcher-sms"} <= set(redrive.CONSUMERS)
