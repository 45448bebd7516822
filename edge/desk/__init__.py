"""Between the agent and the store's pages: a local socket on which a page requests and only the agent decides."""
