"""The routes of a channel whose providers speak HTTP, from its settings."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from libs.contracts.routing import Lane
from services.dispatchers.http import HttpCarrier, HttpTransport
from services.dispatchers.route import Route
from services.dispatchers.route_file import RouteSettings
from services.dispatchers.settings import CarrierSettings


async def open_carriers(settings: CarrierSettings, stack: AsyncExitStack) -> Sequence[Route]:
    """Every declared route, each with connections of its own, which `stack` closes."""
    return [await _open(settings, declared, stack) for declared in settings.declared()]


async def _open(settings: CarrierSettings, declared: RouteSettings, stack: AsyncExitStack) -> Route:
    concurrency = {
        Lane.URGENT: declared.concurrency_urgent or settings.concurrency_urgent,
        Lane.BULK: declared.concurrency_bulk or settings.concurrency_bulk,
    }
    transport = await stack.enter_async_context(HttpTransport(connections=sum(concurrency.values())))
    provider = settings.PROVIDERS[declared.provider](settings.account(declared))
    carrier = HttpCarrier(provider, transport, name=declared.name)
    return Route(
        name=declared.name,
        carrier=carrier,
        concurrency=concurrency,
        priority=declared.priority,
        rate=declared.rate,
        tenants=frozenset(declared.tenants),
        unknown=declared.unknown,
        query=carrier.query if carrier.can_query else None,
        callbacks=provider,
    )
