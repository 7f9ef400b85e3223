"""Exports of the log that prove themselves: each sealed entry with its text and the hash before it."""

import csv
import io
import itertools
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from audit import chain, keys
from audit.models import AuditCheckpoint, AuditEntry
from audit.reading import Line, Log
from config.api import csv as house_csv

ROWS_MAX = 100_000
_PIECE = 500
COLUMNS = [
    "id", "at", "actor_id", "action", "method", "path", "status", "target_type", "target_id", "ip",
    "user_agent", "request_id", "duration_ms", "data",
]  # fmt: skip
# The hash is the HMAC of hash_before, position and sealed, which is the entry as the database writes it
# (`audit.chain`).
PROOF = ["position", "hash", "hash_before", "sealed"]
HEADER = [*COLUMNS, *PROOF]
FORMATS = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}

Row = dict[str, Any]


def export(log: Log, form: str) -> Iterator[str]:
    """Yield the newest ROWS_MAX lines of ``log`` in a format of FORMATS, piece by piece.

    Cells of CSV that a spreadsheet would run as a formula begin with an apostrophe. API requests and
    entries that wait for their place have no proof.
    """
    if form == "csv":
        yield _csv([HEADER])
    lines = log.newest(ROWS_MAX)
    while piece := list(itertools.islice(lines, _PIECE)):
        found = rows(piece)
        if form == "csv":
            yield _csv([list(row.values()) for row in found])
        else:
            yield "".join(f"{_json(row)}\n" for row in found)


def rows(lines: list[Line]) -> list[Row]:
    """Return the columns of lines, with the proof of those that are sealed."""
    positions = {line.position for line in lines if isinstance(line, AuditEntry) and line.position}
    proofs = _proofs(positions)
    nothing: tuple[Any, ...] = (None, None, None, None)
    return [
        dict(
            zip(
                HEADER,
                (
                    *(getattr(line, name) for name in COLUMNS),
                    *proofs.get(getattr(line, "position", None) or 0, nothing),
                ),
                strict=True,
            )
        )
        for line in lines
    ]


class Verdict(NamedTuple):
    """What `verify` found in an export."""

    proved: int = 0
    unsealed: int = 0  # API requests, and entries that waited for their place
    gone: int = 0  # proved, and deleted from the log since
    broken: str = ""  # the first line that is wrong, and why


def verify(text: Iterator[str]) -> Verdict:
    """Verify an export, in either format: each hash, and that the columns are those of the log.

    The proof needs only the key. The columns of an entry that has been deleted from the log cannot be
    compared; what its ``sealed`` says is proved all the same.
    """
    verdict, numbered = Verdict(), enumerate(_read(text), 1)
    while piece := list(itertools.islice(numbered, _PIECE)):
        found = AuditEntry.objects.in_bulk([row["id"] for _, row in piece if row["position"]])
        stored = {str(row["id"]): _as_read(row) for row in rows(list(found.values()))}
        for number, row in piece:
            if not row["position"]:
                verdict = verdict._replace(unsealed=verdict.unsealed + 1)
                continue
            if why := _fault(row, stored.get(row["id"])):
                return verdict._replace(broken=f"Row {number} (entry {row['id']}): {why}.")
            gone = verdict.gone + (row["id"] not in stored)
            verdict = verdict._replace(proved=verdict.proved + 1, gone=gone)
    return verdict


def _fault(row: dict[str, str], stored: dict[str, str] | None) -> str:
    position = int(row["position"])
    right = (
        chain.entry_hash(key, row["hash_before"], position, row["sealed"]) for key in keys.known()
    )
    if row["hash"] not in right:
        return (
            "its hash is not that of its text, or it was sealed with a key that is not known here"
        )
    if stored is None:
        return ""
    different = [name for name in HEADER if row[name] != stored[name]]
    return f"{', '.join(different)} differ from the log" if different else ""


def _proofs(positions: set[int]) -> dict[int, tuple[Any, ...]]:
    """Return position, hash, the hash before it and the sealed text, by position."""
    if not positions:
        return {}
    wanted = sorted(positions | {position - 1 for position in positions})
    marks = ", ".join(["%s"] * len(wanted))
    found = {
        position: (digest, text)
        for position, digest, text in chain.rows(
            "position, hash", f"WHERE position IN ({marks})", list(wanted)
        )
    }
    before = {0: chain.GENESIS, **{position: digest for position, (digest, _) in found.items()}}
    if begins := [position for position in positions if position - 1 not in before]:
        # Entries before these were deleted: a checkpoint has the hash of the last one.
        pruned = AuditCheckpoint.objects.filter(begins_at__in=begins)
        before |= {begin - 1: base for begin, base in pruned.values_list("begins_at", "base")}
    return {
        position: (position, found[position][0], before.get(position - 1), found[position][1])
        for position in positions
        if position in found
    }


def _csv(lines: list[list[Any]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([house_csv.cell(value) for value in line] for line in lines)
    return text.getvalue()


def _json(row: Row) -> str:
    plain = {
        name: value
        if value is None or isinstance(value, (str, int, dict, list))
        else house_csv.cell(value)
        for name, value in row.items()
    }
    return json.dumps(plain)


def _as_read(row: Row) -> dict[str, str]:
    """Return the row as `_read` gives it."""
    return {name: house_csv.cell(value) for name, value in row.items()}


def _read(text: Iterator[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of an export as cells. Raises ValueError for a file that is no export."""
    first = next(text, "")
    both = itertools.chain([first], text)
    if first.startswith("{"):
        for line in both:
            row = json.loads(line)
            if not isinstance(row, dict) or set(row) != set(HEADER):
                raise ValueError("a line has other fields than an export of the audit log")
            yield {name: house_csv.cell(row[name]) for name in HEADER}
        return
    reader = csv.reader(both)
    if next(reader, None) != HEADER:
        raise ValueError("its first line is not that of an export of the audit log")
    for cells in reader:
        if len(cells) != len(HEADER):
            raise ValueError("a line has too many or too few cells")
        yield dict(zip(HEADER, cells, strict=True))
