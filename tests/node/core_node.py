"""Doichain Core itself, on regtest, beside a served devnet that has the same blocks.

`DOITRUST_DOICHAIND` names the program `doichaind`; without it every test here is skipped. It runs on loopback alone,
with a folder and ports of its own, and is gone at the end. With a wallet or without: what only a wallet adds is left
out of the comparison.

On regtest the program checks its name database at every block, and stops by an assertion once an overwritten name
expires; no option of the command line prevents that. So it has to be one in which that check is off for regtest
(`DefaultCheckNameDB`), as on mainnet, and as in the one that the chains were recorded from.
"""

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rpc_node import Client, JSONRPCException, served

#: Read once, here: tests have none of our variables (`conftest.py`).
DOICHAIND = os.environ.get("DOITRUST_DOICHAIND")

needs_core = pytest.mark.skipif(
    not DOICHAIND, reason="cannot be had here: Doichain Core (DOITRUST_DOICHAIND names no doichaind)"
)

#: Regtest with all indexes. One thread for scripts, so that a block's refusal says why; and without the checks that
#: stop a regtest node: that of the mempool when a name expires for which an update waits, that of the blocks when one
#: is reconsidered whose ancestor was given up after it.
_OPTIONS = (
    *("-regtest", "-server", "-txindex", "-namehistory", "-par=1", "-checkmempool=0", "-checkblockindex=0"),
    *("-listen=0", "-connect=0", "-discover=0", "-dnsseed=0", "-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1"),
    *("-printtoconsole=0", "-dbcache=16"),
)
#: Seconds for it to start, and to end.
_PATIENCE = 60
_WARMING_UP = -28


class Core(Client):
    """A client of the running program."""

    def take(self, blocks: Iterable[bytes]) -> None:
        """Submit blocks, each of which must be accepted."""
        proxy = self.proxy()
        try:
            for raw in blocks:
                refused = proxy.submitblock(raw.hex())
                assert refused is None, refused
        finally:
            proxy._AuthServiceProxy__conn.close()


@contextmanager
def core(folder: Path, *, now: int) -> Iterator[Core]:
    """Run Doichain Core in `folder`, where it is always `now` (Unix time)."""
    assert DOICHAIND is not None
    folder.mkdir()
    port = _free_port()
    command = [DOICHAIND, *_OPTIONS, f"-datadir={folder}", f"-rpcport={port}", f"-mocktime={now}"]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield _started(process, folder, port)
    finally:
        _end(process, folder, port)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _started(process: subprocess.Popen[bytes], folder: Path, port: int) -> Core:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        assert process.poll() is None, (folder / "output").read_text(errors="replace")
        try:
            client = Core(port, (folder / "regtest" / ".cookie").read_text())
            client("getblockcount")
        except (FileNotFoundError, ConnectionError):
            pass
        except JSONRPCException as error:
            if error.code != _WARMING_UP:
                raise
        else:
            return client
        time.sleep(0.1)
    raise AssertionError("Doichain Core doesn't answer")


