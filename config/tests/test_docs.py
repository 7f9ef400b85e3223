"""The documents name only files, names, commands, settings and rules that exist."""

import importlib
import re
from collections.abc import Iterator
from functools import cache

import pytest
from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.dispatch import Signal

from config.tests import walks
from config.tests.test_signals import connected

ROOT = walks.ROOT
PAGES = [
    "SECURITY.md",
    "README.md",
    "CONTRIBUTING.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md")),
]
FILE = re.compile(r"(?<![\w/…<>.-])((?:\.\./)*(?:[\w.-]+|…)(?:/[\w.-]+)+\.(?:py|md))\b")
NAME = re.compile(r"`(?:…/)?([\w./-]+\.py): ([\w.]+)`")
FOLDER = re.compile(
    r"`((?:config|audit|accounts|videos|payments|streaming|analytics|docs|benchmarks|deploy)/[\w./]*)`"
)
COMMAND = re.compile(r"manage\.py (\w+)([^`\n]*)")
TARGET = re.compile(r"(?:`|\$ |^|&& )make ([a-z][a-z-]*)", re.MULTILINE)
SETTING = re.compile(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`|^([A-Z]+(?:_[A-Z]+)+)=", re.MULTILINE)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@cache
def sources() -> tuple[str, ...]:
    """Return the paths of all Python files and documents of the repository."""
    tops = [
        ".ci",
        "benchmarks",
        "config",
        "docs",
        *(path.parent.name for path in ROOT.glob("*/apps.py")),
    ]
    found = [path for top in tops for path in (ROOT / top).rglob("*.[pm][yd]")]
    return tuple(path.relative_to(ROOT).as_posix() for path in (*found, *ROOT.glob("*.[pm][yd]")))


def file_named(path: str, page: str) -> str | None:
    """Return the file that a page means: from the root, from the page, or by the end of its path."""
    beside = (ROOT / page).parent / path
    if (ROOT / path).is_file() or beside.is_file():
        return path if (ROOT / path).is_file() else str(beside.resolve().relative_to(ROOT))
    ends = [source for source in sources() if source.endswith(f"/{path.removeprefix('…/')}")]
    return ends[0] if len(ends) == 1 else None


def code(text: str) -> str:
    """Return the code of a page: its code blocks, and its code spans, one a line."""
    blocks = re.findall(r"^ *```.*?^ *```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`[^`\n]+`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S))
    return "\n".join(blocks + spans)


@pytest.mark.parametrize("page", PAGES)
def test_files_exist(page):
    """A path may also be the end of exactly one file's path, as in "gateways/base.py"."""
    named = set(FILE.findall(text_of(page)))
    assert [path for path in sorted(named) if file_named(path, page) is None] == []


@pytest.mark.parametrize("page", PAGES)
def test_folders_exist(page):
    """The beginning of a file's name is enough, as in "docs/adr/0006"."""
    named = FOLDER.findall(text_of(page))
    assert [name for name in named if not [*ROOT.glob(f"{name}*")]] == []


@pytest.mark.parametrize("page", PAGES)
def test_names_exist_in_their_files(page):
    """A document names a function, a class, a method or a variable as "path/file.py: name"."""
    missing = []
    for path, name in NAME.findall(text_of(page)):
        file = file_named(path, page)
        defined = walks.definitions(ROOT / file) if file else {}
        if not any(other == name or other.endswith(f".{name}") for other in defined):
            missing.append(f"{path}: {name}")
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_their_options_exist(page):
    known = get_commands()
    wrong = []
    for name, arguments in COMMAND.findall(code(text_of(page))):
        if name not in known:
            wrong.append(name)
            continue
        parser = load_command_class(known[name], name).create_parser("manage.py", name)
        options = re.findall(r"--[a-z][a-z-]*", arguments)
        wrong += [f"{name} {it}" for it in options if it not in parser._option_string_actions]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_make_exist(page):
    targets = set(re.findall(r"^([a-z][a-z-]*):", text_of("Makefile"), re.MULTILINE))
    assert set(TARGET.findall(code(text_of(page)))) - targets == set()


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md"])
def test_settings_exist(page):
    named = {first or second for first, second in SETTING.findall(text_of(page))}
    known = set(re.findall(r"^#? ?([A-Z_]+)=", text_of(".env.example"), re.MULTILINE))
    assert named - known == set()


def rows(page: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the page's tables."""
    for line in text_of(page).splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def signals() -> dict[str, list[str]]:
    """Return the receivers of each signal that a module of the project declares, by dotted name."""
    modules = [f"{path.parent.name}.signals" for path in ROOT.glob("*/signals.py")]
    return {
        f"{module}.{name}": connected(value)
        for module in [*modules, "payments.gateways.sandbox.events"]
        for name, value in vars(importlib.import_module(module)).items()
        if isinstance(value, Signal)
    }


def test_the_table_of_signals_names_the_receivers_in_order():
    table = {
        names[0]: spans(row[2])
        for row in rows("docs/architecture.md")
        if len(row) == 3 and (names := spans(row[0])) and names[0].count(".") > 1
    }
    assert table == signals()


def test_the_table_of_permissions_says_which_roles_hold_them():
    permissions = importlib.import_module("accounts.roles").PERMISSIONS
    named = []
    for row in rows("docs/operations.md"):
        for name in spans(row[0]):
            if re.fullmatch(r"[a-z]+\.[a-z_]+", name) and len(row) == 3:
                holders = sorted(role for role, names in permissions.items() if name in names)
                assert holders == row[2].split(", "), name
                named.append(name)
    generic = re.compile(r"\w+\.(?:view|add|change)_[a-z]+")
    everything = set().union(*permissions.values())
    assert {name for name in everything - set(named) if not generic.fullmatch(name)} == set()


def test_the_constraints_of_the_invariants_exist():
    constraints = {
        constraint.name for model in apps.get_models() for constraint in model._meta.constraints
    }
    named = re.findall(r"SQL `(\w+)`", text_of("docs/invariants.md"))
    assert named
    assert [name for name in named if name not in constraints] == []


def test_the_models_of_the_glossary_exist():
    """Checks "app.Model" and "Model.field" in the column "held by"."""
    models = {model.__name__: model for model in apps.get_models()}
    ours = {config.label for config in apps.get_app_configs()}
    wrong = []
    for row in rows("docs/glossary.md"):
        for span in spans(row[2]) if len(row) == 4 else ():
            if not (match := re.fullmatch(r"(\w+)\.(\w+)", span)):
                continue
            first, second = match.groups()
            if first in ours:
                wrong += [] if second in models else [span]
            elif first in models:
                wrong += [] if hasattr(models[first], second) else [span]
    assert wrong == []
