"""Reading a transaction as the node's RPC does, and changing its outputs."""

from collections.abc import Sequence
from io import BytesIO

from doitrust.chain.scripts import read_op
from doitrust.chain.tx import Output, Transaction
from doitrust.errors import BadData

#: What a script may push, and the last opcode that means something (src/script/script.h).
_MAX_ELEMENT_SIZE = 520
_MAX_OPCODE = 0xB9
_MAX_SCRIPT_SIZE = 10_000


def decode(raw: bytes, *, bare: bool, witness: bool = True) -> Transaction | None:
    """Read a transaction as DecodeHexTx does (src/core_read.cpp), or return None.

    `bare`: try first to read it as one without witnesses, which makes sense if its scripts do.
    """
    if bare:
        tx = _parsed(raw, witness=False)
        if tx is not None and (not witness or _makes_sense(tx)):
            return tx
    return _parsed(raw, witness=True) if witness else None


def _parsed(raw: bytes, *, witness: bool) -> Transaction | None:
    stream = BytesIO(raw)
    try:
        tx = Transaction.read_from(stream, witness=witness)
    except BadData:
        return None
    return tx if stream.tell() == len(raw) else None


def _makes_sense(tx: Transaction) -> bool:
    """CheckTxScriptsSanity."""
    scripts = [] if tx.is_coinbase else [spent.script_sig for spent in tx.inputs]
    return all(_has_valid_ops(script) for script in [*scripts, *(output.script for output in tx.outputs)])


def _has_valid_ops(script: bytes) -> bool:
    if len(script) > _MAX_SCRIPT_SIZE:
        return False
    at = 0
    while at < len(script):
        try:
            op = read_op(script, at)
        except BadData:
            return False
        if op.code > _MAX_OPCODE or len(op.data or b"") > _MAX_ELEMENT_SIZE:
            return False
        at = op.end
    return True


def rewritten(tx: Transaction, version: int, outputs: Sequence[Output]) -> bytes:
    """Return the bytes of `tx` with another version and other outputs."""
    start = _first_input(tx) + sum(36 + len(_counted(spent.script_sig)) + 4 for spent in tx.inputs)
    end = start + len(_outputs(tx.outputs))
    return version.to_bytes(4, "little") + tx.raw[4:start] + _outputs(outputs) + tx.raw[end:]


def compact(count: int) -> bytes:
    """A compact size (src/serialize.h)."""
    if count < 0xFD:
        return bytes([count])
    if count <= 0xFFFF:
        return b"\xfd" + count.to_bytes(2, "little")
    return b"\xfe" + count.to_bytes(4, "little")


def _counted(data: bytes) -> bytes:
    return compact(len(data)) + data


def _outputs(outputs: Sequence[Output]) -> bytes:
    # A value is signed on the wire; what was read as a huge one goes back as it came.
    return compact(len(outputs)) + b"".join(
        (output.value % 2**64).to_bytes(8, "little") + _counted(output.script) for output in outputs
    )


def _first_input(tx: Transaction) -> int:
    return 4 + (2 if tx.has_witness else 0) + len(compact(len(tx.inputs)))
