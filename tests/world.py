"""A simulated world on the embedded chain: people with keys, what honest ones do and what thieves do.

Every block is checked by the embedded chain's rules, every signature is real. Honest verbs go through the project's own
workflows and signers, so that its guards are in force; hostile ones build their transactions by hand, as thieves do.
"""

import functools
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import made
import oracle as oracle_
from btclib.script.witness import Witness
from btclib.tx.out_point import OutPoint
from btclib.tx.tx import Tx
from btclib.tx.tx_in import TxIn
from btclib.tx.tx_out import TxOut
from cli import temporary_folder
from devnet_world import Clock
from made import METER, NAME_VERSION, ORG, Coin, Spend, Wallet, person

from doitrust.adapters.devnet import Devnet
from doitrust.adapters.devnet.miner import Chosen, coinbase, solve
from doitrust.adapters.wallet import Wallet as JournalFile
from doitrust.chain.accounts import Account
from doitrust.chain.address import address_of
from doitrust.chain.bip32 import KeyOrigin
from doitrust.chain.block import Block
from doitrust.chain.descriptors import OwnScript
from doitrust.chain.draft import Draft
from doitrust.chain.mandate import Mandate
from doitrust.chain.names import NameOutput, strip_name
from doitrust.chain.networks import Network
from doitrust.chain.psbt import Psbt
from doitrust.chain.psbt_sign import lock_of
from doitrust.chain.psbt_sign import sign as sign_input
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.content.cid import Cid
from doitrust.content.unixfs import read_file
from doitrust.errors import Refused, Unavailable
from doitrust.meters.pairing import Pairing
from doitrust.meters.reading import Reading
from doitrust.meters.record import Revocation, write_record
from doitrust.orgs.drafting import ListDraft
from doitrust.orgs.members import MAX_LIST_BYTES
from doitrust.orgs.pins import Segment
from doitrust.ports import DONE, REFUSED, ChainView, ContentSource, Signer, UnspentCoin
from doitrust.trust.evidence import Located, Source, Tip, list_cid
from doitrust.trust.policy import Policy
from doitrust.trust.verdict import Verdict
from doitrust.workflows import certify as certifying
from doitrust.workflows import organisations, sending, spending
from doitrust.workflows import publish as publishing
from doitrust.workflows.sending import Patience, Purpose
from doitrust.workflows.spending import Order
from doitrust.workflows.verify import verify

DOI = 100_000_000
NAME_AMOUNT = 1_000_000
FEE = 20_000
#: Who has money of their own from the beginning.
PEOPLE = ("owner", "E1", "E2", "E3", "E4", "thief", "stranger")
BANK = person("bank")
#: Coins of the bank's, with which hostile hands are paid, and larger ones, by number and schwartz.
_SMALL, _LARGE = (220, 5_000_000), (8, 2 * DOI)
_READING = Reading(b"\x0a\x01EMH\x00\x00\xbc\x61\x4e", 0, {})


class Hand(Signer):
    """A wallet's keys without a keystore: all of them sign what the mandate permits."""

    def __init__(self, wallet: Wallet) -> None:
        self.name = "+".join(wallet.people)
        self.wallet = wallet

    def own(self, account: Account) -> OwnScript:
        return own_script(self.wallet)

    def _sign(self, psbt: Psbt, mandate: Mandate) -> Psbt:
        for index in range(len(psbt.inputs)):
            for who, key in zip(self.wallet.people[: self.wallet.m], self.wallet.keys, strict=False):
                if lock_of(psbt, index).takes(key):
                    psbt = sign_input(psbt, index, key, functools.partial(made.secret(who).sign, hasher=None))
        return psbt

    def sign_message(self, account: Account, text: str) -> tuple[bytes, str]:
        raise NotImplementedError


def own_script(wallet: Wallet) -> OwnScript:
    """What the owner of a segwit script knows of it."""
    return OwnScript(
        wallet.script,
        wallet.program if wallet.kind.startswith("p2sh") else None,
        wallet.code if wallet.kind.endswith("p2wsh") else None,
        {key: KeyOrigin(bytes(4)) for key in wallet.keys},
    )


