"""What a home holds that is worth keeping, and whether it is whole."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from doitrust.adapters.blocks import LocalBlocks
from doitrust.adapters.config import read_config
from doitrust.adapters.files import exists
from doitrust.adapters.keystore import Keystore
from doitrust.adapters.pins import SCHEMA as _PINS
from doitrust.adapters.pins import PinStore
from doitrust.adapters.wallet import SCHEMA as _WALLET
from doitrust.adapters.wallet import Wallet
from doitrust.chain.networks import NETWORKS
from doitrust.content.cid import parse_cid
from doitrust.errors import BadData, Unavailable
from doitrust.text import visible

CONFIG = "config.toml"
KEYS = "keys"
BLOCKS = "ipfs"
STATE, WALLET = "state.db", "wallet.db"
#: The databases and their tables.
DATABASES: Mapping[str, str] = {STATE: _PINS, WALLET: _WALLET}

_BUSY_SECONDS = 30


@contextmanager
def opened_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database that there is, to read it; raises `Unavailable` or, for a damaged one, `BadData`."""
    shown = visible(str(path))
    try:
        # Not `mode=ro`: what a process that was killed left half done has to be rolled back.
        where = f"{path.absolute().as_uri()}?mode=rw"
        with closing(
            sqlite3.connect(where, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        ) as database:
            yield database
    except sqlite3.OperationalError as error:
        raise Unavailable(f"can't read {shown}: {error}", hint="is another doitrust busy with it?") from None
    except sqlite3.DatabaseError as error:
        raise _damaged(shown, str(error)) from None


def check_database(database: sqlite3.Connection, name: str, shown: str) -> None:
    """Raise `BadData` unless the database `name` is whole and has our tables and nothing else."""
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA cell_size_check = ON")
    (said,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise _damaged(shown, str(said))
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master"
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(DATABASES[name])
        ours = set(fresh.execute(query))
    if not ours.issuperset(database.execute(query)):
        raise BadData(f"{shown} holds tables that are not doitrust's", hint="is there a newer doitrust?")


def check_home(home: Path) -> None:
    """Raise `BadData` unless all that there is in a home can be used."""
    for name in DATABASES:
        if exists(home / name):
            with opened_database(home / name) as database:
                check_database(database, name, name)
    for network in NETWORKS.values():
        PinStore(home / STATE, network).all()
        Wallet(home / WALLET, network).entries()
    read_config(home / CONFIG)
    keystore = Keystore(home / KEYS)
    for key in keystore.names():
        keystore.get(key)
    store = LocalBlocks(home / BLOCKS)
    for path in (home / BLOCKS).glob("*/*"):
        if store.get(parse_cid(path.name)) is None:
            raise BadData(f"the block {visible(path.name)} is not what its name says")


def _damaged(shown: str, why: str) -> BadData:
    return BadData(
        f"the database {shown} is damaged: {visible(why, 100)}",
        hint="restore a backup, or move the file away: what it held is lost then",
    )
