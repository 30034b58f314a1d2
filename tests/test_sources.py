"""Sources that lie, stall, lag or are elsewhere: alone, beside another foreign one, and beside an own node."""
# ruff: noqa: N802  the rules' names are capitals

import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import world as worlds
from btclib.tx.tx import Tx
from cli import STATUS_OF, home, run
from lying import Call, Lies, lying
from made import METER, ORG
from rpc_node import SECRET, served
from support import txid_of
from test_core_node import core

from doitrust.adapters.core.rpc import RpcFailure
from doitrust.adapters.devnet import Devnet
from doitrust.adapters.sources import Sources
from doitrust.chain.networks import DEVNET
from doitrust.chain.tx import Transaction
from doitrust.errors import DoitrustError, Unavailable
from doitrust.meters.number import record_name
from doitrust.trust.evidence import Evidence, Source
from doitrust.trust.judge import Judge
from doitrust.trust.policy import Policy
from doitrust.trust.verdict import Verdict
from doitrust.workflows.gather import gather

#: Every meter, with its verdict by whoever sees all.
TRUTH = {
    METER: "trusted",
    "REPLACED": "trusted",
    "REVOKED": "revoked",
    "THIEF": "untrusted",
    "WITHDRAWN": "untrusted",
    "NONE": "unknown",
}
ABSENT = RpcFailure(
    -5, "No such mempool or blockchain transaction. Use gettransaction for wallet transactions."
)
NOWHERE = "ab" * 32


class Scene(NamedTuple):
    """A chain, served, and which transactions are what."""

    world: worlds.World
    port: int
    txids: Mapping[str, str]
    unsent: bytes

    @property
    def policy(self) -> Policy:
        return self.world.policy()

    def tx(self, what: str) -> Transaction:
        return self.world.tx(self.txids[what])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    world = worlds.organised(tmp_path_factory.mktemp("scene"))
    txids = {
        "certificate": world.certify("E1"),
        "first": world.certify("E1", "node 1", meter="REPLACED"),
        "second": world.certify("E1", "node 2", meter="REPLACED"),
        "revoked": world.certify("E1", meter="REVOKED"),
        "withdrawal": world.withdraw("E2", world.height),
        "thief": world.overwrite(_certificate_value(world), meter="THIEF"),
    }
    txids["previous"] = world.tx(txids["certificate"]).inputs[0].txid
    txids["late"] = world.overwrite(_certificate_value(world), meter="WITHDRAWN", by="E2")
    world.mine(6)
    txids["revocation"] = world.revoke("E1", meter="REVOKED")
    world.mine(1)
    unsent = world.signed_certificate("E1", meter="NONE")
    with served(world.devnet.directory) as (client, _):
        made = Scene(world, client.port, txids, unsent)
        assert {meter: world.verify(meter).status for meter in TRUTH} == TRUTH
        yield made
    world.devnet.close()


def _certificate_value(world: worlds.World) -> bytes:
    (write,) = [output for _, output in world.tx(world.certify("E1", meter="SAMPLE")).writes]
    return write.value


# ---- lies


def bytes_of(what: str, change: Callable[[bytes], bytes]) -> Callable[[Scene], Lies]:
    """Another transaction under the txid."""

    def lies(scene: Scene) -> Lies:
        def lie(call: Call) -> Any:
            answer = call.ask()
            if call.params[0] != scene.txids[what]:
                return answer
            raw = change(bytes.fromhex(answer["hex"] if isinstance(answer, dict) else answer)).hex()
            return {**answer, "hex": raw} if isinstance(answer, dict) else raw

        return {"getrawtransaction": lie}

    return lies


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda raw: (
        raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] if at >= 0 else flipped(len(raw) + at)(raw)
    )


def withheld(what: str, *, listed: bool, given: bool) -> Callable[[Scene], Lies]:
    """A write that is left out of histories, or isn't handed out, or both."""

    def lies(scene: Scene) -> Lies:
        txid = scene.txids[what]

        def history(call: Call) -> Any:
            rows = [row for row in call.ask() if listed or row["txid"] != txid]
            return rows or RpcFailure(-4, "name not found: 'x'")

        def raw(call: Call) -> Any:
            return call.ask() if given or call.params[0] != txid else ABSENT

        return {"name_history": history, "getrawtransaction": raw}

    return lies