class Liar:
    """A `ChainView` and `ContentSource` in front of the real ones, which tells what it is told to.

    `withheld` txids and `lost` CIDs are not handed out, `replaced` transactions are other bytes under the same txid;
    `listed` edits what is listed under a name, `before` is called before every question. `offline`: it does not answer.
    """

    def __init__(self, devnet: Devnet, *, own: bool = True, name: str = "a node") -> None:
        self.devnet = devnet
        self.name = name
        self.own = own
        self.network: Network = devnet.network
        self.withheld: set[str] = set()
        self.lost: set[Cid] = set()
        self.replaced: dict[str, bytes] = {}
        self.listed: Callable[[list[str]], list[str]] = lambda txids: txids
        self.before: Callable[[], object] = lambda: None
        self.offline = False
        self.last: Tip | None = None

    def _asked(self) -> Devnet:
        self.before()
        if self.offline:
            raise Unavailable(f"{self.name} does not answer")
        return self.devnet

    def tip(self) -> Tip:
        return self._asked().tip() if self.last is None else self.last

    def standing(self, blocks: Iterable[str]) -> set[str]:
        return self._asked().standing(blocks)

    def history(self, name: bytes, limit: int) -> list[str] | None:
        found = self._asked().history(name, limit)
        return None if found is None else self.listed(found)

    def transaction(self, txid: str) -> Located | None:
        located = self._asked().transaction(txid)
        if located is None or txid in self.withheld:
            return None
        if txid in self.replaced:
            located = located._replace(tx=Transaction.parse(self.replaced[txid]))
        return located

    def transactions(self, txids: Sequence[str]) -> dict[str, Located | None]:
        return {txid: self.transaction(txid) for txid in txids}

    def sources(self) -> tuple[Source, ...]:
        return (Source(self.name, self.own),)

    def mempool(self, name: bytes) -> list[str]:
        return self._asked().mempool(name)

    def names(self, prefix: bytes) -> Iterator[bytes]:
        return self._asked().names(prefix)

    def get(self, cid: Cid) -> bytes | None:
        return None if cid in self.lost else self._asked().contents.get(cid)

    def put_file(self, data: bytes) -> Cid:
        return self._asked().contents.put_file(data)

    @property
    def is_honest(self) -> bool:
        return not (self.withheld or self.lost or self.replaced or self.offline)


