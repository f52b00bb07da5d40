"""The statistics of Jurybox: numpy arrays in, frozen results out. Nothing here knows Django."""
