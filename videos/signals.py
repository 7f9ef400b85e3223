"""News of the catalogue."""

from django.dispatch import Signal

# A version of a video went live. Sent inside the transaction that switched to it, with send().
# Arguments: video (Video).
video_published = Signal()

# A video may no longer be watched by anyone. Sent inside the transaction, with send().
# Arguments: video (Video).
video_removed = Signal()

# The worker's clock: other apps do their periodic work on it. Sent with send_robust(), outside any
# transaction; at least once a second ("second"), a minute ("minute") and an hour ("hour") while a
# worker lives. Arguments: every (str). Any number of workers may send it at once.
worker_tick = Signal()