def _end(process: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    """Ask it to stop, and kill it if it doesn't."""
    with suppress(OSError, JSONRPCException):
        Core(port, (folder / "regtest" / ".cookie").read_text())("stop")
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Said(NamedTuple):
    """An answer: HTTP status, result and error; objects are lists of pairs in their order, numbers as written."""

    status: int
    result: Any
    error: Any


class Twins:
    """Doichain Core and a served devnet."""

    def __init__(self, core: Core, devnet: Client) -> None:
        self.core = core
        self.devnet = devnet

    def ask(self, method: str, *params: Any, path: str = "/") -> tuple[Said, Said]:
        """Ask both; returns what the core says, and what the devnet says."""
        body = json.dumps({"method": method, "params": list(params), "id": 1})
        try:
            theirs = _said(self.core, body, path)
        except OSError as error:
            raise AssertionError(f"Doichain Core stopped when it was asked {body[:2000]}") from error
        return theirs, _said(self.devnet, body, path)

    def differ(self, method: str, *params: Any, path: str = "/", ordered: bool = True) -> str | None:
        """Ask both, and tell what is different although it shouldn't be.

        `ordered`: whether the parts of the answer have to come in the same order.
        """
        theirs, ours = (_comparable(method, said) for said in self.ask(method, *params, path=path))
        if not ordered:
            theirs, ours = (said._replace(result=_sorted(said.result)) for said in (theirs, ours))
        if theirs == ours or (theirs.error and ours.error and _is_regexp(ours.error)):
            return None
        shown = ", ".join(json.dumps(param)[:200] for param in params)
        return f"{method}({shown}):\n{_first_difference(theirs, ours)}"


@contextmanager
def twins(folder: Path, directory: Path, blocks: Sequence[bytes], *, now: int) -> Iterator[Twins]:
    """Run Doichain Core with `blocks`, all of which it must accept, beside the devnet in `directory`."""
    with core(folder, now=now) as theirs, served(directory) as (ours, _):
        theirs.take(blocks)
        _wait_for_index(theirs, len(blocks))
        yield Twins(theirs, ours)


def _wait_for_index(core: Core, height: int) -> None:
    until = time.monotonic() + _PATIENCE
    while core("getindexinfo")["txindex"]["best_block_height"] < height:
        assert time.monotonic() < until
        time.sleep(0.05)


class _Pairs(list[Any]):
    """An object as pairs, in its order."""


def _said(client: Client, body: str, path: str) -> Said:
    answer = client.post(body, path=path)
    value = json.loads(answer.body, object_pairs_hook=_Pairs, parse_int=_number, parse_float=_number)
    found = dict(value)
    return Said(answer.status, found["result"], found["error"])


def _sorted(value: Any) -> Any:
    return type(value)(sorted(value, key=repr)) if isinstance(value, list) else value


def _number(text: str) -> tuple[str]:
    return (text,)


#: Fields that differ and may: the wallet's, and what depends on the machine, on how the program was built, or on when
#: something came.
_DIFFERENT: Mapping[str, frozenset[str]] = {
    "getblockchaininfo": frozenset({"size_on_disk", "verificationprogress", "warnings"}),
    "getnetworkinfo": frozenset(
        {"subversion", "localservices", "localservicesnames", "networkactive", "networks", "warnings"}
    ),
    "getmempoolinfo": frozenset({"usage"}),
    "getmempoolentry": frozenset({"time"}),
    "getrawmempool": frozenset({"time", "height", "depends", "spentby"}),
}
_WALLET = frozenset({"ismine"})
_MISC_ERROR, _DESERIALIZATION_ERROR, _VERIFY_REJECTED = ("-1",), ("-22",), ("-26",)
#: How an error of namepsbt begins, before what the core or the devnet has to say of a PSBT.
_NO_PSBT = "TX decode failed "
_NUMBERS = re.compile(r"[0-9 <>]*")
#: How the devnet's own words for a bad regular expression begin.
_REGEXP = "bad regular expression"


def _comparable(method: str, said: Said) -> Said:
    left_out = _DIFFERENT.get(method, frozenset()) | (_WALLET if method.startswith("name_") else frozenset())
    result, error = _without(said.result, left_out), said.error
    if method == "help" and isinstance(result, str):
        result = result.partition("\n")[0]
    if error is not None and dict(error)["code"] == _MISC_ERROR:
        # A usage error has the whole help, of which the devnet gives one line.
        error = _Pairs([("code", _MISC_ERROR), ("message", dict(error)["message"].partition("\n")[0])])
    elif error is not None and dict(error)["code"] in (_VERIFY_REJECTED, _DESERIALIZATION_ERROR):
        error = _Pairs((key, _reason(value) if key == "message" else value) for key, value in error)
    return said._replace(result=result, error=error)


def _reason(message: str) -> str:
    """Why something is refused, without what is said of it in words; numbers stay."""
    if message.startswith(_NO_PSBT):
        return _NO_PSBT
    reason, comma, why = message.partition(", ")
    return message if _NUMBERS.fullmatch(why) else reason + comma


def _is_regexp(error: Any) -> bool:
    """Whether a regular expression can't be read, which everybody says in other words."""
    code, message = dict(error)["code"], dict(error)["message"]
    return bool(code == _MISC_ERROR and message.startswith(_REGEXP))


def _without(value: Any, fields: frozenset[str]) -> Any:
    if isinstance(value, _Pairs):
        return _Pairs((key, _without(inner, fields)) for key, inner in value if key not in fields)
    if isinstance(value, list):
        return [_without(inner, fields) for inner in value]
    return value


def _first_difference(theirs: Any, ours: Any, at: str = "") -> str:
    """Where two answers part, in words."""
    if isinstance(theirs, _Pairs) and isinstance(ours, _Pairs):
        keys, other = [key for key, _ in theirs], [key for key, _ in ours]
        if keys != other:
            return f"  at {at or '.'}: fields {keys}, of the devnet {other}"
        pairs = [(f"{at}.{key}", a, b) for (key, a), (_, b) in zip(theirs, ours, strict=True)]
    elif isinstance(theirs, list | Said) and type(theirs) is type(ours) and len(theirs) == len(ours):
        pairs = [(f"{at}[{n}]", a, b) for n, (a, b) in enumerate(zip(theirs, ours, strict=True))]
    else:
        return f"  at {at or '.'}: {str(theirs)[:600]}\n  of the devnet: {str(ours)[:600]}"
    return "\n".join(_first_difference(a, b, where) for where, a, b in pairs if a != b)
