"""Doichain Core and the devnet let the same transactions take the place of waiting ones."""

from collections import Counter
from pathlib import Path

from arena import arena_in
from core_node import needs_core
from replacements import steps

pytestmark = needs_core


def test_every_rule_of_replacement(tmp_path: Path) -> None:
    counted: Counter[str] = Counter()
    wrong: list[str] = []
    with arena_in(tmp_path) as arena:
        for label, tx, expected in steps(arena.world):
            differences, refused = arena.waiting(tx.raw, tx)
            wrong += [f"{label}: {text}" for text in differences]
            counted[expected or "accepted"] += 1
            if not (refused.startswith(expected) if expected else not refused):
                wrong.append(f"{label}: {refused!r}, but {expected!r} was expected")
        arena.world.devnet.mine(1)
        arena.sync()
        wrong += arena.pools()
    for rule, count in sorted(counted.items()):
        print(f"compared: {count:3} {rule}")  # noqa: T201  # for whoever looks with -s
    assert wrong == [], "\n".join(wrong)
