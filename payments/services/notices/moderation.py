"""Mails about moderation: what creators are told of decisions, and moderators of what waits."""

import uuid

from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from payments.services.notices.writing import write

# kind: the subject, and the text before the reason and the moderator's words
TOLD = {
    "warned": (
        "A warning about {title}",
        "Viewers have reported your video “{title}”, and a moderator has found the report right. The"
        " video stays where it is. Please change or delete it: the next report may take it down.",
    ),
    "warning_withdrawn": (
        "The warning about {title} does not count",
        "A moderator has withdrawn the warning about your video “{title}”, and will look at it again.",
    ),
    "taken_down": (
        "{title} was taken down",
        "A moderator has taken your video “{title}” down. Only you can see it now; nobody can watch or"
        " buy it. What you have earned with it stays in your balance, less what buyers get back. If you"
        " think that this is wrong, appeal against it; another moderator will look at it. (Programs:"
        " POST /videos/{id}/appeal.)",
    ),
    "restored": (
        "{title} is back",
        "Your video “{title}” was restored. It is where it was before it was taken down.",
    ),
    "appeal_rejected": (
        "Your appeal about {title}",
        "Your appeal was rejected: your video “{title}” stays taken down.",
    ),
    "suspended": (
        "Your videos are out of the shop",
        "A moderator has suspended your account as a creator. Your videos are in no list and cannot be"
        " bought, and nobody is charged for them any more; buyers keep what they have bought. You can"
        " still sign in and watch. Your balance is kept, and nothing is taken from it because of this."
        " Payouts wait until the suspension is lifted. If you think that this is wrong, write to the"
        " operator of this service.",
    ),
    "suspension_lifted": (
        "Your videos are back in the shop",
        "The suspension of your account was lifted. Your videos are where they were, and your balance"
        " can be paid out again.",
    ),
}


def write_decision(
    creator_id: uuid.UUID, *, kind: str, title: str, reason: str, note: str, key: str
) -> None:
    """Write the mail that tells a creator of a moderator's decision, one for each ``key``."""
    subject, text = (each.replace("{title}", " ".join(title.split())) for each in TOLD[kind])
    lines = [text]
    if reason and kind in {"warned", "taken_down", "suspended"}:
        lines.append(f"Reason: {reason}.")
    if note:
        lines.append(f"The moderator writes:\n{note}")
    write(
        creator_id, subject, "\n\n".join(lines) + "\n", dedupe_key=f"moderation:{kind}:{key}"[:120]
    )


def write_reminder(*, cases: int, appeals: int) -> None:
    """Write to each moderator that reports or appeals wait; without one, to the administrators.

    One mail a day to each of them.
    """
    active = User.objects.filter(is_active=True)
    moderators = active.filter(is_moderator=True)
    people = moderators if moderators.exists() else active.filter(Q(role__name=Role.ADMIN))
    for user in people:
        write(
            user,
            "Reports are waiting for you",
            f"For more than three days, {cases} reported videos and {appeals} appeals of creators have"
            " waited for a decision. Please look at the moderators' desk of the admin site.\n",
            dedupe_key=f"moderation:waits:{user.pk}:{timezone.now():%Y-%m-%d}",
        )
