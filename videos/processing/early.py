"""The first rendition of a video: copied where players can play the source as it is, else encoded."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import original, pipeline
from .growing import Growing
from .pipeline import Output


def first_rendition(
    source: Path,
    work: Path,
    on_progress: Callable[[str, int], None],
    on_beginning: Callable[[Output], Path] | None = None,
    on_growth: Callable[[Path], object] = str,
) -> Output:
    """Make a version of ``source`` with one rendition in ``work/out``, as soon as possible.

    ``on_beginning`` is called, at most once, with a growing version that can be played already: it
    publishes its folder, and returns where the folder is now. ``on_growth`` is called with that folder
    whenever there is more in it. Without ``on_beginning`` nothing is published before it is
    complete. Everything else is as in ``pipeline.transcode``; the version
    ``is_full`` if the ladder has no further renditions.
    """
    on_progress("copy", 0)
    copied = original.copy(source, work, on_tick=lambda: on_progress("copy", 0))
    if copied is not None:
        return replace(copied, is_full=False)
    growing = Growing(work, on_beginning, on_growth)
    try:
        return pipeline.transcode(source, work, on_progress, growing)
    except BaseException:
        growing.abandon()
        raise
