"""Which prompts belong to a category: tells when that changes."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models.signals import m2m_changed, pre_delete, pre_save
from django.dispatch import receiver

from arena.models import Category, Prompt
from arena.signals import categories_changed


def announce(category_ids: Iterable[int]) -> None:
    """Tell the rooms above, in the transaction of the change. For whoever writes the labels' table itself."""
    slugs = defaultdict(set)
    found = Category.objects.filter(pk__in=list(category_ids)).order_by()
    for arena, slug in found.values_list("arena_id", "slug"):
        slugs[arena].add(slug)
    for arena, changed in slugs.items():
        categories_changed.send(Category, arena_id=arena, slugs=frozenset(changed))


@receiver(m2m_changed, sender=Prompt.categories.through)
def labels_were_changed(
    sender: Any, *, action: str, instance: Any, pk_set: set[int] | None, **kwargs: Any
) -> None:
    if action in ("post_add", "post_remove") and pk_set:
        announce([instance.pk] if isinstance(instance, Category) else pk_set)
    elif action == "pre_clear":
        # Afterwards nobody knows any more which they were.
        if isinstance(instance, Category):
            announce([instance.pk])
        else:
            announce(instance.categories.order_by().values_list("pk", flat=True))


@receiver(pre_save, sender=Category)
def a_category_may_get_another_slug(sender: Any, *, instance: Category, **kwargs: Any) -> None:
    before = Category.objects.filter(pk=instance.pk).first() if instance.pk else None
    if before and (before.slug, before.arena_id) != (instance.slug, instance.arena_id):
        for one in (before, instance):
            categories_changed.send(Category, arena_id=one.arena_id, slugs=frozenset([one.slug]))


@receiver(pre_delete, sender=Category)
def a_category_goes(sender: Any, *, instance: Category, **kwargs: Any) -> None:
    categories_changed.send(Category, arena_id=instance.arena_id, slugs=frozenset([instance.slug]))
