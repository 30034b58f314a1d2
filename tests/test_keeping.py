"""Content is never lost: read back from a second place before a record is written, kept once it was fetched."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from story import METER, ORG, Story, key_of, organised

from doitrust.adapters import contents
from doitrust.adapters.blocks import LocalBlocks
from doitrust.adapters.contents import Contents
from doitrust.content.cid import DAG_PB, RAW, Cid, cid_of, parse_cid
from doitrust.content.unixfs import blocks_of_file, cid_of_file
from doitrust.errors import BadData, Refused, Unavailable
from doitrust.meters.document import MAX_PHOTOS, read_document
from doitrust.ports import Place
from doitrust.workflows import keeping

LARGE = bytes(range(256)) * 2400


class Node(LocalBlocks):
    """An IPFS node as far as its store goes; `down`: it isn't running."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.down = False
        self.pinned: list[Cid] = []

    def get(self, cid: Cid) -> bytes | None:
        if self.down:
            raise Unavailable("nothing listens there")
        return super().get(cid)

    def put_blocks(self, root: Cid, blocks: Sequence[tuple[Cid, bytes]]) -> None:
        if self.down:
            raise Unavailable("nothing listens there")
        assert blocks[-1][0] == root
        for cid, block in blocks:
            self.put(block, cid.codec)
        self.pinned.append(root)

    def has(self, cid: Cid) -> bool:
        return self.get(cid) is not None

    def provide(self, root: Cid, *, timeout: float | None = None) -> str | None:
        return None if root in self.pinned else "it has no such thing"


