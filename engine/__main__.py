"""`python -m engine`: the same as the installed script `engine`."""

from __future__ import annotations

import sys

INTERRUPTED_EXIT = 130


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        from engine.cli.app import run_command_line
        from engine.cli.machine import installed_first, mend_streams

        mend_streams()
        installed_first()
        code = run_command_line(sys.argv[1:])
    except KeyboardInterrupt:  # runs look after it themselves; this is before one began, or in a short command
        sys.stderr.write("interrupted\n")
        code = INTERRUPTED_EXIT
    sys.exit(code)


if __name__ == "__main__":
    main()
