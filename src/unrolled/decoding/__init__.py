"""How sequences are chosen, written against one function, `step(tokens, state, memory) -> (logits, state)`."""
