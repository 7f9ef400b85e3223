"""Schemathesis as one caller against the running service, and the faults that it finds."""

import random
from collections import Counter
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import unquote, urlsplit

import schemathesis
from requests.structures import CaseInsensitiveDict
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.generation.case import Case
from schemathesis.hooks import GLOBAL_HOOK_DISPATCHER, HookContext

from analytics.tests.hostile.answers import faults_of
from analytics.tests.hostile.world import World
from config import bounded
from config.tests import openapi

COVERAGE_CASES = 4400  # that schemathesis's coverage phase makes of the document, about
STEPS = 6  # of one scenario of the stateful phase
# Schemathesis's own checks. "This status is no server error" is left to answers.py, which knows an
# announced 503; what a role may do is left to analytics/tests/test_matrix.py.
CHECKS = (
    "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method",
)  # fmt: skip


# Bytes of tus are bytes to send as they are.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


class Run:
    """About ``size`` requests of one caller: of the phases coverage, fuzzing and stateful.

    ``answers`` counts the statuses. ``faults`` holds a curl command for each fault.
    """

    def __init__(self, port: int, world: World, caller: str, *, seed: int, size: int) -> None:
        self.world, self.caller, self.seed = world, caller, seed
        self.answers: Counter[int] = Counter()
        self.faults: dict[str, str] = {}
        self._headers = world.headers(caller)
        self._share = size * 0.4 / COVERAGE_CASES
        document = openapi.document()
        operations = sum(len(item) for item in document["paths"].values())
        fuzzing, stateful = round(size * 0.4 / operations), round(size * 0.2 / STEPS)
        config = {
            "seed": seed,
            "base-url": f"http://127.0.0.1:{port}",
            "continue-on-failure": True,
            "max-redirects": 0,
            "request-timeout": 60,  # a busy machine is no fault; an answer that never comes is one
            "auth": {"auto-signup": False},
            "output": {"sanitization": {"enabled": False}},
            "generation": {
                "no-shrink": True,
                "database": "none",
                "with-security-parameters": False,
                "max-examples": max(1, fuzzing),
            },
            "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
            "phases": {
                "examples": {"enabled": False},
                "stateful": {"generation": {"max-examples": max(1, stateful)}, "max-steps": STEPS},
            },
        }
        self._schema = schemathesis.openapi.from_dict(
            document, config=SchemathesisConfig.from_dict(config)
        )
        for hook in (self.filter_case, self.map_case, self.after_call):
            self._schema.hooks.register_hook_with_name(hook, hook.__name__)

    def run(self) -> None:
        """Send all requests."""
        GLOBAL_HOOK_DISPATCHER.register_hook_with_name(self.before_call, "before_call")
        try:
            for event in from_schema(self._schema).execute():
                if isinstance(event, events.NonFatalError):
                    self._add(f"{event.label}: {event.value}", None)
                elif isinstance(event, events.ScenarioFinished):
                    self._add_failures(event)
        finally:
            GLOBAL_HOOK_DISPATCHER.unregister(self.before_call)

    def filter_case(self, context: HookContext, case: Case) -> bool:
        """Choose a part of the cases of the coverage phase."""
        is_coverage = case.meta is not None and case.meta.phase.name.value == "coverage"
        return not is_coverage or self._chance(case).random() < self._share

    def map_case(self, context: HookContext, case: Case) -> Case:
        """Put values that exist into the path, the query, the headers and the body."""
        chance, path = self._chance(case), case.operation.path
        for name, value in (case.path_parameters or {}).items():
            folder = path.partition(f"/{{{name}}}")[0].rpartition("/")[2]
            key = name if name in self.world.values else folder
            case.path_parameters[name] = str(self.world.known(chance, key, value))
        for part in (case.query, case.headers, case.body):
            if isinstance(part, dict):
                for name, value in part.items():
                    known = self.world.known(chance, name, value)
                    part[name] = str(known) if known is not value and known is not None else known
        if path.endswith("/sandbox/clock") and isinstance(case.body, dict):
            days = case.body.get("days")
            if isinstance(days, int) and days > 20:
                # A jump of years bills each month of each subscription, in this one request.
                case.body["days"] = days % 20
        return case

    def before_call(self, context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
        """Sign the request in, with the newest token: a case may hold one of an earlier answer."""
        case.headers = CaseInsensitiveDict(case.headers or {})
        case.headers.pop("Authorization", None)
        case.headers.update(self._headers)

    def after_call(self, context: HookContext, case: Case, response: Response) -> None:
        """Compare an answer with the document, and with the rules of all answers."""
        request, status = response.request, response.status_code
        self.answers[status] += 1
        if status == 401 and request.headers.get("Authorization") in self._headers.values():
            self.sign_in_again()  # some request has ended the sign-in
        headers = {name: ", ".join(values) for name, values in response.headers.items()}
        path = unquote(urlsplit(request.url).path)
        for fault in faults_of(str(request.method), path, status, headers, response.content):
            self._add(f"{case.operation.label}: {fault}", case.as_curl_command(request.headers))

    def sign_in_again(self) -> None:
        """Get a new token. Schemathesis calls this in a thread of its own, which closes no connection.

        PostgreSQL drops no database to which a connection is open, such as that of the tests.
        """
        self._headers = bounded.begin(partial(self.world.headers, self.caller)).result()

    def _chance(self, case: Case) -> random.Random:
        """Return a source of chance that depends on the seed and the case alone."""
        parts = (case.path_parameters, case.query, case.headers, case.body)
        return random.Random(f"{self.seed} {case.operation.label} {parts}")  # noqa: S311 - no secret

    def _add_failures(self, scenario: events.ScenarioFinished) -> None:
        for check in chain.from_iterable(scenario.recorder.checks.values()):
            if info := check.failure_info:
                fault = f"{info.failure.operation}: {info.failure.title}: {info.failure.message}"
                self._add(fault, info.code_sample)

    def _add(self, fault: str, curl: str | None) -> None:
        self.faults.setdefault(fault, curl or "")
