"""Putting a backup in the place of a home: killed at any instant, the home is the old one or the new one.

The new home is made in a work folder beside the old one, on the same disk, checked there, and written through to the
disk. Where the system can exchange two names in one step (Linux), that is done; elsewhere the old one is renamed and
then the new one, and between the two there is no home. A plan, written before, says which is which: the next restore
goes on from there. Nothing that was in a home is ever deleted.

A node's key never is in a backup, and belongs to the machine: it stays.
"""

import ctypes
import json
import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from doitrust.adapters.archive import Archive, settle
from doitrust.adapters.files import exists, write_atomic
from doitrust.adapters.homes import check_home
from doitrust.adapters.nodekey import DEVICE_FILE, NODE_FILE
from doitrust.errors import BadData, DoitrustError, Refused, Unavailable
from doitrust.text import visible

_LOCK, _PLAN, _NEW = "lock", "plan.json", "new"
# Linux, fcntl.h and linux/fs.h.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def work_folder(home: Path) -> Path:
    """Where a restore works; if it is there and no restore runs, one was cut off."""
    return home.with_name(f".{home.name}.restore")


class Restore:
    """A restore under way, the only one of this home. All methods raise `Unavailable` if the disk refuses."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._work = work_folder(home)
        self._new = self._work / _NEW
        #: Where the old home of a restore that was cut off before is now.
        self.found_aside = self._recover()

    @property
    def is_occupied(self) -> bool:
        """Whether there is a home with something in it; raises `Refused` for what is no folder."""
        with _translated(self.home):
            if not os.path.lexists(self.home):
                return False
            if not self.home.is_dir():
                raise Refused(f"{visible(str(self.home))} is no folder", hint="name another --home")
            return any(self.home.iterdir())

    def stage(self, archive: Archive) -> None:
        """Make the new home, and see that all of it can be used; raises `BadData` if not."""
        with _translated(self.home):
            self._new.mkdir(mode=stat.S_IRWXU)
            archive.unpack(self._new)
            try:
                check_home(self._new)
            except DoitrustError as error:
                why = error.message.replace(visible(str(self._new)) + os.sep, "")
                raise BadData(f"what is in the backup can't be used: {why}", hint=error.hint) from None
            settle(self._new)

    def put_in_place(self) -> Path | None:
        """Make it the home; returns where the old one is now, if there was one."""
        occupied = self.is_occupied
        with _translated(self.home):
            if occupied:
                return self._swap()
            if os.name != "posix" and self.home.exists():  # there a rename replaces no folder, empty or not
                self.home.rmdir()
            self._new.rename(self.home)
            settle(self.home.parent)
            return None

    def _swap(self) -> Path:
        for name in (NODE_FILE, DEVICE_FILE):
            if os.path.lexists(self.home / name):
                os.link(self.home / name, self._new / name)
        settle(self._new)
        aside = self._free_name()
        plan = {"new": self._new.stat().st_ino, "aside": aside.name}
        write_atomic(self._work / _PLAN, json.dumps(plan).encode(), "the plan", mode=0o600)
        settle(self._work)
        if _exchange(self.home, self._new):
            settle(self.home.parent)
            self._new.rename(aside)
        else:
            self.home.rename(aside)
            try:
                self._new.rename(self.home)
            except OSError:
                aside.rename(self.home)
                raise
        settle(self.home.parent)
        (self._work / _PLAN).unlink()
        return aside

    def _recover(self) -> Path | None:
        """Finish or undo what a restore that was killed left; returns where an old home was put."""
        with _translated(self.home):
            plan = self._read_plan()
            if plan is not None:
                inode, name = plan
                found = self._set_aside(inode, self.home.with_name(name))
                settle(self.home.parent)
                (self._work / _PLAN).unlink()
                settle(self._work)
            else:
                found = None
            if os.path.lexists(self._new):  # without a plan, or with that inode: what was to be the new home
                shutil.rmtree(self._new)
            return found

    def _set_aside(self, inode: int, aside: Path) -> Path | None:
        if _inode(self._new) == inode:  # not put in place
            if not os.path.lexists(self.home) and os.path.lexists(aside):
                aside.rename(self.home)
            return None
        if os.path.lexists(self._new):  # the old home, or nobody knows what
            aside = self._free_name()
            self._new.rename(aside)
            return aside
        return aside if os.path.lexists(aside) else None

    def _read_plan(self) -> tuple[int, str] | None:
        """The plan of a restore that was cut off; whole, because it is written atomically."""
        try:
            plan = json.loads((self._work / _PLAN).read_bytes())
        except FileNotFoundError:
            return None
        return int(plan["new"]), Path(plan["aside"]).name

    def _free_name(self) -> Path:
        """A name for the old home that nothing has."""
        number = 1
        while os.path.lexists(self.home.with_name(f"{self.home.name}.old-{number}")):
            number += 1
        return self.home.with_name(f"{self.home.name}.old-{number}")

    def tidy(self) -> None:
        """Remove the work folder, with what is in there of a new home that didn't come to be."""
        with suppress(OSError, DoitrustError):  # the next restore does it
            self._recover()
            shutil.rmtree(self._work)


@contextmanager
def restoring(home: Path) -> Iterator[Restore]:
    """Begin a restore of `home`; raises `Refused` if another process restores it."""
    with _translated(home):
        home = home.resolve()
        work = work_folder(home)
        work.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
    with closing(_lock(work / _LOCK, home)):
        restore = Restore(home)
        try:
            yield restore
        finally:
            restore.tidy()


def _lock(path: Path, home: Path) -> sqlite3.Connection:
    """SQLite's lock on an empty file works alike on all platforms, and ends with the process."""
    try:
        lock = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            before = _inode(path)
            lock.execute("BEGIN IMMEDIATE")
            if before is None or _inode(path) != before:
                raise _busy(home)  # whoever had it has just removed it
        except BaseException:
            lock.close()
            raise
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise _busy(home) from None
        if not (path.parent / _PLAN).exists() and not (path.parent / _NEW).exists():
            shutil.rmtree(path.parent, ignore_errors=True)
        raise Unavailable(
            f"can't restore {visible(str(home))}: {error}", hint="is there room beside it?"
        ) from None
    return lock


def _busy(home: Path) -> Refused:
    return Refused(
        f"another doitrust is restoring {visible(str(home))}", hint="wait until it is done, then look"
    )


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where that can't be done."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:  # a C library without it
        return False
    here = ctypes.c_int(_AT_FDCWD)
    first, second = (ctypes.c_char_p(os.fsencode(path)) for path in (one, other))
    # If the file system can't, or whatever else is wrong: renaming will tell.
    return bool(rename(here, first, here, second, ctypes.c_uint(_RENAME_EXCHANGE)) == 0)


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None


@contextmanager
def _translated(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"can't restore {visible(str(home))}: {error.strerror or error}",
            hint="the home is as it was; is the folder that it is in yours, and is there room?",
        ) from None


def was_cut_off(home: Path) -> bool:
    """Whether a restore of this home was killed, or runs now."""
    return any(exists(work_folder(home) / name) for name in (_PLAN, _NEW))
