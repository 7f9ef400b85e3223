"""`make run` from the first line to Ctrl-C, and what can be in its way."""
# ruff: noqa: S104 - 0.0.0.0 is a setting here

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection

from config import env, listening, supervisor
from config.tests.test_env import GOOD, python

pytestmark = pytest.mark.journeys


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def taken():
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def database_url(django_db_blocker):
    """The URL of an empty database of its own: in DATA_DIR, or on the PostgreSQL of the test run."""
    if connection.vendor == "sqlite":
        yield ""
        return
    name = f"start_{time.monotonic_ns()}"
    with django_db_blocker.unblock(), connection._nodb_cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        yield urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Start:
    """A running `python -m …` with its output, ended at the end of the test."""

    def __init__(self, tmp_path: Path, *arguments: str, **values: str):
        self.log = tmp_path / f"log-{time.monotonic_ns()}"
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=env.BASE_DIR,
            env={
                **os.environ,
                **GOOD,
                "WEB_WORKERS": "1",
                "DATABASE_URL": "",
                "DATA_DIR": str(tmp_path / "data"),
                **values,
            },
            stdout=self.log.open("a"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # As in a terminal. A shell starts what runs in its background with Ctrl-C ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def wait_for(self, text: str, seconds: float = 120) -> None:
        give_up_at = time.monotonic() + seconds
        while text not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < give_up_at, self.said()
            time.sleep(0.02)

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, as Ctrl-C does, and return the exit status."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        return self.process.wait(timeout=60)


@pytest.fixture
def start(tmp_path):
    started: list[Start] = []

    def begin(*arguments: str, **values: str) -> Start:
        started.append(Start(tmp_path, *arguments, **values))
        return started[-1]

    yield begin
    for each in started:
        each.end(signal.SIGTERM)


def test_the_banner_comes_when_the_service_answers_and_ctrl_c_is_quiet(start, port, tmp_path):
    first = start("-m", "config.bootstrap", PORT=str(port))
    first.wait_for("stop               Ctrl-C")

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready") as answer:
        assert answer.status == 200
    said = first.said()
    steps = [
        "Migrating the database",
        "Seeding",
        "Starting the web",
        f"on http://127.0.0.1:{port}\n",
    ]
    assert sorted(steps, key=said.index) == steps
    assert f"make demo PORT={port} " in said

    second = python(
        "-m", "config.bootstrap", DATA_DIR=str(tmp_path / "data"), PORT=str(port), WEB_WORKERS="1"
    )
    assert second.returncode == 0
    assert second.stdout.startswith(
        f"The service already runs on http://127.0.0.1:{port} (process "
    )
    other = python(
        "manage.py", "serve", DATA_DIR=str(tmp_path / "data"), PORT="9", HOST="192.0.2.1"
    )
    assert other.stdout.startswith("Note: process ")
    assert f"serves the same data on port {port}. Both work together" in other.stdout
    demo = python("manage.py", "demo", DATA_DIR=str(tmp_path / "data"), PORT="9")
    assert demo.returncode == 1
    assert demo.stderr.endswith(f"the service runs on port {port}: make demo PORT={port}\n")

    assert first.end() == 0
    assert "Traceback" not in first.said()
    assert list(supervisor.running(tmp_path / "data")) == []


def test_ctrl_c_during_the_first_migration_is_quiet_and_the_next_start_goes_on(
    start, port, tmp_path, database_url
):
    values = {"PORT": str(port), "DATABASE_URL": database_url}
    for delay in (0, 0.3, 0.6, 0.9):  # a quick machine seeds by then, a slow one still migrates
        interrupted = start("-m", "config.bootstrap", **values)
        interrupted.wait_for("\n")
        time.sleep(delay)

        assert interrupted.end() in {0, 130}  # 0 if it was so quick that the supervisor runs
        assert "Traceback" not in interrupted.said()
        last = interrupted.said().splitlines()[-1]
        assert last == "Stopped." or "Starting the web server" in interrupted.said()

    start("-m", "config.bootstrap", **values).wait_for("stop               Ctrl-C")
    values["DATA_DIR"] = str(tmp_path / "data")
    seeded = python("manage.py", "migrate", "--check", **values)
    assert (seeded.returncode, seeded.stderr) == (0, "")


def test_a_process_of_the_service_can_be_stopped_from_its_fork_on(start):
    """Seen once: Ctrl-C right after the start. supervisord's handler took the signal in the new process,
    before the program ran there, and the service stayed until it was killed."""
    program = """
import os, signal, time
from config import supervisor
signal.signal(signal.SIGTERM, lambda *_: None)
supervisor._stop_new_processes_at_once()
child = os.fork()
if not child:
    time.sleep(30)
    os._exit(0)
os.kill(child, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    begun = start("-c", program)

    assert begun.process.wait(timeout=60) == 0
    assert begun.said() == "-15\n"


def test_ctrl_c_is_not_lost_in_a_destructor(start, port):
    """Python drops a KeyboardInterrupt that is raised there, and the service would have run on."""
    program = """
import os, signal, sys, time
from config import bootstrap, supervisor
class Collected:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
supervisor.running = lambda folder: iter([] if Collected() else [])
sys.exit(bootstrap.main())
"""
    started = start("-c", program, PORT=str(port))

    assert started.process.wait(timeout=60) == 130
    assert started.said() == "\nStopped.\n"


def test_ctrl_c_is_not_lost_while_the_supervisor_starts(start, port, tmp_path):
    """Seen once: the signal came between the two programs, and the service ran on."""
    program = """
import os, signal, sys
from pathlib import Path
from config import supervisor
real = os.execv
def execv(path, command):
    os.kill(os.getpid(), signal.SIGINT)
    real(path, command)
os.execv = execv
supervisor.become(Path(sys.argv[1]), int(sys.argv[2]))
"""
    (tmp_path / "data").mkdir()
    started = start("-c", program, str(tmp_path / "data"), str(port))

    assert started.process.wait(timeout=60) == 130
    assert started.said() == ""


def test_a_signal_in_the_middle_of_a_migration_waits_for_its_record(tmp_path):
    """The signal comes while Django records the first migration, which is already committed."""
    program = """
import os, signal, sys
from unittest import mock
import django
django.setup()
from django.core.management import call_command
from django.db.migrations.executor import MigrationExecutor
from config.sqlite3 import new
new.make = lambda connection: False  # the migrations run
record = MigrationExecutor.record_migration
def interrupted(self, migration):
    os.kill(os.getpid(), signal.SIGINT)
    record(self, migration)
with mock.patch.object(MigrationExecutor, "record_migration", interrupted):
    try:
        call_command("migrate", verbosity=0)
    except KeyboardInterrupt:
        print("stopped")
call_command("migrate", verbosity=0)
print("migrated")
"""
    run = python("-c", program, DATA_DIR=str(tmp_path), DJANGO_SETTINGS_MODULE="config.settings")

    assert run.stdout == "stopped\nmigrated\n", run.stderr


def test_a_port_in_use_is_one_sentence(tmp_path, taken):
    run = python("manage.py", "serve", DATA_DIR=str(tmp_path), PORT=str(taken))

    assert run.returncode == 1
    assert run.stderr == (
        f"CommandError: Port {taken} on 127.0.0.1 is in use by another program."
        f" Choose another port: make run PORT={taken + 1}\n"
    )
    assert not (tmp_path / "db.sqlite3").exists()


def test_a_port_that_is_taken_meanwhile_ends_the_start_without_a_banner(start, taken, tmp_path):
    (tmp_path / "data").mkdir()
    values = {
        "PORT": str(taken), "PYTHON": sys.executable,
        "SUPERVISOR_PIDFILE": str(tmp_path / "data" / f"supervisord-{taken}.pid"),
    }  # fmt: skip
    conf = ["--configuration", "deploy/supervisord.conf"]
    user = ["--user", "root"] if os.geteuid() == 0 else []

    run = start("-m", "config.supervisor", *conf, *user, **values)

    run.process.wait(timeout=60)
    assert f"Port {taken} on 127.0.0.1 is in use by another program." in run.said()
    assert "Video on demand on" not in run.said()


def test_an_address_of_another_machine_is_one_sentence(tmp_path):
    run = python("manage.py", "serve", DATA_DIR=str(tmp_path), HOST="192.0.2.1", PORT="2329")

    assert run.returncode == 1
    assert run.stderr.startswith("CommandError: HOST=192.0.2.1: this machine cannot listen there (")
    assert len(run.stderr.splitlines()) == 1


def test_an_unknown_name_is_one_sentence():
    with pytest.raises(listening.CannotListen, match=r"^HOST=nowhere\.invalid: .*Use an address"):
        listening.bind("nowhere.invalid", 2329)


def test_another_program_with_the_number_of_an_old_supervisor_is_none(tmp_path):
    (tmp_path / "supervisord-2001.pid").write_text(str(os.getpid()))
    (tmp_path / "supervisord-2002.pid").write_text("")
    (tmp_path / "supervisord-x.pid").write_text("1")

    assert list(supervisor.running(tmp_path)) == []


@pytest.mark.parametrize(
    ("host", "allowed", "http", "proxies", "words"),
    [
        ("127.0.0.1", ["localhost"], False, [], None),
        ("::1", ["localhost"], False, [], None),
        ("0.0.0.0", ["localhost"], False, [], "are refused; needed: ALLOWED_HOSTS=…,<"),
        ("0.0.0.0", ["localhost", "nas.local"], False, [], "refused; needed: HTTPS through a"),
        ("0.0.0.0", ["127.0.0.1"], True, [], "are refused; needed: ALLOWED_HOSTS=…,<the name"),
        ("0.0.0.0", ["[::1]", "nas.local", "*"], True, [], "machines     http://nas.local:2330\n"),
        ("0.0.0.0", ["*"], True, [], "machines     http://<address>:2330\n"),
        ("::", ["vod.example"], False, ["10.0.0.1"], "through the proxy, as vod.example"),
    ],
)  # fmt: skip
def test_the_banner_says_how_other_machines_are_answered(
    settings, host, allowed, http, proxies, words
):
    settings.HOST, settings.PORT, settings.ALLOWED_HOSTS = host, 2330, allowed
    settings.ALLOW_HTTP, settings.TRUSTED_PROXIES = http, proxies

    said = f"{listening.banner()}\n"

    assert ("other machines" in said) is (words is not None)
    assert (words or "") in said
    assert "http://0.0.0.0" not in said


def test_the_demo_says_that_nothing_answers(tmp_path):
    run = python("manage.py", "demo", DATA_DIR=str(tmp_path), PORT="9")

    assert run.returncode == 1
    assert run.stderr.startswith("CommandError: Nothing answers at http://127.0.0.1:9 (")
    assert run.stderr.endswith("start the service in another terminal: make run PORT=9\n")
