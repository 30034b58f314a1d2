"""Who may import whom, which library may be used where, and what pure code may not touch.

The tables are the architecture: a new room, a new library or a new direction is written there first.
Modules are parsed, never imported, so an import inside a function or under TYPE_CHECKING counts too.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "doitrust"

BASE = frozenset({"errors", "text", "strictjson"})
PURE = BASE | {"content", "chain", "orgs", "meters", "trust"}
OUTER = PURE | {"ports"}
#: Modules that are as pure as those rooms, in a room that isn't: what decodes a meter's bytes opens no port.
PURE_MODULES = frozenset({"doitrust.pi.sml", "doitrust.pi.tlv", "doitrust.pi.transport"})

#: Each room (a module or folder directly in `doitrust/`) and the other rooms it may import.
ROOMS: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "text": frozenset({"errors"}),
    "strictjson": frozenset({"errors", "text"}),
    "content": frozenset({"errors"}),
    "chain": BASE,
    "orgs": BASE | {"chain", "content"},
    "meters": BASE | {"chain", "content"},
    "trust": BASE | {"chain", "content", "orgs", "meters"},
    "ports": PURE,
    "workflows": OUTER,
    "adapters": OUTER,
    "ledger_app": OUTER,
    "pi": OUTER,
    "cli": OUTER | {"workflows", "adapters", "ledger_app", "pi"},
    "__init__": frozenset(),
    "__main__": frozenset({"cli"}),
}

#: Each third-party library, by the name it is imported by, and the rooms that may use it.
LIBRARIES: dict[str, frozenset[str]] = {
    "bip_utils": frozenset({"adapters"}),
    "bitcoinrpc": frozenset({"adapters"}),
    "btclib": frozenset({"chain"}),
    "btclib_secp256k1": frozenset({"chain"}),
    "click": frozenset({"cli"}),
    "coincurve": frozenset({"chain"}),
    "cryptography": frozenset({"adapters"}),
    "ecc": frozenset({"chain"}),  # btclib's own curve arithmetic
    "font_roboto": frozenset({"adapters"}),
    "hid": frozenset({"ledger_app"}),
    "ipfshttpclient": frozenset({"adapters"}),
    "ledgerblue": frozenset({"ledger_app"}),
    "PIL": frozenset({"adapters"}),
    "platformdirs": frozenset({"adapters", "cli"}),
    "reportlab": frozenset({"adapters"}),
    "rfc8785": frozenset({"strictjson", "content", "orgs", "meters", "trust"}),
    "rich": frozenset({"cli"}),
    "segno": frozenset({"adapters", "cli"}),
    "serial": frozenset({"pi"}),
    "tomlkit": frozenset({"adapters", "cli"}),
}

#: What reaches outside the process, waits, or answers differently each time: never in a pure room.
IMPURE_MODULES = frozenset(
    {
        *("asyncio", "concurrent", "multiprocessing", "subprocess", "threading", "signal"),
        *("ctypes", "importlib", "os", "platform", "sys", "locale", "logging", "getpass", "warnings"),
        *("glob", "pathlib", "shutil", "tempfile", "fcntl", "mmap", "dbm", "shelve", "sqlite3"),
        *("http", "select", "selectors", "socket", "socketserver", "ssl", "urllib"),
        *("random", "secrets", "time", "uuid"),
    }
)
IMPURE_BUILTINS = frozenset({"breakpoint", "eval", "exec", "input", "open", "print"})
CLOCKS = frozenset({"now", "today", "utcnow"})


def violations(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """Return what `source`, as the module of this dotted name, does that the tables don't allow."""
    tree = ast.parse(source)
    room = room_of(module)
    pure = room in PURE or module in PURE_MODULES
    found: list[tuple[int, str]] = []
    for line, name in imports(tree, module, is_package=is_package):
        found += [(line, why) for why in _import_violations(room, name, pure=pure)]
    if room != "cli":
        found += [(line, "imports by name, which can't be checked") for line in _imports_by_name(tree)]
    if pure:
        found += [(line, f"{what} in a pure room") for line, what in _impurities(tree)]
    return [f"{module}:{line}: {why}" for line, why in sorted(set(found))]


