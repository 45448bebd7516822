"""The operators' pages: the fleet and one store, in two languages, drawn from the read models and kept live.

The pages know nothing but `cloud_bridge.views`: they read frozen values once a second, draw them, and send to a
browser only the parts whose drawing changed. They change nothing in a store.
"""

from cloud_bridge.pages.mounting import mount

__all__ = ["mount"]
