"""`judge` against the oracle, on random chains of every verb of the workshop.

The oracle was written from the rules' text alone. Where the two differ on purpose, the chains avoid it (keys of records
off the curve; pinned roots that the chain lacks or that are too young) or `Case.compare` leaves it out (of several
certificates that wait, which is named; with data missing, everything but the states, see `Case.cautious`; an
organisation whose state is open comes before another's certificate that waits, as the verdicts' order says).
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import oracle
import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from made import (
    ALL,
    ALL_ANYONECANPAY,
    METER,
    NONE,
    ODD_FORMS,
    OWN_NODE,
    SCRIPT_KINDS,
    SINGLE,
    MadeChain,
    Spend,
    Wallet,
    certificate,
    decided_by,
    key_bytes,
    key_of,
    name_output,
    parsed,
    person,
    revocation,
)

from doitrust.trust.evidence import Source
from doitrust.trust.judge import Judge
from doitrust.trust.reports import Fate, Status
from doitrust.trust.verdict import Verdict

ORGS = ("Org", "Elektro Müller & Söhne", "Gilde e.V.")
METERS = (METER, "1EMH0012345678", "2METER")
PEOPLE = ("E1", "E2", "E3", "E4")
STRANGER = Source("a stranger's node", own=False)
#: In more ways than this could be what is missing: too long for the oracle, such a chain is passed over.
WORLDS = 300


def wallets_of(who: str) -> list[Wallet]:
    """The scripts that one key can spend."""
    board = (who, "board")
    return [Wallet(kind, (who,)) for kind in ("p2wpkh", "p2pkh", "p2sh-p2wpkh", "p2sh-p2wsh")] + [
        Wallet("p2wsh", board), Wallet("p2sh", board),
    ]  # fmt: skip


def owners_of(who: str) -> list[Wallet]:
    """The scripts that an organisation can be owned by."""
    return [*wallets_of(who), *(Wallet(kind, (who, "board 1", "board 2"), 2) for kind in SCRIPT_KINDS)]


@dataclass
class Play:
    """A random chain in the making. Every choice is `random`'s, so that hypothesis can shrink the whole."""

    random: Random
    chain: MadeChain = field(default_factory=MadeChain)
    log: list[str] = field(default_factory=list)
    min_confirmations: int = 1
    max_writes: int = 100_000
    own: bool = True
    lost: str | None = None
    orgs: list[str] = field(default_factory=list)
    meters: list[str] = field(default_factory=list)
    #: What was written, for later verbs to build on.
    revocations: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    records: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)

    def run(self) -> "Play":
        """Found the organisations, write, and end with a tip, a mempool and perhaps a loss."""
        self.min_confirmations = self.choose((1, 2, 2, 3))
        self.orgs = list(ORGS[: self.choose((1, 1, 2, 3))])
        self.meters = list(METERS[: self.choose((1, 1, 1, 2, 3))])
        for org in self.orgs:
            members, owner = PEOPLE[: self.choose((1, 2, 3, 3, 4))], self.choose(owners_of(f"owner of {org}"))
            self.lists.append(self.chain.found(*members, org=org, owner=owner))
            self.log.append(f"found {org} ({owner.kind}) with {members}")
        self.chain.mine(self.min_confirmations)
        for _ in range(self.choose((2, 4, 6, 9, 12))):
            self.step()
        self.end()
        return self

    def step(self) -> None:
        often = (self.certify,) * 8 + (self.revoke,) * 4 + (self.change_list,) * 4 + (self.wait,) * 3
        rarely = (self.attack_record, self.attack_organisation, self.transfer, self.theft, self.replay)
        self.one_of(*often, *rarely, self.block, self.fork)

    # -- choices

    def choose(self, options: Sequence[Any]) -> Any:
        return options[self.random.randrange(len(options))]

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def often(self, usual: Any, *rare: Any, percent: int = 15) -> Any:
        """The usual one, mostly."""
        return self.choose(rare) if self.chance(percent) else usual

    def one_of(self, *verbs: Callable[[], None]) -> None:
        self.choose(verbs)()

    def say(self, what: str, txid: str) -> None:
        where = "mempool" if txid in self.chain.waiting else f"height {self.chain.height}"
        self.log.append(f"{where}: {what} {txid[:8]}")

    # -- time

    def wait(self) -> None:
        count = self.often(self.choose((1, 2, 3)), 24 * self.min_confirmations, percent=30)
        self.chain.mine(count)
        self.log.append(f"mine {count}")

    def block(self) -> None:
        """Two or three verbs in one block: of lists the whole height counts."""
        with self.chain.block():
            for _ in range(self.choose((2, 3))):
                self.one_of(self.certify, self.revoke, self.change_list, self.transfer)

    def fork(self) -> None:
        """Blocks that a reorganisation takes away; nothing of them may be left."""
        height = self.chain.height
        with self.forgotten():
            for _ in range(self.choose((1, 2))):
                self.one_of(self.certify, self.revoke, self.change_list, self.transfer)
        self.chain.reorg(self.chain.height - height)
        self.log.append(f"reorganised to height {height}")

    @contextmanager
    def forgotten(self) -> Iterator[None]:
        """What is noted inside is forgotten after."""
        chain = self.chain
        owners, entries, records, lists = (
            dict(chain.owners),
            dict(chain.entries),
            self.records[:],
            self.lists[:],
        )
        revocations = {key: txids[:] for key, txids in self.revocations.items()}
        yield
        chain.owners, chain.entries, self.records, self.lists = owners, entries, records, lists
        self.revocations = revocations

    # -- meters

    def signed(self, wallet: Wallet) -> Spend:
        sighash = self.often(ALL, NONE, SINGLE, ALL_ANYONECANPAY, percent=6)
        junk = self.often(b"", b"\x61", b"\x01x", b"\x51\x61", b"\xb1", percent=10)
        return Spend(wallet, sighash, high_s=self.chance(15), junk=junk)

    def signers(self, who: str) -> list[Spend]:
        """One person's inputs, a few times together with somebody else's."""
        inputs = [self.signed(self.choose(wallets_of(who))) for _ in range(self.often(1, 2, 3))]
        if self.chance(6):
            other = self.choose((*PEOPLE, "thief"))
            inputs.insert(self.random.randrange(2), self.signed(self.choose(wallets_of(other))))
        if self.chance(6) and self.records:
            inputs.append(Spend(self.chain.coin(self.choose(self.records))))
        if self.chance(3):
            inputs.append(Spend(self.chain.fund_anyone(), witness=(b"\x30" * 71, key_bytes(who))))
        return inputs

    def write(self, what: str, org: str, meter: str, value: bytes, by: list[Spend], who: str) -> str:
        owner = self.often(person(who), person("thief"), b"\x51", percent=20)
        more = (
            [name_output(f"bp/{meter}".encode(), self.choose((b"{}", value)), b"")] if self.chance(2) else []
        )
        txid = self.chain.write(f"bp/{meter}", value, by, owner=owner, more=more)
        self.records.append(txid)
        self.say(f"{who} {what} {meter} for {org}" + (" twice" if more else ""), txid)
        return txid

    def certify(self) -> None:
        org, meter = self.often(self.choose(self.orgs), "Nobody's", percent=4), self.choose(self.meters)
        who = self.often(self.choose(PEOPLE[:3]), "E4", "thief", f"owner of {org}")
        known = self.revocations.get((org, meter), [])
        after = (
            self.often(known[-1], None, known[0], percent=20)
            if known
            else self.often(None, "0" * 16, percent=3)
        )
        node, client = self.often("node", "node 2", percent=35), self.often("client", "client 2")
        fields: dict[str, Any] = {
            "org": org,
            "client": client,
            "after": after and after[: self.often(64, 16, 20, 15)],
            "kind": self.often("p2wsh", "p2sh", "p2sh-p2wsh", percent=20),
            "seal": self.often(None, ["A-1001"], percent=10),
        }
        if self.chance(4):
            fields["ms"] = json.loads(certificate("node 3"))["ms"]
        what = f"certifies {node}+{client} after {after and after[:8]}"
        self.write(what, org, meter, certificate(node, **fields), self.signers(who), who)

    def revoke(self) -> None:
        org, meter = self.choose(self.orgs), self.choose(self.meters)
        who = self.often(self.choose(PEOPLE[:3]), "owner", "owner", "owner", "E4", "thief", percent=40)
        if who == "owner":
            inputs = [self.signed(self.chain.owners[org])]
            inputs += [self.signed(person("x"))] if self.chance(20) else []
        else:
            inputs = self.signers(who)
        value = revocation(self.often(org, "Nobody's", percent=3), **self.often({}, {"node": 1}, percent=10))
        self.revocations.setdefault((org, meter), []).append(
            self.write("revokes", org, meter, value, inputs, who)
        )

    def attack_record(self) -> None:
        """Writes of a meter that are none, or malformed, or too large, or nearly so."""
        meter, who = self.choose(self.meters), self.choose(("E1", "E2", "thief"))
        org = self.choose(self.orgs)
        good = self.choose((certificate(org=org), revocation(org)))
        odd = self.choose(sorted(ODD_FORMS))
        kinds: tuple[tuple[str, bytes, dict[str, Any]], ...] = (
            ("malformed", self.choose((b"", b"{}", good[:-1], good.replace(b'"v": 1', b'"v": true'))), {}),
            ("equal keys", certificate("client", org=org), {}),
            ("coinbase", good, {"by": ()}),
            ("wrong version", good, {"version": self.choose((1, 2, 0x7101))}),
            ("too many inputs", good, {"by": [who] * 17}),
            ("many inputs", good, {"by": [who] * 16}),
            ("too many outputs", good, {"more": [b"\x51"] * 32}),
            ("many outputs", good, {"more": [b"\x51"] * 31}),
            ("too large", good, {"more": [b"\x6a" * 20_000]}),
            ("large", good, {"more": [b"\x6a" * 19_000]}),
            ("no owner", good, {"owner": b""}),
            (odd, good, {"form": ODD_FORMS[odd]}),
        )
        what, value, options = self.choose(kinds)
        txid = self.chain.write(f"bp/{meter}", value, **{"by": who, **options})
        self.say(f"{who} writes {meter} for {org}: {what}", txid)

    def replay(self) -> None:
        if self.records:
            txid = self.choose(self.records)
            self.chain.replay(txid)
            self.say("replay", txid)

    # -- organisations

    def change_list(self) -> None:
        org, who, height = self.choose(self.orgs), self.choose(PEOPLE[:3]), self.chain.height
        verb = self.choose(("withdraw", "withdraw", "void", "reinstate", "drop", "add", "empty", "text"))
        if verb in ("withdraw", "void"):
            start = self.choose((0, 1, height, height + 1, height + 2, -1, "x"))
            txid = self.chain.withdraw(who, org=org, height=start, voids=verb == "void")
            verb += f" from {start}"
        elif verb == "reinstate":
            txid = self.chain.reinstate(who, org=org)
        elif verb == "drop":
            txid = self.chain.drop(who, org=org)
        elif verb == "add":
            txid = self.chain.publish({**self.chain.entries[org], who: {}}, org=org)
        else:
            data = "\n".join(key_of(each) for each in PEOPLE[:2]) if verb == "text" else "{}"
            txid = self.chain.publish(data.encode(), org=org)
        self.lists.append(txid)
        self.say(f"{org}: {verb} {who}", txid)

    def attack_organisation(self) -> None:
        """Strangers' writes of the record, some with an owner's signature beside them, one of which is good."""
        org = self.choose(self.orgs)
        owner = self.chain.owners[org]
        by: Sequence[Any] = (
            "thief",
            ("thief", Spend(owner, NONE)),
            Spend(owner, ALL_ANYONECANPAY),
            Spend(self.chain.fund_anyone(), witness=(owner.code,)),
            ("thief", owner),
        )
        number = self.random.randrange(len(by))
        txid = self.chain.publish(
            ["thief"], by[number], org=org, owner=self.choose(("thief", b"\x51", owner))
        )
        self.lists.append(txid)
        self.say(f"{org}: attack {number}", txid)
        if number == 4:  # he signed beside the thief: whoever is named owns it now
            self.chain.owners[org] = self.chain.coin(txid).wallet or owner

    def transfer(self) -> None:
        org = self.choose(self.orgs)
        owner: Wallet | bytes = self.choose([*owners_of(f"new owner of {org}"), b"\x51", b""])
        if self.chance(80):
            txid = self.chain.publish(self.chain.entries[org], org=org, owner=owner)
            self.lists.append(txid)
        else:
            txid = self.chain.record(org, b"no CID", self.chain.owners[org], owner=owner)
            self.chain.owners[org] = owner if isinstance(owner, Wallet) else self.chain.owners[org]
        self.say(f"{org}: transfer", txid)

    def theft(self) -> None:
        """The owner's key is stolen; who accepted the organisation follows it to a second root."""
        org = self.choose(self.orgs)
        ((root, until),) = self.chain.pins[org][:1]
        if until is not None:
            return
        owner, last = self.chain.owners[org], self.last_of(org)
        self.chain.publish(["thief"], owner, org=org, owner="thief")
        if self.chance(50):
            meter = self.choose(self.meters)
            self.say(f"the thief revokes {meter}", self.chain.revoke("thief", org=org, meter=meter))
        new = self.choose(owners_of(f"second owner of {org}"))
        second = self.chain.publish(list(PEOPLE[:2]), new, org=org, owner=new)
        self.chain.owners[org] = new
        self.chain.pins[org] = [(root, last), (second, None)]
        self.chain.mine(self.min_confirmations)
        self.lists.append(second)
        self.say(f"{org}: theft, until {last[:8]}, second root", second)

    def last_of(self, org: str) -> str:
        """The last write of the timeline so far, as the oracle sees it."""
        questions = self.chain.oracle()
        judge = oracle._Judge(
            questions["blocks"],
            {},
            questions["pins"],
            METER,
            network=oracle.REGTEST,
            min_confirmations=1,
            mempool=(),
        )
        return judge.timeline(judge.pins[org], oracle.World([], None))[-1].write.txid

    # -- the end

    def end(self) -> None:
        self.chain.mine(self.choose((0, 0, 1, 2, self.min_confirmations)))
        if self.chance(25):
            with self.chain.mempool():
                self.one_of(self.revoke, self.revoke, self.certify, self.attack_record)
        if self.chance(6):
            self.own = False
            self.chain.waiting.clear()  # what a stranger says of his mempool is not asked for
        if self.chance(3) and not self.chain.waiting:
            self.max_writes = self.choose((0, 1, 2))
        self.random.shuffle(self.orgs)
        self.chain.pins = {org: self.chain.pins[org] for org in self.orgs[self.chance(6) :]}
        if self.chance(30):
            self.lose(self.choose(("list", "list", "list", "previous", "witness")))

    def lose(self, what: str) -> None:
        """Something can't be had, or not as it was."""
        if what == "list":
            txid = self.choose(self.lists)
            self.chain.lose(txid)
        elif what == "previous":
            txid = self.choose([txid for txid in self.chain.blocks[0].txids if self.chain.coin(txid).wallet])
            self.chain.withhold(txid)
        else:
            signed = [txid for txid in self.records if self.has_signature(txid)]
            if not signed:
                return
            txid = self.choose(signed)
            self.chain.damage(txid)
        self.lost = what
        self.log.append(f"lose {what} {txid[:8]}")

    def has_signature(self, txid: str) -> bool:
        return any(len(element) > 60 for element in parsed(self.chain.raw[txid]).inputs[0].witness)


