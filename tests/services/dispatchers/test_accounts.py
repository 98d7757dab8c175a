"""Accounts as a person on the command line and another service see them."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from pydantic import SecretStr

from libs.storage import Database
from libs.web import application
from services.dispatchers import accounts
from services.dispatchers.account_routes import AccountRoutes
from services.dispatchers.repository import AccountRepository

pytestmark = pytest.mark.postgres

TOKEN = "internal-token-of-the-test"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
Client = TestClient[Request, Application]


@pytest.fixture
async def client(database: Database) -> AsyncIterator[Client]:
    app = application()
    AccountRoutes(database, 25, SecretStr(TOKEN)).add_to(app)
    async with TestClient(TestServer(app)) as opened:
        yield opened


async def test_what_is_left_is_told_to_those_with_the_token(client: Client, database: Database) -> None:
    async with database.connection() as connection:
        await AccountRepository().top_up(connection, "demo", 1_500_000, "EUR")
    assert (await client.get("/accounts/demo")).status == 401
    answer = await client.get("/accounts/demo", headers=AUTHORIZED)
    assert await answer.json() == {
        "tenant": "demo",
        "metered": True,
        "balance": 1_500_000,
        "reserved": 0,
        "currency": "EUR",
        "price_per_segment": 25,
    }


async def test_a_tenant_without_an_account_is_not_metered(client: Client) -> None:
    answer = await client.get("/accounts/other", headers=AUTHORIZED)
    assert await answer.json() == {"tenant": "other", "metered": False, "price_per_segment": 25}


@pytest.fixture
def environ(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "DATABASE": postgres,
        "RECEIPT_SECRET": "receipt-secret-of-the-test",
        "PUBLIC_URL": "http://127.0.0.1:1",
        "CARRIER_URL": "http://127.0.0.1:2",
        "CARRIER_KEY": "carrier-key",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"DISPATCHER_SMS_{name}", value)


@pytest.mark.usefixtures("environ")
def test_money_is_added_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert accounts.main(["show", "demo"]) == 0
    assert accounts.main(["topup", "demo", "12.5"]) == 0
    assert accounts.main(["topup", "demo", "0.000001"]) == 0
    assert accounts.main(["topup", "demo", "1", "--currency", "PLN"]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "demo is not metered",
        "demo: balance 12.500000, reserved 0.000000, spent 0.000000, topped up 12.500000 EUR",
        "demo: balance 12.500001, reserved 0.000000, spent 0.000000, topped up 12.500001 EUR",
    ]
    assert told.err == "the account of demo is in another currency than PLN\n"


@pytest.mark.parametrize("amount", ["-1", "a", "0.0000001", "1e30", "nan", "inf"])
def test_an_amount_is_a_sum_of_money(amount: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        accounts.main(["topup", "demo", "--", amount])
    assert ended.value.code == 2
    assert "six decimals" in capsys.readouterr().err


def test_without_settings_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("DISPATCHER_SMS_DATABASE", raising=False)
    assert accounts.main(["show", "demo"]) == 2
    assert "DISPATCHER_SMS" in capsys.readouterr().err
