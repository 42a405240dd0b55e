"""The vocabulary of the exchange: units, instruments, rules, commands, events, reasons. No behaviour."""
