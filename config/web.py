"""The web server's process: binds the port, and starts uvicorn with WEB_WORKERS processes.

Run by `manage.py run_web` and, with the banner, by `make run` as `python -m config.web`. The process
itself then loads the settings but none of the apps, so that its workers start a second earlier.
"""

import contextlib
import os
import resource
import sys
import threading
import time

import uvicorn
from django.conf import settings
from django.utils.log import configure_logging
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from config import counting, listening, supervisor

FILES_MAX = 65536  # more would need more memory than it brings


def main(*, announce: bool) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit status. ``announce``: show the banner."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    try:
        listener = listening.bind(settings.HOST, settings.PORT)
    except listening.CannotListen as error:
        sys.stderr.write(f"{error}\n")
        supervisor.stop()
        return 1
    listener.set_inheritable(True)
    _allow_many_connections()
    counting.prepare(
        settings.DATA_DIR,
        port=settings.PORT,
        processes=settings.WEB_WORKERS,
        started_at=time.time(),
    )
    config = uvicorn.Config(
        "config.asgi:application",
        workers=settings.WEB_WORKERS,
        loop="auto",
        http="streaming.delivery.protocol:DeliveryProtocol",
        lifespan="on",
        # uvicorn uses X-Forwarded-For and X-Forwarded-Proto of these addresses only.
        proxy_headers=bool(settings.TRUSTED_PROXIES),
        forwarded_allow_ips=settings.TRUSTED_PROXIES,
        access_log=False,  # the audit log records more, and masks the secrets in paths
        server_header=False,
        log_config=None,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
    if announce:
        threading.Thread(target=_announce, daemon=True).start()
    if settings.WEB_WORKERS > 1:
        Multiprocess(config, sockets=[listener]).run()
        return 0
    server = uvicorn.Server(config)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    return 0 if server.started else STARTUP_FAILURE


def _allow_many_connections() -> None:
    """Raise the number of open files as far as this user may, up to FILES_MAX; often it is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _announce() -> None:
    """Show the banner when the server answers."""
    if listening.wait_until_it_answers():
        sys.stdout.write(f"{listening.banner()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    sys.exit(main(announce=True))
