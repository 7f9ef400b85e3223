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

# Sent when an account is to be erased, before anything is changed, inside the transaction, with send():
# a receiver that knows a reason against it raises MoneyOwed or MoneyMoving. Arguments: user (User).
# Heard by, in this order: payments.receivers.refuse_erasure_while_money_moves.
user_erasing = Signal()

# Sent when a user has been dismissed as a moderator, inside the transaction, with send().
# Arguments: user (User).
# Heard by, in this order: streaming.receivers.end_sessions_of_dismissed_moderator.
moderator_dismissed = Signal()

# Sent when strangers' networks have sent many wrong passwords for an account, once a day at most, with
# send_robust(): the sign-in has its answer whatever becomes of the mail.
# Arguments: user (User), failures (int), networks (int), since (datetime).
# Heard by, in this order: payments.receivers.tell_of_attack.
account_attacked = Signal()

# Sent when a sign-in to an account under such an attack succeeds from a network that its owner has never
# signed in from, with send_robust(). Arguments: user (User), network (str), at (datetime).
# Heard by, in this order: payments.receivers.tell_of_strange_sign_in.
attacked_account_opened = Signal()

# Sent when the worker has looked at a request for a link, inside its transaction, with send():
# a receiver that fails leaves the request to the next second. The receiver writes the mail; its link is
# made when the mail is sent (accounts.links.url_of). Arguments: user (User), link (MailedLink).
# Heard by, in this order: payments.receivers.mail_link.
link_requested = Signal()

# Sent in place of the mail to a new address that has an account already, like link_requested.
# Arguments: user (User, who has the address), link (MailedLink).
# Heard by, in this order: payments.receivers.tell_of_used_address.
address_in_use = Signal()

# Sent when a user has another address, inside the transaction, with send().
# Arguments: user (User), before (str, the address until now), link (MailedLink).
# Heard by, in this order: payments.receivers.tell_former_address.
email_changed = Signal()

# Sent when a mailed link has set a new password, inside the transaction, with send().
# Arguments: user (User), link (MailedLink).
# Heard by, in this order: payments.receivers.tell_of_new_password.
password_reset = Signal()

# Sent when a second factor was turned on or off, was reset by an operator, was opened by a recovery
# code, or is being guessed by somebody who knows the password; inside the transaction, with send().
# Arguments: user (User), what ("on", "off", "reset", "recovery code used" or "guessed"), key (str, the
# same for the same event).
# Heard by, in this order: payments.receivers.tell_of_second_factor.
second_factor_changed = Signal()

# Sent when an account at another provider was linked to a user who was there before, inside the
# transaction, with send(). Arguments: user (User), identity (ProviderIdentity).
# Heard by, in this order: payments.receivers.tell_of_linked_identity.
identity_linked = Signal()

# Sent when an account at another provider opens a user's account no longer, inside the transaction, with
# send(). Arguments: user (User), identity_id (UUID of the row that was deleted).
# Heard by, in this order: payments.receivers.tell_of_unlinked_identity.
identity_unlinked = Signal()

# Sent by `manage.py seed` after roles and administrator, inside its transaction, with send().
# Arguments: none. A receiver creates the first rows of its app unless they exist, and returns one line
# for the operator.
# Heard by, in this order: payments.receivers.seed_first_plan.
seeding = Signal()
