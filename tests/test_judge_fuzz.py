"""The edge of `judge`: whatever bytes a transaction or a list is made of, every meter gets a verdict.

A recorded chain is taken and one thing in it replaced or added by garbage: something that nobody signed. The meters
that have nothing to do with it keep their verdict, and nobody becomes trusted by it.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import RECORDED, attempt, damaged, key_of, recorded

from doitrust.chain.address import address_of, hash160, sha256
from doitrust.chain.names import NameOutput, name_script, read_canonical
from doitrust.chain.networks import REGTEST
from doitrust.chain.scripts import multisig_script, p2pkh, p2sh, p2wpkh, p2wsh, push
from doitrust.chain.signers import Signatures, Signing
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.content.cid import DAG_PB, RAW, cid_of
from doitrust.meters.multisig import pairing_outputs
from doitrust.orgs.pins import Pin, Segment
from doitrust.trust.evidence import Evidence, Located, Missing, Place
from doitrust.trust.judge import Judge
from doitrust.trust.policy import Policy
from doitrust.trust.reports import Status
from doitrust.trust.verdict import Verdict

#: A meter that nobody has written a record for, in any chain.
UNHEARD_OF = "9XYZ000000"
#: The reasons that each verdict may have here (trust-model «Verdicts»).
REASONS: dict[Status, set[str | None]] = {
    Status.TRUSTED: {None},
    Status.REVOKED: {None},
    Status.UNCONFIRMED: {None},
    Status.UNKNOWN: {None},
    Status.UNDETERMINED: {"list_missing", "transaction_missing", "bad_data"},
    Status.UNTRUSTED: {
        *("malformed_record", "organization_not_accepted", "not_a_member", "member_revoked"),
        *("sighash_not_all", "multisig_mismatch", "revoked"),
    },
}


# ---- a recorded chain, and what of it a meter's verdict rests on


@dataclass(frozen=True)
class World:
    """A recorded chain without its idle coinbases, and what is said of each meter in it."""

    number: int
    evidence: Evidence
    policy: Policy
    meters: tuple[str, ...]
    verdicts: dict[str, Verdict]

    @property
    def organisations(self) -> list[bytes]:
        return [b"bp_organization/" + pin.name.encode() for pin in self.policy.pins]

    def writes_of(self, *names: bytes) -> list[Transaction]:
        """Transactions that write these names, each once."""
        found = {w.tx.txid: w.tx for name in names for w in self.evidence.writes(name)}
        return list(found.values())

    def rests_on(self, meter: str) -> set[str]:
        """The txids that a meter's verdict can depend on: its writes', its organisations', and what they spend."""
        writes = self.writes_of(b"bp/" + meter.encode(), *self.organisations)
        return {tx.txid for tx in writes} | {spent.txid for tx in writes for spent in tx.inputs}

    def names_in(self, tx: Transaction) -> set[bytes]:
        return {write.output.name for write in tx.writes}


@cache
def world(number: int) -> World:
    chain = recorded(number)
    wanted = {tx.txid for tx in chain.payments} | {i.txid for tx in chain.payments for i in tx.inputs}
    transactions = {txid: chain.evidence.transactions[txid] for txid in sorted(wanted)}
    evidence = replace(chain.evidence, transactions=transactions)
    meters = (*chain.meters, UNHEARD_OF)
    judge = Judge(evidence, chain.policy)
    return World(number, evidence, chain.policy, meters, {meter: judge.verdict(meter) for meter in meters})


def judged(evidence: Evidence, policy: Policy, meters: Iterable[str]) -> dict[str, Verdict]:
    """The verdicts, each of them checked to be whole: this is «judge always returns a verdict»."""
    judge = Judge(evidence, policy)
    verdicts = {meter: judge.verdict(meter) for meter in meters}
    for verdict in verdicts.values():
        assert verdict.reason in REASONS[verdict.status]
        assert verdict.checks
        assert all(check.detail.isprintable() for check in verdict.checks)
        assert all(warning.isprintable() for warning in verdict.warnings)
        assert (verdict.status is Status.UNKNOWN) == (not verdict.writes)
        by = verdict.decided_by
        if verdict.status is Status.TRUSTED:
            assert by is not None
            assert by.name in {pin.name for pin in policy.pins}
            assert by.certificate is not None
            assert by.deciding is not None
            assert by.deciding.confirmations >= policy.min_confirmations
        if verdict.status in (Status.UNTRUSTED, Status.UNKNOWN):
            assert by is None
    return verdicts


