"""Addresses of the four kinds on all networks (base58check and BIP 173), and the hashes in them."""

from functools import lru_cache

from btclib import base58, bech32
from btclib.b32 import power_of_2_base_conversion
from btclib.exceptions import BTClibException
from btclib.hashes import hash160 as hash160
from btclib.hashes import sha256 as sha256

from doitrust.chain.networks import Network
from doitrust.chain.scripts import ScriptType, p2pkh, p2sh, p2wpkh, p2wsh, script_type
from doitrust.errors import BadData

#: Longer strings are refused before they are decoded (BIP 173 allows 90).
_MAX_ADDRESS = 90


@lru_cache(maxsize=8192)
def address_of(script: bytes, network: Network) -> str | None:
    """Return the address of an address script on `network`, or None if it has none."""
    kind, payload = script_type(script)
    if kind is ScriptType.P2PKH:
        return base58.encode(bytes([network.p2pkh_version]) + payload).decode()
    if kind is ScriptType.P2SH:
        return base58.encode(bytes([network.p2sh_version]) + payload).decode()
    if kind is ScriptType.OTHER:
        return None
    return bech32.encode(network.hrp, [0, *_by_five(payload)]).decode()


def script_of(address: str, network: Network) -> bytes:
    """Return the script that `address` stands for on `network`.

    Raises `BadData` for anything but a P2PKH, P2SH, P2WPKH or P2WSH address of this very network.
    """
    if len(address) > _MAX_ADDRESS or not address.isascii() or not address.isalnum():
        raise BadData("not an address")
    try:
        if address.lower().startswith(network.hrp + "1"):
            hrp, data = bech32.decode(address)
            program = bytes(power_of_2_base_conversion(data[1:], 5, 8, pad=False))
            if hrp == network.hrp and data[0] == 0 and len(program) in (20, 32):
                return p2wpkh(program) if len(program) == 20 else p2wsh(program)
        else:
            payload = base58.decode(address, 21)
            if payload[0] == network.p2pkh_version:
                return p2pkh(payload[1:])
            if payload[0] == network.p2sh_version:
                return p2sh(payload[1:])
    except (BTClibException, IndexError):
        raise BadData(f"{address!r} is not an address") from None
    raise BadData(f"{address!r} is not an address of {network.name}")


def _by_five(program: bytes) -> list[int]:
    """The bits of a witness program in fives, zeros behind the last (BIP 173)."""
    groups = -(-8 * len(program) // 5)
    number = int.from_bytes(program) << 5 * groups - 8 * len(program)
    return [number >> shift & 31 for shift in range(5 * (groups - 1), -1, -5)]
