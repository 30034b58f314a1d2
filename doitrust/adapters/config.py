"""The configuration file: TOML, a user's comments kept, every key known and checked."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from doitrust.adapters.files import exists, read_bounded, write_atomic
from doitrust.adapters.gateway_urls import gateway_urls
from doitrust.chain.networks import network_named
from doitrust.errors import BadData, Usage
from doitrust.text import visible

_MAX_BYTES = 1024 * 1024


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}[
            text.lower()
        ]
    except KeyError:
        raise Usage(f"{visible(text)!r} is neither true nor false") from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) >= 1 and len(text) <= 9):
        raise Usage(f"{visible(text)!r} is no whole number from 1 on")
    return int(text)


def _index(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _network(text: str) -> str:
    return network_named(text).name


def _ipfs_api(text: str) -> str:
    from doitrust.adapters.kubo import multiaddr  # noqa: PLC0415  # only who sets it

    multiaddr(text)
    return text


#: Every key and how its text is read. What is not here is a mistake, and told so.
KEYS: Mapping[str, Callable[[str], Any]] = {
    "network": _network,
    "node.url": str,
    "node.cookie": str,
    "node.user": str,
    "node.own": _boolean,
    "node2.url": str,
    "node2.cookie": str,
    "node2.user": str,
    "node2.own": _boolean,
    "ipfs.api": _ipfs_api,
    "ipfs.gateways": lambda text: gateway_urls(part for part in text.split(",") if part.strip()),
    "min_confirmations": _count,
    "signer": str,
    "coin_type": _index,
}


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings as {dotted key: value}; no file is no settings. Raises `BadData` for a bad one."""
    if not exists(path):
        return {}
    settings: dict[str, Any] = {}
    _flatten(_document(path).unwrap(), "", settings)
    for key, value in settings.items():
        if key not in KEYS:
            raise BadData(f"{visible(str(path))} has the unknown key {visible(key)!r}", hint=_known())
        if isinstance(value, list) and key != "ipfs.gateways":
            raise BadData(f"{visible(str(path))}: {key} is one value, no list")
        try:
            as_text = ",".join(value) if isinstance(value, list) else str(value)
            settings[key] = KEYS[key](as_text)
        except (Usage, TypeError) as error:
            raise BadData(f"{visible(str(path))}: {key}: {error}") from None
    return settings


def write_setting(path: Path, key: str, text: str) -> Any:
    """Set `key` from `text` and return the value as kept; everything else in the file stays as it was."""
    if key not in KEYS:
        raise Usage(f"there is no setting {visible(key)!r}", hint=_known())
    value = KEYS[key](text)
    document = _document(path) if exists(path) else tomlkit.document()
    table: Any = document
    *tables, last = key.split(".")
    for part in tables:
        if part not in table:
            table[part] = tomlkit.table()
        table = table[part]
    table[last] = value
    write_atomic(path, tomlkit.dumps(document).encode(), "the configuration")
    return value


def _document(path: Path) -> tomlkit.TOMLDocument:
    data = read_bounded(path, _MAX_BYTES, "the configuration")
    try:
        return tomlkit.parse(data)
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise BadData(
            f"the configuration {visible(str(path))} is no TOML: {visible(str(error))}",
            hint="mend or remove the file",
        ) from None


def _flatten(table: Mapping[str, Any], prefix: str, into: dict[str, Any]) -> None:
    for key, value in table.items():
        if isinstance(value, dict):
            _flatten(value, f"{prefix}{key}.", into)
        else:
            into[prefix + key] = value


def _known() -> str:
    return "known are " + ", ".join(KEYS)
