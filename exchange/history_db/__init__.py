"""The history file: the results of all commands of a journal in typed tables, and questions about any past moment.

The follower writes it; `tables.sql` describes it. Everything in it follows from the journal, so it may be deleted.
"""
