"""`doitrust org`: looking at organisations, accepting them, running one."""

from doitrust.cli.options import group
from doitrust.cli.org_accept import accept, accepted, reject
from doitrust.cli.org_admin import COMMANDS as _ADMIN
from doitrust.cli.org_handover import COMMANDS as _HANDOVER
from doitrust.cli.org_look import history, keep, list_, members, show

#: In the order of the help.
_COMMANDS = (show, history, members, list_, keep, accept, reject, accepted, *_ADMIN, *_HANDOVER)


@group("org", "Organisations of electricians: look at them, accept them, run yours.")
def org() -> None:
    """The noun."""


for _command in _COMMANDS:
    org.add_command(_command)
