"""Evidence as a file: it goes round, says the same of every meter, and is refused for anything that is wrong in it."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import RECORDED, attempt, damaged, recorded, refusal

from doitrust.chain.networks import DEVNET, REGTEST
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.content.cid import DAG_PB, RAW, Cid, cid_of
from doitrust.trust import evidence_file
from doitrust.trust.evidence import Evidence, Located, Missing, Place, Source, Tip
from doitrust.trust.evidence_file import iso_time, read_evidence, write_evidence
from doitrust.trust.judge import Judge
from doitrust.trust.verdict import Verdict


def read(data: bytes) -> Evidence:
    return read_evidence(data, source="file")


def facts(evidence: Evidence) -> tuple[object, ...]:
    """Everything that evidence says, but for its sources, in a form that can be compared."""
    transactions = {txid: (found.tx.raw, found.place) for txid, found in evidence.transactions.items()}
    return evidence.network, evidence.tip, transactions, dict(evidence.content), evidence.missing


# ---- the recorded chains


@cache
def written(number: int) -> bytes:
    return write_evidence(recorded(number).evidence)


@pytest.mark.parametrize("number", RECORDED)
def test_what_is_written_is_read_again(number: int) -> None:
    evidence = read(written(number))
    assert facts(evidence) == facts(recorded(number).evidence)
    assert evidence.names == recorded(number).evidence.names
    for name in evidence.names:
        ours, theirs = (e.writes(name) for e in (evidence, recorded(number).evidence))
        assert [w[1:] for w in ours] == [w[1:] for w in theirs]


def without_sources(verdict: Verdict) -> Verdict:
    return replace(verdict, sources=(), policy=replace(verdict.policy, trust_source=False))


@pytest.mark.parametrize("number", RECORDED)
def test_with_trust_source_a_file_says_of_every_meter_what_the_node_said(number: int) -> None:
    chain = recorded(number)
    node = Judge(chain.evidence, chain.policy)
    file = Judge(read(written(number)), replace(chain.policy, trust_source=True))
    for meter in chain.meters:
        said, again = node.verdict(meter), file.verdict(meter)
        assert (said.status, said.reason) == recorded_answer(number, meter, said)
        assert without_sources(again) == without_sources(said)
        assert [c for c in again.checks if c.rule not in ("N2", "N3")] == [
            c for c in said.checks if c.rule not in ("N2", "N3")
        ]
        assert [c.ok for c in again.checks if c.rule == "N3"] == [True]


def recorded_answer(number: int, meter: str, verdict: Verdict) -> tuple[str, str | None]:
    """What the file expects of a meter; a reason that it doesn't give is any."""
    expected = recorded(number).document["meters"][meter]
    return expected["status"], expected.get("reason", verdict.reason)


@pytest.mark.parametrize("number", RECORDED)
def test_without_trust_source_a_file_trusts_nobody_and_says_the_rest(number: int) -> None:
    """N3: it is one foreign source, whatever it says of its own."""
    chain = recorded(number)
    node = Judge(chain.evidence, chain.policy)
    file = Judge(read(written(number)), chain.policy)
    trusted = 0
    for meter in chain.meters:
        said, again = node.verdict(meter), file.verdict(meter)
        if said.status == "trusted":
            assert (again.status, again.reason) == ("undetermined", "single_source")
            trusted += 1
        else:
            assert (again.status, again.reason) == (said.status, said.reason)
        assert again.decided_by == said.decided_by
        assert [c.ok for c in again.checks if c.rule == "N3"] == [False]
    assert trusted >= 4


def test_what_a_file_says_of_its_sources_is_not_believed() -> None:
    boast = replace(small(), sources=(Source("node", True), Source("another", True)))
    assert read_evidence(write_evidence(boast), source="file x").sources == (Source("file x", False),)


# ---- a small one, with everything that evidence can hold


METER = "1EMH0012345003"
#: METER's certificate, a transaction that it spends, one of another meter that waits here, and one that is not here.
TX = recorded(1).document["meters"][METER]["txid"]
SPENT = recorded(1).evidence.transactions[TX].tx.inputs[0].txid
WAITING = recorded(1).document["meters"]["1EMH0012345002"]["txid"]
OTHER = recorded(1).evidence.transactions[recorded(1).document["meters"]["1EMH0012345001"]["txid"]].tx


