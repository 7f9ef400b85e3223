"""The comments of each signals.py name the receivers that are really connected, in their order."""

import ast
import importlib
import re
from pathlib import Path
from weakref import ReferenceType

import pytest
from django.conf import settings
from django.dispatch import Signal

APPS = sorted(path.parent.name for path in Path(settings.BASE_DIR).glob("*/signals.py"))
_HEARD = re.compile(r"Heard by, in this order:(.*)", re.DOTALL)
_RECEIVER = re.compile(r"\b\w+\.receivers\.\w+")


def comments(path: Path) -> dict[str, str]:
    """Return, for each signal that a file declares, the comment directly above it as one text."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            first = node.lineno - 1
            while first > 0 and lines[first - 1].startswith("#"):
                first -= 1
            comment = lines[first : node.lineno - 1]
            found[node.targets[0].id] = " ".join(line.lstrip("# ") for line in comment)
    return found


def connected(signal: Signal) -> list[str]:
    """Return the dotted names of a signal's receivers in the order in which they are called."""
    references = [reference for _, reference, *_ in signal.receivers]
    receivers = [ref() if isinstance(ref, ReferenceType) else ref for ref in references]
    return [f"{receiver.__module__}.{receiver.__qualname__}" for receiver in receivers if receiver]


@pytest.mark.parametrize("app", APPS)
def test_each_signal_names_its_receivers_in_their_order(app):
    module = importlib.import_module(f"{app}.signals")
    signals = {name: value for name, value in vars(module).items() if isinstance(value, Signal)}
    assert signals
    texts = comments(Path(str(module.__file__)))
    listed = {}
    for name in signals:
        heard = _HEARD.search(texts[name])
        assert heard, f"The comment of {app}.signals.{name} lacks: Heard by, in this order: …"
        listed[name] = _RECEIVER.findall(heard.group(1))
    assert listed == {name: connected(signal) for name, signal in signals.items()}
