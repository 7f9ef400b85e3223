"""The frame of every management command: what goes wrong outside the code is one sentence on stderr."""

import os
import signal
import sys
from typing import Any

INTERRUPTED = 130  # the exit status of a program that was ended by Ctrl-C


def _end_at_ctrl_c() -> None:
    """End this process at once by Ctrl-C, wherever it is: with one line on stderr, and status 130.

    KeyboardInterrupt is lost where it is raised in a destructor or a bare `except`, and the program
    goes on. Only for a program that may be killed at any moment, and that has no children yet.
    """

    def end(*_: Any) -> None:
        os.write(sys.stderr.fileno(), b"\nStopped.\n")
        os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, end)


def main(arguments: list[str]) -> int:
    """Run the management command of ``arguments`` and return the exit status.

    With ``--traceback``, errors of the database keep their traceback.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if arguments[1:2] == ["serve"]:
        _end_at_ctrl_c()
    try:
        from django.core.management import execute_from_command_line
        from django.db import Error

        try:
            execute_from_command_line(arguments)
        except Error as error:
            from config import database

            explanation = database.explanation(error)
            if not explanation or "--traceback" in arguments:
                raise
            sys.stderr.write(f"{explanation}\n")
            return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped.\n")
        return INTERRUPTED
    return 0
