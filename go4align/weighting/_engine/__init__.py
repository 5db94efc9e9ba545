"""What the methods are made of: the contract, losses and gradients to weights, Gramians, solvers."""
