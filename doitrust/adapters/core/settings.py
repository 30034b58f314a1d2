"""Where the node is, and who may ask it: settings, cookie file, password."""

import ipaddress
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from doitrust.adapters.core.cache import Cache
from doitrust.adapters.core.node import CoreNode
from doitrust.adapters.core.rpc import Login, Rpc, Trace
from doitrust.adapters.files import read_bounded
from doitrust.chain.networks import MAINNET, REGTEST, TESTNET, Network
from doitrust.errors import BadData, Unavailable, Usage
from doitrust.text import visible

#: Below the node's data directory (src/chainparamsbase.cpp).
_FOLDERS = {MAINNET.name: "", TESTNET.name: "testnet3", REGTEST.name: "regtest"}
_MAX_COOKIE = 1024


def core_node(
    config: Mapping[str, Any],
    network: Network,
    prefix: str,
    trace: Trace | None = None,
    cache: Cache | None = None,
) -> CoreNode | None:
    """The node that the settings below `prefix` (`node`, `node2`) name; None for a second one that isn't named.

    Without settings it is the one of this machine, at the network's port, with its cookie.
    """
    url = config.get(f"{prefix}.url")
    if url is None and prefix != "node":
        return None
    url = _url(url or "http://127.0.0.1", network, prefix)
    parts = urlsplit(url)
    own = config.get(f"{prefix}.own")
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else f"{parts.hostname}"
    name = f"{name}:{parts.port}"
    rpc = Rpc(url, _login(config, network, prefix), trace=trace)
    own = _is_loopback(parts.hostname or "") if own is None else own
    return CoreNode(rpc, network, name=name, own=own, cache=cache)


def _url(text: str, network: Network, prefix: str) -> str:
    """An address to dial, without user and password, with a port; raises `Usage`."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise Usage(
            f"{prefix}.url {visible(text, 80)!r} is no address of a node", hint="as in http://127.0.0.1:8339"
        )
    if parts.username is not None or parts.password is not None:
        raise Usage(
            f"{prefix}.url holds a password, and a configuration is no place for one",
            hint=f"set {prefix}.user, and {_variable(prefix)} in the environment",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port is None:
        port = 443 if parts.scheme == "https" else network.rpc_port
    return f"{parts.scheme}://{host}:{port}{parts.path or '/'}"


def _login(config: Mapping[str, Any], network: Network, prefix: str) -> Login:
    user, cookie = config.get(f"{prefix}.user"), config.get(f"{prefix}.cookie")
    if user is not None:
        return lambda: (user, _password(prefix))
    path = (
        Path(cookie).expanduser()
        if cookie is not None
        else data_directory() / _FOLDERS[network.name] / ".cookie"
    )
    return lambda: _read_cookie(path, network, prefix)


def _variable(prefix: str) -> str:
    return f"DOITRUST_{prefix.upper()}_PASSWORD"


def _password(prefix: str) -> str:
    variable = _variable(prefix)
    text, file = os.environ.get(variable), os.environ.get(f"{variable}_FILE")
    if text:
        return text
    if file:
        return (
            read_bounded(Path(file), _MAX_COOKIE, "the password file")
            .decode("utf-8", "replace")
            .strip("\r\n")
        )
    raise Usage(f"{prefix}.user is set, and no password", hint=f"set {variable}, or {variable}_FILE")


def _read_cookie(path: Path, network: Network, prefix: str) -> tuple[str, str]:
    try:
        text = read_bounded(path, _MAX_COOKIE, "the node's cookie").decode("ascii").strip()
    except Unavailable as error:
        raise Unavailable(
            f"no node of {network.name} is found: {error.message}",
            hint=f"start doichaind (server=1), or doitrust config set {prefix}.cookie FILE; or --network devnet",
            code="no_cookie",
        ) from None
    except UnicodeDecodeError:
        text = ""
    user, colon, password = text.partition(":")
    if not colon or not password:
        raise BadData(f"{visible(str(path))} is no cookie of a node")
    return user, password


def data_directory() -> Path:
    """Where Doichain Core keeps its data unless told otherwise (src/util/system.cpp, GetDefaultDataDir)."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", "~")).expanduser() / "Doichain"
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/Doichain").expanduser()
    return Path("~/.doichain").expanduser()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
