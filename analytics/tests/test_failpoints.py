"""A process that is killed at any commit of any flow costs nobody money, access or a trace."""

import os
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import time_machine
from django.db import connections
from django.db.models import F
from django.utils import timezone

from analytics.tests.failpoints import billing, buying, checks, kills, videos
from analytics.tests.failpoints.flow import Flow, Scene, tick
from config.tests import cases
from payments.gateways.sandbox import events
from payments.models import Notice, SandboxEvent
from payments.services.buying import orders
from payments.services.gateway_news import reconciliation, webhooks
from payments.services.settling import refunds
from payments.services.subscribing import lapsing
from videos import jobs, presence
from videos.services import publishing

pytestmark = pytest.mark.long

FLOWS: list[type[Flow]] = [
    buying.Buy,
    buying.BuyWithCoupon,
    buying.BuyForNothing,
    buying.Rent,
    buying.BuyWithADeclinedCard,
    buying.BuyWithABankThatAsks,
    buying.BuyAndLeaveTheBank,
    buying.BuyOnCheckout,
    buying.CancelOrder,
    buying.OrdersExpire,
    buying.PayTwice,
    buying.RefundInPart,
    buying.RefundInFull,
    buying.RefundThatTakesDays,
    buying.GiveBack,
    buying.Dispute,
    billing.Subscribe,
    billing.SubscribeOnCheckout,
    billing.SubscribeWithABankThatAsks,
    billing.SubscribeWithADeclinedCard,
    billing.Upgrade,
    billing.Cancel,
    billing.CancelAtOnce,
    billing.ChangeCard,
    billing.Renew,
    billing.FailToRenew,
    billing.CloseMonth,
    billing.RunPayouts,
    billing.PayOut,
    billing.Webhook,
    videos.DeleteVideo,
    videos.RestoreVideo,
    videos.Upload,
    videos.Replace,
    videos.Process,
    videos.ProcessRest,
    videos.ProcessInChunks,
    videos.SignIn,
    videos.Refresh,
]
# `make failpoints`: every commit of every flow, before and after, and both ways to recover. Otherwise
# some flows, in which each pair of commits that follow each other is tried once, with one way to
# recover: all flows together take minutes.
ALL = os.environ.get("FAILPOINTS") == "all"
SOME = [
    buying.BuyWithCoupon,
    buying.RefundInFull,
    billing.CloseMonth,
    billing.PayOut,
    billing.Webhook,
    videos.Process,
    videos.ProcessRest,
    videos.ProcessInChunks,
    videos.Refresh,
]
_tried: set[tuple[str, str]] = set()
# How long after the kill the worker does its periodic work, and which.
LATER = {
    timedelta(minutes=3): ("second", "minute", "hour", "second"),
    timedelta(hours=27): ("second", "minute", "hour", "second"),
}


@pytest.fixture
def kill(make_user, make_video, client_for, received, settings, media, tmp_path):
    """Return a function that kills a flow at each planned commit, and checks what is left."""
    mails = tmp_path / "mails"
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(mails)
    mails.mkdir()

    def everywhere(flow_class: type[Flow], *, everything: bool = ALL) -> None:
        flow = flow_class(Scene(make_user, make_video, client_for, received))
        start = kills.Snapshot(tmp_path / "start", media, mails)
        try:
            labels = kills.count_commits(flow.act)
            recover(flow, mails, None, comes_back=False)
            for point, comes_back in every(labels) if everything else once(labels):
                start.restore()
                kills.die(flow.act, point)
                try:
                    recover(flow, mails, point, comes_back=comes_back)
                except Exception as error:
                    note = "the client comes back" if comes_back else "nobody comes back"
                    error.add_note(f"Killed {point} of {flow_class.__name__}; {note}.")
                    raise
        finally:
            start.restore()
            start.forget()
            connections.close_all()

    return everywhere


@pytest.mark.twice
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "flow_class",
    FLOWS if ALL else cases.by_database(SOME),
    ids=lambda flow_class: flow_class.__name__,
)
def test_a_kill_at_any_commit(flow_class: type[Flow], kill):
    kill(flow_class)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("part", "name", "flow_class", "finding"),
    [
        (reconciliation, "reopen_lost_charges", buying.BuyWithCoupon, "Order.status = processing"),
        (orders, "expire_orders", buying.BuyWithCoupon, "Order.status = pending"),
        (refunds, "due_requests", buying.RefundInFull, "Refund.status = requested"),
        (lapsing, "end_lapsed", billing.Subscribe, "Subscription.status = incomplete"),
    ][: None if ALL else 2],
)
def test_a_clock_that_is_missing_is_found(part, name, flow_class, finding, kill, monkeypatch):
    """Without one of the clocks, some kill leaves a row that waits for ever."""
    monkeypatch.setattr(part, name, list)
    with pytest.raises(AssertionError, match=finding):
        kill(flow_class, everything=True)


def every(labels: list[str]) -> Iterator[tuple[kills.Point, bool]]:
    """Yield each kill of a flow with these commits, and whether its client comes back after it."""
    for number, label in enumerate(labels, start=1):
        for comes_back in (False, True):
            yield kills.Point(number, "before", label), comes_back
            yield kills.Point(number, "after", label), comes_back


def once(labels: list[str]) -> Iterator[tuple[kills.Point, bool]]:
    """Yield the kills between two commits that no earlier flow has had one after the other."""
    # The rows before a commit are those after the one before it.
    for number, pair in enumerate(pairwise(["", *labels, ""]), start=1):
        if pair not in _tried:
            _tried.add(pair)
            comes_back = len(_tried) % 2 == 0
            if number > len(labels):
                yield kills.Point(len(labels), "after", labels[-1]), comes_back
            else:
                yield kills.Point(number, "before", labels[number - 1]), comes_back


def recover(flow: Flow, mails: Path, killed: kills.Point | None, *, comes_back: bool) -> None:
    """Let time pass, then check: the worker works, the gateway repeats, the client may come back.

    ``killed`` is None for a flow that was carried out to its end.
    """
    now = timezone.now()
    for number, (later, work) in enumerate(LATER.items()):
        with time_machine.travel(now + later):
            if comes_back and number == 0:
                flow.act()
            presence.release_of_dead_workers()
            if number == 1:
                for event in SandboxEvent.objects.order_by("pk"):
                    body, headers = events.message(event)
                    webhooks.receive(gateway="sandbox", body=body, headers=headers)
            # The database's clock does not travel, so what is compared with it comes nearer.
            Notice.objects.update(not_before=F("not_before") - later)
            tick(*work)
            while (job := jobs.claim_next(presence.worker_name())) is not None:
                publishing.process(job)
    with time_machine.travel(now + later + timedelta(minutes=1)):  # after the work above
        flow.check(came_back=comes_back or killed is None)
        while_mailing = killed is not None and "payments_notice" in killed.label
        checks.check_all(mails, while_mailing=while_mailing)
