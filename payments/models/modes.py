"""The kind of money that the database holds."""

from django.db import models
from django.db.models import Q


class MoneyMode(models.Model):
    """A mode of the database's money, from a moment on. The row with the highest number is the present.

    The first row is written with the first order or subscription, and counts from the beginning. Each
    further one is a switch by `manage.py payments_mode`: what was bought, earned and paid out before
    ``began_at`` was closed then, and counts no more.
    """

    class Mode(models.TextChoices):
        SANDBOX = "sandbox", "sandbox"
        TEST = "test", "test mode of the gateway"
        LIVE = "live", "live"

    number = models.PositiveSmallIntegerField(primary_key=True)
    mode = models.CharField(max_length=8, choices=Mode)
    began_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="mode_first_has_no_beginning",
                condition=Q(number=1, began_at__isnull=True)
                | Q(number__gt=1, began_at__isnull=False),
            ),
        ]

    def __str__(self):
        return f"{self.mode} since {self.began_at or 'the beginning'}"
