"""Parts around the training loop: hooks, samplers, optimiser constructors."""
