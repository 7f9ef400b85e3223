"""Django's settings. `.env.example` explains every environment variable that is read here."""

from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from config import cors, desk, env, env_brand, env_drm, env_files, env_storage, env_urls, logs
from config.api import framework

BASE_DIR = env.BASE_DIR

# --- core -----------------------------------------------------------------------------------

DEBUG = env.flag("DEBUG", default=False)
SECRET_KEY = env.secret("SECRET_KEY", at_least=50)
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
HOST = env.address("HOST", "127.0.0.1")
PORT = env.number("PORT", 2001, minimum=1, maximum=65535)
WEB_WORKERS = env.number("WEB_WORKERS", 2, minimum=1, maximum=64)
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", ("127.0.0.1", "localhost", "[::1]"))
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")
READY_SECONDS = 1.0  # how old the state may be that GET /health/ready answers with
PUBLIC_URL = env.origin("PUBLIC_URL")  # empty: the address of the current request
# Where mailed links lead: the origin whose /account/ has the pages. Empty: this service's own.
ACCOUNT_PAGES_URL = env.origin("ACCOUNT_PAGES_URL")
DATA_DIR = env.folder("DATA_DIR", BASE_DIR / "var")
# Uploads, sources, work in progress and published videos share one file system, because files move
# between their folders by an atomic rename.
MEDIA_ROOT = env.folder("MEDIA_DIR", DATA_DIR / "media", made=False)
STORAGE = env.choice("STORAGE", "local", among=("local", "s3"))
S3_ENDPOINT = env.origin("S3_ENDPOINT")
S3_BUCKET = env_storage.bucket("S3_BUCKET")
S3_REGION = env_storage.region("S3_REGION")
S3_ACCESS_KEY = env.text("S3_ACCESS_KEY")
S3_SECRET_KEY = env.text("S3_SECRET_KEY")
S3_PREFIX = env_storage.prefix("S3_PREFIX")
S3_PATH_STYLE = env.flag("S3_PATH_STYLE", default=bool(S3_ENDPOINT))
S3_PUBLIC_ENDPOINT = env.origin("S3_PUBLIC_ENDPOINT")  # empty: clients reach S3_ENDPOINT, too
MEDIA_CACHE_BYTES = env.number("MEDIA_CACHE_BYTES", 10 * 1024**3, minimum=64 * 1024**2)
if STORAGE == "s3" or S3_BUCKET:
    env_storage.require_all(bucket=S3_BUCKET, access_key=S3_ACCESS_KEY, secret_key=S3_SECRET_KEY)
HLS_ENCRYPTION = env.choice("HLS_ENCRYPTION", "none", among=("none", "aes-128", "cbcs"))
_hls = [env.secret("HLS_KEY_SECRET", at_least=32, default=SECRET_KEY)]
_hls += [*env.words("HLS_KEY_SECRET_FALLBACKS"), SECRET_KEY, *SECRET_KEY_FALLBACKS]
HLS_KEYS = [env.derived_key(secret, "hls-keys") for secret in dict.fromkeys(_hls)]
CDN_URL = env_storage.cdn("CDN_URL", encryption=HLS_ENCRYPTION)
KEY_PROVIDER = env_drm.provider("KEY_PROVIDER")  # empty: keys are derived from HLS_KEYS
LICENCE_SERVERS = env_drm.licence_servers(
    fairplay=env_drm.address("LICENCE_SERVER_URL_FAIRPLAY"),
    playready=env_drm.address("LICENCE_SERVER_URL_PLAYREADY"),
    widevine=env_drm.address("LICENCE_SERVER_URL_WIDEVINE"),
)
FAIRPLAY_CERTIFICATE_URL = env_drm.certificate("FAIRPLAY_CERTIFICATE_URL", LICENCE_SERVERS)

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "config.formats"
USE_I18N = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "config",  # its templates come before those of the admin site
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "corsheaders",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "audit",
    "accounts",
    "videos",
    "payments",
    "webhooks",
    "streaming",
    "analytics",
]

