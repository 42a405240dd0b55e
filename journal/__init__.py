"""An append-only log of sequenced text in SQLite, with a hash chain. It knows nothing of what the text means."""
