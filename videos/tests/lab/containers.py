"""Inputs with unusual, damaged or rich containers."""

from functools import partial
from pathlib import Path

from .make import AAC, ffmpeg, h264, patched, pictures, sound, voided
from .truth import Cases, Pictures, Sound, Truth

case = Cases()
FLAC = ("-c:a", "flac")


def plain(to: Path, *more: object, frames: int = 100, audio: tuple[object, ...] = AAC) -> Truth:
    """Write a video of ordinary content with these arguments of the container."""
    ffmpeg(*pictures(frames), *sound(frames / 25), *h264(), *audio, *more, to)
    return Truth(frames / 25, (Pictures(frames),), ((Sound(frames / 25),),))


def cut(to: Path, share: float) -> None:
    data = to.read_bytes()
    to.write_bytes(data[: int(len(data) * share)])


@case
def truncated_mp4(to: Path) -> Truth:
    plain(to, "-movflags", "faststart", "-f", "mp4", frames=150)
    cut(to, 0.6)
    return Truth(0, refused="truncated")


@case
def truncated_mp4_with_its_index_at_the_end(to: Path) -> Truth:
    """Without the index nothing can be read."""
    plain(to, "-f", "mp4", frames=150)
    cut(to, 0.9)
    return Truth(0, refused="not_a_video")


@case
def truncated_mkv(to: Path) -> Truth:
    plain(to, "-f", "matroska", frames=150, audio=FLAC)
    cut(to, 0.6)
    return Truth(0, refused="truncated")


@case
def fragmented_mp4_cut_off(to: Path) -> Truth:
    """A recorder that was unplugged: fragments promise no duration."""
    plain(to, "-movflags", "frag_keyframe+empty_moov+default_base_moof", "-f", "mp4", frames=150)
    data = to.read_bytes()
    fragments = [at for at in range(len(data) - 4) if data[at : at + 4] == b"moof"]
    to.write_bytes(data[: fragments[4] + 60])  # four fragments of a second each, and a bit
    return Truth(4, (Pictures(100),), ((Sound(4),),), slack=0.05)


@case
def clock_of_an_mp4_starts_later(to: Path) -> Truth:
    ffmpeg(
        *pictures(75, offset=2), *sound(3, offset=2), *h264(bframes=2), *AAC, "-f", "mp4", to
    )  # fmt: skip
    return Truth(
        3,
        (Pictures(75),),
        ((Sound(3),),),
        slack=0.03,
        also=(Truth(5, (Pictures(75, at=2),), ((Sound(3, at=2),),), slack=0.03),),
    )


@case
def mp4_cut_between_keyframes_by_its_edit_list(to: Path) -> Truth:
    """`ffmpeg -ss 1.72 -c copy`: the pictures from 1 s on are there, and the edit list hides them."""
    whole = to.with_name("whole.mp4")
    plain(whole, "-f", "mp4", frames=150)
    ffmpeg("-ss", 1.72, "-i", whole, "-c", "copy", "-f", "mp4", to)
    return Truth(4.28, (Pictures(107, first=43),), ((Sound(4.28, first=1.72),),), slack=0.05)


@case
def mkv_cut_between_keyframes(to: Path) -> Truth:
    """Without edit lists, everything since the keyframe is shown."""
    whole = to.with_name("whole.mkv")
    plain(whole, "-f", "matroska", frames=150, audio=FLAC)
    ffmpeg("-ss", 1.72, "-i", whole, "-c", "copy", "-f", "matroska", to)
    return Truth(5, (Pictures(125, first=25),), ((Sound(5, first=1),),), slack=0.12)


@case
def matroska_without_an_index(to: Path) -> Truth:
    """Streamed, so that neither cues nor a duration could be written."""
    pipe = ffmpeg(*pictures(100), *sound(4), *h264(), *FLAC, "-f", "matroska", "-live", 1, "-")
    to.write_bytes(pipe)
    return Truth(4, (Pictures(100),), ((Sound(4),),))


@case
def matroska_without_a_rate(to: Path) -> Truth:
    truth = plain(to, "-f", "matroska", audio=FLAC)
    to.write_bytes(voided(to.read_bytes(), "23E383"))
    return truth


def longer_header(to: Path, box: str, offset: int, times: float) -> Truth:
    truth = plain(to, "-f", "mp4")
    data = to.read_bytes()
    at = data.index(box.encode()) + 4 + offset
    wrong = int(int.from_bytes(data[at : at + 4]) * times)
    to.write_bytes(patched(data, box, offset, wrong.to_bytes(4)))
    return truth


