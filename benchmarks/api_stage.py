"""The parts of the API benchmark: rows in the database, requests for wrk, and the servers."""

import contextlib
import itertools
import json
import os
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from delivery_stage import Server, free_port, running
from ledger import people, store

PASSWORD = "a long pass phrase"  # noqa: S105 - of made-up users in a database that is deleted
CREATORS, VIEWERS, SESSIONS, VIEWS = 100, 200, 500, 20_000
SAMPLE = 1000  # different requests of a row
NO_LIMITS = {f"RATE_LIMIT_{name}": "1000000000" for name in ("AUTH", "STREAM", "DEFAULT")}

LUA = """
local requests, next_request = {}, 0
function init(args)
  for line in io.lines(args[1]) do
    local method, path, token, body = line:match("([^\\t]*)\\t([^\\t]*)\\t([^\\t]*)\\t(.*)")
    local headers = {["Content-Type"] = "application/json"}
    if token ~= "" then headers["Authorization"] = "Bearer " .. token end
    if body == "" then body = nil end
    requests[#requests + 1] = wrk.format(method, path, headers, body)
  end
end
function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('RESULT {"requests":%d,"us":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d}\\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. wrk sends it, and the count of statements is made with it, too."""

    method: str
    path: str
    token: str = ""
    body: str = ""

    def line(self) -> str:
        return "\t".join((self.method, self.path, self.token, self.body))


def posted(path: str, token: str, **fields: object) -> Request:
    return Request("POST", path, token, json.dumps(fields))


@dataclass
class Stage:
    """The rows that the requests are about. Videos are added between the measurements."""

    folder: Path
    creators: list = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    videos: list[uuid.UUID] = field(default_factory=list)
    sessions: list[tuple[uuid.UUID, str]] = field(default_factory=list)
    wishes: Iterator[tuple[str, uuid.UUID]] = field(init=False)

    def __post_init__(self) -> None:
        from accounts import tokens

        (self.folder / "load.lua").write_text(LUA)
        self.creators = people(CREATORS, "creator")
        self.viewers = self._people_with_a_password()
        self.tokens = [tokens.issue(viewer).access for viewer in self.viewers]
        self.creator_token = tokens.issue(self.creators[0]).access
        self._bare_rows()

    def _people_with_a_password(self) -> list:
        from django.contrib.auth.hashers import make_password

        viewers = people(VIEWERS, "viewer")
        password = make_password(PASSWORD)
        for viewer in viewers:
            viewer.password = password
        type(viewers[0]).objects.bulk_update(viewers, ["password"])
        return viewers

    def _bare_rows(self) -> None:
        """Make the one table of the bare application's own."""
        from django.db import connection

        kind = "uuid" if connection.vendor == "postgresql" else "char(32)"
        key = "bigserial" if connection.vendor == "postgresql" else "integer"
        with connection.cursor() as cursor:
            cursor.execute(
                f"CREATE TABLE bare_row (id {key} PRIMARY KEY, user_id {kind} NOT NULL,"
                " position double precision NOT NULL)"
            )
            user = self.viewers[0].pk
            value = user if connection.vendor == "postgresql" else user.hex
            cursor.executemany(
                "INSERT INTO bare_row (user_id, position) VALUES (%s, 0)", [(value,)] * SESSIONS
            )

    def grow(self, count: int) -> None:
        """Add paid, playable videos until there are ``count``; the first time also what plays them."""
        from django.utils import timezone

        from videos.models import Tag, Video

        now, first = timezone.now(), not self.videos
        numbers = range(len(self.videos), count)
        rendition = {
            "name": "360p", "width": 640, "height": 360, "video_bitrate": 400_000,
            "codecs": "avc1.64001e,mp4a.40.2",
        }  # fmt: skip
        made = store(
            [
                Video(
                    creator=self.creators[number % CREATORS],
                    title=f"Harbour number {number}",
                    description=f"Fog, lights and the word{number % 500} of the night.",
                    category="documentary",
                    is_paid=number % 2 == 1,
                    price=1999 if number % 2 else 0,
                    status=Video.Status.READY,
                    created_at=now - timedelta(seconds=count - number),
                    published_at=now,
                    duration_seconds=3600.0,
                    width=640,
                    height=360,
                    renditions=[rendition],
                    source_path=f"sources/{number}",
                    current_version="v1",
                )
                for number in numbers
            ]
        )
        tags = [Tag.objects.get_or_create(name=f"tag{number}")[0] for number in range(20)]
        links = Video.tags.through
        for start in range(0, len(made), 5000):
            links.objects.bulk_create(
                links(video_id=video.pk, tag_id=tags[(number + step) % 20].pk)
                for number, video in enumerate(made[start : start + 5000])
                for step in range(3)
            )
        self.videos += [video.pk for video in made]
        if first:
            self._played(made)
            self.wishes = self._pairs()

    def _played(self, videos: list) -> None:
        """Make the playback sessions of the heartbeats, and views for the dashboard."""
        from analytics.models import VideoView
        from streaming.models import PlaybackSession

        now = datetime.now(UTC)
        sessions = store(
            [
                PlaybackSession(
                    user=self.viewers[number % VIEWERS], video=videos[number % len(videos)],
                    version="v1", access="free", viewer_key=f"user:{number}",
                    delivered_seconds=3600, created_at=now - timedelta(hours=1),
                    expires_at=now + timedelta(hours=12),
                )
                for number in range(SESSIONS)
            ]
        )  # fmt: skip
        self.sessions = [
            (session.pk, self.tokens[number % VIEWERS]) for number, session in enumerate(sessions)
        ]
        mine = [video for video in videos if video.creator_id == self.creators[0].pk]
        store(
            [
                VideoView(
                    video=mine[number % len(mine)], creator_id=self.creators[0].pk,
                    session=sessions[number], viewer_key=f"user:{number}",
                    at=now - timedelta(days=number % 30),
                )
                for number in range(SESSIONS)
            ]
        )  # fmt: skip

    def _pairs(self) -> Iterator[tuple[str, uuid.UUID]]:
        """Yield each pair of a viewer's token and a paid video once."""
        return itertools.product(self.tokens, self.videos[1::2])

    def listing(self, name: str, requests: Iterable[Request]) -> Path:
        """Write the requests for wrk, one a line, and return the file."""
        path = self.folder / f"{name.replace(' ', '-')}.txt"
        path.write_text("".join(f"{each.line()}\n" for each in requests))
        return path


