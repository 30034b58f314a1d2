"""`doitrust backup` and `doitrust restore`: the home as one file, and back."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from doitrust.adapters.archive import Archive, opened_backup
from doitrust.adapters.backup import is_backup, write_backup
from doitrust.adapters.files import exists
from doitrust.adapters.homes import KEYS
from doitrust.adapters.keystore import Keystore
from doitrust.adapters.restore import restoring
from doitrust.cli.app import App, pass_app
from doitrust.cli.options import FILE, argument, command
from doitrust.errors import Refused
from doitrust.text import visible


@command("backup", "Write pins, journal, settings and encrypted keys to one file; never a node's key.")
@argument("file", "Where the backup goes.", type=FILE)
@pass_app
def backup(app: App, file: str) -> None:
    """Back the home up."""
    path = Path(file)
    if exists(path) and path.is_file() and not is_backup(path):
        app.ask(f"{visible(file)} is no backup. Write one over it?")
    members = write_backup(app.home, path)
    value = {
        "file": file,
        "size": path.stat().st_size,
        "members": [{"name": member.name, "size": member.size} for member in members],
    }
    app.answer(value, lambda console: _render_backup(console, value))


def _render_backup(console: Console, value: dict[str, Any]) -> None:
    count = len(value["members"])
    said = f"{visible(value['file'])}: {count} {'file' if count == 1 else 'files'}, {value['size']:,} bytes, read back."
    console.print(Text.assemble(("✔ ", "green"), said), soft_wrap=True)
    if any(member["name"].startswith("keys/") for member in value["members"]):
        console.print(
            "Whoever has it needs your passphrases to use your keys. Keep the words on paper as well."
        )


@command("restore", "Put a backup in the place of the home; what is there is moved aside.")
@argument("file", "The backup.", type=FILE)
@pass_app
def restore(app: App, file: str) -> None:
    """Restore a home."""
    with opened_backup(Path(file)) as archive:
        archive.check()
        if not archive.members:
            raise Refused("there is nothing in this backup")
        with restoring(app.home) as work:
            if work.found_aside is not None:
                app.say(f"A restore was cut off before; the home of then is in {work.found_aside}")
            occupied = work.is_occupied
            work.stage(archive)
            if occupied:
                _tell_lost_keys(app, archive)
                app.ask(f"There is a home in {visible(str(app.home))}. Move it aside?")
            aside = work.put_in_place()
    value = {
        "home": str(app.home),
        "members": [member.name for member in archive.members],
        "aside": None if aside is None else str(aside),
    }
    app.answer(value, lambda console: _render_restore(console, value))


def _tell_lost_keys(app: App, archive: Archive) -> None:
    """Say which keys of the home are not in the backup: they move aside with it."""
    restored = {member.name for member in archive.members}
    lost = [name for name in Keystore(app.home / KEYS).names() if f"{KEYS}/{name}.json" not in restored]
    if lost:
        app.say(f"Not in the backup, so to be moved aside with the home: the keys {', '.join(lost)}")


def _render_restore(console: Console, value: dict[str, Any]) -> None:
    count = len(value["members"])
    said = f"{visible(value['home'])}: {count} {'file' if count == 1 else 'files'} restored."
    console.print(Text.assemble(("✔ ", "green"), said), soft_wrap=True)
    if value["aside"] is not None:
        console.print(Text(f"What was there is in {visible(value['aside'])}"), soft_wrap=True)
    console.print("Next: doitrust doctor")
