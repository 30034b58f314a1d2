"""The accounts of a wallet that doitrust uses, keystore and Ledger alike (formats.md, «Transactions to be signed»).

Paths are those of BIP 44 with BIP 84's purpose, `m/84h/<coin type>h/<account>h/<change>/<index>`: their addresses are
P2WPKH. A key has one job: what an account is for is the only thing its keys sign.
"""

from dataclasses import replace
from enum import IntEnum

from doitrust.chain.bip32 import HARDENED, ExtendedKey, print_steps
from doitrust.chain.networks import MAINNET, Network
from doitrust.errors import BadData

#: BIP 84: native segwit with one key.
PURPOSE = 84

#: SLIP-44 has no coin type for Doichain. 7 is Namecoin's, kept apart from Bitcoin's keys; 1 is every test network's.
MAINNET_COIN_TYPE = 7
TEST_COIN_TYPE = 1

# BIP 32 version bytes of public keys (doichain.md «Networks»; src/chainparams.cpp, EXT_PUBLIC_KEY).
_MAINNET_VERSION = bytes.fromhex("0488b21e")
_TEST_VERSION = bytes.fromhex("043587cf")


class Account(IntEnum):
    """An account and its number in the path."""

    MEMBER = 0
    OWNER = 1
    BOARD = 2
    CLIENT = 5

    @property
    def label(self) -> str:
        """What users and JSON call it."""
        return self.name.lower()


def coin_type_of(network: Network, configured: int | None = None) -> int:
    """The coin type in the paths on `network`: the one that the user configured, or the default."""
    if configured is not None:
        return configured
    return MAINNET_COIN_TYPE if network.name == MAINNET.name else TEST_COIN_TYPE


def account_path(coin_type: int, account: Account) -> tuple[int, ...]:
    """The path of an account; raises `BadData` for a coin type that no path can have."""
    if not 0 <= coin_type < HARDENED:
        raise BadData(f"a coin type is a number below {HARDENED}")
    return (PURPOSE + HARDENED, coin_type + HARDENED, account + HARDENED)


def key_path(coin_type: int, account: Account, change: int = 0, index: int = 0) -> tuple[int, ...]:
    """The path of one key of an account; raises `BadData` for numbers that can't be meant."""
    if change not in (0, 1) or not 0 <= index < HARDENED:
        raise BadData(f"a key is at 0 or 1 and an index below {HARDENED} in its account")
    return (*account_path(coin_type, account), change, index)


def print_path(path: tuple[int, ...]) -> str:
    """Write a path from the master key on, `m/84h/…`."""
    return "m" + print_steps(path)


def of_network(key: ExtendedKey, network: Network) -> ExtendedKey:
    """The same extended key with the version bytes of `network` (`xpub…` or `tpub…`)."""
    main = network.name == MAINNET.name
    return replace(key, version=_MAINNET_VERSION if main else _TEST_VERSION)
