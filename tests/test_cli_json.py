"""`--json`: exactly one value on stdout, for results and failures alike, with the fields that cli.md promises."""

import re
from pathlib import Path
from typing import Any

import pytest
from cli import BILLIG, BILLIG_ROOT, MUELLER, PASSAU, failure, home, load, meter, run, spawn, verdict
from devnet_world import recorded_file

TXID = r"[0-9a-f]{64}"
KEY = r"0[23][0-9a-f]{64}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"

#: What every verdict holds, as a pattern of types: a text is a regular expression.
VERDICT: dict[str, Any] = {
    "meter": "[A-Z0-9]{4,32}",
    "status": "trusted|revoked|undetermined|unconfirmed|untrusted|unknown",
    "reason": (None, "[a-z_]+"),
    "organization": (None, ".+"),
    "electrician": (None, {"key": KEY, "name": (None, ".+"), "licence": (None, ".+")}),
    "certificate": (None, {"txid": TXID, "height": int, "confirmations": int, "time": TIME}),
    "history": [{"txid": TXID, "height": int, "confirmations": int, "time": TIME}],
    "address": (None, "ncrt1.+"),
    "node": (None, KEY),
    "client": (None, KEY),
    "contested": bool,
    "foreign_writes": int,
    "sources": [dict],
    "checks": [{"rule": "[A-Z][0-9]", "ok": (None, bool), "detail": ".+"}],
    "network": "devnet",
    "tip": {"height": int, "hash": TXID, "time": TIME},
}
ORGANISATION: dict[str, Any] = {
    "name": ".+",
    "accepted": bool,
    "root": (None, TXID),
    "owner": (None, "ncrt1.+"),
    "sequence": (None, int),
    "cid": (None, "bafk.+"),
    "writes": [
        {
            "txid": TXID,
            "height": int,
            "position": int,
            "owner": "ncrt1.+",
            "cid": "bafk.+",
            "counts": (None, bool),
            "why": ".+",
        }
    ],
}
MEMBERS: list[Any] = [
    {"key": KEY, "name": (None, ".+"), "licence": (None, ".+"), "member": bool, "revoked": (None, dict)}
]


