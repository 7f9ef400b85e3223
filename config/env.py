"""Readers of environment variables, each for one kind of value.

A variable that is not set, or is empty, means the default. A reader notes a wrong value and returns the
default, so that ``finish``, at the end of the settings, refuses all wrong values at once.
"""

import difflib
import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import shutil
import sys
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

from config import dotenv, emails, money

BASE_DIR = Path(__file__).resolve().parent.parent
FILE = Path(os.environ.get("ENV_FILE") or BASE_DIR / ".env")

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,20}")
_GUESSABLE = ("change-me", "changeme", "change_me", "django-insecure")

_read_names: set[str] = set()
_new_names: set[str] = set()  # names that this process took from the file
_wrong: dict[str, str] = {}  # a line for each wrong setting, by its name or its place in the file


class WrongSettings(SystemExit):
    """The refusal of all wrong settings; its text has one line for each.

    It is a SystemExit, because any program may load the settings, and each then ends with status 1 and
    this text on stderr instead of a traceback.
    """


def load(path: Path, *, must_exist: bool) -> None:
    """Take the names of a .env file that the environment does not set already."""
    if not must_exist and not path.exists():
        return
    values, faults = dotenv.parse(path)
    _new_names.update(values.keys() - os.environ.keys())
    for name in values.keys() - os.environ.keys():
        os.environ[name] = values[name]
    for place, fault in faults.items():
        _wrong[place] = f"{place}: {fault}."


load(FILE, must_exist="ENV_FILE" in os.environ)


def finish() -> None:
    """Raise WrongSettings if a value was wrong. Warn of names in the file that look misspelt.

    A process that inherited the names warns no more: the one that read them from the file has done so.
    """
    for name in sorted(_new_names - _read_names):
        if meant := difflib.get_close_matches(name.upper(), _read_names, n=1, cutoff=0.85):
            sys.stderr.write(
                f"Warning: {FILE} sets {name}, but no such setting exists."
                f" If {meant[0]} is meant, correct the name.\n"
            )
    _new_names.clear()
    if _wrong:
        lines = list(_wrong.values())
        _wrong.clear()
        count = "1 setting is" if len(lines) == 1 else f"{len(lines)} settings are"
        head = f"{count} wrong, so nothing was started. Correct {FILE} or the environment:"
        raise WrongSettings("\n  ".join([head, *lines]))


def wrong(name: str, allowed: str, *, example: str, shown: str | None = None) -> None:
    """Note that the value of ``name`` is wrong. ``shown`` stands for a value that must not be shown."""
    value = shown or (f"={printable(read(name))}" if read(name) else " (not set)")
    _wrong.setdefault(name, f"{name}{value}: {allowed}. Example: {name}={example}")


def printable(value: str) -> str:
    """Return a value in one line of at most 100 characters."""
    escaped = "".join(char if char.isprintable() else repr(char)[1:-1] for char in value)
    return escaped if len(escaped) <= 100 else f"{escaped[:99]}…"


def masked(url: str) -> str:
    """Return a URL with *** for all that may be a password, also if the URL is malformed."""
    scheme, rest = "", url.partition("?")[0]
    if match := re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", rest):
        scheme, rest = match[0], rest[match.end() :]
    if "@" in rest:
        rest = f"***@{rest.rpartition('@')[2]}"
    elif ":" in rest:
        rest = f"{rest.partition(':')[0]}:***"
    return printable(scheme + rest + ("?***" if "?" in url else ""))


def _without_user(name: str) -> str | None:
    """Return what to show of an address that has a user, and perhaps a password; None without one."""
    return f"={masked(read(name))}" if "@" in read(name) else None


def read(name: str) -> str:
    """Return the variable without spaces around it, or an empty string if it is not set."""
    _read_names.add(name)
    return os.environ.get(name, "").strip()


def secret(name: str, *, at_least: int, default: str = "", optional: bool = False) -> str:
    """Return a secret. Wrong is one that is shorter than ``at_least`` characters or easy to guess."""
    value = read(name)
    if (default or optional) and not value:
        return default
    repeats = value in (value + value)[1:-1]  # true for a text that repeats a shorter one
    guessable = repeats or len(set(value)) < 10 or any(w in value.lower() for w in _GUESSABLE)
    if len(value) < at_least or guessable:
        found = "easy to guess" if len(value) >= at_least else f"{len(value)} characters long"
        wrong(
            name,
            f"it must be at least {at_least} random characters, and is never shown. "
            "The example is a new one that you may paste",
            example=secrets.token_urlsafe(64),
            shown=f" ({found})" if value else None,
        )
        return "0" * at_least
    return value


