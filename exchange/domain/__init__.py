"""The words of the exchange: units, instruments, rules, commands, events, reasons. No behaviour."""
