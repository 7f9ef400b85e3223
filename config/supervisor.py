"""The supervisor of `make run`: supervisord with our configuration, in a process without Django."""

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from config.command_line import INTERRUPTED

BASE_DIR = Path(__file__).resolve().parent.parent
CONFIGURATION = BASE_DIR / "deploy" / "supervisord.conf"


def become(folder: Path, port: int, *, configuration: Path = CONFIGURATION) -> None:
    """Replace this process by the supervisor of the service on a port, with its data in a folder."""
    os.environ["PYTHON"] = sys.executable
    os.environ["SUPERVISOR_PIDFILE"] = str(folder / f"supervisord-{port}.pid")
    command = [sys.executable, "-m", "config.supervisor"]
    command += ["--configuration", str(configuration)]
    if os.geteuid() == 0:
        command += ["--user", "root"]  # supervisord warns unless running as root is explicit
    for output in (1, 2):  # supervisord opens them again, so that writes to a file must append
        flags = fcntl.fcntl(output, fcntl.F_GETFL)
        fcntl.fcntl(output, fcntl.F_SETFL, flags | os.O_APPEND)
    # Ctrl-C waits until the new program can end quietly. Ignored, it would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.chdir(BASE_DIR)  # where `-m` finds this module
    os.execv(sys.executable, command)  # noqa: S606 - our own file, no shell


def running(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield the process and the port of each supervisor that runs with its data in the folder."""
    for path in sorted(folder.glob("supervisord-*.pid")):
        with contextlib.suppress(OSError, ValueError):  # it has ended, or its file is half written
            process, port = int(path.read_text(encoding="ascii")), int(path.stem.partition("-")[2])
            os.kill(process, 0)
            command = Path(f"/proc/{process}/cmdline")  # another program may have got the number
            if not command.exists() or __name__.encode() in command.read_bytes():
                yield process, port


def stop() -> None:
    """End the supervisor that started this process, if there is one. It would start it again."""
    pid_file = os.environ.get("SUPERVISOR_PIDFILE", "")
    with contextlib.suppress(OSError, ValueError):
        if pid_file and int(Path(pid_file).read_text(encoding="ascii")) == os.getppid():
            os.kill(os.getppid(), signal.SIGTERM)


def _stop_new_processes_at_once() -> None:
    """Let SIGTERM end a process of the service from its fork on.

    supervisord's own handler would take the signal until the new program runs, and forget it. So
    whoever pressed Ctrl-C during the start waited until the processes were killed.
    """

    def become_mortal() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM}),
        after_in_child=become_mortal,
    )


if __name__ == "__main__":
    # Until supervisord sets its own handler, before it starts a process. It has bare `except`s.
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _stop_new_processes_at_once()
    from supervisor.supervisord import main  # type: ignore[import-untyped]  # it has no types

    main()
