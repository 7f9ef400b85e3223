"""Taking a gateway's news in again, for people: in the API and in the admin site."""

from config.errors import DomainError
from payments.errors import GatewayUnavailable
from payments.models import WebhookEvent
from payments.services import webhooks


class NewsFailed(DomainError):
    default_code = "news_failed"


def take_in_again(event: WebhookEvent, *, actor) -> WebhookEvent:
    """Safe to repeat: the gateway is asked, and the difference is booked.

    Raises GatewayUnavailable or NewsFailed; the event's row says what went wrong.
    """
    try:
        return webhooks.replay(event, actor=actor)
    except OSError as error:
        raise GatewayUnavailable() from error
    except Exception as error:  # whatever it is, it was logged, and no caller can repair it
        event.refresh_from_db()
        raise NewsFailed(f"This event could not be taken in: {event.error}.") from error
