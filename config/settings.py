"""The one settings file. Everything that differs between a laptop and a cluster comes from the environment."""

import importlib.util
import os
import secrets
from pathlib import Path

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from config import mail
from config.endpoints import keys_by_endpoint
from config.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()

# Where this installation keeps what it writes: database, queue, secret key.
VAR_DIR = Path(env.text("JURYBOX_VAR_DIR", str(BASE_DIR / "var")))
VAR_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = env.flag("JURYBOX_DEBUG", default=False)


def _secret_key() -> str:
    """From the environment, or made once and kept beside the database with owner-only rights."""
    if value := env.text("JURYBOX_SECRET_KEY", ""):
        if len(value) < 32:
            raise ImproperlyConfigured("JURYBOX_SECRET_KEY must have at least 32 characters.")
        return value
    file = VAR_DIR / "secret_key"
    try:
        # O_EXCL: of two processes that start at once, one writes and the other reads.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text()
    key = secrets.token_urlsafe(50)
    with os.fdopen(descriptor, "w") as f:
        f.write(key)
    return key


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = env.words("JURYBOX_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("JURYBOX_TRUSTED_ORIGINS", "")
BEHIND_TLS = env.flag("JURYBOX_BEHIND_TLS", default=False)
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31_536_000
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "allauth",
    "allauth.account",
    "arena",
    "judges",
    "ratings",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- database -------------------------------------------------------------------------------------
DATABASE_URL = env.url(
    "DATABASE_URL",
    f"sqlite:///{VAR_DIR / 'jurybox.sqlite3'}",
    schemes=("sqlite", "postgres", "postgresql"),
)
DATABASES = {"default": dj_database_url.parse(DATABASE_URL, conn_max_age=60)}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE takes the write lock when a transaction begins. Under the default (DEFERRED) two
    # transactions that both read and then write fail with "database is locked" at once, whatever the
    # timeout, and a retry by hand loses updates.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536;"
            "PRAGMA mmap_size=268435456; PRAGMA temp_store=MEMORY;"
        ),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Celery ---------------------------------------------------------------------------------------
# Rows in the database are the record of work; a message only says "look now". The filesystem broker may
# lose a message when a worker is killed, and the sweeper asks again.
CELERY_BROKER_URL = env.url(
    "CELERY_BROKER_URL",
    "filesystem://localhost",
    schemes=("filesystem", "redis", "rediss", "memory"),
)
if CELERY_BROKER_URL.startswith("filesystem"):
    QUEUE_DIR = VAR_DIR / "queue"
    for folder in ("messages", "control"):
        (QUEUE_DIR / folder).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(QUEUE_DIR / "messages"),
        "data_folder_out": str(QUEUE_DIR / "messages"),
        "control_folder": str(QUEUE_DIR / "control"),
    }
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = env.number("JURYBOX_WORKERS", 2, at_least=1)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
# How long a claimed job may run before the sweeper takes it for dead, and how often it looks.
JOB_LEASE_SECONDS = env.number("JURYBOX_JOB_LEASE_SECONDS", 600, at_least=5)
SWEEP_SECONDS = env.number("JURYBOX_SWEEP_SECONDS", 30, at_least=1)
# How many workers take turns at one run of an LLM judge. Its endpoint's concurrency is that of all of them.
RUN_WORKERS = env.number("JURYBOX_RUN_WORKERS", 1, at_least=1)
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "ratings.tasks.sweep", "schedule": SWEEP_SECONDS},
    "sweep-runs": {"task": "judges.tasks.sweep_runs", "schedule": SWEEP_SECONDS},
    "sweep-fragility": {"task": "ratings.tasks.sweep_fragility", "schedule": SWEEP_SECONDS},
    "sweep-rounds": {"task": "ratings.tasks.sweep_rounds", "schedule": SWEEP_SECONDS},
    "sweep-submissions": {"task": "ratings.tasks.sweep_submissions", "schedule": SWEEP_SECONDS},
    "sweep-requests": {"task": "judges.tasks.sweep_requests", "schedule": SWEEP_SECONDS},
    "sweep-derivations": {
        "task": "judges.tasks.sweep_derivations",
        "schedule": SWEEP_SECONDS,
    },
    "sweep-voters": {"task": "ratings.tasks.sweep_voters", "schedule": SWEEP_SECONDS},
    "sweep-leaks": {"task": "arena.tasks.sweep_leaks", "schedule": SWEEP_SECONDS},
    "sweep-ballots": {"task": "judges.tasks.sweep_ballots", "schedule": 600},
    "sweep-rankings": {"task": "judges.tasks.sweep_rankings", "schedule": 600},
    "sweep-answers": {"task": "arena.tasks.sweep_answers", "schedule": 3600},
    "sweep-replies": {"task": "judges.tasks.sweep_replies", "schedule": 600},
    "sweep-ranking-reports": {"task": "ratings.tasks.sweep_rankings", "schedule": SWEEP_SECONDS},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat-schedule")

