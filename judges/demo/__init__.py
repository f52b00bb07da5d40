"""Who votes in the demo arena: a simulated panel, in plain Python, and program judges; and its loading."""
