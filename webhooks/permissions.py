from config.api.permissions import requires

MayUseWebhooks = requires(
    "webhooks.receive_own_events", "Only creators and administrators have webhooks."
)
