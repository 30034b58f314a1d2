"""Backup and restore: what goes in comes out; whatever happens, there is an old home or a new one."""

import errno
import gzip
import io
import json
import os
import shutil
import signal
import sqlite3
import stat
import sys
import tarfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from cli import Ran, environment, failure, files_below, run, spawn, told
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import damaged, recorded
from test_cli_disk import forgets_to_be_root, locked, nothing_larger_than

from doitrust.adapters import restore as restore_module
from doitrust.adapters.archive import FORMAT, Member, manifest_of, opened_backup, put
from doitrust.adapters.backup import write_backup
from doitrust.adapters.blocks import LocalBlocks
from doitrust.adapters.config import write_setting
from doitrust.adapters.homes import DATABASES
from doitrust.adapters.keyfile import Kdf
from doitrust.adapters.keystore import Keystore
from doitrust.adapters.nodekey import NodeKey
from doitrust.adapters.phrases import new_entropy
from doitrust.adapters.pins import PinStore
from doitrust.adapters.restore import restoring, work_folder
from doitrust.adapters.secret import Secret
from doitrust.adapters.wallet import Wallet
from doitrust.chain.networks import DEVNET, REGTEST
from doitrust.errors import DoitrustError
from doitrust.orgs.pins import Pin, Segment
from doitrust.ports import SENT

PIN = Pin("Gilde", (Segment("ab" * 32), Segment("cd" * 32)))
KEYS = (b"\2" * 33, b"\3" * 33)


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """A scrypt that takes no time."""
    with patch.dict(Keystore.__init__.__kwdefaults__ or {}, kdf=Kdf(16, 1, 1)):
        yield


def furnish(home: Path) -> Path:
    """A home with everything in it that there can be."""
    PinStore(home / "state.db", DEVNET).accept(PIN)
    PinStore(home / "state.db", REGTEST).accept(PIN, Pin("Innung", (Segment("ef" * 32),)))
    wallet = Wallet(home / "wallet.db", DEVNET)
    wallet.keep_root("Gilde", "ab" * 32)
    wallet.keep_pairing(*KEYS)
    wallet.keep_descriptor(b"\x51", "wsh(…)")
    tx = recorded(1).payments[0]
    wallet.record(tx, "send", "bp/M001", 100, 1_780_000_000, {"a": 1})
    wallet.mark(tx.txid, SENT)
    write_setting(home / "config.toml", "min_confirmations", "7")
    key(home, "alice")
    LocalBlocks(home / "ipfs").put_file(b"a list")
    LocalBlocks(home / "ipfs").put_file(bytes(600_000))
    NodeKey(home).create()
    (home / "devnet").mkdir()
    (home / "devnet" / "chain.sqlite").write_bytes(b"a chain")
    (home / ".config.toml.0123").write_bytes(b"left behind")
    (home / "keys" / ".bob.json.0123").write_bytes(b"left behind")
    (home / "ipfs" / "notes.txt").write_bytes(b"somebody's")
    return home


def key(home: Path, name: str) -> None:
    with new_entropy() as entropy, Secret(b"words that nobody puts together") as passphrase:
        Keystore(home / "keys").add(name, entropy, passphrase)


def remembered(home: Path) -> dict[str, Any]:
    """What a home knows."""
    wallet = Wallet(home / "wallet.db", DEVNET)
    return {
        "pins": [PinStore(home / "state.db", network).all() for network in (DEVNET, REGTEST)],
        "entries": [(entry.tx.raw, *entry[1:]) for entry in wallet.entries()],
        "rest": (wallet.in_use(), wallet.pairings(), wallet.root("Gilde"), wallet.descriptor(b"\x51")),
        "files": {
            name: data
            for name, data in files_below(home).items()
            if name.startswith(("config", "keys/alice", "ipfs/")) and not name.endswith(".txt")
        },
    }


def restore(file: Path, home: Path) -> Path | None:
    """As the command does, without asking."""
    with opened_backup(file) as archive:
        archive.check()
        with restoring(home) as work:
            work.stage(archive)
            return work.put_in_place()


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, Path]:
    """A furnished home and its backup."""
    home = furnish(tmp_path / "home")
    write_backup(home, tmp_path / "kept.tar")
    return home, tmp_path / "kept.tar"


