"""What the name of a version says."""

from videos.encryption import keys

GROWING = "g"  # begins the names of growing versions


def formats_of(version: str) -> list[str]:
    """Return the formats in which a version can be played: growing and encrypted ones are HLS alone."""
    only_hls = version.startswith(GROWING) or keys.is_encrypted(version)
    return ["hls"] if only_hls else ["hls", "dash"]
