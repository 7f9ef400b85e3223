"""The doctor warns of webhooks that may lead to this machine."""

import pytest

from webhooks.doctor import local_addresses


@pytest.mark.parametrize(
    ("allows", "debug", "number"), [(True, False, 1), (True, True, 0), (False, False, 0)]
)
def test_local_addresses_are_a_warning_in_production(allows, debug, number, settings):
    settings.WEBHOOK_ALLOW_LOCAL, settings.DEBUG = allows, debug
    findings = list(local_addresses())
    assert len(findings) == number
    assert all("WEBHOOK_ALLOW_LOCAL" in finding.statement for finding in findings)