# ---- what it holds


def test_what_goes_in_comes_out_and_nothing_else(tmp_path: Path, kept: tuple[Path, Path]) -> None:
    home, file = kept
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert restore(file, tmp_path / "new" / "home") is None
    new = tmp_path / "new" / "home"
    assert remembered(new) == remembered(home)
    blocks = [name for name in files_below(home) if name.startswith("ipfs/") and not name.endswith(".txt")]
    assert set(files_below(new)) == {"state.db", "wallet.db", "config.toml", "keys/alice.json", *blocks}
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in (new, *new.rglob("*.json")))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["home"]


def test_it_is_a_tar_that_everybody_can_read_and_always_the_same(
    tmp_path: Path, kept: tuple[Path, Path]
) -> None:
    home, file = kept
    write_backup(home, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == file.read_bytes()
    with tarfile.open(file) as tar:
        manifest, *members = tar.getmembers()
        extracted = tar.extractfile(manifest)
        assert extracted is not None
        listed = json.load(extracted)
        assert listed["format"] == FORMAT
        assert [m.name for m in members] == [m["name"] for m in listed["members"]]
        for member, told_ in zip(members, listed["members"], strict=True):
            found = tar.extractfile(member)
            assert found is not None
            assert sha256(found.read()).hexdigest() == told_["sha256"]
            assert (member.isreg(), member.mode, member.mtime, member.uid) == (True, 0o600, 0, 0)
    secrets = [(home / name).read_bytes() for name in ("node.key", "device.key")]
    assert not any(secret[:64] in file.read_bytes() for secret in secrets)


def test_the_commands_tell_what_they_did(home: Path, tmp_path: Path) -> None:
    furnish(home)
    file = tmp_path / "b.tar"
    told_ = run("backup", file, "--json").value
    assert (told_["file"], told_["size"]) == (str(file), file.stat().st_size)
    assert {"name": "config.toml", "size": (home / "config.toml").stat().st_size} in told_["members"]
    assert "passphrases" in run("backup", file).out
    before = files_below(home)
    assert "--yes" in failure("restore", file, status=2)
    assert "you said no" in run("restore", file, typed="n\n").err
    assert files_below(home) == before
    done = run("restore", file, "--json", "--yes").value
    assert done["members"] == [member["name"] for member in told_["members"]]
    assert files_below(Path(done["aside"])) == before
    again = run("restore", file, "--yes")
    assert f"{home.name}.old-2" in again.out
    key(home, "bob")
    told_keys = run("restore", file, typed="n\n")
    assert "the keys bob" in told_keys.err
    other = tmp_path / "empty"
    other.mkdir()
    assert run("restore", file, "--home", other, "--json").value["aside"] is None


def test_the_key_of_the_node_stays_where_it_is(kept: tuple[Path, Path]) -> None:
    home, file = kept
    public = NodeKey(home).public()
    aside = restore(file, home)
    assert aside is not None
    assert NodeKey(home).public() == NodeKey(aside).public() == public
    assert (aside / "devnet").is_dir()


def test_nothing_to_back_up_and_nowhere_to_put_it(home: Path, tmp_path: Path) -> None:
    assert "nothing to back up" in failure("backup", tmp_path / "b.tar")
    furnish(home)
    assert "no ordinary file" in failure("backup", tmp_path)
    assert "no backup" in failure("backup", home / "config.toml", status=2)
    assert "can't read" in failure("restore", tmp_path / "b.tar")
    assert "ordinary" in failure("restore", tmp_path)
    (tmp_path / "file").write_bytes(b"mine")
    run("backup", tmp_path / "b.tar")
    assert "no folder" in failure("restore", tmp_path / "b.tar", "--home", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"mine"


# ---- others at work, and damage


def test_what_is_not_committed_is_not_in_it(home: Path, tmp_path: Path) -> None:
    furnish(home)
    with closing(sqlite3.connect(home / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM pins")
        write_backup(home, tmp_path / "b.tar")
        other.execute("COMMIT")
    assert PinStore(home / "state.db", DEVNET).all() == ()
    restore(tmp_path / "b.tar", tmp_path / "new")
    assert PinStore(tmp_path / "new" / "state.db", DEVNET).all() == (PIN,)


def test_backups_while_another_process_writes_are_whole(home: Path, tmp_path: Path) -> None:
    furnish(home)
    child = forked()
    if child == 0:
        wallet = Wallet(home / "wallet.db", DEVNET)
        for number in range(100_000):
            wallet.keep_root(f"org {number % 50}", f"{number:064x}" * 20)
        os._exit(0)
    try:
        for number in range(4):
            write_backup(home, tmp_path / "b.tar")
            restore(tmp_path / "b.tar", tmp_path / f"new{number}")
            assert len(Wallet(tmp_path / f"new{number}" / "wallet.db", DEVNET).entries()) == 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    write_backup(home, tmp_path / "b.tar")  # what was killed in the middle is rolled back


@pytest.mark.parametrize("name", ["state.db", "wallet.db", "keys/alice.json", "config.toml"])
def test_damage_in_the_home_is_named_and_no_backup_made(home: Path, tmp_path: Path, name: str) -> None:
    furnish(home)
    data = (home / name).read_bytes()
    (home / name).write_bytes(data[:100] + bytes(4000) + data[4100:])
    said = failure("backup", tmp_path / "b.tar")
    assert name in said
    assert "Try: " in said
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_block_counts_as_absent(home: Path, tmp_path: Path) -> None:
    furnish(home)
    block = next(path for path in (home / "ipfs").glob("*/*") if path.stat().st_size < 100)
    block.write_bytes(b"another")
    names = [member.name for member in write_backup(home, tmp_path / "b.tar")]
    assert str(block.relative_to(home)) not in names


@pytest.mark.parametrize("size", [0, 5000, 200_000])
def test_a_backup_that_does_not_fit_leaves_the_one_before(home: Path, tmp_path: Path, size: int) -> None:
    run("config", "set", "min_confirmations", "7")
    LocalBlocks(home / "ipfs").put_file(bytes(250_000))
    run("backup", tmp_path / "b.tar")
    before = files_below(tmp_path)
    told(spawn("backup", tmp_path / "b.tar", before=nothing_larger_than(size)))
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("size", [0, 5000, 200_000])
def test_a_restore_that_does_not_fit_leaves_the_home(home: Path, tmp_path: Path, size: int) -> None:
    run("config", "set", "min_confirmations", "7")
    LocalBlocks(home / "ipfs").put_file(bytes(250_000))
    run("backup", tmp_path / "b.tar")
    before = files_below(home.parent)
    told(spawn("restore", tmp_path / "b.tar", "--yes", before=nothing_larger_than(size)))
    assert files_below(home.parent) == before
    assert not work_folder(home).exists()


def test_a_folder_that_may_not_be_written_is_told(home: Path, tmp_path: Path) -> None:
    run("config", "set", "min_confirmations", "7")
    run("backup", tmp_path / "b.tar")
    with locked(home.parent):
        told(spawn("restore", tmp_path / "b.tar", "--yes", before=forgets_to_be_root))
        told(spawn("backup", home.parent / "c.tar", before=forgets_to_be_root))
        assert spawn("backup", tmp_path / "c.tar", before=forgets_to_be_root).status == 0
    assert (tmp_path / "c.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


# ---- hostile files


def packed(*members: tuple[str, bytes], **changes: Any) -> bytes:
    """A backup of anything."""
    out = io.BytesIO()
    listed = sorted(Member(name, len(data), sha256(data).hexdigest()) for name, data in members)
    put(out, "manifest.json", changes.get("manifest") or manifest_of(changes.get("listed") or listed))
    for name, data in sorted(members):
        put(out, name, data)
    return out.getvalue() + bytes(1024)


def database(*statements: str) -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        for statement in statements:
            made.execute(statement)
        return made.serialize()


def other_tar(change: Callable[[tarfile.TarInfo], None]) -> bytes:
    """A tar by somebody else's program, one member changed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in (
            ("manifest.json", manifest_of([Member("config.toml", 0, EMPTY)])),
            ("config.toml", b""),
        ):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o600
            if name != "manifest.json":
                change(info)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


EMPTY = sha256(b"").hexdigest()
PINS = DATABASES["state.db"]
HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "empty": packed,
    "zeros": lambda: bytes(10_240),
    "a gzipped bomb": lambda: gzip.compress(bytes(50_000_000)),
    "absolute": lambda: packed(("/tmp/x", b"")),  # noqa: S108  # that is the attack
    "above": lambda: packed(("../config.toml", b"")),
    "above in keys": lambda: packed(("keys/../../x.json", b"")),
    "above in blocks": lambda: packed(("ipfs/../x", b"")),
    "node key": lambda: packed(("node.key", b"")),
    "device key": lambda: packed(("device.key", b"")),
    "hidden": lambda: packed(("keys/.lock", b"")),
    "journal": lambda: packed(("state.db-journal", b"")),
    "device name": lambda: packed(("keys/nul.json", b"")),
    "no text": lambda: packed(("keys/\u202e.json", b"")),
    "twice": lambda: packed(("config.toml", b""), ("config.toml", b"")),
    "twice by case": lambda: packed(("keys/A.json", b""), ("keys/a.json", b"")),
    "out of order": lambda: packed(
        ("config.toml", b""),
        ("state.db", b""),
        listed=[Member("state.db", 0, EMPTY), Member("config.toml", 0, EMPTY)],
    ),
    "too large a key": lambda: packed(("keys/a.json", bytes(70_000))),
    "too large a block": lambda: packed(("config.toml", bytes(2_000_000))),
    "negative": lambda: packed(("config.toml", b""), listed=[Member("config.toml", -1, EMPTY)]),
    "more than there is": lambda: packed(("state.db", b""), listed=[Member("state.db", 2**28, EMPTY)]),
    "too much": lambda: packed(("state.db", b""), listed=[Member("state.db", 2**60, EMPTY)]),
    "a size that is true": lambda: packed(
        ("config.toml", b"#"), manifest=manifest_of([Member("config.toml", True, sha256(b"#").hexdigest())])
    ),
    "no list": lambda: packed(manifest=b'{"format": "doitrust-backup/1", "members": 7}\n'),
    "of the future": lambda: packed(manifest=b'{"format": "doitrust-backup/2", "members": []}\n'),
    "nested": lambda: packed(manifest=b"[" * 100_000),
    "many members": lambda: packed(listed=[Member(f"keys/k{n}.json", 0, EMPTY) for n in range(50_001)]),
    "a huge manifest": lambda: b"manifest.json".ljust(124, b"\0") + b"77777777777\0" + bytes(10_000),
    "a symlink": lambda: other_tar(lambda info: setattr(info, "type", tarfile.SYMTYPE)),
    "a device": lambda: other_tar(lambda info: setattr(info, "type", tarfile.CHRTYPE)),
    "setuid": lambda: other_tar(lambda info: setattr(info, "mode", 0o4755)),
    "another name": lambda: other_tar(lambda info: setattr(info, "name", "../x")),
    "no database": lambda: packed(("state.db", b"x" * 5000)),
    "a trigger": lambda: packed(
        ("state.db", database(PINS, "CREATE TRIGGER t AFTER DELETE ON pins BEGIN DELETE FROM pins; END"))
    ),
    "another table": lambda: packed(("state.db", database("CREATE TABLE pins (a)"))),
    "a bad pin": lambda: packed(
        ("state.db", database(PINS, "INSERT INTO pins VALUES ('mainnet', 1, 'X', '[[\"zz\", null]]')"))
    ),
    "no configuration": lambda: packed(("config.toml", b"[[")),
    "a setting that is none": lambda: packed(("config.toml", b"x = 1")),
    "no key": lambda: packed(("keys/a.json", b"{}")),
    "another block": lambda: packed(
        ("ipfs/c5/bafkreidtfyt3ua2qacbpk6gtkg3gxg2hvs5wqleklovg6742fdxqlxyile", b"")
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.thorough(3)
def test_a_hostile_file_is_told_in_one_line_and_nothing_written(
    home: Path, tmp_path: Path, name: str
) -> None:
    furnish(home)
    file = tmp_path / "b.tar"
    file.write_bytes(HOSTILE[name]())
    before = files_below(tmp_path.parent), files_below(home.parent)
    began = time.monotonic()
    said = failure("restore", file, "--yes")
    assert time.monotonic() - began < 5
    assert "Traceback" not in said
    assert str(work_folder(home)) not in said
    assert (files_below(tmp_path.parent), files_below(home.parent)) == before
    assert not work_folder(home).exists()


@pytest.fixture(scope="session")
def small(_homes: Path) -> bytes:
    folder = _homes / "small"
    with patch.dict(Keystore.__init__.__kwdefaults__ or {}, kdf=Kdf(16, 1, 1)):
        home = furnish(folder / "home")
        shutil.rmtree(home / "ipfs")
        LocalBlocks(home / "ipfs").put_file(b"a list")
        write_backup(home, folder / "b.tar")
    return (folder / "b.tar").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_noticed_and_nothing_written(tmp_path: Path, small: bytes, data: st.DataObject) -> None:
    changed = data.draw(damaged(small))
    file = tmp_path / "b.tar"
    file.write_bytes(changed)
    if changed == small:
        return
    with pytest.raises(DoitrustError) as caught:
        restore(file, tmp_path / "home")
    assert caught.value.message.isprintable()
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar"]


def test_every_single_byte_counts(tmp_path: Path, small: bytes) -> None:
    file = tmp_path / "b.tar"
    for at in range(0, len(small), 41):
        file.write_bytes(small[:at] + bytes([small[at] ^ 1]) + small[at + 1 :])
        with pytest.raises(DoitrustError), opened_backup(file) as archive:
            archive.check()


# ---- killed


def forked() -> int:
    """Fork; the child does nothing with the threads that the test runner has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


#: What the audit hook is told before it happens; between two of these nothing changes on the disk.
_EVENTS = frozenset(
    {
        *("open", "os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.chmod", "os.scandir"),
        *("sqlite3.connect", "ctypes.dlsym", "shutil.rmtree"),
    }
)


def killed_at(number: int, act: Callable[[], object]) -> bool:
    """Do it in a process that is killed at its event of this number; False if it ended before."""
    child = forked()
    if child == 0:
        left = [number]

        def hook(event: str, _arguments: object) -> None:
            if event in _EVENTS:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.fixture
def moving(tmp_path: Path, small: bytes) -> tuple[Path, Path, dict[str, bytes], dict[str, bytes]]:
    """A home with other things than the backup; its files, and those that the restored one will have."""
    home, file = tmp_path / "user" / "home", tmp_path / "b.tar"
    file.write_bytes(small)
    PinStore(home / "state.db", DEVNET).accept(Pin("Old", (Segment("11" * 32),)))
    NodeKey(home).create()
    restore(file, tmp_path / "elsewhere")
    new = files_below(tmp_path / "elsewhere")
    keys = {name: (home / name).read_bytes() for name in ("node.key", "device.key")}
    return home, file, files_below(home), new | keys


def test_killed_at_any_instant_the_home_is_the_old_or_the_new_one(
    moving: tuple[Path, Path, dict[str, bytes], dict[str, bytes]],
) -> None:
    home, file, old, new = moving
    pristine = shutil.copytree(home.parent, home.parent.with_name("pristine"))
    number, found = 0, []
    while killed_at(number, lambda: restore(file, home)):
        is_new = files_below(home) == new
        assert is_new or files_below(home) == old
        found.append(is_new)
        _see_it_through(home, file, old, new)
        shutil.rmtree(home.parent)
        shutil.copytree(pristine, home.parent)
        number += 1
    assert number > 40
    assert set(found) == {True, False}


@pytest.mark.thorough(0)
def test_without_an_exchange_the_next_restore_mends_it(
    moving: tuple[Path, Path, dict[str, bytes], dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on systems that can't exchange two names: between two renames there is no home, and it comes back."""
    monkeypatch.setattr(restore_module, "_exchange", lambda _one, _other: False)
    home, file, old, new = moving
    pristine = shutil.copytree(home.parent, home.parent.with_name("pristine"))
    number, missing = 0, 0
    while killed_at(number, lambda: restore(file, home)):
        missing += not home.exists()
        assert files_below(home) in (old, new, {})
        _see_it_through(home, file, old, new)
        shutil.rmtree(home.parent)
        shutil.copytree(pristine, home.parent)
        number += 1
    assert missing == 1


@pytest.mark.thorough(0)
def test_killed_while_it_mends_it_is_mended_by_the_next(
    moving: tuple[Path, Path, dict[str, bytes], dict[str, bytes]],
) -> None:
    home, file, old, new = moving
    pristine = shutil.copytree(home.parent, home.parent.with_name("pristine"))

    def mend() -> None:
        with restoring(home):
            pass

    first = 0
    while killed_at(first, lambda: restore(file, home)):
        second = 0
        while killed_at(second, mend):
            assert files_below(home) in (old, new)
            second += 3
        _see_it_through(home, file, old, new)
        shutil.rmtree(home.parent)
        shutil.copytree(pristine, home.parent)
        first += 5


def test_a_backup_that_is_killed_leaves_the_one_before(kept: tuple[Path, Path]) -> None:
    home, file = kept
    before = file.read_bytes()
    Wallet(home / "wallet.db", DEVNET).keep_root("another", "12" * 32)
    number = 0
    while killed_at(number, lambda: write_backup(home, file)):
        number += 3
        if file.read_bytes() != before:
            break
        with opened_backup(file) as archive:
            archive.check()
    assert number > 20
    write_backup(home, file)
    restore(file, home)
    assert Wallet(home / "wallet.db", DEVNET).root("another") == "12" * 32


def _see_it_through(home: Path, file: Path, old: dict[str, bytes], new: dict[str, bytes]) -> None:
    """Restore once more: then it is the new home, the old one lies aside, and nothing else is there."""
    restore(file, home)
    assert files_below(home) == new
    beside = {path.name: files_below(path) for path in home.parent.iterdir() if path != home}
    assert all(name.startswith("home.old-") for name in beside), beside.keys()
    assert old in beside.values()
    assert all(files in (old, new) for files in beside.values())


def test_a_process_killed_from_outside(
    moving: tuple[Path, Path, dict[str, bytes], dict[str, bytes]],
) -> None:
    home, file, old, new = moving
    for delay in (0.002, 0.004, 0.008, 0.016, 0.03, 0.06):
        child = forked()
        if child == 0:
            while True:
                restore(file, home)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert files_below(home) in (old, new)
    restore(file, home)
    assert files_below(home) == new
    assert not work_folder(home).exists()


def test_the_user_hears_of_what_was_cut_off(
    moving: tuple[Path, Path, dict[str, bytes], dict[str, bytes]],
) -> None:
    home, file, old, new = moving
    number = 0
    while files_below(home) == old:
        assert killed_at(number, lambda: restore(file, home))
        number += 1
    ran: Ran = run("restore", file, "--yes", env={"DOITRUST_HOME": str(home)})
    assert ran.status == 0
    assert "cut off before" in ran.err
    assert files_below(home) == new


def test_a_home_that_cannot_be_moved_stays(
    moving: tuple[Path, Path, dict[str, bytes], dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a mount point: the system refuses when all is ready."""

    def refuse(_one: Path, _other: Path) -> bool:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(restore_module, "_exchange", refuse)
    home, file, old, _new = moving
    with pytest.raises(DoitrustError, match="busy"):
        restore(file, home)
    assert files_below(home) == old
    assert [path.name for path in home.parent.iterdir()] == ["home"]


def test_two_restores_at_once(kept: tuple[Path, Path]) -> None:
    home, file = kept
    before = files_below(home)
    with restoring(home):
        told(run("restore", file, "--yes", env=environment({"DOITRUST_HOME": str(home)})))
    assert files_below(home) == before
    assert not work_folder(home).exists()
