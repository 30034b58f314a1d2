"""Bytes of the chain: parsed to the last one and back, or refused; names as the node reads them, and as we do."""

import itertools
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import RECORDED, attempt, compact, counted, damaged, hash256, recorded, refusal, txid_of, wire

from doitrust.chain.address import address_of
from doitrust.chain.block import MAX_BLOCK_SIZE, AuxPow, Block, Branch, Header, block_work, merkle_root
from doitrust.chain.names import (
    OP_NAME_DOI,
    OP_NAME_FIRSTUPDATE,
    OP_NAME_NEW,
    OP_NAME_UPDATE,
    name_script,
    read_as_node,
    read_canonical,
    strip_name,
)
from doitrust.chain.networks import REGTEST
from doitrust.chain.scripts import (
    Multisig,
    ScriptType,
    multisig_script,
    p2pkh,
    p2sh,
    p2wpkh,
    p2wsh,
    push,
    read_multisig,
    read_op,
    script_sig_pushes,
    script_type,
)
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.errors import BadData

both_chains = pytest.mark.parametrize("number", RECORDED)


# ---- the recorded chains


@both_chains
def test_every_recorded_block_comes_back_byte_for_byte(number: int) -> None:
    chain = recorded(number)
    assert [block.serialize() for block in chain.blocks] == list(chain.raw_blocks)
    assert {type(block.auxpow) for block in chain.blocks} == {AuxPow, type(None)}


@both_chains
def test_every_part_of_a_recorded_transaction_is_what_its_bytes_say(number: int) -> None:
    transactions = [tx for block in recorded(number).blocks for tx in block.transactions]
    transactions += [block.auxpow.coinbase for block in recorded(number).blocks if block.auxpow]
    for tx in transactions:
        assert wire(tx) == tx.raw
        assert txid_of(wire(tx, witness=False)) == tx.txid
        assert tx.wtxid == hash256(tx.raw)
        assert tx.has_witness == any(spent.witness for spent in tx.inputs)
        assert tx.is_coinbase == (tx.inputs[0].txid == "00" * 32)
    assert {tx.has_witness for tx in transactions} == {tx.is_coinbase for tx in transactions} == {True, False}


@both_chains
def test_every_recorded_block_holds_the_transactions_of_its_merkle_root_and_follows_the_last(
    number: int,
) -> None:
    previous = "00" * 32
    for block in recorded(number).blocks:
        assert block.header.prev == previous
        root, mutated = merkle_root([bytes.fromhex(tx.txid)[::-1] for tx in block.transactions])
        assert (root, mutated) == (block.header.merkle_root, False)
        previous = block.header.hash
    assert recorded(number).blocks[0].header.hash == REGTEST.genesis


@both_chains
def test_every_recorded_auxpow_binds_the_block_to_its_parent(number: int) -> None:
    def climb(leaf: bytes, branch: Branch) -> bytes:
        for level, other in enumerate(branch.hashes):
            leaf = hash256(other + leaf if branch.index >> level & 1 else leaf + other)
        return leaf

    proofs = [(block, block.auxpow) for block in recorded(number).blocks if block.auxpow is not None]
    for block, proof in proofs:
        coinbase = bytes.fromhex(proof.coinbase.txid)[::-1]
        assert climb(coinbase, proof.coinbase_branch) == proof.parent.merkle_root
        committed = climb(bytes.fromhex(block.header.hash)[::-1], proof.chain_branch)[::-1]
        assert committed in proof.coinbase.inputs[0].script_sig
    assert len(proofs) > 500


def test_the_writes_found_are_those_of_the_node_s_name_history() -> None:
    """Both readings find them: the node's own, and the canonical form, which nothing in this chain departs from."""
    chain = recorded(1)
    as_node: dict[str, list[tuple[object, ...]]] = {}
    canonical: dict[str, list[tuple[object, ...]]] = {}
    for height, block in enumerate(chain.blocks):
        for tx in block.transactions:
            for vout, output in enumerate(tx.outputs):
                read = read_as_node(output.script)
                if read is not None and read.written is not None:
                    name, value = read.written
                    seen = (tx.txid, vout, height, value.decode(), address_of(read.address_script, REGTEST))
                    as_node.setdefault(name.decode(), []).append(seen)
            for vout, write in tx.writes:
                owner = address_of(write.owner_script, REGTEST)
                seen = (tx.txid, vout, height, write.value.decode(), owner)
                canonical.setdefault(write.name.decode(), []).append(seen)
    expected = {
        name: [(w["txid"], w["vout"], w["height"], w["value"], w["address"]) for w in history]
        for name, history in chain.document["name_history"].items()
    }
    assert as_node == expected
    assert canonical == expected
    shown = {n: s["txid"] for n, s in chain.document["name_show"].items() if "error" not in s}
    assert shown == {name: history[-1][0] for name, history in canonical.items()}


def test_the_one_recorded_write_in_another_form_is_the_node_s_and_not_ours() -> None:
    outputs = [(tx, o) for tx in recorded(2).payments for o in tx.outputs]
    odd = [(tx, o) for tx, o in outputs if read_as_node(o.script) and not read_canonical(o.script)]
    assert [tx.txid for tx, _ in odd] == ["980215e0680c218e5cecee48fec4cfb5ca172371b19a56189bd68f555042f4aa"]
    assert odd[0][0].writes == []


