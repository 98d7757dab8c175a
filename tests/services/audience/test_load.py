"""Loading contacts from a file into a real Postgres."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.storage import Database
from services.audience import load
from services.audience.load import Refused, load_contacts

pytestmark = pytest.mark.postgres

PEOPLE = "client_id,fullname,phone,email\n1,Anna,+48600000001,a@example.com\n2,Jan,,\n3,Иван,+12025550100,\n"
DEMO_PEOPLE = Path(__file__).parents[3] / "deploy" / "demo" / "people.csv"


@pytest.fixture
async def shop(database: Database) -> AsyncIterator["Shop"]:
    yield Shop(database)


class Shop:
    """A tenant's contacts, and files loaded into them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.report = io.StringIO()

    async def load(self, text: str, tenant: str = "demo", *, skip_bad: bool = False) -> int:
        return await load_contacts(self.database, tenant, io.StringIO(text), self.report, skip_bad=skip_bad)

    async def contacts(self, tenant: str = "demo") -> list[tuple[object, ...]]:
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT client_id, fullname, phone, email FROM audience.contact WHERE tenant = $1 ORDER BY client_id",
                tenant,
            )
        return [tuple(row) for row in rows]


async def test_people_are_loaded_and_loaded_again(shop: Shop) -> None:
    assert await shop.load(PEOPLE) == 3
    expected = [(1, "Anna", "+48600000001", "a@example.com"), (2, "Jan", None, None), (3, "Иван", "+12025550100", None)]
    assert await shop.contacts() == expected
    assert await shop.load(PEOPLE) == 0
    assert await shop.contacts() == expected


async def test_only_the_columns_of_the_file_change(shop: Shop) -> None:
    await shop.load(PEOPLE)
    assert await shop.load("phone,client_id\n+48600000009,1\n,3\n+48600000004,4\n") == 3
    assert await shop.contacts() == [
        (1, "Anna", "+48600000009", "a@example.com"),
        (2, "Jan", None, None),
        (3, "Иван", None, None),
        (4, "", "+48600000004", None),
    ]


async def test_a_tenant_s_people_are_its_own(shop: Shop) -> None:
    await shop.load(PEOPLE)
    await shop.load("client_id,fullname\n1,Somebody else\n", tenant="other")
    assert [row[:2] for row in await shop.contacts()] == [(1, "Anna"), (2, "Jan"), (3, "Иван")]
    assert [row[:2] for row in await shop.contacts("other")] == [(1, "Somebody else")]


async def test_a_file_with_a_bad_line_is_not_loaded_at_all(shop: Shop) -> None:
    await shop.load("client_id,phone\n1,+48600000001\n")
    with pytest.raises(Refused, match="nothing was loaded: 2 bad lines, 2 good ones"):
        await shop.load("client_id,phone\n1,+48600000002\n2,123\n3,+48600000003\n4\n")
    assert await shop.contacts() == [(1, "", "+48600000001", None)]
    assert "line 3: phone is not a number that can exist" in shop.report.getvalue()
    assert "line 5: has 1 fields" in shop.report.getvalue()
    assert "123" not in shop.report.getvalue()


async def test_bad_lines_may_be_left_out(shop: Shop) -> None:
    await shop.load("client_id,phone\n1,+48600000002\n2,123\n", skip_bad=True)
    assert await shop.contacts() == [(1, "", "+48600000002", None)]
    assert "1 bad lines left out" in shop.report.getvalue()


async def test_of_many_bad_lines_the_first_are_shown(shop: Shop) -> None:
    with pytest.raises(Refused, match="1,000 bad lines"):
        await shop.load("client_id,phone\n" + "".join(f"{n},1\n" for n in range(1_000)))
    assert len(shop.report.getvalue().splitlines()) == load.SHOWN_PROBLEMS + 1


async def test_a_file_may_be_big_and_its_progress_seen(shop: Shop) -> None:
    rows = "".join(f"{n},Person {n}\n" for n in range(load.PROGRESS_EVERY + 1))
    assert await shop.load("client_id,fullname\n" + rows) == load.PROGRESS_EVERY + 1
    assert "100,000 lines read" in shop.report.getvalue()


async def test_the_demo_people_are_good(shop: Shop) -> None:
    assert await shop.load(DEMO_PEOPLE.read_text(encoding="utf-8")) == 2_000


def test_the_command_line(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIENCE_DATABASE", postgres)
    people = tmp_path / "people.csv"
    people.write_bytes(b"\xef\xbb\xbfclient_id,fullname\r\n1,Anna\r\n2,\xff\r\n")
    assert load.main(["--tenant", "demo", str(people)]) == 1
    assert "line 3: holds a NUL or is not UTF-8" in capsys.readouterr().err
    assert load.main(["--tenant", "demo", "--skip-bad-lines", str(people)]) == 0
    assert "1 contacts loaded for demo, 1 new or changed" in capsys.readouterr().err
    assert load.main(["--tenant", "demo", str(tmp_path / "missing.csv")]) == 1
    assert "No such file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        load.main(["--tenant", "Not A Tenant", str(people)])
    monkeypatch.setenv("AUDIENCE_DATABSE", "typo")
    assert load.main(["--tenant", "demo", str(people)]) == 2
    assert "AUDIENCE_DATABSE" in capsys.readouterr().err
