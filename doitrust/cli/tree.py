"""A verdict for people: the answer, the chain of trust as a tree, what did not count and why."""

from datetime import UTC, datetime
from typing import NamedTuple

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from doitrust.cli.views import warnings
from doitrust.cli.words import ADVICE, NOT_MAINNET, SAVED_ADVICE, STATUS, quoted, reason_text
from doitrust.errors import BadData
from doitrust.orgs.names import check_name
from doitrust.text import visible
from doitrust.trust.reports import Fate, OrganisationReport, Status, WriteReport
from doitrust.trust.verdict import Verdict

#: Writes that did not count, shown without --verbose.
_SHOWN = 5
#: A tip older than this (seconds) is told in words: two hours are twelve blocks.
_STALE = 2 * 3600


class Asked(NamedTuple):
    """How the question was asked.

    `now` is Unix time; `saved` tells that the evidence came from a file; `accepted` whether the user has accepted
    any organisation; `expected` is the organisation that a link named.
    """

    now: int
    saved: bool = False
    verbose: bool = False
    accepted: bool = True
    expected: str | None = None


def render_verdict(console: Console, verdict: Verdict, asked: Asked) -> None:
    """Print one verdict."""
    style, mark, word = STATUS[verdict.status]
    console.print(Text.assemble((f"{mark} {word}", style), "  meter ", (verdict.meter, "bold")))
    console.print(Text(headline(verdict)))
    for line in advice(verdict, asked):
        console.print(Text(line), soft_wrap=True)  # a command in it can be copied
    if verdict.decided_by is not None and verdict.decided_by.deciding is not None:
        console.print()
        console.print(_trust_tree(verdict, verdict.decided_by))
    for line in _notes(verdict, asked.expected):
        console.print(Text(line, "yellow"))
    _print_refused(console, verdict, asked.verbose)
    if asked.verbose:
        _print_checks(console, verdict)
    console.print(Text(_basis(verdict, asked.now, asked.saved), "dim"))
    console.print()


def headline(verdict: Verdict) -> str:
    """Return the verdict in a sentence."""
    by = verdict.decided_by
    if verdict.status is Status.TRUSTED and by is not None:
        return f"Certified by {_who(by)} for {visible(by.name)}."
    if verdict.status is Status.REVOKED and by is not None:
        who = "the organisation's owner" if by.deciding is not None and by.deciding.by_owner else _who(by)
        said = "" if by.revocation is None else f" ({visible(by.revocation.reason, 200)})"
        return f"{visible(by.name)} withdrew its certificate: revoked by {who}{said}."
    if verdict.status is Status.UNCONFIRMED and by is not None and by.deciding is not None:
        return (
            f"Certified by {_who(by)} for {visible(by.name)}, but only {by.deciding.confirmations} of "
            f"{verdict.policy.min_confirmations} blocks deep: come back later."
        )
    if verdict.status is Status.UNKNOWN:
        return unwritten(verdict)
    if verdict.covered is not None:
        return "This evidence was made for other meters and says nothing about this one."
    if verdict.status is Status.UNTRUSTED:
        return reason_text(verdict.reason, verdict.writes[-1].organization)
    return reason_text(verdict.reason, None if by is None else by.name)


def unwritten(verdict: Verdict) -> str:
    """Say that the chain has no record, and whether one waits."""
    if verdict.waiting:
        return "No record about this meter is in a block yet; one waits unconfirmed: come back later."
    return "Nobody has written a record about this meter."


def advice(verdict: Verdict, asked: Asked) -> list[str]:
    """What can be done about the verdict, a line each."""
    if verdict.covered is not None:
        return [f"To judge it: doitrust verify {verdict.meter}"]
    if verdict.status is not Status.UNTRUSTED:
        known = SAVED_ADVICE if asked.saved else ADVICE
        return [known[verdict.reason]] if verdict.reason in known else []
    lines = (
        [] if asked.accepted else ["You have accepted no organisation yet; to see them: doitrust org list"]
    )
    if verdict.reason == "organization_not_accepted":
        lines += _to_accept(verdict.writes[-1].organization or "")
    return lines


def _to_accept(name: str) -> list[str]:
    try:
        return [f"If you trust it: doitrust org accept {quoted(check_name(name))}"]
    except BadData:
        return ["No organisation can be called so."]


def _who(report: OrganisationReport) -> str:
    if report.electrician is not None and report.electrician.name:
        return visible(report.electrician.name, 60)
    key = report.deciding.key if report.deciding is not None else None
    return f"the electrician {key.hex()[:16]}…" if key is not None else "an electrician"


def _trust_tree(verdict: Verdict, report: OrganisationReport) -> Tree:
    """From the user's pin to the node's key, a link a branch: flat, so that every key fits on 80 columns."""
    tree = Tree(Text("you", "bold"), guide_style="dim")
    since = "not in this chain" if report.root_height is None else f"root in block {report.root_height}"
    pin = tree.add(_step(f"accepted {visible(report.name)}, {since}", report.root_height is not None))
    pin.add(Text(report.root))
    pin.add(Text(f"fingerprint {report.fingerprint}"))
    ignored = f"; {counted(report.ignored, 'write')} by strangers ignored" if report.ignored else ""
    tree.add(
        _step(f"its record: {counted(report.timeline_writes, 'write')} signed by its owner{ignored}", True)
    )
    write = report.deciding
    if write is not None and write.by_owner:
        tree.add(_step("the organisation's owner", True))
    elif report.list_cid is not None:
        members = "not to be had" if report.list_members is None else counted(report.list_members, "member")
        text = f"its member list of block {report.list_height}: {members}"
        tree.add(_step(text, bool(report.list_members))).add(Text(report.list_cid.text))
    if write is not None:
        _add_deciding(tree, verdict, report, write)
    return tree