# ---- bytes that are cut, too many, or other


def whole_blocks() -> list[bytes]:
    """The genesis, a block with an AuxPoW, and the longest of each chain."""
    chains = [recorded(number).raw_blocks for number in RECORDED]
    return [chains[0][0], chains[0][1], *(max(raw_blocks, key=len) for raw_blocks in chains)]


def test_a_transaction_cut_anywhere_or_with_bytes_left_over_is_refused() -> None:
    for tx in recorded(1).payments + recorded(2).payments:
        for end in range(len(tx.raw)):
            with pytest.raises(BadData):
                Transaction.parse(tx.raw[:end])
        for extra in (b"\0", b"\x01", tx.raw[-4:], tx.raw):
            with pytest.raises(BadData):
                Transaction.parse(tx.raw + extra)


@pytest.mark.parametrize("number", range(4), ids=["genesis", "auxpow", "longest-1", "longest-2"])
def test_a_block_cut_anywhere_or_with_bytes_left_over_is_refused(number: int) -> None:
    raw = whole_blocks()[number]
    for end in range(len(raw)):
        with pytest.raises(BadData):
            Block.parse(raw[:end])
    for extra in (b"\0", b"\x01", raw):
        with pytest.raises(BadData):
            Block.parse(raw + extra)


@pytest.mark.parametrize("size", [*range(80), 81, 160])
def test_a_header_has_80_bytes(size: int) -> None:
    raw = (recorded(1).raw_blocks[1] * 2)[:size]
    assert "80 bytes" in refusal(lambda: Header.parse(raw))


def test_a_block_over_the_limit_is_refused_before_it_is_read() -> None:
    assert str(MAX_BLOCK_SIZE + 1) in refusal(lambda: Block.parse(bytes(MAX_BLOCK_SIZE + 1)))
    # One byte less is read, and is no block for another reason.
    assert str(MAX_BLOCK_SIZE) not in refusal(lambda: Block.parse(bytes(MAX_BLOCK_SIZE)))


@cache
def whole_transactions() -> list[bytes]:
    some = [tx.raw for number in RECORDED for tx in recorded(number).payments]
    return [*some, recorded(1).blocks[200].transactions[0].raw]


@given(st.data())
def test_a_damaged_transaction_is_refused_or_is_exactly_its_bytes(data: st.DataObject) -> None:
    raw = data.draw(st.sampled_from(whole_transactions()).flatmap(damaged))
    tx = attempt(Transaction.parse, raw)
    if tx is None:
        return
    assert wire(tx) == raw == tx.raw
    assert tx.txid == txid_of(wire(tx, witness=False))
    assert tx.unpadded_size == len(wire(tx, witness=False)) - sum(
        len(counted(i.script_sig)) - 1 for i in tx.inputs
    )
    for vout, write in tx.writes:
        assert name_script(*write) == tx.outputs[vout].script


@given(st.data())
def test_a_damaged_block_is_refused_or_is_exactly_its_bytes(data: st.DataObject) -> None:
    raw = data.draw(st.sampled_from(whole_blocks()).flatmap(damaged))
    block = attempt(Block.parse, raw)
    if block is not None:
        assert block.serialize() == raw
        assert raw.endswith(b"".join(map(wire, block.transactions)))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_a_transaction_or_refused(raw: bytes) -> None:
    tx = attempt(Transaction.parse, raw)
    assert tx is None or wire(tx) == raw


@given(st.binary(max_size=300), st.binary(min_size=80, max_size=80))
def test_arbitrary_bytes_are_a_block_or_refused(raw: bytes, header: bytes) -> None:
    for data in (raw, header + raw):
        block = attempt(Block.parse, data)
        assert block is None or block.serialize() == data
    assert Header.parse(header).raw == header


IN = bytes(range(32)) + b"\0\0\0\0" + b"\x01\x51" + b"\xff\xff\xff\xff"
OUT = b"\x10\0\0\0\0\0\0\0" + b"\x01\x51"
ENCODINGS = {
    "more bytes than the count of inputs needs": b"\1\0\0\0" + b"\xfd\1\0" + IN + b"\1" + OUT + b"\0\0\0\0",
    "more bytes than the count of outputs needs": b"\1\0\0\0"
    + b"\1"
    + IN
    + b"\xfe\1\0\0\0"
    + OUT
    + b"\0\0\0\0",
    "more bytes than a script's length needs": (
        b"\1\0\0\0" + b"\1" + IN + b"\1" + OUT[:8] + b"\xfd\1\0\x51" + b"\0\0\0\0"
    ),
    "more bytes than a witness's count needs": (
        b"\1\0\0\0" + b"\0\1\1" + IN + b"\1" + OUT + b"\xfd\1\0" + b"\1\x51" + b"\0\0\0\0"
    ),
    "more bytes than an element's length needs": (
        b"\1\0\0\0" + b"\0\1\1" + IN + b"\1" + OUT + b"\1" + b"\xfd\1\0\x51" + b"\0\0\0\0"
    ),
    "a witness marker and no witness": b"\1\0\0\0" + b"\0\1\1" + IN + b"\1" + OUT + b"\0" + b"\0\0\0\0",
    "a flag that nobody knows": b"\1\0\0\0" + b"\0\2\1" + IN + b"\1" + OUT + b"\1\1\x51" + b"\0\0\0\0",
    "a marker without a flag": b"\1\0\0\0" + b"\0\0\1" + IN + b"\1" + OUT + b"\1\1\x51" + b"\0\0\0\0",
    "2^64-1 inputs": b"\1\0\0\0" + b"\xff" * 9,
    "2^32-1 outputs": b"\1\0\0\0" + b"\1" + IN + b"\xfe\xff\xff\xff\xff" + OUT,
}


