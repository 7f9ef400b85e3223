"""The page that asks before an act of the admin site, and the report that follows it."""

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import prefetch_related_objects
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from config import money, reasons
from config.errors import DomainError, NotVisible

ROWS_MAX = 1000  # rows of one act; DATA_UPLOAD_MAX_NUMBER_FIELDS has room for two answers to each
NAMES_MAX = 20  # rows that a report names
REASON_MAX = 500
SAME = "same-{}"  # the name of the field whose answer counts for every row without one of its own

logger = logging.getLogger(__name__)
Act = Callable[..., Any]
Amount = tuple[int, str]  # minor units and currency


@dataclass(frozen=True, slots=True)
class Question:
    """A text that an act needs for each row, such as the bank's reference of a payout."""

    name: str
    label: str
    max_length: int


@dataclass(frozen=True, slots=True)
class Confirmation:
    """An act with everything that its page says and asks."""

    act: Act
    label: str
    title: str
    effect: str
    button: str
    done: str
    amount: Callable[[Any], Amount | None] | None = None
    prefetch: Sequence[str] = ()  # what `amount` reads of the rows' relations
    about: Callable[[Sequence[Any]], str] | None = None  # a further fact about the chosen rows
    offered: Callable[[Any], bool] | None = None  # whether a row's page has the button
    questions: Sequence[Question] = ()
    ends_something: bool = True
    # Of tasks alone: the fields of the form, and what the act would do with their values.
    fields: Callable[[], Mapping[str, forms.Field]] = dict
    preview: Callable[..., Iterable[str]] | None = None
    is_task: bool = False


class Page(Protocol):
    """What this module needs of an admin page; `config.confirming.ConfirmingAdmin` is one."""

    opts: Any
    admin_site: Any

    def name_of(self, row: Any) -> str: ...
    def acts(self, request: HttpRequest) -> dict[str, Confirmation]: ...
    def get_queryset(self, request: HttpRequest) -> Any: ...
    def get_list_select_related(self, request: HttpRequest) -> Any: ...
    def message_user(self, request: HttpRequest, message: Any, level: int) -> None: ...


@dataclass
class Report:
    """What an act has done: accepted rows with their money, and the refusals by their reason."""

    done: int = 0
    amounts: Counter[str] = field(default_factory=Counter)
    refused: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


class _Form(forms.Form):
    """The part of the page's form that every act has."""

    rows = forms.CharField(required=False, widget=forms.HiddenInput)
    back = forms.CharField(required=False, widget=forms.HiddenInput)
    shown = forms.CharField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        label="Reason",
        max_length=REASON_MAX,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept in the audit log. Write no names, addresses or card numbers.",
    )


