"""What a mempool asks of a transaction beyond the rules of blocks: whether the real node would relay it.

Pure. Source: src/policy/policy.cpp, src/script/standard.cpp, src/validation.cpp (MemPoolAccept::PreChecks). Left
out: limits on chains of unconfirmed transactions and on the mempool's size, the limit on sigops in a P2SH script,
and conflicts between waiting name_new and name_firstupdate (`txn-mempool-name-error`). What replaces another is in
`replacement.py`. Miners are free of all this: see `Devnet.mine_with`.

Names that start with `d/` are *not* refused: the node means to (src/names/mempool.cpp, checkTx), but compares
the name as it prints it for messages, which begins with a quotation mark.
"""

from collections.abc import Sequence

from doitrust.adapters.devnet import params
from doitrust.adapters.devnet.reject import Rejected
from doitrust.adapters.devnet.rules import Checked
from doitrust.adapters.devnet.solver import Solved, pushes_only, solve
from doitrust.chain.engine import STANDARD_FLAGS, ScriptFlag, Spend, address_script, is_witness_program
from doitrust.chain.names import NAME_TX_VERSION
from doitrust.chain.scripts import (
    ScriptType,
    script_sig_pushes,
    script_type,
)
from doitrust.chain.tx import Input, Output, Transaction

#: Schwartz a 1000 virtual bytes: the least to be relayed (src/validation.h, DEFAULT_MIN_RELAY_TX_FEE), the most
#: that `sendrawtransaction` takes unasked (src/node/transaction.h), and what makes an output dust.
MIN_FEE_RATE = 100_000
MAX_FEE_RATE = 10_000_000
DUST_RATE = 3_000

_MAX_VERSION = 2
_MAX_WEIGHT = 400_000
_MIN_STRIPPED_SIZE = 82
_MAX_SCRIPT_SIG = 1650
_MAX_DATA_SCRIPT = 83
_MAX_BARE_KEYS = 3
_BYTES_PER_SIGOP = 20
_MAX_SIGOPS_COST = params.MAX_BLOCK_SIGOPS_COST // 5
# Of P2WSH: the script, the items before it.
_MAX_WITNESS_SCRIPT, _MAX_WITNESS_ITEMS, _MAX_WITNESS_ITEM = 3600, 100, 80
# Sizes of the input that spends an output, in virtual bytes (GetDustThreshold).
_SPEND_SIZE, _WITNESS_SPEND_SIZE = 148, 67
_OP_RETURN, _OP_CHECKSIG = 0x6A, 0xAC
_UNCOMPRESSED_KEY_SIZE = 65


def check_standard(tx: Transaction) -> None:
    """Check the form of a transaction that asks to be relayed (IsStandardTx). Raises `Rejected`."""
    if tx.version != NAME_TX_VERSION and not 1 <= tx.version <= _MAX_VERSION:
        raise Rejected("version", f"{tx.version:#x}")
    if tx.weight > _MAX_WEIGHT:
        raise Rejected("tx-size", f"a weight of {tx.weight}")
    for spent in tx.inputs:
        if len(spent.script_sig) > _MAX_SCRIPT_SIG:
            raise Rejected("scriptsig-size")
        if not pushes_only(spent.script_sig):
            raise Rejected("scriptsig-not-pushonly")
    for output in tx.outputs:
        _check_output(output)
    if sum(solve(output.script).type == "nulldata" for output in tx.outputs) > 1:
        raise Rejected("multi-op-return")
    if tx.stripped_size < _MIN_STRIPPED_SIZE:
        raise Rejected("tx-size-small")


