"""The checks of the workers, the queue, the tools and their cage, for `manage.py doctor`."""

from collections.abc import Iterator
from datetime import timedelta
from importlib.util import find_spec
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.db.models import Max
from django.db.models.functions import Now
from django.utils import timezone

from config.doctor import Finding, check, error, ok, warning
from videos import engines, storage
from videos.availability import checking as checking  # registers its check
from videos.encryption import content_keys, keys
from videos.models import Period, ProcessingJob, Video, WorkerPresence
from videos.processing import cage, holes, speech, tools
from videos.processing.errors import ToolFailed, ToolMissing
from videos.storage import both

START = "Start one: python manage.py run_worker (`make run` starts one too)."
WAITING = timedelta(minutes=15)
LATELY = timedelta(days=1)
BEAT_IS_LATE = timedelta(minutes=2)


@check("Videos", "worker", needs_tables=True)
def worker() -> Iterator[Finding]:
    alive = list(WorkerPresence.objects.alive().values_list("name", flat=True))
    last = WorkerPresence.objects.aggregate(last=Max("seen_at"))["last"]
    if alive:
        hosts = {name.split("/")[0] for name in alive}
        yield ok(f"Workers: {len(alive)}, on {', '.join(sorted(hosts))}.")
        yield from _shared_by(hosts)
        return
    since = f"since {last:%Y-%m-%d %H:%M:%S} UTC" if last else "yet"
    waiting = ProcessingJob.objects.due().count()
    yield (error if waiting else warning)(
        f"No worker has run {since}: nobody processes videos ({waiting} wait), sends mails or renews"
        " subscriptions.",
        START,
    )


def _shared_by(hosts: set[str]) -> Iterator[Finding]:
    """Check that processes on several hosts do not each have a file of their own."""
    if len(hosts) > 1 and connection.vendor == "sqlite":
        yield error(
            "Workers of several hosts use SQLite, whose file can be shared safely on one host only.",
            "Move to PostgreSQL: DATABASE_URL=postgres://… (docs/operations.md, Scale).",
        )
    if len(hosts) > 1 and not settings.CACHE_URL:
        yield warning(
            "The service runs on several hosts, and each counts rate limits of its own.",
            "Share a Redis: CACHE_URL=redis://…",
        )


@check("Videos", "queue", needs_tables=True)
def queue() -> Iterator[Finding]:
    due = ProcessingJob.objects.due().order_by("created_at").first()
    failed = ProcessingJob.objects.filter(
        state=ProcessingJob.State.FAILED, finished_at__gte=Now() - LATELY
    )
    done = ProcessingJob.objects.filter(
        state=ProcessingJob.State.DONE, finished_at__gte=Now() - LATELY
    ).count()
    if due and due.created_at < timezone.now() - WAITING:
        minutes = (timezone.now() - due.created_at).total_seconds() / 60
        yield warning(
            f"The oldest video that waits to be processed has waited for {minutes:.0f} minutes.",
            "Start more workers, on other hosts where this one is busy.",
        )
    else:
        yield ok("No video waits for long.")
    if lost := failed.count():
        reason = failed.order_by("-finished_at").values_list("error_code", flat=True).first()
        text = (
            f"Of the last day's jobs, {lost} failed and {done} succeeded; the newest by {reason}."
        )
        remedy = "See the reasons on the admin site (processing jobs), and the worker's log."
        yield warning(text, remedy) if lost >= max(5, done) else ok(text)


