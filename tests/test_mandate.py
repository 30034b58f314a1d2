"""What our own signers never do: each rule of `permit` broken alone, and nothing is signed; `compose` breaks none.

The chain accepts most of these transactions: only the guard stands between a hostile PSBT and the key.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest
from btclib.hashes import hash160
from devnet_world import World
from hypothesis import assume, given
from hypothesis import strategies as st
from story import entropy_of, quick_keys
from support import attempt

from doitrust.adapters.devnet import Devnet
from doitrust.adapters.keystore import Keystore, UnlockedKey
from doitrust.adapters.secret import Secret
from doitrust.adapters.signer import KeystoreSigner
from doitrust.chain.accounts import Account
from doitrust.chain.address import address_of
from doitrust.chain.amounts import MAX_MONEY
from doitrust.chain.bip32 import KeyOrigin
from doitrust.chain.descriptors import Descriptor, OwnScript
from doitrust.chain.draft import Coin, Fee, compose
from doitrust.chain.expiry import MARGIN, REGTEST_MARGIN
from doitrust.chain.mandate import (
    MAX_FEE,
    MAX_FEE_RATE,
    MIN_FEE_RATE,
    NAME_AMOUNT,
    OTHER_JOB,
    Mandate,
    permit,
)
from doitrust.chain.names import NAME_TX_VERSION, NameOutput, name_script
from doitrust.chain.networks import DEVNET, MAINNET
from doitrust.chain.psbt import Psbt
from doitrust.chain.psbt_records import In, counted
from doitrust.chain.psbt_sign import estimated_vsize, extract, finalise
from doitrust.chain.scripts import multisig_script, p2sh, p2wpkh, p2wsh, push
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.errors import BadData, Refused

PASSPHRASE = b"nobody-needs-this"
NAME, OTHER_NAME = b"bp/1EMH0012345678", b"bp/1EMH0012345679"
HEIGHT = 1_000
#: High enough that every name of the long-lived chains lives 36,000 blocks.
MAINNET_HEIGHT = 300_000
COIN = 10_000_000


class Locked(KeystoreSigner):
    """A signer of the keystore that counts how often its secret was asked for."""

    def __init__(self, directory: Path, who: str = "max") -> None:
        with quick_keys():
            store = Keystore(directory)
            file = store.add(who, Secret(entropy_of(who)), Secret(PASSPHRASE), (1,))
        self.asked = 0

        def unlock() -> UnlockedKey:
            self.asked += 1
            return store.unlock(who, Secret(PASSPHRASE), 1)

        super().__init__(file, 1, unlock)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Locked:
    return Locked(tmp_path_factory.mktemp("keys") / "keys")


_serial = count()


def funding(*outputs: Output) -> Transaction:
    """A transaction of its own that made these outputs."""
    spent = Input(sha256(str(next(_serial)).encode()).hexdigest(), 0, b"", ())
    return Transaction.build(2, 0, [(spent, 0)], outputs)


@dataclass(frozen=True)
class Case:
    """A PSBT to be, and what was asked for."""

    mandate: Mandate
    own: OwnScript
    coins: tuple[Transaction, ...]
    outputs: tuple[Output, ...]
    version: int = NAME_TX_VERSION

    def psbt(self) -> Psbt:
        inputs = [(Input(tx.txid, 0, b"", ()), 0xFFFFFFFD) for tx in self.coins]
        bare = Psbt.unsigned(Transaction.build(self.version, 0, inputs, self.outputs))
        return bare.updated({tx.txid: tx for tx in self.coins}.get, [self.own])

    def coin(self, *scripts: bytes, value: int = COIN) -> "Case":
        """With more coins to spend; what they hold goes to the change."""
        more = tuple(funding(Output(value, script)) for script in scripts)
        change = self.outputs[-1]._replace(value=self.outputs[-1].value + value * len(more))
        return replace(self, coins=(*self.coins, *more), outputs=(*self.outputs[:-1], change))

    def output(self, index: int, **changes: object) -> "Case":
        """With another output; the change keeps the fee."""
        index %= len(self.outputs)
        new = self.outputs[index]._replace(**changes)  # type: ignore[arg-type]
        outputs = [*self.outputs[:index], new, *self.outputs[index + 1 :]]
        if index != len(outputs) - 1:
            missing = self.outputs[index].value - new.value
            outputs[-1] = outputs[-1]._replace(value=outputs[-1].value + missing)
        return replace(self, outputs=tuple(outputs))

    def asked(self, **changes: object) -> "Case":
        """With something else asked for."""
        return replace(self, mandate=replace(self.mandate, **changes))  # type: ignore[arg-type]


def stranger() -> bytes:
    return p2wpkh(hash160(b"a stranger"))


def fund_address() -> bytes:
    return p2wsh(sha256(b"the pairing").digest())


def write(signer: KeystoreSigner, account: Account = Account.MEMBER, name: bytes = NAME) -> Case:
    """A certificate with a payment beside it, as it should be: own name coin, own coin, change back."""
    own = signer.own(account)
    wanted = NameOutput(name, b"{}", own.script)
    held = funding(Output(NAME_AMOUNT, name_script(name, b"before", own.script)))
    paid = Output(COIN // 10, fund_address())
    mandate = Mandate(
        DEVNET,
        account,
        frozenset({own.script}),
        HEIGHT,
        wanted,
        (paid,),
        {(held.txid, 0): HEIGHT - 1},
    )
    outputs = (Output(NAME_AMOUNT, name_script(*wanted)), paid, Output(8_900_000, own.script))
    return Case(mandate, own, (held, funding(Output(COIN, own.script))), outputs)


def payment(signer: KeystoreSigner) -> Case:
    """A payment by a client's key from a 1-of-2, change back to it."""
    client = signer.own(Account.CLIENT)
    key = next(iter(client.origins))
    code = multisig_script(1, sorted([key, b"\x02" + sha256(b"node").digest()]))
    own = OwnScript(p2wsh(sha256(code).digest()), None, code, client.origins)
    paid = Output(COIN // 2, stranger())
    mandate = Mandate(DEVNET, Account.CLIENT, frozenset({own.script}), HEIGHT, None, (paid,))
    change = Output(COIN // 2 - 50_000, own.script)
    return Case(mandate, own, (funding(Output(COIN, own.script)),), (paid, change), 2)


def refused(signer: Locked, case: Case, why: str, code: str = "forbidden_signature") -> None:
    """The guard refuses, alone and in front of the signer, and the key stays locked."""
    psbt, before = case.psbt(), signer.asked
    with pytest.raises(Refused, match=why) as caught:
        permit(psbt, case.mandate)
    assert caught.value.code == code
    with pytest.raises(Refused, match=why):
        signer.sign(psbt, case.mandate)
    assert signer.asked == before
    assert not any(part.partial_signatures for part in psbt.inputs)


def signed(signer: Locked, case: Case) -> Transaction:
    permit(case.psbt(), case.mandate)
    return extract(finalise(signer.sign(case.psbt(), case.mandate)))


# ---- what is asked for is signed


def test_a_write_as_it_was_asked_for_is_signed(signer: Locked) -> None:
    before = signer.asked
    tx = signed(signer, write(signer))
    assert [len(spent.witness) for spent in tx.inputs] == [2, 2]
    assert signer.asked == before + 1


def test_a_payment_as_it_was_asked_for_is_signed(signer: Locked) -> None:
    assert len(signed(signer, payment(signer)).inputs) == 1


def test_a_write_without_a_name_coin_is_signed(signer: Locked) -> None:
    case = write(signer)
    less = case.outputs[-1].value - NAME_AMOUNT
    signed(signer, replace(case.output(2, value=less), coins=case.coins[1:]).asked(written={}))


# ---- what is not


HELD, OWN_COIN = 0, 1  # the inputs of `write`
WRITE, PAYMENT, CHANGE = 0, 1, 2  # its outputs


def name_output(case: Case, **changes: bytes) -> Case:
    wanted = case.mandate.name
    assert wanted is not None
    return case.output(WRITE, script=name_script(*wanted._replace(**changes)))


def twice(case: Case) -> Case:
    """The name output twice, and its value taken from the change."""
    more = case.output(CHANGE, value=case.outputs[CHANGE].value - NAME_AMOUNT)
    return replace(more, outputs=(more.outputs[WRITE], *more.outputs))


def other_name_too(case: Case) -> Case:
    more = case.output(CHANGE, value=case.outputs[CHANGE].value - NAME_AMOUNT)
    script = name_script(OTHER_NAME, b"{}", case.own.script)
    return replace(more, outputs=(*more.outputs[:1], Output(NAME_AMOUNT, script), *more.outputs[1:]))


def loosely_written(case: Case) -> Case:
    """The same name and value as the node reads it, in another form."""
    wanted = case.mandate.name
    assert wanted is not None
    pushes = b"\x5a" + push(wanted.name) + push(wanted.value)
    return case.output(WRITE, script=pushes + b"\x75\x75\x75" + wanted.owner_script)


def fee_of(case: Case, fee: int) -> Case:
    """With exactly this fee."""
    return case.output(-1, value=case.outputs[-1].value + case.psbt().fee - fee)


def size_of(case: Case) -> int:
    return estimated_vsize(case.psbt())


def held_under(case: Case, script: bytes) -> Case:
    """The name coin replaced by another."""
    held = funding(Output(NAME_AMOUNT, script))
    return replace(case, coins=(held, *case.coins[1:])).asked(written={(held.txid, 0): HEIGHT - 1})


def written_at(case: Case, height: int, now: int = HEIGHT) -> Case:
    return case.asked(written={(case.coins[HELD].txid, 0): height}, height=now)


def name_of_length(case: Case, size: int) -> Case:
    wanted = case.mandate.name
    assert wanted is not None
    longer = wanted._replace(name=b"bp/" + b"A" * (size - 3))
    free = replace(case, coins=case.coins[1:]).output(CHANGE, value=case.outputs[CHANGE].value - NAME_AMOUNT)
    return free.asked(name=longer, written={}).output(WRITE, script=name_script(*longer))


def value_of_length(case: Case, size: int) -> Case:
    wanted = case.mandate.name
    assert wanted is not None
    longer = wanted._replace(value=b"a" * size)
    return case.asked(name=longer).output(WRITE, script=name_script(*longer))


HOSTILE: dict[str, tuple[Callable[[Case], Case], str]] = {
    "a stranger's coin": (lambda c: c.coin(stranger()), "not yours"),
    "a stranger's name coin": (lambda c: c.coin(name_script(NAME, b"x", stranger())), "not yours"),
    "another value": (lambda c: name_output(c, value=b"{} "), "not exactly the one"),
    "another owner": (lambda c: name_output(c, owner_script=stranger()), "not exactly the one"),
    "another name": (lambda c: name_output(c, name=OTHER_NAME), "not exactly the one"),
    "less than the convention": (lambda c: c.output(WRITE, value=NAME_AMOUNT - 1), "not exactly the one"),
    "the name output twice": (twice, "exactly one name"),
    "another name beside it": (other_name_too, "exactly one name"),
    "no name output": (lambda c: replace(c, outputs=c.outputs[1:]), "exactly one name"),
    "version 2": (lambda c: replace(c, version=2), "exactly one name"),
    "version 0x7101": (lambda c: replace(c, version=NAME_TX_VERSION + 1), "exactly one name"),
    "another form": (loosely_written, "not exactly the one"),
    "a name coin of another name": (
        lambda c: held_under(c, name_script(OTHER_NAME, b"{}", c.own.script)),
        "under another name",
    ),
    "a name coin in another form": (
        lambda c: held_under(c, b"\x5a" + push(NAME) + push(b"x") + b"\x75\x75\x75" + c.own.script),
        "not yours",
    ),
    "a name coin nobody knows the age of": (lambda c: c.asked(written={}), "close to its expiry"),
    "a name coin near its expiry": (
        lambda c: written_at(c, HEIGHT - 30 + REGTEST_MARGIN),
        "close to its expiry",
    ),
    "an expired name coin": (lambda c: written_at(c, HEIGHT - 31), "close to its expiry"),
    "two name coins": (
        lambda c: replace(
            d := c.coin(name_script(NAME, b"y", c.own.script), value=NAME_AMOUNT),
            mandate=replace(d.mandate, written={(tx.txid, 0): HEIGHT - 1 for tx in d.coins}),
        ),
        "two name coins",
    ),
    "change to a stranger": (lambda c: c.output(CHANGE, script=stranger()), "did not ask to pay"),
    "a payment to a stranger beside": (
        lambda c: replace(
            d := c.output(CHANGE, value=c.outputs[CHANGE].value - 1_000),
            outputs=(*d.outputs, Output(1_000, stranger())),
        ),
        "did not ask to pay",
    ),
    "the payment to somebody else": (lambda c: c.output(PAYMENT, script=stranger()), "is not in it"),
    "less of the payment": (lambda c: c.output(PAYMENT, value=c.outputs[PAYMENT].value - 1), "is not in it"),
    "no payment": (
        lambda c: replace(c, outputs=(c.outputs[0], c.outputs[2]._replace(value=c.outputs[2].value + 10**6))),
        "is not in it",
    ),
    "one payment where two were asked for": (lambda c: c.asked(payments=c.mandate.payments * 2), "is not in"),
    "change to another account of ours": (
        lambda c: c.asked(own=c.mandate.own | {stranger()}).output(CHANGE, script=stranger()),
        "did not ask to pay",
    ),
    "a fee over 0.1 DOI": (lambda c: fee_of(c.coin(*[c.own.script] * 12), MAX_FEE + 1), "more than 0.1000"),
    "a fee over 0.1 DOI a kvB": (
        lambda c: fee_of(c, MAX_FEE_RATE * size_of(c) // 1000 + 1),
        "is more than",
    ),
    "a fee under the relay minimum": (
        lambda c: fee_of(c, MIN_FEE_RATE * size_of(c) // 1000 - 1),
        "less than what nodes relay",
    ),
    "no fee": (lambda c: fee_of(c, 0), "less than what nodes relay"),
    "a value of 521 bytes": (lambda c: value_of_length(c, 521), "too long"),
    "a name of 256 bytes": (lambda c: name_of_length(c, 256), "too long"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_write_with(signer: Locked, how: str) -> None:
    change, why = HOSTILE[how]
    refused(signer, change(write(signer)), why)


ALLOWED: dict[str, Callable[[Case], Case]] = {
    "a value of 520 bytes": lambda c: value_of_length(c, 520),
    "a name of 255 bytes": lambda c: name_of_length(c, 255),
    "the highest fee": lambda c: fee_of(c, MAX_FEE_RATE * size_of(c) // 1000),
    "the lowest fee": lambda c: fee_of(c, -(-MIN_FEE_RATE * size_of(c) // 1000)),
    "a name coin as old as may be": lambda c: written_at(c, HEIGHT - 30 + REGTEST_MARGIN + 1),
    "more in the name output": lambda c: c.output(WRITE, value=2 * NAME_AMOUNT),
    "no change": lambda c: replace(
        c.asked(payments=(c.outputs[PAYMENT]._replace(value=9_900_000),)),
        outputs=(c.outputs[0], c.outputs[1]._replace(value=9_900_000)),
    ),
    "change in two parts": lambda c: replace(
        d := c.output(CHANGE, value=4_000_000), outputs=(*d.outputs, Output(4_900_000, c.own.script))
    ),
}


@pytest.mark.parametrize("how", ALLOWED)
def test_a_write_is_signed_with(signer: Locked, how: str) -> None:
    signed(signer, ALLOWED[how](write(signer)))


@pytest.mark.parametrize(
    ("written", "near"),
    [
        (MAINNET_HEIGHT - 36_000 + MARGIN + 1, False),
        (MAINNET_HEIGHT - 36_000 + MARGIN, True),
        (MAINNET_HEIGHT - 36_000, True),
        (MAINNET_HEIGHT - 36_001, True),
    ],
)
def test_on_mainnet_a_name_coin_is_left_alone_144_blocks_before_its_expiry(
    signer: Locked, written: int, near: bool
) -> None:
    case = written_at(write(signer), written, MAINNET_HEIGHT).asked(network=MAINNET)
    if near:
        refused(signer, case, "close to its expiry")
    else:
        signed(signer, case)


PAYMENTS: dict[str, tuple[Callable[[Case], Case], str]] = {
    "version 0x7100": (lambda c: replace(c, version=NAME_TX_VERSION), "writes a name"),
    "a name output": (
        lambda c: replace(
            c, outputs=(Output(COIN // 2, name_script(NAME, b"{}", stranger())), *c.outputs[1:])
        ),
        "writes a name",
    ),
    "a name output in another form": (
        lambda c: replace(
            c,
            outputs=(
                Output(COIN // 2, b"\x5a" + push(NAME) + push(b"") + b"\x6d\x61\x75" + c.own.script),
                *c.outputs[1:],
            ),
        ),
        "writes a name",
    ),
    "a name coin": (lambda c: c.coin(name_script(NAME, b"{}", c.own.script)), "under another name or none"),
    "a stranger's coin": (lambda c: c.coin(stranger()), "not yours"),
    "another amount": (lambda c: c.output(0, value=COIN // 2 + 1), "is not in it"),
    "another receiver": (lambda c: c.output(0, script=p2wpkh(bytes(20))), "is not in it"),
    "change to a stranger": (lambda c: c.output(1, script=p2wpkh(bytes(20))), "did not ask to pay"),
    "change to the receiver": (lambda c: c.output(1, script=stranger()), "did not ask to pay"),
}


@pytest.mark.parametrize("how", PAYMENTS)
def test_a_payment_with(signer: Locked, how: str) -> None:
    change, why = PAYMENTS[how]
    refused(signer, change(payment(signer)), why)


# ---- a key has one job


@pytest.mark.parametrize(
    ("account", "name"),
    [
        (Account.MEMBER, b"bp_organization/Org"),
        (Account.MEMBER, b"bp"),
        (Account.MEMBER, b"d/example"),
        (Account.MEMBER, b""),
        (Account.OWNER, b"d/example"),
        (Account.BOARD, b"e/example"),
        (Account.CLIENT, NAME),
        (Account.CLIENT, b"bp_organization/Org"),
        (Account.CLIENT, b""),
    ],
)
def test_an_account_signs_no_name_that_it_is_not_for(signer: Locked, account: Account, name: bytes) -> None:
    refused(signer, write(signer, account, name), f"{account.label} key has another job", OTHER_JOB)


@pytest.mark.parametrize("account", [Account.MEMBER, Account.OWNER, Account.BOARD])
def test_only_the_clients_account_pays(signer: Locked, account: Account) -> None:
    own = signer.own(account)
    case = payment(signer)
    change = case.outputs[1]._replace(script=own.script)
    case = replace(
        case, own=own, coins=(funding(Output(COIN, own.script)),), outputs=(case.outputs[0], change)
    )
    refused(signer, case.asked(account=account, own=frozenset({own.script})), "another job", OTHER_JOB)


@pytest.mark.parametrize(
    ("account", "name"),
    [
        (Account.OWNER, b"bp_organization/Org"),
        (Account.OWNER, NAME),
        (Account.BOARD, b"bp_organization/Org"),
        (Account.BOARD, NAME),
    ],
)
def test_owners_write_organisations_and_revoke_meters(signer: Locked, account: Account, name: bytes) -> None:
    signed(signer, write(signer, account, name))


def test_another_accounts_coin_is_not_signed_for(signer: Locked) -> None:
    """The PSBT may even say where the key is: the mandate's account decides."""
    case = write(signer).asked(account=Account.OWNER)
    before = signer.asked
    with pytest.raises(Refused, match="no key that could sign") as caught:
        signer.sign(case.psbt(), case.mandate)
    assert (caught.value.code, signer.asked) == ("not_ours", before)


# ---- only segwit


def with_script(case: Case, own: OwnScript) -> Case:
    """The same write, of somebody whose coins have another script."""
    wanted = case.mandate.name
    assert wanted is not None
    wanted = wanted._replace(owner_script=own.script)
    changed = case.asked(own=frozenset({own.script}), name=wanted, written={})
    outputs = (
        Output(NAME_AMOUNT, name_script(*wanted)),
        case.outputs[1],
        Output(7_900_000, own.script),
    )
    return replace(changed, own=own, coins=(funding(Output(COIN, own.script)),), outputs=outputs)


def key_of(signer: KeystoreSigner) -> bytes:
    return next(iter(signer.own(Account.MEMBER).origins))


@pytest.mark.parametrize("form", ["pkh({})", "sh(sortedmulti(1,{},{other}))"])
def test_a_write_with_a_legacy_input(signer: Locked, form: str) -> None:
    """Whoever relays it could change its txid, which a root or an `after` names."""
    other = next(iter(signer.own(Account.CLIENT).origins))
    own = Descriptor.parse(form.format(key_of(signer).hex(), other=other.hex()), DEVNET).at()
    refused(signer, with_script(write(signer), own), "not segwit")


def test_a_legacy_input_that_says_it_is_segwit(signer: Locked) -> None:
    """A redeem script that doesn't hash to what the coin asks for proves nothing."""
    key = key_of(signer)
    code = multisig_script(1, [key])
    own = OwnScript(p2sh(hash160(code)), p2wpkh(hash160(key)), None, {key: KeyOrigin(bytes(4))})
    refused(signer, with_script(write(signer), own), "not segwit")


@pytest.mark.parametrize("form", ["sh(wpkh({}))", "wsh(sortedmulti(1,{}))", "sh(wsh(sortedmulti(1,{})))"])
def test_a_wrapped_segwit_input_is_signed(signer: Locked, form: str) -> None:
    own = Descriptor.parse(form.format(key_of(signer).hex()), DEVNET).at()
    signed(signer, with_script(write(signer), own))


def test_a_legacy_payment_is_signed(signer: Locked) -> None:
    key = next(iter(signer.own(Account.CLIENT).origins))
    own = Descriptor.parse(f"sh(sortedmulti(1,{key.hex()}))", DEVNET).at()
    case = payment(signer).asked(own=frozenset({own.script}))
    outputs = (case.outputs[0], Output(COIN // 2 - 100_000, own.script))
    signed(signer, replace(case, own=own, coins=(funding(Output(COIN, own.script)),), outputs=outputs))


# ---- what it spends has to be proven


def test_without_the_previous_transaction(signer: Locked) -> None:
    case = write(signer)
    whole = case.psbt()
    lacking = {k: v for k, v in whole.inputs[OWN_COIN].records.items() if k[0] != In.PREVIOUS_TX}
    psbt, before = whole.with_input(OWN_COIN, lacking), signer.asked
    assert psbt.inputs[OWN_COIN].witness_utxo is not None
    for call in (permit, signer.sign):
        with pytest.raises(BadData, match="lacks the transaction"):
            call(psbt, case.mandate)
    assert signer.asked == before


def test_a_lie_about_the_amount(signer: Locked) -> None:
    """A segwit signature covers the amount of its own input only: the rest would be the miner's."""
    whole = write(signer).psbt()
    records = dict(whole.inputs[OWN_COIN].records)
    lie = (COIN - 1).to_bytes(8, "little") + counted(signer.own(Account.MEMBER).script)
    with pytest.raises(BadData, match="witness UTXO is not"):
        whole.with_input(OWN_COIN, {**records, bytes([In.WITNESS_UTXO]): lie})


def test_another_previous_transaction_under_the_txid(signer: Locked) -> None:
    case = write(signer)
    whole = case.psbt()
    richer = funding(Output(10 * COIN, case.own.script))
    records = {**whole.inputs[OWN_COIN].records, bytes([In.PREVIOUS_TX]): richer.raw}
    with pytest.raises(BadData, match="not the one that the input spends"):
        whole.with_input(OWN_COIN, records)


@pytest.mark.parametrize("value", [-1, MAX_MONEY + 1])
def test_an_impossible_amount(signer: Locked, value: int) -> None:
    case = write(signer)
    case = replace(case, coins=(*case.coins, funding(Output(value, case.own.script))))
    before = signer.asked
    with pytest.raises(BadData, match="impossible amount"):
        signer.sign(case.psbt(), case.mandate)
    assert signer.asked == before


def test_another_sighash_than_all_is_not_signed(signer: Locked) -> None:
    case = write(signer)
    psbt = case.psbt()
    records = {**psbt.inputs[0].records, bytes([In.SIGHASH_TYPE]): (0x81).to_bytes(4, "little")}
    with pytest.raises(BadData, match="another sighash type"):
        signer.sign(psbt.with_input(0, records), case.mandate)


# ---- what is composed passes, and the chain takes it


@pytest.fixture(scope="module")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    found = World(tmp_path_factory.mktemp("devnet"), 101).devnet
    yield found
    found.close()


def paid_to(devnet: Devnet, script: bytes, amounts: Sequence[int]) -> list[Coin]:
    """Coins on `script`, in the chain."""
    made = []
    for amount in amounts:
        txid = devnet.fund(address_of(script, DEVNET) or "", amount).txid
        located = devnet.transaction(txid)
        assert located is not None
        vout = next(i for i, out in enumerate(located.tx.outputs) if out == Output(amount, script))
        made.append(Coin(located.tx, vout))
    return made


@given(
    amounts=st.lists(st.integers(546, 3_000_000), max_size=3),
    last=st.integers(8_000_000, 20_000_000),
    pays=st.lists(st.integers(546, 1_000_000), max_size=3),
    size=st.integers(0, 520),
    rate=st.integers(MIN_FEE_RATE, MAX_FEE_RATE // 5),
    form=st.sampled_from(
        ["wpkh({})", "sh(wpkh({}))", "wsh(sortedmulti(1,{}))", "sh(wsh(sortedmulti(1,{})))"]
    ),
    again=st.booleans(),
)
def test_what_is_composed_is_permitted_signed_and_mined(  # noqa: PLR0917  # drawn by name
    signer: Locked,
    devnet: Devnet,
    amounts: list[int],
    last: int,
    pays: list[int],
    size: int,
    rate: int,
    form: str,
    again: bool,
) -> None:
    own = Descriptor.parse(form.format(key_of(signer).hex()), DEVNET).at()
    coins = paid_to(devnet, own.script, [*amounts, last])
    name = b"bp/" + sha256(str(next(_serial)).encode()).hexdigest()[:20].upper().encode()
    payments = tuple(Output(value, fund_address()) for value in pays)
    for number in range(2 if again else 1):
        writes = devnet.history(name, 10) or []
        located = devnet.transaction(writes[-1]) if writes else None
        held = None
        written = {}
        if located is not None and located.place is not None:
            held = Coin(located.tx, next(write.vout for write in located.tx.writes))
            written = {(located.tx.txid, held.vout): located.place.height}
            coins = [
                Coin(located.tx, i)
                for i, out in enumerate(located.tx.outputs)
                if out.script == own.script and number
            ]
        mandate = Mandate(
            DEVNET,
            Account.MEMBER,
            frozenset({own.script}),
            devnet.tip().height + 1,
            NameOutput(name, bytes([97 + number]) * size, own.script),
            payments,
            written,
        )
        made = attempt(lambda: compose(mandate, own, coins, held, Fee(rate)), kind=Refused)  # noqa: B023  # called at once
        assume(made is not None)
        assert made is not None
        draft = made
        permit(draft.psbt, mandate)
        tx = extract(finalise(signer.sign(draft.psbt, mandate)))
        devnet.broadcast(tx.raw)
        found = devnet.transaction(tx.txid)
        assert found is not None
        assert found.place is not None
        assert draft.fee >= MIN_FEE_RATE * (len(tx.raw) - sum(map(len, _witnesses(tx)))) // 1000


def _witnesses(tx: Transaction) -> list[bytes]:
    return [element for spent in tx.inputs for element in spent.witness]