def answer(
    page: Page,
    request: HttpRequest,
    name: str,
    given: Mapping[str, str],
    back: str,
    answers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Show the page, or act and go back, if ``answers`` answer the page of the facts as they are now."""
    what: Confirmation = page.acts(request)[name]
    rows = [] if what.is_task else _rows(page, request, given["rows"])
    prefetch_related_objects(rows, *what.prefetch)
    if not rows and not what.is_task:
        raise Http404("None of the chosen rows exists.")
    form = _form(page, what, rows, answers, {**given, "back": back})
    is_valid = answers is not None and form.is_valid()
    lines, totals = _facts(page, what, rows, form, is_valid)
    shown = _digest([*lines, totals, *(str(row.pk) for row in rows)])
    if is_valid and answers is not None:
        if answers.get("shown") == shown:
            _act(page, request, what, rows, form.cleaned_data)
            return HttpResponseRedirect(_way_back(page, back, rows))
        if not what.is_task or answers.get("shown"):
            form.add_error(None, "The facts have changed since this page was shown. Read it again.")
    context = {
        **page.admin_site.each_context(request),
        "title": what.title,
        "opts": page.opts,
        "what": what,
        "form": form,
        "shown": shown if (is_valid or not what.is_task or not what.fields()) else "",
        "lines": lines,
        "totals": totals,
        "listed": [
            (page.name_of(row), _amount_text(what, row), _own_fields(form, what, row))
            for row in rows
        ],
        "same": [form[SAME.format(each.name)] for each in what.questions],
        "asked": [form[each] for each in what.fields()],
        "to": reverse(f"admin:{prefix(page)}_act", args=[name]),
        "way_back": _way_back(page, back, rows),
    }
    return TemplateResponse(request, "config/admin/confirm.html", context)


def _rows(page: Page, request: HttpRequest, keys: str) -> list[Any]:
    """Return the chosen rows that exist. A key that is none is left out."""
    to_python, wanted = page.opts.pk.to_python, []
    for key in keys.split(",")[:ROWS_MAX]:
        try:
            wanted.append(to_python(key))
        except (ValidationError, ValueError):
            continue
    rows = page.get_queryset(request).filter(pk__in=wanted)
    if related := page.get_list_select_related(request):
        rows = rows.select_related(*related) if related is not True else rows.select_related()
    return list(rows)


def _form(
    page: Page,
    what: Confirmation,
    rows: Sequence[Any],
    answers: Mapping[str, str] | None,
    initial: Mapping[str, str],
) -> forms.Form:
    fields: dict[str, forms.Field] = dict(what.fields())
    for each in what.questions:
        label = each.label if len(rows) == 1 else f"{each.label}, the same for all"
        fields[SAME.format(each.name)] = forms.CharField(
            label=label, max_length=each.max_length, required=len(rows) == 1
        )
        if len(rows) > 1:
            for row in rows:
                fields[_own(each, row)] = forms.CharField(
                    label=f"{each.label} for {page.name_of(row)}",
                    max_length=each.max_length,
                    required=False,
                )
    form: forms.Form = type("ActForm", (_Form,), fields)(answers, initial=dict(initial))
    if answers is not None and form.is_valid() and len(rows) > 1:
        for each in what.questions:
            if form.cleaned_data[SAME.format(each.name)]:
                continue
            for row in rows:
                if not form.cleaned_data.get(_own(each, row)):
                    form.add_error(_own(each, row), "Answer this, or answer for all above.")
    return form


def _own(question: Question, row: Any) -> str:
    return f"{row.pk}-{question.name}"


def _own_fields(form: forms.Form, what: Confirmation, row: Any) -> list[Any]:
    names = (_own(each, row) for each in what.questions)
    return [form[name] for name in names if name in form.fields]


def _facts(
    page: Page, what: Confirmation, rows: Sequence[Any], form: forms.Form, is_valid: bool
) -> tuple[list[str], str]:
    """Return lines that say what the act would do now, and the money of all rows."""
    if what.is_task:
        names = what.fields()
        if what.preview is None or (names and not is_valid):
            return [], ""
        try:
            return list(what.preview(page, **{name: form.cleaned_data[name] for name in names})), ""
        except DomainError as error:
            return [f"It would be refused: {error.detail}"], ""
    totals: Counter[str] = Counter()
    for row in rows:
        _add(totals, what, row)
    noun = page.opts.verbose_name if len(rows) == 1 else page.opts.verbose_name_plural
    about = [what.about(rows)] if what.about is not None else []
    return [f"{len(rows)} {noun}", *about], _total_text(totals)


def _act(
    page: Page,
    request: HttpRequest,
    what: Confirmation,
    rows: Sequence[Any],
    data: Mapping[str, Any],
) -> None:
    """Do the act, and leave its report as messages."""
    report = Report()
    with reasons.because(data["reason"]):
        if what.is_task:
            act = partial(_run, page, request, what, data)
            _try(report, what, act, what.label)
            lines = [] if report.refused else [what.done]
        else:
            for row in rows:
                answers = {
                    each.name: data.get(_own(each, row)) or data[SAME.format(each.name)]
                    for each in what.questions
                }
                before = Counter[str]()
                _add(before, what, row)
                act = partial(what.act, page, request.user, row, **answers)
                if _try(report, what, act, page.name_of(row)):
                    report.done += 1
                    report.amounts += before
            money_text = f", {_total_text(report.amounts)}" if report.amounts else ""
            lines = [f"{what.done}: {report.done}{money_text}."] if report.done else []
    for line in lines:
        page.message_user(request, line, messages.SUCCESS)
    for why, names in report.refused.items():
        more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
        text = f"Refused: {len(names)}. {why} ({', '.join(names[:NAMES_MAX])}{more})"
        page.message_user(request, text, messages.ERROR)


def _run(page: Page, request: HttpRequest, what: Confirmation, data: Mapping[str, Any]) -> None:
    for line in what.act(page, request.user, **{name: data[name] for name in what.fields()}):
        page.message_user(request, line, messages.INFO)


def _try(report: Report, what: Confirmation, act: Callable[[], object], name: str) -> bool:
    """Call ``act``, and return whether it was accepted. The report gets the refusal.

    An error that nobody foresaw is logged and reported too, because the report of the other rows, which
    are done, must not be lost with it.
    """
    try:
        act()
    except (DomainError, NotVisible) as error:
        report.refused[str(error.detail)].append(name)
    except ValidationError as error:
        report.refused[" ".join(error.messages)].append(name)
    except Exception:
        logger.exception("An act of the admin site failed", extra={"act": what.label, "row": name})
        why = (
            "An error that was not foreseen; the log has it. Look at the row before you try again."
        )
        report.refused[why].append(name)
    else:
        return True
    return False


def _add(totals: Counter[str], what: Confirmation, row: Any) -> None:
    if what.amount is not None and (amount := what.amount(row)) is not None:
        totals[amount[1]] += amount[0]


def _amount_text(what: Confirmation, row: Any) -> str:
    totals: Counter[str] = Counter()
    _add(totals, what, row)
    return _total_text(totals)


def _total_text(totals: Mapping[str, int]) -> str:
    return " + ".join(
        f"{money.to_text(minor, currency)} {currency}" for currency, minor in sorted(totals.items())
    )


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def prefix(page: Page) -> str:
    return f"{page.opts.app_label}_{page.opts.model_name}"


def _way_back(page: Page, back: str, rows: Sequence[Any]) -> str:
    """Return the address of the row's page, or of the list with the filters that it had."""
    if back == "object" and len(rows) == 1:
        return reverse(f"admin:{prefix(page)}_change", args=[rows[0].pk])
    query = "" if back == "object" else back
    return reverse(f"admin:{prefix(page)}_changelist") + (f"?{query}" if query else "")
