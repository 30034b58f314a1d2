"""What our own signers never do: the one place where it is enforced, for every signer (trust-model.md).

A `Mandate` says what was asked for. `permit` refuses to sign anything else: the chain gives names to whoever asks, so
a signature too many can give an organisation away, and some transactions stop the chain for everybody.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from doitrust.chain.accounts import Account
from doitrust.chain.address import hash160
from doitrust.chain.amounts import doi
from doitrust.chain.expiry import is_near_expiry
from doitrust.chain.names import (
    MAX_VALUE_SIZE,
    NAME_TX_VERSION,
    NameOutput,
    name_script,
    read_as_node,
    read_canonical,
    strip_name,
)
from doitrust.chain.networks import SCHWARTZ_PER_DOI, Network
from doitrust.chain.psbt import Psbt
from doitrust.chain.psbt_records import In
from doitrust.chain.psbt_sign import estimated_vsize
from doitrust.chain.scripts import ScriptType, script_type
from doitrust.chain.tx import Output
from doitrust.errors import Refused

#: What a name output holds (doichain.md «name_doi on the wire»; src/consensus/params.h, MinNameCoinAmount).
NAME_AMOUNT = 1_000_000
#: Schwartz a 1000 virtual bytes: the least that is relayed (src/validation.h, DEFAULT_MIN_RELAY_TX_FEE), and the most
#: that a node takes unasked (src/node/transaction.h, DEFAULT_MAX_RAW_TX_FEE_RATE).
MIN_FEE_RATE, MAX_FEE_RATE = 100_000, 10_000_000
#: And never more than this, whatever the size.
MAX_FEE = SCHWARTZ_PER_DOI // 10
#: The longest name (src/names/main.h, MAX_NAME_LENGTH).
MAX_NAME_SIZE = 255
#: Version of a transaction without a name output: BIP 68 and no more.
PAYMENT_VERSION = 2

#: The names that an account's keys write (trust-model.md: keys have accounts of their own), and who makes payments.
_JOBS = {
    Account.MEMBER: (b"bp/",),
    Account.OWNER: (b"bp_organization/", b"bp/"),
    Account.BOARD: (b"bp_organization/", b"bp/"),
    Account.CLIENT: (),
}
_PAYERS = frozenset({Account.CLIENT})

_FORBIDDEN = "forbidden_signature"
#: The code of a refusal because of what the account is for.
OTHER_JOB = "other_job"

Outpoint = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Mandate:
    """What the user asked to be signed.

    `account` holds the keys that may sign; `own` the address scripts that inputs may spend, one of which change
    returns to; `name` the write, `payments` what else is paid; `height` the block it can come into at the earliest;
    `written` the heights of name coins that may be spent.
    """

    network: Network
    account: Account
    own: frozenset[bytes]
    height: int
    name: NameOutput | None = None
    payments: tuple[Output, ...] = ()
    written: Mapping[Outpoint, int] = field(default_factory=dict)


def permit(psbt: Psbt, mandate: Mandate) -> None:
    """Return if `psbt` does what `mandate` says and nothing that our signers never do; raises `Refused` otherwise.

    Raises `BadData` where the PSBT doesn't prove what it spends.
    """
    _check_job(mandate)
    _check_outputs(psbt, mandate)
    name_inputs = 0
    for index, spent in enumerate(psbt.tx.inputs):
        coin = psbt.spent(index)
        if strip_name(coin.script) not in mandate.own:
            raise _never(f"input {index} spends a coin that is not yours to spend here")
        if mandate.name is not None and not _is_segwit(psbt, index, coin.script):
            raise _never(f"input {index} is not segwit: others could change the transaction's txid")
        if read_as_node(coin.script) is not None:
            name_inputs += 1
            _check_name_input((spent.txid, spent.vout), coin, mandate)
    if name_inputs > 1:
        raise _never("it spends two name coins")
    _check_fee(psbt)


def _check_job(mandate: Mandate) -> None:
    """A key has one job: what its account is for is the only thing it signs."""
    if mandate.name is None:
        has_it = mandate.account in _PAYERS
    else:
        has_it = mandate.name.name.startswith(_JOBS[mandate.account])
    if not has_it:
        raise _never(f"the {mandate.account.label} key has another job", OTHER_JOB)


def _check_outputs(psbt: Psbt, mandate: Mandate) -> None:
    writes = [output for output in psbt.tx.outputs if read_as_node(output.script) is not None]
    others = Counter(output for output in psbt.tx.outputs if read_as_node(output.script) is None)
    wanted = mandate.name
    if wanted is None and (writes or psbt.tx.version == NAME_TX_VERSION):
        raise _never("it writes a name, and you asked for a payment")
    if wanted is not None:
        if len(writes) != 1 or psbt.tx.version != NAME_TX_VERSION:
            raise _never("it does not write exactly one name")
        if writes[0].script != name_script(*wanted) or writes[0].value < NAME_AMOUNT:
            raise _never("its name output is not exactly the one that was asked for")
        if len(wanted.name) > MAX_NAME_SIZE or len(wanted.value) > MAX_VALUE_SIZE:
            raise _never(
                f"its name or value is too long: nobody could ever spend it ({MAX_VALUE_SIZE} bytes)"
            )
    others.subtract(Counter(mandate.payments))
    if any(count < 0 for count in others.values()):
        raise _never("a payment that was asked for is not in it")
    sources = {strip_name(psbt.spent(index).script) for index in range(len(psbt.tx.inputs))}
    for output in +others:
        if output.script not in sources & mandate.own:
            raise _never(
                "it pays somebody whom you did not ask to pay; change goes back to where it came from"
            )


def _check_name_input(outpoint: Outpoint, coin: Output, mandate: Mandate) -> None:
    held = read_canonical(coin.script)
    if mandate.name is None or held is None or held.name != mandate.name.name:
        raise _never("it spends a name's coin under another name or none, which can stop the chain")
    written = mandate.written.get(outpoint)
    if written is None or is_near_expiry(mandate.network, written, mandate.height):
        raise _never("it spends the coin of a name that is close to its expiry, which can stop the chain")


def _is_segwit(psbt: Psbt, index: int, script: bytes) -> bool:
    kind, payload = script_type(strip_name(script))
    if kind is ScriptType.P2SH:
        redeem = psbt.inputs[index].one(In.REDEEM_SCRIPT) or b""
        kind, _ = script_type(redeem if hash160(redeem) == payload else b"")
    return kind in (ScriptType.P2WPKH, ScriptType.P2WSH)


def most_fee(vsize: int) -> int:
    """The most that our signers pay for so many virtual bytes, in schwartz."""
    return min(MAX_FEE, MAX_FEE_RATE * vsize // 1000)


def _check_fee(psbt: Psbt) -> None:
    fee, size = psbt.fee, estimated_vsize(psbt)
    most = most_fee(size)
    if fee > most:
        raise _never(f"its fee of {doi(fee)} DOI is more than {doi(most)}")
    if fee * 1000 < MIN_FEE_RATE * size:
        raise _never("its fee is less than what nodes relay")


def _never(why: str, code: str = _FORBIDDEN) -> Refused:
    return Refused(f"this is not signed: {why}", code=code)
