"""The moderators' desk on the admin site: the queue of reported videos, and the page of one case.

It shows no e-mail address and no money: people are named as other users see them.
"""

from collections import Counter
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Exists, F, OuterRef, Prefetch, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince

from accounts.models import User
from audit.models import AuditEntry
from config import humans
from config.admin import ReadOnlyAdmin
from config.attention import Tile, count, needs_attention
from config.confirmation_page import ROWS_MAX
from config.errors import DomainError, NotVisible
from videos.models import Video
from videos.moderation import cases, decisions, waiting
from videos.moderation.forms import DecisionForm
from videos.moderation.models import Appeal, ModerationCase, Reason, Report, Suspension

Status = ModerationCase.Status
OTHERS = 20  # videos of the creator that a case shows


class QueueFilter(admin.SimpleListFilter):
    """Shows what waits for a decision unless something else is asked for."""

    title = "state"
    parameter_name = "state"
    STATES = {
        "overdue": "overdue",
        "appealed": "appeal waits",
        **{str(value): label for value, label in Status.choices if value != Status.OPEN},
        "all": "all",
    }

    def lookups(self, request, model_admin):
        return list(self.STATES.items())

    def choices(self, changelist):
        first, *others = super().choices(changelist)
        return [{**first, "display": "waiting for a decision"}, *others]

    def queryset(self, request, queryset):
        appeals = Appeal.objects.filter(case=OuterRef("pk"), status=Appeal.Status.OPEN)
        by = timezone.now() - waiting.OVERDUE_AFTER
        late = Exists(appeals.filter(created_at__lte=by))
        states = {
            None: Q(status=Status.OPEN) | Exists(appeals),
            "overdue": Q(status=Status.OPEN, opened_at__lte=by) | late,
            "appealed": Exists(appeals),
            "all": Q(),
        }
        value = self.value()
        if value in states:
            return queryset.filter(states[value])
        return queryset.filter(status=value)


class ReasonFilter(admin.SimpleListFilter):
    """Shows the videos that were reported for a reason."""

    title = "reported as"
    parameter_name = "reported"

    def lookups(self, request, model_admin):
        return Reason.choices

    def queryset(self, request, queryset):
        if self.value() not in Reason.values:
            return queryset
        reports = Report.objects.filter(case=OuterRef("pk"), reason=self.value())
        return queryset.filter(Exists(reports))


def _as_action(name: str):
    """Return the action of a list that answers with the confirmation page of a decision."""
    decision = decisions.DECISIONS[name]

    @admin.action(description=decision.label, permissions=["view"])
    def lead(page: "ModerationCaseAdmin", request: HttpRequest, chosen: QuerySet[ModerationCase]):
        # No redirect: a hundred keys are longer than the address that some proxies let through.
        rows = list(chosen.order_by("opened_at", "pk")[: ROWS_MAX + 1])
        if len(rows) > ROWS_MAX:
            text = f"Choose at most {ROWS_MAX} reported videos. Nothing was done."
            page.message_user(request, text, messages.ERROR)
            return None
        return page.ask(request, name, rows, DecisionForm(decision=decision))

    lead.__name__ = name.replace("-", "_")
    # The page that asks before it acts.
    lead.asks_on = "videos_moderationcase_decide"  # type: ignore[attr-defined]  # a mark
    return lead


