"""Both recorded chains through the command line: every verdict, its exit status, and its evidence."""

from pathlib import Path
from typing import Any

import pytest
from cli import STATUS_OF, load, run, verdict
from devnet_world import recorded_json

METERS = [(number, meter) for number in (1, 2) for meter in recorded_json(number)["meters"]]


def expected(number: int, meter: str) -> dict[str, Any]:
    entry: dict[str, Any] = recorded_json(number)["meters"][meter]
    return entry


@pytest.mark.parametrize(("number", "meter"), METERS)
def test_each_verdict_is_the_recorded_one(number: int, meter: str) -> None:
    load(number)
    told, wanted = verdict(meter), expected(number, meter)
    for field in ("status", "reason", "contested", "foreign_writes", "organization"):
        if field in wanted:
            assert told[field] == wanted[field], field
    if wanted["status"] == "trusted":
        assert told["certificate"]["txid"] == wanted["txid"]


@pytest.mark.parametrize(("number", "meter"), METERS)
def test_saved_evidence_gives_the_same_verdict_once_its_source_is_trusted(
    tmp_path: Path, number: int, meter: str
) -> None:
    load(number)
    file = tmp_path / "evidence.json"
    online = verdict(meter, "--save-evidence", file)
    offline = verdict(meter, "--evidence", file, "--trust-source")
    for field in online.keys() - {"sources", "checks"}:
        assert offline[field] == online[field], field
    distrusted = verdict(meter, "--evidence", file)
    if online["status"] == "trusted":
        assert (distrusted["status"], distrusted["reason"]) == ("undetermined", "single_source")
    else:
        assert distrusted["status"] == online["status"]


@pytest.mark.parametrize("number", [1, 2])
def test_all_meters_at_once_are_judged_as_each_alone(tmp_path: Path, number: int) -> None:
    load(number)
    file, meters = tmp_path / "evidence.json", list(recorded_json(number)["meters"])
    for how in (["--save-evidence", file], ["--evidence", file, "--trust-source"]):
        ran = run("verify", "--json", *meters, *how)
        assert [(told["meter"], told["status"]) for told in ran.value] == [
            (meter, expected(number, meter)["status"]) for meter in meters
        ]
        assert ran.status == STATUS_OF["untrusted"]


@pytest.mark.parametrize("number", [1, 2])
def test_every_meter_on_the_chain_is_listed_with_its_verdict(number: int) -> None:
    load(number)
    listed = {entry["meter"]: entry["status"] for entry in run("meter", "list", "--json").value}
    meters = recorded_json(number)["meters"]
    known = {meter: entry["status"] for meter, entry in meters.items() if entry["status"] != "unknown"}
    assert {meter: status for meter, status in listed.items() if meter in known} == known
    assert all(listed[meter] == "unknown" for meter in listed.keys() - known.keys())
