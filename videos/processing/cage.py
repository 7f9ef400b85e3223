"""The cage: the only module that starts programs.

An uploaded file is untrusted, and FFmpeg is two million lines of C that read it. A program in the
cage therefore

* gets a list of arguments and no shell, no stdin and no environment;
* has hard limits on CPU time, memory, file size, open files and processes; memory and processes are
  counted for all its descendants together where a cgroup can be had (``cgroups``);
* runs in a session of its own, and its whole process group is killed at the end;
* may write as much as it likes, but only a bounded part of its output is kept;
* dies with its worker, even when the worker is killed (Linux).

Works on Linux and macOS.
"""

import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import IO

from django.conf import settings

from config import processors

from . import cgroups
from .errors import LimitReached, ToolBroke, ToolCrashed, ToolFailed, ToolMissing
from .isolation import Isolation
from .listener import Listener

LAUNCHER = Path(__file__).with_name("launcher.py")
OPEN_FILES = 256
# Processes and threads of one tool. x264 starts up to one and a half threads a core and rendition.
PROCESSES = 128 + 12 * min(processors.count(), 16)
TICK_SECONDS = 0.5
TRIAL_SECONDS = 10
LAST_WORDS_SECONDS = 5
# The launcher and bubblewrap begin their messages with these words when the tool did not start.
# Then the failure says nothing about the video.
NEVER_STARTED = ("launcher: ", "bwrap: ")
# Signals that a tool gets by its own fault: a crash, or a limit.
# Bubblewrap reports a tool that was killed by a signal with exit code 128 + signal. FFmpeg has exit
# codes of its own in that range, so only signals that mean a crash or a limit are recognised.
CRASHES = (
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGKILL,
    signal.SIGSEGV,
    signal.SIGSYS,
    signal.SIGXCPU,
    signal.SIGXFSZ,
)


@dataclass(frozen=True)
class Finished:
    """The result of a program that ended by itself.

    ``stdout`` is empty if ``on_line`` received the lines. ``stderr`` is at most its last 64 KiB.
    """

    returncode: int
    stdout: str
    stderr: str

    @property
    def ran_out_of_memory(self) -> bool:
        return "Cannot allocate memory" in self.stderr


def describe() -> Isolation:
    """Return the isolation in which programs run on this machine, as FFMPEG_SANDBOX demands it.

    "auto" is bubblewrap where it works, else limits only. ``detail`` also says what bounds memory and
    processes here. Raises ToolMissing if the setting is "bwrap" and bubblewrap does not work here.
    """
    wanted = settings.FFMPEG_SANDBOX
    if wanted == "limits":
        isolation = Isolation("limits", "resource limits only, as FFMPEG_SANDBOX demands")
    else:
        isolation = _try_bubblewrap(shutil.which("bwrap") or "")
    if wanted == "bwrap" and not isolation.program:
        raise ToolMissing(
            f"FFMPEG_SANDBOX=bwrap, but {isolation.detail}. "
            "Make bubblewrap work on this machine, or set FFMPEG_SANDBOX=auto."
        )
    return replace(isolation, detail=f"{isolation.detail}; {_bounds()}")


def _bounds() -> str:
    """Return in words what bounds the memory and the processes of a program."""
    if home := cgroups.home():
        return (
            f"memory and processes of all descendants bounded by a cgroup (version {home.version})"
        )
    kernel = "" if _is_real_root() else " and bounded for the user"
    return (
        "no cgroup can be made here: memory bounded for each process alone, processes counted twice a "
        f"second{kernel}"
    )


def _is_real_root() -> bool:
    """Return whether the kernel lets this process have any number of processes (see setrlimit(2))."""
    if os.geteuid() != 0:
        return False
    try:
        inside, outside, _ = Path("/proc/self/uid_map").read_text(encoding="ascii").split()[:3]
    except (OSError, ValueError):
        return True
    return (inside, outside) == ("0", "0")


