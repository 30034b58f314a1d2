"""The node's key: made once, never shown, refused where others could read it or a byte of it changed."""

import json
import multiprocessing
import os
import pickle
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from support import refusal

from doitrust.adapters.nodekey import DEVICE_FILE, NODE_FILE, NodeKey
from doitrust.chain.keys import is_compressed_key
from doitrust.chain.messages import public_key, verify_message
from doitrust.errors import BadData, DoitrustError, Refused, Unavailable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="cannot be had here: POSIX's access rights")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def key(folder: Path) -> NodeKey:
    key = NodeKey(folder)
    key.create()
    return key


def secret_in(folder: Path) -> bytes:
    """Opens the file without the code that is tested."""
    file = json.loads((folder / NODE_FILE).read_text())
    covered = f"doitrust-node-key/1\n{file['public']}".encode()
    nonce, text = bytes.fromhex(file["nonce"]), bytes.fromhex(file["text"])
    return ChaCha20Poly1305((folder / DEVICE_FILE).read_bytes()).decrypt(nonce, text, covered)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def damaged(key: NodeKey) -> str:
    """How both ways of reading refuse a damaged key, which is the same."""
    messages = {refusal(key.public, kind=BadData), refusal(lambda: key.sign_message(""), kind=BadData)}
    (message,) = messages
    return message


# ---- making and using it


def test_what_is_made_signs(folder: Path) -> None:
    public = NodeKey(folder).create()
    assert is_compressed_key(public)
    assert NodeKey(folder).public() == public
    assert verify_message(public, NodeKey(folder).sign_message("ä"), "ä")
    assert public_key(secret_in(folder)) == public


def test_each_node_has_its_own(tmp_path: Path) -> None:
    files = set()
    for name in "abc":
        NodeKey(tmp_path / name).create()
        files |= {(tmp_path / name / file).read_bytes() for file in (NODE_FILE, DEVICE_FILE)}
        files.add(secret_in(tmp_path / name))
    assert len(files) == 9


def test_files_and_folder_are_their_owners_alone(folder: Path) -> None:
    old = os.umask(0)
    try:
        folder.mkdir(mode=0o777)
        NodeKey(folder).create()
    finally:
        os.umask(old)
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {NODE_FILE: 0o600, DEVICE_FILE: 0o600}


def test_a_second_one_is_refused_and_changes_nothing(folder: Path, key: NodeKey) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(Refused, match=key.public().hex()) as caught:
        key.create()
    assert caught.value.code == "node_key_exists"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_there_is_none_yet(folder: Path) -> None:
    for call in (NodeKey(folder).public, lambda: NodeKey(folder).sign_message("")):
        with pytest.raises(Unavailable, match="no key yet") as caught:
            call()
        assert (caught.value.code, caught.value.hint) == ("no_node_key", "doitrust pi init")
    assert not folder.exists()


