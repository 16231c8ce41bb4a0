"""Every setting, read once from the environment; a missing secret stops the process at start."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import environ

from unosat.ops import addresses
from unosat.ops.bucket import Bucket

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent


def _library(package: str, pattern: str) -> str:
    """The shared library that a wheel brought along; no system GDAL or GEOS is needed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{package} is not installed")
    found = sorted(Path(spec.origin).parent.parent.glob(f"{package}.libs/{pattern}"))
    if not found:
        raise RuntimeError(f"{package} came without {pattern}")
    return str(found[0])


# GDAL in this process never follows a name to the network or to side files (see scenes/sandbox.py
# for the stricter environment in which uploads are converted). Set before any GDAL is loaded.
os.environ.setdefault("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")
os.environ.setdefault("CPL_VSIL_CURL_ALLOWED_EXTENSIONS", ".none")
os.environ.setdefault("GDAL_VRT_ENABLE_PYTHON", "NO")
GDAL_LIBRARY_PATH = _library("pyogrio", "libgdal-*")
GEOS_LIBRARY_PATH = _library("shapely", "libgeos_c-*")

# --- security: no defaults, so a deployment that forgot one cannot start
SECRET_KEY = env.str("UNOSAT_SECRET_KEY")
ALLOWED_HOSTS = env.list("UNOSAT_ALLOWED_HOSTS")
DEBUG = env.bool("UNOSAT_DEBUG", default=False)
CSRF_TRUSTED_ORIGINS = env.list("UNOSAT_TRUSTED_ORIGINS", default=[])
_over_https = env.bool("UNOSAT_HTTPS", default=False)  # true where TLS ends in front of us
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _over_https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _over_https else None
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)

# --- storage
_database: dict[str, Any] = env.db("UNOSAT_DATABASE_URL")
DATABASES: dict[str, dict[str, Any]] = {
    "default": _database
    | {
        "ENGINE": "unosat.ops.database",  # PostGIS; a restarted server costs no request
        "CONN_MAX_AGE": 0,  # the pool keeps connections; requests must not
        # What the address asks for itself, as "?sslmode=verify-full", stays.
        "OPTIONS": {
            # A query of tens of milliseconds is not worth 20 of compiling, which PostgreSQL does
            # whenever it takes one for expensive, as it takes whatever calls PostGIS.
            "options": "-c jit=off",
        }
        | _database.get("OPTIONS", {})
        | {
            "pool": {
                "min_size": 1,
                "max_size": env.int("UNOSAT_DATABASE_POOL", default=10),
                "timeout": 10,
            }
        },
    }
}
UNOSAT_STORE = Path(env.str("UNOSAT_STORE", default=str(BASE_DIR / "var" / "store")))
_storage_url = env.str("UNOSAT_STORAGE_URL", default="")  # else all lies in the folder above
UNOSAT_BUCKET = Bucket.parse(_storage_url) if _storage_url else None
STORAGES = {
    "default": UNOSAT_BUCKET.as_storage()
    if UNOSAT_BUCKET
    else {"BACKEND": "unosat.ops.store.Folder"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
UNOSAT_MAX_UPLOAD_BYTES = env.int("UNOSAT_MAX_UPLOAD_BYTES", default=10 * 1024**3)
UNOSAT_QUOTA_BYTES = env.int("UNOSAT_QUOTA_BYTES", default=None)  # of each organisation
UNOSAT_KEEP_FREE_BYTES = env.int("UNOSAT_KEEP_FREE_BYTES", default=512 * 1024**2)  # of the disk
# Ports that a link to import from may name; none switches it off. Private networks are never
# reached (see scenes/fetching.py), and only the settings of tests name another fetcher.
UNOSAT_FETCH_PORTS = env.list("UNOSAT_FETCH_PORTS", cast=int, default=[443, 8443])
UNOSAT_FETCHER = "unosat.scenes.fetching.from_settings"
UNOSAT_REDIS_URL = env.str("UNOSAT_REDIS_URL")
UNOSAT_METRICS_TOKEN = env.str("UNOSAT_METRICS_TOKEN", default="")  # "": metrics for staff only

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": UNOSAT_REDIS_URL,
        "KEY_PREFIX": "unosat",  # beside the queues in the same Redis: never clear() it
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},  # seconds
    }
}

