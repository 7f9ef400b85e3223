#!/usr/bin/env python
"""The entry point of all management commands; `python manage.py help` lists them."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - older versions shall say so, not fail
    version = ".".join(map(str, sys.version_info[:2]))
    sys.exit(
        f"Python 3.11 or newer is needed, and this is {version}. Use `make run PYTHON=python3.12`,"
        " or .venv/bin/python manage.py after the first `make run`."
    )

if __name__ == "__main__":
    from config.command_line import main

    try:
        status = main(sys.argv)
    except ModuleNotFoundError as error:
        if error.name != "django":
            raise
        sys.exit(
            "Django is not installed for this Python. `make run` installs it into .venv;"
            " then use .venv/bin/python manage.py."
        )
    sys.exit(status)
