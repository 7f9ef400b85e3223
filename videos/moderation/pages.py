"""The pages on which people report a video and owners appeal, for browsers without a program of the API.

A user signs in at /sign-in and comes back. The rules are those of the API: `cases.report` and
`appealing.appeal`.
"""

from collections.abc import Callable
from functools import wraps
from urllib.parse import quote
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.urls import reverse
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.pages import private_page
from config.errors import DomainError, NotVisible
from videos import reading
from videos.models import Video
from videos.moderation import appealing, cases, standing
from videos.moderation.forms import AppealForm, ReportForm
from videos.moderation.models import Reason

Page = Callable[[HttpRequest, User, Video], HttpResponse]
HINT = "It may have been deleted, or you may be signed in as another user."


def of_visible(page: Page) -> Callable[[HttpRequest, UUID], HttpResponse]:
    """Show a page about a video to users who may open the video; anyone else signs in first."""

    @csrf_protect
    @require_http_methods(["GET", "HEAD", "POST"])
    @wraps(page)
    def guarded(request: HttpRequest, video_id: UUID) -> HttpResponse:
        user = request.user
        if not isinstance(user, User):
            return HttpResponseRedirect(f"{reverse('sign-in')}?next={quote(request.path)}")
        video = reading.find(user, video_id)
        if video is None:
            return _missing("There is no video at this address.")
        return page(request, user, video)

    return guarded


@of_visible
def report(request: HttpRequest, user: User, video: Video) -> HttpResponse:
    """Show the form of a report, and file it. A second report of a person replaces the first."""

    def file(form: forms.Form) -> str:
        cases.report(video=video, reporter=user, **form.cleaned_data)
        return "Thank you. A moderator will look at this video."

    return _answer(request, "videos/report.html", video, ReportForm, file)


@of_visible
def appeal(request: HttpRequest, user: User, video: Video) -> HttpResponse:
    """Show the owner why the video was taken down, and the form of an appeal, and file it."""
    if video.creator_id != user.pk:
        return _missing("Only the owner of a video may appeal against its take-down.", status=403)

    def file(form: forms.Form) -> str:
        appealing.appeal(video=video, creator=user, **form.cleaned_data)
        return "Your appeal waits for a moderator. You will get a mail with the decision."

    return _answer(request, "videos/appeal.html", video, AppealForm, file)


def _answer(
    request: HttpRequest,
    template: str,
    video: Video,
    form_class: type[forms.Form],
    file: Callable[[forms.Form], str],
) -> HttpResponse:
    """Answer with the form, with what is wrong about its answers, or with what was done."""
    form = form_class(request.POST if request.method == "POST" else None, label_suffix="")
    done, refusal, status = "", "", 200
    if form.is_bound and not form.is_valid():
        status = 400
    elif form.is_bound:
        try:
            done = file(form)
        except (DomainError, NotVisible) as refused:
            refusal, status = str(refused.detail), refused.status_code
    takedown = standing.of(video)
    context = {
        "video": video,
        "form": form,
        "done": done,
        "refusal": refusal,
        "takedown": takedown,
        "why": Reason(takedown["reason"]).label if takedown else "",
        "csrf_token": get_token(request),
    }
    return private_page(template, context, status=status)


def _missing(detail: str, *, status: int = 404) -> HttpResponse:
    return private_page("config/error.html", {"detail": detail, "hint": HINT}, status=status)
