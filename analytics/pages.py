"""The pages of figures for creators and administrators: plots, and the numbers as tables beneath.

They show the reports of the API. A user signs in at /sign-in; no page changes anything.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import astuple, fields
from datetime import date, timedelta, tzinfo
from decimal import Decimal
from functools import wraps
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.pages import private_page
from analytics import reports
from analytics.rows import Report, RevenueLine
from analytics.scope import Scope
from analytics.serializers import ScopeSerializer, time_zones
from analytics.steps import TRUNC
from analytics.templatetags.numbers import duration
from config.api.csv import csv_response
from streaming.embedding import frame, origin_of
from videos.embedding import domains_of
from videos.models import Video
from videos.moderation import standing
from videos.moderation.models import Reason

OWN, PLATFORM = "analytics.view_own_analytics", "analytics.view_platform_analytics"
DEFAULT_DAYS = 30
PARAMETERS = {"from", "through", "interval", "tz", "csv"}
Page = Callable[..., HttpResponseBase]


def for_users(page: Page) -> Page:
    """Show a page to users only; anyone else is sent to the sign-in and comes back."""

    @wraps(page)
    def guarded(request: HttpRequest, **arguments: object) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return HttpResponseRedirect(
                f"{reverse('sign-in')}?next={quote(request.get_full_path(), safe='')}"
            )
        return page(request, **arguments)

    return csrf_exempt(require_safe(guarded))  # nothing is changed, so that other methods are a 405


@for_users
def home(request: HttpRequest) -> HttpResponseBase:
    """Go to the platform's figures where the user may see them, and else to their own."""
    name = "numbers-platform" if request.user.has_perm(PLATFORM) else "numbers-creator"
    return HttpResponseRedirect(reverse(name))


@for_users
def creator(request: HttpRequest) -> HttpResponseBase:
    """Show a creator's figures. An administrator sees those of ``?creator=``."""
    if not request.user.has_perm(OWN):
        return _refused(request, "Only creators have figures.")
    shown: User = request.user  # type: ignore[assignment]  # `for_users` has refused anybody else
    if request.user.has_perm(PLATFORM) and (asked := request.GET.get("creator")):
        try:
            found = User.objects.filter(pk=UUID(asked)).first()
        except ValueError:
            found = shown  # the form refuses it below
        if found is None:
            return _refused(request, "There is no user at this address.", status=404)
        shown = found
    is_own = shown.pk == request.user.pk
    title = "Your videos" if is_own else f"Videos of {shown.public_name}"

    def report(scope: Scope) -> Report:
        return reports.creator_report(scope, shown.pk, compares=True)

    more = {"suspended": shown.suspended_at, "is_own": is_own}
    return _answer(request, title, report, more, parameters={*PARAMETERS, "creator"})


@for_users
def platform(request: HttpRequest) -> HttpResponseBase:
    """Show the figures of all videos."""
    if not request.user.has_perm(PLATFORM):
        return _refused(request, "Only administrators see the platform's figures.")
    return _answer(
        request, "The platform", lambda scope: reports.platform_report(scope, compares=True)
    )


@for_users
def video(request: HttpRequest, video_id: UUID) -> HttpResponseBase:
    """Show the figures of one video to its owner and to administrators."""
    visible = Video.objects.visible_to(request.user).select_related("creator")
    shown = visible.filter(pk=video_id).first()
    sees_all = request.user.has_perm(PLATFORM)
    if shown is None or not (sees_all or shown.creator_id == request.user.pk):
        return _refused(request, "You have no video at this address.", status=404)

    def report(scope: Scope) -> Report:
        return reports.video_report(scope, shown, compares=True)

    takedown = standing.of(shown)
    more = {
        "video_id": shown.pk,
        "embedding": {"html": frame(shown, origin_of(request)), "domains": domains_of(shown)},
        "takedown": takedown and {**takedown, "why": Reason(takedown["reason"]).label},
    }
    return _answer(request, shown.title, report, more, video_id=shown.pk)


def _answer(
    request: HttpRequest,
    title: str,
    report: Callable[[Scope], Report],
    more: Mapping[str, object] = MappingProxyType({}),
    parameters: AbstractSet[str] = frozenset(PARAMETERS),
    **fixed: UUID,
) -> HttpResponseBase:
    """Answer with the page of a report, with one of its tables as CSV, or with what is wrong.

    ``more`` is for the template.
    """
    asked = request.GET.dict()
    query, errors = _query(asked)
    serializer = ScopeSerializer(data=query, context={"parameters": query})
    if not errors and not serializer.is_valid():
        errors = [str(error) for each in serializer.errors.values() for error in each]
    unknown = set(asked) - parameters
    errors += [f"This page has no parameter “{name}”." for name in sorted(unknown)]
    form = {"query": query, "through": asked.get("through") or _through(query), "errors": errors}
    if errors:
        context = {**_frame(request, title), **form}
        return private_page("analytics/numbers.html", context, status=400)
    made = report(serializer.scope(**fixed))
    tables = _tables(made)
    if "csv" in asked:
        wanted = tables.get(asked["csv"])
        if wanted is None:
            return _refused(request, "This page has no such table.", status=404)
        head, rows = wanted
        return csv_response(asked["csv"], head, iter(rows))
    same: dict[str, str] = {
        name: asked[name]
        for name in ("from", "through", "interval", "tz", "creator")
        if name in asked
    }
    context = {
        **_frame(request, title),
        **form,
        **more,
        "report": made,
        "cards": _cards(made),
        "most": _most(made),
        "most_videos": reports.VIDEOS_MAX,
        "links": {name: "?" + urlencode({**same, "csv": name}) for name in tables},
        "period": urlencode({name: value for name, value in same.items() if name != "creator"}),
    }
    return private_page("analytics/numbers.html", context)


