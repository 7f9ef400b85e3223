"""The cage: the only module that starts programs.

An uploaded file is untrusted, and FFmpeg is two million lines of C that read it. A program in the
cage therefore

* gets a list of arguments and no shell, no stdin and no environment;
* has hard limits on CPU time, memory, file size and open files;
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
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO

from django.conf import settings

from .errors import ToolFailed, ToolMissing
from .isolation import Isolation

LAUNCHER = Path(__file__).with_name("launcher.py")
STDERR_KEPT = 64 * 1024
STDOUT_KEPT = 8 * 1024 * 1024
LINE_KEPT = 64 * 1024
OPEN_FILES = 256
TICK_SECONDS = 0.5
TRIAL_SECONDS = 10
LAST_WORDS_SECONDS = 5
# The launcher and bubblewrap begin their messages with these words when the tool did not start.
# Then the failure says nothing about the video.
NEVER_STARTED = ("launcher: ", "bwrap: ")
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


@dataclass
class _Listener:
    """The output of a running program so far, bounded, and the time of its last progress.

    ``alive_at`` is on the monotonic clock. Progress is a line for which ``on_line`` returned True.
    """

    on_line: Callable[[str], bool] | None
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    alive_at: float = field(default_factory=time.monotonic)

    def hear_stdout(self, chunk: bytes) -> None:
        """Keep ``chunk``, or pass its complete lines to ``on_line``. ToolFailed over STDOUT_KEPT."""
        self.stdout += chunk
        if self.on_line is None:
            if len(self.stdout) > STDOUT_KEPT:
                raise ToolFailed(f"The tool wrote more than {STDOUT_KEPT} bytes to stdout.")
            return
        *lines, unfinished = bytes(self.stdout).split(b"\n")
        self.stdout = bytearray(unfinished[-LINE_KEPT:])
        for line in lines:
            if self.on_line(line.decode(errors="replace")):
                self.alive_at = time.monotonic()

    def hear_stderr(self, chunk: bytes) -> None:
        """Keep the last STDERR_KEPT bytes."""
        self.stderr += chunk
        del self.stderr[:-STDERR_KEPT]


def describe() -> Isolation:
    """Return the isolation in which programs run on this machine, as FFMPEG_SANDBOX demands it.

    "auto" is bubblewrap where it works, else limits only. Raises ToolMissing if the setting is
    "bwrap" and bubblewrap does not work here.
    """
    wanted = settings.FFMPEG_SANDBOX
    if wanted == "limits":
        return Isolation("limits", "resource limits only, as FFMPEG_SANDBOX demands")
    isolation = _try_bubblewrap(shutil.which("bwrap") or "")
    if wanted == "bwrap" and not isolation.program:
        raise ToolMissing(
            f"FFMPEG_SANDBOX=bwrap, but {isolation.detail}. "
            "Make bubblewrap work on this machine, or set FFMPEG_SANDBOX=auto."
        )
    return isolation


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
    cwd: Path | None = None,
    on_line: Callable[[str], bool] | None = None,
    on_tick: Callable[[], None] | None = None,
) -> Finished:
    """Run ``argv`` in the cage, and return its result when it has ended by itself with any exit code.

    ``argv[0]`` is an absolute path. Under bubblewrap the program sees only the files in ``reads`` and
    the folders in ``writes``; ``cwd`` must be one of these folders. No file may grow beyond
    ``file_bytes``.

    ``on_line`` receives each line of stdout and returns whether the line shows progress; after
    ``stall_seconds`` without progress the program is killed. ``on_tick`` is called about twice a
    second. Both may raise to stop the program; the exception is passed on.

    Raises ToolFailed if a limit is exceeded, or the program stalls, crashes or cannot be started.
    On return and on every exception the whole process group has ended.
    """
    caged = describe().wrap(argv, reads=reads, writes=writes, cwd=cwd)
    process = _start(caged, cpu_seconds=cpu_seconds, file_bytes=file_bytes, cwd=cwd)
    listener = _Listener(on_line)
    try:
        deadline = time.monotonic() + wall_seconds
        _listen(process, listener, deadline, stall_seconds, on_tick)
        returncode = process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise ToolFailed(f"{_name(argv)} did not end in {wall_seconds:.0f} s.") from None
    finally:
        _end(process)
    stderr = listener.stderr.decode(errors="replace")
    if returncode < 0 or returncode - 128 in CRASHES:
        number = -returncode if returncode < 0 else returncode - 128
        name = signal.Signals(number).name
        raise ToolFailed(f"{_name(argv)} was killed by {name}. {stderr[-2000:]}")
    if returncode and stderr.startswith(NEVER_STARTED):
        raise ToolFailed(f"{_name(argv)} did not start: {stderr[:500]}")
    return Finished(returncode, "" if on_line else listener.stdout.decode(errors="replace"), stderr)


def _start(
    argv: list[str], *, cpu_seconds: float, file_bytes: int, cwd: Path | None
) -> subprocess.Popen[bytes]:
    memory = settings.FFMPEG_MEMORY_MB * 1024 * 1024
    limits = (os.getpid(), max(1, int(cpu_seconds)), memory, file_bytes, OPEN_FILES)
    try:
        return subprocess.Popen(  # noqa: S603 (an argument list, resolved by tools.py)
            [sys.executable, "-I", "-S", str(LAUNCHER), *map(str, limits), *argv],
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
    listener: _Listener,
    deadline: float,
    stall_seconds: float | None,
    on_tick: Callable[[], None] | None,
) -> None:
    """Read stdout and stderr until the program closes both.

    Raises TimeoutExpired after ``deadline`` (monotonic clock), and ToolFailed for a stall.
    """
    stdout, stderr = _pipes(process)
    next_tick = 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ, listener.hear_stdout)
        selector.register(stderr, selectors.EVENT_READ, listener.hear_stderr)
        while selector.get_map():
            for key, _ in selector.select(TICK_SECONDS):
                if chunk := os.read(key.fd, 65536):
                    key.data(chunk)
                else:
                    selector.unregister(key.fileobj)
            now = time.monotonic()
            if now > deadline:
                raise subprocess.TimeoutExpired(process.args, 0)
            if stall_seconds and now - listener.alive_at > stall_seconds:
                raise ToolFailed(f"No progress for {stall_seconds:.0f} s.")
            if on_tick and now >= next_tick:
                next_tick = now + TICK_SECONDS
                on_tick()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process group if the program still runs, and wait until all its processes have ended."""
    if process.poll() is None:
        # SIGTERM is not enough: a decoder in an endless loop does not react to it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
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
