"""What the name of a version says."""

from videos.encryption import keys

GROWING = "g"  # begins the names of growing versions


def formats_of(version: str) -> list[str]:
    """Return the formats in which a version can be played: growing ones and AES-128 are HLS alone."""
    is_whole = keys.is_encrypted(version) and not keys.is_common(version)
    only_hls = version.startswith(GROWING) or is_whole
    return ["hls"] if only_hls else ["hls", "dash"]


def poster_name(version: str, tag: str) -> str:
    """Return the name of a video's poster, which another poster never has; "" without one.

    ``tag`` is that of the poster that the owner has chosen, if any.
    """
    return f"{version}-{tag}" if version and tag else version or tag
