"""What a board keeps things on: disks told apart, their health, their room, their speed."""
