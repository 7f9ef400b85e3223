"""The parts of the delivery benchmark: published files, playback sessions, two servers, a client."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
AGENT = "benchmark"
SESSIONS, ENDED, VIEWERS, SEGMENTS = 20_000, 5_000, 200, 16
VERSION = "v1"
SIZES = {"video": 1_500_000, "audio": 300_000, "tiny": 1024}
SLOW_BYTES = 40_000_000

LUA = """
local requests, next_request = {}, 0
function init(args)
  for path in io.lines(args[1]) do requests[#requests + 1] = wrk.format("GET", path) end
  next_request = math.random(#requests)
end
function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('RESULT {"requests":%d,"us":%d,"bytes":%d,"refused":%d,"broken":%d}\\n',
    summary.requests, summary.duration, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""

NGINX = """
daemon off; worker_processes {workers}; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; open_file_cache max=1000; keepalive_requests 10000000;
  types {{ video/iso.segment m4s; video/mp4 mp4; application/vnd.apple.mpegurl m3u8; }}
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}{tls}; root {root}; }}
}}
"""


def environment(folder: Path) -> None:
    """Set up Django with a configuration of its own, for this process and the servers that it starts."""
    os.environ.update(
        ENV_FILE=os.devnull,
        SECRET_KEY=secrets.token_urlsafe(48),
        DATA_DIR=str(folder / "data"),
        DJANGO_SETTINGS_MODULE="config.settings",
        ALLOW_HTTP="true",
        LOG_LEVEL="ERROR",
        DELIVERY="nginx",  # the web server then answers nginx too; it sends files all the same
    )
    for name in ("DATABASE_URL", "MEDIA_DIR", "CACHE_URL", "BIND_PLAYBACK", "STORAGE", "S3_BUCKET"):
        os.environ.pop(name, None)
    sys.path.insert(0, str(REPO))
    import django

    django.setup()


class Stage:
    """The published files, and the playback sessions of many viewers in a database."""

    def __init__(self, folder: Path):
        from django.conf import settings
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        self.folder, self.video = folder, self._video()
        self.root = Path(settings.MEDIA_ROOT) / "videos"
        self._publish(self.root / str(self.video.pk) / VERSION)
        self.viewers = self._sessions()
        self.script = folder / "load.lua"
        self.script.write_text(LUA)

    def _video(self):
        from django.contrib.auth import get_user_model
        from django.contrib.auth.models import Group

        from videos.models import Video

        role, _ = Group.objects.get_or_create(name="BENCHMARK")
        creator = get_user_model().objects.create(email="bench@example.com", role=role)
        return Video.objects.create(creator=creator, title="Benchmark")

    def _publish(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for kind, size in SIZES.items():
            for number in range(SEGMENTS):
                (folder / f"{kind}-{number}.m4s").write_bytes(os.urandom(size))
        for number in range(SEGMENTS):
            (folder / f"playlist-{number}.m3u8").write_bytes(b"#EXTM3U\n" + b"#EXTINF:4,\n" * 300)
        (folder / "slow.mp4").write_bytes(os.urandom(SLOW_BYTES))

    def _sessions(self) -> list[uuid.UUID]:
        from streaming.models import PlaybackSession

        now = datetime.now(UTC)
        rows = [
            PlaybackSession(
                id=uuid.uuid4(),
                video=self.video,
                version=VERSION,
                access="free",
                viewer_key=f"user:{number}",
                expires_at=now + timedelta(hours=12),
                ended_at=now - timedelta(minutes=5) if number < ENDED else None,
                end_reason="stopped" if number < ENDED else "",
            )
            for number in range(SESSIONS)
        ]
        PlaybackSession.objects.bulk_create(rows, batch_size=1000)
        return [row.pk for row in rows[ENDED:]]

    def grant(self, session: uuid.UUID) -> str:
        """Return a playback grant of a session, for 12 hours."""
        from streaming.delivery import grants

        until = int(time.time()) + 12 * 3600
        return grants.mint(session, self.video.pk, until, AGENT, "127.0.0.1")

    def paths(self, server: str, kinds: list[str]) -> Path:
        """Write the paths for wrk, one a line: each kind of file for each viewer. Return the file."""
        lines = []
        for viewer, session in enumerate(self.viewers[:VIEWERS]):
            grant = self.grant(session)
            for kind in kinds:
                suffix = "m3u8" if kind == "playlist" else "m4s"
                lines.append(self.path(server, grant, f"{kind}-{viewer % SEGMENTS}.{suffix}"))
        listing = self.folder / f"{server}-{'-'.join(kinds)}.txt"
        listing.write_text("\n".join(lines) + "\n")
        return listing

    def path(self, server: str, grant: str, name: str) -> str:
        """Return the path of a file. Raw nginx has no grants, so that its paths have none."""
        prefix = "" if server == "nginx" else f"/media/{grant}"
        return f"{prefix}/{self.video.pk}/{VERSION}/{name}"


# --- the servers ----------------------------------------------------------------------------------


class Server:
    """A running server and its port."""

    def __init__(self, process: subprocess.Popen, port: int):
        self.process, self.port = process, port

    def cpu_seconds(self) -> float:
        """Return the user and system time of the process and of all its descendants."""
        ticks = os.sysconf("SC_CLK_TCK")
        total, pids = 0, [self.process.pid]
        for pid in pids:
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
                for task in Path(f"/proc/{pid}/task").iterdir():
                    pids += map(int, (task / "children").read_text().split())
        return total / ticks


@contextlib.contextmanager
def running(command: list[str], port: int, environment: dict[str, str] | None = None):
    """Run a server until the block ends, in its own process group. ``environment`` adds variables."""
    variables = {**os.environ, **(environment or {})}
    process = subprocess.Popen(command, cwd=REPO, start_new_session=True, env=variables)
    try:
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{command[0]} did not start within 30 seconds.")
            time.sleep(0.1)
        time.sleep(1.5)  # until every worker has started
        yield Server(process, port)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_nginx(
    folder: Path,
    stage: Stage,
    workers: int,
    program: str,
    tls: tuple[Path, Path] | None = None,
):
    port, config = free_port(), folder / "nginx.conf"
    folder.chmod(0o755)  # nginx's workers are another user when it is started by root
    ssl = (
        f" ssl; ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]}; ssl_session_cache shared:a:1m"
        if tls
        else ""
    )
    given = {"workers": workers, "folder": folder, "port": port, "root": stage.root, "tls": ssl}
    config.write_text(NGINX.format(**given))
    return running([program, "-c", str(config), "-e", str(folder / "nginx.log")], port)


def start_delivery(options):
    port = free_port()
    command = [
        sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(port),
        "--workers", str(options.workers), "--loop", "uvloop", "--http", options.http,
        "--no-access-log", "--no-server-header", "--log-level", "critical",
        "--timeout-graceful-shutdown", "2",
    ]  # fmt: skip
    return running(command, port)


class Client:
    """One HTTP connection that reads only when a method asks for it."""

    def __init__(self, port: int, receive_buffer: int | None = None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path: str) -> None:
        """Send a request without reading the answer."""
        text = f"GET {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: {AGENT}\r\n\r\n"
        self.socket.sendall(text.encode())

    def fetch(self, path: str) -> tuple[int, bytes]:
        """Send a request and return status and body of a small answer."""
        self.ask(path)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.socket.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        while len(body) < length:
            body += self.socket.recv(65536)
        return int(head.split()[1]), body
