"""Cascades: cheap judges decide what they are sure enough of, dearer ones the rest, people what is left."""