@cache
def small() -> Evidence:
    """What it takes to trust METER, a transaction that waits, and some things that could not be had."""
    everything = recorded(1).evidence
    names = (f"bp/{METER}", "bp_organization/Elektro Müller & Söhne")
    wanted = [write.tx for name in names for write in everything.writes(name.encode())]
    wanted += [everything.transactions[spent.txid].tx for tx in wanted for spent in tx.inputs]
    return Evidence(
        REGTEST,
        everything.tip,
        {
            **{tx.txid: everything.transactions[tx.txid] for tx in wanted},
            WAITING: Located(everything.transactions[WAITING].tx, None),
        },
        {**everything.content, cid_of(b"x", RAW): b"x", cid_of(b"", DAG_PB): b""},
        (
            Missing("transaction", "11" * 32, "transaction_missing"),
            Missing("list", cid_of(b"y", RAW).text, "list_missing"),
            Missing("history", b"bp/1EMH".hex(), "flooded"),
        ),
        (Source("file", False),),
    )


def test_the_small_evidence_is_enough_for_trust() -> None:
    """So that the damage below is done to something that matters."""
    policy = replace(recorded(1).policy, trust_source=True)
    assert Judge(small(), policy).verdict(METER).status == "trusted"
    assert Judge(replace(small(), transactions={}), policy).verdict(METER).status == "unknown"


def test_everything_that_evidence_can_hold_goes_round() -> None:
    assert facts(read(write_evidence(small()))) == facts(small())
    assert write_evidence(read(write_evidence(small()))) == write_evidence(small())


def test_the_same_evidence_gives_the_same_bytes() -> None:
    """Whatever order it was gathered in, and however its CIDs were written."""

    def reversed_(entries: Mapping[Any, Any]) -> dict[Any, Any]:
        return dict(reversed(list(entries.items())))

    again = replace(
        small(),
        transactions=reversed_(small().transactions),
        content={
            Cid(cid.codec, cid.digest, version=0 if cid.codec == DAG_PB else 1): block
            for cid, block in reversed_(small().content).items()
        },
    )
    assert write_evidence(again) == write_evidence(small())


def test_the_file_is_what_formats_md_says() -> None:
    document = json.loads(write_evidence(small()))
    assert set(document) == {
        *(
            "format",
            "network",
            "tip",
            "transactions",
            "lists",
            "names",
            "missing",
            "sources",
            "headers",
            "proofs",
        ),
    }
    assert (document["format"], document["network"]) == ("doitrust-evidence/1", "regtest")
    assert (document["headers"], document["proofs"]) == ([], {})
    assert document["tip"]["height"] == recorded(1).document["tip"]
    assert {"hex", "block", "height", "position"} <= set.intersection(
        *(set(entry) for entry in document["transactions"].values())
    )
    waiting = document["transactions"][WAITING]
    assert (waiting["block"], waiting["height"], waiting["position"]) == (None, None, None)
    for cid, text in document["lists"].items():
        assert cid.startswith("baf")
        base64.b64decode(text, validate=True)
    assert write_evidence(small()).isascii()
    assert write_evidence(small()).endswith(b"}\n")


@pytest.mark.parametrize("network", [REGTEST, DEVNET])
def test_the_network_is_kept(network: Any) -> None:
    assert read(write_evidence(replace(small(), network=network))).network is network


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:01Z"),
        (1_700_000_000, "2023-11-14T22:13:20Z"),
        (2**31, "2038-01-19T03:14:08Z"),
        (2**32 - 1, "2106-02-07T06:28:15Z"),
    ],
)
def test_times_are_utc_to_the_second(seconds: int, text: str) -> None:
    assert iso_time(seconds) == text
    tip = small().tip._replace(time=seconds)
    assert read(write_evidence(replace(small(), tip=tip))).tip == tip


def test_a_time_that_nobody_looked_up_stays_unknown() -> None:
    assert iso_time(None) is None
    located = next(found for found in small().transactions.values() if found.place is not None)
    assert located.place is not None
    unknown = Located(located.tx, located.place._replace(time=None))
    evidence = replace(small(), transactions={located.tx.txid: unknown})
    assert facts(read(write_evidence(evidence))) == facts(evidence)


# ---- bad files, one by one

Path = tuple[str | int, ...]
CID_X = cid_of(b"x", RAW).text
#: Take the field away.
GONE = object()


def document() -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(write_evidence(small()))
    return whole


def changed(*path: str | int, to: object) -> bytes:
    """The small file with something else at `path`."""
    whole = document()
    inner: Any = whole
    for step in path[:-1]:
        inner = inner[step]
    if to is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return json.dumps(whole).encode()


