"""Killed anywhere, told again: exactly one transaction, one payment, and a journal that knows."""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cli import environment
from killing import Killed, killed
from story import METER, ORG, Story, client_key, key_of, keys, organised, pairing_of, quick_keys

from doitrust.adapters.devnet import Devnet
from doitrust.adapters.wallet import Wallet
from doitrust.chain.address import script_of
from doitrust.chain.networks import DEVNET
from doitrust.cli.app import App
from doitrust.cli.main import main
from doitrust.errors import Refused
from doitrust.ports import DONE, REFUSED, SENT
from doitrust.workflows import sending
from doitrust.workflows.sending import Patience, Purpose


@pytest.fixture
def story(tmp_path: Path) -> Story:
    found = organised(tmp_path)
    found.pairing()
    return found


#: The steps of sending, in their order; `mark` is called for SENT, then for DONE.
STEPS = [
    (Wallet, "record", False, 1),
    (Wallet, "record", True, 1),
    (Devnet, "broadcast", False, 1),
    (Devnet, "broadcast", True, 1),
    (Wallet, "mark", False, 1),
    (Wallet, "mark", True, 1),
    (App, "answer", False, 1),
    (Wallet, "mark", False, 2),
    (Wallet, "mark", True, 2),
]
IDS = [f"{'after' if after else 'before'} {name} {turn}" for _, name, after, turn in STEPS]

Step = tuple[type, str, bool, int]


def certify(story: Story, *more: object) -> tuple[object, ...]:
    return (
        "meter", "certify", story.folder / "pairing.json", "--org", ORG, "--seal", "A-1", "--fund", "0.1", *more,
    )  # fmt: skip


def kill_at(story: Story, step: Step, who: str, *arguments: object) -> None:
    owner, name, after, turn = step
    with pytest.raises(Killed), killed(owner, name, after=after, turn=turn):
        story.run(who, *arguments, "--json")


def once(story: Story, who: str, txid: str) -> None:
    """One transaction, and a journal that says so."""
    (entry,) = [entry for entry in story.journal(who) if entry.state != REFUSED]
    assert (entry.tx.txid, entry.state) == (txid, DONE)
    assert not story.waiting()


@pytest.mark.parametrize("step", STEPS, ids=IDS)
@pytest.mark.parametrize("way", ["again", "resume"])
def test_a_certificate_is_written_and_paid_once(story: Story, step: Step, way: str) -> None:
    kill_at(story, step, "max", *certify(story))
    if way == "resume":
        story.do("max", "tx", "resume")
    answer = story.do("max", *certify(story))
    ((txid, _),) = story.meter_writes()
    assert (answer["txid"], answer["verdict"]["status"]) == (txid, "trusted")
    assert story.paid(script_of(pairing_of().ms, DEVNET)) == 10_000_000
    once(story, "max", txid)
    if way == "again":
        assert story.do("max", "seal", "show", pairing_of().ms)["node"] == pairing_of().node.hex()


@pytest.mark.parametrize("step", STEPS, ids=IDS)
def test_a_payment_is_made_once(story: Story, step: Step) -> None:
    node = pairing_of().node.hex()
    where = story.do("client", "seal", "address", "--node", node, "--client", client_key().hex())["address"]
    story.fund(where, "0.5")
    receiver = keys("eve")["client"]["address"]
    arguments = ("seal", "spend", where, "--to", receiver, "--amount", "0.1")
    kill_at(story, step, "client", *arguments)
    if step[1:] != ("mark", True, 2):  # until then the command means the same payment
        txid = story.do("client", *arguments)["txid"]
        once(story, "client", txid)
    assert story.paid(script_of(receiver, DEVNET)) == 10_000_000


@pytest.mark.parametrize("step", STEPS[:-2], ids=IDS[:-2])
def test_an_organisation_gets_one_root(story: Story, step: Step) -> None:
    arguments = ("org", "create", "Zweite", "--member", key_of("eve"))
    kill_at(story, step, "admin", *arguments)
    answer = story.do("admin", *arguments)
    ((txid, _),) = story.org_writes("Zweite")
    assert answer["root"] == txid
    assert story.do("admin", "org", "share", "Zweite")["root"] == txid
    assert [entry.state for entry in story.journal("admin") if entry.subject == "Zweite"] == [DONE]


