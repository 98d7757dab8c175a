"""Who may do what: tokens x kinds x scopes x resources."""

from datetime import UTC, datetime

import pytest

from libs.wire import Problem
from services.gateway.authorization import Credential, digest_of, prefix_of, require, verify
from services.gateway.translation import READ, SEND, Demand, Token
from tests.services.gateway.doubles import (
    API_KEY,
    CREDENTIALS,
    PARTNER_TOKEN,
    PEPPER,
    READ_ONLY_KEY,
    SECRET,
    USER_TOKEN,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FOUND = {one.prefix: one for one in CREDENTIALS}
PARTNER, USER = Token("altegio.partner", PARTNER_TOKEN), Token("altegio.user", USER_TOKEN)


def decide(demand: Demand) -> int | str:
    try:
        return require(demand, verify(demand, FOUND, pepper=PEPPER, now=NOW)).tenant.name
    except Problem as problem:
        return problem.status


@pytest.mark.parametrize(
    ("tokens", "decision"),
    [
        ((PARTNER, USER), "demo"),
        ((Token("native", API_KEY),), "demo"),
        ((Token("native", PARTNER_TOKEN),), 401),
        ((Token("altegio.partner", USER_TOKEN), USER), 401),
        ((PARTNER, Token("altegio.user", PARTNER_TOKEN)), 401),
        ((PARTNER, Token("altegio.user", f"altu_other.{SECRET}")), 401),
        ((PARTNER, Token("altegio.user", f"altu_nobody.{SECRET}")), 401),
        ((PARTNER, Token("altegio.user", f"altu_test.{SECRET[:-1]}x")), 401),
        ((PARTNER, Token("altegio.user", f"altu_test.{SECRET}x")), 401),
        ((PARTNER, Token("altegio.user", SECRET)), 401),
        ((Token("altegio.partner", f"altp_old.{SECRET}"), USER), 401),
        ((PARTNER, Token("altegio.user", f"altu_reader.{SECRET}")), 403),
        ((Token("native", READ_ONLY_KEY),), 403),
    ],
)
def test_tokens(tokens: tuple[Token, ...], decision: int | str) -> None:
    assert decide(Demand(tokens, SEND, "location/1")) == decision


@pytest.mark.parametrize(
    ("resource", "decision"),
    [(None, "demo"), ("location/1", "demo"), ("location/2", 403), ("location/3", 404), ("location/9", 404), ("*", 404)],
)
def test_resources(resource: str | None, decision: int | str) -> None:
    assert decide(Demand((PARTNER, USER), SEND, resource)) == decision


@pytest.mark.parametrize(
    ("key", "scope", "decision"), [(API_KEY, READ, "demo"), (READ_ONLY_KEY, READ, "demo"), (READ_ONLY_KEY, SEND, 403)]
)
def test_scopes(key: str, scope: str, decision: int | str) -> None:
    assert decide(Demand((Token("native", key),), scope)) == decision


@pytest.mark.parametrize(
    "value", ["", ".", "a.b", f".{SECRET}", f"a b.{SECRET}", f"é.{SECRET}", f"{'a' * 65}.{SECRET}", f"a.{SECRET}\n"]
)
def test_what_is_no_token(value: str) -> None:
    assert prefix_of(Token("native", value)) is None
    assert decide(Demand((Token("native", value),), SEND)) == 401


def test_another_pepper_opens_nothing() -> None:
    demand = Demand((Token("native", API_KEY),), SEND)
    with pytest.raises(Problem):
        verify(demand, FOUND, pepper=b"another", now=NOW)


def test_an_unknown_prefix_is_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    digests: list[str] = []

    def counted(secret: str, pepper: bytes) -> bytes:
        digests.append(secret)
        return digest_of(secret, pepper)

    monkeypatch.setattr("services.gateway.authorization.digest_of", counted)
    known: dict[str, Credential] = {}
    for value in (API_KEY, "nonsense"):
        with pytest.raises(Problem):
            verify(Demand((Token("native", value),), SEND), known, pepper=PEPPER, now=NOW)
    assert len(digests) == 2