@pytest.mark.parametrize("number", RECORDED)
def test_the_recorded_verdicts_are_what_the_files_expect(number: int) -> None:
    """So that what is broken below was whole."""
    expected = {m: e["status"] for m, e in recorded(number).document["meters"].items()}
    found = {meter: verdict.status for meter, verdict in world(number).verdicts.items()}
    assert found == {**expected, UNHEARD_OF: "unknown"}
    assert (
        judged(world(number).evidence, world(number).policy, world(number).meters) == world(number).verdicts
    )


# ---- garbage


class Parts(NamedTuple):
    """A transaction taken apart."""

    version: int
    lock_time: int
    inputs: tuple[tuple[Input, int], ...]
    outputs: tuple[Output, ...]

    @classmethod
    def of(cls, tx: Transaction) -> "Parts":
        inputs = tuple((i, inner.sequence) for i, inner in zip(tx.inputs, tx._tx.vin, strict=True))
        return cls(tx.version, tx._tx.lock_time, inputs, tx.outputs)

    def build(self) -> Transaction:
        return Transaction.build(*self)

    def with_input(self, at: int, **changes: Any) -> "Parts":
        spent, sequence = self.inputs[at]
        return self._replace(
            inputs=(*self.inputs[:at], (spent._replace(**changes), sequence), *self.inputs[at + 1 :])
        )

    def with_output(self, at: int, output: Output) -> "Parts":
        return self._replace(outputs=(*self.outputs[:at], output, *self.outputs[at + 1 :]))


def members(number: int) -> list[bytes]:
    """Keys that are or were in a list of an accepted organisation."""
    return sorted(Judge(world(number).evidence, world(number).policy).listed)


hashes = st.binary(min_size=20, max_size=20)
scripts = st.one_of(
    hashes.map(p2pkh),
    hashes.map(p2sh),
    hashes.map(p2wpkh),
    st.binary(min_size=32, max_size=32).map(p2wsh),
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"",
            b"\x51",
            b"\x6a",
            b"\x51\x20" + bytes(32),
            b"\x61" + p2wpkh(bytes(20)),
            b"\x4c",
            b"\x4e\xff\xff\xff\xff",
        ]
    ),
    st.builds(name_script, st.binary(max_size=80), st.binary(max_size=300), st.binary(max_size=40)),
)
amounts = st.one_of(
    st.sampled_from([0, -1, 1, 1_000_000, 2**63 - 1, -(2**63)]), st.integers(-(2**63), 2**63 - 1)
)
outputs = st.builds(Output, amounts, scripts)


@st.composite
def values(draw: st.DrawFn, number: int, original: bytes) -> bytes:
    """The value of a record: anything, the original damaged, or a whole record that a stranger could write."""
    chain = recorded(number)
    orgs = st.sampled_from([*chain.document["organizations"], "nobody"])
    kind = draw(st.sampled_from(("bytes", "damaged", "long", "certificate", "revocation", "cid")))
    match kind:
        case "bytes":
            return draw(st.binary(max_size=60))
        case "damaged":
            return draw(damaged(original))
        case "long":
            return original[:100] + b" " * draw(st.integers(420, 65_000))
        case "cid":
            return draw(st.binary(max_size=9).map(lambda block: cid_of(block, RAW).text.encode()))
        case "revocation":
            return json.dumps({"v": 1, "org": draw(orgs), "revoked": draw(st.text(max_size=9))}).encode()
    node, client = draw(st.permutations([key_of("node"), key_of("client"), *members(number)]))[:2]
    addresses = [address_of(script, REGTEST) for script in pairing_outputs(node, client).values()]
    fields = {
        "v": 1,
        "org": draw(orgs),
        "node": node.hex(),
        "client": client.hex(),
        "ms": draw(st.sampled_from(addresses)),
    }
    if draw(st.booleans()):
        fields["after"] = draw(st.sampled_from(sorted(world(number).evidence.transactions)))
    return json.dumps(fields).encode()


