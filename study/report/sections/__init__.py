"""The sections of a report, one a file: each takes findings and gives a `Section`, or None where nothing is known."""
