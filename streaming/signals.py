"""Signals of playback."""

from django.dispatch import Signal

# Sent when a session's counted seconds have grown, by a heartbeat or by a delivery after it, except for
# playback by the video's owner or an administrator. Sent with send(), inside the transaction, while the
# session's row is locked: a receiver that fails undoes the heartbeat.
# Arguments: session (PlaybackSession, already saved), before (float: its counted seconds before).
# Heard by, in this order:
# 1. analytics.receivers.count_view: counts the view when the session passes the threshold.
playback_progressed = Signal()

# Sent when watched or delivered seconds are recorded of sessions that are older than a session lives
# (PLAYBACK_GRANT_HOURS). Sent with send(), inside the transaction, while the sessions' rows are locked.
# Arguments: begun (list of datetime: when the sessions began).
# Heard by, in this order:
# 1. analytics.receivers.note_late_playback: has the days added up again on which the sessions began.
late_playback_recorded = Signal()