@dataclass
class Case:
    """One meter, judged by both. `refused` are the oracle's reasons write by write (None: it was not refused)."""

    lost: str | None
    found: Verdict
    expected: oracle.OracleVerdict
    refused: list[str | None]

    def compare(self) -> None:
        """Assert that both judges say the same, as far as they must."""
        found, expected = self.found, self.expected
        if found.reason != "flooded" and self.cautious():
            assert self.lost in ("previous", "witness")
            return
        if self.lost is not None and found.status is Status.UNDETERMINED:
            assert expected.status in (Status.UNDETERMINED, Status.UNCONFIRMED)
            return
        assert found.status == expected.status
        if self.lost is not None:
            return
        assert found.reason == expected.reason
        assert (found.contested, found.foreign_writes) == (expected.contested, expected.foreign_writes)
        if found.status in (Status.TRUSTED, Status.REVOKED, Status.UNCONFIRMED):
            assert found.decided_by is not None
            assert found.decided_by.name == expected.organization
        if found.status in (Status.TRUSTED, Status.REVOKED):
            assert decided_by(found) == expected.txid
        if expected.replacement_pending:
            assert any(report.pending is not None for report in found.organizations)
        if found.reason != "flooded":
            reasons = [write.reason if write.fate is Fate.REFUSED else None for write in found.writes]
            assert reasons == self.refused

    def cautious(self) -> bool:
        """Whether `judge` leaves a state open that the oracle can tell, having tried every way it could be.

        That is allowed where signatures can't be checked; any other difference of states is not.
        """
        states = dict.fromkeys(self.expected.organizations, "none")
        states |= {r.name: r.state.replace("certificate", "trusted") for r in self.found.organizations}
        differing = {name for name, state in states.items() if state != self.expected.organizations[name]}
        assert all(states[name] == "undetermined" for name in differing)
        return bool(differing)


