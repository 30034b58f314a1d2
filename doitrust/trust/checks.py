"""A verdict explained: each rule that was checked, by its number, and what else the user should know."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from doitrust.text import visible
from doitrust.trust.reports import Check, Fate, OrganisationReport, Status, WriteReport

if TYPE_CHECKING:
    from doitrust.trust.verdict import Verdict

#: Writes that did not count are told one by one up to here; all are counted.
_TOLD = 20
#: Certificates that wait in the mempool are told up to here, and so are meters that evidence was made for.
_WAITING = 3
_MADE_FOR = 10


def explain(verdict: "Verdict") -> Iterator[Check]:
    """Yield every check, from the sources to the last write."""
    yield from _source_checks(verdict)
    for report in verdict.organizations:
        yield from _organisation_checks(report)
    if verdict.writes:
        yield Check(
            "L1",
            True,
            f"{_count(len(verdict.writes), 'write')} of bearable size, larger ones are as if absent",
        )
    told = 0
    for write in verdict.writes:
        if write.fate is Fate.REFUSED and (told := told + 1) > _TOLD:
            continue
        yield from _write_checks(write, verdict)
    if told > _TOLD:
        yield Check("C5", True, f"{_count(told - _TOLD, 'more write')} did not count")
    if told:
        listed = "some signed by a listed key" if verdict.contested else "none signed by a listed key"
        foreign = f"{verdict.foreign_writes} {'is' if verdict.foreign_writes == 1 else 'are'} foreign"
        yield Check("C5", True, f"{_count(told, 'write')} changed nothing, {listed}; {foreign}")
    if verdict.status is Status.UNKNOWN:
        yield Check("C1", False, "no record for this meter is in the chain")


def _source_checks(verdict: "Verdict") -> Iterator[Check]:
    tip = verdict.tip
    names = ", ".join(visible(source.name) for source in verdict.sources) or "none"
    own = ", ".join(visible(source.name) for source in verdict.sources if source.own)
    yield Check("N1", True, "every transaction hashes to its txid, every list to its CID")
    detail = f"heights and order from blocks of {own}" if own else "heights and order as the source says"
    yield Check("N2", True if own else None, detail)
    if verdict.policy.suffices(verdict.sources):
        yield Check("N3", True, f"sources: {names}")
    else:
        yield Check("N3", False, f"one foreign source ({names}) could have left something out")
    if verdict.covered is not None:
        yield Check("N3", None, f"this evidence was made for other meters: {_some(verdict.covered)}")
    for fault in _faults(verdict):
        yield Check("N3", False, fault)
    moved = verdict.reason == "chain_moved"
    yield Check(
        "N4", not moved, "the chain kept changing" if moved else f"judged at block {tip.height}, {tip.hash}"
    )
    if verdict.reason == "flooded":
        yield Check("L4", False, f"more than {verdict.policy.max_writes} writes of one name")


def _organisation_checks(report: OrganisationReport) -> Iterator[Check]:
    name = visible(report.name)
    if report.root_height is None:
        yield Check("O2", None, f"{name}: the pinned root {report.root} is not in this chain")
    else:
        yield Check("O2", True, f"{name}: pinned root {report.root} at height {report.root_height}")
    doubt = "" if report.doubt is None else f", the rest can't be told ({report.doubt})"
    detail = f"{name}: {_count(report.timeline_writes, 'write')} by the pin and its owner{doubt}"
    yield Check("O3", True if report.doubt is None else None, detail)
    if report.ignored:
        yield Check("O4", True, f"{name}: {_count(report.ignored, 'foreign write')} of its name ignored")
    if report.list_cid is not None and report.deciding is not None:
        members = "missing" if report.list_members is None else _count(report.list_members, "member")
        detail = f"{name}: list {report.list_cid} of height {report.list_height}, {members}"
        yield Check("O5", report.list_members is not None or None, detail)


def _faults(verdict: "Verdict") -> Iterator[str]:
    for source in verdict.sources:
        if source.fault is not None:
            yield f"{visible(source.name)} is not relied on: {visible(source.fault, 300)}"


#: The rule that a reason belongs to.
_RULES = {
    "malformed_record": "C1",
    "organization_not_accepted": "O2",
    "not_a_member": "M1",
    "member_revoked": "M2",
    "sighash_not_all": "S4",
    "multisig_mismatch": "C2",
    "revoked": "C4",
    "list_missing": "O5",
    "transaction_missing": "S1",
    "bad_data": "S5",
    "flooded": "L4",
}


def _write_checks(write: WriteReport, verdict: "Verdict") -> Iterator[Check]:
    place = "in the mempool" if write.height is None else f"of block {write.height}"
    which = f"{write.kind} {place}, {write.txid}"
    if write.fate is Fate.REFUSED:
        yield Check(_RULES.get(write.reason or "", "C5"), False, f"{write.detail} ({which})")
        return
    if write.fate is Fate.UNSURE:
        yield Check(_RULES.get(write.reason or "", "S1"), None, f"{write.detail} ({which})")
        return
    yield Check("C1", True, f"well formed: {which}")
    if write.kind == "revocation":
        yield Check("C3", True, f"{write.detail}: {which}")
        return
    key = "" if write.key is None else write.key.hex()
    yield Check("S1", True, f"everything it spends is known: {which}")
    yield Check("S4", True, f"every input signed with SIGHASH_ALL by the one key {key}")
    yield Check("M1", True, f"a member then: {key}")
    yield Check("M2", True, f"not withdrawn then: {key}")
    yield Check("C2", True, f"the address is the 1-of-2 of its node and client: {which}")
    yield _depth_check(write, verdict, which)


def _depth_check(write: WriteReport, verdict: "Verdict", which: str) -> Check:
    """C6, and what a 51 % attacker would have to outdo."""
    if write.fate is Fate.WAITING:
        return Check("C6", False, f"{write.detail}: {which}")
    detail = f"{_count(write.confirmations, 'confirmation')}, the least is {verdict.policy.min_confirmations}"
    if write.work:
        detail += f"; its block and those above it took about {write.work:.3g} hashes"
    return Check("C6", True, f"{detail}: {which}")


def _some(meters: Sequence[str]) -> str:
    """The first of some meters, and how many more there are."""
    more = f" and {len(meters) - _MADE_FOR} more" if len(meters) > _MADE_FOR else ""
    return (", ".join(meters[:_MADE_FOR]) or "none") + more


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def warnings(verdict: "Verdict") -> Iterator[str]:
    """Yield what the verdict alone does not say: what other organisations say, what waits."""
    if verdict.covered is not None:
        yield f"this evidence was made for other meters: {_some(verdict.covered)}"
    yield from (f"the source {fault}" for fault in _faults(verdict))
    if verdict.status is not Status.TRUSTED:
        for txid in verdict.waiting[:_WAITING]:
            yield f"the certificate {txid} waits unconfirmed; it is judged once it is in a block"
    by = verdict.decided_by
    for report in verdict.organizations:
        name = visible(report.name)
        if report.pending is not None and report.state in ("certificate", "revoked"):
            yield f"{name}: a later certificate {report.pending.txid} waits, it {report.pending.detail}"
        if report is by or report.state == "none":
            continue
        if report.state == "certificate" and by is not None and report.certificate and by.certificate:
            same = (report.certificate.node, report.certificate.client) == (
                by.certificate.node,
                by.certificate.client,
            )
            yield f"{name} certifies this meter too" + ("" if same else ", with another node or client")
        elif by is not None:
            yield f"for {name} this meter is {report.state}" + (
                f" ({report.reason})" if report.reason else ""
            )
