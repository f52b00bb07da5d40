"""How django-allauth makes accounts here."""

import secrets
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest


def address_of(user: Any) -> str:
    """What people are called on their own pages."""
    return user.email or user.username


class AccountAdapter(DefaultAccountAdapter):
    """People are known by their e-mail address; the user's name is for the database and says nothing."""

    def generate_unique_username(self, txts: Any, regex: Any = None) -> str:
        # 64 random bits: no name is met twice, and none gives away an address.
        return f"account-{secrets.token_hex(8)}"

    def add_message(
        self,
        request: HttpRequest,
        level: int,
        message_template: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        # Where no mail server is set, mail is printed for whoever runs the site: nothing was sent.
        if (
            message_template == "account/messages/email_confirmation_sent.txt"
            and not settings.EMAIL_URL
        ):
            return
        super().add_message(request, level, message_template, *args, **kwargs)
