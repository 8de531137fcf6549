"""What was measured, kept: history on disk, recordings."""
