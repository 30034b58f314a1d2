"""Addresses of IPFS gateways: what may stand in the settings, and where a gateway may send us."""

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from doitrust.errors import Usage
from doitrust.text import visible

#: Each of them is asked, all at once if need be.
MAX_GATEWAYS = 10
_MAX_URL = 2048
_HINT = "as in https://trustless-gateway.link or http://127.0.0.1:8080"
#: RFC 3986's characters of a path, and of a path with a query; whatever else there is must be written with %.
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+;=:@-]|%[0-9A-Fa-f]{2})*)*")
_TARGET = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")
#: Labels of a name; the underscore is what containers are called by.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?!.{{254}}){_LABEL}(?:\.{_LABEL})*\.?")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Target(NamedTuple):
    """Where a request goes: scheme, host (an IPv6 address without brackets), port, and path with query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Scheme, host and, unless it is the scheme's own, port, as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _port_of(self.scheme) else f":{self.port}")

    @property
    def authority(self) -> str:
        """What the header Host says.

        Asked as localhost, Kubo redirects to <CID>.ipfs.localhost, where it may not send us; by its address it answers.
        """
        asked = self._replace(host="127.0.0.1") if self.host == "localhost" else self
        return asked.origin.partition("//")[2]

    @property
    def url(self) -> str:
        """All of it."""
        return self.origin + self.path


def gateway_urls(texts: Iterable[str]) -> list[str]:
    """Read the addresses of gateways as settings have them; each once, in one form, without a slash at the end.

    Accepted are http and https, a host (name, IPv4, IPv6 in brackets), a port, a path to put in front of `/ipfs/`.
    Raises `Usage` for anything else, and for more than `MAX_GATEWAYS`.
    """
    urls = list(dict.fromkeys(_gateway_url(text.strip()) for text in texts))
    if len(urls) > MAX_GATEWAYS:
        raise Usage(f"{len(urls)} gateways are too many, at most {MAX_GATEWAYS} are asked")
    return urls


def _gateway_url(text: str) -> str:
    shown = f"the gateway {visible(text, 100)!r}"
    if "@" in text.partition("//")[2].partition("/")[0]:
        raise Usage("a gateway with a user or a password is none that this asks", hint=_HINT)
    try:
        target = _target(text)
    except ValueError as error:
        raise Usage(f"{shown} is no address: {error}", hint=_HINT) from None
    path = target.path.rstrip("/")
    if "?" in path or not _PATH.fullmatch(path):
        raise Usage(f"{shown} has more than a host, a port and a path", hint=_HINT)
    if path.endswith(("/ipfs", "/ipns")):
        raise Usage(f"{shown} ends in {path[-5:]}", hint="leave that out: it is put behind")
    return target.origin + path


def target_of(url: str) -> Target:
    """Where a gateway's URL leads to."""
    return _target(url)


def redirected(target: Target, location: str) -> Target:
    """Where a redirect from `target` leads; raises `ValueError` with the reason if it may not lead there.

    Whether the host is one that a stranger may send us to, only its addresses say: `is_public`.
    """
    if not (location.isascii() and location.isprintable()) or len(location) > _MAX_URL:
        raise ValueError("it redirects to what is no address")
    found = _target(urljoin(target.url, location.partition("#")[0]))
    if target.scheme == "https" and found.scheme != "https":
        raise ValueError("it redirects from https to http")
    return found


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, whichever way it is written into an IPv6 address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if found.is_site_local:
            return False
        if inner is not None:
            found = inner
    return found.is_global and not (
        found.is_multicast or found.is_reserved or found.is_unspecified or found.is_private
    )


def _target(text: str) -> Target:
    """Read an absolute URL; raises `ValueError` with the reason."""
    if len(text) > _MAX_URL:
        raise ValueError(f"it has more than {_MAX_URL} characters")
    # urlsplit drops some characters silently; what is left here means the same to everybody.
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("it has characters that no URL has; a name with others begins with xn--")
    parts = urlsplit(text)  # raises ValueError for brackets without an address
    if parts.scheme not in ("http", "https") or not text[len(parts.scheme) :].startswith("://"):
        raise ValueError("it begins neither with http:// nor with https://")
    if "@" in parts.netloc:
        raise ValueError("it has a user")
    if parts.fragment or text.endswith("#"):
        raise ValueError("it has a fragment")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query or text.endswith("?") else "")
    if not _TARGET.fullmatch(path):
        raise ValueError("its path has characters that no URL has")
    return Target(parts.scheme, _host(parts.netloc), _port(parts.netloc, parts.scheme), path)


def _host(netloc: str) -> str:
    if netloc.startswith("["):
        inside = netloc[1:].partition("]")[0]
        if "%" in inside:
            raise ValueError("it has an address with a zone")
        try:
            return ipaddress.IPv6Address(inside).compressed
        except ValueError:
            raise ValueError("it has no IPv6 address in its brackets") from None
    host = netloc.partition(":")[0].lower()
    if not _NAME.fullmatch(host):
        raise ValueError("it has no host")
    return host


def _port(netloc: str, scheme: str) -> int:
    behind = netloc.rpartition("]")[2] if netloc.startswith("[") else netloc
    colon, digits = behind.partition(":")[1:]
    if netloc.startswith("[") and behind and not behind.startswith(":"):
        raise ValueError("it has something behind its address")
    if not colon:
        return _port_of(scheme)
    if not re.fullmatch(r"[0-9]{1,5}", digits) or not 0 < int(digits) < 65536:
        raise ValueError("its port is no number from 1 to 65535")
    return int(digits)


def _port_of(scheme: str) -> int:
    return 443 if scheme == "https" else 80
