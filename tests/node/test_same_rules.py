"""Doichain Core and the devnet accept and refuse the same transactions for the same reasons: a case for each rule."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from arena import WITH_AND_WITHOUT_CORE, Arena, arena_in
from cases import Case, Cases


def _expected(wanted: str, found: str) -> bool:
    return found.startswith(wanted) if wanted else not found


@pytest.mark.thorough(0)
@WITH_AND_WITHOUT_CORE
def test_every_rule(tmp_path: Path, *, alone: bool) -> None:
    counted: Counter[str] = Counter()
    wrong: list[str] = []
    with arena_in(tmp_path, alone=alone) as arena:
        for case in Cases(arena.world).all():
            arena.sync()
            wrong += [f"{case.label}: {text}" for text in _play(arena, case, counted)]
    for rule, count in sorted(counted.items()):
        print(f"compared: {count:3} {rule}")  # noqa: T201  # for whoever looks with -s
    assert wrong == [], "\n".join(wrong)


def _play(arena: Arena, case: Case, counted: Counter[str]) -> Iterator[str]:
    """Send a transaction to both, and mine it in both; yields what is wrong."""
    differences, refused = arena.waiting(case.tx.raw, case.tx)
    yield from differences
    counted[f"waiting: {case.waiting or 'accepted'}"] += 1
    if not _expected(case.waiting, refused):
        yield f"{refused!r} of a mempool, but {case.waiting!r} was expected"
    if not case.mined and not refused:
        # The devnet's own miner makes the block.
        arena.world.devnet.mine(1)
        arena.sync()
        counted["mined: accepted, by the devnet's miner"] += 1
        yield from arena.pools()
        return
    theirs, ours = arena.mined(arena.block([case.tx]))
    counted[f"mined: {case.mined or 'accepted'}"] += 1
    if theirs != ours:
        yield f"{theirs!r} of a block, of the devnet {ours!r}"
    if not _expected(case.mined, theirs):
        yield f"{theirs!r} of a block, but {case.mined!r} was expected"
