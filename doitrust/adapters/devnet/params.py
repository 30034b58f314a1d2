"""Regtest's constants, which are the devnet's.

Source: Doichain Core 0.20.1.11 (commit 7eb68ae), src/chainparams.cpp (CRegTestParams) and the files named below.
"""

from doitrust.chain.engine import ScriptFlag

#: Block 0, as every chain recorded from a regtest node begins (vectors/doichain-regtest-1.json). Its coinbase
#: can't be spent (src/validation.cpp, ConnectBlock).
GENESIS = bytes.fromhex(
    "01000000000000000000000000000000000000000000000000000000000000000000000034acf4d33ea0bd99e9d7f54a235b"
    "50bba23b47bce3e7bfb6c39357129a6fe08ddae5494dffff7f20000000000101000000010000000000000000000000000000"
    "000000000000000000000000000000000000ffffffff4504ffff001d01043d4d61726b205a75636b65726265726720756e64"
    "204170706c652d436865662054696d20436f6f6b20676568656e2061756665696e616e646572206c6f73ffffffff0100f205"
    "2a010000004341042f413ffbe86df73d195832efd61003fe4e7f6c061e75afa06365928fa649dd4a408c4029ca98c9a0bfda"
    "2b99e53c587c95d566375036c7f85be51b5a4e150118ac00000000"
)

#: The chain's id in merged mining; it stands in the upper half of every block's version (nAuxpowChainId).
CHAIN_ID = 1
#: The easiest target a block may name (powLimit), and how `bits` writes it: every second hash meets it.
POW_LIMIT = 2**255 - 1
POW_LIMIT_BITS = 0x207FFFFF
#: Heights from which rules hold.
BIP34_HEIGHT = 500
CSV_HEIGHT = 432
BIP66_HEIGHT = 1251
BIP65_HEIGHT = 1351

#: src/consensus/consensus.h
COINBASE_MATURITY = 100
MAX_BLOCK_WEIGHT = 4_000_000
MAX_BLOCK_SIGOPS_COST = 80_000
WITNESS_SCALE = 4
#: In schwartz: MAX_MONEY (src/amount.h), and the least a name output holds (src/consensus/params.h).
MAX_MONEY = 21_000_000 * 100_000_000
MIN_NAME_AMOUNT = 1_000_000
#: Blocks after which a name expires (src/consensus/params.h, RegTestConsensus).
NAME_EXPIRY = 30
#: src/names/main.h
MAX_NAME_SIZE = 255
MAX_VALUE_SIZE = 1023
FIRSTUPDATE_DEPTH = 12
#: Longer scripts can never run, so their outputs are no coins (src/script/script.h, MAX_SCRIPT_SIZE).
MAX_SCRIPT_SIZE = 10_000

_SUBSIDY = 50 * 100_000_000
_HALVING_INTERVAL = 150


def subsidy(height: int) -> int:
    """Return the schwartz that block `height` may create: 50 DOI, halved every 150 blocks (GetBlockSubsidy)."""
    return _SUBSIDY >> (height // _HALVING_INTERVAL)


def block_flags(height: int) -> ScriptFlag:
    """Return the script rules of block `height` (src/validation.cpp, GetBlockScriptFlags)."""
    flags = ScriptFlag.P2SH | ScriptFlag.NULLDUMMY | ScriptFlag.WITNESS
    if height >= CSV_HEIGHT:
        flags |= ScriptFlag.CHECKSEQUENCEVERIFY
    if height >= BIP66_HEIGHT:
        flags |= ScriptFlag.DERSIG
    if height >= BIP65_HEIGHT:
        flags |= ScriptFlag.CHECKLOCKTIMEVERIFY
    return flags