def room_of(module: str) -> str:
    parts = module.split(".")
    assert parts[0] == "doitrust"
    return parts[1] if len(parts) > 1 else "__init__"


def imports(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield line and full dotted name of everything that is imported anywhere in the module."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            start = [*above, *(node.module or "").split(".")] if node.module else above
            for alias in node.names:
                yield node.lineno, ".".join([*start, alias.name])


def _import_violations(room: str, name: str, *, pure: bool) -> Iterator[str]:
    top, *rest = name.split(".")
    if top == "doitrust":
        other = rest[0] if rest else "__init__"
        if other in {room, "__init__", "__version__"}:
            return
        if other not in ROOMS:
            yield f"{other} is no room of the table"
        elif other not in ROOMS[room]:
            yield f"{room} may not import {other}"
    elif top in sys.stdlib_module_names:
        if pure and top in IMPURE_MODULES and not name.startswith("urllib.parse."):
            yield f"{top} in a pure room"
        elif room != "cli" and name == "importlib":
            yield "importlib, of which only resources and metadata are allowed"
    elif top not in LIBRARIES:
        yield f"{top} is no library of the table"
    elif room not in LIBRARIES[top]:
        yield f"{room} may not use {top}"


def _imports_by_name(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                if name in {"import_module", "__import__"}:
                    yield node.lineno


def _impurities(tree: ast.AST) -> Iterator[tuple[int, str]]:
    modules, classes = _datetime_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in IMPURE_BUILTINS:
            yield node.lineno, f"{node.id}()"
        elif isinstance(node, ast.Attribute) and node.attr in CLOCKS:
            owner = node.value
            by_class = isinstance(owner, ast.Name) and owner.id in classes
            by_module = (
                isinstance(owner, ast.Attribute)
                and isinstance(owner.value, ast.Name)
                and owner.value.id in modules
            )
            if by_class or by_module:
                yield node.lineno, f"the clock ({node.attr})"


def _datetime_names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Return the names that the datetime module, and its classes, have in this module."""
    modules: set[str] = set()
    classes: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name for alias in node.names if alias.name == "datetime"}
        elif isinstance(node, ast.ImportFrom) and node.module == "datetime":
            classes |= {alias.asname or alias.name for alias in node.names}
    return modules, classes


def _modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(_modules())


@pytest.mark.parametrize("module", MODULES)
def test_module_keeps_to_the_tables(module: str) -> None:
    path = MODULES[module]
    if room_of(module) not in ROOMS:
        pytest.fail(f"{room_of(module)} is a new room: write into ROOMS what it may import")
    source = path.read_text(encoding="utf-8")
    assert violations(module, source, is_package=path.name == "__init__.py") == []


def test_the_modules_are_found() -> None:
    assert {"doitrust", "doitrust.errors", "doitrust.chain.tx"} <= MODULES.keys()


def test_the_tables_name_only_rooms_and_have_no_circle() -> None:
    rooms = ROOMS.keys()
    assert set().union(*ROOMS.values(), *LIBRARIES.values()) <= rooms
    below: dict[str, frozenset[str]] = dict(ROOMS)
    while below:
        bottom = [room for room, others in below.items() if not others & below.keys()]
        assert bottom, f"these import each other in a circle: {sorted(below)}"
        for room in bottom:
            del below[room]


@pytest.mark.parametrize(
    ("module", "source", "why"),
    [
        ("doitrust.errors", "import doitrust.text", "errors may not import text"),
        ("doitrust.text", "from doitrust.strictjson import read_object", "text may not import strictjson"),
        ("doitrust.content.cid", "from doitrust import chain", "content may not import chain"),
        ("doitrust.chain.tx", "from doitrust.orgs.timeline import x", "chain may not import orgs"),
        ("doitrust.chain.tx", "from ..orgs import timeline", "chain may not import orgs"),
        ("doitrust.chain.tx", "from .. import orgs", "chain may not import orgs"),
        ("doitrust.chain.aux.pow", "from ...trust import judge", "chain may not import trust"),
        ("doitrust.orgs.list", "import doitrust.meters.number as n", "orgs may not import meters"),
        ("doitrust.meters.number", "def f():\n    from doitrust import orgs", "meters may not import orgs"),
        ("doitrust.trust.judge", "import doitrust.ports", "trust may not import ports"),
        ("doitrust.ports", "import doitrust.adapters.rpc", "ports may not import adapters"),
        ("doitrust.workflows.verify", "import doitrust.adapters.rpc", "workflows may not import adapters"),
        ("doitrust.adapters.rpc", "import doitrust.workflows.verify", "adapters may not import workflows"),
        ("doitrust.ledger_app.client", "import doitrust.pi", "ledger_app may not import pi"),
        ("doitrust.adapters.rpc", "from doitrust.cli import main", "adapters may not import cli"),
        (
            "doitrust.trust.judge",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from doitrust.cli.main import main",
            "trust may not import cli",
        ),
        ("doitrust", "from doitrust.errors import BadData", "__init__ may not import errors"),
        ("doitrust.cli.main", "from doitrust import *", "* is no room"),
        ("doitrust.cli.main", "import doitrust.helpers", "helpers is no room"),
        ("doitrust.workflows.verify", "import click", "workflows may not use click"),
        ("doitrust.text", "from rich.markup import escape", "text may not use rich"),
        ("doitrust.trust.judge", "try:\n    import btclib.tx\nexcept ImportError: ...", "trust may not use"),
        ("doitrust.cli.main", "from coincurve import PublicKey", "cli may not use coincurve"),
        ("doitrust.adapters.rpc", "import requests", "requests is no library of the table"),
        ("doitrust.chain.tx", "import os.path", "os in a pure room"),
        ("doitrust.orgs.list", "from pathlib import Path", "pathlib in a pure room"),
        ("doitrust.orgs.list", "class A:\n    import urllib.request", "urllib in a pure room"),
        ("doitrust.text", "def f():\n    return open('x')", "open() in a pure room"),
        ("doitrust.trust.judge", "from datetime import datetime as D\nnow = D.now()", "the clock (now)"),
        ("doitrust.trust.judge", "import datetime\nf = datetime.datetime.utcnow", "the clock (utcnow)"),
        ("doitrust.trust.judge", "import datetime as d\nd.date.today()", "the clock (today)"),
        ("doitrust.adapters.rpc", "import importlib", "importlib, of which only"),
        ("doitrust.adapters.rpc", "from importlib import import_module", "imports by name"),
        ("doitrust.adapters.rpc", "import importlib.util as i\ni.import_module('x')", "imports by name"),
        ("doitrust.pi.meter", "__import__('doitrust.cli')", "imports by name"),
        ("doitrust.pi.sml", "import socket", "socket in a pure room"),
        ("doitrust.pi.tlv", "open('x')", "open() in a pure room"),
    ],
)
def test_violation_is_caught(module: str, source: str, why: str) -> None:
    found = violations(module, source)
    assert len(found) >= 1
    assert why in found[0]


def test_relative_import_in_a_package_is_resolved_from_the_package_itself() -> None:
    assert violations("doitrust.chain", "from .tx import Tx", is_package=True) == []
    assert "may not import orgs" in violations("doitrust.chain", "from ..orgs import x", is_package=True)[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("doitrust.chain.tx", "import io, json, hashlib\nfrom btclib.tx import Tx\nfrom . import names"),
        ("doitrust.orgs.list", "from doitrust import chain, __version__\nimport doitrust.errors"),
        ("doitrust.trust.judge", "import datetime\ndef f(now: datetime.datetime):\n    return policy.now"),
        ("doitrust.pi.sources", "import socket, time\nimport serial\nopen('x')"),
        ("doitrust.adapters.disk", "import os, time, sqlite3\nfrom importlib import resources\nopen('x')"),
        ("doitrust.cli.main", "import importlib\nimport click\nimportlib.import_module('doitrust.cli.org')"),
        ("doitrust.__main__", "from doitrust.cli.main import main"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_btclib_checks_signatures_by_libsecp256k1() -> None:
    """The extra of the pinned btclib is installed: without it every verdict is twenty times slower."""
    from ecc.curves import is_libsecp256k1_serving  # noqa: PLC0415  # a test must not need it to be collected

    assert is_libsecp256k1_serving()
