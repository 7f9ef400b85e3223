"""Refusals of webhooks."""

from config.errors import DomainError


class TooManyEndpoints(DomainError):
    default_code = "too_many_endpoints"


class DeliveryWaits(DomainError):
    default_code = "delivery_waits"
    default_detail = "This delivery is still waiting to be sent. Replay it when it has ended."


class EndpointDisabled(DomainError):
    default_code = "endpoint_disabled"
    default_detail = "The endpoint is disabled. Enable it, then replay the delivery."
