"""The ways in which processing fails: by the file's fault, or by the service's."""


class Rejected(Exception):
    """The file is at fault: every attempt would end the same, so the job must not be tried again.

    ``code`` is stable and meant for clients; ``detail`` is English text for the owner and names no
    path of the server. The codes: ``not_a_video``, ``no_video_stream``, ``unsupported_codec``,
    ``damaged``, ``truncated``, ``too_long``, ``too_large``, ``too_small``, ``too_many_streams``,
    ``too_many_frames``.
    """

    def __init__(self, code: str, detail: str):
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class ToolFailed(Exception):
    """A tool crashed, stalled, or ran out of time, memory or disk. Another attempt may succeed.

    ``detail`` is for the log only: it may end with the last output of the tool (bounded).
    """

    def __init__(self, detail: str):
        super().__init__(detail)
        self.detail = detail


class ToolMissing(ToolFailed):
    """A tool, or the isolation that FFMPEG_SANDBOX demands, is missing on this machine.

    ``detail`` names the setting to change.
    """
