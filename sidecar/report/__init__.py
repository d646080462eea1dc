"""A report on runs: statistics, figures and tables, as one HTML page with files beside it."""
