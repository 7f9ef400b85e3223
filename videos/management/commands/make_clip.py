import shutil
import tempfile
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from videos.processing.errors import ToolFailed
from videos.processing.synthesis import HARBOUR_SECONDS, HARBOUR_SIZE, synthesise_harbour


class Command(BaseCommand):
    help = "Write a short video with sound, for trying the service. It replaces an older file."

    def add_arguments(self, parser):
        parser.add_argument(
            "path", nargs="?", type=Path, default=Path("clip.mp4"), help="Default: clip.mp4"
        )

    def handle(self, *args, path: Path, **options):
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise CommandError(f"{path} is not the path of a file in a folder that exists.")
        # FFmpeg may write to a folder of its own only, so a broken file never stands at the path.
        with tempfile.TemporaryDirectory() as folder:
            try:
                clip = synthesise_harbour(Path(folder) / "clip.mp4")
                shutil.copyfile(clip, path)
            except (ToolFailed, OSError) as error:
                raise CommandError(f"No clip was made: {error}") from None
        self.stdout.write(
            f"{path}: {HARBOUR_SECONDS} s, {HARBOUR_SIZE}, {path.stat().st_size / 1e6:.1f} MB"
        )
