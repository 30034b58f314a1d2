"""An accepted organisation as evidence shows it: timeline, lists, membership (rules O2 to O5, M)."""

from collections.abc import Callable
from dataclasses import dataclass

from doitrust.chain.signers import InputSigner
from doitrust.content.cid import Cid, parse_cid
from doitrust.content.unixfs import MissingBlock, NoFile, TooLarge, read_file
from doitrust.errors import BadData
from doitrust.orgs.members import MAX_LIST_BYTES, MemberList, empty_list, read_members
from doitrust.orgs.membership import Membership
from doitrust.orgs.names import record_name
from doitrust.orgs.pins import Pin
from doitrust.orgs.timeline import OrgWrite, Timeline, follow
from doitrust.trust.evidence import Evidence, NameWrite

#: Gives the signers of a transaction at a height.
Signers = Callable[[NameWrite], tuple[InputSigner, ...]]


def list_cid(value: bytes) -> Cid | None:
    """The CID that an organisation's record names, or None if no list can be behind it (rule O5)."""
    try:
        cid = parse_cid(value.decode("ascii"))
    except (BadData, UnicodeDecodeError):
        return None
    return cid if cid.is_file_kind else None


def timeline_of(evidence: Evidence, pin: Pin, signers: Signers) -> Timeline:
    """Walk the organisation's record along the pin."""
    writes = [
        OrgWrite(
            write.tx.txid, write.height, write.place.position, write.output.value, write.output.owner_script,
            signers(write),
        )
        for write in evidence.writes(record_name(pin.name))
        if write.place is not None
    ]  # fmt: skip
    timeline = follow(writes, pin.segments)
    why = evidence.lacks("history", record_name(pin.name).hex())
    if why is not None:
        return Timeline(timeline.steps, timeline.judged, why, 0)
    return timeline


def list_of(evidence: Evidence, value: bytes) -> MemberList | None:
    """The member list behind a record's value; None if its bytes can't be had (rule O5)."""
    cid = list_cid(value)
    if cid is None:
        return empty_list("the record's value is no CID of a list")
    try:
        return read_members(read_file(cid, evidence.content.get, MAX_LIST_BYTES))
    except MissingBlock:
        return None
    except (NoFile, TooLarge) as error:
        return empty_list(error.message)


@dataclass(frozen=True, slots=True)
class Organisation:
    """An accepted organisation: its pin and what follows from it."""

    pin: Pin
    membership: Membership

    @property
    def timeline(self) -> Timeline:
        """The walk that the membership rests on."""
        return self.membership.timeline


def read_organisation(evidence: Evidence, pin: Pin, signers: Signers) -> Organisation:
    """Judge one organisation from evidence."""
    timeline = timeline_of(evidence, pin, signers)
    read: dict[bytes, MemberList | None] = {}
    for step in timeline.steps:
        if step.write.value not in read:
            read[step.write.value] = list_of(evidence, step.write.value)
    lists = [read[step.write.value] for step in timeline.steps]
    return Organisation(pin, Membership.along(timeline, lists))
