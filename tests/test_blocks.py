"""The local content store: what it returns was checked, what it stored is whole, whatever happens between."""

import errno
import io
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doitrust.adapters.blocks import LocalBlocks
from doitrust.content.cid import DAG_PB, RAW, Cid, cid_of, parse_cid
from doitrust.content.unixfs import CHUNK_SIZE, MAX_BLOCK_SIZE, MissingBlock, blocks_of_file
from doitrust.errors import BadData, Unavailable

V0 = parse_cid("QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o")
V0_BLOCK = bytes.fromhex("0a120802120c68656c6c6f20776f726c640a180c")

needs_posix = pytest.mark.skipif(os.name != "posix", reason="cannot be had here: limits on file sizes")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "store"


@pytest.fixture
def store(directory: Path) -> LocalBlocks:
    return LocalBlocks(directory)


def files(directory: Path) -> list[Path]:
    """Everything stored, temporary files included."""
    return sorted(path for path in directory.rglob("*") if not path.is_dir())


def run(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True)


def test_a_block_comes_back_in_another_process_s_store(store: LocalBlocks, directory: Path) -> None:
    cid = store.put(b"block", RAW)
    assert cid == cid_of(b"block", RAW)
    assert LocalBlocks(directory).get(cid) == b"block"
    assert store.has(cid)


def test_nothing_is_stored_before_the_first_put(store: LocalBlocks, directory: Path) -> None:
    absent = cid_of(b"block", RAW)
    assert store.get(absent) is None
    assert not store.has(absent)
    assert not directory.exists()
    store.put(b"another", RAW)
    assert store.get(absent) is None


def test_a_file_is_named_by_the_canonical_cid_in_a_folder_of_two_letters(
    store: LocalBlocks, directory: Path
) -> None:
    cid = store.put(V0_BLOCK, DAG_PB)
    name = "bafybeicg2rebjoofv4kbyovkw7af3rpiitvnl6i7ckcywaq6xjcxnc2mby"
    assert files(directory) == [directory / "mb" / name]
    assert (cid.text, store.get(V0)) == (name, V0_BLOCK)


def test_the_same_bytes_under_another_codec_are_another_block(store: LocalBlocks) -> None:
    store.put(V0_BLOCK, RAW)
    assert store.get(V0) is None


def test_a_block_that_is_here_is_not_written_again(store: LocalBlocks, directory: Path) -> None:
    store.put(b"block", RAW)
    (path,) = files(directory)
    os.utime(path, (1, 1))
    store.put(b"block", RAW)
    assert path.stat().st_mtime == 1


