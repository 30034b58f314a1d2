"""Gathering evidence from a chain and a content store (rules N1 to N4, L2, L4).

Only what a verdict can use is fetched: the accepted organisations' records with everything they spend, the lists of
their timelines, the meters' records, and previous transactions where a signature could matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from doitrust.chain.signers import names_key
from doitrust.content.cid import Cid
from doitrust.content.unixfs import MissingBlock, NoFile, TooLarge, read_file
from doitrust.errors import BadData
from doitrust.meters.number import record_name as meter_record
from doitrust.meters.record import read_record
from doitrust.orgs.members import MAX_LIST_BYTES
from doitrust.orgs.names import record_name as organisation_record
from doitrust.ports import ChainView, ContentStore, Progress
from doitrust.trust.evidence import (
    Evidence,
    Located,
    Missing,
    NameWrite,
    Source,
    Tip,
    list_cid,
    within_limits,
)
from doitrust.trust.judge import Judge
from doitrust.trust.policy import Policy

#: N4: how often gathering begins again when the chain changes under it.
ATTEMPTS = 3
#: L4: progress of a flooded name is told every so many writes.
_STRIDE = 500


def gather(
    chain: ChainView,
    contents: ContentStore,
    policy: Policy,
    meters: Sequence[str],
    *,
    organisations: Sequence[str] = (),
    progress: Progress | None = None,
) -> Evidence:
    """Return the evidence about `meters` (normalised numbers) for the policy's pins, at one tip.

    `organisations` are names to look at without a pin: their records, not their lists.
    What can't be had is recorded as missing, never guessed. Raises `Unavailable` if the source doesn't answer.
    """
    for _ in range(ATTEMPTS - 1):
        attempt = _attempt(chain, contents, policy, meters, organisations, progress)
        if attempt.holds():
            return attempt.evidence()
    attempt = _attempt(chain, contents, policy, meters, organisations, progress)
    if not attempt.holds():
        attempt.lacks("chain", "tip", "chain_moved")
    return attempt.evidence()


def _attempt(
    chain: ChainView,
    contents: ContentStore,
    policy: Policy,
    meters: Sequence[str],
    organisations: Sequence[str],
    progress: Progress | None,
) -> "_Gathering":
    gathering = _Gathering(chain, contents, policy, progress)
    gathering.organisations([*(pin.name for pin in policy.pins), *organisations])
    gathering.meters(meters)
    return gathering


@dataclass
class _Gathering:
    """One attempt: the tip is read first, and everything belongs to it."""

    chain: ChainView
    contents: ContentStore
    policy: Policy
    progress: Progress | None
    tip: Tip = field(init=False)
    transactions: dict[str, Located] = field(default_factory=dict)
    content: dict[Cid, bytes] = field(default_factory=dict)
    missing: dict[tuple[str, str], Missing] = field(default_factory=dict)
    listed: frozenset[bytes] = frozenset()
    covers: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.tip = self.chain.tip()

    def evidence(self) -> Evidence:
        """What was gathered so far."""
        source = Source(self.chain.name, self.chain.own)
        missing = tuple(self.missing[key] for key in sorted(self.missing))
        return Evidence(
            self.chain.network,
            self.tip,
            self.transactions,
            self.content,
            missing,
            (source,),
            frozenset(self.covers),
        )

    def holds(self) -> bool:
        """N4: whether the tip, and every block that something was found in, is in the chain now."""
        places = (located.place for located in self.transactions.values())
        blocks = {place.block for place in places if place is not None}
        return all(self.chain.contains(block) for block in (self.tip.hash, *sorted(blocks)))

    def organisations(self, names: Sequence[str]) -> None:
        """The organisations' records, what they spend, and the lists of the pinned timelines."""
        for name in dict.fromkeys(names):
            for write in self._name(organisation_record(name)):
                self._spent_by(write)
        # The timeline says whose lists they are: those of foreign writes are never fetched unasked.
        judge = Judge(self.evidence(), self.policy)
        for organisation in judge.organisations.values():
            for step in organisation.timeline.steps:
                self._list(step.write.value)
        self.listed = Judge(self.evidence(), self.policy).listed

    def meters(self, meters: Sequence[str]) -> None:
        """The meters' records, and what they spend where that can matter."""
        accepted = {pin.name for pin in self.policy.pins}
        for number, meter in enumerate(meters):
            name = meter_record(meter)
            writes = self._name(name, mempool=self.chain.own)
            for write in writes:
                if self._matters(write, accepted):
                    self._spent_by(write)
            if self.progress is not None and len(meters) > 1:
                self.progress(number + 1, len(meters))

    def _matters(self, write: NameWrite, accepted: set[str]) -> bool:
        """L2: a well-formed record that names an accepted organisation, or inputs that name a listed key (C5).

        The first is always followed up, whatever the inputs show: a witness can be cut off on the way.
        """
        try:
            if read_record(write.output.value).org in accepted:
                return True
        except BadData:
            pass
        return names_key(write.tx, self.listed)

    def _name(self, name: bytes, *, mempool: bool = False) -> list[NameWrite]:
        """Fetch what writes `name`, and return its canonical writes within L1."""
        # The mempool first: what is mined between the two calls is then in one of them.
        self.covers.add(name)
        waiting = self.chain.mempool(name) if mempool else []
        txids = self.chain.history(name, self.policy.max_writes)
        if txids is None:
            self.lacks("history", name.hex(), "flooded")
            return []
        writes: list[NameWrite] = []
        for number, txid in enumerate(dict.fromkeys([*txids, *waiting]), 1):
            writes += self._written(txid, name)
            if self.progress is not None and number % _STRIDE == 0:
                self.progress(number, len(txids))
        return writes

    def _written(self, txid: str, name: bytes) -> Iterable[NameWrite]:
        located = self._transaction(txid)
        if located is None:
            # What the source lists and doesn't hand out could be anything, a revocation too.
            self.lacks("history", name.hex(), "transaction_missing")
            return
        if not within_limits(located.tx):
            return
        height = self.tip.height + 1 if located.place is None else located.place.height
        for vout, output in located.tx.writes:
            if output.name == name:
                yield NameWrite(located.tx, located.place, height, vout, output)

    def _spent_by(self, write: NameWrite) -> None:
        for spent in write.tx.inputs:
            self._transaction(spent.txid)

    def _transaction(self, txid: str) -> Located | None:
        if txid not in self.transactions:
            located = self.chain.transaction(txid)
            if located is None:
                self.lacks("transaction", txid, "transaction_missing")
                return None
            if located.place is not None and located.place.height > self.tip.height:
                located = Located(located.tx, None)  # mined after our tip: for this evidence it still waits
            self.transactions[txid] = located
        return self.transactions[txid]

    def _list(self, value: bytes) -> None:
        cid = list_cid(value)
        if cid is None:
            return
        try:
            read_file(cid, self._block, MAX_LIST_BYTES)
        except MissingBlock:
            self.lacks("list", cid.text, "list_missing")
        except (NoFile, TooLarge):
            pass  # an empty list, as the judge will say (O5)

    def _block(self, cid: Cid) -> bytes | None:
        if cid not in self.content:
            block = self.contents.get(cid)
            if block is None or not cid.matches(block):  # N1
                return None
            self.content[cid] = block
        return self.content[cid]

    def lacks(self, kind: str, id_: str, why: str) -> None:
        """Record what could not be had."""
        self.missing[(kind, id_)] = Missing(kind, id_, why)
