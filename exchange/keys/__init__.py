"""Who may enter which account: keys with rights, signatures, failed attempts, and the ids of new accounts."""
