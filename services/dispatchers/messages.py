"""The messages of claimed deliveries, as a carrier gets them."""

from libs.contracts.commands import SendDeliveries
from libs.contracts.content import StoredContent
from services.dispatchers.keys import provider_keys
from services.dispatchers.provider import Outbound
from services.dispatchers.windows import Slice


def outbound(part: Slice) -> list[Outbound]:
    """The messages of a slice."""
    chunk: SendDeliveries = part.window.chunk
    content = chunk.content
    if isinstance(content, StoredContent):
        raise TypeError("content by reference is never staged")
    addresses, tenant = chunk.addresses, chunk.tenant
    return [
        Outbound(key, addresses[ordinal], content, tenant)
        for key, ordinal in zip(references(part), part.ordinals, strict=True)
    ]


def references(part: Slice) -> list[str]:
    """The provider keys of a slice."""
    chunk = part.window.chunk
    numbers, first = chunk.numbers, chunk.first_number
    ordinals = part.ordinals
    return provider_keys(
        chunk.notification_id,
        [first + ordinal for ordinal in ordinals] if numbers is None else [numbers[ordinal] for ordinal in ordinals],
        step=chunk.step,
        generation=chunk.generation,
    )
