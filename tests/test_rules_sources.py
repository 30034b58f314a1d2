"""Where data may come from: rules N1, N3 and N4, as far as `judge` and `gather` answer for them."""
# ruff: noqa: N802  the rules' names are capitals

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import pytest
from made import METER, ORG, OWN_NODE, MadeChain, View, decided_by, organised, said

from doitrust.chain.tx import Transaction
from doitrust.content.cid import Cid
from doitrust.errors import BadData
from doitrust.trust.evidence import Evidence, Located, Missing, Place, Source, Tip
from doitrust.trust.evidence_file import read_evidence, write_evidence
from doitrust.trust.judge import Judge
from doitrust.workflows.gather import ATTEMPTS, gather

TRUSTED = ("trusted", None)
REVOKED = ("revoked", None)
NOT_A_MEMBER = ("untrusted", "not_a_member")
SINGLE_SOURCE = ("undetermined", "single_source")
MOVED = ("undetermined", "chain_moved")
FOREIGN = Source("http://node.example", own=False)
OTHER = Source("http://other.example", own=False)


@pytest.fixture
def made() -> MadeChain:
    """A meter with a certificate of six confirmations."""
    made = organised()
    made.certify("E1")
    made.mine(5)
    return made


def gathered(made: MadeChain, view: View) -> tuple[str, str | None]:
    """What is said after gathering from `view`."""
    policy = made.policy(trust_source=True)
    return said(Judge(gather(view, view, policy, [METER]), policy).verdict(METER))


# ---- N1: bytes are hashed before they are read


def test_N1_a_transaction_is_what_its_bytes_hash_to(made: MadeChain) -> None:
    txid = made.certify("E1")
    raw = made.raw[txid]
    assert Transaction.parse(raw).txid == txid
    padded = raw.replace(b"Org", b"Orh")
    assert Transaction.parse(padded).txid != txid


def test_N1_a_transaction_under_another_txid_is_refused_in_a_file(made: MadeChain) -> None:
    file = write_evidence(made.evidence())
    txid = made.certify("E1")
    assert said(made.judge(evidence=read_evidence(file, source="file"))) == SINGLE_SOURCE
    some = next(iter(made.evidence().transactions))
    with pytest.raises(BadData, match="hashes to another txid"):
        read_evidence(file.replace(some.encode(), txid.encode()), source="file")


@pytest.mark.parametrize("change", [lambda block: block + b" ", lambda _: b"", lambda block: block.upper()])
def test_N1_a_list_that_does_not_hash_to_its_cid_is_missing(
    made: MadeChain, change: Callable[[bytes], bytes]
) -> None:
    evidence = made.evidence()
    content = {cid: change(block) for cid, block in evidence.content.items()}
    assert said(made.judge(evidence=replace(evidence, content=content))) == ("undetermined", "list_missing")


# ---- N3: which sources are enough for trust


@pytest.mark.parametrize(
    ("sources", "trust_source", "expected"),
    [
        ([OWN_NODE], False, TRUSTED),
        ([FOREIGN], False, SINGLE_SOURCE),
        ([FOREIGN], True, TRUSTED),
        ([FOREIGN, OTHER], False, TRUSTED),
        ([FOREIGN, FOREIGN], False, SINGLE_SOURCE),
        ([FOREIGN, OWN_NODE], False, TRUSTED),
        ([], False, SINGLE_SOURCE),
    ],
    ids=["own", "foreign", "foreign and trusted", "two", "one twice", "foreign and own", "none"],
)
def test_N3_an_own_node_two_sources_or_the_user_s_word(
    made: MadeChain, sources: Sequence[Source], trust_source: bool, expected: tuple[str, str | None]
) -> None:
    verdict = made.judge(evidence=made.evidence(sources=sources), trust_source=trust_source)
    assert said(verdict) == expected
    assert verdict.sources == tuple(sources)
    (check,) = [check for check in verdict.checks if check.rule == "N3"]
    assert check.ok is (expected == TRUSTED)
    assert all(source.name in check.detail for source in sources)


def test_N3_the_certificate_that_one_source_shows_is_shown(made: MadeChain) -> None:
    txid = made.certify("E1")
    made.mine(5)
    assert decided_by(made.judge(evidence=made.evidence(sources=[FOREIGN]))) == txid


