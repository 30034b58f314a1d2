"""What goes wrong with an IPFS node: a code for each cause, and its cure."""

from doitrust.errors import Unavailable
from doitrust.text import visible


class KuboFailure(Unavailable):
    """Kubo answered a call with an error, whose words are `text`."""

    code = "ipfs_error"

    def __init__(self, at: str, text: str) -> None:
        super().__init__(f"the IPFS node at {at} says: {visible(text, 300)}", hint="look into its log")
        self._at = at
        self.text = text

    def as_too_large(self) -> Unavailable:
        """The same, where a block was more than it takes."""
        return Unavailable(
            self.message,
            hint="put the file there anew: doitrust makes blocks of 256 KiB, and no IPFS node passes on large ones",
            code="ipfs_block_too_large",
        )


class WrongPort(Unavailable):
    """What answers is no API of Kubo's: its gateway, or something else."""

    code = "ipfs_wrong_port"

    def __init__(self, at: str, why: str) -> None:
        super().__init__(
            f"what answers at {at} is no API of an IPFS node, perhaps its gateway: {visible(why, 100)}",
            hint="`ipfs config Addresses.API` says where that is: doitrust config set ipfs.api ADDRESS",
        )


def not_running(at: str) -> Unavailable:
    """Nobody listens."""
    return Unavailable(
        f"no IPFS node answers at {at}",
        hint="start it: ipfs daemon; or say where it is: doitrust config set ipfs.api ADDRESS",
        code="ipfs_not_running",
    )


def too_slow(at: str) -> Unavailable:
    """The deadline is over."""
    return Unavailable(
        f"the IPFS node at {at} did not answer in time",
        hint="try again, or start it anew",
        code="ipfs_timeout",
    )


def broken(at: str, why: str) -> Unavailable:
    """The connection ended, or never began."""
    return Unavailable(
        f"the line to the IPFS node at {at} broke: {visible(why, 200)}", hint="try again", code="ipfs_broken"
    )


def login_wanted(at: str) -> Unavailable:
    """API.Authorizations of that node, or what stands before it, wants a secret."""
    return Unavailable(
        f"the IPFS node at {at} wants an authorization",
        hint="doitrust has none to give: use an IPFS node of this machine whose API.Authorizations is empty",
        code="ipfs_login",
    )


def garbage(at: str, why: str) -> Unavailable:
    """An answer that no Kubo gives."""
    return Unavailable(
        f"the IPFS node at {at} gave {why}",
        hint="don't use it: doitrust config set ipfs.api ADDRESS",
        code="ipfs_garbage",
    )


def not_pinned(at: str, root: str, why: str) -> Unavailable:
    """It has the blocks, and won't keep them."""
    return Unavailable(
        f"the IPFS node at {at} doesn't pin {root}: {visible(why, 200)}",
        hint="look into its log",
        code="ipfs_error",
    )


def no_library() -> Unavailable:
    """The extra is not installed."""
    return Unavailable(
        "asking an IPFS node needs ipfshttpclient, which is not installed",
        hint="pip install 'doitrust[ipfs]'",
        code="missing_extra",
    )