@st.composite
def garbled(draw: st.DrawFn, number: int, tx: Transaction) -> Transaction:
    """`tx` with something else in one to three of its parts, signed by nobody."""
    parts, known = Parts.of(tx), world(number).evidence.transactions
    for _ in range(draw(st.integers(1, 3))):
        parts = draw(changes(number, parts))
    raw = parts.build().raw
    if draw(st.integers(0, 4)) == 0:
        raw = draw(damaged(raw))
    new = attempt(Transaction.parse, raw)
    assume(new is not None)
    assert new is not None
    assume(not new.is_coinbase and new.inputs)
    answers = Signatures(new, world(number).evidence.transaction, segwit=True).answers()
    assume(not all(answer.state is Signing.SIGNED and answer.all_ for answer in answers))
    assume(new.txid == tx.txid or new.txid not in known)
    return new


def changes(number: int, parts: Parts) -> st.SearchStrategy[Parts]:
    """One change to a transaction's parts."""
    found = [whole_changes(number, parts)]
    found += [input_changes(number, parts, at) for at in range(len(parts.inputs))]
    for vout, output in enumerate(parts.outputs):
        found.append(output_changes(parts, vout))
        write = read_canonical(output.script)
        if write is not None:  # where it matters, so three times as often
            found += [record_changes(number, parts, vout, write)] * 3
    return st.one_of(found)


@st.composite
def whole_changes(draw: st.DrawFn, number: int, parts: Parts) -> Parts:
    """Another version or lock time, more inputs, more outputs."""
    match draw(st.sampled_from(("version", "lock_time", "outputs", "inputs"))):
        case "version":
            return parts._replace(version=draw(st.sampled_from([0, 1, 0x7100, 0x7101, 0xFFFFFFFF])))
        case "lock_time":
            return parts._replace(lock_time=draw(st.integers(0, 0xFFFFFFFF)))
        case "outputs":
            many = st.just([Output(1, b"\x51")] * 32)
            more = draw(st.one_of(st.lists(outputs, min_size=1, max_size=3), many))
            return parts._replace(outputs=(*parts.outputs, *more))
    txid = draw(st.sampled_from([*world(number).evidence.transactions, "11" * 32]))
    spent = Input(txid, draw(st.integers(0, 3)), b"", ())
    return parts._replace(inputs=(*parts.inputs, *[(spent, 0)] * draw(st.sampled_from([1, 16]))))


@st.composite
def input_changes(draw: st.DrawFn, number: int, parts: Parts, at: int) -> Parts:
    """Another output spent, another scriptSig or witness; look-alikes of members' keys and scripts among them."""
    known = world(number).evidence.transactions
    alike = [b"", *members(number), multisig_script(1, members(number)[:2]), p2wpkh(bytes(20))]
    elements = st.lists(st.one_of(st.binary(max_size=80), st.sampled_from(alike)), max_size=4)
    match draw(st.sampled_from(("prevout", "script_sig", "witness", "junk witness"))):
        case "prevout":
            txid = draw(st.one_of(st.sampled_from(sorted(known)), st.just("11" * 32)))
            return parts.with_input(at, txid=txid, vout=draw(st.sampled_from([0, 1, 2, 7, 0xFFFFFFFF])))
        case "script_sig":
            pushes = elements.map(lambda stack: b"".join(map(push, stack)))
            return parts.with_input(at, script_sig=draw(st.one_of(st.binary(max_size=80), pushes)))
        case "witness":
            return parts.with_input(at, witness=draw(damaged_stack(parts.inputs[at][0].witness)))
    others = [tuple(spent.witness) for tx, _ in known.values() for spent in tx.inputs]
    return parts.with_input(at, witness=draw(st.one_of(st.sampled_from(others), elements.map(tuple))))


@st.composite
def output_changes(draw: st.DrawFn, parts: Parts, vout: int) -> Parts:
    """Another output, or another amount."""
    amount = st.builds(parts.outputs[vout]._replace, value=amounts)
    return parts.with_output(vout, draw(st.one_of(outputs, amount)))


