"""FFmpeg's filter graphs of an encode: from decoded picture and sound to renditions and sound tracks."""

from dataclasses import dataclass
from fractions import Fraction

from . import emptiness, evening
from .ladder import Rendition
from .probe import AudioTrack, Probe

AUDIO_RATE = 48_000
AAC_FRAME = 1024  # samples
SOUND_JITTER = 0.015  # seconds by which the times of sound may be wrong without being put right
BT709 = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
# Tells of the first keyframe that was decoded after seeking (``openings.first_picture``).
FIRST_KEYFRAME = "select=key,trim=end_frame=1,showinfo@v=checksum=0,nullsink"


@dataclass(frozen=True)
class Part:
    """``frames`` pictures of a video from number ``first`` on, counted at its frame rate."""

    first: int
    frames: int


def video_graph(video: Probe, renditions: tuple[Rendition, ...], part: Part | None = None) -> str:
    """Return FFmpeg's filter graph from the decoded picture to one output for each rendition.

    Deinterlacing and the pictures' times are done once for all renditions, then each is scaled. FFmpeg
    itself turns pictures upright before the first filter.

    With ``part`` the outputs have only its pictures, from time 0 on. ``fps`` counts from the beginning
    of the video all the same, and repeats the first picture until it has come to the part: so each
    picture has the number that it has in the whole video, by the same arithmetic.
    """
    timing = video.timing
    source = f"[0:{video.video_stream_index}]"
    cut, detect = f"trim=end_frame={timing.frames}", emptiness.black("v")
    if part:
        source += f"split[p][k];[k]{FIRST_KEYFRAME};[p]"
        end = part.first + part.frames
        cut = f"trim=start_frame={part.first}:end_frame={end},setpts=PTS-{part.first}"
        detect = emptiness.black("v", least=0)  # a black scene may be divided between two parts
    shared = ["bwdif=mode=send_frame:deint=interlaced"] if timing.picture.interlaced else []
    shared += [
        f"setpts=PTS-({float(timing.start):.9f})/TB",
        f"fps=fps={rate_text(timing.frame_rate)}:start_time=0",
        "tpad=stop=-1:stop_mode=clone",
        cut,
    ]
    outputs = "".join(f"[s{number}]" for number in range(len(renditions)))
    graph = [
        f"{source}{','.join(shared)},split={len(renditions)}{outputs}",
        *(
            f"[s{number}]{_scale(video, rendition)},setsar=1,format=yuv420p,{BT709}"
            f"{',' + detect if rendition is renditions[-1] else ''}[v{number}]"
            for number, rendition in enumerate(renditions)
        ),
    ]
    return ";".join(graph)


def audio_graph(video: Probe, track: AudioTrack, number: int) -> str:
    """Return FFmpeg's filter graph of a sound track: stereo that lasts as long as the video.

    It ends with the last whole frame of AAC that fits.
    """
    mix = evening.stereo(track)
    place = f"asetpts=PTS-({float(video.timing.start):.9f})/TB"
    fill = f"aresample={AUDIO_RATE}:async=1:first_pts=0:min_hard_comp={SOUND_JITTER}"
    # Whole frames of AAC: dash.js pauses before the end if sound outlasts what the manifest states.
    samples = int(video.timing.duration * AUDIO_RATE) // AAC_FRAME * AAC_FRAME
    last = f"apad=whole_len={samples},atrim=end_sample={samples},{emptiness.silence(f'a{number}')}"
    last += f"[a{number}]"
    if track.other_index is None:
        return f"[0:{track.index}]{mix},{place},{fill},{last}"
    left = f"[0:{track.index}]{place},{fill},apad=whole_len={samples}[l]"
    right = f"[0:{track.other_index}]{place},{fill},apad=whole_len={samples}[r]"
    return f"{left};{right};[l][r]join=inputs=2:channel_layout=stereo,{last}"


def rate_text(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"


def _scale(video: Probe, rendition: Rendition) -> str:
    size = f"{rendition.width}:{rendition.height}"
    scale = f"scale={size}:flags=bicubic:out_color_matrix=bt709:out_range=tv"
    if video.hdr:  # for tone mapping, swscale needs the complete target
        return f"{scale}:out_primaries=bt709:out_transfer=bt709:intent=perceptual"
    return f"{scale}:in_color_matrix={video.color_matrix}"