def header_fields(**changes: Any) -> Callable[[Scene], Lies]:
    """Block headers with other fields, by functions of the old ones."""

    def lie(call: Call) -> Any:
        answer = call.ask()
        return {**answer, **{field: change(answer[field]) for field, change in changes.items()}}

    return lambda _: {"getblockheader": lie}


def invented(scene: Scene) -> Lies:
    """Every block that is asked for by height is another one, with the same content, nonce aside."""
    real: dict[str, str] = {}

    def fake(call: Call, block: str) -> str:
        raw = bytes.fromhex(call.ask(block, False, method="getblockheader"))[:80]
        made = raw[:76] + bytes([raw[76] ^ 1]) + raw[77:]
        found = txid_of(made)
        real[found] = block
        return found

    def by_height(call: Call) -> Any:
        return fake(call, call.ask()) if call.params[0] else call.ask()

    def inside(call: Call) -> Any:
        return call.ask(
            *[real.get(str(param), param) if isinstance(param, str) else param for param in call.params]
        )

    def proof(call: Call) -> Any:
        answer = inside(call)
        if call.params[1] not in real:
            return answer
        return answer[:152] + bytes([bytes.fromhex(answer)[76] ^ 1]).hex() + answer[154:]

    def header(call: Call) -> Any:
        return {**inside(call), "hash": call.params[0]}

    return {
        "getblockhash": by_height,
        "getrawtransaction": inside,
        "gettxoutproof": proof,
        "getblockheader": header,
    }


def made_up(scene: Scene) -> Lies:
    """A certificate that was signed and never sent is shown as mined, in a block that is made up."""
    tx = Transaction.parse(scene.unsent)
    root = bytes.fromhex(tx.txid)[::-1]
    header = (
        (1).to_bytes(4, "little")
        + bytes(32)
        + root
        + (1_800_000_000).to_bytes(4, "little")
        + bytes.fromhex("ffff7f2000000000")
    )
    block = txid_of(header)
    height, tip = scene.world.height - 8, scene.world.devnet.tip().hash

    def history(call: Call) -> Any:
        if bytes.fromhex(call.params[0]) != record_name("NONE"):
            return call.ask()
        return [{"name": call.params[0], "txid": tx.txid, "vout": 0, "height": height}]

    def by_height(call: Call) -> Any:
        return block if call.params[0] == height else call.ask()

    def raw(call: Call) -> Any:
        if len(call.params) > 2 and call.params[2] == block:
            return tx.raw.hex() if call.params[0] == tx.txid else ABSENT
        return call.ask()

    def proof(call: Call) -> Any:
        tree = (1).to_bytes(4, "little") + b"\x01" + root + b"\x01\x01"
        return (header + tree).hex() if call.params[1] == block else call.ask()

    def told(call: Call) -> Any:
        return {**call.ask(tip), "hash": block, "height": height} if call.params[0] == block else call.ask()

    return {
        "name_history": history,
        "getblockhash": by_height,
        "getrawtransaction": raw,
        "gettxoutproof": proof,
        "getblockheader": told,
    }


def listing(*more: str) -> Callable[[Scene], Lies]:
    """Histories with more in them."""

    def history(call: Call) -> Any:
        rows = call.ask()
        return [*rows, *({**rows[0], "txid": txid} for txid in more)]

    return lambda _: {"name_history": history}


def stalling(call: Call) -> Any:
    call.proxy.over.wait(10)
    raise OSError


def another_proof(scene: Scene) -> Lies:
    place = scene.world.devnet.transaction(scene.txids["thief"]).place  # type: ignore[union-attr]
    assert place is not None
    return {"gettxoutproof": lambda call: call.ask([scene.txids["thief"]], place.block)}


def says(method: str, answer: Any) -> Callable[[Scene], Lies]:
    return lambda _: {method: lambda _: answer}


