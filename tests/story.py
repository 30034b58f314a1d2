"""People with homes of their own on one embedded chain, for the tests of what writes to it.

The world is made once a session and copied for each test: an organisation whose admin has registered it with two
members, everybody with coins, and pairings of meters.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from shutil import copytree
from subprocess import DEVNULL, PIPE, Popen
from typing import Any
from unittest.mock import patch

from cli import Ran, environment, run, temporary_folder
from devnet_world import ROOT, Key

from doitrust.adapters import phrases
from doitrust.adapters.devnet import Devnet
from doitrust.adapters.keyfile import Kdf
from doitrust.adapters.keystore import Keystore
from doitrust.adapters.secret import Secret
from doitrust.adapters.wallet import Wallet
from doitrust.chain.accounts import Account, key_path
from doitrust.chain.address import address_of, hash160
from doitrust.chain.amounts import parse_doi
from doitrust.chain.messages import sign_message
from doitrust.chain.names import NameOutput
from doitrust.chain.networks import DEVNET, Network
from doitrust.chain.scripts import p2wpkh
from doitrust.meters.number import record_name
from doitrust.meters.pairing import Pairing, sign_pairing, write_pairing
from doitrust.meters.reading import Reading, Register
from doitrust.orgs.names import record_name as organisation_record
from doitrust.ports import Entry

ORG = "Elektro Müller & Söhne"
METER, OTHER_METER = "1EMH0012345678", "1EMH0012345679"
SERVER_IDS = {METER: "0a01454d480000bc614e", OTHER_METER: "0a01454d480000bc614f"}
PASSPHRASE = "nobody-would-put-these-together"
#: Everybody, each with a key of their own; Eve and Mallory are nobody's members.
PEOPLE = ("admin", "max", "mia", "eve", "client", "one", "two", "three")
#: Who has coins, on which account.
RICH = {"admin": "owner", "max": "member", "mia": "member", "eve": "member"}
FUNDS = "1"
_WEAK = Kdf(16, 1, 1)

#: The command line with a scrypt that takes no time, for processes of their own.
QUICK = (
    "-c",
    "import sys\n"
    "from doitrust.adapters.keystore import Keystore\n"
    "from doitrust.adapters.keyfile import Kdf\n"
    "Keystore.__init__.__kwdefaults__['kdf'] = Kdf(16, 1, 1)\n"
    "from doitrust.cli.main import main\n"
    "main()",
)


def entropy_of(who: str) -> bytes:
    """What somebody's recovery phrase says."""
    return sha256(f"doitrust tests: {who}".encode()).digest()


def phrase_of(who: str) -> str:
    """Somebody's recovery phrase."""
    return " ".join(phrases.phrase_of(Secret(entropy_of(who))))


@contextmanager
def quick_keys() -> Iterator[None]:
    """Let the keystore ask for a scrypt that takes no time."""
    defaults = Keystore.__init__.__kwdefaults__
    assert defaults is not None
    with patch.dict(defaults, {"kdf": _WEAK}):
        yield


