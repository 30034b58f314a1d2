"""What can be wrong with this machine and this home. Each look is a `Finding`, or an error whose hint is the cure."""

import codecs
import os
import shutil
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import NamedTuple, Protocol

from doitrust.adapters.blocks import LocalBlocks
from doitrust.adapters.files import exists
from doitrust.adapters.homes import KEYS, STATE, WALLET, check_database, opened_database
from doitrust.adapters.keystore import Keystore
from doitrust.adapters.kubo import DEFAULT_API, Kubo
from doitrust.adapters.nodekey import DEVICE_FILE, NODE_FILE, NodeKey
from doitrust.adapters.pins import PinStore
from doitrust.adapters.restore import was_cut_off
from doitrust.adapters.wallet import Wallet
from doitrust.chain.keys import verify_signature
from doitrust.chain.names import read_canonical
from doitrust.chain.networks import Network
from doitrust.chain.signing import sign_digest
from doitrust.content.cid import parse_cid
from doitrust.errors import BadData, DoitrustError, Refused, Unavailable
from doitrust.orgs.names import record_name
from doitrust.orgs.pins import Pin
from doitrust.ports import ChainView
from doitrust.text import visible
from doitrust.trust.evidence import Tip

_PYTHON, _SQLITE = (3, 11), (3, 37)  # SQLite's STRICT tables
_LEAST_ROOM = 64 * 1024 * 1024
_MOST_BLOCKS = 2000
_IPFS_SECONDS = 5.0
_INSTALL = "install doitrust anew: pip install --force-reinstall doitrust"
# RFC 6979 on secp256k1: key 1 signs sha256("Satoshi Nakamoto"), the vector that its implementations share.
_SECRET = bytes(31) + b"\1"
_PUBLIC = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
_DIGEST = sha256(b"Satoshi Nakamoto").digest()
_SIGNATURE = bytes.fromhex(
    "3045022100934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
    "02202442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
)


class Finding(NamedTuple):
    """What was found: `ok` None where there is nothing to judge, or something to know."""

    ok: bool | None
    detail: str
    cure: str | None = None


class Check(NamedTuple):
    """A finding with its name; what is wrong has a cure."""

    check: str
    ok: bool | None
    detail: str
    cure: str | None


class Stream(Protocol):
    """Where text goes."""

    @property
    def encoding(self) -> str:
        """How it becomes bytes."""


def looked(check: str, look: Callable[[], Finding]) -> Check:
    """Look, and take an error for what is wrong."""
    try:
        return Check(check, *look())
    except DoitrustError as error:
        return Check(check, False, error.message, error.hint or "doitrust config show")
    except OSError as error:
        where = "" if error.filename is None else f" {visible(str(error.filename))}"
        return Check(check, False, f"can't be read{where}: {error.strerror}", "is it yours?")


# ---- the machine


def look_at_python() -> Finding:
    """Python, and the SQLite in it."""
    found = f"Python {'.'.join(map(str, sys.version_info[:3]))}, SQLite {sqlite3.sqlite_version}"
    if sys.version_info[:2] < _PYTHON or sqlite3.sqlite_version_info < _SQLITE:
        return Finding(False, f"{found} is too old", "install Python 3.11 or newer, and SQLite 3.37")
    return Finding(True, found)


def look_at_libraries(version: Callable[[str], str] = metadata.version) -> Finding:
    """The libraries of which only one version judges as it should."""
    try:
        required = metadata.requires("doitrust") or []
    except metadata.PackageNotFoundError:
        return Finding(None, "doitrust is not installed, but runs from a folder", _INSTALL)
    shown = []
    for requirement in required:
        name, exactly, wanted = requirement.partition(";")[0].partition("==")
        name = name.partition("[")[0].strip()
        if not exactly or "extra" in requirement:
            continue
        try:
            found = version(name)
        except metadata.PackageNotFoundError:
            return Finding(False, f"{name} is missing", _INSTALL)
        if found != wanted.strip():
            return Finding(False, f"{name} is {found}, only {wanted.strip()} judges as it should", _INSTALL)
        shown.append(f"{name} {found}")
    return Finding(True, ", ".join(shown))


