"""What the chain accepts of name outputs: Doichain Core's CheckNameTransaction, its gaps included.

Pure. Source: src/names/main.cpp. What it does *not* check is what `doichain.md` warns of: a name_doi without a
name input overwrites any name, and one with a name input may write another name than the input's.

Two things stop a real node and are deliberately not imitated, or a devnet could be broken by accident: a block
after which an expiring name's coin is spent already (ExpireNames fails; here there is just nothing to remove),
and a waiting transaction that spends a name coin whose name expires with the next block (no block can be built;
here it leaves the mempool). Where the node would stop by an assertion (a name_update without a name input, or
of a name that was overwritten) the transaction is refused.
"""

from collections.abc import Iterator, Sequence

from doitrust.adapters.devnet import params
from doitrust.adapters.devnet.reject import Rejected
from doitrust.adapters.devnet.view import MEMPOOL_HEIGHT, Coin, Outpoint, Record, View
from doitrust.chain.address import hash160
from doitrust.chain.names import (
    NAME_TX_VERSION,
    OP_NAME_DOI,
    OP_NAME_NEW,
    OP_NAME_UPDATE,
    NodeName,
    read_as_node,
)
from doitrust.chain.tx import Transaction


def names_written(tx: Transaction) -> Iterator[tuple[bytes, Outpoint]]:
    """Yield (name, outpoint) of everything that the node applies to its name database.

    ApplyNameTransaction asks neither for a version nor for a limit: a coinbase may write any number of names.
    """
    for vout, output in enumerate(tx.outputs):
        name = read_as_node(output.script)
        if name is not None and name.written is not None:
            yield name.written[0], (tx.txid, vout)


def check_names(tx: Transaction, coins: Sequence[Coin], height: int, view: View, *, waiting: bool) -> None:
    """Check the name rules of a transaction that is no coinbase, to stand in block `height`.

    `coins` are those it spends, in order; `view` is what the chain knows before it; `waiting` tells that it is
    for the mempool, where a name_firstupdate may be early. Raises `Rejected`.
    """
    spent = _Spent(tx, coins)
    made = [(o.value, name) for o in tx.outputs if (name := read_as_node(o.script)) is not None]
    if len(made) > 1:
        raise Rejected("tx-multiple-name-outputs", f"{len(made)} name outputs")
    if tx.version != NAME_TX_VERSION:
        if spent.name is not None:
            raise Rejected("tx-nonname-with-name-input", f"a name input needs version {NAME_TX_VERSION:#x}")
        if made:
            raise Rejected("tx-nonname-with-name-output", f"a name output needs version {NAME_TX_VERSION:#x}")
        return
    if not made:
        raise Rejected("tx-name-without-name-output", f"version {NAME_TX_VERSION:#x} needs a name output")
    amount, name = made[0]
    if amount < params.MIN_NAME_AMOUNT:
        raise Rejected("tx-name-greedy", f"{amount} of {params.MIN_NAME_AMOUNT} schwartz in the name output")
    if name.op == OP_NAME_NEW:
        _check_new(name, spent)
        return
    _check_sizes(name)
    if name.op == OP_NAME_UPDATE:
        _check_update(name, spent, height, view)
    elif name.op == OP_NAME_DOI:
        _check_doi(name, spent, view)
    else:
        _check_firstupdate(name, spent, height, view, waiting=waiting)


class _Spent:
    """The one name coin that a transaction spends, if it spends one."""

    def __init__(self, tx: Transaction, coins: Sequence[Coin]) -> None:
        self.name: NodeName | None = None
        self.height = 0
        self.outpoint: Outpoint | None = None
        for spent, coin in zip(tx.inputs, coins, strict=True):
            name = read_as_node(coin.script)
            if name is None:
                continue
            if self.name is not None:
                raise Rejected("tx-multiple-name-inputs", "more than one name input")
            self.name, self.height, self.outpoint = name, coin.height, (spent.txid, spent.vout)

    @property
    def op(self) -> int | None:
        return None if self.name is None else self.name.op


