"""What is stored after a load, compared with what its people were promised."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from stack import health
from stack.tests.load import API, Bought, Load, card
from stack.tests.running import Stack, watch

AGAIN = 20  # purchases that are repeated with their keys at the end
WATCHED = 20  # uploads that are played at the end

ORDERS = """
SELECT u.email, o.video_id::text, o.id::text, o.status,
  (SELECT count(*) FROM payments_payment p WHERE p.order_id = o.id AND p.captured > 0),
  (SELECT count(*) FROM payments_entitlement e
    WHERE e.user_id = o.buyer_id AND e.video_id = o.video_id AND e.revoked_at IS NULL)
FROM payments_order o JOIN accounts_user u ON u.id = o.buyer_id
"""
UPLOADS = """
SELECT v.id::text, v.title, v.status,
  (SELECT count(*) FROM videos_processingjob j WHERE j.video_id = v.id AND j.kind = 'transcode'),
  (SELECT count(*) FROM videos_processingjob j WHERE j.video_id = v.id AND j.state <> 'done'),
  (SELECT count(*) FROM audit_auditentry a
    WHERE a.target_id = v.id::text AND a.action = 'video.ready')
FROM videos_video v WHERE v.title LIKE 'Under load %'
"""
UNFINISHED = """
SELECT count(*) FROM videos_processingjob WHERE state IN ('queued', 'running')
"""


@dataclass
class Outcomes:
    """The rows of a table for people, and everything that is wrong."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, what: str, seen: object, wrong: list[str]) -> None:
        self.rows.append((what, str(seen) if not wrong else f"{seen}, {len(wrong)} WRONG"))
        self.wrong += wrong


def of(stack: Stack, load: Load, seconds: float) -> Outcomes:
    """Wait until all jobs have ended, and compare what is stored with what was answered."""
    found = Outcomes()
    stack.wait_for(lambda: not _rows(stack, UNFINISHED)[0][0], seconds)
    _uploads(stack, load, found)
    _purchases(stack, load, found)
    _playback(stack, load, found)
    found.add("books", stack.python("manage.py", "verify_ledger").strip(), [])
    found.add("audit log", stack.python("manage.py", "verify_audit").strip().splitlines()[0], [])
    _logs(stack, found)
    return found


def _uploads(stack: Stack, load: Load, found: Outcomes) -> None:
    rows = _rows(stack, UPLOADS)
    known = {row[0] for row in rows}
    wrong = [f"upload {video} was accepted and is lost" for video in set(load.accepted) - known]
    for video, title, status, jobs, open_jobs, ready in rows:
        if (status, jobs, open_jobs, ready) != ("READY", 1, 0, 1):
            wrong.append(f"{title} ({video}): {status}, {jobs} jobs, READY {ready} times")
    if len(set(load.accepted)) != len(load.accepted):
        wrong.append("two uploads got one id")
    text = f"{len(load.accepted)} accepted, {len(rows)} stored, each READY once"
    found.add("uploads", text, wrong)


def _purchases(stack: Stack, load: Load, found: Outcomes) -> None:
    orders: dict[tuple[str, str], list[Any]] = {}
    wrong = []
    for email, video, order, status, payments, entitlements in _rows(stack, ORDERS):
        orders.setdefault((email, video), []).append(order)
        if (status, payments, entitlements) != ("paid", 1, 1):
            wrong.append(
                f"order {order}: {status}, {payments} payments, {entitlements} entitlements"
            )
    for bought in load.bought:
        stored = orders.get((bought.email, bought.video), [])
        if len(stored) != 1 or bought.order not in ("", stored[0]):
            wrong.append(f"{bought.email} was told order {bought.order!r}, stored are {stored}")
    wrong += [f"never answered: {text}" for text in load.unanswered]
    text = f"{len(load.bought)} answered, {len(orders)} orders, each paid once with one entitlement"
    found.add("purchases", text, wrong)
    again = [each for each in load.bought if each.order][-AGAIN:]
    wrong = [fault for each in again if (fault := _repeated(stack, each))]
    found.add("purchases repeated with their keys", f"{len(again)}, the same order", wrong)


def _repeated(stack: Stack, bought: Bought) -> str:
    """Repeat a purchase with its key; return what is wrong with the answer, or ""."""
    headers = {"Authorization": f"Bearer {bought.access}", "Idempotency-Key": bought.key}
    path = f"{API}/payments/purchase/{bought.video}"
    answer = stack.http.post(path, json=card(), headers=headers)
    if answer.status_code in (200, 201) and answer.json()["order"]["id"] == bought.order:
        return ""
    return f"repeated purchase: {answer.status_code} {answer.text[:200]}"


def _playback(stack: Stack, load: Load, found: Outcomes) -> None:
    wrong = []
    for video in load.accepted[-WATCHED:]:
        try:
            watch(stack, video)[0].raise_for_status()
        except httpx.HTTPError as error:
            wrong.append(f"{video} does not play: {error}")
    found.add("uploads played", len(load.accepted[-WATCHED:]), wrong)
    (views,) = _rows(stack, "SELECT count(*), count(DISTINCT session_id) FROM analytics_videoview")
    wrong = [] if views[0] == views[1] else ["a session has two views"]
    found.add("sessions", f"{load.sessions}, {views[0]} views", wrong)


def _logs(stack: Stack, found: Outcomes) -> None:
    """Look for answers with 500 in the logs of the web processes."""
    for name in ("web-1", "web-2"):
        text = (stack.folder / name / "log").read_text(errors="replace")
        found.add(f"log of {name}", f"{text.count('Traceback')} tracebacks", [])


def _rows(stack: Stack, statement: str) -> list[Any]:
    with health.connected(stack.plan) as connection:
        return list(connection.execute(statement).fetchall())
