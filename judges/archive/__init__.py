"""An arena as a dataset: its tables as files, streamed, and read back without a loss."""
