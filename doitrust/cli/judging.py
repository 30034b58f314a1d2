"""Judging many meters in several processes, each with a view of its own of the same moment of one index."""

import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

from doitrust.adapters.index import IndexedView, Moment
from doitrust.cli.app import App
from doitrust.cli.indexed import open_views, row
from doitrust.cli.options import Settings
from doitrust.errors import DoitrustError, Unavailable
from doitrust.ports import MeterIndex
from doitrust.trust.policy import Policy
from doitrust.workflows import audit
from doitrust.workflows.audit import Audit, Audited, ChainMoved, Listed
from doitrust.workflows.gather import Survey

#: Fewer meters are judged before the other processes have begun; more processes than this gain little.
FEW, _MOST_PROCESSES = 3_000, 8
#: Parts whose rows wait for one before them.
_MOST_DUE = 64

Row = dict[str, Any]


class _Failure(NamedTuple):
    """What went wrong in another process."""

    message: str
    hint: str
    code: str


class _Ground(NamedTuple):
    """What a process needs to judge."""

    settings: Settings
    policy: Policy
    moment: Moment


def judged(
    app: App, chain: MeterIndex, policy: Policy, found: Audit, rest: Iterable[Listed], *, moving: bool
) -> Iterator[list[Row]]:
    """The rows of `rest`, part by part, in order. Raises `ChainMoved`."""
    processes = min(_processors(), _MOST_PROCESSES)
    if processes > 1 and found.count() >= FEW and isinstance(chain, IndexedView):
        ground = _Ground(app.settings, policy, chain.moment)
        yield from _shared_out(ground, found, rest, processes - 1, moving=moving)
        return
    for part in found.judged(rest, moving=moving):
        yield _rows(part)


def _rows(part: Iterable[Audited]) -> list[Row]:
    return [row(one.verdict, replaced=one.replaced) for one in part]


def _processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shared_out(
    ground: _Ground, found: Audit, rest: Iterable[Listed], others: int, *, moving: bool
) -> Iterator[list[Row]]:
    """Give parts to `others`, and judge the next one here as long as the first that is due isn't done."""
    # Spawned, not forked: that is the same on every system, and no open file is shared.
    pool = ProcessPoolExecutor(others, multiprocessing.get_context("spawn"), _begin, (ground,))
    meters = iter(rest)
    parts = iter(lambda: list(islice(meters, audit.PART)), [])
    due = deque[Future[list[Row] | _Failure | None]]()
    try:
        while True:
            while sum(not one.done() for one in due) < 2 * others and (part := next(parts, None)):
                due.append(pool.submit(_judge, part, moving))
            if due and not due[0].done() and len(due) < _MOST_DUE and (part := next(parts, None)):
                due.append(_done([one for some in found.judged(part, moving=moving) for one in _rows(some)]))
            elif due:
                yield _taken(due.popleft().result())
            else:
                return
    except BrokenExecutor:
        raise Unavailable(
            "a process that judged with us was ended", hint="is there enough memory? Run it again"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _done(rows: list[Row]) -> Future[list[Row] | _Failure | None]:
    future = Future[list[Row] | _Failure | None]()
    future.set_result(rows)
    return future


def _taken(result: list[Row] | _Failure | None) -> list[Row]:
    if result is None:
        raise ChainMoved
    if isinstance(result, _Failure):
        raise DoitrustError(result.message, hint=result.hint, code=result.code)
    return result


# ---- in the other processes


_ground: list[_Ground] = []
_survey: list[Survey] = []


def _begin(ground: _Ground) -> None:
    """Keep what is needed, and end with whoever started us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.freeze()  # what is loaded stays
    _ground.append(ground)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _judge(part: list[Listed], moving: bool) -> list[Row] | _Failure | None:
    """Judge a part; the organisations are read once."""
    try:
        if not _survey:
            _survey.append(_surveyed(_ground[0]))
        verdicts = _survey[0].verdicts([listed.meter for listed in part], moving=moving)
    except DoitrustError as error:
        return _Failure(error.message, error.hint, error.code)
    if verdicts is None:
        return None
    return [row(verdict, replaced=listed.replaced) for verdict, listed in zip(verdicts, part, strict=True)]


def _surveyed(ground: _Ground) -> Survey:
    app = App(ground.settings)
    (view,) = open_views(app, None)
    view.stay_at(ground.moment)
    return Survey(view, app.contents, ground.policy)
