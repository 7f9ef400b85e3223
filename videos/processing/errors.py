"""The two ways in which processing ends badly."""


class Rejected(Exception):
    """The video's own fault: the same file will be refused again, so nobody should retry.

    ``code`` is stable and meant for clients; ``detail`` is one English sentence for the owner and
    names no path of ours. The codes: ``not_a_video``, ``no_video_stream``, ``unsupported_codec``,
    ``damaged``, ``truncated``, ``too_long``, ``too_large``, ``too_small``, ``too_many_streams``,
    ``too_many_frames``.
    """

    def __init__(self, code: str, detail: str):
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class ToolFailed(Exception):
    """A tool died, stalled, or ran out of time, memory or disk. Another attempt may succeed.

    ``detail`` may end with the tool's last words (bounded), for the log rather than for users.
    """

    def __init__(self, detail: str):
        super().__init__(detail)
        self.detail = detail


class ToolMissing(ToolFailed):
    """A tool or a required sandbox isn't there. The message names the setting to change."""
