#!/usr/bin/env python
"""The entry point of all management commands; `python manage.py help` lists them."""

import os
import sys

from django.core.management import execute_from_command_line
from django.db import OperationalError, ProgrammingError

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except (OperationalError, ProgrammingError) as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(
            f"The database refused: {str(error).strip()}\n"
            "`manage.py migrate` makes missing tables and columns. If the database cannot be reached,"
            " check DATABASE_URL. --traceback shows the place in the code."
        )