@lru_cache(maxsize=4)
def _try_bubblewrap(program: str) -> Isolation:
    """Return the isolation by the bubblewrap at ``program``, or by limits only if it does not work.

    Bubblewrap is really started, once for each process: in many containers it is installed, but the
    namespaces that it needs are forbidden.
    """
    if not program:
        return Isolation("limits", "bubblewrap is not installed")
    try:
        done = subprocess.run(  # noqa: S603 (an argument list of our own)
            Isolation("bwrap", "", program).wrap([program, "--version"]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRIAL_SECONDS,
            env={},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Isolation("limits", f"bubblewrap does not start ({type(error).__name__})")
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()[:200]
        return Isolation("limits", f"bubblewrap does not work here ({reason})")
    version = done.stdout.decode(errors="replace").strip()
    return Isolation("bwrap", f"{version}: no network, only the job's own files", program)


def run(
    argv: list[str],
    *,
    reads: Iterable[Path] = (),
    writes: Iterable[Path] = (),
    cpu_seconds: float,
    wall_seconds: float,
    stall_seconds: float | None = None,
    file_bytes: int = 0,
    processes: int = PROCESSES,
    cwd: Path | None = None,
    on_line: Callable[[str], bool] | None = None,
    on_remark: Callable[[str], None] | None = None,
    on_tick: Callable[[], None] | None = None,
) -> Finished:
    """Run ``argv`` in the cage, and return its result when it has ended by itself with any exit code.

    ``argv[0]`` is an absolute path. Under bubblewrap the program sees only the files in ``reads`` and
    the folders in ``writes``; ``cwd`` must be one of these folders. No file may grow beyond
    ``file_bytes``, and there may be ``processes`` at the same time, threads included.

    ``on_line`` receives each line of stdout and returns whether the line shows progress; after
    ``stall_seconds`` without progress the program is killed. ``on_remark`` receives each line of stderr,
    and ``on_tick`` is called about twice a second. All may raise to stop the program; the exception is
    passed on.

    Raises LimitReached if a limit is exceeded, ToolBroke if the program aborts, ToolCrashed if it
    crashes, and ToolFailed if it stalls, is killed from outside or cannot be started. On return and on
    every exception all its processes have ended.
    """
    caged = describe().wrap(argv, reads=reads, writes=writes, cwd=cwd)
    group = _group(processes)
    began_at = time.monotonic()
    listener = Listener(on_line, on_remark)
    try:
        limits = _Limits(cpu_seconds, file_bytes, processes)
        process = _start(caged, limits, group=group, cwd=cwd)

        def tick() -> None:
            if limit := _limit_reached(process, group, processes):
                raise LimitReached(limit, f"{_name(argv)} reached its limit of {limit}.")
            if on_tick:
                on_tick()

        try:
            deadline = time.monotonic() + wall_seconds
            _listen(process, listener, deadline, stall_seconds, tick)
            returncode = process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            detail = f"{_name(argv)} did not end in {wall_seconds:.0f} s."
            raise LimitReached("time", detail, seconds=wall_seconds) from None
        finally:
            _end(process, group)
        stderr = listener.stderr.decode(errors="replace")
        if returncode and group and (limit := group.limit_reached()):
            raise LimitReached(
                limit, f"{_name(argv)} reached its limit of {limit}. {stderr[-2000:]}"
            )
    finally:
        if group:
            group.remove()
    number = -returncode if returncode < 0 else returncode - 128
    if returncode < 0 or number in CRASHES:
        # Processor time of bubblewrap's descendants is not reported, but this is how much it can be.
        could_use = (time.monotonic() - began_at) * processors.count()
        used_up = could_use >= 0.95 * cpu_seconds
        detail = f"{_name(argv)} was killed by {signal.Signals(number).name}. {stderr[-2000:]}"
        raise _of_signal(number, detail, cpu_seconds if used_up else 0)
    if returncode and stderr.startswith(NEVER_STARTED):
        raise ToolFailed(f"{_name(argv)} did not start: {stderr[:500]}")
    return Finished(returncode, "" if on_line else listener.stdout.decode(errors="replace"), stderr)


def _of_signal(number: int, detail: str, used_up: float) -> ToolFailed:
    """Return the error for a tool that a signal killed. ``used_up``: its seconds, 0 if not."""
    if number == signal.SIGXFSZ:
        return LimitReached("size", detail)
    if number == signal.SIGXCPU or (number == signal.SIGKILL and used_up):
        return LimitReached("time", detail, seconds=used_up)
    if number == signal.SIGABRT:  # the tool has found out by itself that it cannot go on
        return ToolBroke(detail)
    # Nothing in the cage sends SIGKILL and signals that are no crash, so they come from outside.
    is_crash = number in CRASHES and number != signal.SIGKILL
    return ToolCrashed(detail) if is_crash else ToolFailed(detail)


def _memory_bytes() -> int:
    return int(settings.FFMPEG_MEMORY_MB) * 1024 * 1024


def _group(processes: int) -> cgroups.Group | None:
    """Return a new cgroup for one program, or None where none can be had."""
    home = cgroups.home()
    if home is None:
        return None
    try:
        return cgroups.Group.make(home, memory=_memory_bytes(), processes=processes)
    except OSError as error:
        raise ToolFailed(f"No cgroup could be made: {error}") from error


@dataclass(frozen=True)
class _Limits:
    cpu_seconds: float
    file_bytes: int
    processes: int

    def arguments(self) -> list[str]:
        """Return the launcher's arguments.

        The kernel's limit on processes counts all of the user's, and those of other workers come and
        go. It is therefore wide: it stops a fork bomb between two counts of ``_limit_reached``.
        """
        processes = 8 * self.processes + _threads_of_user()
        cpu = max(1, int(self.cpu_seconds))
        numbers = (os.getpid(), cpu, _memory_bytes(), self.file_bytes, OPEN_FILES, processes)
        return list(map(str, numbers))


def _threads_of_user() -> int:
    """Return how many threads the user of this process has, as RLIMIT_NPROC counts them (Linux)."""
    return sum(threads for _, threads in _running() if threads)


def _limit_reached(
    process: subprocess.Popen[bytes], group: cgroups.Group | None, processes: int
) -> str:
    """Return the limit for all processes together that is reached: "memory", "processes" or ""."""
    if group:
        return group.limit_reached()
    return "processes" if sum(n for _, n in _running(process.pid)) > processes else ""


def _running(session: int = 0) -> Iterator[tuple[int, int]]:
    """Yield the process id and the threads of each process of our user, or of one session (Linux)."""
    mine = os.getuid()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            if not session and folder.stat().st_uid != mine:
                continue
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if not session or int(fields[3]) == session:
                yield int(folder.name), int(fields[17])


def _start(
    argv: list[str], limits: _Limits, *, group: cgroups.Group | None, cwd: Path | None
) -> subprocess.Popen[bytes]:
    joined = os.pathsep.join(map(str, group.joined_by)) if group else "-"
    try:
        return subprocess.Popen(  # noqa: S603 (an argument list, resolved by tools.py)
            [sys.executable, "-I", "-S", str(LAUNCHER), *limits.arguments(), joined, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=cwd,
            env={},
            start_new_session=True,
        )
    except OSError as error:  # the machine has no memory or process left
        raise ToolFailed(f"No process could be started: {error}") from error


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Return stdout and stderr, which ``_start`` always opens."""
    if process.stdout is None or process.stderr is None:
        raise RuntimeError("The program was started without pipes for its output.")
    return process.stdout, process.stderr


def _listen(
    process: subprocess.Popen[bytes],
    listener: Listener,
    deadline: float,
    stall_seconds: float | None,
    on_tick: Callable[[], None],
) -> None:
    """Read stdout and stderr until the program closes both, or has ended and left nothing to read.

    Raises TimeoutExpired after ``deadline`` (monotonic clock), and ToolFailed for a stall.
    """
    stdout, stderr = _pipes(process)
    next_tick = 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ, listener.hear_stdout)
        selector.register(stderr, selectors.EVENT_READ, listener.hear_stderr)
        while selector.get_map():
            ended = process.poll() is not None  # its descendants may still hold the pipes open
            ready = selector.select(0 if ended else TICK_SECONDS)
            if ended and not ready:
                return
            for key, _ in ready:
                if chunk := os.read(key.fd, 65536):
                    key.data(chunk)
                else:
                    selector.unregister(key.fileobj)
            now = time.monotonic()
            if now > deadline:
                raise subprocess.TimeoutExpired(process.args, 0)
            if stall_seconds and now - listener.alive_at > stall_seconds:
                raise ToolFailed(f"No progress for {stall_seconds:.0f} s.")
            if now >= next_tick:
                next_tick = now + TICK_SECONDS
                on_tick()


def _end(process: subprocess.Popen[bytes], group: cgroups.Group | None) -> None:
    """Kill what is left of the program's processes, and wait until all of them have ended."""
    # SIGTERM is not enough: a decoder in an endless loop does not react to it.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if group:  # also those that left the process group
        group.kill()
    process.wait()
    _await_silence(process)
    for pipe in _pipes(process):
        pipe.close()


def _await_silence(process: subprocess.Popen[bytes]) -> None:
    """Wait until no process holds the pipes open: then all descendants have ended as well.

    Waits at most LAST_WORDS_SECONDS.
    """
    deadline = time.monotonic() + LAST_WORDS_SECONDS
    for pipe in _pipes(process):
        os.set_blocking(pipe.fileno(), False)
        while time.monotonic() < deadline:
            try:
                if not os.read(pipe.fileno(), 65536):
                    break
            except BlockingIOError:
                time.sleep(0.01)


def _name(argv: list[str]) -> str:
    return Path(argv[0]).name
