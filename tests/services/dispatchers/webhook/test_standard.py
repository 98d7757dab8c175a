"""What an endpoint gets, and what its answer means."""

from datetime import timedelta

import pytest

from libs.contracts.content import WebhookContent
from libs.contracts.outcomes import Accepted, Outcome, Permanent, Throttled, Transient
from libs.signing import secret_text, tenant_key, verifies
from libs.wire import HttpResponse
from services.dispatchers.webhook import standard

KEYS = (tenant_key(b"master", "demo"), tenant_key(b"earlier", "demo"))
CONTENT = WebhookContent(body='{"имя": "Анна"}', content_type="application/vnd.x+json; charset=utf-8")


def test_the_request_can_be_verified_with_either_secret() -> None:
    request = standard.request("https://example.com/", CONTENT, webhook_id="a" * 32, timestamp=1700000000, keys=KEYS)
    assert (request.method, request.url, request.body) == ("POST", "https://example.com/", CONTENT.body.encode())
    assert request.headers["content-type"] == CONTENT.content_type
    given = [request.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")]
    assert given[:2] == ["a" * 32, "1700000000"]
    for key in KEYS:
        assert verifies([secret_text(key)], given[0], given[1], request.body, given[2])


def test_a_further_attempt_has_its_own_time_and_signature_but_the_same_id() -> None:
    first, second = (
        standard.request("https://example.com/", CONTENT, webhook_id="a" * 32, timestamp=at, keys=KEYS).headers
        for at in (1700000000, 1700000005)
    )
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"webhook-timestamp", "webhook-signature"}


@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        (200, {}, Accepted("")),
        (204, {}, Accepted("")),
        (299, {}, Accepted("")),
        (301, {}, Permanent("http 301: redirects are not followed")),
        (307, {"location": "http://127.0.0.1/"}, Permanent("http 307: redirects are not followed")),
        (410, {}, standard.GONE),
        (429, {}, Throttled("http 429")),
        (429, {"retry-after": "7"}, Throttled("http 429", timedelta(seconds=7))),
        (503, {"retry-after": "9"}, Throttled("http 503", timedelta(seconds=9))),
        (503, {}, Transient("http 503")),
        *((status, {}, Transient(f"http {status}")) for status in (400, 401, 403, 404, 408, 422, 500, 502, 504, 599)),
    ],
)
def test_what_an_answer_means(status: int, headers: dict[str, str], outcome: Outcome) -> None:
    assert standard.outcome(HttpResponse(status, headers)) == outcome
