import pytest

from libs.telemetry.masking import mask_field, mask_text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("sent to +48600100200", "sent to <phone>"),
        ("sent to +48 600 100-200.", "sent to <phone>."),
        ("to +7 (999) 123-45-67, twice", "to <phone>, twice"),
        ("to 375291234567!", "to <phone>!"),
        ("mail to a.b+c@example.co.uk failed", "mail to <email> failed"),
        ("<Вікторія@приклад.укр>", "<<email>>"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: ***"),
        ("authorization='Basic dXNlcjpwYXNz'", "authorization=***'"),
        ("got Bearer abc.def", "got Bearer ***"),
        ("Authorization: Bearer partner1, User user1", "Authorization: ***"),
        ("GET /x?token=abc123&to=1", "GET /x?token=***&to=1"),
        ("x-nextinteract-authtoken: abc", "x-nextinteract-authtoken: ***"),
        ("{'api-key': 'abc'}", "{'api-key': ***'}"),
        ('{"password": "abc"}', '{"password": ***"}'),
        ("postgresql://tracker:hunter2@h:5432/d", "postgresql://***@h:5432/d"),
        ("POST /receipts/http_smsc/s3cret?x=1", "POST /receipts/http_smsc/***?x=1"),
        ("duplicate\nDETAIL:  Key (name)=(Viktor) exists.", "duplicate\nDETAIL: <hidden>"),
    ],
)
def test_what_is_masked(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "0192f3a4-5b6c-7d8e-9f01-234567890123",
        "019212345678901234567890abcdef01",
        "offset 123456789 of send.sms.bulk-12",
        "took 12345678901.5 ms",
        "2026-11-22T01:02:03.000+00:00",
        "12:34:56 on 2026-11-22",
        "127.0.0.1:54321 refused",
        "1.5e10 and 1234567890abc",
        "line 12, in <module>",
    ],
)
def test_what_is_not(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize(
    ("name", "value", "masked"),
    [
        ("token", "abc", "***"),
        ("user_api_key", "abc", "***"),
        ("tokens_left", 3, 3),
        ("offset", 12345678901234, 12345678901234),
        ("headers", {"Authorization": "x", "to": "+48600100200"}, {"Authorization": "***", "to": "<phone>"}),
        ("people", ["a@b.cc", {"x": ("+48600100200",)}], ["<email>", {"x": ["<phone>"]}]),
        ("body", b"secret text", "<11 bytes>"),
        ("error", ValueError("bad +48600100200"), "bad <phone>"),
    ],
)
def test_fields(name: str, value: object, masked: object) -> None:
    assert mask_field(name, value) == masked


def test_one_long_word_is_masked_in_time() -> None:
    text = "a" * 200_000 + "@" + "b" * 200_000
    assert len(mask_text(text)) == len(text)
