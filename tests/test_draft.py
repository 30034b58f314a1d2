"""Drafts: which coins, how much change, how high a fee; and that drafts of one thing exclude each other."""

from hashlib import sha256
from itertools import count, pairwise

import pytest
from devnet_world import Key
from hypothesis import assume, given
from hypothesis import strategies as st

from doitrust.adapters.devnet.policy import dust_limit
from doitrust.chain.accounts import Account
from doitrust.chain.descriptors import Descriptor, OwnScript
from doitrust.chain.draft import DUST, MAX_INPUTS, NOT_ENOUGH, SEQUENCE, Coin, Draft, Fee, compose
from doitrust.chain.mandate import MAX_FEE_RATE, MIN_FEE_RATE, NAME_AMOUNT, PAYMENT_VERSION, Mandate, permit
from doitrust.chain.names import NAME_TX_VERSION, NameOutput, name_script, read_canonical
from doitrust.chain.networks import DEVNET
from doitrust.chain.psbt_sign import estimated_vsize
from doitrust.chain.scripts import p2wpkh
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.errors import Refused
from doitrust.trust.evidence import MAX_WRITE_INPUTS

KEYS = [Key.named(f"draft {n}") for n in range(3)]
MEMBER = Descriptor.parse(f"wpkh({KEYS[0].public.hex()})", DEVNET).at()
BOARD = Descriptor.parse(f"wsh(sortedmulti(2,{','.join(key.public.hex() for key in KEYS)}))", DEVNET).at()
NAME = b"bp/1EMH0012345678"
STRANGER = p2wpkh(bytes(20))
HEIGHT = 1000

_serial = count()


def coins(*values: int, own: OwnScript = MEMBER) -> list[Coin]:
    """Coins, oldest first."""
    found = []
    for value in values:
        spent = Input(sha256(str(next(_serial)).encode()).hexdigest(), 0, b"", ())
        outputs = [Output(1, STRANGER), Output(value, own.script)]
        found.append(Coin(Transaction.build(2, 0, [(spent, 0)], outputs), 1))
    return found


def name_coin(own: OwnScript = MEMBER, value: int = NAME_AMOUNT) -> Coin:
    spent = Input(sha256(str(next(_serial)).encode()).hexdigest(), 0, b"", ())
    output = Output(value, name_script(NAME, b"before", own.script))
    return Coin(Transaction.build(NAME_TX_VERSION, 0, [(spent, 0)], [output]), 0)


def write(*pays: int, own: OwnScript = MEMBER, held: Coin | None = None, value: bytes = b"{}") -> Mandate:
    written = {} if held is None else {(held.previous.txid, held.vout): HEIGHT - 1}
    wanted = NameOutput(NAME, value, own.script)
    payments = tuple(Output(pay, STRANGER) for pay in pays)
    account = Account.MEMBER if own is MEMBER else Account.BOARD
    return Mandate(DEVNET, account, frozenset({own.script}), HEIGHT, wanted, payments, written)


def payment(*pays: int) -> Mandate:
    payments = tuple(Output(pay, STRANGER) for pay in pays)
    return Mandate(DEVNET, Account.CLIENT, frozenset({MEMBER.script}), HEIGHT, None, payments)


def spent(draft: Draft) -> list[tuple[str, int]]:
    return [(i.txid, i.vout) for i in draft.psbt.tx.inputs]


def points(found: list[Coin]) -> list[tuple[str, int]]:
    return [(coin.previous.txid, coin.vout) for coin in found]


def change_of(draft: Draft, own: OwnScript = MEMBER) -> int:
    return sum(output.value for output in draft.psbt.tx.outputs if output.script == own.script)


def refused(
    mandate: Mandate, found: list[Coin], held: Coin | None = None, own: OwnScript = MEMBER
) -> Refused:
    with pytest.raises(Refused) as caught:
        compose(mandate, own, found, held)
    return caught.value


def tried(
    mandate: Mandate, own: OwnScript, found: list[Coin], held: Coin | None, rate: int = MIN_FEE_RATE
) -> Draft | None:
    """The draft, or None where there is not enough, or the fee would be too high."""
    why = ""
    try:
        return compose(mandate, own, found, held, Fee(rate))
    except Refused as error:
        why = error.code if "fee" not in error.message else NOT_ENOUGH
    assert why == NOT_ENOUGH
    return None


# ---- the form