MIDDLEWARE = [
    "config.http.RequestIdMiddleware",
    "config.http.TransportSecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.http.CorsMiddleware",
    "config.api.slashes.EitherSlashMiddleware",
    "config.error_pages.ErrorPagesMiddleware",
    "audit.middleware.ActivityMiddleware",
    "config.pages_only.PagesSessionMiddleware",
    "config.pages_only.PagesCommonMiddleware",
    "config.pages_only.PagesAuthenticationMiddleware",
    "config.page_limit.PageLimitMiddleware",
    "accounts.middleware.SecondFactorMiddleware",
    "config.pages_only.PagesCsrfMiddleware",
    "config.pages_only.PagesMessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

STATIC_URL = "/static/"
STATIC_ROOT = env.folder("STATIC_DIR", DATA_DIR / "static", written=False)
WHITENOISE_ROOT = BASE_DIR / "config" / "root"  # /favicon.ico and /robots.txt
WHITENOISE_USE_FINDERS = True  # serves the packages' files in place, so collectstatic is not needed

# --- database and cache -----------------------------------------------------------------------

DATABASES = {"default": env_urls.database("DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}")}
ATOMIC_REQUESTS = False

# Every process counts rate limits in this cache: a file for one host, Redis for several hosts.
CACHE_URL = env_urls.redis("CACHE_URL")
CACHES = {"default": env_urls.cache(CACHE_URL, DATA_DIR)}

# --- accounts ---------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
UNFOLD = desk.UNFOLD  # the admin site
AUTHENTICATION_BACKENDS = ["accounts.backends.RoleBackend"]
PASSWORD_HASHERS = [
    "accounts.hashers.OwaspArgon2Hasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "accounts.passwords.NotSimilar",
        "OPTIONS": {"user_attributes": ("email", "readable_email", "display_name")},
    },
    {"NAME": "accounts.passwords.LongEnough"},
    {"NAME": "accounts.passwords.NotCommon"},
    {"NAME": "accounts.passwords.NotOnlyDigits"},
    {"NAME": "accounts.passwords.EndsSignIns"},
]
DEFAULT_ADMIN_EMAIL = env.email("DEFAULT_ADMIN_EMAIL", "admin@example.com")
DEFAULT_ADMIN_PASSWORD = env.text("DEFAULT_ADMIN_PASSWORD")

ACCESS_TOKEN_LIFETIME = timedelta(
    minutes=env.number("ACCESS_TOKEN_EXPIRE_MINUTES", 15, minimum=1, maximum=1440)
)
REFRESH_TOKEN_LIFETIME = timedelta(
    days=env.number("REFRESH_TOKEN_EXPIRE_DAYS", 14, minimum=1, maximum=90)
)
# By how much the clocks of two hosts may differ before anybody notices.
CLOCKS_DIFFER_BY = timedelta(seconds=10)
SIMPLE_JWT = {
    "ALGORITHM": env.choice("ALGORITHM", "HS256", among=("HS256", "HS384", "HS512")),
    "SIGNING_KEY": env.derived_key(SECRET_KEY, "jwt").hex(),
    "ACCESS_TOKEN_LIFETIME": ACCESS_TOKEN_LIFETIME,
    "REFRESH_TOKEN_LIFETIME": REFRESH_TOKEN_LIFETIME,
    "ISSUER": "vod",
    "LEEWAY": CLOCKS_DIFFER_BY,
    "USER_ID_CLAIM": "sub",
}

MAILED_LINK_KEY = env.derived_key(SECRET_KEY, "mailed-link")
# Encrypt the secrets of second factors: the first one encrypts, the others only decrypt.
TOTP_KEYS = [env.derived_key(key, "totp") for key in (SECRET_KEY, *SECRET_KEY_FALLBACKS)]
TOTP_REQUIRED_FOR_ADMINS = env.flag("TOTP_REQUIRED_FOR_ADMINS", default=False)
# Sign-in with another provider (OpenID Connect); without an issuer it is off.
OIDC_ISSUER = env_urls.issuer("OIDC_ISSUER")
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET")
OIDC_NAME = env.text("OIDC_NAME", "your provider")
if OIDC_ISSUER and not (OIDC_CLIENT_ID and OIDC_CLIENT_SECRET):
    env.wrong("OIDC_ISSUER", "it needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET", example="")

# --- API --------------------------------------------------------------------------------------

ANONYMOUS_PLAYBACK = env.flag("ANONYMOUS_PLAYBACK", default=True)
RATE_LIMITS = {  # requests a minute by rate group (config.api.views); 0 = no limit
    "auth": env.number("RATE_LIMIT_AUTH", 20),
    "stream": env.number("RATE_LIMIT_STREAM", 60),
    "default": env.number("RATE_LIMIT_DEFAULT", 300),
    "refresh": env.number("RATE_LIMIT_AUTH", 20),  # of one sign-in
}
SILENCED_SYSTEM_CHECKS = [
    # config.http and config.pages_only have subclasses of SecurityMiddleware and CsrfViewMiddleware.
    "security.W001",
    "security.W003",
    *env.words("SILENCED_CHECKS"),
]
CORS_ORIGINS = env.origins("CORS_ALLOWED_ORIGINS", ("*",), wildcard="*")  # without cookies
CORS_ALLOW_ALL_ORIGINS = "*" in CORS_ORIGINS
CORS_ALLOWED_ORIGINS = [origin for origin in CORS_ORIGINS if origin != "*"]
CORS_ALLOW_HEADERS = cors.ALLOWED
CORS_EXPOSE_HEADERS = cors.EXPOSED

DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2500  # config.confirmation_page: two answers to each of 1000 rows
DATA_UPLOAD_MAX_NUMBER_FILES = 5

REST_FRAMEWORK = framework.REST_FRAMEWORK
DRF_STANDARDIZED_ERRORS = framework.STANDARDIZED_ERRORS

# --- uploads and processing -------------------------------------------------------------------

UPLOAD_MAX_BYTES = env.number("UPLOAD_MAX_BYTES", 20 * 1024**3, minimum=1)
CREATOR_QUEUE_VIDEOS = env.number("CREATOR_QUEUE_VIDEOS", 100, minimum=1)
CREATOR_QUEUE_BYTES = env.number("CREATOR_QUEUE_BYTES", 200 * 1024**3, minimum=1)
UPLOAD_QUOTA_BYTES = env.number("UPLOAD_QUOTA_BYTES", 100 * 1024**3, minimum=1)
UPLOAD_EXPIRE_HOURS = env.number("UPLOAD_EXPIRE_HOURS", 24, minimum=1, maximum=24 * 30)
STORAGE_RESERVE_BYTES = env.number("STORAGE_RESERVE_BYTES", 512 * 1024**2)

FFMPEG_PATH = env.program("FFMPEG_PATH")
FFPROBE_PATH = env.program("FFPROBE_PATH")
PACKAGER_PATH = env.program("PACKAGER_PATH")
FFMPEG_SANDBOX = env.choice("FFMPEG_SANDBOX", "auto", among=("auto", "bwrap", "limits"))
FFMPEG_PRESET = env.choice(
    "FFMPEG_PRESET",
    "veryfast",
    among=("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"),
)
LADDER_CODECS: list[str] = env.choice("LADDER_CODECS", "h264", among=("h264", "h264,av1")).split(
    ","
)
AV1_PRESET = env.number("AV1_PRESET", 9, minimum=4, maximum=13)
FFMPEG_THREADS = env.number("FFMPEG_THREADS", 0, maximum=256)
CHUNKS_FROM_SECONDS = env.number("CHUNKS_FROM_SECONDS", 600, minimum=1)
CHUNK_SECONDS = env.number("CHUNK_SECONDS", 60)
FFMPEG_MEMORY_MB = env.number("FFMPEG_MEMORY_MB", 4096, minimum=256)
FFMPEG_STALL_SECONDS = env.number("FFMPEG_STALL_SECONDS", 60, minimum=5)
MAX_DURATION_SECONDS = env.number("MAX_DURATION_SECONDS", 6 * 3600, minimum=1)
MAX_PIXELS = env.number("MAX_PIXELS", 35_651_584, minimum=1)
MAX_AUDIO_TRACKS = env.number("MAX_AUDIO_TRACKS", 16, maximum=24)
PROCESSING_TIME_FACTOR = env.number("PROCESSING_TIME_FACTOR", 20, minimum=1, maximum=1000)
MAX_STREAMS = env.number("MAX_STREAMS", 32, minimum=1)

QUEUE_ENGINE = env.choice("QUEUE_ENGINE", "database", among=("database", "celery"))
CELERY_BROKER_URL = env_urls.broker("CELERY_BROKER_URL")
if QUEUE_ENGINE == "celery" and not CELERY_BROKER_URL:
    env.wrong("QUEUE_ENGINE", "it needs CELERY_BROKER_URL", example="database")
elif QUEUE_ENGINE == "celery" and find_spec("celery") is None:
    env.wrong(
        "QUEUE_ENGINE",
        "it needs Celery: pip install -r requirements-celery.txt",
        example="database",
    )
CAPTIONS_MODEL: Path | None = env.model("CAPTIONS_MODEL")
JOB_LEASE_SECONDS = env.number("JOB_LEASE_SECONDS", 30, minimum=3, maximum=3600)
JOB_MAX_ATTEMPTS = env.number("JOB_MAX_ATTEMPTS", 4, minimum=1, maximum=100)
WORKER_POLL_SECONDS = 1.0
DELETED_RETENTION_DAYS = env.number("DELETED_RETENTION_DAYS", 30, maximum=36_500)  # 0 = for ever

