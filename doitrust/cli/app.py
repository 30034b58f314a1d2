"""The application behind every command: settings resolved once, adapters opened when first needed."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import platformdirs

from doitrust.adapters.config import read_config
from doitrust.adapters.files import exists
from doitrust.adapters.pins import PinStore
from doitrust.chain.networks import DEVNET, REGTEST, Network, network_named
from doitrust.cli.options import Settings
from doitrust.errors import Unavailable, Usage, UserRefused
from doitrust.ports import ChainView, ContentStore, Node, Place, Progress
from doitrust.text import visible
from doitrust.trust.policy import MAX_WRITES, MIN_CONFIRMATIONS, Policy

if TYPE_CHECKING:
    from rich.console import Console

    from doitrust.adapters.core.cache import Cache
    from doitrust.adapters.core.rpc import Trace
    from doitrust.adapters.devnet import Devnet
    from doitrust.adapters.offline import Offline
    from doitrust.adapters.wallet import Wallet

T = TypeVar("T")

#: Asked where none are set: gateways of the IPFS Foundation's, which answer with blocks that can be checked
#: (specs.ipfs.tech/http-gateways/trustless-gateway).
_GATEWAYS = ("https://trustless-gateway.link", "https://ipfs.io", "https://dweb.link")
#: Seconds for a call to the IPFS node: the gateways were asked before it has to search.
_IPFS_SECONDS = 15.0
#: A week: what is older was forgotten rather than taken along.
_MOST_HOURS = 7 * 24


class App:
    """One run of doitrust: what the user set, and the outside world."""

    #: What was taken along, where nothing is asked of the network, nor sent.
    offline: "Offline | None" = None

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._when_told: list[Callable[[], None]] = []

    def require_config(self) -> None:
        """Raise `Unavailable` if the user named a configuration file that isn't there."""
        if self.settings.config and not exists(self.config_file):
            shown = visible(str(self.config_file))
            raise Unavailable(
                f"there is no configuration file {shown}", hint="doitrust config set KEY VALUE makes it"
            )

    @cached_property
    def home(self) -> Path:
        """Where state is kept; made when something is first written."""
        if self.settings.home:
            return _path(self.settings.home)
        return Path(platformdirs.user_data_dir("doitrust", appauthor=False))

    @cached_property
    def config_file(self) -> Path:
        """The configuration file."""
        return _path(self.settings.config) if self.settings.config else self.home / "config.toml"

    @cached_property
    def config(self) -> dict[str, Any]:
        """The settings in the configuration file."""
        return read_config(self.config_file)

    @cached_property
    def network(self) -> Network:
        """The network asked for: option, environment, configuration, mainnet."""
        return network_named(self.settings.network or self.config.get("network", "mainnet"))

    @cached_property
    def pins(self) -> PinStore:
        """The accepted organisations of this network."""
        return PinStore(self.home / "state.db", self.network)

    @cached_property
    def devnet(self) -> "Devnet":
        """The embedded chain."""
        from doitrust.adapters.devnet import Devnet

        folder = self.settings.devnet
        return Devnet(_path(folder) if folder else self.home / "devnet")

    @cached_property
    def chain(self) -> ChainView:
        """The chain to ask on this network: the node, and the second source where one is named."""
        if self.network is DEVNET:
            return self.devnet
        from doitrust.adapters.core.settings import core_node
        from doitrust.adapters.sources import Sources

        second = core_node(self.config, self.network, "node2", self._trace, self._cache)
        return self.node if second is None else Sources([self.node, second])

    @cached_property
    def node(self) -> Node:
        """The chain to write to on this network: the embedded one, or a Doichain Core node."""
        if self.network is DEVNET:
            return self.devnet
        from doitrust.adapters.core.settings import core_node

        found = core_node(self.config, self.network, "node", self._trace, self._cache)
        assert found is not None, "without settings it is this machine's"  # noqa: S101  # for the reader and mypy
        return found

    @cached_property
    def _cache(self) -> "Cache":
        """What nodes said of transactions before."""
        from doitrust.adapters.core.cache import Cache

        return Cache(self.home / "cache.db", self.say)

    @property
    def _trace(self) -> "Trace | None":
        """Tells every call to a node, with `-vv`."""
        if self.settings.verbose < 2:
            return None
        from rich.text import Text

        return lambda line: self.notes.print(Text(visible(line, 500), "dim"), soft_wrap=True)

    @cached_property
    def wallet(self) -> "Wallet":
        """The journal of what was signed, and what else is remembered for signing."""
        from doitrust.adapters.wallet import Wallet

        return Wallet(self.home / "wallet.db", self.network)

    @cached_property
    def contents(self) -> ContentStore:
        """Where lists come from: the embedded world's IPFS; else the home, the IPFS node and the gateways."""
        from doitrust.adapters.blocks import LocalBlocks
        from doitrust.adapters.contents import Contents

        if self.network is DEVNET:
            return Contents(self.devnet.contents, self.say, name="the devnet's IPFS", shared=True)
        node, gateways = None, []
        if self.config.get("ipfs.api"):
            from doitrust.adapters.kubo import Kubo

            kubo = Kubo(self.config["ipfs.api"], timeout=_IPFS_SECONDS)
            node = (f"IPFS node {kubo.at}", kubo)
        named = self.config.get("ipfs.gateways", [] if self.network is REGTEST else _GATEWAYS)
        if named:
            from doitrust.adapters.gateways import Gateways

            gateways.append(Place("gateways", Gateways(named)))
        return Contents(LocalBlocks(self.home / "ipfs"), self.say, node=node, others=gateways)

    @property
    def provisions_file(self) -> Path:
        """What was taken along to where there is no network."""
        return self.home / f"offline-{self.network.name}.json"

    def go_offline(self) -> None:
        """From now on ask what was taken along, and nobody else; raises `Unavailable` if that is nothing, or old."""
        from doitrust.adapters.offline import Offline, OfflineContents, read_provisions

        taken = read_provisions(self.provisions_file, self.network)
        hours = (int(time.time()) - taken.taken) // 3600
        if not -1 <= hours <= _MOST_HOURS:
            age = f"is {hours // 24} days old" if hours > 0 else "is of a time to come"
            raise Unavailable(
                f"what was taken along {age}: too much may have changed",
                hint="while there is a network: doitrust meter prepare",
                code="nothing_prepared",
            )
        ago = "less than an hour" if hours < 1 else "an hour" if hours == 1 else f"{hours} hours"
        self.say(f"Offline: as it was at block {taken.evidence.tip.height}, {ago} ago.")
        node = Offline(taken, self.wallet.entries)
        contents = OfflineContents(taken, self.contents)
        self.offline = node
        self.__dict__.update(node=node, chain=node, contents=contents)

    @property
    def min_confirmations(self) -> int:
        """C6's threshold: the configuration's, or the default."""
        return int(self.config.get("min_confirmations", MIN_CONFIRMATIONS))

    def policy(
        self,
        *,
        min_confirmations: int | None = None,
        trust_source: bool = False,
        max_writes: int | None = None,
    ) -> Policy:
        """What the user asks of a verdict."""
        return Policy(
            self.pins.all(),
            min_confirmations or self.min_confirmations,
            trust_source,
            max_writes or MAX_WRITES,
        )

    @cached_property
    def console(self) -> "Console":
        """Where people read answers: stdout, 80 columns where it is no terminal."""
        return _console(stderr=False)

    @cached_property
    def notes(self) -> "Console":
        """Where progress and messages go: stderr."""
        return _console(stderr=True)

    def answer(self, value: Any, render: Callable[["Console"], None]) -> None:
        """Print a result: as one JSON value, or for people."""
        if self.settings.json:
            sys.stdout.write(json.dumps(value, indent=2) + "\n")
        elif self.console.is_terminal:
            render(self.console)
        else:
            with self.console.capture() as captured:
                render(self.console)
            # Tables pad their lines; nobody wants that in a file.
            sys.stdout.write("\n".join(line.rstrip() for line in captured.get().split("\n")))
        if self._when_told:
            sys.stdout.flush()
        for act in self._when_told:
            act()

    def when_told(self, act: Callable[[], None]) -> None:
        """Let `act` run once the user has the answer: not if the process is ended before."""
        self._when_told.append(act)

    def say(self, text: str) -> None:
        """Tell people, on stderr, what was done beside the answer."""
        self.notes.print(visible(text, 1000), soft_wrap=True)

    def ask(self, question: str, *shown: str) -> None:
        """Ask a yes-or-no question; returns on yes. `--yes` answers it; without a terminal it is an error.

        `shown` are lines to look at before.
        """
        if self.settings.yes:
            return
        if not sys.stdin.isatty():
            raise Usage(f"this needs an answer: {question}", hint="run it in a terminal, or add --yes")
        try:
            for line in shown:
                self.say(line)
            agreed = click.confirm(question, err=True)
        except (click.Abort, KeyboardInterrupt):  # Ctrl-C, or the end of the input
            click.echo(err=True)
            agreed = False
        if not agreed:
            raise UserRefused("you said no; nothing was changed")

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress | None]:
        """Show a progress bar on stderr once there is something to tell, where somebody sees it."""
        if not sys.stderr.isatty():
            yield None
            return
        from rich.progress import Progress as Bar

        with ExitStack() as stack:
            shown: list[Bar] = []

            def tell(done: int, of: int) -> None:
                if not shown:
                    shown.append(stack.enter_context(Bar(console=self.notes, transient=True)))
                    shown[0].add_task(what)
                shown[0].update(shown[0].task_ids[0], completed=done, total=of)

            yield tell


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise Unavailable(
            f"there is no such user: {visible(text)}", hint="write the folder's whole path"
        ) from None


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # In a pipe 80 columns, always: the text must not depend on who started us.
    return Console(
        stderr=stderr, width=None if stream.isatty() else 80, highlight=False, markup=False, emoji=False
    )


def pass_app(function: Callable[..., T], *, makes_config: bool = False) -> Callable[..., T]:
    """Give a command the `App` as first argument; only what makes the configuration may name one that isn't there."""

    def wrapped(*args: Any, **kwargs: Any) -> T:
        app = App(click.get_current_context().find_root().obj)
        if not makes_config:
            app.require_config()
        return function(app, *args, **kwargs)

    wrapped.__name__ = function.__name__
    wrapped.__doc__ = function.__doc__
    wrapped.__dict__.update(function.__dict__)  # click keeps a command's parameters there
    return wrapped
