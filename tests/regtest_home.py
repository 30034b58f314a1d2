"""A home that asks a served devnet as its regtest node: nothing embedded is left in it."""

import shutil
from pathlib import Path

from cli import load, run, temporary_folder
from rpc_node import SECRET

from doitrust.adapters.pins import PinStore
from doitrust.chain.networks import DEVNET, REGTEST


def recorded_world(number: int) -> tuple[Path, Path]:
    """A recorded chain's devnet folder, and a home on regtest that has accepted its organisations."""
    made = load(number, temporary_folder())
    folder = temporary_folder()
    PinStore(folder / "state.db", REGTEST).accept(*PinStore(made / "state.db", DEVNET).all())
    shutil.copytree(made / "devnet" / "ipfs", folder / "ipfs")
    return made / "devnet", folder


def point_at(folder: Path, port: int) -> dict[str, str | None]:
    """Let the home ask the node at `port`; returns the environment."""
    cookie = folder / "cookie"
    cookie.write_text(SECRET)
    env: dict[str, str | None] = {"DOITRUST_HOME": str(folder), "DOITRUST_NETWORK": "regtest"}
    for key, value in (("node.url", f"http://127.0.0.1:{port}"), ("node.cookie", cookie)):
        assert run("config", "set", key, value, env=env).status == 0
    return env