@pytest.mark.parametrize("case", ENCODINGS)
def test_a_transaction_in_another_encoding_is_refused(case: str) -> None:
    """Otherwise one transaction would have two serialisations."""
    refusal(lambda: Transaction.parse(ENCODINGS[case]))


@pytest.mark.parametrize("witness", [False, True])
def test_the_encodings_above_are_wrong_in_nothing_else(witness: bool) -> None:
    marker, stack = (b"\0\1", b"\1\1\x51") if witness else (b"", b"")
    raw = b"\1\0\0\0" + marker + b"\1" + IN + b"\1" + OUT + stack + b"\0\0\0\0"
    assert wire(Transaction.parse(raw)) == raw


@pytest.mark.parametrize("count", [b"\xfd\1\0", b"\xfe\1\0\0\0", b"\xff\1" + bytes(7)])
def test_a_block_whose_counts_take_more_bytes_than_they_need_is_refused(count: bytes) -> None:
    plain = recorded(1).raw_blocks[0]
    assert plain[80:81] == b"\1"
    refusal(lambda: Block.parse(plain[:80] + count + plain[81:]))


def test_the_parent_s_coinbase_has_no_witness() -> None:
    """There `00 01` are no inputs and one output, not a marker: it is read in the old form, and needs no outputs."""
    block = recorded(1).blocks[1]
    assert block.auxpow is not None
    assert block.auxpow.coinbase.outputs == ()
    old, raw = block.auxpow.coinbase.raw, recorded(1).raw_blocks[1]
    script_sig = block.auxpow.coinbase.inputs[0].script_sig
    spent = Input("00" * 32, 0xFFFFFFFF, script_sig, (b"witness",))
    new = Transaction.build(1, 0, [(spent, 0xFFFFFFFF)], [Output(1, b"\x51")]).raw
    assert Block.parse(raw[:80] + old + raw[80 + len(old) :]).serialize() == raw
    refusal(lambda: Block.parse(raw[:80] + new + raw[80 + len(old) :]))


def test_values_are_signed_and_versions_are_not() -> None:
    tx = Transaction.build(0xFFFFFFFF, 7, [(Input("11" * 32, 0xFFFFFFFF, b"", ()), 5)], [Output(-1, b"")])
    assert (tx.version, tx.outputs[0].value, tx.inputs[0].vout) == (0xFFFFFFFF, -1, 0xFFFFFFFF)
    assert (tx.lock_time, tx.sequences) == (7, (5,))
    assert tx.raw[4 + 1 + 36 + 1 + 4 + 1 :][:8] == b"\xff" * 8


@given(
    version=st.integers(0, 0xFFFFFFFF),
    lock_time=st.integers(0, 0xFFFFFFFF),
    inputs=st.lists(
        st.tuples(
            st.builds(
                Input,
                st.binary(min_size=32, max_size=32).map(bytes.hex),
                st.integers(0, 0xFFFFFFFF),
                st.binary(max_size=300),
                st.lists(st.binary(max_size=300), max_size=3).map(tuple),
            ),
            st.integers(0, 0xFFFFFFFF),
        ),
        min_size=1,
        max_size=3,
    ),
    outputs=st.lists(
        st.builds(Output, st.integers(-(2**63), 2**63 - 1), st.binary(max_size=300)), max_size=3
    ),
)
def test_a_transaction_built_has_the_parts_it_was_built_from(
    version: int, lock_time: int, inputs: list[tuple[Input, int]], outputs: list[Output]
) -> None:
    tx = Transaction.build(version, lock_time, inputs, outputs)
    assert [i._replace(witness=tuple(i.witness)) for i in tx.inputs] == [spent for spent, _ in inputs]
    assert (tx.version, tx.outputs) == (version, tuple(outputs))
    assert (tx.lock_time, tx.sequences) == (lock_time, tuple(s for _, s in inputs))
    assert wire(tx) == tx.raw
    assert Transaction.parse(tx.raw).txid == tx.txid


# ---- which outputs are writes

ANY_INPUT = (Input("11" * 32, 0, b"", ()), 0xFFFFFFFF)
COINBASE_INPUT = (Input("00" * 32, 0xFFFFFFFF, b"\x01\x02", ()), 0xFFFFFFFF)
WRITE = Output(1_000_000, name_script(b"bp/1EMH", b"value", p2wpkh(bytes(20))))


