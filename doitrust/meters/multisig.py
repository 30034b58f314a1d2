"""The 1-of-2 multisig of a node and its client (rule C2, BIP 67)."""

from collections.abc import Iterator

from doitrust.chain.address import address_of, hash160, sha256
from doitrust.chain.networks import Network
from doitrust.chain.scripts import multisig_script, p2sh, p2wsh


def pairing_script(node: bytes, client: bytes) -> bytes:
    """Return the 1-of-2 script over the two compressed keys in sorted order (BIP 67)."""
    return multisig_script(1, sorted((node, client)))


def pairing_outputs(node: bytes, client: bytes) -> dict[str, bytes]:
    """Return the address scripts that stand for the pairing: `p2wsh` (the default), `p2sh` and `p2sh-p2wsh`."""
    return dict(_outputs(node, client))


def _outputs(node: bytes, client: bytes) -> Iterator[tuple[str, bytes]]:
    """One after the other: who looks for one of them needs few."""
    script = pairing_script(node, client)
    segwit = p2wsh(sha256(script))
    yield "p2wsh", segwit
    yield "p2sh", p2sh(hash160(script))
    yield "p2sh-p2wsh", p2sh(hash160(segwit))


def is_pairing_address(address: str, node: bytes, client: bytes, network: Network) -> bool:
    """Whether `address`, code point for code point, is one of the pairing's on `network`."""
    return any(address_of(output, network) == address for _, output in _outputs(node, client))
