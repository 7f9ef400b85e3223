"""Signals about the service as a whole."""

from django.dispatch import Signal

# Sent at most once a second when readiness is asked for (GET /health/ready) and the database answers,
# in a thread of its own, with send_robust():
# a receiver that raises an error is left out of the answer. Arguments: none.
# A receiver returns the states of parts of its app as a list of config.health.Part, which may be empty.
# A state is "ok" or a few words, and its reason a sentence, without details that would help an attacker.
# Such a part is informational: it never makes the service unready.
# Heard by, in this order: videos.receivers.state_of_storage, videos.receivers.state_of_broker,
# videos.receivers.state_of_the_work, payments.receivers.state_of_the_mode,
# payments.receivers.state_of_the_books.
health_checked = Signal()
