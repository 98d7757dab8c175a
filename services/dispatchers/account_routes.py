"""What is left on a tenant's account: GET /accounts/{tenant}, for the other services."""

from aiohttp import web
from pydantic import SecretStr

from libs.storage import Database
from libs.web import require_internal_token
from services.dispatchers.repository import AccountRepository


class AccountRoutes:
    """Amounts are in millionths of the account's currency; `price` is what a segment costs on this channel."""

    def __init__(self, database: Database, price: int, token: SecretStr) -> None:
        self._database = database
        self._price = price
        self._token = token
        self._accounts = AccountRepository()

    def add_to(self, app: web.Application) -> None:
        """Register. Carriers report to the same server, so the token is asked for here alone."""
        internal = web.Application(middlewares=[require_internal_token(self._token)])
        internal.router.add_get("/{tenant}", self.get_account)
        app.add_subapp("/accounts", internal)

    async def get_account(self, request: web.Request) -> web.Response:
        """A tenant without an account, and everybody where nothing is charged, is not metered."""
        tenant = request.match_info["tenant"]
        async with self._database.connection() as connection:
            account = await self._accounts.find(connection, tenant) if self._price else None
        body = {"tenant": tenant, "metered": account is not None, "price_per_segment": self._price}
        if account:
            body |= {"balance": account.balance, "reserved": account.reserved, "currency": account.currency}
        return web.json_response(body)
