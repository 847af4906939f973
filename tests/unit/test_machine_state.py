"""Clocks, energy and the state of a GPU, on canned counters and canned answers of NVML."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest
import torch

from benchmark.records.contention import GpuUse
from benchmark.runtime.batch_times import BatchTimes, _Clock
from benchmark.runtime.machine_state import THROTTLES, gpu_state, gpu_use, monitor_machine

CPU = torch.device("cpu")
GPU = torch.device("cuda")
Answer = Callable[..., object]


def answered(figure: object) -> Answer:
    """Return what answers a question to NVML about the GPU: None stands for an error."""

    def answer(gpu: str, *_: object) -> object:
        assert gpu == "GPU-5"
        if figure is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return figure

    return answer


def fake_nvml(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Answer]) -> None:
    """Let NVML know one GPU, `GPU-5`, of which it has these answers alone; it is torch's too."""

    def handle(uuid: str) -> str:
        if uuid != "GPU-5":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return uuid

    questions = [name for name in dir(pynvml) if name.startswith("nvmlDeviceGet")]
    known = {"nvmlInit": lambda: None, "nvmlDeviceGetHandleByUUID": handle}
    for name, answer in {**dict.fromkeys(questions, answered(None)), **known, **answers}.items():
        monkeypatch.setattr(pynvml, name, answer)
    properties = SimpleNamespace(uuid="5")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)


def package(root: Path, name: str, microjoules: int, wraps_at: int = 10**9) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "max_energy_range_uj").write_text(f"{wraps_at}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder / "energy_uj"


def test_every_lap_is_timed(tmp_path: Path) -> None:
    times = BatchTimes(CPU, tmp_path)
    for _ in range(2):
        with times.batch():
            time.sleep(0.01)
    assert len(times.seconds) == 2
    assert min(times.seconds) >= 0.01


def test_a_lap_is_divided_by_its_marks(tmp_path: Path) -> None:
    times = BatchTimes(CPU, tmp_path)
    times.mark()  # outside of a batch it means nothing
    for seconds in ([0.01, 0.03], [0.02]):
        with times.batch():
            for number, part in enumerate(seconds):
                if number:
                    times.mark()
                time.sleep(part)
    assert [len(parts) for parts in times.parts] == [2, 1]
    assert times.parts[0][1] > times.parts[0][0] >= 0.01
    assert [sum(parts) for parts in times.parts] == pytest.approx(times.seconds, abs=1e-3)


def test_parts_of_a_gpu_are_timed_by_events_that_wait_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = iter([0.0, 1500.0, 1750.0])
    waits: list[torch.device] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: torch.device) -> None:
            self.stream, self.at = stream, next(ticks)

        def elapsed_time(self, other: Event) -> float:
            assert self.stream == other.stream == gpu
            assert len(waits) == 2  # else the events have not come to pass
            return other.at - self.at

    gpu = torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: device)
    monkeypatch.setattr(torch.cuda, "synchronize", waits.append)
    fake_nvml(monkeypatch, {})
    times = BatchTimes(gpu)
    assert times.joules is None
    with times.batch():
        times.mark()
        assert len(waits) == 1
    assert times.parts == [[1.5, 0.25]]


def test_energy_is_that_of_all_packages_within_the_laps_alone(tmp_path: Path) -> None:
    first = package(tmp_path, "intel-rapl:0", 2_000_000)
    second = package(tmp_path, "intel-rapl:1", 0)
    core = package(tmp_path, "intel-rapl:0:0", 0)  # a part of the first
    times = BatchTimes(CPU, tmp_path)
    with times.batch():
        first.write_text("5000000\n")
        second.write_text("1500000\n")
        core.write_text("900000\n")
    first.write_text("100000000\n")
    with times.batch():
        second.write_text("2000000\n")
    assert times.joules == pytest.approx(3 + 1.5 + 0.5)