def _create(folder: Path, start: object, found: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    try:
        found.put(NodeKey(folder).create())  # type: ignore[attr-defined]
    except Refused:
        found.put(None)  # type: ignore[attr-defined]


def test_of_several_at_once_one_makes_it(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, found = context.Barrier(4), context.SimpleQueue()
    processes = [context.Process(target=_create, args=(folder, start, found)) for _ in range(4)]
    for process in processes:
        process.start()
    made = [found.get() for _ in processes]
    for process in processes:
        process.join(30)
    assert [public for public in made if public] == [NodeKey(folder).public()]
    assert sorted(path.name for path in folder.iterdir()) == [DEVICE_FILE, NODE_FILE]


# ---- half of it


def test_a_device_key_alone_is_used(folder: Path, key: NodeKey) -> None:
    device = (folder / DEVICE_FILE).read_bytes()
    (folder / NODE_FILE).unlink()
    with pytest.raises(Unavailable, match=r"node\.key is missing") as caught:
        key.public()
    assert "pi init" in caught.value.hint
    assert caught.value.code == "no_node_key"
    public = key.create()
    assert key.public() == public
    assert (folder / DEVICE_FILE).read_bytes() == device


def test_a_damaged_device_key_alone_is_told(folder: Path, key: NodeKey) -> None:
    (folder / NODE_FILE).unlink()
    (folder / DEVICE_FILE).write_bytes(b"short")
    with pytest.raises(BadData, match="5 bytes") as caught:
        key.create()
    assert caught.value.hint == "delete device.key: it opens nothing yet"
    (folder / DEVICE_FILE).unlink()
    assert key.create() == key.public()


def test_a_node_key_without_its_device_key_is_never_replaced(folder: Path, key: NodeKey) -> None:
    (folder / DEVICE_FILE).unlink()
    assert "device.key is missing" in damaged(key)
    assert "device.key is missing" in refusal(key.create)
    assert [path.name for path in folder.iterdir()] == [NODE_FILE]


def test_another_nodes_device_key_does_not_open_it(folder: Path, key: NodeKey, tmp_path: Path) -> None:
    NodeKey(tmp_path / "other").create()
    (tmp_path / "other" / DEVICE_FILE).replace(folder / DEVICE_FILE)
    assert "doesn't open node.key" in damaged(key)


# ---- damage


def test_any_bit_flipped_is_noticed(folder: Path, key: NodeKey) -> None:
    for name in (NODE_FILE, DEVICE_FILE):
        path = folder / name
        good = path.read_bytes()
        for place in range(len(good)):
            bad = bytearray(good)
            bad[place] ^= 1 << place % 8
            path.write_bytes(bad)
            damaged(key)
            refusal(key.create)
        path.write_bytes(good)
    assert is_compressed_key(key.public())


@pytest.mark.parametrize("name", [NODE_FILE, DEVICE_FILE])
def test_what_is_cut_or_lengthened_is_noticed(folder: Path, key: NodeKey, name: str) -> None:
    good = (folder / name).read_bytes()
    for bad in (
        b"",
        good[:-1],
        good[:10],
        good + b"\n",
        good + bytes(5000),
        b"null\n",
        b"{}\n",
        b"\xff" * 40,
    ):
        (folder / name).write_bytes(bad)
        damaged(key)


def test_another_public_key_is_noticed(folder: Path, key: NodeKey) -> None:
    """Whoever edits the file can't make the node show a key that isn't its own."""
    path = folder / NODE_FILE
    file = json.loads(path.read_text())
    path.write_text(path.read_text().replace(file["public"], public_key(b"\1" * 32).hex()))
    damaged(key)
    secret, other = secret_in_covered(folder, file), public_key(b"\1" * 32).hex()
    nonce = bytes(12)
    device = ChaCha20Poly1305((folder / DEVICE_FILE).read_bytes())
    text = device.encrypt(nonce, secret, f"doitrust-node-key/1\n{other}".encode())
    made = {"format": "doitrust-node-key/1", "public": other, "nonce": nonce.hex(), "text": text.hex()}
    path.write_text(json.dumps(made, indent=1) + "\n")
    assert "another key than it says" in damaged(key)


def secret_in_covered(folder: Path, file: dict[str, str]) -> bytes:
    device = ChaCha20Poly1305((folder / DEVICE_FILE).read_bytes())
    covered = f"doitrust-node-key/1\n{file['public']}".encode()
    return device.decrypt(bytes.fromhex(file["nonce"]), bytes.fromhex(file["text"]), covered)


# ---- others on the same machine


@pytest.mark.parametrize("name", [NODE_FILE, DEVICE_FILE])
@pytest.mark.parametrize("rights", [0o640, 0o604, 0o620, 0o601])
def test_files_that_others_can_read_are_refused(folder: Path, key: NodeKey, name: str, rights: int) -> None:
    (folder / name).chmod(rights)
    for call in (key.public, lambda: key.sign_message("")):
        with pytest.raises(Refused, match=f"{name} can be read") as caught:
            call()
        assert caught.value.code == "exposed_key"
        assert f"chmod 600 {folder / name}" in caught.value.hint
    (folder / name).chmod(0o600)
    assert key.public()


def test_a_folder_that_others_can_write_is_refused(folder: Path, key: NodeKey) -> None:
    for rights in (0o720, 0o702):
        folder.chmod(rights)
        with pytest.raises(Refused) as caught:
            key.sign_message("")
        assert caught.value.hint == f"chmod 700 {folder}"
    folder.chmod(0o755)
    assert key.public()


@pytest.mark.parametrize("name", [NODE_FILE, DEVICE_FILE])
def test_what_is_no_file_is_refused_and_not_waited_for(folder: Path, key: NodeKey, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name, 0o600)
    assert "no ordinary file" in damaged(key)
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(DoitrustError):
        key.public()


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "can't" in refusal(NodeKey(tmp_path / "file").create, kind=Unavailable)
    assert "can't" in refusal(NodeKey(tmp_path / "file").public, kind=Unavailable)
    assert "can't" in refusal(NodeKey(tmp_path / "file" / "home").create, kind=Unavailable)


# ---- the secret stays one


def test_the_secret_is_in_no_file_and_shows_nowhere(folder: Path, key: NodeKey) -> None:
    secret = secret_in(folder)
    shown = [repr(key), str(vars(key))]
    for path in folder.iterdir():
        data = path.read_bytes()
        assert secret not in data
        assert secret.hex().encode() not in data.lower()
    shown += told(lambda: key.sign_message("\ud800"))  # goes wrong while the secret is in memory
    (folder / DEVICE_FILE).write_bytes(bytes(32))
    shown += told(lambda: key.sign_message("x"))
    assert any("<secret>" in line for line in shown)
    for text in shown:
        assert secret.hex() not in text
        assert repr(secret)[2:-1] not in text
    assert secret not in pickle.dumps(key)


def told(call: Callable[[], object]) -> list[str]:
    """A failure's traceback, local variables too."""
    with pytest.raises((BadData, ValueError)) as caught:
        call()
    inner = caught.value.__traceback__
    assert inner is not None
    found = traceback.TracebackException(caught.type, caught.value, inner.tb_next, capture_locals=True)
    return [*found.format(), str(caught.value)]
