"""Refusals of moderation."""

from config.errors import DomainError


class OwnVideo(DomainError):
    """Refusal of a report of, or of a decision about, the caller's own video."""

    default_code = "own_video"
    default_detail = (
        "This video is your own. You can change or delete it; others report and judge it."
    )


class AlreadyDecided(DomainError):
    """Refusal of a decision about a case or an appeal that has another state than expected."""

    default_code = "already_decided"
    default_detail = "Another moderator has decided this meanwhile. Load the page again."


class NotTakenDown(DomainError):
    """Refusal of an appeal against nothing."""

    default_code = "not_taken_down"
    default_detail = "This video is not taken down, so there is nothing to appeal against."


class AppealOpen(DomainError):
    """Refusal of a second appeal while the first waits."""

    default_code = "appeal_open"
    default_detail = "Your appeal is waiting for a decision already. You will get a mail about it."


class AppealsUsedUp(DomainError):
    """Refusal of an appeal beyond the last one."""

    default_code = "appeals_used_up"
    default_detail = "The appeals against this take-down are used up, so the decision is final."


class AnotherMustDecide(DomainError):
    """Refusal to judge an appeal against one's own decision while another moderator can."""

    default_code = "another_must_decide"
    default_detail = (
        "You have taken this video down, so another moderator decides the appeal. You may restore the "
        "video."
    )


class NotSuspendable(DomainError):
    """Refusal to suspend oneself or an administrator."""

    default_code = "not_suspendable"
    default_detail = "Neither you nor an administrator can be suspended. Change the role first."


class AlreadySuspended(DomainError):
    """Refusal to suspend a suspended creator, or to lift a suspension that is lifted."""

    default_code = "already_decided"
    default_detail = "Another moderator has changed this meanwhile. Load the page again."
