"""The suite's workshop for chains: verbs that write, sign, lie and reorganise, and the two recorded chains.

A `MadeChain` is not mined and its coins come from nowhere, but what is signed is signed as consensus wants it.
It judges nothing: `evidence` and `policy` are what `doitrust` is asked with, `oracle` what the oracle is.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, NamedTuple

import coincurve
import oracle as oracle_
from btclib.hashes import hash160, hash256
from btclib.script.sig_hash import legacy, segwit_v0
from btclib.script.witness import Witness
from btclib.tx.out_point import OutPoint
from btclib.tx.tx import Tx
from btclib.tx.tx_in import TxIn
from btclib.tx.tx_out import TxOut

from doitrust.chain.block import Block, block_work
from doitrust.chain.names import read_as_node
from doitrust.chain.networks import REGTEST, Network
from doitrust.chain.tx import Transaction
from doitrust.content.cid import Cid, parse_cid
from doitrust.content.unixfs import blocks_of_file, cid_of_file
from doitrust.orgs.pins import Pin, Segment
from doitrust.trust.evidence import Evidence, Located, Missing, Place, Source, Tip
from doitrust.trust.judge import Judge
from doitrust.trust.policy import Policy
from doitrust.trust.verdict import Verdict

ORG, METER = "Org", "M123"
NAME_VERSION = 0x7100
ALL, NONE, SINGLE, ALL_ANYONECANPAY = 0x01, 0x02, 0x03, 0x81
OWN_NODE = Source("own node", own=True)
Fields = Mapping[str, Any]

# ---- keys and wallets


@functools.cache
def secret(who: str) -> coincurve.PrivateKey:
    """Everybody's private key follows from their name."""
    return coincurve.PrivateKey(hashlib.sha256(who.encode()).digest())


@functools.cache
def key_of(who: str) -> str:
    """Their public key, compressed, in hex."""
    return secret(who).public_key.format().hex()


def key_bytes(who: str, form: str = "compressed") -> bytes:
    """Their public key, `compressed`, `uncompressed` or `hybrid`."""
    if form == "compressed":
        return bytes.fromhex(key_of(who))
    point: bytes = secret(who).public_key.format(compressed=False)
    return point if form == "uncompressed" else bytes([6 + (point[-1] & 1)]) + point[1:]


def push(data: bytes) -> bytes:
    """The shortest push, as doichain.md gives it."""
    if len(data) <= 75:
        return bytes([len(data)]) + data
    if len(data) <= 255:
        return b"\x4c" + bytes([len(data)]) + data
    return b"\x4d" + len(data).to_bytes(2, "little") + data


def p2pkh(key: bytes) -> bytes:
    return b"\x76\xa9\x14" + hash160(key) + b"\x88\xac"


def p2wpkh(key: bytes) -> bytes:
    return b"\x00\x14" + hash160(key)


def p2sh(redeem: bytes) -> bytes:
    return b"\xa9\x14" + hash160(redeem) + b"\x87"


def p2wsh(script: bytes) -> bytes:
    return b"\x00\x20" + hashlib.sha256(script).digest()


def multisig(m: int, *keys: bytes) -> bytes:
    """OP_m, the keys in the order given, OP_n, OP_CHECKMULTISIG."""
    return bytes([0x50 + m]) + b"".join(push(key) for key in keys) + bytes([0x50 + len(keys), 0xAE])


def address(script: bytes) -> str:
    """The regtest address of a P2SH, P2WPKH or P2WSH script."""
    if script[0] == 0:
        return oracle_._bech32(oracle_.REGTEST.hrp, script[2:])
    return oracle_._base58check(oracle_.REGTEST.p2sh_version, script[2:22])


#: Kinds of a single key, and of a script: by default the m-of-n of its people.
SINGLE_KINDS = ("p2pkh", "p2wpkh", "p2sh-p2wpkh")
SCRIPT_KINDS = ("p2sh", "p2wsh", "p2sh-p2wsh")
BARE = "bare"  # the script itself is the address script, which no rule knows


