"""Mails to users in the admin site."""

from django.contrib import admin

from config.admin import ReadOnlyAdmin
from payments import models


@admin.register(models.Notice)
class NoticeAdmin(ReadOnlyAdmin):
    exclude = ["html"]  # it says the same as the text
    list_display = ["created_at", "user", "subject", "attempts", "sent_at", "failed_at", "failure"]
    list_filter = [
        ("sent_at", admin.EmptyFieldListFilter),
        ("failed_at", admin.EmptyFieldListFilter),
    ]
    list_select_related = ["user"]
    search_fields = ["user__email", "subject", "dedupe_key"]
