"""`doitrust config`."""

import json
from functools import partial
from typing import Any

from rich.console import Console
from rich.text import Text

from doitrust.adapters.config import KEYS, write_setting
from doitrust.cli.app import App, pass_app
from doitrust.cli.options import argument, group
from doitrust.text import visible


@group("config", "Show and change settings.")
def config() -> None:
    """The noun."""


@config.command("show", help="Every setting and where it is kept.")
@pass_app
def show(app: App) -> None:
    """Show the settings."""
    value = {"file": str(app.config_file), "home": str(app.home), "settings": app.config}
    app.answer(value, lambda console: _render(console, value))


@config.command("set", help=f"Change a setting. Keys: {', '.join(KEYS)}.")
@argument("key", "Which setting.")
@argument("value", "What it shall be.")
@partial(pass_app, makes_config=True)
def set_(app: App, key: str, value: str) -> None:
    """Change one setting."""
    kept = write_setting(app.config_file, key, value)
    app.answer({key: kept}, lambda console: console.print(Text(f"{key} = {visible(json.dumps(kept))}")))


def _render(console: Console, value: dict[str, Any]) -> None:
    console.print(
        Text(f"configuration {visible(value['file'])}\nhome          {visible(value['home'])}", "dim"),
        soft_wrap=True,
    )
    for key, kept in value["settings"].items():
        console.print(Text(f"{key} = {visible(json.dumps(kept, ensure_ascii=False))}"))
    if not value["settings"]:
        console.print("Everything is at its default.")