class Lie(NamedTuple):
    """`fault` is what it is accused of, beside an own node; `shown`: whether it is caught alone."""

    lies: Callable[[Scene], Lies]
    fault: str
    shown: bool = False


LIES = {
    "other bytes": Lie(bytes_of("certificate", flipped(60)), "another transaction", True),
    "bytes that are none": Lie(bytes_of("revocation", lambda raw: raw[:-1]), "is no transaction", True),
    "bytes of a previous transaction": Lie(bytes_of("previous", flipped(60)), "another transaction", True),
    "a flipped byte of a signature": Lie(bytes_of("certificate", flipped(-50)), "other signatures", True),
    "no signatures": Lie(
        bytes_of("certificate", lambda raw: _bare(Transaction.parse(raw))), "other signatures", True
    ),
    "another height": Lie(header_fields(height=lambda height: height - 3), "into another place"),
    "blocks outside of the chain": Lie(header_fields(confirmations=lambda _: -1), "withholds"),
    "invented blocks": Lie(invented, "into another place"),
    "a proof of another block": Lie(another_proof, "another block than", True),
    "no proof": Lie(says("gettxoutproof", "00" * 90), "is none", True),
    "a certificate that was never sent": Lie(made_up, "in a block that"),
    "no revocation": Lie(withheld("revocation", listed=False, given=False), "withholds"),
    "a revocation that isn't listed": Lie(withheld("revocation", listed=False, given=True), "out of a name's history"),
    "a revocation that isn't given": Lie(withheld("revocation", listed=True, given=False), "withholds", True),
    "no withdrawal": Lie(withheld("withdrawal", listed=False, given=False), "withholds"),
    "a withdrawal that isn't given": Lie(withheld("withdrawal", listed=True, given=False), "withholds", True),
    "no second certificate": Lie(withheld("second", listed=False, given=False), "withholds"),
    "no previous transaction": Lie(withheld("previous", listed=True, given=False), "withholds", True),
    "no history": Lie(says("name_history", RpcFailure(-4, "name not found")), "out of a name's history|withholds"),
    "a history that nobody has": Lie(listing(NOWHERE), "nobody has", True),
    "a history without end": Lie(listing(*(f"{n:064x}" for n in range(150))), "many writes", True),
    "garbage": Lie(says("*", {"x": [1, None]}), "wrong answers", True),
    "nothing": Lie(says("*", None), "wrong answers", True),
    "an error each time": Lie(says("*", RpcFailure(-32603, "oops")), "oops", True),
    "an error at last": Lie(says("getrawtransaction", RpcFailure(-20, "disk")), "disk", True),
    "silence": Lie(says("name_history", None), "wrong answers", True),
    "stalling": Lie(lambda _: {"getrawtransaction": stalling}, "did not answer in time", True),
    "another network": Lie(
        lambda _: {"getblockhash": lambda call: call.ask() if call.params[0] else NOWHERE}, "another chain", True
    ),
}  # fmt: skip
#: What is wrong and changes nothing: none of it is used.
HARMLESS: dict[str, Callable[[Scene], Lies]] = {
    "heights of histories": lambda _: {
        "name_history": lambda call: [{**row, "height": row["height"] - 1} for row in call.ask()]
    },
    "order of histories": lambda _: {"name_history": lambda call: call.ask()[::-1]},
    "values and addresses": lambda _: {
        "name_history": lambda call: [{**row, "value": "x", "address": "y", "vout": 9} for row in call.ask()]
    },
    "blocks by height": lambda _: {
        "getblockhash": lambda call: call.ask(call.params[0] and call.params[0] - 1)
    },
    "a mempool": lambda scene: {"name_pending": lambda _: [{"txid": scene.txids["revocation"]}]},
}


def _bare(tx: Transaction) -> bytes:
    return bytes(Tx.parse(tx.raw, check_validity=False).serialize(False, check_validity=False))


# ---- asking


