"""Content from IPFS gateways that nobody has to trust: several at once, and the first answer that is right counts.

A raw CID is one block. For a dag-pb CID the whole file is fetched at once, as a CAR, and what a gateway leaves out of
that, or all if it makes none, block by block; the blocks are kept for the `get`s that follow. How far a file is read is
up to `unixfs.read_file`, so its limits on size, depth and links hold here too, and nothing behind them is asked for:
an honest gateway is never blamed for a file that is too large.

Everything about who is asked when stands in `_Race`: two gateways at first, one more whenever nobody has answered for a
moment, so that those that stall cost a moment each; a pause after each failure, twice as long each time; and never
again, as long as this object lives, for one that lied. One that kept us waiting in vain is not avoided, as it may have
been looking for what nobody has: other content must not be lost with that. It gets half the time instead.
"""

import contextlib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import NamedTuple

from doitrust.adapters.gateway_http import (
    CutShort,
    Dial,
    Failed,
    GivenUp,
    Lied,
    Patience,
    Resolve,
    Stalled,
    Status,
    Visit,
    dial,
    resolve,
)
from doitrust.adapters.gateway_urls import gateway_urls
from doitrust.content.car import MAX_HEADER, CarCutShort, NoCar, read_car
from doitrust.content.cid import RAW, Cid
from doitrust.content.unixfs import (
    MAX_BLOCK_SIZE,
    MAX_LINKS,
    MAX_OVERHEAD,
    MissingBlock,
    NoFile,
    TooLarge,
    read_file,
)
from doitrust.orgs.members import MAX_LIST_BYTES

#: Blocks and bytes of the CAR of a file, even of one that repeats what is linked twice. In front of a block stand its
#: size and its CID: at most 4 and 44 bytes.
_MAX_BLOCKS = MAX_LINKS + 1
_CAR_OVERHEAD = MAX_HEADER + MAX_OVERHEAD + _MAX_BLOCKS * 48
#: Bytes of blocks that are kept, the newest; a file and what it is made of always fit.
_MAX_KEPT = 32 * 1024 * 1024
_RAW_KIND = "application/vnd.ipld.raw"
_CAR_KIND = "application/vnd.ipld.car; version=1; order=dfs; dups=n"
#: So often one is asked within one `get`, and so many threads may still hang on it (in a look-up of its name, which
#: nothing can end).
_MAX_TRIES = 3
_MAX_THREADS = 3
#: Faults of one gateway that are remembered.
_MAX_FAULTS = 10
_AT_FIRST = 2
#: Seconds after which it is looked whether one hangs that should have noticed itself.
_LOOK = 0.25


class Fault(NamedTuple):
    """What a gateway did wrong, safe to show; `dropped`: it is asked no more."""

    gateway: str
    what: str
    dropped: bool


class _Absent(Exception):
    """The gateway says that it doesn't have it: that is no fault."""


@dataclass(eq=False)
class _Gateway:
    """What is known of one of them. Only the thread that asks changes it."""

    url: str
    dropped: bool = False
    #: Failures since it last delivered, and when it may be asked again; how often it kept us waiting in vain.
    failures: int = 0
    ready: float = 0.0
    stalls: int = 0
    faults: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def is_free(self) -> bool:
        self.threads = [thread for thread in self.threads if thread.is_alive()]
        return not self.dropped and len(self.threads) < _MAX_THREADS

    def blame(self, error: Exception) -> None:
        if str(error) not in self.faults and len(self.faults) < _MAX_FAULTS:
            self.faults.append(str(error))


#: Fetches from one gateway what is wanted, in its own thread.
_Fetch = Callable[[Visit, _Gateway], object]


