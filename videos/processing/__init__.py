"""Turning an uploaded file into files that players can stream, without Django's models.

Call ``pipeline.transcode``. Only ``cage`` starts programs; no other package may.
"""
