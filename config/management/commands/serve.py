import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Start the web server and a worker, and restart each when it dies. Ctrl-C stops both."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(
            f"Video on demand on http://{settings.HOST}:{settings.PORT}"
            f"\n  API documentation  http://{settings.HOST}:{settings.PORT}/api/docs/"
            f"\n  admin site         http://{settings.HOST}:{settings.PORT}/admin/"
            "\n  demonstration      make demo (in another terminal)"
            "\n  stop               Ctrl-C"
        )
        self.stdout.flush()
        os.environ["PYTHON"] = sys.executable
        os.environ["SUPERVISOR_PIDFILE"] = str(settings.DATA_DIR / "supervisord.pid")
        supervisord = str(Path(sys.executable).with_name("supervisord"))
        config = str(settings.BASE_DIR / "deploy" / "supervisord.conf")
        command = [supervisord, "--configuration", config]
        if os.geteuid() == 0:
            command += ["--user", "root"]  # supervisord warns unless running as root is explicit
        os.execv(supervisord, command)  # noqa: S606 - our own file, no shell
