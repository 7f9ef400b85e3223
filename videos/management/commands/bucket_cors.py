import json

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from videos import storage
from videos.storage.objects import cors_rule


class Command(BaseCommand):
    help = (
        "Let pages send files to the bucket (CORS), for direct uploads from browsers: those of "
        "PUBLIC_URL and of CORS_ALLOWED_ORIGINS, which may call the API too. It replaces all CORS rules "
        "of the bucket."
    )

    def add_arguments(self, parser):
        parser.add_argument("--show", action="store_true", help="Only show the rules, as JSON.")

    def handle(self, *args, **options):
        origins = ["*"] if settings.CORS_ALLOW_ALL_ORIGINS else settings.CORS_ALLOWED_ORIGINS
        if settings.PUBLIC_URL and "*" not in origins:
            origins = [*dict.fromkeys([settings.PUBLIC_URL, *origins])]
        if not origins:
            raise CommandError("Set PUBLIC_URL or CORS_ALLOWED_ORIGINS: no page has a rule now.")
        rules = json.dumps({"CORSRules": [cors_rule(origins)]}, indent=2)
        if options["show"]:
            self.stdout.write(rules)
            return
        way = storage.store().direct()
        if way is None:
            raise CommandError("There is no bucket to send files to: STORAGE is local.")
        try:
            way.allow_origins(origins)
        except OSError as error:
            remedy = f"Set them with its own tools:\n{rules}"
            raise CommandError(
                f"The bucket did not take the rules ({error.strerror}). {remedy}"
            ) from error
        self.stdout.write(f"Pages of {', '.join(origins)} may send files to {settings.S3_BUCKET}.")
