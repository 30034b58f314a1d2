"""The parts of a verdict: statuses, what became of each write, what each organisation says, checks."""

from dataclasses import dataclass
from enum import StrEnum

from doitrust.chain.networks import Network
from doitrust.content.cid import Cid
from doitrust.meters.record import Certificate, Revocation
from doitrust.orgs.members import Member
from doitrust.orgs.pins import fingerprint


class Status(StrEnum):
    """The verdicts, in the order in which they are tried (trust-model «Verdicts»)."""

    TRUSTED = "trusted"
    REVOKED = "revoked"
    UNDETERMINED = "undetermined"
    UNCONFIRMED = "unconfirmed"
    UNTRUSTED = "untrusted"
    UNKNOWN = "unknown"


class Fate(StrEnum):
    """What became of one write of a meter in its organisation's judgement."""

    STOOD = "stood"  #: it counted and took effect
    WAITING = "waiting"  #: it counts and needs more confirmations
    REFUSED = "refused"  #: it did not count
    UNSURE = "unsure"  #: whether it counts can't be told


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked: the rule's number, the outcome (None: can't be told) and what was seen."""

    rule: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class WriteReport:
    """One write of a meter: where, what it is, and what became of it.

    `reason` is one of the reasons of `untrusted` (refused) or `undetermined` (unsure). `key` signed it,
    `height` is None for a revocation that waits in a mempool.
    `work` is what its block and those above it took, if known.
    """

    txid: str
    height: int | None
    position: int | None
    confirmations: int
    time: int | None
    work: int | None
    kind: str
    organization: str | None
    fate: Fate
    reason: str | None
    detail: str
    key: bytes | None
    by_owner: bool


@dataclass(frozen=True, slots=True)
class OrganisationReport:
    """One accepted organisation's own judgement of the meter (rule C4), and where it comes from.

    `state`: certificate, revoked, undetermined, unconfirmed or none. `list_cid` is the list in force at the deciding
    write. `doubt` is the reason why its timeline can't be told, if it can't. `ignored` counts the foreign writes of
    the organisation's name (O4). `certificate` or `revocation` is what decides.
    """

    name: str
    state: str
    reason: str | None
    root: str
    root_height: int | None
    network: Network
    doubt: str | None
    timeline_writes: int
    ignored: int
    list_cid: Cid | None
    list_height: int | None
    list_members: int | None
    certificate: Certificate | None
    revocation: Revocation | None
    deciding: WriteReport | None
    electrician: Member | None
    pending: WriteReport | None

    @property
    def fingerprint(self) -> str:
        """The pinned root's fingerprint (rule O2)."""
        return fingerprint(self.network, self.name, self.root)
