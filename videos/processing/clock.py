"""One clock for a source: when its picture and sound are shown, without the jumps of its own clock.

Pure arithmetic on the pieces of ``packets``. All times are exact, in seconds.

The clock of a source jumps where a recorder was started again, where recordings were joined, or where
it counts over. Such a jump is removed. Where only one stream stops for a while and another goes on,
the clock goes on as well: it is a gap, in which the picture is held, or silence.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from .packets import Packets, Piece

# A gap of all streams at once is a jump of the clock if it is longer. In a transport stream the clock
# is sent all the time, so that nothing is shown for a while only if it has jumped.
LONGEST_GAP = {"mpegts": Fraction(1, 2), "mpeg": Fraction(1, 2)}
LONGEST_GAP_ELSE = Fraction(10)
# With one stream alone, a long gap may as well be a picture that stands still. None: it always is.
LONGEST_GAP_ALONE = {"mpegts": Fraction(10), "mpeg": Fraction(10)}
NEAR = Fraction(5)  # two streams of one recording begin and end within this time
# A step back of one stream is no jump if another one goes on without a step this long before and after.
STEADY = Fraction(1, 2)
# Sound may begin this much before the end of the sound before it, at a jump. It is cut: so the pictures
# of two recordings follow each other without a gap, although the sound of each is a little longer.
OVERLAP = Fraction(1, 10)


@dataclass
class Recording:
    """The pieces of all streams between two jumps of the clock; ``shift`` seconds are added to each."""

    pieces: dict[int, list[Piece]]
    shift: Fraction = Fraction(0)

    def start(self, index: int) -> Fraction:
        return min(piece.start for piece in self.pieces[index]) + self.shift

    def end(self, index: int) -> Fraction:
        return max(piece.end for piece in self.pieces[index]) + self.shift


@dataclass(frozen=True)
class Clock:
    """The recordings of a source, one after another."""

    recordings: tuple[Recording, ...]

    def has(self, index: int) -> bool:
        """Return whether a stream has packets."""
        return any(index in recording.pieces for recording in self.recordings)

    def shifts(self, index: int) -> list[tuple[int, Fraction]]:
        """Return what to add to the times of a stream: from which of its packets on, and how much."""
        return [
            (recording.pieces[index][0].number, recording.shift)
            for recording in self.recordings
            if index in recording.pieces
        ]

    def start(self, index: int) -> Fraction:
        """Return when the stream begins."""
        return min(each.start(index) for each in self.recordings if index in each.pieces)

    def end(self, index: int) -> Fraction:
        """Return when the last packet of the stream ends."""
        return max(each.end(index) for each in self.recordings if index in each.pieces)


def one_clock(streams: Iterable[Packets], container: str) -> Clock:
    """Return the clock of a source: ``streams`` are its picture and its sound tracks.

    ``container`` is the name of FFmpeg's demuxer. The clock of the first recording is kept.
    """
    streams = list(streams)
    recordings: list[Recording] = []
    now: dict[int, int] = {}  # the recording in which each stream is
    pieces = [(piece, stream.index) for stream in streams for piece in stream.pieces]
    for piece, index in sorted(pieces, key=lambda pair: pair[0].at):
        number = _recording_of(piece, index, recordings, now, streams, container)
        if number == len(recordings):
            recordings.append(Recording({}))
        recordings[number].pieces.setdefault(index, []).append(piece)
        now[index] = number
    _join(recordings, streams)
    return Clock(tuple(recordings))


def _recording_of(
    piece: Piece,
    index: int,
    recordings: list[Recording],
    now: dict[int, int],
    streams: list[Packets],
    container: str,
) -> int:
    """Return the number of the recording to which the next piece of a stream belongs."""
    first = now.get(index, 0)
    for number in range(first, len(recordings)):
        own = recordings[number].pieces.get(index)
        if own is None:
            if index not in now and number < len(recordings) - 1:
                continue  # a stream that begins late belongs to what is shown by then
            if any(_is_near(piece, other) for other in _all(recordings[number])):
                return number
        elif _goes_on(piece, own[-1], index, streams, container):
            return number
    return len(recordings)


def _all(recording: Recording) -> Iterable[Piece]:
    return (piece for pieces in recording.pieces.values() for piece in pieces)


def _is_near(piece: Piece, other: Piece) -> bool:
    return piece.start <= other.end + NEAR and other.start <= piece.end + NEAR


def _goes_on(
    piece: Piece, before: Piece, index: int, streams: list[Packets], container: str
) -> bool:
    """Return whether the clock goes on from one piece of a stream to the next, instead of a jump."""
    others = [stream for stream in streams if stream.index != index]
    pieces = [other for stream in others for other in stream.pieces]
    if piece.start < before.end:  # a step back
        return before.end - piece.start < STEADY and any(
            other.start <= piece.start - STEADY and other.end >= before.end + STEADY
            for other in pieces
        )
    for other in pieces:
        covers = other.start <= before.end + OVERLAP and other.end >= piece.start - OVERLAP
        if covers and other.at < piece.at and other.last > before.last:
            return True
    gap = piece.start - before.end
    if others:
        return gap <= LONGEST_GAP.get(container, LONGEST_GAP_ELSE)
    longest = LONGEST_GAP_ALONE.get(container)
    return longest is None or gap <= longest


def _join(recordings: list[Recording], streams: list[Packets]) -> None:
    """Give each recording the shift with which it follows the one before it without a gap."""
    is_sound = {stream.index: number > 0 for number, stream in enumerate(streams)}
    ends: dict[int, Fraction] = {}
    for recording in recordings:
        following = [index for index in recording.pieces if index in ends]
        if following:
            recording.shift = max(
                ends[index] - recording.start(index) - (OVERLAP if is_sound[index] else 0)
                for index in following
            )
        elif ends:  # other streams than before
            start = min(recording.start(index) for index in recording.pieces)
            recording.shift = max(ends.values()) - start
        for index in recording.pieces:
            ends[index] = max(ends.get(index, recording.end(index)), recording.end(index))
