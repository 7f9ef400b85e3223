"""Which walls stand around a tool: bubblewrap where it works, resource limits in any case.

Pure: it only builds commands. ``cage`` decides which sandbox there is, and runs them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# What a dynamically linked FFmpeg needs. The rest of the machine stays outside: no home, no
# database file, no environment, no network.
SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")


@dataclass(frozen=True)
class Sandbox:
    """``name`` is "bwrap" or "limits"; ``detail`` says why it is this one."""

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
        """The command that runs ``argv`` behind these walls; paths keep their names inside."""
        if not self.program:
            return argv
        # No --new-session: the cage has made a session without a terminal already, and staying in
        # its process group lets one signal reach everything.
        command = [self.program, "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]
        command += ["--clearenv", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 (inside)
        for path in SYSTEM:
            command += ["--ro-bind-try", path, path]
        for path in (Path(argv[0]), *reads):
            command += ["--ro-bind", str(path.resolve()), str(path.absolute())]
        for path in writes:
            command += ["--bind", str(path.resolve()), str(path.absolute())]
        command += ["--chdir", str(cwd.absolute()) if cwd else "/"]
        return [*command, "--", *argv]