@dataclass(frozen=True)
class Wallet:
    """Whose coins: the kind of their address script, the people who sign, and how many of them must.

    `form` is that of their keys; `own_script` stands in the place of the multisig.
    """

    kind: str
    people: tuple[str, ...]
    m: int = 1
    form: str = "compressed"
    own_script: bytes | None = None

    @functools.cached_property
    def keys(self) -> tuple[bytes, ...]:
        return tuple(key_bytes(who, self.form) for who in self.people)

    @functools.cached_property
    def code(self) -> bytes:
        """What a signature covers: the multisig, or the P2PKH script of the key (BIP 143)."""
        if self.own_script is not None:
            return self.own_script
        return p2pkh(self.keys[0]) if self.kind in SINGLE_KINDS else multisig(self.m, *self.keys)

    @functools.cached_property
    def program(self) -> bytes:
        """What P2SH wraps: the witness program, or the multisig itself."""
        if self.kind.endswith("p2wpkh"):
            return p2wpkh(self.keys[0])
        return p2wsh(self.code) if self.kind.endswith("p2wsh") else self.code

    @functools.cached_property
    def script(self) -> bytes:
        """The address script."""
        return p2sh(self.program) if self.kind.startswith("p2sh") else self.program

    @property
    def segwit(self) -> bool:
        return "w" in self.kind


def person(who: str) -> Wallet:
    """The wallet that everybody has: P2WPKH of their key."""
    return Wallet("p2wpkh", (who,))


class Coin(NamedTuple):
    """An output: where it is, its whole script (name included), and whose; None where anyone can spend it."""

    txid: str
    vout: int
    value: int
    script: bytes
    wallet: Wallet | None


@dataclass(frozen=True)
class Spend:
    """An input: a person's or a wallet's next coin or a certain coin, and how it is signed.

    `by` says who of a multisig signs (the first m unless told otherwise), `junk` stands before the scriptSig.
    `witness` or `script_sig`, where given, is all there is.
    """

    what: "str | Wallet | Coin"
    sighash: int = ALL
    high_s: bool = False
    junk: bytes = b""
    by: tuple[str, ...] = ()
    witness: tuple[bytes, ...] | None = None
    script_sig: bytes | None = None


By = str | Wallet | Coin | Spend
Bys = By | Sequence[By]


def spends(by: Bys) -> list[Spend]:
    """What `by` stands for, one for each input."""
    each = [by] if isinstance(by, (str, Wallet, Coin, Spend)) else by
    return [one if isinstance(one, Spend) else Spend(one) for one in each]


def flip_s(der: bytes) -> bytes:
    """The same signature with the other S."""
    numbers = oracle_.parse_strict_der(der + b"\x01")
    assert numbers is not None
    return oracle_._der(numbers[0], oracle_.CURVE_ORDER - numbers[1])


def _sign(tx: Tx, index: int, spend: Spend, coin: Coin) -> None:
    wallet, vin = coin.wallet, tx.vin[index]
    if spend.witness is not None or spend.script_sig is not None or wallet is None:
        vin.script_witness = Witness(list(spend.witness or ()))
        vin.script_sig = spend.script_sig or b""
        return
    if wallet.segwit:
        digest = segwit_v0(wallet.code, tx, index, spend.sighash, coin.value)
    else:  # a legacy P2PKH signature covers the name that the coin carries
        digest = legacy(coin.script if wallet.kind == "p2pkh" else wallet.code, tx, index, spend.sighash)
    stack = []
    for who in spend.by or wallet.people[: wallet.m]:
        der = secret(who).sign(digest, hasher=None)
        stack.append((flip_s(der) if spend.high_s else der) + bytes([spend.sighash]))
    if wallet.kind in SINGLE_KINDS:
        stack.append(wallet.keys[0])
    else:
        stack = [*([b""] if wallet.code.endswith(b"\xae") else []), *stack]
        stack += [] if wallet.kind == BARE else [wallet.code]
    if wallet.segwit:
        vin.script_witness = Witness(stack)
        vin.script_sig = push(wallet.program) if wallet.kind.startswith("p2sh") else b""
    else:
        vin.script_sig = spend.junk + b"".join(push(element) for element in stack)


# ---- what is written


def name_output(name: bytes, value: bytes, owner: bytes) -> bytes:
    """The canonical form of a write."""
    return b"\x5a" + push(name) + push(value) + b"\x6d\x75" + owner


