"""The back office in the admin site. Money is looked at here; it moves only through the services."""

from django.contrib import admin

from payments.admin import books, buying, offers, plumbing, sharing, subscribing

# The start page leads to the review queue and the revenue overview.
admin.site.index_template = "payments/admin/index.html"

__all__ = ["books", "buying", "offers", "plumbing", "sharing", "subscribing"]
