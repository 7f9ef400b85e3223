"""The containers and codecs that are accepted.

The containers are passed to FFmpeg as flags; ``probe`` checks containers and codecs in its report.
"""

from pathlib import Path

from django.conf import settings

# Names of FFmpeg's demuxers. None of them reads playlists or scripts (HLS, DASH, concat, SDP, …),
# because these can name other files and network addresses.
CONTAINERS = ("mov", "matroska", "mpegts", "avi", "flv", "mpeg", "ogg", "asf", "gif", "dv", "mxf")

# Codecs by FFmpeg's names. Hundreds of codecs of games and images are left out, because each decoder
# can be attacked.
_VIDEO = """
av1 cfhd dnxhd dvvideo ffv1 flv1 gif h263 h264 hevc huffyuv ffvhuff magicyuv mjpeg mpeg1video
mpeg2video mpeg4 msmpeg4v2 msmpeg4v3 png prores qtrle rawvideo svq3 theora utvideo v210 vc1 vp6
vp6f vp8 vp9 vvc wmv1 wmv2 wmv3
"""
_AUDIO = """
aac aac_latm ac3 adpcm_ima_qt adpcm_ima_wav adpcm_ms adpcm_swf alac amr_nb amr_wb dts eac3 flac mp1
mp2 mp3 nellymoser opus pcm_alaw pcm_bluray pcm_dvd pcm_f32be pcm_f32le pcm_f64le pcm_mulaw
pcm_s16be pcm_s16le pcm_s24be pcm_s24le pcm_s32be pcm_s32le pcm_u8 speex truehd vorbis wmav1
wmav2 wmapro wmavoice
"""
VIDEO_CODECS = frozenset(_VIDEO.split())
AUDIO_CODECS = frozenset(_AUDIO.split())

MOST_STREAMS = 200  # of all kinds: Matroska files carry dozens of fonts
PROBE_BYTES = 20_000_000
PROBE_MICROSECONDS = 20_000_000


def untrusted_input(source: Path, *, look: bool = True) -> list[str]:
    """Return the arguments with which FFmpeg and ffprobe open ``source``, and no other file or address.

    Without ``look``, FFmpeg does not look into the streams in advance. Then it takes the shape of the
    pixels from each picture, and not from the first one for all.

    ``file:`` keeps FFmpeg from reading a name like ``http:x`` as an address. The option of mov that
    opens files named in the upload (``enable_drefs``) is off by default and stays off.
    """
    return [
        *("-protocol_whitelist", "file"),
        *("-format_whitelist", ",".join(CONTAINERS)),
        *("-max_streams", str(MOST_STREAMS)),
        *("-max_pixels", str(settings.MAX_PIXELS)),
        *("-probesize", str(PROBE_BYTES if look else 32)),
        *("-analyzeduration", str(PROBE_MICROSECONDS if look else 0)),
        *("-i", f"file:{source.absolute()}"),
    ]
