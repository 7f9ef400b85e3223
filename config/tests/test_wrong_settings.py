"""A wrong setting stops the start with one line that explains it; all wrong settings at once."""

import re

import pytest

from config import env
from config.tests.test_env import python, settings_with

URL = "http:// or https://"
WRONG = [
    # name, value, what the line says of it
    ("SECRET_KEY", "", "(not set): it must be at least 50 random characters"),
    ("SECRET_KEY", "short-one", "(9 characters long)"),
    ("SECRET_KEY", "a" * 60, "(easy to guess)"),
    ("SECRET_KEY", "abcabcabc" * 10, "(easy to guess)"),
    ("SECRET_KEY", "0123456789abc" * 5, "(easy to guess)"),
    ("SECRET_KEY", "change-me-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789", "(easy to guess)"),
    ("SECRET_KEY", "django-insecure-j3kd9$kd02mf!kd93mfk20dkf93mfk20d9fk3m", "(easy to guess)"),
    ("DEBUG", "maybe", "must be true or false"),
    ("HOST", "999.1.1.1", "must be an address or a host name"),
    ("HOST", "http://localhost", "must be an address or a host name"),
    ("HOST", "0.0.0.0:2001", "must be an address or a host name"),
    ("PORT", "http", "from 1 to 65535"),
    ("PORT", "0", "from 1 to 65535"),
    ("PORT", "70000", "from 1 to 65535"),
    ("PORT", "20 01", "from 1 to 65535"),
    ("PORT", "2_001", "from 1 to 65535"),
    ("PORT", "9" * 5000, "from 1 to 65535"),
    ("WEB_WORKERS", "0", "from 1 to 64"),
    ("WEB_WORKERS", "-1", "from 1 to 64"),
    ("WEB_WORKERS", "1.5", "from 1 to 64"),
    ("ALLOWED_HOSTS", "https://a.example", "without https://"),
    ("ALLOWED_HOSTS", "a.example,192.168.1.5:2001", "without https://, port or path"),
    ("ALLOWED_HOSTS", "a.example/path", "without https://, port or path"),
    ("ALLOWED_HOSTS", "300.1.1.1", "host name or address"),
    ("ALLOWED_HOSTS", "a.example b.example", "host name or address"),
    ("TRUSTED_PROXIES", "foo", "an IP address or a network"),
    ("TRUSTED_PROXIES", "*", "an IP address or a network"),
    ("TRUSTED_PROXIES", "10.0.0.0/33", "an IP address or a network"),
    ("PUBLIC_URL", "vod.example.com", URL),
    ("PUBLIC_URL", "https://vod.example.com/videos", "without a path"),
    ("ACCOUNT_PAGES_URL", "shop.example.com", URL),
    ("ACCOUNT_PAGES_URL", "https://shop.example.com/account", "without a path"),
    ("OIDC_ISSUER", "http://accounts.example.com", "it must be https://"),
    ("OIDC_ISSUER", "accounts.example.com", "it must be https://"),
    ("OIDC_ISSUER", "https://a.example/#x", "it must be https://"),
    ("OIDC_ISSUER", "https://a.example/realms/vod", "it needs OIDC_CLIENT_ID"),
    ("TOTP_REQUIRED_FOR_ADMINS", "perhaps", "must be true or false"),
    ("CORS_ALLOWED_ORIGINS", "localhost:5173", URL),
    ("CORS_ALLOWED_ORIGINS", "https://*.example.com", URL),
    ("CSRF_TRUSTED_ORIGINS", "*", URL),
    ("CHECKOUT_RETURN_ORIGINS", "https://a.example/back", "without a path"),
    ("CHECKOUT_RETURN_ORIGINS", "https://a.example:http", URL),
    ("ALLOW_HTTP", "perhaps", "must be true or false"),
    ("CACHE_URL", "memcached://localhost", "URL of a Redis server"),
    ("CACHE_URL", "redis://", "URL of a Redis server"),
    ("CACHE_URL", "redis://host:port/0", "URL of a Redis server"),
    ("QUEUE_ENGINE", "rq", "one of database, celery"),
    ("QUEUE_ENGINE", "celery", "it needs CELERY_BROKER_URL"),
    ("CELERY_BROKER_URL", "memory://", "a Redis, Valkey or RabbitMQ server"),
    ("CELERY_BROKER_URL", "redis://host:port/0", "a Redis, Valkey or RabbitMQ server"),
    ("CELERY_BROKER_URL", "redis://host/queue", "a Redis, Valkey or RabbitMQ server"),
    ("CELERY_BROKER_URL", "amqp://", "a Redis, Valkey or RabbitMQ server"),
    ("DATABASE_URL", "mysql://localhost/vod", "postgres:// or sqlite:///"),
    ("DATABASE_URL", "nonsense", "postgres:// or sqlite:///"),
    ("DATABASE_URL", "sqlite://db.sqlite3", "three slashes"),
    ("DATABASE_URL", "sqlite:////proc/nowhere/db.sqlite3", "the path of a file"),
    ("DATABASE_URL", "sqlite:////tmp", "it is a folder"),
    ("DATABASE_URL", "postgres://user:pass@host:port/name", "postgres://user:password@host"),
    ("DATABASE_URL", "postgres://host", "the name of the database"),
    ("DATABASE_URL", "postgres://host/name?sllmode=require", "no option 'sllmode'"),
    ("DATA_DIR", "/dev/null", "/dev/null: it is a file"),
    ("DATA_DIR", "/proc/vod", "/proc/vod: No such file"),
    ("MEDIA_DIR", "/dev/null/media", "/dev/null/media: Not a directory"),
    ("STORAGE", "ftp", "one of local, s3"),
    ("STORAGE", "s3", "it needs S3_BUCKET"),
    ("S3_ENDPOINT", "s3.example.com", URL),
    ("S3_ENDPOINT", "https://s3.example.com/bucket", "without a path"),
    ("S3_BUCKET", "My_Bucket", "the name of a bucket"),
    ("S3_REGION", "Frankfurt!", "the name of a region"),
    ("S3_PREFIX", "../other", "folders of letters"),
    ("S3_PATH_STYLE", "perhaps", "must be true or false"),
    ("S3_PUBLIC_ENDPOINT", "https://s3.example.com/bucket", "without a path"),
    ("MEDIA_CACHE_BYTES", "1000", "from 67108864"),
    ("HLS_ENCRYPTION", "cenc", "one of none, aes-128, cbcs"),
    ("KEY_PROVIDER", "./our_drm/keys.py", "the path of a function or class in Python"),
    ("LICENCE_SERVER_URL_WIDEVINE", "http://drm.example.com/w", "begins with https://"),
    (
        "LICENCE_SERVER_URL_PLAYREADY",
        "https://drm.example.com/p?key={secret}",
        "begins with https://",
    ),
    ("FAIRPLAY_CERTIFICATE_URL", "drm.example.com/fairplay.cer", "begins with https://"),
    ("HLS_KEY_SECRET", "short", "at least 32 random characters"),
    ("CDN_URL", "https://cdn.example.com", "it needs HLS_ENCRYPTION"),
    ("ALGORITHM", "none", "one of HS256, HS384, HS512"),
    ("ACCESS_TOKEN_EXPIRE_MINUTES", "0", "from 1 to 1440"),
    ("REFRESH_TOKEN_EXPIRE_DAYS", "365", "from 1 to 90"),
    ("RATE_LIMIT_AUTH", "-1", "a whole number from 0"),
    ("ANONYMOUS_PLAYBACK", "2", "must be true or false"),
    ("DEFAULT_ADMIN_EMAIL", "notmail", "an e-mail address"),
    ("DEFAULT_ADMIN_EMAIL", "Ann <ann@example.com>", "an e-mail address"),
    ("DEFAULT_FROM_EMAIL", "Videos", "an e-mail address"),
    ("UPLOAD_MAX_BYTES", "20G", "a whole number from 1"),
    ("UPLOAD_QUOTA_BYTES", "0", "a whole number from 1"),
    ("ANALYTICS_RETENTION_DAYS", "36501", "from 0 to 36500"),
    ("ANALYTICS_RETENTION_DAYS", "-1", "from 0 to 36500"),
    ("WEBHOOK_ENDPOINTS_MAX", "1001", "from 0 to 1000"),
    ("WEBHOOK_ALLOW_LOCAL", "127.0.0.1", "must be true or false"),
    ("UPLOAD_EXPIRE_HOURS", "721", "from 1 to 720"),
    ("FFMPEG_PATH", "/nope", "a program that can be run"),
    ("FFPROBE_PATH", "/dev", "a program that can be run"),
    ("PACKAGER_PATH", "/etc/passwd", "a program that can be run"),
    ("FFMPEG_SANDBOX", "docker", "one of auto, bwrap, limits"),
    ("FFMPEG_PRESET", "placebo", "one of ultrafast"),
    ("LADDER_CODECS", "av1", "one of h264, h264,av1"),
    ("AV1_PRESET", "slow", "a whole number from 4 to 13"),
    ("CAPTIONS_MODEL", "/proc", "a folder with the model.bin"),
    ("JOB_LEASE_SECONDS", "1", "from 3 to 3600"),
    ("PLAYBACK_GRANT_HOURS", "73", "from 1 to 72"),
    ("MAX_CONCURRENT_STREAMS", "1001", "from 0 to 1000"),
    ("GEOIP_DATABASE", "/etc/passwd", "a MaxMind DB"),
    ("GEOIP_DATABASE", "/nope.mmdb", "No such file"),
    ("BIND_PLAYBACK", "yes", "one of device, network, none"),
    ("DELIVERY", "apache", "one of embedded, nginx"),
    ("PAYMENT_GATEWAY", "paypal", "one of sandbox, stripe"),
    ("PAYMENT_GATEWAY", "stripe", "needs STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRETS"),
    ("STRIPE_API_BASE", "api.stripe.com", URL),
    ("PLATFORM_FEE_BPS", "10001", "from 0 to 10000"),
    ("DEFAULT_CURRENCY", "XXX", "one of AUD"),
    ("SUBSCRIPTION_PRICE", "abc", "an amount of USD"),
    ("SUBSCRIPTION_PRICE", "0", "more than 0"),
    ("SUBSCRIPTION_PRICE", "9.999", "at most 2 decimal digits"),
    ("PAYOUT_MINIMUM", "-1", "an amount from 0"),
    ("PAYOUT_MINIMUM", "NaN", "an amount from 0"),
    ("EMAIL_URL", "mail.example.com", "URL of a mail server"),
    ("EMAIL_URL", "smtp://", "URL of a mail server"),
    ("EMAIL_URL", "smtp://host:port", "URL of a mail server"),
    ("BRAND_NAME", "x" * 61, "at most 60 characters"),
    ("BRAND_NAME", "Two\nlines", "one line"),
    ("BRAND_COLOUR", "red; } body {", "#rgb or #rrggbb"),
    ("BRAND_COLOUR", "#4338caff", "#rgb or #rrggbb"),
    ("BRAND_LOGO_URL", "http://shop.example.com/logo.png", "an https address"),
    ("BRAND_LOGO_URL", "https://", "an https address"),
    ("AUDIT_READS", "nein", "must be true or false"),
    ("AUDIT_ACTIVITY_DAYS", "-1", "must be a whole number from 0 to 3650"),
    ("METRICS_TOKEN", "short", "(5 characters long)"),
    ("LOG_LEVEL", "LOUD", "one of DEBUG, INFO"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", URL),
    ("LOG_FORMAT", "xml", "one of text, json"),
    ("LOG_LEVEL", "INFO\nDEBUG", "LOG_LEVEL=INFO\\nDEBUG: "),
]


def refusal(monkeypatch, tmp_path, **values) -> list[str]:
    """Return the lines of the refusal, without the first, which counts them."""
    with pytest.raises(env.WrongSettings) as refused:
        settings_with(monkeypatch, tmp_path, **values)
    head, *lines = str(refused.value).split("\n  ")
    assert re.match(r"(1 setting is|\d+ settings are) wrong, so nothing was started\.", head)
    return lines


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
@pytest.mark.filterwarnings("ignore:Engine not recognized", "ignore:SQLite URL contains")
def test_one_line_explains_a_wrong_setting(monkeypatch, tmp_path, name, value, words):
    (line,) = refusal(monkeypatch, tmp_path, **{name: value})

    assert line.startswith(name)
    assert words in line
    assert f". Example: {name}=" in line
    assert len(line) < 400
    if (
        name not in {"SECRET_KEY", "METRICS_TOKEN", "HLS_KEY_SECRET"}
        and len(value) < 100
        and not re.search(r"pass|:port|\?s", value)
    ):
        assert line.startswith(f"{name}={value}: ".replace("\n", "\\n"))


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_the_example_of_a_line_is_accepted(monkeypatch, tmp_path, name, value, words):
    """A user pastes the example, and it works. Folders, programs and optional packages are those of
    another machine."""
    monkeypatch.setattr("config.env_storage.find_spec", lambda name: object())
    if name in {"DATA_DIR", "MEDIA_DIR", "FFMPEG_PATH", "FFPROBE_PATH", "PACKAGER_PATH"}:
        return
    (line,) = refusal(monkeypatch, tmp_path, **{name: value})
    example = line.partition(f". Example: {name}=")[2]
    if example.startswith("sqlite:"):
        return

    settings_with(monkeypatch, tmp_path, **{name: example})


@pytest.mark.parametrize(
    "value", ["cdn.example.com", "https://cdn.example.com/?a=b", "https://user@cdn.example.com"]
)
def test_the_address_of_a_cdn(monkeypatch, tmp_path, value):
    encrypted = {"HLS_ENCRYPTION": "aes-128"}
    (line,) = refusal(monkeypatch, tmp_path, CDN_URL=value, **encrypted)

    assert "an address like https://host" in line
    example = line.partition(". Example: CDN_URL=")[2]
    made = settings_with(monkeypatch, tmp_path, CDN_URL=f"{example}/", **encrypted)
    assert made["CDN_URL"] == example
    assert len(made["HLS_KEYS"][0]) == 32


def test_a_cdn_needs_keys_that_end(monkeypatch, tmp_path):
    (line,) = refusal(
        monkeypatch, tmp_path, CDN_URL="https://cdn.example.com", HLS_ENCRYPTION="cbcs"
    )
    assert "it needs HLS_ENCRYPTION=aes-128" in line


def test_fairplay_needs_its_certificate(monkeypatch, tmp_path):
    server = "https://drm.example.com/f?video={video}&grant={grant}"
    (line,) = refusal(monkeypatch, tmp_path, LICENCE_SERVER_URL_FAIRPLAY=server)
    assert line.startswith("FAIRPLAY_CERTIFICATE_URL (not set): ")
    made = settings_with(
        monkeypatch, tmp_path, LICENCE_SERVER_URL_FAIRPLAY=server, KEY_PROVIDER="our_drm.keys.of",
        FAIRPLAY_CERTIFICATE_URL="https://drm.example.com/f.cer",
    )  # fmt: skip
    assert made["LICENCE_SERVERS"] == {"com.apple.fps": server}


def test_traces_without_opentelemetry_name_the_package(monkeypatch, tmp_path):
    monkeypatch.setattr("config.env_urls.find_spec", lambda name: None)
    (line,) = refusal(monkeypatch, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    assert "pip install -r requirements-tracing.txt" in line


@pytest.mark.parametrize("given", ["S3_ACCESS_KEY", "S3_SECRET_KEY"])
def test_half_a_key_of_a_bucket_is_not_enough(monkeypatch, tmp_path, given):
    lacks = ({"S3_ACCESS_KEY", "S3_SECRET_KEY"} - {given}).pop()
    values = {"STORAGE": "s3", "S3_BUCKET": "vod-media", given: "hunter2"}
    monkeypatch.setattr("config.env_storage.find_spec", lambda name: object())

    (line,) = refusal(monkeypatch, tmp_path, **values)

    assert line.startswith(f"{lacks} (not set): S3_ACCESS_KEY and S3_SECRET_KEY belong together")
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("storage", "expected"),
    [("s3", "it needs S3_ACCESS_KEY and S3_SECRET_KEY"), ("local", "nginx looks in one place")],
)
def test_nginx_sends_files_of_one_place_for_which_it_has_a_key(
    monkeypatch, tmp_path, storage, expected
):
    values = {"DELIVERY": "nginx", "STORAGE": storage, "S3_BUCKET": "vod-media"}
    (line,) = [
        each for each in refusal(monkeypatch, tmp_path, **values) if each.startswith("DELIVERY")
    ]
    assert expected in line


def test_a_bucket_needs_boto3(monkeypatch, tmp_path):
    monkeypatch.setattr("config.env_storage.find_spec", lambda name: None)

    (line,) = refusal(monkeypatch, tmp_path, STORAGE="s3", S3_BUCKET="vod-media")

    assert line.startswith("STORAGE=s3: it needs boto3: pip install -r requirements-s3.txt")


def test_all_wrong_settings_are_named_at_once(monkeypatch, tmp_path):
    values = {
        "PORT": "70000",
        "DEFAULT_CURRENCY": "XXX",
        "DATABASE_URL": "mysql://h/n",
        "HOST": "?",
    }

    lines = refusal(monkeypatch, tmp_path, SECRET_KEY="short", **values)

    assert {re.split(r"[= ]", line)[0] for line in lines} == {"SECRET_KEY", *values}
    settings_with(monkeypatch, tmp_path, **dict.fromkeys(values, ""))  # nothing is left of them


def test_a_price_must_suit_the_currency(monkeypatch, tmp_path):
    (line,) = refusal(monkeypatch, tmp_path, DEFAULT_CURRENCY="JPY")

    assert line.startswith("SUBSCRIPTION_PRICE (not set): it must be an amount of JPY")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "hunter2"),
        ("DATABASE_URL", "mysql://root:hunter2@localhost/vod"),
        ("DATABASE_URL", "postgres://root:hunter2@localhost:port/vod"),
        ("DATABASE_URL", "postgres://root:hun/ter2@localhost/vod"),
        ("DATABASE_URL", "postgres://root:hun@ter2@localhost:x/vod"),
        ("DATABASE_URL", "postgres://root:hun?ter2@localhost:x/vod"),
        ("DATABASE_URL", "postgres://root:hun#ter2@localhost:x/vod"),
        ("DATABASE_URL", "postgres://root:[hunter2@localhost:x/vod"),
        ("DATABASE_URL", "postgres//root:hunter2@localhost/vod"),
        ("DATABASE_URL", "root:hunter2@localhost/vod"),
        ("DATABASE_URL", "postgres://root:hunter2"),
        ("DATABASE_URL", "mysql://localhost/vod?password=hunter2"),
        ("DATABASE_URL", "sqlite://root:hunter2@localhost"),
        ("CACHE_URL", "redis://:hunter2@localhost:port"),
        ("CACHE_URL", "http://:hunter2@localhost"),
        ("CACHE_URL", ":hunter2@localhost"),
        ("CELERY_BROKER_URL", "redis://:hunter2@localhost:port"),
        ("CELERY_BROKER_URL", "amqp://user:hun/ter2@localhost"),
        ("CELERY_BROKER_URL", "http://user:hunter2@localhost"),
        ("EMAIL_URL", "smtp://user:hunter2@mail.example:port"),
        ("EMAIL_URL", "user:hunter2@mail.example"),
        ("PUBLIC_URL", "https://user:hunter2@vod.example.com"),
        ("STRIPE_API_BASE", "https://hunter2@vod.example.com"),
        ("ALLOWED_HOSTS", "https://user:hunter2@vod.example.com"),
        ("CORS_ALLOWED_ORIGINS", "https://user:hunter2@vod.example.com"),
    ],
)
@pytest.mark.filterwarnings("ignore:Engine not recognized", "ignore:SQLite URL contains")
def test_no_password_is_shown(monkeypatch, tmp_path, capfd, name, value):
    # The example of a secret could by chance have a part of the password.
    monkeypatch.setattr("config.env.secrets.token_urlsafe", lambda size: "a new one")
    others = {
        "STRIPE_SECRET_KEY": "sk_live_hunter2",
        "STRIPE_WEBHOOK_SECRETS": "whsec_hunter2",
        "DEFAULT_ADMIN_PASSWORD": "hunter2 again",
    }

    said = "\n".join(refusal(monkeypatch, tmp_path, **{**others, name: value}))

    assert said.startswith(name)
    for part in ("hun", "ter2"):
        assert part not in said.lower()
        assert part not in "".join(capfd.readouterr()).lower()


