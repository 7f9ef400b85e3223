"""Crowds: more people at once than the machine can serve."""

import asyncio

from attacks.client import Answer, Caller, Figures
from attacks.registry import attack, must
from attacks.service import API, PASSWORD, Service
from attacks.traffic import READS, crowd, dump, summary

DOCUMENT = "/api/schema/"


@attack("200 people sign in at once", before="1.7 GB and 31 s for everybody else")
def sign_ins(service: Service, short: bool) -> str:
    service.restart_web(RATE_LIMIT_AUTH="0")
    before = service.memory()
    figures, grown = asyncio.run(_sign_in_and_read(service, before))
    service.restart_web()
    reads = figures.percentile(0.99, "catalogue")
    must(not figures.odd, f"{figures.odd[:3]}")
    must(figures.statuses["sign_in"][200] > 0, dump(figures))
    must(reads < 2, f"reads p99 {reads:.2f} s")
    return f"reads meanwhile p99 {reads * 1000:.0f} ms; {grown / 1e6:.0f} MB more; {dump(figures)}"


async def _sign_in_and_read(service: Service, before: int) -> tuple[Figures, int]:
    """Let 200 people sign in twice, while one reads; return the figures and the growth in bytes."""
    figures = Figures()
    grown = 0
    done = asyncio.Event()

    async def sign_in(person: dict[str, str]) -> None:
        caller = Caller(service.port)
        for _ in range(2):
            body = {"email": person["email"], "password": PASSWORD}
            figures.add("sign_in", await caller.call("POST", f"{API}/auth/login", body))
        caller.close()

    async def read() -> None:
        nonlocal grown
        caller = Caller(service.port)
        while not done.is_set():
            figures.add("catalogue", await caller.call("GET", f"{API}/videos/"))
            grown = max(grown, service.memory() - before)
        caller.close()

    reading = asyncio.create_task(read())
    await asyncio.gather(*map(sign_in, service.people["viewers"][:200]))
    done.set()
    await reading
    return figures, grown


@attack(
    "200 people do what people do",
    before="85 requests/s; reads p50 2.9 s; purchases p99 22 s; 5 x 'database is locked'",
)
def mixed(service: Service, short: bool) -> str:
    seconds = 10 if short else 60
    figures = asyncio.run(crowd(service, 200, seconds))
    locked = service.log_lines("database is locked")
    must(not figures.odd and not locked, f"{locked} x locked, {figures.odd[:3]}")
    must(figures.percentile(0.5, *READS) < 5, summary(figures, seconds))
    return f"{summary(figures, seconds)}; {locked} x locked"


@attack("20 people ask a fresh server for its document", before="answers 500; 1.5 s a call")
def document(service: Service, short: bool) -> str:
    service.restart_web()
    first, later = asyncio.run(_ask_for_the_document(service))
    must({answer.status for answer in first + later} == {200}, f"{[a.status for a in first]}")
    slowest = max(answer.seconds for answer in first)
    usual = sorted(answer.seconds for answer in later)[len(later) // 2]
    return f"first calls at most {slowest:.2f} s, then {usual * 1000:.0f} ms"


async def _ask_for_the_document(service: Service) -> tuple[list[Answer], list[Answer]]:
    callers = [Caller(service.port) for _ in range(20)]
    first = await asyncio.gather(*(caller.call("GET", DOCUMENT) for caller in callers))
    later = [await callers[0].call("GET", DOCUMENT) for _ in range(10)]
    for caller in callers:
        caller.close()
    return list(first), later


@attack("3,000 calls of the readiness check", before="each asked every part")
def readiness(service: Service, short: bool) -> str:
    async def ask(figures: Figures) -> None:
        caller = Caller(service.port)
        for _ in range(100):
            figures.add("ready", await caller.call("GET", "/health/ready"))
        caller.close()

    async def run() -> Figures:
        figures = Figures()
        await asyncio.gather(*(ask(figures) for _ in range(30)))
        return figures

    figures = asyncio.run(run())
    must(not figures.odd, f"{figures.odd[:3]}")
    return f"p99 {figures.percentile(0.99) * 1000:.0f} ms; {dump(figures)}"
