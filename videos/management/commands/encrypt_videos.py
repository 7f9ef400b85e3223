import uuid

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.errors import ServiceUnavailable
from config.management.progress import progress
from videos import storage
from videos.encryption import content_keys, keys, versions
from videos.models import Video
from videos.processing.errors import ToolFailed
from videos.services import encrypting


class Command(BaseCommand):
    help = (
        "Encrypt the published versions of all videos as HLS_ENCRYPTION says, or of those with these "
        "ids: copies of the clear ones, without another encode. Sessions that run keep the clear "
        "version until they end; then the clean-up removes it. Also makes versions of an earlier "
        "HLS_KEY_SECRET anew, and names CDN_URL and licence servers in the playlists. A run that was "
        "stopped is continued by the next one. Exits with 1 while something is left, or with --check "
        "when a segment can be read without its key."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "video_id", nargs="*", type=uuid.UUID, help="Only the videos with these ids."
        )
        chosen = parser.add_mutually_exclusive_group()
        chosen.add_argument("--off", action="store_true", help="Make clear versions again.")
        chosen.add_argument(
            "--check", action="store_true", help="Only read all segments, and name clear ones."
        )
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be done.")

    def handle(self, *args, **options):
        encrypted = not options["off"]
        if encrypted and not keys.is_on():
            raise CommandError(
                "Set HLS_ENCRYPTION=aes-128 or cbcs for all processes first (or use --off)."
            )
        if not encrypted and keys.is_on():
            raise CommandError("Set HLS_ENCRYPTION=none for all processes first.")
        if reason := storage.trouble():
            raise CommandError(f"{reason} {storage.REMEDY}")
        try:
            content_keys.require()
        except content_keys.ProviderFailed as error:
            raise CommandError(str(error)) from None
        if options["check"]:
            self.check_all(self.chosen(options, self.published()))
        else:
            self.remake_all(options, encrypted=encrypted)

    def chosen(self, options, videos: list[Video]) -> list[Video]:
        ids = set(options["video_id"])
        if unknown := ids - set(Video.objects.filter(pk__in=ids).values_list("pk", flat=True)):
            raise CommandError(f"There is no video {', '.join(sorted(map(str, unknown)))}.")
        return [video for video in videos if not ids or video.pk in ids]

    @staticmethod
    def published() -> list[Video]:
        return list(
            Video.objects.filter(purged_at=None).exclude(current_version="").order_by("created_at")
        )

    def remake_all(self, options, *, encrypted: bool) -> None:
        items = self.chosen(options, encrypting.waiting(encrypted=encrypted))
        left = 0
        with progress("Videos") as show:
            for number, video in enumerate(items, 1):
                said = f"{number}/{len(items)}  {video.pk}  {video.title}"
                try:
                    if not options["dry_run"] and not encrypting.remake(video, encrypted=encrypted):
                        said += ": another version was published meanwhile"
                        left += 1
                except (
                    keys.KeyUnknown,
                    versions.NotEncrypted,
                    content_keys.ProviderFailed,
                    ToolFailed,
                    ServiceUnavailable,
                    OSError,
                ) as error:
                    left += 1
                    self.stderr.write(f"{said}: {error}; left as it is.")
                else:
                    self.stdout.write(said)
                show(number, len(items))
        if encrypted and not options["dry_run"]:
            for video in self.chosen(options, self.published()):
                if keys.is_encrypted(video.current_version):
                    encrypting.present_anew(video)
        verb = "encrypted" if encrypted else "made clear"
        would = "would be " if options["dry_run"] else ""
        self.stdout.write(f"{len(items) - left} {would}{verb}, {left} left.")
        if encrypted and settings.CDN_URL:
            self.stdout.write(f"Playlists name segments at {settings.CDN_URL}.")
        if left:
            raise CommandError(f"{left} left. Run the command again.")

    def check_all(self, videos: list[Video]) -> None:
        wrong = 0
        with progress("Videos") as show:
            for number, video in enumerate(videos, 1):
                try:
                    for fault in encrypting.faults(video):
                        wrong += 1
                        self.stderr.write(f"{video.pk}  {video.title}: {fault}.")
                except OSError as error:
                    wrong += 1
                    self.stderr.write(f"{video.pk}  {video.title}: {error}.")
                show(number, len(videos))
        self.stdout.write(f"{len(videos)} checked, {wrong} faults.")
        if wrong:
            raise CommandError(f"{wrong} faults.")
