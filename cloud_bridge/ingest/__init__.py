"""How batches become events exactly once: a pure decision over one stream, and one transaction around it."""
