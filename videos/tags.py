"""The words by which videos can be found."""

from django.db import models


class Tag(models.Model):
    """A word in lower case by which videos can be found."""

    name = models.CharField(max_length=40, unique=True)

    def __str__(self):
        return self.name
