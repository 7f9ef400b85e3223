"""Comparing what was played with the truth. Each fault is one sentence."""

from collections.abc import Iterator

from videos.processing.pipeline import Output

from . import pattern
from .played import Decoded, Listed, Played
from .truth import Pictures, Timeline, Truth

AAC_FRAME = 1024 / 48_000
SHORTEST_SEGMENT = 0.5
LOWEST_RATE = 5  # pictures a second, below which players show nothing for too long
BEEP_OFF = 0.006  # seconds between a flash and its beep that nobody notices and coding may add
EDGE = 0.08  # seconds around the ends of a sound, in which an encoder's filter rings
RED_OFF = 12
POSTER_OFF = 12  # of 255, in each channel


def faults(played: Played, truth: Truth, output: Output) -> list[str]:
    """Return everything that is wrong with a version, each as a sentence."""
    return [*_of_whole(played, truth, output), *_of_tracks(played, truth, output)]


def _of_whole(played: Played, truth: Truth, output: Output) -> Iterator[str]:
    frame = 1 / float(played.videos[0][1].rate) if played.videos[0][1].times else 1.0
    off = output.duration_seconds - truth.seconds
    if abs(off) > frame * 1.01 + truth.slack:
        yield f"It lasts {output.duration_seconds:.3f} s instead of {truth.seconds:.3f} s."
    if abs(played.manifest_seconds - output.duration_seconds) > frame + AAC_FRAME:
        yield f"DASH says {played.manifest_seconds:.3f} s, it lasts {output.duration_seconds:.3f} s."
    last = max(decoded.end for _, decoded in (*played.videos, *played.audios))
    if last > played.manifest_seconds + 0.002:
        # dash.js 5.2.1 then sometimes goes back by half a second and pauses, without the event `ended`.
        yield f"A track ends at {last:.3f} s, after the end that DASH states."
    for over in ("HLS", "DASH"):
        tracks = [listed for listed, _ in played.audios if listed.over == over]
        if len(tracks) != len(truth.sounds):
            yield f"{over} has {len(tracks)} sound tracks instead of {len(truth.sounds)}."
        renditions = [listed for listed, _ in played.videos if listed.over == over]
        if len(renditions) != len(output.renditions):
            yield f"{over} has {len(renditions)} of {len(output.renditions)} renditions."
    yield from _of_shape(played, truth, output)


def _of_shape(played: Played, truth: Truth, output: Output) -> Iterator[str]:
    sizes = [(decoded.width, decoded.height) for _, decoded in played.videos]
    largest = max(sizes)
    if truth.size and not truth.aspect:
        for size in (largest, (output.width, output.height)):
            if max(abs(size[0] - truth.size[0]), abs(size[1] - truth.size[1])) > 1:
                yield f"It is {size[0]}x{size[1]} instead of {truth.size[0]}x{truth.size[1]}."
    aspect = truth.aspect or (truth.size and truth.size[0] / truth.size[1])
    for listed, decoded in played.videos:
        if aspect and abs(decoded.aspect / aspect - 1) > 0.02 + 2 / decoded.height:
            yield f"{listed.over} {listed.name} is shown {decoded.aspect:.3f}:1, not {aspect:.3f}:1."
    red = pattern.color_at_red(memoryview(played.poster))
    if truth.red and truth.readable and _off(red) > POSTER_OFF:
        yield f"The poster's red is {red}."


def _off(color: tuple[int, int, int]) -> int:
    return max(abs(a - b) for a, b in zip(color, pattern.CORNERS["red"], strict=True))


def _of_tracks(played: Played, truth: Truth, output: Output) -> Iterator[str]:
    """Yield the faults of each track, once for what HLS and DASH share."""
    seen: dict[str, str] = {}
    for listed, decoded in played.videos:
        lines = [
            *_of_times(listed, decoded, truth, output, 1 / float(decoded.rate)),
            *_of_rate(decoded, truth),
            *(_of_pictures(decoded, truth) if truth.readable and decoded.frames else ()),
        ]
        seen |= {f"{listed.name}: {line}": f"{listed.over} " for line in lines}
    flashes = _flash_times(played.videos[0][1], truth) if truth.readable else []
    tracks = dict.fromkeys(("HLS", "DASH"), 0)
    for listed, decoded in played.audios:
        number = tracks[listed.over]
        tracks[listed.over] += 1
        lines = list(_of_times(listed, decoded, truth, output, AAC_FRAME))
        if number < len(truth.sounds):
            lines += _of_sound(decoded, truth, number, flashes, played.videos[0][1])
        seen |= {f"{listed.name}: {line}": f"{listed.over} " for line in lines}
    yield from seen


