"""Ask an advisory database about every installed package, and fail if one has a known hole.

    python .ci/audit_pins.py

pip-audit asks OSV, and PyPI where OSV cannot be reached. Without either the packages are not checked:
the output says so, and the exit status is 0, because being offline is no fault of the change.
"""

import json
import subprocess
import sys
from typing import Any

OSV, PYPI = "api.osv.dev", "pypi.org"
AUDIT = (sys.executable, "-m", "pip_audit", "--local", "--progress-spinner=off", "--timeout=10")
# Words of requests' errors: the name is unknown, the connection fails, the answer is no answer of OSV.
OFFLINE = (
    "ConnectionError",
    "ConnectTimeout",
    "ReadTimeout",
    "ProxyError",
    "SSLError",
    "HTTPError",
)


class CannotAudit(Exception):
    """pip-audit failed for another reason than the network."""


def main(osv_url: str = f"https://{OSV}/v1/query") -> int:
    """Return 1 if an installed package has a known hole, else 0. Raises CannotAudit."""
    for host, options in (
        (OSV, ["--vulnerability-service=osv", f"--osv-url={osv_url}"]),
        (PYPI, ["--vulnerability-service=pypi"]),
    ):
        packages = ask(options)
        # A mirror of PyPI knows no advisories. pip-audit then skips all packages, and calls that good.
        if any("skip_reason" not in each for each in packages):
            return report(host, packages)
    say(
        f"NOT CHECKED: neither {OSV} nor {PYPI} answered, so nothing is known about the installed"
        " packages. Run `make advisories` where one of them can be reached before a release."
    )
    return 0


def ask(options: list[str]) -> list[dict[str, Any]]:
    """Return what a service knows of each installed package; nothing if it cannot be reached."""
    done = subprocess.run(  # noqa: S603 - a fixed command
        [*AUDIT, "--format=json", *options], capture_output=True, text=True, check=False
    )
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        if any(word in done.stderr for word in OFFLINE):
            return []
        raise CannotAudit(done.stderr[-2000:]) from None
    return packages


def report(host: str, packages: list[dict[str, Any]]) -> int:
    """Say what is known, and return 1 if it is a hole."""
    skipped = [
        f"  {each['name']}: {each['skip_reason']}" for each in packages if "skip_reason" in each
    ]
    holes = [
        f"  {each['name']} {each['version']}: {hole['id']} {' '.join(hole['aliases'])},"
        f" mended in {', '.join(hole['fix_versions']) or 'no version yet'}"
        for each in packages
        for hole in each.get("vulns", ())
    ]
    say(
        f"{host} was asked about {len(packages) - len(skipped)} packages: {len(holes)} known holes."
    )
    for line in holes:
        say(line)
    if skipped:
        say(f"NOT CHECKED: {len(skipped)} packages.")
    for line in skipped:
        say(line)
    return 1 if holes else 0


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
