"""What changes or examines a cluster: bulk loading, search pipelines, mappings, permissions."""
