"""The last step before a part's own program: end what its earlier run left, and become it.

A server that was killed leaves the processes that it had started, and nginx's would go on listening at
its port. Each part is a process group, so all of them can be found.
"""

import contextlib
import json
import os
import pwd
import signal
import time
from pathlib import Path
from typing import NoReturn

END_SECONDS = 10.0


def become(
    command: list[str],
    *,
    folder: Path,
    directory: Path,
    environment: dict[str, str],
    user: str = "",
) -> NoReturn:
    """Replace this process by the program, as another user if one is named."""
    take_over(folder)
    os.chdir(directory)
    if user:
        entry = pwd.getpwnam(user)
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    os.execve(command[0], command, environment)  # noqa: S606 - our own list of programs


def take_over(folder: Path) -> None:
    """End the part's earlier run, and note that this process and its children are the part now."""
    end_leftovers(folder)
    if os.getpgrp() != os.getpid():
        os.setpgrp()
    note = {"group": os.getpid(), "begun": _begun(os.getpid()), "boot": _boot()}
    (folder / "process.json").write_text(json.dumps(note))


def end_leftovers(folder: Path) -> None:
    """Kill the processes of the part's earlier run, and wait for their end."""
    try:
        note = json.loads((folder / "process.json").read_text())
        group, begun, boot = int(note["group"]), int(note["begun"]), str(note["boot"])
    except (OSError, ValueError, KeyError):
        return
    # While a process of the group lives, no other program gets its number. So the group is ours unless
    # the number belongs to a process that began later, or the machine was started again.
    if group <= 1 or group == os.getpgrp():  # 0 stands for this group
        return
    if boot != _boot() or _begun(group) not in (0, begun):
        return
    give_up_at = time.monotonic() + END_SECONDS
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < give_up_at:
            os.killpg(group, signal.SIGKILL)
            time.sleep(0.05)


def members(group: int) -> list[int]:
    """Return the living processes of a group."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            state, _, of = (path / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(of) == group and state != "Z":
                found.append(int(path.name))
    return found


def _begun(process: int) -> int:
    """Return the clock tick at which a process began, or 0 if there is none."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    return 0


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
