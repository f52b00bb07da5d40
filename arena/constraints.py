"""A foreign key over several columns, which keeps copies of a parent's columns true in the database.

A battle repeats its pair's systems and its outputs' prompt, a verdict repeats its battle's pair and
prompt: so that leaderboards count on one index of one table. This constraint is what makes the copies
safe. It works the same on SQLite and PostgreSQL; the parent needs a unique constraint over exactly the
columns referred to.
"""

from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class CompositeForeignKey(models.BaseConstraint):
    """``(fields)`` of this model must exist as ``(to_fields)`` of ``to``; NULL in any column passes.

    Checked at commit (deferred), like Django's own foreign keys.
    """

    def __init__(
        self,
        *,
        fields: tuple[str, ...] | list[str],
        to: str,
        to_fields: tuple[str, ...] | list[str],
        name: str,
        violation_error_message: str | None = None,
    ) -> None:
        if len(fields) != len(to_fields):
            raise ValueError(f"{name}: fields and to_fields must have the same length.")
        self.fields = tuple(fields)
        self.to = to
        self.to_fields = tuple(to_fields)
        super().__init__(name=name, violation_error_message=violation_error_message)

    def _parent(self, model: type[models.Model]) -> type[models.Model]:
        try:
            return model._meta.apps.get_model(self.to)
        except LookupError:
            # SQLite alters a table by making it again, as a model of a registry that has no other.
            return apps.get_model(self.to)

    def _definition(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor
    ) -> str:
        quote = schema_editor.quote_name
        parent = self._parent(model)

        def columns(owner: type[models.Model], names: tuple[str, ...]) -> str:
            return ", ".join(quote(owner._meta.get_field(name).column) for name in names)

        return (
            f"CONSTRAINT {quote(self.name)} FOREIGN KEY ({columns(model, self.fields)}) "
            f"REFERENCES {quote(parent._meta.db_table)} ({columns(parent, self.to_fields)}) "
            "DEFERRABLE INITIALLY DEFERRED"
        )

    def constraint_sql(self, model, schema_editor):
        return self._definition(model, schema_editor)

    def create_sql(self, model, schema_editor):
        table = schema_editor.quote_name(model._meta.db_table)
        return f"ALTER TABLE {table} ADD {self._definition(model, schema_editor)}"

    def remove_sql(self, model, schema_editor):
        quote = schema_editor.quote_name
        return f"ALTER TABLE {quote(model._meta.db_table)} DROP CONSTRAINT {quote(self.name)}"

    def validate(self, model, instance, exclude=None, using=DEFAULT_DB_ALIAS) -> None:
        if exclude and set(self.fields) & set(exclude):
            return
        values = [getattr(instance, model._meta.get_field(name).attname) for name in self.fields]
        if None in values:
            return
        parent = self._parent(model)
        attnames = [parent._meta.get_field(name).attname for name in self.to_fields]
        if not parent._default_manager.using(using).filter(
            **dict(zip(attnames, values, strict=True))
        ):
            raise ValidationError(
                self.get_violation_error_message(), code=self.violation_error_code
            )

    def deconstruct(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        path, args, kwargs = super().deconstruct()
        kwargs |= {"fields": self.fields, "to": self.to, "to_fields": self.to_fields}
        return path, args, kwargs

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CompositeForeignKey):
            return NotImplemented
        return self.deconstruct() == other.deconstruct()

    def __hash__(self) -> int:
        return hash((self.name, self.fields, self.to, self.to_fields))