def check_relay(checked: Checked, *, max_fee_rate: int = MAX_FEE_RATE) -> None:
    """Check what a checked transaction spends and pays; its scripts come after. Raises `Rejected`.

    `max_fee_rate`: schwartz a 1000 virtual bytes, 0 for no limit.
    """
    pairs = zip(checked.tx.inputs, checked.coins, strict=True)
    scripts = [(_spent_script(coin.script, spent), spent.witness) for spent, coin in pairs]
    if not all(
        _is_standard_input(coin.script) and script is not None
        for coin, (script, _) in zip(checked.coins, scripts, strict=True)
    ):
        raise Rejected("bad-txns-nonstandard-inputs")
    if not all(_is_standard_witness(script or b"", witness) for script, witness in scripts if witness):
        raise Rejected("bad-witness-nonstandard")
    if _sigop_cost(checked.spend) > _MAX_SIGOPS_COST:
        raise Rejected("bad-txns-too-many-sigops", f"{_sigop_cost(checked.spend)}")
    _check_fee(checked, max_fee_rate)


def fee_at(rate: int, size: int) -> int:
    """Return the fee of `size` virtual bytes at `rate` schwartz a 1000 (src/policy/feerate.cpp, GetFee)."""
    return rate * size // 1000 or min(rate, size, 1)


def relay_size(spend: Spend) -> int:
    """Return the virtual bytes that fees are asked for: more than there are if there are many sigops (GetTxSize)."""
    return (max(spend.weight, _sigop_cost(spend) * _BYTES_PER_SIGOP) + 3) // 4


def dust_limit(script: bytes) -> int:
    """Return the least an output with this script holds, in schwartz (GetDustThreshold)."""
    length = len(script)
    size = 8 + (1 if length < 0xFD else 3) + length
    size += _WITNESS_SPEND_SIZE if is_witness_program(address_script(script)) else _SPEND_SIZE
    return fee_at(DUST_RATE, size)


def _check_fee(checked: Checked, max_fee_rate: int) -> None:
    least = fee_at(MIN_FEE_RATE, relay_size(checked.spend))
    if checked.fee < least:
        raise Rejected("min relay fee not met", f"{checked.fee} < {least} schwartz")
    most = fee_at(max_fee_rate, checked.tx.vsize)
    if max_fee_rate and checked.fee > most:
        raise Rejected("absurdly-high-fee", f"{checked.fee} > {most} schwartz")


def _check_output(output: Output) -> None:
    solved = solve(output.script)
    if solved.type == "nulldata":
        if len(output.script) > _MAX_DATA_SCRIPT:
            raise Rejected("scriptpubkey", "a data output of more than 83 bytes")
        return
    if not _is_standard(solved):
        raise Rejected("scriptpubkey", f"not a standard output script: {output.script.hex()[:80]}")
    least = dust_limit(output.script)
    if output.value < least:
        raise Rejected("dust", f"an output of {output.value} schwartz, at least {least} are needed")


def _sigop_cost(spend: Spend) -> int:
    return spend.sigop_cost(STANDARD_FLAGS & (ScriptFlag.P2SH | ScriptFlag.WITNESS))


def _spent_script(script: bytes, spent: Input) -> bytes | None:
    """Return the script that an input runs: of P2SH the redeem script, None if there is none."""
    address = address_script(script)
    if script_type(address)[0] is not ScriptType.P2SH:
        return address
    pushes = script_sig_pushes(spent.script_sig)
    return pushes[-1] if pushes else None


def _is_standard_witness(script: bytes, witness: Sequence[bytes]) -> bool:
    """Whether an input that runs `script` may have this witness (IsWitnessStandard)."""
    if script_type(script)[0] is ScriptType.P2WSH:
        *items, code = witness
        if len(code) > _MAX_WITNESS_SCRIPT or len(items) > _MAX_WITNESS_ITEMS:
            return False
        return all(len(item) <= _MAX_WITNESS_ITEM for item in items)
    return is_witness_program(script)


def _is_standard_input(script: bytes) -> bool:
    solved = solve(script)
    return _is_standard(solved) and solved.type != "witness_unknown"  # versions that nobody knows yet


def _is_standard(solved: Solved) -> bool:
    """Whether an output may have this form (src/policy/policy.cpp, IsStandard)."""
    return solved.type != "nonstandard" and len(solved.keys) <= _MAX_BARE_KEYS
