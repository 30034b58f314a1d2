"""`judge`: from evidence and a policy to a verdict, by the numbered rules. No I/O, no clock, no chance.

The order of work is that of the trust model: organisations (O, M), each write of the meter by itself (C1 to C3,
`findings`), each organisation's succession (C4, C6, `succession`), then the verdict.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

from doitrust.chain.signers import Signatures, names_key
from doitrust.meters.number import record_name
from doitrust.meters.record import Revocation
from doitrust.orgs.pins import Pin
from doitrust.trust.conclusion import Ruling, conclude, organisation_report, write_report
from doitrust.trust.evidence import Evidence, NameWrite
from doitrust.trust.findings import Finding, examine
from doitrust.trust.organisations import Organisation, read_organisation
from doitrust.trust.policy import Policy
from doitrust.trust.reports import Fate, WriteReport
from doitrust.trust.succession import succeed
from doitrust.trust.verdict import Verdict


def judge(evidence: Evidence, policy: Policy, meter: str) -> Verdict:
    """Return the verdict about `meter` (a normalised meter number)."""
    return Judge(evidence, policy).verdict(meter)


class Judge:
    """Judges many meters on the same evidence; organisations are read once.

    `organisations` are those that a judge read from other evidence of the same chain up to the same tip.
    """

    def __init__(
        self, evidence: Evidence, policy: Policy, organisations: Mapping[str, Organisation] | None = None
    ) -> None:
        self.evidence = evidence
        self.policy = policy
        self._known = organisations
        self._signatures: dict[tuple[str, bool], Signatures] = {}

    def signatures(self, write: NameWrite) -> Signatures:
        """Who signed the transaction of `write` (rules S1 to S5)."""
        segwit = write.height >= self.evidence.network.segwit_height
        key = (write.tx.txid, segwit)
        found = self._signatures.get(key)
        if found is None:
            found = self._signatures[key] = Signatures(write.tx, self.evidence.transaction, segwit=segwit)
        return found

    @cached_property
    def organisations(self) -> Mapping[str, Organisation]:
        """The accepted organisations by name, in order of acceptance."""
        if self._known is not None:
            return self._known
        return {pin.name: self.organisation(pin) for pin in self.policy.pins}

    def organisation(self, pin: Pin) -> Organisation:
        """Read one organisation from the evidence, accepted or not."""
        return read_organisation(self.evidence, pin, self.signatures)

    @cached_property
    def listed(self) -> frozenset[bytes]:
        """C5: every key that is or ever was in a list of an accepted organisation's timeline."""
        return frozenset().union(*(o.membership.ever for o in self.organisations.values()))

    def verdict(self, meter: str) -> Verdict:
        """Return the verdict about one meter (a normalised meter number)."""
        name = record_name(meter)
        found = self.evidence.writes(name)
        flaw = self._flaw(name, sum(write.place is not None for write in found))
        if flaw is not None:
            return conclude(self.evidence, self.policy, meter, Ruling((), (), False, 0), flaw)
        findings = [examine(w, self.organisations, self.signatures, self.evidence.network) for w in found]
        waiting = tuple(f.write.tx.txid for f in findings if f.write.place is None and f.certificate)
        # From the mempool only a revocation counts (trust-model «write», C6).
        findings = [f for f in findings if f.write.place is not None or isinstance(f.record, Revocation)]
        ruling = self._rule(findings)._replace(waiting=waiting)
        return conclude(self.evidence, self.policy, meter, ruling, None)

    def _rule(self, findings: Sequence[Finding]) -> Ruling:
        """C4: each accepted organisation alone, over its own writes; then C5 over all of them."""
        tip = self.evidence.tip
        own: dict[str, list[int]] = {}
        for index, finding in enumerate(findings):
            if finding.organization is not None:
                own.setdefault(finding.organization, []).append(index)
        judged = []
        told: dict[int, WriteReport] = {}
        for organisation in self.organisations.values():
            indices = own.get(organisation.pin.name)
            if indices is None:
                continue
            succession = succeed([findings[i] for i in indices], self.policy, tip.height)
            for at, index in enumerate(indices):
                fate, reason, detail = succession.fates[at], succession.reasons[at], succession.details[at]
                told[index] = write_report(findings[index], tip, fate, reason, detail)
            mine = [told[index] for index in indices]
            judged.append(organisation_report(self.evidence, organisation, succession, mine))
        reports = [
            told.get(index) or write_report(f, tip, Fate.REFUSED, f.reason, f.detail)
            for index, f in enumerate(findings)
        ]
        refused = [f for f, r in zip(findings, reports, strict=True) if r.fate is Fate.REFUSED]
        listed = sum(self._signed_by_listed(finding.write) for finding in refused)
        return Ruling(tuple(judged), tuple(reports), listed > 0, len(refused) - listed)

    def _signed_by_listed(self, write: NameWrite) -> bool:
        """C5: whether a listed key signed any input of the write, with whatever sighash."""
        if not names_key(write.tx, self.listed):
            return False
        return any(answer.key in self.listed for answer in self.signatures(write).answers())

    def _flaw(self, name: bytes, writes: int) -> str | None:
        """A reason for which nothing at all can be said about a name (N4, L4)."""
        if writes > self.policy.max_writes:
            return "flooded"
        return self.evidence.lacks("chain", "tip") or self.evidence.gap(name)
