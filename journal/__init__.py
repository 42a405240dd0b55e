"""An append-only journal of sequenced text with a chain of hashes. The text has no meaning to this package."""
