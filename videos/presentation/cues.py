"""Reading caption files: WebVTT and SubRip (SRT), recognised by their content.

A file is either understood as a whole or refused with the line that is wrong. Style sheets, regions and
comments of WebVTT are left out.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from videos.presentation import markup

MOST_BYTES = 1_000_000
MOST_CUES = 20_000
MOST_LETTERS = 4_000  # of one cue
MOST_SECONDS = 360_000  # WebVTT allows any number of hours; no video lasts a hundred
_STAMP = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"^\s*{_STAMP}\s*-->\s*{_STAMP}(?:\s+(.*))?$")
_WHOLE = r"\d{1,3}(?:\.\d{1,6})?%"
_SETTINGS = {
    "align": re.compile(r"start|center|end|left|right"),
    "line": re.compile(rf"(?:-?\d{{1,3}}|{_WHOLE})(?:,(?:start|center|end))?"),
    "position": re.compile(rf"{_WHOLE}(?:,(?:line-left|center|line-right))?"),
    "size": re.compile(_WHOLE),
    "vertical": re.compile(r"rl|lr"),
}
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class NotCaptions(Exception):
    """A file or text that cannot be read as captions. ``line`` is where, from 1, or None."""

    def __init__(self, reason: str, line: int | None = None):
        super().__init__(f"Line {line}: {reason}" if line else reason)
        self.line = line


@dataclass(frozen=True)
class Cue:
    """A text that is shown from ``start`` to ``end``, both in milliseconds.

    ``text`` has only WebVTT's own tags, and ``settings`` only its settings of a cue's place.
    """

    start: int
    end: int
    text: str
    settings: str = ""


def read(data: bytes) -> list[Cue]:
    """Return the cues of a file, by their time. Raises NotCaptions."""
    if len(data) > MOST_BYTES:
        raise NotCaptions(f"The file has more than {MOST_BYTES} bytes. Split it or shorten it.")
    return parse(decode(data))


def read_of_ffmpeg(data: bytes) -> list[Cue]:
    """Return the cues of WebVTT that FFmpeg has written, by their time.

    FFmpeg writes a cue as the file has it. One that is never shown is left out, and an empty line or
    an arrow in a text is no reason to refuse the others. Raises NotCaptions.
    """
    if len(data) > MOST_BYTES:
        raise NotCaptions(f"It has more than {MOST_BYTES} bytes.")
    text = _FORBIDDEN.sub("", decode(data))
    blocks = [block for _, block in _blocks(re.split("\r\n|\n|\r", text))][1:]
    cues = []
    for block in blocks:
        match = _TIMES.match(block[0])
        start, end = (
            match and _milliseconds(match.groups()[first : first + 4]) for first in (0, 4)
        )
        if match and start is not None and end is not None and end > start:
            payload = "\n".join(line.strip() for line in block[1:])[:MOST_LETTERS]
            text = _without_gaps(markup.clean(payload))
            cues.append(Cue(start, end, text, _settings(match[9] or "")))
        elif not match and cues:
            last = cues.pop()
            payload = _without_gaps(markup.clean("\n".join(line.strip() for line in block)))
            joined = f"{last.text}\n{payload}"
            fits = len(joined) <= MOST_LETTERS
            cues.append(Cue(last.start, last.end, joined, last.settings) if fits else last)
    if not cues:
        raise NotCaptions("It has no cue.")
    return sorted(cues, key=lambda cue: (cue.start, cue.end))[:MOST_CUES]


def decode(data: bytes) -> str:
    """Return the text of a file: UTF-8, UTF-16 with its mark, or else Windows-1252.

    Raises NotCaptions for bytes that are no text in any of them.
    """
    encoding = "utf-8-sig"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        wrong = NotCaptions(
            "The file is no text in UTF-8, UTF-16 or Windows-1252. Save it as UTF-8.",
            data.count(b"\n", 0, error.start) + 1,
        )
        if encoding == "utf-16":
            raise wrong from None
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        raise wrong from None


def parse(text: str) -> list[Cue]:
    """Return the cues of a text in WebVTT or SubRip, by their time. Raises NotCaptions."""
    lines = re.split("\r\n|\n|\r", text.removeprefix("\ufeff"))
    for number, line in enumerate(lines, 1):
        if _FORBIDDEN.search(line):
            raise NotCaptions(
                "There is a character that is no text (NUL or another control character). Save the "
                "file as UTF-8.",
                number,
            )
    is_webvtt = re.match(r"WEBVTT(?:[ \t]|$)", lines[0])
    cues = sorted(
        _webvtt(lines) if is_webvtt else _subrip(lines), key=lambda cue: (cue.start, cue.end)
    )
    if not cues:
        raise NotCaptions("The file has no cue: no line like 00:00:01.000 --> 00:00:02.500.")
    return cues


def write(cues: list[Cue], *, until: float | None = None, header: str = "") -> str:
    """Return the cues as a WebVTT file. Cues are cut at ``until`` seconds, or left out after it."""
    end = MOST_SECONDS * 1000 if until is None else round(until * 1000)
    blocks = [f"WEBVTT{header}"]
    for cue in cues:
        if cue.start < end:
            times = f"{stamp(cue.start)} --> {stamp(min(cue.end, end))} {cue.settings}"
            blocks.append(f"{times.rstrip()}\n{cue.text}")
    return "\n\n".join(blocks) + "\n"


def cut(text: str, until: float | None) -> str:
    """Return a text that ``write`` has made, cut at ``until`` seconds.

    A text that ends before is returned as it is: reading a long one takes a good part of a second.
    """
    if until is None:
        return text
    ends = (match.groups() for match in re.finditer(rf"^.* --> {_STAMP}", text, re.MULTILINE))
    if all((_milliseconds(end) or 0) <= round(until * 1000) for end in ends):
        return text
    return write(parse(text), until=until)


def stamp(milliseconds: int) -> str:
    """Return a time as WebVTT writes it.

    >>> stamp(3_723_004)
    '01:02:03.004'
    """
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{rest:03}"


def _webvtt(lines: list[str]) -> Iterator[Cue]:
    for count, (number, block) in enumerate(_blocks(lines)):
        if count == 0 or re.match(r"(?:NOTE|STYLE|REGION)(?:\s|$)", block[0]):
            continue
        yield from _cues(number, block, by_number=False)


def _subrip(lines: list[str]) -> Iterator[Cue]:
    for count, (number, block) in enumerate(_blocks(lines)):
        if count == 0 and block[0].strip().lower() == "[script info]":
            raise NotCaptions("This is an ASS file. Save it as WebVTT or SubRip (SRT).", number)
        if count == 0 and not any("-->" in line for line in block[:2]):
            raise NotCaptions(
                "The file is neither WebVTT, which begins with the line WEBVTT, nor SubRip (SRT), which "
                "begins with a number and a line like 00:00:01,000 --> 00:00:02,500.",
                number,
            )
        yield from _cues(number, block, by_number=True)


def _blocks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines between empty lines, with the number of the first."""
    block: list[str] = []
    count = 0
    for number, line in enumerate([*lines, ""], 1):
        if line.strip():
            block.append(line)
        elif block:
            count += 1
            if count > MOST_CUES + 100:
                raise NotCaptions(f"The file has more than {MOST_CUES} cues.", number)
            yield number - len(block), block
            block = []


