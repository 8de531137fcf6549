"""cohete.yaml: typed schema, loading with line numbers, and the devices it names."""
