"""News of the whole service."""

from django.dispatch import Signal

# Readiness was asked, and the database answers. A receiver returns (name, state) of a part that it
# knows: "ok", or what is wrong with it in a few words that help no attacker; None when it knows of
# nothing. Such a part is told, and never makes the service unready. Sent with send_robust(): one
# that fails is left out. Arguments: none.
health_checked = Signal()
