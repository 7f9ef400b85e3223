"""A cgroup for one program in the cage, where this process may make one (Linux, versions 1 and 2).

The kernel then bounds the memory and the number of processes of the program and all its descendants
together, also of root's, and names all descendants, so that none can stay behind.
"""

import os
import signal
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

MOUNT = Path("/sys/fs/cgroup")
PREFIX = "vod-cage-"
LAST_SECONDS = 5  # for the kernel to end what was killed
# The files of the limits by version. A value may be missing on a kernel without swap accounting.
_MEMORY = {1: "memory.limit_in_bytes", 2: "memory.max"}
_EVENTS = {1: "memory.oom_control", 2: "memory.events"}


@dataclass(frozen=True)
class Home:
    """The folders in which this process may make cgroups: two on version 1 (memory, pids), else one."""

    version: int
    folders: tuple[Path, ...]


@lru_cache(maxsize=1)
def home() -> Home | None:
    """Return where this process may make cgroups, or None. A cgroup is really made and removed.

    On version 2 this is the process's own cgroup or the parent of it, as systemd delegates it
    (``Delegate=yes`` with ``DelegateSubgroup=``).
    """
    for candidate in _candidates():
        try:
            if candidate.version == 2:
                (candidate.folders[0] / "cgroup.subtree_control").write_text("+memory +pids")
            trial = Group.make(candidate, memory=1 << 30, processes=64)
        except (OSError, ValueError):
            continue
        trial.remove()
        return candidate
    return None


def _candidates() -> list[Home]:
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return []
    paths: dict[str, str] = {}
    for line in lines:
        _, names, path = line.split(":", 2)
        paths |= dict.fromkeys(names.split(","), path.lstrip("/"))
    found = []
    if (MOUNT / "cgroup.controllers").exists() and "" in paths:
        own = MOUNT / paths[""]
        found += [Home(2, (own,)), *([Home(2, (own.parent,))] if own != MOUNT else [])]
    if {"memory", "pids"} <= paths.keys():
        found.append(Home(1, tuple(MOUNT / name / paths[name] for name in ("memory", "pids"))))
    return found


@dataclass(frozen=True)
class Group:
    """One cgroup with limits. A process joins it by writing "0" to each of ``joined_by``."""

    version: int
    folders: tuple[Path, ...]

    @classmethod
    def make(cls, home: Home, *, memory: int, processes: int) -> Self:
        """Make a cgroup of at most ``memory`` bytes and ``processes``, threads included.

        Raises OSError. Groups that killed processes left behind are removed.
        """
        _sweep(home)
        name = f"{PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}"
        group = cls(home.version, tuple(folder / name for folder in home.folders))
        try:
            for folder in group.folders:
                folder.mkdir()
            (group.folders[0] / _MEMORY[group.version]).write_text(str(memory))
            (group.folders[-1] / "pids.max").write_text(str(processes))
        except OSError:
            group.remove()
            raise
        with suppress(OSError):  # no swap accounting
            if group.version == 2:
                (group.folders[0] / "memory.swap.max").write_text("0")
            else:
                (group.folders[0] / "memory.memsw.limit_in_bytes").write_text(str(memory))
        return group

    @property
    def joined_by(self) -> list[Path]:
        return [folder / "cgroup.procs" for folder in self.folders]

    def limit_reached(self) -> str:
        """Return "memory" if a process was killed for it, "processes" if one was refused, or ""."""
        if _count(self.folders[0] / _EVENTS[self.version], "oom_kill"):
            return "memory"
        return "processes" if _count(self.folders[-1] / "pids.events", "max") else ""

    def kill(self) -> None:
        """Kill all processes of the cgroup."""
        for folder in self.folders:
            with suppress(OSError):
                for pid in (folder / "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)

    def remove(self) -> None:
        """Kill all processes of the cgroup, wait for their end, and remove it."""
        deadline = time.monotonic() + LAST_SECONDS
        while any(map(os.path.isdir, self.folders)) and time.monotonic() < deadline:
            self.kill()
            for folder in self.folders:
                with suppress(OSError):  # busy until the last process has ended
                    folder.rmdir()
            time.sleep(0.002)


def _count(file: Path, name: str) -> int:
    with suppress(OSError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def _sweep(home: Home) -> None:
    """Remove the groups of processes that were killed before they could do so."""
    for folder in home.folders:
        for left in folder.glob(f"{PREFIX}*"):
            if not os.path.exists(f"/proc/{left.name.removeprefix(PREFIX).partition('-')[0]}"):
                with suppress(OSError):
                    left.rmdir()
