"""Which renditions one FFmpeg process makes: those in H.264 together, those in AV1 as memory allows."""

from django.conf import settings

from .ladder import AV1, Rendition

# Address space in bytes, with SVT-AV1's parallelism of 1. Measured with 720p, 1080p and 2160p.
OF_PROCESS = 800 * 1024 * 1024
OF_ENCODER, OF_PIXEL = 150 * 1024 * 1024, 190
# How much more work a pixel is than in H.264.
AV1_COST = 1.3


def batches(renditions: tuple[Rendition, ...]) -> list[tuple[Rendition, ...]]:
    """Divide the renditions, in the given order, into those of one process each.

    The ones in H.264 come first. A process with AV1 has as many as fit into FFMPEG_MEMORY_MB, and at
    least one.
    """
    found = [tuple(each for each in renditions if each.codec != AV1)]
    room = settings.FFMPEG_MEMORY_MB * 1024 * 1024 - OF_PROCESS
    free, batch = room, tuple[Rendition, ...]()
    for rendition in renditions:
        if rendition.codec == AV1:
            need = OF_ENCODER + OF_PIXEL * rendition.width * rendition.height
            if batch and need > free:
                found.append(batch)
                free, batch = room, ()
            free, batch = free - need, (*batch, rendition)
    return [each for each in [*found, batch] if each]


def work(renditions: tuple[Rendition, ...]) -> float:
    """Return the pixels to encode for each picture, those in AV1 counted as AV1_COST."""
    return sum(
        each.width * each.height * (AV1_COST if each.codec == AV1 else 1.0) for each in renditions
    )
