"""Random lives on the embedded chain: after every step `judge`, asked through the ports, against the oracle.

What the chains do is drawn by hypothesis, step by step, so that a disagreement shrinks to the few steps that it takes.
`DOITRUST_LONG=1` makes a long run of it, some minutes; with pytest's `-s` it tells at the end what was compared.
"""

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import made
import oracle
from hypothesis import HealthCheck, event, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from made import ALL, ALL_ANYONECANPAY, METER, NONE, ODD_FORMS, ORG, SINGLE, Spend, Wallet, key_bytes, person
from test_differential import Case, owners_of, reasons_of, wallets_of
from world import World

from doitrust.errors import BadData, Refused, Unavailable

#: Read once, here: tests don't see the environment.
LONG = os.environ.get("DOITRUST_LONG") == "1"

CONFIRMATIONS = 2
ORGS = (ORG, "Gilde e.V.")
METERS = (METER, "1EMH0012345678")
PEOPLE = ("E1", "E2", "E3", "E4")
#: More ways than these that what is missing could be are too many for the oracle: such a question is passed over.
WORLDS = 300

TALLY: Counter[str] = Counter()


def mostly(usual: Any, *rare: Any, weight: int = 6) -> st.SearchStrategy[Any]:
    """The usual one, as a rule."""
    return st.sampled_from((usual,) * weight + rare)


meters, orgs = mostly(METER, METERS[1], weight=4), mostly(ORG, ORGS[1], weight=4)
members = st.sampled_from(("E1", "E1", "E1", "E2", "E2", "E2", "E3", "E4"))
anybody = st.sampled_from((*PEOPLE, "thief", "stranger"))
nodes = st.sampled_from(("node", "node 2"))
#: What follows a write: it waits, gets one confirmation, enough, or as many as a replacement needs.
moments = st.sampled_from(("waits", "one", "one", "enough", "enough", "enough", "long"))
BLOCKS = {"waits": 0, "one": 0, "enough": CONFIRMATIONS - 1, "long": 24 * CONFIRMATIONS - 1}
sighashes = mostly(ALL, NONE, SINGLE, ALL_ANYONECANPAY, weight=24)
junk = mostly(b"", b"\x61", b"\x01x", b"\xb1", weight=16)
owners = st.sampled_from(("record", "record", "thief", "E1", b"\x51"))


@st.composite
def hands(draw: st.DrawFn, who: st.SearchStrategy[str] = members) -> list[Spend]:
    """Somebody's inputs: of any script type, any sighash, a few times more than one."""
    person_ = draw(who)
    count = draw(mostly(1, 2, weight=8))
    return [
        Spend(draw(st.sampled_from(wallets_of(person_))), draw(sighashes), draw(st.booleans()), draw(junk))
        for _ in range(count)
    ]


