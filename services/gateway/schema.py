"""Bringing the gateway's schema up to date."""

from importlib.resources import files

from libs.storage import Database, migrate
from services.gateway.settings import GatewaySettings

SCHEMA = "gateway"
MIGRATIONS = files("services.gateway") / "migrations"


async def migrate_schema(settings: GatewaySettings) -> None:
    """Bring the schema up to date, with more patience than a call has."""
    database = await Database.connect(settings.database.get_secret_value(), service="gateway", max_size=1)
    try:
        await migrate(database, schema=SCHEMA, folder=MIGRATIONS)
    finally:
        await database.close()
