"""Running scripts, and what else consensus asks of a transaction's bytes. btclib underneath.

Doichain Core judges a name output twice (src/script/interpreter.cpp, VerifyScript; src/script/script.cpp,
IsPayToScriptHash and IsWitnessProgram with allowNames): the *whole* script runs after the scriptSig, name and
value included, and then what follows the drops decides whether a witness program or a redeem script runs too.
So a legacy signature covers the name, and a name or value over 520 bytes (the most a script may push) makes the
output unspendable whoever owns it.
"""

from collections.abc import Sequence
from functools import cached_property
from io import BytesIO

from btclib.exceptions import BTClibException, ScriptError
from btclib.hashes import hash160
from btclib.script.engine import ScriptFlag as ScriptFlag
from btclib.script.engine import sig_op_cost, verify_input
from btclib.script.engine.script import verify_script
from btclib.script.script_pub_key import ScriptPubKey
from btclib.script.sig_hash import PrecomputedTxData
from btclib.tx import Tx
from btclib.tx.tx_out import TxOut

from doitrust.chain.names import read_as_node
from doitrust.chain.scripts import OP_0, OP_1, OP_16, ScriptType, p2sh, script_type
from doitrust.chain.tx import Output, Transaction
from doitrust.errors import BadData

#: What relaying nodes ask of scripts beyond the rules of blocks (src/policy/policy.h,
#: STANDARD_SCRIPT_VERIFY_FLAGS).
STANDARD_FLAGS = (
    ScriptFlag.P2SH
    | ScriptFlag.DERSIG
    | ScriptFlag.STRICTENC
    | ScriptFlag.MINIMALDATA
    | ScriptFlag.NULLDUMMY
    | ScriptFlag.DISCOURAGE_UPGRADABLE_NOPS
    | ScriptFlag.CLEANSTACK
    | ScriptFlag.MINIMALIF
    | ScriptFlag.NULLFAIL
    | ScriptFlag.CHECKLOCKTIMEVERIFY
    | ScriptFlag.CHECKSEQUENCEVERIFY
    | ScriptFlag.LOW_S
    | ScriptFlag.WITNESS
    | ScriptFlag.DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM
    | ScriptFlag.WITNESS_PUBKEYTYPE
    | ScriptFlag.CONST_SCRIPTCODE
)


class ScriptFailed(BadData):
    """An input's scripts don't allow the spend; the message is Doichain Core's own wording of why."""

    code = "script_failed"


class Spend:
    """A transaction together with the outputs it spends, in the order of its inputs; none for a coinbase."""

    def __init__(self, tx: Transaction, spent: Sequence[Output]) -> None:
        #: Three times the size without witnesses plus the size with them (BIP 141).
        self.weight = tx.weight
        self._tx = Tx.parse(BytesIO(tx.raw), check_validity=False)
        self._spent = spent

    def sigop_cost(self, flags: ScriptFlag) -> int:
        """Return what this costs of a block's 80,000 signature operations (GetTransactionSigOpCost)."""
        return sig_op_cost(self._address_outs, self._tx, flags)

    def verify(self, index: int, flags: ScriptFlag) -> None:
        """Run one input's scripts; raises `ScriptFailed` if they don't allow the spend."""
        try:
            self._verify(index, flags)
        except ScriptError as error:
            raise ScriptFailed(error.code.description) from None
        except BTClibException as error:
            raise ScriptFailed(f"unknown error: {error}") from None

    @cached_property
    def _outs(self) -> list[TxOut]:
        """The spent outputs as they are."""
        return [_out(output.value, output.script) for output in self._spent]

    @cached_property
    def _address_outs(self) -> list[TxOut]:
        """The spent outputs without name prefixes."""
        return [_out(output.value, address_script(output.script)) for output in self._spent]

    @cached_property
    def _precomputed(self) -> PrecomputedTxData:
        return PrecomputedTxData(self._tx, self._outs)

    def _verify(self, index: int, flags: ScriptFlag) -> None:
        script, value = self._spent[index].script, self._spent[index].value
        address = address_script(script)
        is_p2sh = script_type(address)[0] is ScriptType.P2SH
        outs = self._outs
        if address != script and (is_p2sh or is_witness_program(address)):
            stack: list[bytes] = []
            verify_script(self._tx.vin[index].script_sig, stack, value, self._tx, index, flags, False)
            redeem = stack[-1] if stack else None
            verify_script(script, stack, value, self._tx, index, flags, False, True)
            if is_p2sh:
                if redeem is None:
                    # Possible only with too few drops. Doichain Core asserts that it can't be, and stops.
                    raise ScriptFailed("a name output of P2SH without a redeem script")
                # What the scriptSig pushed last runs as redeem script; the run above compared its hash.
                address = p2sh(hash160(redeem))
            outs = [*outs]
            outs[index] = _out(value, address)
        verify_input(outs, self._tx, index, flags, self._precomputed)


def address_script(script: bytes) -> bytes:
    """Return what the node takes for an output's address script: `script` without a name prefix of any form."""
    name = read_as_node(script)
    return script if name is None else name.address_script


def is_witness_program(script: bytes) -> bool:
    """Whether `script` is a version and one push of 2 to 40 bytes (BIP 141; CScript::IsWitnessProgram)."""
    if not 4 <= len(script) <= 42 or script[1] + 2 != len(script):
        return False
    return script[0] == OP_0 or OP_1 <= script[0] <= OP_16


def _out(value: int, script: bytes) -> TxOut:
    return TxOut(value, ScriptPubKey(script, "mainnet", check_validity=False), check_validity=False)
