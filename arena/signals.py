"""What this room tells others. Sent within the transaction that caused it."""

from django.dispatch import Signal

# Other prompts belong to these categories than before, or a category has another slug or is gone.
# Arguments: arena_id (int), slugs (frozenset of str).
categories_changed = Signal()

# Outputs were added to the arena. Arguments: arena_id (int), after (int): the new ones are those of the
# arena with a higher id than this.
outputs_added = Signal()

# Battles are chosen by another policy than before. Argument: arena_id (int).
policy_changed = Signal()

# A system was published, deprecated or withdrawn. Argument: arena_id (int).
standings_changed = Signal()

# A submission was accepted or is to be tried again, was cancelled or withdrawn. Arguments: arena_id (int),
# submission_id (int).
submission_changed = Signal()