@contextmanager
def asked(scene: Scene, arrangement: str, liar: int) -> Iterator[Sources]:
    """The sources in an arrangement: `L` is the liar, `f` an honest foreign one, `o` an own node."""
    views = []
    for kind in arrangement:
        port, own, name = (liar, False, "liar") if kind == "L" else (scene.port, kind == "o", "honest")
        views.append(core(port, own=own, name=name, timeout=2.5 if kind == "L" else 20.0))
    yield Sources(views)


def judged(
    scene: Scene, sources: Sources, *, trust_source: bool = False, meters: Sequence[str] = tuple(TRUTH)
) -> tuple[dict[str, Verdict], Evidence]:
    policy = scene.world.policy(trust_source=trust_source)
    evidence = gather(sources, scene.world.devnet.contents, policy, meters)
    judge = Judge(evidence, policy)
    return {meter: judge.verdict(meter) for meter in meters}, evidence


def statuses(verdicts: Mapping[str, Verdict]) -> dict[str, str]:
    return {meter: str(verdict.status) for meter, verdict in verdicts.items()}


@pytest.mark.parametrize(
    ("name", "arrangement"), list(zip(LIES, itertools.cycle(["oL", "Lo"]), strict=False))
)
@pytest.mark.thorough(3)
def test_N3_an_own_node_decides_and_the_liar_is_named(scene: Scene, name: str, arrangement: str) -> None:
    lie = LIES[name]
    with lying(scene.port, lie.lies(scene)) as proxy, asked(scene, arrangement, proxy.port) as sources:
        verdicts, evidence = judged(scene, sources)
    assert statuses(verdicts) == TRUTH
    assert evidence.missing == ()
    faults = {source.name: source.fault for source in evidence.sources}
    assert faults["honest"] is None
    assert faults["liar"]
    assert any(word in faults["liar"] for word in lie.fault.split("|")), faults
    assert any("liar" in warning for warning in verdicts[METER].warnings)


@pytest.mark.parametrize(
    ("name", "arrangement"), list(zip(LIES, itertools.cycle(["Lf", "fL"]), strict=False))
)
@pytest.mark.thorough(3)
def test_N3_nothing_is_trusted_where_one_of_two_lies(scene: Scene, name: str, arrangement: str) -> None:
    with lying(scene.port, LIES[name].lies(scene)) as proxy, asked(scene, arrangement, proxy.port) as sources:
        verdicts, evidence = judged(scene, sources)
    assert "trusted" not in statuses(verdicts).values()
    assert verdicts["REVOKED"].status in ("revoked", "undetermined")
    faults = {source.name for source in evidence.sources if source.fault}
    assert faults
    assert "liar" in faults
    warnings = [warning for verdict in verdicts.values() for warning in verdict.warnings]
    assert any("is not relied on" in warning for warning in warnings)


@pytest.mark.parametrize("name", LIES)
@pytest.mark.thorough(3)
def test_N3_alone_a_liar_is_never_trusted(scene: Scene, name: str) -> None:
    lie = LIES[name]
    with lying(scene.port, lie.lies(scene)) as proxy:
        node = core(proxy.port, own=False, name="liar", timeout=2.5)
        try:
            evidence = gather(node, scene.world.devnet.contents, scene.policy, list(TRUTH))
        except DoitrustError as error:
            assert error.message.isprintable()  # noqa: PT017  # it need not be raised
            assert isinstance(error, Unavailable)  # noqa: PT017
            return
    judge = Judge(evidence, scene.policy)
    assert "trusted" not in {judge.verdict(meter).status for meter in TRUTH}
    if lie.shown:  # then not even where its word is taken
        judge = Judge(evidence, scene.world.policy(trust_source=True))
        found = {meter: judge.verdict(meter).status for meter in TRUTH}
        wrong = [meter for meter in TRUTH if found[meter] not in (TRUTH[meter], "undetermined")]
        assert not wrong, found
        assert "undetermined" in found.values()


@pytest.mark.parametrize("arrangement", ["oL", "Lf"])
@pytest.mark.parametrize("name", HARMLESS)
def test_N2_what_is_not_used_may_be_wrong(scene: Scene, name: str, arrangement: str) -> None:
    with lying(scene.port, HARMLESS[name](scene)) as proxy, asked(scene, arrangement, proxy.port) as sources:
        verdicts, evidence = judged(scene, sources)
    assert statuses(verdicts) == TRUTH
    assert [source.fault for source in evidence.sources] == [None, None]


