"""Who asks the API: by an access token, or as somebody signed in; and how often."""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from arena.models import AccessToken
from arena.tokens import TokenError, find_token

NEEDS_SOMEBODY = (
    "Only accounts may do this: send “Authorization: Bearer” and an access token, which you make on your "
    "account’s page."
)
ONLY_READS = "This token may only read: make one that may write on your account’s page."


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer TOKEN``. Other schemes are left to whoever stands in front of the site."""

    def authenticate(self, request: Request) -> tuple[Any, AccessToken] | None:
        scheme, _, words = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        try:
            token = find_token(words.strip().decode("ascii", "replace"))
        except TokenError as error:
            raise AuthenticationFailed(str(error)) from error
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class BearerScheme(OpenApiAuthenticationExtension):
    """How the description of the API calls it."""

    target_class = "arena.api_access.TokenAuthentication"
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class MayWrite(BasePermission):
    """Everybody may read; writing needs an account, and a token needs the scope."""

    def has_permission(self, request: Request, view: Any) -> bool:
        # What the view doesn't have is answered so, to everybody.
        if request.method in SAFE_METHODS or not hasattr(view, request.method.lower()):
            return True
        if not request.user.is_authenticated:
            raise NotAuthenticated(NEEDS_SOMEBODY)
        if request.auth is not None and request.auth.scope != AccessToken.Scope.WRITE:
            raise PermissionDenied(ONLY_READS)
        return True


class Somebody(BasePermission):
    """Reading, too, needs an account."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated:
            raise NotAuthenticated(NEEDS_SOMEBODY)
        return True


class PerAccount(SimpleRateThrottle):
    """So many requests of one account in a minute, by all its tokens together."""

    scope = "api"

    def get_rate(self) -> str:
        return f"{settings.API_REQUESTS_PER_MINUTE}/min"

    def get_cache_key(self, request: Request, view: Any) -> str | None:
        if not request.user.is_authenticated:
            return None  # reads what caches hold
        return self.cache_format % {"scope": self.scope, "ident": request.user.pk}
