"""The bridge in the cloud: ingest, members, recommendations, and what operators see of their fleet."""
