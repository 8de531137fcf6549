"""The schema of cohete.yaml, version 1.0: every key, its range and what it is for."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from cohete.config.alerts import Alerts
from cohete.config.base import Name, Strict
from cohete.config.control import Control, Power
from cohete.config.limits import Limit
from cohete.config.switches import Switch
from cohete.config.target import check_host, parse_target
from cohete.config.thermal import ThermalPolicy
from cohete.errors import ConfigError

Seconds = Annotated[float, Field(ge=0.1, le=600, allow_inf_nan=False)]
Quantization = Literal["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q6_k", "f16", "f32"]


def _host(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return check_host(value)
    except ConfigError as error:
        raise ValueError(error.what) from None


class StaticHosts(Strict):
    """Discovery of hosts that are named here."""

    static: list[str] = Field(description="Host names or addresses of boards.")

    @field_validator("static")
    @classmethod
    def _hosts(cls, value: list[str]) -> list[str]:
        for host in value:
            _target(host)
        return value


class Discovery(Strict):
    """How boards are found."""

    methods: list[Literal["usb", "mdns"] | StaticHosts] = Field(
        default=[], description="usb, mdns, or a list of static hosts; tried in this order."
    )


class Device(Strict):
    """One board of the fleet."""

    id: Name = Field(description="Unique name; also the ssh alias where no host is given.")
    connection: Literal["", "ssh", "usb", "ethernet", "mdns", "local", "replay"] = Field(
        default="", description="How the board is reached; empty is ssh."
    )
    ip: str | None = Field(default=None, description="Address of the board (IPv4 or IPv6%zone).")
    host: str | None = Field(default=None, description="Host name, or alias in ~/.ssh/config.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(default=None)
    user: str | None = Field(default=None, description="Login name; else from ~/.ssh/config.")
    identity_file: str | None = Field(default=None, description="Private key to log in with.")
    jump: str | list[str] | None = Field(
        default=None, description="Jump hosts, nearest first; replaces ProxyJump."
    )
    file: str | None = Field(default=None, description="Recording to play (connection: replay).")
    enabled: bool = Field(default=True, description="false: listed, not connected.")
    sudo: bool = Field(
        default=False, description="Allow `sudo -n tegrastats` for EMC and engine loads."
    )
    read_only: bool = Field(default=False, description="Refuse every change to this board.")
    interval_ms: Annotated[int, Field(ge=100, le=60_000)] | None = Field(
        default=None, description="Time between samples; else watch.interval_ms."
    )
    tags: list[Name] = Field(default=[], description="Free labels to filter and group by.")
    site: Name | None = Field(default=None, description="Where the board is.")
    switches: list[Name] = Field(
        default=[], description="Names under switches; the first whose filter holds counts."
    )
    limits: list[Name] = Field(default=[], description="Names under limits, to be kept below.")
    thermal_policy: Name = Field(default="conservative", description="A name under thermal.")
    memory_budget_mb: Annotated[int, Field(ge=64, le=1_048_576)] = Field(
        default=6000, description="Memory that work on this board may take, in MiB."
    )
    mac: (
        Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$|^[0-9A-Fa-f]{12}$")]
        | None
    ) = Field(default=None, description="Its MAC address, to wake it with `cohete wake`.")
    power_profile: Name | None = Field(
        default=None, description="A name under power.profiles; `cohete apply` makes it so."
    )

    @field_validator("host", "ip")
    @classmethod
    def _hosts(cls, value: str | None) -> str | None:
        return _host(value)

    @field_validator("user")
    @classmethod
    def _login(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._@+\\-]{0,63}", value):
            raise ValueError("this is no login name")
        return value

    @field_validator("jump")
    @classmethod
    def _hops(cls, value: str | list[str] | None) -> str | list[str] | None:
        for hop in [value] if isinstance(value, str) else value or []:
            _target(hop)
        return value

    @model_validator(mode="after")
    def _reachable(self) -> Device:
        if self.connection == "ethernet" and not (self.ip or self.host):
            raise ValueError("connection ethernet needs an ip or a host")
        if self.connection == "replay" and not self.file:
            raise ValueError("connection replay needs a file")
        return self


class Group(Strict):
    """A named part of the fleet: by id, by tag, or both."""

    devices: list[Name] = Field(default=[])
    tags: list[Name] = Field(default=[])


class Fleet(Strict):
    """The boards and how they belong together."""

    name: str = Field(default="", max_length=64)
    devices: list[Device] = Field(default=[])
    groups: dict[Name, Group] = Field(default={})


class Model(Strict):
    """A model and where it runs."""

    name: Name
    source: Annotated[str, Field(min_length=1, max_length=1024)]
    quantization: Quantization | None = None
    quality: bool = Field(default=False, description="Search for the best scales; slower.")
    fit_mb: Annotated[float, Field(gt=0, le=1e7)] | None = Field(
        default=None, description="Instead of a level: the best file of at most so many MB."
    )
    devices: str | list[str] = Field(
        default="all", description='"all", a device, a group, or a list of them.'
    )

    @model_validator(mode="after")
    def _one_way(self) -> Model:
        if self.fit_mb is not None and self.quantization is not None:
            raise ValueError("fit_mb takes the place of quantization: leave one of them out")
        return self


class Inference(Strict):
    """The server that runs models on the boards."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    max_batch_size: Annotated[int, Field(ge=1, le=1024)] = 4
    context_length: Annotated[int, Field(ge=128, le=1_048_576)] = 2048
    api_compatibility: Literal["openai", "native"] = "openai"
    backend_preference: Literal["auto", "cpu_simd", "gpu"] | None = None


