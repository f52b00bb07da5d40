import os

# The bootstrap runs threads of its own; BLAS's on top of them fight over the same processors, which
# makes a fit slower by an order of magnitude on a busy machine. Read when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from config.celery import app as celery_app

__all__ = ["celery_app"]
