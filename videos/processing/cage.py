"""The only door through which programs are started.

Everything about a video is untrusted, and FFmpeg is two million lines of C. So: argument lists,
never a shell; no stdin, no environment; hard limits on CPU, memory, file size and open files; a
session of its own, killed as a group; no more than a bounded part of what it says is kept; and it
dies with its worker, even when the worker is killed (Linux). Works on Linux and macOS.
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

from django.conf import settings

from .errors import ToolFailed, ToolMissing
from .sandbox import Sandbox

LAUNCHER = Path(__file__).with_name("launcher.py")
STDERR_KEPT = 64 * 1024
STDOUT_KEPT = 8 * 1024 * 1024
LINE_KEPT = 64 * 1024
OPEN_FILES = 256
TICK_SECONDS = 0.5
TRIAL_SECONDS = 10
LAST_WORDS_SECONDS = 5
# What the launcher and bubblewrap say when the tool never ran: not a verdict on the video.
NEVER_STARTED = ("launcher: ", "bwrap: ")
# A crash inside bubblewrap comes out as 128 + signal. FFmpeg's own exit codes reach up there
# too, so only signals that mean a crash or a limit count.
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
    """A program that ended by itself. ``stdout`` is empty if lines were streamed."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def ran_out_of_memory(self) -> bool:
        return "Cannot allocate memory" in self.stderr


@dataclass
class _Listener:
    """What a program has said so far, bounded, and when it last showed a sign of life."""

    on_line: Callable[[str], bool] | None
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    alive_at: float = field(default_factory=time.monotonic)

    def hear_stdout(self, chunk: bytes) -> None:
        self.stdout += chunk
        if self.on_line is None:
            if len(self.stdout) > STDOUT_KEPT:
                raise ToolFailed("The tool wrote far more than it should.")
            return
        *lines, rest = bytes(self.stdout).split(b"\n")
        self.stdout = bytearray(rest[-LINE_KEPT:])
        for line in lines:
            if self.on_line(line.decode(errors="replace")):
                self.alive_at = time.monotonic()

    def hear_stderr(self, chunk: bytes) -> None:
        self.stderr += chunk
        del self.stderr[:-STDERR_KEPT]


def describe() -> Sandbox:
    """The sandbox ``FFMPEG_SANDBOX`` asks for: for every run, the start-up log, the deploy check.

    Raises ToolMissing if the setting demands bubblewrap and it doesn't work here.
    """
    wanted = settings.FFMPEG_SANDBOX
    if wanted == "limits":
        return Sandbox("limits", "resource limits only, as FFMPEG_SANDBOX says")
    found = _try_bubblewrap(shutil.which("bwrap") or "")
    if wanted == "bwrap" and not found.program:
        raise ToolMissing(f"FFMPEG_SANDBOX=bwrap, but {found.detail}.")
    return found


@lru_cache(maxsize=4)
def _try_bubblewrap(program: str) -> Sandbox:
    """Start it once for real: many containers install it and forbid the namespaces it needs."""
    if not program:
        return Sandbox("limits", "bubblewrap is not installed")
    found = Sandbox("bwrap", "", program)
    try:
        done = subprocess.run(  # noqa: S603 (an argument list of our own)
            found.wrap([program, "--version"]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRIAL_SECONDS,
            env={},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Sandbox("limits", f"bubblewrap does not start ({type(error).__name__})")
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()[:200]
        return Sandbox("limits", f"bubblewrap does not work here ({reason})")
    version = done.stdout.decode(errors="replace").strip()
    return Sandbox("bwrap", f"{version}: no network, only the job's own files", program)


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
    """Run ``argv`` in the cage and return when it has ended by itself, with whatever exit code.

    ``argv[0]`` is an absolute path. ``reads`` (files) and ``writes`` (directories) are all of the
    caller's files it sees under bubblewrap; ``cwd`` is one of them; no file may grow beyond
    ``file_bytes``. ``on_line`` gets each line of stdout and answers whether it shows progress:
    after ``stall_seconds`` without, the tool is killed. ``on_tick`` is called about twice a second.
    Either may raise to stop the work.

    Raises ToolFailed on a limit, a stall or a crash. Whatever is raised, the whole process group
    is gone when this returns.
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
        raise ToolFailed(f"{_name(argv)} died of {signal.Signals(number).name}. {stderr[-2000:]}")
    if returncode and stderr.startswith(NEVER_STARTED):
        raise ToolFailed(f"{_name(argv)} did not start: {stderr[:500]}")
    return Finished(returncode, "" if on_line else listener.stdout.decode(errors="replace"), stderr)


def _start(
    argv: list[str], *, cpu_seconds: float, file_bytes: int, cwd: Path | None
) -> subprocess.Popen:
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
    except OSError as error:  # no process or memory to be had
        raise ToolFailed(f"No process could be started: {error}") from error


def _listen(
    process: subprocess.Popen,
    listener: _Listener,
    deadline: float,
    stall_seconds: float | None,
    on_tick: Callable[[], None] | None,
) -> None:
    """Take in both pipes until they close; raise at a limit."""
    next_tick = 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, listener.hear_stdout)
        selector.register(process.stderr, selectors.EVENT_READ, listener.hear_stderr)
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


def _end(process: subprocess.Popen) -> None:
    """Kill what is left of the process group and see it gone."""
    if process.poll() is None:
        # SIGTERM is not enough: a decoder in a loop does not look at it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _await_silence(process)
    process.stdout.close()
    process.stderr.close()


def _await_silence(process: subprocess.Popen) -> None:
    """Wait until nobody holds the pipes: then descendants of the group leader are gone as well."""
    deadline = time.monotonic() + LAST_WORDS_SECONDS
    for pipe in (process.stdout, process.stderr):
        os.set_blocking(pipe.fileno(), False)
        while time.monotonic() < deadline:
            try:
                if not os.read(pipe.fileno(), 65536):
                    break
            except BlockingIOError:
                time.sleep(0.01)


def _name(argv: list[str]) -> str:
    return Path(argv[0]).name