@pytest.mark.parametrize(
    ("version", "source", "counts"),
    [
        (0x7100, ANY_INPUT, True),
        (0x7101, ANY_INPUT, False),
        (0x70FF, ANY_INPUT, False),
        (1, ANY_INPUT, False),
        (0x80007100, ANY_INPUT, False),
        (0x7100, COINBASE_INPUT, False),
        (0x7100, (COINBASE_INPUT[0]._replace(vout=0), 0), True),
    ],
)
def test_only_version_7100_writes_and_never_a_coinbase(
    version: int, source: tuple[Input, int], counts: bool
) -> None:
    tx = Transaction.build(version, 0, [source], [Output(1, b"\x51"), WRITE, WRITE])
    assert [write.vout for write in tx.writes] == ([1, 2] if counts else [])


@pytest.mark.parametrize("field", [0, 1])
@pytest.mark.parametrize("size", [65_535, 65_536, 100_000])
def test_a_name_or_value_longer_than_any_push_we_write_is_not_canonical_and_no_crash(
    field: int, size: int
) -> None:
    """A coinbase may carry it, and so may a file that calls itself evidence."""
    pushes = [b"\1a", b"\1b"]
    pushes[field] = b"\x4e" + size.to_bytes(4, "little") + bytes(size)
    script = b"\x5a" + b"".join(pushes) + b"\x6d\x75" + p2wpkh(bytes(20))
    assert read_canonical(script) is None
    assert strip_name(script) == script
    assert Transaction.build(0x7100, 0, [ANY_INPUT], [Output(1, script)]).writes == []


# ---- name outputs, canonical and not

OWNERS = {
    "p2pkh": p2pkh(b"h" * 20),
    "p2sh": p2sh(b"h" * 20),
    "p2wpkh": p2wpkh(b"h" * 20),
    "p2wsh": p2wsh(b"h" * 32),
    "anyone": b"\x51",
    "nothing": b"",
    "no script at all": b"\x4b",
}
# The opcode and length that belong before data of each length (doichain.md, «name_doi on the wire»).
SHORTEST = {
    0: "00",
    1: "01",
    75: "4b",
    76: "4c4c",
    255: "4cff",
    256: "4d0001",
    520: "4d0802",
    1023: "4dff03",
    65535: "4dffff",
}


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("value_size", SHORTEST)
@pytest.mark.parametrize("name_size", [0, 1, 75, 76, 255])
def test_a_canonical_name_output_goes_round_at_every_length(
    name_size: int, value_size: int, owner: str
) -> None:
    name, value, script = b"n" * name_size, b"v" * value_size, OWNERS[owner]
    written = name_script(name, value, script)
    assert written == b"".join(
        [
            b"\x5a",
            bytes.fromhex(SHORTEST[name_size]) + name,
            bytes.fromhex(SHORTEST[value_size]) + value,
            b"\x6d\x75",
            script,
        ]
    )
    assert read_canonical(written) == (name, value, script)
    assert strip_name(written) == script


@pytest.mark.parametrize("byte", [0x00, 0x01, 0x10, 0x11, 0x51, 0x7F, 0x80, 0x81, 0xFF])
def test_a_single_byte_is_pushed_as_data_and_never_as_a_number(byte: int) -> None:
    data = bytes([byte])
    written = name_script(data, data, b"\x51")
    assert written == b"\x5a\1" + data + b"\1" + data + b"\x6d\x75\x51"
    assert read_canonical(written) == (data, data, b"\x51")


def test_a_push_has_at_most_65535_bytes() -> None:
    with pytest.raises(ValueError, match="65,535"):
        push(bytes(65_536))


def long_pushes(data: bytes) -> list[bytes]:
    """Every push of `data` that is longer than it need be."""
    found = [
        bytes([code]) + len(data).to_bytes(width, "little") + data
        for code, width in ((0x4C, 1), (0x4D, 2), (0x4E, 4))
        if len(data) < 1 << 8 * width
    ]
    return [long for long in found if long != push(data)]


OWNER = OWNERS["p2wpkh"]


@pytest.mark.parametrize("size", [0, 1, 5, 75, 76, 255, 256, 520, 1023])
def test_a_longer_push_than_needed_is_read_by_the_node_and_not_canonical(size: int) -> None:
    data = b"d" * size
    forms = long_pushes(data)
    assert len(forms) == (3 if size <= 75 else 2 if size <= 255 else 1)
    for form in forms:
        for name, value in itertools.permutations([form, b"\1x"]):
            script = b"\x5a" + name + value + b"\x6d\x75" + OWNER
            assert read_canonical(script) is None
            assert strip_name(script) == script
            read = read_as_node(script)
            assert read is not None
            assert read.written == ((data, b"x") if name == form else (b"x", data))
            assert read.address_script == OWNER


