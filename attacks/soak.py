"""Ten minutes of ordinary traffic with uploads, slow clients and restarts: `make soak`."""

import argparse
import asyncio
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from attacks.client import Figures, call, head
from attacks.service import API, Service
from attacks.traffic import Viewer, dump, summary

PEOPLE = 100
RATE = 50  # requests a second, of all people together
SLOW = 40  # clients that send half a request, or read nothing


async def soak(service: Service, seconds: float, console: Console) -> tuple[Figures, list[float]]:
    """Run the traffic; return its figures and the memory of the web server, in MB, over time."""
    figures, end, memory = Figures(), time.monotonic() + seconds, []

    async def person(one: dict[str, str]) -> None:
        viewer = Viewer(service, one, figures)
        while time.monotonic() < end:
            await viewer.act(pause=PEOPLE / RATE)
        viewer.close()

    async def uploads() -> None:
        while time.monotonic() < end:
            answer = await asyncio.to_thread(service.upload, "Soak", service.clip)
            figures.add("upload", answer)
            await asyncio.sleep(20)

    async def slow_clients() -> None:
        while time.monotonic() < end:
            clients = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(SLOW)]
            for number, client in enumerate(clients):
                half = head(f"POST {API}/auth/login", "Content-Length: 99") + b"{"
                client.sendall(half if number % 2 else head("GET /api/schema/"))
            await asyncio.sleep(15)
            for client in clients:
                client.close()

    async def watch() -> None:
        while time.monotonic() < end:
            memory.append(service.memory() / 1e6)
            await asyncio.sleep(seconds / 20)

    async def restarts() -> None:
        """Kill the worker after a third of the time, and restart the web server after two thirds."""
        await asyncio.sleep(seconds / 3)
        await asyncio.to_thread(service.stop, "run_worker", signal.SIGKILL)
        service.start("run_worker")
        await asyncio.sleep(seconds / 3)
        memory.clear()  # the new processes begin small
        began = time.monotonic()
        await asyncio.to_thread(service.restart_web)
        console.print(f"The web server was away for {time.monotonic() - began:.1f} s.")

    people = service.people["viewers"][:PEOPLE]
    parts = [uploads(), slow_clients(), watch(), restarts()]
    await asyncio.gather(*map(person, people), *parts)
    return figures, memory


def main() -> int:
    """Return 0 if nothing failed but what the restart of the web server explains."""
    parser = argparse.ArgumentParser(prog="attacks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    options = parser.parse_args()
    console = Console(soft_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder), viewers=PEOPLE)
        try:
            figures, memory = asyncio.run(soak(service, options.seconds, console))
            ledger = service.manage("verify_ledger")
            ready = call(service.port, "GET", "/health/ready")
        finally:
            service.close()
        locked = service.log_lines("database is locked")
        errors = service.log_lines("Traceback")
    failed = [line for line in figures.odd if " 0 b''" not in line]  # no answer: it was restarted
    unanswered = len(figures.odd) - len(failed)
    console.print(summary(figures, options.seconds))
    console.print(dump(figures), markup=False)
    console.print(
        "Memory of the web server: " + " ".join(f"{value:.0f}" for value in memory) + " MB"
    )
    console.print(f"{unanswered} calls without an answer, around the restart of the web server")
    console.print(
        f"{locked} x 'database is locked', {errors} tracebacks in the log. {ledger.strip()}"
    )
    console.print(f"Readiness at the end: {ready.status}")
    for line in failed[:10]:
        console.print(line, markup=False)
    return 1 if failed or locked or errors or ready.status != 200 else 0


if __name__ == "__main__":
    sys.exit(main())
