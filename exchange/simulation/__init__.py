"""The demo in simulated time: an exchange without sockets, its journal on disk, and its bots, as fast as it goes."""
