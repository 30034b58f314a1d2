"""Lists and photographs between homes that share nothing but a chain and IPFS: a real Kubo, and its gateway."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubo import PROGRAMS, Daemon, daemon, needs_kubo
from PIL import Image
from rpc_node import served
from story import METER, ORG, key_of
from test_core_sending import _USER, Remote, template

from doitrust.adapters.devnet import Devnet
from doitrust.chain.networks import REGTEST

pytestmark = needs_kubo
__all__ = ["template"]  # a fixture: the organisation over RPC, whose list is in its admin's home


@pytest.fixture(scope="module", params=PROGRAMS, ids=lambda program: Path(program).parent.name)
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(request.param, tmp_path_factory.mktemp("story") / "offline") as running:
        yield running


class Apart(Remote):
    """Everybody with a home of their own, and no folder in common but the chain's."""

    def settings(self, who: str, port: int, *ipfs: str) -> None:
        text = f'[node]\nurl = "http://127.0.0.1:{port}"\nuser = "{_USER}"\n'
        if ipfs:
            text += "[ipfs]\n" + "".join(f"{line}\n" for line in ipfs)
        (self.home(who) / "config.toml").write_text(text)


@pytest.fixture
def apart(template: Remote, node: Daemon, tmp_path: Path) -> Iterator[Apart]:
    shutil.copytree(template.folder, tmp_path, dirs_exist_ok=True)
    made = Apart(tmp_path)
    for who in ("max", "eve"):
        shutil.rmtree(made.home(who) / "ipfs")
    with served(made.world) as (client, _):
        api, gateway = f'api = "{node.api}"', f'gateways = ["{node.gateway}"]'
        made.settings("admin", client.port, api)
        made.settings("max", client.port, api)
        made.settings("eve", client.port, gateway)
        made.port = client.port
        yield made


def certify(made: Apart, *more: object) -> str:
    file = made.pairing(network=REGTEST)
    with made.mining():
        told = made.do("max", "meter", "certify", file, "--org", ORG, "--seal", "A-1", *more)
    with made.devnet() as devnet:
        devnet.mine(5)
    return str(told["txid"])


def test_from_the_admin_to_the_consumer_over_ipfs(apart: Apart, node: Daemon) -> None:
    """The admin hands the list to Kubo, the electrician has it from there, the consumer from its gateway alone."""
    assert apart.do("admin", "org", "show", ORG)["lists"][0]["places"] == ["this home"]
    (kept,) = apart.do("admin", "org", "keep", ORG)
    assert kept["size"] is not None
    certify(apart)
    verdict = apart.verdict(who="eve")
    assert (verdict["status"], verdict["electrician"]["name"]) == ("trusted", "Max Maier")
    places = apart.do("eve", "org", "show", ORG)["lists"][0]["places"]
    assert places == ["this home", "gateways"]  # once it was fetched it is kept
    assert apart.do("max", "org", "show", ORG)["lists"][0]["places"] == [
        "this home",
        f"IPFS node 127.0.0.1:{node.port}",
    ]


def test_what_is_published_is_read_back_from_kubo_first(apart: Apart, node: Daemon) -> None:
    with apart.mining():
        told = apart.do("admin", "org", "add-member", ORG, f"{key_of('eve')}=Eve Ähre")
    assert told["cid"] in node.ipfs("pin", "ls", "--type=recursive", "--quiet").decode().split()
    members = {member["key"]: member["name"] for member in apart.do("eve", "org", "members", ORG)}
    assert members[key_of("eve")] == "Eve Ähre"


def test_without_a_second_place_nothing_is_written(apart: Apart) -> None:
    apart.settings("admin", apart.port)
    error = apart.fail("admin", "org", "add-member", ORG, key_of("eve"))
    assert error["code"] == "content_not_shared"
    assert len(apart.org_writes()) == 1
    with apart.mining():
        apart.do("admin", "org", "add-member", ORG, key_of("eve"), "--local-only")
    assert len(apart.org_writes()) == 2


def test_a_kubo_that_is_not_there_stops_publishing_and_not_verifying(apart: Apart) -> None:
    apart.do("admin", "org", "keep", ORG)
    certify(apart)
    dead = 'api = "/ip4/127.0.0.1/tcp/9"'
    apart.settings("admin", apart.port, dead)
    error = apart.fail("admin", "org", "add-member", ORG, key_of("eve"))
    assert error["code"] == "ipfs_not_running"
    assert len(apart.org_writes()) == 1
    text = (apart.home("eve") / "config.toml").read_text()
    (apart.home("eve") / "config.toml").write_text(text + dead + "\n")
    ran = apart.run("eve", "verify", METER, "--json")
    assert (ran.status, ran.value["status"]) == (0, "trusted")
    assert re.search(r"^IPFS, IPFS node 127\.0\.0\.1:9: ", ran.err, re.MULTILINE)


def test_nobody_has_the_list(apart: Apart) -> None:
    apart.do("admin", "org", "keep", ORG)
    certify(apart)
    apart.settings("eve", apart.port, "gateways = []")
    ran = apart.run("eve", "verify", METER, "--json")
    assert (ran.status, ran.value["status"], ran.value["reason"]) == (4, "undetermined", "list_missing")


def test_photographs_travel(apart: Apart, tmp_path: Path) -> None:
    apart.do("admin", "org", "keep", ORG)
    picture = tmp_path / "seal.png"
    Image.effect_noise((1200, 900), 80).convert("RGB").save(picture)  # a tree of blocks
    certify(apart, "--photo", picture)
    (row,) = apart.do("eve", "meter", "show", METER, "--photos", tmp_path / "fetched")["photos"]
    with Image.open(row["file"]) as found:
        assert found.size == (1200, 900)


def test_signed_in_the_cellar_the_photographs_follow_when_it_is_sent(apart: Apart, tmp_path: Path) -> None:
    apart.do("admin", "org", "keep", ORG)
    apart.do("max", "meter", "prepare", METER)
    picture = tmp_path / "seal.png"
    Image.new("RGB", (40, 30), (1, 2, 3)).save(picture)
    file = apart.pairing(network=REGTEST)
    online = (apart.home("max") / "config.toml").read_text()
    apart.settings("max", 9, 'api = "/ip4/127.0.0.1/tcp/9"')  # nothing can be reached
    certified = ("meter", "certify", file, "--org", ORG, "--seal", "A-1", "--photo", picture, "--offline")
    assert apart.do("max", *certified)["sent"] is False
    (apart.home("max") / "config.toml").write_text(online)
    with apart.mining():
        assert apart.do("max", "tx", "resume")[0]["error"] is None
    devnet = Devnet(apart.world)
    devnet.mine(5)
    devnet.close()
    (row,) = apart.do("eve", "meter", "show", METER, "--photos", tmp_path / "fetched")["photos"]
    assert row["file"] is not None