@pytest.mark.parametrize("arrangement", ["oL", "Lo", "fL", "Lf"])
def test_N3_two_honest_ones_see_what_one_sees(scene: Scene, arrangement: str) -> None:
    with asked(scene, arrangement, scene.port) as sources:
        verdicts, evidence = judged(scene, sources)
        assert list(sources.names(b"bp/")) == list(scene.world.devnet.names(b"bp/"))
    assert statuses(verdicts) == TRUTH
    assert {(source.own, source.fault) for source in evidence.sources} == {
        (False, None),
        ("o" in arrangement, None),
    }
    assert sources.name == "honest and liar" if arrangement[1] == "L" else "liar and honest"
    assert sources.network is DEVNET


def test_a_liar_beside_an_own_node_costs_a_call_or_two(scene: Scene) -> None:
    """Who lists nonsense without end is not followed through it."""
    lie = listing(*(f"{n:064x}" for n in range(50_000)))(scene)
    with lying(scene.port, lie) as proxy, lying(scene.port) as own:
        sources = Sources([core(own.port), core(proxy.port, own=False, name="liar")])
        judged(scene, sources, meters=[METER])
        assert len(own.calls) + len(proxy.calls) < 400


def test_nobody_there_at_all(scene: Scene) -> None:
    with lying(scene.port) as proxy:
        port = proxy.port
    sources = Sources([core(port), core(port, own=False, name="other")])
    with pytest.raises(Unavailable, match="no node answers"):
        judged(scene, sources)
    with pytest.raises(Unavailable, match="no node answers"):
        sources.history(b"bp/X", 9)


@pytest.mark.parametrize("arrangement", ["oL", "Lo", "fL"])
def test_one_that_goes_away_in_between(scene: Scene, arrangement: str) -> None:
    """An own node that ends leaves one foreign source, which isn't enough."""
    with lying(scene.port) as proxy:
        calls = iter(range(10_000))

        def history(call: Call) -> Any:
            if next(calls) >= 1:
                raise OSError
            return call.ask()

        proxy.lies["name_history"] = history
        leaves = core(proxy.port, own=arrangement == "oL", name="leaves", timeout=2.0)
        stays = core(scene.port, own=arrangement == "Lo", name="stays")
        verdicts, evidence = judged(scene, Sources([leaves, stays]))
    assert [source.fault is None for source in evidence.sources] == [False, True]
    assert statuses(verdicts)[METER] == ("trusted" if arrangement == "Lo" else "undetermined")
    assert statuses(verdicts)["REVOKED"] == "revoked"


# ---- lagging, ahead, elsewhere


class Pair(NamedTuple):
    """Two chains that share their beginning: `old` as it was, `new` further on."""

    old: Devnet
    old_port: int
    new: worlds.World
    new_port: int


@pytest.fixture
def pair(scene: Scene, tmp_path: Path) -> Iterator[Callable[[Callable[[worlds.World], object]], Pair]]:
    with ExitStack() as stack:

        def make(change: Callable[[worlds.World], object]) -> Pair:
            copy = tmp_path / "copy"
            shutil.copytree(scene.world.devnet.directory, copy)
            new = worlds.World(tmp_path / "new", devnet=copy)
            new.pins = scene.world.pins
            new.clock.now += 5_000
            change(new)
            stack.callback(new.devnet.close)
            client, _ = stack.enter_context(served(copy))
            return Pair(scene.world.devnet, scene.port, new, client.port)

        yield make


def seen_by(pair: Pair, *order: tuple[str, bool]) -> tuple[dict[str, str], tuple[Source, ...], Evidence]:
    """What is said by sources in this order: `old` or `new`, own or not."""
    ports = {"old": pair.old_port, "new": pair.new_port}
    sources = Sources([core(ports[which], own=own, name=which) for which, own in order])
    policy = pair.new.policy()
    evidence = gather(sources, pair.new.devnet.contents, policy, list(TRUTH))
    judge = Judge(evidence, policy)
    return {meter: str(judge.verdict(meter).status) for meter in TRUTH}, evidence.sources, evidence