def test_N3_one_source_is_enough_for_everything_but_trust(made: MadeChain) -> None:
    def alone(meter: str = METER) -> tuple[str, str | None]:
        return said(made.judge(meter, evidence=made.evidence(sources=[FOREIGN])))

    made.certify("thief", meter="OTHER")
    made.certify("E1", meter="NEW")
    assert alone("OTHER") == NOT_A_MEMBER
    assert alone("NEW") == ("unconfirmed", None)
    assert alone("NONE") == ("unknown", None)
    made.revoke("E1")
    assert alone() == REVOKED


def test_N3_another_organisation_s_revocation_does_not_stand_in_for_single_source(made: MadeChain) -> None:
    made.found("E4", org="Other")
    made.revoke("E4", org="Other")
    assert said(made.judge(evidence=made.evidence(sources=[FOREIGN]))) == SINGLE_SOURCE


@pytest.mark.parametrize("withheld", ["revocation", "withdrawal"])
def test_N3_a_write_that_the_source_names_and_withholds_is_not_left_out(
    made: MadeChain, withheld: str
) -> None:
    txid = made.revoke("E1") if withheld == "revocation" else made.withdraw("E1")
    assert gathered(made, View(made, FOREIGN)) != TRUSTED
    made.withhold(txid)
    assert gathered(made, View(made, FOREIGN)) == ("undetermined", "transaction_missing")


def test_N3_nothing_that_a_file_says_of_its_sources_is_believed(made: MadeChain) -> None:
    evidence = read_evidence(write_evidence(made.evidence(sources=[OWN_NODE, OTHER])), source="file")
    assert said(made.judge(evidence=evidence)) == SINGLE_SOURCE
    assert said(made.judge(evidence=evidence, trust_source=True)) == TRUSTED


# ---- N4: one tip


def test_N4_what_is_above_the_tip_does_not_count(made: MadeChain) -> None:
    tip = made.height
    made.revoke("E1")
    made.withdraw("E1")
    made.certify("thief")
    verdict = made.judge(evidence=made.evidence(tip=tip))
    assert (said(verdict), verdict.foreign_writes, len(verdict.writes)) == (TRUSTED, 0, 1)
    assert (verdict.tip.height, verdict.tip.hash) == (tip, made.blocks[tip].hash)
    assert said(made.judge()) == REVOKED


def test_N4_confirmations_are_counted_from_the_tip(made: MadeChain) -> None:
    made.mine(10)
    height = made.judge().writes[0].height
    assert height is not None
    for tip, confirmations in ((height, 1), (height + 5, 6)):
        verdict = made.judge(evidence=made.evidence(tip=tip))
        assert verdict.writes[0].confirmations == confirmations
        assert verdict.status == ("trusted" if confirmations >= 6 else "unconfirmed")


def test_N4_a_chain_that_kept_moving_leaves_nothing_to_say(made: MadeChain) -> None:
    evidence = made.evidence(missing=[Missing("chain", "tip", "chain_moved")])
    verdict = made.judge(evidence=evidence)
    assert (said(verdict), verdict.writes, verdict.organizations) == (MOVED, (), ())
    (check,) = [check for check in verdict.checks if check.rule == "N4"]
    assert check.ok is False


class Moving(View):
    """A chain that loses the block that was its tip, the first `times` times that the tip is read."""

    def __init__(self, made: MadeChain, times: int) -> None:
        super().__init__(made)
        self.times = times
        self.begun = 0

    def tip(self) -> Tip:
        self.begun += 1
        return super().tip()

    def standing(self, blocks: Iterable[str]) -> set[str]:
        return super().standing(blocks) if self.begun > self.times else set()


@pytest.mark.parametrize("times", range(ATTEMPTS + 2))
def test_N4_gathering_begins_again_while_the_chain_moves_but_not_for_ever(
    made: MadeChain, times: int
) -> None:
    view = Moving(made, times)
    assert gathered(made, view) == (TRUSTED if times < ATTEMPTS else MOVED)
    assert view.begun == min(times + 1, ATTEMPTS)


class Growing(View):
    """A chain that gets a revocation after its tip was read."""

    def tip(self) -> Tip:
        tip = super().tip()
        self.chain.certify("thief")
        self.chain.withdraw("E1")
        return tip