def test_a_write_has_its_name_first_then_payments_then_change() -> None:
    draft = compose(write(5000, 6000), MEMBER, coins(10_000_000), None)
    name, one, two, change = draft.psbt.tx.outputs
    assert read_canonical(name.script) == NameOutput(NAME, b"{}", MEMBER.script)
    assert (name.value, one.value, two.value) == (NAME_AMOUNT, 5000, 6000)
    assert change == Output(10_000_000 - NAME_AMOUNT - 11_000 - draft.fee, MEMBER.script)
    assert draft.psbt.tx.version == NAME_TX_VERSION == 0x7100
    assert draft.psbt.tx.raw[-4:] == bytes(4)  # no lock time


def test_a_payment_has_version_2() -> None:
    draft = compose(payment(5000), MEMBER, coins(10_000_000), None)
    assert draft.psbt.tx.version == PAYMENT_VERSION == 2
    assert [output.value for output in draft.psbt.tx.outputs] == [5000, 9_995_000 - draft.fee]


def test_it_may_be_replaced_and_holds_what_signers_need() -> None:
    held = name_coin()
    draft = compose(write(held=held), MEMBER, coins(10_000_000), held)
    raw = draft.psbt.tx.raw
    assert raw.count(SEQUENCE.to_bytes(4, "little")) == len(draft.psbt.tx.inputs) == 2
    for part in draft.psbt.inputs:
        assert part.previous is not None
        assert part.witness_utxo is not None
        assert part.origins == MEMBER.origins


