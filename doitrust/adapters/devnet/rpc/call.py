"""What every method gets: the request's parameters and the node that answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from doitrust.adapters.devnet.chain import Devnet
from doitrust.adapters.devnet.rpc.values import (
    TYPE_ERROR,
    RpcError,
    as_array,
    as_bool,
    as_hash,
    as_int,
    as_object,
    as_text,
    type_name,
)


@dataclass(frozen=True)
class Node:
    """The node behind the methods. `devnet` is for the thread that asks; `wallet` is the name in the URL's path.

    `uptime` tells the seconds since the start; `stop` asks the server to end.
    """

    devnet: Devnet
    uptime: Callable[[], int]
    stop: Callable[[], None]
    wallet: str | None = None


class Params:
    """The parameters in their order."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, at: int) -> Any:
        """The value, None where there is none."""
        return self.values[at] if at < len(self.values) else None

    def check(self, *types: str, allow_null: bool = False) -> None:
        """Check the types, as far as there are parameters (RPCTypeCheck); an empty one allows any."""
        for value, wanted in zip(self.values, types, strict=False):
            found = type_name(value)
            if found != wanted and wanted and not (allow_null and value is None):
                raise RpcError(TYPE_ERROR, f"Expected type {wanted}, got {found}")

    def has(self, at: int) -> bool:
        """Whether it is there and not null."""
        return self[at] is not None

    def text(self, at: int) -> str:
        """A string."""
        return as_text(self[at])

    def integer(self, at: int) -> int:
        """A number of 32 bits."""
        return as_int(self[at])

    def boolean(self, at: int, default: bool) -> bool:
        """A boolean, `default` where it is null or missing."""
        return as_bool(self[at]) if self.has(at) else default

    def array(self, at: int) -> list[Any]:
        """An array."""
        return as_array(self[at])

    def mapping(self, at: int) -> dict[str, Any]:
        """An object."""
        return as_object(self[at])

    def options(self, at: int) -> dict[str, Any]:
        """An object of options, empty if there is no such parameter."""
        return self.mapping(at) if at < len(self) else {}

    def digest(self, at: int, name: str) -> str:
        """A hash."""
        return as_hash(self[at], name)


#: A method: answers with what `values.write` takes, or raises `RpcError`.
Method = Callable[[Node, Params], Any]


@dataclass(frozen=True)
class Command:
    """A method in the table: its category, its parameters' names (alternatives with `|` between), how many it needs."""

    category: str
    run: Method
    names: tuple[str, ...] = ()
    required: int = 0
