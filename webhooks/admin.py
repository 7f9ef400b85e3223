"""Endpoints, events and deliveries in the admin site. Secrets are not shown."""

from django.contrib import admin

from config.admin import ReadOnlyAdmin, act_on_each
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

    @admin.action(description="Enable", permissions=["switch"])
    def enable(self, request, queryset):
        self._switch(request, queryset, is_active=True)

    @admin.action(description="Disable", permissions=["switch"])
    def disable(self, request, queryset):
        self._switch(request, queryset, is_active=False)

    def _switch(self, request, queryset, *, is_active: bool):
        def switch(endpoint):
            changes = {"is_active": is_active}
            services.change_endpoint(endpoint=endpoint, actor=request.user, changes=changes)

        act_on_each(self, request, queryset, switch, "Enabled" if is_active else "Disabled")


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

    @admin.action(description="Send again", permissions=["replay"])
    def send_again(self, request, queryset):
        def send(delivery):
            services.replay(delivery=delivery, actor=request.user)

        rows = queryset.select_related("endpoint")
        act_on_each(self, request, rows, send, "Queued to be sent again")
