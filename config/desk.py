"""The admin site's look and menu (`docs/adr/0030-the-admin-site-is-unfold.md`)."""

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse


class Entry(NamedTuple):
    """A line of the menu: a model's list by "app.Model", a page by its name, or a path."""

    target: str
    title: str
    icon: str
    permission: str = ""  # of pages; a list is shown to those who may see its rows


# In the order of the day's work, by the words of those who work here. A list that is not named here
# appears under MORE by the name of its model.
MENU: dict[str, list[Entry]] = {
    "": [
        Entry("index", "What needs attention", "home"),
        Entry("/numbers/", "Figures", "bar_chart", "analytics.view_platform_analytics"),
        Entry("/", "View site", "public"),
        Entry("/account/second-factor", "My second factor", "security"),
    ],
    "Videos": [
        Entry("videos.Video", "Videos", "movie"),
        Entry("videos.ModerationCase", "Reported videos", "flag"),
        Entry("videos.ProcessingJob", "Processing", "manufacturing"),
        Entry("streaming.PlaybackSession", "Playback sessions", "play_circle"),
        Entry("analytics.VideoView", "Views", "visibility"),
        Entry("analytics.Reaction", "Likes and dislikes", "thumb_up"),
    ],
    "People": [
        Entry("accounts.User", "Users", "person"),
        Entry("accounts.RefreshFamily", "Sign-ins", "login"),
        Entry("accounts.ApiKey", "API keys", "vpn_key"),
        Entry("accounts.ProviderIdentity", "Accounts at the provider", "badge"),
        Entry("payments.Notice", "Mails", "mail"),
    ],
    "Shop": [
        Entry("payments.Order", "Orders", "shopping_cart"),
        Entry("payments.Subscription", "Subscriptions", "autorenew"),
        Entry("payments.Invoice", "Invoices", "receipt_long"),
        Entry("payments.Entitlement", "Who may watch what", "key"),
        Entry("payments.Plan", "Plans", "sell"),
        Entry("payments.Coupon", "Coupons", "local_activity"),
        Entry("payments.CouponRedemption", "Used coupons", "redeem"),
    ],
    "Money": [
        Entry("payments_revenue", "Revenue", "monitoring", "payments.view_revenue"),
        Entry("payments_review", "Review queue", "rule", "payments.view_revenue"),
        Entry("payments.Payment", "Payments", "payments"),
        Entry("payments.Refund", "Refunds", "undo"),
        Entry("payments.Dispute", "Disputes", "gavel"),
        Entry("payments.Payout", "Payouts", "account_balance"),
        Entry("payments.Statement", "Creators' statements", "description"),
        Entry("payments.Pool", "Months and pools", "calendar_month"),
    ],
    "Books": [
        Entry("payments.LedgerAccount", "Accounts", "account_balance_wallet"),
        Entry("payments.JournalEntry", "Journal", "menu_book"),
        Entry("payments.LedgerCheck", "Checks of the books", "fact_check"),
        Entry("payments.WebhookEvent", "Gateway's events", "inbox"),
        Entry("payments.Conversion", "Conversions", "currency_exchange"),
        Entry("payments.WatchDaily", "Watch time by day", "schedule"),
    ],
    "Webhooks": [
        Entry("webhooks.Endpoint", "Endpoints", "webhook"),
        Entry("webhooks.Delivery", "Deliveries", "send"),
        Entry("webhooks.Event", "Events", "event"),
    ],
    "Records": [
        Entry("audit.AuditEntry", "Audit log", "history"),
        Entry("audit.ApiRequest", "API requests", "api"),
    ],
}
MORE = "More"
AUDIT_LOG = "audit.AuditEntry"