@st.composite
def record_changes(draw: st.DrawFn, number: int, parts: Parts, vout: int, write: NameOutput) -> Parts:
    """Another value, owner or name in a write."""
    names = [f"bp/{meter}".encode() for meter in world(number).meters] + world(number).organisations
    new = draw(
        st.one_of(
            st.builds(write._replace, value=values(number, write.value)),
            st.builds(write._replace, owner_script=scripts),
            st.builds(write._replace, name=st.one_of(st.sampled_from(names), st.binary(max_size=20))),
        )
    )
    return parts.with_output(vout, parts.outputs[vout]._replace(script=name_script(*new)))


@st.composite
def damaged_stack(draw: st.DrawFn, stack: Iterable[bytes]) -> tuple[bytes, ...]:
    """A witness cut off, emptied, reordered, doubled, or with a damaged element."""
    elements = list(stack)
    match draw(st.sampled_from(("cut", "front", "order", "more", "damage"))):
        case "cut":
            return tuple(elements[: draw(st.integers(0, len(elements)))])
        case "front":
            return tuple(elements[draw(st.integers(0, len(elements))) :])
        case "order":
            return tuple(draw(st.permutations(elements)))
        case "more":
            return (*elements, *elements, *[b""] * draw(st.integers(0, 200)))
    at = draw(st.integers(0, max(0, len(elements) - 1)))
    return tuple(draw(damaged(element)) if n == at else element for n, element in enumerate(elements))


def put(evidence: Evidence, new: Transaction, place: Place | None, instead_of: str | None = None) -> Evidence:
    """The evidence with `new` at `place`, added or in place of another."""
    transactions = {txid: found for txid, found in evidence.transactions.items() if txid != instead_of}
    return replace(evidence, transactions={**transactions, new.txid: Located(new, place)})


def place_of(evidence: Evidence, tx: Transaction) -> Place:
    place = evidence.transactions[tx.txid].place
    assert place is not None
    return place


def untouched(at: World, *touched: Transaction) -> list[str]:
    """Meters whose verdict rests on none of the transactions before and on nothing that they write."""
    txids = {tx.txid for tx in touched}
    names = {name for tx in touched for name in at.names_in(tx)}
    if names & set(at.organisations):
        return []
    return [m for m in at.meters if b"bp/" + m.encode() not in names and not txids & at.rests_on(m)]


def less_certain(before: Verdict) -> set[Status]:
    """What a verdict may become by something that nobody signed.

    Revoked only where it was for one organisation before; that has a test of its own.
    """
    allowed = {before.status, Status.UNDETERMINED}
    if before.status is Status.UNKNOWN:
        allowed.add(Status.UNTRUSTED)
    if any(report.state == "revoked" for report in before.organizations):
        allowed.add(Status.REVOKED)
    return allowed


chains = st.sampled_from(RECORDED)


# ---- a meter's write


@given(chains, st.data())
def test_garbage_in_place_of_a_meter_s_write_makes_nobody_trusted(number: int, data: st.DataObject) -> None:
    at = world(number)
    old = data.draw(st.sampled_from(at.writes_of(*(b"bp/" + meter.encode() for meter in at.meters))))
    new = data.draw(garbled(number, old))
    verdicts = judged(put(at.evidence, new, place_of(at.evidence, old), old.txid), at.policy, at.meters)
    for meter, before in at.verdicts.items():
        if before.status in (Status.UNTRUSTED, Status.UNKNOWN):
            assert verdicts[meter].status is not Status.TRUSTED
    for meter in untouched(at, old, new):
        assert verdicts[meter] == at.verdicts[meter]


@given(chains, st.data())
def test_garbage_beside_any_write_changes_nothing_but_certainty(number: int, data: st.DataObject) -> None:
    """What a stranger can do: add something. The status stays, or can't be told any more."""
    at = world(number)
    names = [name for name in at.evidence.names if name.startswith(b"bp")]
    source = data.draw(st.sampled_from(at.writes_of(data.draw(st.sampled_from(names)))))
    new = data.draw(garbled(number, source))
    assume(new.txid != source.txid)
    place = place_of(at.evidence, source)
    place = place._replace(position=data.draw(st.sampled_from([place.position + 1, 10_000])))
    verdicts = judged(put(at.evidence, new, place), at.policy, at.meters)
    for meter, before in at.verdicts.items():
        assert verdicts[meter].status in less_certain(before)
        for write in verdicts[meter].writes:
            assert write.txid != new.txid or write.fate in ("refused", "unsure")
    for meter in untouched(at, new):
        assert verdicts[meter] == at.verdicts[meter]


