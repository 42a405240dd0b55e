"""The tables and triggers of the journal: SQL files from `0001_*.sql` on, each applied once in one transaction."""