def test_a_name_coin_carries_what_it_holds() -> None:
    held = name_coin(value=5 * NAME_AMOUNT)
    draft = compose(write(held=held), MEMBER, coins(1_000_000), held)
    assert draft.psbt.tx.outputs[0].value == 5 * NAME_AMOUNT
    poor = name_coin(value=NAME_AMOUNT // 2)
    draft = compose(write(held=poor), MEMBER, coins(1_000_000), poor)
    assert draft.psbt.tx.outputs[0].value == NAME_AMOUNT


# ---- which coins


def test_the_oldest_coins_are_spent_and_no_more_than_needed() -> None:
    found = coins(3_000_000, 4_000_000, 9_000_000)
    assert spent(compose(write(), MEMBER, found, None)) == points(found[:1])
    assert spent(compose(write(4_000_000), MEMBER, found, None)) == points(found[:2])
    assert spent(compose(write(9_000_000), MEMBER, found, None)) == points(found)


def test_where_the_oldest_sixteen_do_not_suffice_the_largest_help() -> None:
    found = coins(*[100_000] * 20, 50_000_000, *[100_000] * 20, 30_000_000)
    draft = compose(write(70_000_000), MEMBER, found, None)
    assert spent(draft)[0] == points(found)[0]
    assert set(points([found[20], found[-1]])) <= set(spent(draft))
    assert len(spent(draft)) <= MAX_INPUTS


@pytest.mark.parametrize("held", [None, name_coin()])
def test_no_more_than_sixteen_inputs(held: Coin | None) -> None:
    """L1: a write with more would be as if absent."""
    assert MAX_INPUTS == MAX_WRITE_INPUTS == 16
    found = coins(*[1_000_000] * 40)
    free = 16 - (held is not None)
    most = free * 1_000_000 - (NAME_AMOUNT if held is None else 0)
    draft = compose(write(most - 250_000, held=held), MEMBER, found, held)
    assert len(spent(draft)) == 16
    error = refused(write(most, held=held), found, held)
    assert error.code == NOT_ENOUGH
    assert f"{free / 100:.8f} can be spent" in error.message


def test_a_name_coin_alone_pays_no_fee() -> None:
    """What it holds stays in the name output, so every write has a coin of its owner's beside it."""
    held = name_coin(value=10 * NAME_AMOUNT)
    assert refused(write(held=held), [], held).code == NOT_ENOUGH
    assert len(spent(compose(write(held=held), MEMBER, coins(100_000), held))) == 2


def test_without_coins_there_is_not_enough() -> None:
    error = refused(write(), [])
    assert error.code == NOT_ENOUGH
    assert "0.00000000 can be spent, 0.01000000 and a fee are needed" in error.message


def test_payments_too_small_to_be_relayed_are_refused() -> None:
    assert refused(write(DUST - 1), coins(10_000_000)).code == "dust"
    compose(write(DUST), MEMBER, coins(10_000_000), None)


# ---- the fee and the change


@given(
    st.lists(st.integers(1, 3_000_000), min_size=1, max_size=20),
    st.lists(st.integers(DUST, 2_000_000), max_size=3),
    st.integers(MIN_FEE_RATE, MAX_FEE_RATE // 2),
    st.sampled_from([MEMBER, BOARD]),
    st.booleans(),
)
def test_nothing_is_lost_and_the_fee_is_in_its_bounds(
    values: list[int], pays: list[int], rate: int, own: OwnScript, named: bool
) -> None:
    held = name_coin(own) if named else None
    mandate = write(*pays, own=own, held=held)
    found = coins(*values, own=own)
    draft = tried(mandate, own, found, held, rate)
    if draft is None:
        return
    permit(draft.psbt, mandate)
    paid = sum(output.value for output in draft.psbt.tx.outputs)
    taken = sum(draft.psbt.spent(index).value for index in range(len(draft.psbt.inputs)))
    assert taken - paid == draft.fee
    size = estimated_vsize(draft.psbt)
    least = -(-size * rate // 1000)
    spare = draft.fee - least
    assert 0 <= spare < DUST + -(-43 * rate // 1000)  # no more than change that would be dust, and its size
    assert (spare == 0) or change_of(draft, own) == 0
    for output in draft.psbt.tx.outputs:
        assert output.value >= dust_limit(output.script)


@given(st.integers(0, 3000))
def test_change_that_would_be_dust_goes_to_the_miner(over: int) -> None:
    (coin,) = coins(10_000_000)
    without = compose(payment(9_000_000), MEMBER, [coin], None)
    fee = without.fee
    draft = compose(payment(10_000_000 - fee - over), MEMBER, [coin], None)
    change = change_of(draft)
    if over >= DUST:
        assert (change, draft.fee) == (over, fee)
    else:
        assert (change, len(draft.psbt.tx.outputs)) == (0, 1)
        assert draft.fee == fee + over


def test_a_payment_of_all_there_is_leaves_the_fee_over() -> None:
    (coin,) = coins(10_000_000)
    size = estimated_vsize(compose(payment(10_000_000 - 20_000), MEMBER, [coin], None).psbt)
    fee = (size - 31) * MIN_FEE_RATE // 1000  # without the change
    draft = compose(payment(10_000_000 - fee), MEMBER, [coin], None)
    assert len(draft.psbt.tx.outputs) == 1
    assert draft.fee == fee == estimated_vsize(draft.psbt) * MIN_FEE_RATE // 1000
    assert refused(payment(10_000_000 - fee + 1), [coin]).code == NOT_ENOUGH


def test_a_fee_over_the_bound_is_refused() -> None:
    with pytest.raises(Refused, match="more than"):
        compose(write(), MEMBER, coins(900_000_000), None, Fee(MAX_FEE_RATE * 2))


# ---- drafts of one thing share an input


_values = st.lists(st.integers(20_000, 5_000_000), min_size=1, max_size=20)


@given(_values, _values, st.booleans(), st.booleans(), st.lists(st.integers(DUST, 3_000_000), max_size=2))
def test_drafts_of_one_thing_always_share_the_oldest_coin(
    before: list[int], arrived: list[int], first_named: bool, second_named: bool, pays: list[int]
) -> None:
    """Whatever comes in between, and whether or not the name's coin can be spent still."""
    held = name_coin(BOARD)
    found = coins(*before, own=BOARD)
    drafts: list[Draft] = []
    for named, there in ((first_named, found), (second_named, [*found, *coins(*arrived, own=BOARD)])):
        with_name = held if named else None
        mandate = write(*pays, own=BOARD, held=with_name, value=str(len(drafts)).encode())
        draft = tried(mandate, BOARD, there, with_name)
        drafts += [] if draft is None else [draft]
    assume(len(drafts) == 2)
    one, two = (set(spent(draft)) for draft in drafts)
    assert points(found)[0] in one & two
    if first_named == second_named:
        assert spent(drafts[0])[0] == spent(drafts[1])[0]


def test_the_same_from_the_same_is_the_same() -> None:
    found = coins(1_000_000, 2_000_000, 3_000_000)
    drafts = [compose(write(2_500_000), MEMBER, found, None) for _ in range(3)]
    assert all(one.psbt.serialize() == two.psbt.serialize() for one, two in pairwise(drafts))
