"""What a running program has written so far."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import LimitReached

STDERR_KEPT = 64 * 1024
STDOUT_KEPT = 8 * 1024 * 1024
LINE_KEPT = 64 * 1024


@dataclass
class Listener:
    """The output of a running program so far, bounded, and the time of its last progress.

    ``alive_at`` is on the monotonic clock. Progress is a line for which ``on_line`` returned True.
    """

    on_line: Callable[[str], bool] | None
    on_remark: Callable[[str], None] | None = None
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    alive_at: float = field(default_factory=time.monotonic)
    _unfinished: bytes = b""  # the last line of stderr so far

    def hear_stdout(self, chunk: bytes) -> None:
        """Keep ``chunk``, or pass its complete lines to ``on_line``. ToolFailed over STDOUT_KEPT."""
        self.stdout += chunk
        if self.on_line is None:
            if len(self.stdout) > STDOUT_KEPT:
                raise LimitReached(
                    "output", f"The tool wrote more than {STDOUT_KEPT} bytes to stdout."
                )
            return
        *lines, unfinished = bytes(self.stdout).split(b"\n")
        self.stdout = bytearray(unfinished[-LINE_KEPT:])
        for line in lines:
            if self.on_line(line.decode(errors="replace")):
                self.alive_at = time.monotonic()

    def hear_stderr(self, chunk: bytes) -> None:
        """Keep the last STDERR_KEPT bytes, and pass complete lines to ``on_remark``."""
        self.stderr += chunk
        del self.stderr[:-STDERR_KEPT]
        if self.on_remark:
            *lines, unfinished = (self._unfinished + chunk).split(b"\n")
            self._unfinished = unfinished[-LINE_KEPT:]
            for line in lines:
                self.on_remark(line.decode(errors="replace"))
