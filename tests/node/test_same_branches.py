"""Doichain Core and the devnet give blocks up and take them again alike: after each step they are on the same tip."""

from collections import Counter
from pathlib import Path

import pytest
from arena import Arena, arena_in
from core_node import needs_core
from test_same_fate import Walk

pytestmark = needs_core

STEPS = 120


def _step(arena: Arena, walk: Walk, known: list[str]) -> str:
    """Do something to both; returns what."""
    chance, devnet = walk.chance, arena.world.devnet
    verb = chance.choice(
        ("send", "send", "mine", "mine", "mine many", "give up", "give up deep", "take again")
    )
    if verb == "send":
        raw = walk.pay()
        assert arena.compare(("sendrawtransaction", raw.hex())) == []
    elif verb in ("mine", "mine many"):
        known += devnet.mine(chance.choice((1, 2, 3)) if verb == "mine" else chance.choice((9, 10, 11, 12)))
        arena.sync()
    else:
        tip = devnet.tip().height
        depth = chance.randrange(3) if verb == "give up" else chance.randrange(8, 13)
        block = devnet.hash_at(tip - depth) if verb != "take again" and tip - depth > 110 else None
        method = "reconsiderblock" if verb == "take again" else "invalidateblock"
        assert arena.compare((method, block or chance.choice(known))) == []
    return verb


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_random_walk_among_branches(tmp_path: Path, seed: int) -> None:
    counted: Counter[str] = Counter()
    wrong: list[str] = []
    with arena_in(tmp_path) as arena:
        walk = Walk(arena, seed)
        known = arena.world.devnet.mine(2)
        arena.sync()
        for number in range(STEPS):
            before = arena.world.devnet.tip().hash
            verb = _step(arena, walk, known)
            moved = arena.world.devnet.tip().hash != before
            counted[f"{verb}: {'another tip' if moved else 'the same tip'}"] += 1
            wrong += [f"step {number}, {verb}: {text}" for text in arena.compare(("getbestblockhash",))]
            found = (
                arena.twins.differ(method, ordered=False) for method in ("getrawmempool", "name_pending")
            )
            wrong += [f"step {number}, {verb}: {text}" for text in found if text is not None]
            assert wrong == [], "\n".join(wrong)
        assert arena.compare(("getblockheader", arena.world.devnet.tip().hash)) == []
    for what, count in sorted(counted.items()):
        print(f"compared: {count:3} {what}")  # noqa: T201  # for whoever looks with -s
