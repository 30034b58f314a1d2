"""The exception families of doitrust, sorted by whose fault it is.

Every error a user can cause is one of these: a stable `code` for scripts, one line that says what is
wrong, and a hint that says what to do. The command line turns them into one line and an exit status in
one place; anything else is a bug and keeps its traceback.
"""


class DoitrustError(Exception):
    """Base of all expected failures.

    `message` says what is wrong, `hint` what to do about it (may be empty). `code` is stable and meant
    for scripts (`{"error": {"code": …}}`); `exit_code` is the process's exit status.
    """

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class BadData(DoitrustError):
    """Bytes that are not what they should be: chain, list, record, evidence or configuration."""

    code = "bad_data"


class Unavailable(DoitrustError):
    """Something that may exist can't be had now: a node, a file, a block of content."""

    code = "unavailable"


class Refused(DoitrustError):
    """Our own rules forbid it: a root without confirmations, a name that can't be pinned."""

    code = "refused"


class UserRefused(DoitrustError):
    """The user said no, on a device or at a prompt."""

    code = "user_refused"
    exit_code = 5


class Usage(DoitrustError):
    """The command was given something that can't be meant, or a question that nobody can answer."""

    code = "usage"
    exit_code = 2


class StillWaiting(DoitrustError):
    """What was sent is not confirmed yet, and the user left: it goes on without us."""

    code = "waiting"
    exit_code = 4