# --- streaming --------------------------------------------------------------------------------

STREAM_TOKEN_SECONDS = 60
STREAM_KEY = env.derived_key(SECRET_KEY, "stream-token").hex()
GRANT_KEY = env.derived_key(SECRET_KEY, "playback-grant")
ANALYTICS_RETENTION_DAYS = env.number("ANALYTICS_RETENTION_DAYS", 800, maximum=36_500)
PLAYBACK_GRANT_HOURS = env.number("PLAYBACK_GRANT_HOURS", 12, minimum=1, maximum=72)
SESSION_IDLE_SECONDS = env.number("SESSION_IDLE_SECONDS", 1800, minimum=30)
MAX_CONCURRENT_STREAMS = env.number("MAX_CONCURRENT_STREAMS", 0, maximum=1000)  # 0 = no limit
GEOIP_DATABASE = env_files.countries("GEOIP_DATABASE")
BIND_PLAYBACK = env.choice("BIND_PLAYBACK", "device", among=("device", "network", "none"))
HEARTBEAT_SECONDS = 10
# Who sends the published files: the web server itself, or nginx (`manage.py nginx_config`).
DELIVERY = env_storage.delivery(
    "DELIVERY", storage=STORAGE, bucket=S3_BUCKET, access_key=S3_ACCESS_KEY
)

# --- money ------------------------------------------------------------------------------------

PAYMENT_GATEWAYS = ("sandbox", "stripe")  # payments/gateways/__init__.py has a class for each
PAYMENT_GATEWAY = env.choice("PAYMENT_GATEWAY", "sandbox", among=PAYMENT_GATEWAYS)
PLATFORM_FEE_BPS = env.number("PLATFORM_FEE_BPS", 2000, maximum=10_000)
DEFAULT_CURRENCY = env.currency("DEFAULT_CURRENCY", "USD")
SUBSCRIPTION_PRICE = env.price("SUBSCRIPTION_PRICE", "9.99", currency=DEFAULT_CURRENCY)
ORDER_TTL_MINUTES = env.number("ORDER_TTL_MINUTES", 60, minimum=1)
CHECKOUT_RETURN_ORIGINS = env.origins("CHECKOUT_RETURN_ORIGINS")
REFUND_WINDOW_DAYS = env.number("REFUND_WINDOW_DAYS", 14, maximum=365)
REFUND_WATCHED_PERCENT = env.number("REFUND_WATCHED_PERCENT", 20, maximum=100)
REFUNDS_PER_VIDEO = env.number("REFUNDS_PER_VIDEO", 1, maximum=1000)
REFUNDS_PER_30_DAYS = env.number("REFUNDS_PER_30_DAYS", 10, maximum=10_000)
RENTAL_START_DAYS = env.number("RENTAL_START_DAYS", 30, minimum=1, maximum=365)
SUBSCRIPTION_GRACE_DAYS = env.number("SUBSCRIPTION_GRACE_DAYS", 7, maximum=60)
PAYOUT_HOLD_DAYS = env.number("PAYOUT_HOLD_DAYS", 14, maximum=365)
PAYOUT_MINIMUM = env.amount("PAYOUT_MINIMUM", "10")
POOL_ALGORITHM = env.choice("POOL_ALGORITHM", "prorata-v1", among=("prorata-v1", "user-centric-v1"))
POOL_CLOSE_AFTER_HOURS = env.number("POOL_CLOSE_AFTER_HOURS", 48, maximum=31 * 24)
WEBHOOK_TOLERANCE_SECONDS = 300
SANDBOX_WEBHOOK_SECRETS = env.words(
    "SANDBOX_WEBHOOK_SECRETS", (env.derived_key(SECRET_KEY, "sandbox-webhook").hex(),)
)
STRIPE_SECRET_KEY = env.text("STRIPE_SECRET_KEY")
STRIPE_PUBLISHABLE_KEY = env.text("STRIPE_PUBLISHABLE_KEY")
STRIPE_WEBHOOK_SECRETS = env.words("STRIPE_WEBHOOK_SECRETS")
STRIPE_API_BASE = env.origin("STRIPE_API_BASE")
if PAYMENT_GATEWAY == "stripe" and not (STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRETS):
    needed = (
        "it needs STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRETS (docs/operations.md, Stripe);"
        " to try the service without an account, use the sandbox"
    )
    env.wrong("PAYMENT_GATEWAY", needed, example="sandbox")
