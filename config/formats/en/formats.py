"""Formats of the admin site that differ from Django's for English (FORMAT_MODULE_PATH)."""

DATETIME_FORMAT = "Y-m-d H:i e"  # with the time zone
