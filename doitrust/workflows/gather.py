"""Gathering evidence from a chain and a content store (rules N1 to N4, L2, L4).

Only what a verdict can use is fetched: the accepted organisations' records with everything they spend, the lists of
their timelines, the meters' records, and previous transactions where a signature could matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass, field

from doitrust.chain.signers import names_key
from doitrust.content.cid import Cid
from doitrust.content.unixfs import MissingBlock, NoFile, TooLarge, read_file
from doitrust.errors import BadData
from doitrust.meters.number import record_name as meter_record
from doitrust.meters.record import read_record
from doitrust.orgs.members import MAX_LIST_BYTES
from doitrust.orgs.names import record_name as organisation_record
from doitrust.ports import ChainView, ContentSource, Progress
from doitrust.trust.evidence import (
    Evidence,
    Located,
    Missing,
    NameWrite,
    Tip,
    list_cid,
    within_limits,
)
from doitrust.trust.judge import Judge
from doitrust.trust.policy import Policy
from doitrust.trust.verdict import Verdict

#: N4: how often gathering begins again when the chain changes under it.
ATTEMPTS = 3
#: L4: so many transactions are fetched at a time, and between two such times progress is told.
_STRIDE = 500
#: So many meters' records are fetched together.
_TOGETHER = 50


def gather(
    chain: ChainView,
    contents: ContentSource,
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
    contents: ContentSource,
    policy: Policy,
    meters: Sequence[str],
    organisations: Sequence[str],
    progress: Progress | None,
) -> "_Gathering":
    gathering = _Gathering(chain, contents, policy, progress)
    gathering.organisations([*(pin.name for pin in policy.pins), *organisations])
    gathering.meters(meters)
    return gathering


class Survey:
    """The accepted organisations as of one tip: the ground on which any number of meters is judged, part by part.

    What they say is gathered and judged once. `tip` is read first, and every verdict belongs to it.
    """

    def __init__(self, chain: ChainView, contents: ContentSource, policy: Policy) -> None:
        gathering = _Gathering(chain, contents, policy, None)
        gathering.organisations([pin.name for pin in policy.pins])
        self._ground = gathering
        self._judge = Judge(gathering.evidence(), policy)
        self.tip = gathering.tip

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What of the organisations could not be had."""
        return self._judge.evidence.missing

    def holds(self) -> bool:
        """N4: whether all this is in the chain now."""
        return self._ground.holds()

    def verdicts(self, meters: Sequence[str], *, moving: bool = False) -> list[Verdict] | None:
        """Gather what there is about `meters` and judge them; None if the chain moved meanwhile (N4).

        With `moving` they are undetermined then: it moved too often.
        """
        part = self._ground.part()
        part.meters(meters)
        if not part.holds():
            if not moving:
                return None
            part.lacks("chain", "tip", "chain_moved")
        judge = Judge(part.evidence(), self._ground.policy, self._judge.organisations)
        return [judge.verdict(meter) for meter in meters]


