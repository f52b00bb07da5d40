"""What this room tells others. Sent after the transaction that caused it has been committed."""

from django.dispatch import Signal

# Verdicts were cast, imported or retracted. Arguments: arena_id (int), judge_ids (frozenset of int).
verdicts_changed = Signal()
