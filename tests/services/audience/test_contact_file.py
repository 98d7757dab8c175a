"""What the lines of a contact file say."""

import pytest

from services.audience.contact_file import BadHeader, BadLine, ContactFile, ContactLine


def read(text: str, **options: str) -> list[ContactLine | BadLine]:
    return list(ContactFile(text.splitlines(keepends=True), **options))


def test_columns_may_stand_in_any_order() -> None:
    file = ContactFile(["email,client_id,fullname\n", "anna@example.com,7,Anna\n", ",8,\n"])
    assert file.columns == ["email", "fullname"]
    assert list(file) == [ContactLine([7, "anna@example.com", "Anna"]), ContactLine([8, None, ""])]


def test_every_column_is_read() -> None:
    header = "client_id,fullname,phone,email,card,locale,timezone,user_key\n"
    line = '1,"Anna ""Ania"", Nowak",+48 600 123 456,a@example.com,56rt,pl-PL,Europe/Warsaw,abc\n'
    (contact,) = read(header + line)
    values = [1, 'Anna "Ania", Nowak', "+48600123456", "a@example.com", "56rt", "pl-PL", "Europe/Warsaw", "abc"]
    assert contact == ContactLine(values)


def test_a_quoted_field_may_span_lines_and_blank_lines_are_nothing() -> None:
    found = read('client_id,fullname\n\n1,"Anna\nNowak"\n\nx,Jan\n')
    assert found == [ContactLine([1, "Anna\nNowak"]), BadLine(6, found[1].problem)]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("", "empty"),
        ("fullname,phone\n", "client_id"),
        ("client_id\n", "at least one other"),
        ("client_id,nickname\n", "'nickname' is not a column"),
        ("client_id,phone,phone\n", "twice"),
    ],
)
def test_a_header_that_says_too_little_or_too_much(header: str, words: str) -> None:
    with pytest.raises(BadHeader, match=words):
        ContactFile(header.splitlines(keepends=True))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("x,,,,", "client_id"),
        ("-1,,,,", "client_id"),
        ("9223372036854775808,,,,", "client_id"),
        ("9" * 100_000 + ",,,,", "client_id"),
        ("²,,,,", "client_id"),
        ("1,,,", "has 4 fields, the header has 5"),
        ("1,600123456,,,", "phone"),
        ("1,,anna,,", "email"),
        ("1,,a b@example.com,,", "email"),
        ("1,,,,Mars/Olympus", "timezone"),
        ("1,,,English please,", "locale"),
        ("1,\0,,,", "NUL"),
        ("1,\udcff,,,", "UTF-8"),
    ],
)
def test_a_bad_line_is_named_by_number_and_not_repeated(line: str, words: str) -> None:
    bad, good = read(f"client_id,phone,email,locale,timezone\n{line}\n2,,,,\n")
    assert isinstance(bad, BadLine)
    assert bad.line == 2
    assert words in bad.problem
    assert not any(field in bad.problem for field in line.split(",") if len(field) > 3)
    assert good == ContactLine([2, None, None, None, None])


def test_a_client_id_may_stand_in_a_file_once() -> None:
    assert read("client_id,card\n1,a\n1,b\n")[1:] == [BadLine(3, "client_id 1 stands in the file twice")]


def test_a_long_name_is_too_long() -> None:
    (bad,) = read(f"client_id,fullname\n1,{'a' * 501}\n")
    assert bad == BadLine(2, "fullname is longer than 500 characters")


def test_phones_without_a_country_are_of_the_region() -> None:
    assert read("client_id,phone\n1,600 123 456\n", region="PL") == [ContactLine([1, "+48600123456"])]
