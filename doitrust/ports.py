"""What the outside must offer, and the limits it is held to. Adapters implement these; workflows use them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from doitrust.chain.networks import Network
from doitrust.chain.tx import Transaction
from doitrust.content.cid import Cid
from doitrust.errors import Refused
from doitrust.trust.evidence import Evidence, Located, Source, Tip

if TYPE_CHECKING:
    # Only what signs pays for loading these.
    from doitrust.chain.accounts import Account
    from doitrust.chain.descriptors import OwnScript
    from doitrust.chain.mandate import Mandate
    from doitrust.chain.psbt import Psbt

#: Tells how far a long piece of work is: (done, of how many).
Progress = Callable[[int, int], None]


class ChainView(Protocol):
    """A view of one chain, from which evidence is gathered. Every call sees the chain as it is then.

    All methods raise `Unavailable` if the source can't answer. A view hands out only transactions that hash to
    their txid (N1) and places that come from blocks (N2).
    """

    @property
    def name(self) -> str:
        """What reports call this source."""

    @property
    def own(self) -> bool:
        """Whether it is the user's own node (N2)."""

    @property
    def network(self) -> Network:
        """The network whose chain this is."""

    def tip(self) -> Tip:
        """The last block."""

    def standing(self, blocks: Iterable[str]) -> set[str]:
        """Those of the blocks, by hash, that are in the chain now (N4), in as few questions as there can be."""

    def history(self, name: bytes, limit: int) -> list[str] | None:
        """Txids that write `name` (any form the node lists, each once), or None if there are more than `limit`."""

    def transaction(self, txid: str) -> Located | None:
        """The transaction at its first occurrence in the chain, or from the mempool without a place, or None."""

    def transactions(self, txids: Sequence[str]) -> Mapping[str, Located | None]:
        """Several of them, by txid, in as few questions as there can be."""

    def sources(self) -> tuple[Source, ...]:
        """Who answers, and who was found to answer wrongly so far (N3)."""

    def mempool(self, name: bytes) -> list[str]:
        """Txids of waiting transactions that write `name`."""

    def names(self, prefix: bytes) -> Iterator[bytes]:
        """Every name in the chain that starts with `prefix`, sorted, each once."""


class BlockSource(ChainView, Protocol):
    """A source whose chain can be walked block by block. All methods raise `Unavailable` if it can't answer."""

    def hash_at(self, height: int) -> str | None:
        """The hash of the block at `height` now, or None above the tip."""

    def blocks(self, start: int, end: int) -> Iterator[tuple[str, bytes]]:
        """Hash and raw bytes of the blocks from `start` to `end`, in order, as far as there are; nothing is checked."""

    def raw_transactions(self, txids: Sequence[str]) -> Mapping[str, Transaction | None]:
        """Several by txid (N1), wherever they stand, or None: for what is spent, whose place says nothing."""

    def pending(self) -> Mapping[bytes, Sequence[str]]:
        """The txids of waiting transactions by the names they write."""


class MeterIndex(ChainView, Protocol):
    """A view of one moment of a chain's `bp/` records, all of which are at hand; `tip` moves on to the next."""

    def meters(self, organisation: str | None = None) -> Iterator[str]:
        """Every meter with a record, or only those with one that names `organisation`; sorted."""

    def count(self, organisation: str | None = None) -> int:
        """How many of them there are at most; records that belong to no meter's number are in it."""

    def replaced(self, organisations: Sequence[str]) -> Iterator[str]:
        """The meters with certificates in these organisations' names for several pairs of node and client; sorted."""

    def written(self, above: int) -> set[bytes]:
        """The names written above a height, organisations' too."""

    def waiting(self) -> set[tuple[bytes, str]]:
        """(name, txid) of what waiting transactions write, where an own node says so."""


class Broadcaster(Protocol):
    """Where signed transactions go."""

    def broadcast(self, raw: bytes) -> str:
        """Hand a transaction to the network and return its txid; raises `Refused` with the node's reason."""


class UnspentCoin(NamedTuple):
    """A coin in the chain that no waiting transaction spends: its outpoint, schwartz, height, confirmations.

    `mature`: whether the next block may spend it, which a coinbase's coin has to wait for.
    """

    txid: str
    vout: int
    value: int
    height: int
    confirmations: int
    mature: bool


class Provisions(NamedTuple):
    """What was taken along, at the Unix time `taken`, to where there is no network.

    `evidence` holds the accepted organisations, some meters, and what made the `coins` of each script; `fee_rate` is
    in schwartz a 1000 virtual bytes; `own` says whether an own node gave all this (N2).
    """

    evidence: Evidence
    coins: Mapping[bytes, tuple[UnspentCoin, ...]]
    fee_rate: int
    own: bool
    taken: int


class CoinView(Protocol):
    """What there is to spend."""

    def coins(self, script: bytes) -> Sequence[UnspentCoin]:
        """The coins on exactly `script`, oldest first, so never a name's output. Raises `Unavailable`."""

    def is_unspent(self, txid: str, vout: int) -> bool:
        """Whether the output, a name's too, is in the chain and nothing spends it, in the mempool neither."""


