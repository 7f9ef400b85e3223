"""The parts of ffprobe's JSON that are read here. The values come from an untrusted file.

A key may be missing unless the code that reads the value has checked it. ffprobe writes "N/A" for
some unknown values. Times are decimal seconds in text, rates and ratios are text like "30000/1001".
"""

from typing import TypedDict


class Container(TypedDict, total=False):
    """The file as a whole (``-show_entries format``)."""

    format_name: str
    duration: str
    start_time: str


class Disposition(TypedDict, total=False):
    """Flags of a stream, 0 or 1."""

    default: int
    attached_pic: int
    timed_thumbnails: int


class Tags(TypedDict, total=False):
    """Texts that the file gives a stream."""

    language: str
    title: str


class SideData(TypedDict, total=False):
    """One piece of side data of a stream. ``rotation`` is in degrees."""

    rotation: float


class Stream(TypedDict, total=False):
    """One stream: picture, sound, subtitles, a cover image or data (``-show_entries stream``)."""

    index: int
    codec_type: str
    codec_name: str
    width: int
    height: int
    sample_aspect_ratio: str
    r_frame_rate: str
    avg_frame_rate: str
    nb_frames: str
    duration: str
    field_order: str
    color_transfer: str
    color_space: str
    channels: int
    disposition: Disposition
    tags: Tags
    side_data_list: list[SideData]


class Report(TypedDict):
    """The answer about one file."""

    format: Container
    streams: list[Stream]


class Frame(TypedDict, total=False):
    """One decoded picture (``-show_entries frame``)."""

    best_effort_timestamp_time: str
    interlaced_frame: int
