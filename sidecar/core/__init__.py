"""The nouns, files and arithmetic that everything else shares; connectors import nothing else of the package."""
