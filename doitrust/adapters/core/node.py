"""What a Doichain Core node says, as a `Node`. Nothing of it is believed that can be checked.

Transactions are hashed (N1). Places come from proofs: a block's header with the part of its merkle tree that leads to
the transaction, so that no order or block that the RPC only claims is used (N2); a height is the one at which the
node has that very header. Names and values travel as hex, so that any byte works. No wallet of the node's is used.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from doitrust.adapters.core.blocks import BlockReader
from doitrust.adapters.core.rpc import (
    LONG_TIMEOUT,
    MISC,
    NAMES,
    NO_METHOD,
    NO_WALLET,
    NOT_FOUND,
    WHICH_WALLET,
    Rpc,
    RpcFailure,
    TooMuch,
)
from doitrust.chain.amounts import MAX_MONEY
from doitrust.chain.block import block_work
from doitrust.chain.mandate import MIN_FEE_RATE
from doitrust.chain.networks import SCHWARTZ_PER_DOI, Network
from doitrust.chain.proof import Proof, read_proof
from doitrust.chain.tx import Transaction
from doitrust.errors import BadData, DoitrustError, Refused, Unavailable
from doitrust.ports import UnspentCoin
from doitrust.text import visible
from doitrust.trust.evidence import Located, Place, Source, Tip

#: src/consensus/consensus.h
_COINBASE_MATURITY = 100
#: Blocks to be confirmed in, and how much more than the least an estimate may be: it is the node's word alone.
_TARGET, _MOST_TIMES = 6, 10
#: Names in one answer of `name_scan`.
_PAGE = 500
#: sendrawtransaction: it is in the chain already (src/rpc/protocol.h, RPC_VERIFY_ALREADY_IN_CHAIN).
_ALREADY_IN_CHAIN = -27
#: sendrawtransaction: it is no transaction, or one that the node's rules refuse. All else says nothing about it.
_REFUSALS = (-22, -25, -26)
_HASH = re.compile("[0-9a-f]{64}")
_MOST = 2**32


class _Header(NamedTuple):
    """What the node says of a block; `confirmations` is -1 outside of the chain."""

    height: int
    time: int
    confirmations: int
    work: int


class CoreNode(BlockReader):
    """A node reached by `rpc`. All methods raise `Unavailable`, with a cure, if it can't answer."""

    def __init__(self, rpc: Rpc, network: Network, *, name: str, own: bool) -> None:
        self._rpc = rpc
        self.network = network
        self.name = name
        self.own = own
        self._checked = False
        #: Where `history` saw each txid first; only a hint, which is checked like any other.
        self._heights: dict[str, int] = {}
        #: Blocks that places named since the tip was read, and which of them a moment ago were in the chain.
        self._named: dict[str, None] = {}
        self._standing: dict[str, bool] = {}

    # ---- ChainView

    def tip(self) -> Tip:
        """The last block."""
        self._check()
        self._named, self._standing = {}, {}
        best = self._text(self._rpc.call("getbestblockhash"))
        header = self._header(self._rpc.call("getblockheader", best))
        return Tip(header.height, best, header.time, header.work)

    def contains(self, block_hash: str) -> bool:
        """Whether the block is in the chain now.

        Who asks for one at the end asks for all that transactions were found in, one after the other: those are
        asked about in the same batch, and each such answer is given once.
        """
        self._check()
        if block_hash not in self._standing:
            blocks = list(dict.fromkeys([block_hash, *self._named]))
            answers = self._rpc.batch([("getblockheader", block) for block in blocks])
            self._standing = {
                block: self._stands(answer) for block, answer in zip(blocks, answers, strict=True)
            }
        return self._standing.pop(block_hash)

    def history(self, name: bytes, limit: int) -> list[str] | None:
        """Txids that write `name`, in the chain's order, each once; None if there are more than `limit`."""
        self._check()
        self._standing = {}
        try:
            # Values aren't needed here: in the default encoding they take less, or nothing.
            rows = self._about_names("name_history", name.hex(), {"nameEncoding": "hex"})
        except TooMuch:
            return None
        except RpcFailure as error:
            if error.number == NAMES:  # RPC_WALLET_ERROR: «name not found»
                return []
            if error.number == MISC and "namehistory" in error.text:
                raise Unavailable(
                    f"the node {self.name} keeps no history of names",
                    hint="put namehistory=1 into its doichain.conf and start it once with -reindex",
                    code="no_namehistory",
                ) from None
            raise
        found: dict[str, int] = {}
        for row in self._rows(rows):
            found.setdefault(self._text(row.get("txid")), self._number(row.get("height")))
            if len(found) > limit:
                return None
        self._heights.update(found)  # after a reorganisation they are others
        return list(found)

    def transaction(self, txid: str) -> Located | None:
        """The transaction at its first occurrence in the chain, or from the mempool without a place, or None."""
        return self.transactions([txid])[txid]

    def sources(self) -> tuple[Source, ...]:
        """This one."""
        return (Source(self.name, self.own),)

    def transactions(self, txids: Sequence[str]) -> dict[str, Located | None]:
        """Several at once: three batches, however many they are."""
        self._check()
        self._standing = {}
        wanted = list(dict.fromkeys(txids))
        blocks = self._blocks_by_height(wanted)
        found = self._located(wanted, dict(blocks))
        # Not where `history` saw them: the chain has changed since.
        moved = [txid for txid in blocks if txid not in found]
        for txid in moved:
            del self._heights[txid]
        found |= self._located(moved, {})
        return {txid: found.get(txid) for txid in wanted}

    def mempool(self, name: bytes) -> list[str]:
        """Txids of waiting transactions that write `name`."""
        self._check()
        rows = self._rows(self._about_names("name_pending", name.hex(), {"nameEncoding": "hex"}))
        return list(dict.fromkeys(self._text(row.get("txid")) for row in rows))

    def names(self, prefix: bytes) -> Iterator[bytes]:
        """Every name in the chain that starts with `prefix`, sorted, each once; expired ones too."""
        self._check()
        found: list[bytes] = []
        start = prefix
        while True:
            options = {"nameEncoding": "hex", "prefix": prefix.hex(), "allowExpired": True}
            rows = self._rows(self._about_names("name_scan", start.hex(), _PAGE, options))
            page = [self._bytes(row.get("name")) for row in rows]
            # A page begins with the name that is asked for.
            fresh = page[1:] if found and page[:1] == found[-1:] else page
            order = [(len(name), name) for name in [*found[-1:], *fresh]]
            if sorted(set(order)) != order:
                raise self._lies("names out of order")
            found += fresh
            if len(page) < _PAGE or not fresh:
                return iter(sorted(name for name in found if name.startswith(prefix)))
            start = page[-1]

    # ---- CoinView

    def coins(self, script: bytes) -> list[UnspentCoin]:
        """The coins on exactly `script`, oldest first; the node looks through all coins there are."""
        self._check()
        asked = ("scantxoutset", "start", [f"raw({script.hex()})"])
        scan = self._fields(self._rpc.call(*asked, timeout=LONG_TIMEOUT))
        tip = self._number(scan.get("height"))
        rows = sorted(self._unspent(row, script) for row in self._rows(scan.get("unspents")))
        answers = self._rpc.batch([("gettxout", txid, vout, True) for _, txid, vout, _ in rows])
        found = []
        for (height, txid, vout, value), coin in zip(rows, answers, strict=True):
            if isinstance(coin, RpcFailure):
                raise coin
            if coin is None:
                continue  # a waiting transaction spends it
            confirmations = tip - height + 1
            mature = not self._fields(coin).get("coinbase") or confirmations >= _COINBASE_MATURITY
            found.append(UnspentCoin(txid, vout, value, height, confirmations, mature))
        return found

    def is_unspent(self, txid: str, vout: int) -> bool:
        """Whether the output, a name's too, is in the chain and nothing spends it, in the mempool neither."""
        self._check()
        coin = self._rpc.call("gettxout", txid, vout, True)
        return coin is not None and self._number(self._fields(coin).get("confirmations")) > 0

    # ---- Broadcaster

    def broadcast(self, raw: bytes) -> str:
        """Hand a transaction to the node and return its txid; raises `Refused` with its reason."""
        self._check()
        try:
            return self._text(self._rpc.call("sendrawtransaction", raw.hex()))
        except RpcFailure as error:
            if error.number == _ALREADY_IN_CHAIN:
                raise Refused("the transaction is in the chain already", code="txn-already-known") from None
            if error.number not in _REFUSALS:
                raise
            reason = error.text.split(",")[0].split("(")[0].strip() or "refused"
            raise Refused(f"the node refuses it: {visible(error.text, 300)}", code=reason) from None

    def fee_rate(self) -> int:
        """What the node estimates for six blocks, but never more than ten times what it relays."""
        info = self._fields(self._rpc.call("getnetworkinfo"))
        estimate = self._fields(self._rpc.call("estimatesmartfee", _TARGET))
        least = max(MIN_FEE_RATE, self._rate(info.get("relayfee")))
        return min(max(least, self._rate(estimate.get("feerate"))), _MOST_TIMES * least)

    def advance(self) -> bool:
        """Others make the blocks here."""
        return False

    # ---- inside

    def _check(self) -> None:
        """Once: is it a node of this network that knows enough?"""
        if self._checked:
            return
        info = self._fields(self._rpc.call("getblockchaininfo"))
        genesis = self._text(self._rpc.call("getblockhash", 0))
        if genesis != self.network.genesis:
            raise Unavailable(
                f"the node {self.name} is on another chain than {self.network.name}",
                hint=f"its chain is {visible(str(info.get('chain')), 20)}; use --network, or another node.url",
                code="wrong_network",
            )
        blocks, headers = self._number(info.get("blocks")), self._number(info.get("headers"))
        if info.get("initialblockdownload") and blocks < headers:
            raise Unavailable(
                f"the node {self.name} is still syncing: block {blocks} of {headers}",
                hint="wait until it has all blocks",
                code="node_syncing",
            )
        if info.get("pruned"):
            raise Unavailable(
                f"the node {self.name} is pruned: it has thrown old blocks away",
                hint="take prune= out of its doichain.conf and start it once with -reindex",
                code="node_pruned",
            )
        self._checked = True

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
        places = self._places({txid: blocks[txid] for txid in raws if txid in blocks})
        self._named |= dict.fromkeys(place.block for place in places.values())
        return {
            txid: Located(tx, places.get(txid))
            for txid, tx in raws.items()
            if txid not in blocks or txid in places
        }

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

    def _places(self, blocks: dict[str, str]) -> dict[str, Place]:
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
            proven = self._proven(block, proof)
            if not wanted <= proven.positions.keys():
                raise self._lies(f"its proof for block {block} leaves a transaction out")
            below = found.work - block_work(proven.header.bits)
            for txid in wanted:
                place = Place(block, found.height, proven.positions[txid], proven.header.time, below)
                places[txid] = place
        return places

    def _proven(self, block: str, proof: Any) -> Proof:
        try:
            found = read_proof(self._bytes(proof))
        except BadData as error:
            raise self._lies(f"its proof for block {block} is none: {error.message}") from None
        if found.header.hash != block:
            raise self._lies(f"it proves another block than {block}")
        return found

    def _header(self, answer: Any) -> _Header:
        fields = self._fields(answer)
        work = int(self._text(fields.get("chainwork")), 16)
        height, time = self._number(fields.get("height")), self._number(fields.get("time"))
        outside = fields.get("confirmations") == -1
        return _Header(height, time, -1 if outside else self._number(fields.get("confirmations")), work)

    def _stands(self, answer: Any) -> bool:
        """Whether the answer is a header's in the chain."""
        if isinstance(answer, RpcFailure):
            if answer.number != NOT_FOUND:
                raise answer
            return False
        return self._header(answer).confirmations >= 0

    def _unspent(self, row: Mapping[str, Any], script: bytes) -> tuple[int, str, int, int]:
        """Height, txid, number and schwartz of a row of `scantxoutset`."""
        amount = row.get("amount")
        if (
            isinstance(amount, bool)
            or not isinstance(amount, int | Decimal)
            or row.get("scriptPubKey") != script.hex()
        ):
            raise self._lies("a coin that is none")
        value = Decimal(amount) * SCHWARTZ_PER_DOI
        if not 0 <= value <= MAX_MONEY:
            raise self._lies("a coin that is none")
        height, vout = self._number(row.get("height")), self._number(row.get("vout"))
        return height, self._text(row.get("txid")), vout, int(value)

    def _about_names(self, method: str, *params: Any) -> Any:
        """A call that the node answers only with a wallet, though it asks nothing of it."""
        try:
            return self._rpc.call(method, *params)
        except RpcFailure as error:
            if error.number not in (NO_METHOD, NO_WALLET, WHICH_WALLET):
                raise
            raise Unavailable(
                f"the node {self.name} answers no {method}: {visible(error.text, 120)}",
                hint="it wants a wallet loaded, an empty one will do: doichain-cli -named createwallet "
                "wallet_name=empty disable_private_keys=true blank=true load_on_startup=true; "
                "of several name one: node.url …/wallet/NAME",
                code="no_wallet",
            ) from None

    def _rate(self, value: Any) -> int:
        """A rate in DOI a 1000 bytes, as schwartz; 0 where there is none."""
        return int(value * SCHWARTZ_PER_DOI) if isinstance(value, Decimal) and 0 < value < 1 else 0

    def _fields(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._lies("an answer that is no object")
        return value

    def _number(self, value: Any) -> int:
        if type(value) is not int or not 0 <= value < _MOST:
            raise self._lies("an answer without its numbers")
        return value

    def _rows(self, rows: Any) -> list[dict[str, Any]]:
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._lies("an answer that is no list")
        return rows

    def _text(self, value: Any) -> str:
        if not isinstance(value, str) or not _HASH.fullmatch(value):
            raise self._lies("an answer that is no hash")
        return value

    def _bytes(self, value: Any) -> bytes:
        try:
            return bytes.fromhex(value)
        except (TypeError, ValueError):
            raise self._lies("an answer that is no hex") from None

    def _lies(self, what: str) -> DoitrustError:
        return Unavailable(
            f"the node {self.name} gives wrong answers: {what}",
            hint="ask another source",
            code="lying_source",
        )
