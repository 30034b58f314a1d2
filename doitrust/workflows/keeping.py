"""Keeping content: what is published must be there for others, and what was published must not be lost.

IPFS keeps nothing by itself: a list that nobody has any more makes every meter of its organisation undetermined (M2).
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from doitrust.chain.tx import Transaction
from doitrust.content.cid import Cid, parse_cid
from doitrust.content.unixfs import MissingBlock, NoFile, TooLarge, read_file
from doitrust.errors import BadData, Refused, Unavailable
from doitrust.meters.document import MAX_BYTES as MAX_DOCUMENT
from doitrust.meters.document import Document, read_document
from doitrust.meters.number import number_of_record
from doitrust.meters.record import Certificate, read_record
from doitrust.orgs.members import MAX_LIST_BYTES
from doitrust.orgs.names import name_of_record
from doitrust.ports import ContentSource, ContentStore, Progress
from doitrust.trust.evidence import list_cid
from doitrust.trust.organisations import Organisation

#: Bytes of a photograph: ours have a tenth of it.
MAX_PHOTO = 16 * 1024 * 1024


def publish(contents: ContentStore, data: bytes, *, local_only: bool) -> Cid:
    """Store a file, and see that others can have it; returns its CID.

    Raises `Refused` if it can't be read back from a second place, unless `local_only`: a record whose content nobody
    can have would be worse than none.
    """
    cid = contents.put_file(data)
    if local_only or contents.shared:
        return cid
    contents.share(cid, len(data))
    if not any(has_file(place.source, cid, len(data)) for place in contents.places()[1:]):
        raise Refused(
            "nobody else could have what this names: it is on this computer alone",
            hint="run an IPFS node (Kubo) and set ipfs.api; or --local-only, and see yourself that others get it",
            code="content_not_shared",
        )
    return cid


def has_file(source: ContentSource, cid: Cid, max_size: int) -> bool:
    """Whether the whole file can be had from there now."""
    try:
        read_file(cid, source.get, max_size)
    except (BadData, Unavailable):
        return False
    return True


class ListPlaces(NamedTuple):
    """A list of a timeline: its CID, the height of the first write that names it, and where all of it is now."""

    cid: str
    height: int
    places: list[str]


def lists_of(organisation: Organisation) -> Iterator[tuple[Cid, int]]:
    """The lists that an organisation's timeline names, newest first, each once, with the height it came at."""
    found: dict[Cid, int] = {}
    for step in organisation.timeline.steps:
        cid = list_cid(step.write.value)
        if cid is not None:
            found.setdefault(cid, step.write.height)
    return reversed(found.items())


def where(
    contents: ContentStore, organisation: Organisation, most: int, progress: Progress | None = None
) -> list[ListPlaces]:
    """Where each of the `most` newest lists can be had now, each place asked alone."""
    wanted = list(lists_of(organisation))[:most]
    found = []
    for number, (cid, height) in enumerate(wanted, 1):
        places = [place.name for place in contents.places() if has_file(place.source, cid, MAX_LIST_BYTES)]
        found.append(ListPlaces(cid.text, height, places))
        if progress is not None:
            progress(number, len(wanted))
    return found


class Kept(NamedTuple):
    """A list that is kept here now: its CID and bytes; `size` is None for one that can't be had anywhere."""

    cid: str
    size: int | None


def keep(contents: ContentStore, organisation: Organisation, progress: Progress | None = None) -> list[Kept]:
    """Fetch every list of the timeline, and keep it here and in the IPFS node. Raises `Unavailable` if that refuses."""
    wanted = list(lists_of(organisation))
    found = []
    for number, (cid, _) in enumerate(wanted, 1):
        data = _file(contents, cid, MAX_LIST_BYTES)
        if data is not None:
            contents.share(cid, MAX_LIST_BYTES)
        found.append(Kept(cid.text, None if data is None else len(data)))
        if progress is not None:
            progress(number, len(wanted))
    return found


def share_again(contents: ContentStore, tx: Transaction) -> None:
    """Hand on what a transaction of ours names and is kept here, before it is sent: it may have been signed offline.

    Raises `Unavailable` if the IPFS node refuses.
    """
    near = contents.places()[0].source
    for _, output in tx.writes:
        if name_of_record(output.name) is not None:
            cids = [(list_cid(output.value), MAX_LIST_BYTES)]
        elif number_of_record(output.name) is not None:
            cids = list(_named_by(near, output.value))
        else:
            cids = []
        for cid, most in cids:
            if cid is not None and has_file(near, cid, most):
                contents.share(cid, most)


def _named_by(near: ContentSource, value: bytes) -> Iterator[tuple[Cid | None, int]]:
    """The document of a certificate, and its photographs."""
    try:
        record = read_record(value)
    except BadData:
        return
    if not isinstance(record, Certificate) or record.doc is None:
        return
    cid = parse_cid(record.doc)
    data = _file(near, cid, MAX_DOCUMENT)
    if data is not None:
        with suppress(BadData):  # what is no document names nothing
            for photo in read_document(data).photos:
                yield photo, MAX_PHOTO
    yield cid, MAX_DOCUMENT


def _file(source: ContentSource, cid: Cid, most: int) -> bytes | None:
    try:
        return read_file(cid, source.get, most)
    except (MissingBlock, NoFile, TooLarge):
        return None


class Photographs(NamedTuple):
    """What a certificate's document names: the document, its pictures by CID (None: not to be had)."""

    document: Document
    pictures: dict[str, bytes | None]


def photographs(
    contents: ContentSource, certificate: Certificate, meter: str, progress: Progress | None = None
) -> Photographs:
    """Fetch a certificate's document and photographs, all checked against their CIDs.

    Raises `Refused` if there is no document, or it is another pairing's, and `Unavailable` if it can't be had.
    """
    if certificate.doc is None:
        raise Refused(f"the certificate of {meter} names no photographs", code="no_photographs")
    cid = parse_cid(certificate.doc)
    try:
        data = read_file(cid, contents.get, MAX_DOCUMENT)
    except (NoFile, TooLarge) as error:
        raise Refused(
            f"what the certificate names is no document: {error.message}", code="no_photographs"
        ) from None
    document = read_document(data)
    if (document.meter, document.node, document.client) != (meter, certificate.node, certificate.client):
        raise Refused(
            f"the document is another pairing's than the certificate's of {meter}", code="no_photographs"
        )
    pictures: dict[str, bytes | None] = {}
    for number, photo in enumerate(document.photos, 1):
        pictures[photo.text] = _file(contents, photo, MAX_PHOTO)
        if progress is not None:
            progress(number, len(document.photos))
    return Photographs(document, pictures)
