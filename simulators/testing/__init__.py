"""For the tests of others: a store's devices on real pseudo-terminals, and fixtures for pytest that hold them."""
