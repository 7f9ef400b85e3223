"""Who can see and who can change a video; which jobs are due. Each rule stands only here."""

from datetime import timedelta

from django.db import models
from django.db.models import Case, Count, F, OuterRef, Q, Subquery, When
from django.db.models.functions import Now


class VideoQuerySet(models.QuerySet):
    """The only definition of who can see and who can change a video."""

    def alive(self):
        return self.filter(deleted_at=None)

    def deleted(self):
        return self.filter(deleted_at__isnull=False)

    def playable(self):
        return self.exclude(current_version="")

    def visible_to(self, user):
        """What a caller may open by its id: what plays and is not private, their own, all for ADMIN.

        Deleted videos are visible to nobody; ADMIN finds them with ``deleted()``.
        """
        open_to_all = ~Q(current_version="") & ~Q(visibility=self.model.Visibility.PRIVATE)
        return self._visible(user, open_to_all)

    def listed_for(self, user):
        """The catalogue: as ``visible_to``, without what is to be found by link only."""
        listed = ~Q(current_version="") & Q(visibility=self.model.Visibility.PUBLIC)
        return self._visible(user, listed)

    def _visible(self, user, to_all: Q):
        alive = self.alive()
        if not user.is_authenticated:
            return alive.filter(to_all)
        if user.has_perm("videos.manage_any_video"):
            return alive
        return alive.filter(to_all | Q(creator=user))

    def for_output(self):
        """Everything VideoSerializer reads, in two queries whatever the number of rows."""
        jobs = self.model.job.field.related_model.objects
        ahead = (
            jobs.waiting()
            .filter(created_at__lt=OuterRef("job__created_at"))
            .order_by()
            .values("kind")
            .annotate(ahead=Count("pk"))
            .values("ahead")
        )
        return (
            self.select_related("creator", "job")
            .prefetch_related("tags")
            .annotate(jobs_ahead=Case(When(job__state="queued", then=Subquery(ahead))))
        )


class ProcessingJobQuerySet(models.QuerySet):
    """Leases use the database's clock, so that two hosts need not agree on the time."""

    def open(self):
        return self.filter(state__in=[self.model.State.QUEUED, self.model.State.RUNNING])

    def waiting(self):
        return self.filter(state=self.model.State.QUEUED)

    def due(self):
        state = self.model.State
        return self.filter(
            Q(state=state.QUEUED, not_before__lte=Now())
            | Q(state=state.RUNNING, lease_until__lt=Now())
        )

    def claim(self, job_id, *, worker: str, lease: timedelta):
        """Hand one due job to one worker, however many are asking; None when somebody else has it.

        A lease that ran out counts as due, so a killed worker costs one lease and never a job. The
        fence is the worker's right to publish: a slower twin holds an older one.
        """
        claimed = (
            self.due()
            .filter(pk=job_id)
            .update(
                state=self.model.State.RUNNING,
                worker=worker,
                attempt=F("attempt") + 1,  # before the work: what kills its worker is counted too
                fence=F("fence") + 1,
                lease_until=Now() + lease,
                started_at=Now(),
                step="",
                percent=0,
                error_code="",
                error_detail="",
            )
        )
        return self.select_related("video").get(pk=job_id) if claimed else None

    def held(self, job):
        """The row, as long as this attempt owns it."""
        return self.filter(pk=job.pk, fence=job.fence, state=self.model.State.RUNNING)