@pytest.mark.parametrize("step", STEPS, ids=IDS)
def test_a_list_is_published_once(story: Story, step: Step) -> None:
    arguments = ("org", "add-member", ORG, key_of("eve"))
    kill_at(story, step, "admin", *arguments)
    ran = story.run("admin", *arguments, "--json")
    assert ran.status == 0 or "a member already" in ran.error["message"], ran
    assert len(story.org_writes()) == 2
    assert {entry.state for entry in story.journal("admin")} == {DONE}
    assert len(story.do("max", "org", "members", ORG)) == 3


@pytest.mark.parametrize("step", STEPS, ids=IDS)
def test_a_revocation_is_written_once(story: Story, step: Step) -> None:
    story.certify("mia")
    arguments = ("meter", "revoke", METER, "--org", ORG, "--reason", "seal broken")
    kill_at(story, step, "max", *arguments)
    answer = story.do("max", *arguments)
    assert len(story.meter_writes()) == 2
    once(story, "max", answer["txid"])
    assert answer["verdict"]["status"] == "revoked"


@pytest.mark.parametrize("step", STEPS[:-2], ids=IDS[:-2])
def test_a_renewal_is_written_once(story: Story, step: Step) -> None:
    story.certify("mia")
    story.mine(5)
    kill_at(story, step, "max", "meter", "renew", METER)
    answer = story.do("max", "meter", "renew", METER)
    assert len(story.meter_writes()) == 2
    once(story, "max", answer["txid"])


@pytest.mark.parametrize("step", STEPS[:-2], ids=IDS[:-2])
def test_without_automine_too(story: Story, step: Step) -> None:
    """Nothing is mined while it is killed and begun again."""
    story.automine(on=False)
    kill_at(story, step, "max", *certify(story, "--no-wait"))
    answer = story.do("max", *certify(story, "--no-wait"))
    assert answer["confirmations"] == 0
    assert story.waiting() == [answer["txid"]]
    story.mine(1)
    assert story.do("max", *certify(story))["txid"] == answer["txid"]
    once(story, "max", answer["txid"])
    assert story.paid(script_of(pairing_of().ms, DEVNET)) == 10_000_000


# ---- real processes, really killed


MOMENTS = 20


def forked(story: Story, who: str, *arguments: object) -> int:
    """A process of its own that has everything imported already: its id."""
    child = os.fork()
    if child:
        return child
    try:
        os.environ.clear()
        os.environ.update(environment(story.environment(who)))
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        with quick_keys():
            main([*map(str, arguments), "--json", "--yes"])
    finally:
        os._exit(0)


def end(child: int, seconds: float) -> bool:
    """Let it run so long, then kill it; whether it was still running."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def settled(story: Story) -> None:
    """Told again, there is one certificate, one payment, one entry that is done."""
    answer = story.do("max", *certify(story))
    ((txid, _),) = story.meter_writes()
    assert answer["txid"] == txid
    assert story.paid(script_of(pairing_of().ms, DEVNET)) == 10_000_000
    assert story.states("max") == [DONE]
    assert not story.waiting()


def test_killed_at_many_moments_of_its_run(tmp_path: Path) -> None:
    warm = organised(tmp_path / "warm")
    warm.pairing()
    warm.do("max", *certify(warm))  # imports all there is
    took = []
    for number in range(3):
        story = organised(tmp_path / f"timed{number}")
        story.pairing()
        started = time.monotonic()
        child = forked(story, "max", *certify(story))
        os.waitpid(child, 0)
        took.append(time.monotonic() - started)
        settled(story)
    whole = sorted(took)[1]
    cut = 0
    for moment in range(MOMENTS):
        story = organised(tmp_path / str(moment))
        story.pairing()
        cut += end(forked(story, "max", *certify(story)), whole * (moment + 0.5) / MOMENTS)
        settled(story)
    assert cut >= MOMENTS // 4, "the process was hardly ever killed in time"


@pytest.mark.parametrize("part", [0.7, 0.93])
def test_a_whole_process_killed(story: Story, tmp_path: Path, part: float) -> None:
    """From the interpreter's start on."""
    timed = organised(tmp_path / "timed")
    timed.pairing()
    started = time.monotonic()
    whole_run = timed.start("max", *certify(timed, "--json"))
    whole_run.communicate(timeout=60)
    assert whole_run.returncode == 0
    whole = time.monotonic() - started
    process = story.start("max", *certify(story, "--json"))
    time.sleep(whole * part)
    process.kill()
    process.communicate()
    settled(story)


# ---- what nodes answer


