"""Who signed a transaction: rules S1 to S5.

The answer comes from the outputs that are spent, never from the input alone: an output that anyone can spend
accepts any look-alike of a signature.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from btclib.hashes import hash160, sha256

from doitrust.chain.keys import verify_signature
from doitrust.chain.names import strip_name
from doitrust.chain.scripts import (
    COMPRESSED_KEY_SIZE,
    MAX_P2SH_MULTISIG_KEYS,
    ScriptType,
    p2pkh,
    push,
    read_multisig,
    script_sig_pushes,
    script_type,
)
from doitrust.chain.tx import SIGHASH_ALL, Output, Transaction


class Signing(Enum):
    """What is known of one input's signature."""

    SIGNED = "signed"  #: every signature verified
    NOBODY = "nobody"  #: not one of the scripts of S2, or the signature proves nothing
    MISSING = "missing"  #: the previous transaction is not had (S1)
    BAD = "bad"  #: these bytes can't be in the chain (S5)


class InputSigner(NamedTuple):
    """Rule S's answer for one input.

    `script` is the address script spent (where `SIGNED` or `BAD`), `key` the one that signed where one
    signature is needed, `all_` whether every signature carries exactly SIGHASH_ALL. `inner` is, where `BAD`, the
    innermost script that hashes prove was spent.
    """

    state: Signing
    script: bytes | None = None
    key: bytes | None = None
    all_: bool = False
    inner: bytes | None = None


NOBODY = InputSigner(Signing.NOBODY)
MISSING = InputSigner(Signing.MISSING)

#: Finds a previous transaction by txid, already hashed to it, or None.
Lookup = Callable[[str], Transaction | None]


class Signatures:
    """Who signed one transaction; each input is checked when it is first asked about, and once.

    `segwit`: whether witnesses are consensus at the height of `tx`. Before that nobody signs a segwit output.
    """

    __slots__ = ("_answers", "_lookup", "_segwit", "tx")

    def __init__(self, tx: Transaction, lookup: Lookup, *, segwit: bool) -> None:
        self.tx = tx
        self._lookup = lookup
        self._segwit = segwit
        self._answers: list[InputSigner | None] = [None] * len(tx.inputs)

    def answers(self) -> tuple[InputSigner, ...]:
        """Who signed each input."""
        return tuple(self._answer(index) for index in range(len(self.tx.inputs)))

    def scripts(self) -> set[bytes]:
        """The signer scripts: address scripts whose owners signed with SIGHASH_ALL."""
        return {
            a.script for a in self.answers() if a.state is Signing.SIGNED and a.all_ and a.script is not None
        }

    def by_script(self, script: bytes) -> Signing:
        """Whether `script` is among the signer scripts (rules C3 and O3): `SIGNED`, or why not.

        `MISSING` and `BAD` only where they leave it open. Inputs that spend other scripts are not checked.
        """
        result = Signing.NOBODY
        for index in range(len(self.tx.inputs)):
            output = self._spent(index)
            if output is None:
                result = Signing.MISSING if result is Signing.NOBODY else result
            # An output of that script ends with it, name prefix or not: the cheap look first.
            elif output.script.endswith(script) and strip_name(output.script) == script:
                answer = self._answer(index)
                if answer.state is Signing.SIGNED and answer.all_:
                    return Signing.SIGNED
                if answer.state is Signing.BAD:
                    result = Signing.BAD
        return result

    def _spent(self, index: int) -> Output | None:
        """The output that an input spends; None if it is not had (S1). One that can't exist is nobody's."""
        spent = self.tx.inputs[index]
        previous = self._lookup(spent.txid)
        if previous is None:
            return None
        return previous.outputs[spent.vout] if spent.vout < len(previous.outputs) else _NO_OUTPUT

    def _answer(self, index: int) -> InputSigner:
        answer = self._answers[index]
        if answer is None:
            output = self._spent(index)
            answer = MISSING if output is None else _input_signer(self.tx, index, output, self._segwit)
            self._answers[index] = answer
        return answer


_NO_OUTPUT = Output(0, b"")


def _input_signer(tx: Transaction, index: int, output: Output, segwit: bool) -> InputSigner:
    spent = tx.inputs[index]
    script = strip_name(output.script)
    kind, payload = script_type(script)
    check = _Check(tx, index, output, script, segwit)
    if kind is ScriptType.P2WPKH:
        return check.p2wpkh(payload) if not spent.script_sig else check.bad()
    if kind is ScriptType.P2WSH:
        return check.p2wsh(payload) if not spent.script_sig else check.bad()
    stack = script_sig_pushes(spent.script_sig)
    if not stack or kind is ScriptType.OTHER:
        return NOBODY
    if kind is ScriptType.P2PKH:
        return check.p2pkh(payload, stack)
    return check.p2sh(payload, stack)