def _check_new(name: NodeName, spent: _Spent) -> None:
    if spent.name is not None:
        raise Rejected("tx-namenew-with-name-input", "a name_new spends no name")
    if len(name.args[0]) != 20:
        raise Rejected("tx-namenew-wrong-size", f"a hash of {len(name.args[0])} bytes")


def _check_sizes(name: NodeName) -> None:
    written = name.written or (b"", b"")
    if len(written[0]) > params.MAX_NAME_SIZE:
        raise Rejected("tx-name-invalid", f"a name of {len(written[0])} bytes")
    if len(written[1]) > params.MAX_VALUE_SIZE:
        raise Rejected("tx-value-invalid", f"a value of {len(written[1])} bytes")


def _check_doi(name: NodeName, spent: _Spent, view: View) -> None:
    # Without a name input everything is fine, an overwritten name too: the node compares the height of an
    # input that isn't there. With one, its name is never compared.
    if spent.name is None:
        return
    if view.record(name.args[0]) is None:
        raise Rejected("tx-nameupdate-nonexistant", "the name does not exist")
    if spent.op != OP_NAME_DOI:
        raise Rejected("tx-name-doi-not-name-doi-input", "the name input is no name_doi")


def _check_update(name: NodeName, spent: _Spent, height: int, view: View) -> None:
    if spent.name is None or spent.op == OP_NAME_NEW:
        raise Rejected("tx-nameupdate-invalid-prev", "no name input that is an update")
    if spent.name.args[0] != name.args[0]:
        raise Rejected("tx-nameupdate-name-mismatch", "the name input has another name")
    if spent.height == MEMPOOL_HEIGHT:
        return
    record = view.record(name.args[0])
    if record is None:
        raise Rejected("tx-nameupdate-nonexistant", "the name does not exist")
    if is_expired(record, height):
        raise Rejected("tx-nameupdate-expired", "the name has expired")
    if record != Record(spent.height, *(spent.outpoint or ("", 0))):
        # The node asserts that the input is the name's last write, and stops when it was overwritten.
        raise Rejected("tx-nameupdate-invalid-prev", "the name was overwritten since")


def _check_firstupdate(name: NodeName, spent: _Spent, height: int, view: View, *, waiting: bool) -> None:
    if spent.name is None or spent.op != OP_NAME_NEW:
        raise Rejected("tx-firstupdate-nonnew-input", "no name input that is a name_new")
    if not waiting and spent.height + params.FIRSTUPDATE_DEPTH > height:
        raise Rejected("tx-firstupdate-immature", f"the name_new is of block {spent.height}")
    if len(name.args[1]) > 20:
        raise Rejected("tx-firstupdate-invalid-rand", f"a salt of {len(name.args[1])} bytes")
    if hash160(name.args[1] + name.args[0]) != spent.name.args[0]:
        raise Rejected("tx-firstupdate-hash-mismatch", "the name_new has the hash of another")
    record = view.record(name.args[0])
    if record is not None and not is_expired(record, height):
        raise Rejected("tx-firstupdate-existing-name", "the name exists")


def is_expired(record: Record, height: int) -> bool:
    """Whether a name last written by `record` is expired for a transaction in block `height`."""
    return record.height + params.NAME_EXPIRY <= height


def expiring_coins(height: int, view: View) -> Iterator[Outpoint]:
    """Yield the coins that leave the chain after block `height` (ExpireNames, called for the next height).

    It is the coin of a name's *last* write. One that was overwritten before stays, and can be spent for ever.
    """
    for name in view.written_at(height + 1 - params.NAME_EXPIRY):
        record = view.record(name)
        if record is None:
            continue
        outpoint = (record.txid, record.vout)
        coin = view.coin(outpoint)
        if coin is None:
            continue  # here a node would stop
        held = read_as_node(coin.script)
        if held is not None and held.written is not None and held.written[0] == name:
            yield outpoint
