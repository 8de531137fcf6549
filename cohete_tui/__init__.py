"""The dashboard: draws what the core knows, asks the core to act."""