DAMAGES = {
    "other bytes": b"blocK",
    "cut short": b"bloc",
    "empty": b"",
    "longer": b"block\n",
    "larger than any block": b"block" + bytes(MAX_BLOCK_SIZE),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_absent_until_the_next_put(
    damage: str, store: LocalBlocks, directory: Path
) -> None:
    cid = store.put(b"block", RAW)
    (path,) = files(directory)
    path.write_bytes(DAMAGES[damage])
    assert store.get(cid) is None
    assert not store.has(cid)
    with pytest.raises(MissingBlock):
        store.get_file(cid, 100)
    assert store.put(b"block", RAW) == cid
    assert store.get(cid) == b"block"
    assert files(directory) == [path]


@given(st.binary(min_size=1, max_size=300), st.integers(0), st.sampled_from([RAW, DAG_PB]))
def test_any_flipped_bit_is_caught(
    tmp_path_factory: pytest.TempPathFactory, block: bytes, bit: int, codec: int
) -> None:
    directory = tmp_path_factory.mktemp("store")
    store = LocalBlocks(directory)
    cid = store.put(block, codec)
    (path,) = files(directory)
    damaged = bytearray(block)
    damaged[bit // 8 % len(block)] ^= 1 << bit % 8
    path.write_bytes(damaged)
    assert store.get(cid) is None


def test_a_block_under_another_block_s_name_is_absent(store: LocalBlocks, directory: Path) -> None:
    cid = store.put(b"block", RAW)
    (path,) = files(directory)
    store.put(b"another", RAW)
    (another,) = set(files(directory)) - {path}
    another.replace(path)
    assert store.get(cid) is None


def test_a_block_has_at_most_2_mib(store: LocalBlocks, directory: Path) -> None:
    cid = store.put(bytes(MAX_BLOCK_SIZE), RAW)
    assert store.get(cid) == bytes(MAX_BLOCK_SIZE)
    with pytest.raises(BadData, match=str(MAX_BLOCK_SIZE + 1)):
        store.put(bytes(MAX_BLOCK_SIZE + 1), RAW)
    assert len(files(directory)) == 1
    large = cid_of(bytes(MAX_BLOCK_SIZE + 1), RAW)
    by_hand = directory / large.text[-3:-1] / large.text
    by_hand.parent.mkdir(exist_ok=True)
    by_hand.write_bytes(bytes(MAX_BLOCK_SIZE + 1))
    assert store.get(large) is None


def test_a_file_comes_back_whole(store: LocalBlocks) -> None:
    for data in (b"", b"small", bytes(range(256)) * 5000):
        cid = store.put_file(data)
        assert cid == store.put_file(io.BytesIO(data))
        assert store.get_file(cid, len(data)) == data


def test_a_file_that_broke_off_has_no_root(store: LocalBlocks, directory: Path) -> None:
    data = bytes(range(256)) * 5000
    root = list(blocks_of_file(data))[-1][0]

    class Breaks(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 2 * CHUNK_SIZE:
                raise OSError(errno.EIO, "the stick was pulled")
            return super().read(size)

    with pytest.raises(OSError, match="pulled"):
        store.put_file(Breaks(data))
    assert files(directory)
    assert not store.has(root)
    with pytest.raises(MissingBlock):
        store.get_file(root, len(data))


# ---- a disk that refuses


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_refusing_disk_is_unavailable_and_leaves_nothing(
    number: int, store: LocalBlocks, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(Unavailable) as caught:
            store.put(b"block", RAW)
    assert files(directory) == []
    assert os.strerror(number) in caught.value.message
    assert "\n" not in caught.value.message
    assert ("free some space" in caught.value.hint) == (number != errno.EIO)
    assert store.get(store.put(b"block", RAW)) == b"block"


@needs_posix
def test_a_block_is_on_the_disk_before_it_has_its_name(
    store: LocalBlocks, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut a name without its bytes would be damage; the folder comes last, for the name."""
    synced: list[str] = []
    fsync = os.fsync

    def spy(handle: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        size = os.fstat(handle).st_size
        named = [path.name for path in files(directory) if not path.name.startswith(".new-")]
        synced.append(f"folder, {len(named)} named" if is_folder else f"{size} bytes, {len(named)} named")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    store.put(b"block", RAW)
    # The second folder is the one that got a new two-letter folder.
    assert synced == ["5 bytes, 0 named", "folder, 1 named", "folder, 1 named"]


@needs_posix
@pytest.mark.parametrize(("number", "stored"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_only_file_systems_that_cannot_sync_folders_are_excused(
    number: int, stored: bool, store: LocalBlocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def refuse(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    if stored:
        assert store.get(store.put(b"block", RAW)) == b"block"
    else:
        with pytest.raises(Unavailable, match="can't be written"):
            store.put(b"block", RAW)


LIMITED = """
import resource, sys
from pathlib import Path
from doitrust.adapters.blocks import LocalBlocks
from doitrust.errors import Unavailable
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    LocalBlocks(Path(sys.argv[1])).put_file(bytes(50_000) if sys.argv[2] == "fits" else bytes(150_000))
except Unavailable as error:
    print(error.message, "|", error.hint)
"""


@needs_posix
def test_a_write_cut_by_the_system_leaves_nothing(directory: Path) -> None:
    """The real thing: the kernel takes the first 100,000 bytes and refuses the rest."""
    said = run(LIMITED, directory, "too much").communicate()[0]
    assert "can't be written: File too large | free some space" in said
    assert files(directory) == []
    assert run(LIMITED, directory, "fits").communicate()[0] == ""
    assert len(files(directory)) == 1


def test_a_directory_that_is_none_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("not a directory")
    store = LocalBlocks(path)
    with pytest.raises(Unavailable, match="can't be written") as caught:
        store.put(b"block", RAW)
    assert "access rights" in caught.value.hint
    assert path.read_text() == "not a directory"


def test_a_directory_s_name_can_t_forge_the_message(tmp_path: Path) -> None:
    path = tmp_path / "a\u202eb"
    path.write_text("not a directory")
    with pytest.raises(Unavailable, match=r"\\u202e") as caught:
        LocalBlocks(path).put(b"block", RAW)
    assert caught.value.message.isprintable()


def test_an_unreadable_block_is_unavailable_and_not_absent(store: LocalBlocks, directory: Path) -> None:
    """Absent would be a statement; a disk that can't be read makes none."""
    cid = store.put(b"block", RAW)
    (path,) = files(directory)
    path.unlink()
    path.mkdir()
    with pytest.raises(Unavailable, match="can't be read"):
        store.get(cid)


# ---- several processes, and one that dies


def test_ctrl_c_leaves_nothing(store: LocalBlocks, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.put(b"block", RAW)
    assert files(directory) == []


DIES = """
import os, sys
from pathlib import Path
from doitrust.adapters.blocks import LocalBlocks
os.fsync = lambda handle: os._exit(9)
LocalBlocks(Path(sys.argv[1])).put(bytes(1000), 0x55)
"""


def test_a_process_that_dies_while_it_writes_leaves_no_half_block(
    store: LocalBlocks, directory: Path
) -> None:
    child = run(DIES, directory)
    child.communicate()
    assert child.returncode == 9
    cid = cid_of(bytes(1000), RAW)
    assert store.get(cid) is None
    store.put(bytes(1000), RAW)
    assert store.get(cid) == bytes(1000)


CROWD = """
import sys
from pathlib import Path
from doitrust.adapters.blocks import LocalBlocks
from doitrust.content.cid import RAW, cid_of
start, directory = map(Path, sys.argv[1:3])
while not start.exists():
    pass
store = LocalBlocks(directory)
blocks = [bytes([n]) * 100_000 for n in range(20)]
for block in blocks:
    assert store.get(cid_of(block, RAW)) in (None, block)
    assert store.get(store.put(block, RAW)) == block
print("done")
"""


def test_processes_that_put_the_same_blocks_agree(
    store: LocalBlocks, directory: Path, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    crowd = [run(CROWD, start, directory) for _ in range(4)]
    time.sleep(0.3)
    start.touch()
    assert [child.communicate()[0] for child in crowd] == ["done\n"] * 4
    blocks = [bytes([n]) * 100_000 for n in range(20)]
    assert len(files(directory)) == len(blocks)
    assert all(store.get(cid_of(block, RAW)) == block for block in blocks)


def test_a_rename_refused_because_the_block_is_in_use_is_no_failure(
    store: LocalBlocks, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Windows does if another process put the same block first and still reads it."""

    def refuse(self: Path, target: Path) -> Path:
        target.write_bytes(b"block")
        raise PermissionError(errno.EACCES, "Access is denied")

    monkeypatch.setattr(Path, "replace", refuse)
    cid: Cid = store.put(b"block", RAW)
    assert store.get(cid) == b"block"
    assert len(files(directory)) == 1


def test_a_rename_refused_otherwise_is_unavailable(
    store: LocalBlocks, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "Access is denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(Unavailable, match="Access is denied"):
        store.put(b"block", RAW)
    assert files(directory) == []
