"""What the commands of `doitrust org` share: names and txids as typed, candidates shown."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from doitrust.cli.app import App
from doitrust.cli.tree import counted
from doitrust.cli.views import owner_view
from doitrust.cli.words import quoted
from doitrust.errors import BadData, Usage
from doitrust.orgs.names import check_name
from doitrust.orgs.pins import check_txid
from doitrust.text import visible
from doitrust.workflows.organisations import Candidate

#: What NAME is, for help.
ORGANISATION = "The organisation's name, exactly as it stands on the chain."


def organisation_name(text: str) -> str:
    """Return `text` if it can be an organisation's name; a name that can't be is a mistake of use."""
    try:
        return check_name(text)
    except BadData as error:
        raise Usage(error.message) from None


def read_txid(text: str) -> str:
    """Return the txid in `text`; what is none is a mistake of use."""
    try:
        return check_txid(text)
    except BadData as error:
        raise Usage(error.message) from None


def candidate_value(app: App, candidate: Candidate) -> dict[str, Any]:
    """A root that could be meant, as data."""
    return {
        "root": candidate.root,
        "fingerprint": candidate.fingerprint,
        "height": candidate.height,
        "confirmations": candidate.confirmations,
        "owner": owner_view(candidate.owner_script, app.network),
        "cid": visible(candidate.value.decode("utf-8", "replace"), 120),
    }


def render_candidates(console: Console, name: str, candidates: Sequence[dict[str, Any]]) -> None:
    """Show the candidates and the command that accepts one."""
    for candidate in candidates:
        console.print(
            Text.assemble(
                (candidate["fingerprint"], "bold"),
                f"  block {candidate['height']}, {counted(candidate['confirmations'], 'confirmation')}",
            )
        )
        console.print(Text(f"    root  {candidate['root']}\n    owner {candidate['owner']}", "dim"))
    if candidates:
        console.print()
        console.print(Text(f"doitrust org accept --fingerprint F {quoted(name)}"), soft_wrap=True)
        console.print("with the fingerprint that you compared in place of F.")