@pytest.mark.parametrize(
    ("name", "value", "setting", "expected"),
    [
        ("ALLOWED_HOSTS", "A.example, ::1,[::2],*.b.example,.c.example,*", "ALLOWED_HOSTS",
         ["a.example", "[::1]", "[::2]", ".b.example", ".c.example", "*"]),
        ("ALLOWED_HOSTS", "server1,my_host,10.0.0.1", "ALLOWED_HOSTS",
         ["server1", "my_host", "10.0.0.1"]),
        ("TRUSTED_PROXIES", "127.0.0.1,10.1.2.3/8,::1", "TRUSTED_PROXIES",
         ["127.0.0.1", "10.0.0.0/8", "::1"]),
        ("PUBLIC_URL", "https://Vod.example.com/", "PUBLIC_URL", "https://vod.example.com"),
        ("CORS_ALLOWED_ORIGINS", "http://localhost:5173,http://[::1]:3000/", "CORS_ALLOWED_ORIGINS",
         ["http://localhost:5173", "http://[::1]:3000"]),
        ("CSRF_TRUSTED_ORIGINS", "https://*.example.com", "CSRF_TRUSTED_ORIGINS", ["https://*.example.com"]),
        ("HOST", "[::1]", "HOST", "::1"),
        ("HOST", "node-2.local", "HOST", "node-2.local"),
        ("DEFAULT_CURRENCY", "eur", "DEFAULT_CURRENCY", "EUR"),
        ("DEFAULT_FROM_EMAIL", "Videos <vod@example.com>", "DEFAULT_FROM_EMAIL",
         "Videos <vod@example.com>"),
        ("FFMPEG_PATH", "sh", "FFMPEG_PATH", "/bin/sh"),
        ("BRAND_COLOUR", "#FA0", "BRAND_COLOUR", "#ffaa00"),
        ("BRAND_LOGO_URL", "https://shop.example.com/logo.png?v=2", "BRAND_LOGO_URL",
         "https://shop.example.com/logo.png?v=2"),
    ],
)  # fmt: skip
def test_what_can_be_understood_is_taken(monkeypatch, tmp_path, name, value, setting, expected):
    if value == "sh":
        monkeypatch.setenv("PATH", "/bin")

    assert settings_with(monkeypatch, tmp_path, **{name: value})[setting] == expected


