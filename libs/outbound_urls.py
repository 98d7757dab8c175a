"""Which URLs of a caller's choice we call: asked when one is written down, and again before each call.

A URL that is fine can still lead anywhere, because whoever owns the name decides what it resolves to. So who connects
asks `is_public` of every address that comes out of the resolver; checking the URL alone protects nothing.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple
from urllib.parse import quote

import idna

MAX_URL = 2048
PORTS = frozenset({443, 8443})

_MAX_HOST = 253
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# Every reader takes a last label of this kind for a number, so that 0x7f.1 and 2130706433 are 127.0.0.1.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNWRITABLE = re.compile(r"[\x00-\x20\x7f\\]|[^\x00-\x7f](?<=\s)")
# What stands for itself in a path or query (RFC 3986); the percent sign too, so that nothing is escaped twice.
_PLAIN = "!#$%&'()*+,/:;=?@[]-._~"
_INNER_DOMAINS = (".localhost", ".local", ".internal", ".home.arpa")

_CLOSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host agent: public by number, and on every machine there
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Of IPv6 only 2000::/3 is given out, and of that these are not for the public: protocol assignments (Teredo, ORCHID,
# benchmarks) and documentation. 64:ff9b:1::/48 is NAT64 within a network: what it leads to is not for us to know.
_OPEN_V6 = IPv6Network("2000::/3")
_CLOSED_V6 = tuple(IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20"))
# Addresses of IPv6 that mean one of IPv4, and how many bits follow that address in them.
_CARRIES_V4 = (
    (IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (IPv6Network("::/96"), 0),  # compatible
    (IPv6Network("::ffff:0:0:0/96"), 0),  # translated
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
)


class RefusedUrl(ValueError):  # noqa: N818 - what is wrong is the URL
    """Not a URL that we call. The text says why and holds nothing of the URL."""


class OutboundUrl(NamedTuple):
    """A URL that may be called, in its one form. `origin` is the part that names the server; `is_loopback`: it names
    this machine, which only somebody who was allowed to can say."""

    url: str
    origin: str
    is_loopback: bool


def outbound_url(text: str, *, allow_loopback: bool = False) -> OutboundUrl:
    """Understand a URL that a caller chose. Raises RefusedUrl.

    It is https on port 443 or 8443, to a public name or address, without user, password and fragment. `allow_loopback`
    (for development) lets http and any port pass as well, where the host is localhost or a loopback address.
    """
    if len(text) > MAX_URL:
        raise RefusedUrl(f"it has more than {MAX_URL} characters")
    parts = _PARTS.fullmatch(text)
    if parts is None or _UNWRITABLE.search(text):
        raise RefusedUrl("it is no URL")
    scheme, authority, path, query, fragment = parts.groups()
    if fragment is not None:
        raise RefusedUrl("it has a fragment")
    if "@" in authority:
        raise RefusedUrl("it has a user or password")
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise RefusedUrl("its host cannot be read")
    host, is_loopback = _host(found[1])
    scheme, port = scheme.lower(), found[2]
    if is_loopback and not allow_loopback:
        raise RefusedUrl("it leads to this machine")
    if scheme != "https" and not (is_loopback and scheme == "http"):
        raise RefusedUrl("it is not https")
    number = int(port) if port else 443 if scheme == "https" else 80
    if not is_loopback and number not in PORTS:
        raise RefusedUrl("its port is neither 443 nor 8443")
    if not 0 < number < 65536:
        raise RefusedUrl("its port does not exist")
    shown = "" if number == (443 if scheme == "https" else 80) else f":{number}"
    origin = f"{scheme}://{host}{shown}"
    url = f"{origin}{_quoted(path) or '/'}{_quoted(query or '')}"
    if len(url) > MAX_URL:
        raise RefusedUrl(f"it has more than {MAX_URL} characters")
    return OutboundUrl(url, origin, is_loopback)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to the public internet, whatever notation hides it.

    The standard library's `is_global` is not asked: in Python 3.11 it lets NAT64, 6to4 and IPv4-compatible forms pass.
    """
    meant = _meant(address)
    if isinstance(meant, IPv4Address):
        return not any(meant in network for network in _CLOSED_V4)
    return meant in _OPEN_V6 and not any(meant in network for network in _CLOSED_V6)


def is_loopback(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is this machine, whatever notation hides it."""
    return address == IPv6Address("::1") or _meant(address).is_loopback


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside one of IPv6, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    for network, shift in _CARRIES_V4:
        if address in network:
            return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


def _host(text: str) -> tuple[str, bool]:
    """The host in its one form and whether it is this machine. Raises RefusedUrl for one that is not public."""
    if text.startswith("["):
        return _literal(text[1:-1], in_brackets=True)
    name = _ascii(text)
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _literal(name, in_brackets=False)
    if len(name) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise RefusedUrl("its host is no name")
    if name == "localhost" or name.endswith(".localhost"):
        return name, True
    if len(labels) == 1 or name.endswith(_INNER_DOMAINS):
        raise RefusedUrl("its host is not a public name")
    return name, False


def _ascii(text: str) -> str:
    """A name as the resolver gets it: lower case, IDNA (UTS 46, which also knows other dots and digits), no dot at its
    end. Raises RefusedUrl."""
    name = text.lower()
    if not name.isascii():
        try:
            name = idna.encode(text, uts46=True).decode().lower()
        except (idna.IDNAError, UnicodeError):
            raise RefusedUrl("its host is no name") from None
    return name.removesuffix(".")


def _literal(text: str, *, in_brackets: bool) -> tuple[str, bool]:
    """An address instead of a name, in its plain form only."""
    try:
        address = ip_address(text)
    except ValueError:
        raise RefusedUrl("its host is an address in a form that we do not read") from None
    if in_brackets != isinstance(address, IPv6Address) or "%" in text:
        raise RefusedUrl("its host is an address in a form that we do not read")
    if is_loopback(address):
        return _written(address), True
    if not is_public(address):
        raise RefusedUrl("its host is not a public address")
    return _written(address), False


def _written(address: IPv4Address | IPv6Address) -> str:
    return f"[{address}]" if isinstance(address, IPv6Address) else str(address)


def _quoted(text: str) -> str:
    """Percent-encoded where RFC 3986 wants it."""
    return quote(text, safe=_PLAIN)
