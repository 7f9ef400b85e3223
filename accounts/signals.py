"""News of accounts."""

from django.dispatch import Signal

# A user may no longer use the service. Sent inside the transaction, with send().
# Arguments: user (User).
user_deactivated = Signal()

# `manage.py seed` runs, inside its transaction. A receiver makes what its app needs to begin, if it
# is not there, and returns one line for the operator.
seeding = Signal()