def test_a_counter_may_start_again_from_zero(tmp_path: Path) -> None:
    counter = package(tmp_path, "intel-rapl:0", 9_000_000, wraps_at=10_000_000)
    times = BatchTimes(CPU, tmp_path)
    with times.batch():
        counter.write_text("500000\n")
    assert times.joules == pytest.approx(1.5)


def test_a_machine_that_tells_no_energy_has_none(tmp_path: Path) -> None:
    times = BatchTimes(CPU, tmp_path / "none")
    with times.batch():
        pass
    assert times.joules is None


def test_the_gpu_s_own_counter_is_read_in_joules(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([0, 1_000, 4_500])  # mJ; the first asks whether there is a counter
    fake_nvml(monkeypatch, {"nvmlDeviceGetTotalEnergyConsumption": lambda gpu: next(readings)})
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    monkeypatch.setattr("benchmark.runtime.batch_times._GpuClock", lambda _: _Clock())
    times = BatchTimes(GPU)
    with times.batch():
        pass
    assert times.joules == 3.5


@pytest.mark.parametrize(
    ("clock", "bits", "throttled"),
    [
        (1980, 0x0, []),
        (210, 0x1, []),  # idle
        (1095, 0x44, ["sw_power_cap", "hw_thermal_slowdown"]),
        (1980, None, None),
        (None, 0x4, ["sw_power_cap"]),
        (None, None, None),
    ],
)
def test_what_nvml_says_of_the_clock(
    clock: int | None,
    bits: int | None,
    throttled: list[str] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def clock_of(gpu: str, kind: int) -> object:
        assert kind == pynvml.NVML_CLOCK_SM
        return answered(clock)(gpu)

    answers = {
        "nvmlDeviceGetClockInfo": clock_of,
        "nvmlDeviceGetCurrentClocksThrottleReasons": answered(bits),
    }
    fake_nvml(monkeypatch, answers)
    assert gpu_state(GPU) == (clock, throttled)


@pytest.mark.parametrize(
    ("used", "processes", "expected"),
    [
        (12, [4711], GpuUse(0.12, 0)),
        (0, [4711, 4712, 4713], GpuUse(0.0, 2)),
        (None, [], GpuUse(None, None)),  # a container may hide all processes
        (None, None, GpuUse(None, None)),
    ],
)
def test_what_nvml_says_of_others(
    used: int | None,
    processes: Sequence[int] | None,
    expected: GpuUse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = None if used is None else SimpleNamespace(gpu=used, memory=99)
    answers = {
        "nvmlDeviceGetUtilizationRates": answered(rates),
        "nvmlDeviceGetComputeRunningProcesses": answered(processes),
    }
    fake_nvml(monkeypatch, answers)
    assert gpu_use(GPU) == expected


def test_a_gpu_that_nvml_does_not_know_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml(monkeypatch, {"nvmlDeviceGetClockInfo": answered(1980)})
    other = SimpleNamespace(uuid="6")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: other)
    assert gpu_state(GPU) == (None, None)
    assert gpu_use(GPU) == GpuUse(None, None)


def test_a_gpu_needs_one_core_and_a_processor_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.runtime.machine_state.gpu_use", lambda _: GpuUse(0.5, 1))
    found = monitor_machine(torch.device("cuda")).found()
    assert (found.needed, found.gpu_used, found.gpu_processes) == (1, 0.5, 1)
    found = monitor_machine(CPU).found()
    assert (found.needed, found.gpu_used, found.gpu_processes) == (found.cores, None, None)


def test_every_reason_has_one_bit() -> None:
    assert all(bit.bit_count() == 1 for bit in THROTTLES)


def test_the_reasons_are_those_of_nvml() -> None:
    for bit, name in THROTTLES.items():
        words = "".join(word.capitalize() for word in name.split("_"))
        assert getattr(pynvml, f"nvmlClocksThrottleReason{words}") == bit


def test_without_a_gpu_no_clock_is_told() -> None:
    assert gpu_state(CPU) == (None, None)
