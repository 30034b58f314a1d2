"""Signing, combining, finishing and extracting partially signed transactions (BIP 174's roles).

Only what rule S2 can attribute is signed: P2PKH, P2WPKH and multisig, wrapped or not, whether or not the spent
output carries a name, and only with SIGHASH_ALL. Every signature is verified before it gets anywhere, and a finished
transaction has to pass the scripts that it spends, run as by a node that relays it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from btclib.hashes import hash160, sha256
from coincurve.ecdsa import der_to_cdata, signature_normalize

from doitrust.chain.engine import STANDARD_FLAGS, ScriptFailed, Spend
from doitrust.chain.keys import verify_signature
from doitrust.chain.names import strip_name
from doitrust.chain.psbt import Psbt, PsbtInput
from doitrust.chain.psbt_records import In, Records, stack_bytes, united
from doitrust.chain.scripts import (
    COMPRESSED_KEY_SIZE,
    MAX_MULTISIG_KEYS,
    MAX_P2SH_MULTISIG_KEYS,
    OP_0,
    Multisig,
    ScriptType,
    p2pkh,
    push,
    read_multisig,
    script_type,
)
from doitrust.chain.signers import Signatures, Signing
from doitrust.chain.tx import SIGHASH_ALL, Input, Transaction
from doitrust.errors import BadData

#: Signs a digest of 32 bytes; returns the signature in DER, with the lower S.
Signer = Callable[[bytes], bytes]

#: The code of what `finalise` and `extract` raise while signatures are missing.
INCOMPLETE = "psbt_incomplete"

#: The longest DER signature with a low S, and its sighash byte.
_MAX_SIGNATURE = 72
#: What goes when an input is finished (BIP 174, «Input Finalizer»).
_USED_UP = frozenset(
    {In.PARTIAL_SIGNATURE, In.SIGHASH_TYPE, In.REDEEM_SCRIPT, In.WITNESS_SCRIPT, In.DERIVATION}
)


class Lock(NamedTuple):
    """What it takes to spend an input's coin.

    `code` is the script that signatures cover, and `amount` the schwartz that they cover where BIP 143 rules (None:
    legacy). It is opened by the `multisig`, or by the key that hashes to `key_hash`. `redeem` is what P2SH wants
    pushed, empty if it isn't P2SH.
    """

    code: bytes
    amount: int | None
    key_hash: bytes
    multisig: Multisig | None
    redeem: bytes

    @property
    def needs(self) -> int:
        """How many signatures it takes."""
        return 1 if self.multisig is None else self.multisig.m

    def takes(self, key: bytes) -> bool:
        """Whether a signature by `key` can help."""
        if self.multisig is None:
            return len(key) == COMPRESSED_KEY_SIZE and hash160(key) == self.key_hash
        return key in self.multisig.keys

    def chosen(self, signatures: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """(key, signature) pairs in the order of the script's keys, no more than it takes."""
        keys = signatures if self.multisig is None else self.multisig.keys
        return [(key, signatures[key]) for key in keys if key in signatures][: self.needs]

    def opened(self, chosen: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, tuple[bytes, ...]]:
        """The scriptSig and the witness that hold these (key, signature) pairs."""
        signatures = [signature for _, signature in chosen]
        wrapper = push(self.redeem) if self.redeem else b""
        if self.amount is None:
            if self.multisig is None:
                return push(signatures[0]) + push(chosen[0][0]), ()
            return bytes([OP_0]) + b"".join(map(push, signatures)) + wrapper, ()
        if self.multisig is None:
            return wrapper, (signatures[0], chosen[0][0])
        return wrapper, (b"", *signatures, self.code)


class State(NamedTuple):
    """How far an input is: how many signatures it takes, whose good ones are there, whether it is finished."""

    needs: int
    signed: tuple[bytes, ...]
    final: bool


