"""The fixtures of all tests. Each fixture is defined in the app that it belongs to."""

pytest_plugins = [
    "config.tests.programs",
    "config.tests.cases",
    "config.tests.statements",
    "config.tests.fixtures",
    "config.tests.contract",
    "config.tests.database",
    "accounts.tests.fixtures",
    "videos.tests.fixtures",
    "payments.tests.fixtures",
    "payments.tests.mailbox",
    "webhooks.tests.fixtures",
    "analytics.tests.fixtures",
]