def test_the_file_that_the_bad_ones_are_made_of_is_good() -> None:
    assert facts(read(json.dumps(document()).encode())) == facts(small())


NEEDED: list[Path] = [
    *((name,) for name in ("format", "network", "tip", "transactions", "lists", "missing")),
    *(("tip", name) for name in ("height", "hash")),
    *(("transactions", TX, name) for name in ("hex", "height", "position")),
    *(("missing", 0, name) for name in ("kind", "id", "why")),
]


@pytest.mark.parametrize("path", NEEDED, ids=str)
def test_a_missing_field_is_refused(path: Path) -> None:
    refusal(lambda: read(changed(*path, to=GONE)))


JUNK: list[object] = [
    None,
    True,
    False,
    1,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "\u0661",
    [],
    [[]],
    [{}],
    {},
    {"a": []},
    {"a": 1},
]
#: Each field, and what of `JUNK` is good there.
TYPED: dict[Path, list[object]] = {
    ("format",): [],
    ("network",): [],
    ("tip",): [],
    ("transactions",): [{}],
    ("lists",): [{}],
    ("missing",): [[]],
    ("tip", "height"): [1],
    ("tip", "hash"): [],
    ("tip", "time"): [None],
    ("tip", "work"): [None],
    ("transactions", TX): [],
    ("transactions", TX, "hex"): [],
    ("transactions", TX, "block"): [],
    ("transactions", TX, "height"): [1],
    ("transactions", TX, "position"): [1],
    ("transactions", TX, "time"): [None],
    ("transactions", TX, "below"): [None],
    ("lists", CID_X): [],
    ("missing", 0): [],
    ("missing", 0, "kind"): [],
    ("missing", 0, "id"): ["", "x", "\u0661"],
    ("missing", 0, "why"): [],
}


@pytest.mark.parametrize("value", JUNK, ids=repr)
@pytest.mark.parametrize("path", TYPED, ids=str)
def test_a_field_of_another_type_or_value_is_refused(path: Path, value: object) -> None:
    data = changed(*path, to=value)
    if any(type(value) is type(good) and value == good for good in TYPED[path]):
        read(data)
    else:
        refusal(lambda: read(data))


@pytest.mark.parametrize(
    "path", [("tip", "height"), ("transactions", TX, "height"), ("transactions", TX, "position")], ids=str
)
@pytest.mark.parametrize("value", [-1, -(2**63), 2**31, 2**63, 10**100, 1.0, "1", True])
def test_heights_and_positions_are_integers_within_bounds(path: Path, value: object) -> None:
    refusal(lambda: read(changed(*path, to=value)))


@pytest.mark.parametrize("path", [("tip", "work"), ("transactions", TX, "below")], ids=str)
@pytest.mark.parametrize(
    "value", ["", "0", "0x" + "0" * 62, "0" * 63, "0" * 65, "F" * 64, "-" + "0" * 63, "\uff10" * 64, 1, 2.0]
)
def test_work_is_64_lower_case_digits(path: Path, value: object) -> None:
    refusal(lambda: read(changed(*path, to=value)))


def test_work_below_a_block_that_exceeds_the_whole_chain_s_is_refused() -> None:
    """The report would say that undoing the block takes less than nothing."""
    refusal(lambda: read(changed("transactions", TX, "below", to="f" * 64)))


HASHES = [
    "",
    "00",
    "00" * 31,
    "00" * 33,
    "AB" * 32,
    "0x" + "00" * 31,
    " " + "00" * 32,
    "g" * 64,
    "\uff10" * 64,
    "00" * 32 + "\n",
]


@pytest.mark.parametrize("path", [("tip", "hash"), ("transactions", TX, "block")], ids=str)
@pytest.mark.parametrize("value", HASHES)
def test_hashes_are_64_lower_case_digits(path: Path, value: str) -> None:
    refusal(lambda: read(changed(*path, to=value)))


