"""Programs that keep the documents in step with the code."""
