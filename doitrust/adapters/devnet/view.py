"""What the chain knows at one moment: coins and the name database. `Overlay` holds changes not yet stored."""

from typing import NamedTuple, Protocol

#: The height of coins that only wait in the mempool (src/txmempool.h, MEMPOOL_HEIGHT).
MEMPOOL_HEIGHT = 0x7FFFFFFF

#: A txid as displayed (hex) and an output's index.
Outpoint = tuple[str, int]


class Coin(NamedTuple):
    """An unspent output: value in schwartz, script, the height it was made at, whether by a coinbase."""

    value: int
    script: bytes
    height: int
    coinbase: bool


class Record(NamedTuple):
    """The last write of a name in the node's name database: its height and outpoint."""

    height: int
    txid: str
    vout: int


class View(Protocol):
    """Coins and names as of one block."""

    def coin(self, outpoint: Outpoint) -> Coin | None:
        """The coin, or None if it doesn't exist or is spent."""

    def record(self, name: bytes) -> Record | None:
        """What the name database holds for `name`; expired names stay in it."""

    def written_at(self, height: int) -> set[bytes]:
        """The names whose last write is at `height`."""

    def median_time(self, height: int) -> int:
        """The median of the times of block `height` and the ten before it (GetMedianTimePast)."""


class Overlay:
    """A view with changes on top. `coins` (None: spent) and `records` are all that differs from the base."""

    def __init__(self, base: View) -> None:
        self._base = base
        self.coins: dict[Outpoint, Coin | None] = {}
        self.records: dict[bytes, Record] = {}

    def coin(self, outpoint: Outpoint) -> Coin | None:
        """The coin, or None if it doesn't exist or is spent."""
        return self.coins[outpoint] if outpoint in self.coins else self._base.coin(outpoint)

    def record(self, name: bytes) -> Record | None:
        """What the name database holds for `name`."""
        return self.records[name] if name in self.records else self._base.record(name)

    def written_at(self, height: int) -> set[bytes]:
        """The names whose last write is at `height`."""
        names = {name for name in self._base.written_at(height) if name not in self.records}
        return names | {name for name, record in self.records.items() if record.height == height}

    def median_time(self, height: int) -> int:
        """The median time past of block `height`, which the base has."""
        return self._base.median_time(height)