@admin.register(ModerationCase)
class ModerationCaseAdmin(ReadOnlyAdmin):
    """Reported videos. The queue shows the most reported first, and of these the oldest."""

    list_display = ["title", "number", "age", "reasons", "state", "creator_name"]
    list_filter = [QueueFilter, ReasonFilter]
    search_fields = [
        "video__title", "video__id", "video__creator__display_name", "video__creator__id",
    ]  # fmt: skip
    list_per_page = 50
    actions = [_as_action(name) for name in decisions.BULK]

    def has_view_permission(self, request, obj=None):
        return request.user.has_perm("videos.moderate_video")

    def has_module_permission(self, request):
        return self.has_view_permission(request)

    def get_queryset(self, request):
        return (
            super()
            .get_queryset(request)
            .select_related("video__creator", "decided_by")
            .annotate(reported=Count("reports"))
            .prefetch_related("reports", "appeals")
        )

    def get_ordering(self, request):
        return [F("reported").desc(), "opened_at", "pk"]

    def changelist_view(self, request, extra_context=None):
        return super().changelist_view(
            request, {"title": "Reported videos", **(extra_context or {})}
        )

    @admin.display(description="video", ordering="video__title")
    def title(self, case):
        return case.video.title

    @admin.display(description="creator")
    def creator_name(self, case):
        name = case.video.creator.public_name
        return f"{name} (suspended)" if case.video.creator.suspended_at else name

    @admin.display(description="reports", ordering="reported")
    def number(self, case):
        return case.reported

    @admin.display(description="reported as")
    def reasons(self, case):
        counts = Counter(Reason(report.reason).label for report in case.reports.all())
        return ", ".join(f"{label} ({number})" for label, number in counts.most_common()) or "-"

    @admin.display(description="waiting for", ordering="opened_at")
    def age(self, case):
        since = _waits_since(case)
        if since is None:
            return "-"
        age = timesince(since, depth=1)
        if since > timezone.now() - waiting.OVERDUE_AFTER:
            return age
        return format_html("<strong>{}, overdue</strong>", age)

    @admin.display(description="state", ordering="status")
    def state(self, case):
        appealed = any(appeal.status == Appeal.Status.OPEN for appeal in case.appeals.all())
        return case.get_status_display() + (", appeal waits" if appealed else "")

    def get_urls(self):
        view = self.admin_site.admin_view
        own = [
            path("decide/<slug:name>/", view(self.decide), name="videos_moderationcase_decide"),
            path("open/<uuid:video_id>/", view(self.open), name="videos_moderationcase_open"),
        ]
        return [*own, *super().get_urls()]

    def _moderator(self, request: HttpRequest) -> User:
        """Return the caller. Raises PermissionDenied for a user who is no moderator."""
        user = request.user
        if not isinstance(user, User) or not self.has_view_permission(request):
            raise PermissionDenied
        return user

    def change_view(self, request, object_id, form_url="", extra_context=None):
        """Show a case: the video, its reports and history, its creator's others, the decisions."""
        moderator = self._moderator(request)
        case = self.get_object(request, object_id)
        if case is None:
            return super().change_view(request, object_id)  # which says so
        video = case.video
        context = {
            **self.admin_site.each_context(request),
            "title": video.title,
            "opts": self.opts,
            "media": self.media,
            "case": case,
            "video": video,
            "is_playable": video.is_playable and video.deleted_at is None,
            "reports": case.reports.select_related("reporter").order_by("-created_at"),
            "appeals": case.appeals.order_by("created_at"),
            "waits_since": _waits_since(case),
            "history": _history(video),
            "earlier": ModerationCase.objects.filter(video=video)
            .exclude(pk=case.pk)
            .annotate(reported=Count("reports"))
            .order_by("-opened_at"),
            "others": _others(video),
            "suspensions": Suspension.objects.filter(creator=video.creator).order_by("-created_at"),
            "decisions": [(name, decisions.DECISIONS[name]) for name in decisions.possible(case)],
            "is_own": video.creator_id == moderator.pk,
        }
        return TemplateResponse(request, "videos/admin/case.html", context)

    def decide(self, request: HttpRequest, name: str) -> HttpResponse:
        """Say what a decision will do to the chosen cases, ask for it, and carry it out."""
        moderator = self._moderator(request)
        decision = decisions.DECISIONS.get(name)
        if decision is None:
            raise Http404
        chosen = self._chosen(request)
        if not chosen:
            self.message_user(request, "Choose at least one reported video.", messages.WARNING)
            return HttpResponseRedirect(_way_back(chosen))
        form = DecisionForm(request.POST or None, decision=decision)
        if request.method == "POST" and form.is_valid():
            reason, note = form.cleaned_data.get("reason", ""), form.cleaned_data.get("note", "")
            self._carry_out(request, moderator, decision, chosen, reason, note)
            return HttpResponseRedirect(_way_back(chosen))
        return self.ask(request, name, chosen, form)

    def ask(
        self, request: HttpRequest, name: str, chosen: list[ModerationCase], form: DecisionForm
    ) -> HttpResponse:
        """Answer with the page that says what a decision will do to the chosen cases."""
        decision = decisions.DECISIONS[name]
        context = {
            **self.admin_site.each_context(request),
            "title": f"{decision.label}?",
            "opts": self.opts,
            "media": self.media,
            "decision": decision,
            "cases": chosen,
            "form": form,
            "to": reverse("admin:videos_moderationcase_decide", args=[name]),
            "back": _way_back(chosen),
        }
        return TemplateResponse(request, "videos/admin/decide.html", context)

    def _carry_out(
        self,
        request: HttpRequest,
        moderator: User,
        decision: decisions.Decision,
        chosen: list[ModerationCase],
        reason: str,
        note: str,
    ) -> None:
        """Decide each case for itself, and say how many were decided, and why others were not."""
        done = 0
        for case in chosen:
            try:
                decision.act(case, moderator, reason, note)
                done += 1
            except (DomainError, NotVisible) as refusal:
                text = f"{case.video.title}: {refusal.detail}"
                self.message_user(request, text, messages.ERROR)
        if done:
            self.message_user(request, f"{decision.done}: {done}.", messages.SUCCESS)

    def _chosen(self, request: HttpRequest) -> list[ModerationCase]:
        asked = request.POST if request.method == "POST" else request.GET
        try:
            ids = [UUID(text) for text in asked.getlist("case")]
        except ValueError:
            raise Http404 from None
        return list(self.get_queryset(request).filter(pk__in=ids).order_by("opened_at", "pk"))

    def open(self, request: HttpRequest, video_id: UUID) -> HttpResponse:
        """Open a case about a video that nobody has reported, at a moderator's own wish."""
        moderator = self._moderator(request)
        if request.method != "POST":
            raise Http404
        try:
            case = cases.open_case(video_id=video_id, actor=moderator)
        except (DomainError, NotVisible) as refusal:
            self.message_user(request, str(refusal.detail), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:videos_moderationcase_changelist"))
        return HttpResponseRedirect(reverse("admin:videos_moderationcase_change", args=[case.pk]))


@needs_attention("Reports", permission="videos.moderate_video")
def reports(request: HttpRequest):
    """Yield the cases and the appeals that wait for a moderator."""
    queue = reverse("admin:videos_moderationcase_changelist")
    for title, found, query in (
        ("Reported videos", waiting.cases(), ""),
        ("Appeals", waiting.appeals(), "?state=appealed"),
    ):
        number, state = count(found.number, state="look")
        say = ""
        if found.since is not None:
            age = timezone.now() - found.since
            state = "urgent" if age >= waiting.OVERDUE_AFTER else state
            say = f"The oldest waits for {humans.duration_text(age.total_seconds())}."
        yield Tile(title, number, state, queue + query, say)


def _way_back(chosen: list[ModerationCase]) -> str:
    """Return the address of the page of the one chosen case, or of the queue."""
    if len(chosen) == 1:
        return reverse("admin:videos_moderationcase_change", args=[chosen[0].pk])
    return reverse("admin:videos_moderationcase_changelist")


def _waits_since(case: ModerationCase):
    """Return since when a case waits for a moderator, or None."""
    if case.status == Status.OPEN:
        return case.opened_at
    waits = [each.created_at for each in case.appeals.all() if each.status == Appeal.Status.OPEN]
    return waits[0] if waits else None


def _history(video: Video) -> list[dict[str, Any]]:
    """Return what has happened to a video, from the audit log, the newest first."""
    entries = AuditEntry.objects.filter(target_type="video", target_id=str(video.pk))
    rows = list(entries.order_by("-at").values("at", "action", "actor_id", "data")[:100])
    people = User.objects.in_bulk({row["actor_id"] for row in rows if row["actor_id"]})
    labels = dict(AuditEntry._meta.get_field("action").flatchoices)
    return [
        {
            "at": row["at"],
            "what": labels.get(row["action"], row["action"]),
            "reason": dict(Reason.choices).get(row["data"].get("reason"), ""),
            "who": people[row["actor_id"]].public_name
            if row["actor_id"] in people
            else "the service",
        }
        for row in rows
    ]


def _others(video: Video) -> QuerySet[Video]:
    """Return the newest other videos of the creator, with their latest case."""
    newest = ModerationCase.objects.order_by("-opened_at")
    return (
        Video.objects.alive()
        .filter(creator=video.creator_id)
        .exclude(pk=video.pk)
        .prefetch_related(Prefetch("cases", newest))
        .order_by("-created_at")[:OTHERS]
    )
