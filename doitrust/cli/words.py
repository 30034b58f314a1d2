"""Verdicts and reasons in words a consumer understands."""

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

#: What a reason means for the person who asked.
REASON = {
    "malformed_record": "The last record about this meter is not a valid certificate.",
    "organization_not_accepted": "The last record names an organisation that you have not accepted.",
    "not_a_member": "The last record was not signed by an electrician whom the organisation lists.",
    "member_revoked": "The last record is signed with a key that the organisation has withdrawn.",
    "sighash_not_all": "The electrician's signature covers only part of the transaction: others could change it.",
    "multisig_mismatch": "The record's address does not belong to the node and client that it names.",
    "revoked": "The certificate was revoked, and the last record does not say that it knows.",
    "wrong_node": "The node that answered is not the one that was certified.",
    "list_missing": "A member list that could change the answer can't be had now.",
    "transaction_missing": "A transaction that could change the answer can't be had.",
    "bad_data": "The source delivered a signature that can't be in the chain.",
    "single_source": "Only one foreign source says so, and it could have left something out.",
    "chain_moved": "The chain kept changing while it was read.",
    "flooded": "There are more records under this name than you wanted to read.",
    "node_unreachable": "The node did not answer the challenge.",
}

#: What to do about it, where something can be done.
ADVICE = {
    "organization_not_accepted": "If you trust that organisation: doitrust org accept NAME",
    "list_missing": "Try again later, or ask the organisation to publish its list again.",
    "transaction_missing": "Ask another source, or a node with -txindex.",
    "bad_data": "Do not rely on this source; ask another.",
    "single_source": "Ask an own node or a second source, or add --trust-source if you mean it.",
    "chain_moved": "Try again.",
    "flooded": "Raise --max-writes if you have the time.",
}

NOT_MAINNET = {
    "devnet": "the embedded test chain, not the real market",
    "regtest": "a private test chain, not the real market",
    "testnet": "the public test chain, not the real market",
}