class World:
    """The chain, who is accepted, and verbs; `devnet` is another's chain, to do evil to.

    Each verb that writes mines its block, or leaves the transaction waiting inside `holding`; it gives the txid.
    """

    def __init__(self, folder: Path, *, min_confirmations: int = 6, devnet: Path | None = None) -> None:
        if devnet is None:
            shutil.copytree(_beginning(), folder / "devnet")
        self.folder = folder
        self.clock = Clock()
        self.devnet = Devnet(devnet or folder / "devnet", clock=self.clock)
        self.liar = Liar(self.devnet)
        self.min_confirmations = min_confirmations
        self.pins: dict[str, list[tuple[str, str | None]]] = {}
        self.lists: dict[str, bytes] = {}
        self.wallets: dict[bytes, Wallet] = {}
        for who in (*PEOPLE, "bank", "record"):
            self.know(person(who))
        self._journals: dict[str, JournalFile] = {}
        self._holding = False
        self._serial = 0
        self._spent: set[tuple[str, int]] = set()  # of the bank's, by payments that nobody has seen yet

    # ---- blocks

    @property
    def height(self) -> int:
        return self.devnet.tip().height

    def mine(self, count: int = 1) -> None:
        """Mine what waits, and then nothing. Everybody looks what became of theirs."""
        self.devnet.mine(count)
        self._settle()

    def reorg(self, count: int, *, drop: bool = False) -> None:
        """Replace the last blocks by empty ones; with `drop` what they held is gone."""
        self.devnet.reorg(count, drop=drop)
        self._settle()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """What is sent inside waits in the mempool."""
        before, self._holding = self._holding, True
        try:
            yield
        finally:
            self._holding = before

    def _sent(self) -> None:
        if not self._holding:
            self.mine()

    def _settle(self) -> None:
        for journal in self._journals.values():
            for entry in journal.entries():
                if not entry.is_open:
                    continue
                if sending.confirmations_of(self.devnet, entry.tx.txid):
                    journal.mark(entry.tx.txid, DONE)
                elif self.devnet.transaction(entry.tx.txid) is None:
                    journal.mark(entry.tx.txid, REFUSED, "dropped")

    def broadcast(self, raw: bytes) -> str:
        """Send what was signed before; a miner takes it."""
        tx = Transaction.parse(raw)
        with self.devnet._store.changing() as session:
            session.pool.admit(tx, relay=False)
        self._sent()
        return tx.txid

    def mine_coinbase(self, *outputs: Output) -> str:
        """A miner's own block, whose coinbase pays nobody and has these outputs."""
        at = _next(self.devnet)
        self._serial += 1
        own = coinbase(at.height, Chosen((), 0), 2**60 + self._serial)
        spent = [(own.inputs[0], 0xFFFFFFFF)]
        tx = Transaction.build(1, 0, spent, [*outputs, own.outputs[1]])
        self.devnet.submit(solve(at, [tx], at.median_time + 1).serialize())
        self._settle()
        return tx.txid

    def replay(self, txid: str) -> None:
        """Mine an old transaction again, and before it whatever it grew from (BIP 30 is off).

        The coinbase that all grew from was mined again long ago. Raises `Refused` where the chain can't have it again.
        """
        for raw in self._lineage(txid):
            tx = Transaction.parse(raw)
            if all(self._is_coin(i) for i in tx.inputs):
                self.devnet.mine_with([raw])
        if self.occurrences(txid) < 2:
            raise Refused(f"{txid} can't be mined again")
        self._settle()

    def occurrences(self, txid: str) -> int:
        """How often a transaction is in the chain."""
        return sum(tx.txid == txid for block in self.blocks() for tx in block_of(block).transactions)

    def _is_coin(self, spent: Input) -> bool:
        with self.devnet.session() as session:
            return session.chain.coin((spent.txid, spent.vout)) is not None

    def _lineage(self, txid: str) -> list[bytes]:
        found: dict[str, bytes] = {}

        def visit(each: str) -> None:
            tx = self.tx(each)
            if each in found or tx.is_coinbase:
                return
            for spent in tx.inputs:
                visit(spent.txid)
            found[each] = tx.raw

        visit(txid)
        return list(found.values())

    def tx(self, txid: str) -> Transaction:
        """A transaction of the chain or the mempool."""
        located = self.devnet.transaction(txid)
        assert located is not None, txid
        return located.tx

    def place(self, txid: str) -> int:
        """The height of its first occurrence."""
        located = self.devnet.transaction(txid)
        assert located is not None, txid
        assert located.place is not None, txid
        return located.place.height

    # ---- honest organisations

    def found(self, *members: str, org: str = ORG, owner: str | Wallet = "owner", accept: bool = True) -> str:
        """Register an organisation; everybody accepts it as soon as they may."""
        wallet = self.rich(owner)
        people = [(made.key_bytes(who), who) for who in members]
        publication = publishing.first(org, people, wallet.script)
        self._put(publication)
        root = self._send(wallet, _owner_account(wallet), publication.write, "org", org)
        self._keep_list(publication.cid)
        if accept:
            self.mine(self.min_confirmations - 1)
            self.accept(org, (root, None))
        return root

    def accept(self, org: str, *segments: tuple[str, str | None]) -> None:
        """Pin an organisation, as the command line does it."""
        pin = organisations.make_pin(
            self.devnet, self.devnet.contents, org, [Segment(*s) for s in segments], self.min_confirmations
        )
        self.pins[org] = [(segment.root, segment.until) for segment in pin.segments]

    def find(self, org: str = ORG) -> tuple[publishing.Owned, Wallet]:
        """The organisation as its owner finds it."""
        (pin,) = made.pins_of({org: self.pins[org]})
        owned = publishing.find(self.devnet, self.devnet.contents, org, pin, lambda _script: True)
        return owned, self.wallets[owned.owner]

    def publish(self, change: Callable[[ListDraft], None], org: str = ORG) -> str:
        """Publish the next list."""
        owned, wallet = self.find(org)
        publication = publishing.changed(owned, change)
        return self._publish(owned, wallet, publication)

    def _publish(self, owned: publishing.Owned, wallet: Wallet, publication: publishing.Publication) -> str:
        self.rich(wallet)

        def check(tx: Transaction) -> None:
            publishing.check(owned, publication, tx, self.devnet)
            self._put(publication)

        txid = self._send(
            wallet, _owner_account(wallet), publication.write, "org", f"{owned.name}", check=check
        )
        self._keep_list(publication.cid)
        return txid

    def add(self, who: str, org: str = ORG) -> str:
        return self.publish(lambda draft: draft.add(made.key_bytes(who), who), org)

    def remove(self, who: str, org: str = ORG) -> str:
        return self.publish(lambda draft: draft.remove(made.key_bytes(who)), org)

    def withdraw(
        self, who: str, height: int, org: str = ORG, *, voids: bool = False, reason: str = "superseded"
    ) -> str:
        key = made.key_bytes(who)
        return self.publish(lambda draft: draft.revoke(key, height, reason, voids_revocations=voids), org)

    def reinstate(self, who: str, org: str = ORG) -> str:
        return self.publish(lambda draft: draft.reinstate(made.key_bytes(who)), org)

    def renew_organisation(self, org: str = ORG) -> str:
        owned, wallet = self.find(org)
        return self._publish(owned, wallet, publishing.kept(owned, owned.owner))

    def transfer(self, to: str | Wallet, org: str = ORG) -> str:
        """Hand an organisation over."""
        owned, wallet = self.find(org)
        return self._publish(owned, wallet, publishing.kept(owned, self.know(to).script))

    # ---- honest electricians

    def certify(self, who: str = "E1", node: str = "node", **fields: Any) -> str:
        """Certify a meter, as `doitrust meter certify` does: checked, signed, judged, kept, sent."""
        tx, order = self._certificate(who, node, **fields)
        return self._deliver(person(who), order, tx, "certify", str(order[1]))

    def signed_certificate(self, who: str = "E1", node: str = "node", **fields: Any) -> bytes:
        """A certificate that is signed today and not sent."""
        return self._certificate(who, node, **fields)[0].raw

    def _certificate(
        self,
        who: str,
        node: str,
        *,
        meter: str = METER,
        org: str = ORG,
        client: str = "client",
        after: str | None = None,
        kind: str = "p2wsh",
    ) -> tuple[Transaction, tuple[Draft, str]]:
        case = certifying.open_case(self.devnet, self.devnet.contents, self.policy(), meter, org)
        certifying.check_signer(case, made.key_bytes(who))
        pairing = Pairing(
            self.devnet.network, meter, made.key_bytes(node), made.key_bytes(client), _READING, 0, kind
        )
        record = certifying.certificate(case, pairing, ["A-1001"], None, after)
        return self._record(case, person(who), Account.MEMBER, write_record(record))

    def renew(self, who: str = "E1", *, meter: str = METER, org: str = ORG) -> str:
        """Write a meter's certificate once more."""
        case = certifying.open_case(self.devnet, self.devnet.contents, self.policy(), meter, org)
        certifying.check_signer(case, made.key_bytes(who))
        value = write_record(certifying.standing_certificate(case))
        tx, order = self._record(case, person(who), Account.MEMBER, value)
        return self._deliver(person(who), order, tx, "renew", meter)

    def revoke(self, who: str = "E1", *, meter: str = METER, org: str = ORG) -> str:
        """Revoke a meter as a member, or as the organisation (`who`: `owner`)."""
        case = certifying.open_case(self.devnet, self.devnet.contents, self.policy(), meter, org)
        if who == "owner":
            wallet = self.rich(self.find(org)[1])
            account = _owner_account(wallet)
        else:
            certifying.check_signer(case, made.key_bytes(who), revoking=True)
            wallet, account = person(who), Account.MEMBER
        tx, order = self._record(case, wallet, account, write_record(Revocation(org, "seal broken")))
        return self._deliver(wallet, order, tx, "revoke", f"{meter} {org}")

    def _record(
        self, case: certifying.Case, wallet: Wallet, account: Account, value: bytes
    ) -> tuple[Transaction, tuple[Draft, str]]:
        self.rich(wallet)
        write = NameOutput(case.record, value, wallet.script)
        draft = spending.draft(self.devnet, self.journal(wallet), Order(account, own_script(wallet), write))
        tx = sending.sign(Hand(wallet), draft)
        certifying.judge_ahead(case, tx, self.devnet)
        return tx, (draft, f"{case.meter} {case.org}")

    # ---- how honest people send

    def journal(self, wallet: Wallet) -> JournalFile:
        """What somebody's home remembers."""
        name = "+".join(wallet.people)
        if name not in self._journals:
            path = self.folder / f"{len(self._journals)}.sqlite"
            self._journals[name] = JournalFile(path, self.devnet.network)
        return self._journals[name]

    def _send(
        self,
        wallet: Wallet,
        account: Account,
        write: NameOutput,
        command: str,
        subject: str,
        check: Callable[[Transaction], None] = lambda _tx: None,
    ) -> str:
        draft = spending.draft(self.devnet, self.journal(wallet), Order(account, own_script(wallet), write))
        tx = sending.sign(Hand(wallet), draft)
        check(tx)
        return self._deliver(wallet, (draft, subject), tx, command, subject)

    def _deliver(
        self,
        wallet: Wallet,
        order: tuple[Draft, str],
        tx: Transaction,
        command: str,
        subject: str,
    ) -> str:
        journal = self.journal(wallet)
        sending.under_way(self.devnet, journal, Purpose(command, subject, {"txid": tx.txid}))
        journal.record(tx, command, subject, order[0].fee, self.clock.now, {"txid": tx.txid})
        sending.deliver(self.devnet, journal, tx, order[0].fee, Patience(0, lambda: None))
        self._sent()
        return tx.txid

    # ---- money and scripts

    def know(self, who: str | Wallet) -> Wallet:
        """Remember whose a script is."""
        wallet = person(who) if isinstance(who, str) else who
        self.wallets.setdefault(wallet.script, wallet)
        return wallet

    def rich(self, who: str | Wallet) -> Wallet:
        """See to it that somebody has a coin in the chain to write with."""
        wallet = self.know(who)
        if not any(coin.value > 2 * NAME_AMOUNT for coin in self.devnet.coins(wallet.script)):
            self.devnet.mine_with([self._paid(self._bank_coin(DOI), wallet.script)])
        return wallet

    def fund(self, who: str | Wallet | bytes) -> tuple[Coin, bytes]:
        """A coin for somebody, or on a script that anyone can spend, and the payment that makes it, not sent yet."""
        wallet = None if isinstance(who, bytes) else self.know(who)
        script = who if isinstance(who, bytes) else self.know(who).script
        raw = self._paid(self._bank_coin(), script)
        tx = Transaction.parse(raw)
        return Coin(tx.txid, 0, tx.outputs[0].value, script, wallet), raw

    def _bank_coin(self, least: int = 0) -> Coin:
        def free() -> Iterator[UnspentCoin]:
            for coin in self.devnet.coins(BANK.script):
                if coin.value >= least and (coin.txid, coin.vout) not in self._spent:
                    yield coin

        found = next(free(), None)
        if found is None:
            self.devnet.fund(address_of(BANK.script, self.devnet.network) or "", max(least, _SMALL[1]))
            found = next(free())
        return Coin(found.txid, found.vout, found.value, BANK.script, BANK)

    def _paid(self, coin: Coin, script: bytes) -> bytes:
        self._spent.add((coin.txid, coin.vout))
        return built(2, [Spend(coin)], [coin], [(coin.value - FEE, script)])

    def coin(self, txid: str, vout: int = 0) -> Coin:
        """An output of the chain, and whose it is as far as the world knows."""
        output = self.tx(txid).outputs[vout]
        return Coin(txid, vout, output.value, output.script, self.wallets.get(strip_name(output.script)))

    # ---- hostile hands

    def write(
        self,
        name: str,
        value: bytes,
        by: made.Bys = "thief",
        *,
        owner: str | Wallet | bytes = "thief",
        version: int = NAME_VERSION,
        form: Callable[[bytes, bytes, bytes], bytes] = made.name_output,
        more: Sequence[bytes] = (),
    ) -> str:
        """Write anything under any name with any coins; without signers in a coinbase.

        A miner takes it as it is: no policy, and no change. Raises `Refused` with the chain's reason.
        """
        script = form(name.encode(), value, owner if isinstance(owner, bytes) else self.know(owner).script)
        inputs = made.spends(by)
        if not inputs:
            return self.mine_coinbase(Output(0, script), *(Output(0, each) for each in more))
        payments, raw = self.draft(script, inputs, version, more)
        txid = Transaction.parse(raw).txid
        if not self._holding:
            self.devnet.mine_with([*payments, raw])
            self._settle()
            return txid
        with self.devnet._store.changing() as session:
            for each in (*payments, raw):
                session.pool.admit(Transaction.parse(each), relay=False)
        return txid

    def draft(
        self,
        script: bytes,
        by: made.Bys,
        version: int = NAME_VERSION,
        more: Sequence[bytes] = (),
    ) -> tuple[list[bytes], bytes]:
        """A signed transaction that nobody has seen, and the payments that it spends."""
        coins, payments = [], []
        inputs = made.spends(by)
        for spend in inputs:
            if isinstance(spend.what, Coin):
                coins.append(spend.what)
                continue
            coin, raw = self.fund(spend.what)
            coins.append(coin)
            payments.append(raw)
        return payments, built(
            version, inputs, coins, [(NAME_AMOUNT, script), *((0, other) for other in more)]
        )

    def anyone(self, script: bytes = b"\x6d\x51") -> Coin:
        """A coin in the chain that anyone can spend, with any witness or scriptSig that the script takes."""
        coin, raw = self.fund(script)
        self.devnet.mine_with([raw])
        return coin

    def overwrite(self, value: bytes, meter: str = METER, by: made.Bys = "thief", **options: Any) -> str:
        """Overwrite a meter's record without its coin."""
        return self.write(f"bp/{meter}", value, by, **options)

    def overwrite_list(
        self, *members: str, org: str = ORG, by: made.Bys = "thief", owner: str | Wallet | bytes = "thief"
    ) -> str:
        """Publish a list under an organisation's name, as whoever signs."""
        return self.overwrite_record(made.member_list(*members), org, by, owner)

    def overwrite_record(
        self,
        data: bytes,
        org: str = ORG,
        by: made.Bys = "thief",
        owner: str | Wallet | bytes = "thief",
    ) -> str:
        """The same with any bytes as the list."""
        return self.write(f"bp_organization/{org}", self.store(data), by, owner=owner)

    squat = overwrite_list

    def steal(self, txid: str, name: str, value: bytes, **options: Any) -> str:
        """Spend somebody's name coin, whose key was stolen, under any name."""
        return self.write(name, value, Spend(self.coin(txid)), **options)

    def store(self, data: bytes) -> bytes:
        """Put a list on IPFS; gives its CID as a record's value."""
        cid = self.devnet.contents.put_file(data).text
        self.lists[cid] = data
        return cid.encode()

    def _put(self, publication: publishing.Publication) -> None:
        if publication.data is not None:
            self.devnet.contents.put_file(publication.data)

    def _keep_list(self, cid: str) -> None:
        known = list_cid(cid.encode())
        assert known is not None
        self.lists[cid] = read_file(known, self.devnet.contents.get, MAX_LIST_BYTES)

    # ---- lies

    def withhold(self, *what: str) -> None:
        """The node has no transaction of this txid, or nobody the list of this CID."""
        for each in what:
            cid = list_cid(each.encode())
            if cid is None:
                self.liar.withheld.add(each)
            else:
                self.liar.lost.add(cid)

    def list_of(self, txid: str) -> str:
        """The CID that an organisation's write names."""
        return next(output.value.decode() for _, output in self.tx(txid).writes)

    def damage(self, txid: str, index: int = 0) -> None:
        """The node hands out another witness under the same txid: a bit of a signature is flipped."""
        raw = self.liar.replaced.get(txid, self.tx(txid).raw)
        tx = Tx.parse(raw, check_validity=False)
        stack = list(tx.vin[index].script_witness.stack)
        at = next(number for number, element in enumerate(stack) if len(element) > 60)
        stack[at] = bytes([*stack[at][:20], stack[at][20] ^ 1, *stack[at][21:]])
        tx.vin[index].script_witness = Witness(stack)
        self.liar.replaced[txid] = tx.serialize(True, check_validity=False)

    def go_offline(self) -> None:
        self.liar.offline = True

    def tell_the_truth(self) -> None:
        self.liar = Liar(self.devnet)

    # ---- asking

    def policy(self, **changes: Any) -> Policy:
        return Policy(made.pins_of(self.pins), **{"min_confirmations": self.min_confirmations, **changes})

    def verify(
        self,
        meter: str = METER,
        *,
        chain: ChainView | None = None,
        contents: ContentSource | None = None,
        **policy: Any,
    ) -> Verdict:
        """What a consumer is told."""
        (verdict,) = verify(
            chain or self.liar, contents or self.liar, self.policy(**policy), [meter]
        ).verdicts
        return verdict

    def blocks(self) -> list[bytes]:
        """Every block's bytes."""
        top = self.height
        with self.devnet.session() as session:
            return [session.chain.block(height) or b"" for height in range(top + 1)]

    def oracle(self, meter: str = METER, **options: Any) -> dict[str, Any]:
        """The arguments of `oracle.judge_chain` for what `verify` is asked."""
        blocks = self.blocks()
        for txid, raw in self.liar.replaced.items():
            blocks = [block.replace(self.tx(txid).raw, raw) for block in blocks]
        chain = KnownChain(blocks)
        for txid in self.liar.withheld:
            chain.transactions.pop(txid, None)
        return {
            "blocks": chain,
            "lists": {c: d for c, d in self.lists.items() if list_cid(c.encode()) not in self.liar.lost},
            "pins": [oracle_.Pin(name, list(segments)) for name, segments in self.pins.items()],
            "meter": meter,
            "network": oracle_.REGTEST,
            "min_confirmations": self.min_confirmations,
            "mempool": [self.tx(txid).raw for txid in sorted(self.devnet.waiting())],
            **options,
        }

    def oracle_timeline(self, org: str = ORG) -> list[str]:
        """The txids of an organisation's writes so far, as the oracle sees it."""
        asked = self.oracle()
        judge = oracle_._Judge(
            asked["blocks"], asked["lists"], asked["pins"], METER,
            network=asked["network"], min_confirmations=self.min_confirmations, mempool=(),
        )  # fmt: skip
        return [step.write.txid for step in judge.timeline(judge.pins[org], oracle_.World([], None))]

    def ask_oracle(self, meter: str = METER, **options: Any) -> oracle_.OracleVerdict:
        return oracle_.judge_chain(**self.oracle(meter, **options))