def derived_key(secret_key: str, purpose: str) -> bytes:
    """Return the 32-byte key for one purpose (HKDF-Expand, RFC 5869, section 2.3).

    Another purpose gives another key, so a leaked key does not reveal the others.
    """
    return hmac.digest(secret_key.encode(), f"vod/{purpose}\x01".encode(), hashlib.sha256)


def number(name: str, default: int, *, minimum: int = 0, maximum: int = 2**53) -> int:
    """Return a whole number from ``minimum`` to ``maximum``, both included."""
    text = read(name)
    if not text:
        return default
    if _WHOLE_NUMBER.fullmatch(text) and minimum <= int(text) <= maximum:
        return int(text)
    wrong(name, f"it must be a whole number from {minimum} to {maximum}", example=str(default))
    return default


def flag(name: str, *, default: bool) -> bool:
    """Return a yes or no, written as true/false, 1/0, yes/no or on/off in any case."""
    text = read(name).lower()
    if text in {"true", "1", "yes", "on"}:
        return True
    if text in {"false", "0", "no", "off"}:
        return False
    if text:
        wrong(name, "it must be true or false", example=str(default).lower())
    return default


def choice(name: str, default: str, *, among: tuple[str, ...]) -> str:
    """Return one of the words of ``among``."""
    value = read(name) or default
    if value not in among:
        wrong(name, f"it must be one of {', '.join(among)}", example=default)
        return default
    return value


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """Return the items of a comma-separated list, without the empty ones."""
    return [word.strip() for word in read(name).split(",") if word.strip()] or list(default)


def text(name: str, default: str = "") -> str:
    """Return any text, without spaces around it."""
    return read(name) or default


def model(name: str) -> Path | None:
    """Return the absolute path of a folder with a Whisper model (CTranslate2), or None without one."""
    if not (chosen := read(name)):
        return None
    path = (BASE_DIR / chosen).resolve()
    if not (path / "model.bin").is_file():
        wrong(
            name,
            "it must be a folder with the model.bin of a Whisper model (CTranslate2)",
            example="",
        )
    return path


def folder(name: str, default: Path, *, written: bool = True, made: bool = True) -> Path:
    """Return the path of a folder, and create the folder if it does not exist.

    A relative path is taken from the project's own folder. ``written``: it must be writable. Without
    ``made``, it is not created; it only must be possible to create it.
    """
    path = (BASE_DIR / text(name, str(default))).resolve()
    fault = make_folder(path) if made else _no_folder(path)
    nearest = next(each for each in (path, *path.parents) if each.exists())
    if not fault and written and not os.access(nearest, os.W_OK | os.X_OK):
        fault = "Permission denied"
    if fault and (read(name) or "DATA_DIR" not in _wrong):  # its default lies in DATA_DIR
        allowed = f"it must be a folder that can be made and written, but {path}: {fault}"
        wrong(name, allowed, example="/srv/vod")
    return path


def file(name: str) -> str:
    """Return the path of a file that can be made and written to, or an empty string if it is not set.

    A relative path is taken from the project's own folder. The file need not exist; its folder must.
    """
    if not read(name):
        return ""
    path = BASE_DIR / read(name)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        allowed = "it must be the path of a file that can be written, in a folder that exists"
        wrong(name, allowed, example="/mnt/elsewhere/checkpoints.jsonl")
    return str(path)


def make_folder(path: Path) -> str:
    """Make a folder unless it exists. Return why it cannot be made, or an empty string."""
    if path.exists() and not path.is_dir():
        return "it is a file"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _no_folder(path: Path) -> str:
    """Return why there is no folder and none can be made; empty if there is one, or there may be."""
    nearest = next(each for each in (path, *path.parents) if each.exists())
    if nearest.is_dir():
        return ""
    return "it is a file" if nearest == path else "Not a directory"


def program(name: str) -> str:
    """Return the absolute path of a program, or an empty string."""
    value = read(name)
    found = shutil.which(value) if value else None
    if value and not found:
        wrong(name, "it must be the path of a program that can be run", example="/usr/bin/ffmpeg")
    return str(Path(found).absolute()) if found else ""


def currency(name: str, default: str) -> str:
    """Return the code of a currency that the service accepts."""
    value = text(name, default).upper()
    if value not in money.EXPONENTS:
        wrong(name, f"it must be one of {', '.join(money.EXPONENTS)}", example=default)
        return default
    return value


