"""Looking through the records of all meters."""

from collections.abc import Iterator
from typing import NamedTuple

from doitrust.errors import BadData
from doitrust.meters.number import RECORD_PREFIX, number_of_record
from doitrust.meters.record import Certificate, read_record
from doitrust.ports import ChainView, Progress

#: Writes looked at in one scan, and of one name: a flooded chain must not keep anybody busy for ever.
MOST_WRITES, _MOST_OF_A_NAME = 5_000, 1_000


class Found(NamedTuple):
    """A well-formed certificate on the chain; nobody says that it counts."""

    meter: str
    certificate: Certificate


def certificates(chain: ChainView, progress: Progress | None = None) -> Iterator[Found | None]:
    """Yield every certificate, meter by meter; a last None says that there were too many to read all."""
    seen = 0
    for name in chain.names(RECORD_PREFIX):
        meter = number_of_record(name)
        for txid in (chain.history(name, _MOST_OF_A_NAME) or []) if meter is not None else []:
            seen += 1
            if seen > MOST_WRITES:
                yield None
                return
            if progress is not None:
                progress(seen, MOST_WRITES)
            located = chain.transaction(txid)
            for _, output in () if located is None else located.tx.writes:
                certificate = _certificate(output.value) if output.name == name else None
                if certificate is not None and meter is not None:
                    yield Found(meter, certificate)


def _certificate(value: bytes) -> Certificate | None:
    try:
        record = read_record(value)
    except BadData:
        return None
    return record if isinstance(record, Certificate) else None
