"""The journal: coins that one entry spends are no other's, states, several processes, disks that refuse."""

import multiprocessing
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from hashlib import sha256
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pytest
from support import attempt

from doitrust.adapters.wallet import Wallet
from doitrust.chain.networks import DEVNET, REGTEST
from doitrust.chain.scripts import p2wpkh
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.errors import BadData, DoitrustError, Refused, Unavailable
from doitrust.ports import DONE, REFUSED, SENT, SIGNED

SCRIPT = p2wpkh(bytes(20))


def coin(name: str) -> tuple[str, int]:
    return sha256(name.encode()).hexdigest(), len(name)


def spending(*coins: str, pays: int = 1000) -> Transaction:
    inputs = [(Input(*coin(name), b"", (b"signature", b"key")), 0) for name in coins]
    return Transaction.build(2, 0, inputs, [Output(pays, SCRIPT)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "wallet.db"


@pytest.fixture
def wallet(path: Path) -> Wallet:
    return Wallet(path, DEVNET)


def record(wallet: Wallet, tx: Transaction, subject: str = "meter", **details: Any) -> None:
    wallet.record(tx, "certify", subject, 123, 1_800_000_000, details)


def states(wallet: Wallet) -> list[str]:
    return [entry.state for entry in wallet.entries()]


# ---- entries


def test_looking_makes_no_file(wallet: Wallet, path: Path) -> None:
    assert (wallet.entries(), wallet.in_use(), wallet.pairings()) == ([], set(), [])
    assert wallet.pending("certify", "meter") is None
    assert wallet.root("Org") is None
    assert wallet.descriptor(SCRIPT) is None
    assert not path.parent.exists()


def test_an_entry_is_kept_whole(wallet: Wallet, path: Path) -> None:
    tx = spending("a", "b")
    record(wallet, tx, "1EMH0012345678 Müller", value="ä\u0000", fund=[1, 2])
    (entry,) = Wallet(path, DEVNET).entries()
    assert (entry.tx.raw, entry.tx.txid) == (tx.raw, tx.txid)
    assert entry[1:] == (
        SIGNED,
        "certify",
        "1EMH0012345678 Müller",
        123,
        1_800_000_000,
        "",
        {"value": "ä\u0000", "fund": [1, 2]},
    )
    assert entry.is_open


@pytest.mark.parametrize(
    ("state", "is_open"), [(SIGNED, True), (SENT, True), (DONE, False), (REFUSED, False)]
)
def test_only_open_entries_hold_their_coins(wallet: Wallet, state: str, is_open: bool) -> None:
    tx = spending("a", "b")
    record(wallet, tx)
    wallet.mark(tx.txid, state, "why")
    (entry,) = wallet.entries()
    assert (entry.state, entry.note, entry.is_open) == (state, "why", is_open)
    assert wallet.in_use() == ({coin("a"), coin("b")} if is_open else set())
    assert (wallet.pending("certify", "meter") is not None) is is_open


def test_a_coin_in_use_is_no_others(wallet: Wallet) -> None:
    first, second = spending("a", "b"), spending("b", "c")
    record(wallet, first)
    with pytest.raises(Refused, match=first.txid) as caught:
        record(wallet, second)
    assert caught.value.code == "coin_in_use"
    assert wallet.in_use() == {coin("a"), coin("b")}  # and none of the second's is kept
    assert len(wallet.entries()) == 1
    wallet.mark(first.txid, REFUSED)
    record(wallet, second)
    assert wallet.in_use() == {coin("b"), coin("c")}


def test_the_same_transaction_again_is_one_entry(wallet: Wallet) -> None:
    tx = spending("a")
    record(wallet, tx)
    wallet.mark(tx.txid, DONE)
    record(wallet, tx)  # after a reorganisation it is under way again
    assert states(wallet) == [SIGNED]
    assert wallet.in_use() == {coin("a")}


def test_pending_is_the_last_open_one_of_that_command_and_subject(wallet: Wallet) -> None:
    for number, name in enumerate("abc"):
        record(wallet, spending(name), "meter", number=number)
    record(wallet, spending("d"), "another")
    wallet.mark(spending("c").txid, DONE)
    found = wallet.pending("certify", "meter")
    assert found is not None
    assert found.details == {"number": 1}
    assert wallet.pending("revoke", "meter") is None
    assert wallet.pending("certify", "meter ") is None


def test_networks_are_apart(wallet: Wallet, path: Path) -> None:
    other = Wallet(path, REGTEST)
    tx = spending("a")
    record(wallet, tx)
    wallet.keep_root("Org", "aa" * 32)
    wallet.keep_descriptor(SCRIPT, "wpkh(…)")
    wallet.keep_pairing(b"n", b"c")
    assert (other.entries(), other.in_use(), other.pairings()) == ([], set(), [])
    assert (other.root("Org"), other.descriptor(SCRIPT)) == (None, None)
    record(other, tx)
    other.mark(tx.txid, DONE)
    assert states(wallet) == [SIGNED]


def test_marking_what_is_not_there_does_nothing(wallet: Wallet) -> None:
    record(wallet, spending("a"))
    wallet.mark("00" * 32, DONE)
    assert states(wallet) == [SIGNED]


def test_what_else_is_remembered(wallet: Wallet) -> None:
    wallet.keep_root("Org", "aa" * 32)
    wallet.keep_root("Org", "bb" * 32)
    wallet.keep_descriptor(SCRIPT, "one")
    wallet.keep_descriptor(SCRIPT, "two")
    for _ in range(2):
        wallet.keep_pairing(b"node", b"client")
    assert (wallet.root("Org"), wallet.root("org")) == ("bb" * 32, None)
    assert wallet.descriptor(SCRIPT) == "two"
    assert wallet.pairings() == [(b"node", b"client")]


# ---- several processes

_fork = multiprocessing.get_context("fork")


def in_processes(work: Callable[[int], str], count: int) -> list[str]:
    """Run `work` in `count` processes that begin at once; returns what each says."""
    gate, said = _fork.Barrier(count), _fork.Queue()

    def begin(number: int, queue: "Queue[str]") -> None:
        gate.wait(30)
        try:
            queue.put(work(number))
        except Refused as error:
            queue.put(error.code)
        except BaseException as error:  # noqa: BLE001  # the parent shall see it
            queue.put(repr(error))

    processes = [_fork.Process(target=begin, args=(number, said)) for number in range(count)]
    for process in processes:
        process.start()
    found = [said.get(timeout=30) for _ in processes]
    for process in processes:
        process.join(30)
        process.close()
    said.close()
    said.join_thread()
    return sorted(found)


def test_of_processes_that_want_one_coin_one_gets_it(path: Path) -> None:
    def want(number: int) -> str:
        record(Wallet(path, DEVNET), spending("a", f"own {number}"))
        return "kept"

    assert in_processes(want, 6) == ["coin_in_use"] * 5 + ["kept"]
    wallet = Wallet(path, DEVNET)
    (entry,) = wallet.entries()
    assert wallet.in_use() == {(i.txid, i.vout) for i in entry.tx.inputs}


def test_processes_that_begin_a_journal_together_lose_nothing(path: Path) -> None:
    def write(number: int) -> str:
        wallet = Wallet(path, DEVNET)
        for turn in range(5):
            tx = spending(f"{number} {turn}")
            record(wallet, tx, str(number))
            wallet.mark(tx.txid, DONE if turn % 2 else SENT)
            wallet.keep_pairing(bytes([number]), bytes([turn]))
        return "kept"

    assert in_processes(write, 4) == ["kept"] * 4
    wallet = Wallet(path, DEVNET)
    assert sorted(states(wallet)) == [DONE] * 8 + [SENT] * 12
    assert len(wallet.in_use()) == 12
    assert len(wallet.pairings()) == 20


def test_a_process_that_ends_inside_a_step_leaves_none_of_it(wallet: Wallet, path: Path) -> None:
    record(wallet, spending("a"))
    child = os.fork()
    if not child:
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        database.execute("UPDATE entries SET state = 'done'")
        database.execute("DELETE FROM spends")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert states(wallet) == [SIGNED]
    assert wallet.in_use() == {coin("a")}


# ---- damage


@pytest.mark.parametrize(
    "data", [b"not a database at all, but long enough to be one" * 3, b"SQLite format 3\0" * 40]
)
def test_a_file_that_is_no_database(wallet: Wallet, path: Path, data: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(data)
    for call in (wallet.entries, wallet.in_use, lambda: record(wallet, spending("a"))):
        with pytest.raises(Unavailable, match=r"wallet\.db") as caught:
            call()
        assert caught.value.message.isprintable()
    assert path.read_bytes() == data


def test_pages_that_were_overwritten(wallet: Wallet, path: Path) -> None:
    for number in range(40):
        record(wallet, spending(str(number)), "x" * 300)
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data), 64):
        data[at : at + 32] = b"\xa5" * 32
    path.write_bytes(data)
    calls: tuple[Callable[[], object], ...] = (
        wallet.entries,
        wallet.in_use,
        lambda: record(wallet, spending("another")),
    )
    for call in calls:
        attempt(call, kind=DoitrustError)


@pytest.mark.parametrize(
    "change", ["raw = X'00'", "raw = substr(raw, 1, 20)", "details = '{'", "details = '[1]'", "details = '7'"]
)
def test_a_damaged_entry_is_said_to_be_one(wallet: Wallet, path: Path, change: str) -> None:
    record(wallet, spending("a"))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE entries SET {change}")  # noqa: S608  # from the lines above
    with pytest.raises(BadData, match="is damaged"):
        wallet.entries()


# ---- disks that refuse


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    wallet = Wallet(tmp_path / "home" / "wallet.db", DEVNET)
    with pytest.raises(Unavailable, match="can't open"):
        record(wallet, spending("a"))


def test_a_folder_in_its_place(path: Path, wallet: Wallet) -> None:
    path.mkdir(parents=True)
    for call in (wallet.entries, lambda: record(wallet, spending("a"))):
        with pytest.raises(Unavailable, match="can't"):
            call()


@pytest.mark.skipif(sys.platform == "win32", reason="cannot be had here: no limit on file sizes")
def test_a_full_disk_leaves_what_was_there(wallet: Wallet, path: Path) -> None:
    import resource  # noqa: PLC0415  # not on Windows

    record(wallet, spending("a"))
    size = path.stat().st_size
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        status = 1
        try:
            for number in range(50):
                record(wallet, spending(str(number)), "y" * 2000)
        except Unavailable:
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    entries: Sequence[Any] = wallet.entries()
    assert entries[0].tx.txid == spending("a").txid
    assert len(wallet.in_use()) == len(entries)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_a_newer_doitrust_changed_is_left_alone(wallet: Wallet, path: Path) -> None:
    record(wallet, spending("a"))
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
        database.execute("PRAGMA user_version = 2")
        database.commit()
    before = path.read_bytes()
    for action in (wallet.entries, lambda: record(wallet, spending("b"))):
        with pytest.raises(Unavailable, match="newer doitrust") as caught:
            action()
        assert caught.value.code == "newer_home"
    assert path.read_bytes() == before


def test_a_file_of_before_there_were_forms_is_used(wallet: Wallet, path: Path) -> None:
    record(wallet, spending("a"))
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 0")
        database.commit()
    assert len(wallet.entries()) == 1
    record(wallet, spending("b"))
    assert len(wallet.entries()) == 2