def price(name: str, default: str, *, currency: str) -> str:
    """Return an amount of the currency that is more than 0, as the text of a decimal number."""
    value = text(name, default)
    try:
        is_right = money.to_minor(value, currency) > 0
    except money.NotMoney:
        is_right = False
    if is_right:
        return value
    digits = money.EXPONENTS[currency]
    allowed = (
        f"it must be an amount of {currency}, more than 0, with at most {digits} decimal digits"
    )
    wrong(name, allowed, example="10")
    return "10"


def amount(name: str, default: str) -> str:
    """Return an amount of any currency, 0 or more, as the text of a decimal number."""
    value = text(name, default)
    try:
        is_right = 0 <= money.to_decimal(value) <= money.MAX_MINOR
    except money.NotMoney:
        is_right = False
    if not is_right:
        wrong(name, f"it must be an amount from 0 to {money.MAX_MINOR}", example=default)
        return default
    return value


def email(name: str, default: str, *, named: bool = False) -> str:
    """Return an e-mail address. ``named``: it may have a name, as in ``Videos <vod@example.com>``."""
    value = text(name, default)
    bare = parseaddr(value)[1] if named else value
    try:
        # The form for mail, because Django would encode a domain by the older IDNA 2003.
        return value.replace(bare, emails.normal(bare))
    except ValidationError:
        wrong(name, "it must be an e-mail address", example="vod@example.com")
        return default


def address(name: str, default: str) -> str:
    """Return an IP address, or a host name, to listen on."""
    value = text(name, default).strip("[]")
    if not _is_host(value):
        allowed = "it must be an address or a host name of this machine, without port"
        wrong(name, f"{allowed}; 0.0.0.0 is all of its addresses", example=default)
        return default
    return value


def hosts(name: str, default: tuple[str, ...]) -> list[str]:
    """Return a list of host names and addresses as Django's ALLOWED_HOSTS wants them."""
    found = []
    for value in words(name, default):
        bare = value.strip("[]")
        name_of_host = value.removeprefix("*").removeprefix(".") if value != "*" else "any"
        if _is_address(bare):
            found.append(f"[{bare}]" if ":" in bare else bare)
        elif _is_host(name_of_host):
            found.append(value.lower().removeprefix("*") or "*")
        else:
            allowed = "each must be a host name or address, without https://, port or path"
            wrong(name, allowed, example="vod.example.com,192.168.1.5", shown=_without_user(name))
    return found


def networks(name: str) -> list[str]:
    """Return a list of IP addresses and networks."""
    found = []
    for value in words(name):
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            allowed = "each must be an IP address or a network"
            wrong(name, allowed, example="127.0.0.1,10.0.0.0/8")
        else:
            found.append(str(network) if "/" in value else str(network.network_address))
    return found


def origins(name: str, default: tuple[str, ...] = (), *, wildcard: str = "") -> list[str]:
    """Return a list of origins such as ``https://vod.example.com``.

    ``wildcard`` is allowed too: "*" as a whole item, or "*." at the beginning of a host name.
    """
    found = [
        value if value == wildcard else _origin(value, wildcard) for value in words(name, default)
    ]
    if "" in found:
        allowed = "each must be http:// or https:// and a host, without a path"
        wrong(name, allowed, example="https://vod.example.com", shown=_without_user(name))
    return [value for value in found if value]


def origin(name: str) -> str:
    """Return an origin such as ``https://vod.example.com``, or an empty string."""
    value = read(name)
    found = _origin(value, "") if value else ""
    if value and not found:
        allowed = "it must be http:// or https:// and a host, without a path"
        wrong(name, allowed, example="https://vod.example.com", shown=_without_user(name))
    return found


def _origin(value: str, wildcard: str) -> str:
    """Return the origin without a slash at its end, or an empty string if it is none."""
    value = value.lower().rstrip("/")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return ""
    host = parts.hostname or ""
    if wildcard == "*.":
        host = host.removeprefix(wildcard)
    is_plain = value == f"{parts.scheme}://{parts.netloc}" and "@" not in value and port != 0
    return value if parts.scheme in {"http", "https"} and is_plain and _is_host(host) else ""


def _is_host(value: str) -> bool:
    """Return whether this is an IP address or a host name. 999.1.1.1 is neither."""
    is_name = _HOST_NAME.fullmatch(value) and not value.rpartition(".")[2].isdigit()
    return bool(is_name) or _is_address(value)


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
