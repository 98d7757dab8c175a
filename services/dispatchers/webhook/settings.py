"""The webhook dispatcher's settings."""

from typing import Annotated, ClassVar

from pydantic import Field

from libs.settings import Port
from services.dispatchers.route_file import Concurrency
from services.dispatchers.settings import DispatcherSettings


class WebhookDispatcherSettings(DispatcherSettings):
    """A request holds one message, so more of them are in flight than to a carrier; `tenant_concurrency` is how many of
    these may be one tenant's, and `server_concurrency` how many of those may go to one server. `allow_loopback` is for
    development: it lets webhooks go to this machine. The key that signs is of SigningSettings."""

    PREFIX: ClassVar[str] = "DISPATCHER_WEBHOOK_"

    port: Port = 8087
    concurrency_urgent: Concurrency = 32
    concurrency_bulk: Concurrency = 64
    tenant_concurrency: Annotated[int, Field(ge=1, le=1000)] = 32
    server_concurrency: Annotated[int, Field(ge=1, le=1000)] = 8
    allow_loopback: bool = False
