from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from analytics import seeding
from config.management.progress import progress
from videos.models import Video


class Command(BaseCommand):
    help = (
        "Invent creators, videos, views of two years and purchases, to try the dashboards and their"
        " speed. The videos have no files and are not in the catalogue. Refuses a database that may be"
        " a real one: without DEBUG, or with videos that it has not invented; --force turns that off."
        " It never invents purchases where the gateway is not the sandbox."
    )

    def add_arguments(self, parser):
        parser.add_argument("--views", type=int, default=10_000, help="Views to invent.")
        parser.add_argument(
            "--purchases", type=int, default=50, help="Videos to buy, at this moment."
        )
        parser.add_argument("--creators", type=int, default=6, help="Creators to invent.")
        parser.add_argument("--password", help="Password of the creators, to sign in at /sign-in.")
        parser.add_argument("--seed", type=int, default=1, help="Number that the dice begin with.")
        parser.add_argument(
            "--force", action="store_true", help="Also in a database that may be a real one."
        )

    def handle(self, *args, **options):
        if options["views"] < 1 or options["purchases"] < 0 or options["creators"] < 1:
            raise CommandError("--views and --creators must be above 0, and --purchases not below.")
        is_sandbox = settings.PAYMENT_GATEWAY == "sandbox"
        if options["purchases"] and not is_sandbox:
            raise CommandError(
                f"The gateway is {settings.PAYMENT_GATEWAY}: buying would move money that is not"
                " invented. Add --purchases 0."
            )
        if not options["force"]:
            self.refuse_a_real_database()
        with progress("Views and purchases") as show:
            made = seeding.seed(
                views=options["views"],
                purchases=options["purchases"],
                creators=options["creators"],
                password=options["password"],
                seed=options["seed"],
                progress=show,
            )
        self.stdout.write(
            f"{made.creators} creators, {made.videos} videos, {made.views:,} views and"
            f" {made.purchases} purchases were invented. Look at them at /numbers/."
        )
        if options["password"]:
            self.stdout.write("The creators sign in with the addresses that the user list shows.")

    def refuse_a_real_database(self):
        if not settings.DEBUG:
            raise CommandError(
                "DEBUG is off, so this may be a real service. Nothing was invented. To do it all the"
                " same, add --force."
            )
        if Video.objects.exclude(description=seeding.MARK).exists():
            raise CommandError(
                "This database has videos that were not invented. Nothing was invented. To do it all"
                " the same, add --force."
            )
