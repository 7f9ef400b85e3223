"""What exports and erasures do with the rows of this app (`config.personal`)."""

from audit.models import AuditEntry, Caller
from config import personal
from config.personal import Fate, Person, Rows


def _forget_devices(person: Person) -> None:
    personal.emptied(Caller.objects.filter(actor=person.user_id), ip=None, user_agent="")


personal.register(
    Rows(
        Caller, "actor", "from where the API was called", Fate.ANONYMOUS,
        "Network address and program go. The requests go after AUDIT_ACTIVITY_DAYS.",
        "api_callers", ("day", "ip", "user_agent"), _forget_devices,
    ),
    Rows(
        AuditEntry, "actor", "audit entries", Fate.KEPT,
        "They are chained, so that nobody can change what was done. They hold the id, the network"
        " address and the program, and neither name nor e-mail address.",
        "audit", ("at", "action", "target_type", "target_id", "ip", "user_agent"),
    ),
)  # fmt: skip
