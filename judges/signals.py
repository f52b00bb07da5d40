"""What this room tells others. Sent within the transaction that caused it."""

from django.dispatch import Signal

# Verdicts were cast, imported or retracted. Arguments: arena_id (int), judge_ids (frozenset of int).
verdicts_changed = Signal()

# Rankings of several outputs were decided or taken back. Argument: arena_id (int).
rankings_changed = Signal()
