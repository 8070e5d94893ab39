"""The devices that PortAudio (the package sounddevice) offers: their list, and the choice of one."""

from __future__ import annotations

from dataclasses import dataclass

from fastsvc.errors import DeviceError, MissingPackageError

INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True)
class Device:
    """``number``: of PortAudio, another one after devices came or went; ``channels``: in the direction of its use."""

    number: int
    name: str
    api: str
    channels: int
    rate_hz: int


def library():
    """The module sounddevice. Raises MissingPackageError, also where the system's PortAudio is missing."""
    try:
        import sounddevice  # pyright: ignore[reportMissingImports]  # of the extra live
    except ImportError:
        raise MissingPackageError("sounddevice", "live conversion with sound cards", "live") from None
    except OSError:  # its own library is not found
        command = "apt install libportaudio2"
        raise MissingPackageError("PortAudio", "live conversion with sound cards", command=command) from None
    return sounddevice


def listed() -> list[str]:
    """A line for each device: number, name, system, channels in and out, usual rate; the defaults are marked."""
    defaults, lines = [_default(use) for use in (INPUT, OUTPUT)], []
    for number, device in enumerate(library().query_devices()):
        channels = f"{device['max_input_channels']} in, {device['max_output_channels']} out"
        uses = [use for use, default in zip((INPUT, OUTPUT), defaults) if default == number]
        default = f", default {' and '.join(uses)}" if uses else ""
        rate_hz = f"{device['default_samplerate']:.0f} Hz"
        lines.append(f"{number} {device['name']} ({_api(device)}; {channels}, {rate_hz}{default})")
    return lines


def devices(use: str) -> list[Device]:
    """Those that can be used so."""
    found = []
    for number, device in enumerate(library().query_devices()):
        channels = int(device[f"max_{use}_channels"])
        if channels > 0:
            rate_hz = round(float(device["default_samplerate"]))
            found.append(Device(number, str(device["name"]), _api(device), channels, rate_hz))
    return found


def chosen(use: str, wanted: str | None, channel: int | None = None) -> Device:
    """A device by its number, its name or a part of that ("usb", or "usb, alsa" with the system's name), or the
    default one. Raises DeviceError, which names the devices in question; also where it lacks ``channel``, from 1 on."""
    device = _chosen(use, wanted)
    if channel is not None and channel > device.channels:
        raise DeviceError(f"{device.name} has {device.channels} channels of {use}, not {channel}", "choose another")
    return device


def _chosen(use: str, wanted: str | None) -> Device:
    found = devices(use)
    if not found:
        raise DeviceError(f"there is no {use} device", "connect one, or see what there is: fastsvc live --list")
    if wanted is None:
        default = _default(use)
        return next((device for device in found if device.number == default), found[0])
    if wanted.isdecimal():
        fitting = [device for device in found if device.number == int(wanted)]
    else:
        fitting = _named(found, wanted, use)
    if not fitting:
        raise DeviceError(f"no {use} device is {wanted!r}", f"choose one of: {_shown(found)}")
    if len(fitting) > 1:
        raise DeviceError(f"several {use} devices are called {wanted!r}", f"choose by number: {_shown(fitting)}")
    return fitting[0]


def again(use: str, device: Device) -> Device | None:
    """The same device after others came or went; asks PortAudio for a new list, so no stream may be open."""
    sounddevice = library()
    for name in ("_terminate", "_initialize"):  # PortAudio lists devices when it starts only
        getattr(sounddevice, name, lambda: None)()
    found = [other for other in devices(use) if (other.name, other.api) == (device.name, device.api)]
    return found[0] if found else None


def _named(found: list[Device], wanted: str, use: str) -> list[Device]:
    """Those of that name, else those whose name holds it; of several, those of the default device's system."""
    text = wanted.casefold()
    exact = [device for device in found if device.name.casefold() == text]
    fitting = exact or [device for device in found if text in f"{device.name}, {device.api}".casefold()]
    default = _default(use)
    api = next((device.api for device in found if device.number == default), None)
    return [device for device in fitting if device.api == api] or fitting if len(fitting) > 1 else fitting


def _shown(found: list[Device]) -> str:
    return ", ".join(f"{device.number} {device.name} ({device.api})" for device in found)


def _default(use: str) -> int:
    return library().default.device[use == OUTPUT]


def _api(device) -> str:
    return str(library().query_hostapis(device["hostapi"])["name"])
