"""What a configuration wants of fresh boards, as actions in the order they are done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cohete.config.schema import Network, Provision
from cohete.config.spec import DeviceSpec
from cohete.control.change import Action
from cohete.provision import disk, docker, steps, swap, zram
from cohete.provision.disk import PrepareDisk
from cohete.provision.docker import MoveDocker
from cohete.provision.network import SetAddress
from cohete.provision.steps import InstallKey, InstallPackages, SetCudaEnvironment, SetSwappiness
from cohete.provision.swap import AddSwapFile
from cohete.provision.usb import UsbNetwork, usb_rules
from cohete.provision.zram import SetZram


@dataclass(frozen=True, slots=True)
class Wanted:
    """One part of a provisioning: in words, and the action for a device of that id."""

    intent: str
    action: Callable[[str], Action | None]

    def wish(self, spec: DeviceSpec) -> Action | None:
        """What is wanted of that device; None for nothing."""
        return self.action(spec.id)


def all_wanted(provision: Provision, key_line: Callable[[], str]) -> list[Wanted]:
    """Every part, in order. `key_line` is asked for only where a key is to be installed.

    Raises ChangeRefused and ConfigError for what cannot be meant.
    """
    found: list[Wanted] = []
    if provision.ssh is not None and provision.ssh.copy_id:
        found.append(_same(InstallKey(key_line())))
    if provision.packages:
        found.append(_same(InstallPackages(tuple(provision.packages))))
    if provision.swappiness is not None:
        found.append(_same(SetSwappiness(provision.swappiness)))
    if provision.cuda_environment:
        found.append(_same(SetCudaEnvironment()))
    packed = provision.zram
    if packed is not None and packed.enabled:
        found.append(_same(SetZram(packed.compression_algorithm, packed.priority)))
    nvme = provision.nvme
    if nvme is not None and nvme.enabled:
        agreed = dict(nvme.erase)

        def prepare(device: str) -> Action:
            # Nothing is erased but on the board that is named, and the disk that is named with it.
            return PrepareDisk(nvme.disk, nvme.mount_point, agreed.get(device, ""))

        found.append(Wanted(f"have {nvme.disk} at {nvme.mount_point}", prepare))
        if nvme.swap_size_gb:
            found.append(_same(AddSwapFile(nvme.swap_size_gb, nvme.mount_point, nvme.disk)))
        if nvme.docker:
            found.append(_same(MoveDocker(f"{nvme.mount_point}/docker", nvme.disk)))
    network = provision.network
    if network is not None:
        if network.usb:
            found.append(_same(UsbNetwork()))
        given = {name: _address_of(network, text) for name, text in network.addresses.items()}
        if given:
            # Last: some boards are somewhere else afterwards.
            found.append(Wanted("give boards their addresses", given.get))
    return found


def _address_of(network: Network, text: str) -> SetAddress:
    address = "" if text == "keep" else text
    return SetAddress(network.interface, address, network.gateway, tuple(network.dns))


def _same(action: Action) -> Wanted:
    return Wanted(action.intent, lambda _: action)


def rules_for(provision: Provision, users: Iterable[str]) -> tuple[str, ...]:
    """The sudo rules that these parts need, for whoever logs in."""
    found = list(
        steps.rules_for(
            tuple(provision.packages), provision.swappiness, cuda=provision.cuda_environment
        )
    )
    if provision.zram is not None and provision.zram.enabled:
        found += zram.rules_for()
    nvme = provision.nvme
    if nvme is not None and nvme.enabled:
        for user in users:
            found += disk.rules_for(nvme.disk, nvme.mount_point, user)
        if nvme.swap_size_gb:
            found += swap.rules_for(nvme.swap_size_gb, nvme.mount_point)
        if nvme.docker:
            found += docker.rules_for(f"{nvme.mount_point}/docker")
    if provision.network is not None and provision.network.usb:
        found += usb_rules()
    return tuple(dict.fromkeys(found))
