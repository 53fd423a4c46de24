"""Looking into a trained task: what must hold of it, and what it does."""