# --- the servers ------------------------------------------------------------------------------------


def start(program: list[str], **settings: str):
    """Return a context in which a server of the benchmark runs on a free port."""
    port, here = free_port(), Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent)])
    environment = {"PYTHONPATH": path, "DATABASE_URL": database_url(), **NO_LIMITS, **settings}
    return running([sys.executable, "-m", *program, "--port", str(port)], port, environment)


def warm_up(server: Server) -> None:
    """Wait until the server answers, and some more until each of its processes does."""
    end = time.monotonic() + 60
    for _ in range(100):
        while True:
            with contextlib.suppress(OSError):
                connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
                connection.request("GET", "/api/v1/auth/me")
                connection.getresponse().read()
                connection.close()
                break
            if time.monotonic() > end:
                raise SystemExit("A server did not answer within a minute.")
            time.sleep(0.1)


def uvicorn(application: str, workers: int, http: str = "httptools") -> list[str]:
    return [
        "uvicorn", application, "--workers", str(workers), "--loop", "uvloop", "--http", http,
        "--no-access-log", "--no-server-header", "--log-level", "critical",
        "--timeout-graceful-shutdown", "2",
    ]  # fmt: skip


def granian(application: str, workers: int) -> list[str]:
    return [
        "granian", application, "--interface", "wsgi", "--workers", str(workers),
        "--no-ws", "--http", "1", "--log-level", "critical",
    ]  # fmt: skip


def database_url() -> str:
    """Return the URL of the benchmark's own database, for the servers."""
    from django.db import connection

    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
