"""Signals of accounts."""

from django.dispatch import Signal

# Sent when somebody has registered, inside the transaction, with send(): a receiver that fails undoes
# the registration. Arguments: user (User).
# Heard by, in this order: webhooks.receivers.tell_of_new_user.
user_registered = Signal()

# Sent when a user has been deactivated, inside the transaction, with send(): a receiver that fails
# undoes the deactivation. Arguments: user (User), actor (User, or None for the system).
# Heard by, in this order:
# 1. payments.receivers.stop_money_of_deactivated_user: expires open orders, and stops renewals.
# 2. webhooks.receivers.tell_of_deactivated_user: announces it to webhooks.
# 3. streaming.receivers.end_sessions_of_deactivated_user: ends the user's playback, and the playback of
#    the user's videos that rests on no purchase.
user_deactivated = Signal()

# Sent when strangers' networks have sent many wrong passwords for an account, once a day at most, with
# send_robust(): the sign-in has its answer whatever becomes of the mail.
# Arguments: user (User), failures (int), networks (int), since (datetime).
# Heard by, in this order: payments.receivers.tell_of_attack.
account_attacked = Signal()

# Sent when a sign-in to an account under such an attack succeeds from a network that its owner has never
# signed in from, with send_robust(). Arguments: user (User), network (str), at (datetime).
# Heard by, in this order: payments.receivers.tell_of_strange_sign_in.
attacked_account_opened = Signal()

# Sent by `manage.py seed` after roles and administrator, inside its transaction, with send().
# Arguments: none. A receiver creates the first rows of its app unless they exist, and returns one line
# for the operator.
# Heard by, in this order: payments.receivers.seed_first_plan.
seeding = Signal()