class Node(ChainView, CoinView, Broadcaster, Protocol):
    """A chain that can be written to."""

    def fee_rate(self) -> int:
        """What a transaction should pay, in schwartz a 1000 virtual bytes; at least what nodes relay."""

    def advance(self) -> bool:
        """Make a block if this chain makes its own and may (the embedded one with automine); otherwise False."""


#: States of a journal entry: signed and kept, handed to the network, told to the user as confirmed, given up, and
#: another version of it counts, whose txid is its note.
SIGNED, SENT, DONE, REFUSED, REPLACED = "signed", "sent", "done", "refused", "replaced"


class Entry(NamedTuple):
    """A transaction in the journal, its fee in schwartz: `command`, `subject`, `details` say what for."""

    tx: Transaction
    state: str
    command: str
    subject: str
    fee: int
    created: int
    note: str
    details: Mapping[str, Any]

    @property
    def is_open(self) -> bool:
        """Whether the user hasn't been told how it ended."""
        return self.state in (SIGNED, SENT)


def versions(entries: Sequence[Entry], txid: str) -> list[Entry]:
    """All versions of a transaction that was signed several times, oldest first; empty if the journal hasn't got it."""
    linked = {txid}
    while True:
        more = {
            other
            for entry in entries
            if entry.state == REPLACED and linked & {entry.tx.txid, entry.note}
            for other in (entry.tx.txid, entry.note)
        }
        if more <= linked:
            break
        linked |= more
    return [entry for entry in entries if entry.tx.txid in linked and entry.state != REFUSED]


class Journal(Protocol):
    """What was signed and sent. All methods raise `Unavailable` if the disk refuses."""

    def record(
        self, tx: Transaction, command: str, subject: str, fee: int, now: int, details: Mapping[str, Any]
    ) -> None:
        """Keep a signed transaction before anybody else sees it; raises `Refused` if an open entry spends its coins."""

    def mark(self, txid: str, state: str, note: str = "") -> None:
        """Say what became of a transaction; one that is no longer open gives its coins free.

        Of one that another version took the place of nothing is said.
        """

    def replace(self, old: str, tx: Transaction, fee: int, now: int) -> None:
        """Keep a signed transaction that does the same as the open entry `old` for more, in its place.

        Raises `Refused` if that is open no more, or another open entry spends one of its coins, or what it makes.
        """

    def choose(self, txid: str) -> None:
        """Let this version of a transaction be the one that counts, in the place of all others."""

    def refuse(self, txid: str, why: str) -> None:
        """Give up a version that nobody takes: the one that it should have replaced, if any, counts again."""

    def entries(self) -> list[Entry]:
        """All of it, oldest first."""

    def pending(self, command: str, subject: str) -> Entry | None:
        """The open entry that was made for this, or None."""

    def in_use(self) -> set[tuple[str, int]]:
        """The outpoints that open entries spend."""


#: The code of a refusal by somebody who has no key for what is to be signed.
NOT_OURS = "not_ours"


class Signer(ABC):
    """Somebody's keys, in a keystore or on a device. What no signer of ours does is refused here, for all of them."""

    #: What messages call it.
    name: str

    @abstractmethod
    def own(self, account: "Account") -> "OwnScript":
        """The account's address script, the one of its key 0/0. Needs no secret."""

    def sign(self, psbt: "Psbt", mandate: "Mandate") -> "Psbt":
        """Add every signature that the mandate's account can give.

        Raises `Refused` if `psbt` isn't what `mandate` says, or if this signer has no part in it, and `UserRefused`.
        """
        from doitrust.chain.mandate import permit  # noqa: PLC0415  # only what signs pays for it

        permit(psbt, mandate)
        signed = self._sign(psbt, mandate)
        if signed.serialize() == psbt.serialize():
            raise Refused(f"{self.name} has no key that could sign this", code=NOT_OURS)
        return signed

    @abstractmethod
    def _sign(self, psbt: "Psbt", mandate: "Mandate") -> "Psbt":
        """Sign what was permitted."""

    @abstractmethod
    def sign_message(self, account: "Account", text: str) -> tuple[bytes, str]:
        """Sign a text with the account's key 0/0; returns the key and the signature in base64."""


class ContentSource(Protocol):
    """Blocks of content by CID, verified by whoever implements this (N1)."""

    def get(self, cid: Cid) -> bytes | None:
        """The block that `cid` names, or None if it can't be had."""


class Place(NamedTuple):
    """Somewhere content may be, to be asked alone; `name` is what reports call it."""

    name: str
    source: ContentSource


class ContentStore(ContentSource, Protocol):
    """Content from everywhere, and where ours is put."""

    @property
    def shared(self) -> bool:
        """Whether what is put here can be fetched by others from here."""

    def places(self) -> Sequence[Place]:
        """Where content is looked for; the first is where `put_file` puts it."""

    def share(self, cid: Cid, max_size: int) -> None:
        """Hand a file that is here to where others can fetch it, if there is such a place; raises `Unavailable`."""

    def put_file(self, data: bytes) -> Cid:
        """Store a file as finished blocks and return its CID."""
