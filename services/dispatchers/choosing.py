"""Which routes a tenant's messages may take, the best first."""

from collections.abc import Sequence

from services.dispatchers.route import Route


def in_order(routes: Sequence[Route], tenant: str) -> Sequence[Route]:
    """Those that serve the tenant: one that names it before one that serves everybody, then by priority and name."""
    serving = [route for route in routes if route.serves(tenant)]
    return sorted(serving, key=lambda route: (not route.tenants, route.priority, route.name))