@dataclass
class _Gathering:
    """One attempt: the tip is read first, and everything belongs to it."""

    chain: ChainView
    contents: ContentSource
    policy: Policy
    progress: Progress | None
    known_tip: InitVar[Tip | None] = None
    tip: Tip = field(init=False)
    transactions: dict[str, Located] = field(default_factory=dict)
    content: dict[Cid, bytes] = field(default_factory=dict)
    missing: dict[tuple[str, str], Missing] = field(default_factory=dict)
    listed: frozenset[bytes] = frozenset()
    covers: set[bytes] = field(default_factory=set)

    def __post_init__(self, known_tip: Tip | None) -> None:
        self.tip = self.chain.tip() if known_tip is None else known_tip

    def part(self) -> "_Gathering":
        """Begin anew at the same tip, knowing the organisations' keys."""
        found = _Gathering(self.chain, self.contents, self.policy, None, self.tip)
        found.listed = self.listed
        return found

    def evidence(self) -> Evidence:
        """What was gathered so far."""
        missing = tuple(self.missing[key] for key in sorted(self.missing))
        return Evidence(
            self.chain.network,
            self.tip,
            self.transactions,
            self.content,
            missing,
            self.chain.sources(),
            frozenset(self.covers),
        )

    def holds(self) -> bool:
        """N4: whether the tip, and every block that something was found in, is in the chain now."""
        places = (located.place for located in self.transactions.values())
        blocks = {self.tip.hash, *(place.block for place in places if place is not None)}
        return self.chain.standing(sorted(blocks)) == blocks

    def organisations(self, names: Sequence[str]) -> None:
        """The organisations' records, what they spend, and the lists of the pinned timelines."""
        for name in dict.fromkeys(names):
            self._spent_by(self._names([organisation_record(name)]))
        # The timeline says whose lists they are: those of foreign writes are never fetched unasked.
        judge = Judge(self.evidence(), self.policy)
        for organisation in judge.organisations.values():
            for step in organisation.timeline.steps:
                self._list(step.write.value)
        self.listed = Judge(self.evidence(), self.policy).listed

    def meters(self, meters: Sequence[str]) -> None:
        """The meters' records, and what they spend where that can matter, for several meters at once."""
        accepted = {pin.name for pin in self.policy.pins}
        for start in range(0, len(meters), _TOGETHER):
            part = [meter_record(meter) for meter in meters[start : start + _TOGETHER]]
            writes = self._names(part, mempool=self.chain.own)
            self._spent_by(write for write in writes if self._matters(write, accepted))
            if self.progress is not None and len(meters) > 1:
                self.progress(start + len(part), len(meters))

    def _matters(self, write: NameWrite, accepted: set[str]) -> bool:
        """L2: a well-formed record that names an accepted organisation, or inputs that name a listed key (C5).

        The first is always followed up, whatever the inputs show: a witness can be cut off on the way.
        """
        if names_key(write.tx, self.listed):
            return True
        try:
            return read_record(write.output.value).org in accepted
        except BadData:
            return False

    def _names(self, names: Sequence[bytes], *, mempool: bool = False) -> list[NameWrite]:
        """Fetch what writes these names, and return the canonical writes within L1."""
        listed = {name: self._listed(name, mempool=mempool) for name in names}
        self._fetch([txid for txids in listed.values() for txid in txids], self.progress)
        return [
            write for name, txids in listed.items() for txid in txids for write in self._written(txid, name)
        ]

    def _listed(self, name: bytes, *, mempool: bool) -> Iterable[str]:
        """The txids of what writes `name`, each once."""
        # The mempool first: what is mined between the two calls is then in one of them.
        self.covers.add(name)
        waiting = self.chain.mempool(name) if mempool else []
        txids = self.chain.history(name, self.policy.max_writes)
        if txids is None:
            self.lacks("history", name.hex(), "flooded")
            return ()
        return dict.fromkeys([*txids, *waiting])

    def _written(self, txid: str, name: bytes) -> Iterable[NameWrite]:
        located = self.transactions.get(txid)
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

    def _spent_by(self, writes: Iterable[NameWrite]) -> None:
        self._fetch([spent.txid for write in writes for spent in write.tx.inputs])

    def _fetch(self, txids: Iterable[str], progress: Progress | None = None) -> None:
        """Fetch what isn't there yet, many at once; what can't be had is recorded."""
        wanted = [txid for txid in dict.fromkeys(txids) if txid not in self.transactions]
        for start in range(0, len(wanted), _STRIDE):
            part = wanted[start : start + _STRIDE]
            for txid, located in self.chain.transactions(part).items():
                if located is None:
                    self.lacks("transaction", txid, "transaction_missing")
                    continue
                if located.place is not None and located.place.height > self.tip.height:
                    located = Located(located.tx, None)  # noqa: PLW2901  # mined after our tip: here it still waits
                self.transactions[txid] = located
            if progress is not None and len(wanted) > _STRIDE:
                progress(start + len(part), len(wanted))

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
