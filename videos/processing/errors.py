"""The ways in which processing fails: by the file's fault, by a limit, or by the service's fault.

``videos/services/failures.py`` decides by these classes what becomes of the job.
"""


class Rejected(Exception):
    """The file is at fault: every attempt would end the same, so the job must not be tried again.

    ``code`` is stable and meant for clients; ``detail`` is English text for the owner and names no
    path of the server. ``said`` may be the output of the tool that found the fault.

    The codes: ``not_a_video``, ``no_video_stream``, ``unsupported_codec``, ``damaged``, ``truncated``,
    ``too_long``, ``too_large``, ``too_small``, ``too_sparse``,
    ``too_many_streams``, ``too_many_audio_tracks``, ``too_many_frames``, ``too_much_output``.
    """

    def __init__(self, code: str, detail: str, *, said: str = ""):
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.said = said


class ToolFailed(Exception):
    """A tool failed by a cause outside of the file: it stalled, was killed from outside, did not start.

    Another attempt may succeed, except for the subclasses. ``detail`` is for the log only: it may end
    with the last output of the tool (bounded).
    """

    def __init__(self, detail: str):
        super().__init__(detail)
        self.detail = detail


class ToolBroke(ToolFailed):
    """A tool gave up by itself (exit code, SIGABRT). With the same file it would do so again."""


class ToolCrashed(ToolFailed):
    """A tool crashed, for example by SIGSEGV. That may be by chance, unless it happens again."""


class LimitReached(ToolFailed):
    """The cage stopped a tool at a limit. With the same file and limits it would happen again.

    ``limit`` is "time", "memory", "size" (of a written file), "processes", or "output" (text).
    ``seconds`` is the time that was allowed, for "time".
    """

    def __init__(self, limit: str, detail: str, *, seconds: float = 0):
        super().__init__(detail)
        self.limit = limit
        self.seconds = seconds


class ToolMissing(ToolFailed):
    """A tool, or the isolation that FFMPEG_SANDBOX demands, is missing on this machine.

    ``detail`` names the setting to change.
    """


class FetchFailed(Exception):
    """An address did not give the file of an import this time; another attempt may succeed.

    ``code`` and ``detail`` are for the owner.
    """

    code = "import_failed"

    def __init__(self, detail: str):
        super().__init__(detail)
        self.detail = detail
