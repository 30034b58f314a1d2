"""Secrets in memory: not shown by accident, overwritten when they are done with.

What Python allows, and no more. A `bytearray` can be overwritten, so that is what a secret is kept in; but strings
and bytes can't be, and copies of secrets stand in some until their memory is used for something else: a passphrase
as it was typed, a phrase, the private keys inside bip-utils and coincurve. Nothing here is locked against swapping.
"""

from types import TracebackType
from typing import NoReturn


class Secret:
    """Some secret bytes, as a context that overwrites them with zeros at its end.

    It takes a `bytearray` over; of other bytes it makes a copy. It shows itself as `<secret>`, in a traceback with
    local variables too, and can't be pickled.
    """

    __slots__ = ("_data",)

    def __init__(self, data: bytes | bytearray) -> None:
        self._data = data if isinstance(data, bytearray) else bytearray(data)

    @property
    def data(self) -> bytearray:
        """The bytes themselves: not to be kept, and never to be shown."""
        return self._data

    def wipe(self) -> None:
        """Overwrite the bytes and forget them."""
        self._data[:] = bytes(len(self._data))
        self._data = bytearray()

    def __enter__(self) -> "Secret":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret can't be pickled")
