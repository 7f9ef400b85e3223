"""What must hold for every answer of the service, whatever was sent."""

import json
import re
from collections.abc import Mapping
from types import SimpleNamespace

from django.conf import settings
from requests.structures import CaseInsensitiveDict as HttpHeaders

from config.tests import contract

# Words of the inside: of Python, of a database, and of the folders of this service.
INSIDE = re.compile(
    r"Traceback \(most|File \"[^\"]+\", line \d|site-packages|psycopg"
    r"|\b(?:Operational|Programming|Integrity|Data)Error\b|sqlite3|\bSELECT \S+.* FROM "
    r"|\bINSERT INTO |<class '|object at 0x"
)

SERVERS = {"connection", "date", "transfer-encoding"}  # headers of the HTTP server itself


def faults_of(
    method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
) -> list[str]:
    """Return a sentence for each rule that an answer breaks; ``path`` has no query."""
    names = {name.lower(): value for name, value in headers.items()}
    own = HttpHeaders({name: value for name, value in names.items() if name not in SERVERS})
    answer = SimpleNamespace(status_code=status, headers=own, content=body, streaming=False)
    found = []
    if status >= 500 and not (status == 503 and "retry-after" in names):
        found.append(f"The status is {status}.")
    if "x-request-id" not in names:
        found.append("The answer has no X-Request-ID.")
    if status >= 400:
        found += _error_faults(method, names.get("content-type", ""), body)
    try:
        contract.check(method, path, answer)
    except contract.Undeclared as fault:
        found.append(str(fault))
    except ValueError as fault:
        found.append(f"The body is not JSON: {fault}.")
    return found


def _error_faults(method: str, kind: str, body: bytes) -> list[str]:
    text = body.decode("utf-8", "replace")
    found = []
    for word in (INSIDE.search(text), *(re.search(re.escape(name), text) for name in _folders())):
        if word:
            found.append(f"The error shows the inside of the service: {word[0]!r}.")
    if method == "HEAD":
        return found
    try:
        errors = json.loads(text)
        is_ours = kind == "application/json" and set(errors) == {"type", "errors"}
        is_ours = is_ours and all(error["code"] and error["detail"] for error in errors["errors"])
    except (ValueError, TypeError, KeyError):
        is_ours = False
    if not is_ours:
        found.append(f"The error has not the common body ({kind}): {text[:200]!r}")
    return found


def _folders() -> list[str]:
    return [str(settings.MEDIA_ROOT), str(settings.BASE_DIR)]