class KnownChain(oracle_.Chain):
    """The oracle's chain, whose blocks are parsed once in a session and not once in a question."""

    def __init__(self, blocks: Sequence[bytes]) -> None:
        self.tip = len(blocks) - 1
        self.transactions: dict[str, Tx] = {}
        self.writes: dict[bytes, list[oracle_.Write]] = {}
        self.signers: dict[tuple[str, oracle_.Network], list[oracle_.Input]] = {}
        for height, block in enumerate(blocks):
            for txid, tx, writes in _read(block, height):
                if txid not in self.transactions:
                    self.transactions[txid] = tx
                    for name, write in writes:
                        self.writes.setdefault(name, []).append(write)


@functools.lru_cache(maxsize=5_000)
def _read(block: bytes, height: int) -> list[tuple[str, Tx, list[tuple[bytes, oracle_.Write]]]]:
    found = []
    for position, tx in enumerate(oracle_._parse_block(block)):
        txid = tx.id.hex()
        found.append((txid, tx, oracle_._writes_of(tx, txid, height, position)))
    return found


@functools.lru_cache(maxsize=5_000)
def block_of(raw: bytes) -> Block:
    return Block.parse(raw)


def built(
    version: int, inputs: Sequence[Spend], coins: Sequence[Coin], outputs: Sequence[tuple[int, bytes]]
) -> bytes:
    """A signed transaction of exactly this."""
    vin = [TxIn(OutPoint(coin.txid, coin.vout), b"", 0xFFFFFFFF) for coin in coins]
    vout = [TxOut(value, script, check_validity=False) for value, script in outputs]
    tx = Tx(version, 0, vin, vout, check_validity=False)
    for index, (spend, coin) in enumerate(zip(inputs, coins, strict=True)):
        made._sign(tx, index, spend, coin)
    return tx.serialize(True, check_validity=False)


