"""The rules about many rows, each written only here: who sees a video, and which jobs are due."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import Enum
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Self, cast
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db import connections, models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import User
from videos import claiming
from videos.availability import policy
from videos.moderation.models import ModerationCase
from videos.presentation.models import Caption
from videos.signals import videos_kept

if TYPE_CHECKING:
    from videos.models import Chunk, ProcessingJob, Video, WorkerPresence  # noqa: F401 - in the quoted type arguments


# The creator's videos are in the catalogue and the shop, as User.may_offer says of one creator.
IS_OFFERED = Q(creator__is_active=True, creator__suspended_at=None)
RECENT = 200  # starts of jobs that decide whose turn it is


class Sight(Enum):
    """How much of the catalogue a caller sees."""

    PUBLIC = "what is open to all"
    OWN = "what is open to all, and the caller's own"
    ALL = "everything"


def sight_of(user: User | AnonymousUser) -> Sight:
    if not user.is_authenticated:
        return Sight.PUBLIC
    return Sight.ALL if user.has_perm("videos.view_any_video") else Sight.OWN


class VideoQuerySet(models.QuerySet["Video"]):
    """Videos, with the only definition of who sees them."""

    def alive(self) -> Self:
        return self.filter(deleted_at=None)

    def deleted(self) -> Self:
        return self.filter(deleted_at__isnull=False)

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Return the videos that ``user`` may open by their id.

        Anyone may open a video that can be played and is not private, unless it is taken down or
        withdrawn: its creator is deactivated or suspended. Who keeps a withdrawn video may still open
        it (`signals.videos_kept`), but not one that is taken down. Owners may also open all their own
        videos, administrators all videos. No user may open a deleted one: administrators find those with
        ``deleted``.
        """
        return self.visible_by(sight_of(user), user.pk)

    def visible_by(
        self, sight: Sight, user_id: UUID | None = None, now: datetime | None = None
    ) -> Self:
        """Return what ``visible_to`` returns at ``now`` for a user with this sight and this id."""
        open_to_all = ~Q(current_version="") & ~Q(visibility=self.model.Visibility.PRIVATE)
        offered = IS_OFFERED
        if sight is Sight.OWN:
            asked = videos_kept.send(self.model, user_id=user_id, now=now or timezone.now())
            answers = cast("list[tuple[object, Q]]", asked)
            offered = reduce(or_, (kept for _, kept in answers), offered)
        return self._seen(sight, user_id, open_to_all & offered & Q(taken_down_at=None))

    def listed_for(self, user: User | AnonymousUser) -> Self:
        """Return the catalogue as ``user`` sees it: as ``visible_to``, without unlisted videos.

        Withdrawn videos are left out for their buyers, too, and those that have ended. Owners and
        administrators find unlisted, withdrawn and ended videos in it. Coming ones are in it for all.
        """
        return self.listed_by(sight_of(user), user.pk)

    def listed_by(self, sight: Sight, user_id: UUID | None = None) -> Self:
        """Return what ``listed_for`` returns for a user with this sight and this id."""
        listed = ~Q(current_version="") & Q(visibility=self.model.Visibility.PUBLIC)
        listed &= policy.IS_LISTED
        return self._seen(sight, user_id, listed & IS_OFFERED & Q(taken_down_at=None))

    def reviewable_by(self, user: User | AnonymousUser) -> Self:
        """Return the videos that a moderator may watch at the desk: those that were ever reported."""
        if not user.has_perm("videos.moderate_video"):
            return self.none()
        return self.alive().filter(pk__in=ModerationCase.objects.values("video"))

    def _seen(self, sight: Sight, user_id: UUID | None, to_all: Q) -> Self:
        if sight is Sight.ALL:
            return self.alive()
        return self.alive().filter(to_all | Q(creator=user_id) if sight is Sight.OWN else to_all)

    def for_output(self) -> Self:
        """Load all that VideoSerializer reads, in three queries for any number of videos.

        Only places in the queue and estimates take up to seven more, when a video that is being
        processed is shown to its owner.
        """
        return self.select_related("creator", "job").prefetch_related(
            "tags", models.Prefetch("captions", Caption.objects.defer("text").order_by("pk"))
        )


