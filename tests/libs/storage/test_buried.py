"""Which dead letters are found, and what is noted of those that were sent again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from libs.contracts.dead_letters import DeadLetter
from libs.storage import BuriedLetters, Database, Selection, Store, migrate

pytestmark = pytest.mark.postgres

RECORDED = datetime(2026, 11, 22, 12, tzinfo=UTC)
BULK, URGENT = "send.notification.bulk", "send.notification.urgent"
BOTH = (BULK, URGENT)


@pytest.fixture
async def database(postgres: str, tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.connect(postgres, service="test")
    await migrate(database, schema="example", folder=tmp_path)
    yield database
    await database.close()


@pytest.fixture
def letters(database: Database) -> BuriedLetters:
    return BuriedLetters(database, "example")


def letter(
    offset: int, *, topic: str = BULK, error_class: str = "undecodable", value: bytes | None = None
) -> DeadLetter:
    return DeadLetter(
        topic=topic,
        partition=3,
        offset=offset,
        key=b"k",
        value=b"%d" % offset if value is None else value,
        headers=[("x", None), ("traceparent", b"\xff")],
        error_class=error_class,
        reason="no JSON",
        recorded_at=RECORDED,
    )


@pytest.fixture
def bury(database: Database) -> Callable[..., object]:
    """Buries letters, and answers the rows' ids."""

    async def work(*letters: DeadLetter) -> list[int]:
        store = Store(database, "example")
        async with store.transaction() as connection:
            await store.bury(connection, letters)
            rows = await connection.fetch("SELECT id FROM example.dead_letter ORDER BY id")
        return [row["id"] for row in rows]

    return work


async def take(letters: BuriedLetters, selection: Selection, *, by: str = "anna") -> list[DeadLetter]:
    found = await letters.find(selection)
    async with letters.taken(found.ids, found.at, by=by) as taken:
        return list(taken)


async def test_every_condition_narrows(letters: BuriedLetters, bury, database: Database) -> None:
    ids = await bury(letter(1), letter(2, topic=URGENT), letter(3, error_class="ValueError"))
    later = datetime.now(UTC) + timedelta(hours=1)
    for selection, expected in (
        (Selection(BOTH), ids),
        (Selection([URGENT]), ids[1:2]),
        (Selection([]), []),
        (Selection(BOTH, error_class="ValueError"), ids[2:]),
        (Selection(BOTH, since=later), []),
        (Selection(BOTH, ids=[ids[0], ids[2], 999]), [ids[0], ids[2]]),
        (Selection([BULK], error_class="undecodable", ids=ids), ids[:1]),
    ):
        assert list((await letters.find(selection)).ids) == expected, selection
    assert list((await letters.find(Selection(BOTH), limit=2)).ids) == ids[:2]


async def test_they_are_counted_by_topic_and_class(letters: BuriedLetters, bury) -> None:
    await bury(letter(1), letter(2), letter(3, error_class="ValueError"), letter(4, topic=URGENT))
    counted = await letters.count(Selection(BOTH))
    assert [(one.topic, one.error_class, one.letters, one.came_back) for one in counted] == [
        (BULK, "ValueError", 1, 0),
        (BULK, "undecodable", 2, 0),
        (URGENT, "undecodable", 1, 0),
    ]
    assert counted[0].first == counted[0].last


async def test_a_letter_is_taken_as_it_was_and_once(letters: BuriedLetters, bury, database: Database) -> None:
    await bury(letter(1))
    assert await take(letters, Selection(BOTH)) == [letter(1)]
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT redriven_at, redriven_by FROM example.dead_letter")
    assert row is not None
    assert row["redriven_at"] is not None
    assert row["redriven_by"] == "anna"
    assert await take(letters, Selection(BOTH)) == []
    assert await take(letters, Selection(BOTH, again=True)) == [letter(1)]


async def test_what_could_not_be_sent_stays(letters: BuriedLetters, bury) -> None:
    (number,) = await bury(letter(1))
    found = await letters.find(Selection(BOTH))
    with pytest.raises(KeyError):
        async with letters.taken(found.ids, found.at, by="anna"):
            raise KeyError
    assert list((await letters.find(Selection(BOTH))).ids) == [number]


async def test_what_came_back_is_left_alone(letters: BuriedLetters, bury) -> None:
    await bury(letter(1, value=b"bad"), letter(2, value=b"other"))
    await take(letters, Selection(BOTH))
    *_, back, fresh = await bury(letter(7, value=b"bad"), letter(8, value=b"new"))
    assert list((await letters.find(Selection(BOTH))).ids) == [fresh]
    (counted,) = await letters.count(Selection(BOTH))
    assert (counted.letters, counted.came_back) == (2, 1)
    assert back in (await letters.find(Selection(BOTH, again=True))).ids


async def test_records_without_a_value_are_told_apart_by_their_key(letters: BuriedLetters, bury) -> None:
    await bury(letter(1, value=b""))
    await take(letters, Selection(BOTH))
    await bury(letter(2, value=b""))
    assert await take(letters, Selection(BOTH)) == []


async def test_two_at_once_do_not_send_the_same(letters: BuriedLetters, bury) -> None:
    await bury(letter(1))
    first, second = await letters.find(Selection(BOTH)), await letters.find(Selection(BOTH))
    taken, proceed = asyncio.Event(), asyncio.Event()

    async def slowly() -> int:
        async with letters.taken(first.ids, first.at, by="anna") as step:
            taken.set()
            await proceed.wait()
            return len(step)

    async def meanwhile() -> int:
        await taken.wait()
        async with letters.taken(second.ids, second.at, by="jan") as step:
            proceed.set()
            return len(step)

    assert await asyncio.gather(slowly(), meanwhile()) == [1, 0]
    # Neither does one who found it before it was sent.
    async with letters.taken(second.ids, second.at, by="jan") as step:
        assert step == []
