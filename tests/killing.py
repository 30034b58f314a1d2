"""Ending a process in the middle of what it does, in this one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed(owner: type, name: str, *, after: bool, turn: int = 1) -> Iterator[None]:
    """End the process before or after the `turn`-th call of a method."""
    real: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def ending(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == turn and not after:
            raise Killed
        result = real(*arguments, **options)
        if calls == turn:
            raise Killed
        return result

    with patch.object(owner, name, ending):
        yield
    assert calls >= turn, "the process never got there"