def _cues(number: int, block: list[str], *, by_number: bool) -> Iterator[Cue]:
    """Yield the cue of a block, whose first line has this number. Raises NotCaptions.

    Some programs leave out the empty line between two cues of SubRip: a number and a line of times
    begin the next one then.
    """
    starts = [place for place, line in enumerate(block) if _TIMES.match(line)]
    if by_number:
        numbered = (place for place in starts if place and block[place - 1].strip().isdecimal())
        starts = sorted({*starts[:1], *numbered})
    if not starts or starts[0] > 1:
        arrows = (place for place, line in enumerate(block) if "-->" in line)
        wrong = 1 if starts else next(arrows, 0)
        raise NotCaptions(
            f"A line with the times of a cue is expected, not {_short(block[wrong])}. Write it like "
            "00:00:01.000 --> 00:00:02.500.",
            number + wrong,
        )
    for place, following in zip(starts, [*starts[1:], len(block) + 1], strict=True):
        until = following - 1 if following <= len(block) else len(block)
        if not by_number and following <= len(block):
            raise NotCaptions("There must be an empty line before a cue.", number + following)
        yield _cue(number + place, block[place], block[place + 1 : until], by_number=by_number)


def _cue(number: int, times: str, text: list[str], *, by_number: bool) -> Cue:
    match = _TIMES.match(times)
    if match is None:
        raise NotCaptions("The times of the cue cannot be read.", number)
    start, end = _milliseconds(match.groups()[:4]), _milliseconds(match.groups()[4:8])
    if start is None or end is None:
        raise NotCaptions(
            f"The time {_short(times)} has more than 59 minutes or seconds, or is longer than a video.",
            number,
        )
    if end <= start:
        raise NotCaptions(f"The cue ends before it begins: {_short(times)}.", number)
    payload = "\n".join(line.strip() for line in text)
    if len(payload) > MOST_LETTERS:
        raise NotCaptions(f"The cue has more than {MOST_LETTERS} characters. Split it.", number)
    for place, line in enumerate(text, 1):
        if not by_number and "-->" in line:
            raise NotCaptions(
                "The text of a cue holds -->, which begins a cue. Write --&gt; for it.",
                number + place,
            )
    if by_number:
        payload, settings = markup.clean_subrip(payload)
    else:
        payload, settings = markup.clean(payload), _settings(match[9] or "")
    return Cue(start, end, _without_gaps(payload), settings)


def _without_gaps(text: str) -> str:
    """Return a text without empty lines, which would end its cue; leaving a tag out can make one."""
    return "\n".join(filter(None, (line.strip() for line in text.split("\n"))))


def _milliseconds(parts: tuple[str | None, ...]) -> int | None:
    """Return the time of four groups of digits, or None if it is none."""
    hours, minutes, seconds = (int(part or 0) for part in parts[:3])
    fraction = int((parts[3] or "0").ljust(3, "0"))
    total = ((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction
    return total if minutes < 60 and seconds < 60 and total <= MOST_SECONDS * 1000 else None


def _settings(text: str) -> str:
    """Return the settings of a cue that WebVTT knows, in its spelling."""
    kept = {}
    for each in text.split():
        name, _, value = each.partition(":")
        if name in _SETTINGS and _SETTINGS[name].fullmatch(value):
            kept[name] = value
    return " ".join(f"{name}:{value}" for name, value in sorted(kept.items()))


def _short(line: str) -> str:
    return repr(line.strip()[:60])


def readable(text: str) -> str:
    """Return the text of a cue as a viewer reads it, in one line and without tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", text)).split())


def plain(text: str) -> str:
    """Return a text of one line as the text of a cue without any tag."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("-->", "--&gt;")
