"""`python -m engine`: the same as the installed script `engine`."""

from __future__ import annotations

import sys

from engine.cli.app import run_command_line
from engine.cli.machine import installed_first, mend_streams


def main() -> None:
    """Run the command line and leave with its exit code."""
    mend_streams()
    installed_first()
    sys.exit(run_command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
