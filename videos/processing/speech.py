"""Automatic captions: what is said in a sound track, by a Whisper model (faster-whisper).

The package is optional (``requirements-captions.txt``). The sound is one that this service has encoded
itself, and the model is the operator's.
"""

import logging
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videos.presentation.cues import Cue, plain

from . import cage, playlists, tools
from .errors import Rejected, ToolBroke, ToolMissing

RATE = 16_000  # samples a second, as the models are trained
SAMPLE_BYTES = 2
# A window of sound is read at a time, so that the length of a video costs no memory. It ends where the
# end of it is quietest, so that no word is cut.
WINDOW_SECONDS = 600
QUIET_SECONDS = 30
STEP_SECONDS = 0.1
# A cue ends before it is longer than two lines, at a pause, or after a sentence.
LINE_LETTERS = 42
CUE_LETTERS = 2 * LINE_LETTERS
CUE_SECONDS = 6.0
PAUSE_SECONDS = 1.0
SENTENCE_LETTERS = 30
SHORTEST_SECONDS = 0.7
SENTENCE_ENDS = ".?!\u3002\uff1f\uff01"
INSTALL = "pip install -r requirements-captions.txt"


@dataclass(frozen=True)
class Heard:
    """The text of a sound track. ``language`` is a code of Whisper, such as "en"."""

    language: str
    cues: list[Cue]


def samples_of(
    version: Path,
    track: str,
    folder: Path,
    *,
    seconds: float,
    on_tick: Callable[[], None],
    bring: Callable[[Iterable[Path]], object] = list,
) -> Path:
    """Decode the sound track of a version into a file of 16-bit samples, RATE a second, one channel.

    ``track`` is the name of its playlist without the ending. ``bring`` is called with the files of the
    version before they are read. Raises ToolFailed.
    """
    joined, decoded = folder / "sound.mp4", folder / "sound.pcm"
    playlist = version / f"{track}.m3u8"
    bring([playlist])
    files = playlists.files_of(playlist)
    bring(files)
    with joined.open("wb") as whole:
        for file in files:
            whole.write(file.read_bytes())
    allowed = 60 + seconds
    done = cage.run(
        [
            *(str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y"),
            *("-f", "mov", "-i", f"file:{joined.absolute()}", "-map", "0:a:0"),
            *("-ac", "1", "-ar", str(RATE), "-f", "s16le", decoded.name),
        ],
        reads=[joined],
        writes=[folder],
        cwd=folder,
        cpu_seconds=allowed,
        wall_seconds=allowed,
        file_bytes=int((seconds + 10) * RATE * SAMPLE_BYTES),
        on_tick=on_tick,
    )
    joined.unlink()
    if done.returncode:
        raise ToolBroke(f"FFmpeg cannot decode its own sound. {done.stderr[-500:]}")
    return decoded


def hear(samples: Path, model: Path, language: str, *, on_percent: Callable[[int], None]) -> Heard:
    """Return what is said in a file of ``samples_of``.

    ``language`` is the code of the language that is spoken, or "" to find out. ``on_percent`` is called
    with 0 to 100 after each piece of speech; an exception in it stops the work. Raises Rejected if the
    model does not know the language, and ToolMissing without the package or the model.
    """
    whisper = load(model)
    if not whisper.model.is_multilingual:
        if language not in ("", "en"):
            raise Rejected("captions_language", f"The model knows English only, not {language}.")
        language = "en"
    if language and language not in whisper.supported_languages:
        raise Rejected("captions_language", f"The model does not know the language {language}.")
    whole = samples.stat().st_size // SAMPLE_BYTES
    words: list[tuple[float, float, str]] = []
    for begin, window in _windows(samples):
        at = begin / RATE
        found, info = whisper.transcribe(
            _floats(window), language=language or None, vad_filter=True, word_timestamps=True
        )
        for segment in found:
            words += [(at + w.start, at + w.end, w.word) for w in segment.words or ()]
            on_percent(min(100, int(100 * (at + segment.end) * RATE / whole)))
        language = language or (info.language if words else "")
    return Heard(language, cues_of(words))


def load(model: Path) -> Any:
    """Return the model, loaded from its folder. Raises ToolMissing."""
    try:
        from faster_whisper import WhisperModel
    except ImportError as missing:
        raise ToolMissing(f"faster-whisper is not installed: {INSTALL}") from missing
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
    try:
        return WhisperModel(str(model), device="cpu", compute_type="int8", local_files_only=True)
    except (RuntimeError, ValueError, OSError) as error:
        raise ToolMissing(f"CAPTIONS_MODEL={model} cannot be loaded: {error}") from error


def _windows(samples: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the sound in windows: the number of the first sample, and the samples."""
    begin, rest, size = 0, b"", WINDOW_SECONDS * RATE * SAMPLE_BYTES
    with samples.open("rb") as file:
        while True:
            window = rest + file.read(size - len(rest))
            if len(window) < size:
                if window:
                    yield begin, window
                return
            end = _quietest(window)
            yield begin, window[: end * SAMPLE_BYTES]
            begin, rest = begin + end, window[end * SAMPLE_BYTES :]


def _quietest(window: bytes) -> int:
    """Return the number of the sample in the middle of the quietest step near the end of a window."""
    samples, step = memoryview(window).cast("h"), int(STEP_SECONDS * RATE)
    places = range(len(samples) - QUIET_SECONDS * RATE, len(samples) - step, step)
    best = min(places, key=lambda at: sum(map(abs, samples[at : at + step])))
    return best + step // 2


def _floats(window: bytes) -> Any:
    import numpy  # it comes with faster-whisper

    return numpy.frombuffer(window, dtype=numpy.int16).astype(numpy.float32) / 32768


def cues_of(words: Iterable[tuple[float, float, str]]) -> list[Cue]:
    """Divide words, each with start and end in seconds, into cues of at most two lines.

    A cue lasts until the next one begins if it would be shorter than SHORTEST_SECONDS.
    """
    groups: list[list[tuple[float, float, str]]] = []
    for word in words:
        if not word[2].strip():
            continue
        if not groups or _ends(groups[-1], word):
            groups.append([])
        groups[-1].append(word)
    cues = []
    for number, group in enumerate(groups):
        start, end = group[0][0], group[-1][1]
        following = groups[number + 1][0][0] if number + 1 < len(groups) else float("inf")
        end = min(max(end, start + SHORTEST_SECONDS), max(following, start + 0.001))
        text = "\n".join(_lines("".join(word for *_, word in group).strip()))
        cues.append(Cue(round(start * 1000), max(round(end * 1000), round(start * 1000) + 1), text))
    return cues


def _ends(group: list[tuple[float, float, str]], following: tuple[float, float, str]) -> bool:
    """Return whether a cue ends before the following word."""
    text = "".join(word for *_, word in group).strip()
    return (
        following[0] - group[-1][1] > PAUSE_SECONDS
        or following[1] - group[0][0] > CUE_SECONDS
        or len(text) + len(following[2]) > CUE_LETTERS
        or (len(text) >= SENTENCE_LETTERS and text[-1] in SENTENCE_ENDS)
    )


def _lines(text: str) -> list[str]:
    """Return a text as one line, or as two of about the same length."""
    if len(text) <= LINE_LETTERS:
        return [plain(text)]
    return [plain(line) for line in textwrap.wrap(text, max(LINE_LETTERS, len(text) // 2 + 5))]