WEBHOOK_ENDPOINTS_MAX = env.number("WEBHOOK_ENDPOINTS_MAX", 10, maximum=1000)
WEBHOOK_ALLOW_LOCAL = env.flag("WEBHOOK_ALLOW_LOCAL", default=False)

# --- mail -------------------------------------------------------------------------------------

_mail_server = env_urls.mail("EMAIL_URL", "consolemail://")
EMAIL_BACKEND = _mail_server.backend
EMAIL_HOST = _mail_server.host
EMAIL_PORT = _mail_server.port
EMAIL_HOST_USER = _mail_server.user
EMAIL_HOST_PASSWORD = _mail_server.password
EMAIL_USE_TLS = _mail_server.use_tls
EMAIL_USE_SSL = _mail_server.use_ssl
EMAIL_FILE_PATH = _mail_server.file_path
DEFAULT_FROM_EMAIL = env.email("DEFAULT_FROM_EMAIL", "vod@localhost", named=True)
BRAND_NAME = env_brand.name("BRAND_NAME", "Video on demand")
BRAND_COLOUR = env_brand.colour("BRAND_COLOUR", "#4338ca")
BRAND_LOGO_URL = env_brand.picture("BRAND_LOGO_URL")  # empty: mails show the name
SPECTACULAR_SETTINGS = framework.spectacular(PUBLIC_URL, DEFAULT_FROM_EMAIL)

# --- audit ------------------------------------------------------------------------------------

AUDIT_READS = env.flag("AUDIT_READS", default=True)
AUDIT_ACTIVITY_DAYS = env.number("AUDIT_ACTIVITY_DAYS", 30, maximum=3650)
AUDIT_FLUSH_SECONDS = 0.25
# The keys that seal the audit log: the first one seals, the others only verify older entries.
AUDIT_KEY = env.secret("AUDIT_KEY", at_least=32, default=SECRET_KEY)
AUDIT_KEY_FALLBACKS = [*env.words("AUDIT_KEY_FALLBACKS"), SECRET_KEY, *SECRET_KEY_FALLBACKS]
AUDIT_KEYS = [env.derived_key(key, "audit") for key in (AUDIT_KEY, *AUDIT_KEY_FALLBACKS)]
# Hashes the addresses of failed sign-ins to no account (`audit/addresses.py`).
ADDRESS_NAME_KEY = env.derived_key(SECRET_KEY, "address-name")
AUDIT_KEEP_DAYS = env.number("AUDIT_KEEP_DAYS", 0, maximum=36_500)  # 0 = for ever
AUDIT_CHECKPOINT_FILE = env.file("AUDIT_CHECKPOINT_FILE")

# --- transport security -------------------------------------------------------------------------

# config.http serves plain HTTP on the loopback address only. ALLOW_HTTP turns the rule off, for
# networks that are protected in another way.
ALLOW_HTTP = env.flag("ALLOW_HTTP", default=DEBUG)
SECURE_SSL_REDIRECT = not ALLOW_HTTP
# No SECURE_PROXY_SSL_HEADER: uvicorn already reads X-Forwarded-Proto, and only from TRUSTED_PROXIES.
SECURE_HSTS_SECONDS = 0 if ALLOW_HTTP else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not ALLOW_HTTP
# Not "no-referrer": browsers then post the admin site's forms with `Origin: null`, and Django's CSRF
# check refuses them. Responses with a key in their path set "no-referrer" themselves.
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not ALLOW_HTTP
# A browser takes a cookie with this prefix only if it is Secure, of this host alone and for all paths:
# no other host of the domain can plant one (RFC 6265bis, 4.1.3.2).
_COOKIE_PREFIX = "" if ALLOW_HTTP else "__Host-"
SESSION_COOKIE_NAME = f"{_COOKIE_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{_COOKIE_PREFIX}csrftoken"
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True  # no script of a page needs either
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # no cookie of its own
CSRF_FAILURE_VIEW = "config.error_pages.csrf_failure"
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS", wildcard="*.")
X_FRAME_OPTIONS = "DENY"

# --- logging ----------------------------------------------------------------------------------

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", among=("DEBUG", "INFO", "WARNING", "ERROR"))
LOG_FORMAT = env.choice("LOG_FORMAT", "text", among=logs.FORMATS)
LOGGING = logs.configuration(LOG_LEVEL, LOG_FORMAT)

OTEL_EXPORTER_OTLP_ENDPOINT = env_urls.collector("OTEL_EXPORTER_OTLP_ENDPOINT")
METRICS_TOKEN = env.secret("METRICS_TOKEN", at_least=32, optional=True)  # empty: this machine only

env.finish()
