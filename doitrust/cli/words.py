"""Verdicts and reasons in words a consumer understands."""

import shlex
from collections.abc import Iterable

from doitrust.text import visible
from doitrust.trust.reports import Status

#: (style, mark, headline) of each verdict.
STATUS = {
    Status.TRUSTED: ("bold green", "✔", "TRUSTED"),
    Status.REVOKED: ("bold red", "✘", "REVOKED"),
    Status.UNDETERMINED: ("bold yellow", "?", "UNDETERMINED"),
    Status.UNCONFIRMED: ("bold yellow", "…", "UNCONFIRMED"),
    Status.UNTRUSTED: ("bold red", "✘", "NOT TRUSTED"),
    Status.UNKNOWN: ("bold red", "✘", "UNKNOWN"),
}

#: Exit status by verdict (formats.md «Exit codes»).
EXIT = {
    Status.TRUSTED: 0,
    Status.UNTRUSTED: 3,
    Status.REVOKED: 3,
    Status.UNKNOWN: 3,
    Status.UNDETERMINED: 4,
    Status.UNCONFIRMED: 4,
}

#: What a reason means for the person who asked; `organization` is the one it is about.
REASON = {
    "malformed_record": "The last record about this meter is not a valid certificate.",
    "organization_not_accepted": "The last record names {organization}, which you have not accepted.",
    "not_a_member": "The last record was not signed by an electrician whom {organization} lists.",
    "member_revoked": "The last record is signed with a key that {organization} has withdrawn.",
    "sighash_not_all": "An electrician of {organization} signed only part of the last record's transaction: "
    "others could change it.",
    "multisig_mismatch": "The last record, for {organization}, gives an address that does not belong to the node "
    "and client that it names.",
    "revoked": "{organization} revoked its certificate, and the last record does not say that it knows.",
    "wrong_node": "The node that answered is not the one that was certified.",
    "list_missing": "A member list of {organization} that could change the answer can't be had now.",
    "transaction_missing": "A transaction that could change what {organization} says can't be had.",
    "bad_data": "The source delivered a signature that can't be in the chain.",
    "single_source": "Only one foreign source says that {organization} certifies this meter, and it could have "
    "left something out.",
    "chain_moved": "The chain kept changing while it was read.",
    "flooded": "There are more records under this name than you wanted to read.",
    "node_unreachable": "The node did not answer the challenge.",
}

#: What to do about it, where something can be done.
ADVICE = {
    "list_missing": "Try again later, or ask the organisation to publish its list again.",
    "transaction_missing": "Ask another source, or a node with -txindex.",
    "bad_data": "Do not rely on this source; ask another.",
    "single_source": "Ask an own node or a second source, or add --trust-source if you mean it.",
    "chain_moved": "Try again.",
    "flooded": "Raise --max-writes if you have the time.",
}

#: The same where saved evidence was judged: nobody else can be asked.
SAVED_ADVICE = ADVICE | {
    "list_missing": "The file can't tell more: save the evidence again, or verify without it.",
    "transaction_missing": "The file can't tell more: save the evidence again, or verify without it.",
    "bad_data": "Do not rely on this file.",
    "single_source": "A file is one foreign source: add --trust-source if you trust whoever gave it to you.",
}


def reason_text(reason: str | None, organization: str | None) -> str:
    """What a reason means, said of the organisation it is about where there is one."""
    named = "an organisation that you accepted" if organization is None else visible(organization, 80)
    return REASON.get(reason or "", "").format(organization=named)


def exit_status(statuses: Iterable[Status]) -> int:
    """The status for several verdicts: 3 before 4 before 0."""
    codes = {EXIT[status] for status in statuses}
    return next((code for code in (3, 4) if code in codes), 0)


def quoted(text: str) -> str:
    """`text` as a shell takes it for one word that is no option."""
    return ("-- " if text.startswith("-") else "") + shlex.quote(text)


NOT_MAINNET = {
    "devnet": "the embedded test chain, not the real market",
    "regtest": "a private test chain, not the real market",
    "testnet": "the public test chain, not the real market",
}
