"""The confirmation page of the admin site.

Every act that moves money, ends access or deletes is declared with `asks_first` or `task`. Its page says
what will be done to how many rows and how much money, asks for a reason, and then acts; a report tells
what was done, and what was refused and why. `analytics/tests/test_asking_first.py` finds acts without.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from config import confirmation_page, desk
from config.confirmation_page import ROWS_MAX, Act, Confirmation, Question, prefix

__all__ = ["ConfirmingAdmin", "Question", "asks_first", "task"]

if TYPE_CHECKING:
    _Base = admin.ModelAdmin[Any]
else:
    _Base = object


def asks_first(
    label: str, *, permission: str, title: str, effect: str, button: str, done: str, **more: Any
) -> Callable[[Act], Act]:
    """Make a method that acts on one row an action of lists and a button of the row's page.

    The method is called as ``act(page, actor, row, **answers)``, with an answer for each of
    ``questions``, and refuses a row by a DomainError or NotVisible. ``permission`` names the page's
    ``has_..._permission``. ``title`` is the question of the page, ``effect`` says what happens and what
    cannot be undone, ``done`` begins the report, as in "Refunded". ``amount`` returns a row's money.
    ``offered`` tells whether a row's page has the button; the service refuses all the same.
    """

    def decorate(act: Act) -> Act:
        @admin.action(description=label, permissions=[permission])
        def show(
            page: "ConfirmingAdmin", request: HttpRequest, queryset: QuerySet[Any]
        ) -> HttpResponse | None:
            keys = [str(key) for key in queryset.values_list("pk", flat=True)[: ROWS_MAX + 1]]
            if len(keys) > ROWS_MAX:
                text = f"Choose at most {ROWS_MAX} rows. Nothing was done."
                page.message_user(request, text, messages.ERROR)
                return None
            return confirmation_page.answer(
                page, request, act.__name__, {"rows": ",".join(keys)}, request.GET.urlencode()
            )

        show.__name__ = act.__name__
        show.asks_first = Confirmation(  # type: ignore[attr-defined]  # a mark on a function
            act, label, title, effect, button, done, **more
        )
        return show

    return decorate


def task(
    label: str, *, permission: str, title: str, effect: str, button: str, done: str, **more: Any
) -> Callable[[Act], Act]:
    """Make a method that acts without rows, such as closing a month, a button above a list.

    The method is called as ``act(page, actor, **fields)`` and returns the lines of its report; it
    refuses by a DomainError. ``fields`` makes the form's fields. ``preview`` takes their values and
    returns lines that say what the act would do now. ``permission`` is as of `asks_first`.
    """

    def decorate(act: Act) -> Act:
        act.asks_first = Confirmation(  # type: ignore[attr-defined]  # a mark on a function
            act, label, title, effect, button, done, is_task=True, **more
        )
        act.allowed_permissions = [permission]  # type: ignore[attr-defined]  # as of actions
        return act

    return decorate


class ConfirmingAdmin(_Base):
    """The part of an admin page that shows and runs its acts."""

    tasks: Sequence[str] = ()

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.act_view)
        return [path("act/<slug:name>/", view, name=f"{prefix(self)}_act"), *super().get_urls()]

    def name_of(self, row: Any) -> str:
        """Return how the confirmation page and its report name a row."""
        return str(row)

    def acts(self, request: HttpRequest) -> dict[str, Confirmation]:
        """Return the acts that the user may do here, by name."""
        allowed = {
            name: function.asks_first
            for name, action in self.get_actions(request).items()
            if action is not None and hasattr(function := action[0], "asks_first")
        }
        for name in self.tasks:
            function = getattr(self, name)
            (permission,) = function.allowed_permissions
            if getattr(self, f"has_{permission}_permission")(request):
                allowed[name] = function.asks_first
        return allowed

    def act_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show the confirmation page of an act; do it when the page is answered."""
        if name not in self.acts(request):
            raise PermissionDenied
        answers = request.POST if request.method == "POST" else None
        where = request.GET if answers is None else answers
        given = {"rows": where.get("rows", "")}
        return confirmation_page.answer(
            self, request, name, given, where.get("back", "object"), answers
        )

    def buttons(self, request: HttpRequest, row: Model | None = None) -> list[dict[str, str]]:
        """Return the buttons above a list, or those of a row's page."""
        query = f"?{urlencode({'rows': row.pk})}" if row else "?back="
        return [
            {"label": each.label, "url": reverse(f"admin:{prefix(self)}_act", args=[name]) + query}
            for name, each in self.acts(request).items()
            if each.is_task is (row is None)
            and (row is None or each.offered is None or each.offered(row))
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra = {**(extra_context or {}), "act_buttons": self.buttons(request)}
        return super().changelist_view(request, extra)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **more: Any
    ) -> HttpResponse:
        row = more.get("obj")
        context["act_buttons"] = self.buttons(request, row) if row else []
        context["row_links"] = desk.links(request, self.opts.label, row.pk) if row else []
        return super().render_change_form(request, context, *args, **more)
