"""`doichaind` and `doichain-cli` where there are none: as much of them as a page types, in front of a served devnet."""

import json
import re
import shlex
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from bitcoinrpc.authproxy import AuthServiceProxy, JSONRPCException

from doitrust.adapters.devnet import Devnet

_ROOT = Path(__file__).resolve().parents[2]
#: Seconds for a node to answer.
_PATIENCE = 60
#: How a parameter looks that is no text.
_JSON = re.compile(r"true|false|null|-?[0-9]{1,15}(\.[0-9]+)?|[\[{].*")


def install(folder: Path) -> None:
    """Put both programs into `folder`."""
    for name in ("doichaind", "doichain-cli"):
        line = shlex.join([sys.executable, str(Path(__file__).resolve()), name])
        path = shlex.quote(f"{_ROOT}")
        (folder / name).write_text(f'#!/bin/sh\nPYTHONPATH={path} exec {line} "$@"\n')
        (folder / name).chmod(0o755)


class _Place:
    """What `-datadir` and the configuration in it say."""

    def __init__(self, options: list[str]) -> None:
        given = dict(option.partition("=")[::2] for option in options)
        self.data = Path(given["-datadir"])
        settings = (self.data / "doichain.conf").read_text().splitlines()
        said = dict(line.partition("=")[::2] for line in settings if "=" in line)
        assert {"regtest", "server", "txindex", "namehistory"} <= said.keys(), "what a node must be told"
        self.port = int(said["rpcport"])
        #: Where a node on regtest has its files, the cookie among them.
        self.folder = self.data / "regtest"


def doichaind(arguments: list[str]) -> int:
    """Leave a node behind that mines only what it is told to."""
    place = _Place(arguments)
    Devnet(place.folder).automine(False)
    command = ("devnet", "start", "--devnet", str(place.folder), "--port", str(place.port))
    process = subprocess.Popen(
        [sys.executable, "-m", "doitrust.cli.main", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    (place.folder / "doichaind.pid").write_text(str(process.pid))
    process.returncode = 0  # it stays
    return 0


def doichain_cli(arguments: list[str]) -> int:
    """Ask the node, and print its answer."""
    options = [text for text in arguments if text.startswith("-")]
    method, *texts = [text for text in arguments if not text.startswith("-")]
    params = [json.loads(text) if _JSON.fullmatch(text) else text for text in texts]
    until = time.monotonic() + (_PATIENCE if "-rpcwait" in options else 0)
    while True:
        try:
            return _show(_ask(_Place([text for text in options if "=" in text]), method, params))
        except JSONRPCException as error:
            print(f"error code: {error.code}\nerror message:\n{error.message}", file=sys.stderr)  # noqa: T201
            return abs(int(error.code)) & 0xFF
        except OSError as error:
            if time.monotonic() > until:
                print(f"error: Could not connect to the server: {error}", file=sys.stderr)  # noqa: T201
                return 1
        time.sleep(0.1)


def _ask(place: _Place, method: str, params: list[Any]) -> Any:
    cookie = (place.folder / ".cookie").read_text()
    return getattr(AuthServiceProxy(f"http://{cookie}@127.0.0.1:{place.port}"), method)(*params)


def _show(value: Any) -> int:
    if isinstance(value, str):
        print(value)  # noqa: T201
    elif value is not None:
        print("[\n]" if value == [] else json.dumps(value, indent=2, default=_number))  # noqa: T201
    return 0


def _number(value: Decimal) -> float:
    return float(value)


if __name__ == "__main__":
    sys.exit({"doichaind": doichaind, "doichain-cli": doichain_cli}[sys.argv[1]](sys.argv[2:]))