def revoke_one(world: worlds.World) -> None:
    world.mine(1)
    world.revoke("E1")
    world.mine(1)


@pytest.mark.parametrize("own", ["old", "new", "neither"])
def test_one_that_lags_behind_does_nothing_wrong(pair: Any, own: str) -> None:
    made = pair(revoke_one)
    for order in (("old", "new"), ("new", "old")):
        found, sources, evidence = seen_by(made, *((which, which == own) for which in order))
        # The revocation counts also where the block above the common tip is the only place that has it.
        assert found == {**TRUTH, METER: "revoked"}
        assert [source.fault for source in sources] == [None, None]
        tips = {"old": made.old.tip(), "new": made.new.devnet.tip()}
        assert evidence.tip == tips["new" if own == "new" else "old"]


@pytest.mark.parametrize("own", ["old", "new", "neither"])
def test_confirmations_above_the_common_tip_are_not_counted(pair: Any, own: str) -> None:
    def change(world: worlds.World) -> None:
        world.certify("E1", meter="NONE")
        world.mine(6)

    made = pair(change)
    found, sources, _ = seen_by(made, ("old", own == "old"), ("new", own == "new"))
    assert found == {**TRUTH, "NONE": "trusted" if own == "new" else "unknown"}
    assert [source.fault for source in sources] == [None, None]


def test_a_source_that_lags_does_not_hide_a_withdrawal_from_an_own_node(pair: Any) -> None:
    def change(world: worlds.World) -> None:
        world.withdraw("E1", 0)
        world.mine(1)

    found, sources, _ = seen_by(pair(change), ("new", True), ("old", False))
    assert found[METER] == "untrusted"
    assert [source.fault for source in sources] == [None, None]


@pytest.mark.parametrize("depth", [1, 12])
@pytest.mark.parametrize("own", ["old", "new", "neither"])
def test_one_on_a_fork_is_named(pair: Any, own: str, depth: int) -> None:
    made = pair(lambda world: world.reorg(depth, drop=True))
    for order in (("old", "new"), ("new", "old")):
        found, sources, evidence = seen_by(made, *((which, which == own) for which in order))
        faults = {source.name: source.fault for source in sources}
        if own == "neither":
            assert "trusted" not in found.values()
            assert faults == {"old": "it is on another chain than new", "new": None}
            continue
        other = "old" if own == "new" else "new"
        assert faults == {own: None, other: f"it is on another chain than {own}"}
        assert evidence.tip == (made.old if own == "old" else made.new.devnet).tip()
        if own == "old":
            assert found == TRUTH


def test_a_chain_that_moves_under_two_sources_is_read_again(scene: Scene, tmp_path: Path) -> None:
    """What they disagreed about while one of them was ahead of the other in it is forgotten."""
    copy = tmp_path / "devnet"
    shutil.copytree(scene.world.devnet.directory, copy)
    world = worlds.World(tmp_path, devnet=copy)
    world.pins = scene.world.pins
    world.clock.now += 10_000
    moved = iter([True])

    def history(call: Call) -> Any:
        if next(moved, False):
            with closing(Devnet(copy)) as devnet:
                devnet.reorg(12)
                devnet.mine(12)
        return call.ask()

    with served(copy) as (client, _), lying(client.port, {"name_history": history}) as proxy:
        sources = Sources([core(client.port), core(proxy.port, own=False, name="other")])
        policy = world.policy()
        evidence = gather(sources, world.devnet.contents, policy, list(TRUTH))
        assert [source.fault for source in evidence.sources] == [None, None]
        assert {meter: Judge(evidence, policy).verdict(meter).status for meter in TRUTH} == {
            meter: world.verify(meter).status for meter in TRUTH
        }
        assert evidence.tip == world.devnet.tip()
    world.devnet.close()


# ---- through the command line


