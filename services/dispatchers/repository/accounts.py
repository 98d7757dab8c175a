"""The tenants' money, in micro-units of their currency."""

from dataclasses import dataclass

from libs.storage import Connection


@dataclass(frozen=True, slots=True)
class Account:
    """At every moment topped_up = balance + reserved + spent. What is reserved is for messages on their way."""

    tenant: str
    currency: str
    topped_up: int
    balance: int
    reserved: int
    spent: int


TOP_UP = """
INSERT INTO dispatch.account AS a (tenant, currency, topped_up, balance) VALUES ($1, $2, $3, $3)
ON CONFLICT (tenant) DO UPDATE
SET topped_up = a.topped_up + $3, balance = a.balance + $3, updated_at = now() WHERE a.currency = $2
RETURNING tenant, currency, topped_up, balance, reserved, spent
"""
FIND = "SELECT tenant, currency, topped_up, balance, reserved, spent FROM dispatch.account WHERE tenant = $1"


class AccountRepository:
    """Accounts, one for each metered tenant."""

    async def find(self, connection: Connection, tenant: str) -> Account | None:
        """None: the tenant is not metered."""
        row = await connection.fetchrow(FIND, tenant)
        return Account(**row) if row else None

    async def top_up(self, connection: Connection, tenant: str, amount: int, currency: str) -> Account | None:
        """Add to the balance; a tenant without an account gets one and is metered from then on. None: its account is in
        another currency."""
        row = await connection.fetchrow(TOP_UP, tenant, currency, amount)
        return Account(**row) if row else None
