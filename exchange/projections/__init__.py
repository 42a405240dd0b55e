"""Read models: the views that clients see, built from events alone."""
