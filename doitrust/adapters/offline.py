"""What was taken along (`workflows/offline.py`), in a file of the home; and a node that knows nothing else.

The file is evidence (`doitrust-evidence/1`) with a few fields more. It is the home's own: whoever can change it can
change whom the home accepts. Whatever is decided by it is judged again on the real chain before it is sent.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from doitrust.adapters.files import exists, read_bounded, write_atomic
from doitrust.chain.networks import SCHWARTZ_PER_DOI, Network
from doitrust.chain.tx import Transaction
from doitrust.content.cid import Cid
from doitrust.errors import BadData, Unavailable
from doitrust.ports import DONE, SENT, SIGNED, ContentStore, Entry, Place, Provisions, UnspentCoin
from doitrust.strictjson import read_object
from doitrust.text import visible
from doitrust.trust.evidence import Evidence, Located, Source, Tip
from doitrust.trust.evidence_file import MAX_BYTES, read_evidence, write_evidence

_WHAT = "what was taken along"
_MAX_HEIGHT, _MAX_TIME = 2**31 - 1, 2**32 - 1


def write_provisions(path: Path, taken: Provisions) -> None:
    """Write the file, wholly or not at all; raises `Unavailable` if the disk refuses."""
    document = json.loads(write_evidence(taken.evidence))
    coins = [
        {"script": script.hex(), "txid": c.txid, "vout": c.vout, "value": c.value, "height": c.height}
        for script, found in taken.coins.items()
        for c in found
    ]
    document |= {"coins": coins, "fee_rate": taken.fee_rate, "own": taken.own, "taken": taken.taken}
    data = json.dumps(document, indent=1).encode() + b"\n"
    try:
        _read(data)
    except BadData as error:
        raise Unavailable(f"the chain changed while it was read: {error.message}", hint="try again") from None
    write_atomic(path, data, _WHAT, mode=0o600)


def read_provisions(path: Path, network: Network) -> Provisions:
    """Read the file; raises `Unavailable` if there is none for `network`, and `BadData` for one that is damaged."""
    if not exists(path):
        raise Unavailable(
            "nothing was taken along: what the chain says can't be known here",
            hint="while there is a network: doitrust meter prepare",
            code="nothing_prepared",
        )
    taken = _read(read_bounded(path, MAX_BYTES, _WHAT))
    if taken.evidence.network.name != network.name:
        raise Unavailable(
            f"what was taken along is {taken.evidence.network.name}'s, and you are on {network.name}",
            hint="while there is a network: doitrust meter prepare",
            code="nothing_prepared",
        )
    return taken


def _read(data: bytes) -> Provisions:
    evidence = read_evidence(data, source=_WHAT)
    document = read_object(data, what=_WHAT)
    rows = document.get("coins")
    if not isinstance(rows, list):
        raise BadData(f"{_WHAT} has no coins")
    coins: dict[bytes, list[UnspentCoin]] = {}
    for row in rows:
        script, coin = _coin(row, evidence)
        coins.setdefault(script, []).append(coin)
    own = document.get("own")
    if not isinstance(own, bool):
        raise BadData(f"{_WHAT} does not say whose node it is from")
    rate = _number(document, "fee_rate", SCHWARTZ_PER_DOI)
    taken = _number(document, "taken", _MAX_TIME)
    return Provisions(evidence, {script: tuple(found) for script, found in coins.items()}, rate, own, taken)


def _coin(row: Any, evidence: Evidence) -> tuple[bytes, UnspentCoin]:
    """A coin, proven by the transaction that made it."""
    if not isinstance(row, dict):
        raise BadData(f"{_WHAT} has a coin that is none")
    vout, value, height = (_number(row, name, _MAX_HEIGHT * 10**9) for name in ("vout", "value", "height"))
    tx = evidence.transaction(str(row.get("txid")))
    if tx is None or vout >= len(tx.outputs) or tx.outputs[vout].value != value:
        raise BadData(f"{_WHAT} has a coin that is none")
    script = tx.outputs[vout].script
    if script.hex() != row.get("script") or height > evidence.tip.height:
        raise BadData(f"{_WHAT} has a coin that is none")
    return script, UnspentCoin(tx.txid, vout, value, height, evidence.tip.height - height + 1, mature=True)


def _number(fields: dict[str, Any], name: str, most: int) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= most:
        raise BadData(f"{_WHAT} has no valid {visible(name)}")
    return value


class Offline:
    """A `Node` that stands still: the chain as it was, and the journal's own transactions as its mempool."""

    def __init__(self, taken: Provisions, entries: Callable[[], list[Entry]]) -> None:
        self._taken = taken
        self._evidence = taken.evidence
        self._entries = entries

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"{_WHAT} at block {self._evidence.tip.height}"

    @property
    def own(self) -> bool:
        """Whether it came from an own node."""
        return self._taken.own

    @property
    def network(self) -> Network:
        """Its network."""
        return self._evidence.network

    def covers(self, name: bytes) -> bool:
        """Whether the history of `name` was asked for."""
        return self._evidence.covers is None or name in self._evidence.covers

    def tip(self) -> Tip:
        """The last block then."""
        return self._evidence.tip

    def standing(self, blocks: Iterable[str]) -> set[str]:
        """All of them: nothing moves here."""
        return set(blocks)

    def sources(self) -> tuple[Source, ...]:
        """This one."""
        return (Source(self.name, self.own),)

    def history(self, name: bytes, limit: int) -> list[str] | None:
        """Txids that wrote `name` then; of a name that was not asked for (`covers`) those that happen to be known."""
        why = self._evidence.lacks("history", name.hex())
        if why == "transaction_missing":
            raise Unavailable(
                "not all of it could be had when it was taken along", hint="doitrust meter prepare"
            )
        found = dict.fromkeys(w.tx.txid for w in self._evidence.writes(name) if w.place is not None)
        return None if why is not None or len(found) > limit else list(found)

    def transaction(self, txid: str) -> Located | None:
        """One that was taken along, or signed here since."""
        known = self._evidence.transactions.get(txid)
        return known or next((Located(tx, None) for tx in self._ours() if tx.txid == txid), None)

    def transactions(self, txids: Sequence[str]) -> dict[str, Located | None]:
        """Several of them."""
        return {txid: self.transaction(txid) for txid in txids}

    def mempool(self, name: bytes) -> list[str]:
        """What waited then, or was signed here since, and writes `name`."""
        waited = [w.tx.txid for w in self._evidence.writes(name) if w.place is None]
        signed = [tx.txid for tx in self._ours() if any(output.name == name for _, output in tx.writes)]
        return list(dict.fromkeys([*waited, *signed]))

    def names(self, prefix: bytes) -> Iterator[bytes]:
        """The names that were asked about."""
        return iter(name for name in self._evidence.names if name.startswith(prefix))

    def coins(self, script: bytes) -> Sequence[UnspentCoin]:
        """What there was to spend, and change that is in the chain since; but for what ours have spent since.

        Raises `Unavailable` for a script whose coins were not taken along.
        """
        if script not in self._taken.coins:
            raise Unavailable(
                "the coins of this key were not taken along",
                hint="while there is a network: doitrust meter prepare, with the same --signer",
                code="nothing_prepared",
            )
        entries = [entry for entry in self._entries() if entry.state in (SIGNED, SENT, DONE)]
        spent = {(spent.txid, spent.vout) for entry in entries for spent in entry.tx.inputs}
        height = self._evidence.tip.height
        change = [
            UnspentCoin(entry.tx.txid, vout, output.value, height, 1, mature=True)
            for entry in entries
            if entry.state == DONE and entry.tx.txid not in self._evidence.transactions
            for vout, output in enumerate(entry.tx.outputs)
            if output.script == script
        ]
        return [c for c in (*self._taken.coins[script], *change) if (c.txid, c.vout) not in spent]

    def is_unspent(self, _txid: str, _vout: int) -> bool:
        """Never: a name's coin is left alone here, and the name written without it."""
        return False

    def fee_rate(self) -> int:
        """As it was."""
        return self._taken.fee_rate

    def broadcast(self, _raw: bytes) -> str:
        """There is nobody to tell."""
        raise Unavailable("there is no network here", hint="later: doitrust tx resume")

    def advance(self) -> bool:
        """There are no blocks here."""
        return False

    def _ours(self) -> list[Transaction]:
        """What was signed here, and isn't in the evidence."""
        known = self._evidence.transactions
        counts = (SIGNED, SENT, DONE)
        return [e.tx for e in self._entries() if e.state in counts and e.tx.txid not in known]


class OfflineContents:
    """The lists that were taken along, and no others; what is stored goes to what is `beneath`."""

    def __init__(self, taken: Provisions, beneath: ContentStore) -> None:
        self._content = taken.evidence.content
        self._beneath = beneath

    def get(self, cid: Cid) -> bytes | None:
        """The block, or None."""
        return self._content.get(cid)

    #: What is stored is handed on when it is sent (`keeping.share_again`).
    shared = True

    def put_file(self, data: bytes) -> Cid:
        """Store a file."""
        return self._beneath.put_file(data)

    def share(self, cid: Cid, max_size: int) -> None:
        """Not here."""

    def places(self) -> list[Place]:
        """What was taken along."""
        return [Place(_WHAT, self)]