def test_N4_what_is_mined_while_gathering_does_not_count(made: MadeChain) -> None:
    assert gathered(made, Growing(made)) == TRUSTED
    assert said(made.judge()) == ("untrusted", "not_a_member")


LOSSES: dict[str, Callable[[MadeChain], str]] = {
    "certificate": lambda made: made.certify("E2"),
    "revocation": lambda made: made.revoke("E2"),
    "list": lambda made: made.drop("E1"),
    "withdrawal": lambda made: made.withdraw("E1"),
    "transfer": lambda made: made.publish(["E2"], owner="next"),
}


@pytest.mark.parametrize("write", LOSSES.values(), ids=LOSSES.keys())
def test_N4_a_reorganisation_takes_away_what_it_removed(
    made: MadeChain, write: Callable[[MadeChain], str]
) -> None:
    def answers() -> list[object]:
        """All that can be asked here; each write changes one of them."""
        made.certify("E1", meter="PROBE1")
        made.publish(["E1", "E2", "E4"], "owner", owner="owner")
        made.certify("E4", meter="PROBE2")
        verdicts = [made.judge(meter, min_confirmations=1) for meter in (METER, "PROBE1", "PROBE2")]
        made.reorg(3)
        return [decided_by(verdicts[0]), *map(said, verdicts)]

    before = answers()
    write(made)
    assert answers() != before
    made.reorg(1)
    assert answers() == before
    made.mine(2)
    assert answers() == before


def test_N4_in_another_branch_the_same_transaction_has_another_height(made: MadeChain) -> None:
    """Caches by txid alone would keep the old height's answer."""
    made.publish(["E4"])
    made.certify("E4", meter="OTHER")
    assert said(made.judge("OTHER", min_confirmations=1)) == TRUSTED
    publication, certificate = made.reorg(2)
    made.replay(certificate)
    made.replay(publication)
    assert said(made.judge("OTHER", min_confirmations=1)) == NOT_A_MEMBER


def test_N4_order_is_that_of_the_blocks_not_of_the_evidence(made: MadeChain) -> None:
    """By height, then by position in the block; neither by txid nor by who spoke first."""
    last = {METER: made.certify("E1", "node 2")}
    for number in range(6):
        with made.block():
            made.certify("E1", meter=f"IN{number}")
            last[f"IN{number}"] = made.certify("E1", "node 2", meter=f"IN{number}")
    evidence = made.evidence()
    backwards = replace(evidence, transactions=dict(reversed(list(evidence.transactions.items()))))
    for meter, txid in last.items():
        for each in (evidence, backwards):
            assert decided_by(made.judge(meter, evidence=each, min_confirmations=1)) == txid


def test_N4_a_transaction_without_a_place_is_none_but_a_revocation(made: MadeChain) -> None:
    """Nobody has said where it is in the chain, so it is not in it."""

    def displaced(txid: str) -> Evidence:
        evidence = made.evidence()
        located = Located(evidence.transactions[txid].tx, None)
        return replace(evidence, transactions={**evidence.transactions, txid: located})

    certificate = made.certify("E1", meter="OTHER")
    assert said(made.judge("OTHER", evidence=displaced(certificate))) == ("unknown", None)
    withdrawal = made.withdraw("E1")
    assert said(made.judge(evidence=displaced(withdrawal))) == TRUSTED
    assert said(made.judge()) == ("untrusted", "member_revoked")


def test_gathered_evidence_holds_what_the_verdict_needs_and_no_more(made: MadeChain) -> None:
    made.publish(["thief"], "thief")
    made.overwrite("bp/OTHER", b"x")
    view = View(made)
    evidence = gather(view, view, made.policy(), [METER])
    assert said(Judge(evidence, made.policy()).verdict(METER)) == TRUSTED
    assert set(evidence.transactions) < set(made.evidence().transactions)
    assert len(evidence.content) == 1  # the stranger's list was not fetched
    assert all(isinstance(cid, Cid) for cid in evidence.content)
    assert all(isinstance(located.place, Place) for located in evidence.transactions.values())
    assert evidence.names == [b"bp/M123", f"bp_organization/{ORG}".encode()]
