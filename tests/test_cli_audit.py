"""`doitrust audit`: the verdicts of `verify`, for every meter, streamed, resumed, and through reorganisations."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli import BILLIG, MUELLER, PASSAU, environment, failure, home, load, run, start
from devnet_world import ROOT, recorded_json
from lying_proxy import lying
from regtest_home import point_at, recorded_world
from rpc_node import served

from doitrust.adapters.devnet import Devnet
from doitrust.adapters.index import IndexedView
from doitrust.adapters.pins import PinStore
from doitrust.chain.networks import DEVNET
from doitrust.cli import judging
from doitrust.cli.indexed import COLUMNS
from doitrust.cli.indexed import row as row_of
from doitrust.trust.policy import Policy
from doitrust.workflows import audit as workflow
from doitrust.workflows.audit import Audit, ChainMoved
from doitrust.workflows.verify import verify


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def same_as_verify(rows: list[dict[str, Any]], **options: Any) -> None:
    told = run("verify", "--json", *(row["meter"] for row in rows), **options)
    for found, verdict in zip(rows, told.value, strict=True):
        at = verdict["certificate"] or verdict["revocation"] or {}
        assert found["status"] == verdict["status"], found["meter"]
        for name in ("reason", "organization", "address", "node", "client", "contested", "foreign_writes"):
            assert found[name] == verdict[name], (found["meter"], name)
        assert (found["network"], found["tip"]) == (verdict["network"], verdict["tip"]["hash"])
        for name in ("txid", "height", "confirmations", "time"):
            assert found[name] == at.get(name), (found["meter"], name)


# ---- the verdicts


@pytest.mark.parametrize("number", [1, 2])
def test_every_verdict_is_that_of_verify(number: int) -> None:
    load(number)
    ran = run("audit")
    rows = lines(ran.out)
    assert {row["meter"] for row in rows} == {row["meter"] for row in run("meter", "list", "--json").value}
    assert len({row["meter"] for row in rows}) == len(rows)
    same_as_verify(rows)
    known = recorded_json(number)["meters"]
    assert {row["meter"] for row in rows} >= {m for m, told in known.items() if told["status"] != "unknown"}
    assert ran.status == 3
    for status in {row["status"] for row in rows}:
        assert f"{sum(row['status'] == status for row in rows)} {status}" in ran.err
    assert "not the real market" in ran.err


@pytest.mark.parametrize("number", [1, 2])
def test_over_rpc_they_are_the_same(number: int) -> None:
    devnet, folder = recorded_world(number)
    with served(devnet) as (client, _):
        env = point_at(folder, client.port)
        rows = lines(run("audit", env=env).out)
        same_as_verify(rows, env=env)
        load(number)
        here = lines(run("audit").out)
        assert [{**row, "network": ""} for row in rows] == [{**row, "network": ""} for row in here]


def test_evidence_as_a_whole_gives_the_same_verdicts() -> None:
    """Not only what is printed: every check and every write."""
    load(1)
    chain = Devnet(home() / "devnet")
    policy = Policy(PinStore(home() / "state.db", DEVNET).all())
    found = Audit(IndexedView(chain, home() / "index.db"), chain.contents, policy)
    verdicts = [one.verdict for part in found.judged(found.meters()) for one in part]
    assert verdicts == verify(chain, chain.contents, policy, [verdict.meter for verdict in verdicts]).verdicts


def test_a_revocation_that_waits_counts() -> None:
    load(1)
    run("devnet", "automine", "off")
    chain = Devnet(home() / "devnet")
    chain.reorg(20)  # what the last blocks held waits now
    rows = lines(run("audit").out)
    same_as_verify(rows)
    assert any(row["status"] == "revoked" and row["height"] is None for row in rows) == any(
        row["height"] is None and row["txid"] for row in rows
    )


def test_without_organisations_nothing_is_trusted() -> None:
    load(1)
    for name in (PASSAU, MUELLER):
        run("org", "reject", name)
    ran = run("audit")
    assert {row["status"] for row in lines(ran.out)} == {"untrusted"}
    assert ran.status == 3


def test_an_empty_chain_is_an_empty_audit() -> None:
    ran = run("audit")
    assert (ran.status, ran.out) == (0, "")
    assert "no meter has a record" in ran.err
    assert run("audit", "--json").value == []


# ---- order and choice


def test_replaced_meters_come_first_and_the_rest_by_number() -> None:
    load(2)
    rows = lines(run("audit").out)
    marks = [row["replaced"] for row in rows]
    assert marks == sorted(marks, reverse=True)
    assert any(marks)
    for mark in (True, False):
        meters = [row["meter"] for row in rows if row["replaced"] is mark]
        assert meters == sorted(meters)
    # By anybody's record in an accepted organisation's name, counted or not.
    for row in rows:
        writes = run("meter", "show", row["meter"], "--json").value["writes"]
        if row["replaced"]:
            assert sum(write["kind"] == "certificate" for write in writes) > 1


def test_only_those_that_name_an_organisation() -> None:
    load(1)
    everything = {row["meter"]: row for row in lines(run("audit").out)}
    for name in (PASSAU, MUELLER, BILLIG):
        found = lines(run("audit", "--org", name).out)
        assert found == [everything[row["meter"]] for row in found]
        naming = {
            meter
            for meter in everything
            if any(
                write["organization"] == name
                for write in run("meter", "show", meter, "--json").value["writes"]
            )
        }
        assert {row["meter"] for row in found} == naming
        assert naming
    assert lines(run("audit", "--org", "Nobody").out) == []
    assert "Error: " in failure("audit", "--org", " bad")


# ---- forms


def test_csv_json_lines_and_json_say_the_same() -> None:
    load(1)
    table, text = home() / "a.CSV", home() / "a.jsonl"
    printed = lines(run("audit").out)
    assert run("audit", "--json").value == printed
    for path in (table, text):
        ran = run("audit", "--out", path)
        assert (ran.status, ran.out) == (3, "")
    assert lines(text.read_text()) == printed
    with table.open(newline="") as file:
        reader = csv.DictReader(file)
        cells = list(reader)
        assert tuple(reader.fieldnames or ()) == COLUMNS
    assert cells == [
        {
            name: "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in row.items()
        }
        for row in printed
    ]


def test_with_out_json_is_a_summary() -> None:
    load(1)
    path = home() / "a.jsonl"
    ran = run("audit", "--out", path, "--json")
    rows = lines(path.read_text())
    summary = ran.value
    assert summary["meters"] == len(rows) == sum(summary["statuses"].values())
    assert summary["file"] == str(path)
    assert (summary["organization"], summary["tip"]["height"]) == (None, 543)
    for status, count in summary["statuses"].items():
        assert count == sum(row["status"] == status for row in rows)


def test_a_node_that_leaves_in_the_middle_ends_the_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "PART", 5)
    devnet, folder = recorded_world(1)
    with served(devnet) as (client, _), lying(client.port) as proxy:
        env = point_at(folder, proxy.port)
        asked = 0

        def lie(method: str, params: list[Any], result: Any) -> Any:
            nonlocal asked
            asked += method == "getblockhash" and params == [543]  # does the tip stand?
            return "gone" if asked > 4 else result

        proxy.lie = lie
        ran = run("audit", "--json", env=env)
        assert ran.status == 1
        *rows, last = ran.value
        assert rows
        assert last["error"]["code"] == "lying_source"
        proxy.lie = lambda _method, _params, result: result
        whole = run("audit", "--json", env=env).value
        assert whole[: len(rows)] == rows


def test_what_cannot_be_written_is_said() -> None:
    load(1)
    (home() / "file").write_text("")
    assert "can't" in failure("audit", "--out", home() / "file" / "a.csv")
    assert "can't write" in failure("audit", "--out", home())


# ---- resumed


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
@pytest.mark.parametrize("cut", [0.0, 0.3, 0.5, 0.97, 1.0])
def test_an_unfinished_file_is_gone_on_with(name: str, cut: float) -> None:
    load(2)
    path = home() / name
    first = run("audit", "--out", path)
    whole = path.read_bytes()
    # A whole line that only the first run can have written shows that it is kept.
    kept = whole[: int(len(whole) * cut)]
    path.write_bytes(kept)
    again = run("audit", "--out", path, "--json")
    assert path.read_bytes() == whole
    assert again.status == first.status
    rows = kept.count(b"\n") - (name == "a.csv")
    assert (f"behind {rows} lines" in again.err) == (rows > 0)
    assert again.value["meters"] == 21
    assert again.value["replaced"] == 2


def _marked(path: Path) -> bytes:
    """Change the file so that going on with it shows, and cut its last line."""
    changed = path.read_bytes().replace(b'"foreign_writes": 0', b'"foreign_writes": 7')
    path.write_bytes(changed[:-10])
    return changed


def test_at_another_tip_or_with_other_pins_it_begins_anew() -> None:
    load(2)
    path = home() / "a.jsonl"
    run("audit", "--out", path)
    whole = path.read_bytes()
    _marked(path)
    assert "Going on" in run("audit", "--out", path).err
    assert b'"foreign_writes": 7' in path.read_bytes()
    run("devnet", "mine", 1)
    assert "Going on" not in run("audit", "--out", path).err
    assert b'"foreign_writes": 7' not in path.read_bytes()
    _marked(path)
    name = run("org", "accepted", "--json").value[0]["name"]
    run("org", "reject", name)
    assert "Going on" not in run("audit", "--out", path).err
    assert b'"foreign_writes": 7' not in path.read_bytes()
    _marked(path)
    run("audit", "--out", path, "--org", name)
    assert len(path.read_bytes()) < len(whole)
    assert b'"foreign_writes": 7' not in path.read_bytes()


def test_a_file_with_other_lines_is_begun_anew() -> None:
    load(2)
    path = home() / "a.jsonl"
    run("audit", "--out", path)
    whole = path.read_bytes()
    rows = whole.splitlines(keepends=True)
    for spoilt in (
        b"".join([rows[1], rows[0], *rows[2:]]),
        whole + rows[0],
        whole.replace(b'"trusted"', b'"thrusted"'),
    ):
        path.write_bytes(spoilt)
        run("audit", "--out", path)
        assert path.read_bytes() == whole
    # Behind what can't be read nothing is kept.
    path.write_bytes(b"".join(rows[:4]) + b"[]\n" + b"".join(rows[4:]))
    assert "behind 4 lines" in run("audit", "--out", path).err
    assert path.read_bytes() == whole


def test_killed_it_goes_on() -> None:
    load(1)
    path = home() / "a.jsonl"
    run("audit", "--out", path)
    whole = path.read_bytes()
    path.unlink()
    for number in range(4):
        process = start("audit", "--out", path)
        until = time.monotonic() + 30
        while not path.exists() and time.monotonic() < until and process.poll() is None:
            time.sleep(0.005)
        time.sleep(0.01 * number)
        process.kill()
        process.wait()
    run("audit", "--out", path)
    assert path.read_bytes() == whole


def test_ctrl_c_ends_it() -> None:
    load(1)
    Devnet(home() / "devnet").mine(2000)
    process = start("audit")
    until = time.monotonic() + 30
    while not (home() / "index-devnet.db").exists() and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) in (1, 3)


# ---- reorganised meanwhile


def test_a_reorganisation_ends_a_pass_and_too_many_leave_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "PART", 5)
    load(1)
    chain = Devnet(home() / "devnet")
    policy = Policy(PinStore(home() / "state.db", DEVNET).all())
    index = IndexedView(chain, home() / "index.db")
    found = Audit(index, chain.contents, policy)
    parts = found.judged(found.meters())
    assert len(next(parts)) == 5
    chain.reorg(1)
    with pytest.raises(ChainMoved):
        next(parts)
    found = Audit(index, chain.contents, policy)
    parts = found.judged(found.meters(), moving=True)
    rows = [row_of(one.verdict, replaced=False) for one in next(parts)]
    assert rows[0]["tip"] == chain.tip().hash
    chain.reorg(1)
    assert {(one.verdict.status, one.verdict.reason) for one in next(parts)} == {
        ("undetermined", "chain_moved")
    }


def test_an_audit_begins_again_after_a_reorganisation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "PART", 5)
    devnet, folder = recorded_world(1)
    with served(devnet) as (client, _), lying(client.port) as proxy:
        env = point_at(folder, proxy.port)
        asked = 0

        def meanwhile(method: str, params: list[Any], result: Any) -> Any:
            nonlocal asked
            asked += method == "getblockhash" and params == [543]  # does the tip stand?
            if asked == 4:
                asked += 1
                Devnet(devnet).reorg(1)
            return result

        proxy.lie = meanwhile
        path = folder / "a.jsonl"
        ran = run("audit", "--out", path, env=env)
        assert "beginning again" in ran.err
        rows = lines(path.read_text())
        assert {row["tip"] for row in rows} == {Devnet(devnet).tip().hash}
        proxy.lie = lambda _method, _params, result: result
        same_as_verify(rows, env=env)


def test_a_foreign_node_alone_is_not_trusted() -> None:
    devnet, folder = recorded_world(1)
    with served(devnet) as (client, _):
        env = point_at(folder, client.port)
        run("config", "set", "node.own", "false", env=env)
        rows = lines(run("audit", env=env).out)
        same_as_verify(rows, env=env)
        assert "trusted" not in {row["status"] for row in rows}
        trusting = lines(run("audit", "--trust-source", env=env).out)
        assert "trusted" in {row["status"] for row in trusting}


def test_two_foreign_nodes_suffice() -> None:
    devnet, folder = recorded_world(1)
    with served(devnet) as (client, _), lying(client.port) as proxy:
        env = point_at(folder, client.port)
        for key, value in (
            ("node.own", "false"),
            ("node2.own", "false"),
            ("node2.url", f"http://127.0.0.1:{proxy.port}"),
            ("node2.cookie", folder / "cookie"),
        ):
            assert run("config", "set", key, value, env=env).status == 0
        rows = lines(run("audit", env=env).out)
        assert "trusted" in {row["status"] for row in rows}
        same_as_verify(rows, env=env)


# ---- in several processes


@pytest.fixture
def shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "PART", 5)
    monkeypatch.setattr(judging, "FEW", 1)
    monkeypatch.setattr(judging, "_processors", lambda: 3)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.thorough(0)
def test_several_processes_say_the_same(number: int) -> None:
    devnet, folder = recorded_world(number)
    with served(devnet) as (client, _):
        env = point_at(folder, client.port)
        for more in ([], ["--json"], ["--org", "Gilde"]):
            alone = run("audit", *more, env=env)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(workflow, "PART", 5)
                patch.setattr(judging, "FEW", 1)
                patch.setattr(judging, "_processors", lambda: 3)
                assert run("audit", *more, env=env) == alone


def test_a_node_that_leaves_is_told_from_there_too(shared_out: None) -> None:
    devnet, folder = recorded_world(1)
    with served(devnet) as (client, _), lying(client.port) as proxy:
        env = point_at(folder, proxy.port)
        run("audit", env=env)
        proxy.lie = lambda method, _, result: 7 if method == "getblockheader" and asked() else result
        count = 0

        def asked() -> bool:
            nonlocal count
            count += 1
            return count > 1  # the first is for the tip; here nobody asks for more

        assert "gives wrong answers" in failure("audit", "--out", folder / "a.csv", env=env)


def test_killed_it_leaves_no_process_behind() -> None:
    load(1)
    program = (
        "import os, sys; from doitrust.cli import judging; from doitrust.workflows import audit;"
        "from doitrust.cli.main import main\n"
        "if __name__ == '__main__':\n"
        "    audit.PART = judging.FEW = 1; judging._processors = lambda: 3\n"
        "    print(os.getpid(), flush=True)\n"
        "    judging._taken = lambda rows: __import__('time').sleep(60)\n"
        "    main(['audit'])\n"
    )
    file = home() / "slow.py"
    file.write_text(program)
    env = {**environment(), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, str(file)], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        process.stdout.readline()
        until = time.monotonic() + 30
        while len(below := _children(process.pid)) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert len(below) >= 2
    while any(Path(f"/proc/{pid}").exists() for pid in below):
        assert time.monotonic() < until + 30
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    if not Path("/proc").is_dir():
        pytest.skip("cannot be had here: /proc")
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]