def look_at_signatures(
    sign: Callable[[bytes, bytes], bytes] = sign_digest,
    verify: Callable[[bytes, bytes, bytes], bool] = verify_signature,
) -> Finding:
    """Whether libsecp256k1 signs and verifies as everybody's does."""
    wrong = bytes([_DIGEST[0] ^ 1]) + _DIGEST[1:]
    good = sign(_SECRET, _DIGEST) == _SIGNATURE and verify(_PUBLIC, _SIGNATURE, _DIGEST)
    if not good or verify(_PUBLIC, _SIGNATURE, wrong):
        return Finding(False, "libsecp256k1 signs or verifies wrongly: believe no verdict", _INSTALL)
    return Finding(True, "libsecp256k1 signs and verifies")


def look_at_terminal(stream: Stream) -> Finding:
    """Whether names can be shown as they are."""
    try:
        name = codecs.lookup(stream.encoding or "").name
    except LookupError:
        name = stream.encoding or "unknown"
    if name == "utf-8":
        return Finding(True, "UTF-8")
    return Finding(
        False, f"{visible(name)}: not every name can be shown", "set PYTHONUTF8=1, and LANG to C.UTF-8"
    )


# ---- the home


def look_at_home(home: Path, least_room: int = _LEAST_ROOM) -> Finding:
    """Whether state can be kept there, and nobody else can change it."""
    shown = visible(str(home))
    if was_cut_off(home.resolve()):
        return Finding(
            False,
            f"a restore of {shown} was cut off, or runs now",
            "run doitrust restore FILE again: it finishes or undoes that one; nothing that was there is lost",
        )
    if not home.exists():
        above = next(folder for folder in home.absolute().parents if folder.exists())
        if not (above.is_dir() and os.access(above, os.W_OK)):
            raise Unavailable(f"{shown} can't be made", hint="name another with --home")
        return Finding(True, f"{shown} will be made at first use")
    try:
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise Unavailable(
            f"{shown} can't be written: {error.strerror}",
            hint="chown or chmod it, or name another with --home",
        ) from None
    room = shutil.disk_usage(home).free
    if room < least_room:
        return Finding(False, f"{shown}: {room:,} bytes are free on its disk", "free some space")
    return _rights_of_home(home, f"{shown}, {room // 2**20:,} MiB free")


def _rights_of_home(home: Path, detail: str) -> Finding:
    mode = home.stat().st_mode if os.name == "posix" else 0
    cure = f"chmod 700 {visible(str(home))}"
    if mode & stat.S_IWOTH:
        return Finding(False, f"{detail}; anybody on this machine can change whom you accept", cure)
    if mode & stat.S_IWGRP:
        return Finding(None, f"{detail}; your group can change whom you accept", cure)
    return Finding(True, detail)


def look_at_keys(home: Path) -> Iterator[Check]:
    """Each key file: whether it is whole, and nobody else's to read."""
    keystore = Keystore(home / KEYS)
    try:
        names = keystore.names()
    except DoitrustError as error:
        yield Check("keystore", False, error.message, error.hint)
        return
    for name in names:
        yield looked("keystore", partial(_key, keystore, home / KEYS, name))
    if not names:
        yield Check(
            "keystore", None, "you have no key", "doitrust key new NAME, if you want to sign something"
        )


def _key(keystore: Keystore, folder: Path, name: str) -> Finding:
    path = folder / f"{name}.json"
    file = keystore.get(name)
    if os.name == "posix":
        for place, cure in ((path, "chmod 600"), (folder, "chmod 700")):
            mode = place.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
            if mode:
                shown = visible(str(place))
                return Finding(
                    False,
                    f"others on this machine can use {shown} (mode {place.stat().st_mode & 0o777:03o})",
                    f"{cure} {shown}, and think about a new passphrase",
                )
    return Finding(True, f"{name} [{file.fingerprint.hex()}]")


