"""What an endpoint is to a run: it answers requests, at a price and within limits, or fails for a reason."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from judges.protocols.interface import Reply, Request


class Failure(StrEnum):
    """Why a call gave nothing. The words are kept with the call and shown on the run's page."""

    RATE_LIMITED = "rate limited"
    SERVER = "server error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    MALFORMED = "malformed answer"
    REFUSED = "request refused"  # 4xx other than 401, 403, 404, 408 and 429
    CREDENTIALS = "credentials"
    NOT_FOUND = "not found"
    UNREADABLE = "unreadable reply"  # said by the protocol
    CUT_OFF = "cut off"  # the reply ended at the token limit
    NOT_ALLOWED = "endpoint not allowed"
    MISSING_INPUT = "missing input"  # e.g. no reference answer where the judge needs one


# Of these another attempt may go well; the others would fail again.
RETRIED = frozenset(
    {Failure.RATE_LIMITED, Failure.SERVER, Failure.TIMEOUT, Failure.CONNECTION, Failure.MALFORMED,
     Failure.UNREADABLE, Failure.CUT_OFF}
)  # fmt: skip
# The model may have been paid for these although they gave nothing.
MAYBE_PAID = frozenset({Failure.UNREADABLE, Failure.CUT_OFF, Failure.MALFORMED, Failure.TIMEOUT})


class CallError(Exception):
    """A call that failed; str() is a sentence for people. ``text`` is what came back, if anything did."""

    def __init__(
        self,
        failure: Failure,
        message: str,
        *,
        text: str = "",
        retry_after: float | None = None,
        status: int | None = None,
        cost: float = 0.0,
        attempts: int = 1,
        is_final: bool = False,
    ) -> None:
        self.failure, self.text, self.retry_after, self.status = failure, text, retry_after, status
        self.cost, self.attempts = cost, attempts  # USD that is known to have been spent in vain
        self.untold = 0  # further attempts that may have been paid for, nobody knows with how much
        self.is_final = is_final  # not tried again, whatever the failure
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is asked, as a judge's configuration has it. Never holds a secret."""

    url: str
    model: str
    key_name: str = ""  # the environment variable with the key; empty: the server wants none
    parameters: tuple[tuple[str, Any], ...] = ()  # temperature, top_p, seed …, sorted by name
    supports_schema: bool = True
    input_price: float = 0.0  # USD per million tokens
    output_price: float = 0.0
    timeout: float = 60.0  # seconds, of a whole call
    concurrency: int = 8
    requests_per_minute: int = 0  # 0: no limit
    tokens_per_minute: int = 0
    # Or a provider's own (judges/endpoints/providers.py), or a reward model's (reward.py).
    api: str = "chat"


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply with what it took. Tokens are None where the server tells none, or what can't be true.

    ``cost`` includes attempts whose reply couldn't be used; None where a price is set and tokens aren't told.
    An answer from the cache costs nothing. ``untold`` attempts may have cost more, and nobody knows what.
    """

    reply: Reply
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None  # USD
    seconds: float = 0.0
    from_cache: bool = False
    raw: dict[str, Any] = field(default_factory=dict)
    attempts: int = 1
    untold: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """A request to an endpoint, and which repetition of it: equal questions have equal answers in the cache."""

    endpoint: Endpoint
    request: Request
    repetition: int = 0