N, V = b"\3bp/", b"\5value"
BOTH = (b"bp/", b"value")
# What follows the pushes, and the address script that the node sees behind it.
DROPS = {
    "three drops": ("757575", OWNER, OWNER),
    "drops the other way round": ("756d", OWNER, OWNER),
    "one drop": ("75", OWNER, OWNER),
    "one double drop": ("6d", OWNER, OWNER),
    "two double drops": ("6d6d", OWNER, OWNER),
    "a NOP before": ("616d75", OWNER, OWNER),
    "a NOP between": ("6d6175", OWNER, OWNER),
    "only a NOP": ("61", OWNER, OWNER),
    "a run of NOPs": ("61" * 50, OWNER, OWNER),
    "nothing after a drop": ("75", b"", b"\x75"),
    "nothing after a double drop": ("6d", b"", b"\x6d"),
    "nothing after NOPs": ("6161", b"", b"\x61"),
    "owner without an address": ("756d", b"\x51", b"\x51"),
}


@pytest.mark.parametrize("case", DROPS)
def test_other_drops_are_read_by_the_node_and_not_canonical(case: str) -> None:
    drops, rest, address = DROPS[case]
    script = b"\x5a" + N + V + bytes.fromhex(drops) + rest
    assert read_canonical(script) is None
    read = read_as_node(script)
    assert read is not None
    assert (read.op, read.written, read.address_script) == (OP_NAME_DOI, BOTH, address)


@pytest.mark.parametrize(("more", "address"), [("61", OWNER), ("75", OWNER), ("6d6161", OWNER)])
def test_drops_behind_the_canonical_ones_belong_to_an_owner_script_that_is_no_address(
    more: str, address: bytes
) -> None:
    """The node skips them. For us ownership stays where it was (O3): this is no address script."""
    owner = bytes.fromhex(more) + address
    script = name_script(*BOTH, owner)
    assert read_canonical(script) == (*BOTH, owner)
    assert script_type(owner)[0] is ScriptType.OTHER
    read = read_as_node(script)
    assert read is not None
    assert read.address_script == address


def test_where_nothing_follows_the_canonical_drops_the_node_takes_the_last_for_the_address() -> None:
    script = name_script(*BOTH, b"")
    assert read_canonical(script) == (*BOTH, b"")
    read = read_as_node(script)
    assert read is not None
    assert read.address_script == b"\x75"


# The rest of a name_doi script that not even the node reads.
NO_NAMES = {
    "nothing": "",
    "no arguments": "6d75",
    "one argument": "03" + b"bp/".hex() + "75",
    "three arguments": "0161" * 3 + "6d75",
    "no drops": N.hex() + V.hex(),
    "no drops and an address": N.hex() + V.hex() + p2pkh(bytes(20)).hex(),
    "a number for a name": "51" + V.hex() + "6d75",
    "16 for a value": N.hex() + "60" + "6d75",
    "-1 for a value": N.hex() + "4f" + "6d75",
    "another opcode among the pushes": N.hex() + "ac" + V.hex() + "6d75",
    "a cut push": N.hex() + "05",
    "a cut length": N.hex() + "4d05",
    "a push beyond the end": N.hex() + "4effffffff" + "6d75",
}


@pytest.mark.parametrize("case", NO_NAMES)
def test_what_is_no_name_is_none_for_anyone(case: str) -> None:
    script = b"\x5a" + bytes.fromhex(NO_NAMES[case]) + OWNER
    assert read_as_node(script) is None
    assert read_canonical(script) is None
    assert strip_name(script) == script


@pytest.mark.parametrize("size", range(len(name_script(*BOTH, b""))))
def test_a_cut_prefix_is_not_canonical(size: int) -> None:
    script = name_script(*BOTH, OWNER)[:size]
    assert read_canonical(script) is None
    assert strip_name(script) == script


@pytest.mark.parametrize(
    ("op", "count", "written"),
    [
        (OP_NAME_NEW, 1, None),
        (OP_NAME_FIRSTUPDATE, 3, (b"0", b"2")),
        (OP_NAME_UPDATE, 2, (b"0", b"1")),
        (OP_NAME_DOI, 2, (b"0", b"1")),
        (0x50, 2, ...),
        (0x54, 2, ...),
        (0x59, 2, ...),
        (0x5B, 2, ...),
        (0x00, 2, ...),
    ],
)
def test_the_other_name_operations_are_the_node_s_and_never_canonical(
    op: int, count: int, written: object
) -> None:
    for given_count in range(5):
        arguments = b"".join(b"\1%d" % number for number in range(given_count))
        script = bytes([op]) + arguments + b"\x6d\x75" + OWNER
        read = read_as_node(script)
        if given_count == count and written is not ...:
            assert read is not None
            assert (read.op, len(read.args), read.written, read.address_script) == (op, count, written, OWNER)
        else:
            assert read is None
        if op != OP_NAME_DOI:
            assert read_canonical(script) is None


def node_s_address(script: bytes, start: int) -> bytes:
    """What the node takes for the address where the drops begin at `start` (src/script/names.cpp).

    It steps over one operation after another until one is no drop, then goes back by one byte, not by one
    operation. A cut push ends the walk where its data would begin.
    """
    at = start
    while script[at : at + 1] in (b"\x61", b"\x6d", b"\x75"):
        at += 1
    if at < len(script) and script[at] <= 0x4E:
        try:
            at = read_op(script, at).end
        except BadData:
            width = {0x4C: 1, 0x4D: 2, 0x4E: 4}.get(script[at], 0)
            at += 1 + (width if len(script) - at - 1 >= width else 0)
    else:
        at = min(at + 1, len(script))
    return script[at - 1 :]