class Nvme(Strict):
    """The NVMe disk of a board."""

    enabled: bool = True
    disk: Annotated[str, Field(pattern=r"^nvme\d{1,3}n\d{1,4}$")] = Field(
        default="nvme0n1", description="Which one, as `cohete storage show` names it."
    )
    mount_point: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/-]*$")] = "/mnt/nvme"
    swap_size_gb: Annotated[int, Field(ge=0, le=512)] = 16
    docker: bool = Field(
        default=False, description="Docker's data below it: copied, compared, the old left there."
    )
    erase: dict[Name, Annotated[str, Field(max_length=64)]] = Field(
        default={},
        description="By device: the blank disk that may be partitioned, by name and size, as in "
        "{cam-01: 'nvme0n1 500 GB'}. Without it a blank disk is left alone.",
    )


class ProvisionSsh(Strict):
    """Password-less login."""

    copy_id: bool = True
    config_host: Name = "jetson"
    username: str = "nvidia"


class Zram(Strict):
    """Compressed swap in memory."""

    enabled: bool = True
    priority: Annotated[int, Field(ge=-1, le=32767)] = 100
    compression_algorithm: Literal["zstd", "lz4", "lzo", "lzo-rle"] = "zstd"


class Network(Strict):
    """Addresses of boards, tried before they are kept."""

    usb: bool = Field(default=False, description="Answer at 192.168.55.1 over USB, at each start.")
    addresses: dict[Name, str] = Field(
        default={}, description="By device: its address, as in 10.0.0.7/24, or `keep` for today's."
    )
    interface: str = Field(default="", description="Ethernet interface; else the connection's own.")
    gateway: str = Field(default="", description="Else the one it has now.")
    dns: list[str] = Field(default=[], description="Else those it has now.")