class World:
    """A home, a node, a gateway, and what was said."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.near = LocalBlocks(folder / "near")
        self.node = Node(folder / "node")
        self.gateway = LocalBlocks(folder / "gateway")
        self.all = self.contents(node=True)

    def contents(self, *, node: bool) -> Contents:
        given = ("Kubo", self.node) if node else None
        return Contents(self.near, self.said.append, node=given, others=[Place("gateway", self.gateway)])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("data", [b"", b"a list", LARGE], ids=["empty", "small", "tree"])
def test_what_is_published_is_in_the_node_too(world: World, data: bytes) -> None:
    cid = keeping.publish(world.all, data, local_only=False)
    assert cid == cid_of_file(data)
    assert world.node.pinned == [cid]
    assert world.node.get_file(cid, len(data)) == data
    assert [place.name for place in world.all.places() if keeping.has_file(place.source, cid, len(data))] == [
        "this home",
        "Kubo",
    ]


def test_what_nobody_else_has_is_refused(world: World) -> None:
    with pytest.raises(Refused) as caught:
        keeping.publish(world.contents(node=False), b"a list", local_only=False)
    assert caught.value.code == "content_not_shared"
    assert keeping.publish(world.contents(node=False), b"a list", local_only=True) == cid_of_file(b"a list")


def test_a_gateway_that_has_it_is_a_second_place(world: World) -> None:
    world.gateway.put_file(b"a list")
    assert keeping.publish(world.contents(node=False), b"a list", local_only=False) == cid_of_file(b"a list")


def test_a_tree_that_is_elsewhere_in_part_is_not_elsewhere(world: World) -> None:
    *leaves, (root, block) = blocks_of_file(LARGE)
    world.gateway.put(block, root.codec)
    for cid, leaf in leaves[:-1]:
        world.gateway.put(leaf, cid.codec)
    with pytest.raises(Refused):
        keeping.publish(world.contents(node=False), LARGE, local_only=False)


def test_a_node_that_is_not_there_is_told(world: World) -> None:
    world.node.down = True
    with pytest.raises(Unavailable, match="nothing listens"):
        keeping.publish(world.all, b"a list", local_only=False)


def test_a_node_that_forgets_at_once_is_found_out(world: World) -> None:
    world.node.put_blocks = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(Refused) as caught:
        keeping.publish(world.all, b"a list", local_only=False)
    assert caught.value.code == "content_not_shared"


def test_what_was_fetched_is_kept_near(world: World) -> None:
    cid = world.gateway.put_file(LARGE)
    assert keeping.has_file(world.all, cid, len(LARGE))
    assert world.near.get_file(cid, len(LARGE)) == LARGE


def test_what_others_say_is_checked(world: World) -> None:
    class Liar:
        def get(self, _cid: Cid) -> bytes:
            return b"something else"

    found = Contents(world.near, world.said.append, others=[Place("liar", Liar()), Place("g", world.gateway)])
    cid = cid_of(b"a list", RAW)
    assert found.get(cid) is None
    world.gateway.put(b"a list", RAW)
    assert found.get(cid) == b"a list"
    assert world.near.get(cid) == b"a list"


def test_who_is_not_there_is_passed_over_and_told_once(world: World) -> None:
    world.node.down = True
    for data in (b"one", b"two"):
        cid = world.gateway.put_file(data)
        assert world.all.get(cid) == data
    assert world.said == ["IPFS, Kubo: nothing listens there"]


def test_a_home_that_can_not_be_written_still_reads(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(LocalBlocks, "_store", refuses)
    block = b"a list"
    monkeypatch.setattr(world.gateway, "get", lambda _cid: block)
    assert world.all.get(cid_of(block, RAW)) == block
    assert len(world.said) == 1


def test_thousands_of_lists_that_never_were_keep_nobody_busy(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "MOST_VAIN", 0.05)
    asked: list[Cid] = []

    class Slow:
        def get(self, cid: Cid) -> bytes | None:
            asked.append(cid)
            time.sleep(0.02)
            return None

    found = Contents(world.near, world.said.append, others=[Place("slow", Slow())])
    for number in range(50):
        assert found.get(cid_of(b"%d" % number, RAW)) is None
    assert 1 < len(asked) < 20
    assert len(world.said) == 1
    world.near.put(b"here", RAW)
    assert found.get(cid_of(b"here", RAW)) == b"here"


# ---- through the command line


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return organised(tmp_path)


def test_show_says_where_the_lists_are(story: Story) -> None:
    story.do("admin", "org", "add-member", ORG, key_of("eve"))
    shown = story.do("max", "org", "show", ORG)
    assert [entry["places"] for entry in shown["lists"]] == [["the devnet's IPFS"]] * 2
    assert shown["lists"][0]["cid"] == shown["cid"]
    assert shown["lists"][0]["height"] > shown["lists"][1]["height"]
    cid = parse_cid(shown["lists"][1]["cid"])
    with story.devnet() as devnet:
        devnet.contents._path(cid).unlink()
    assert [entry["places"] for entry in story.do("max", "org", "show", ORG)["lists"]] == [
        ["the devnet's IPFS"],
        [],
    ]
    assert "nowhere now" in story.run("max", "org", "show", ORG).out


def test_keep_fetches_all_lists_or_says_which_are_gone(story: Story) -> None:
    story.do("admin", "org", "add-member", ORG, key_of("eve"))
    kept = story.do("max", "org", "keep", ORG)
    assert [entry["size"] is not None for entry in kept] == [True, True]
    with story.devnet() as devnet:
        devnet.contents._path(parse_cid(kept[1]["cid"])).unlink()
    ran = story.run("max", "org", "keep", ORG, "--json")
    assert ran.status == 1
    assert [entry["size"] is not None for entry in ran.value] == [True, False]
    error = story.fail("client", "org", "keep", ORG)
    assert error["code"] == "organization_not_accepted"


def photo(folder: Path, name: str = "seal.png") -> Path:
    path = folder / name
    Image.new("RGB", (40, 30), (200, 30, 30)).save(path)
    return path


def test_photographs_come_back(story: Story, tmp_path: Path) -> None:
    story.certify("max", METER, "--photo", photo(tmp_path), "--photo", photo(tmp_path, "two.png"))
    story.mine(5)
    shown = story.do("eve", "meter", "show", METER, "--photos", tmp_path / "fetched")
    files = [Path(row["file"]) for row in shown["photos"]]
    assert len(files) == 1  # both are the same picture, byte for byte
    assert files[0].parent == tmp_path / "fetched"
    with Image.open(files[0]) as picture:
        assert (picture.format, picture.size) == ("JPEG", (40, 30))
    assert story.do("eve", "meter", "show", METER)["photos"] is None


def test_photographs_that_nobody_has_are_told(story: Story, tmp_path: Path) -> None:
    story.certify("max", METER, "--photo", photo(tmp_path))
    story.mine(5)
    (row,) = story.do("eve", "meter", "show", METER, "--photos", tmp_path / "a")["photos"]
    with story.devnet() as devnet:
        devnet.contents._path(parse_cid(row["cid"])).unlink()
    (row,) = story.do("eve", "meter", "show", METER, "--photos", tmp_path / "b")["photos"]
    assert (row["file"], row["had"]) == (None, False)
    assert not (tmp_path / "b").exists()
    assert "nobody has it" in story.run("eve", "meter", "show", METER, "--photos", tmp_path / "b").out


def test_without_photographs_there_are_none(story: Story, tmp_path: Path) -> None:
    error = story.fail("eve", "meter", "show", METER, "--photos", tmp_path)
    assert error["code"] == "no_photographs"
    story.certify("max")
    story.mine(5)
    error = story.fail("eve", "meter", "show", METER, "--photos", tmp_path)
    assert error["code"] == "no_photographs"


def test_what_is_no_picture_is_not_written(story: Story, tmp_path: Path) -> None:
    """Whoever certifies could name a program as well."""
    story.certify("max", METER, "--photo", photo(tmp_path))
    story.mine(5)
    found = story.do("eve", "verify", METER)
    assert found["status"] == "trusted"
    evil = b"#!/bin/sh\nrm -rf /\n"
    with story.devnet() as devnet:
        cid = devnet.contents.put_file(evil)
    with pytest.MonkeyPatch.context() as patch:
        real = read_document
        patch.setattr(keeping, "read_document", lambda data: real(data)._replace(photos=(cid,)))
        (row,) = story.do("eve", "meter", "show", METER, "--photos", tmp_path / "x")["photos"]
    assert (row["file"], row["had"]) == (None, True)
    assert not (tmp_path / "x").exists()


DOCUMENT = {
    "format": "doitrust-certificate/1",
    "pairing": {"meter": METER, "node": "02" * 33, "client": "03" * 33},
    "seals": ["A-1"],
    "photos": [cid_of(b"p", RAW).text],
}


@pytest.mark.parametrize(
    "change",
    [
        {"format": "doitrust-certificate/2"},
        {"pairing": None},
        {"pairing": {"meter": METER, "node": "02" * 33}},
        {"pairing": {"meter": METER, "node": "zz", "client": "03"}},
        {"pairing": {"meter": 7, "node": "02", "client": "03"}},
        {"photos": "x"},
        {"photos": [7]},
        {"photos": ["no cid"]},
        {"photos": [cid_of(bytes([n]), RAW).text for n in range(MAX_PHOTOS + 1)]},
        {"seals": {"a": 1}},
    ],
)
def test_a_document_is_read_strictly(change: dict[str, object]) -> None:
    assert len(read_document(json.dumps(DOCUMENT).encode()).photos) == 1
    with pytest.raises(BadData):
        read_document(json.dumps(DOCUMENT | change).encode())


def test_dag_pb_is_known() -> None:
    assert cid_of_file(LARGE).codec == DAG_PB
