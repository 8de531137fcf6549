"""The part of a simulated board's /sys that Cohete reads: thermal zones, trip points, the fan."""

from __future__ import annotations

from cohete.simulator.board import SimBoard
from cohete.simulator.formats import number

_ZONES = "/sys/class/thermal/thermal_zone"
_HWMON = "/sys/class/hwmon/hwmon"
_IIO = "/sys/bus/i2c/drivers/ina3221x"
_OLD_FAN = "/sys/devices/pwm-fan"


def sysfs(board: SimBoard, about: str = "") -> dict[str, bytes]:
    """Every file that can be read now; with `about`, at least those it names."""
    files: dict[str, bytes] = {}
    for words, part in _PARTS:
        if not about or any(word in about for word in words):
            files |= part(board)
    return files


def _zones(board: SimBoard) -> dict[str, bytes]:
    files: dict[str, str] = {}
    throttle = board.module.throttle_c
    for nth, (name, celsius) in enumerate(board.zones().items()):
        files[f"{_ZONES}{nth}/type"] = f"{name}-thermal"
        if celsius is not None:
            shown = float(number(celsius, board.module.style.resolution_c))
            files[f"{_ZONES}{nth}/temp"] = str(round(1000 * shown))
        for trip, (kind, limit) in enumerate((("passive", throttle), ("critical", throttle + 5.5))):
            files[f"{_ZONES}{nth}/trip_point_{trip}_type"] = kind
            files[f"{_ZONES}{nth}/trip_point_{trip}_temp"] = str(round(1000 * limit))
    return {path: f"{text}\n".encode() for path, text in files.items()}


_VOLTS_MV = 19_000


def _sensor(board: SimBoard) -> dict[str, bytes]:
    """The INA3221, three rails a chip: hwmon from JetPack 5 on, industrial I/O before."""
    if not board.has_sensor:
        return {}
    files: dict[str, str] = {}
    for nth, (name, milliwatts) in enumerate(board.rails_mw().items()):
        if not board.has_fan_service:
            chip = f"{_IIO}/6-004{nth // 3}/iio:device{nth // 3}"
            files[f"{chip}/rail_name_{nth % 3}"] = name
            files[f"{chip}/in_power{nth % 3}_input"] = str(round(milliwatts))
            continue
        chip, channel = f"{_HWMON}{3 + nth // 3}", nth % 3 + 1
        files[f"{chip}/name"] = "ina3221"
        files[f"{chip}/in{channel}_label"] = name
        files[f"{chip}/in{channel}_input"] = str(_VOLTS_MV)
        files[f"{chip}/curr{channel}_input"] = str(round(1000 * milliwatts / _VOLTS_MV))
    return {path: f"{text}\n".encode() for path, text in files.items()}


def _zram(board: SimBoard) -> dict[str, bytes]:
    if not board.module.swap:
        return {}
    active = board.disk.zram_algorithm
    words = [f"[{each}]" if each == active else each for each in ("lzo", "lzo-rle", "lz4", "zstd")]
    return {"/sys/block/zram0/comp_algorithm": f"{' '.join(words)}\n".encode()}


def _battery(board: SimBoard) -> dict[str, bytes]:
    if board.battery_percent is None:
        return {}
    folder = "/sys/class/power_supply/battery"
    status = "Discharging" if board.on_battery else "Charging"
    files = {
        f"{folder}/type": "Battery",
        f"{folder}/status": status,
        f"{folder}/capacity": str(board.battery_percent),
        f"{folder}/energy_now": str(board.battery_percent * 500_000),
        f"{folder}/power_now": str(round(board.power_w * 1e6)),
    }
    return {path: f"{text}\n".encode() for path, text in files.items()}


def _held_back(board: SimBoard) -> dict[str, bytes]:
    cooling = "/sys/class/thermal/cooling_device"
    cpufreq = "/sys/devices/system/cpu/cpu0/cpufreq"
    highest = board.module.cpu_mhz[1]
    files = {
        f"{cooling}0/type": "cpufreq-cpu0",
        f"{cooling}0/cur_state": str(board.throttle_steps),
        f"{cooling}1/type": "pwm-fan",
        f"{cooling}1/cur_state": "3",
        f"{_HWMON}2/oc1_event_cnt": str(board.over_current_events),
        f"{cpufreq}/scaling_max_freq": f"{board.mode.cpu_mhz or highest}000",
        f"{cpufreq}/cpuinfo_max_freq": f"{highest}000",
    }
    return {path: f"{text}\n".encode() for path, text in files.items()}


def _fan(board: SimBoard) -> dict[str, bytes]:
    pwm = round(255 * board.fan_duty)
    rpm = 0 if board.fan_is_stuck else pwm * 24
    if board.has_fan_service:
        files = {
            f"{_HWMON}0/name": "pwmfan",
            f"{_HWMON}0/pwm1": str(pwm),
            f"{_HWMON}1/name": "pwm_tach",
            f"{_HWMON}1/rpm": str(rpm),
        }
    else:
        files = {
            f"{_OLD_FAN}/target_pwm": str(pwm),
            f"{_OLD_FAN}/temp_control": str(int(board.fan_service_active)),
            f"{_OLD_FAN}/rpm_measured": str(rpm),
        }
    return {path: f"{text}\n".encode() for path, text in files.items()}


_PARTS = (
    (("thermal_zone",), _zones),
    (("hwmon*/name", "pwm", "rpm", "fan1_input"), _fan),
    (("cooling_device", "oc*", "cpufreq"), _held_back),
    (("power_supply",), _battery),
    (("hwmon*/name", "_label", "curr", "rail_name"), _sensor),
    (("zram",), _zram),
)
"""Which words ask for which part: a thousand boards are asked at the same time."""
