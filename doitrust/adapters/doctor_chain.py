"""What can be wrong with the chain that is asked, and with the clock that it is compared with."""

import http.client
import os
import ssl
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from doitrust.adapters.devnet.chain import DATABASE, Devnet
from doitrust.adapters.doctor import Check, Finding, looked
from doitrust.adapters.homes import opened_database
from doitrust.chain.block import Block, merkle_root
from doitrust.chain.networks import MAINNET, TESTNET, Network
from doitrust.errors import BadData, DoitrustError, Unavailable
from doitrust.ports import ChainView
from doitrust.text import visible
from doitrust.trust.evidence import Tip
from doitrust.trust.evidence_file import iso_time

#: A block may be so many seconds ahead of a good clock (src/chain.h, MAX_FUTURE_BLOCK_TIME).
_AHEAD = 2 * 60 * 60
#: A last block older than this: hardly ever with a block every ten minutes.
_STALE = 6 * 60 * 60
_CLOCKS_DIFFER = 10 * 60
#: 2026-01-01. No clock that is right says less.
_RELEASED = 1_767_225_600
_SET_CLOCK = "set the clock; on Linux: timedatectl set-ntp true"
_MOST_BLOCKS = 2000
_DATE_SECONDS = 5
#: What a node is checked for, in this order, by the code of the error that tells of it.
_NODE = {"": "node", "wrong_network": "network", "node_syncing": "sync", "node_pruned": "pruned"}
_FINE = {
    "node": "answers",
    "network": "is on this network",
    "sync": "has all blocks",
    "pruned": "has kept old blocks",
}


def look_at_clock(now: int, tip: Tip | None, node_time: int | None, network: Network) -> Finding:
    """Compare the clock with the last block and with the node's."""
    if now < _RELEASED:
        return Finding(False, f"the clock says {iso_time(now)}", _SET_CLOCK)
    if tip is not None and tip.time > now + _AHEAD:
        return Finding(
            False, f"the clock says {iso_time(now)}, the last block is of {iso_time(tip.time)}", _SET_CLOCK
        )
    if node_time is not None and abs(now - node_time) > _CLOCKS_DIFFER:
        detail = f"the clock says {iso_time(now)}, the node's {iso_time(node_time)}"
        return Finding(False, detail, f"{_SET_CLOCK}; or the node's is wrong")
    if tip is None and node_time is None:
        return Finding(None, f"{iso_time(now)}: there is nothing to compare it with")
    if node_time is None and _is_stale(now, tip, network):
        return Finding(None, "the clock is ahead, or the last block is old", _SET_CLOCK)
    return Finding(True, str(iso_time(now)))


def _is_stale(now: int, tip: Tip | None, network: Network) -> bool:
    return tip is not None and network in (MAINNET, TESTNET) and now - tip.time > _STALE


def look_at_node(node: ChainView, now: int) -> tuple[list[Check], Tip | None]:
    """Everything that a node needs; the tip if it can be used."""
    checks = list(_NODE.values())
    try:
        tip = node.tip()
    except DoitrustError as error:
        at = checks.index(_NODE.get(error.code, "node"))
        wrong = Check(checks[at], False, error.message, error.hint or "doitrust config show")
        unknown = [Check(check, None, "not looked at", None) for check in [*checks[at + 1 :], *_LATER]]
        return [*_fine(node, checks[:at]), wrong, *unknown], None
    looks: list[Callable[[], Finding]] = [
        lambda: _tip(node, tip, now),
        lambda: _txindex(node),
        lambda: _namehistory(node),
    ]
    found = [looked(check, look) for check, look in zip(_LATER, looks, strict=True)]
    return [*_fine(node, checks), *found], tip


_LATER = ("tip", "txindex", "namehistory")


def _fine(node: ChainView, checks: list[str]) -> list[Check]:
    return [Check(check, True, f"{node.name} {_FINE[check]}", None) for check in checks]


def _tip(node: ChainView, tip: Tip, now: int) -> Finding:
    detail = f"block {tip.height} of {iso_time(tip.time)}"
    if _is_stale(now, tip, node.network):
        return Finding(
            False, f"the last is {detail}", "is the node connected to others? doichain-cli getpeerinfo"
        )
    return Finding(True, detail)


def _txindex(node: ChainView) -> Finding:
    node.transaction("00" * 31 + "01")  # there is none; without an index the node can't know that
    return Finding(True, "finds transactions")


def _namehistory(node: ChainView) -> Finding:
    node.history(b"bp/", 1)
    node.mempool(b"bp/")  # of a name that nobody wrote, only this one needs the wallet that some nodes demand
    return Finding(True, "keeps the history of names")


def look_at_second(node: ChainView, second: ChainView | None) -> Finding:
    """Whether the second source is of the same chain."""
    if second is None:
        return Finding(
            None, "no second source is set", "doitrust config set node2.url URL, if your node isn't your own"
        )
    ours, theirs = node.tip(), second.tip()  # that its genesis is ours is looked at there
    if second.standing([ours.hash]) or node.standing([theirs.hash]):
        return Finding(True, f"{second.name} has the same chain, its last block is {theirs.height}")
    raise Unavailable(
        f"{second.name} is on another branch: neither knows the other's last block ({ours.height}, {theirs.height})",
        hint="look again in an hour; if it is still so, one of them lies or is cut off",
    )


def server_time(url: str) -> int | None:
    """The time that a node's web server tells with any answer, or None."""
    line: http.client.HTTPConnection
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        more: dict[str, Any] = {"timeout": _DATE_SECONDS}
        if parts.scheme == "https":
            line = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, context=ssl.create_default_context(), **more
            )
        else:
            line = http.client.HTTPConnection(parts.hostname or "", parts.port, **more)
        try:
            line.request("GET", "/")
            date = line.getresponse().getheader("Date")
            return None if date is None else int(parsedate_to_datetime(date).timestamp())
        finally:
            line.close()
    except (OSError, http.client.HTTPException, ValueError):
        return None


def look_at_devnet(devnet: Devnet) -> Iterator[Check]:
    """Whether the embedded chain can be opened, and is one."""
    if not os.path.lexists(devnet.directory / DATABASE):
        yield Check("devnet", None, f"{visible(str(devnet.directory))} will be made at first use", None)
    else:
        yield looked("devnet", lambda: _devnet(devnet, devnet.directory / DATABASE))


def _devnet(devnet: Devnet, path: Path) -> Finding:
    reset = "doitrust devnet reset begins anew"
    tip = devnet.tip()
    with opened_database(path) as database:
        (said,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise BadData(f"the database of the embedded chain is damaged: {visible(str(said), 100)}", hint=reset)
    prev = None
    for height in range(max(0, tip.height - _MOST_BLOCKS), tip.height + 1):
        block = Block.parse(devnet.block(height) or b"")
        root, _ = merkle_root([bytes.fromhex(tx.txid)[::-1] for tx in block.transactions])
        if root != block.header.merkle_root or prev not in (None, block.header.prev):
            raise BadData(f"block {height} of the embedded chain is damaged", hint=reset)
        prev = block.header.hash
    if prev != tip.hash:
        raise BadData("the embedded chain's last block is damaged", hint=reset)
    return Finding(True, f"block {tip.height} in {visible(str(devnet.directory))}")