@pytest.fixture
def at_home(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A home on regtest that accepts the organisation, with its lists; gives a way to set nodes."""
    monkeypatch.setenv("DOITRUST_NETWORK", "regtest")
    monkeypatch.setenv("DOITRUST_NODE_PASSWORD", SECRET.partition(":")[2])
    monkeypatch.setenv("DOITRUST_NODE2_PASSWORD", SECRET.partition(":")[2])
    shutil.copytree(scene.world.devnet.directory / "ipfs", home() / "ipfs")

    def setting(**nodes: tuple[int, bool]) -> None:
        lines = []
        for name, (port, own) in nodes.items():
            lines += [
                f'[{name}]\nurl = "http://127.0.0.1:{port}"\nuser = "__cookie__"\nown = {str(own).lower()}'
            ]
        home().mkdir(exist_ok=True)
        (home() / "config.toml").write_text("\n".join(lines))

    setting(node=(scene.port, True))
    (root, _), *_ = scene.world.pins[ORG]
    ran = run("org", "accept", ORG, "--root", root, "--yes", env={"DOITRUST_NETWORK": "regtest"})
    assert ran.status == 0, ran
    return setting


def verified(*meters: str) -> dict[str, Any]:
    """Each meter's verdict as JSON."""
    ran = run("verify", "--json", *meters, env={"DOITRUST_NETWORK": "regtest"})
    assert "Traceback" not in ran.err
    value = ran.value
    assert "error" not in value, value
    if len(meters) == 1:
        assert ran.status == STATUS_OF[value["status"]]
        return {meters[0]: value}
    return dict(zip(meters, value, strict=True))


TELLING = [
    "other bytes",
    "a flipped byte of a signature",
    "invented blocks",
    "no revocation",
    "no withdrawal",
    "a certificate that was never sent",
    "garbage",
    "another network",
]


@pytest.mark.parametrize("name", TELLING)
def test_the_command_line_names_the_liar(scene: Scene, at_home: Callable[..., None], name: str) -> None:
    with lying(scene.port, LIES[name].lies(scene)) as proxy:
        at_home(node=(scene.port, True), node2=(proxy.port, False))
        told = verified(*TRUTH)
        assert {meter: value["status"] for meter, value in told.items()} == TRUTH
        honest, liar = told[METER]["sources"]
        assert honest == {"name": f"127.0.0.1:{scene.port}", "own": True, "fault": None}
        assert (liar["name"], liar["own"]) == (f"127.0.0.1:{proxy.port}", False)
        assert any(word in liar["fault"] for word in LIES[name].fault.split("|"))
        assert any(liar["name"] in warning for warning in told[METER]["warnings"])
        at_home(node=(scene.port, False), node2=(proxy.port, False))
        told = verified(*TRUTH)
        assert "trusted" not in {value["status"] for value in told.values()}
        assert any(source["fault"] for source in told[METER]["sources"])
        at_home(node=(proxy.port, False))
        ran = run("verify", "--json", *TRUTH, env={"DOITRUST_NETWORK": "regtest"})
        assert "Traceback" not in ran.err
        assert ran.status in (1, 3, 4)
        assert '"trusted",' not in ran.out


def test_the_command_line_does_not_blame_one_that_lags(pair: Any, at_home: Callable[..., None]) -> None:
    made = pair(lambda world: world.mine(3))
    at_home(node=(made.new_port, True), node2=(made.old_port, False))
    value = verified(METER)[METER]
    assert (value["status"], [source["fault"] for source in value["sources"]]) == ("trusted", [None, None])
    assert value["warnings"] == []


def test_the_command_line_without_its_own_node(scene: Scene, at_home: Callable[..., None]) -> None:
    with lying(scene.port) as proxy:
        gone = proxy.port
    at_home(node=(gone, True), node2=(scene.port, False))
    value = verified(METER)[METER]
    assert (value["status"], value["reason"]) == ("undetermined", "single_source")
    assert "no node answers" in value["sources"][0]["fault"]
    at_home(node=(gone, True))
    ran = run("verify", METER, env={"DOITRUST_NETWORK": "regtest"})
    assert ran.status == 1
    assert ran.err.startswith("Error: no node answers at http://127.0.0.1:")
