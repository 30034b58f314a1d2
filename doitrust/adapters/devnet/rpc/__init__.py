"""`devnet start`: the embedded chain answers as a Doichain Core node does, to programs that know only such a node.

`server`, `stream`, `cookie` are the HTTP side; `dispatch` finds the method; `names`, `rawnames`, `blocks`,
`transactions`, `scan`, `mempool`, `mining`, `state` answer; `show`, `scripts`, `wire`, `values` say it in the node's
JSON.

It is a node with `-txindex` and `-namehistory`, without peers, wallet and fee estimates. Not imitated: the two ways
in which anybody can stop a Doichain chain, a name coin spent under another name that then expires, and a waiting
transaction whose name coin expires with the next block (`adapters/devnet/names.py` says what happens instead);
initial block download, in which a node refuses names while its tip is old; memory of blocks that a reorganisation
took away, except that `reconsiderblock` finds those that were given up; that writes leave a mempool when a
reorganisation unexpires their name; replacement by fee.
"""

from doitrust.adapters.devnet.rpc.server import Served as Served
from doitrust.adapters.devnet.rpc.server import serve as serve
