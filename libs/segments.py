"""How many parts an SMS is sent in, which is what it costs (3GPP TS 23.038 and 23.040)."""

# 23.038, 6.2.1: one septet each.
GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# 6.2.1.1: an escape and another septet.
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
_GSM = GSM_BASIC | GSM_EXTENSION

# 23.040, 9.2.3.16 and 9.2.3.24.1: alone, and beside a header that numbers the parts.
SEPTETS_ALONE, SEPTETS_IN_PART = 160, 153
UNITS_ALONE, UNITS_IN_PART = 70, 67


def segments(text: str) -> int:
    """At least one. GSM 7-bit where its alphabet has every character, else UCS-2 (UTF-16 on today's phones)."""
    if _GSM.issuperset(text):
        return _parts([2 if character in GSM_EXTENSION else 1 for character in text], SEPTETS_ALONE, SEPTETS_IN_PART)
    return _parts([2 if character > "\uffff" else 1 for character in text], UNITS_ALONE, UNITS_IN_PART)


def _parts(widths: list[int], alone: int, in_part: int) -> int:
    """No part ends within a character."""
    total = sum(widths)
    if total <= alone:
        return 1
    if total == len(widths):
        return -(-total // in_part)
    parts, room = 1, in_part
    for width in widths:
        if width > room:
            parts, room = parts + 1, in_part
        room -= width
    return parts