#: Forms that the node lists under the name and that are no writes for us.
ODD_FORMS: Mapping[str, Callable[[bytes, bytes, bytes], bytes]] = {
    "pushdata4": lambda n, v, o: b"\x5a" + push(n) + b"\x4e" + len(v).to_bytes(4, "little") + v + b"\x6d\x75" + o,
    "pushdata2 for a short value": lambda n, v, o: (
        b"\x5a" + push(n) + b"\x4d" + len(v).to_bytes(2, "little") + v + b"\x6d\x75" + o
    ),
    "pushdata1 for a short name": lambda n, v, o: (
        b"\x5a\x4c" + bytes([len(n)]) + n + push(v) + b"\x6d\x75" + o
    ),
    "single drops": lambda n, v, o: b"\x5a" + push(n) + push(v) + b"\x75\x75\x75" + o,
    "swapped drops": lambda n, v, o: b"\x5a" + push(n) + push(v) + b"\x75\x6d" + o,
    "a nop before the drops": lambda n, v, o: b"\x5a" + push(n) + push(v) + b"\x61\x6d\x75" + o,
    "name_firstupdate": lambda n, v, o: b"\x52" + push(n) + push(b"\x00" * 20) + push(v) + b"\x6d\x6d" + o,
    "name_update": lambda n, v, o: b"\x53" + push(n) + push(v) + b"\x6d\x75" + o,
}  # fmt: skip


def member_list(*people: str, **entries: Fields) -> bytes:
    """A list as JSON: plain members first, then those with fields of their own (`E1={"revoked": {}}`)."""
    members = [{"key": key_of(who), **fields} for who, fields in _entries(people, entries)]
    return json.dumps({"format": "doitrust-members/1", "members": members}).encode()


def _entries(people: Sequence[str], entries: Mapping[str, Fields]) -> Iterator[tuple[str, Fields]]:
    yield from ((who, {}) for who in people)
    yield from entries.items()


def certificate(
    node: str = "node", client: str = "client", *, org: str = ORG, kind: str = "p2wsh", **fields: Any
) -> bytes:
    """A certificate record; `kind` is that of its address, further fields take the place of its own."""
    pair = Wallet(kind, tuple(sorted((node, client), key=key_of)))
    record = {"v": 1, "org": org, "node": key_of(node), "client": key_of(client), "ms": address(pair.script)}
    record |= {name: value for name, value in fields.items() if value is not None}
    return json.dumps(record, ensure_ascii=False).encode()


def revocation(org: str = ORG, reason: str = "", **fields: Any) -> bytes:
    """A revocation record."""
    return json.dumps({"v": 1, "org": org, "revoked": reason, **fields}, ensure_ascii=False).encode()


# ---- the chain

#: What a block of regtest takes on average: two hashes.
WORK = 2


def time_of(height: int) -> int:
    """A block's time."""
    return 1_700_000_000 + 600 * height


class MadeBlock(NamedTuple):
    """A header and the txids below it."""

    header: bytes
    txids: list[str]

    @property
    def hash(self) -> str:
        return hash256(self.header)[::-1].hex()


