"""`doitrust devnet`: recorded chains come in whole or not at all, and the chain does as it is told."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli import (
    MUELLER,
    PASSAU,
    accepted,
    environment,
    failure,
    files_below,
    home,
    load,
    meter,
    run,
    start,
    verdict,
)
from devnet_world import recorded_file, recorded_json
from terminal import Terminal

from doitrust.adapters.pins import PinStore
from doitrust.chain.networks import DEVNET
from doitrust.errors import Unavailable
from doitrust.orgs.pins import Pin, Segment


def status() -> dict[str, Any]:
    value: dict[str, Any] = run("devnet", "status", "--json").value
    return value


def nothing_was_loaded() -> bool:
    """Whether the devnet is as new, no content is there, and nothing is accepted."""
    contents = files_below(home() / "devnet" / "ipfs")
    return status()["blocks"] == 0 and contents == {} and accepted() == []


# ---- import


def test_importing_loads_the_chain_its_contents_and_what_it_accepts() -> None:
    told = run("devnet", "import", recorded_file(1), "--json").value
    assert (told["imported"], told["accepted"]) == (True, [PASSAU, MUELLER])
    assert status()["blocks"] == recorded_json(1)["tip"]
    assert len(files_below(home() / "devnet" / "ipfs")) == len(recorded_json(1)["ipfs"])
    assert accepted() == [PASSAU, MUELLER]


def test_importing_the_same_file_again_does_nothing() -> None:
    run("devnet", "import", recorded_file(1))
    before = status()
    assert run("devnet", "import", recorded_file(1), "--json").value["imported"] is False
    assert status() == before
    assert "already" in run("devnet", "import", recorded_file(1)).out


def test_importing_the_same_file_again_undoes_neither_blocks_nor_pins() -> None:
    load(1)
    run("devnet", "mine", 5)
    run("org", "reject", PASSAU)
    assert run("devnet", "import", recorded_file(1)).status == 0
    assert status()["blocks"] == 548
    assert accepted() == [MUELLER]
    run("devnet", "reorg", 20, "--drop")
    assert run("devnet", "import", recorded_file(1)).status == 0
    assert status()["blocks"] == 549


def test_importing_again_accepts_nothing_that_was_rejected() -> None:
    load(1)
    for name in (PASSAU, MUELLER):
        run("org", "reject", name)
    assert run("devnet", "import", recorded_file(1), "--json").value["accepted"] == []
    assert accepted() == []


def test_the_same_chain_under_another_name_is_the_same(tmp_path: Path) -> None:
    load(1)
    copy = tmp_path / "copy.json"
    copy.write_bytes(recorded_file(1).read_bytes())
    assert run("devnet", "import", copy, "--json").value["imported"] is False


def test_another_file_needs_a_reset_first() -> None:
    load(1)
    message = failure("devnet", "import", recorded_file(2))
    assert "devnet reset" in message
    assert (status()["blocks"], accepted()) == (543, [PASSAU, MUELLER])
    assert run("devnet", "reset", "--yes").status == 0
    assert run("devnet", "import", recorded_file(2)).status == 0
    assert status()["blocks"] == 521
    assert verdict("1REV0000099003")["status"] == "trusted"


def test_a_chain_of_ones_own_is_no_place_for_a_recorded_one() -> None:
    run("devnet", "mine", 1)
    failure("devnet", "import", recorded_file(1))
    assert (status()["blocks"], accepted()) == (1, [])
    assert files_below(home() / "devnet" / "ipfs") == {}


def test_import_needs_no_network_to_be_named() -> None:
    ran = run("devnet", "import", recorded_file(1), env={"DOITRUST_NETWORK": None})
    assert ran.status == 0
    assert accepted() == [PASSAU, MUELLER]


def change(what: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(recorded_file(1).read_bytes())
    what(document)
    return json.dumps(document).encode()


BILLIG_CID = "bafkreig233dbauadrksfnhjhfvkisltdwz7xjdawc6lt4wiwobl3bevjci"

HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "no json": lambda: b"{",
    "an array": lambda: b"[]",
    "not UTF-8": lambda: b'{"network": "\xff"}',
    "too deep": lambda: b"[" * 200_000,
    "a number too long": lambda: b'{"network": ' + b"9" * 5000 + b"}",
    "another network": lambda: change(lambda d: d.update(network="mainnet")),
    "a network with escapes": lambda: change(lambda d: d.update(network="\x1b[31m\u202e")),
    "no blocks": lambda: change(lambda d: d.pop("blocks")),
    "blocks in an object": lambda: change(lambda d: d.update(blocks={})),
    "another genesis block": lambda: change(lambda d: d["blocks"].pop(0)),
    "a block left out": lambda: change(lambda d: d["blocks"].pop(300)),
    "a block twice": lambda: change(lambda d: d["blocks"].insert(300, d["blocks"][300])),
    "a block cut short": lambda: change(lambda d: d["blocks"].__setitem__(500, d["blocks"][500][:-2])),
    "a block that is no hex": lambda: change(lambda d: d["blocks"].__setitem__(500, "\x1b" * 400)),
    "a block that is a number": lambda: change(lambda d: d["blocks"].__setitem__(500, 1)),
    "a changed signature": lambda: change(
        lambda d: d["blocks"].__setitem__(543, d["blocks"][543][:-300] + "00" + d["blocks"][543][-298:])
    ),
    "contents in an array": lambda: change(lambda d: d.update(ipfs=[])),
    "another content": lambda: change(lambda d: d["ipfs"].update({BILLIG_CID: "{}"})),
    "a content that is no text": lambda: change(lambda d: d["ipfs"].update({BILLIG_CID: 1})),
    "a CID with escapes": lambda: change(lambda d: d["ipfs"].update({"\x1b[31m": ""})),
    "organisations in an array": lambda: change(lambda d: d.update(organizations=[])),
    "an organisation without a root": lambda: change(lambda d: d["organizations"][PASSAU].pop("root")),
    "an organisation with escapes": lambda: change(
        lambda d: d["organizations"].update({"\x1b[31m": {"root": "00" * 32, "accepted": True}})
    ),
    "accepted neither true nor false": lambda: change(
        lambda d: d["organizations"][PASSAU].update(accepted="no")
    ),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_in_one_line_and_leaves_nothing(
    tmp_path: Path, content: Callable[[], bytes]
) -> None:
    file = tmp_path / "chain.json"
    file.write_bytes(content())
    failure("devnet", "import", file)
    assert nothing_was_loaded()


def test_an_import_that_is_killed_leaves_nothing_or_all_of_it() -> None:
    process = start("devnet", "import", recorded_file(1))
    database = home() / "devnet" / "chain.sqlite"
    while process.poll() is None and not (database.exists() and database.stat().st_size):
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert status()["blocks"] in (0, 543)
    assert run("devnet", "import", recorded_file(1)).status == 0
    assert verdict(meter(1))["status"] == "trusted"


# ---- the rest


def test_status_tells_where_the_chain_stands() -> None:
    load(1)
    told = status()
    assert told.keys() >= {"directory", "blocks", "tip", "time", "mempool", "automine", "imported", "size"}
    assert (told["blocks"], told["mempool"], told["automine"]) == (543, 0, True)
    text = run("devnet", "status").out
    assert told["tip"] in text
    assert "543" in text


def test_mining_and_reorganising_tell_the_new_height() -> None:
    told = run("devnet", "mine", 3, "--json").value
    assert (told["height"], len(told["blocks"])) == (3, 3)
    assert told["hash"] == told["blocks"][-1] == status()["tip"]
    again = run("devnet", "reorg", 2, "--json").value
    assert (again["height"], len(again["blocks"])) == (4, 3)
    assert not set(again["blocks"]) & set(told["blocks"])
    assert "4" in run("devnet", "reorg", 1, "--drop").out or status()["blocks"] == 5


@pytest.mark.parametrize("count", ["0", "-1", "x", "1.5", ""])
@pytest.mark.parametrize("line", ["mine", "reorg"])
def test_a_count_that_is_none_is_a_mistake_of_use(line: str, count: str) -> None:
    failure("devnet", line, "--", count, status=2)


def test_more_blocks_than_there_are_cannot_be_replaced() -> None:
    run("devnet", "mine", 3)
    assert "3" in failure("devnet", "reorg", 4, status=2)
    assert status()["blocks"] == 3
    assert run("devnet", "reorg", 3).status == 0


def test_automine_is_kept() -> None:
    for state in ("off", "on", "on"):
        assert run("devnet", "automine", state, "--json").value == {"automine": state == "on"}
        assert status()["automine"] is (state == "on")


def test_reset_forgets_chain_and_contents_and_keeps_the_pins() -> None:
    load(1)
    assert run("devnet", "reset", "--yes").status == 0
    assert status()["blocks"] == 0
    assert files_below(home() / "devnet" / "ipfs") == {}
    assert accepted() == [PASSAU, MUELLER]
    assert verdict(meter(1))["status"] == "unknown"


@pytest.mark.parametrize("content", [b"no database", b"\x00" * 4096, b"SQLite format 3\x00" + b"\xff" * 8000])
def test_a_damaged_database_is_told_and_reset_mends_it(content: bytes) -> None:
    load(1)
    database = home() / "devnet" / "chain.sqlite"
    database.write_bytes(content)
    for line in (["devnet", "status"], ["verify", meter(1)], ["org", "list"], ["devnet", "mine", "1"]):
        assert "devnet reset" in failure(*line)
    assert database.read_bytes() == content
    assert run("devnet", "reset", "--yes").status == 0
    assert status()["blocks"] == 0


def test_a_database_cut_short_is_told_and_reset_mends_it() -> None:
    load(1)
    database = home() / "devnet" / "chain.sqlite"
    database.write_bytes(database.read_bytes()[: 100 * 1024])
    failure("devnet", "mine", 1)
    assert run("devnet", "reset", "--yes").status == 0
    assert run("devnet", "import", recorded_file(1)).status == 0


def test_a_damaged_list_is_as_missing() -> None:
    load(1)
    for path in (home() / "devnet" / "ipfs").rglob("bafk*"):
        path.write_bytes(path.read_bytes()[:-1] + b" ")
    told = verdict(meter(2))
    assert (told["status"], told["reason"]) == ("undetermined", "list_missing")


def test_a_reorganisation_says_what_happened() -> None:
    load(1)
    text = run("devnet", "reorg", 3).out
    waiting = status()["mempool"]
    assert "The last 3 blocks are replaced by 4 empty ones" in text
    assert "waits" in text
    assert waiting > 0
    assert f"{waiting} in the mempool" in " ".join(text.split())
    assert "block 544" in text
    text = run("devnet", "reorg", 1, "--drop").out
    assert "The last block is replaced by 2 empty ones" in text
    assert "forgotten" in text


def test_mining_many_blocks_shows_how_far_it_is() -> None:
    with Terminal("devnet", "mine", 1200, env=environment()) as screen:
        screen.expect(r"Mining")
        assert screen.leave() == 0
    assert "The chain is at block 1200 now." in screen.shown
    assert len(run("devnet", "mine", 501, "--json").value["blocks"]) == 501
    assert status()["blocks"] == 1701


def test_pins_of_a_recorded_chain_replace_older_ones_whole_and_lose_their_rank() -> None:
    load(1)
    pins = PinStore(home() / "state.db", DEVNET)
    first, second = pins.all()
    pins.accept(second, first, anew=True)
    assert pins.all() == (second, first)
    broken = Pin("Nobody", (Segment("0" * 64),))
    object.__setattr__(broken, "name", None)  # the database refuses it
    with pytest.raises(Unavailable):
        pins.accept(first, broken, anew=True)
    assert pins.all() == (second, first)
