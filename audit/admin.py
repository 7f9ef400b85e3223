"""The audit log in the admin site: the list with its filters, the details of an entry, and exports."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseNotAllowed,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.urls.exceptions import NoReverseMatch
from rest_framework.request import Request

import audit.services as audit
from audit import details, exporting
from audit.actions import AuditAction
from audit.models import ApiRequest, AuditEntry
from audit.reading import Line
from audit.searching import CHANGES, REQUESTS, LogForm, LogPage
from config.admin import ReadOnlyAdmin, Row
from config.api.pagination import InvalidCursor

READS_REQUESTS = "audit.view_apirequest"
LOG = "admin:audit_auditentry_changelist"


class LogAdmin(ReadOnlyAdmin[Row]):
    """A page of the log, the newest first: filters, and pages by a cursor. No row is counted."""

    usual = CHANGES  # the lines that are shown unless others are asked for

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the lines that the filters let through. An unknown or unreadable filter is a 400."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        form, page, lines = LogForm(request.GET, lines=self.usual), LogPage(), []
        is_valid = form.is_valid()
        if is_valid:
            log = form.log(requests=self.sees_requests(request))
            try:
                lines = page.paginate_queryset(log, Request(request))
            except InvalidCursor as error:
                form.add_error(None, str(error.detail))
                is_valid = False
        context = {
            **self.admin_site.each_context(request),
            "title": "Audit log",
            "opts": self.opts,
            "form": form,
            "lines": [self.line(request, each) for each in lines],
            "next": _query(page.next) if is_valid else "",
            "previous": _query(page.previous) if is_valid else "",
            "filters": _filters(request),
            "shows_requests": is_valid and form.shows() != CHANGES,
            "kinds": sorted(model._meta.model_name or "" for model in self.admin_site._registry),
            "exports": _filters(request)
            if is_valid and self.has_export_permission(request)
            else None,
            "rows_max": exporting.ROWS_MAX,
            "media": self.media,
            **(extra_context or {}),
        }
        status = 200 if is_valid else 400
        return TemplateResponse(request, "audit/admin/log.html", context, status=status)

    def sees_requests(self, request: HttpRequest) -> bool:
        return request.user.has_perm(READS_REQUESTS)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("audit.view_auditentry")

    def line(self, request: HttpRequest, line: Line) -> dict[str, Any]:
        """Return what the list shows of a line."""
        entry = isinstance(line, AuditEntry)
        data = line.data if isinstance(line.data, dict) else {}
        return {
            "line": line,
            "url": reverse(
                f"admin:{line._meta.label_lower.replace('.', '_')}_change", args=[line.pk]
            ),
            "actor": getattr(line.actor, "email", None) or line.actor_id,
            "action": _label(line.action),
            "target": self.target(request, line.target_type, line.target_id) if entry else None,
            "summary": details.summary(line.action, data)
            if entry
            else f"{line.method} {line.path}",
        }

    def target(self, request: HttpRequest, kind: str, pk: str) -> dict[str, str] | None:
        """Return a thing's name, its page and that of its log; None for an entry without a thing."""
        if not kind:
            return None
        found = next(
            (model for model in self.admin_site._registry if model._meta.model_name == kind), None
        )
        name, url = kind, ""
        if found is not None:
            name = str(found._meta.verbose_name)
            if self.admin_site._registry[found].has_view_permission(request):
                label = found._meta.label_lower.replace(".", "_")
                try:
                    url = reverse(f"admin:{label}_change", args=[quote(pk)])
                except NoReverseMatch:
                    url = ""
        about = urlencode({"target_type": kind, "target_id": pk})
        return {"name": name, "id": pk, "url": url, "log": f"{reverse(LOG)}?{about}"}


@admin.register(AuditEntry)
class AuditEntryAdmin(LogAdmin[AuditEntry]):
    """The audit log. The database refuses changes, so the page offers none."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        return [path("export/", view, name="audit_auditentry_export"), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show an entry: who did what to which thing, from where, and what it was before and after."""
        entry = self.get_object(request, object_id)
        if not self.has_view_permission(request) or request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        if entry is None:
            missing = self._get_obj_does_not_exist_redirect  # type: ignore[attr-defined]  # not in the stubs
            return missing(request, self.opts, object_id)
        data = entry.data if isinstance(entry.data, dict) else {"data": entry.data}
        context = {
            **self.admin_site.each_context(request),
            "title": _label(entry.action),
            "opts": self.opts,
            "entry": entry,
            "actor": self.person(request, entry),
            "target": self.target(request, entry.target_type, entry.target_id),
            "changes": details.changes(entry.action, data),
            "details": details.others(data),
            "log": reverse(LOG),
            "media": self.media,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "audit/admin/entry.html", context)

    def person(self, request: HttpRequest, entry: AuditEntry) -> dict[str, str] | None:
        """Return the name and the pages of the user who did it, or None for the service itself."""
        if entry.actor_id is None:
            return None
        model = type(entry)._meta.get_field("actor").related_model
        user = model._default_manager.filter(pk=entry.actor_id).first()
        seen = self.target(request, "user", str(entry.actor_id)) or {}
        return {
            "name": str(user) if user else f"{entry.actor_id} (deleted)",
            "url": seen.get("url", "") if user else "",
            "log": f"{reverse(LOG)}?{urlencode({'actor': entry.actor_id})}",
        }

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Send the filtered lines as CSV or NDJSON, and record who took them."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        form, name = LogForm(request.GET), request.GET.get("format", "")
        if name not in exporting.FORMATS or not form.is_valid():
            return HttpResponseBadRequest(
                "The export needs format=csv or format=ndjson, and filters that the page accepts.",
                content_type="text/plain; charset=utf-8",
            )
        log = form.log(requests=self.sees_requests(request))
        filters = {**form.asked(), "lines": form.shows()}
        if form.cleaned_data["q"]:
            filters["searched"] = "@" if "@" in form.cleaned_data["q"] else form.cleaned_data["q"]
        audit.record(
            actor=request.user,
            action=AuditAction.LOG_EXPORTED,
            format=name,
            filters=filters,
        )
        return StreamingHttpResponse(
            exporting.export(log, name),
            content_type=exporting.FORMATS[name],
            headers={"Content-Disposition": f'attachment; filename="audit.{name}"'},
        )


@admin.register(ApiRequest)
class ApiRequestAdmin(LogAdmin[ApiRequest]):
    """The API requests of the last AUDIT_ACTIVITY_DAYS."""

    usual = REQUESTS
    fields = [
        "time", "who", "method", "path", "status", "address", "user_agent", "duration_ms",
        "request_id", "count", "until",
    ]  # fmt: skip

    def history_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        raise PermissionDenied  # nothing happens to a request

    @admin.display(description="time (UTC)")
    def time(self, line: ApiRequest) -> datetime:
        return line.at

    @admin.display(description="actor", empty_value="-")
    def who(self, line: ApiRequest) -> object:
        return line.actor or line.actor_id

    @admin.display(description="IP address")
    def address(self, line: ApiRequest) -> str | None:
        return line.ip

    @admin.display(description="user agent")
    def user_agent(self, line: ApiRequest) -> str:
        return line.user_agent


def _label(action: str) -> str:
    return str(AuditAction(action).label) if action in AuditAction.values else action


def _query(address: str | None) -> str:
    return f"?{urlsplit(address).query}" if address else ""


def _filters(request: HttpRequest) -> str:
    """Return the filters of the address as text for another one, without the place in the list."""
    given = request.GET.copy()
    for name in LogForm.OTHERS:
        given.pop(name, None)
    return given.urlencode()
