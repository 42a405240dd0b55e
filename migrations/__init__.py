"""The journal's schema as plain SQL files, `0001_*.sql` upwards: each applied once, in order, in one transaction."""