class Story:
    """A folder with a home for each person and the world that they share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def home(self, who: str) -> Path:
        return self.folder / who

    @property
    def world(self) -> Path:
        return self.folder / "world"

    def environment(self, who: str) -> dict[str, str | None]:
        """What stands in somebody's environment."""
        return {
            "DOITRUST_HOME": str(self.home(who)),
            "DOITRUST_DEVNET": str(self.world),
            "DOITRUST_NETWORK": "devnet",
            "DOITRUST_PASSPHRASE": PASSPHRASE,
        }

    def run(
        self, who: str, *arguments: object, env: Mapping[str, str | None] | None = None, **more: Any
    ) -> Ran:
        """Run a command in somebody's home, with `--yes` unless they sit at a terminal (`typed`)."""
        yes = () if more.get("typed") is not None or more.pop("ask", False) else ("--yes",)
        with quick_keys():
            return run(*arguments, *yes, env={**self.environment(who), **(env or {})}, **more)

    def do(self, who: str, *arguments: object, **more: Any) -> Any:
        """Run what must succeed; returns its JSON."""
        ran = self.run(who, *arguments, "--json", **more)
        assert ran.status == 0, (arguments, ran)
        return ran.value

    def fail(self, who: str, *arguments: object, status: int = 1, **more: Any) -> dict[str, str]:
        """Run what must fail with `status`; returns its error."""
        ran = self.run(who, *arguments, "--json", **more)
        assert ran.status == status, (arguments, ran)
        return ran.error

    def start(self, who: str, *arguments: object) -> Popen[bytes]:
        """Start a process of somebody's and leave it running."""
        env = {**environment(self.environment(who)), "PYTHONPATH": str(ROOT)}
        return Popen(
            [sys.executable, *QUICK, *map(str, arguments), "--yes"],
            env=env,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )

    # ---- what there is

    @contextmanager
    def devnet(self) -> Iterator[Devnet]:
        """The chain, to look at and to do things to."""
        devnet = Devnet(self.world)
        try:
            yield devnet
        finally:
            devnet.close()

    def mine(self, count: int = 1) -> None:
        with self.devnet() as devnet:
            devnet.mine(count)

    def automine(self, *, on: bool) -> None:
        with self.devnet() as devnet:
            devnet.automine(on)

    def height(self) -> int:
        with self.devnet() as devnet:
            return devnet.tip().height

    def waiting(self) -> list[str]:
        with self.devnet() as devnet:
            return devnet.waiting()

    def writes(self, name: bytes) -> list[tuple[str, NameOutput]]:
        """What the chain has under a name, in its order."""
        with self.devnet() as devnet:
            txids = devnet.history(name, 1000) or []
            located = [(txid, devnet.transaction(txid)) for txid in txids]
        return [
            (txid, output)
            for txid, found in located
            if found is not None
            for _, output in found.tx.writes
            if output.name == name
        ]

    def meter_writes(self, meter: str = METER) -> list[tuple[str, NameOutput]]:
        return self.writes(record_name(meter))

    def org_writes(self, name: str = ORG) -> list[tuple[str, NameOutput]]:
        return self.writes(organisation_record(name))

    def paid(self, script: bytes) -> int:
        """Schwartz on a script."""
        with self.devnet() as devnet:
            return sum(coin.value for coin in devnet.coins(script))

    def journal(self, who: str) -> list[Entry]:
        return Wallet(self.home(who) / "wallet.db", DEVNET).entries()

    def states(self, who: str) -> list[str]:
        return [entry.state for entry in self.journal(who)]

    def fund(self, address: str, amount: str = FUNDS) -> None:
        with self.devnet() as devnet:
            devnet.fund(address, parse_doi(amount))

    def confirm_root(self, who: str, name: str, root: str) -> None:
        """Let a root get its confirmations, and accept it."""
        self.mine(5)
        self.do(who, "org", "accept", name, "--root", root)

    # ---- what people have

    def pairing(self, meter: str = METER, file: str = "pairing.json", **changes: Any) -> Path:
        """A pairing in a file, as a node makes it."""
        path = self.folder / file
        path.write_text(write_pairing(pairing_of(meter, **changes)))
        return path

    def certify(self, who: str = "max", meter: str = METER, *more: object, **changes: Any) -> Any:
        """Certify as it should be done; returns the answer."""
        file = self.pairing(meter, f"{who}-{meter}.json", **changes)
        return self.do(who, "meter", "certify", file, "--org", ORG, "--seal", "A-1", *more)

    def verdict(self, meter: str = METER, who: str = "max") -> Any:
        """What a consumer sees."""
        ran = self.run(who, "verify", meter, "--json")
        return ran.value


def pairing_of(
    meter: str = METER,
    *,
    node: str = "node",
    client: bytes | None = None,
    created: int | None = None,
    network: Network = DEVNET,
    server_id: str | None = None,
    **more: Any,
) -> Pairing:
    """A signed pairing."""
    now = int(time.time()) if created is None else created
    key = Key.named(node)
    reading = Reading(
        bytes.fromhex(server_id or SERVER_IDS.get(meter, "0a01454d480000bc614e")),
        now - 2,
        {"1-0:1.8.0*255": Register(23_536_569, -1, "Wh")},
        "EMH",
    )
    other = client_key() if client is None else client
    unsigned = Pairing(network, meter, key.public, other, reading, now, **more)
    return sign_pairing(unsigned, partial(sign_message, key.secret))


@cache
def keys(who: str) -> dict[str, dict[str, str]]:
    """Somebody's public keys and their addresses, by account."""
    seed = phrases.seed_of(Secret(entropy_of(who)))
    found = {}
    for account in Account:
        key = phrases.extended_key(seed, key_path(1, account)).key
        found[account.label] = {"key": key.hex(), "address": address_of(p2wpkh(hash160(key)), DEVNET) or ""}
    return found


def key_of(who: str, account: str = "member") -> str:
    return keys(who)[account]["key"]


def client_key() -> bytes:
    return bytes.fromhex(key_of("client", "client"))


@cache
def _homes() -> Story:
    """Everybody's home, before there is a chain."""
    story = Story(temporary_folder())
    with quick_keys():
        for who in PEOPLE:
            Keystore(story.home(who) / "keys").add(
                who, Secret(entropy_of(who)), Secret(PASSPHRASE.encode()), (1,)
            )
    return story


@cache
def _organised() -> Story:
    story = Story(temporary_folder())
    copytree(_homes().folder, story.folder, dirs_exist_ok=True)
    for who, account in RICH.items():
        story.fund(keys(who)[account]["address"])
    members = [f"{key_of('max')}=Max Maier", f"{key_of('mia')}=Mia Meier"]
    made = story.do("admin", "org", "create", ORG, *(part for text in members for part in ("--member", text)))
    story.mine(5)
    for who in ("admin", "max", "mia", "eve"):
        story.do(who, "org", "accept", ORG, "--root", made["root"])
    return story


def organised(folder: Path) -> Story:
    """A copy of the world in `folder`."""
    copytree(_organised().folder, folder, dirs_exist_ok=True)
    return Story(folder)


def root_of(story: Story) -> str:
    """The root of the organisation."""
    return story.org_writes()[0][0]


def board_of(kind: str, *people: str, m: int = 2) -> str:
    """The descriptor of a board."""
    inner = f"sortedmulti({m},{','.join(key_of(who, 'board') for who in people)})"
    return {"p2wsh": f"wsh({inner})", "p2sh": f"sh({inner})", "p2sh-p2wsh": f"sh(wsh({inner}))"}[kind]
