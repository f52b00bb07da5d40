"""Asking models over the network. Only workers import this."""
