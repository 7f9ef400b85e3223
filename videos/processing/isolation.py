"""How a program is shut off from the machine: by bubblewrap where it works, always by limits.

This module only builds commands. ``cage`` decides on the isolation and runs the commands.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# The files that a dynamically linked FFmpeg needs. The program sees no other files of the machine:
# no home folder and no database file.
SYSTEM_PATHS = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")


@dataclass(frozen=True)
class Isolation:
    """The isolation of a program: ``name`` is "bwrap" (bubblewrap) or "limits" (limits only).

    ``detail`` is the reason for it, for logs. ``program`` is bubblewrap's path, empty for "limits".
    """

    name: str
    detail: str
    program: str = ""

    def wrap(
        self,
        argv: list[str],
        *,
        reads: Iterable[Path] = (),
        writes: Iterable[Path] = (),
        cwd: Path | None = None,
    ) -> list[str]:
        """Return the command that runs ``argv`` in this isolation.

        Under bubblewrap the program sees the files in ``reads`` (read-only), the folders in
        ``writes``, and SYSTEM_PATHS, all at their usual paths; it has no network and no environment.
        """
        if not self.program:
            return argv
        # No --new-session: the cage has made a session without a terminal already, and staying in
        # its process group lets one signal reach everything.
        command = [self.program, "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]
        command += ["--clearenv", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 (inside)
        for system_path in SYSTEM_PATHS:
            command += ["--ro-bind-try", system_path, system_path]
        for file in (Path(argv[0]), *reads):
            command += ["--ro-bind", str(file.resolve()), str(file.absolute())]
        for folder in writes:
            command += ["--bind", str(folder.resolve()), str(folder.absolute())]
        command += ["--chdir", str(cwd.absolute()) if cwd else "/"]
        return [*command, "--", *argv]
