"""From an uploaded file to something players can stream. Knows nothing of Django's models.

The door is ``pipeline.transcode``. Only ``cage`` starts processes, and no other package does.
"""
