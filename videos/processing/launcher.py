"""Run as a script by ``cage``: put on the limits, then become the tool.

    python -I -S launcher.py PARENT_PID CPU_SECONDS MEMORY_BYTES FILE_BYTES FILES TOOL ARGUMENTS...

A script instead of ``preexec_fn``, because Python code between fork and exec can deadlock in a
process that has threads. It imports nothing of ours and hands no environment on.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def _die_with(parent: int) -> None:
    """Ask the kernel to kill this process when the worker is gone, however it went."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before the request was in place
        os.kill(os.getpid(), signal.SIGKILL)


def _limit(kind: int, value: int) -> None:
    """Soft and hard together: FFmpeg catches SIGXCPU, but nobody catches the hard limit's kill."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def main() -> None:
    parent, cpu, memory, file_bytes, files = map(int, sys.argv[1:6])
    tool = sys.argv[6:]
    if sys.platform == "linux":
        _die_with(parent)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, cpu)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_NOFILE, files)
    if sys.platform == "linux":  # macOS knows RLIMIT_AS but refuses to set it
        _limit(resource.RLIMIT_AS, memory)
    # Python ignores these two, and what is ignored stays ignored in the tool.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execve(tool[0], tool, {})  # noqa: S606 (no shell is the point)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"launcher: {error}")
