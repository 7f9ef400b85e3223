"""Signals of accounts."""

from django.dispatch import Signal

# Sent when a user has been deactivated, inside the transaction, with send(): a receiver that fails
# undoes the deactivation. Arguments: user (User).
# Heard by, in this order: streaming.receivers.end_sessions_of_deactivated_user.
user_deactivated = Signal()

# Sent by `manage.py seed` after roles and administrator, inside its transaction, with send().
# Arguments: none. A receiver creates the first rows of its app unless they exist, and returns one line
# for the operator.
# Heard by, in this order: payments.receivers.seed_first_plan.
seeding = Signal()
