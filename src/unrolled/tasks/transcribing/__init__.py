"""How a transcriber goes from what it heard to what was said: a file a kind, the contract in `base`."""
