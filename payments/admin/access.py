"""Entitlements in the admin site."""

from django.contrib import admin

from config.admin import ReadOnlyAdmin
from payments import models


@admin.register(models.Entitlement)
class EntitlementAdmin(ReadOnlyAdmin):
    list_display = ["user", "video", "source_type", "starts_at", "ends_at", "revoked_at"]
    list_filter = ["source_type"]
    list_select_related = ["user", "video"]
    search_fields = ["user__email", "video__title"]
