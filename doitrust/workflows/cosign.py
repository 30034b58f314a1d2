"""Transactions that travel as PSBT: what they ask for, who has signed, and whether what they write will count."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from doitrust.chain.accounts import Account
from doitrust.chain.mandate import OTHER_JOB, Mandate
from doitrust.chain.names import read_as_node, read_canonical, strip_name
from doitrust.chain.psbt import Psbt
from doitrust.chain.psbt_sign import state
from doitrust.chain.tx import Transaction
from doitrust.content.unixfs import MissingBlock, NoFile, TooLarge, read_file
from doitrust.errors import BadData, DoitrustError, Refused
from doitrust.meters.number import number_of_record
from doitrust.meters.record import read_record
from doitrust.orgs.drafting import refuse_lost
from doitrust.orgs.members import MAX_LIST_BYTES, read_members
from doitrust.orgs.names import name_of_record
from doitrust.orgs.pins import Pin
from doitrust.ports import NOT_OURS, ChainView, ContentSource, Signer
from doitrust.trust.evidence import list_cid
from doitrust.trust.policy import MAX_WRITES, Policy
from doitrust.trust.verdict import Verdict
from doitrust.workflows import certify
from doitrust.workflows.organisations import overview


class Signed(NamedTuple):
    """How far one input is."""

    needs: int
    signed: tuple[bytes, ...]
    final: bool


def progress_of(psbt: Psbt) -> list[Signed]:
    """How far each input is; raises `BadData` for a signature that isn't good."""
    return [Signed(*state(psbt, index)) for index in range(len(psbt.inputs))]


def cosign(chain: ChainView, signer: Signer, psbt: Psbt) -> Psbt:
    """Add the signer's signatures to what somebody else drafted; the user has seen it and said yes.

    Which of the signer's accounts has a part in it is found out. Raises `Refused` if none has, or for what our
    signers never do.
    """
    own = frozenset(strip_name(psbt.spent(index).script) for index in range(len(psbt.inputs)))
    if len(own) != 1:
        raise Refused("its inputs belong to several: whose transaction it is can't be told", code=NOT_OURS)
    writes = [found for output in psbt.tx.outputs if (found := read_canonical(output.script)) is not None]
    payments = tuple(
        output
        for output in psbt.tx.outputs
        if output.script not in own and read_as_node(output.script) is None
    )
    height = chain.tip().height + 1
    written = {}
    for spent in psbt.tx.inputs:
        located = chain.transaction(spent.txid)
        if located is not None and located.place is not None:
            written[(spent.txid, spent.vout)] = located.place.height
    refusal: Refused | None = None
    for account in Account:
        mandate = Mandate(
            chain.network,
            account,
            own,
            height,
            writes[0] if writes else None,
            payments,
            written,
        )
        try:
            return signer.sign(psbt, mandate)
        except Refused as error:
            # An account that has no part in it, or another job, says nothing of the others.
            if error.code not in (NOT_OURS, OTHER_JOB):
                refusal = error
    raise refusal or Refused(
        f"{signer.name} has no key for this, or has signed it already, or its key has another job",
        code=NOT_OURS,
    )


class Outlook(NamedTuple):
    """What a transaction's write will count for: a verdict, where there is one, and what can't be told."""

    verdict: Verdict | None = None
    doubt: str | None = None
    #: Where more confirmations are needed than usual before it takes effect (C6): how many.
    late: int | None = None


def outlook(
    chain: ChainView,
    contents: ContentSource,
    policy: Policy,
    tx: Transaction,
    roots: Mapping[str, Pin],
    *,
    once: bool = False,
) -> Outlook:
    """Judge what a signed transaction writes, before it is sent. Raises `Refused` for what would not count.

    `roots` are the pins of organisations that the home knows beside the accepted ones. `once`: a certificate that
    stands already, word for word, is refused, too.
    """
    for _, output in tx.writes:
        meter, org = number_of_record(output.name), name_of_record(output.name)
        if meter is not None:
            case = _case_of(chain, contents, policy, meter, output.value)
            if case is None:
                return Outlook(
                    doubt="you have not accepted its organisation: whether it counts can't be told here"
                )
            if once and certify.stands(case, output.value):
                raise Refused(f"this very certificate of {meter} stands already", code="stands_already")
            verdict, needed = certify.judge_ahead(case, tx, chain)
            return Outlook(verdict, late=needed if needed > policy.min_confirmations else None)
        if org is not None:
            pins: dict[str, Pin] = {**roots, **{pin.name: pin for pin in policy.pins}}
            return check_list(chain, contents, pins.get(org), org, output.value)
    return Outlook()


def _case_of(
    chain: ChainView, contents: ContentSource, policy: Policy, meter: str, value: bytes
) -> certify.Case | None:
    try:
        org = read_record(value).org
    except BadData as error:
        raise Refused(f"this would not count: {error.message}", code="malformed_record") from None
    if org not in {pin.name for pin in policy.pins}:
        return None
    return certify.open_case(chain, contents, policy, meter, org)


def check_list(chain: ChainView, contents: ContentSource, pin: Pin | None, org: str, value: bytes) -> Outlook:
    """Raise `Refused` if a list to be published has lost what earlier lists of `org` withdrew."""
    cid = list_cid(value)
    try:
        data = None if cid is None else read_file(cid, contents.get, MAX_LIST_BYTES)
    except (MissingBlock, NoFile, TooLarge, DoitrustError):
        data = None
    if data is None:
        return Outlook(doubt="the list that it names can't be had: what is in it can't be checked")
    if pin is None:
        return Outlook(doubt=f"the earlier lists of {org} are not known here: have you accepted it?")
    seen = overview(chain, contents, org, pin, MAX_WRITES)
    lists = () if seen.organisation is None else seen.organisation.membership.lists
    refuse_lost([found for found in lists if found is not None], read_members(data))
    return Outlook()


def subject_of(tx: Transaction) -> str:
    """What the journal calls a transaction that was drafted elsewhere: the name it writes, or nothing."""
    for _, output in tx.writes:
        return output.name.decode("utf-8", "backslashreplace")
    return tx.txid


def details_of(tx: Transaction) -> dict[str, Any]:
    """What the journal keeps of it."""
    return {"value": [output.value.hex() for _, output in tx.writes]}
