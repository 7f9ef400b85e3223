"""News of playback."""

from django.dispatch import Signal

# A verified heartbeat was taken in. Sent inside its transaction, with send(), the session locked.
# Arguments: session (PlaybackSession), before (float: watched seconds until now).
playback_progressed = Signal()