def _add_deciding(tree: Tree, verdict: Verdict, report: OrganisationReport, write: WriteReport) -> None:
    if write.key is not None and not write.by_owner:
        tree.add(_step(_listed_as(report), True)).add(Text(write.key.hex()))
    where = "not in a block yet" if write.height is None else f"block {write.height}{_on(write.time)}"
    depth = "" if write.height is None else f", {counted(write.confirmations, 'confirmation')}"
    certificate = report.certificate
    enough = write.confirmations >= verdict.policy.min_confirmations or None
    signed = tree.add(_step(f"{write.kind}: {where}{depth}", enough if certificate is not None else False))
    signed.add(Text(write.txid))
    if verdict.work:
        signed.add(Text(f"undoing it takes about {_many(verdict.work)} hashes of work", "dim"))
    if certificate is None:
        return
    if certificate.seal:
        signed.add(Text("seal " + ", ".join(visible(number, 40) for number in certificate.seal[:8])))
    tree.add(_step("address, 1 of 2 of node and client", True)).add(Text(visible(certificate.ms, 100)))
    tree.add(_step("the node's key", True)).add(Text(certificate.node.hex()))
    tree.add(_step("the client's key", True)).add(Text(certificate.client.hex()))


def _listed_as(report: OrganisationReport) -> str:
    member = report.electrician
    said = [] if member is None else [visible(text, 40) for text in (member.name, member.licence) if text]
    return "electrician " + (", licence ".join(said) if said else "(the list gives no name)")


def _step(text: str, good: bool | None) -> Text:
    marks = {True: ("✔ ", "green"), False: ("✘ ", "red"), None: ("… ", "yellow")}
    return Text.assemble(marks[good], text)


def _notes(verdict: Verdict, expected: str | None) -> list[str]:
    notes = warnings(verdict, expected)
    if verdict.contested:
        notes.append(
            "Contested: at least one record below that did not count was signed by an electrician whom an "
            "organisation that you accepted lists, or once listed."
        )
    return notes


def _print_refused(console: Console, verdict: Verdict, verbose: bool) -> None:
    others = [write for write in verdict.writes if write.fate in (Fate.REFUSED, Fate.UNSURE)]
    if not others:
        return
    console.print()
    console.print(Text("Records that did not count:", "bold"))
    shown = others if verbose else others[-_SHOWN:]
    for write in shown:
        named = f" for {visible(write.organization, 80)}" if write.organization else ""
        console.print(Padding(Text(f"{_where(write)} {write.kind}{named}"), (0, 0, 0, 2), expand=False))
        console.print(Padding(Text(visible(write.detail, 300), "dim"), (0, 0, 0, 4), expand=False))
    if len(others) > len(shown):
        console.print(Text(f"  and {len(others) - len(shown)} more (--verbose shows all)", "dim"))


def _where(write: WriteReport) -> str:
    return f"block {write.height}:" if write.height is not None else "waiting:"


def _print_checks(console: Console, verdict: Verdict) -> None:
    console.print()
    console.print(Text("Every check, by rule:", "bold"))
    marks = {True: ("✔", "green"), False: ("✘", "red"), None: ("?", "yellow")}
    table = Table.grid(padding=(0, 1))
    for check in verdict.checks:
        mark, style = marks[check.ok]
        table.add_row(Text(f"  {mark}", style), Text(check.rule, style), Text(visible(check.detail, 500)))
    console.print(table)


def _basis(verdict: Verdict, now: int, saved: bool) -> str:
    tip = verdict.tip
    sources = ", ".join(visible(source.name, 60) for source in verdict.sources) or "no source"
    lines = [f"Judged at block {tip.height}{_on(tip.time)}, {_age(now - tip.time)} old. Asked: {sources}."]
    if saved:
        lines.append("This is saved evidence: what happened since is not in it.")
    elif now - tip.time > _STALE and verdict.network not in NOT_MAINNET:
        lines.append("The chain's last block is old: is the node still syncing?")
    if verdict.network in NOT_MAINNET:
        lines.append(f"{verdict.network}: {NOT_MAINNET[verdict.network]}.")
    return "\n".join(lines)


def _age(seconds: int) -> str:
    if seconds < -7200:  # nodes accept two hours (MAX_FUTURE_BLOCK_TIME)
        return "in the future by this machine's clock, not"
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            return counted(seconds // unit, name)
    return "less than a minute"


def _on(seconds: int | None) -> str:
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime(" (%Y-%m-%d %H:%M UTC)")


def _many(number: int) -> str:
    return f"{number:,}" if number < 1_000_000 else f"{number:.1e}"


def counted(number: int, noun: str) -> str:
    """A number of things."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def render_summary(console: Console, verdicts: list[Verdict]) -> None:
    """Print a line a meter and the totals."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("meter", "verdict", "organisation", "reason"):
        table.add_column(column, no_wrap=column in ("meter", "verdict"))
    for verdict in verdicts:
        style, mark, word = STATUS[verdict.status]
        name = "" if verdict.decided_by is None else visible(verdict.decided_by.name)
        table.add_row(
            verdict.meter, Text(f"{mark} {word}", style), Text(name), Text(verdict.reason or "", "dim")
        )
    console.print(table)
    counts = {status: sum(v.status is status for v in verdicts) for status in Status}
    console.print(Text(", ".join(f"{n} {status.value}" for status, n in counts.items() if n), "bold"))
