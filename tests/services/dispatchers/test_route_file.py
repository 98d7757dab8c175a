from pathlib import Path

import pytest
from pydantic import SecretStr

from libs.contracts.routing import MessageClass
from libs.settings import SettingsError, load
from services.dispatchers.choosing import in_order
from services.dispatchers.route import Route, Unknown
from services.dispatchers.route_file import routes_in
from services.dispatchers.sms.http_smsc import HttpSmsc
from services.dispatchers.sms.settings import SmsDispatcherSettings
from tests.services.dispatchers.making import ScriptedCarrier

PROVIDERS = {"http_smsc": HttpSmsc, "silent": object}
TWO = """
[[route]]
name = "north"
provider = "http_smsc"
url = "https://north.test/api"
key = "swordfish"

[[route]]
name = "south"
provider = "http_smsc"
url = "http://127.0.0.1:8025"
key_file = "south.key"
sender = "Salon"
priority = 10
rate = 50
tenants = ["demo", "other"]
unknown = { otp = "park", bulk = "query" }
concurrency_bulk = 2
"""
ENVIRONMENT = {
    "DISPATCHER_SMS_DATABASE": "postgresql://x",
    "DISPATCHER_SMS_RECEIPT_SECRET": "s" * 32,
    "DISPATCHER_SMS_PUBLIC_URL": "http://us.test/",
}


def write(folder: Path, text: str = TWO) -> Path:
    (folder / "south.key").write_text("from a file\n")
    path = folder / "routes.toml"
    path.write_text(text)
    return path


def test_it_says_all_there_is_to_say(tmp_path: Path) -> None:
    north, south = routes_in(write(tmp_path), PROVIDERS)
    assert (north.name, north.key, north.rate, north.tenants) == ("north", SecretStr("swordfish"), None, ())
    assert south.key == SecretStr("from a file")
    assert (south.sender, south.priority, south.rate) == ("Salon", 10, 50)
    assert south.unknown == {MessageClass.OTP: Unknown.PARK, MessageClass.BULK: Unknown.QUERY}
    assert (south.concurrency_urgent, south.concurrency_bulk) == (None, 2)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('name = "south"', 'name = "north"', "two routes have one name: north"),
        ('name = "south"', 'name = "So uth"', "route 2, name"),
        ('"http_smsc"', '"nobody"', "provider is one of http_smsc, silent"),
        (
            'provider = "http_smsc"\nurl = "http://127',
            'provider = "silent"\nurl = "http://127',
            "silent cannot be asked",
        ),
        ('key = "swordfish"', "", "route 1: Value error, either key or key_file"),
        ('key = "swordfish"', 'key = "swordfish"\nkey_file = "x"', "either key or key_file"),
        ("south.key", "none.key", "route south: key_file cannot be read"),
        ("rate = 50", "rate = 0", "route 2, rate"),
        ("rate = 50", "speed = 50", "route 2, speed"),
        ('otp = "park"', 'otp = "pray"', "route 2, unknown.otp"),
        ('otp = "park"', 'sms = "park"', "route 2, unknown.sms"),
        ("https://north.test/api", "north.test", "route 1, url"),
        ("[[route]]\nname", "[[routes]]\nname", "nothing else"),
        ('name = "north"', "name = swordfish", "no TOML"),
    ],
)
def test_it_says_what_is_wrong_and_shows_no_key(tmp_path: Path, before: str, after: str, complaint: str) -> None:
    with pytest.raises(ValueError, match="route") as caught:
        routes_in(write(tmp_path, TWO.replace(before, after, 1)), PROVIDERS)
    assert complaint in str(caught.value)
    assert "swordfish" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "route = 7", "route = []", "\x00"])
def test_a_file_without_routes_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="routes file"):
        routes_in(write(tmp_path, text), PROVIDERS)


def test_the_settings_name_one_account_or_a_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    settings = load(SmsDispatcherSettings, {**ENVIRONMENT, "DISPATCHER_SMS_ROUTES": str(path)})
    account = settings.account(settings.declared()[1])
    assert account.sender == "Salon"
    assert account.callback_url.get_secret_value() == f"http://us.test/receipts/south/{'s' * 32}"
    carrier = {"DISPATCHER_SMS_CARRIER_URL": "http://carrier.test", "DISPATCHER_SMS_CARRIER_KEY": "key"}
    (only,) = load(SmsDispatcherSettings, {**ENVIRONMENT, **carrier}).declared()
    assert (only.name, only.url, only.key) == ("http_smsc", "http://carrier.test", SecretStr("key"))
    for wrong in (
        {},
        {**carrier, "DISPATCHER_SMS_ROUTES": str(path)},
        {"DISPATCHER_SMS_CARRIER_URL": "http://carrier.test"},
        {"DISPATCHER_SMS_ROUTES": str(tmp_path / "none.toml")},
        {**carrier, "DISPATCHER_SMS_PROVIDER": "nobody"},
    ):
        with pytest.raises(SettingsError):
            load(SmsDispatcherSettings, {**ENVIRONMENT, **wrong})


def test_a_route_that_names_the_tenant_comes_first_then_the_lowest_priority() -> None:
    def route(name: str, priority: int, *tenants: str) -> Route:
        return Route(name, ScriptedCarrier(), {}, priority=priority, tenants=frozenset(tenants))

    routes = [
        route("spare", 200),
        route("own-spare", 300, "demo"),
        route("other", 1, "other"),
        route("main", 100),
        route("own", 150, "demo"),
    ]
    assert [each.name for each in in_order(routes, "demo")] == ["own", "own-spare", "main", "spare"]
    assert [each.name for each in in_order(routes, "somebody")] == ["main", "spare"]
