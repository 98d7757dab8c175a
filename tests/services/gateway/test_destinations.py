"""What a tenant may have us call."""

from typing import Any

import pytest

from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.content import SmsContent, WebhookContent
from libs.contracts.notification import Callback
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.wire import Problem
from services.gateway.destinations import called
from services.gateway.translation import Draft

HOOK = "https://hooks.example.com/a"
HERE = "http://127.0.0.1:8025/hooks/a"


def posted(*urls: str) -> Draft:
    return Draft(Channel.WEBHOOK, Addresses(addresses=urls), WebhookContent(body=""), Lane.BULK, MessageClass.WEBHOOK)


def calling_back(url: str) -> Draft:
    content = SmsContent(text="hi")
    callback = Callback(url=url, dialect="native")
    return Draft(Channel.SMS, ClientIds(client_ids=(1,)), content, Lane.URGENT, MessageClass.BULK, callback=callback)


def refused(draft: Draft, *, allow_loopback: bool = False) -> dict[str, str]:
    with pytest.raises(Problem) as caught:
        called([draft], allow_loopback=allow_loopback)
    assert caught.value.status == 422
    errors: Any = caught.value.extra["errors"]
    return {error["field"]: error["detail"] for error in errors}


def test_what_is_fine_stays_as_it_is() -> None:
    drafts = (posted(HOOK), calling_back(HOOK))
    assert called(drafts, allow_loopback=False) == drafts
    local = (posted(HERE), calling_back(HERE))
    assert called(local, allow_loopback=True) == local


def test_urls_get_one_form_and_stand_once() -> None:
    (draft,) = called([posted("HTTPS://Hooks.Example.com:443/a", HOOK)], allow_loopback=False)
    assert draft.to == Addresses(addresses=(HOOK,))
    (draft,) = called([calling_back("https://bücher.example/ä")], allow_loopback=False)
    assert draft.callback == Callback(url="https://xn--bcher-kva.example/%C3%A4", dialect="native")


@pytest.mark.parametrize(
    "url",
    [
        HERE,
        "http://hooks.example.com/a",
        "https://localhost/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com:8080/",
        "https://hooks.example.com/#f",
        "ftp://hooks.example.com/",
        "nonsense",
    ],
)
def test_what_must_not_be_called(url: str) -> None:
    faults = refused(calling_back(url))
    assert list(faults) == ["callback.url"]
    assert "cannot be called: it" in faults["callback.url"]
    assert url not in faults["callback.url"]
    faults = refused(posted(HOOK, url))
    assert list(faults) == ["to.addresses"]
    assert faults["to.addresses"].startswith("must hold URLs that may be called. Entry 1 cannot be called: it")


def test_loopback_is_all_that_is_allowed_in_addition() -> None:
    assert refused(posted("http://10.0.0.1/"), allow_loopback=True)