# Links of a row's page to the lists of what belongs to it, and to other pages. ``{pk}`` is the row's
# key. A link to a list is shown to those who may see the list. Each row has a link to its trail, too.
LINKS: dict[str, list[tuple[str, str, str]]] = {
    "videos.Video": [
        ("Orders", "payments.Order", "?video__id__exact={pk}"),
        ("Who may watch it", "payments.Entitlement", "?video__id__exact={pk}"),
        ("Playback sessions", "streaming.PlaybackSession", "?video__id__exact={pk}"),
        ("Views", "analytics.VideoView", "?video__id__exact={pk}"),
        ("Processing jobs", "videos.ProcessingJob", "?video__id__exact={pk}"),
        ("Reports", "videos.ModerationCase", "?state=all&q={pk}"),
        ("Watch it", "", "/watch/{pk}"),
    ],
    "accounts.User": [
        ("Videos", "videos.Video", "?creator__id__exact={pk}&deleted=all"),
        ("Reports of the videos", "videos.ModerationCase", "?state=all&q={pk}"),
        ("Orders", "payments.Order", "?buyer__id__exact={pk}"),
        ("Subscriptions", "payments.Subscription", "?user__id__exact={pk}"),
        ("Playback sessions", "streaming.PlaybackSession", "?user__id__exact={pk}"),
        ("Payouts", "payments.Payout", "?creator__id__exact={pk}"),
        ("Sign-ins", "accounts.RefreshFamily", "?user__id__exact={pk}"),
        ("API keys", "accounts.ApiKey", "?user__id__exact={pk}"),
        ("Accounts at the provider", "accounts.ProviderIdentity", "?user__id__exact={pk}"),
        ("Mails", "payments.Notice", "?user__id__exact={pk}"),
        ("What the user did", "audit.AuditEntry", "?actor={pk}"),
    ],
    "payments.Order": [
        ("Payments", "payments.Payment", "?q={pk}"),
    ],
    "payments.Payment": [
        ("Refunds", "payments.Refund", "?payment__id__exact={pk}"),
        ("Disputes", "payments.Dispute", "?payment__id__exact={pk}"),
    ],
    "payments.Subscription": [
        ("Invoices", "payments.Invoice", "?subscription__id__exact={pk}"),
    ],
}


def title_of(label: str) -> str | None:
    """Return the menu's name of a model's list, or None for a list that the menu does not name."""
    return next(
        (each.title for part in MENU.values() for each in part if each.target == label), None
    )


def titles_by_address() -> dict[str, str]:
    """Return the menu's titles of lists by the addresses of the lists."""
    return {
        _list_address(each.target): each.title
        for part in MENU.values()
        for each in part
        if "." in each.target
    }


def links(request: HttpRequest, label: str, pk: object) -> list[dict[str, str]]:
    """Return the links of the page of a row that the user may follow."""
    from django.contrib import admin  # the settings import this module
    from django.contrib.admin.utils import quote

    pages = {page.opts.label: page for page in admin.site._registry.values()}
    found = [
        {
            "label": title,
            "url": (_list_address(target) if target else "") + query.format(pk=pk),
        }
        for title, target, query in LINKS.get(label, [])
        if not target or (target in pages and pages[target].has_view_permission(request))
    ]
    log = pages.get(AUDIT_LOG)
    if label != AUDIT_LOG and log is not None and log.has_view_permission(request):
        history = reverse(f"admin:{label.lower().replace('.', '_')}_history", args=[quote(str(pk))])
        found.append({"label": "What happened to it", "url": history})
    return found


def menu(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the menu of a user: the groups with the lists and pages that the user may open."""
    from django.contrib import admin  # the settings import this module

    pages = {page.opts.label: page for page in admin.site._registry.values()}
    allowed = {label: page for label, page in pages.items() if page.has_view_permission(request)}
    named = {each.target for part in MENU.values() for each in part}
    more = [
        Entry(label, str(page.opts.verbose_name_plural).capitalize(), "table")
        for label, page in sorted(allowed.items())
        if label not in named
    ]
    groups = []
    for title, entries in {**MENU, MORE: more}.items():
        items = [
            {
                "title": each.title,
                "icon": each.icon,
                "link": _address(each),
                # The address of every page begins with "/", which would mark the shop as open.
                **({"active": False} if each.target.startswith("/") else {}),
            }
            for each in entries
            if each.target in allowed or ("." not in each.target and _may_open(request, each))
        ]
        if items:
            groups.append({"title": title, "items": items, "collapsible": False})
    return groups


def _may_open(request: HttpRequest, page: Entry) -> bool:
    return not page.permission or request.user.has_perm(page.permission)


def _address(entry: Entry) -> str:
    if entry.target.startswith("/"):
        return entry.target
    if "." not in entry.target:
        return reverse(f"admin:{entry.target}")
    return _list_address(entry.target)


def _list_address(label: str) -> str:
    app, model = label.lower().split(".")
    return reverse(f"admin:{app}_{model}_changelist")


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Video on demand",
    "SITE_HEADER": "Video on demand",
    "SITE_SYMBOL": "movie",
    "SITE_URL": "/",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "COLORS": {},  # as a style in the page they would need another Content-Security-Policy
    "BORDER_RADIUS": None,
    "COMMAND": {"search_models": False, "show_history": False},
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "config.desk.menu",
    },
}