class _Check:
    """The check of one input against the output it spends."""

    __slots__ = ("index", "output", "script", "segwit", "tx")

    def __init__(self, tx: Transaction, index: int, output: Output, script: bytes, segwit: bool) -> None:
        self.tx = tx
        self.index = index
        self.output = output
        self.script = script
        self.segwit = segwit

    def bad(self, inner: bytes | None = None) -> InputSigner:
        return InputSigner(Signing.BAD, self.script, inner=inner) if self.segwit else NOBODY

    def p2pkh(self, key_hash: bytes, stack: Sequence[bytes]) -> InputSigner:
        # S3: the two topmost pushes. The script code is the whole script, name prefix included (doichain.md;
        # src/script/interpreter.cpp evaluates the full scriptPubKey).
        if len(stack) < 2 or len(stack[-1]) != COMPRESSED_KEY_SIZE or hash160(stack[-1]) != key_hash:
            return NOBODY
        return self._single(stack[-1], stack[-2], self.output.script, None) or NOBODY

    def p2wpkh(self, key_hash: bytes) -> InputSigner:
        witness, code = self.tx.inputs[self.index].witness, p2pkh(key_hash)
        if len(witness) != 2 or hash160(witness[1]) != key_hash:
            return self.bad(code)
        if len(witness[1]) != COMPRESSED_KEY_SIZE or not self.segwit:
            return NOBODY  # S4: an uncompressed key is consensus, and nobody's
        return self._single(witness[1], witness[0], code, self.output.value) or self.bad(code)

    def p2wsh(self, script_hash: bytes) -> InputSigner:
        witness = self.tx.inputs[self.index].witness
        if not witness or sha256(witness[-1]) != script_hash:
            return self.bad()
        if not self.segwit:
            return NOBODY
        return self._multisig(witness, self.output.value, self.bad(witness[-1]))

    def p2sh(self, script_hash: bytes, stack: Sequence[bytes]) -> InputSigner:
        redeem = stack[-1]
        if hash160(redeem) != script_hash:
            return NOBODY
        kind, payload = script_type(redeem)
        if kind in (ScriptType.P2WPKH, ScriptType.P2WSH):
            # BIP 141: the scriptSig is exactly the push of the program.
            if self.tx.inputs[self.index].script_sig != push(redeem):
                return self.bad()
            return self.p2wpkh(payload) if kind is ScriptType.P2WPKH else self.p2wsh(payload)
        multisig = read_multisig(redeem)
        if multisig is None or len(multisig.keys) > MAX_P2SH_MULTISIG_KEYS:
            return NOBODY
        return self._multisig(stack, None, NOBODY)

    def _single(self, key: bytes, signature: bytes, code: bytes, amount: int | None) -> InputSigner | None:
        if not verify_signature(key, signature[:-1], self._digest(signature, code, amount)):
            return None
        return InputSigner(Signing.SIGNED, self.script, key, signature[-1] == SIGHASH_ALL)

    def _multisig(self, stack: Sequence[bytes], amount: int | None, failed: InputSigner) -> InputSigner:
        code = stack[-1]
        multisig = read_multisig(code)
        if multisig is None:
            return NOBODY
        # S3: the m elements below the script; what lies below is ignored.
        signatures = stack[-1 - multisig.m : -1]
        if len(signatures) != multisig.m:
            return failed
        # In the order of the keys and from the last one on, as OP_CHECKMULTISIG tries them.
        keys = iter(reversed(multisig.keys))
        key = b""
        for signature in reversed(signatures):
            digest = self._digest(signature, code, amount)
            for key in keys:
                if verify_signature(key, signature[:-1], digest):
                    break
            else:
                return failed
        everything = all(signature[-1] == SIGHASH_ALL for signature in signatures)
        return InputSigner(Signing.SIGNED, self.script, key if multisig.m == 1 else None, everything)

    def _digest(self, signature: bytes, code: bytes, amount: int | None) -> bytes:
        """What `signature` signs; its last byte is the sighash type (an empty one verifies never)."""
        return self.tx.signature_hash(self.index, code, amount, signature[-1]) if signature else bytes(32)


def may_be_of(answer: InputSigner, keys: Iterable[bytes]) -> bool:
    """Whether one of `keys` alone could have signed an input that is `BAD`: what it spends can rule that out."""
    if answer.inner is None:
        return True
    kind, payload = script_type(answer.inner)
    if kind is ScriptType.P2PKH:
        return any(hash160(key) == payload for key in keys)
    multisig = read_multisig(answer.inner)
    return multisig is not None and multisig.m == 1 and not set(multisig.keys).isdisjoint(keys)


def names_key(tx: Transaction, keys: frozenset[bytes]) -> bool:
    """Whether any input of `tx` names one of `keys` (rule L2's cheap test).

    Every script of S2 shows its keys in the clear. False means that none of `keys` signed *these* bytes; whoever
    delivered them may have cut a witness off, so it never decides what could count.
    """
    for spent in tx.inputs:
        for element in (*spent.witness, *(script_sig_pushes(spent.script_sig) or ())):
            if element in keys:
                return True
            multisig = read_multisig(element)
            if multisig is not None and not keys.isdisjoint(multisig.keys):
                return True
    return False