for name, box, offset, times in (
    ("track_header_states_thirty_times_the_duration", "mdhd", 16, 30.0),
    ("file_header_states_half_of_the_duration", "mvhd", 16, 0.5),
    ("file_header_states_twice_the_duration", "mvhd", 16, 2.0),
    ("file_header_states_no_duration", "mvhd", 16, 0.0),
    ("track_header_states_no_duration", "mdhd", 16, 0.0),
):
    case.add(name, partial(longer_header, box=box, offset=offset, times=times))


@case
def flv_with_odd_durations(to: Path) -> Truth:
    """A streaming server's recording: the duration in the header is that of another file."""
    truth = plain(to, "-f", "flv")
    data = to.read_bytes()
    at = data.index(b"duration") + len(b"duration") + 1
    to.write_bytes(data[:at] + bytes.fromhex("40C81C8000000000") + data[at + 8 :])  # 12345 s
    return Truth(4, truth.pictures, truth.sounds, slack=0.04)


@case
def mp4_with_a_cover_image(to: Path) -> Truth:
    cover = to.with_name("cover.jpg")
    ffmpeg(*pictures(1, size="640x640"), "-frames:v", 1, "-f", "mjpeg", cover)
    ffmpeg(
        "-i", cover, *pictures(75), *sound(3), "-map", 0, "-map", 1, "-map", 2,
        "-c:v:0", "copy", "-disposition:v:0", "attached_pic",
        "-c:v:1", "libx264", "-preset", "ultrafast", "-pix_fmt:v:1", "yuv420p", *AAC,
        "-f", "mp4", to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),))


@case
def sound_with_a_cover_image_is_no_video(to: Path) -> Truth:
    cover = to.with_name("cover.jpg")
    ffmpeg(*pictures(1), "-frames:v", 1, "-f", "mjpeg", cover)
    ffmpeg(
        "-i", cover, *sound(3), "-map", 0, "-map", 1, "-c:v", "copy",
        "-disposition:v", "attached_pic", *AAC, "-f", "mp4", to,
    )  # fmt: skip
    return Truth(0, refused="no_video_stream")


@case
def mov_with_a_timecode_track(to: Path) -> Truth:
    return plain(to, "-timecode", "10:00:00:00", "-f", "mov")


@case
def mkv_with_subtitles_and_chapters(to: Path) -> Truth:
    text = to.with_name("text.srt")
    text.write_text("1\n00:00:01,000 --> 00:00:09,000\nLonger than the picture\n")
    marks = to.with_name("marks.txt")
    marks.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=2\ntitle=One\n")
    ffmpeg(
        *pictures(75), *sound(3), "-i", text, "-i", marks, "-map", 0, "-map", 1, "-map", 2,
        "-map_chapters", 3, *h264(), *FLAC, "-c:s", "srt", "-f", "matroska", to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),))


@case
def mp4_with_six_sound_tracks(to: Path) -> Truth:
    """A meeting's recording: one track for each language."""
    maps = [word for _ in range(6) for word in ("-map", 1)]
    ffmpeg(*pictures(75), *sound(3), "-map", 0, *maps, *h264(), *AAC, "-f", "mp4", to)
    return Truth(3, (Pictures(75),), ((Sound(3),),) * 6)


@case
def ts_with_192_bytes_a_packet(to: Path) -> Truth:
    """A camcorder's AVCHD."""
    ffmpeg(
        *pictures(75), *sound(3), *h264(), "-c:a", "ac3", "-mpegts_m2ts_mode", 1,
        "-muxdelay", 0, "-f", "mpegts", to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),), slack=0.05)


@case
def ts_with_two_programs(to: Path) -> Truth:
    """Two programmes of a broadcaster's multiplex: the first one is the video."""
    ffmpeg(
        *pictures(75), *sound(3), *pictures(75, first=1000), *sound(3),
        "-map", 0, "-map", 1, "-map", 2, "-map", 3, *h264(), *AAC,
        "-program", "title=One:st=0:st=1", "-program", "title=Two:st=2:st=3",
        "-muxdelay", 0, "-f", "mpegts", to,
    )  # fmt: skip
    one, two = Sound(3), Sound(3)
    both = Truth(3, (Pictures(75),), ((one,), (two,)), slack=0.05)
    return Truth(3, (Pictures(75),), ((one,),), slack=0.05, also=(both,))


@case
def mp4_inside_an_unknown_first_box(to: Path) -> Truth:
    """Some cameras begin with a box of their own."""
    truth = plain(to, "-movflags", "frag_keyframe+delay_moov+default_base_moof", "-f", "mp4")
    data = to.read_bytes()
    end = int.from_bytes(data[:4])
    free = (64).to_bytes(4) + b"uuid" + bytes(56)
    to.write_bytes(data[:end] + free + data[end:])
    return truth
