"""The findings as Django's own checks, for `manage.py check --deploy`; and Django's as findings."""

from collections.abc import Iterator
from typing import Any

from django.core import checks
from django.core.checks.registry import registry

from config import doctor
from config.doctor import Finding, Level, check, error, ok, warning

TAG = "doctor"


@checks.register(TAG, deploy=True)
def findings_of_the_doctor(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    kinds = {Level.WARNING: checks.Warning, Level.ERROR: checks.Error}
    return [
        kinds[found.level](found.statement, hint=found.remedy, id=examined.check.id)
        for examined in doctor.examine()
        if examined.check.name != "django"
        for found in examined.findings
        if found.level in kinds
    ]


@check("Settings", "django", seconds=10.0)
def django_checks() -> Iterator[Finding]:
    """Run the checks of Django and of the libraries, the ones of deployment too."""
    tags = sorted({*registry.tags_available(True)} - {TAG})
    messages = checks.run_checks(tags=tags, include_deployment_checks=True)
    loud = [each for each in messages if not each.is_silenced() and each.level >= checks.WARNING]
    for each in loud:
        text, hint = f"{each.id}: {each.msg}", each.hint or "See Django's list of system checks."
        yield (error if each.level >= checks.ERROR else warning)(text, hint)
    if not loud:
        yield ok("The checks of Django and the libraries have nothing to say.")
