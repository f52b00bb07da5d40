"""What the demo arena compares: short texts and programs that summarise them. Plain Python, no Django."""
