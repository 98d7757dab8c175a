"""Tenants and credentials from a file: `python -m services.gateway.provision deploy/demo/credentials.toml`.

Running it again changes nothing. Tokens are `prefix.secret`; of the secret only an HMAC is stored.
"""

import argparse
import asyncio
import re
import secrets
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from libs.contracts.envelope import PLATFORM
from libs.contracts.failures import Unavailable
from libs.settings import SettingsError, load
from libs.storage import Database, MigrationError
from services.gateway.authorization import EVERYTHING, Credential, Tenant, digest_of, prefix_of
from services.gateway.dialects.altegio import PARTNER, USER
from services.gateway.dialects.native import API_KEY
from services.gateway.repository import GatewayRepository
from services.gateway.schema import migrate_schema
from services.gateway.settings import GatewaySettings
from services.gateway.translation import CONTROL, READ, RESEND, SECRETS, SEND, Token

USUAL_REQUESTS_PER_MINUTE: Final = 200

NEW_FILE = """\
# Credentials of the tenant {tenant}. Whoever has this file can send in its name.
[tenant]
name = "{tenant}"
requests_per_minute = {requests_per_minute}

[altegio]
partner_token = "{partner_token}"
user_token = "{user_token}"
location_id = 1
staff_user_id = 11
admin_user_id = 12

[native]
api_key = "{api_key}"
"""


class ProvisionError(Exception):
    """The file cannot be used; the text says why and holds no secret."""


def main(argv: Sequence[str] | None = None) -> int:
    """Load the file into the schema of the gateway; the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        settings = load(GatewaySettings)
        if arguments.create and not arguments.file.exists():
            create(arguments.file, arguments.tenant or "demo", arguments.requests_per_minute)
        document = tomllib.loads(arguments.file.read_text(encoding="utf-8"))
        pepper = settings.pepper.get_secret_value().encode()
        tenant, credentials = read(document, pepper=pepper, name=arguments.tenant)
        asyncio.run(_store(settings, tenant, credentials, arguments.revoke))
    except (ProvisionError, SettingsError, MigrationError, LookupError, Unavailable, OSError, ValueError) as error:
        print(f"provision: {error}", file=sys.stderr)  # noqa: T201 - a command's way of speaking
        return 1
    print(f"{tenant.name}: {', '.join(credential.kind for credential in credentials)}")  # noqa: T201
    return 0


def read(document: Mapping[str, Any], *, pepper: bytes, name: str | None) -> tuple[Tenant, Sequence[Credential]]:
    """The tenant and its credentials in a parsed file; `name` replaces the name in it. Raises ProvisionError."""
    described = document.get("tenant", {})
    called = name or described.get("name", "demo")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", called) or called == PLATFORM:
        raise ProvisionError("a tenant's name is up to 63 small Latin letters, digits and dashes")
    altegio, native = document.get("altegio", {}), document.get("native", {})
    places = frozenset({f"location/{altegio['location_id']}"}) if "location_id" in altegio else frozenset()
    tenant = Tenant(
        name=called,
        resources=places,
        requests_per_minute=described.get("requests_per_minute", USUAL_REQUESTS_PER_MINUTE),
        may_call_loopback=described.get("may_call_loopback", False) is True,
    )
    found = (
        (PARTNER, "altegio.partner_token", altegio.get("partner_token"), {SEND}, {EVERYTHING}),
        (USER, "altegio.user_token", altegio.get("user_token"), {SEND}, places),
        (API_KEY, "native.api_key", native.get("api_key"), {SEND, READ, CONTROL, RESEND, SECRETS}, {EVERYTHING}),
    )
    credentials = []
    for kind, where, value, scopes, resources in found:
        if value is None:
            continue
        token = Token(kind, value)
        prefix = prefix_of(token)
        if prefix is None:
            raise ProvisionError(f"{where} is not of the form prefix.secret")
        digest = digest_of(value.partition(".")[2], pepper)
        credentials.append(Credential(prefix, kind, tenant, digest, frozenset(scopes), frozenset(resources)))
    return tenant, credentials


def create(path: Path, tenant: str, requests_per_minute: int) -> None:
    """Write a file with fresh tokens of 160 random bits each, readable by its owner alone."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(
        NEW_FILE.format(
            tenant=tenant,
            requests_per_minute=requests_per_minute,
            partner_token=_new_token("altp"),
            user_token=_new_token("altu"),
            api_key=_new_token("key"),
        ),
        encoding="utf-8",
    )


def _new_token(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(4)}.{secrets.token_urlsafe(20)}"


async def _store(
    settings: GatewaySettings, tenant: Tenant, credentials: Sequence[Credential], revoke: Sequence[str]
) -> None:
    await migrate_schema(settings)
    database = await Database.connect(settings.database.get_secret_value(), service="gateway", max_size=1)
    try:
        repository = GatewayRepository(database)
        await repository.put(tenant, credentials)
        for prefix in revoke:
            if not await repository.revoke(tenant.name, prefix):
                raise ProvisionError(f"{tenant.name} has no valid credential {prefix}")
    finally:
        await database.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.gateway.provision", description=__doc__)
    parser.add_argument("file", type=Path, help="credentials as in deploy/demo/credentials.toml")
    parser.add_argument("--tenant", help="load them for this tenant instead of the one named in the file")
    parser.add_argument(
        "--create", action="store_true", help="where the file does not exist, write one with fresh tokens first"
    )
    parser.add_argument(
        "--requests-per-minute",
        type=int,
        default=USUAL_REQUESTS_PER_MINUTE,
        help="what --create writes into the file (default: %(default)s)",
    )
    parser.add_argument(
        "--revoke",
        action="append",
        default=[],
        metavar="PREFIX",
        help="end a credential of the tenant; may be repeated",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
