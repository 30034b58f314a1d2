"""Walking a node's chain block by block, in batches, each fetched while the one before is worked on."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from doitrust.adapters.core.answers import Answers
from doitrust.adapters.core.rpc import INVALID_PARAMETER, NOT_FOUND, Rpc, RpcFailure
from doitrust.chain.tx import Transaction
from doitrust.errors import Unavailable

#: Blocks in one batch: that many of the largest fit into an answer; as many again while they are small.
_SAFE_BLOCKS, _MOST_BLOCKS = 14, 200
#: Bytes that a batch should have.
_AIM = 4 * 1024 * 1024
_HEX = {"nameEncoding": "hex", "valueEncoding": "hex"}

_Blocks = list[tuple[str, bytes]]


class BlockReader(Answers, ABC):
    """The part of a node that an index reads (`BlockSource`). What it hands out isn't checked, but for txids."""

    _rpc: Rpc

    def hash_at(self, height: int) -> str | None:
        """The hash of the block at `height` now, or None above the tip."""
        self._check()
        try:
            return self._text(self._rpc.call("getblockhash", height))
        except RpcFailure as error:
            if error.number == INVALID_PARAMETER:
                return None
            raise

    def blocks(self, start: int, end: int) -> Iterator[tuple[str, bytes]]:
        """Hash and raw bytes of the blocks from `start` to `end`, in order, as far as there are."""
        self._check()
        with ThreadPoolExecutor(1, "blocks") as ahead:
            count = _SAFE_BLOCKS
            coming = ahead.submit(self._some_blocks, start, min(end, start + count - 1))
            while start <= end:
                found = coming.result()
                asked, start = min(count, end - start + 1), start + len(found)
                size = sum(len(raw) for _, raw in found) or 1
                # Never so many more at once that blocks much larger than these wouldn't fit.
                count = max(_SAFE_BLOCKS, min(_MOST_BLOCKS, 2 * count, _AIM * len(found) // size))
                if len(found) == asked and start <= end:
                    coming = ahead.submit(self._some_blocks, start, min(end, start + count - 1))
                yield from found
                if len(found) < asked:
                    return

    def raw_transactions(self, txids: Sequence[str]) -> dict[str, Transaction | None]:
        """Several by txid (N1), wherever they stand, or None."""
        self._check()
        answers = self._rpc.batch([("getrawtransaction", txid, False) for txid in txids])
        return {txid: self._transaction(txid, answer) for txid, answer in zip(txids, answers, strict=True)}

    def pending(self) -> dict[bytes, list[str]]:
        """The txids of waiting transactions by the names they write."""
        self._check()
        found: dict[bytes, dict[str, None]] = {}
        for row in self._rows(self._rpc.call("name_pending", None, _HEX)):
            found.setdefault(self._bytes(row.get("name")), {})[self._text(row.get("txid"))] = None
        return {name: list(txids) for name, txids in found.items()}

    def _some_blocks(self, start: int, end: int) -> _Blocks:
        """What there is of these blocks; fewer if the chain ends, or changes, in between."""
        try:
            return self._batch_of_blocks(start, end)
        except Unavailable as error:
            # Much larger ones than before don't fit into one answer.
            if error.code != "node_garbage" or end - start < _SAFE_BLOCKS:
                raise
            middle = (start + end) // 2
            first = self._some_blocks(start, middle)
            whole = len(first) == middle - start + 1
            return first + self._some_blocks(middle + 1, end) if whole else first

    def _batch_of_blocks(self, start: int, end: int) -> _Blocks:
        hashes: list[str] = []
        for answer in self._rpc.batch([("getblockhash", height) for height in range(start, end + 1)]):
            if isinstance(answer, RpcFailure):
                if answer.number != INVALID_PARAMETER:
                    raise answer
                break
            hashes.append(self._text(answer))
        found = []
        for block, raw in zip(
            hashes, self._rpc.batch([("getblock", block, 0) for block in hashes]), strict=True
        ):
            if isinstance(raw, RpcFailure):
                if raw.number != NOT_FOUND:
                    raise raw
                break
            found.append((block, self._bytes(raw)))
        return found

    # ---- how the node is asked besides

    @abstractmethod
    def _check(self) -> None:
        """Once: is it a node of this network that knows enough?"""

    @abstractmethod
    def _transaction(self, txid: str, answer: Any) -> Transaction | None:
        """The transaction in an answer, if it is the one that was asked for (N1)."""
