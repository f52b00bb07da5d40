"""What this room tells others. Sent within the transaction that caused it."""

from django.dispatch import Signal

# Verdicts were cast, imported or retracted. Arguments: arena_id (int), judge_ids (frozenset of int).
verdicts_changed = Signal()