# --- background work: the database owns the state of every job, the queue only wakes workers
CELERY_BROKER_URL = addresses.for_celery(UNOSAT_REDIS_URL)
CELERY_BROKER_USE_SSL = addresses.tls_for_celery(UNOSAT_REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # longer than any shard; leases notice a dead worker far sooner
    "visibility_timeout": env.int("UNOSAT_VISIBILITY_SECONDS", default=3600),
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "max_retries": 1,  # a web request does not wait for a broker that is away: the outbox does
    "interval_start": 0,  # seconds
    "socket_connect_timeout": 2,
    "socket_timeout": 3,  # else whoever sends to a Redis that hangs waits for ever
}
UNOSAT_LEASE_SECONDS = env.int("UNOSAT_LEASE_SECONDS", default=30)  # silence that means death
UNOSAT_SHARD_SECONDS = env.int("UNOSAT_SHARD_SECONDS", default=60)  # lost at most when one dies
UNOSAT_BATCH_SIZE = env.int("UNOSAT_BATCH_SIZE", default=1)  # tiles at once; 8 suits a GPU
UNOSAT_TRAINING_STEPS = env.int("UNOSAT_TRAINING_STEPS", default=240)  # of one retraining
UNOSAT_DEVICE = env.str("UNOSAT_DEVICE", default="auto")  # of detection workers: cpu, cuda
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True  # a killed worker's message goes back to the queue...
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1  # ...and no worker hoards what it cannot start
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "light"
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "relay": {
        "task": "ops.relay",
        "schedule": 2.0,
        "options": {"queue": "light", "expires": 10},
    },
    "sweep": {
        "task": "ops.sweep",
        "schedule": 10.0,
        "options": {"queue": "light", "expires": 30},
    },
    "measure store": {
        "task": "ops.measure_store",
        "schedule": 600.0,
        "options": {"queue": "light", "expires": 300},
    },
    "expire uploads": {
        "task": "scenes.expire_uploads",
        "schedule": 3600.0,
        "options": {"queue": "light", "expires": 600},
    },
}

# --- framework
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.gis",
    "django_htmx",
    "ninja",  # its pages of the API from our own files, never from another host
    "unosat.accounts",
    "unosat.scenes",
    "unosat.assessments",
    "unosat.review",
    "unosat.exports",
    "unosat.training",
    "unosat.teams",
    "unosat.quality",
    "unosat.ops",
]
MIDDLEWARE = [
    "unosat.requests.NamedRequests",
    "unosat.requests.answer_probes",  # before the host is checked: probes come by address
    "django.middleware.security.SecurityMiddleware",
    "unosat.middleware.content_security_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "unosat.middleware.Refusals",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "unosat" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "unosat.urls"
ASGI_APPLICATION = "unosat.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = ["unosat.accounts.throttle.Doorkeeper"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024**2  # forms and JSON; files are streamed to disk
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]

# --- static files, from the web process itself
STATIC_URL = "static/"
STATICFILES_DIRS = [path for path in [BASE_DIR / "frontend" / "dist"] if path.is_dir()]
WHITENOISE_USE_FINDERS = True

# --- logging: one line per event, facts in `extra`; never a secret, never a whole request
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "unosat.logs.formatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("UNOSAT_LOG_LEVEL", default="INFO")},
    "loggers": {name: {"level": "WARNING"} for name in ("numexpr", "rasterio", "rio_tiler")}
    | {"uvicorn": {"propagate": True}},  # its lines look like all others
}
