"""The Doichain networks and their constants.

Source: Doichain Core 0.20.1.11 (commit 7eb68ae), src/chainparams.cpp and src/consensus/params.h.
`devnet` is the embedded chain: regtest's parameters and genesis under a name of its own, so that nothing said
about it can be mistaken for a verdict about another network.
"""

from dataclasses import dataclass, replace

from doitrust.errors import Usage

#: Amounts are kept in schwartz, the smallest unit.
SCHWARTZ_PER_DOI = 100_000_000


@dataclass(frozen=True, slots=True)
class Network:
    """One network's constants.

    `genesis` is the hash of block 0 as displayed (hex); `segwit_height` the first height at which witnesses
    are consensus; the version bytes and `hrp` are those of addresses (base58check, BIP 173).
    """

    name: str
    p2pkh_version: int
    p2sh_version: int
    wif_version: int
    hrp: str
    genesis: str
    segwit_height: int
    rpc_port: int
    block_seconds: int = 600


MAINNET = Network(
    name="mainnet",
    p2pkh_version=52,
    p2sh_version=13,
    wif_version=180,
    hrp="dc",
    genesis="000006fdd8b4d786fd9bdde5bae9486c464e3aa4336c5f8415dfdd3fc1679134",
    segwit_height=216_500,
    rpc_port=8339,
)
TESTNET = Network(
    name="testnet",
    p2pkh_version=111,
    p2sh_version=196,
    wif_version=239,
    hrp="td",
    genesis="0000cd7572b3ecc78b7cddf49eda95e718d4df77c236ca2e375125e111e7e9c4",
    segwit_height=1_000,
    rpc_port=18339,
)
REGTEST = Network(
    name="regtest",
    p2pkh_version=111,
    p2sh_version=196,
    wif_version=239,
    hrp="ncrt",
    genesis="0231881e96d6690eb00bb69cd8e221df3564e2cd95829d47d131ed5110a34e9d",
    segwit_height=0,
    rpc_port=18443,
)
DEVNET = replace(REGTEST, name="devnet")

NETWORKS = {network.name: network for network in (MAINNET, TESTNET, REGTEST, DEVNET)}


def network_named(name: str) -> Network:
    """Return the network called `name`; raises `Usage` for any other word."""
    try:
        return NETWORKS[name]
    except KeyError:
        raise Usage(f"there is no network {name!r}", hint=f"one of {', '.join(NETWORKS)}") from None
