"""What an SMS counts: a table, and the alphabet and the cutting of others as judges."""

import gsm0338
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libs.segments import GSM_BASIC, GSM_EXTENSION, segments

CODEC = gsm0338.Codec()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 80 + "a", 2),
        ("a" * 152 + "€" + "a" * 151, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # an escape is not torn from its character
        ("Ж" * 70, 1),
        ("Ж" * 71, 2),
        ("Ж" * 134, 2),
        ("Ж" * 135, 3),
        ("a" * 70 + "Ж", 2),
        ("😀" * 35, 1),
        ("😀" * 35 + "Ж", 2),
        ("Ж" * 66 + "😀" + "Ж" * 66, 3),  # nor is a surrogate pair
        ("`", 1),  # no character of the alphabet, though it looks like one
        ("`" + "a" * 70, 2),
        ("ą" * 71, 2),
        ("ä" * 160, 1),
        ("", 1),
    ],
)
def test_a_message_is_cut_as_the_standard_says(text: str, expected: int) -> None:
    assert segments(text) == expected


def test_the_alphabet_is_the_one_others_use() -> None:
    """All of the first plane; the escape is a code, not a character that can be sent."""
    for code in range(0x10000):
        character = chr(code)
        try:
            septets = len(CODEC.encode(character)[0])
        except UnicodeEncodeError:
            septets = 0
        ours = 2 if character in GSM_EXTENSION else int(character in GSM_BASIC)
        assert ours == (septets if character != "\x1b" else 0), hex(code)


def cut(units: list[int], alone: int, in_part: int) -> int:
    """How many parts a phone makes of units that may not be torn, by trying."""
    if sum(units) <= alone:
        return 1
    parts = 0
    while units:
        size = max(count for count in range(1, min(len(units), in_part) + 1) if sum(units[:count]) <= in_part)
        units, parts = units[size:], parts + 1
    return parts


GSM = st.text(st.sampled_from(sorted(GSM_BASIC | GSM_EXTENSION)), max_size=700)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(GSM)
@example("{" * 153)
def test_septets_are_counted_as_another_encodes_them(text: str) -> None:
    assert segments(text) == cut([len(CODEC.encode(character)[0]) for character in text], 160, 153)


@given(ANY.filter(lambda text: not set(text) <= GSM_BASIC | GSM_EXTENSION))
@example("😀" * 100)
def test_other_words_are_counted_in_utf_16(text: str) -> None:
    assert segments(text) == cut([len(character.encode("utf-16-be")) // 2 for character in text], 70, 67)