def look_at_node_key(home: Path) -> Finding:
    """The key of the node at the meter, if this machine is one."""
    if not any(os.path.lexists(home / name) for name in (NODE_FILE, DEVICE_FILE)):
        return Finding(None, "this machine is no node at a meter")
    return Finding(True, f"this machine's node key is {NodeKey(home).public().hex()}")


def look_at_contents(folder: Path) -> Finding:
    """The content store: whether blocks can be put there, and are what they say."""
    shown = visible(str(folder))
    if not folder.exists():
        return Finding(True, f"{shown} will be made with the first list")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Unavailable(f"{shown} can't be written: {error.strerror}", hint="chown or chmod it") from None
    store, count = LocalBlocks(folder), 0
    for path in folder.glob("*/*"):
        try:
            cid = parse_cid(path.name)
        except BadData:
            continue
        if store.get(cid) is None:
            cure = "delete that file; publish the list again, or get it again from where it came"
            return Finding(False, f"the block {visible(str(path))} is damaged, and counts as missing", cure)
        count += 1
        if count == _MOST_BLOCKS:
            return Finding(True, f"{shown}: the first {count} blocks are whole")
    return Finding(True, f"{shown}: {count} block{'s' * (count != 1)}, all whole")


def look_at_ipfs(address: str | None) -> Finding:
    """The IPFS node that is set, if one is: whether it answers, and is an API that stores."""
    if address is None:
        cure = f"doitrust config set ipfs.api {DEFAULT_API}, where Kubo runs"
        return Finding(None, "no IPFS node is set: lists come from the content store", cure)
    kubo = Kubo(address, timeout=_IPFS_SECONDS)
    return Finding(True, f"Kubo {kubo.version()} answers at {kubo.at}")


# ---- what is remembered


def look_at_pins(
    home: Path, network: Network, chain: ChainView, tip: Tip | None, min_confirmations: int
) -> Iterator[Check]:
    """Each accepted organisation: whether its roots are in this chain, deep enough. Without a tip nobody can say."""
    try:
        _whole(home / STATE)
        pins = PinStore(home / STATE, network).all()
    except DoitrustError as error:
        yield Check("pins", False, error.message, error.hint or "restore a backup: doitrust restore FILE")
        return
    for pin in pins:
        if tip is None:
            yield Check("pins", None, f"{pin.name}: the chain can't be asked", None)
        else:
            yield looked("pins", partial(_pin, pin, chain, tip, min_confirmations))
    if not pins:
        cure = "doitrust org list, then doitrust org accept NAME"
        yield Check("pins", None, f"you have accepted no organisation on {network.name}", cure)


def _pin(pin: Pin, chain: ChainView, tip: Tip, min_confirmations: int) -> Finding:
    again = "doitrust org reject and org accept, with a fingerprint that the organisation gives you"
    least = 0
    for segment in pin.segments:
        found = chain.transaction(segment.root)
        if found is None or found.place is None:
            raise Refused(f"{pin.name}: the root {segment.root} is not in this chain", hint=again)
        names = [read_canonical(output.script) for output in found.tx.outputs]
        if not any(name is not None and name.name == record_name(pin.name) for name in names):
            raise Refused(f"{pin.name}: the root {segment.root} writes another name", hint=again)
        depth = tip.height - found.place.height + 1
        if depth < min_confirmations:
            raise Refused(
                f"{pin.name}: the root {segment.root} has {depth} of {min_confirmations} confirmations",
                hint="wait for more blocks; after a reorganisation, look whether it still is the right one",
            )
        least = depth if not least else min(least, depth)
    return Finding(True, f"{pin.name}: root in this chain, {least} confirmations")


def look_at_wallet(home: Path, network: Network) -> Finding:
    """The journal: whether it can be read, and what is not done."""
    _whole(home / WALLET)
    entries = Wallet(home / WALLET, network).entries()
    pending = sum(entry.is_open for entry in entries)
    if pending:
        return Finding(None, f"{pending} of {len(entries)} transactions are under way", "doitrust tx resume")
    return Finding(True, f"{len(entries)} transactions, none under way")


def _whole(path: Path) -> None:
    if exists(path):
        with opened_database(path) as database:
            check_database(database, path.name, visible(str(path)))
