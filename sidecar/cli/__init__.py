"""The command line: builds the parts, joins them, and prints; it decides nothing."""
