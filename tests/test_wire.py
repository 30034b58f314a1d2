"""`chain.wire` against btclib's parser: both read the same from the same bytes, or both refuse them."""

import tracemalloc
from functools import cache
from io import BytesIO
from typing import NamedTuple

import pytest
from btclib.consensus import MAX_WITNESS_STACK_ITEMS
from btclib.exceptions import BTClibException
from btclib.tx import Tx
from btclib.var_int import MAX_SIZE as BTCLIB_S_MAX_SIZE
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import RECORDED, compact, damaged, recorded, refusal

from doitrust.chain import wire
from doitrust.chain.tx import Transaction
from doitrust.chain.wire import read_parts
from doitrust.errors import BadData

both_forms = pytest.mark.parametrize("witness", [True, False])


class Read(NamedTuple):
    """What a parser makes of bytes: all fields, the txid, and where it stopped."""

    fields: tuple[object, ...]
    txid: str
    end: int


def by_btclib(data: bytes, start: int, *, witness: bool) -> Read | None:
    stream = BytesIO(data)
    stream.seek(start)
    try:
        tx = (Tx.parse if witness else Tx.parse_without_witness)(stream, check_validity=False)
    except BTClibException:
        return None
    end = stream.tell()
    # One transaction, one serialisation: of whatever it reads it writes back the very bytes.
    assert tx.serialize(witness, check_validity=False) == data[start:end]
    inputs = [(i.prev_out.tx_id.hex(), i.prev_out.vout, i.script_sig, i.script_witness.stack) for i in tx.vin]
    outputs = [(o.value, o.script_pub_key.script) for o in tx.vout]
    fields = (tx.version, inputs, [i.sequence for i in tx.vin], outputs, tx.lock_time)
    sizes = (tx.weight, tx.serialize(False, check_validity=False))
    return Read((*fields, tx.is_segwit, tx.is_coinbase, *sizes), tx.id.hex(), end)


def by_us(data: bytes, start: int, *, witness: bool) -> Read | None:
    stream = BytesIO(data)
    stream.seek(start)
    try:
        tx = Transaction.read_from(stream, witness=witness)
    except BadData:
        assert stream.tell() == start
        return None
    assert tx.raw == data[start : stream.tell()]
    fields = (tx.version, [tuple(i) for i in tx.inputs], list(tx.sequences), [tuple(o) for o in tx.outputs])
    assert tx.stripped_size == len(tx.stripped)
    sizes = (tx.weight, tx.stripped)
    return Read((*fields, tx.lock_time, tx.has_witness, tx.is_coinbase, *sizes), tx.txid, stream.tell())


def same(data: bytes, start: int = 0) -> Read | None:
    """What both read at `start`, in the form with witnesses; in the old form they agree too."""
    assert by_us(data, start, witness=False) == by_btclib(data, start, witness=False)
    read = by_us(data, start, witness=True)
    assert read == by_btclib(data, start, witness=True)
    return read


@cache
def whole() -> list[bytes]:
    """Every payment of the recorded chains, some coinbases, and the coinbases of some parents."""
    blocks = [block for number in RECORDED for block in recorded(number).blocks]
    payments = [tx.raw for number in RECORDED for tx in recorded(number).payments]
    coinbases = [block.transactions[0].raw for block in blocks[::100]]
    return [*payments, *coinbases, *(b.auxpow.coinbase.raw for b in blocks[1::100] if b.auxpow)]


# ---- what was recorded from the node


@pytest.mark.parametrize("number", RECORDED)
def test_every_recorded_transaction_is_read_alike(number: int) -> None:
    for block in recorded(number).blocks:
        for tx in block.transactions:
            read = same(tx.raw)
            assert read is not None
            assert (read.txid, read.end) == (tx.txid, len(tx.raw))
        if block.auxpow is not None:
            same(block.auxpow.coinbase.raw)


def test_every_cut_and_every_flipped_bit_of_some_is_read_alike() -> None:
    for raw in sorted(whole(), key=len)[:: len(whole()) // 4]:
        for end in range(len(raw)):
            assert same(raw[:end]) is None
        for at in range(len(raw)):
            for bit in range(8):
                same(raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :])


@given(st.data())
@settings(max_examples=300)
def test_damaged_ones_are_read_alike(data: st.DataObject) -> None:
    same(data.draw(st.sampled_from(whole()).flatmap(damaged)))


# ---- what is made up

#: Counts and lengths around every limit of a compact size, and what a reader must not believe.
EDGES = [
    0,
    1,
    2,
    0xFC,
    0xFD,
    0xFE,
    0xFFFF,
    0x1_0000,
    wire.MAX_SIZE,
    wire.MAX_SIZE + 1,
    2**32 - 1,
    2**32,
    2**64 - 1,
]


@st.composite
def sizes(draw: st.DrawFn, true: int) -> bytes:
    """A compact size: mostly `true` in its shortest form, otherwise in another, or another number."""
    if draw(st.integers(0, 9)):
        return compact(true)
    number = draw(st.sampled_from([true, true + 1, *EDGES]))
    mark, width = draw(st.sampled_from([(None, 1), (0xFD, 2), (0xFE, 4), (0xFF, 8)]))
    if mark is None or number >= 1 << 8 * width:
        return compact(number)
    return bytes([mark]) + number.to_bytes(width, "little")


@st.composite
def sized(draw: st.DrawFn) -> bytes:
    data = draw(st.binary(max_size=8) | st.sampled_from([252, 253, 300]).map(bytes))
    return draw(sizes(len(data))) + data


