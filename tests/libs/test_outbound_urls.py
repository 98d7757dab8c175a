"""Which URLs and addresses are called: a corpus of what people try, and rules that hold for any."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from libs.outbound_urls import MAX_URL, PORTS, RefusedUrl, is_loopback, is_public, outbound_url

FINE = {
    "https://example.com/hook": "https://example.com/hook",
    "HTTPS://Example.COM": "https://example.com/",
    "https://example.com:443/a?b=c&d=%20": "https://example.com/a?b=c&d=%20",
    "https://example.com:8443/": "https://example.com:8443/",
    "https://example.com./x": "https://example.com/x",
    "https://example.com:/x": "https://example.com/x",
    "https://example.com?x=1": "https://example.com/?x=1",
    "https://пример.рф/крючок": "https://xn--e1afmkfd.xn--p1ai/%D0%BA%D1%80%D1%8E%D1%87%D0%BE%D0%BA",
    "https://faß.de/": "https://xn--fa-hia.de/",
    "https://example。com/": "https://example.com/",
    "https://ⓔxample.com/": "https://example.com/",
    "https://r3---sn-x.example.com/": "https://r3---sn-x.example.com/",
    "https://_acme.example.com/": "https://_acme.example.com/",
    "https://93.184.215.14/": "https://93.184.215.14/",
    "https://[2606:2800:21F:CB07:6820:80DA:AF6B:8B2C]/": "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
    "https://[64:ff9b::5db8:d70e]/": "https://[64:ff9b::5db8:d70e]/",
    "https://1e100.net/": "https://1e100.net/",
    "https://hooks.example.com/a{b}|c": "https://hooks.example.com/a%7Bb%7D%7Cc",
    "https://example.com/a//b/../c;x=1@y:z": "https://example.com/a//b/../c;x=1@y:z",
}

REFUSED = [
    # notations of 127.0.0.1 and of its neighbours
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.0.0.1./",
    "https://127.000.000.001/",
    "https://0/",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[64:ff9b:1::127.0.0.1]/",
    "https://[64:ff9b:1:7f00:0:100::]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:c0a8:0101::1]/",
    "https://１２７.0.0.1/",
    "https://127。0。0。1/",
    "https://①②⑦.0.0.1/",
    "https://localhost/",
    "https://LOCALHOST:443/",
    "https://localhost./",
    "https://LoCaLhOsT。/",
    "https://a.localhost/",
    "https://a.localhost./",
    "https://ｌocalhost/",
    # inner networks and the hosts of clouds
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[fd00:ec2::254]/",
    "https://192.0.0.192/",
    "https://100.100.100.200/",
    "https://168.63.129.16/",
    "https://0x0a.0x00.0x00.0x01/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[fec0::1]/",
    "https://[2001::1]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[5f00::1]/",
    "https://[100::1]/",
    "https://[ff02::1]/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://198.18.0.1/",
    "https://192.88.99.1/",
    "https://192.0.2.1/",
    "https://postgres/",
    "https://kafka.internal/",
    "https://printer.local/",
    "https://router.home.arpa/",
    "https://metadata.google.internal/",
    # parts that have no place in it
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1@example.com/",
    "https://example.com#@127.0.0.1/",
    "https://example.com/#fragment",
    "https://example.com/#",
    "https://example.com\\@127.0.0.1/",
    "https://127.0.0.1\\.example.com/",
    "https:\\\\example.com/",
    "https://example.com/a\\b",
    "https://ex%61mple.com/",
    "https://%31%32%37.0.0.1/",
    "https://127.0.0.1%00.example.com/",
    "https://127.0.0.1%2f@example.com/",
    # schemes and ports
    "http://example.com/",
    "http://127.0.0.1/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com:443/",
    "javascript:alert(1)",
    "//example.com/",
    "/hook",
    "example.com",
    "",
    "https:",
    "https://",
    "https:///x",
    "https:/example.com/",
    "https://:443/",
    "https://example.com:80/",
    "https://example.com:22/",
    "https://example.com:0/",
    "https://example.com:65979/",
    "https://example.com:443443/",
    "https://example.com:+443/",
    "https://example.com:-1/",
    "https://example.com:٤٤٣/",
    "https://example.com:443:443/",
    "https://[::1/",
    "https://::1/",
    "https://[]/",
    "https://[example.com]/",
    "https://[127.0.0.1]/",
    "https://[::ffff:127.0.0.1",
    "https://[2606:2800:21f::]a/",
    # what is no name
    "https://example..com/",
    "https://.example.com/",
    "https://-example.com/",
    "https://example-.com/",
    "https://exa mple.com/",
    "https://example.com,evil.com/",
    "https://exa\u200bmple..com/",
    "https://exam\u0000ple.com/",
    "https://example.com\t/",
    "https://example.com/\r\nHost: evil",
    " https://example.com/",
    "https://example.com/ ",
    "https://example.com/\u00a0x",
    "https://example.com/\u2028x",
    "https://" + "a" * 64 + ".com/",
    "https://" + "a." * 130 + "com/",
    "https://\u202eexample.com/",
    "https://example.com/" + "a" * MAX_URL,
    "https://example.com/" + "я" * 400,
    "https://1.2.3.4.5/",
    "https://256.256.256.256/",
    "https://example.0x7f/",
    "https://a.1/",
    "https://\ud800.com/",
]


@pytest.mark.parametrize(("text", "expected"), FINE.items())
def test_a_public_url_has_one_form(text: str, expected: str) -> None:
    found = outbound_url(text)
    assert found.url == expected
    assert found.url.startswith(found.origin + "/")
    assert not found.is_loopback
    assert outbound_url(expected) == found


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:60])
def test_anything_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(RefusedUrl) as refused:
        outbound_url(text)
    assert "example" not in str(refused.value)
    assert "127" not in str(refused.value)


LOOPBACK = {
    "http://127.0.0.1:8025/hooks/x": "http://127.0.0.1:8025/hooks/x",
    "http://localhost:80/": "http://localhost/",
    "https://localhost./": "https://localhost/",
    "http://[::1]:9/": "http://[::1]:9/",
    "http://a.localhost:1/": "http://a.localhost:1/",
    "https://127.9.9.9:22/": "https://127.9.9.9:22/",
}


@pytest.mark.parametrize(("text", "expected"), LOOPBACK.items())
def test_this_machine_is_called_where_it_was_allowed(text: str, expected: str) -> None:
    found = outbound_url(text, allow_loopback=True)
    assert (found.url, found.is_loopback) == (expected, True)
    with pytest.raises(RefusedUrl):
        outbound_url(text)


ELSEWHERE = ["http://example.com/", "https://10.0.0.1/", "http://0.0.0.0/", "https://example.com:80/"]
ELSEWHERE += ["http://2130706433/", "http://u@localhost/", "http://localhost/#", "http://169.254.169.254/"]
ELSEWHERE += ["ftp://localhost/", "http://db/", "http://localhost:0/", "http://localhost:65536/"]
ELSEWHERE += ["http://[::ffff:10.0.0.1]/"]


@pytest.mark.parametrize("text", ELSEWHERE)
def test_nothing_else_is_allowed_with_it(text: str) -> None:
    with pytest.raises(RefusedUrl):
        outbound_url(text, allow_loopback=True)


@given(st.one_of(st.text(), st.from_regex(r"https?://[^/]{0,40}(/.*)?", fullmatch=True)), st.booleans())
def test_any_text_is_refused_or_comes_out_plain(text: str, allow_loopback: bool) -> None:
    try:
        found = outbound_url(text, allow_loopback=allow_loopback)
    except RefusedUrl:
        return
    assert found.url.isascii()
    assert len(found.url) <= MAX_URL
    assert not set(found.url) & set(' \\"<>^`{|}#')
    assert "@" not in found.origin
    assert outbound_url(found.url, allow_loopback=allow_loopback) == found


PUBLIC = ["93.184.215.14", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111", "2a00::1"]
PUBLIC += ["64:ff9b::1.1.1.1", "2002:101:101::1", "::ffff:1.1.1.1", "2001:4860::8888", "2400:cb00::1"]
CLOSED = ["0.1.2.3", "10.1.2.3", "100.127.255.255", "127.255.255.255", "169.254.0.1", "172.31.255.255", "192.0.0.8"]
CLOSED += ["192.0.2.9", "192.88.99.9", "192.168.9.9", "198.19.9.9", "198.51.100.9", "203.0.113.9", "239.9.9.9"]
CLOSED += ["240.0.0.1", "255.255.255.255", "::", "::1", "fc00::1", "fdff::1", "fe80::1", "feff::1", "ff0e::1"]
CLOSED += ["100::1", "5f00::1", "64:ff9b:1::1.1.1.1", "2001::1", "2001:2::1", "2001:10::1", "2001:db8::1", "3fff::1"]
CLOSED += ["4000::1", "::1.1.1.1".replace("1.1.1.1", "10.0.0.1"), "::ffff:0:10.0.0.1", "1000::1", "e000::1"]


@pytest.mark.parametrize("text", PUBLIC)
def test_addresses_of_the_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", CLOSED)
def test_addresses_of_nobody_outside(text: str) -> None:
    assert not is_public(ip_address(text))


def carriers_of(address: IPv4Address) -> list[IPv6Address]:
    """All notations of IPv6 that lead to an address of IPv4."""
    value = int(address)
    prefixes = ["::ffff:0:0", "::", "::ffff:0:0:0", "64:ff9b::"]
    carried = [IPv6Address(int(IPv6Address(prefix)) | value) for prefix in prefixes if value > 1]
    return [*carried, IPv6Address(int(IPv6Address("2002::")) | value << 80 | 1)]


@given(st.ip_addresses(v=4))
def test_no_notation_makes_an_address_better(address: IPv4Address) -> None:
    assert {is_public(carrier) for carrier in carriers_of(address)} == {is_public(address)}


@given(st.ip_addresses())
def test_what_the_library_calls_private_is_not_public(address: IPv4Address | IPv6Address) -> None:
    if address.is_private or address.is_multicast or address.is_reserved or address.is_link_local:
        carries = isinstance(address, IPv6Address) and (address.ipv4_mapped or int(address) >> 32 == 0)
        assert not is_public(address) or carries or address in carriers_of_nat64(address)


def carriers_of_nat64(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """The address itself where it is a NAT64 form of a public one, which Python counts as reserved."""
    return [address] if int(address) >> 32 == int(IPv6Address("64:ff9b::")) >> 32 else []


@pytest.mark.parametrize("text", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::127.0.0.1"])
def test_loopback(text: str) -> None:
    assert is_loopback(ip_address(text))
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "10.0.0.1", "::2", "1.1.1.1", "fe80::1"])
def test_no_loopback(text: str) -> None:
    assert not is_loopback(ip_address(text))


def odd_forms(address: IPv4Address, bases: list[str], parts: int) -> str:
    """The address as the C library reads it: 1 to 4 numbers, the last for all that is left, each in any base."""
    octets = [*address.packed]
    head, rest = octets[: parts - 1], int.from_bytes(address.packed[parts - 1 :], "big")
    return ".".join(written(number, base) for number, base in zip([*head, rest], bases, strict=False))


def written(number: int, base: str) -> str:
    return {"d": str(number), "x": hex(number), "X": hex(number).upper().replace("0X", "0x"), "o": f"0{number:o}"}[base]


@given(st.ip_addresses(v=4), st.lists(st.sampled_from("dxXo"), min_size=4, max_size=4), st.integers(1, 4))
def test_no_odd_form_of_an_address_is_read_differently_than_the_system_reads_it(
    address: IPv4Address, bases: list[str], parts: int
) -> None:
    host = odd_forms(address, bases, parts)
    assert socket.inet_aton(host) == address.packed
    try:
        found = outbound_url(f"https://{host}/")
    except RefusedUrl:
        return
    assert found.origin == f"https://{address}"
    assert is_public(address)


HOSTS = st.text("aZ09.-_:@[]%\\/?# ıßＡ。①\u200d\u00ad\u0301", max_size=20) | st.from_regex(
    r"[a-z0-9.-]{1,12}\.[a-zA-Zа-я]{2,5}(:[0-9]{1,5})?", fullmatch=True
)


@given(HOSTS, st.text(max_size=20), st.sampled_from(["https://", "HTTPS://", "https:/", "https:///"]))
def test_other_readers_find_the_same_server_in_what_passed(host: str, rest: str, scheme: str) -> None:
    try:
        found = outbound_url(f"{scheme}{host}/{rest}")
    except RefusedUrl:
        return
    ours = found.origin.removeprefix("https://").removesuffix(":8443")
    as_yarl, as_urllib = URL(found.url, encoded=True), urlsplit(found.url)
    assert as_yarl.raw_host == as_urllib.hostname == ours.strip("[]")
    assert as_yarl.port in PORTS
    assert (as_urllib.port or 443) == as_yarl.port
    assert as_yarl.user is as_urllib.username is None
