"""The frame of every management command: what goes wrong outside the code is one sentence on stderr."""

import os
import sys

INTERRUPTED = 130  # the exit status of a program that was ended by Ctrl-C


def main(arguments: list[str]) -> int:
    """Run the management command of ``arguments`` and return the exit status.

    With ``--traceback``, errors of the database keep their traceback.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
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
