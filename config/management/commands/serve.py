import os
import sys
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Start web server and worker together, restarted when they die; Ctrl-C stops both."

    def handle(self, *args, **options):
        self.stdout.write(
            f"Video on demand on http://{settings.HOST}:{settings.PORT}"
            f"\n  API documentation  http://{settings.HOST}:{settings.PORT}/api/docs/"
            f"\n  admin site         http://{settings.HOST}:{settings.PORT}/admin/"
            "\n  the whole story    make demo (in another terminal)"
            "\n  stop               Ctrl-C"
        )
        self.stdout.flush()
        os.environ["PYTHON"] = sys.executable
        os.environ["SUPERVISOR_PIDFILE"] = str(settings.DATA_DIR / "supervisord.pid")
        supervisord = str(Path(sys.executable).with_name("supervisord"))
        config = str(settings.BASE_DIR / "deploy" / "supervisord.conf")
        command = [supervisord, "--configuration", config]
        if os.geteuid() == 0:
            command += ["--user", "root"]  # says that it is meant
        os.execv(supervisord, command)  # noqa: S606 - our own file, no shell
