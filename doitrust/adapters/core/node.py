"""What a Doichain Core node says, as a `Node`. Nothing of it is believed that can be checked.

Names and values travel as hex, so that any byte works. No wallet of the node's is used.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from doitrust.adapters.core.rpc import (
    LONG_TIMEOUT,
    MISC,
    NAMES,
    NO_METHOD,
    NO_WALLET,
    WHICH_WALLET,
    RpcFailure,
    TooMuch,
)
from doitrust.adapters.core.transactions import TransactionReader
from doitrust.chain.amounts import MAX_MONEY
from doitrust.chain.mandate import MIN_FEE_RATE
from doitrust.chain.networks import SCHWARTZ_PER_DOI
from doitrust.errors import Refused, Unavailable
from doitrust.ports import UnspentCoin
from doitrust.text import visible
from doitrust.trust.evidence import Source, Tip

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


class CoreNode(TransactionReader):
    """A node reached by `rpc`. All methods raise `Unavailable`, with a cure, if it can't answer."""

    _checked = False

    # ---- ChainView

    def tip(self) -> Tip:
        """The last block."""
        self._check()
        self._begin()
        best = self._text(self._rpc.call("getbestblockhash"))
        header = self._header(self._rpc.call("getblockheader", best))
        self._blocks[best] = header
        return Tip(header.height, best, header.time, header.work)

    def history(self, name: bytes, limit: int) -> list[str] | None:
        """Txids that write `name`, in the chain's order, each once; None if there are more than `limit`."""
        self._check()
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

    def sources(self) -> tuple[Source, ...]:
        """This one."""
        return (Source(self.name, self.own),)

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
