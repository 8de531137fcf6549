"""The fleet: one supervised task a device, and a store of what is known."""

from cohete.fleet.state import Device, Event, Refusal, State
from cohete.fleet.store import FleetStore, Totals
from cohete.fleet.supervisor import Settings, Supervisor

__all__ = ["Device", "Event", "FleetStore", "Refusal", "Settings", "State", "Supervisor", "Totals"]