# --- ratings --------------------------------------------------------------------------------------
# A slice that just became stale waits this long for more verdicts before it is rebuilt.
REFRESH_DEBOUNCE_SECONDS = env.number("JURYBOX_REFRESH_DEBOUNCE_SECONDS", 5)
BOOTSTRAP_ROUNDS = env.number("JURYBOX_BOOTSTRAP_ROUNDS", 1000, at_least=200)

# --- votes ----------------------------------------------------------------------------------------
# How many battles a minute one voter, and all voters of one network, may decide.
VOTES_PER_MINUTE = env.number("JURYBOX_VOTES_PER_MINUTE", 40, at_least=1)
NETWORK_VOTES_PER_MINUTE = env.number("JURYBOX_NETWORK_VOTES_PER_MINUTE", 600, at_least=1)

# --- endpoints of LLM judges ----------------------------------------------------------------------
# Nothing is asked that isn't under one of these, and no key is sent but to where it belongs.
ENDPOINT_KEYS = keys_by_endpoint(
    env.words("JURYBOX_ENDPOINTS", ""), env.words("JURYBOX_ENDPOINT_KEYS", "")
)
ENDPOINTS = list(ENDPOINT_KEYS)
# For how many days a model's reply is kept, so that the same question isn't paid for again; 0: for good.
REPLY_DAYS = env.number("JURYBOX_REPLY_DAYS", 0)

# --- API and downloads ----------------------------------------------------------------------------
# How many files of an arena's data one account, or one network without an account, may fetch in an hour.
DOWNLOADS_PER_HOUR = env.number("JURYBOX_DOWNLOADS_PER_HOUR", 60, at_least=1)
# How many requests a minute one account may make, by all its access tokens together.
API_REQUESTS_PER_MINUTE = env.number("JURYBOX_API_REQUESTS_PER_MINUTE", 300, at_least=1)

# --- accounts -------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "allauth.account.auth_backends.AuthenticationBackend",  # by e-mail
    "django.contrib.auth.backends.ModelBackend",  # by user name: the admin
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "config.accounts.AccountAdapter"
ACCOUNT_USER_DISPLAY = "config.accounts.address_of"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[Jurybox] "
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if BEHIND_TLS else "http"
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
ACCOUNT_SESSION_REMEMBER = True
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if BEHIND_TLS else 0

# Without a mail server nobody could be asked to confirm an address: the mail is printed instead.
EMAIL_URL = env.url("JURYBOX_EMAIL_URL", "", schemes=tuple(mail.SCHEMES))
globals().update(mail.settings_of(EMAIL_URL))
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("JURYBOX_EMAIL_FROM", "jurybox@localhost")
if EMAIL_URL and "@" not in DEFAULT_FROM_EMAIL.removesuffix("@localhost"):
    raise ImproperlyConfigured(
        "JURYBOX_EMAIL_FROM must be the address that mail comes from when JURYBOX_EMAIL_URL is set."
    )
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if EMAIL_URL else "optional"

# Sign-in by way of others: off unless it is asked for.
OAUTH_CLIENTS = {
    "github": (env.text("JURYBOX_GITHUB_ID", ""), env.text("JURYBOX_GITHUB_SECRET", "")),
    "google": (env.text("JURYBOX_GOOGLE_ID", ""), env.text("JURYBOX_GOOGLE_SECRET", "")),
}
OAUTH = env.words("JURYBOX_OAUTH", "")
for _provider in OAUTH:
    if _provider not in OAUTH_CLIENTS:
        raise ImproperlyConfigured(
            f"JURYBOX_OAUTH must be of {', '.join(OAUTH_CLIENTS)}, not {_provider!r}."
        )
    if not all(OAUTH_CLIENTS[_provider]):
        raise ImproperlyConfigured(
            f"JURYBOX_OAUTH names {_provider}: JURYBOX_{_provider.upper()}_ID and "
            f"JURYBOX_{_provider.upper()}_SECRET must be set too."
        )