TIMES = [
    *("", "x", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00z"),
    *("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00.0Z", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z"),
    *("2026-01-01T00:00:60Z", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2106-02-07T06:28:16Z"),
    *("9999-12-31T23:59:59Z", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z\n"),
    *("2026-1-1T0:0:0Z", "\uff12\uff10\uff12\uff16-01-01T00:00:00Z", "2026-01-01T00:00:0\u0660Z"),
]


@pytest.mark.parametrize("path", [("tip", "time"), ("transactions", TX, "time")], ids=str)
@pytest.mark.parametrize("value", TIMES)
def test_times_are_written_in_one_way(path: Path, value: str) -> None:
    refusal(lambda: read(changed(*path, to=value)))


FORMATS = ["doitrust-evidence/2", "doitrust-evidence/1 ", "Doitrust-evidence/1", "doitrust-members/1", ""]
NETWORKS = ["", "Regtest", "regtest ", "bitcoin", "main", "\x1b[31m", "regtest\0"]


@pytest.mark.parametrize(
    ("field", "value"), [*(("format", f) for f in FORMATS), *(("network", n) for n in NETWORKS)]
)
def test_another_format_or_network_is_refused(field: str, value: str) -> None:
    refusal(lambda: read(changed(field, to=value)))


def test_a_transaction_that_does_not_hash_to_its_txid_is_refused() -> None:
    """N1."""
    message = refusal(lambda: read(changed("transactions", TX, "hex", to=OTHER.raw.hex())))
    assert TX in message
    for key in (TX.upper(), " " + TX, TX + "\n", "00" * 32, "", "x", "\x1b[31m", "\u202e" * 500):
        whole = document()
        whole["transactions"][key] = whole["transactions"].pop(TX)
        refusal(read, json.dumps(whole).encode(), most=1000)


@pytest.mark.parametrize(
    "digits",
    ["", "0", "00", "zz", "é", "0x00", OTHER.raw.hex()[:-2], OTHER.raw.hex() + "00", OTHER.raw.hex()[:-1]],
)
def test_bytes_that_are_no_transaction_are_refused(digits: str) -> None:
    refusal(lambda: read(changed("transactions", TX, "hex", to=digits)))


def test_a_witness_may_be_damaged_but_nothing_else() -> None:
    """It is no part of the txid: the judge will see what it is worth. Every other byte is."""
    raw = bytearray(recorded(1).evidence.transactions[TX].tx.raw)
    assert raw[4:6] == b"\0\1"
    for at in (0, 50, 100, len(raw) - 1):
        raw[at] ^= 1
        refusal(lambda: read(changed("transactions", TX, "hex", to=bytes(raw).hex())))
        raw[at] ^= 1
    raw[-10] ^= 1
    evidence = read(changed("transactions", TX, "hex", to=bytes(raw).hex()))
    assert evidence.transactions[TX].tx.raw == raw
    verdict = Judge(evidence, replace(recorded(1).policy, trust_source=True)).verdict(METER)
    assert (verdict.status, verdict.reason) == ("undetermined", "bad_data")


@pytest.mark.parametrize("size", [10_000, 70_000])
def test_a_script_of_any_length_is_read(size: int) -> None:
    """Consensus bounds what a script may push when it runs, not what an output may hold."""
    long = b"\x4e" + size.to_bytes(4, "little") + bytes(size)
    script = b"\x5a" + long + long + b"\x6d\x75\x51"
    tx = Transaction.build(0x7100, 0, [(Input(TX, 0, b"", ()), 0)], [Output(1, script)])
    entry = {"hex": tx.raw.hex(), "block": None, "height": None, "position": None}
    evidence = read(changed("transactions", to={tx.txid: entry}))
    assert evidence.transactions[tx.txid].tx.raw == tx.raw
    assert evidence.names == []


def test_a_block_of_content_that_does_not_hash_to_its_cid_is_refused() -> None:
    """N1."""
    refusal(lambda: read(changed("lists", CID_X, to=base64.b64encode(b"y").decode())))
    refusal(lambda: read(changed("lists", to={cid_of(b"y", RAW).text: base64.b64encode(b"x").decode()})))


@pytest.mark.parametrize(
    "text", ["eA", "eA=", "eA===", "e A==", "eA==\n", "\neA==", "e-A=", "é", "eA==eA==", "=", "eA==!"]
)
def test_bad_base64_is_refused(text: str) -> None:
    assert read(changed("lists", CID_X, to="eA==")).content[cid_of(b"x", RAW)] == b"x"
    refusal(lambda: read(changed("lists", CID_X, to=text)))


@pytest.mark.parametrize(
    "cid", ["", "x", CID_X[:-1], CID_X.title(), " " + CID_X, "bafkqaaa", "\x1b[31m" * 100, "Qm" + "1" * 44]
)
def test_what_is_no_cid_is_refused(cid: str) -> None:
    refusal(lambda: read(changed("lists", to={cid: "eA=="})))


def test_two_cids_of_one_block_are_one_block() -> None:
    """A CID may be written in several ways; the digest is what is checked."""
    block = b"\n\x02\x08\x01"
    v1 = cid_of(block, DAG_PB)
    texts = {v1.text: base64.b64encode(block).decode(), v1.text.upper(): base64.b64encode(block).decode()}
    assert read(changed("lists", to=texts)).content == {v1: block}


# ---- one chain


def place_of(txid: str) -> Place:
    place = small().transactions[txid].place
    assert place is not None
    return place


def test_two_blocks_at_one_height_are_refused() -> None:
    whole = document()
    whole["transactions"][SPENT]["height"] = whole["transactions"][TX]["height"]
    assert place_of(SPENT).block != place_of(TX).block
    assert str(place_of(TX).height) in refusal(lambda: read(json.dumps(whole).encode()))


def test_another_block_at_the_tip_s_height_than_the_tip_is_refused() -> None:
    tip = small().tip
    assert str(tip.height) in refusal(lambda: read(changed("transactions", TX, "height", to=tip.height)))
    whole = document()
    whole["transactions"][TX] |= {"height": tip.height, "block": tip.hash}
    assert read(json.dumps(whole).encode()).transactions[TX].place == place_of(TX)._replace(
        height=tip.height, block=tip.hash
    )


def test_two_transactions_at_one_position_are_refused() -> None:
    whole = document()
    entry = whole["transactions"][SPENT]
    entry |= {name: whole["transactions"][TX][name] for name in ("block", "height", "position")}
    refusal(lambda: read(json.dumps(whole).encode()))
    entry["position"] += 1
    assert len(read(json.dumps(whole).encode()).transactions) == len(small().transactions)


@pytest.mark.parametrize("name", ["height", "position"])
def test_a_height_or_position_without_a_block_is_refused(name: str) -> None:
    refusal(lambda: read(changed("transactions", WAITING, name, to=1)))
    refusal(lambda: read(changed("transactions", TX, "block", to=None)))
    refusal(lambda: read(changed("transactions", TX, "block", to=GONE)))


def test_one_block_at_two_heights_is_refused() -> None:
    """One of the two is invented."""
    whole = document()
    whole["transactions"][SPENT]["block"] = whole["transactions"][TX]["block"]
    refusal(lambda: read(json.dumps(whole).encode()))


def test_what_lies_above_the_tip_is_no_evidence() -> None:
    """N4: it is refused or counts for nothing."""
    evidence = attempt(read, changed("transactions", TX, "height", to=small().tip.height + 1))
    if evidence is not None:
        assert TX not in {write.tx.txid for name in evidence.names for write in evidence.writes(name)}


# ---- what was missing


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "lists", "id": "x", "why": "list_missing"},
        {"kind": "list", "id": "x", "why": "because"},
        {"kind": [], "id": "x", "why": "list_missing"},
        {"kind": {}, "id": "x", "why": "list_missing"},
        {"kind": "list", "id": "x", "why": []},
        {"kind": "list", "id": "x", "why": {"a": 1}},
        {"kind": "list", "id": 1, "why": "list_missing"},
        {"kind": None, "id": None, "why": None},
        "list",
        ["list", "x", "list_missing"],
    ],
    ids=str,
)
def test_a_missing_thing_of_unknown_form_is_refused(entry: object) -> None:
    refusal(lambda: read(changed("missing", to=[entry])))


# ---- the file as bytes


@pytest.mark.parametrize("number", RECORDED)
def test_a_recorded_chain_s_file_is_within_the_limit(number: int) -> None:
    assert len(written(number)) < evidence_file.MAX_BYTES == 256 * 1024 * 1024


def test_a_file_over_the_limit_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_evidence(small())
    monkeypatch.setattr(evidence_file, "MAX_BYTES", len(data))
    read(data)
    monkeypatch.setattr(evidence_file, "MAX_BYTES", len(data) - 1)
    assert str(len(data) - 1) in refusal(lambda: read(data))
    assert str(len(data) - 1) in refusal(lambda: read(b"\xff" * len(data)))


def test_a_file_cut_anywhere_is_refused() -> None:
    data = write_evidence(small())
    for end in range(len(data) - 2):
        refusal(read, data[:end])
    assert facts(read(data[:-1])) == facts(small())


NO_FILES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "twice": lambda data: data * 2,
    "bytes behind": lambda data: data + b"x",
    "a byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "not UTF-8": lambda data: data.replace(b"regtest", b"regtest\xff"),
    "an array": lambda data: b"[" + data + b"]",
    "a key twice": lambda data: data.replace(b'"network"', b'"network": "mainnet", "network"'),
    "a transaction twice": lambda data: data.replace(f'"{TX}"'.encode(), f'"{TX}": {{}}, "{TX}"'.encode()),
    "NaN": lambda data: data.replace(b'"proofs": {}', b'"proofs": {"x": NaN}'),
    "a lone surrogate": lambda data: data.replace(b'"proofs": {}', b'"proofs": {"x": "\\ud800"}'),
    "nesting of 9": lambda data: data.replace(b'"headers": []', b'"headers": [[[[[[[[[]]]]]]]]]'),
    "a million levels": lambda data: data.replace(b'"headers": []', b'"headers": ' + b"[" * 10**6),
    "a million levels, closed": lambda data: data.replace(
        b'"headers": []', b'"headers": ' + b"[" * 10**6 + b"]" * 10**6
    ),
    "something else": lambda _: b"%PDF-1.7",
    "nulls": lambda _: bytes(1000),
}


