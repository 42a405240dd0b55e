"""Joins the parts: configuration, the pipeline, recovery, and the node that runs them. The only wall clock is here."""