def test_a_revocation_is_told_before_the_doubt_about_another_organisation() -> None:
    """The verdicts are tried in the trust model's order, and `revoked` stands before `undetermined`.

    The doubt is a write of the first organisation's that its owner would have signed, with a signature that doesn't
    fit. Both organisations are shown.
    """
    at, meter = world(2), "1REV0000099003"
    assert [report.state for report in at.verdicts[meter].organizations] == ["certificate", "revoked"]
    root = at.evidence.transactions[at.policy.pins[0].segments[0].root].tx
    vout, write = root.writes[0]
    script = name_script(write.name, b"no list", write.owner_script)
    new = Parts.of(root).with_output(vout, root.outputs[vout]._replace(script=script)).build()
    place = place_of(at.evidence, root)._replace(position=10_000)
    verdict = judged(put(at.evidence, new, place), at.policy, [meter])[meter]
    assert [report.state for report in verdict.organizations] == ["undetermined", "revoked"]
    assert (verdict.status, verdict.reason) == (Status.REVOKED, None)


@given(chains, st.data())
def test_garbage_in_the_mempool_changes_nothing_but_certainty(number: int, data: st.DataObject) -> None:
    at = world(number)
    source = data.draw(st.sampled_from(at.writes_of(*at.evidence.names)))
    new = data.draw(garbled(number, source))
    assume(new.txid != source.txid)
    verdicts = judged(put(at.evidence, new, None), at.policy, at.meters)
    for meter, before in at.verdicts.items():
        assert verdicts[meter].status in less_certain(before)
    for meter in untouched(at, new):
        assert verdicts[meter] == at.verdicts[meter]


# ---- what is spent


@given(chains, st.data())
def test_a_write_that_spends_hostile_outputs_is_signed_by_nobody(number: int, data: st.DataObject) -> None:
    """Outputs with any script and any amount, spent by a copy of a write with its own witness or any other."""
    at = world(number)
    old = data.draw(st.sampled_from(at.writes_of(*(b"bp/" + m.encode() for m in at.meters))))
    coins = Parts.of(old)._replace(
        version=1, outputs=tuple(data.draw(st.lists(outputs, min_size=1, max_size=3)))
    )
    previous = coins.build()
    parts = Parts.of(old)
    for index in range(len(parts.inputs)):
        vout = data.draw(st.integers(0, len(previous.outputs)))
        parts = parts.with_input(index, txid=previous.txid, vout=vout)
    new = parts.build()
    place = place_of(at.evidence, old)
    evidence = put(put(at.evidence, previous, place._replace(position=9_999)), new, place, old.txid)
    verdicts = judged(evidence, at.policy, at.meters)
    for meter, before in at.verdicts.items():
        if before.status in (Status.UNTRUSTED, Status.UNKNOWN):
            assert verdicts[meter].status is not Status.TRUSTED
        assert all(w.fate in ("refused", "unsure") for w in verdicts[meter].writes if w.txid == new.txid)


@given(chains, st.data())
def test_another_previous_transaction_is_a_missing_one(number: int, data: st.DataObject) -> None:
    """Its txid is another: what was spent isn't had any more, and nobody is trusted who wasn't."""
    at = world(number)
    writes = at.writes_of(*at.evidence.names)
    txid = data.draw(st.sampled_from(sorted({spent.txid for tx in writes for spent in tx.inputs})))
    old, place = at.evidence.transactions[txid]
    new = (
        data.draw(garbled(number, old))
        if not old.is_coinbase
        else Parts.of(old)._replace(lock_time=99).build()
    )
    assume(new.txid != old.txid)
    verdicts = judged(put(at.evidence, new, place, old.txid), at.policy, at.meters)
    for meter, before in at.verdicts.items():
        if before.status in (Status.UNTRUSTED, Status.UNKNOWN) and not at.names_in(old) & set(
            at.organisations
        ):
            assert verdicts[meter].status is not Status.TRUSTED
    for meter in untouched(at, old, new):
        assert verdicts[meter] == at.verdicts[meter]


