"""The tables that the bare application reads, with the columns that it shows, and one that it writes."""

from django.db import models


class User(models.Model):
    id = models.UUIDField(primary_key=True)
    email = models.CharField(max_length=254)
    password = models.CharField(max_length=128)
    display_name = models.CharField(max_length=100)
    is_active = models.BooleanField()
    created_at = models.DateTimeField()

    is_authenticated = True  # for REST framework

    class Meta:
        managed = False
        db_table = "accounts_user"

    def __str__(self) -> str:
        return self.email


class Video(models.Model):
    id = models.UUIDField(primary_key=True)
    creator = models.ForeignKey(User, on_delete=models.DO_NOTHING)
    title = models.CharField(max_length=200)
    description = models.TextField()
    category = models.CharField(max_length=60)
    status = models.CharField(max_length=12)
    visibility = models.CharField(max_length=10)
    is_paid = models.BooleanField()
    price = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    duration_seconds = models.FloatField(null=True)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    views = models.PositiveBigIntegerField()
    created_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "videos_video"

    def __str__(self) -> str:
        return self.title


class Row(models.Model):
    """A row that a request inserts, or whose position it changes."""

    user_id = models.UUIDField()
    position = models.FloatField(default=0)

    class Meta:
        managed = False  # benchmarks/api_stage.py makes the table
        db_table = "bare_row"

    def __str__(self) -> str:
        return str(self.pk)