def _of_times(
    listed: Listed, decoded: Decoded, truth: Truth, output: Output, frame: float
) -> Iterator[str]:
    if not decoded.times:
        yield "Nothing can be decoded."
        return
    whole = output.duration_seconds
    if abs(decoded.end - decoded.start - whole) > frame * 1.01 + 0.001:
        yield f"It lasts {decoded.end - decoded.start:.3f} s, and the video {whole:.3f} s."
    if abs(decoded.start) > frame * 1.01 + 0.001 or abs(listed.start) > frame * 1.01 + 0.001:
        yield f"It starts at {decoded.start:.3f} s ({listed.over}: {listed.start:.3f} s)."
    stated = sum(listed.durations)
    if abs(stated - (decoded.end - decoded.start)) > frame + 0.002 * len(listed.durations):
        yield f"{listed.over} states {stated:.3f} s, decoded are {decoded.end - decoded.start:.3f} s."
    shortest = min(listed.durations)
    if shortest < SHORTEST_SEGMENT and truth.seconds > SHORTEST_SEGMENT + truth.slack + 0.1:
        yield f"Its shortest segment has {shortest:.3f} s."


def _of_rate(decoded: Decoded, truth: Truth) -> Iterator[str]:
    if len(decoded.times) < 2:
        return
    rate = float(decoded.rate)
    if truth.rate and abs(rate / float(truth.rate) - 1) > 0.002:
        yield f"It has {rate:.3f} pictures a second instead of {float(truth.rate):.3f}."
    if rate < LOWEST_RATE:
        yield f"It has only {rate:.3f} pictures a second."
    longest, shortest = max(decoded.steps), min(decoded.steps)
    if longest - shortest > 0.0021:
        yield f"Its pictures are unevenly {shortest:.4f} to {longest:.4f} s apart."


def _of_pictures(decoded: Decoded, truth: Truth) -> Iterator[str]:
    """Compare each picture's number with those that may be shown at its time."""
    yield from _of_look(decoded, truth)
    timeline, frame = Timeline(truth), 1 / float(decoded.rate)
    same_rate = all(abs(float(p.rate) * frame - 1) < 0.01 for p in truth.pictures)
    around = frame * (0.25 if same_rate and not truth.slack else 0.75) + truth.slack
    first = min(pictures.at for pictures in truth.pictures)
    wrong: list[tuple[float, int | None, int]] = []
    seen: set[tuple[Pictures, int]] = set()
    for (start, _), pixels in zip(decoded.times, decoded.frames, strict=False):
        middle = start - decoded.start + frame / 2
        allowed = timeline.between(middle - around, middle + around)
        boxes = {group.box for _, group in allowed}
        readings = [pattern.read_picture(pixels, box).number for box in boxes]
        hits = {(group, number) for number, group in allowed if number in readings}
        seen |= hits
        if not hits and not (middle - around < first and None in readings):
            wrong.append((start, readings[0], allowed[0][0]))
    if len(wrong) > truth.damage * len(decoded.frames):
        start, read, right = wrong[0]
        yield (
            f"{len(wrong)} of {len(decoded.frames)} pictures are wrong, the first at {start:.3f} s "
            f"with number {read} instead of {right}."
        )
    yield from _of_missing(decoded, truth, seen)