BIG = b"\x4e" + (70_000).to_bytes(4, "little") + bytes(70_000)
SCRIPTS: dict[str, bytes] = {
    "a name of 70,000 bytes": b"\x5a" + BIG + b"\1v\x6d\x75" + p2wpkh(bytes(20)),
    "a value of 70,000 bytes": b"\x5a\4name" + BIG + b"\x6d\x75" + p2wpkh(bytes(20)),
    "two cut pushes": b"\x5a\x4e\xff",
    "only drops": b"\x5a\x6d\x75",
    "a name in a name": name_script(b"bp/X", b"v", name_script(b"bp/Y", b"w", p2wpkh(bytes(20)))),
    "a name without an owner": name_script(b"bp/X", b"v", b""),
    "empty": b"",
    "10,001 bytes": b"\x61" * 10_001,
    "all opcodes": bytes(range(256)),
    "p2sh of nothing": p2sh(hash160(b"")),
    "p2wsh of nothing": p2wsh(sha256(b"")),
    "a witness program of 2 bytes": b"\x00\x02\x01\x02",
    "a witness program of version 16": b"\x60\x28" + bytes(40),
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("number", RECORDED)
def test_no_script_stops_the_judge(number: int, script: str) -> None:
    """Spent by a meter's write and by an organisation's, written beside them, and as the owner of the root."""
    at = world(number)
    hostile = Output(1_000_000, SCRIPTS[script])
    pin = at.policy.pins[0]
    root = at.evidence.transactions[pin.segments[0].root].tx
    meter = at.writes_of(b"bp/" + at.meters[0].encode())[0]
    for old in (meter, root):
        place = place_of(at.evidence, old)
        previous = Parts(1, 0, ((Input("11" * 32, 0, b"", ()), 0),), (hostile,)).build()
        stack = (b"\x30" * 71, members(number)[0])
        spending = Parts.of(old).with_input(0, txid=previous.txid, vout=0, witness=stack).build()
        beside = Parts.of(old)._replace(outputs=(*old.outputs, hostile)).build()
        writing = Parts.of(old).with_output(0, hostile).build()
        for new in (spending, beside, writing):
            evidence = put(put(at.evidence, previous, None), new, place, old.txid)
            pins = (Pin(pin.name, (Segment(new.txid),)), *at.policy.pins[1:])
            for policy in (at.policy, replace(at.policy, pins=pins)):
                verdicts = judged(evidence, policy, at.meters)
                assert verdicts[UNHEARD_OF].status is Status.UNKNOWN


# ---- organisations and their lists


@given(chains, st.data())
def test_garbage_in_place_of_an_organisation_s_write_leaves_the_others_alone(
    number: int, data: st.DataObject
) -> None:
    at = world(number)
    name = data.draw(st.sampled_from(at.organisations))
    old = data.draw(st.sampled_from(at.writes_of(name)))
    new = data.draw(garbled(number, old))
    assume(at.names_in(new) <= {name})
    verdicts = judged(put(at.evidence, new, place_of(at.evidence, old), old.txid), at.policy, at.meters)
    organisation = name.removeprefix(b"bp_organization/").decode()
    for meter, before in at.verdicts.items():
        if before.status is Status.UNKNOWN:
            assert verdicts[meter] == before
        named = {write.organization for write in before.writes}
        spent = {spent.txid for tx in at.writes_of(b"bp/" + meter.encode()) for spent in tx.inputs}
        if organisation not in named and old.txid not in spent:
            assert (verdicts[meter].status, verdicts[meter].reason) == (before.status, before.reason)
            assert verdicts[meter].decided_by == before.decided_by


def with_list(at: World, block: bytes, codec: int = RAW) -> tuple[Evidence, Policy, str]:
    """The first organisation with a root that names this block, and no later list; its name."""
    pin = at.policy.pins[0]
    root = at.evidence.transactions[pin.segments[0].root].tx
    vout, write = root.writes[0]
    cid = cid_of(block, codec)
    script = name_script(write.name, cid.text.encode(), write.owner_script)
    new = Parts.of(root).with_output(vout, root.outputs[vout]._replace(script=script)).build()
    evidence = replace(
        put(at.evidence, new, place_of(at.evidence, root), root.txid),
        content={**at.evidence.content, cid: block},
    )
    gone = {tx.txid for tx in at.writes_of(write.name)} - {root.txid}
    kept = {txid: found for txid, found in evidence.transactions.items() if txid not in gone}
    pins = (Pin(pin.name, (Segment(new.txid),)), *at.policy.pins[1:])
    return replace(evidence, transactions=kept), replace(at.policy, pins=pins), pin.name


@given(chains, st.data())
def test_a_list_of_any_bytes_certifies_nobody_whom_it_does_not_name(number: int, data: st.DataObject) -> None:
    at = world(number)
    originals = [block for block in at.evidence.content.values() if block.startswith(b"{")]
    block = data.draw(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from(originals).flatmap(damaged),
            st.just(b"[" * 100_000),
            st.lists(st.sampled_from([key.hex() for key in members(number)]), max_size=3).map(
                lambda k: "\n".join(k).encode()
            ),
        )
    )
    evidence, policy, name = with_list(at, block, data.draw(st.sampled_from([RAW, DAG_PB])))
    for meter, verdict in judged(evidence, policy, at.meters).items():
        by = verdict.decided_by
        if verdict.status is Status.TRUSTED and by is not None and by.name == name:
            assert by.deciding is not None
            assert by.deciding.key is not None
            assert by.deciding.key.hex().encode() in block.lower()
        if at.verdicts[meter].status is Status.UNKNOWN:
            assert verdict.status is Status.UNKNOWN