def reasons_of(questions: dict[str, Any], meter: str) -> list[str | None]:
    """Why the oracle refuses each write of a meter, as if nothing were missing."""
    asked = {name: questions[name] for name in ("network", "min_confirmations", "mempool")}
    judge = oracle._Judge(questions["blocks"], questions["lists"], questions["pins"], meter, **asked)
    pins = list(judge.pins.values())
    states = {pin.name: judge.judge_organization(pin, oracle.World([], "")) for pin in pins}
    settled = {write for state in states.values() for write in state.settled}
    return [None if write in settled else judge._reason(write, pins, states) for write in judge.writes]


def cases(play: Play) -> list[Case]:
    """Both judges' verdicts about each meter; none if the oracle would take too long."""
    policy: dict[str, Any] = {"min_confirmations": play.min_confirmations, "max_writes": play.max_writes}
    evidence = play.chain.evidence(sources=[OWN_NODE if play.own else STRANGER])
    judge = Judge(evidence, play.chain.policy(**policy))
    questions = play.chain.oracle(own_source=play.own, **policy)
    try:
        return [
            Case(
                play.lost,
                judge.verdict(meter),
                oracle.judge_chain(**{**questions, "meter": meter}),
                reasons_of(questions, meter),
            )
            for meter in play.meters
        ]
    except RuntimeError:
        return []