if OAUTH:
    INSTALLED_APPS += [
        "allauth.socialaccount",
        *(f"allauth.socialaccount.providers.{provider}" for provider in OAUTH),
    ]
    SOCIALACCOUNT_PROVIDERS = {
        provider: {
            "APP": {"client_id": OAUTH_CLIENTS[provider][0], "secret": OAUTH_CLIENTS[provider][1]},
            "SCOPE": {"github": ["user:email"], "google": ["email"]}[provider],
        }
        for provider in OAUTH
    }
# A form that leads there is let through by the content security policy.
OAUTH_SITES = {"github": "https://github.com", "google": "https://accounts.google.com"}
FORM_TARGETS = [OAUTH_SITES[provider] for provider in OAUTH]

# Counts attempts to sign in. In one place for all web processes where there is Redis.
if CELERY_BROKER_URL.startswith("redis"):
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": CELERY_BROKER_URL,
            "KEY_PREFIX": "jurybox",
        }
    }

# --- making arenas --------------------------------------------------------------------------------
WHO_MAKES_ARENAS = env.text("JURYBOX_WHO_MAKES_ARENAS", "accounts")
if WHO_MAKES_ARENAS not in ("accounts", "staff"):
    raise ImproperlyConfigured(
        f"JURYBOX_WHO_MAKES_ARENAS must be accounts or staff, not {WHO_MAKES_ARENAS!r}."
    )
# Whoever asks a model spends the operator's money, and anybody may be a maintainer of an arena of their own.
WHO_ASKS_MODELS = env.text("JURYBOX_WHO_ASKS_MODELS", "staff")
if WHO_ASKS_MODELS not in ("maintainers", "staff"):
    raise ImproperlyConfigured(
        f"JURYBOX_WHO_ASKS_MODELS must be maintainers or staff, not {WHO_ASKS_MODELS!r}."
    )
LARGEST_UPLOAD = env.number("JURYBOX_LARGEST_UPLOAD_MB", 20, at_least=1) * 2**20  # bytes
# … and what a packed one may unpack to.
LARGEST_UNPACKED = env.number("JURYBOX_LARGEST_UNPACKED_MB", 60, at_least=1) * 2**20
# Files that were checked and wait for a second look before they are added.
UPLOADS_DIR = VAR_DIR / "uploads"
# Images of arenas. Served by a view that asks who may see the arena: no web server may serve the folder.
MEDIA_ROOT = VAR_DIR / "media"
FILE_UPLOAD_HANDLERS = [
    "config.uploads.Bounded",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

# --- pages ----------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # empty until collected; WhiteNoise warns where there is none
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "config.staticfiles.PackagedFilesFinder",
]
# Files that Python packages carry, by the URL path we serve them under. find_spec doesn't import.
PACKAGED_STATIC_FILES = {
    "vendor/plotly.min.js": ("plotly", "package_data/plotly.min.js"),
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "config.staticfiles.Storage"},
}
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG

X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "arena.api_access.TokenAuthentication",
        # Asks for the CSRF token of whoever is signed in and writes.
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["arena.api_access.MayWrite"],
    "DEFAULT_THROTTLE_CLASSES": ["arena.api_access.PerAccount"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_VERSIONING_CLASS": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Jurybox",
    "DESCRIPTION": "Battles, verdicts, leaderboards and judge reports; making and running arenas.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {
        "RunState": "judges.models.JudgeRun.State",
        "CallState": "judges.models.JudgeCall.State",
        "JobState": "judges.models.Trial.State",
        "SubmissionState": "arena.models.Submission.State",
        "JudgeKind": "judges.models.Judge.Kind",
        "MadeKind": "judges.api_judges.MADE",
        "OutcomeEnum": "judges.api.OUTCOME_NAMES",
        "ShownFirstEnum": "judges.api.SIDE_NAMES",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"httpx2": {"level": "WARNING"}},  # a line for each call to a model otherwise
}

if importlib.util.find_spec("plotly") is None:
    raise ImproperlyConfigured("The package plotly is missing: install requirements/base.txt.")

# JURYBOX_DATA names real data for tests; the demo's runner reads JURYBOX_PORT.
env.refuse_unknown(also=("JURYBOX_DATA", "JURYBOX_PORT"))
