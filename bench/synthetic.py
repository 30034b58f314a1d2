"""Synthetic evidence: an organisation, its member, certified meters, foreign writes. Really signed."""

import json
from hashlib import sha256

from coincurve import PrivateKey

from doitrust.chain.address import address_of, hash160
from doitrust.chain.names import NAME_TX_VERSION, name_script
from doitrust.chain.networks import DEVNET
from doitrust.chain.scripts import p2pkh, p2wpkh
from doitrust.chain.tx import SIGHASH_ALL, Input, Output, Transaction
from doitrust.content.cid import RAW, cid_of
from doitrust.meters.multisig import pairing_outputs
from doitrust.meters.number import record_name
from doitrust.orgs.names import record_name as organisation_record
from doitrust.orgs.pins import Pin, Segment
from doitrust.trust.evidence import Evidence, Located, Place, Source, Tip
from doitrust.trust.policy import Policy

ORGANISATION = "Innung"
_COIN = 2_000_000


def key(name: str) -> PrivateKey:
    """A key that anybody can make."""
    return PrivateKey(sha256(name.encode()).digest())


def public(name: str) -> bytes:
    """Its public half, 33 bytes."""
    return key(name).public_key.format()


class Synthetic:
    """A chain of one transaction a block, grown by verbs."""

    def __init__(self) -> None:
        self.transactions: dict[str, Located] = {}
        self.height = 0
        members = {"format": "doitrust-members/1", "members": [{"key": public("electrician").hex()}]}
        self.list = json.dumps(members).encode()
        self.cid = cid_of(self.list, RAW)
        self.root = self.write("owner", organisation_record(ORGANISATION), self.cid.text.encode())

    def write(self, signer: str, name: bytes, value: bytes) -> Transaction:
        """A write by `signer` (P2WPKH), paid from a coin made for it."""
        script = p2wpkh(hash160(public(signer)))
        nonce = sha256(f"{self.height} {signer}".encode()).hexdigest()
        funding = Transaction.build(2, 0, [(Input(nonce, 0, b"", ()), 0xFFFFFFFE)], [Output(_COIN, script)])
        self._mine(funding)
        outputs = [Output(1_000_000, name_script(name, value, script)), Output(900_000, script)]
        unsigned = Transaction.build(
            NAME_TX_VERSION, 0, [(Input(funding.txid, 0, b"", ()), 0xFFFFFFFE)], outputs
        )
        code = p2pkh(hash160(public(signer)))
        digest = unsigned.signature_hash(0, code, _COIN, SIGHASH_ALL)
        witness = (key(signer).sign(digest, hasher=None) + bytes([SIGHASH_ALL]), public(signer))
        signed = Transaction.build(
            NAME_TX_VERSION, 0, [(Input(funding.txid, 0, b"", witness), 0xFFFFFFFE)], outputs
        )
        self._mine(signed)
        return signed

    def certify(self, meter: str, signer: str = "electrician") -> Transaction:
        """A certificate for `meter`, whose node and client are its own."""
        node, client = public(f"node of {meter}"), public(f"client of {meter}")
        record = {
            "v": 1,
            "org": ORGANISATION,
            "node": node.hex(),
            "client": client.hex(),
            "ms": address_of(pairing_outputs(node, client)["p2wsh"], DEVNET),
            "seal": ["A-1001"],
        }
        return self.write(signer, record_name(meter), json.dumps(record, separators=(",", ":")).encode())

    def _mine(self, tx: Transaction) -> None:
        self.height += 1
        block = sha256(str(self.height).encode()).hexdigest()
        self.transactions[tx.txid] = Located(tx, Place(block, self.height, 1, 1_700_000_000 + self.height))

    def evidence(self) -> Evidence:
        """Everything so far, six blocks later."""
        tip = Tip(self.height + 6, sha256(b"tip").hexdigest(), 1_700_000_000)
        own = (Source("synthetic", True),)
        return Evidence(DEVNET, tip, self.transactions, {self.cid: self.list}, (), own)

    def policy(self) -> Policy:
        """The organisation accepted."""
        return Policy((Pin(ORGANISATION, (Segment(self.root.txid),)),))