def lock_of(psbt: Psbt, index: int) -> Lock:
    """What it takes to spend an input's coin.

    Raises `BadData` where its scripts are missing, don't hash to what the coin asks for, or are none of rule S2's.
    """
    part, spent = psbt.inputs[index], psbt.spent(index)
    redeem, witness_script = part.one(In.REDEEM_SCRIPT), part.one(In.WITNESS_SCRIPT)
    kind, payload = script_type(strip_name(spent.script))
    pushed = b""
    if kind is ScriptType.P2SH:
        pushed = _behind(redeem, hash160, payload, f"input {index}: the redeem script")
        kind, payload = script_type(pushed)
    elif redeem is not None:
        raise BadData(f"input {index}: a redeem script for a coin that isn't P2SH")
    if kind is ScriptType.P2WSH:
        code = _behind(witness_script, sha256, payload, f"input {index}: the witness script")
        return Lock(code, spent.value, b"", _multisig(code, index, MAX_MULTISIG_KEYS), pushed)
    if witness_script is not None:
        raise BadData(f"input {index}: a witness script for a coin that isn't P2WSH")
    if kind is ScriptType.P2WPKH:
        return Lock(p2pkh(payload), spent.value, payload, None, pushed)
    if pushed:
        return Lock(pushed, None, b"", _multisig(pushed, index, MAX_P2SH_MULTISIG_KEYS), pushed)
    if kind is ScriptType.P2PKH:
        # The whole script, name prefix included (doichain.md «name_doi on the wire»).
        return Lock(spent.script, None, payload, None, b"")
    raise BadData(f"input {index}: a coin whose script is none that is signed for here")


def signature_hash(psbt: Psbt, index: int) -> bytes:
    """The 32 bytes that the signatures of an input sign, always with SIGHASH_ALL; raises `BadData` as `lock_of`."""
    return _digest(psbt, index, lock_of(psbt, index))


def state(psbt: Psbt, index: int) -> State:
    """How far an input is; raises `BadData` as `lock_of`, and for a signature that is not good."""
    if psbt.inputs[index].is_final:
        return State(0, (), final=True)
    lock = lock_of(psbt, index)
    return State(lock.needs, tuple(_good_signatures(psbt, index, lock)), final=False)


def sign(psbt: Psbt, index: int, key: bytes, signer: Signer) -> Psbt:
    """Let `signer`, which holds the private key of `key`, sign an input; it is asked only if its signature can help.

    Raises `BadData` where it can't, where the amount of *any* input is not proven, and for a signature that is not
    good.
    """
    _ = psbt.fee
    lock = lock_of(psbt, index)
    if psbt.inputs[index].is_final:
        raise BadData(f"input {index}: it is finished already")
    if not lock.takes(key):
        raise BadData(f"input {index}: the key {key.hex()} can't sign for it")
    if key in _good_signatures(psbt, index, lock):
        return psbt
    signature = signer(_digest(psbt, index, lock)) + bytes([SIGHASH_ALL])
    return add_signature(psbt, index, key, signature)


def add_signature(psbt: Psbt, index: int, key: bytes, signature: bytes) -> Psbt:
    """Take a signature (DER and its sighash byte) that was made elsewhere; raises `BadData` for one that isn't good."""
    lock = lock_of(psbt, index)
    _check_signature(lock, _digest(psbt, index, lock), key, signature, index)
    records = psbt.inputs[index].records
    added = {bytes([In.PARTIAL_SIGNATURE]) + key: signature}
    return psbt.with_input(index, united([records, added], f"input {index}"))


def combine(psbts: Sequence[Psbt]) -> Psbt:
    """Unite what several know of one transaction (BIP 174's combiner); the order makes no difference.

    Raises `BadData` if they are not of one transaction, contradict each other, or hold a signature that isn't good.
    """
    if not psbts:
        raise ValueError("nothing to combine")
    first = psbts[0]
    for psbt in psbts:
        if psbt.tx.raw != first.tx.raw:
            raise BadData("these PSBTs are not of one transaction")
        for index, part in enumerate(psbt.inputs):
            if part.partial_signatures:
                _good_signatures(psbt, index, lock_of(psbt, index))
    return Psbt.of(
        united([psbt.records for psbt in psbts], "the whole"),
        [united([p.inputs[i].records for p in psbts], f"input {i}") for i in range(len(first.inputs))],
        [united([p.outputs[i].records for p in psbts], f"output {i}") for i in range(len(first.outputs))],
    )


def finalise(psbt: Psbt) -> Psbt:
    """Give every input its scriptSig and witness; raises `BadData` where signatures are missing or not good."""
    for index, part in enumerate(psbt.inputs):
        kept = {key: value for key, value in part.records.items() if key[0] not in _USED_UP}
        if not part.is_final:
            kept |= _final_records(psbt, index)
        psbt = psbt.with_input(index, kept)
    return psbt


