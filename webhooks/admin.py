"""Endpoints, events and deliveries in the admin site. Secrets are not shown."""

from django.contrib import admin

from config.admin import ReadOnlyAdmin
from config.confirming import asks_first
from webhooks import models, services


@admin.register(models.Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at", "owner", "url", "description", "failures", "failing_since", "disabled_at",
        "disabled_reason",
    ]  # fmt: skip
    list_filter = [("disabled_at", admin.EmptyFieldListFilter)]
    list_select_related = ["owner"]
    search_fields = ["owner__email", "url", "description"]
    exclude = ["secret", "previous_secret"]
    actions = ["enable", "disable"]

    def has_switch_permission(self, request):
        return request.user.has_perm("webhooks.change_endpoint")

    @asks_first(
        "Enable …",
        permission="switch",
        title="Enable these endpoints?",
        effect="They get the events from now on. What failed before is not sent again by itself.",
        button="Enable",
        done="Enabled",
        offered=lambda endpoint: endpoint.disabled_at is not None,
        ends_something=False,
    )
    def enable(self, actor, endpoint):
        services.change_endpoint(endpoint=endpoint, actor=actor, changes={"is_active": True})

    @asks_first(
        "Disable …",
        permission="switch",
        title="Disable these endpoints?",
        effect="They get no events until they are enabled again.",
        button="Disable",
        done="Disabled",
        offered=lambda endpoint: endpoint.disabled_at is None,
    )
    def disable(self, actor, endpoint):
        services.change_endpoint(endpoint=endpoint, actor=actor, changes={"is_active": False})


@admin.register(models.Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "type", "about", "subject"]
    list_filter = ["type"]
    list_select_related = ["subject"]
    search_fields = ["key", "about"]
    date_hierarchy = "created_at"


@admin.register(models.Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at", "event", "endpoint", "status", "attempts", "attempted_at", "answer_status",
        "duration_ms", "failure",
    ]  # fmt: skip
    list_filter = ["status"]
    list_select_related = ["event", "endpoint"]
    search_fields = ["event__type", "event__about", "endpoint__url"]
    date_hierarchy = "created_at"
    actions = ["send_again"]

    def has_replay_permission(self, request):
        return request.user.has_perm("webhooks.replay_delivery")

    @asks_first(
        "Send again …",
        permission="replay",
        title="Send these deliveries again?",
        effect="The receiver gets the same message with the same id once more.",
        button="Send again",
        done="Queued to be sent again",
        ends_something=False,
    )
    def send_again(self, actor, delivery):
        services.replay(delivery=delivery, actor=actor)
