"""How a device is reached: SSH, this machine, or a recording; one protocol, `Link`."""
