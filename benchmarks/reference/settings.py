"""The settings of the bare application: what is not named here is Django's default."""

from config import env, env_urls

SECRET_KEY = env.secret("SECRET_KEY", at_least=50)
JWT_KEY = env.derived_key(SECRET_KEY, "jwt").hex()  # that of the service
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
ROOT_URLCONF = "reference.views"
INSTALLED_APPS = ["reference"]
MIDDLEWARE: list[str] = []
DATABASES = {"default": env_urls.database("DATABASE_URL", "sqlite:///:memory:")}
if DATABASES["default"]["ENGINE"] == env_urls.POSTGRES:
    DATABASES["default"]["ENGINE"] = "django.db.backends.postgresql"
PASSWORD_HASHERS = ["accounts.hashers.OwaspArgon2Hasher"]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
}
env.finish()
