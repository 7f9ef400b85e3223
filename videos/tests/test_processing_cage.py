"""The limits of a program in the cage, and how it ends."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import psutil
import pytest
from django.conf import settings as configured

from videos.processing import cage, tools
from videos.processing.errors import ToolFailed, ToolMissing

SHELL = "/bin/sh"


@pytest.fixture(params=["limits", "auto"], autouse=True)
def isolation(request, settings):
    """Run each test with limits only, and with bubblewrap where it works."""
    settings.FFMPEG_SANDBOX = request.param
    return cage.describe().name


def shell(script, **options):
    options = {"cpu_seconds": 20, "wall_seconds": 30} | options
    return cage.run([SHELL, "-c", script], **options)


def processes_saying(marker):
    matching = []
    for process in psutil.process_iter():
        try:
            if marker in " ".join(process.cmdline()) and process.status() != "zombie":
                matching.append(process)
        except psutil.NoSuchProcess:
            continue
    return matching


def test_the_exit_code_and_both_outputs_come_back():
    done = shell("echo out; echo err >&2; exit 3")

    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_lines_are_streamed():
    lines: list[str] = []

    def note(line):
        lines.append(line)
        return True

    done = shell("echo one; echo two", on_line=note)

    assert lines == ["one", "two"]
    assert done.stdout == ""


def test_a_program_gets_no_environment_and_no_input(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "hunter2")

    done = shell("env; cat")

    assert "hunter2" not in done.stdout
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert names <= {"PWD", "OLDPWD", "SHLVL", "_"}


def test_a_program_runs_in_a_session_of_its_own():
    marker = f"29.{os.getpid()}1"
    sessions: list[int] = []

    def look():  # from outside: the cage may have no /proc of its own
        with contextlib.suppress(ProcessLookupError):
            sessions.extend(os.getsid(process.pid) for process in processes_saying(marker))
        if sessions:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shell(f"sleep {marker}; true", on_tick=look)

    assert os.getsid(0) not in sessions


def test_a_program_that_does_not_start_is_a_failed_tool(tmp_path):
    with pytest.raises(ToolFailed, match="did not start"):
        cage.run([str(tmp_path / "nowhere")], cpu_seconds=5, wall_seconds=10)


def test_a_flood_of_errors_is_kept_to_its_last_64_kilobytes():
    done = shell("head -c 30000000 /dev/zero >&2; echo last >&2")

    assert len(done.stderr) == 64 * 1024
    assert done.stderr.endswith("last\n")


def test_a_flood_of_output_is_a_failure():
    with pytest.raises(ToolFailed, match="wrote more than"):
        shell("while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done")


def test_a_line_without_an_end_does_not_fill_the_memory():
    done = shell("head -c 30000000 /dev/zero", on_line=lambda line: True)

    assert done.returncode == 0


def test_time_is_limited_even_if_sigterm_is_ignored():
    marker = f"31.{os.getpid()}1"
    started = time.monotonic()

    with pytest.raises(ToolFailed, match="did not end"):
        shell(f"trap '' TERM INT HUP; sleep {marker} & sleep {marker}", wall_seconds=1)

    assert time.monotonic() - started < 6
    assert processes_saying(marker) == []


def test_a_stall_is_noticed_though_lines_keep_coming():
    with pytest.raises(ToolFailed, match="No progress"):
        shell(
            "while :; do echo frame=1; sleep 0.1; done",
            stall_seconds=1,
            on_line=lambda line: False,
        )


def test_processor_time_is_limited():
    with pytest.raises(ToolFailed, match="SIGKILL"):
        shell("while :; do :; done", cpu_seconds=1)


def test_the_size_of_files_is_limited(tmp_path):
    with pytest.raises(ToolFailed, match="SIGXFSZ"):
        cage.run(
            ["/bin/dd", "if=/dev/zero", f"of={tmp_path}/big", "bs=1000", "count=100"],
            writes=[tmp_path],
            cpu_seconds=5,
            wall_seconds=10,
            file_bytes=10_000,
        )

    assert (tmp_path / "big").stat().st_size <= 10_000


def test_memory_is_limited(settings):
    settings.FFMPEG_MEMORY_MB = 256

    done = cage.run(
        [str(tools.ffmpeg()), "-v", "error", "-f", "lavfi", "-i", "color=size=8000x8000",
         "-frames:v", "4", "-c:v", "libx264", "-f", "null", "-"],
        cpu_seconds=20, wall_seconds=30,
    )  # fmt: skip

    assert done.returncode != 0


def test_an_exception_of_the_caller_kills_the_whole_group():
    marker = f"32.{os.getpid()}2"

    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shell(f"sleep {marker} & echo now; sleep {marker}", on_line=stop)

    assert processes_saying(marker) == []


only_behind_bubblewrap = pytest.mark.parametrize("isolation", ["auto"], indirect=True)


def need_bubblewrap(isolation):
    if isolation != "bwrap":
        pytest.skip("missing: bubblewrap, installed and allowed to make namespaces")


@only_behind_bubblewrap
def test_only_named_files_can_be_read(tmp_path, isolation):
    need_bubblewrap(isolation)
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "secret").write_text("secret")
    script = f"cat {tmp_path}/secret {tmp_path}/mine; echo x > {tmp_path}/mine; ls /root /home /etc"

    done = shell(script, reads=[tmp_path / "mine"])

    assert "mine" in done.stdout
    assert "secret" not in done.stdout
    assert "passwd" not in done.stdout
    assert (tmp_path / "mine").read_text() == "mine"


@only_behind_bubblewrap
def test_there_is_no_network(isolation):
    need_bubblewrap(isolation)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        done = cage.run(
            [str(tools.ffmpeg()), "-v", "error", "-i", address], cpu_seconds=5, wall_seconds=10
        )
        with pytest.raises(TimeoutError):
            server.accept()
    assert done.returncode != 0


def test_a_missing_bubblewrap_is_reported_if_the_setting_demands_it(settings, monkeypatch):
    settings.FFMPEG_SANDBOX = "bwrap"
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ToolMissing, match="FFMPEG_SANDBOX=bwrap, but bubblewrap is not installed"):
        cage.describe()


def test_a_bubblewrap_that_does_not_start_is_not_used(settings, monkeypatch, tmp_path):
    settings.FFMPEG_SANDBOX = "auto"
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert cage.describe().name == "limits"
    assert "No permissions" in cage.describe().detail
    assert shell("echo works").stdout == "works\n"


WORKER = """
    import sys
    from pathlib import Path
    from django.conf import settings

    settings.configure(FFMPEG_SANDBOX={sandbox!r}, FFMPEG_MEMORY_MB=4096, FFMPEG_PATH="")
    from videos.processing import cage, tools

    print("ready", flush=True)
    cage.run(
        [str(tools.ffmpeg()), "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=64x64",
         "-metadata", "comment={marker}", "-f", "null", "-"],
        cpu_seconds=100, wall_seconds=100,
    )
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_a_killed_worker_takes_ffmpeg_with_it(settings):
    marker = f"orphan-{os.getpid()}-{settings.FFMPEG_SANDBOX}"
    script = textwrap.dedent(WORKER).format(sandbox=settings.FFMPEG_SANDBOX, marker=marker)
    worker = subprocess.Popen(
        [sys.executable, "-c", script], cwd=configured.BASE_DIR, stdout=subprocess.PIPE
    )
    assert worker.stdout is not None
    try:
        assert worker.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 10
        while not (running := started(marker, worker.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert running
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()

    _, alive = psutil.wait_procs(running, timeout=5)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def started(marker, worker):
    """Return the FFmpeg processes, without launchers that have not become FFmpeg yet."""
    # A new psutil.Process each time: it caches the program, and the launcher changes its own.
    return [
        process
        for process in processes_saying(marker)
        if process.pid != worker and psutil.Process(process.pid).exe().endswith(tools.ffmpeg().name)
    ]
