"""Writing through a Doichain Core node: organisations, certificates, revocations, waiting, and what comes between."""

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import story as stories
from lying import Call, Proxy, lying
from rpc_node import SECRET, served
from story import METER, ORG, Story, keys

from doitrust.adapters.core.rpc import RpcFailure
from doitrust.adapters.devnet import Devnet
from doitrust.adapters.wallet import Wallet
from doitrust.chain.networks import REGTEST
from doitrust.cli import carry

_USER, _, _PASSWORD = SECRET.partition(":")


class Remote(Story):
    """The story's people, who reach its chain over RPC only, as regtest; a miner makes a block now and then."""

    port = 0

    def environment(self, who: str) -> dict[str, str | None]:
        return {
            **super().environment(who),
            "DOITRUST_NETWORK": "regtest",
            "DOITRUST_DEVNET": str(self.folder / "nowhere"),
            "DOITRUST_NODE_PASSWORD": _PASSWORD,
        }

    def reach(self, who: str, port: int) -> None:
        text = f'[node]\nurl = "http://127.0.0.1:{port}"\nuser = "{_USER}"\n'
        (self.home(who) / "config.toml").write_text(text)

    def journal(self, who: str) -> Any:
        return Wallet(self.home(who) / "wallet.db", REGTEST).entries()

    def lists_for(self, *people: str) -> None:
        """IPFS by hand."""
        for who in people:
            shutil.copytree(self.home("admin") / "ipfs", self.home(who) / "ipfs", dirs_exist_ok=True)

    @contextmanager
    def mining(self) -> Iterator[None]:
        """Blocks come while something runs."""
        over = threading.Event()

        def work() -> None:
            devnet = Devnet(self.world)
            while not over.wait(0.05):
                if devnet.waiting():
                    devnet.mine(1)
            devnet.close()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.fixture(autouse=True)
def _impatient() -> Iterator[None]:
    with patch("doitrust.cli.carry._PAUSE", 0.02):
        yield


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """An organisation that was made over RPC, with two members; everybody accepts it."""
    folder = tmp_path_factory.mktemp("remote")
    shutil.copytree(stories._homes().folder, folder, dirs_exist_ok=True)
    made = Remote(folder)
    made.automine(on=False)
    for who, account in stories.RICH.items():
        made.fund(keys(who)[account]["address"])
    with served(made.world) as (client, _), patch("doitrust.cli.carry._PAUSE", 0.02):
        for who in stories.RICH:
            made.reach(who, client.port)
        with made.mining():
            told = made.do(
                "admin",
                "org",
                "create",
                ORG,
                "--local-only",
                "--member",
                f"{stories.key_of('max')}=Max Maier",
            )
        assert told["confirmations"] == 1
        made.mine(5)
        made.lists_for("max", "eve")
        for who in ("admin", "max", "eve"):
            made.do(who, "org", "accept", ORG, "--root", told["txid"])
    return made


@pytest.fixture
def remote(template: Remote, tmp_path: Path) -> Iterator[tuple[Remote, Proxy]]:
    """A copy of it, behind a proxy that can lie."""
    shutil.copytree(template.folder, tmp_path, dirs_exist_ok=True)
    made = Remote(tmp_path)
    with served(made.world) as (client, _), lying(client.port) as proxy:
        for who in stories.RICH:
            made.reach(who, proxy.port)
        yield made, proxy


def certify(made: Remote, *more: object, fails: bool = False) -> Any:
    file = made.pairing(network=REGTEST)
    arguments = ("meter", "certify", file, "--org", ORG, "--seal", "A-1", *more)
    return made.run("max", *arguments, "--json") if fails else made.do("max", *arguments)


def test_certified_and_revoked_over_rpc(remote: tuple[Remote, Proxy]) -> None:
    made, _ = remote
    with made.mining():
        certificate = certify(made)
    assert certificate["confirmations"] == 1
    made.mine(5)
    assert made.verdict(who="eve")["status"] == "trusted"
    assert made.verdict(who="eve")["network"] == "regtest"
    with made.mining():
        revocation = made.do("max", "meter", "revoke", METER, "--org", ORG, "--reason", "seal broken")
    assert made.verdict(who="eve")["status"] == "revoked"
    assert [txid for txid, _ in made.meter_writes()] == [certificate["txid"], revocation["txid"]]
    assert made.states("max") == ["done", "done"]
    assert not (made.folder / "nowhere").exists()


