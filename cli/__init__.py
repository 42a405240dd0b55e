"""The `exchange` command: one file per subject."""
