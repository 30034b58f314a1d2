"""Files as blocks: the known CIDs, whatever Kubo writes is read, and no block can lie, stall or crash us.

The trees here are built by hand, not by the writer under test.
"""

import io
import random
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doitrust.content import unixfs
from doitrust.content.cid import DAG_PB, RAW, Cid, cid_of, parse_cid
from doitrust.content.unixfs import (
    CHUNK_SIZE,
    MAX_BLOCK_SIZE,
    MAX_DEPTH,
    MAX_LINKS,
    MissingBlock,
    NoFile,
    TooLarge,
    blocks_of_file,
    cid_of_file,
    read_file,
)
from doitrust.errors import BadData, Unavailable

MIB = 1024 * 1024
# The known values of formats.md.
KNOWN = {
    0: "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
    262144: "bafkreid5pa5hc4ab7lus3nzylqylwbln5f3n77eaegvqncl7k2ns3zxj4e",
    262145: "bafybeic57ibj2yme2jksk4el3j5zhtld2zlbgthvqvihidaduxnruewjuy",
    MIB: "bafybeifh3qdcdarf2vqdxaf7453nnxm2lnwlniuhylzjlrovmce4fikusq",
    5 * MIB: "bafybeihl2wlbnekz5o5plwkhpgc2retj4lkaztlv3vigmkuvt4peeangca",
    50 * MIB: "bafybeicwkrvosxazb6gdojkyxdm5f4nwajw35tuofcbuckjsn7vginos3q",
}
DIRECTORY, FILE, RAW_TYPE = 1, 2, 0
ROWS = [bytes((131 * i + shift) & 255 for i in range(256)) for shift in range(256)]


