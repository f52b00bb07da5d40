"""How django-allauth makes accounts here."""

import secrets
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter


class AccountAdapter(DefaultAccountAdapter):
    """People are known by their e-mail address; the user's name is for the database and says nothing."""

    def generate_unique_username(self, txts: Any, regex: Any = None) -> str:
        # 64 random bits: no name is met twice, and none gives away an address.
        return f"account-{secrets.token_hex(8)}"