def test_the_list_is_changed_over_rpc(remote: tuple[Remote, Proxy]) -> None:
    made, _ = remote
    with made.mining():
        made.do("admin", "org", "add-member", ORG, "--local-only", f"{stories.key_of('mia')}=Mia Meier")
        made.do("admin", "org", "remove-member", ORG, "--local-only", stories.key_of("max"))
    made.lists_for("max")
    assert len(made.org_writes()) == 3
    ran = certify(made, fails=True)
    assert (ran.status, ran.error["code"]) == (1, "not_a_member")


def test_without_waiting_and_on_with_it(remote: tuple[Remote, Proxy]) -> None:
    made, _ = remote
    told = certify(made, "--no-wait")
    assert told["confirmations"] == 0
    assert made.waiting() == [told["txid"]]
    assert made.states("max") == ["sent"]
    again = certify(made, "--no-wait")  # the same again: nothing is paid twice
    assert again["txid"] == told["txid"]
    (resumed,) = made.do("max", "tx", "resume", "--no-wait")
    assert (resumed["txid"], resumed["confirmations"], resumed["error"]) == (told["txid"], 0, None)
    with made.mining():
        (resumed,) = made.do("max", "tx", "resume")
    assert resumed["confirmations"] == 1
    assert made.states("max") == ["done"]
    assert made.do("max", "tx", "resume") == []
    assert len(made.meter_writes()) == 1


def gone(call: Call) -> Any:
    raise OSError


def fall_silent(proxy: Proxy, after: str) -> Callable[[Call], Any]:
    """Let the node be gone once `after` was answered."""

    def lie(call: Call) -> Any:
        answer = call.ask()
        proxy.lies["*"] = gone
        del proxy.lies[after]
        return answer

    return lie