class MadeChain:
    """A chain to write on: each verb mines one block, or goes where `block` or `mempool` say.

    Coins are made at height 0 when they are needed. Verbs that write give the txid.
    """

    def __init__(self, *, segwit_height: int = 0) -> None:
        self.network: Network = replace(REGTEST, segwit_height=segwit_height)
        self.raw: dict[str, bytes] = {}
        self.coins: dict[tuple[str, int], Coin] = {}
        self.blocks: list[MadeBlock] = []
        self.waiting: list[str] = []
        self.lists: dict[str, bytes] = {}
        self.withheld: set[str] = set()
        self.pins: dict[str, list[tuple[str, str | None]]] = {}
        self.owners: dict[str, Wallet] = {}
        self.entries: dict[str, dict[str, Fields]] = {}
        self._into: list[str] | None = None
        self._nonce = 0
        self.mine()

    # -- blocks

    @property
    def height(self) -> int:
        """The tip's."""
        return len(self.blocks) - 1

    def mine(self, count: int = 1) -> None:
        """Add blocks without transactions."""
        for _ in range(count):
            self._nonce += 1
            previous = hash256(self.blocks[-1].header) if self.blocks else bytes(32)
            numbers = (time_of(len(self.blocks)), 0x207FFFFF, self._nonce)
            header = b"\x01\0\0\0" + previous + bytes(32)
            header += b"".join(number.to_bytes(4, "little") for number in numbers)
            self.blocks.append(MadeBlock(header, []))

    @contextmanager
    def block(self) -> Iterator[None]:
        """What is written inside goes into one new block."""
        self.mine()
        with self._writing_into(self.blocks[-1].txids):
            yield

    @contextmanager
    def mempool(self) -> Iterator[None]:
        """What is written inside is not mined."""
        with self._writing_into(self.waiting):
            yield

    @contextmanager
    def _writing_into(self, txids: list[str]) -> Iterator[None]:
        before, self._into = self._into, txids
        yield
        self._into = before

    def reorg(self, depth: int) -> list[str]:
        """Take the last blocks away; gives the txids that were in them. What is mined now is another chain."""
        gone = [txid for block in self.blocks[-depth:] for txid in block.txids]
        del self.blocks[-depth:]
        return gone

    def replay(self, txid: str) -> None:
        """Mine (or offer) the same transaction again."""
        if self._into is None:
            self.mine()
        (self.blocks[-1].txids if self._into is None else self._into).append(txid)

    # -- transactions

    def fund(self, wallet: str | Wallet, value: int = 1000) -> Coin:
        """Give somebody a coin."""
        wallet = person(wallet) if isinstance(wallet, str) else wallet
        return self._coin(wallet.script, wallet, value)

    def fund_anyone(self, script: bytes = b"\x6d\x51") -> Coin:
        """A coin that anyone can spend, with whatever witness or scriptSig they like."""
        return self._coin(script, None, 1000)

    def _coin(self, script: bytes, wallet: Wallet | None, value: int) -> Coin:
        marker = len(self.raw).to_bytes(4, "little")
        tx = Tx(1, 0, [TxIn(OutPoint(), marker)], [_out(value, script)], check_validity=False)
        txid = self._keep(tx, [wallet])
        self.blocks[0].txids.append(txid)
        return self.coins[txid, 0]

    def coin(self, txid: str, vout: int = 0) -> Coin:
        """An output of what was written: a name coin, mostly."""
        return self.coins[txid, vout]

    def write(
        self,
        name: str,
        value: bytes,
        by: Bys = (),
        *,
        owner: str | Wallet | bytes = "record",
        version: int = NAME_VERSION,
        form: Callable[[bytes, bytes, bytes], bytes] = name_output,
        more: Sequence[bytes] = (),
    ) -> str:
        """Write anything under any name. Without signers it is a coinbase; `more` are further output scripts."""
        owner = person(owner) if isinstance(owner, str) else owner
        script = form(name.encode(), value, owner.script if isinstance(owner, Wallet) else owner)
        outputs = [_out(1_000_000, script), *(_out(1, other) for other in more)]
        wallets = [owner if isinstance(owner, Wallet) else None, *(None for _ in more)]
        inputs = spends(by)
        coins = [self._find(spend) for spend in inputs]
        vin = [TxIn(OutPoint(coin.txid, coin.vout), b"", 0xFFFFFFFF) for coin in coins]
        if not vin:
            vin = [TxIn(OutPoint(), len(self.raw).to_bytes(4, "little"))]
        tx = Tx(version, 0, vin, outputs, check_validity=False)
        for index, (spend, coin) in enumerate(zip(inputs, coins, strict=True)):
            _sign(tx, index, spend, coin)
        txid = self._keep(tx, wallets)
        self.replay(txid)
        return txid

    def overwrite(self, name: str, value: bytes, by: Bys = "thief", **options: Any) -> str:
        """Write as a stranger."""
        return self.write(name, value, by, **{"owner": "thief", **options})

    def _find(self, spend: Spend) -> Coin:
        return spend.what if isinstance(spend.what, Coin) else self.fund(spend.what)

    def _keep(self, tx: Tx, wallets: Sequence[Wallet | None]) -> str:
        txid = tx.id.hex()
        self.raw[txid] = tx.serialize(True, check_validity=False)
        for vout, (output, wallet) in enumerate(zip(tx.vout, wallets, strict=True)):
            self.coins[txid, vout] = Coin(txid, vout, output.value, output.script_pub_key.script, wallet)
        return txid

    # -- organisations

    def found(self, *members: str, org: str = ORG, owner: str | Wallet = "owner", pin: bool = True) -> str:
        """Write an organisation's root, and accept it."""
        self.owners[org] = person(owner) if isinstance(owner, str) else owner
        root = self.publish(members, org=org)
        if pin:
            self.pins[org] = [(root, None)]
        return root

    def publish(
        self,
        listed: bytes | Sequence[str] | Mapping[str, Fields],
        by: Bys | None = None,
        *,
        org: str = ORG,
        owner: str | Wallet | bytes | None = None,
    ) -> str:
        """Write a list: its bytes, its people, or entries by person. The owner signs unless told otherwise.

        Where the owner signs, `owner` becomes the next one; a stranger's write is his own record.
        """
        value = self.store(listed if isinstance(listed, bytes) else self._listed(listed, by is None, org))
        if by is None:
            if isinstance(owner, (str, Wallet)):
                owner = person(owner) if isinstance(owner, str) else owner
            next_owner = self.owners[org] if owner is None else owner
            txid = self.record(org, value, self.owners[org], owner=next_owner)
            self.owners[org] = next_owner if isinstance(next_owner, Wallet) else self.owners[org]
            return txid
        return self.record(org, value, by, owner="thief" if owner is None else owner)

    def _listed(self, listed: Sequence[str] | Mapping[str, Fields], own: bool, org: str) -> bytes:
        entries = dict(listed) if isinstance(listed, Mapping) else {who: {} for who in listed}
        if own:
            self.entries[org] = entries
        return member_list(**entries)

    def record(self, org: str, value: bytes, by: Bys, **options: Any) -> str:
        """Write any value as an organisation's record."""
        return self.write(f"bp_organization/{org}", value, by, **options)

    def store(self, data: bytes) -> bytes:
        """Put a list on IPFS; gives its CID as a record's value."""
        cid = cid_of_file(data).text
        self.lists[cid] = data
        return cid.encode()

    def lose(self, txid: str) -> None:
        """The list that a write names can't be had."""
        script = self.coins[txid, 0].script
        self.lists = {cid: data for cid, data in self.lists.items() if cid.encode() not in script}

    def withdraw(self, who: str, *, org: str = ORG, height: Any = 0, voids: bool = False) -> str:
        """Publish a list that withdraws a key from `height` on."""
        revoked = {"height": height, **({"voids_revocations": True} if voids else {})}
        return self.publish({**self.entries[org], who: {"revoked": revoked}}, org=org)

    def reinstate(self, who: str, *, org: str = ORG) -> str:
        """Publish a list that lifts a withdrawal."""
        return self.publish({**self.entries[org], who: {"reinstated": True}}, org=org)

    def drop(self, who: str, *, org: str = ORG) -> str:
        """Publish a list without somebody."""
        return self.publish({name: f for name, f in self.entries[org].items() if name != who}, org=org)

    # -- meters

    def certify(
        self,
        by: Bys = "E1",
        node: str = "node",
        *,
        meter: str = METER,
        options: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> str:
        """Write a certificate; `fields` are the record's (see `certificate`), `options` those of `write`."""
        return self.write(f"bp/{meter}", certificate(node, **fields), by, **(options or {}))

    def revoke(self, by: Bys = "E1", *, org: str = ORG, meter: str = METER, **options: Any) -> str:
        """Write a revocation."""
        return self.write(f"bp/{meter}", revocation(org), by, **options)

    # -- lies

    def withhold(self, txid: str) -> None:
        """A transaction can't be had."""
        self.withheld.add(txid)

    def damage(self, txid: str, index: int = 0) -> None:
        """Flip a bit of a signature in the witness."""
        witness = self.elements(txid, index)
        at = next(number for number, element in enumerate(witness) if len(element) > 60)
        broken = bytes([*witness[at][:20], witness[at][20] ^ 1, *witness[at][21:]])
        self.set_witness(txid, [*witness[:at], broken, *witness[at + 1 :]], index)

    def set_witness(self, txid: str, witness: Sequence[bytes], index: int = 0) -> None:
        """Hand out another witness under the same txid."""
        tx = _parse(self.raw[txid])
        tx.vin[index].script_witness = Witness(list(witness))
        self.raw[txid] = tx.serialize(True, check_validity=False)

    def elements(self, txid: str, index: int = 0) -> list[bytes]:
        """What an input's scriptSig pushes, or its witness."""
        vin = _parse(self.raw[txid]).vin[index]
        return list(vin.script_witness.stack) or oracle_._run_pushes(vin.script_sig) or []

    # -- what to ask with

    def evidence(
        self,
        *,
        sources: Sequence[Source] = (OWN_NODE,),
        missing: Sequence[Missing] = (),
        tip: int | None = None,
    ) -> Evidence:
        """Everything there is, as it would be gathered; `tip` is another height to have read as the tip."""
        transactions: dict[str, Located] = {}
        for height, block in enumerate(self.blocks):
            for position, txid in enumerate(block.txids):
                if txid not in transactions and txid not in self.withheld:
                    place = Place(block.hash, height, position, time_of(height), WORK * height)
                    transactions[txid] = Located(parsed(self.raw[txid]), place)
        for txid in self.waiting:
            transactions.setdefault(txid, Located(parsed(self.raw[txid]), None))
        content = {cid: block for data in self.lists.values() for cid, block in content_of(data)}
        top = self.height if tip is None else tip
        last = Tip(top, self.blocks[top].hash, time_of(top), WORK * (top + 1))
        return Evidence(self.network, last, transactions, content, tuple(missing), tuple(sources))

    def policy(self, **changes: Any) -> Policy:
        """The pins in order of acceptance, and the defaults."""
        return replace(Policy(pins_of(self.pins)), **changes)

    def judge(self, meter: str = METER, *, evidence: Evidence | None = None, **policy: Any) -> Verdict:
        """What `doitrust` says."""
        return Judge(evidence or self.evidence(), self.policy(**policy)).verdict(meter)

    def oracle(self, meter: str = METER, **options: Any) -> dict[str, Any]:
        """The arguments of `oracle.judge_chain`, for the same question."""
        chain = oracle_.Chain([self.raw_block(block) for block in self.blocks])
        for txid in self.withheld:
            del chain.transactions[txid]
        return {
            "blocks": chain,
            "lists": self.lists,
            "pins": [oracle_.Pin(name, segments) for name, segments in self.pins.items()],
            "meter": meter,
            "network": replace(oracle_.REGTEST, segwit_height=self.network.segwit_height),
            "mempool": [self.raw[txid] for txid in sorted(self.waiting)],
            **options,
        }

    def ask_oracle(self, meter: str = METER, **options: Any) -> oracle_.OracleVerdict:
        """What the oracle says."""
        return oracle_.judge_chain(**self.oracle(meter, **options))

    def raw_block(self, block: MadeBlock) -> bytes:
        """A block's bytes."""
        count = len(block.txids)
        size = bytes([count]) if count < 253 else b"\xfd" + count.to_bytes(2, "little")
        return block.header + size + b"".join(self.raw[txid] for txid in block.txids)


class View:
    """The chain as the ports offer it, to gather from: a `ChainView` and a `ContentStore` in one."""

    def __init__(self, chain: MadeChain, source: Source = OWN_NODE) -> None:
        self.chain = chain
        self.source = source
        self.name, self.own, _ = source
        self.network = chain.network

    def tip(self) -> Tip:
        return self.chain.evidence().tip

    def standing(self, blocks: Iterable[str]) -> set[str]:
        return {block.hash for block in self.chain.blocks} & set(blocks)

    def history(self, name: bytes, limit: int) -> list[str] | None:
        txids = dict.fromkeys(txid for block in self.chain.blocks for txid in block.txids)
        found = [txid for txid in txids if self._writes(txid, name)]
        return found if len(found) <= limit else None

    def mempool(self, name: bytes) -> list[str]:
        return [txid for txid in self.chain.waiting if self._writes(txid, name)]

    def _writes(self, txid: str, name: bytes) -> bool:
        read = (read_as_node(output.script) for output in parsed(self.chain.raw[txid]).outputs)
        return any(each is not None and each.written is not None and each.written[0] == name for each in read)

    def transaction(self, txid: str) -> Located | None:
        return self.chain.evidence().transactions.get(txid)

    def transactions(self, txids: Sequence[str]) -> dict[str, Located | None]:
        return {txid: self.transaction(txid) for txid in txids}

    def sources(self) -> tuple[Source, ...]:
        return (self.source,)

    def names(self, prefix: bytes) -> Iterator[bytes]:
        return iter(name for name in self.chain.evidence().names if name.startswith(prefix))

    def get(self, cid: Cid) -> bytes | None:
        return self.chain.evidence().content.get(cid)

    def put_file(self, data: bytes) -> Cid:
        return parse_cid(self.chain.store(data).decode())


def organised(*members: str, **options: Any) -> MadeChain:
    """A chain with an accepted organisation, E1 to E3 its members if none are named, and a root old enough."""
    made = MadeChain()
    made.found(*(members or ("E1", "E2", "E3")), **options)
    made.mine(5)
    return made


def said(verdict: Verdict) -> tuple[str, str | None]:
    """A verdict in two words."""
    return verdict.status.value, verdict.reason


def decided_by(verdict: Verdict) -> str | None:
    """The txid that decided a verdict."""
    deciding = verdict.decided_by and verdict.decided_by.deciding
    return deciding.txid if deciding else None


def _out(value: int, script: bytes) -> TxOut:
    return TxOut(value, script, check_validity=False)


def _parse(raw: bytes) -> Tx:
    return Tx.parse(raw, check_validity=False)


@functools.lru_cache(maxsize=20_000)
def parsed(raw: bytes) -> Transaction:
    """A transaction as `doitrust` reads it."""
    return Transaction.parse(raw)


@functools.lru_cache(maxsize=1000)
def content_of(data: bytes) -> tuple[tuple[Cid, bytes], ...]:
    """A file's blocks."""
    return tuple(blocks_of_file(data))


def pins_of(pins: Mapping[str, Sequence[tuple[str, str | None]]]) -> tuple[Pin, ...]:
    """Pins as `doitrust` knows them."""
    return tuple(Pin(name, tuple(Segment(*each) for each in segments)) for name, segments in pins.items())


# ---- the recorded chains

#: Both recorded chains, by number.
RECORDED = (1, 2)


@dataclass(frozen=True)
class Recorded:
    """A chain recorded from a real node: what both judges are asked with, and the verdicts to expect.

    `keys` are the public keys of the people in it, where the file names them.
    """

    blocks: tuple[bytes, ...]
    lists: Mapping[str, bytes]
    evidence: Evidence
    policy: Policy
    expected: Mapping[str, Mapping[str, Any]]
    keys: Mapping[str, str]

    @functools.cached_property
    def chain(self) -> oracle_.Chain:
        """The blocks as the oracle reads them."""
        return oracle_.Chain(self.blocks)

    @property
    def oracle_pins(self) -> list[oracle_.Pin]:
        """The pins as the oracle knows them."""
        return [oracle_.Pin(pin.name, [(s.root, s.until) for s in pin.segments]) for pin in self.policy.pins]


@functools.cache
def recorded(number: int) -> Recorded:
    """Read a recorded chain (`RECORDED`); the package carries both for its demo."""
    file = resources.files("doitrust") / "data" / f"doichain-regtest-{number}.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    blocks = tuple(bytes.fromhex(block) for block in data["blocks"])
    lists = {cid: text.encode() for cid, text in data["ipfs"].items()}
    content = {cid: block for text in lists.values() for cid, block in content_of(text)}
    assert {parse_cid(cid) for cid in lists} <= content.keys()
    pins = {name: [(o["root"], None)] for name, o in data["organizations"].items() if o["accepted"]}
    policy = Policy(pins_of(pins), data["min_confirmations"])
    evidence = _evidence_of([Block.parse(block) for block in blocks], content)
    keys = {who: key["pubkey"] for who, key in data.get("keys", {}).items()}
    return Recorded(blocks, lists, evidence, policy, data["meters"], keys)


def _evidence_of(blocks: Sequence[Block], content: Mapping[Cid, bytes]) -> Evidence:
    transactions: dict[str, Located] = {}
    work = 0
    for height, block in enumerate(blocks):
        for position, tx in enumerate(block.transactions):
            place = Place(block.header.hash, height, position, block.header.time, work)
            transactions.setdefault(tx.txid, Located(tx, place))
        work += block_work(block.header.bits)
    header = blocks[-1].header
    tip = Tip(len(blocks) - 1, header.hash, header.time, work)
    return Evidence(REGTEST, tip, transactions, content, (), (OWN_NODE,))