def fixed(size: int) -> st.SearchStrategy[bytes]:
    return st.sampled_from([bytes(size), b"\xff" * size]) | st.binary(min_size=size, max_size=size)


@st.composite
def encodings(draw: st.DrawFn) -> bytes:
    """The structure of a transaction, with whatever can be wrong in it."""
    count = draw(st.integers(0, 3))
    parts = [draw(fixed(4)), draw(st.sampled_from([b"", b"\0\1", b"\0\1", b"\0\2", b"\0\0", b"\1\1"]))]
    parts.append(draw(sizes(count)))
    parts += [draw(fixed(36)) + draw(sized()) + draw(fixed(4)) for _ in range(count)]
    outputs = draw(st.integers(0, 3))
    parts.append(draw(sizes(outputs)))
    parts += [draw(fixed(8)) + draw(sized()) for _ in range(outputs)]
    for _ in range(draw(st.sampled_from([0, count, count, count + 1]))):
        elements = draw(st.lists(sized(), max_size=3))
        parts += [draw(sizes(len(elements))), *elements]
    return b"".join([*parts, draw(fixed(4)), draw(st.sampled_from([b"", b"", b"\0", bytes(50)]))])


@given(encodings())
@settings(max_examples=settings().max_examples * 8)
@example(b"\1\0\0\0" + b"\0\0" + b"\0\0\0\0")  # nothing at all, in the old form
@example(b"\1\0\0\0" + b"\0\1" + b"\0\0" + b"\0\0\0\0")  # marked, and nobody whose witness it could be
@example(b"\1\0\0\0" + b"\0\1" + bytes(8) + b"\0" + b"\0\0\0\0")  # in the old form one output
def test_made_up_ones_are_read_alike(raw: bytes) -> None:
    same(raw)


@given(st.binary(max_size=40), encodings() | st.sampled_from(whole()), st.binary(max_size=40))
def test_in_the_middle_of_a_block_they_are_read_alike(before: bytes, raw: bytes, behind: bytes) -> None:
    read = same(before + raw + behind, len(before))
    alone = same(raw)
    if alone is not None:
        assert read == alone._replace(end=alone.end + len(before))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_alike(raw: bytes) -> None:
    same(raw)
    same(b"\0\x71\0\0" + raw)


# ---- limits


def test_the_limits_are_btclib_s() -> None:
    assert (wire.MAX_SIZE, wire.MAX_WITNESS_ITEMS) == (BTCLIB_S_MAX_SIZE, MAX_WITNESS_STACK_ITEMS)


IN = bytes(36) + b"\0" + bytes(4)
OUT = bytes(8) + b"\0"
#: Where the number of inputs, of outputs, of elements, and the lengths stand: what goes before the number.
BEFORE = {
    "inputs": b"\1\0\0\0",
    "a scriptSig's length": b"\1\0\0\0\1" + bytes(36),
    "outputs": b"\1\0\0\0\1" + IN,
    "a script's length": b"\1\0\0\0\1" + IN + b"\1" + bytes(8),
    "elements": b"\1\0\0\0\0\1\1" + IN + b"\1" + OUT,
    "an element's length": b"\1\0\0\0\0\1\1" + IN + b"\1" + OUT + b"\1",
}


@pytest.mark.parametrize("what", BEFORE)
@pytest.mark.parametrize(
    "number", [100_000, wire.MAX_WITNESS_ITEMS, wire.MAX_SIZE, wire.MAX_SIZE + 1, 2**64 - 1]
)
def test_a_number_that_lies_is_refused_and_nothing_is_laid_out_for_it(what: str, number: int) -> None:
    raw = BEFORE[what] + compact(number) + bytes(2000)
    tracemalloc.start()
    try:
        refusal(lambda: read_parts(raw, 0, witness=True))
        assert tracemalloc.get_traced_memory()[1] < 300_000
    finally:
        tracemalloc.stop()
    assert same(raw) is None


@pytest.mark.parametrize("length", [0xFC, 0xFD, 0xFFFF, 0x1_0000, wire.MAX_SIZE, wire.MAX_SIZE + 1])
def test_a_length_that_is_true_is_read_in_its_shortest_form_up_to_the_limit(length: int) -> None:
    for form in (
        compact(length),
        b"\xfe" + length.to_bytes(4, "little"),
        b"\xff" + length.to_bytes(8, "little"),
    ):
        read = same(BEFORE["a script's length"] + form + bytes(length + 4))
        assert (read is not None) == (form == compact(length) and length <= wire.MAX_SIZE)


def test_a_witness_has_at_most_as_many_elements_as_a_block_weighs() -> None:
    for number, allowed in ((wire.MAX_WITNESS_ITEMS, True), (wire.MAX_WITNESS_ITEMS + 1, False)):
        raw = BEFORE["elements"] + compact(number) + bytes(number + 4)
        try:
            read = read_parts(raw, 0, witness=True)
        except BadData:
            assert not allowed
        else:
            assert allowed
            assert (read.end, len(read.inputs[0].witness)) == (len(raw), number)


@both_forms
def test_what_is_refused_is_said_in_one_line(witness: bool) -> None:
    for raw in (b"", b"\1", bytes(9), b"\1\0\0\0\1" + IN + b"\xfd\1\0", b"\1\0\0\0\0\x07"):
        refusal(lambda raw=raw: read_parts(raw, 0, witness=witness))
