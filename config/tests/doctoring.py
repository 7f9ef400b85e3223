"""The doctor's findings of one check, for the tests of each app."""

from config import doctor


def findings(name: str) -> list[doctor.Finding]:
    """Run the check with this name as `manage.py doctor` does."""
    return doctor._findings(next(each for each in doctor.all_checks() if each.name == name))


def worst(name: str) -> str:
    """Return the highest level of the check's findings; each fault has a remedy."""
    found = findings(name)
    for each in found:
        assert bool(each.remedy) == (each.level != doctor.Level.OK), each
    levels = {each.level for each in found}
    return next((each for each in ("error", "warning") if each in levels), "ok")


def said(name: str) -> str:
    return " ".join(f"{each.statement} {each.remedy}" for each in findings(name))
