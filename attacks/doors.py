"""Attacks on accounts: guesses, tokens that are used twice, a limiter that is away."""

import asyncio
import re
import shutil
from typing import Any

from attacks.client import Answer, Caller, call
from attacks.registry import attack, must
from attacks.service import API, PASSWORD, Service

LOGIN = f"{API}/auth/login"
REFRESH = f"{API}/auth/refresh"
ADMIN = "/admin/login/"


def entries(service: Service, **query: str) -> list[dict[str, Any]]:
    """Return up to a hundred entries of the audit log, the newest first."""
    pairs = "&".join(f"{name}={value}" for name, value in {**query, "page_size": "100"}.items())
    token = service.people["admin"]["access"]
    return call(service.port, "GET", f"{API}/audit/?{pairs}", token=token).json["results"]


@attack("100 guesses at the admin site", before="no limit, and no row in the log")
def admin_guesses(service: Service, short: bool) -> str:
    before = len(entries(service, action="login.failed"))
    page = call(service.port, "GET", ADMIN)
    cookie = page.headers["set-cookie"].partition(";")[0]
    [token] = re.findall(rb'name="csrfmiddlewaretoken" value="(\w+)"', page.body)
    form = f"username=admin@example.com&password=guess&csrfmiddlewaretoken={token.decode()}"
    kind = "application/x-www-form-urlencoded"
    guesses = [
        call(
            service.port, "POST", ADMIN, body=form.encode(), Content_Type=kind, Cookie=cookie,
            Referer=f"http://127.0.0.1:{service.port}{ADMIN}",
        )
        for _ in range(100)
    ]  # fmt: skip
    refused = sum(b"Too many attempts" in answer.body for answer in guesses)
    recorded = len(entries(service, action="login.failed")) - before
    must(refused >= 60 and recorded > 0, f"{refused} refused, {recorded} recorded")
    return f"{100 - refused} tried, {refused} refused, {recorded} recorded"


@attack("20 wrong passwords for somebody else", before="the owner was locked out, from anywhere")
def lock_out(service: Service, short: bool) -> str:
    owner = service.people["viewers"][-1]
    wrong = {"email": owner["email"], "password": "a guess"}
    guesses = [call(service.port, "POST", LOGIN, body=wrong).status for _ in range(40)]
    refresh = call(service.port, "POST", REFRESH, body={"refresh_token": owner["refresh"]})
    me = call(service.port, "GET", f"{API}/auth/me", token=owner["access"])
    must(429 in guesses and 500 not in guesses, f"{sorted(set(guesses))}")
    must((refresh.status, me.status) == (200, 200), f"refresh {refresh.status}, me {me.status}")
    return f"{guesses.count(429)} of 40 guesses refused; the owner's sign-in goes on"


@attack("12 tabs refresh the same token at once", before="all of them were signed out")
def tabs(service: Service, short: bool) -> str:
    token = {"refresh_token": service.people["viewers"][-2]["refresh"]}

    async def run() -> list[Answer]:
        callers = [Caller(service.port) for _ in range(12)]
        answers = await asyncio.gather(*(one.call("POST", REFRESH, token) for one in callers))
        for caller in callers:
            caller.close()
        return list(answers)

    answers = asyncio.run(run())
    must({answer.status for answer in answers} == {200}, f"{[a.status for a in answers]}")
    pairs = {answer.json["refresh_token"] for answer in answers}
    must(len(pairs) == 1, f"{len(pairs)} different tokens")
    return "all get the same new token"


@attack("the limiter is away", before="everybody was signed out after 15 minutes")
def limiter_away(service: Service, short: bool) -> str:
    """Put a folder where the file of counters is: refreshing goes on, guessing does not."""
    service.stop("run_web")
    for path in service.folder.glob("cache.sqlite3*"):
        path.unlink()
    blocker = service.folder / "cache.sqlite3"
    blocker.mkdir()
    service.start("run_web")
    token = {"refresh_token": service.people["viewers"][-3]["refresh"]}
    refresh = call(service.port, "POST", REFRESH, body=token)
    body = {"email": "viewer-0@example.com", "password": PASSWORD}
    login = call(service.port, "POST", LOGIN, body=body)
    catalogue = call(service.port, "GET", f"{API}/videos/")
    service.stop("run_web")
    shutil.rmtree(blocker)
    service.start("run_web")
    seen = f"refresh {refresh.status}, sign-in {login.status}, catalogue {catalogue.status}"
    must((refresh.status, login.status, catalogue.status) == (200, 503, 200), seen)
    return seen


@attack("2,000 calls of addresses that do not exist", before="never limited; 740 B a row for ever")
def unknown_routes(service: Service, short: bool) -> str:
    service.restart_web(RATE_LIMIT_DEFAULT="300")
    before = service.bytes_on_disk()

    async def ask(number: int, statuses: list[int]) -> None:
        caller = Caller(service.port, agent=f"stranger {number}")
        for call_number in range(100):
            answer = await caller.call("GET", f"{API}/none/{number}/{call_number}")
            statuses.append(answer.status)
        caller.close()

    async def run() -> list[int]:
        statuses: list[int] = []
        await asyncio.gather(*(ask(number, statuses) for number in range(20)))
        return statuses

    statuses = asyncio.run(run())
    service.restart_web()
    grown = service.bytes_on_disk() - before
    must(set(statuses) <= {404, 429, 503} and 429 in statuses, f"{sorted(set(statuses))}")
    return f"{statuses.count(429)} x 429; the disk grew by {grown / len(statuses):.0f} B a call"


@attack(
    "headers and texts that are no text", before="charset=hex and X-Forwarded-For: unknown: 500"
)
def odd_headers(service: Service, short: bool) -> str:
    odd = [
        {"Content-Type": f"application/json; charset={name}"}
        for name in ("hex", "rot13", "utf-16", "idna", "zlib", "\xff", "x" * 500)
    ]
    odd += [{"X-Forwarded-For": text} for text in ("unknown", "::ffff:1.2.3.4", "\xff", "1" * 500)]
    odd += [
        {"Authorization": text} for text in ("Bearer", "Bearer \xff", "Basic x", "Bearer a.b.c")
    ]
    odd += [{"Accept-Language": "a" * 9000}, {"Cookie": "=;=;\xff"}, {"Range": "bytes=-"}]
    odd += [{"If-None-Match": '"' * 99}, {"Accept": "*/*;q=x"}, {"Content-Encoding": "gzip"}]
    paths = [
        "/",
        "/health/ready",
        f"{API}/videos/",
        LOGIN,
        "/admin/",
        f"{API}/none",
        "/media/x/y/z",
    ]
    methods = ("GET", "POST", "OPTIONS")
    answers = [
        call(service.port, method, path, body=b"{}", **headers)
        for path in paths for method in methods for headers in odd
    ]  # fmt: skip
    wrong = [answer for answer in answers if answer.status >= 500 and answer.status != 503]
    silent = [answer for answer in answers if "x-request-id" not in answer.headers]
    must(not wrong, f"{wrong[:2]}")
    must(not silent, f"without a request id: {silent[:2]}")
    return f"{len(answers)} requests: 0 x 5xx, each with a request id"
