"""The fixtures of the suite; each lives with the app that it is about."""

pytest_plugins = [
    "config.tests.programs",
    "config.tests.fixtures",
    "config.tests.database",
    "accounts.tests.fixtures",
    "videos.tests.fixtures",
    "payments.tests.fixtures",
    "analytics.tests.fixtures",
]
