"""Tenants' accounts from the command line, with a dispatcher's settings in the environment:

python -m services.dispatchers.accounts topup TENANT AMOUNT [--currency EUR]
python -m services.dispatchers.accounts show TENANT

AMOUNT is in units of the currency, at most six decimals. Who has no account is not metered; 0 opens an empty one.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from importlib.resources import files

from pydantic import TypeAdapter, ValidationError

from libs.contracts.envelope import TenantId
from libs.contracts.failures import Unavailable
from libs.settings import SettingsError, load
from libs.storage import Database, MigrationError, migrate
from services.dispatchers.dispatching import SCHEMA
from services.dispatchers.funds import MICRO
from services.dispatchers.repository import Account, AccountRepository
from services.dispatchers.sms.settings import SmsDispatcherSettings

MOST = Decimal(1_000_000_000)


class Refused(Exception):  # noqa: N818 - a verdict
    """Nothing was changed; the text says why."""


async def top_up(database: Database, tenant: str, amount: int, currency: str) -> Account:
    """Add micro-units. Raises Refused when the account is in another currency, Unavailable."""
    async with database.transaction() as connection:
        account = await AccountRepository().top_up(connection, tenant, amount, currency)
    if account is None:
        raise Refused(f"the account of {tenant} is in another currency than {currency}")
    return account


async def show(database: Database, tenant: str) -> Account | None:
    """None: the tenant is not metered. Raises Unavailable."""
    async with database.connection() as connection:
        return await AccountRepository().find(connection, tenant)


def described(account: Account | None, tenant: str) -> str:
    """For people."""
    if account is None:
        return f"{tenant} is not metered"
    amounts = {
        "balance": account.balance,
        "reserved": account.reserved,
        "spent": account.spent,
        "topped up": account.topped_up,
    }
    told = ", ".join(f"{name} {Decimal(value) / MICRO:.6f}" for name, value in amounts.items())
    return f"{tenant}: {told} {account.currency}"


async def _run(options: argparse.Namespace, settings: SmsDispatcherSettings) -> str:
    database = await Database.connect(settings.database.get_secret_value(), service="accounts", max_size=1)
    try:
        await migrate(database, schema=SCHEMA, folder=files("services.dispatchers") / "migrations")
        if options.command == "topup":
            return described(await top_up(database, options.tenant, options.amount, options.currency), options.tenant)
        return described(await show(database, options.tenant), options.tenant)
    finally:
        await database.close()


def _tenant(text: str) -> str:
    try:
        return TypeAdapter[str](TenantId).validate_python(text)
    except ValidationError:
        raise argparse.ArgumentTypeError("small letters, digits and - only, 63 at most") from None


def _amount(text: str) -> int:
    try:
        amount = Decimal(text) * MICRO
        if 0 <= amount <= MOST * MICRO and amount == amount.to_integral_value():
            return int(amount)
    except InvalidOperation:
        pass
    raise argparse.ArgumentTypeError("a number with at most six decimals")


def _currency(text: str) -> str:
    if len(text) == 3 and text.isascii() and text.isalpha():
        return text.upper()
    raise argparse.ArgumentTypeError("three letters (ISO 4217)")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 not done, 2 called wrongly."""
    parser = argparse.ArgumentParser(
        prog="python -m services.dispatchers.accounts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("topup", help="add to a tenant's balance")
    adding.add_argument("tenant", type=_tenant)
    adding.add_argument("amount", type=_amount)
    adding.add_argument("--currency", type=_currency, default="EUR")
    showing = commands.add_parser("show", help="what is left of it")
    showing.add_argument("tenant", type=_tenant)
    options = parser.parse_args(argv)
    try:
        told = asyncio.run(_run(options, load(SmsDispatcherSettings)))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (Refused, MigrationError, Unavailable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{told}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
