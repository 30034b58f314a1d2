"""The global options, taken before, between and after the commands, and the classes that carry them."""

from collections.abc import Callable, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    _Text = click.ParamType[str]
else:
    _Text = click.ParamType  # older versions of click don't say of what


class Settings:
    """What the global options said; None where they said nothing."""

    def __init__(self, *, network: str | None = None, home: str | None = None, verbose: int = 0) -> None:
        self.network = network
        self.config: str | None = None
        self.home = home
        self.devnet: str | None = None
        self.signer: str | None = None
        self.source: str | None = None
        self.json = False
        self.yes = False
        self.verbose = verbose
        #: The names of those that stood on the command line, which the environment can't change.
        self.from_command_line: set[str] = set()


def _remember(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Keep a global option's value: the command line beats the environment, later beats earlier."""
    name = option.name or ""
    source = context.get_parameter_source(name)
    if source not in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
        return
    settings: Settings = context.find_root().obj
    if source is ParameterSource.ENVIRONMENT:
        if name in settings.from_command_line:
            return
    else:
        settings.from_command_line.add(name)
    setattr(settings, name, value)


def _option(flag: str, help_: str, *more: str, **kinds: Any) -> click.Option:
    name = flag.removeprefix("--")
    return click.Option(
        [flag, *more],
        envvar=f"DOITRUST_{name.upper()}",
        help=help_,
        expose_value=False,
        callback=_remember,
        **kinds,
    )


def global_options() -> list[click.Parameter]:
    """Make the global options anew, for one command."""
    networks = click.Choice(["mainnet", "testnet", "regtest", "devnet"])
    return [
        _option("--network", "The chain to ask (mainnet); devnet is the embedded one.", type=networks),
        _option("--config", "Configuration file (config.toml in the home).", metavar="FILE", type=FILE),
        _option("--home", "Where doitrust keeps its state.", metavar="DIR", type=FOLDER),
        _option(
            "--devnet",
            "Where the embedded chain and its IPFS live (in the home).",
            metavar="DIR",
            type=FOLDER,
        ),
        _option("--signer", "Who signs: keystore:NAME, ledger, psbt:FILE.", metavar="NAME"),
        _option("--from", "Whose coins and record, with psbt:FILE.", "source", metavar="KEY-OR-DESCRIPTOR"),
        _option("--json", "Print one JSON value and nothing else.", is_flag=True),
        _option("--yes", "Answer our own questions with yes.", is_flag=True),
        _option("--verbose", "Say more; twice, still more.", "-v", count=True),
    ]


class FileName(_Text):
    """A path as it was typed, for shells to complete; whoever opens it says what is wrong with it."""

    def __init__(self, kind: str) -> None:
        self.name = self.kind = kind

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave it to the shell, which knows what files there are."""
        return [CompletionItem(incomplete, type=self.kind)]


FILE = FileName("file")
FOLDER = FileName("dir")


class Argument(click.Argument):
    """An argument that help explains."""

    def __init__(self, *args: Any, sentence: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sentence = sentence


class Command(click.Command):
    """A command that takes the global options too; each option can come from `DOITRUST_<OPTION>`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for option in self.params:
            if isinstance(option, click.Option) and option.envvar is None:
                flag = max(option.opts, key=len).removeprefix("--")
                option.envvar = f"DOITRUST_{flag.upper().replace('-', '_')}"
        self.params.extend(global_options())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the command's own arguments and options; the global ones are on the first page."""
        own = [p for p in self.get_params(ctx) if p.expose_value or p.name == "help"]
        arguments = [(p.make_metavar(ctx), p.sentence) for p in own if isinstance(p, Argument)]
        options = [p.get_help_record(ctx) for p in own if isinstance(p, click.Option)]
        for title, rows in (("Arguments", arguments), ("Options", [row for row in options if row])):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Group(click.Group):
    """A noun: a group of commands, global options taken as well."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(global_options())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the commands, each with its whole sentence; the global options are on the first page."""
        rows = [(name, (self.get_command(ctx, name) or self).help or "") for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


Group.group_class = Group


class LazyGroup(click.Group):
    """The root: a static table of nouns, each imported only when it is called.

    `nouns` is {name: (module, attribute, one line of help)}.
    """

    def __init__(self, *args: Any, nouns: dict[str, tuple[str, str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.nouns = nouns
        self.params.extend(global_options())

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The nouns in the table's order."""
        return list(self.nouns)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the noun's module and return its command."""
        if cmd_name not in self.nouns:
            return None
        module, attribute, _ = self.nouns[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, noun[2]) for name, noun in self.nouns.items()])


def group(name: str, help_: str) -> Callable[[Callable[..., Any]], Group]:
    """Decorate the function of a noun."""
    return click.group(name, cls=Group, help=help_)


def command(
    name: str,
    help_: str,
    *,
    cls: type[Command] = Command,
    epilog: str | None = None,
    context_settings: MutableMapping[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], Command]:
    """Decorate the function of a command that stands by itself, or is added to a noun elsewhere.

    `help_` is its sentence on every page, `epilog` what only its own page adds.
    """
    return click.command(name, cls=cls, help=help_, epilog=epilog, context_settings=context_settings)


def argument(name: str, sentence: str, **kinds: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a command's function with an argument, and say what it is."""
    return click.argument(name, cls=Argument, sentence=sentence, **kinds)
