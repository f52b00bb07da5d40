"""What this room tells others. Sent within the transaction that caused it."""

from django.dispatch import Signal

# Verdicts were cast, imported or retracted. Arguments: arena_id (int), judge_ids (frozenset of int).
verdicts_changed = Signal()

# A run has asked all that it was told to and waits for ratings to say whether that is enough. Arguments:
# run_id, and now (bool): answer in this process, since there may be no worker.
run_waits = Signal()

# Rankings of several outputs were decided or taken back. Argument: arena_id (int).
rankings_changed = Signal()