@pytest.mark.parametrize("number", RECORDED)
def test_a_list_that_names_the_members_is_what_makes_them_so(number: int) -> None:
    """So that the lists above are read at all."""
    at = world(number)
    trusted = []
    for block in (b"\n".join(key.hex().encode() for key in members(number)), b"# nobody"):
        evidence, policy, name = with_list(at, block)
        verdicts = judged(evidence, policy, at.meters).values()
        by = [v.decided_by.name for v in verdicts if v.status is Status.TRUSTED and v.decided_by is not None]
        trusted.append(by.count(name))
    assert trusted[0] > 0
    assert trusted[1] == 0


# ---- everything at once


def each(evidence: Evidence, change: Callable[[Transaction], Transaction]) -> Evidence:
    changed = ((change(tx), place) for tx, place in evidence.transactions.values())
    return replace(evidence, transactions={tx.txid: Located(tx, place) for tx, place in changed})


def without_witness(tx: Transaction) -> Transaction:
    parts = Parts.of(tx)
    return parts._replace(inputs=tuple((i._replace(witness=()), s) for i, s in parts.inputs)).build()


def with_flipped_signatures(tx: Transaction) -> Transaction:
    """Every witness element that begins like a signature, with a bit of its middle flipped."""
    parts = Parts.of(tx)
    for at, (spent, _) in enumerate(parts.inputs):
        stack = [e[:20] + bytes([e[20] ^ 1]) + e[21:] if e[:1] == b"\x30" else e for e in spent.witness]
        parts = parts.with_input(at, witness=tuple(stack))
    return parts.build()


@pytest.mark.parametrize("number", RECORDED)
def test_without_what_trust_rests_on_nobody_is_trusted(number: int) -> None:
    at, evidence = world(number), world(number).evidence
    writes = {tx.txid for tx in at.writes_of(*evidence.names)}
    spent = {i.txid for txid in writes for i in evidence.transactions[txid].tx.inputs}
    unrooted = {pin.segments[0].root for pin in at.policy.pins}
    poorer = {
        "no witnesses": each(evidence, without_witness),
        "damaged witnesses": each(evidence, with_flipped_signatures),
        "no previous transactions": without(evidence, spent),
        "no roots": without(evidence, unrooted),
        "no lists": replace(evidence, content={}),
        "nothing": replace(evidence, transactions={}),
        "a tip below": replace(evidence, tip=evidence.tip._replace(height=1)),
        "no places": replace(
            evidence, transactions={t: Located(f.tx, None) for t, f in evidence.transactions.items()}
        ),
    }
    for what, changed in poorer.items():
        verdicts = judged(changed, at.policy, at.meters)
        assert Status.TRUSTED not in {verdict.status for verdict in verdicts.values()}, what
        assert verdicts[UNHEARD_OF].status is Status.UNKNOWN, what
    nobody = replace(at.policy, pins=())
    assert Status.TRUSTED not in {v.status for v in judged(evidence, nobody, at.meters).values()}


def without(evidence: Evidence, txids: set[str]) -> Evidence:
    return replace(evidence, transactions={t: f for t, f in evidence.transactions.items() if t not in txids})