class Life(RuleBasedStateMachine):
    """A world, what was written in it for later steps to build on, and the questions after each."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self._folder.name), min_confirmations=CONFIRMATIONS)
        self.records: list[str] = []
        self.revocations: dict[tuple[str, str], list[str]] = {}
        self.organisation_writes: list[str] = []
        self.letters: list[bytes] = []
        self.stolen: set[str] = set()
        self.lost: str | None = None
        #: What was accepted stays: which root is pinned is not asked again after a reorganisation.
        self.floor = 0
        self.changed = False
        TALLY["chains"] += 1

    def teardown(self) -> None:
        self.world.devnet.close()
        self._folder.cleanup()

    @initialize(
        count=mostly(1, 2, weight=2),
        beginning=st.sampled_from(("nothing", "certified", "found out", "found out", "replaced")),
        who=members,
        late=st.integers(-1, 1),
        flags=st.tuples(st.booleans(), st.booleans()),
        owner=st.sampled_from(owners_of("owner of Org")[:1] + owners_of("owner of Org")[6:]),
    )
    def found(
        self, *, count: int, beginning: str, who: str, late: int, flags: tuple[bool, bool], owner: Wallet
    ) -> None:
        segwit = owner if owner.segwit else person("owner of Org")
        for org, head, staff in zip(
            ORGS[:count], (segwit, person("owner")), (("E1", "E2", "E3"), ("E2", "E4")), strict=False
        ):
            self.organisation_writes.append(self.world.found(*staff, org=org, owner=head))
        self.floor = self.world.height
        common: dict[str, Any] = {"meter": METER, "org": ORG}
        if beginning == "certified":
            self.visit("E2", METER, ORG, "node", "last", "enough")
        elif beginning == "found out":
            self.found_out(who=who, revoking=flags[0], late=late, voids=flags[1], then="nothing", **common)
        elif beginning == "replaced":
            self.another_comes(
                first="E1", second=who, by="E3" if flags[0] else "none", how="last", when="enough", **common
            )

    # ---- how a step is taken

    def act(self, when: str, verb: Callable[..., str], *arguments: Any, **options: Any) -> str | None:
        """Do something that may be refused, by our own guards or by the chain; gives the txid."""
        name = getattr(verb, "__name__", "verb")
        self.changed = True
        try:
            if when == "waits":
                with self.world.holding():
                    txid = verb(*arguments, **options)
            else:
                txid = verb(*arguments, **options)
        except (Refused, Unavailable, BadData) as error:
            note(f"refused: {error}")
            TALLY[f"refused {name}"] += 1
            return None
        TALLY[f"did {name}"] += 1
        if BLOCKS[when]:
            self.world.mine(BLOCKS[when])
        return txid

    def known(self, org: str) -> bool:
        return org in self.world.pins

    def kept(self, txids: list[str]) -> list[str]:
        """Those that a reorganisation has not dropped."""
        return [txid for txid in txids if self.world.devnet.transaction(txid) is not None]

    def after(self, org: str, meter: str, how: str) -> str | None:
        known = self.kept(self.revocations.get((org, meter), []))
        if not known or how == "none":
            return "0" * 16 if how == "wrong" else None
        return {"first": known[0], "short": known[-1][:15]}.get(how, known[-1])

    # ---- time

    @rule(count=st.sampled_from((1, 1, 1, 2, 2, 3, 24 * CONFIRMATIONS)))
    def mine(self, count: int) -> None:
        self.world.mine(count)
        self.changed = True

    @rule(count=st.integers(1, 5), drop=st.booleans())
    def reorg(self, count: int, drop: bool) -> None:
        if self.world.height - count >= self.floor:
            self.world.reorg(count, drop=drop)
            self.changed = True
            TALLY["did reorg"] += 1

    @precondition(lambda self: self.records or self.organisation_writes)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        txids = self.kept(self.records + self.organisation_writes)
        if txids:
            txid = data.draw(st.sampled_from(txids))
            if self.world.devnet.transaction(txid).place is None:  # type: ignore[union-attr]
                return
            self.act("enough", self._replay, txid)

    def _replay(self, txid: str) -> str:
        self.world.replay(txid)
        return txid

    # ---- honest people

    @rule(
        who=members, meter=meters, org=orgs, node=nodes, how=mostly("none", "last", weight=1), when=moments,
        kind=mostly("p2wsh", "p2sh", "p2sh-p2wsh"),
    )  # fmt: skip
    def certify(self, *, who: str, meter: str, org: str, node: str, how: str, when: str, kind: str) -> None:
        after = self.after(org, meter, how)
        self._record(
            self.act(when, self.world.certify, who, node, meter=meter, org=org, after=after, kind=kind)
        )

    @rule(who=members, meter=meters, org=orgs, node=nodes, how=mostly("last", "none"), when=moments)
    def visit(self, who: str, meter: str, org: str, node: str, how: str, when: str) -> None:
        """An electrician certifies what is in order, whatever was before; he comes again if he must."""
        after = self.after(org, meter, how)
        txid = self.act(when, self.world.certify, who, node, meter=meter, org=org, after=after)
        if txid is None and self.after(org, meter, "none") is None:
            txid = self.act(when, self.world.certify, who, node, meter=meter, org=org)
        self._record(txid)

    @rule(
        first=members, second=members, meter=meters, org=orgs, by=st.sampled_from(("none", "E1", "E2", "E3", "owner")),
        how=mostly("last", "none", weight=3), when=moments,
    )  # fmt: skip
    def another_comes(
        self, *, first: str, second: str, meter: str, org: str, by: str, how: str, when: str
    ) -> None:
        """One certifies, somebody may revoke, and another certifies another node: with leave or not, in time or not."""
        if not self.known(org):
            return
        for who, node, moment in ((first, "node", "enough"), (second, "node 2", when)):
            after = self.after(org, meter, "last" if moment == "enough" else how)
            value = made.certificate(node, org=org, after=after)
            self._record(self.act(moment, self.world.overwrite, value, meter, person(who)))
            if node == "node" and by != "none":
                txid = self.act("one", self.world.revoke, by, meter=meter, org=org)
                self._revocation(txid, org, meter)

    @rule(
        who=members, meter=meters, org=orgs, revoking=st.booleans(), late=st.integers(-1, 1), voids=st.booleans(),
        then=st.sampled_from(("nothing", "nothing", "reinstate", "withdraw")),
    )  # fmt: skip
    def found_out(
        self, *, who: str, meter: str, org: str, revoking: bool, late: int, voids: bool, then: str
    ) -> None:
        """Somebody certifies or revokes, and his key is withdrawn from about then on; perhaps by mistake."""
        if not self.known(org):
            return
        value = made.certificate(org=org, after=self.after(org, meter, "last"))
        by = person("E3" if revoking else who)
        self._record(self.act("enough", self.world.overwrite, value, meter, by))
        txid: str | None = self.records[-1] if self.kept(self.records[-1:]) else None
        if revoking:
            txid = self.act("one", self.world.overwrite, made.revocation(org), meter, person(who))
            self._revocation(txid, org, meter)
        if txid is None:
            return
        height = self.world.place(txid) + late
        self._organisation(self.act("one", self.world.withdraw, who, height, org, voids=voids))
        if then == "reinstate":
            self._organisation(self.act("one", self.world.reinstate, who, org))
        elif then == "withdraw":
            self._organisation(self.act("one", self.world.withdraw, who, height, org, voids=not voids))

    @rule(meter=meters, org=orgs, when=moments)
    def reported_broken(self, meter: str, org: str, when: str) -> None:
        """The seal is broken: whoever of the organisation's may revoke does so."""
        for who in ("E1", "E2", "owner"):
            if not self.known(org):
                return
            txid = self.act(when, self.world.revoke, who, meter=meter, org=org)
            self._revocation(txid, org, meter)
            if txid is not None:
                return

    @rule(who=members, meter=meters, org=orgs, node=nodes)
    def sign_for_later(self, who: str, meter: str, org: str, node: str) -> None:
        try:
            self.letters.append(self.world.signed_certificate(who, node, meter=meter, org=org))
        except Refused:
            TALLY["refused signed_certificate"] += 1

    @precondition(lambda self: self.letters)
    @rule(when=moments)
    def send_late(self, when: str) -> None:
        self._record(self.act(when, self.world.broadcast, self.letters.pop()))

    @rule(who=mostly("owner", "E1", "E2", "E3", weight=1), meter=meters, org=orgs, when=moments)
    def revoke(self, who: str, meter: str, org: str, when: str) -> None:
        if self.known(org):
            self._revocation(self.act(when, self.world.revoke, who, meter=meter, org=org), org, meter)

    @rule(who=members, meter=meters, org=orgs, when=moments)
    def renew(self, who: str, meter: str, org: str, when: str) -> None:
        self._record(self.act(when, self.world.renew, who, meter=meter, org=org))

    @rule(
        org=orgs,
        who=members,
        verb=st.sampled_from(("withdraw", "void", "reinstate", "remove", "add")),
        back=st.integers(-1, 4),
        when=moments,
    )
    def change_list(self, org: str, who: str, verb: str, back: int, when: str) -> None:
        if not self.known(org):
            return
        height = self.world.height - back
        options: dict[str, Any] = {"voids": True} if verb == "void" else {}
        arguments: tuple[Any, ...] = (who, height, org) if verb in ("withdraw", "void") else (who, org)
        call = getattr(self.world, {"void": "withdraw"}.get(verb, verb))
        self._organisation(self.act(when, call, *arguments, **options))

    @rule(org=orgs, to=st.sampled_from(owners_of("new owner")), renew=mostly(True, False, weight=1))
    def transfer(self, org: str, to: Wallet, renew: bool) -> None:
        if self.known(org):
            call = self.world.renew_organisation if renew else self.world.transfer
            self._organisation(self.act("enough", call, *([org] if renew else [to, org])))

    # ---- by hand, well or badly

    @rule(
        by=hands(), meter=meters, org=mostly(ORG, ORGS[1], "Nobody's"), node=nodes,
        client=mostly("client", "client 2"), how=mostly("last", "none", "first", "short", "wrong"),
        owner=owners, when=moments, wrong=mostly(False, True, weight=12),
    )  # fmt: skip
    def certify_by_hand(
        self, *, by: list[Spend], meter: str, org: str, node: str, client: str, how: str,
        owner: str | bytes, when: str, wrong: bool,
    ) -> None:  # fmt: skip
        fields: dict[str, Any] = {"after": self.after(org, meter, how)}
        if wrong:
            fields["ms"] = json.loads(made.certificate("node 3"))["ms"]
        value = made.certificate(node, client, org=org, **fields)
        self._record(self.act(when, self.world.overwrite, value, meter, by, owner=owner))

    @rule(by=hands(), meter=meters, org=mostly(ORG, ORGS[1], "Nobody's"), owner=owners, when=moments)
    def revoke_by_hand(self, by: list[Spend], meter: str, org: str, owner: str | bytes, when: str) -> None:
        value = made.revocation(org, node=1)
        self._revocation(self.act(when, self.world.overwrite, value, meter, by, owner=owner), org, meter)

    @rule(
        by=hands(), meter=meters, org=orgs, extra=st.sampled_from(("person", "record", "bare", "witness")),
        other=anybody, last=st.booleans(), revoking=st.booleans(), data=st.data(),
    )  # fmt: skip
    def beside_others(
        self, *, by: list[Spend], meter: str, org: str, extra: str, other: str, last: bool, revoking: bool,
        data: st.DataObject,
    ) -> None:  # fmt: skip
        """Write with one input more: somebody else's, another name's coin, or one that looks like a signature."""
        script_sig = made.push(b"\x30" * 71) + made.push(key_bytes("E1"))
        added = Spend(person(other))
        if extra == "bare":
            added = Spend(self.world.anyone(), script_sig=script_sig)
        elif extra == "witness":
            added = Spend(
                self.world.anyone(b"\x51\x20" + b"\x01" * 32), witness=(b"\x30" * 71, key_bytes("E1"))
            )
        elif extra == "record":
            txids = self.unspent_records()
            if txids:
                added = Spend(self.world.coin(data.draw(st.sampled_from(txids))))
        value = made.revocation(org) if revoking else made.certificate(org=org)
        inputs = [*by, added] if last else [added, *by]
        txid = self.act("enough", self.world.overwrite, value, meter, inputs)
        self._revocation(txid, org, meter) if revoking else self._record(txid)

    def unspent_records(self) -> list[str]:
        """Records whose coin somebody we know could spend."""
        return [
            txid
            for txid in self.kept(self.records)
            if self.world.devnet.is_unspent(txid, 0) and self.world.coin(txid).wallet is not None
        ]

    @rule(
        what=st.sampled_from(("malformed", "equal", "coinbase", "many", "outputs", "large", *ODD_FORMS)),
        who=anybody,
        meter=meters,
        org=orgs,
        revoking=st.booleans(),
    )
    def write_oddly(self, what: str, who: str, meter: str, org: str, revoking: bool) -> None:
        value = made.revocation(org) if revoking else made.certificate(org=org)
        by: Any = [person(who)]
        options: dict[str, Any] = {}
        if what == "malformed":
            value = value[:-1]
        elif what == "equal":
            value = made.certificate("client", org=org)
        elif what == "coinbase":
            by = ()
        elif what == "many":
            by = [person(who)] * 17
        elif what == "outputs":
            options["more"] = [b"\x51"] * 32
        elif what == "large":
            options["more"] = [b"\x6a" * 20_000]
        else:
            options["form"] = ODD_FORMS[what]
            by = () if what.startswith("name_") else by
        self._record(self.act("enough", self.world.overwrite, value, meter, by, **options))

    @rule(
        org=orgs,
        what=st.sampled_from(("lost entry", "text", "junk", "no cid", "other codec", "odd height")),
        who=members,
    )
    def owner_writes_by_hand(self, org: str, what: str, who: str) -> None:
        if not self.known(org):
            return
        try:
            _, wallet = self.world.find(org)
        except (Refused, Unavailable):
            return
        text = "\n".join(made.key_of(each) for each in PEOPLE[:2]).encode()
        odd = made.member_list("E2", **{who: {"revoked": {"height": -1, "voids_revocations": True}}})
        data = {
            "lost entry": made.member_list(*PEOPLE[:3]),
            "text": text,
            "junk": b"{\xff",
            "odd height": odd,
        }
        if what in data:
            txid = self.act("enough", self.world.overwrite_record, data[what], org, wallet, wallet)
        else:
            value = (
                b"no CID"
                if what == "no cid"
                else b"bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
            )
            txid = self.act("enough", self.world.write, f"bp_organization/{org}", value, wallet, owner=wallet)
        self._organisation(txid)

    # ---- thieves of organisations

    @rule(org=orgs, how=st.integers(0, 4), data=st.data())
    def attack_organisation(self, org: str, how: int, data: st.DataObject) -> None:
        if not self.known(org):
            return
        try:
            _, owner = self.world.find(org)
        except (Refused, Unavailable):
            return
        anyone = Spend(self.world.anyone(), script_sig=made.push(b"\x30" * 71) + made.push(owner.code[:500]))
        by: Any = (
            person("thief"),
            [Spend(person("thief")), Spend(owner, NONE)],
            [Spend(owner, ALL_ANYONECANPAY)],
            [anyone],
            [Spend(person("thief")), Spend(owner)],
        )[how]
        to = data.draw(st.sampled_from(("thief", b"\x51", owner)))
        self._organisation(
            self.act("enough", self.world.overwrite_list, "thief", "E4", org=org, by=by, owner=to)
        )

    @precondition(lambda self: len(self.stolen) < len(self.world.pins))
    @rule(org=orgs, new=st.sampled_from([w for w in owners_of("second owner") if w.segwit]))
    def theft(self, org: str, new: Wallet) -> None:
        """The owner's key is stolen; the organisation begins anew, and who accepted it follows."""
        world = self.world
        if org in self.stolen or not self.known(org):
            return
        try:
            _, owner = world.find(org)
        except (Refused, Unavailable):
            return
        last = world.oracle_timeline(org)[-1]
        (root, _), *_ = world.pins[org]
        self.act("enough", world.overwrite_list, "thief", org=org, by=owner, owner="thief")
        second = world.found("E1", "E2", "E4", org=org, owner=new, accept=False)
        world.mine(CONFIRMATIONS)
        try:
            world.accept(org, (root, last), (second, None))
        except Refused as error:
            note(f"not accepted: {error}")
            return
        self.stolen.add(org)
        self.floor = world.height
        self._organisation(second)
        TALLY["did theft"] += 1

    @rule(rank=st.booleans())
    def accept_in_another_order(self, rank: bool) -> None:
        pins = list(self.world.pins.items())
        self.world.pins = dict(pins[::-1] if rank else pins)
        self.changed = True

    # ---- lies

    @rule(what=st.sampled_from(("list", "list", "previous", "witness")), data=st.data())
    def lie(self, what: str, data: st.DataObject) -> None:
        world = self.world
        records = self.kept(self.records)
        if what == "list":
            cids = sorted(world.lists)
            world.withhold(data.draw(st.sampled_from(cids)))
        elif what == "previous":
            paid = sorted(
                {i.txid for txid in records for i in world.tx(txid).inputs if not self.writes(i.txid)}
            )
            if not paid:
                return
            world.withhold(data.draw(st.sampled_from(paid)))
        else:
            signed = [
                txid
                for txid in records + self.kept(self.organisation_writes)
                if any(len(element) > 60 for element in world.tx(txid).inputs[0].witness[:2])
            ]
            if not signed:
                return
            world.damage(data.draw(st.sampled_from(signed)))
        self.lost = what
        TALLY[f"lie {what}"] += 1
        self.compare()
        world.tell_the_truth()
        self.lost = None

    def writes(self, txid: str) -> bool:
        located = self.world.devnet.transaction(txid)
        return located is None or located.tx.is_coinbase or bool(located.tx.writes)

    # ---- what is remembered

    def _record(self, txid: str | None) -> None:
        if txid is not None:
            self.records.append(txid)

    def _revocation(self, txid: str | None, org: str, meter: str) -> None:
        self._record(txid)
        if txid is not None:
            self.revocations.setdefault((org, meter), []).append(txid)

    def _organisation(self, txid: str | None) -> None:
        if txid is not None:
            self.organisation_writes.append(txid)

    # ---- the questions

    @invariant()
    def both_judges_agree(self) -> None:
        if not self.changed or not self.world.pins:
            return
        self.changed = False
        self.compare()

    def compare(self) -> None:
        questions = self.world.oracle()
        for meter in METERS:
            found = self.world.verify(meter)
            asked = {**questions, "meter": meter}
            try:
                with patch.object(oracle, "MAX_WORLDS", WORLDS):
                    expected, refused = oracle.judge_chain(**asked), reasons_of(asked, meter)
            except RuntimeError:
                TALLY["too many worlds"] += 1
                continue
            Case(self.lost, found, expected, refused).compare()
            TALLY["verdicts"] += 1
            TALLY[f"verdict {found.status} {found.reason or ''}".strip()] += 1
            TALLY["pending"] += expected.replacement_pending
            TALLY["contested"] += expected.contested
            event(f"{found.status} {found.reason}")


_TOO = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=150 if LONG else settings().max_examples * 3 // 10,
    stateful_step_count=40 if LONG else 25,
    suppress_health_check=_TOO,
)


def test_what_was_compared_is_told() -> None:
    """It comes after the lives; by itself there were none."""
    if LONG:
        sys.stdout.write(json.dumps(dict(sorted(TALLY.items())), indent=1) + "\n")
    assert TALLY["chains"] == 0 or TALLY["verdicts"] > 10 * TALLY["too many worlds"]