def extract(psbt: Psbt) -> Transaction:
    """The finished transaction; raises `BadData` unless a node would take every input's scripts.

    Each input has to be signed as rule S wants it: by its coin's owner, and with SIGHASH_ALL.
    """
    _ = psbt.fee
    tx = _built(psbt, [_final(part, index) for index, part in enumerate(psbt.inputs)])
    spend = Spend(tx, [psbt.spent(index) for index in range(len(tx.inputs))])
    for index in range(len(tx.inputs)):
        try:
            spend.verify(index, STANDARD_FLAGS)
        except ScriptFailed as error:
            raise BadData(f"input {index}: {error.message}", code=error.code) from None
    previous = {part.previous.txid: part.previous for part in psbt.inputs if part.previous is not None}
    for index, answer in enumerate(Signatures(tx, previous.get, segwit=True).answers()):
        if answer.state is not Signing.SIGNED or not answer.all_:
            raise BadData(f"input {index}: not signed by its owner with SIGHASH_ALL")
    return tx


def estimated_vsize(psbt: Psbt) -> int:
    """The most virtual bytes that the finished transaction can have; raises `BadData` as `lock_of`."""
    dummy = (bytes(COMPRESSED_KEY_SIZE), bytes(_MAX_SIGNATURE))
    opened = []
    for index, part in enumerate(psbt.inputs):
        if part.is_final:
            opened.append(_final(part, index))
        else:
            lock = lock_of(psbt, index)
            opened.append(lock.opened([dummy] * lock.needs))
    return _built(psbt, opened).vsize


def _behind(script: bytes | None, hashed: Callable[[bytes], bytes], wanted: bytes, what: str) -> bytes:
    if script is None:
        raise BadData(f"{what} is missing")
    if hashed(script) != wanted:
        raise BadData(f"{what} is not the one that the coin asks for")
    return script


def _multisig(code: bytes, index: int, most: int) -> Multisig:
    multisig = read_multisig(code)
    if multisig is None or len(multisig.keys) > most:
        raise BadData(f"input {index}: a script that is no multisig of up to {most} different keys")
    return multisig


def _digest(psbt: Psbt, index: int, lock: Lock) -> bytes:
    if psbt.inputs[index].sighash_type not in (None, SIGHASH_ALL):
        raise BadData(f"input {index}: it asks for another sighash type than ALL")
    return psbt.tx.signature_hash(index, lock.code, lock.amount, SIGHASH_ALL)


def _good_signatures(psbt: Psbt, index: int, lock: Lock) -> dict[bytes, bytes]:
    digest = _digest(psbt, index, lock)
    signatures = psbt.inputs[index].partial_signatures
    for key, signature in signatures.items():
        _check_signature(lock, digest, key, signature, index)
    return signatures


def _check_signature(lock: Lock, digest: bytes, key: bytes, signature: bytes, index: int) -> None:
    if not lock.takes(key):
        raise BadData(f"input {index}: a signature by {key.hex()}, which can't sign for it")
    if signature[-1:] != bytes([SIGHASH_ALL]):
        raise BadData(f"input {index}: a signature with another sighash type than ALL")
    der = signature[:-1]
    if not verify_signature(key, der, digest):
        raise BadData(f"input {index}: a signature that isn't {key.hex()}'s of this transaction")
    if signature_normalize(der_to_cdata(der))[0]:
        raise BadData(f"input {index}: a signature with a high S, which no node relays")


def _final_records(psbt: Psbt, index: int) -> Records:
    lock = lock_of(psbt, index)
    chosen = lock.chosen(_good_signatures(psbt, index, lock))
    if len(chosen) < lock.needs:
        raise BadData(
            f"input {index}: {len(chosen)} of the {lock.needs} signatures that it takes are there",
            code=INCOMPLETE,
        )
    script_sig, witness = lock.opened(chosen)
    records = {}
    if script_sig:
        records[bytes([In.FINAL_SCRIPT_SIG])] = script_sig
    if witness:
        records[bytes([In.FINAL_WITNESS])] = stack_bytes(witness)
    return records


def _final(part: PsbtInput, index: int) -> tuple[bytes, tuple[bytes, ...]]:
    if not part.is_final:
        raise BadData(f"input {index}: it is not finished", code=INCOMPLETE)
    return part.one(In.FINAL_SCRIPT_SIG) or b"", part.final_witness or ()


def _built(psbt: Psbt, opened: Sequence[tuple[bytes, tuple[bytes, ...]]]) -> Transaction:
    tx = psbt.tx
    if not tx.inputs:
        raise BadData("a transaction without inputs")
    inputs = [
        (Input(spent.txid, spent.vout, *parts), sequence)
        for spent, parts, sequence in zip(tx.inputs, opened, tx.sequences, strict=True)
    ]
    return Transaction.build(tx.version, tx.lock_time, inputs, tx.outputs)
