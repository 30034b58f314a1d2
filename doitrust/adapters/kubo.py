"""An IPFS node as a content store: Kubo, by its RPC API (docs.ipfs.tech/reference/kubo/rpc).

It is handed finished blocks, so that no CID depends on its version and settings, and believed nothing: what it gives is
compared with its CID. Who speaks to it is `kubo_line.py`, loaded at the first call.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from doitrust.adapters.kubo_errors import KuboFailure, garbage, no_library, not_pinned
from doitrust.content.car import write_car
from doitrust.content.cid import RAW, Cid, cid_of
from doitrust.content.unixfs import MissingBlock, blocks_of_file, read_file
from doitrust.errors import Unavailable, Usage
from doitrust.ports import Progress
from doitrust.text import visible

if TYPE_CHECKING:
    from doitrust.adapters.kubo_line import KuboClient

#: Where a Kubo serves its API if nobody told it otherwise.
DEFAULT_API = "/ip4/127.0.0.1/tcp/5001"
#: Seconds for one call, from the first byte sent to the last one read.
TIMEOUT = 30.0
#: This part of it Kubo has for a search, so that it says itself that it found nothing. Who says nothing is stuck.
_SEARCH = 0.8
#: Bytes a second that an upload has to reach.
_SLOWEST = 256 * 1024

_MULTIADDR = re.compile(r"/(ip4|ip6|dns|dns4|dns6)/([^/]+)/tcp/([0-9]{1,5})(?:/(https?))?/?")
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
_FORMS = f"as in {DEFAULT_API} or http://127.0.0.1:5001"

# Kubo's words, the same in 0.28 and 0.42: for a block that it hasn't got, or didn't find in time; for a root that it
# doesn't keep; for a block that is larger than it takes.
_ABSENT = ("could not find", "not found", "deadline exceeded")
_NOT_PINNED = "is not pinned"
_TOO_LARGE = "big blocks can't be exchanged"

_EMPTY = cid_of(b"", RAW)


class Kubo:
    """A `ContentStore` at `address`, a multiaddr or a URL; raises `Usage` for what is neither.

    Every call ends within `timeout` seconds, an upload within as many more as it takes at 256 KiB a second. What goes
    wrong is `Unavailable` with one of these codes: `missing_extra`, `ipfs_not_running`, `ipfs_wrong_port`,
    `ipfs_login`, `ipfs_timeout`, `ipfs_broken`, `ipfs_garbage`, `ipfs_block_too_large`, `ipfs_error` (in Kubo's words).
    Each call has a connection of its own, so threads may share a `Kubo`.
    """

    def __init__(self, address: str = DEFAULT_API, *, timeout: float = TIMEOUT) -> None:
        self._address = multiaddr(address)
        self._timeout = timeout
        self._client: KuboClient | None = None
        #: Host and port, as messages have them.
        self.at = _host_and_port(self._address)

    def version(self) -> str:
        """Which Kubo it is, safe to show, once it has shown that it is more than a gateway that only reads."""
        said = self._kubo().version(**self._within()).as_json().get("Version")
        if not isinstance(said, str):
            raise garbage(self.at, "an answer without a version")
        self.is_pinned(_EMPTY)
        return visible(said, 40)

    def get(self, cid: Cid) -> bytes | None:
        """The block, which is what `cid` says, or None if Kubo can't find it in time."""
        try:
            block: bytes = self._kubo().block.get(cid.text, **self._within())
        except KuboFailure as failure:
            if _says_absent(failure):
                return None
            raise
        if not cid.matches(block):
            raise garbage(self.at, f"other bytes for the block {cid}")
        return block

    def get_file(self, cid: Cid, max_size: int) -> bytes:
        """A file of at most `max_size` bytes; `unixfs.read_file` says what else is raised if it can't be had."""
        return read_file(cid, self.get, max_size)

    def has(self, cid: Cid) -> bool:
        """Whether Kubo says that it has the block itself; nobody else is asked."""
        try:
            self._kubo().block.stat(cid.text, offline=True, **self._within())
        except KuboFailure as failure:
            if _says_absent(failure):
                return False
            raise
        return True

    def put_file(self, source: bytes | BinaryIO, progress: Progress | None = None) -> Cid:
        """Store a file (bytes, or a binary stream read to its end), pinned, and return its CID.

        `progress` is told bytes sent, of all there are.
        """
        blocks = list(blocks_of_file(source))
        root, _ = blocks[-1]
        self.put_blocks(root, blocks, progress)
        return root

    def put_blocks(
        self, root: Cid, blocks: Sequence[tuple[Cid, bytes]], progress: Progress | None = None
    ) -> None:
        """Store blocks that are finished, and pin `root`, which links to all the others, in one step.

        In several, a collection of garbage could take away what isn't pinned yet.
        """
        total = sum(map(len, write_car(root, blocks)))
        car = _Pieces(write_car(root, blocks), total, progress)
        try:
            said = self._kubo().dag.imprt(car, **self._within(self._timeout + total / _SLOWEST)).as_json()
        except KuboFailure as failure:
            if _TOO_LARGE in failure.text:
                raise failure.as_too_large() from None
            raise
        if _at(said, "Root", "Cid", "/") != root.text:
            raise garbage(self.at, "another CID than that of the blocks it was handed")
        if error := _at(said, "Root", "PinErrorMsg"):
            raise not_pinned(self.at, root.text, str(error))

    def pin(self, root: Cid, *, timeout: float | None = None) -> None:
        """Have Kubo keep `root` and all that it links to, which it gets from others where it hasn't got it.

        It has no limit on size: read what it is first. Raises `MissingBlock` if Kubo can't find all of it in time.
        """
        try:
            said = self._kubo().pin.add(root.text, **self._within(timeout))
        except KuboFailure as failure:
            if _says_absent(failure):
                raise MissingBlock(root) from None
            raise
        if said.as_json().get("Pins") != [root.text]:
            raise garbage(self.at, "another CID than the one to be pinned")

    def is_pinned(self, root: Cid) -> bool:
        """Whether Kubo says that it keeps `root` and all that it links to: as a CIDv1, which it counts apart."""
        try:
            said = self._kubo().pin.ls(root.text, type="recursive", **self._within())
        except KuboFailure as failure:
            if _NOT_PINNED in failure.text:
                return False
            raise
        return bool(_at(said.as_json(), "Keys", root.text, "Type") == "recursive")

    def provide(self, root: Cid, *, timeout: float | None = None) -> str | None:
        """Have Kubo tell the network that it has `root`. Returns why that failed, safe to show, or None.

        Kubo does it by itself too, a while later; until then others may look in vain.
        """
        try:
            self._kubo().provide(root.text, **self._within(timeout))
        except Unavailable as error:
            return error.message
        return None

    def _kubo(self) -> "KuboClient":
        if self._client is None:
            try:
                from doitrust.adapters.kubo_line import KuboClient  # noqa: PLC0415  # an extra that takes 100 ms
            except ImportError:
                raise no_library() from None
            self._client = KuboClient(self._address, self._timeout)
        return self._client

    def _within(self, timeout: float | None = None) -> dict[str, Any]:
        """The time for a call, as the library takes it, and as Kubo does."""
        seconds = timeout or self._timeout
        return {"timeout": seconds, "opts": {"timeout": f"{seconds * _SEARCH:.3f}s"}}


def multiaddr(text: str) -> str:
    """Write an address as a multiaddr with protocol (`/dns/example.org/tcp/443/https`); raises `Usage`."""
    if not text.isprintable():
        raise _no_address(text)
    found = _MULTIADDR.fullmatch(text)
    kind, host, port, scheme = found.groups() if found else _url(text)
    scheme = scheme or "http"
    if not (1 <= int(port) <= 65535 and _is_host(kind, host)):
        raise _no_address(text)
    return f"/{kind}/{host}/tcp/{int(port)}/{scheme}"


def _host_and_port(address: str) -> str:
    _, kind, host, _, port, _ = address.split("/")
    return f"[{host}]:{port}" if kind == "ip6" else f"{host}:{port}"


def _url(text: str) -> tuple[str, str, str, str]:
    """Kind of address, host, port and scheme of a URL."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _no_address(text) from None
    if parts.scheme not in ("http", "https") or parts.path.rstrip("/") not in ("", "/api/v0"):
        raise _no_address(text)
    if parts.username is not None or parts.password is not None:
        raise Usage(
            "ipfs.api holds a password, and a configuration is no place for one",
            hint=f"doitrust logs in nowhere: name an IPFS node that asks for none, {_FORMS}",
        )
    if parts.query or parts.fragment:
        raise _no_address(text)
    kind = next((kind for kind in ("ip4", "ip6") if _is_host(kind, host)), "dns")
    return kind, host, str(port or (443 if parts.scheme == "https" else 80)), parts.scheme


def _is_host(kind: str, host: str) -> bool:
    if kind not in ("ip4", "ip6"):
        return len(host) <= 253 and _HOST_NAME.fullmatch(host) is not None
    try:
        return "%" not in host and ipaddress.ip_address(host).version == int(kind[2])
    except ValueError:
        return False


def _no_address(text: str) -> Usage:
    return Usage(f"ipfs.api {visible(text, 80)!r} is no address of an IPFS node", hint=_FORMS)


def _says_absent(failure: KuboFailure) -> bool:
    return any(words in failure.text for words in _ABSENT)


def _at(value: Any, *path: str) -> Any:
    """What stands at a path of keys, or None."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


class _Pieces:
    """An upload as a file that the library can read, which tells how much of it was taken."""

    def __init__(self, pieces: Iterator[bytes], total: int, progress: Progress | None) -> None:
        self._pieces = pieces
        self._rest = b""
        self._done, self._total = 0, total
        self._progress = progress

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; none at the end."""
        if not self._rest:
            self._rest = next(self._pieces, b"")
        piece, self._rest = self._rest[:size], self._rest[size:]
        self._done += len(piece)
        if self._progress is not None and piece:
            self._progress(self._done, self._total)
        return piece
