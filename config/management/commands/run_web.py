import sys
from typing import Any

from django.core.management.base import BaseCommand

from config import web


class Command(BaseCommand):
    help = "Start the web server: the API, the admin site and the videos, on HOST and PORT."

    def handle(self, *args: Any, **options: Any) -> None:
        if status := web.main(announce=False):
            sys.exit(status)