@check("Videos", "broker", needs_tables=True, seconds=6.0)
def broker() -> Iterator[Finding]:
    """Check the broker of QUEUE_ENGINE=celery, and that a beat sends the periodic work."""
    if settings.QUEUE_ENGINE != "celery":
        return
    place = urlsplit(settings.CELERY_BROKER_URL).netloc.rpartition("@")[2]
    if fault := engines.current().fault():
        yield error(
            f"The broker {place} cannot be used ({fault}): jobs wait, and so does the periodic work.",
            "Start it, or correct CELERY_BROKER_URL. Nothing is lost: what waits is sent again.",
        )
    else:
        yield ok(f"The broker {place} answers.")
    late = Period.objects.filter(due_at__lt=Now() - BEAT_IS_LATE)
    if late.exists() or not Period.objects.exists():
        yield error(
            "No beat sends the periodic work: mails, renewals and lost jobs wait.",
            "Start one, or two: celery -A config beat",
        )
    else:
        yield ok("A beat sends the periodic work.")


@check("Videos", "media_dir", at_start=True, needs_tables=True)
def media_dir() -> Iterator[Finding]:
    """Check that MEDIA_DIR is the folder in which this service has put its files."""
    if fault := storage.fault():
        yield error(f"MEDIA_DIR={settings.MEDIA_ROOT} is not used: {fault}.", storage.REMEDY)
    else:
        yield ok("MEDIA_DIR is the folder of this service's files.")


@check("Videos", "bucket", seconds=15.0, needs_tables=True)
def bucket() -> Iterator[Finding]:
    """Check that the bucket can be reached and written, and that nobody else can list or read it."""
    if settings.STORAGE == "local":
        return
    found = [error(fault, remedy) for fault, remedy in storage.store().faults()]
    if both.has_files(settings.MEDIA_ROOT):
        yield warning(
            "Some files of videos are still in MEDIA_DIR, where other hosts do not find them.",
            "Move them to the bucket: python manage.py move_storage.",
        )
    yield from found or [ok(f"The bucket {settings.S3_BUCKET} can be written, and is private.")]


@check("Videos", "encryption", needs_tables=True)
def encryption() -> Iterator[Finding]:
    """Check that the published versions are as HLS_ENCRYPTION says, and that their secrets are known."""
    published = Video.objects.filter(purged_at=None).exclude(current_version="")
    names = list(published.values_list("current_version", flat=True))
    encrypted = [name for name in names if keys.is_encrypted(name)]
    if not keys.is_on() and not encrypted:
        return
    yield from _provider()
    lost = [name for name in encrypted if not keys.is_known(name)]
    of_others = [name for name in lost if keys.is_common(name) and not keys.is_derived(name)]
    other = [name for name in names if name not in lost and not keys.is_wanted(name)]
    if len(lost) > len(of_others):
        yield error(
            f"{len(lost) - len(of_others)} videos cannot be played: the secret of their keys is not in"
            " the settings.",
            "Put the old HLS_KEY_SECRET (or SECRET_KEY) into HLS_KEY_SECRET_FALLBACKS.",
        )
    if of_others:
        yield warning(
            f"{len(of_others)} videos have keys of another KEY_PROVIDER: they play as long as their"
            " licence server knows them, and get no new posters.",
            "Name that provider again, or run python manage.py reprocess with their ids.",
        )
    if keys.is_on() and other:
        yield warning(
            f"{len(other)} published videos are not encrypted as HLS_ENCRYPTION says.",
            "Run python manage.py encrypt_videos.",
        )
    elif not keys.is_on():
        yield warning(
            f"{len(encrypted)} published videos are encrypted, and HLS_ENCRYPTION is none.",
            "Run python manage.py encrypt_videos --off.",
        )
    elif not lost:
        yield ok("All published versions are encrypted, with keys of the settings.")