def test_a_node_that_goes_away_during_the_wait(
    remote: tuple[Remote, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "_PAUSE", 0.01)
    made, proxy = remote
    proxy.lies["sendrawtransaction"] = fall_silent(proxy, "sendrawtransaction")
    ran = certify(made, fails=True)
    assert (ran.status, ran.error["code"]) == (4, "waiting")
    assert made.waiting()[0] in ran.error["message"]
    assert "Traceback" not in ran.err
    assert made.states("max") == ["sent"]  # nothing is lost
    (txid,) = made.waiting()
    ran = made.run("max", "tx", "resume", "--json")
    assert ran.status == 1
    assert made.states("max") == ["sent"]
    proxy.lies.clear()
    with made.mining():
        (resumed,) = made.do("max", "tx", "resume")
    assert (resumed["txid"], resumed["confirmations"]) == (txid, 1)
    assert made.states("max") == ["done"]


def test_a_node_that_goes_away_before_it_took_it(remote: tuple[Remote, Proxy]) -> None:
    made, proxy = remote
    proxy.lies["sendrawtransaction"] = gone
    ran = certify(made, fails=True)
    assert (ran.status, ran.error["code"]) == (1, "node_broken")
    assert made.states("max") == ["signed"]
    assert made.waiting() == []
    proxy.lies.clear()
    with made.mining():
        (resumed,) = made.do("max", "tx", "resume")
    assert resumed["error"] is None
    assert made.states("max") == ["done"]


def test_an_answer_that_was_lost(remote: tuple[Remote, Proxy]) -> None:
    """The node took it, and the line broke before it could say so."""
    made, proxy = remote

    def lost(call: Call) -> Any:
        call.ask()
        del proxy.lies["sendrawtransaction"]
        raise OSError

    proxy.lies["sendrawtransaction"] = lost
    with made.mining():
        certify(made, fails=True)
        resumed = made.do("max", "tx", "resume")
    assert all(each["error"] is None for each in resumed)
    assert len(made.meter_writes()) == 1
    assert made.states("max") == ["done"]


@pytest.mark.parametrize(
    ("number", "state"), [(-26, "refused"), (-20, "signed"), (-28, "signed"), (-31, "signed")]
)
def test_trouble_of_the_node_is_no_refusal(remote: tuple[Remote, Proxy], number: int, state: str) -> None:
    made, proxy = remote
    proxy.lies["sendrawtransaction"] = lambda _: RpcFailure(number, "some reason")
    ran = certify(made, fails=True)
    assert ran.status == 1
    assert "some reason" in ran.error["message"]
    assert made.states("max") == [state]


def test_a_reorganisation_that_removes_a_certificate(remote: tuple[Remote, Proxy]) -> None:
    made, _ = remote
    with made.mining():
        told = certify(made)
    made.mine(5)
    assert made.verdict(who="eve")["status"] == "trusted"
    with made.devnet() as devnet:
        devnet.reorg(6, drop=True)
        assert devnet.transaction(told["txid"]) is None
    assert made.verdict(who="eve")["status"] == "unknown"
    assert made.states("max") == ["done"]
    with made.mining():
        (resumed,) = made.do("max", "tx", "resume")
    assert (resumed["txid"], resumed["confirmations"], resumed["error"]) == (told["txid"], 1, None)
    made.mine(5)
    assert made.verdict(who="eve")["status"] == "trusted"


def test_a_reorganisation_during_the_wait(remote: tuple[Remote, Proxy]) -> None:
    made, _ = remote
    told = certify(made, "--no-wait")
    made.mine(1)
    with made.devnet() as devnet:
        devnet.reorg(1)
    assert made.waiting() == [told["txid"]]
    with made.mining():
        (resumed,) = made.do("max", "tx", "resume")
    assert resumed["confirmations"] == 1


def test_what_the_lines_of_a_certification_say(remote: tuple[Remote, Proxy]) -> None:
    """-vv tells every call, and neither password nor passphrase."""
    made, _ = remote
    with made.mining():
        file = made.pairing(network=REGTEST)
        ran = made.run("max", "-vv", "meter", "certify", file, "--org", ORG, "--seal", "A-1")
    assert ran.status == 0, ran
    assert re.search(r"^sendrawtransaction\(", ran.err, re.MULTILINE)
    assert _PASSWORD not in ran.err + ran.out
    assert stories.PASSPHRASE not in ran.err + ran.out


def test_a_funded_account_is_seen_over_rpc(remote: tuple[Remote, Proxy]) -> None:
    made, _ = remote
    before = made.do("max", "key", "balance", "max")
    with made.mining():
        certify(made)
    assert made.do("max", "key", "balance", "max") != before


def forgetful(txid: str) -> Callable[[Call], Any]:
    """Leave one write out of every history."""

    def lie(call: Call) -> Any:
        return [row for row in call.ask() if row["txid"] != txid]

    return lie


def test_what_the_first_source_leaves_out_is_heard_from_the_second(remote: tuple[Remote, Proxy]) -> None:
    """Before we sign, history is the union of both, as it is for who verifies."""
    made, proxy = remote
    with made.mining():
        certify(made)
        revocation = made.do("max", "meter", "revoke", METER, "--org", ORG, "--reason", "seal broken")
    proxy.lies["name_history"] = forgetful(revocation["txid"])
    second = f'[node2]\nurl = "http://127.0.0.1:{proxy.target}"\nuser = "{_USER}"\n'
    config = made.home("max") / "config.toml"
    config.write_text(config.read_text() + second)
    file = made.pairing(network=REGTEST, node="another")
    arguments = ("meter", "certify", file, "--org", ORG, "--seal", "A-1")
    ran = made.run("max", *arguments, "--json", env={"DOITRUST_NODE2_PASSWORD": _PASSWORD})
    assert (ran.status, ran.error["code"]) == (1, "revoked")
    assert revocation["txid"] in ran.error["message"]


def test_the_owners_last_list_is_heard_from_the_second_source(remote: tuple[Remote, Proxy]) -> None:
    """Else the next list would lose what the last one withdrew."""
    made, proxy = remote
    max_key, mia = stories.key_of("max"), stories.key_of("mia")
    with made.mining():
        told = made.do(
            "admin", "org", "revoke-member", ORG, "--local-only", max_key, "--height", "1", "--reason", "left"
        )
    proxy.lies["name_history"] = forgetful(told["txid"])
    second = f'[node2]\nurl = "http://127.0.0.1:{proxy.target}"\nuser = "{_USER}"\n'
    config = made.home("admin") / "config.toml"
    config.write_text(config.read_text() + second)
    env = {"DOITRUST_NODE2_PASSWORD": _PASSWORD}
    with made.mining():
        made.do("admin", "org", "add-member", ORG, "--local-only", mia, env=env)
    made.lists_for("max")
    withdrawn = {m["key"]: m["revoked"] for m in made.do("max", "org", "members", ORG)}
    assert withdrawn[max_key] is not None
