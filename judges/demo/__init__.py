"""Who votes in the demo arena: a simulated panel. Plain Python, no Django."""
