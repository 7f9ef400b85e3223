import grp
import os
import pwd
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import listening
from streaming.delivery.nginx import configuration


class Command(BaseCommand):
    help = (
        "Write nginx's configuration for DELIVERY=nginx: nginx.conf to the standard output or to "
        "--output, and into --folder the check (delivery.js, bucket.js) with its keys, which only their "
        "owner can read (delivery.json). Run it again after a change of the settings, then reload nginx."
    )

    def add_arguments(self, parser):
        parser.add_argument("--output", type=Path, help="Write nginx.conf into this file.")
        parser.add_argument(
            "--folder",
            type=Path,
            help="The folder of delivery.js and delivery.json: DATA_DIR/nginx.",
        )
        parser.add_argument(
            "--web", action="append", help="A web server, like http://127.0.0.1:2001; repeatable."
        )
        parser.add_argument(
            "--listen",
            help="Address and port: 443, or with plain HTTP 8080. Only IPv4 reaches a bare port; "
            "'[::]:443 ipv6only=off' is for both.",
        )
        parser.add_argument("--certificate", type=Path, help="The certificate chain, as PEM.")
        parser.add_argument("--certificate-key", type=Path, help="The certificate's key, as PEM.")
        parser.add_argument(
            "--resolver", default="", help="A DNS server, if --web or S3_ENDPOINT has a name."
        )
        parser.add_argument(
            "--bucket-ca",
            type=Path,
            help="The certificates (PEM) that may vouch for an https S3_ENDPOINT: those of the system.",
        )
        parser.add_argument(
            "--redirect", default="", help="A port, like 80, where HTTP is redirected to HTTPS."
        )
        parser.add_argument(
            "--module",
            default="",
            help="The file of njs, where it is not built in: modules/ngx_http_js_module.so.",
        )
        parser.add_argument("--user", help="The user of nginx's workers, when root starts nginx.")
        parser.add_argument(
            "--ended-memory", default="64m", help="Memory of ended sessions (8m for 31,000): 64m."
        )

    def handle(self, *args, **options):
        if settings.DELIVERY != "nginx":
            raise CommandError(
                "Set DELIVERY=nginx first: the web server then answers nginx's questions."
            )
        certificate, key = options["certificate"], options["certificate_key"]
        if bool(certificate) != bool(key):
            raise CommandError("Name both --certificate and --certificate-key, or neither.")
        if options["redirect"] and not certificate:
            raise CommandError("--redirect needs --certificate: there would be no HTTPS.")
        site = configuration.Site(
            folder=(options["folder"] or settings.DATA_DIR / "nginx").resolve(),
            web=options["web"] or [listening.url()],
            listen=options["listen"] or ("443" if certificate else "8080"),
            certificate=certificate and certificate.resolve(),
            certificate_key=key and key.resolve(),
            resolver=options["resolver"],
            user=_user() if options["user"] is None else options["user"],
            ended_memory=options["ended_memory"],
            bucket_ca=options["bucket_ca"] and options["bucket_ca"].resolve(),
            module=options["module"],
            redirect=options["redirect"],
        )
        try:
            text = configuration.render(site)
            configuration.write(site)
            if options["output"]:
                options["output"].write_text(text, encoding="utf-8")
        except (ValueError, OSError) as error:
            raise CommandError(str(error)) from None
        if not options["output"]:
            self.stdout.write(text, ending="")


def _user() -> str:
    """Return the workers' user where nginx would be started by root; else nginx keeps its user."""
    if os.geteuid() != 0:
        return ""
    nobody = pwd.getpwnam("nobody")
    return f"nobody {grp.getgrgid(nobody.pw_gid).gr_name}"
