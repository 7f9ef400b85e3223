"""The decisions that the moderators' desk offers: what each says before, does, and says after."""

from collections.abc import Callable
from dataclasses import dataclass

from accounts.models import User
from videos.moderation import appealing, cases, suspending
from videos.moderation.models import ModerationCase

Status = ModerationCase.Status
TOLD = "The creator reads it in a mail."
INTERNAL = "For the history of this case; nobody else is told."


@dataclass(frozen=True, slots=True)
class Decision:
    """One button of the desk. ``act`` gets the case, the moderator, the reason and the note."""

    label: str  # of the button
    will: str  # what it will do, to each of the videos
    done: str  # before the number of videos
    act: Callable[[ModerationCase, User, str, str], object]
    wants_reason: bool = False
    has_note: bool = True
    wants_note: bool = False
    note_help: str = TOLD
    is_grave: bool = False


DECISIONS = {
    "dismiss": Decision(
        label="Dismiss the reports",
        will="The case is closed and the video stays as it is. Nobody is told. You can reopen the "
        "case.",
        done="Dismissed",
        act=lambda case, actor, reason, note: cases.dismiss(
            case_id=case.pk, actor=actor, note=note
        ),
        note_help=INTERNAL,
    ),
    "warn": Decision(
        label="Warn the creator",
        will="The case is closed, and the creator gets a mail with the reason and your words. The "
        "video stays where it is. Reopening the case withdraws the warning.",
        done="Creators warned",
        act=lambda case, actor, reason, note: cases.warn(
            case_id=case.pk, actor=actor, reason=reason, note=note
        ),
        wants_reason=True,
        wants_note=True,
    ),
    "take-down": Decision(
        label="Take the video down",
        will="The video leaves the catalogue and the shop. Playback stops within two seconds, also"
        " that of buyers; orders that are not paid yet expire. The creator gets a mail with "
        "the reason and your words, and can appeal. Buyers keep their orders; an "
        "administrator can refund them. You can restore the video.",
        done="Taken down",
        act=lambda case, actor, reason, note: cases.take_down(
            case_id=case.pk, actor=actor, reason=reason, note=note
        ),
        wants_reason=True,
        wants_note=True,
        is_grave=True,
    ),
    "restore": Decision(
        label="Restore the video",
        will="The video is again where it was, buyers can watch it again, and the creator gets a "
        "mail. An appeal that waits is granted by this.",
        done="Restored",
        act=lambda case, actor, reason, note: cases.restore(
            case_id=case.pk, actor=actor, note=note
        ),
    ),
    "reject": Decision(
        label="Reject the appeal",
        will="The video stays taken down, and the creator gets a mail with your words.",
        done="Appeals rejected",
        act=lambda case, actor, reason, note: appealing.reject(
            case_id=case.pk, actor=actor, note=note
        ),
        wants_note=True,
        is_grave=True,
    ),
    "reopen": Decision(
        label="Reopen the case",
        will="The case waits for a decision again. A creator who was warned gets a mail that the "
        "warning does not count.",
        done="Reopened",
        act=lambda case, actor, reason, note: cases.reopen(case_id=case.pk, actor=actor),
        has_note=False,
    ),
    "suspend": Decision(
        label="Suspend the creator",
        will="All videos of the creator leave the catalogue and the shop, free and subscribed "
        "playback of them stops within two seconds, and orders that are not paid yet expire: "
        "nobody is charged on. Buyers keep what they have bought. The creator's balance is "
        "kept, and payouts wait. The creator gets a mail that explains this, with the reason "
        "and your words. The case itself stays open. You can lift the suspension.",
        done="Suspended",
        act=lambda case, actor, reason, note: suspending.suspend(
            creator_id=case.video.creator_id, actor=actor, reason=reason, note=note
        ),
        wants_reason=True,
        wants_note=True,
        is_grave=True,
    ),
    "lift": Decision(
        label="Lift the suspension",
        will="All videos of the creator are in the catalogue and the shop again as they were, "
        "payouts go on, and the creator gets a mail.",
        done="Lifted",
        act=lambda case, actor, reason, note: suspending.lift(
            creator_id=case.video.creator_id, actor=actor, note=note
        ),
    ),
}
BULK = ("dismiss", "warn", "take-down", "restore")


def possible(case: ModerationCase) -> list[str]:
    """Return the names of the decisions that fit a case's state, the mildest first."""
    of_status = {
        Status.OPEN: ["dismiss", "warn", "take-down"],
        Status.DISMISSED: ["reopen"],
        Status.WARNED: ["reopen"],
        Status.TAKEN_DOWN: ["restore"],
    }
    names = list(of_status.get(Status(case.status), []))
    if any(appeal.status == "open" for appeal in case.appeals.all()):
        names.append("reject")
    return [*names, "lift" if case.video.creator.suspended_at else "suspend"]
