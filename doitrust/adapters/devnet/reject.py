"""The refusal of a transaction or a block."""

from doitrust.errors import Refused


class Rejected(Refused):
    """The chain doesn't take a transaction or block; `code` is Doichain Core's reject reason, `detail` may be empty."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason, code=reason)
        self.detail = detail
