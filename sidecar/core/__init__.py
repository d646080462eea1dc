"""The types, files and arithmetic that all packages share; connectors import nothing else of `sidecar`."""
