"""The parts of ffprobe's JSON that are read here. The values come from an untrusted file.

A key may be missing unless the code that reads the value has checked it. ffprobe writes "N/A" for
some unknown values. Times are decimal seconds in text, rates and ratios are text like "30000/1001".
"""

from typing import TypedDict


class Container(TypedDict, total=False):
    """The file as a whole (``-show_entries format``)."""

    format_name: str
    duration: str


class Disposition(TypedDict, total=False):
    """Flags of a stream, 0 or 1."""

    default: int
    attached_pic: int
    timed_thumbnails: int
    comment: int
    dub: int
    hearing_impaired: int
    visual_impaired: int


class Tags(TypedDict, total=False):
    """Texts that the file gives a stream."""

    language: str
    title: str
    DURATION: str


class Stream(TypedDict, total=False):
    """One stream: picture, sound, subtitles, a cover image or data (``-show_entries stream``)."""

    index: int
    codec_type: str
    codec_name: str
    width: int
    height: int
    time_base: str
    r_frame_rate: str
    duration: str
    nb_frames: str  # by the header: MP4 without fragments, and AVI
    channels: int
    channel_layout: str
    disposition: Disposition
    tags: Tags


class Report(TypedDict):
    """The answer about one file."""

    format: Container
    streams: list[Stream]