class Gateways:
    """The reading half of a `ContentStore`: blocks from the gateways at `urls`, each checked against its CID (N1).

    `max_size`: bytes of the largest file that anybody will ask for. `tls`, `resolve` and `dial` are how the outside is
    reached. Raises `Usage` for addresses that are none; nothing that a gateway does ever raises.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        patience: Patience | None = None,
        max_size: int = MAX_LIST_BYTES,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
        dial: Dial = dial,
    ) -> None:
        self._patience = patience or Patience()
        self._max_size = max_size
        self._visit = partial(Visit, tls=self._context, resolve=resolve, dial=dial)
        self._tls = tls
        self._making_tls = threading.Lock()
        self._asking = threading.Lock()
        #: In the order they are asked: who delivered last comes first.
        self._gateways = [_Gateway(url) for url in gateway_urls(urls)]
        self._named = tuple(self._gateways)
        self._kept = _Kept()
        #: What nobody had, and until when nobody is asked for it again: a file's parts are asked for one by one.
        self._lacking: dict[Cid, float] = {}

    def get(self, cid: Cid) -> bytes | None:
        """The block that `cid` names, or None if no gateway has it, or none gives it in time."""
        if not cid.is_file_kind:
            return None
        with self._asking:
            now = time.monotonic()
            self._lacking = {lacked: until for lacked, until in self._lacking.items() if until > now}
            block = self._kept.get(cid)
            if block is None and cid not in self._lacking:
                self._fetch(cid, now + self._patience.whole)
                block = self._kept.get(cid)
            return block

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What gateways did wrong so far, in the order in which they were named."""
        return tuple(
            Fault(gateway.url, what, gateway.dropped) for gateway in self._named for what in gateway.faults
        )

    def _fetch(self, cid: Cid, until: float) -> None:
        """Bring `cid`, and what it links to, among what is kept, or note what nobody has."""
        if cid.codec == RAW:
            self._race(cid, until)
        elif not self._raced(partial(self._file, cid), until) and self._kept.get(cid) is not None:
            # Nobody has all of the file; perhaps each has a part.
            try:
                read_file(cid, lambda part: self._race(part, until), self._max_size)
            except MissingBlock as missing:
                self._lack(missing.cid)
            except (NoFile, TooLarge):
                pass
        if self._kept.get(cid) is None:
            self._lack(cid)

    def _lack(self, cid: Cid) -> None:
        self._lacking[cid] = time.monotonic() + self._patience.wait

    def _race(self, cid: Cid, until: float) -> bytes | None:
        """One block, from whoever is first."""
        if self._kept.get(cid) is None:
            self._raced(partial(self._block, cid), until)
        return self._kept.get(cid)

    def _raced(self, fetch: _Fetch, until: float) -> bool:
        return _Race(self._gateways, fetch, self._visit, self._patience, until).run()

    def _context(self) -> ssl.SSLContext:
        with self._making_tls:
            if self._tls is None:
                self._tls = ssl.create_default_context()
            return self._tls

    # ---- in a gateway's thread

    def _block(self, cid: Cid, visit: Visit, gateway: _Gateway) -> bytes:
        """Fetch one block."""
        url = f"{gateway.url}/ipfs/{cid.text}?format=raw"
        try:
            block = b"".join(visit.get(url, _RAW_KIND, MAX_BLOCK_SIZE))
        except Status as answer:
            raise _failure(answer) from None
        if not cid.matches(block):
            raise Lied(f"it gives other bytes for {cid}")
        self._kept.put(cid, block)
        return block

    def _file(self, root: Cid, visit: Visit, gateway: _Gateway) -> None:
        """Fetch a whole file, or as much of it as shows that it is none."""
        # Blocks of the CAR that came before they were needed.
        early: dict[Cid, bytes] = {}
        with contextlib.closing(self._car(root, visit, gateway)) as car:

            def take(cid: Cid) -> bytes:
                block = self._kept.get(cid)
                if block is not None:
                    return block
                found = early.pop(cid, None)
                while found is None:
                    sent, block = next(car, (None, b""))
                    if sent is None:
                        return self._block(cid, visit, gateway)
                    if sent == cid:
                        found = block
                    else:
                        early[sent] = block
                self._kept.put(cid, found)
                return found

            with contextlib.suppress(NoFile, TooLarge):  # that is final, and whoever asked will see it
                read_file(root, take, self._max_size)

    def _car(self, root: Cid, visit: Visit, gateway: _Gateway) -> Generator[tuple[Cid, bytes], None, None]:
        """The blocks of the CAR that the gateway makes of a file, as far as it does."""
        url = f"{gateway.url}/ipfs/{root.text}?format=car&dag-scope=entity"
        most = self._max_size + _CAR_OVERHEAD
        try:
            with contextlib.closing(visit.get(url, _CAR_KIND, most)) as chunks:
                yield from read_car(chunks, max_size=most, max_blocks=_MAX_BLOCKS)
        except (CutShort, CarCutShort):
            return  # how one ends that doesn't have all blocks
        except NoCar as error:
            raise Lied(f"it sends {error.message}") from None
        except Status as answer:
            if answer.status in (404, 410, 429, 503):
                raise _failure(answer) from None
            return  # it makes none