@given(chains, st.data())
def test_anything_missing_leaves_a_verdict_and_makes_no_unknown_meter_known(
    number: int, data: st.DataObject
) -> None:
    at = world(number)
    gone = data.draw(st.sets(st.sampled_from(sorted(at.evidence.transactions)), max_size=8))
    lists = data.draw(st.sets(st.sampled_from(sorted(at.evidence.content, key=str)), max_size=3))
    missing = tuple(Missing("transaction", txid, "transaction_missing") for txid in sorted(gone))
    evidence = replace(
        without(at.evidence, gone),
        content={cid: block for cid, block in at.evidence.content.items() if cid not in lists},
        missing=missing,
    )
    verdicts = judged(evidence, at.policy, at.meters)
    for meter, before in at.verdicts.items():
        if before.status is Status.UNKNOWN:
            assert verdicts[meter].status is Status.UNKNOWN
        if not gone & at.rests_on(meter) and not lists:
            assert verdicts[meter] == before


@given(chains, st.data())
def test_any_places_leave_a_verdict(number: int, data: st.DataObject) -> None:
    """Heights beyond the tip, equal positions, no places: a foreign source may say anything."""
    at = world(number)
    transactions = dict(at.evidence.transactions)
    for txid in data.draw(st.sets(st.sampled_from(sorted(transactions)), min_size=1, max_size=8)):
        height = data.draw(
            st.one_of(st.none(), st.integers(0, at.evidence.tip.height + 9), st.just(2**31 - 1))
        )
        place = place_of(at.evidence, transactions[txid].tx)
        position = data.draw(st.sampled_from([0, 1, 2**31 - 1]))
        new = None if height is None else place._replace(height=height, position=position, time=None)
        transactions[txid] = Located(transactions[txid].tx, new)
    verdicts = judged(replace(at.evidence, transactions=transactions), at.policy, at.meters)
    assert verdicts[UNHEARD_OF].status is Status.UNKNOWN


@given(chains, st.data())
def test_any_policy_leaves_a_verdict_and_only_an_accepted_organisation_s_trust(
    number: int, data: st.DataObject
) -> None:
    at = world(number)
    txids = st.one_of(st.sampled_from(sorted(at.evidence.transactions)), st.just("11" * 32))
    segment = st.builds(Segment, txids, st.one_of(st.none(), txids))
    names = [*recorded(number).document["organizations"], "nobody"]
    pins = data.draw(
        st.lists(
            st.builds(Pin, st.sampled_from(names), st.lists(segment, min_size=1, max_size=3).map(tuple)),
            max_size=3,
            unique_by=lambda pin: pin.name,
        )
    )
    policy = Policy(tuple(pins), data.draw(st.sampled_from([0, 1, 6, 10**9])))
    verdicts = judged(at.evidence, policy, at.meters)
    assert verdicts[UNHEARD_OF].status is Status.UNKNOWN


def test_a_name_with_more_writes_than_allowed_is_flooded() -> None:
    at = world(1)
    most = max(at.meters, key=lambda meter: len(at.writes_of(b"bp/" + meter.encode())))
    count = len(at.writes_of(b"bp/" + most.encode()))
    for allowed, flooded in ((count, False), (count - 1, True)):
        verdict = Judge(at.evidence, replace(at.policy, max_writes=allowed)).verdict(most)
        assert (verdict.reason == "flooded") is flooded


def test_the_garbage_is_of_every_kind() -> None:
    """What the properties above try: certificates and revocations of every fate, and what is neither."""
    at, seen = world(1), set[str]()

    @settings(max_examples=150, derandomize=True, database=None)
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        old = data.draw(st.sampled_from(at.writes_of(*(b"bp/" + m.encode() for m in at.meters))))
        new = data.draw(garbled(1, old))
        judge = Judge(put(at.evidence, new, place_of(at.evidence, old), old.txid), at.policy)
        for write in (write for meter in at.meters for write in judge.verdict(meter).writes):
            if write.txid == new.txid:
                seen.update((write.kind, str(write.reason)))

    collect()
    assert {"certificate", "revocation", "malformed"} <= seen
    assert {"not_a_member", "organization_not_accepted", "bad_data", "transaction_missing"} <= seen
