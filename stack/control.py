"""The supervisor of a stack, asked through its socket."""

import xmlrpc.client
from dataclasses import dataclass
from typing import Any

from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]  # it has no types

from stack.parts import Part
from stack.plan import Plan


@dataclass(frozen=True)
class Process:
    """What the supervisor knows of a part."""

    state: str  # RUNNING, STOPPED, BACKOFF, … (supervisor.states)
    pid: int
    seconds: int  # since it was started


class Supervisor:
    """Raises OSError while no supervisor runs."""

    def __init__(self, plan: Plan) -> None:
        transport = SupervisorTransport(
            "stack", plan.secrets["supervisor"], f"unix://{plan.socket}"
        )
        self._calls: Any = xmlrpc.client.ServerProxy(
            f"http://{plan.folder.name}", transport=transport
        ).supervisor

    def processes(self) -> dict[str, Process]:
        """Return the process of each part by its name."""
        return {
            row["name"]: Process(
                row["statename"], row["pid"], max(0, row["now"] - row["start"]) if row["pid"] else 0
            )
            for row in self._calls.getAllProcessInfo()
        }

    def start(self, part: Part) -> None:
        """Start a part that does not run yet, without a wait."""
        if self.processes()[part.name].state in {"STOPPED", "EXITED", "FATAL"}:
            self._calls.startProcess(f"{part.step}:{part.name}", False)

    def stop(self, part: Part) -> None:
        """Stop a part, and wait for its end. Does nothing if it does not run."""
        if self.processes()[part.name].pid:
            self._calls.stopProcess(f"{part.step}:{part.name}", True)
