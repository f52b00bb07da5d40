"""What goes wrong with runs."""


class RunError(Exception):
    """A run that can't be started, changed or finished; str() says why and what to do."""