def pattern(size: int) -> bytes:
    """`bytes((131*i + 7*(i>>8) + 13*(i>>16)) & 255 for i in range(size))`, 256 at a time."""
    return b"".join(ROWS[(7 * n + 13 * (n >> 8)) & 255] for n in range(-(-size // 256)))[:size]


# ---- a protobuf writer and a world of blocks for the tests


def number(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value % 128 + 128]) + number(value // 128)


def message(*fields: tuple[int, int | bytes]) -> bytes:
    out = b""
    for num, value in fields:
        if isinstance(value, int):
            out += number(num << 3) + number(value)
        else:
            out += number(num << 3 | 2) + number(len(value)) + value
    return out


@dataclass
class Part:
    cid: Cid
    size: int


@dataclass
class World:
    """Blocks that exist, and which of them were asked for."""

    blocks: dict[Cid, bytes] = field(default_factory=dict)
    asked: list[Cid] = field(default_factory=list)

    def get(self, cid: Cid) -> bytes | None:
        self.asked.append(cid)
        return self.blocks.get(cid)

    def add(self, block: bytes, codec: int) -> Cid:
        cid = cid_of(block, codec)
        self.blocks[cid] = block
        return cid

    def raw(self, data: bytes) -> Part:
        return Part(self.add(data, RAW), len(data))

    def node(
        self,
        parts: list[Part],
        data: bytes | None = None,
        *,
        kind: int = FILE,
        size: int | None = -1,
        sizes: list[int] | None = None,
        extra: bytes = b"",
        data_first: bool = False,
        version: int = 1,
    ) -> Part:
        """A dag-pb node; by default an honest one. `size` -1 is the true one, None leaves it out."""
        sizes = [part.size for part in parts] if sizes is None else sizes
        true_size = len(data or b"") + sum(sizes)
        file = message((1, kind))
        file += b"" if data is None else message((2, data))
        file += b"" if size is None else message((3, true_size if size == -1 else size))
        file += message(*((4, size) for size in sizes)) + extra
        links = b"".join(
            # Tsize is made up: nobody may rely on it.
            message((2, message((1, link_bytes(part.cid, version)), (2, b""), (3, 7))))
            for part in parts
        )
        own = message((1, file))
        return Part(self.add(own + links if data_first else links + own, DAG_PB), true_size)


def link_bytes(cid: Cid, version: int = 1) -> bytes:
    return b"\x12\x20" + cid.digest if version == 0 and cid.codec == DAG_PB else cid.binary


def ends(world: World, root: Cid, max_size: int = MIB) -> str | bytes:
    """How reading ends: the bytes, or the exception's code."""
    try:
        return read_file(root, world.get, max_size)
    except (NoFile, TooLarge, MissingBlock) as error:
        return error.code


@pytest.fixture
def world() -> World:
    return World()


# ---- writing


@pytest.mark.parametrize("size", KNOWN)
def test_known_cid(size: int) -> None:
    data = pattern(size)
    assert cid_of_file(data).text == KNOWN[size]
    assert cid_of_file(io.BytesIO(data)).text == KNOWN[size]


def test_the_pattern_is_the_one_of_the_formula() -> None:
    expected = bytes((131 * i + 7 * (i >> 8) + 13 * (i >> 16)) & 255 for i in range(70_000))
    assert pattern(70_000) == expected


class Dribble(io.RawIOBase):
    """A stream that returns fewer bytes than it is asked for, as sockets and pipes do."""

    def __init__(self, data: bytes) -> None:
        self.left, self.sizes = data, random.Random(1)

    def read(self, size: int = -1) -> bytes:
        take = min(size, self.sizes.randint(1, 100_000))
        data, self.left = self.left[:take], self.left[take:]
        return data


def test_a_stream_that_comes_in_drops_gives_the_same_blocks() -> None:
    data = pattern(CHUNK_SIZE * 3 + 5)
    assert list(blocks_of_file(Dribble(data))) == list(blocks_of_file(data))  # type: ignore[arg-type]


def test_links_point_to_blocks_that_came_before_and_the_root_comes_last() -> None:
    data = pattern(50 * MIB)
    came: dict[Cid, bytes] = {}
    for cid, block in blocks_of_file(data):
        assert cid.matches(block)
        assert cid.codec == RAW or all(link in came for link, _ in unixfs._parse_node(block).links)
        came[cid] = block
    assert cid.text == KNOWN[50 * MIB]
    assert sum(cid.codec == DAG_PB for cid in came) == 3  # 174 leaves, 26 leaves, the root
    assert read_file(cid, came.get, 50 * MIB) == data


class Zeros(io.RawIOBase):
    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, size: int = -1) -> bytes:
        take = min(size, self.size)
        self.size -= take
        return bytes(take)


def test_a_stream_is_never_held_in_memory() -> None:
    tracemalloc.start()
    try:
        cid = cid_of_file(Zeros(50 * MIB))  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert cid == cid_of_file(bytes(50 * MIB))
    assert peak < 2 * MIB


def level_by_level(data: bytes, chunk: int, width: int) -> Cid:
    """The balanced layout said another way: group each level by `width` until one node is left."""
    world = World()
    level = [world.raw(data[at : at + chunk]) for at in range(0, len(data), chunk)] or [world.raw(b"")]
    trees = [part.size for part in level]
    while len(level) > 1:
        above, above_trees = [], []
        for at in range(0, len(level), width):
            parts, sizes = level[at : at + width], trees[at : at + width]
            pairs = zip(parts, sizes, strict=True)
            block = b"".join(
                message((2, message((1, part.cid.binary), (2, b""), (3, tree)))) for part, tree in pairs
            )
            size = sum(part.size for part in parts)
            block += message((1, message((1, FILE), (3, size), *((4, part.size) for part in parts))))
            above.append(Part(world.add(block, DAG_PB), size))
            above_trees.append(len(block) + sum(sizes))
        level, trees = above, above_trees
    return level[0].cid


@pytest.mark.parametrize("width", [2, 3, 5])
def test_the_tree_is_balanced_at_any_height(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unixfs, "CHUNK_SIZE", 3)
    monkeypatch.setattr(unixfs, "LINKS_PER_NODE", width)
    for size in range(250):
        data = pattern(size)
        blocks = dict(blocks_of_file(data))
        root = cid_of_file(data)
        assert root == level_by_level(data, 3, width), size
        assert read_file(root, blocks.get, size) == data


# ---- what other nodes write

BIG = pattern(600_000)
BIG_CHUNKS = [BIG[at : at + CHUNK_SIZE] for at in range(0, len(BIG), CHUNK_SIZE)]


def kubo_default(world: World) -> Part:
    return world.node([world.node([], chunk) for chunk in BIG_CHUNKS], version=0)


def kubo_trickle(world: World) -> Part:
    return world.node([world.node([], chunk, kind=RAW_TYPE) for chunk in BIG_CHUNKS], version=0)


def kubo_mode_and_time(world: World) -> Part:
    when = message((1, 1_700_000_000)) + b"\x15\x05\x00\x00\x00"  # fixed32: nanoseconds
    extra = message((7, 0o644), (8, when))
    return world.node([world.node([], chunk) for chunk in BIG_CHUNKS], extra=extra)


# (how to build it, what Kubo 0.42 prints for it); Tsize is set right below.
KUBO = {
    "ipfs add": (kubo_default, "QmdHrm2ZiTXjKwhS9g7K3Zwo7Lb8vokztgqxCSdKHQRVXf"),
    "--trickle": (kubo_trickle, "QmWiNckgg7WsdgKUGFdCabxiYJfBvLvGmYPjCjHHKTdU2T"),
    "--mode --mtime": (kubo_mode_and_time, "bafybeihstbnagver2vtunin5wfko775qyo7dkkqt62ue6oyvcy4f7cqre4"),
}


@pytest.mark.parametrize("options", KUBO)
def test_files_of_kubo_are_read(options: str, world: World) -> None:
    build, printed = KUBO[options]
    root = with_true_tree_sizes(world, build(world).cid)
    assert root == parse_cid(printed), "built otherwise than Kubo does"
    assert read_file(parse_cid(printed), world.get, len(BIG)) == BIG


def with_true_tree_sizes(world: World, root: Cid) -> Cid:
    """Rewrite the made-up Tsize 7 of the root's links, so that the block is Kubo's to the byte."""
    block = world.blocks[root]
    for cid in [cid for cid in world.blocks if cid != root]:
        for version in (0, 1):
            old = message((1, link_bytes(cid, version)), (2, b""), (3, 7))
            new = message((1, link_bytes(cid, version)), (2, b""), (3, len(world.blocks[cid])))
            block = block.replace(message((2, old)), message((2, new)))
    return world.add(block, DAG_PB)


def test_a_small_file_of_version_0(world: World) -> None:
    world.add(bytes.fromhex("0a120802120c68656c6c6f20776f726c640a180c"), DAG_PB)
    root = parse_cid("QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o")
    assert read_file(root, world.get, 12) == b"hello world\n"


def test_the_empty_file_of_version_0(world: World) -> None:
    world.add(bytes.fromhex("0a0408021800"), DAG_PB)
    assert read_file(parse_cid("QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"), world.get, 0) == b""


def test_inline_data_comes_before_the_links(world: World) -> None:
    root = world.node([world.raw(b"cd"), world.node([world.raw(b"f")], b"e"), world.raw(b"g")], b"ab")
    assert read_file(root.cid, world.get, 7) == b"abcdefg"


def test_data_may_stand_before_the_links(world: World) -> None:
    root = world.node([world.raw(b"a"), world.raw(b"b")], data_first=True)
    assert read_file(root.cid, world.get, 2) == b"ab"


def test_a_file_may_leave_out_its_size(world: World) -> None:
    root = world.node([world.raw(b"a"), world.node([], b"b", size=None)], size=None)
    assert read_file(root.cid, world.get, 2) == b"ab"


def test_equal_chunks_are_read_and_fetched_once(world: World) -> None:
    """A file of zeros links one block over and over, and that is no attack."""
    data = bytes(20 * CHUNK_SIZE)
    world.blocks.update(blocks_of_file(data))
    assert read_file(cid_of_file(data), world.get, len(data)) == data
    assert len(world.asked) == 2


def test_as_deep_and_as_wide_as_allowed(world: World) -> None:
    part = world.raw(b"x")
    for _ in range(MAX_DEPTH):
        part = world.node([part])
    assert read_file(part.cid, world.get, 1) == b"x"
    wide = world.node([world.raw(b"y")] * MAX_LINKS)
    assert read_file(wide.cid, world.get, MAX_LINKS) == b"y" * MAX_LINKS


def any_tree(world: World, data: bytes, rng: random.Random, depth: int = 0) -> Part:
    """`data` in a layout of anyone's: any number of links, inline data, leaf kinds, field order, versions."""
    if depth == 4 or len(data) < 2 or rng.random() < 0.2:
        leaf = rng.choice(["raw", "file", "raw type"])
        if leaf == "raw":
            return world.raw(data)
        kind = FILE if leaf == "file" else RAW_TYPE
        return world.node([], data, kind=kind, size=rng.choice([-1, None]))
    cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.randint(1, 6)))
    pieces = [data[start:end] for start, end in pairwise([*cuts, len(data)])]
    parts = [any_tree(world, piece, rng, depth + 1) for piece in pieces]
    inline = data[: cuts[0]]
    return world.node(
        parts,
        inline or None,
        data_first=rng.random() < 0.5,
        version=rng.randint(0, 1),
        size=rng.choice([-1, None]),
    )


