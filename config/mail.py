"""JURYBOX_EMAIL_URL, read strictly: how mail is sent, as Django's settings."""

from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

# scheme: (usual port, TLS from the first byte, STARTTLS)
SCHEMES = {
    "smtp": (25, False, False),
    "smtp+tls": (587, False, True),
    "smtps": (465, True, False),
}
TIMEOUT = 15  # seconds; a page waits for the mail server


def settings_of(url: str) -> dict[str, Any]:
    """Django's EMAIL_ settings for ``smtps://user:password@host:port``; empty prints mail to the console.

    Raises ImproperlyConfigured, with a sentence that doesn't repeat the password.
    """
    if not url:
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not host or parts.path.strip("/") or parts.query:
        raise ImproperlyConfigured(
            "JURYBOX_EMAIL_URL must look like smtps://user:password@host:465, with what is special in "
            "the user's name and the password percent-encoded."
        )
    usual, ssl, starttls = SCHEMES[parts.scheme]
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": host,
        "EMAIL_PORT": port or usual,
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": ssl,
        "EMAIL_USE_TLS": starttls,
        "EMAIL_TIMEOUT": TIMEOUT,
    }
