"""The line numbers of the walks: ``python -m config.tests.walks`` refreshes them.

``docs/life-of-a-request.md`` names a place in the code as [`path/file.py:12 Class.method`], which a
reader sees as a link. This module finds the line of each name in its file, and writes the number and
the target of each link. Files are read, not run or imported, so the page can be written without a
database.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path("docs/life-of-a-request.md")
PLACE = re.compile(r"\[`(?P<path>[\w./-]+\.py):(?P<line>\d+) (?P<name>[\w.]+)`\]")
LINKS = "<!-- `make walks` writes the numbers above and all lines below. -->\n"


class UnknownName(ValueError):
    """A place of the page that the code does not have."""


@dataclass(frozen=True)
class Place:
    """A function, a class, a method or a variable of a module, named by the page."""

    path: str  # relative to the repository's root
    name: str  # "name", "Class.method" or "function.inner"


def definitions(file: Path) -> dict[str, ast.stmt]:
    """Return the statement that defines each name of a file, by the name's dotted path in it."""
    return dict(_definitions(ast.parse(file.read_text(encoding="utf-8")).body))


def _definitions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.stmt]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name, node
            yield from _definitions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    yield prefix + target.id, node


def places(text: str) -> list[Place]:
    """Return the places that a text names, in the order of the text."""
    return [Place(match["path"], match["name"]) for match in PLACE.finditer(text)]


def refreshed(text: str, root: Path = ROOT) -> str:
    """Return the page with the true line of each place, and with the target of each link.

    Raises UnknownName for all places that do not exist, with the nearest name of the same file.
    """
    known = lru_cache(lambda path: definitions(root / path))
    body = text.partition(LINKS)[0]
    unknown = [message for place in places(body) if (message := _unknown(place, root, known))]
    if unknown:
        raise UnknownName("\n".join(unknown))

    def true_line(match: re.Match[str]) -> str:
        line = known(match["path"])[match["name"]].lineno
        return f"[`{match['path']}:{line} {match['name']}`]"

    body = PLACE.sub(true_line, body)
    links = {f"{match[0]}: ../{match['path']}#L{match['line']}\n" for match in PLACE.finditer(body)}
    return f"{body.rstrip()}\n\n{LINKS}\n{''.join(sorted(links))}"


def _unknown(place: Place, root: Path, known) -> str:
    """Return why a place does not exist; empty when it does."""
    if not (root / place.path).is_file():
        return f"{place.path} does not exist, but the page names {place.name} in it."
    if place.name in known(place.path):
        return ""
    near = get_close_matches(place.name, known(place.path), 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{place.path} has no {place.name}.{hint}"


def walks(text: str) -> dict[str, str]:
    """Return the sections of the page, by the words of their headings."""
    parts = re.split(r"^## (.+)\n", text.partition(LINKS)[0], flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def steps(section: str) -> list[Place]:
    """Return the places of a section's numbered steps, without the receivers and remarks below them."""
    lines = [line for line in _unwrapped(section) if re.match(r"\d+\. ", line)]
    return [place for line in lines for place in places(line)]


def listeners(section: str) -> list[tuple[Place, list[Place]]]:
    """Return each signal that a section presents, with the receivers that it lists below the signal.

    A step whose text begins with "**Signal**" presents one; its receivers are a numbered list.
    """
    presented: list[tuple[Place, list[Place]]] = []
    is_open = False
    for line in _unwrapped(section):
        if re.match(r"\d+\. ", line):
            is_open = line.partition(" ")[2].startswith("**Signal**")
            if is_open:
                presented.append((places(line)[0], []))
        elif is_open and re.match(r" +\d+\. ", line):
            presented[-1][1].append(places(line)[0])
    return presented


def _unwrapped(section: str) -> list[str]:
    """Return the items of the section's lists, each as one line with its indentation."""
    lines: list[str] = []
    for line in section.splitlines():
        if re.match(r" *(\d+\.|\*) ", line) or not line.strip() or not lines:
            lines.append(line)
        else:
            lines[-1] += f" {line.strip()}"
    return lines


def main() -> None:
    """Write the page, or say which of its names the code does not have."""
    try:
        text = refreshed((ROOT / PAGE).read_text(encoding="utf-8"))
    except UnknownName as error:
        sys.exit(f"{PAGE} was not written, because it names what the code does not have.\n{error}")
    (ROOT / PAGE).write_text(text, encoding="utf-8")
    sys.stdout.write(f"{PAGE} is written.\n")


if __name__ == "__main__":
    main()
