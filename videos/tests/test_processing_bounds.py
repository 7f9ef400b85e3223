"""What the cage does with a program that forks without end, or takes all the memory it can get."""

import os
import signal
import subprocess
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from videos.processing import cage, cgroups
from videos.processing.errors import LimitReached, ToolBroke, ToolCrashed, ToolFailed

PYTHON = "/usr/bin/python3"  # a program that is also seen behind bubblewrap
BOMB = """
import os, time
for _ in range(300):
    try:
        if os.fork() == 0:
            {child}
            time.sleep({marker})
            os._exit(0)
    except OSError:
        print("refused", flush=True)
        time.sleep({pause})
        raise SystemExit(7)
time.sleep({pause})
"""
HOARD = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        held = bytearray(40_000_000)
        for place in range(0, len(held), 4096):
            held[place] = 1
        time.sleep(20)
        os._exit(0)
for _ in range(8):
    os.wait()
raise SystemExit(5)
"""


@pytest.fixture(params=["limits", "auto"], autouse=True)
def isolation(request, settings):
    """Run each test with limits only, and with bubblewrap where it works."""
    settings.FFMPEG_SANDBOX = request.param


@pytest.fixture
def without_cgroups(monkeypatch):
    monkeypatch.setattr(cgroups, "home", lambda: None)


@pytest.fixture(autouse=True)
def nothing_stays_behind(request):
    """Assert that no process and no cgroup of a test is left."""
    yield
    assert sleeping(request.node.name) == []
    home = cgroups.home()
    for folder in home.folders if home else ():
        assert list(folder.glob(f"{cgroups.PREFIX}{os.getpid()}-*")) == []


def marker(name: str) -> str:
    return f"6{abs(hash((name, os.getpid()))) % 10**6}.5"


def sleeping(name: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if marker(name) in " ".join(process.cmdline()) and process.status() != "zombie":
                found.append(process.pid)
        except psutil.NoSuchProcess:
            continue
    return found


def python(script: str, **options) -> cage.Finished:
    options = {"cpu_seconds": 20, "wall_seconds": 30} | options
    return cage.run([PYTHON, "-c", script], **options)


@pytest.mark.parametrize("child", ["pass", "os.setsid()"])
def test_a_fork_bomb_stops_at_the_bound_and_leaves_nothing_behind(request, child):
    if cgroups.home() is None:
        pytest.skip("missing: a cgroup that can be written")
    script = BOMB.format(marker=marker(request.node.name), child=child, pause=0)

    with pytest.raises(LimitReached, match="processes"):
        python(script, processes=40)


def test_without_a_cgroup_a_fork_bomb_is_counted_and_killed(request, without_cgroups):
    script = BOMB.format(marker=marker(request.node.name), child="pass", pause=20)

    begun = time.monotonic()
    with pytest.raises(LimitReached, match="processes"):
        python(script, processes=40)
    assert time.monotonic() - begun < 10


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_without_a_cgroup_the_kernel_counts_the_processes_of_other_users():
    """The launcher sets RLIMIT_NPROC, which the kernel does not hold against root."""
    script = textwrap.dedent(BOMB).format(marker="0.5", child="pass", pause=0)
    launch = [PYTHON, "-I", "-S", "-c", cage.LAUNCHER.read_text()]
    limits = ["PARENT", "20", str(1 << 30), "0", "64", "40", "-"]
    starter = (
        "import os, subprocess, sys\n"
        "os.setgid(61234); os.setuid(61234)\n"
        f"words = {launch + limits + [PYTHON, '-c', script]!r}\n"
        "words[words.index('PARENT')] = str(os.getpid())\n"
        "raise SystemExit(subprocess.run(words, start_new_session=True).returncode)\n"
    )

    done = subprocess.run([PYTHON, "-c", starter], capture_output=True, text=True, timeout=30)

    assert (done.stdout, done.returncode) == ("refused\n", 7), done.stderr


def test_the_memory_of_all_processes_together_is_limited(settings):
    if cgroups.home() is None:
        pytest.skip("missing: a cgroup that can be written")
    settings.FFMPEG_MEMORY_MB = 128  # each of the eight stays below it

    with pytest.raises(LimitReached, match="memory"):
        python(HOARD)


def test_memory_beyond_the_limit_is_refused_to_one_process(settings):
    settings.FFMPEG_MEMORY_MB = 128

    done = python("bytearray(400_000_000)")

    assert done.returncode == 1
    assert "MemoryError" in done.stderr


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", ToolCrashed),
        ("import os, signal; os.kill(os.getpid(), signal.SIGABRT)", ToolBroke),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ToolFailed),
        ("while True: pass", LimitReached),
    ],
)
def test_a_crash_a_limit_and_a_kill_from_outside_are_told_apart(script, kind):
    with pytest.raises(ToolFailed) as caught:
        # A SIGKILL counts as the limit once all of the time could be used up.
        python(script, cpu_seconds=1 if kind is LimitReached else 1000)

    assert type(caught.value) is kind


def test_the_groups_of_killed_processes_are_removed():
    home = cgroups.home()
    if home is None:
        pytest.skip("missing: a cgroup that can be written")
    for folder in home.folders:
        (folder / f"{cgroups.PREFIX}99999999-left").mkdir()

    python("pass")

    assert not any(
        Path(folder, f"{cgroups.PREFIX}99999999-left").exists() for folder in home.folders
    )


def test_the_description_says_what_bounds_memory_and_processes(monkeypatch):
    if home := cgroups.home():
        assert f"bounded by a cgroup (version {home.version})" in cage.describe().detail
    monkeypatch.setattr(cgroups, "home", lambda: None)
    assert "processes" in cage.describe().detail
    assert signal.SIGKILL in cage.CRASHES
