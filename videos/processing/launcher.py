"""The script that ``cage`` starts: it sets the limits of its own process, then becomes the tool.

    python -I -S launcher.py PARENT_PID CPU_SECONDS MEMORY_BYTES FILE_BYTES FILES PROCESSES CGROUP
        TOOL ARGUMENTS...

CGROUP is the file (or, on version 1, the files) by which to join the cgroup, or "-" for none.

It is a script, and not a ``preexec_fn``, because Python code between fork and exec can deadlock in a
process with threads. It imports only the standard library, and the tool gets an empty environment.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def _die_with(parent: int) -> None:
    """Ask the kernel to kill this process as soon as its parent, the worker, has ended."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # the worker ended before the call
        os.kill(os.getpid(), signal.SIGKILL)


def _limit(kind: int, value: int) -> None:
    """Set the soft and the hard limit to ``value``, or to the present hard limit if that is lower.

    With a soft limit alone FFmpeg would get SIGXCPU, which it catches. The hard limit kills it.
    """
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def main() -> None:
    parent, cpu, memory, file_bytes, files, processes = map(int, sys.argv[1:7])
    tool = sys.argv[8:]
    if sys.platform == "linux":
        _die_with(parent)
    if sys.argv[7] != "-":
        for file in sys.argv[7].split(os.pathsep):
            with open(file, "w", encoding="ascii") as group:
                group.write("0")
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, cpu)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_NOFILE, files)
    _limit(resource.RLIMIT_NPROC, processes)
    if sys.platform == "linux":  # macOS knows RLIMIT_AS but refuses to set it
        _limit(resource.RLIMIT_AS, memory)
    # Python ignores these two signals, and the tool would inherit that.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execve(tool[0], tool, {})  # noqa: S606 (no shell is the point)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"launcher: {error}")
