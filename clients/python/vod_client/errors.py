"""What can go wrong, as exceptions, and `result`, which raises the service's refusals."""

from dataclasses import dataclass
from typing import TypeVar

import httpx

from vod_client.generated.models import Error

T = TypeVar("T")


class VodError(Exception):
    """The base of this package's exceptions."""


@dataclass(frozen=True)
class Problem:
    """One reason of a refusal. ``attr`` names the field of the request that it is about, if one."""

    code: str
    detail: str
    attr: str | None = None


class ApiError(VodError):
    """The service has refused a request. ``status`` is 0 where the HTTP status is not known."""

    def __init__(self, status: int, problems: list[Problem]) -> None:
        self.status, self.problems = status, problems
        super().__init__("; ".join(f"{each.code}: {each.detail}" for each in problems) or status)

    @property
    def code(self) -> str:
        """The code of the first problem, such as ``purchase_required``."""
        return self.problems[0].code if self.problems else ""

    @classmethod
    def of(cls, response: httpx.Response) -> "ApiError":
        """Return the refusal that an HTTP answer is."""
        try:
            errors = response.json()["errors"]
            problems = [Problem(e["code"], e["detail"], e.get("attr")) for e in errors]
        except (ValueError, KeyError, TypeError):
            problems = [Problem("error", f"The service answered {response.status_code}.")]
        return cls(response.status_code, problems)


class ProcessingFailed(VodError):
    """A video could not be processed. ``code`` and ``detail`` are the service's reason."""

    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail
        super().__init__(f"{code}: {detail}")


class NotReady(VodError, TimeoutError):
    """A video was not READY in time. Processing goes on: wait again."""


class UploadInterrupted(VodError):
    """An upload has made no progress for too long. Give ``url`` to `Vod.upload` to resume it."""

    def __init__(self, url: str, offset: int) -> None:
        self.url, self.offset = url, offset
        super().__init__(f"The upload stands at byte {offset}. Resume it with url={url!r}.")


def result(answer: T | Error | None) -> T:
    """Return the body of a generated function's answer. Raises ApiError for a refusal."""
    if answer is None:
        raise ApiError(0, [Problem("error", "The service gave no answer that the document has.")])
    if isinstance(answer, Error):
        problems = [
            Problem(e.code, e.detail, e.attr if isinstance(e.attr, str) else None)
            for e in answer.errors
        ]
        raise ApiError(0, problems)
    return answer
