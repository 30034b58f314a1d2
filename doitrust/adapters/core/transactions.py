"""Transactions and where they stand, as a node says, or as it said before (rules N1, N2, L3).

Transactions are hashed. Places come from proofs: a block's header with the part of its merkle tree that leads to the
transaction, so that no order or block that the RPC only claims is used; a height is the one at which the node has that
very header.

What was found is kept for other runs (`cache.py`), and used while its block is in this source's chain: of that the node
is asked each time, and for height and work. Where `history` sees a transaction at another height, mined again perhaps,
it is asked for anew. Neither txid nor proof hold a witness, so that a source, or somebody on the line, can hand out a
damaged one, or none. Whatever the reason, that must not outlive the answer:

- of what writes no name nobody asks who signed it, and no witness is kept;
- of a write the bytes are kept if they came from an own node and the network would relay them, each witness signatures:
  nobody but their keys' holders can make others. Of a foreign source's only the place is kept.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from doitrust.adapters.core.blocks import BlockReader
from doitrust.adapters.core.cache import Cache, Entry
from doitrust.adapters.core.rpc import NOT_FOUND, Rpc, RpcFailure
from doitrust.chain.block import Header, block_work
from doitrust.chain.engine import STANDARD_FLAGS, ScriptFailed, Spend
from doitrust.chain.networks import Network
from doitrust.chain.proof import Proof, read_proof
from doitrust.chain.signers import Signatures, Signing
from doitrust.chain.tx import Transaction
from doitrust.errors import BadData, Unavailable
from doitrust.trust.evidence import Located, Place

#: Writes that are checked in one run, and previous transactions that are asked for only to do that.
_MOST_CHECKED, _MOST_ASKED = 5_000, 1_000


class Told(NamedTuple):
    """What the node says of a block; `confirmations` is -1 outside of the chain."""

    height: int
    time: int
    confirmations: int
    work: int


class TransactionReader(BlockReader):
    """The part of a node that finds transactions."""

    def __init__(
        self, rpc: Rpc, network: Network, *, name: str, own: bool, cache: Cache | None = None
    ) -> None:
        self._rpc = rpc
        self.network = network
        self.name = name
        self.own = own
        self._cache = cache
        #: Whose entries are used: a foreign source's never for an own node, at the same address neither.
        self._source = f"{network.name} {'own' if own else 'foreign'} {rpc.url}"
        #: Where `history` saw each txid first; only a hint, which is checked like any other.
        self._heights: dict[str, int] = {}
        self._begin()

    def _begin(self) -> None:
        """Forget what was found at an earlier tip."""
        #: What was told of blocks; that they are in the chain is asked each time.
        self._blocks: dict[str, Told] = {}
        #: What was handed out, and of which writes only the place is kept so far.
        self._had: dict[str, Transaction] = {}
        self._unchecked: dict[str, Entry] = {}

    def standing(self, blocks: Iterable[str]) -> set[str]:
        """Those of the blocks that are in the chain now."""
        self._check()
        found = set(self._told(dict.fromkeys(blocks)))
        self._keep_checked()
        return found

    def transaction(self, txid: str) -> Located | None:
        """The transaction at its first occurrence in the chain, or from the mempool without a place, or None."""
        return self.transactions([txid])[txid]

    def transactions(self, txids: Sequence[str]) -> dict[str, Located | None]:
        """Several at once: three batches, however many they are, and one for what is kept."""
        self._check()
        wanted = list(dict.fromkeys(txids))
        found = self._kept(wanted)
        rest = [txid for txid in wanted if txid not in found]
        blocks = self._blocks_by_height(rest)
        found |= self._located(rest, dict(blocks))
        # Not where `history` saw them: the chain has changed since.
        moved = [txid for txid in blocks if txid not in found]
        for txid in moved:
            del self._heights[txid]
        found |= self._located(moved, {})
        if self._cache is not None and self.own:
            self._had |= {txid: at.tx for txid, at in found.items()}
        return {txid: found.get(txid) for txid in wanted}

    # ---- what is kept

    def _kept(self, txids: Sequence[str]) -> dict[str, Located]:
        """Those that are kept, where their block is in the chain; of some only the bytes are asked for."""
        kept = {} if self._cache is None else self._cache.entries(self._source, txids)
        told = self._told({entry.header.hash for entries in kept.values() for entry in entries})
        first: dict[str, tuple[Place, Entry]] = {}
        for txid, entries in kept.items():
            hint = self._heights.get(txid)
            for entry in entries:
                block = told.get(entry.header.hash)
                if block is None or hint not in (None, block.height):
                    continue
                if txid not in first or block.height < first[txid][0].height:
                    first[txid] = _place(block, entry.header, entry.position), entry
        lacking = {txid: place.block for txid, (place, entry) in first.items() if entry.tx is None}
        answers = self._rpc.batch(
            [("getrawtransaction", txid, False, block) for txid, block in lacking.items()]
        )
        asked = {txid: self._transaction(txid, answer) for txid, answer in zip(lacking, answers, strict=True)}
        found = {}
        for txid, (place, entry) in first.items():
            tx = entry.tx or asked.get(txid)
            if tx is not None:
                found[txid] = Located(tx, place)
                if entry.tx is None:
                    self._to_check(entry._replace(tx=tx))
        return found

    def _told(self, blocks: Iterable[str]) -> dict[str, Told]:
        """What the node says of those of the blocks that are in the chain."""
        asked = list(blocks)
        # The hash at its height is a fifth of a header, and says as much of a block whose header was had.
        answers = self._rpc.batch(
            [
                ("getblockhash", self._blocks[block].height)
                if block in self._blocks
                else ("getblockheader", block)
                for block in asked
            ]
        )
        found, elsewhere = {}, []
        for block, answer in zip(asked, answers, strict=True):
            if block not in self._blocks:
                if self._stands(answer):
                    found[block] = self._header(answer)
            elif answer == block:
                found[block] = self._blocks[block]
            else:
                elsewhere.append(block)
        headers = self._rpc.batch([("getblockheader", block) for block in elsewhere])
        found |= {
            block: self._header(answer)
            for block, answer in zip(elsewhere, headers, strict=True)
            if self._stands(answer)
        }
        self._blocks |= found
        return found

    def _keep(self, found: Iterable[Entry]) -> None:
        """Keep where transactions were proven to stand, and of their bytes what no source can have changed."""
        if self._cache is None:
            return
        rows: list[tuple[Entry, bytes | None]] = []
        for entry in found:
            if entry.tx is None:
                continue
            if not entry.tx.writes:
                rows.append((entry, entry.tx.stripped))
            else:  # without a witness too: it may have been cut off
                rows.append((entry, None))
                self._to_check(entry)
        self._cache.keep(self._source, rows)

    def _to_check(self, entry: Entry) -> None:
        if self.own and len(self._unchecked) < _MOST_CHECKED:
            self._unchecked[entry.txid] = entry

    def _keep_checked(self) -> None:
        """Keep the bytes too of writes that are found to be signed; what they spend may have to be asked for."""
        unchecked = [entry for entry in self._unchecked.values() if entry.tx is not None]
        self._unchecked = {}
        if self._cache is None or not unchecked:
            return
        spent = {each.txid: None for entry in unchecked if entry.tx is not None for each in entry.tx.inputs}
        try:
            more = self.raw_transactions([txid for txid in spent if txid not in self._had][:_MOST_ASKED])
        except Unavailable:
            more = {}  # they are asked for again the next time
        previous = self._had | {txid: tx for txid, tx in more.items() if tx is not None}
        self._cache.keep(
            self._source,
            [(e, e.tx.raw) for e in unchecked if e.tx is not None and _is_signed(e.tx, previous)],
        )

    # ---- what the node says

    def _blocks_by_height(self, txids: Sequence[str]) -> dict[str, str]:
        """The block at the height where `history` saw a txid: without -txindex, and for the first of several."""
        known = [txid for txid in txids if txid in self._heights]
        answers = self._rpc.batch([("getblockhash", self._heights[txid]) for txid in known])
        return {
            txid: self._text(answer)
            for txid, answer in zip(known, answers, strict=True)
            if not isinstance(answer, RpcFailure)
        }

    def _located(self, txids: Sequence[str], blocks: dict[str, str]) -> dict[str, Located]:
        """Those that are in the chain or wait, of `txids`; `blocks` says where to look, where that is known."""
        asked = [
            ("getrawtransaction", txid, False, blocks[txid])
            if txid in blocks
            else ("getrawtransaction", txid, True)
            for txid in txids
        ]
        raws: dict[str, Transaction] = {}
        for txid, answer in zip(txids, self._rpc.batch(asked), strict=True):
            tx = self._transaction(txid, answer)
            if tx is not None:
                raws[txid] = tx
                if isinstance(answer, dict) and answer.get("blockhash") is not None:
                    blocks[txid] = self._text(answer["blockhash"])
        proven = self._proven_places({txid: blocks[txid] for txid in raws if txid in blocks})
        self._keep(
            Entry(txid, header, place.position, raws[txid]) for txid, (place, header) in proven.items()
        )
        found = {txid: Located(tx, None) for txid, tx in raws.items() if txid not in blocks}
        return found | {txid: Located(raws[txid], place) for txid, (place, _) in proven.items()}

    def _transaction(self, txid: str, answer: Any) -> Transaction | None:
        """The transaction in an answer, if it is the one that was asked for (N1)."""
        if isinstance(answer, RpcFailure):
            if answer.number != NOT_FOUND:
                raise answer
            if "being indexed" in answer.text:
                raise Unavailable(
                    f"the node {self.name} has not indexed all transactions yet",
                    hint="wait a little",
                    code="node_syncing",
                )
            if "txindex" in answer.text:
                raise Unavailable(
                    f"the node {self.name} can't find transactions",
                    hint="put txindex=1 into its doichain.conf and start it again; it then reads all blocks once",
                    code="no_txindex",
                )
            return None
        text = answer.get("hex") if isinstance(answer, dict) else answer
        try:
            tx = Transaction.parse(self._bytes(text))
        except BadData:
            raise self._lies(f"what it gives for {txid} is no transaction") from None
        if tx.txid != txid:
            raise self._lies(f"it gives another transaction for {txid}")
        return tx

    def _proven_places(self, blocks: dict[str, str]) -> dict[str, tuple[Place, Header]]:
        """Where transactions stand, proven; one whose block isn't in the chain any more stands nowhere."""
        by_block: dict[str, list[str]] = {}
        for txid, block in blocks.items():
            by_block.setdefault(block, []).append(txid)
        calls: list[tuple[Any, ...]] = [("gettxoutproof", txids, block) for block, txids in by_block.items()]
        calls += [("getblockheader", block) for block in by_block]
        answers = self._rpc.batch(calls)
        places = {}
        for number, (block, txids) in enumerate(by_block.items()):
            proof, header = answers[number], answers[len(by_block) + number]
            failed = [answer for answer in (proof, header) if isinstance(answer, RpcFailure)]
            if failed and failed[0].number != NOT_FOUND:
                raise failed[0]
            if failed or not self._stands(header):
                continue
            found, wanted = self._header(header), set(txids)
            self._blocks[block] = found
            proven = self._proven(block, proof)
            if not wanted <= proven.positions.keys():
                raise self._lies(f"its proof for block {block} leaves a transaction out")
            for txid in wanted:
                places[txid] = _place(found, proven.header, proven.positions[txid]), proven.header
        return places

    def _proven(self, block: str, proof: Any) -> Proof:
        try:
            found = read_proof(self._bytes(proof))
        except BadData as error:
            raise self._lies(f"its proof for block {block} is none: {error.message}") from None
        if found.header.hash != block:
            raise self._lies(f"it proves another block than {block}")
        return found

    def _header(self, answer: Any) -> Told:
        fields = self._fields(answer)
        work = int(self._text(fields.get("chainwork")), 16)
        height, time = self._number(fields.get("height")), self._number(fields.get("time"))
        outside = fields.get("confirmations") == -1
        return Told(height, time, -1 if outside else self._number(fields.get("confirmations")), work)

    def _stands(self, answer: Any) -> bool:
        """Whether the answer is a header's in the chain."""
        if isinstance(answer, RpcFailure):
            if answer.number != NOT_FOUND:
                raise answer
            return False
        return self._header(answer).confirmations >= 0

    @abstractmethod
    def _check(self) -> None:
        """Once: is it a node of this network that knows enough?"""


def _place(told: Told, header: Header, position: int) -> Place:
    return Place(header.hash, told.height, position, header.time, told.work - block_work(header.bits))


def _is_signed(tx: Transaction, previous: Mapping[str, Transaction]) -> bool:
    """Whether every witness that there has to be is there, and signatures in the one form that the network relays."""
    try:
        spend = Spend(tx, [previous[spent.txid].outputs[spent.vout] for spent in tx.inputs])
    except (KeyError, IndexError):
        return False  # not had, or there is none
    for spent, answer in zip(tx.inputs, Signatures(tx, previous.get, segwit=True).answers(), strict=True):
        if spent.witness and answer.state is not Signing.SIGNED:
            return False  # a script that lets anybody change it
    try:
        for index in range(len(tx.inputs)):
            spend.verify(index, STANDARD_FLAGS)
    except ScriptFailed:
        return False
    return True