class _Race:
    """One question to the gateways. What their threads bring is settled here, in the thread of who asks."""

    def __init__(
        self,
        gateways: list[_Gateway],
        fetch: _Fetch,
        visit: Callable[[Patience], Visit],
        patience: Patience,
        until: float,
    ) -> None:
        self._gateways = gateways
        self._fetch = fetch
        self._visit = visit
        self._patience = patience
        self._until = until
        self._ended: SimpleQueue[tuple[_Gateway, Visit, Exception | None]] = SimpleQueue()
        self._running: dict[_Gateway, Visit] = {}
        #: Who needn't be asked again for this.
        self._out: set[_Gateway] = set()
        self._tries: Counter[_Gateway] = Counter()
        #: When one more may be asked.
        self._next = 0.0

    def run(self) -> bool:
        """Whether one of them delivered. All others are given up then."""
        try:
            while (wait := self._step()) is not None:
                try:
                    gateway, visit, error = self._ended.get(timeout=wait)
                except Empty:
                    continue
                if self._running.get(gateway) is not visit:
                    continue  # it was given up
                del self._running[gateway]
                if self._settle(gateway, error):
                    return True
            return False
        finally:
            for visit in self._running.values():
                visit.give_up()

    def _step(self) -> float | None:
        """Ask who is to be asked now; return how many seconds there is nothing else to do, or None at the end."""
        now = time.monotonic()
        if now >= self._until:
            for gateway in self._running:
                self._failed(gateway, Stalled("it did not deliver in time"))
            return None
        for gateway, visit in [*self._running.items()]:
            if visit.is_overdue:
                visit.give_up()
                del self._running[gateway]
                self._failed(gateway, Stalled(visit.late))
        able = [
            gateway
            for gateway in self._gateways
            if gateway not in self._running and gateway not in self._out and gateway.is_free()
        ]
        ready = [gateway for gateway in able if gateway.ready <= now]
        while ready and (now >= self._next or len(self._running) < _AT_FIRST):
            self._start(ready.pop(0))
            self._next = now + self._patience.stagger
        latest = min(self._until, now + self._patience.wait)
        times = [self._next] if ready else [g.ready for g in able if now < g.ready <= latest]
        if not self._running and not times:
            return None
        return max(0.0, min([self._until, now + _LOOK, *times]) - now)

    def _start(self, gateway: _Gateway) -> None:
        visit = self._running[gateway] = self._visit(self._patience.after(gateway.stalls))
        self._tries[gateway] += 1
        # One that hangs must not keep the process from ending.
        thread = threading.Thread(target=self._run_visit, args=(visit, gateway), daemon=True)
        gateway.threads.append(thread)
        thread.start()

    def _run_visit(self, visit: Visit, gateway: _Gateway) -> None:
        try:
            self._fetch(visit, gateway)
        except GivenUp:
            pass
        except Exception as error:  # noqa: BLE001  # settled, or raised, by who asks
            self._ended.put((gateway, visit, error))
        else:
            self._ended.put((gateway, visit, None))

    def _settle(self, gateway: _Gateway, error: Exception | None) -> bool:
        """Draw the conclusions; whether it delivered."""
        if error is None:
            gateway.failures, gateway.ready, gateway.stalls = 0, 0.0, 0
            self._gateways.remove(gateway)
            self._gateways.insert(0, gateway)
            return True
        if isinstance(error, Lied):
            gateway.blame(error)
            gateway.dropped = True
        elif isinstance(error, Failed):
            self._failed(gateway, error)
        elif isinstance(error, _Absent):
            self._out.add(gateway)
        else:
            raise error  # a bug of ours
        return False

    def _failed(self, gateway: _Gateway, error: Failed) -> None:
        gateway.blame(error)
        if isinstance(error, Stalled):
            gateway.stalls += 1
            self._out.add(gateway)
            return
        gateway.failures += 1
        pause = self._patience.pause * 2 ** min(gateway.failures - 1, 20)
        gateway.ready = time.monotonic() + min(max(pause, error.pause), self._patience.longest_pause)
        if not error.again or self._tries[gateway] >= _MAX_TRIES:
            self._out.add(gateway)


class _Kept:
    """Verified blocks of all threads, the newest of them."""

    def __init__(self) -> None:
        self._blocks: dict[Cid, bytes] = {}
        self._size = 0
        self._changing = threading.Lock()

    def get(self, cid: Cid) -> bytes | None:
        return self._blocks.get(cid)

    def put(self, cid: Cid, block: bytes) -> None:
        with self._changing:
            if cid in self._blocks:
                return
            self._blocks[cid] = block
            self._size += len(block)
            while self._size > _MAX_KEPT:
                self._size -= len(self._blocks.pop(next(iter(self._blocks))))


def _failure(answer: Status) -> Exception:
    """What a status means that is no success."""
    if answer.status in (404, 410):
        return _Absent(str(answer))
    return Failed(str(answer), answer.pause, again=answer.status == 429 or answer.status >= 500)
