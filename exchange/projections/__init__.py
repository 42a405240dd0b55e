"""Read models: what clients see, built from events alone."""
