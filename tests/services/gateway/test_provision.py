"""Credentials from a file: what is stored, and that a second run changes nothing."""

import asyncio
import tomllib
from pathlib import Path

import pytest

from libs.storage import Database
from services.gateway.authorization import prefix_of
from services.gateway.provision import ProvisionError, create, main, read
from services.gateway.repository import GatewayRepository
from services.gateway.translation import Token
from tests.services.gateway.doubles import PEPPER

DEMO = Path(__file__).parents[3] / "deploy" / "demo" / "credentials.toml"


def test_the_demo_s_file() -> None:
    document = tomllib.loads(DEMO.read_text())
    tenant, credentials = read(document, pepper=PEPPER, name=None)
    assert (tenant.name, tenant.resources) == ("demo", frozenset({"location/1"}))
    assert tenant.requests_per_minute > 200
    assert tenant.may_call_loopback
    assert {credential.kind for credential in credentials} == {"altegio.partner", "altegio.user", "native"}
    assert set(document["altegio"]) == {"partner_token", "user_token", "location_id", "staff_user_id", "admin_user_id"}


def test_a_new_file_has_tokens_of_its_own(tmp_path: Path) -> None:
    tokens = set()
    for name in ("one", "two"):
        path = tmp_path / name
        create(path, name, 300)
        assert path.stat().st_mode & 0o777 == 0o600
        document = tomllib.loads(path.read_text())
        tenant, credentials = read(document, pepper=PEPPER, name=None)
        assert (tenant.name, tenant.requests_per_minute, len(credentials)) == (name, 300, 3)
        assert not tenant.may_call_loopback
        tokens |= {document["native"]["api_key"], document["altegio"]["user_token"]}
    assert len(tokens) == 4
    assert all(prefix_of(Token("", token)) for token in tokens)


def test_what_is_no_token_is_named_and_not_shown() -> None:
    with pytest.raises(ProvisionError) as caught:
        read({"native": {"api_key": "tell-nobody"}}, pepper=PEPPER, name=None)
    assert str(caught.value) == "native.api_key is not of the form prefix.secret"


@pytest.mark.parametrize("name", ["", "Demo", "-x", "a b", "platform", "x" * 64])
def test_a_tenant_s_name_goes_into_every_message(name: str) -> None:
    with pytest.raises(ProvisionError):
        read({"tenant": {"name": name}}, pepper=PEPPER, name=None)


@pytest.mark.postgres
def test_running_it_again_changes_nothing(postgres: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEWAY_DATABASE", postgres)
    monkeypatch.setenv("GATEWAY_PEPPER", PEPPER.decode())
    path = tmp_path / "people.toml"
    assert main([str(DEMO)]) == 0
    assert main([str(DEMO)]) == 0
    assert main([str(path), "--tenant", "demo-people", "--create"]) == 0
    made = path.read_text()
    assert main([str(path), "--create", "--revoke", tomllib.loads(made)["native"]["api_key"].partition(".")[0]]) == 0
    assert path.read_text() == made
    assert main([str(DEMO), "--tenant", "demo-people"]) == 1

    async def stored() -> dict[str, str]:
        database = await Database.connect(postgres, service="gateway")
        prefixes = [
            token.partition(".")[0]
            for text in (made, DEMO.read_text())
            for section in tomllib.loads(text).values()
            for token in section.values()
            if isinstance(token, str) and "." in token
        ]
        found = await GatewayRepository(database).credentials(prefixes)
        await database.close()
        return {prefix: credential.tenant.name for prefix, credential in found.items()}

    tenants = sorted(asyncio.run(stored()).values())
    assert tenants == ["demo"] * 3 + ["demo-people"] * 2
