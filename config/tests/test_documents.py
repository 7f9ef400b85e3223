"""The documents name only what exists: files, names in files, commands of make and of manage.py."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

ROOT = Path(settings.BASE_DIR)
# Without the changelog, which tells of the past.
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
FOLDERS = "|".join(
    path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")
)
# `folder/file.py` or `folder/file.py: name, Class.name`; in the walks, `folder/file.py:12 Class.name`.
PLACE = re.compile(rf"`((?:{FOLDERS})/[\w/.-]*\w)/?(?::\d*\s*([A-Z_a-z][\w.]*))?")
IN_CODE = re.compile(r"`([^`\n]+)`|^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_only_what_exists(document):
    text = document.read_text(encoding="utf-8")
    assert missing_places(text) | missing_commands(text) == set()


def test_what_does_not_exist_is_reported():
    text = "`config/nothing.py`, `config/money.py: nothing`, `make nothing`, `manage.py nothing`"
    assert missing_places(text) == {"config/nothing.py", "config/money.py: nothing"}
    assert missing_commands(text) == {"make nothing", "manage.py nothing"}


def missing_places(text: str) -> set[str]:
    """Return the files, and the names in files, that the text names and that do not exist."""
    missing = set()
    for place, name in PLACE.findall(text):
        path = ROOT / place
        if not path.exists():
            missing.add(place)
        elif name and not re.search(rf"\b{name.rpartition('.')[2]}\b", path.read_text("utf-8")):
            missing.add(f"{place}: {name}")
    return missing


def missing_commands(text: str) -> set[str]:
    """Return the commands in the text's code that neither make nor manage.py knows."""
    code = "\n".join(word for pair in IN_CODE.findall(text) for word in pair)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    made = set(re.findall(r"^(?:\$ )?make ([a-z][a-z-]*)", code, re.MULTILINE)) - targets
    managed = set(re.findall(r"manage\.py ([a-z_]+)", code)) - set(get_commands())
    return {f"make {name}" for name in made} | {f"manage.py {name}" for name in managed}
