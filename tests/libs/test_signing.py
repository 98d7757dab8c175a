"""Signatures: against the published library for receivers, and against everything that is not one."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from libs import signing
from libs.settings import SettingsError, load
from libs.signing import SigningSettings, secret_text, sign, tenant_key, tenant_keys, verifies

MASTER, OLD = b"a master key of 32 characters ok", b"the master key of last year 1234"
KEY = tenant_key(MASTER, "demo")
NOW = datetime.now(UTC)
AT = int(NOW.timestamp())


def headers(keys: tuple[bytes, ...], body: bytes, message_id: str = "a" * 32) -> dict[str, str]:
    """Signed now: the published library goes by its own clock, and a whole test run takes longer than it allows."""
    at = int(datetime.now(UTC).timestamp())
    return {
        signing.ID_HEADER: message_id,
        signing.TIMESTAMP_HEADER: str(at),
        signing.SIGNATURE_HEADER: sign(keys, message_id, at, body),
    }


def test_the_example_of_the_libraries() -> None:
    """The vector that the Standard Webhooks libraries of all languages share."""
    body = b'{"test": 2432232314}'
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign([signing._key(secret)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == signature
    assert verifies([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body, signature)


@given(st.text(st.characters(codec="utf-8")), st.uuids())
def test_receivers_with_the_published_library_verify_any_body(text: str, message_id: object) -> None:
    body = json.dumps({"text": text}, ensure_ascii=False).encode()
    theirs = Webhook(secret_text(KEY)).verify(body, headers((KEY,), body, f"{message_id}"))
    assert theirs == {"text": text}


def test_both_keys_sign_while_one_replaces_the_other() -> None:
    keys = tenant_keys([MASTER, OLD], "demo")
    given = headers(keys, b"{}")
    assert len(given[signing.SIGNATURE_HEADER].split(" ")) == 2
    for key in keys:
        assert Webhook(secret_text(key)).verify(b"{}", given) == {}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(tenant_key(MASTER, "other"))).verify(b"{}", given)


def test_what_the_published_library_signs_we_verify() -> None:
    theirs = Webhook(secret_text(KEY)).sign("msg_1", NOW, "Здравствуйте")
    assert verifies([secret_text(KEY)], "msg_1", str(AT), "Здравствуйте".encode(), theirs, now=NOW)


def test_keys_differ_by_tenant_and_by_master() -> None:
    keys = {tenant_key(master, tenant) for master in (MASTER, OLD) for tenant in ("demo", "demo2", "")}
    assert len(keys) == 6
    assert all(len(key) == 32 and MASTER not in key for key in keys)


TAMPERED = {
    "body": {"body": b"{ }"},
    "id": {"message_id": "b" * 32},
    "time": {"timestamp": str(AT + 1)},
    "moved stop": {"message_id": "a" * 31, "timestamp": f"a.{AT}"},
    "no signature": {"signature": ""},
    "version": {"signature": sign([KEY], "a" * 32, AT, b"{}").replace("v1,", "v1a,")},
    "no version": {"signature": sign([KEY], "a" * 32, AT, b"{}").removeprefix("v1,")},
    "cut": {"signature": sign([KEY], "a" * 32, AT, b"{}")[:-4]},
    "no base64": {"signature": "v1,???? v1, v1"},
    "other key": {"signature": sign([tenant_key(MASTER, "other")], "a" * 32, AT, b"{}")},
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=list(TAMPERED))
def test_what_was_tampered_with_is_refused(change: dict[str, object]) -> None:
    right = {
        "message_id": "a" * 32,
        "timestamp": str(AT),
        "body": b"{}",
        "signature": f"v1,AAAA {sign([KEY], 'a' * 32, AT, b'{}')} v2,x",
    }
    assert verifies([secret_text(KEY)], **right)  # type: ignore[arg-type]
    assert not verifies([secret_text(KEY)], **(right | change))  # type: ignore[arg-type]


@pytest.mark.parametrize("by", [timedelta(minutes=6), -timedelta(minutes=6), timedelta(days=9)])
def test_a_call_is_not_believed_for_ever(by: timedelta) -> None:
    signature = sign([KEY], "a" * 32, AT, b"{}")
    assert verifies([secret_text(KEY)], "a" * 32, str(AT), b"{}", signature, now=NOW)
    assert not verifies([secret_text(KEY)], "a" * 32, str(AT), b"{}", signature, now=NOW + by)


@pytest.mark.parametrize("timestamp", ["", "soon", "-1", "1e9", "٣", "9" * 400])
def test_a_time_that_is_none_is_refused(timestamp: str) -> None:
    assert not verifies([secret_text(KEY)], "a", timestamp, b"", "v1,AAAA", now=NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_???", "\ud800"])
def test_an_empty_key_verifies_nothing(secret: str) -> None:
    with pytest.raises(ValueError, match="not a signing secret"):
        verifies([secret], "a", "1", b"", sign([b""], "a", 1, b""))


def test_an_id_cannot_hold_what_separates_the_parts() -> None:
    with pytest.raises(ValueError, match="full stop"):
        sign([KEY], "a.1", 1, b"")


def test_settings() -> None:
    settings = load(SigningSettings, {"SIGNING_KEY": MASTER.decode(), "SIGNING_PREVIOUS_KEY": OLD.decode()})
    assert settings.master_keys() == (MASTER, OLD)
    assert load(SigningSettings, {"SIGNING_KEY": MASTER.decode()}).master_keys() == (MASTER,)
    assert MASTER.decode() not in repr(settings)
    with pytest.raises(SettingsError, match="SIGNING_KEY"):
        load(SigningSettings, {"SIGNING_KEY": "short"})
