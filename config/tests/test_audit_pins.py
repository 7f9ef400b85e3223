"""`make advisories`: a known hole is an error, an advisory database that is away is said and is none."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from config import env

spec = importlib.util.spec_from_file_location("audit_pins", env.BASE_DIR / ".ci" / "audit_pins.py")
assert spec is not None
assert spec.loader is not None
audit_pins = importlib.util.module_from_spec(spec)
spec.loader.exec_module(audit_pins)

pytestmark = pytest.mark.programs  # the module is loaded by its path, and starts pip-audit
HOLE = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-1"],
    "summary": "A hole for this test.",
    "affected": [
        {
            "package": {"name": "django", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
            "versions": [],
        }
    ],
}


class Osv(BaseHTTPRequestHandler):
    """OSV on loopback, which knows one hole of one package; pip-audit itself is the real one."""

    hole_of = ""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_holed = asked["package"]["name"].lower() == self.hole_of
        body = json.dumps({"vulns": [HOLE]} if is_holed else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing for each request."""


@pytest.fixture
def osv() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Osv)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("hole_of", "status"), [("", 0), ("django", 1)])
@pytest.mark.long
def test_a_known_hole_is_an_error(osv, monkeypatch, capsys, hole_of, status):
    monkeypatch.setattr(Osv, "hole_of", hole_of)

    assert audit_pins.main(osv) == status

    said = capsys.readouterr().out
    assert f"{status} known holes." in said
    assert ("PYSEC-2026-1 CVE-2026-1, mended in 99.0" in said) is bool(hole_of)


def test_without_an_answer_it_says_that_nothing_was_checked(monkeypatch, capsys):
    monkeypatch.setattr(audit_pins, "ask", lambda options: [])

    assert audit_pins.main() == 0
    assert capsys.readouterr().out.startswith("NOT CHECKED: neither api.osv.dev nor pypi.org")


def test_a_closed_port_is_being_offline():
    assert audit_pins.ask(["--vulnerability-service=osv", "--osv-url=http://127.0.0.1:1/"]) == []


def test_a_wrong_option_is_not_taken_for_being_offline():
    """Otherwise the step would be green for ever after an update of pip-audit."""
    with pytest.raises(audit_pins.CannotAudit, match="unrecognized arguments"):
        audit_pins.ask(["--no-such-option"])
