"""The reader of a .env file: names and values as shells and other tools write them."""

import re
from pathlib import Path

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)")
_QUOTED = re.compile(r"""\s*(?:'([^']*)'|"((?:[^"\\]|\\.)*)")\s*(?:#.*)?""")
_COMMENT = re.compile(r"\s#.*$")


def parse(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the values of a .env file by name, and what is wrong with it by place.

    Accepts comments, ``export``, quotes, a byte order mark and Windows line ends. The last line of a
    name counts. What is wrong never quotes the file, because the line may hold a secret.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        return {}, {"ENV_FILE": f"{path} cannot be read ({error.strerror})"}
    except UnicodeDecodeError:
        return {}, {"ENV_FILE": f"{path} is not a UTF-8 text file; save it as UTF-8"}
    values: dict[str, str] = {}
    faults: dict[str, str] = {}
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            name, value = _assignment(line.rstrip())
        except ValueError as error:
            faults[f"{path}, line {number}"] = str(error)
        else:
            values[name] = value
    return values, faults


def _assignment(line: str) -> tuple[str, str]:
    """Return the name and the value of one line. Raises ValueError with what a line must look like."""
    parts = _LINE.fullmatch(line)
    if not parts or "\0" in line:
        raise ValueError("a line must be NAME=value, or begin with # to be a comment")
    name, text = parts.groups()
    if text.lstrip()[:1] not in ("'", '"'):
        return name, _COMMENT.sub("", text).strip()
    quoted = _QUOTED.fullmatch(text)
    if not quoted:
        raise ValueError(f"the value of {name} must end with the quote that it begins with")
    plain, escaped = quoted.groups()
    return name, plain if plain is not None else re.sub(r"\\(.)", r"\1", escaped)