@pytest.mark.parametrize(
    "scheme",
    ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg", "postgres+psycopg2",
     "postgresql+psycopg_async", "postgresql+pg8000", "PostgreSQL"],
)  # fmt: skip
def test_a_driver_of_sqlalchemy_is_left_out(monkeypatch, tmp_path, scheme):
    url = f"{scheme}://ann:p%40ss@db.example:5433/vod?ssl=require&application_name=vod"

    database = settings_with(monkeypatch, tmp_path, DATABASE_URL=url)["DATABASES"]["default"]

    place = {
        name: database[name] for name in ("ENGINE", "USER", "PASSWORD", "HOST", "PORT", "NAME")
    }
    assert place == {
        "ENGINE": "config.postgresql", "USER": "ann", "PASSWORD": "p@ss",
        "HOST": "db.example", "PORT": 5433, "NAME": "vod",
    }  # fmt: skip
    assert database["OPTIONS"]["sslmode"] == "require"
    assert database["OPTIONS"]["application_name"] == "vod"
    assert "ssl" not in database["OPTIONS"]


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite", "sqlite+pysqlite"])
def test_a_driver_of_sqlite_is_left_out(monkeypatch, tmp_path, scheme):
    url = f"{scheme}:///{tmp_path}/folder/videos.db"

    database = settings_with(monkeypatch, tmp_path, DATABASE_URL=url)["DATABASES"]["default"]

    assert database["NAME"] == f"{tmp_path}/folder/videos.db"
    assert (tmp_path / "folder").is_dir()


COMMANDS = [("manage.py", "check"), ("manage.py", "run_web"), ("manage.py", "run_worker"),
            ("manage.py", "help"), ("manage.py", "demo"), ("-c", "import config.asgi"),
            ("-c", "import config.wsgi"), ("-m", "uvicorn", "config.asgi:application"),
            ("-m", "config.bootstrap")]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_program_refuses_without_a_traceback(tmp_path, command):
    wrong = {"PORT": "70000", "DATABASE_URL": "mysql://root:hunter2@h/n", "DATA_DIR": str(tmp_path)}

    run = python(*command, **wrong)

    assert run.returncode == 1
    lines = run.stderr.strip().splitlines()
    assert [line.partition("=")[0].strip() for line in lines[1:]] == ["PORT", "DATABASE_URL"]
    assert lines[0].startswith("2 settings are wrong")
    assert "hunter2" not in run.stdout + run.stderr
    assert not list(tmp_path.glob("*.sqlite3"))
