"""What `run` and `instructions` are made of."""
