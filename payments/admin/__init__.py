"""Money in the admin site: it is shown here, and changed only through the services."""

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
