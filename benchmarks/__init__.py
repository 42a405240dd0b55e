"""Measures the exchange from outside: a load generator and the servers it is compared with."""