@pytest.mark.parametrize("case", NO_FILES)
def test_what_is_no_strict_json_is_refused_quickly(case: str) -> None:
    data = NO_FILES[case](write_evidence(small()))
    assert data != write_evidence(small())
    before = time.perf_counter()
    refusal(lambda: read(data))
    assert time.perf_counter() - before < 2


def test_fields_for_proofs_and_unknown_ones_are_left_alone() -> None:
    """«The last two reserved for proofs»: a later version's file is still evidence to this one."""
    for field in ("headers", "proofs", "x"):
        for value in ([], {}, [{"x": 1}], {"x": [1]}):
            assert facts(read(changed(field, to=value))) == facts(small())


def readable(data: bytes) -> None:
    """Bytes are evidence that can be judged and written again, or refused; nothing else may happen."""
    evidence = attempt(read, data)
    if evidence is None:
        return
    for txid, found in evidence.transactions.items():
        assert found.tx.txid == txid
    for cid, block in evidence.content.items():
        assert cid.matches(block)
    assert facts(read(write_evidence(evidence))) == facts(evidence)
    for trust_source in (False, True):
        judge = Judge(evidence, replace(recorded(1).policy, trust_source=trust_source))
        for meter in (METER, "1EMH0012345024"):
            verdict = judge.verdict(meter)
            assert verdict.checks
            assert verdict.status != "trusted" or (trust_source and meter == METER)


