"""People who use the store's pages: staff on duty, tobacco customers; through the same socket as a browser's page."""
