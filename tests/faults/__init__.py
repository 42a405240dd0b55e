"""A simulator that breaks everything from a seed: the whole exchange in one process, on a machine that crashes.

It replaces the clock, the randomness, the network, the processes and the disk of this process while it runs, so it is
equipment for tests and not a part of the exchange.
"""
