"""The embedded chain ("devnet"): Doichain's regtest in a folder, without a node, and unsafe in the same ways.

`rules`, `names`, `connect`, `work`, `policy`, `miner` are pure and say what Doichain Core accepts; `tables`,
`pool`, `store` keep it in SQLite; `chain` offers it through our ports; `recorded` reads recorded chains, `fund` pays
from the miner's coins, and `rpc` serves the chain as a node does.
"""

from doitrust.adapters.devnet.chain import Devnet as Devnet
from doitrust.adapters.devnet.miner import miner_key as miner_key
from doitrust.adapters.devnet.recorded import Recorded as Recorded
from doitrust.adapters.devnet.recorded import load as load
