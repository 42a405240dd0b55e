"""The demo market in simulated time: an exchange without sockets, its journal on disk, and its bots."""
