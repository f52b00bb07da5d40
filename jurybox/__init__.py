"""The command ``jurybox``: submits a system's outputs to an arena from anywhere. Knows only the API."""
