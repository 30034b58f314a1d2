"""`doitrust meter`: certifying meters, and what the chain says about them."""

from doitrust.cli.meter_look import list_, show
from doitrust.cli.meter_prepare import prepare
from doitrust.cli.meter_write import COMMANDS as _WRITE
from doitrust.cli.options import group

#: In the order of the help.
_COMMANDS = (*_WRITE, prepare, show, list_)


@group("meter", "Certify meters, and see what the chain says about them.")
def meter() -> None:
    """The noun."""


for _command in _COMMANDS:
    meter.add_command(_command)