def _provider() -> Iterator[Finding]:
    """Check who gives keys and licences of HLS_ENCRYPTION=cbcs, without asking for one."""
    if settings.HLS_ENCRYPTION != "cbcs":
        return
    try:
        content_keys.require()
    except content_keys.ProviderFailed as fault:
        yield error(fault.detail, "See docs/operations.md, DRM. Until then no video is processed.")
        return
    if settings.KEY_PROVIDER and not settings.LICENCE_SERVERS:
        yield error(
            "Nobody can play new videos: no licence server has the keys of KEY_PROVIDER.",
            "Name the vendor's: LICENCE_SERVER_URL_WIDEVINE=https://…",
        )
    elif settings.LICENCE_SERVERS and not settings.KEY_PROVIDER:
        yield warning(
            "A licence server is named, and the keys are derived here: it may know none of them.",
            "Name the vendor's keys: KEY_PROVIDER=our_drm.keys.content_keys (docs/operations.md, DRM).",
        )
    elif settings.LICENCE_SERVERS:
        yield ok(f"Licences come from the servers of {', '.join(settings.LICENCE_SERVERS)}.")


@check("Videos", "isolation", at_start=True)
def isolation() -> Iterator[Finding]:
    try:
        found = cage.describe()
    except ToolMissing as fault:
        yield error(
            fault.detail,
            "apt-get install bubblewrap, or see docs/operations.md, The cage of FFmpeg.",
        )
        return
    if found.program:
        yield ok(f"FFmpeg is caged by {found.detail}.")
        return
    install = (
        "apt-get install bubblewrap"
        if "not installed" in found.detail
        else ("Allow unprivileged user namespaces, in the container or by AppArmor and sysctl")
    )
    if settings.FFMPEG_SANDBOX == "limits":
        install = "Install bubblewrap, and set FFMPEG_SANDBOX=auto"
    yield warning(
        f"FFmpeg reads the files of strangers with access to this machine's files: {found.detail}.",
        f"{install} (docs/operations.md, The cage of FFmpeg).",
    )


@check("Videos", "tools", seconds=15.0)
def programs() -> Iterator[Finding]:
    try:
        versions = tools.versions()
    except (ToolMissing, ToolFailed) as fault:
        detail = " ".join(fault.detail.split())[:300]
        yield error(
            f"Videos cannot be processed: {detail}",
            "Install the requirements again, or name working programs in FFMPEG_PATH, FFPROBE_PATH and"
            " PACKAGER_PATH.",
        )
        return
    yield ok(", ".join(f"{name} {version}" for name, version in versions.items()) + " work.")


@check("Videos", "captions")
def automatic_captions() -> Iterator[Finding]:
    """Check that a model that is named can be used."""
    if not settings.CAPTIONS_MODEL:
        return
    if find_spec("faster_whisper") is None:
        yield error(
            f"CAPTIONS_MODEL={settings.CAPTIONS_MODEL} is set, but faster-whisper is not installed: "
            "automatic captions wait.",
            f"{speech.INSTALL} on the hosts of workers.",
        )
    else:
        yield ok("Automatic captions are on.")


@check("Videos", "ffmpeg", seconds=15.0)
def known_holes() -> Iterator[Finding]:
    """Compare the versions with the list of known holes."""
    try:
        versions, isolated = tools.versions(), bool(cage.describe().program)
    except (ToolMissing, ToolFailed):
        return  # another check tells of it
    names: dict[str, list[str]] = {}
    for name in ("ffmpeg", "ffprobe"):
        names.setdefault(versions[name], []).append(name)
    stands = (
        "the list of formats and bubblewrap stand"
        if isolated
        else "only the list of formats stands"
    )
    for version, of in names.items():
        program, found = " and ".join(of), holes.of_ffmpeg(version)
        settings_of = " and ".join(f"{name.upper()}_PATH" for name in of)
        if found is None:
            yield warning(
                f"{program}: version {version} cannot be compared with the list of known holes.",
                f"Compare it yourself: {holes.PAGE}",
            )
        elif found:
            yield warning(
                f"{program} {version}: known holes {'; '.join(map(str, found))}. Here {stands} against"
                " them.",
                f"Name a newer one in {settings_of}"
                + ("." if isolated else ", and install bubblewrap."),
            )
        else:
            yield ok(f"{program} {version}: this version of the service knows no hole of it.")