class ProcessingJobQuerySet(models.QuerySet["ProcessingJob"]):
    """Processing jobs. Leases use the database's clock, so that the hosts' clocks need not agree."""

    def open(self) -> Self:
        """Return the jobs that have not ended: waiting or running."""
        return self.filter(state__in=[self.model.State.QUEUED, self.model.State.RUNNING])

    def waiting(self) -> Self:
        return self.filter(state=self.model.State.QUEUED)

    def due(self) -> Self:
        """Return the jobs that a worker may claim now: waiting, or running with an expired lease."""
        state = self.model.State
        return self.filter(
            Q(state=state.QUEUED, not_before__lte=Now())
            | Q(state=state.RUNNING, lease_until__lt=Now())
        )

    def in_turns(self) -> list[UUID]:
        """Return the ids of these jobs in the order in which workers take them.

        The stages come one after another: the first rendition of every video is made before the other
        renditions of any. Within a stage, creators take turns: a creator's oldest job has the first
        turn, the next one the second, and so on; each job of the creator that runs already costs a turn.
        Of one turn, the creator comes first whose last job began longest ago, then the older job. So no
        creator has several jobs running while another one who has fewer waits.
        """
        rows = self.order_by("created_at", "pk").values_list("pk", "stage", "creator")
        jobs = self.model.objects.order_by()
        running = jobs.filter(state=self.model.State.RUNNING, lease_until__gte=Now())
        begins_with = Counter(running.values_list("creator", flat=True))
        turns = {stage: begins_with.copy() for stage in self.model.Stage}
        begun = jobs.exclude(started_at=None).order_by("-started_at")
        recent = list(begun.values_list("creator", flat=True)[:RECENT])
        ranked = []
        for age, (pk, stage, creator) in enumerate(rows):
            turns[stage][creator] += 1
            last_began = -recent.index(creator) if creator in recent else -RECENT
            ranked.append((stage, turns[stage][creator], last_began, age, pk))
        return [pk for *_, pk in sorted(ranked)]

    def claim(self, job_id: UUID, *, worker: str, lease: timedelta) -> "ProcessingJob | None":
        """Give one due job to ``worker`` for the time of ``lease``; return None if it is not due.

        One conditional UPDATE decides, so of any number of workers only one gets the job. The claim
        begins a new attempt with a higher fence: an earlier attempt that still runs has the older
        fence and can no longer publish. A job of a killed worker becomes due when its lease expires.
        """
        claimed = self.due().filter(pk=job_id).update(**claiming.changes(worker, lease))
        return self.select_related("video").get(pk=job_id) if claimed else None

    def claim_next(
        self, *, worker: str, lease: timedelta, stages: Collection[int], due_for: timedelta
    ) -> "ProcessingJob | None":
        """Claim the due job whose turn it is (``in_turns``), among these stages; None without one.

        On PostgreSQL one statement finds and claims it, and passes over those that others are claiming.
        """
        if connections[self.db].vendor == "postgresql":
            return claiming.claim_first(self.model, worker, lease, stages, due_for)
        due = self.due().filter(stage__in=stages)
        if due_for:
            due = due.filter(not_before__lte=Now() - due_for)
        # Several candidates, because another worker may claim the first ones meanwhile.
        claims = (self.claim(pk, worker=worker, lease=lease) for pk in due.in_turns()[:5])
        return next((job for job in claims if job is not None), None)

    def held(self, job: "ProcessingJob") -> Self:
        """Return the row of ``job`` as long as this attempt owns it, else no row."""
        return self.filter(pk=job.pk, fence=job.fence, state=self.model.State.RUNNING)


class ChunkQuerySet(models.QuerySet["Chunk"]):
    """Chunks of open jobs. Their leases use the database's clock, as those of jobs."""

    def due(self) -> Self:
        """Return the chunks that a worker may take now."""
        return self.filter(state=self.model.State.OPEN, due_at__lte=Now())

    def taken(self) -> Self:
        """Return the chunks that workers are making."""
        return self.filter(state=self.model.State.OPEN, due_at__gt=Now()).exclude(worker="")

    def held(self, chunk: "Chunk") -> Self:
        """Return the row of ``chunk`` as long as this attempt owns it, else no row."""
        return self.filter(pk=chunk.pk, fence=chunk.fence, state=self.model.State.OPEN)


class WorkerPresenceQuerySet(models.QuerySet["WorkerPresence"]):
    ALIVE = timedelta(seconds=60)  # a worker writes its row every ten; the machine may be busy

    def alive(self) -> Self:
        """Return the workers that gave a sign of life lately."""
        return self.filter(seen_at__gte=Now() - self.ALIVE)
