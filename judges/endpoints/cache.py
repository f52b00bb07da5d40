"""Replies that were paid for once. What couldn't be read is never here.

The whole request is part of the key, with the fence around what strangers wrote. A fence that is new in every
run would make every request another one, so the run derives it from the case by a keyed hash
(``judges.runs.cases.fence_of``): equal cases have equal requests, and nobody can foresee it.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone

from judges.endpoints.interface import Answer, Question
from judges.models import CachedReply
from judges.protocols.interface import Reply, Token

BATCH = 200
SWEPT = 10_000  # of one sweep: what is left is for the next


def key_of_question(question: Question) -> str:
    """SHA-256 of all that decides the answer: where is asked, what exactly, and which repetition."""
    endpoint, request = question.endpoint, question.request
    decisive = {
        "url": endpoint.url.rstrip("/"),
        "api": endpoint.api,
        "model": endpoint.model,
        "parameters": sorted(dict(endpoint.parameters).items()),
        "messages": request.messages,
        "max_tokens": request.max_tokens,
        "schema": request.schema if endpoint.supports_schema else None,
        "top_logprobs": request.top_logprobs,
        "repetition": question.repetition,
    }
    return hashlib.sha256(_canonical(decisive).encode()).hexdigest()


def find(keys: Sequence[str]) -> list[Answer | None]:
    """The answer to each key that is known: one query."""
    rows = CachedReply.objects.in_bulk(set(keys), field_name="key")
    return [_answer(rows[key]) if key in rows else None for key in keys]


def keep(found: Sequence[tuple[str, str, Answer]]) -> list[None]:
    """Keeps (key, model, answer) of each: one statement. What is there already stays."""
    CachedReply.objects.bulk_create(
        (_row(key, model, answer) for key, model, answer in found), ignore_conflicts=True
    )
    return [None] * len(found)


def forget_old(days: int) -> int:
    """Delete replies that are older than so many days, the oldest first; how many. 0 days: none ever are."""
    if not days:
        return 0
    limit, forgotten = timezone.now() - timedelta(days=days), 0
    while forgotten < SWEPT:
        # Rows are as old as their ids say, so the first that is young ends the search.
        oldest = CachedReply.objects.order_by("pk").values_list("pk", "created_at")[:BATCH]
        old = [pk for pk, created_at in oldest if created_at < limit]
        forgotten += CachedReply.objects.filter(pk__in=old).delete()[0]
        if len(old) < BATCH:
            break
    return forgotten


def _row(key: str, model: str, answer: Answer) -> CachedReply:
    tokens = answer.reply.tokens
    return CachedReply(
        key=key,
        model=model,
        text=answer.reply.text,
        tokens=tokens and [[t.text, t.logprob, t.alternatives] for t in tokens],
        finish=answer.reply.finish,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        seconds=answer.seconds,
        raw=answer.raw,
    )


def _answer(row: CachedReply) -> Answer:
    tokens = row.tokens and tuple(
        Token(text, logprob, tuple((other, p) for other, p in alternatives))
        for text, logprob, alternatives in row.tokens
    )
    return Answer(
        reply=Reply(text=row.text, tokens=tokens, finish=row.finish),
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost=0.0,
        seconds=row.seconds,
        from_cache=True,
        raw=row.raw,
        attempts=0,
    )


def _canonical(value: Any) -> str:
    # Mappings that aren't dictionaries are those of frozen requests.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=dict)
