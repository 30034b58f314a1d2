"""Kubo as a content store: the real program, of each release that is here."""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubo import PROGRAMS, Daemon, daemon, needs_kubo
from test_unixfs import KNOWN, pattern

from doitrust.adapters.blocks import LocalBlocks
from doitrust.adapters.doctor import Finding, look_at_ipfs
from doitrust.adapters.kubo import Kubo
from doitrust.content.cid import DAG_PB, RAW, Cid, cid_of, parse_cid
from doitrust.content.unixfs import MAX_BLOCK_SIZE, MissingBlock, NoFile, blocks_of_file, read_file
from doitrust.errors import Unavailable

pytestmark = needs_kubo

MIB = 1024 * 1024
#: Kubo's own way to the blocks of formats.md; old releases make no other number of links, and have no such option.
LIKE_OURS = ("--cid-version=1", "--raw-leaves", "--chunker=size-262144")
LINKS = "--max-file-links=174"


@pytest.fixture(scope="module", params=PROGRAMS, ids=lambda program: Path(program).parent.name)
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(request.param, tmp_path_factory.mktemp("kubo") / "offline") as running:
        yield running


@pytest.fixture(scope="module", params=PROGRAMS, ids=lambda program: Path(program).parent.name)
def online(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(request.param, tmp_path_factory.mktemp("kubo") / "online", online=True) as running:
        yield running


def unavailable(code: str, call: object, *arguments: object) -> Unavailable:
    """What `call` raises, which has this code, one line that is safe to show, and a cure.

    Of the node's words it shows 300 characters, an escape of up to 10 for each.
    """
    with pytest.raises(Unavailable) as caught:
        call(*arguments)  # type: ignore[operator]
    assert caught.value.code == code, caught.value
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 3200
    assert caught.value.hint
    return caught.value


def like_ours(node: Daemon, data: bytes) -> str:
    """The CID that Kubo itself gives to what doitrust would write."""
    links = [LINKS] if LINKS.partition("=")[0] in node.ipfs("add", "--help").decode() else []
    return node.ipfs("add", "-Q", "--only-hash", *LIKE_OURS, *links, stdin=data).decode().strip()


def fresh(seed: bytes, size: int) -> bytes:
    """Bytes that no other test has stored."""
    return (seed * (size // len(seed) + 1))[:size]


# ---- the CIDs of formats.md


@pytest.mark.parametrize("size", KNOWN)
def test_every_known_cid_round_trips(node: Daemon, size: int) -> None:
    kubo, data = Kubo(node.api), pattern(size)
    cid = kubo.put_file(data)
    assert cid.text == KNOWN[size]
    assert kubo.get_file(cid, size) == data
    assert node.ipfs("cat", cid.text) == data
    assert kubo.is_pinned(cid)
    assert kubo.has(cid)


@pytest.mark.parametrize("size", KNOWN)
def test_kubo_makes_the_same_cid_of_it(node: Daemon, size: int) -> None:
    assert like_ours(node, pattern(size)) == KNOWN[size]


def test_its_settings_change_no_cid(tmp_path: Path, node: Daemon) -> None:
    settings = (("Import.UnixFSChunker", '"size-1000"'), ("Import.HashFunction", '"sha3-512"'))
    with daemon(node.program, tmp_path / "kubo", *settings) as other:
        kubo, data = Kubo(other.api), pattern(MIB)
        if other.ipfs("add", "-Q", "-n", *LIKE_OURS[:2], stdin=data).decode().strip() == KNOWN[MIB]:
            pytest.skip("cannot be had here: a setting for imports, in so old a Kubo")
        assert kubo.put_file(data).text == KNOWN[MIB]
        assert kubo.get_file(parse_cid(KNOWN[MIB]), MIB) == data


# ---- beside the store on disk


def test_what_the_local_store_holds_kubo_serves(node: Daemon, tmp_path: Path) -> None:
    local, data = LocalBlocks(tmp_path), fresh(b"local to kubo", 60 * MIB)
    root = local.put_file(data)
    blocks = [(cid, local.get(cid) or b"") for cid in (parse_cid(path.name) for path in tmp_path.glob("*/*"))]
    kubo = Kubo(node.api)
    kubo.put_blocks(root, blocks)
    assert node.ipfs("cat", root.text) == data
    assert kubo.is_pinned(root)


@pytest.mark.parametrize(
    "options",
    [
        LIKE_OURS,
        ("--cid-version=0",),
        ("--chunker=size-4096", "--raw-leaves=false"),
        ("--cid-version=1", "--chunker=rabin-2048-4096-8192"),
        ("--trickle", "--chunker=size-8192"),
    ],
    ids=" ".join,
)
def test_what_kubo_added_the_local_store_holds(
    node: Daemon, tmp_path: Path, options: tuple[str, ...]
) -> None:
    data = bytes(number * number >> 3 & 255 for number in range(700_000))
    root = parse_cid(node.ipfs("add", "--quieter", *options, stdin=data).decode().strip())
    kubo, local = Kubo(node.api), LocalBlocks(tmp_path)

    def kept(cid: Cid) -> bytes | None:
        block = kubo.get(cid)
        assert block is not None
        local.put(block, cid.codec)
        return block

    assert read_file(root, kept, len(data)) == data
    assert local.get_file(root, len(data)) == data


def test_a_directory_is_no_file(node: Daemon, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"in a directory")
    said = node.ipfs("add", "--quieter", "--recursive", str(tmp_path / "folder")).decode().strip()
    with pytest.raises(NoFile, match="directory"):
        Kubo(node.api).get_file(parse_cid(said), MIB)


# ---- what is kept, and what isn't there


def test_what_was_put_survives_a_collection_of_garbage(node: Daemon) -> None:
    kubo, data = Kubo(node.api), fresh(b"to be kept", 600_000)
    root = kubo.put_file(data)
    loose = parse_cid(node.ipfs("add", "--quieter", "--pin=false", stdin=b"not to be kept").decode().strip())
    assert kubo.has(loose)
    node.ipfs("--api", node.api, "repo", "gc")
    assert not kubo.has(loose)
    assert kubo.get(loose) is None
    assert kubo.get_file(root, len(data)) == data


def test_pinning_what_is_there(node: Daemon) -> None:
    kubo = Kubo(node.api)
    said = node.ipfs("add", "--quieter", "--pin=false", "--chunker=size-1000", stdin=fresh(b"pin me", 5000))
    root = parse_cid(said.decode().strip())
    assert not kubo.is_pinned(root)
    kubo.pin(root)
    assert kubo.is_pinned(root)
    leaf = next(cid for cid, _ in blocks_of_file(fresh(b"pin me", 5000)[:1000]))
    assert node.ipfs("pin", "ls", "--type=all", root.text)
    assert not kubo.is_pinned(leaf)  # indirectly, through the root


def test_what_is_missing(node: Daemon) -> None:
    kubo, nowhere = Kubo(node.api), cid_of(b"nobody has this", RAW)
    assert kubo.get(nowhere) is None
    assert not kubo.has(nowhere)
    assert not kubo.is_pinned(nowhere)
    with pytest.raises(MissingBlock, match=nowhere.text):
        kubo.get_file(nowhere, MIB)
    with pytest.raises(MissingBlock, match=nowhere.text):
        kubo.pin(nowhere)


def test_a_search_in_vain_ends_in_time(online: Daemon) -> None:
    kubo, nowhere = Kubo(online.api, timeout=1.5), cid_of(b"nobody on the network has this", RAW)
    for call, found in ((kubo.get, None), (kubo.has, False), (kubo.is_pinned, False)):
        start = time.monotonic()
        assert call(nowhere) is found
        assert time.monotonic() - start < 2
    with pytest.raises(MissingBlock):
        kubo.pin(nowhere)


def test_a_tree_that_lacks_a_leaf_is_not_pinned(online: Daemon) -> None:
    blocks = list(blocks_of_file(fresh(b"a leaf is lost", 600_000)))
    root, _ = blocks[-1]
    kubo = Kubo(online.api, timeout=1)
    unavailable("ipfs_error", kubo.put_blocks, root, blocks[1:])
    assert not kubo.is_pinned(root)


def test_blocks_that_are_not_what_they_say(node: Daemon) -> None:
    cid = cid_of(b"one thing", RAW)
    error = unavailable("ipfs_error", Kubo(node.api).put_blocks, cid, [(cid, b"another")])
    assert "mismatch" in error.message
    assert not Kubo(node.api).has(cid)


def test_a_block_over_the_limit(node: Daemon) -> None:
    block = bytes(MAX_BLOCK_SIZE + 1)
    cid = cid_of(block, RAW)
    unavailable("ipfs_block_too_large", Kubo(node.api).put_blocks, cid, [(cid, block)])
    node.ipfs("block", "put", "--allow-big-block", "--cid-codec=raw", stdin=block)
    assert Kubo(node.api).has(cid)
    unavailable("ipfs_garbage", Kubo(node.api).get, cid)


def test_both_kinds_of_cid_name_a_block(node: Daemon) -> None:
    said = node.ipfs("add", "--quieter", "--cid-version=0", stdin=b"version 0").decode().strip()
    root = parse_cid(said)
    assert (root.version, root.codec) == (0, DAG_PB)
    assert Kubo(node.api).get(root) == Kubo(node.api).get(Cid(DAG_PB, root.digest))
    assert not Kubo(node.api).is_pinned(root)  # Kubo counts pins of version 0 and 1 apart
    Kubo(node.api).pin(root)
    assert Kubo(node.api).is_pinned(root)


# ---- progress, and the network


def test_progress_of_a_large_file(node: Daemon) -> None:
    told: list[tuple[int, int]] = []
    data = fresh(b"progress", 5 * MIB)
    Kubo(node.api).put_file(io.BytesIO(data), lambda done, total: told.append((done, total)))
    done, totals = zip(*told, strict=True)
    assert len(done) > 50
    assert list(done) == sorted(set(done))
    assert set(totals) == {done[-1]}
    assert len(data) < done[-1] < len(data) * 1.001


def test_telling_the_network_fails_without_harm(node: Daemon, online: Daemon) -> None:
    cid = cid_of(b"", RAW)
    assert "online mode" in (Kubo(node.api).provide(cid) or "")
    Kubo(online.api).put_file(b"")
    assert "no connected peers" in (Kubo(online.api).provide(cid) or "")


def test_one_node_has_it_and_the_other_gets_it(online: Daemon, tmp_path: Path) -> None:
    with daemon(PROGRAMS[-1], tmp_path / "other", online=True) as other:
        there, here = Kubo(other.api), Kubo(online.api)
        data = fresh(b"from one node to the other", 700_000)
        root = there.put_file(data)
        address = json.loads(other.ipfs("id"))["Addresses"][0]
        online.ipfs("swarm", "connect", address)
        assert here.get_file(root, len(data)) == data
        here.pin(root)
        assert here.is_pinned(root)
        assert there.provide(root, timeout=5) is None
    assert here.get_file(root, len(data)) == data


# ---- what answers is no API


def test_the_port_of_its_gateway(node: Daemon) -> None:
    node.ipfs("add", stdin=b"there is something to read")
    kubo = Kubo(node.gateway)
    cid = cid_of(b"", RAW)
    for call in (kubo.version, lambda: kubo.get(cid), lambda: kubo.has(cid), lambda: kubo.pin(cid)):
        assert "gateway" in unavailable("ipfs_wrong_port", call).message
    unavailable("ipfs_wrong_port", kubo.put_file, bytes(5 * MIB))
    assert "gateway" in (kubo.provide(cid) or "")


def test_an_api_that_wants_an_authorization(node: Daemon, tmp_path: Path) -> None:
    secret = '{"me": {"AuthSecret": "bearer:secret", "AllowedPaths": ["/api/v0"]}}'
    with daemon(node.program, tmp_path / "kubo", ("API.Authorizations", secret)) as closed:
        kubo = Kubo(closed.api)
        unavailable("ipfs_login", kubo.version)
        unavailable("ipfs_login", kubo.get, cid_of(b"", RAW))
        unavailable("ipfs_login", kubo.put_file, b"")


def test_a_node_that_was_ended(node: Daemon, tmp_path: Path) -> None:
    with daemon(node.program, tmp_path / "kubo") as ended:
        kubo = Kubo(ended.api)
        assert kubo.version() == Kubo(node.api).version()
    unavailable("ipfs_not_running", kubo.version)
    unavailable("ipfs_not_running", kubo.put_file, b"")


def test_its_version(node: Daemon) -> None:
    said = node.ipfs("version", "--number").decode().strip()
    assert Kubo(node.api).version() == said


def test_the_doctor_looks_at_it(node: Daemon) -> None:
    version = node.ipfs("version", "--number").decode().strip()
    assert look_at_ipfs(node.api) == Finding(True, f"Kubo {version} answers at 127.0.0.1:{node.port}")
    unavailable("ipfs_wrong_port", look_at_ipfs, node.gateway)
