"""Which addresses of the web a tenant may have us call."""

from collections.abc import Sequence
from dataclasses import replace

from libs.contracts.audience import Addresses
from libs.contracts.routing import Channel
from libs.outbound_urls import RefusedUrl, outbound_url
from services.gateway.faults import Fault, Faults
from services.gateway.translation import Draft


def called(drafts: Sequence[Draft], *, allow_loopback: bool) -> tuple[Draft, ...]:
    """The drafts with every URL that we are to call in its one form. `allow_loopback` lets plain http to this machine
    pass. Raises Problem 422 for what must not be called; the dispatcher asks again before each call."""
    faults = Faults()
    checked = tuple(_called(draft, allow_loopback, faults) for draft in drafts)
    if faults:
        raise faults.problem()
    return checked


def _called(draft: Draft, allow_loopback: bool, faults: Faults) -> Draft:
    if draft.callback is not None:
        url = faults.read("callback.url", lambda text: _url(text, allow_loopback), draft.callback.url)
        if url is not None and url != draft.callback.url:
            draft = replace(draft, callback=draft.callback.model_copy(update={"url": url}))
    if draft.channel is Channel.WEBHOOK and isinstance(draft.to, Addresses):
        given = draft.to.addresses
        urls = faults.read("to.addresses", lambda texts: _urls(texts, allow_loopback), given)
        if urls is not None and urls != given:
            draft = replace(draft, to=Addresses(addresses=urls))
    return draft


def _urls(texts: Sequence[str], allow_loopback: bool) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for position, text in enumerate(texts):
        try:
            found[_url(text, allow_loopback)] = None
        except Fault as fault:
            raise Fault(f"must hold URLs that may be called. Entry {position} {fault}") from fault
    return tuple(found)


def _url(text: str, allow_loopback: bool) -> str:
    try:
        return outbound_url(text, allow_loopback=allow_loopback).url
    except RefusedUrl as error:
        raise Fault(f"cannot be called: {error}.") from error