class Refusing:
    """A node that refuses what it is given, for a reason of its own."""

    def __init__(self, devnet: Devnet, code: str) -> None:
        self._devnet = devnet
        self._code = code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._devnet, name)

    def broadcast(self, _raw: bytes) -> str:
        raise Refused("the node says no", code=self._code)


def kept(story: Story) -> tuple[Wallet, Any]:
    """A journal with one entry that nobody has sent."""
    with suppress(Killed), killed(Devnet, "broadcast", after=False):
        story.run("max", *certify(story))
    wallet = Wallet(story.home("max") / "wallet.db", DEVNET)
    (entry,) = wallet.entries()
    return wallet, entry


PATIENCE = Patience(0, lambda: None)


def test_what_a_node_refuses_is_given_up_with_its_reason_and_frees_its_coins(story: Story) -> None:
    wallet, entry = kept(story)
    assert wallet.in_use() == {(i.txid, i.vout) for i in entry.tx.inputs}
    with story.devnet() as devnet, pytest.raises(Refused, match="says no"):
        sending.deliver(Refusing(devnet, "dust"), wallet, entry.tx, entry.fee, PATIENCE)
    (after,) = wallet.entries()
    assert (after.state, after.note) == (REFUSED, "the node says no")
    assert wallet.in_use() == set()
    assert story.do("max", *certify(story))["confirmations"] == 1
    assert len(story.meter_writes()) == 1


@pytest.mark.parametrize("code", sorted(sending._KNOWN))
def test_a_node_that_has_it_already_is_no_refusal(story: Story, code: str) -> None:
    wallet, entry = kept(story)
    with story.devnet() as devnet:
        sent = sending.deliver(Refusing(devnet, code), wallet, entry.tx, entry.fee, PATIENCE)
    assert (sent.txid, sent.confirmations, sent.fee) == (entry.tx.txid, 0, entry.fee)
    assert wallet.entries()[0].state == SENT


def test_a_refusal_of_what_is_in_the_chain_is_none(story: Story) -> None:
    """Some nodes say of a confirmed transaction that its inputs are missing."""
    wallet, entry = kept(story)
    with story.devnet() as devnet:
        devnet.broadcast(entry.tx.raw)
        node: Any = Refusing(devnet, "bad-txns-inputs-missingorspent")
        sent = sending.deliver(node, wallet, entry.tx, entry.fee, PATIENCE)
        assert sent.confirmations == 1
        assert wallet.entries()[0].state == SENT
        sending.told(wallet, sent)
    assert wallet.entries()[0].state == DONE


def test_another_purpose_for_the_same_subject_is_refused(story: Story) -> None:
    wallet, entry = kept(story)
    same = Purpose(entry.command, entry.subject, entry.details)
    with story.devnet() as devnet:
        found = sending.under_way(devnet, wallet, same)
        assert found is not None
        assert found.tx.txid == entry.tx.txid
        with pytest.raises(Refused, match=entry.tx.txid) as caught:
            sending.under_way(devnet, wallet, same._replace(details={"value": "other"}))
        assert caught.value.code == "under_way"
        assert sending.under_way(devnet, wallet, same._replace(subject="other")) is None


def test_waiting_looks_again_after_each_pause(story: Story) -> None:
    wallet, entry = kept(story)
    story.automine(on=False)
    told, pauses = [], 0

    with story.devnet() as devnet:

        def pause() -> None:
            nonlocal pauses
            pauses += 1
            if pauses % 2 == 0:
                devnet.mine(1)

        patience = Patience(2, pause, lambda done, of: told.append((done, of)))
        sent = sending.deliver(devnet, wallet, entry.tx, entry.fee, patience)
    assert (sent.confirmations, pauses) == (2, 4)
    assert told == [(0, 2), (0, 2), (1, 2), (1, 2)]


def test_the_answer_tells_the_fee_that_was_paid(story: Story) -> None:
    answer = story.do("max", *certify(story))
    with story.devnet() as devnet:
        located = devnet.transaction(answer["txid"])
        assert located is not None
        spent = [(devnet.transaction(i.txid), i.vout) for i in located.tx.inputs]
        paid = sum(found.tx.outputs[vout].value for found, vout in spent if found is not None)
    fee = paid - sum(output.value for output in located.tx.outputs)
    assert round(float(answer["fee"]) * 1e8) == fee
    assert json.loads(json.dumps(answer))["fee"] == f"{fee / 1e8:.8f}"
