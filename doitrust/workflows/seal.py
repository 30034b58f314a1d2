"""The 1-of-2 address of a node and its client: finding its keys, its coins."""

from collections.abc import Iterable
from typing import NamedTuple

from doitrust.chain.address import address_of, script_of
from doitrust.chain.descriptors import Descriptor, OwnScript
from doitrust.chain.networks import Network
from doitrust.errors import BadData, Refused, Usage
from doitrust.meters.multisig import pairing_outputs
from doitrust.ports import ChainView
from doitrust.workflows.records import certificates

_FORMS = {"p2wsh": "wsh({})", "p2sh": "sh({})", "p2sh-p2wsh": "sh(wsh({}))"}


class Seal(NamedTuple):
    """A pairing's address: its type, and the keys of node and client. `meters` are those whose records name it."""

    address: str
    type: str
    node: bytes
    client: bytes
    descriptor: Descriptor
    meters: tuple[str, ...] = ()

    @property
    def own(self) -> OwnScript:
        """What it takes to spend from it."""
        return self.descriptor.at()


def seal_of(node: bytes, client: bytes, kind: str, network: Network) -> Seal:
    """Return the address of a pairing; raises `Usage` for equal keys."""
    if node == client:
        raise Usage("node and client have the same key")
    inner = f"sortedmulti(1,{node.hex()},{client.hex()})"
    descriptor = Descriptor.parse(_FORMS[kind].format(inner), network)
    return Seal(descriptor.address(), kind, node, client, descriptor)


def find_seal(chain: ChainView, pairings: Iterable[tuple[bytes, bytes]], address: str) -> Seal:
    """Return the pairing behind `address`: one that the home knows, or one in a record on the chain.

    The keys prove themselves: their address is compared. Raises `Refused` where nobody gives them.
    """
    try:
        script = script_of(address, chain.network)
    except BadData as error:
        raise Usage(error.message) from None
    address = address_of(script, chain.network) or address
    known = known_seal(pairings, script, chain.network)
    if known is not None:
        return known._replace(meters=_meters(chain, address))
    for record in certificates(chain):
        if record is None or record.certificate.ms != address:
            continue
        found = _fitting(record.certificate.node, record.certificate.client, script, chain.network)
        if found is not None:
            return found._replace(meters=_meters(chain, address))
    raise Refused(
        f"whose keys {address} has is neither known here nor written on the chain",
        hint="doitrust seal address --node KEY --client KEY remembers them",
        code="unknown_seal",
    )


def known_seal(pairings: Iterable[tuple[bytes, bytes]], script: bytes, network: Network) -> Seal | None:
    """The pairing of the home whose address script this is, or None."""
    found = (_fitting(node, client, script, network) for node, client in pairings)
    return next((seal for seal in found if seal is not None), None)


def _fitting(node: bytes, client: bytes, script: bytes, network: Network) -> Seal | None:
    for kind, output in pairing_outputs(node, client).items():
        if output == script:
            return seal_of(node, client, kind, network)
    return None


def _meters(chain: ChainView, address: str) -> tuple[str, ...]:
    found = (record for record in certificates(chain) if record is not None)
    return tuple(dict.fromkeys(record.meter for record in found if record.certificate.ms == address))
