"""Benchmarks: a load generator, servers for comparison, and measurements of single parts of the exchange."""