@pytest.mark.parametrize(
    ("rest", "address"),
    [
        ("01aa", "aa"),
        ("02510014" + "00" * 20, "0014" + "00" * 20),
        ("2102" + "11" * 32 + "ac", "11ac"),
        ("4c02aabb51", "bb51"),
        ("05aa", "05aa"),
        ("4c05aa", "05aa"),
        ("4d05", "4d05"),
    ],
)
def test_the_node_goes_back_one_byte_so_that_a_leading_push_shows_only_its_last(
    rest: str, address: str
) -> None:
    """Doichain Core, src/script/names.cpp: after the drops `pc--`, whatever the operation it stands behind."""
    script = name_script(*BOTH, bytes.fromhex(rest))
    assert node_s_address(script, len(script) - len(rest) // 2 - 2).hex() == address
    read = read_as_node(script)
    assert read is not None
    assert read.address_script.hex() == address


@st.composite
def scripts(draw: st.DrawFn) -> bytes:
    """Scripts near to name outputs: pushes in all forms, drops, addresses, cuts, any bytes."""
    data = st.one_of(st.binary(max_size=6), st.sampled_from([b"d" * 75, b"d" * 76, b"d" * 256]))
    step = st.one_of(
        data.map(push),
        data.flatmap(lambda d: st.sampled_from([*long_pushes(d), push(d)])),
        st.sampled_from([b"\x61", b"\x6d", b"\x75", b"\x6d\x75", b"\x51", b"\xac", *OWNERS.values()]),
        st.binary(max_size=3),
    )
    start = draw(st.sampled_from([b"\x5a", b"\x5a", b"\x5a", b"\x51", b"\x52", b"\x53", b"\x50", b""]))
    plain = name_script(draw(data), draw(data), b"")[1:]
    middle = draw(st.one_of(st.just(plain), st.lists(step, max_size=5).map(b"".join)))
    script = start + middle + b"".join(draw(st.lists(step, max_size=3)))
    return script[: draw(st.integers(0, len(script)))] if draw(st.booleans()) else script


@given(scripts())
def test_canonical_is_exactly_what_name_script_writes(script: bytes) -> None:
    read = read_canonical(script)
    if read is None:
        assert strip_name(script) == script
        return
    assert name_script(*read) == script
    node = read_as_node(script)
    assert node is not None
    assert node.written == (read.name, read.value)


def steps_of(script: bytes) -> Sequence[tuple[int, int, bytes | None]]:
    """(start, opcode, pushed data) of every whole operation, by hand."""
    found, at = [], 0
    while at < len(script):
        code, begin, size = script[at], at + 1, 0
        if code <= 0x4E:
            width = {0x4C: 1, 0x4D: 2, 0x4E: 4}.get(code, 0)
            length = script[begin : begin + width]
            if len(length) < width:
                break
            size = int.from_bytes(length, "little") if width else code
            begin += width
        if begin + size > len(script):
            break
        found.append((at, code, script[begin : begin + size] if code <= 0x4E else None))
        at = begin + size
    return found


def expected_node_name(script: bytes) -> tuple[int, list[bytes], bytes] | None:
    arguments: list[bytes] = []
    for start, code, data in steps_of(script)[1:]:
        if code in (0x61, 0x6D, 0x75):
            if len(arguments) != {0x51: 1, 0x52: 3, 0x53: 2, 0x5A: 2}.get(script[0]):
                return None
            return script[0], arguments, node_s_address(script, start)
        if data is None:
            return None
        arguments.append(data)
    return None


@given(scripts())
def test_the_node_s_reading_of_operation_and_arguments_is_the_node_s(script: bytes) -> None:
    read, expected = read_as_node(script), expected_node_name(script)
    assert (read is None) == (expected is None)
    if read is not None and expected is not None:
        assert (read.op, list(read.args)) == expected[:2]


@given(scripts())
def test_the_node_s_reading_of_the_address_is_the_node_s(script: bytes) -> None:
    read, expected = read_as_node(script), expected_node_name(script)
    if read is not None and expected is not None:
        assert read.address_script == expected[2]


# ---- scriptSigs


@pytest.mark.parametrize(
    ("script", "stack"),
    [
        ("", []),
        ("00", [""]),
        ("01aa", ["aa"]),
        ("4c01aa", ["aa"]),
        ("4d0100aa", ["aa"]),
        ("4e01000000aa", ["aa"]),
        ("4f", ["81"]),
        ("51", ["01"]),
        ("60", ["10"]),
        ("515a60", ["01", "0a", "10"]),
        ("61", []),
        ("6101aa6161", ["aa"]),
        ("4b" + "bb" * 75, ["bb" * 75]),
    ],
)
def test_what_a_script_sig_leaves_on_the_stack(script: str, stack: list[str]) -> None:
    pushes = script_sig_pushes(bytes.fromhex(script))
    assert pushes is not None
    assert [element.hex() for element in pushes] == stack


@pytest.mark.parametrize("code", [0x50, *range(0x62, 0x100)])
def test_whatever_does_more_than_push_makes_a_script_sig_nobody_s(code: int) -> None:
    for script in (bytes([code]), b"\1\xaa" + bytes([code]), bytes([code]) + b"\1\xaa"):
        assert script_sig_pushes(script) is None


@pytest.mark.parametrize("script", ["01", "02aa", "4c", "4c01", "4d01", "4d0200aa", "4e010000", "4effffffff"])
def test_a_script_sig_with_a_cut_push_is_nobody_s(script: str) -> None:
    assert script_sig_pushes(bytes.fromhex(script)) is None
    assert script_sig_pushes(b"\1\xaa" + bytes.fromhex(script)) is None


@given(st.lists(st.binary(max_size=600), max_size=5))
def test_pushes_go_round(elements: list[bytes]) -> None:
    assert script_sig_pushes(b"".join(map(push, elements))) == elements


@given(st.binary(max_size=80))
def test_any_bytes_are_pushes_or_nobody_s(script: bytes) -> None:
    stack, steps = script_sig_pushes(script), steps_of(script)
    numbers = {0x4F: b"\x81", **{0x50 + n: bytes([n]) for n in range(1, 17)}}
    left = [data if code <= 0x4E else numbers.get(code) for _, code, data in steps if code != 0x61]
    whole = steps_of(script + b"\x61")[-1:] == [(len(script), 0x61, None)]
    assert stack == (left if whole and None not in left else None)


# ---- address scripts and the multisig template


@pytest.mark.parametrize(
    ("script", "kind", "size"),
    [
        (p2pkh(b"h" * 20), ScriptType.P2PKH, 20),
        (p2sh(b"h" * 20), ScriptType.P2SH, 20),
        (p2wpkh(b"h" * 20), ScriptType.P2WPKH, 20),
        (p2wsh(b"h" * 32), ScriptType.P2WSH, 32),
    ],
)
def test_only_the_exact_address_scripts_have_a_type(script: bytes, kind: ScriptType, size: int) -> None:
    assert script_type(script) == (kind, b"h" * size)
    fixed = [at for at, byte in enumerate(script) if byte != ord("h")]
    others = [
        script[:at] + bytes([script[at] ^ bit]) + script[at + 1 :] for at in fixed for bit in (1, 4, 0x80)
    ]
    others += [script[:-1], script + b"\0", b"\x61" + script, script[1:], script + script]
    assert [script_type(other) for other in others] == [(ScriptType.OTHER, b"")] * len(others)


def keys(count: int, size: int = 33) -> list[bytes]:
    """Different keys in form; whether they are points is not the template's question."""
    return [b"\2" + number.to_bytes(size - 1) for number in range(count)]


@pytest.mark.parametrize("n", range(1, 17))
def test_every_multisig_from_1_of_1_to_16_of_16_goes_round(n: int) -> None:
    for m in range(1, n + 1):
        script = multisig_script(m, keys(n))
        assert script == bytes([0x50 + m]) + b"".join(b"\x21" + k for k in keys(n)) + bytes([0x50 + n, 0xAE])
        assert read_multisig(script) == Multisig(m, tuple(keys(n)))


@pytest.mark.parametrize(("m", "n"), [(0, 1), (2, 1), (1, 0), (0, 0), (1, 17), (17, 17), (-1, 3)])
def test_no_multisig_outside_1_to_16_is_written(m: int, n: int) -> None:
    with pytest.raises(ValueError, match="1 ≤ m ≤ n ≤ 16"):
        multisig_script(m, keys(n))


def template(m: int, pushes: Sequence[bytes], n: int) -> bytes:
    return bytes([m]) + b"".join(pushes) + bytes([n, 0xAE])


THREE = [b"\x21" + key for key in keys(3)]
NO_TEMPLATES = {
    "0 of 3": template(0x00, THREE, 0x53),
    "0 of 3 by 0x50": template(0x50, THREE, 0x53),
    "4 of 3": template(0x54, THREE, 0x53),
    "1 of 17": template(0x51, [b"\x21" + key for key in keys(17)], 0x61),
    "17 of 17": template(0x61, [b"\x21" + key for key in keys(17)], 0x61),
    "more keys than n": template(0x51, THREE, 0x52),
    "fewer keys than n": template(0x51, THREE, 0x54),
    "no keys": template(0x51, [], 0x51),
    "no keys, n 0": template(0x51, [], 0x50),
    "m as data": b"\1\1" + template(0x51, THREE, 0x53)[1:],
    "n as data": template(0x51, THREE, 0x53)[:-2] + b"\1\3\xae",
    "a key twice": template(0x52, [THREE[0], THREE[1], THREE[0]], 0x53),
    "all keys the same": template(0x51, [THREE[0]] * 2, 0x52),
    "a key of 32 bytes": template(0x51, [THREE[0], b"\x20" + keys(1, 32)[0], THREE[1]], 0x53),
    "a key of 34 bytes": template(0x51, [THREE[0], b"\x22" + keys(1, 34)[0], THREE[1]], 0x53),
    "keys of 32 and 34 bytes": template(0x51, [b"\x20" + keys(1, 32)[0], b"\x22" + keys(1, 34)[0]], 0x52),
    "an uncompressed key": template(0x51, [b"\x41\4" + bytes(64)], 0x51),
    "a longer push": template(0x51, [b"\x4c" + THREE[0], THREE[1]], 0x52),
    "a NOP inside": template(0x51, [*THREE, b"\x61"], 0x53),
    "a NOP behind": template(0x51, THREE, 0x53) + b"\x61",
    "a NOP before": b"\x61" + template(0x51, THREE, 0x53),
    "OP_CHECKMULTISIGVERIFY": template(0x51, THREE, 0x53)[:-1] + b"\xaf",
    "no OP_CHECKMULTISIG": template(0x51, THREE, 0x53)[:-1],
    "cut at the front": template(0x51, THREE, 0x53)[1:],
    "nothing": b"",
}


@pytest.mark.parametrize("case", NO_TEMPLATES)
def test_only_the_exact_template_is_a_multisig(case: str) -> None:
    assert read_multisig(NO_TEMPLATES[case]) is None


@pytest.mark.parametrize("first", [0x00, 0x01, 0x04, 0x05, 0x06, 0x07, 0x30, 0xFF])
def test_a_multisig_s_keys_are_compressed_keys(first: int) -> None:
    """S2: «exactly `OP_m (33-byte compressed key)×n OP_n OP_CHECKMULTISIG`»; these 33 bytes are none."""
    assert read_multisig(template(0x51, [THREE[0], b"\x21" + bytes([first]) + bytes(32)], 0x52)) is None


@given(st.integers(1, 16), st.data())
def test_a_damaged_template_is_none_or_exactly_what_it_says(n: int, data: st.DataObject) -> None:
    m = data.draw(st.integers(1, n))
    script = data.draw(damaged(multisig_script(m, keys(n))))
    read = read_multisig(script)
    if read is not None:
        assert multisig_script(*read) == script
        assert len(set(read.keys)) == len(read.keys)


# ---- merkle trees


def slow_root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    pairs = [(leaves[at], leaves[min(at + 1, len(leaves) - 1)]) for at in range(0, len(leaves), 2)]
    return slow_root([hash256(left + right) for left, right in pairs])


@pytest.mark.parametrize("count", range(1, 34))
def test_a_merkle_root_and_every_list_that_shares_it(count: int) -> None:
    """CVE-2012-2459: repeating the last 1, 2, 4 … leaves gives the same root where their number is odd."""
    leaves = [hash256(bytes([number])) for number in range(count)]
    assert merkle_root(leaves) == (slow_root(leaves), False)
    mutated, width = list(leaves), 1
    while width < len(mutated):
        if len(mutated) // width % 2:
            mutated += mutated[-width:]
            assert merkle_root(mutated) == (slow_root(leaves), True)
        width *= 2


@pytest.mark.parametrize("at", range(7))
def test_two_equal_neighbours_mutate_a_tree_exactly_where_they_are_one_pair(at: int) -> None:
    leaves = [bytes([number]) * 32 for number in range(8)]
    leaves[at + 1] = leaves[at]
    assert merkle_root(leaves) == (slow_root(leaves), at % 2 == 0)


def test_the_root_of_nothing_is_zero() -> None:
    assert merkle_root([]) == (bytes(32), False)


def test_counts_in_blocks_are_compact_sizes() -> None:
    """253 transactions, the first number that needs three bytes."""
    coinbase = recorded(1).blocks[0].transactions[0].raw
    raw = recorded(1).raw_blocks[0][:80] + compact(253) + coinbase * 253
    assert raw[80:83] == b"\xfd\xfd\0"
    block = Block.parse(raw)
    assert len(block.transactions) == 253
    assert block.serialize() == raw


@pytest.mark.parametrize(
    ("bits", "work"),
    [
        (0x1D00FFFF, 0x100010001),  # Bitcoin's first target
        (0x207FFFFF, 2),  # regtest's
        (0x1B0404CB, (1 << 256) // ((0x0404CB << 8 * 24) + 1)),
        (0x03000001, 1 << 255),
        (0x04000001, (1 << 256) // 257),
        (0x02008000, (1 << 256) // 129),
        (0x01010000, 1 << 255),
        (0x21008000, 1),
        (0x2100FFFF, 1),
        *((bits, 0) for bits in (0, 0x1D000000, 0x1D800001, 0x04FFFFFF, 0x00FFFFFF, 0x01003456, 0x02000056)),
        *((bits, 0) for bits in (0x21010000, 0x22000100, 0x23000001, 0xFF123456, 0xFFFFFFFF)),
    ],
)
def test_the_work_of_a_compact_target(bits: int, work: int) -> None:
    """Doichain Core, src/arith_uint256.cpp, SetCompact: the sign bit, nothing and more than 256 bits are no target."""
    assert block_work(bits) == work


@given(st.integers(0, 0xFFFFFFFF))
def test_any_bits_have_a_work_of_at_most_256_bits(bits: int) -> None:
    assert 0 <= block_work(bits) < 1 << 256