def fits(value: Any, pattern: Any) -> bool:
    """Whether `value` has the pattern's shape: more fields are welcome, missing ones are not."""
    if isinstance(pattern, tuple):
        return any(fits(value, each) for each in pattern)
    if isinstance(pattern, str):
        return isinstance(value, str) and re.fullmatch(pattern, value) is not None
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(k in value and fits(value[k], p) for k, p in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(fits(each, pattern[0]) for each in value)
    return value is None if pattern is None else type(value) is pattern


@pytest.mark.parametrize("number", [1, 4, 5, 6, 10, 16, 17, 19, 21, 22, 23, 24])
def test_a_verdict_has_the_promised_fields(number: int) -> None:
    load(1)
    told = verdict(meter(number))
    for field, pattern in VERDICT.items():
        assert fits(told[field], pattern), (field, told[field])
    assert (told["reason"] is None) == (told["status"] not in ("untrusted", "undetermined"))
    assert (told["certificate"] is None) == (told["status"] not in ("trusted", "unconfirmed"))


def test_history_tells_what_counted_before() -> None:
    load(1)
    told = verdict(meter(19))
    assert told["status"] == "revoked"
    assert [earlier["kind"] for earlier in told["history"]][:1] == ["certificate"]


def test_a_revoked_verdict_tells_its_revocation_and_no_certificate() -> None:
    load(1)
    told = verdict(meter(17))
    (write,) = [write for write in told["writes"] if write["kind"] == "revocation"]
    place = {field: write[field] for field in ("txid", "height", "confirmations", "time", "key", "by_owner")}
    assert told["revocation"] == place | {"reason": "seal broken"}
    assert [told[field] for field in ("certificate", "address", "node", "client", "doc", "seal")] == [
        None
    ] * 5 + [[]]
    assert verdict(meter(1))["revocation"] is None


def test_a_link_s_organisation_is_told_beside_the_verdict_s() -> None:
    load(1)
    for number in (1, 17):
        told = verdict(f"doitrust:meter/{meter(number)}?network=devnet&org={BILLIG}")
        assert (told["organization"], told["expected_organization"]) == (PASSAU, BILLIG)
        assert any(BILLIG in warning and PASSAU in warning for warning in told["warnings"])
    told = verdict(f"doitrust:meter/{meter(1)}?network=devnet&org=Elektro-Innung%20Passau")
    assert (told["expected_organization"], told["warnings"]) == (PASSAU, [])
    assert verdict(meter(1))["expected_organization"] is None


@pytest.mark.parametrize("name", [PASSAU, MUELLER, BILLIG])
def test_an_organisation_has_the_promised_fields(name: str) -> None:
    load(1)
    told = run("org", "show", name, "--json").value
    for field, pattern in ORGANISATION.items():
        assert fits(told[field], pattern), (field, told[field])
    assert told["accepted"] is (name != BILLIG)
    assert (told["root"] is None) is (name == BILLIG)
    assert all(write["counts"] is not None for write in told["writes"]) is (name != BILLIG)


@pytest.mark.parametrize(("name", "root"), [(PASSAU, ()), (MUELLER, ()), (BILLIG, ("--root", BILLIG_ROOT))])
def test_members_have_the_promised_fields(name: str, root: tuple[str, ...]) -> None:
    load(1)
    told = run("org", "members", name, *root, "--json").value
    assert told
    assert fits(told, MEMBERS), told


def test_a_withdrawn_member_says_so() -> None:
    load(1)
    (withdrawn,) = [m for m in run("org", "members", PASSAU, "--json").value if m["revoked"]]
    assert withdrawn["member"] is False
    assert withdrawn["revoked"] == {"height": 484, "reason": "key-compromise", "voids_revocations": False}


def test_one_meter_is_an_object_and_several_are_an_array() -> None:
    load(1)
    assert run("verify", meter(1), "--json").value["meter"] == meter(1)
    several = run("verify", meter(1), meter(2), meter(1), "--json").value
    assert [told["meter"] for told in several] == [meter(1), meter(2), meter(1)]


LINES = [
    ["verify", meter(1)],
    ["verify", meter(1), meter(24), "-v"],
    ["meter", "show", meter(17)],
    ["meter", "list"],
    ["org", "list"],
    ["org", "show", MUELLER],
    ["org", "members", MUELLER],
    ["org", "history", MUELLER],
    ["org", "accept", BILLIG],
    ["org", "accept", BILLIG, "--root", BILLIG_ROOT],
    ["org", "accepted"],
    ["org", "reject", PASSAU],
    ["devnet", "import", recorded_file(1)],
    ["devnet", "mine", "2"],
    ["devnet", "reorg", "2", "--drop"],
    ["devnet", "automine", "off"],
    ["devnet", "status"],
    ["devnet", "reset", "--yes"],
    ["config", "show"],
    ["config", "set", "min_confirmations", "7"],
    ["completion", "bash"],
    ["demo"],
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: " ".join(map(str, line[:2])))
def test_every_result_is_one_json_value_and_nothing_else(line: list[str]) -> None:
    load(1)
    ran = run(*line, "--json")
    assert ran.status in (0, 3)
    assert isinstance(ran.value, dict | list)
    assert "error" not in ran.value
    assert ran.err == ""


@pytest.mark.parametrize("line", [["devnet", "reset", "--yes"], ["org", "reject", PASSAU]])
def test_a_command_without_a_result_prints_an_empty_object(line: list[str]) -> None:
    load(1)
    assert run(*line, "--json").value == {}


#: (status, code, line)
FAILURES = [
    (2, "usage", ["--nosuch"]),
    (2, "usage", ["nosuch"]),
    (2, "usage", ["org"]),
    (2, "usage", ["org", "nosuch"]),
    (2, "usage", ["org", "show"]),
    (2, "usage", ["org", "show", "a", "b"]),
    (2, "usage", ["org", "show", "a  b"]),
    (2, "usage", ["verify"]),
    (2, "usage", ["verify", "x"]),
    (2, "usage", ["verify", meter(1), "--nosuch"]),
    (2, "usage", ["verify", meter(1), "--min-confirmations", "0"]),
    (2, "usage", ["verify", meter(1), "--max-writes", "many"]),
    (2, "usage", ["--network", "mars", "org", "list"]),
    (2, "usage", ["completion", "tcsh"]),
    (2, "usage", ["devnet", "mine", "0"]),
    (2, "usage", ["devnet", "reorg", "9999"]),
    (2, "usage", ["devnet", "reset"]),
    (2, "usage", ["config", "set", "nosuch", "1"]),
    (1, "refused", ["org", "show", "Nobody"]),
    (1, "refused", ["org", "reject", "Nobody"]),
    (1, "other_chain", ["devnet", "import", recorded_file(2)]),
    (1, "no_cookie", ["--network", "mainnet", "verify", meter(1)]),
    (1, None, ["devnet", "import", "nosuch.json"]),
    (1, None, ["verify", meter(1), "--evidence", "nosuch.json"]),
    (1, None, ["verify", meter(1), "--save-evidence", "/dev/null/evidence.json"]),
]


@pytest.mark.parametrize("way", ["option first", "option last", "environment"])
@pytest.mark.parametrize(("status", "code", "line"), FAILURES, ids=lambda x: str(x)[:60])
def test_every_failure_is_one_json_value_and_nothing_else(
    status: int, code: str | None, line: list[str], way: str
) -> None:
    load(1)
    if way == "environment":
        ran = run(*line, env={"DOITRUST_JSON": "1"})
    else:
        ran = run(*(["--json", *line] if way == "option first" else [*line, "--json"]))
    assert ran.status == status
    assert ran.error.keys() == {"code", "message", "hint"}
    assert fits(ran.error, {"code": "[a-z_-]+", "message": ".+", "hint": ".*"})
    assert not any("\\x0a" in text for text in ran.error.values())
    assert code in (None, ran.error["code"])
    assert ran.err == ""


def test_json_after_the_end_of_options_is_an_argument() -> None:
    load(1)
    assert "--json" in failure("org", "show", "--", "--json")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_the_value_is_json_in_whatever_encoding_the_terminal_has(encoding: str) -> None:
    load(1)
    ran = spawn("org", "list", "--json", env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
    assert MUELLER in [entry["name"] for entry in ran.value]


def test_a_question_does_not_disturb_the_value() -> None:
    load(1)
    ran = run("devnet", "reset", "--json", typed="y\n")
    assert (ran.status, ran.out.strip()) == (0, "{}")
    assert ran.out[0] == "{"
    assert "Forget" in ran.err


def test_files_given_by_relative_names_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(1)
    monkeypatch.chdir(tmp_path)
    verdict(meter(1), "--save-evidence", "evidence.json")
    assert (tmp_path / "evidence.json").is_file()
    assert verdict(meter(1), "--evidence", "evidence.json", "--home", home())["status"] == "undetermined"
