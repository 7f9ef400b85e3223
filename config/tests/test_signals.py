"""The comment above each signal names its receivers in the order in which they are called."""

import importlib
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.dispatch import Signal

COMMENT = re.compile(r"((?:^#.*\n)+)^(\w+) = Signal\(\)", re.MULTILINE)


def documented(path: Path) -> dict[str, list[str]]:
    """The receivers that the comments of a signals.py name, by signal."""
    receivers = {}
    for comment, name in COMMENT.findall(path.read_text(encoding="utf-8")):
        text = comment.replace("\n# ", " ")
        heard_by = re.search(r"Heard by, in this order: ([\w., ]+)\.\s", text)
        receivers[name] = heard_by[1].split(", ") if heard_by else []
    return receivers


def connected(module) -> dict[str, list[str]]:
    """The receivers that are connected to the signals of a module, by signal."""
    signals = {name: value for name, value in vars(module).items() if isinstance(value, Signal)}
    return {
        name: [
            f"{receiver.__module__}.{receiver.__qualname__}"
            for receiver in signal._live_receivers(sender=None)[0]
        ]
        for name, signal in signals.items()
    }


@pytest.mark.parametrize("app", ["config", "accounts"])
def test_the_comment_of_a_signal_names_its_receivers(app):
    module = importlib.import_module(f"{app}.signals")

    assert documented(settings.BASE_DIR / app / "signals.py") == connected(module)
