"""Signals of the catalogue and of the worker."""

from django.dispatch import Signal

# A version of a video was published: the video is READY and shows this version from the commit on.
# Sent by services/publishing.py inside the publishing transaction, with send(): a receiver that
# raises undoes the publication.
# Arguments: video (Video, as it is now).
# Heard by, in this order:
# 1. webhooks.receivers.tell_of_ready_video: announces it to webhooks.
video_published = Signal()

# The processing of a video has failed, and is not tried again by itself. Sent by jobs.py inside the
# transaction that ends the job, with send(): a receiver that raises undoes the end. The video is FAILED,
# unless a version should have been made again: then it stays READY.
# Arguments: video (Video, as it is now).
# Heard by, in this order:
# 1. webhooks.receivers.tell_of_failed_video: announces it to webhooks.
video_failed = Signal()

# A video was deleted, so that no user may watch it any more. Sent by services/catalogue.py inside the
# deleting transaction, with send(): a receiver that raises undoes the deletion.
# Arguments: video (Video, as the caller of delete_video read it: without the new deleted_at).
# Heard by, in this order:
# 1. payments.receivers.close_orders: expires the open orders of the video.
# 2. webhooks.receivers.tell_of_removed_video: announces it to webhooks.
# 3. streaming.receivers.end_sessions_of_removed_video: ends its playback sessions.
video_removed = Signal()

# A video became private, costs money now, or has another preview or none. Sent by
# services/catalogue.py inside the changing transaction, with send(): a receiver that raises undoes the
# change.
# Arguments: video (Video, with its new fields).
# Heard by, in this order:
# 1. streaming.receivers.end_sessions_of_restricted_video: ends the playback sessions that rest on
#    what is gone.
video_restricted = Signal()

# The dates or countries of a video have changed. Sent by services/catalogue.py inside the changing
# transaction, with send(): a receiver that raises undoes the change.
# Arguments: video (Video, with its new fields), fields (set of names, of availability.policy.FIELDS).
# Heard by, in this order:
# 1. payments.receivers.close_orders_of_moved_video: expires the open orders, which promise other dates.
# 2. streaming.receivers.end_sessions_of_moved_video: ends the playback that is not allowed any more.
availability_changed = Signal()

# A moderator has taken a video down, so that only its owner, administrators and moderators see it.
# Sent by moderation/cases.py inside the transaction, with send().
# Arguments: video (Video, as it is now).
# Heard by, in this order:
# 1. payments.receivers.close_orders_of_taken_down_video: expires the open orders of the video.
# 2. streaming.receivers.end_sessions_of_taken_down_video: ends the playback of all others.
video_taken_down = Signal()

# A creator was suspended, so that their videos are out of the shop. Sent by moderation/suspending.py
# inside the transaction, with send(). Arguments: creator (User).
# Heard by, in this order:
# 1. payments.receivers.close_orders_of_suspended_creator: expires the open orders of the videos.
# 2. streaming.receivers.end_sessions_of_suspended_creator: ends the playback of the videos that rests on
#    no purchase.
creator_suspended = Signal()

# A moderator has decided what a creator must be told. Sent by moderation/ inside the transaction, with
# send(). Arguments: kind (str), creator_id (UUID), video_id (UUID or None), title (str, of the video, or
# ""), reason (str, for people), note (str), key (str, of this decision alone).
# Heard by, in this order: payments.receivers.tell_of_moderation: writes the creator's mail.
moderation_decided = Signal()

# A video's case was opened: by the first report of a viewer, by a moderator, or again. Sent by
# moderation/cases.py inside the transaction, with send(). Arguments: case (ModerationCase), reason (str:
# the code of the first report, or ""), is_told (bool: whether the creator is told of it).
# Heard by, in this order: webhooks.receivers.tell_of_opened_report: announces it to webhooks.
case_opened = Signal()

# A case was decided, restored, or closed with its deleted video. Sent by moderation/cases.py inside the
# transaction, with send(). Arguments: case (ModerationCase), note (str: what the creator is told, or
# ""), is_told (bool: whether the creator is told of it).
# Heard by, in this order: webhooks.receivers.tell_of_decided_report: announces it to webhooks.
case_decided = Signal()

# Reports or appeals have waited for too long. Sent by moderation/waiting.py each hour, with send().
# Arguments: cases (int), appeals (int).
# Heard by, in this order: payments.receivers.remind_moderators: writes one mail a day to each of them.
moderation_waits = Signal()

# Asks which videos a user keeps that were withdrawn from the catalogue because their creator was
# deactivated. Sent by querysets.py for each query of the videos that a user may open, with send().
# Arguments: user_id (UUID), now (datetime). A receiver returns a condition on videos (Q), whose shape
# depends on nothing else, and makes no query.
# Heard by, in this order:
# 1. payments.receivers.keep_bought_videos: those that the user has bought, or rents now.
videos_kept = Signal()

# Time for periodic work. Sent by periodic.py with send_robust(), outside of any transaction, about
# every second, minute and hour as long as a worker runs. Each embedded worker sends it, so that
# receivers may run at the same time in several processes. An exception of a receiver is logged and
# stops neither the other receivers nor the worker.
# Arguments: every (str: "second", "minute" or "hour").
# Heard by, in this order:
# 1. payments.receivers.run_periodic_work: each second delivers the sandbox's events, runs
#    follow-ups and sends notices; each minute processes the webhook events that wait, reopens orders
#    whose charge was lost, expires orders, runs the sandbox's billing, ends lapsed subscriptions, notes
#    those of deactivated users, cancels abandoned payments and forgets old idempotency keys; each hour
#    runs the scheduled checks.
# 2. webhooks.receivers.run_periodic_work: each second sends the webhooks that are due, each minute gives
#    up those that have waited for three days, and each hour removes old rows.
# 3. streaming.receivers.maintain_sessions: each minute ends idle sessions and folds watch time;
#    each hour forgets the devices of old sessions.
# 4. analytics.receivers.maintain_rollups: each minute adds finished days up; each hour prunes old
#    playback.
worker_tick = Signal()
