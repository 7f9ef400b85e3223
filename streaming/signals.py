"""Signals of playback."""

from django.dispatch import Signal

# Sent when a heartbeat has increased a session's watched seconds, except for playback by the video's
# owner or an administrator. Sent with send(), inside the heartbeat's transaction, while the session's
# row is locked: a receiver that fails undoes the heartbeat.
# Arguments: session (PlaybackSession, already saved), before (float: its watched seconds before the
# heartbeat).
# Heard by, in this order:
# 1. analytics.receivers.count_view: counts the view when the session passes the threshold.
playback_progressed = Signal()
