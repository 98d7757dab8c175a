"""What every HTTP provider must get right, in its own vendor's words. A provider's test inherits and fills in."""

from abc import ABC, abstractmethod
from datetime import timedelta

import pytest

from libs.contracts.content import InlineContent, SmsContent
from libs.contracts.outcomes import Accepted, Ambiguous, Misconfigured, Permanent, Throttled, Transient
from libs.wire import HttpRequest, HttpResponse
from services.dispatchers.provider import Outbound, Provider

REFERENCES = ["a" * 32, "b" * 32, "c" * 32]
WORDS = 'Кафе "Roma" — 7\\8 \U0001f600'
SMS = SmsContent(text=WORDS)


def outbound(count: int = 3, content: InlineContent = SMS) -> list[Outbound]:
    return [
        Outbound(reference, f"+4850000000{number}", content, "demo")
        for number, reference in enumerate(REFERENCES[:count])
    ]


class ProviderSuite(ABC):
    content: InlineContent = SMS

    @abstractmethod
    def provider(self) -> Provider:
        """The provider under test."""

    @abstractmethod
    def accepted(self) -> HttpResponse:
        """The vendor takes REFERENCES, with the ids x, y and z."""

    @abstractmethod
    def rejected_for_good(self) -> HttpResponse:
        """The vendor takes the first and the third of REFERENCES and rejects the second."""

    def test_it_asks_for_what_we_send(self) -> None:
        request = self.provider().request(outbound(content=self.content))
        assert request.method == "POST"
        assert request.url.startswith("http")
        assert all(reference in request.body.decode() for reference in REFERENCES)

    def test_it_accepts(self) -> None:
        outcomes = self.provider().outcomes(self.accepted(), REFERENCES)
        assert outcomes == [Accepted("x"), Accepted("y"), Accepted("z")]

    def test_it_rejects_for_good(self) -> None:
        first, second, third = self.provider().outcomes(self.rejected_for_good(), REFERENCES)
        assert isinstance(second, Permanent)
        assert isinstance(first, Accepted)
        assert isinstance(third, Accepted)

    @pytest.mark.parametrize(
        ("headers", "delay"),
        [
            ({"retry-after": "7"}, timedelta(seconds=7)),
            ({}, None),
            ({"retry-after": "soon"}, None),
            ({"retry-after": "-1"}, None),
            (
                {"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT", "date": "Sun, 22 Nov 2026 12:00:00 GMT"},
                timedelta(seconds=30),
            ),
        ],
    )
    def test_it_is_throttled(self, headers: dict[str, str], delay: timedelta | None) -> None:
        outcomes = self.provider().outcomes(HttpResponse(429, headers), REFERENCES)
        assert [outcome.retry_after for outcome in outcomes if isinstance(outcome, Throttled)] == [delay] * 3

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (401, Misconfigured),
            (403, Misconfigured),
            (404, Misconfigured),
            (302, Misconfigured),
            (400, Permanent),
            (500, Transient),
            (503, Transient),
            (502, Ambiguous),
            (504, Ambiguous),
        ],
    )
    def test_it_reads_a_refusal(self, status: int, kind: type) -> None:
        outcomes = self.provider().outcomes(HttpResponse(status, {}, b"<html>no</html>"), REFERENCES)
        assert [type(outcome) for outcome in outcomes] == [kind] * 3

    @pytest.mark.parametrize(
        "body",
        [b"", b"OK", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"results": 7}', b"9" * 5000, b'"\\ud800"'],
        ids=str,
    )
    def test_it_survives_garbage(self, body: bytes) -> None:
        outcomes = self.provider().outcomes(HttpResponse(200, {}, body), REFERENCES)
        assert [type(outcome) for outcome in outcomes] == [Ambiguous] * 3

    @pytest.mark.parametrize("body", [b"", b"OK", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000], ids=str)
    def test_it_refuses_a_callback_that_is_none(self, body: bytes) -> None:
        with pytest.raises(ValueError, match="not"):
            self.provider().receipts(HttpRequest("POST", body=body))
