"""`manage.py check --deploy` tells of a missing cage, worker or key, and of a proxy without address."""

import pytest
from django.core import checks

from config.tests.test_env import python
from videos.processing import cage
from videos.processing.isolation import Isolation


@pytest.mark.django_db
def test_without_a_cage_and_a_worker_it_names_both(monkeypatch):
    monkeypatch.setattr(
        cage, "describe", lambda: Isolation("limits", "bubblewrap is not installed")
    )
    found = {message.id: message for message in checks.run_checks(include_deployment_checks=True)}

    assert "access to this machine's files" in found["doctor.isolation"].msg
    assert "apt-get install bubblewrap" in str(found["doctor.isolation"].hint)
    assert "No worker has run yet" in found["doctor.worker"].msg
    assert "run_worker" in str(found["doctor.worker"].hint)


@pytest.mark.programs
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"PAYMENT_GATEWAY": "stripe"}, "it needs STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRETS"),
        ({"TRUSTED_PROXIES": "127.0.0.1,proxy.example"}, "each must be an IP address or a network"),
    ],
)
def test_without_keys_or_with_a_proxy_that_is_no_address_nothing_starts(tmp_path, wrong, words):
    done = python("manage.py", "check", "--deploy", DATA_DIR=str(tmp_path), **wrong)

    assert done.returncode == 1
    assert words in done.stderr
    assert next(iter(wrong)) in done.stderr
