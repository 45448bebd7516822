"""The on-store agent: supervised devices, interlocks, sessions, the durable ledger, and its uplink to the cloud."""
