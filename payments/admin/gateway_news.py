"""Webhook events in the admin site."""

from django.contrib import admin

from config.admin import ReadOnlyAdmin
from config.confirming import asks_first
from payments import models
from payments.services.gateway_news import webhooks


@admin.register(models.WebhookEvent)
class WebhookEventAdmin(ReadOnlyAdmin):
    list_display = ["received_at", "gateway", "type", "object_id", "status", "attempts", "error"]
    list_filter = ["status", "gateway", "kind"]
    search_fields = ["external_id", "object_id", "type"]
    date_hierarchy = "received_at"
    actions = ["take_in_again"]

    def has_replay_permission(self, request):
        return request.user.has_perm("payments.replay_webhookevent")

    @asks_first(
        "Process again …",
        permission="replay",
        title="Process these webhook events again?",
        effect="Each event's object is fetched from the gateway, and booked as it is there now. What is"
        " booked already is not booked twice.",
        button="Process again",
        done="Processed",
        ends_something=False,
    )
    def take_in_again(self, actor, event):
        webhooks.replay_event(event, actor=actor)
