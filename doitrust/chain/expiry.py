"""When a name expires (src/consensus/params.h, MainNetConsensus and RegTestConsensus; doichain.md «Networks»)."""

from doitrust.chain.networks import MAINNET, TESTNET, Network

#: Blocks before its expiry from which on a name's coin is not spent any more («What our own signers never do»).
MARGIN, REGTEST_MARGIN = 144, 5

_DEPTH, _REGTEST_DEPTH = 36_000, 30
# The first names of the long-lived chains lived shorter.
_EARLY_DEPTH, _EARLY_END, _GROWING_END = 12_000, 24_000, 48_000


def expiry_depth(network: Network, height: int) -> int:
    """The blocks after which a name is expired, as block `height` sees it (NameExpirationDepth)."""
    if network.name not in (MAINNET.name, TESTNET.name):
        return _REGTEST_DEPTH
    if height < _EARLY_END:
        return _EARLY_DEPTH
    return height - _EARLY_DEPTH if height < _GROWING_END else _DEPTH


def is_near_expiry(network: Network, written: int, height: int) -> bool:
    """Whether a name last written at `written` is expired, or soon will be, for a transaction in block `height`.

    A transaction that spends a name's coin and waits while the name expires keeps miners from building any block
    (doichain.md, «What the node does NOT protect», 8).
    """
    margin = MARGIN if network.name in (MAINNET.name, TESTNET.name) else REGTEST_MARGIN
    return any(written + expiry_depth(network, later) <= later for later in (height, height + margin))