def _owner_account(wallet: Wallet) -> Account:
    return Account.BOARD if len(wallet.people) > 1 else Account.OWNER


def _next(devnet: Devnet) -> Any:
    with devnet.session() as session:
        return session.chain.next()


@functools.cache
def _beginning() -> Path:
    """A chain in which everybody has money. All of it grew from one coinbase, which was mined twice."""
    folder = temporary_folder() / "devnet"
    devnet = Devnet(folder, clock=Clock())
    devnet.automine(False)
    at = _next(devnet)
    own = coinbase(at.height, Chosen((), 0), 1)
    spent = own.inputs[0]._replace(witness=())
    tx = Transaction.build(1, 0, [(spent, 0xFFFFFFFF)], [Output(own.outputs[0].value, BANK.script)])
    devnet.submit(solve(at, [tx], at.median_time + 1).serialize())
    devnet.mine(100)
    small, large = ([(value, BANK.script)] * count for count, value in (_SMALL, _LARGE))
    gifts = [(DOI, person(who).script) for who in PEOPLE for _ in range(2)]
    coin = Coin(tx.txid, 0, tx.outputs[0].value, BANK.script, BANK)
    devnet.mine_with([built(2, [Spend(coin)], [coin], [*small, *large, *gifts])])
    at = _next(devnet)
    devnet.submit(solve(at, [tx], at.median_time + 1).serialize())
    devnet.mine(100)
    devnet.close()
    return folder


def organised(folder: Path, *members: str, **options: Any) -> World:
    """A world with an accepted organisation: E1 to E3 are its members if none are named."""
    world = World(folder, min_confirmations=options.pop("min_confirmations", 6))
    world.found(*(members or ("E1", "E2", "E3")), **options)
    return world


def refused(call: Callable[..., object], *arguments: Any, **options: Any) -> Refused | None:
    """Why an honest verb would not do it; None if it did."""
    try:
        call(*arguments, **options)
    except Refused as error:
        return error
    return None
