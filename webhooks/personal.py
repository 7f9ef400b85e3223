"""What exports and erasures do with the rows of this app (`config.personal`)."""

from django.db.models import Q

from config import personal
from config.personal import Fate, Person, Rows
from webhooks.models import Endpoint, Event


def _erase_events(person: Person) -> None:
    """Delete the events that hold the person's name or address. Later events have the pseudonym."""
    of_person = Q(subject=person.user_id) | Q(about=f"user:{person.user_id}")
    Event.objects.filter(of_person, created_at__lt=person.since).delete()
    if person.email:
        Event.objects.filter(body__contains=person.email).delete()


personal.register(
    Rows(
        Endpoint, "owner", "webhook endpoints", Fate.REMOVED, "With their deliveries.",
        "webhook_endpoints",
        ("id", "url", "description", "event_types", "created_at", "disabled_at"),
    ),
    Rows(
        Event, "subject", "events for webhooks", Fate.REMOVED,
        "What was sent to other systems before is theirs to erase; they are told of the deactivation.",
        erase=_erase_events,
    ),
)  # fmt: skip