def _of_missing(decoded: Decoded, truth: Truth, seen: set[tuple[Pictures, int]]) -> Iterator[str]:
    missing = []
    for group in truth.pictures:
        if float(decoded.rate) > float(group.rate) * 0.995:
            numbers = range(group.first, group.first + group.frames)
            missing += [number for number in numbers if (group, number) not in seen]
    spare = 2 * len(truth.pictures) if truth.slack else 0
    total = sum(group.frames for group in truth.pictures)
    if len(missing) > spare + truth.damage * total:
        few = ", ".join(map(str, missing[:5])) + (", …" if len(missing) > 5 else "")
        yield f"{len(missing)} of {total} source pictures are missing: {few}."


def _of_look(decoded: Decoded, truth: Truth) -> Iterator[str]:
    """Look at a picture in the middle: which side is up, and how red is red?"""
    middle = len(decoded.frames) // 2
    time = decoded.times[middle][0] - decoded.start
    _, group = Timeline(truth).between(time, time)[0]
    pixels = decoded.frames[middle]
    corners = pattern.read_picture(pixels, group.box).corners
    if corners != pattern.UPRIGHT:
        yield f"Its corners are {', '.join(corners)} instead of {', '.join(pattern.UPRIGHT)}."
    elif truth.red and group.box == pattern.WHOLE:
        red = pattern.color_at_red(pixels)
        if _off(red) > RED_OFF:
            yield f"Its red is {red}."


def _flash_times(decoded: Decoded, truth: Truth) -> list[float]:
    timeline, times, before = Timeline(truth), [], False
    for (start, _), pixels in zip(decoded.times, decoded.frames, strict=False):
        at = start - decoded.start
        _, group = timeline.between(at, at)[0]
        seen = pattern.read_picture(pixels, group.box)
        now = seen.flash and seen.number is not None
        if now and not before:
            times.append(start)
        before = now
    return times


def _of_sound(
    decoded: Decoded, truth: Truth, number: int, flashes: list[float], picture: Decoded
) -> Iterator[str]:
    heard = decoded.heard
    assert heard is not None
    if truth.damage > 0.1:
        return
    right = truth.beep_times(number)
    off = max(0.012, truth.slack + 0.005)
    beeps = [decoded.start + beep for beep in heard.beeps]
    missing = [beep for beep in right if not any(abs(beep - other) <= off for other in beeps)]
    if missing or len(beeps) > len(right):
        yield f"It beeps at {_list(beeps)} instead of {_list(right)}."
    if truth.hums:
        yield from _of_loudness(heard, truth, number)
    yield from _of_offset(beeps, right, flashes, truth, picture)


def _of_offset(
    beeps: list[float], right: list[float], flashes: list[float], truth: Truth, picture: Decoded
) -> Iterator[str]:
    """Compare the time between each flash and its beep with that of the source."""
    frame = 1 / float(picture.rate)
    same_rate = all(abs(float(group.rate) * frame - 1) < 0.01 for group in truth.pictures)
    most = BEEP_OFF + (frame if truth.slack or not same_rate else 0)
    for flash in truth.flash_times():
        beep = _nearest(flash, right)
        seen, heard = _nearest(flash, flashes), _nearest(beep, beeps)
        if max(abs(beep - flash), abs(seen - flash), abs(heard - beep)) > 0.3:
            continue  # a flash without a beep, or one that is missing, which is said elsewhere
        by = (heard - beep) - (seen - flash)
        if abs(by) > most:
            yield f"The beep of the flash at {seen:.3f} s is {by * 1000:+.0f} ms away."
            return


def _nearest(time: float, times: list[float]) -> float:
    return min(times, key=lambda other: abs(other - time), default=float("inf"))


def _of_loudness(heard: pattern.Heard, truth: Truth, number: int) -> Iterator[str]:
    edge, at = EDGE + truth.slack, 0.0
    for part in (*truth.sounds[number], None):
        until = part.at if part else truth.seconds
        if until - at > 2 * edge + 0.05 and not heard.is_silent(at + edge, until - edge):
            yield f"There is sound between {at:.2f} and {until:.2f} s, where there is none."
        if part:
            at = part.at + part.seconds
            if at - part.at > 2 * edge and not heard.is_heard(part.at + edge, at - edge):
                yield f"There is silence between {part.at:.2f} and {at:.2f} s, where there is sound."


def _list(times: list[float]) -> str:
    return ", ".join(f"{time:.3f}" for time in times) or "no time"
