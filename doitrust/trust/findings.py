"""Does one write of a meter count for the organisation it names? Rules C1, C2, C3, and the reasons.

Cheap tests come first (L2). A failure while looking at one write makes that write malformed or nobody's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from doitrust.chain.networks import Network
from doitrust.chain.signers import InputSigner, Signatures, Signing, may_be_of
from doitrust.errors import BadData
from doitrust.meters.multisig import is_pairing_address
from doitrust.meters.record import Certificate, Record, Revocation, read_record
from doitrust.orgs.membership import Membership, Standing
from doitrust.text import visible
from doitrust.trust.evidence import NameWrite
from doitrust.trust.organisations import Organisation, Signers


@dataclass(frozen=True, slots=True)
class Finding:
    """A write of a meter, judged by itself.

    `counts` is None where missing data could change it; `reason` says why it doesn't count, or what is missing.
    `key` signed every input with one sighash or another; `by_owner` tells an
    owner's revocation (None: can't be told).
    """

    write: NameWrite
    record: Record | None
    organization: str | None
    counts: bool | None
    reason: str | None
    detail: str
    key: bytes | None = None
    by_owner: bool | None = False

    @property
    def certificate(self) -> Certificate | None:
        """The record, if it is a certificate."""
        return self.record if isinstance(self.record, Certificate) else None


def examine(
    write: NameWrite, organisations: Mapping[str, Organisation], signers: Signers, network: Network
) -> Finding:
    """Judge one write by itself."""
    try:
        record = read_record(write.output.value)
    except BadData as error:
        return Finding(write, None, None, False, "malformed_record", error.message)
    organisation = organisations.get(record.org)
    if organisation is None:
        detail = f"you have not accepted {visible(record.org)!r}"
        return Finding(write, record, None, False, "organization_not_accepted", detail)
    signatures = signers(write)
    membership = organisation.membership
    if isinstance(record, Revocation):
        return _revocation(write, record, membership, signatures)
    counts, reason, detail, key = _one_member(write, membership, signatures.answers(), revoking=False)
    # A mismatch refuses the certificate whatever else can't be told.
    if counts is not False and not is_pairing_address(record.ms, record.node, record.client, network):
        detail = f"{visible(record.ms, 100)} is not the 1-of-2 address of its node and client"
        counts, reason = False, "multisig_mismatch"
    return Finding(write, record, record.org, counts, reason, detail, key)


def _revocation(
    write: NameWrite, record: Revocation, membership: Membership, signatures: Signatures
) -> Finding:
    """C3: a member at that height, or the organisation's owner."""
    owner = membership.owner_signed(signatures, write.height)
    answers = signatures.answers()
    counts, reason, detail, key = _one_member(write, membership, answers, revoking=True)
    by_owner = {Signing.SIGNED: True, Signing.NOBODY: False}.get(owner) if owner is not None else None
    if by_owner:
        counts, reason, detail = True, None, "signed by the organisation's owner"
    elif by_owner is None and counts is False:
        counts, reason, detail = None, _doubt(membership, answers), "whether the owner signed can't be told"
    return Finding(write, record, record.org, counts, reason, detail, key, by_owner)


def _doubt(membership: Membership, answers: tuple[InputSigner, ...]) -> str:
    states = {answer.state for answer in answers}
    if Signing.BAD in states:
        return "bad_data"
    return "transaction_missing" if Signing.MISSING in states else membership.doubt or "transaction_missing"


_Answer = tuple[bool | None, str | None, str, bytes | None]


def _one_member(
    write: NameWrite, membership: Membership, answers: tuple[InputSigner, ...], *, revoking: bool
) -> _Answer:
    """C2: every input is signed, with SIGHASH_ALL, by one and the same key that is a member then.

    Returns (counts, reason, detail, key); the reasons are tried in the order of the trust model.
    """
    keys = {answer.key for answer in answers if answer.state is Signing.SIGNED}
    if None in keys or len(keys) > 1 or any(answer.state is Signing.NOBODY for answer in answers):
        single = next((key for key in keys if key is not None), None) if len(keys) == 1 else None
        detail = "its inputs are not all signed by one and the same key"
        return False, "not_a_member", detail, single if len(answers) == 1 else None
    key = keys.pop() if keys else None
    unsure = [answer for answer in answers if answer.state is not Signing.SIGNED]
    if key is None:
        return _unsigned(membership, answers)
    shown = key.hex()
    standing = (membership.revoker if revoking else membership.certifier)(key, write.height)
    if standing is Standing.NOT_A_MEMBER:
        return False, "not_a_member", f"its signer was no member at height {write.height}: {shown}", key
    if standing is Standing.REVOKED:
        since = membership.withdrawn_from(key, write.height, revoking=revoking)
        detail = f"its signer, withdrawn from height {since} on, signed at height {write.height}: {shown}"
        return False, "member_revoked", detail, key
    if any(answer.state is Signing.BAD and not may_be_of(answer, (key,)) for answer in unsure):
        return False, "not_a_member", "its inputs are not all signed by one and the same key", None
    if not all(answer.all_ for answer in answers if answer.state is Signing.SIGNED):
        return False, "sighash_not_all", f"{shown} signed, but not the whole transaction (SIGHASH_ALL)", key
    if unsure:
        return None, _doubt(membership, answers), "a signature can't be checked", key
    if standing is Standing.UNKNOWN:
        return None, membership.doubt, f"whether {shown} was a member can't be told", key
    return True, None, "signed by a member", key


def _unsigned(membership: Membership, answers: tuple[InputSigner, ...]) -> _Answer:
    """No input could be checked: whose the transaction is stays open, unless no member can spend what it spends."""
    complete = membership.timeline.doubt is None and None not in membership.lists
    if complete and any(a.state is Signing.BAD and not may_be_of(a, membership.ever) for a in answers):
        return False, "not_a_member", "no member's key can sign what it spends", None
    return None, _doubt(membership, answers), "no signature can be checked", None
