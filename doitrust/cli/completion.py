"""`doitrust completion`."""

import click
from click.shell_completion import get_completion_class

from doitrust.cli.app import App, pass_app
from doitrust.cli.options import argument, command


@command("completion", 'Print the completion script: eval "$(doitrust completion bash)".')
@argument("shell", "Which shell the script is for.", type=click.Choice(["bash", "zsh", "fish"]))
@pass_app
def completion(app: App, shell: str) -> None:
    """Print what the shell evaluates."""
    kind = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if kind is None:  # pragma: no cover - click knows all three
        raise click.UsageError(f"no completion for {shell}")
    source = kind(root, {}, "doitrust", "_DOITRUST_COMPLETE").source()
    app.answer({"shell": shell, "script": source}, lambda _: click.echo(source))