@pytest.fixture(autouse=True)
def _few_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "MAX_WORLDS", WORLDS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_judge_and_oracle_agree(random: Random) -> None:
    play = Play(random).run()
    note("\n".join(play.log))
    for case in cases(play):
        event(f"{case.found.status} {case.found.reason}")
        case.compare()


#: Every verdict and reason that a chain alone can bring about (`chain_moved` and the challenge's are others').
VERDICTS = {
    ("trusted", None),
    ("revoked", None),
    ("unconfirmed", None),
    ("unknown", None),
    *(("undetermined", reason) for reason in ("list_missing", "transaction_missing", "bad_data")),
    *(("undetermined", reason) for reason in ("single_source", "flooded")),
    *(("untrusted", reason) for reason in ("malformed_record", "organization_not_accepted", "not_a_member")),
    *(("untrusted", reason) for reason in ("member_revoked", "sighash_not_all", "multisig_mismatch")),
}


def test_the_chains_reach_every_verdict_and_every_reason() -> None:
    """Or the agreement would mean little. The same seeds make the same chains everywhere."""
    verdicts: Counter[tuple[str, str | None]] = Counter()
    fates: Counter[tuple[Fate, str | None]] = Counter()
    pending = 0
    for seed in range(300):
        for case in cases(Play(Random(seed)).run()):
            case.compare()
            verdicts[case.found.status, case.found.reason] += 1
            fates.update((write.fate, write.reason) for write in case.found.writes)
            pending += case.expected.replacement_pending
    assert verdicts.keys() == VERDICTS, verdicts
    assert fates[Fate.REFUSED, "revoked"] > 0
    assert min(sum(n for (fate, _), n in fates.items() if fate is each) for each in Fate) > 5
    assert pending > 0
