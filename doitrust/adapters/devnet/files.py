"""The devnet's files beside its database."""

from pathlib import Path

from doitrust.content.cid import parse_cid
from doitrust.errors import BadData, Unavailable
from doitrust.text import visible


def size_of(folder: Path) -> int:
    """Return the bytes of all files in `folder` and below; 0 if it isn't there."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
        except OSError:
            continue  # gone meanwhile
    return total


def forget_contents(folder: Path) -> None:
    """Delete the blocks of a content store, and nothing else that may lie in its folder.

    Only files called as `LocalBlocks` calls them go: the folder is below one that the user named, and could be
    anybody's. Raises `Unavailable` if the disk refuses.
    """
    try:
        for path in folder.glob("*/*"):
            if _is_block(path):
                path.unlink(missing_ok=True)
        for inner in folder.glob("*"):
            if len(inner.name) == 2 and inner.is_dir() and not any(inner.iterdir()):
                inner.rmdir()
    except OSError as error:
        raise Unavailable(f"can't empty {visible(str(folder))}: {error.strerror or error}") from None


def _is_block(path: Path) -> bool:
    try:
        return (
            parse_cid(path.name).text == path.name and path.name[-3:-1] == path.parent.name and path.is_file()
        )
    except BadData:
        return False
