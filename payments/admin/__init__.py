"""Money in the admin site: it is shown here, and changed only through the services."""

from django.contrib import admin

from payments.admin import (
    access,
    books,
    buying,
    gateway_news,
    notices,
    offers,
    payouts,
    settling,
    sharing,
    subscribing,
)

# The start page leads to the review queue and the revenue overview.
admin.site.index_template = "payments/admin/index.html"

__all__ = [
    "access",
    "books",
    "buying",
    "gateway_news",
    "notices",
    "offers",
    "payouts",
    "settling",
    "sharing",
    "subscribing",
]