class Provision(Strict):
    """What setup makes of a fresh board."""

    nvme: Nvme | None = None
    ssh: ProvisionSsh | None = None
    zram: Zram | None = None
    packages: list[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]{0,63}$")]] = Field(
        default=[], description="Debian packages that are installed."
    )
    swappiness: Annotated[int, Field(ge=0, le=200)] | None = Field(
        default=None, description="How soon the kernel swaps; 10 suits models."
    )
    cuda_environment: bool = Field(
        default=False, description="CUDA_HOME, PATH and LD_LIBRARY_PATH for login shells."
    )

    network: Network | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it asks for nothing."""
        return self == Provision()


class Ssh(Strict):
    """How SSH connections are made. Host keys are always verified."""

    connect_timeout_s: Seconds = Field(default=10.0, description="TCP connection, 0.1 to 600 s.")
    login_timeout_s: Seconds = Field(default=10.0, description="Handshake and login.")
    command_timeout_s: Seconds = Field(default=30.0, description="One command, from start to end.")
    keepalive_s: Annotated[float, Field(ge=1, le=600, allow_inf_nan=False)] = Field(
        default=5.0, description="Ask for a sign of life after this much silence."
    )
    config_file: str | None = Field(default=None, description="Else ~/.ssh/config.")
    known_hosts: str | None = Field(
        default=None, description="Further known_hosts file; new keys are kept here."
    )
    accept_new: bool = Field(
        default=False,
        description="Accept the key of a host never seen before. Never a changed one.",
    )
    max_connecting: Annotated[int, Field(ge=1, le=512)] = Field(
        default=64, description="Connections being opened at the same time."
    )


class Watch(Strict):
    """How boards are watched."""

    interval_ms: Annotated[int, Field(ge=100, le=60_000)] = Field(
        default=1000, description="Time between samples."
    )
    facts_ttl_s: Annotated[float, Field(ge=5, le=86_400, allow_inf_nan=False)] = Field(
        default=60.0, description="How long facts (mode, release, memory) count as fresh."
    )


class History(Strict):
    """What is kept on disk of every sample: raw, by the minute, by ten minutes."""

    enabled: bool = Field(default=True, description="Keep history while the dashboard runs.")
    folder: str | None = Field(default=None, description="Else in the user's state folder.")
    raw_hours: Annotated[float, Field(ge=1, le=24 * 31, allow_inf_nan=False)] = Field(
        default=24, description="How long every sample is kept."
    )
    minutes_days: Annotated[float, Field(ge=1, le=366, allow_inf_nan=False)] = Field(
        default=7, description="How long a point each minute is kept."
    )
    ten_minutes_days: Annotated[float, Field(ge=1, le=3660, allow_inf_nan=False)] = Field(
        default=90, description="How long a point each ten minutes is kept."
    )
    max_mb: Annotated[int, Field(ge=16, le=1_048_576)] = Field(
        default=2048, description="Room on disk for all of it; the oldest goes first."
    )


class Telemetry(Strict):
    """What is kept of what was measured."""

    history: History = Field(default_factory=History)


class Dashboard(Strict):
    """How the dashboard begins; every key can change it while it runs."""

    theme: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")] | None = Field(
        default=None, description="A theme that comes with Cohete, or one of your own."
    )
    ascii: bool | None = Field(
        default=None, description="Plain ASCII only; else as the terminal allows."
    )
    view: Literal["panes", "table", "wide"] = Field(default="panes")
    filter: str = Field(default="", max_length=500, description="As typed after /: temp>80 tag:lab")
    sort: Literal["trouble", "name", "gpu", "cpu", "ram", "temp", "power", "age"] = "trouble"
    reverse: bool = Field(default=False, description="Turn the order round.")
    group: Literal["none", "tag", "site", "module"] = "none"
    faults_only: bool = Field(default=False, description="Only what needs somebody.")
    rate_s: Annotated[float, Field(ge=0.25, le=60, allow_inf_nan=False)] = Field(
        default=0.5, description="How often the screen is drawn."
    )


BUILT_IN_THERMAL: dict[str, ThermalPolicy] = {
    "conservative": ThermalPolicy(threshold_c=65, cooldown_c=55, check_interval_ms=500),
    "aggressive": ThermalPolicy(threshold_c=75, cooldown_c=65, check_interval_ms=1000),
}


class Config(Strict):
    """A whole cohete.yaml."""

    version: Literal["1.0"] = "1.0"
    discovery: Discovery = Field(default_factory=Discovery)
    fleet: Fleet = Field(default_factory=Fleet)
    models: list[Model] = Field(default=[])
    thermal: dict[Name, ThermalPolicy] = Field(
        default={}, description="Policies by name; conservative and aggressive always exist."
    )
    inference: Inference = Field(default_factory=Inference)
    provision: Provision = Field(default_factory=Provision)
    ssh: Ssh = Field(default_factory=Ssh)
    watch: Watch = Field(default_factory=Watch)
    telemetry: Telemetry = Field(default_factory=Telemetry)
    control: Control = Field(default_factory=Control)
    power: Power = Field(default_factory=Power)
    alerts: Alerts = Field(default_factory=Alerts)
    switches: dict[Name, Switch] = Field(
        default={}, description="Power profiles that boards switch to by themselves, and back."
    )
    limits: dict[Name, Limit] = Field(
        default={}, description="What boards are kept below, by name, and the steps that do it."
    )
    dashboard: Dashboard = Field(default_factory=Dashboard)

    @field_validator("version", mode="before")
    @classmethod
    def _number_is_fine(cls, value: object) -> object:
        return f"{value:.1f}" if isinstance(value, float | int) and value == 1 else value

    def policy(self, name: str) -> ThermalPolicy:
        """The thermal policy of that name; raises KeyError where there is none."""
        return self.thermal[name] if name in self.thermal else BUILT_IN_THERMAL[name]

    def members(self, group: str) -> list[str]:
        """Ids of the devices in a group, in fleet order."""
        wanted = self.fleet.groups[group]
        tags = set(wanted.tags)
        return [
            device.id
            for device in self.fleet.devices
            if device.id in wanted.devices or tags & set(device.tags)
        ]


def _target(text: str) -> None:
    try:
        parse_target(text)
    except ConfigError as error:
        raise ValueError(error.what) from None