def _query(asked: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the query of the API for that of a page, whose ``through`` is the last day, and errors."""
    zone_name = asked.get("tz") or "UTC"
    query = {"tz": zone_name, "interval": asked.get("interval") or "day"}
    if asked.get("from"):
        query["from"] = asked["from"]
    if asked.get("creator"):
        query["creator"] = asked["creator"]
    if zone_name not in time_zones():
        return {**query, "tz": "UTC"}, [f"There is no time zone “{zone_name}”."]
    today = timezone.now().astimezone(_zone(zone_name)).date()
    try:
        last = date.fromisoformat(asked["through"]) if asked.get("through") else today
        default = last - timedelta(days=DEFAULT_DAYS - 1)
        first = date.fromisoformat(asked["from"]) if asked.get("from") else default
        after = last + timedelta(days=1)
    except (ValueError, OverflowError):
        return query, ["A date is wrong. Choose both from the calendar."]
    return {**query, "from": first.isoformat(), "to": after.isoformat()}, []


def _zone(name: str) -> tzinfo:
    return ScopeSerializer(data={"tz": name}).zone


def _through(query: dict[str, str]) -> str:
    end = query.get("to")
    return (date.fromisoformat(end) - timedelta(days=1)).isoformat() if end else ""


def _frame(request: HttpRequest, title: str) -> dict[str, object]:
    user = request.user
    return {
        "title": title,
        "user": user,
        "csrf_token": get_token(request),
        "sees_own": user.has_perm(OWN),
        "sees_all": user.has_perm(PLATFORM),
        "intervals": list(TRUNC),
        "zones": sorted(time_zones()),
        "path": request.path,
    }


def _cards(made: Report) -> list[tuple[str, list[str], list[str]]]:
    """Return the totals for people: a title, its values, and its changes from the period before."""
    totals = made.totals
    change = made.comparison.change if made.comparison else None
    cards = []
    for title, name in [
        ("Views", "views"),
        ("Unique viewers", "unique_viewers"),
        ("Watch time", "watch_seconds"),
        ("Sales", "purchases"),
        ("Likes", "likes"),
        ("Dislikes", "dislikes"),
    ]:
        value = getattr(totals, name)
        text = duration(value) if name == "watch_seconds" else f"{value:,}"
        cards.append((title, [text], [_percent(getattr(change, name, None))]))
    for title, name in [("Gross", "gross"), ("Earnings", "earnings")]:
        amounts = getattr(totals, name)
        changes = {row.currency: row.percent for row in getattr(change, name, [])}
        cards.append(
            (
                title,
                [f"{row.amount} {row.currency}" for row in amounts] or ["0"],
                [_percent(changes.get(row.currency)) for row in amounts] or [_percent(None)],
            )
        )
    return cards


def _percent(change: float | None) -> str:
    return "new" if change is None else f"{change:+,.1f}".removesuffix(".0") + " %"


def _most(made: Report) -> dict[str, object]:
    """Return the largest figures of the tables, of money by currency. Bars are drawn against them."""
    shares = [
        (line.currency, line.creator_share) for row in _rows(made, "videos") for line in row.revenue
    ]
    earnings = [(row.currency, row.amount) for row in _rows(made, "earnings_by_source")]
    return {
        "viewers": max((row.viewers for row in _rows(made, "retention")), default=0),
        "sessions": {"": max((row.sessions for row in made.sources), default=0)},
        "shares": _largest(shares),
        "earnings": _largest(earnings),
    }


def _rows(made: Report, name: str) -> list[Any]:
    return getattr(made, name, [])


def _largest(amounts: Iterable[tuple[str, str]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for currency, amount in amounts:
        found[currency] = max(found.get(currency, Decimal(0)), Decimal(amount))
    return found


def _tables(made: Report) -> dict[str, tuple[list[str], list[tuple]]]:
    """Return the tables of a report for CSV: the names of the columns, and the rows.

    Money is a number: as text, a negative amount would get the quote that keeps formulas from running.
    """
    tables = {
        "series": made.series,
        "sources": made.sources,
        "quality": made.quality_series,
        "retention": getattr(made, "retention", []),
        "creators": getattr(made, "top_creators", []),
    }
    found = {
        name: ([field.name for field in fields(rows[0])], [astuple(row) for row in rows])
        for name, rows in tables.items()
        if rows
    }
    if earnings := getattr(made, "earnings_by_source", []):
        found["earnings"] = (
            ["source", "currency", "amount"],
            [(row.source, row.currency, Decimal(row.amount)) for row in earnings],
        )
    if videos := getattr(made, "videos", []):
        names = [field.name for field in fields(videos[0]) if field.name != "revenue"]
        money = ["gross", "refunds", "disputes", "creator_share", "platform_share"]
        found["videos"] = (
            [*names, "currency", *money],
            [
                (*(getattr(row, name) for name in names), *_cells(line, money))
                for row in videos
                for line in (row.revenue or [None])
            ],
        )
    return found


def _cells(line: RevenueLine | None, amounts: list[str]) -> list[object]:
    """Return the currency of a line and its amounts as numbers; without a line, empty cells."""
    if line is None:
        return [""] * (1 + len(amounts))
    return [line.currency, *(Decimal(getattr(line, name)) for name in amounts)]


def _refused(request: HttpRequest, detail: str, *, status: int = 403) -> HttpResponse:
    context: dict[str, object] = {
        "detail": detail,
        "hint": "Sign in as another user, or go back to the start page.",
    }
    return private_page("config/error.html", context, status=status)