@given(st.binary(max_size=200), st.randoms(use_true_random=False))
def test_every_layout_gives_the_bytes_back(data: bytes, rng: random.Random) -> None:
    world = World()
    root = any_tree(world, data, rng)
    assert read_file(root.cid, world.get, len(data)) == data


# ---- blocks that can't be had


@given(st.binary(min_size=1, max_size=200), st.randoms(use_true_random=False), st.data())
def test_any_flipped_bit_in_any_block_is_caught(data: bytes, rng: random.Random, draw: st.DataObject) -> None:
    world = World()
    root = any_tree(world, data, rng)
    read_file(root.cid, world.get, len(data))
    cid = draw.draw(st.sampled_from([cid for cid in world.asked if world.blocks[cid]]))
    block = bytearray(world.blocks[cid])
    bit = draw.draw(st.integers(0, len(block) * 8 - 1))
    block[bit // 8] ^= 1 << bit % 8
    world.blocks[cid] = bytes(block)
    with pytest.raises(MissingBlock) as caught:
        read_file(root.cid, world.get, len(data))
    assert caught.value.cid == cid


def test_each_missing_block_is_named(world: World) -> None:
    root = world.node([world.raw(b"a"), world.node([world.raw(b"b")])])
    for cid in list(world.blocks):
        blocks = {key: block for key, block in world.blocks.items() if key != cid}
        with pytest.raises(MissingBlock) as caught:
            read_file(root.cid, blocks.get, 2)
        assert caught.value.cid == cid
        assert cid.text in caught.value.message
        assert isinstance(caught.value, Unavailable)


def test_other_bytes_than_asked_for_are_missing_and_never_no_file(world: World) -> None:
    """A liar may not decide that something is no file."""
    root = world.raw(b"the truth").cid
    directory = message((1, message((1, DIRECTORY))))
    for lie in (b"", b"a lie", directory, bytes(MAX_BLOCK_SIZE + 1)):
        world.blocks[root] = lie
        assert ends(world, root) == "missing_block"


def test_what_the_source_raises_passes_through() -> None:
    def broken(cid: Cid) -> bytes | None:
        raise Unavailable("the disk is on fire")

    with pytest.raises(Unavailable, match="on fire"):
        read_file(cid_of(b"", RAW), broken, 1)


@given(st.randoms(use_true_random=False), st.booleans())
def test_missing_blocks_never_change_a_decision(rng: random.Random, spoil: bool) -> None:
    """With any part of the blocks the end is the same as with all of them, or that one is missing."""
    world = World()
    root = any_tree(world, pattern(60), rng)
    if spoil:
        liar = world.node([world.raw(b"z")], sizes=[rng.randint(0, 3)])
        root = world.node([root, liar])
    max_size = rng.choice([40, 100])
    whole = ends(world, root.cid, max_size)
    for cid in list(world.blocks):
        if rng.random() < 0.3:
            del world.blocks[cid]
    assert ends(world, root.cid, max_size) in (whole, "missing_block")


# ---- too large


def test_too_large_is_known_from_the_root_alone(world: World) -> None:
    root = world.node([world.raw(b"12345"), world.raw(b"67890")])
    with pytest.raises(TooLarge) as caught:
        read_file(root.cid, world.get, 9)
    assert (caught.value.cid, caught.value.size) == (root.cid, 10)
    assert caught.value.message == f"the file {root.cid.text} has 10 bytes, allowed are 9"
    assert isinstance(caught.value, BadData)
    assert world.asked == [root.cid]
    assert read_file(root.cid, world.get, 10) == b"1234567890"


def test_one_block_can_be_too_large(world: World) -> None:
    assert ends(world, world.raw(b"12345").cid, 4) == "too_large"
    assert ends(world, world.node([], b"12345").cid, 4) == "too_large"
    assert ends(world, world.raw(b"12345").cid, 5) == b"12345"


def test_the_limits_are_part_of_the_format() -> None:
    """They decide what is a file: whoever changes one judges otherwise than everybody else."""
    assert (MAX_BLOCK_SIZE, MAX_DEPTH, MAX_LINKS, unixfs.MAX_OVERHEAD) == (2_097_152, 8, 16_384, 2_097_152)


def test_sizes_beyond_any_memory_are_too_large(world: World) -> None:
    root = world.node([world.raw(b"a")] * 3, sizes=[2**64 - 1] * 3, size=None)
    assert ends(world, root.cid, 2**40) == "too_large"


# ---- no file

INNER = b"\x08\x02\x18\x00"  # UnixFS: an empty file


X = cid_of(b"x", RAW).binary


def file(*fields: tuple[int, int | bytes]) -> tuple[int, bytes]:
    """A node's data: UnixFS of type File with these fields besides."""
    return 1, message((1, FILE), *fields)


def link(*fields: tuple[int, int | bytes]) -> bytes:
    """A node with one link of these fields, which declares one byte behind it."""
    return message((2, message(*fields)), file((3, 1), (4, 1)))


def unixfs_data(*fields: tuple[int, int | bytes]) -> bytes:
    return message((1, message(*fields)))


TO_X = (2, message((1, X)))
NO_FILES = {
    "empty": b"",
    "text": b"hello world",
    "a directory": unixfs_data((1, DIRECTORY)),
    "a directory with entries": message((2, message((1, X), (2, b"name"), (3, 1))), (1, b"\x08\x01")),
    "metadata": unixfs_data((1, 3), (2, b"\x0a\x01x")),
    "a symlink": unixfs_data((1, 4), (2, b"/etc/passwd")),
    "a HAMT shard": unixfs_data((1, 5), (2, b"\x01"), (5, 0x22), (6, 256)),
    "a type to come": unixfs_data((1, 6)),
    "a type of 64 bits": unixfs_data((1, 2**64 - 1)),
    "no type": unixfs_data((2, b"x"), (3, 1)),
    "no UnixFS": message(TO_X),
    "empty UnixFS": message((1, b"")),
    "UnixFS that is text": message((1, b"hello world")),
    "an unknown field": message((1, INNER), (3, b"x")),
    "data under another number": message((3, INNER)),
    "data as a number": message((1, 5)),
    "data twice": message((1, INNER), (1, INNER)),
    "data between links": message(TO_X, file((4, 1), (4, 1)), TO_X),
    "bytes behind": message((1, INNER)) + b"\x00",
    "cut short": message((1, INNER))[:-1],
    "cut short where it could end": b"\x0a\x05" + INNER,
    "a length over its end": b"\x0a\xff\xff\xff\xff\x0f" + INNER,
    "a length of 64 bits": b"\x0a" + number(2**64 - 1) + INNER,
    "a padded length": b"\x0a\x84\x00" + INNER,
    "a padded tag": b"\x8a\x00\x04" + INNER,
    "a tag over 32 bits": message((1, INNER + number(2**32) + b"\x00")),
    "a number over 64 bits": message((1, b"\x08\x02\x48" + b"\x80" * 9 + b"\x02")),
    "a number without end": message((1, b"\x08\x02\x48" + b"\xff" * 30)),
    "a group": message((1, INNER + b"\x4b\x4c")),
    "field number 0": message((1, INNER + b"\x02\x00")),
    "type twice": message(file((1, FILE), (3, 0))),
    "type as bytes": unixfs_data((1, b"\x02"), (3, 0)),
    "size twice": message(file((3, 0), (3, 0))),
    "inline data twice": message(file((2, b"a"), (2, b"a"), (3, 1))),
    "packed sizes": message(TO_X, file((3, 1), (4, b"\x01"))),
    "packed sizes besides": message(TO_X, file((3, 1), (4, 1), (4, b"\x01"))),
    "inline data as a number": message(file((2, 5), (3, 0))),
    "very many unknown fields": message(file(*[(9, 0)] * 9)),
    "a link without CID": link((2, b""), (3, 1)),
    "an empty link": link(),
    "a link with two CIDs": link((1, X), (1, X)),
    "a link in another order": link((2, b""), (1, X), (3, 1)),
    "a link with an unknown field": link((1, X), (4, 1)),
    "a link with a name that is a number": link((1, X), (2, 1)),
    "a link to sha1": link((1, b"\x01\x55\x11\x14" + bytes(20))),
    "a link to an identity CID": link((1, b"\x01\x55\x00\x01x")),
    "a link to half a CID": link((1, X[:-1])),
    "a link to dag-cbor": link((1, Cid(0x71, bytes(32)).binary)),
    "a link without a size": message(TO_X, (1, INNER)),
    "a size without a link": message(file((3, 1), (4, 1))),
    "type Raw with links": message(TO_X, (1, message((1, RAW_TYPE), (3, 1), (4, 1)))),
    "declares more than its parts": message(file((2, b"abc"), (3, 4))),
    "declares less than its parts": message(file((2, b"abc"), (3, 2))),
    "declares nothing": message(file((2, b"abc"), (3, 0))),
}


WHY = {
    "a directory": "a directory",
    "metadata": "metadata",
    "a symlink": "a symlink",
    "a HAMT shard": "HAMT",
    "a type of 64 bits": "type 18446744073709551615",
    "a link to dag-cbor": "codec 0x71",
    "declares more than its parts": "4 bytes declared, its parts have 3",
}


@pytest.mark.parametrize("defect", NO_FILES)
def test_is_no_file(defect: str, world: World) -> None:
    root = world.add(NO_FILES[defect], DAG_PB)
    with pytest.raises(NoFile) as caught:
        read_file(root, world.get, MIB)
    assert caught.value.cid == root
    assert WHY.get(defect, "") in caught.value.why
    assert root.text in caught.value.message
    assert isinstance(caught.value, BadData)
    assert world.asked == [root], "it can be told from this block alone"
    parent = world.node([Part(root, 1)])
    assert ends(world, parent.cid) == "no_file", "and inside a file too"


@pytest.mark.parametrize(
    ("block", "content"),
    [
        (message((1, INNER)), b""),
        (unixfs_data((1, RAW_TYPE), (2, b"abc"), (3, 3)), b"abc"),
        (link((1, X), (2, b""), (3, 1)), b"x"),
        (link((1, X)), b"x"),
        (message(file((4, 1), (4, 1)), TO_X, TO_X), b"xx"),
        (message(file(*[(9, 0)] * 8)), b""),
        (message(file((5, 0x22), (6, 256), (7, 0o644))), b""),
        (message((1, INNER + b"\x48" + number(2**64 - 1))), b""),
        (message((1, INNER + number((2**29 - 1) << 3) + b"\x00")), b""),
        (message((1, INNER + b"\x49" + bytes(8) + b"\x4d" + bytes(4))), b""),
    ],
)
def test_without_their_defect_they_are_files(block: bytes, content: bytes, world: World) -> None:
    """So that the blocks above are refused for their defect and not for how the tests write."""
    world.raw(b"x")
    assert ends(world, world.add(block, DAG_PB)) == content


def test_another_codec_is_no_file_without_its_bytes(world: World) -> None:
    for codec in (0x71, 0x0129, 0x72, 0):
        root = world.add(b"x", codec)
        assert ends(world, root) == "no_file"
    assert world.asked == []


def test_a_block_larger_than_ipfs_exchanges_is_no_file(world: World) -> None:
    assert ends(world, world.raw(bytes(MAX_BLOCK_SIZE + 1)).cid, 2**30) == "no_file"
    assert ends(world, world.raw(bytes(MAX_BLOCK_SIZE)).cid, 2**30) == bytes(MAX_BLOCK_SIZE)


@pytest.mark.parametrize("claimed", [0, 1, 2, 4, 100])
def test_a_child_of_another_size_than_declared_is_no_file(claimed: int, world: World) -> None:
    for child in (world.raw(b"abc"), world.node([], b"abc"), world.node([world.raw(b"abc")])):
        assert ends(world, world.node([child], sizes=[claimed]).cid) == "no_file"
        assert ends(world, world.node([child], sizes=[3]).cid) == b"abc"


def test_a_liar_gets_no_more_than_the_limit_fetched(world: World) -> None:
    """Declares little, links much: stopped at the first child that is larger than was said."""
    root = world.node([world.raw(bytes([n]) * 1000) for n in range(100)], sizes=[1] * 100)
    assert ends(world, root.cid, 100) == "no_file"
    assert len(world.asked) == 2


def chain_of(world: World, length: int) -> Cid:
    part = world.raw(b"x")
    for _ in range(length):
        part = world.node([part])
    return part.cid


@pytest.mark.parametrize("length", [MAX_DEPTH + 1, 20 * sys.getrecursionlimit()])
def test_too_deep_is_no_file(length: int, world: World) -> None:
    assert ends(world, chain_of(world, length)) == "no_file"
    assert len(world.asked) <= MAX_DEPTH + 1


def bomb(world: World, leaf: Part, width: int) -> Cid:
    for _ in range(MAX_DEPTH):
        leaf = world.node([leaf] * width)
    return leaf.cid


def test_a_bomb_of_empty_blocks_is_no_file_and_costs_little(world: World) -> None:
    """174^8 visits if each were made; it declares no bytes, so no size stops it."""
    start = time.perf_counter()
    for width in (174, 2000):
        assert ends(world, bomb(world, world.raw(b""), width)) == "no_file"
        assert len(world.asked) <= MAX_DEPTH + 1
        world.asked.clear()
    assert ends(world, bomb(world, world.node([], b""), 174)) == "no_file"
    assert time.perf_counter() - start < 5


def test_a_bomb_of_bytes_is_too_large(world: World) -> None:
    root = bomb(world, world.raw(b"x"), 10)
    assert ends(world, root, 10**8 - 1) == "too_large"
    assert world.asked == [root]
    assert ends(world, root, 10**8) == "no_file", "within the limit it has too many links"


def test_inline_data_is_no_padding(world: World) -> None:
    leaves = [world.node([], bytes([n]) * CHUNK_SIZE) for n in range(12)]
    assert len(read_file(world.node(leaves).cid, world.get, 3 * MIB)) == 3 * MIB


def test_one_link_too_many_is_no_file(world: World) -> None:
    leaf = world.raw(b"x")
    assert ends(world, world.node([leaf] * (MAX_LINKS + 1)).cid) == "no_file"
    spread = world.node([world.node([leaf] * (MAX_LINKS // 2))] * 2)
    assert ends(world, spread.cid) == "no_file"


def padded(world: World) -> Part:
    return world.node([], b"x", extra=message((8, bytes(64 * 1024))))


def test_blocks_that_are_mostly_padding_are_no_file(world: World) -> None:
    assert ends(world, world.node([padded(world)] * 31).cid) == b"x" * 31
    assert ends(world, world.node([padded(world)] * 32).cid) == "no_file"


def hostile_megabytes(world: World) -> Iterator[Cid]:
    """Blocks of almost 2 MiB, each made to be slow in another place."""
    size = MAX_BLOCK_SIZE - 100
    yield world.add(message((1, INNER + b"\x48\x00" * (size // 2))), DAG_PB)  # unknown fields
    yield world.add(message((1, INNER + b"\x20\x00" * (size // 2))), DAG_PB)  # sizes
    yield world.add(b"\x12\x00" * (size // 2), DAG_PB)  # empty links
    yield world.add(message((2, b"\x0a\x00" * (size // 2))), DAG_PB)  # one link, many CIDs
    yield world.add(message(TO_X) * (size // 40), DAG_PB)  # good links
    yield world.add(b"\xff" * size, DAG_PB)


def test_no_block_is_slow(world: World) -> None:
    for root in hostile_megabytes(world):
        start = time.perf_counter()
        assert ends(world, root) == "no_file"
        assert time.perf_counter() - start < 1


# ---- anything


pieces = st.sampled_from(
    [b"\x0a", b"\x12", b"\x18", b"\x08", b"\x20", b"\x02", b"\x00", b"\x04", b"\x0a\x04\x08\x02\x18\x00"]
)
any_block = st.one_of(
    st.binary(max_size=100),
    st.lists(st.one_of(pieces, st.binary(max_size=3)), max_size=20).map(b"".join),
    # Well formed outside, anything inside.
    st.binary(max_size=60).map(lambda inner: message((1, inner))),
    st.lists(st.tuples(st.integers(1, 8), st.one_of(st.integers(0, 300), st.binary(max_size=9)))).map(
        lambda fields: message((1, message((1, FILE), *fields)))
    ),
)


@given(any_block)
def test_any_bytes_end_in_one_of_the_four_ways(block: bytes) -> None:
    world = World()
    result = ends(world, world.add(block, DAG_PB), 50)
    assert result in ("no_file", "too_large", "missing_block") or isinstance(result, bytes)


@given(st.binary(max_size=120), st.randoms(use_true_random=False), st.data())
def test_any_edited_node_ends_in_one_of_the_four_ways(
    data: bytes, rng: random.Random, draw: st.DataObject
) -> None:
    """The root is edited and named anew, so that it verifies and the parser sees it."""
    world = World()
    root = any_tree(world, data, rng)
    block = bytearray(world.blocks[root.cid])
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(block)))
        block[at : at + draw.draw(st.integers(0, 3))] = draw.draw(st.binary(max_size=3))
    result = ends(world, world.add(bytes(block), root.cid.codec), 200)
    if isinstance(result, bytes):
        assert len(result) <= 200
    else:
        assert result in ("no_file", "too_large", "missing_block")