@given(st.data())
def test_any_damage_to_a_file_leaves_it_readable_or_refused(data: st.DataObject) -> None:
    readable(data.draw(damaged(write_evidence(small()))))


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**33),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from([[], {}, [[]], {"a": {}}, "mainnet", "00" * 32, CID_X, "eA==", "list", "list_missing"]),
)


@given(st.data())
def test_any_value_anywhere_in_a_file_leaves_it_readable_or_refused(data: st.DataObject) -> None:
    """Structured damage: up to three values replaced, taken away or added, at any depth."""
    whole = document()
    for _ in range(data.draw(st.integers(1, 3))):
        inner: Any = whole
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(inner[key], dict | list) or data.draw(st.booleans()):
                if data.draw(st.booleans()):
                    inner[key] = data.draw(values)
                else:
                    del inner[key]
                break
            inner = inner[key]
        if isinstance(inner, dict) and data.draw(st.booleans()):
            inner[data.draw(st.text(max_size=4))] = data.draw(values)
    readable(json.dumps(whole).encode("utf-8", "surrogatepass"))


@given(
    st.builds(
        Tip,
        st.integers(0, 2**31 - 1),
        st.just("ab" * 32),
        st.integers(0, 2**32 - 1),
        st.none() | st.integers(0, 2**256 - 1),
    ),
    st.lists(st.binary(max_size=50), max_size=3),
    st.lists(
        st.builds(
            Missing,
            st.sampled_from(["transaction", "list", "history", "chain"]),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
            st.sampled_from(["transaction_missing", "list_missing", "flooded", "chain_moved", "bad_data"]),
        ),
        max_size=3,
    ),
)
def test_any_evidence_goes_round(tip: Tip, blocks: list[bytes], missing: list[Missing]) -> None:
    content = {cid_of(block, RAW): block for block in blocks}
    evidence = Evidence(REGTEST, tip, {}, content, tuple(missing), (Source("file", False),))
    assert facts(read(write_evidence(evidence))) == facts(evidence)
