"""A webhook as Standard Webhooks write it, and what the endpoint's answer means."""

from collections.abc import Sequence

from libs.contracts.content import WebhookContent
from libs.contracts.outcomes import Accepted, Outcome, Permanent, Throttled, Transient
from libs.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from libs.wire import HttpRequest, HttpResponse
from services.dispatchers.provider import retry_after

GONE = Permanent("http 410: the endpoint wants no more")


def request(
    url: str, content: WebhookContent, *, webhook_id: str, timestamp: int, keys: Sequence[bytes]
) -> HttpRequest:
    """The attempt made at `timestamp` (seconds since 1970); `webhook_id` is the same for every attempt."""
    body = content.body.encode()
    headers = {
        "content-type": content.content_type,
        "user-agent": "Carillon",
        ID_HEADER: webhook_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: sign(keys, webhook_id, timestamp, body),
    }
    return HttpRequest("POST", headers=headers, body=body, url=url)


def outcome(response: HttpResponse) -> Outcome:
    """Every answer but a 2xx is a failure, which may pass; a redirect is not followed, and 410 ends it for good."""
    reason = f"http {response.status}"
    match response.status:
        case status if 200 <= status < 300:
            return Accepted("")
        case 410:
            return GONE
        case status if 300 <= status < 400:
            return Permanent(f"{reason}: redirects are not followed")
        case 429:
            return Throttled(reason, retry_after(response.headers))
        case 503 if delay := retry_after(response.headers):
            return Throttled(reason, delay)
        case _:
            return Transient(reason)
