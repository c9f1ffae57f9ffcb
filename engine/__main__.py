"""`python -m engine`: the same as the installed script `engine`."""

from __future__ import annotations

import signal
import sys

from engine.cli.argv import resume_line


class _Terminated(KeyboardInterrupt):
    """A run was asked to end before it looked after that itself."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        if resume_line(sys.argv):
            signal.signal(signal.SIGTERM, _terminate)
        from engine.cli.app import run_command_line
        from engine.cli.machine import installed_first, mend_streams

        mend_streams()
        installed_first()
        code = run_command_line(sys.argv[1:])
    except KeyboardInterrupt as stop:  # runs look after it themselves; this is before one began, or a short command
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stderr.write("\n".join(filter(None, ("interrupted", resume_line(sys.argv, began=bool(stop.args))))) + "\n")
        code = 128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)
    sys.exit(code)


def _terminate(*_: object) -> None:
    raise _Terminated


if __name__ == "__main__":
    main()
