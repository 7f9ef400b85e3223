import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import User
from config.errors import DomainError, NotVisible, ServiceUnavailable
from videos.errors import QuotaExceeded
from videos.models import ProcessingJob, Video, WorkerPresence
from videos.serializers import ImportSerializer, VideoSerializer
from videos.services import catalogue, importing

COLUMNS = ("url", "title", "description", "category", "tags", "visibility")
WATCH_SECONDS = 1.0
State = ProcessingJob.State


@dataclass
class Row:
    """A line of the list, what became of it, and why."""

    line: int
    url: str
    result: str = "refused"
    detail: str = ""
    video_id: UUID | None = None


class Command(BaseCommand):
    help = (
        "Import videos from the addresses of a CSV file, as the API does: workers fetch and process "
        "them. The first line names the columns: url and title, and if you like description, category, "
        "tags (separated by spaces) and visibility. The command may be run again with the same file: "
        "an address that was imported for this creator is left out, and one that failed is tried "
        "again. It waits while the creator's queue is full. Exits with 1 when a line was refused, or "
        "with --wait when a video failed."
    )

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path, help="the CSV file, in UTF-8")
        parser.add_argument("--creator", required=True, help="e-mail address of the videos' owner")
        parser.add_argument(
            "--report", type=Path, help="a CSV file to write: what became of each line"
        )
        parser.add_argument("--dry-run", action="store_true", help="Only check the lines.")
        parser.add_argument(
            "--wait", action="store_true", help="Show the progress until all have been processed."
        )

    def handle(self, *, file: Path, creator: str, report: Path | None, **options):
        owner = User.objects.with_address(creator)
        if owner is None or not owner.has_perm("videos.add_video"):
            raise CommandError(f"There is no creator {creator}.")
        lines = self.read(file)
        rows = []
        for number, values in enumerate(lines, 1):
            row = self.row_of(number + 1, values, owner, dry_run=options["dry_run"])
            rows.append(row)
            self.stdout.write(
                f"{number}/{len(lines)}  {row.url}: {row.result}. {row.detail}".rstrip()
            )
        if options["wait"] and not options["dry_run"]:
            self.watch(rows)
        if report is not None:
            self.write(report, rows)
        results = [row.result for row in rows]
        bad = results.count("refused") + results.count("failed")
        counts = {name: results.count(name) for name in dict.fromkeys(results)}
        self.stdout.write(
            ", ".join(f"{count} {name}" for name, count in counts.items()) or "0 lines"
        )
        if bad:
            raise CommandError(f"{bad} of {len(rows)} were not imported.")

    def read(self, file: Path) -> list[dict[str, str]]:
        try:
            with file.open(encoding="utf-8-sig", newline="") as text:
                reader = csv.DictReader(text, restkey="", strict=True)
                names = set(reader.fieldnames or ())
                if not {"url", "title"} <= names or names - {*COLUMNS}:
                    raise CommandError(
                        f"The first line must name the columns url and title, and may name "
                        f"{', '.join(COLUMNS[2:])}. It names {', '.join(sorted(names)) or 'nothing'}."
                    )
                return list(reader)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise CommandError(f"{file} cannot be read: {error}") from None

    def row_of(self, line: int, values: dict[str, str], owner: User, *, dry_run: bool) -> Row:
        """Queue the import of a line, unless it is wrong or was imported before."""
        row = Row(line, values.get("url") or "")
        if "" in values or None in values.values():
            row.detail = "The line has more or fewer values than there are columns."
            return row
        filled = {name: value for name, value in values.items() if value and name != "url"}
        given = {name: text.split() if name == "tags" else text for name, text in filled.items()}
        address, video = ImportSerializer(data={"url": row.url}), VideoSerializer(data=given)
        if not (address.is_valid() and video.is_valid()):
            faults = {**address.errors, **(video.errors if address.is_valid() else {})}
            row.detail = "; ".join(f"{name}: {texts[0]}" for name, texts in faults.items())
            return row
        earlier = ProcessingJob.objects.filter(
            kind=ProcessingJob.Kind.IMPORT, creator_id=owner.pk, url=row.url, video__deleted_at=None
        )
        last = earlier.order_by("-created_at").select_related("video").first()
        if last is not None and last.state != State.FAILED:
            row.result, row.video_id = "there before", last.video_id
        elif dry_run:
            row.result = "would be queued"
        else:
            self.queue(row, last.video if last else None, owner, video.validated_data)
        return row

    def queue(self, row: Row, earlier: Video | None, owner: User, fields: dict) -> None:
        """Queue the import of a new video, or of an earlier one; wait for room in the queue."""
        while True:
            try:
                with transaction.atomic():
                    video = earlier or catalogue.create_video(creator=owner, **fields)
                    importing.request_import(video=video, url=row.url, actor=owner)
            except QuotaExceeded:
                if not WorkerPresence.objects.alive().exists():
                    raise CommandError(
                        "The creator's queue is full, and no worker is running. Start one: python "
                        "manage.py run_worker. Then run this command again."
                    ) from None
                time.sleep(WATCH_SECONDS)
            except (DomainError, NotVisible, ServiceUnavailable) as error:
                row.detail = str(error.detail)
                return
            else:
                row.result, row.video_id = "queued", video.pk
                return

    def watch(self, rows: list[Row]) -> None:
        """Show the progress until all videos are READY or have failed, and note which."""
        waiting = {row.video_id: row for row in rows if row.video_id is not None}
        said = ""
        while True:
            open_ids = set(
                ProcessingJob.objects.open()
                .filter(video__in=waiting)
                .values_list("video", flat=True)
            )
            line = f"{len(waiting) - len(open_ids)} of {len(waiting)} ended"
            if line != said:
                said = line
                self.stdout.write(line)
            if not open_ids:
                break
            time.sleep(WATCH_SECONDS)
        for row, video in self._videos_of(waiting):
            is_ready = video.status == Video.Status.READY
            row.result = "ready" if is_ready else "failed"
            row.detail = "" if is_ready or video.job is None else video.job.error_detail

    def _videos_of(self, rows: dict[UUID, Row]) -> Iterator[tuple[Row, Video]]:
        for video in Video.objects.filter(pk__in=rows).select_related("job"):
            yield rows[video.pk], video

    def write(self, report: Path, rows: list[Row]) -> None:
        with report.open("w", encoding="utf-8", newline="") as text:
            writer = csv.writer(text)
            writer.writerow(["line", "url", "video_id", "result", "detail"])
            writer.writerows(
                [row.line, row.url, row.video_id or "", row.result, row.detail] for row in rows
            )
