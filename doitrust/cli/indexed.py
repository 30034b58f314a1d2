"""Opening the index of a network's chain, and the row that stands for a verdict in lists of many."""

from collections.abc import Callable
from typing import Any

from doitrust.adapters.index import IndexedSources, IndexedView
from doitrust.chain.networks import DEVNET
from doitrust.cli.app import App
from doitrust.ports import BlockSource, MeterIndex, Progress
from doitrust.trust.evidence_file import iso_time
from doitrust.trust.verdict import Verdict

#: The fields of a row, in the order of the columns of CSV.
COLUMNS = (
    *("meter", "status", "reason", "organization", "electrician", "txid", "height", "confirmations", "time"),
    *("node", "client", "address", "contested", "foreign_writes", "replaced", "network", "tip", "tip_height"),
)


def open_index(app: App, progress: Progress | None) -> Callable[[], MeterIndex]:
    """The index of this network's chain, to be asked for anew for each piece of work."""
    views = open_views(app, progress)
    return lambda: views[0] if len(views) == 1 else IndexedSources(views)


def open_views(app: App, progress: Progress | None) -> list[IndexedView]:
    """The indexes of this network's chain, one a source, in the home."""
    return [
        IndexedView(
            source,
            app.home / f"index-{app.network.name}{'' if number == 1 else f'-{number}'}.db",
            progress=progress,
            tell=app.say,
        )
        for number, source in enumerate(_sources(app), 1)
    ]


def _sources(app: App) -> list[BlockSource]:
    if app.network is DEVNET:
        return [app.devnet]
    from doitrust.adapters.core.settings import core_node

    named = (core_node(app.config, app.network, prefix) for prefix in ("node", "node2"))
    return [node for node in named if node is not None]


def row(verdict: Verdict, *, replaced: bool) -> dict[str, Any]:
    """A verdict in one line: `txid` and what follows it are the deciding write's."""
    by = verdict.decided_by
    deciding = None if by is None else by.deciding
    certificate = None if by is None else by.certificate
    return {
        "meter": verdict.meter,
        "status": verdict.status.value,
        "reason": verdict.reason,
        "organization": None if by is None else by.name,
        "electrician": None if deciding is None or deciding.key is None else deciding.key.hex(),
        "txid": None if deciding is None else deciding.txid,
        "height": None if deciding is None else deciding.height,
        "confirmations": None if deciding is None else deciding.confirmations,
        "time": None if deciding is None else iso_time(deciding.time),
        "node": None if certificate is None else certificate.node.hex(),
        "client": None if certificate is None else certificate.client.hex(),
        "address": None if certificate is None else certificate.ms,
        "contested": verdict.contested,
        "foreign_writes": verdict.foreign_writes,
        "replaced": replaced,
        "network": verdict.network,
        "tip": verdict.tip.hash,
        "tip_height": verdict.tip.height,
    }
