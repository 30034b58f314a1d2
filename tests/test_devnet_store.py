"""The devnet's files: several processes at once, killed ones, full disks, files that are something else."""

import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from devnet_world import ALICE, ROOT, World, recorded_file

from doitrust.adapters.devnet import Devnet, load
from doitrust.adapters.devnet.store import SCHEMA_VERSION
from doitrust.chain.networks import DEVNET
from doitrust.chain.tx import Output
from doitrust.content.cid import RAW
from doitrust.errors import BadData, Unavailable, Usage

POSIX = pytest.mark.skipif(os.name != "posix", reason="cannot be had here: signals and limits of POSIX")


# ---- several processes


def _mine(directory: Path, count: int, results: "multiprocessing.Queue[list[str]]") -> None:
    devnet = Devnet(directory)
    hashes = [devnet.mine(1)[0] for _ in range(count)]
    devnet.close()
    results.put(hashes)


def test_four_processes_mine_on_one_new_devnet(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[str]] = context.Queue()
    workers = [context.Process(target=_mine, args=(tmp_path / "devnet", 5, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    hashes = [block for _ in workers for block in results.get(timeout=60)]
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    devnet = Devnet(tmp_path / "devnet")
    assert devnet.tip().height == 20
    assert len(set(hashes)) == 20
    assert devnet.standing(hashes) == set(hashes)
    assert devnet.status()["blocks"] == 20
    devnet.close()


def test_what_one_process_does_the_others_see(tmp_path: Path) -> None:
    world = World(tmp_path / "devnet")
    other = Devnet(tmp_path / "devnet")
    tip = other.tip()
    tx = world.write("bp/x", "1")
    world.send(tx)
    cid = world.devnet.contents.put_file(b"list")
    assert other.tip().height == tip.height + 1
    assert other.history(b"bp/x", 9) == [tx.txid]
    assert other.contents.get(cid) == b"list"
    other.reset()
    assert world.devnet.tip().height == 0
    assert world.devnet.contents.get(cid) is None
    other.close()
    world.devnet.close()


def test_a_reader_waits_for_nobody(tmp_path: Path) -> None:
    writer, reader = Devnet(tmp_path), Devnet(tmp_path)
    writer.mine(3)
    with writer._store.changing() as session:
        session.chain.remove_last()
        assert reader.tip().height == 3
    assert reader.tip().height == 2
    reader.close()
    writer.close()


def test_a_devnet_that_stays_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doitrust.adapters.devnet.store.BUSY_SECONDS", 0.05)
    first, second = Devnet(tmp_path), Devnet(tmp_path)
    first.tip()
    with first._store.changing(), pytest.raises(Unavailable, match="busy"):
        second.mine(1)
    assert second.mine(1)
    first.close()
    second.close()


def test_what_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path / "devnet")
    tx, tip = world.pay(Output(10**8, ALICE.p2wpkh)), world.devnet.tip()

    def stop() -> float:
        raise KeyboardInterrupt

    world.devnet._clock = stop
    with pytest.raises(KeyboardInterrupt):
        world.send(tx)  # Ctrl-C between the mempool and the block
    world.devnet._clock = world.clock
    assert world.devnet.waiting() == []
    assert world.devnet.tip() == tip
    assert world.send(tx) == tx.txid
    world.devnet.close()


# ---- killed

_IMPORT = """
import sys
from pathlib import Path
from doitrust.adapters.devnet import Devnet, load
def progress(done, of):
    print(done, flush=True)
Devnet(Path(sys.argv[1])).import_chain(load(Path(sys.argv[2])), progress)
"""


@POSIX
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_import_leaves_no_chain(tmp_path: Path, seed: int) -> None:
    until = random.Random(seed).randrange(1, 540)
    worker = subprocess.Popen(
        [sys.executable, "-c", _IMPORT, str(tmp_path), str(recorded_file(1))],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert worker.stdout is not None
    for line in worker.stdout:
        if int(line) >= until:
            worker.send_signal(signal.SIGKILL)
            break
    worker.stdout.close()
    worker.wait(30)
    devnet = Devnet(tmp_path)
    if worker.returncode != -signal.SIGKILL or devnet.tip().height == 543:
        pytest.fail("the import was done before it could be killed")
    assert devnet.tip().height == 0
    assert devnet.status()["imported"] is None
    assert list(devnet.names(b"")) == []
    assert devnet.import_chain(load(recorded_file(1)))
    assert devnet.tip().height == 543
    devnet.close()


# ---- disks

_LIMITED = """
import resource, sys
from pathlib import Path
from doitrust.adapters.devnet import Devnet, load
from doitrust.errors import Unavailable
devnet = Devnet(Path(sys.argv[1]))
limit = int(sys.argv[3])
if sys.argv[4] == "after":
    devnet.mine(5)
    devnet.close()
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for action in (
    lambda: devnet.import_chain(load(Path(sys.argv[2]))) if sys.argv[4] == "before" else devnet.mine(2000),
    lambda: devnet.mine(2000),
):
    try:
        action()
    except Unavailable as error:
        print(error.message, "|", error.hint)
    else:
        print("done")
"""


@POSIX
@pytest.mark.parametrize(
    ("limit", "when"), [(0, "before"), (1000, "before"), (50_000, "before"), (200_000, "after")]
)
def test_a_limit_on_file_sizes_changes_nothing(tmp_path: Path, limit: int, when: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path), str(recorded_file(1)), str(limit), when],
        capture_output=True,
        cwd=ROOT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "can't be" in line
        assert "free some space" in line or "lift the limit" in line
    devnet = Devnet(tmp_path)
    assert devnet.tip().height == (5 if when == "after" else 0)
    assert len(devnet.mine(3)) == 3
    devnet.close()


@POSIX
def test_a_full_disk(tmp_path: Path) -> None:
    devnet = Devnet(tmp_path)
    devnet.mine(2)
    assert devnet._store._connection is not None
    (pages,) = devnet._store._connection.execute("PRAGMA page_count").fetchone()
    devnet._store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable, match="full") as caught:
        devnet.mine(500)
    assert "free some space" in caught.value.hint
    assert devnet.tip().height == 2
    devnet.close()
    assert len(devnet.mine(500)) == 500
    devnet.close()


@POSIX
def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    devnet = Devnet(tmp_path / "file" / "devnet")
    with pytest.raises(Unavailable, match="can't make the devnet's folder") as caught:
        devnet.tip()
    assert "--devnet" in caught.value.hint


@POSIX
def test_a_database_that_can_not_be_opened(tmp_path: Path) -> None:
    (tmp_path / "chain.sqlite").mkdir()
    with pytest.raises(Unavailable, match="can't be opened") as caught:
        Devnet(tmp_path).tip()
    assert "access rights" in caught.value.hint


# ---- files that are something else


def _foreign_text(path: Path) -> None:
    path.write_bytes(b"I am a letter, not a database.\n" * 100)


def _foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE letters (text)")
    connection.close()


def _newer(path: Path) -> None:
    _made(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()


def _cut(path: Path) -> None:
    _made(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _overwritten(path: Path) -> None:
    _made(path)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)


def _emptied(path: Path) -> None:
    _made(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM blocks")
    connection.close()


def _without_a_table(path: Path) -> None:
    _made(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE blocks")
    connection.close()


def _made(path: Path) -> None:
    devnet = Devnet(path.parent)
    devnet.mine(20)
    devnet.close()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (_foreign_text, "not a database"),
        (_foreign_database, "not a devnet's database"),
        (_newer, "has format 2, this doitrust reads 1"),
        (_cut, "damaged"),
        (_overwritten, "damaged"),
        (_emptied, "no blocks"),
        (_without_a_table, "damaged: no such table"),
    ],
)
def test_a_bad_file_is_one_line_and_a_reset_helps(tmp_path: Path, damage: object, why: str) -> None:
    path = tmp_path / "chain.sqlite"
    damage(path)  # type: ignore[operator]
    before = path.read_bytes()
    devnet = Devnet(tmp_path)
    for _ in range(2):
        with pytest.raises(BadData, match=why) as caught:
            devnet.tip()
        assert "devnet reset" in caught.value.hint
        assert "\n" not in caught.value.message
    devnet.reset()
    assert devnet.tip().hash == DEVNET.genesis
    assert len(devnet.mine(2)) == 2
    aside = tmp_path / "chain.sqlite.damaged"
    if damage is not _emptied:
        assert aside.read_bytes() == before  # nobody's file is deleted
    devnet.close()


def test_a_transaction_whose_bytes_changed_is_not_handed_out(tmp_path: Path) -> None:
    world = World(tmp_path / "devnet")
    tx = world.write("bp/x", "1")
    world.send(tx)
    raw = (world.devnet.block(111) or b"").replace(b"bp/x", b"bp/y")
    world.devnet.close()
    with sqlite3.connect(tmp_path / "devnet" / "chain.sqlite") as connection:
        connection.execute("UPDATE blocks SET raw = ? WHERE height = 111", (raw,))
    connection.close()
    with pytest.raises(BadData, match="damaged"):
        world.devnet.transaction(tx.txid)
    world.devnet.close()


def test_an_empty_file_becomes_a_devnet(tmp_path: Path) -> None:
    (tmp_path / "chain.sqlite").write_bytes(b"")
    devnet = Devnet(tmp_path)
    assert devnet.tip().height == 0
    devnet.close()


# ---- reset


def test_a_reset_deletes_blocks_of_content_and_nothing_else(tmp_path: Path) -> None:
    devnet = Devnet(tmp_path)
    devnet.mine(3)
    devnet.automine(False)
    cid = devnet.contents.put(b"block", RAW)
    folder = tmp_path / "ipfs"
    (folder / "ab").mkdir()
    kept = [folder / "letter.txt", folder / "ab" / "letter.txt", folder / "ab" / cid.text]
    for path in kept:
        path.write_bytes(b"mine")
    devnet.reset()
    assert devnet.contents.get(cid) is None
    assert [path.read_bytes() for path in kept] == [b"mine"] * 3
    assert devnet.tip().height == 0
    status = devnet.status()
    assert status["automine"]
    assert status["mempool"] == 0
    assert len(devnet.mine(2)) == 2
    devnet.close()


def test_a_devnet_can_be_reset_before_it_is_made(tmp_path: Path) -> None:
    devnet = Devnet(tmp_path / "devnet")
    devnet.reset()
    assert devnet.tip().height == 0
    with pytest.raises(Usage):
        devnet.reorg(1)
    devnet.close()


def test_opening_is_lazy(tmp_path: Path) -> None:
    started = time.perf_counter()
    for number in range(100):
        Devnet(tmp_path / str(number))
    assert time.perf_counter() - started < 1
    assert list(tmp_path.iterdir()) == []
